//! What is still to be done: traces to look at, changes that the cold tier does not have, files of it that are not in the table.

use std::collections::BTreeSet;

use proto::TraceId;

use super::batch::{Batch, changed_key};
use super::corrupt;
use super::item::{Item, ItemKey};
use super::keys::{self, Key};
use super::table::RunTable;
use crate::Error;

/// Changes that go to the cold tier at once; the others go with the next window.
const CHANGED_MAX: usize = 20_000;

impl RunTable {
    /// Remembers traces that are to be looked at, whatever happens.
    ///
    /// # Errors
    /// When the hot tier fails.
    pub(crate) fn note_traces(&self, traces: impl Iterator<Item = TraceId>) -> Result<(), Error> {
        let mut batch = Batch::new(self)?;
        traces.for_each(|trace| batch.put(&Key::new(keys::TRACE).trace(trace), &[]));
        batch.write_unversioned()
    }

    /// A trace has been looked at.
    ///
    /// # Errors
    /// When the hot tier fails.
    pub(crate) fn forget_trace(&self, trace: TraceId) -> Result<(), Error> {
        let mut batch = Batch::new(self)?;
        batch.delete(&Key::new(keys::TRACE).trace(trace));
        batch.write_unversioned()
    }

    /// Up to `most` of the traces that are to be looked at.
    ///
    /// # Errors
    /// When the hot tier fails.
    pub(crate) fn noted_traces(&self, most: usize) -> Result<Vec<TraceId>, Error> {
        let mut traces = Vec::new();
        self.each(&Key::new(keys::TRACE), |key, _| {
            traces.push(TraceId::from_bytes(&key[1..]).map_err(|error| corrupt("a key", error))?);
            Ok(traces.len() < most)
        })?;
        Ok(traces)
    }

    /// Calls `each` with the traces of parts that had activity since `since` (Unix nanoseconds).
    ///
    /// # Errors
    /// When the hot tier fails.
    pub(crate) fn each_active_trace(&self, since: i64, mut each: impl FnMut(TraceId)) -> Result<(), Error> {
        self.each(&Key::new(keys::ACTIVE), |key, _| {
            let is_active = keys::parse_time_back(key, 1)? >= since;
            if is_active {
                each(keys::parse_part(key)?.trace_id);
            }
            Ok(is_active)
        })
    }

    /// Items that the cold tier does not have yet, each with its version.
    ///
    /// # Errors
    /// When the hot tier fails.
    pub(crate) fn changed_items(&self) -> Result<Vec<Item>, Error> {
        let mut found = Vec::new();
        self.each(&Key::new(keys::CHANGED), |key, _| {
            found.push(keys::parse_item(&key[1..])?);
            Ok(found.len() < CHANGED_MAX)
        })?;
        let mut items = Vec::with_capacity(found.len());
        for key in found {
            items.extend(self.stored(&key)?);
        }
        Ok(items)
    }

    /// The cold tier has these versions.
    ///
    /// # Errors
    /// When the hot tier fails.
    pub(crate) fn forget_changed(&self, exported: &[(ItemKey, u64)], path: Option<&str>) -> Result<(), Error> {
        let _one_writer = self.state();
        let mut batch = Batch::new(self)?;
        for (key, version) in exported {
            if self.stored(key)?.is_none_or(|known| known.version == *version) {
                batch.delete(&changed_key(key));
            }
        }
        if let Some(path) = path {
            batch.put(&Key::new(keys::LOADED).bytes(path.as_bytes()), &[]);
        }
        batch.write_unversioned()
    }

    /// Whether a file of the cold tier is in the table.
    ///
    /// # Errors
    /// When the hot tier fails.
    pub(crate) fn has_loaded(&self, path: &str) -> Result<bool, Error> {
        Ok(self.get(&Key::new(keys::LOADED).bytes(path.as_bytes()))?.is_some())
    }

    /// Remembers which files of the cold tier are in the table: `paths`, and no others.
    ///
    /// # Errors
    /// When the hot tier fails.
    pub(crate) fn keep_loaded(&self, paths: &BTreeSet<&str>) -> Result<(), Error> {
        let mut batch = Batch::new(self)?;
        self.each(&Key::new(keys::LOADED), |key, _| {
            let path = std::str::from_utf8(&key[1..]).unwrap_or_default();
            if !paths.contains(path) {
                batch.delete(&Key::new(keys::LOADED).bytes(path.as_bytes()));
            }
            Ok(true)
        })?;
        batch.write_unversioned()
    }
}
