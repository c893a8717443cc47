//! Consecutive windows that share a column family, and when that goes.
//!
//! RocksDB writes down the options of every column family whenever one comes or goes, so a window of its own each would make
//! that the dearest part of an offload as soon as some hundred are kept. Groups end by size and by time, both a share of what
//! the hot tier keeps, so there are a few dozen of them however many windows there are.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proto::UnixNanos;
use rocksdb::WriteBatch;
use zstd::zstd_safe::DDict;

use super::db::{Family, WindowId};
use super::dictionary::{Dictionary, DictionaryId};
use super::{HotDb, keys};
use crate::{Error, Settings};

/// A group takes this share of the bytes and of the time that the hot tier keeps: so much more than asked stays at most.
const SHARE: u32 = 16;

/// A column family with some windows. A retired one is dropped when the last reader lets go of its last window, never under one.
pub(crate) struct Group {
    /// The first window's id names the group.
    pub(crate) first: WindowId,
    pub(crate) db: Arc<HotDb>,
    since: UnixNanos,
    retired: AtomicBool,
    /// Those that batches need which are there. The writing thread alone adds.
    dictionaries: Mutex<HashSet<DictionaryId>>,
}

impl Group {
    /// Makes the column family of a window and of some after it.
    pub(crate) fn create(db: &Arc<HotDb>, first: WindowId, now: UnixNanos) -> Result<Arc<Self>, Error> {
        db.create_group(first)?;
        Ok(Self::found(db, first, now))
    }

    /// A group that is there; it takes no windows after a restart.
    pub(crate) fn found(db: &Arc<HotDb>, first: WindowId, now: UnixNanos) -> Arc<Self> {
        let (retired, dictionaries) = (AtomicBool::new(false), Mutex::default());
        Arc::new(Self { first, db: Arc::clone(db), since: now, retired, dictionaries })
    }

    /// Whether the next window begins a group. While windows wait on disk only, time ends none: they all wait alike.
    pub(crate) fn is_full(&self, settings: &Settings, now: UnixNanos, is_behind: bool) -> bool {
        let time_max = i64::try_from((settings.hot_retention / SHARE).as_nanos()).unwrap_or(i64::MAX);
        self.bytes() >= settings.hot_bytes_max / u64::from(SHARE)
            || (!is_behind && now.nanos_since(self.since) >= time_max)
    }

    /// Bytes of its files and of what is still in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.db.group_bytes(self.first)
    }

    /// Has `batch` write into the group's `family` the dictionaries too that are not there, and says which; [`Self::has`] is to be told when they are.
    pub(crate) fn add_dictionaries<'a>(
        &self,
        family: &Family<'_>,
        needed: impl Iterator<Item = &'a Dictionary>,
        batch: &mut WriteBatch,
    ) -> Vec<DictionaryId> {
        let there = self.dictionaries();
        let mut added = Vec::new();
        for dictionary in needed {
            if !there.contains(&dictionary.id) && !added.contains(&dictionary.id) {
                batch.put_cf(family, keys::dictionary(dictionary.id), &dictionary.packed);
                added.push(dictionary.id);
            }
        }
        added
    }

    /// Dictionaries are durable.
    pub(crate) fn has(&self, dictionaries: Vec<DictionaryId>) {
        self.dictionaries().extend(dictionaries);
    }

    /// Reads batches that need this dictionary.
    pub(crate) fn decoder(&self, id: DictionaryId) -> Result<Arc<DDict<'static>>, Error> {
        self.db.decoder(self.first, id)
    }

    fn dictionaries(&self) -> MutexGuard<'_, HashSet<DictionaryId>> {
        self.dictionaries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its column family.
    pub(crate) fn family(&self) -> Result<Family<'_>, Error> {
        self.db.group(self.first)
    }

    /// Writes what is in memory to a file.
    pub(crate) fn flush(&self) -> Result<(), Error> {
        self.db.flush_group(self.first)
    }

    /// To be dropped as soon as nobody reads it. Only for groups whose windows the manifest covers, all of them.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if *self.retired.get_mut()
            && let Err(error) = self.db.drop_group(self.first)
        {
            // Nothing is lost: the manifest covers its windows, and it is dropped after the next start.
            tracing::warn!(group = self.first, %error, "could not drop retired windows");
        }
    }
}
