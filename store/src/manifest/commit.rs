//! Reads and writes manifests.
//!
//! A commit is one put under a name that never existed. Crash points: before the put, the manifest before it counts and
//! the new block is an orphan; after it, the new manifest counts whether or not anybody heard of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use super::{Manifest, Manifests, VERSIONS};
use crate::Error;
use crate::cold::{BlockId, complete, paths};

/// Manifests that stay behind the newest: what a reader on another node may still be about to get.
const OLD_MANIFESTS_KEPT: usize = 8;

/// The manifests in the object store.
pub(crate) struct ManifestStore {
    objects: Arc<dyn ObjectStore>,
    writer: String,
    fenced: AtomicBool,
    /// Numbers that this process committed, oldest first. Those of earlier ones are swept.
    committed: Mutex<VecDeque<u64>>,
}

impl ManifestStore {
    /// For the writer with this id.
    pub(crate) fn new(objects: Arc<dyn ObjectStore>, writer: String) -> Self {
        Self { objects, writer, fenced: AtomicBool::new(false), committed: Mutex::default() }
    }

    /// Tries whether the object store refuses to create what exists, and if so relies on it as a fence.
    pub(crate) async fn probe_conditional_puts(&self) -> Result<bool, Error> {
        let path = paths::probe(&self.writer, BlockId::generate());
        let create = || self.objects.put_opts(&path, PutPayload::from_static(b"probe"), PutMode::Create.into());
        let first = create().await;
        let second = create().await;
        let refused = matches!(second, Err(object_store::Error::AlreadyExists { .. }));
        if first.is_ok() || refused {
            self.objects.delete(&path).await?;
        }
        if first.is_err() {
            // Either it knows no conditions or it does not answer at all: an ordinary put tells.
            self.objects.put(&path, PutPayload::from_static(b"probe")).await?;
            self.objects.delete(&path).await?;
            return Ok(false);
        }
        self.fenced.store(refused, Ordering::Relaxed);
        Ok(refused)
    }

    /// The newest manifest of every writer.
    ///
    /// One that is torn was never answered for: its put ended in the middle, by a power cut or a crash of the object
    /// store, so the one before it counts.
    pub(crate) async fn load(&self) -> Result<Manifests, Error> {
        let mut numbers: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        let mut objects = self.objects.list(Some(&paths::manifests()));
        while let Some(object) = objects.try_next().await? {
            if let Some((writer, number)) = paths::parse_manifest(&object.location) {
                numbers.entry(writer).or_default().insert(number);
            }
        }
        let mut manifests = Manifests::new();
        for (writer, numbers) in numbers {
            if let Some(manifest) = self.newest_whole(&writer, &numbers).await? {
                manifests.insert(writer, Arc::new(manifest));
            }
        }
        Ok(manifests)
    }

    async fn newest_whole(&self, writer: &str, numbers: &BTreeSet<u64>) -> Result<Option<Manifest>, Error> {
        for number in numbers.iter().rev() {
            let path = paths::manifest(writer, *number);
            let bytes = complete::get(&*self.objects, &path).await?;
            match parse(&path, &bytes)? {
                Some(manifest) => return Ok(Some(manifest)),
                None => tracing::warn!(%path, bytes = bytes.len(), "a manifest is torn, taking the one before it"),
            }
        }
        Ok(None)
    }

    /// Makes `manifest` the newest of this writer.
    pub(crate) async fn commit(&self, manifest: &Manifest) -> Result<(), Error> {
        let path = paths::manifest(&self.writer, manifest.number);
        let json = serde_json::to_vec(manifest)
            .map_err(|error| Error::Block(format!("writing manifest {}: {error}", manifest.number)))?;
        let mode = if self.fenced.load(Ordering::Relaxed) { PutMode::Create } else { PutMode::Overwrite };
        let options = PutOptions::from(mode);
        match self.objects.put_opts(&path, PutPayload::from(json.clone()), options).await {
            Ok(_) => complete::check_put(&*self.objects, &path, json.len() as u64).await?,
            Err(object_store::Error::AlreadyExists { .. }) => {
                // A put whose answer was lost and that was tried again finds itself.
                let there = self.objects.get(&path).await?.bytes().await?;
                if there != json {
                    return Err(Error::Poisoned(format!(
                        "another process writes manifests as {}: it wrote number {}; give each node its own data folder",
                        self.writer, manifest.number
                    )));
                }
            }
            Err(error) => return Err(error.into()),
        }
        self.remove_old(manifest.number).await;
        Ok(())
    }

