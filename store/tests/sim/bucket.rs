//! What the bucket says by itself: read without the store, from the objects as they are.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use store::Manifest;

const MANIFESTS: &str = "tenant=default/manifest";

fn parse(path: &Path) -> Option<(String, u64)> {
    let (writer, file) = path.as_ref().strip_prefix(MANIFESTS)?.strip_prefix('/')?.split_once('/')?;
    Some((writer.to_owned(), file.strip_suffix(".json")?.parse().ok()?))
}

/// Writer and last offloaded window of a manifest that is about to be put.
pub(crate) fn offloaded_through(path: &Path, bytes: &Bytes) -> Option<(String, u64)> {
    let (writer, _) = parse(path)?;
    let manifest: Manifest = serde_json::from_slice(bytes).ok()?;
    Some((writer, manifest.offloaded_through))
}

/// The newest manifest of each writer that is there in full.
async fn newest(truth: &InMemory) -> BTreeMap<String, Manifest> {
    let mut numbers: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let objects: Vec<_> = truth.list(Some(&Path::from(MANIFESTS))).try_collect().await.expect("memory answers");
    for object in objects {
        if let Some((writer, number)) = parse(&object.location) {
            numbers.entry(writer).or_default().push(number);
        }
    }
    let mut found = BTreeMap::new();
    for (writer, mut numbers) in numbers {
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        for number in numbers {
            let path = Path::from(format!("{MANIFESTS}/{writer}/{number:020}.json"));
            let bytes = truth.get(&path).await.expect("listed").bytes().await.expect("memory answers");
            if let Ok(manifest) = serde_json::from_slice(&bytes) {
                found.insert(writer, manifest);
                break;
            }
        }
    }
    found
}

/// Whether the newest manifest of any writer names an object.
pub(crate) async fn names(truth: &InMemory, path: &Path) -> bool {
    newest(truth).await.values().flat_map(|manifest| &manifest.blocks).any(|block| block.path == path.as_ref())
}

/// The invariants of the bucket. `committed_through` is what the store was told.
pub(crate) async fn check(truth: &InMemory, committed_through: &BTreeMap<String, u64>) -> Result<(), String> {
    let manifests = newest(truth).await;
    for (writer, through) in committed_through {
        let there = manifests.get(writer).map_or(0, |manifest| manifest.offloaded_through);
        if there < *through {
            return Err(format!("offloaded_through never decreases: {there} after {through}, writer {writer}"));
        }
    }
    for (writer, manifest) in &manifests {
        let mut windows = BTreeSet::new();
        for block in &manifest.blocks {
            match truth.head(&Path::from(block.path.as_str())).await {
                Ok(object) if object.size == block.bytes => {}
                Ok(object) => {
                    let (path, bytes) = (&block.path, block.bytes);
                    return Err(format!("a named object has its size: {path} has {} of {bytes} bytes", object.size));
                }
                Err(_) => return Err(format!("a named object is there: {} of writer {writer} is not", block.path)),
            }
            // A merged block has several; how they are spread over blocks is the merge's business.
            if let [window] = block.windows[..]
                && !windows.insert(window)
            {
                return Err(format!("a window is in one block: {window} of writer {writer} is in two"));
            }
        }
    }
    Ok(())
}
