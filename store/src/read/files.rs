//! Goes through the files of rollups, several at a time, each time into one of a few tables.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::stream::{StreamExt, TryStreamExt};
use object_store::ObjectStore;

use crate::Error;
use crate::rollup::RollupEntry;

/// Files that are fetched and decoded at the same time, each into a table of its own; both are in memory, up to some MB.
const FILES_AT_ONCE: usize = 4;

/// Calls `add` with each file and one of several tables that `new` makes; gives the tables.
///
/// # Errors
/// When a file cannot be read, or `add` fails.
pub(super) async fn fold<T: Send + 'static>(
    objects: &Arc<dyn ObjectStore>,
    entries: impl Iterator<Item = &Arc<RollupEntry>>,
    new: impl Fn() -> T,
    add: impl Fn(&mut T, Bytes) -> Result<(), Error> + Send + Sync + 'static,
) -> Result<Vec<T>, Error> {
    let add = Arc::new(add);
    let idle: Mutex<Vec<T>> = Mutex::new(Vec::new());
    let take = || idle.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_else(&new);
    let give_back = |table| idle.lock().unwrap_or_else(PoisonError::into_inner).push(table);
    // In a loop for the same reason as in `Shared::trace`.
    let mut files = Vec::new();
    for entry in entries {
        let (fetch, add, take, give_back) = (entry.fetch(&**objects), Arc::clone(&add), &take, &give_back);
        files.push(async move {
            let bytes = fetch.await?;
            let mut table = take();
            let added = tokio::task::spawn_blocking(move || add(&mut table, bytes).map(|()| table));
            give_back(added.await.map_err(|error| Error::Block(format!("reading a rollup: {error}")))??);
            Ok::<_, Error>(())
        });
    }
    futures::stream::iter(files).buffer_unordered(FILES_AT_ONCE).try_collect::<()>().await?;
    Ok(idle.into_inner().unwrap_or_else(PoisonError::into_inner))
}