    /// Removes what earlier starts of the program left: all but the newest manifests, and probes. Gives how many objects.
    ///
    /// # Errors
    /// When the object store does not answer, and when one of the manifests is torn: it may have been committed and damaged
    /// later, so nothing that it may name can be told from an orphan. Nothing is removed then.
    pub(crate) async fn sweep(&self) -> Result<usize, Error> {
        let (mut numbers, mut gone) = (BTreeSet::new(), Vec::new());
        let mut objects = self.objects.list(Some(&paths::manifests_of(&self.writer)));
        while let Some(object) = objects.try_next().await? {
            match paths::parse_manifest(&object.location) {
                Some((_, number)) => drop(numbers.insert(number)),
                None if paths::is_probe(&object.location) => gone.push(object.location),
                None => {}
            }
        }
        for number in &numbers {
            let path = paths::manifest(&self.writer, *number);
            if parse(&path, &complete::get(&*self.objects, &path).await?)?.is_none() {
                let why = "it is torn, and what it names cannot be told from orphans; delete it when a look at the blocks \
                           shows that none is missing";
                return Err(Error::Corrupt { what: format!("manifest {path}"), why: why.to_owned() });
            }
        }
        // One more than are kept behind the newest.
        let old = numbers.into_iter().rev().skip(OLD_MANIFESTS_KEPT + 1);
        gone.extend(old.map(|number| paths::manifest(&self.writer, number)));
        for path in &gone {
            match self.objects.delete(path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(gone.len())
    }

    /// What is left behind is only untidy, so a failure is not passed on.
    async fn remove_old(&self, newest: u64) {
        let old = {
            let mut committed = self.committed.lock().unwrap_or_else(PoisonError::into_inner);
            committed.push_back(newest);
            if committed.len() <= OLD_MANIFESTS_KEPT { None } else { committed.pop_front() }
        };
        let Some(old) = old else { return };
        let path = paths::manifest(&self.writer, old);
        match self.objects.delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => tracing::debug!(%path, %error, "an old manifest stays behind"),
        }
    }
}

/// Reads a manifest; `None` when the bytes are no whole JSON document.
pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Option<Manifest>, Error> {
    let corrupt = |why: String| Error::Corrupt { what: format!("manifest {path}"), why };
    let manifest: Manifest = match serde_json::from_slice(bytes) {
        Ok(manifest) => manifest,
        // Cut off, or zeros where a file system had no time to write.
        Err(error) if error.is_eof() || bytes.last() == Some(&0) => return Ok(None),
        Err(error) => return Err(corrupt(error.to_string())),
    };
    if !VERSIONS.contains(&manifest.version) {
        return Err(corrupt(format!("version {}, this program reads {VERSIONS:?}", manifest.version)));
    }
    Ok(Some(manifest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_manifest_is_none_and_a_strange_one_is_an_error() {
        let path = Path::from("tenant=default/manifest/01J/1.json");
        let whole = serde_json::to_vec(&Manifest::empty("01J".to_owned())).expect("JSON");
        assert!(parse(&path, &whole).expect("readable").is_some());
        let mut zeros = whole[..20].to_vec();
        zeros.resize(whole.len(), 0);
        for torn in [&[][..], &whole[..1], &whole[..whole.len() - 1], &zeros] {
            assert!(parse(&path, torn).expect("torn").is_none(), "{torn:?}");
        }
        let later = String::from_utf8(whole).expect("text").replace("\"version\":2", "\"version\":3");
        assert!(matches!(parse(&path, later.as_bytes()), Err(Error::Corrupt { .. })));
        assert!(matches!(parse(&path, b"{}"), Err(Error::Corrupt { .. })));
    }
}
