//! Changes of the table that are written together: an item with all the ways to it.

use std::sync::Arc;

use model::rules::Settings;
use model::run::{Run, RunPart, RunRef};
use rocksdb::WriteBatch;

use super::item::{self, Item, ItemKey, PartKey};
use super::keys::{self, Key};
use super::row::{Brief, RunSummary};
use super::table::{RunTable, State};
use crate::Error;

/// Bytes before the body of a stored item: its version, and when it matters.
pub(super) const STORED_HEAD: usize = 16;

/// Says that an item is to go to the cold tier.
pub(super) fn changed_key(key: &ItemKey) -> Key {
    Key::new(keys::CHANGED).bytes(keys::item(key).as_ref())
}

/// What a part is filed under.
pub(super) fn group_keys(part: &RunPart, settings: &Settings) -> Result<Vec<Key>, Error> {
    let digest = |key| Ok(Key::new(keys::GROUP).digest(&item::encode(&key)?));
    part.keys(settings).into_iter().map(digest).collect()
}

/// Changes that are written together.
pub(super) struct Batch<'a> {
    table: &'a RunTable,
    family: Arc<rocksdb::BoundColumnFamily<'a>>,
    batch: WriteBatch,
    /// Of the items in it.
    last_version: u64,
}

impl<'a> Batch<'a> {
    pub(super) fn new(table: &'a RunTable) -> Result<Self, Error> {
        Ok(Self { table, family: table.db.runs()?, batch: WriteBatch::default(), last_version: 0 })
    }

    pub(super) fn put(&mut self, key: &Key, value: &[u8]) {
        self.batch.put_cf(&self.family, key, value);
    }

    pub(super) fn delete(&mut self, key: &Key) {
        self.batch.delete_cf(&self.family, key);
    }

    /// Puts an item, which `is_ours` to bring to the cold tier.
    pub(super) fn put_item(&mut self, item: &Item, is_ours: bool) {
        let mut value = Vec::with_capacity(STORED_HEAD + item.body.len());
        value.extend_from_slice(&item.version.to_be_bytes());
        value.extend_from_slice(&item.at.to_be_bytes());
        value.extend_from_slice(&item.body);
        self.put(&keys::item(&item.key), &value);
        self.last_version = self.last_version.max(item.version);
        let changed = changed_key(&item.key);
        if is_ours { self.put(&changed, &[]) } else { self.delete(&changed) }
    }

    /// Files a part under its keys instead of those that it had.
    pub(super) fn file(&mut self, key: &PartKey, old: Option<&RunPart>, new: Option<&RunPart>) {
        for (part, is_new) in old.map(|old| (old, false)).into_iter().chain(new.map(|new| (new, true))) {
            // What the model makes can be written.
            let groups = group_keys(part, &self.table.settings).unwrap_or_default();
            let active = Key::new(keys::ACTIVE).time_back(part.last_activity.as_i64());
            for filed in groups.into_iter().chain([active]).map(|before| before.part(key)) {
                if is_new { self.put(&filed, &[]) } else { self.delete(&filed) }
            }
        }
    }

    pub(super) fn put_run(&mut self, run: &Run) -> Result<(), Error> {
        let summary = RunSummary::of(run);
        let reference = summary.run;
        self.put(&Key::new(keys::RUN).run(&reference), Key(Vec::new()).time_back(summary.start.as_i64()).as_ref());
        for part in &run.parts {
            let reference = Key(Vec::new()).run(&reference);
            self.put(&Key::new(keys::RUN_OF_PART).part(&PartKey::of(part)), reference.as_ref());
        }
        let brief = item::encode(&Brief::of(&summary))?;
        let [all, others @ ..] = &run_keys(&summary)[..] else { return Ok(()) };
        self.put(all, &item::encode(&summary)?);
        others.iter().for_each(|key| self.put(key, &brief));
        Ok(())
    }

    pub(super) fn remove_run(&mut self, run: RunRef) -> Result<(), Error> {
        let Some(summary) = self.table.summary_of(&run)? else { return Ok(()) };
        self.delete(&Key::new(keys::RUN).run(&run));
        for key in run_keys(&summary) {
            self.delete(&key);
        }
        self.delete(&Key::new(keys::FAILOVER).time(summary.start.as_i64()).run(&run));
        Ok(())
    }

    pub(super) fn write(mut self, state: &State) -> Result<(), Error> {
        if self.last_version > 0 {
            let last = state.last_version.max(self.last_version).to_be_bytes();
            self.put(&Key::new(keys::LAST_VERSION), &last);
        }
        self.write_unversioned()
    }

    /// Without items.
    pub(super) fn write_unversioned(self) -> Result<(), Error> {
        if self.batch.is_empty() { Ok(()) } else { self.table.db.write_unlogged(self.batch) }
    }
}

/// Where a run is found: first its row, then the ways to it.
fn run_keys(run: &RunSummary) -> Vec<Key> {
    let start = run.start.as_i64();
    let mut keys = vec![
        Key::new(keys::ALL).time_back(start).run(&run.run),
        Key::new(keys::CLASS).class(run.class).time_back(start).run(&run.run),
    ];
    if let Some(instance) = &run.subject.instance {
        keys.push(Key::new(keys::INSTANCE).digest(instance.as_bytes()).time_back(start).run(&run.run));
    }
    if run.end.is_none() {
        keys.push(Key::new(keys::UNFINISHED).time_back(start).run(&run.run));
    }
    keys
}
