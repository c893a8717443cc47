//! Brings what the cold tier knows of runs into the table: on a node that has nothing, and what other writers found out.

use std::sync::Arc;

use object_store::ObjectStore;

use super::{RunTable, file};
use crate::Error;
use crate::background::Background;
use crate::view::View;

/// Loads the files that the manifests of a view name and that are not in the table. Gives how many.
///
/// # Errors
/// When the object store or the hot tier fails. What was loaded before stays.
pub(super) async fn load(
    table: &Arc<RunTable>,
    view: &View,
    objects: &Arc<dyn ObjectStore>,
    background: &Background,
) -> Result<usize, Error> {
    let entries = || view.manifests.values().flat_map(|manifest| &manifest.runs);
    let mut loaded = 0;
    for entry in entries() {
        if table.has_loaded(&entry.path)? {
            continue;
        }
        let bytes = entry.fetch(&**objects).await?;
        let (of_table, name) = (Arc::clone(table), entry.path.clone());
        let absorb = move || {
            file::each_batch(bytes, |items| of_table.absorb(&items).map(drop))?;
            of_table.forget_changed(&[], Some(&name))
        };
        background.run(absorb).await?;
        loaded += 1;
    }
    if loaded > 0 {
        table.keep_loaded(&entries().map(|entry| entry.path.as_str()).collect())?;
    }
    Ok(loaded)
}
