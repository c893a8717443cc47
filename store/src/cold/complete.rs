//! Looks whether objects came and went in full. Object stores say so; a folder after a power cut, or a server that lies,
//! does not.

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::Error;

/// Fails unless the object at `path` has `bytes` bytes.
///
/// # Errors
/// [`Error::Cold`], so that whoever put it tries again.
pub(crate) async fn check_put(objects: &dyn ObjectStore, path: &Path, bytes: u64) -> Result<(), Error> {
    let there = objects.head(path).await?.size;
    if there == bytes { Ok(()) } else { Err(incomplete(path, &format!("was put with {bytes} bytes and has {there}"))) }
}

/// All of the object at `path`.
///
/// # Errors
/// [`Error::Cold`], also when the answer ends early.
pub(crate) async fn get(objects: &dyn ObjectStore, path: &Path) -> Result<Bytes, Error> {
    let answer = objects.get(path).await?;
    let size = answer.meta.size;
    check_answer(path, size, answer.bytes().await?)
}

/// Passes `answer` on if it has the `bytes` bytes that were asked for.
///
/// # Errors
/// [`Error::Cold`] when it does not.
pub(crate) fn check_answer(path: &Path, bytes: u64, answer: Bytes) -> Result<Bytes, Error> {
    if answer.len() as u64 == bytes {
        return Ok(answer);
    }
    Err(incomplete(path, &format!("was asked for {bytes} bytes and gave {}", answer.len())))
}

fn incomplete(path: &Path, what: &str) -> Error {
    object_store::Error::Generic { store: "object store", source: format!("{path} {what}").into() }.into()
}
