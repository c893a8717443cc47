//! The table of runs: parts as traces tell them, and what is joined of them. One writer, any number of readers.
//!
//! Parts are what counts; runs, failovers and the ways to find them are made of parts whenever one changes, from those that it
//! may belong together with. Everything lies in one column family ([`super::keys`]) and is written unlogged, so after a crash all of it is as
//! it was when it was last written to a file, or later, but never torn.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::failover::{FailoverFacts, HealthMark};
use model::rules::Settings;
use model::run::{Run, RunPart, RunRef, join};
use proto::{TraceId, UnixNanos};
use rocksdb::{PrefixRange, ReadOptions};

use super::batch::{Batch, STORED_HEAD, changed_key};
use super::corrupt;
use super::item::{self, Item, ItemKey, PartKey};
use super::keys::{self, Key};
use super::row::RunSummary;
use crate::Error;
use crate::clock::Clock;
use crate::hot::HotDb;

/// Parts that are removed at once.
const EXPIRED_MAX: usize = 10_000;

/// What was seen of an instance in memory, between two times (Unix nanoseconds).
pub(crate) type Seen<'a> = dyn Fn(&str, i64, i64) -> Vec<HealthMark> + 'a;

/// Nothing was.
pub(crate) fn nothing_seen(_: &str, _: i64, _: i64) -> Vec<HealthMark> {
    Vec::new()
}

/// What a change came to.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    /// Failovers that were measured again.
    pub(crate) failovers: Vec<FailoverFacts>,
}

/// A part as it is kept.
#[derive(Default)]
struct Kept {
    body: Vec<u8>,
    /// `None`: the trace does not say it any more.
    part: Option<RunPart>,
}

/// Parts of runs, and the runs that they make.
pub(crate) struct RunTable {
    pub(super) db: Arc<HotDb>,
    pub(super) settings: Settings,
    pub(super) clock: Arc<dyn Clock>,
    /// Held by whoever changes the table.
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) last_version: u64,
}

impl RunTable {
    /// Over the database that has its column family.
    ///
    /// # Errors
    /// When the hot tier fails.
    pub(crate) fn open(db: Arc<HotDb>, settings: Settings, clock: Arc<dyn Clock>) -> Result<Arc<Self>, Error> {
        let table = Self { db, settings, clock, state: Mutex::new(State { last_version: 0 }) };
        let last = table.get(&Key::new(keys::LAST_VERSION))?.and_then(|bytes| bytes.try_into().ok());
        table.state().last_version = last.map_or(0, u64::from_be_bytes);
        Ok(Arc::new(table))
    }

    /// Makes what a trace says now take the place of what it said. With `again` the runs are joined again even when it says the
    /// same.
    ///
    /// # Errors
    /// When the hot tier fails.
    pub(crate) fn replace(
        &self,
        trace_id: TraceId,
        parts: &[RunPart],
        again: bool,
        seen: &Seen<'_>,
    ) -> Result<Changed, Error> {
        let mut state = self.state();
        let mut known = self.parts_of_trace(trace_id)?;
        let mut batch = Batch::new(self)?;
        let (mut touched, mut before) = (Vec::new(), Vec::new());
        for part in parts.iter().filter(|part| part.trace_id == trace_id) {
            let key = PartKey::of(part);
            let body = item::encode(part)?;
            let Kept { body: old_body, part: old } = known.remove(&key).unwrap_or_default();
            if old_body == body && !again {
                continue;
            }
            if old_body != body {
                let (at, version) = (part.last_activity.as_i64(), state.next(&*self.clock));
                batch.put_item(&Item { key: ItemKey::Part(key), version, at, body }, true);
                batch.file(&key, old.as_ref(), Some(part));
            }
            before.extend(old);
            touched.push(key);
        }
        for (key, Kept { part: old, .. }) in known {
            let Some(old) = old else {
                // A crash may have come between a part's end and that of the run that was made of it.
                touched.extend(again.then_some(key));
                continue;
            };
            let (at, version) = (old.last_activity.as_i64(), state.next(&*self.clock));
            batch.put_item(&Item { key: ItemKey::Part(key), version, at, body: Vec::new() }, true);
            batch.file(&key, Some(&old), None);
            before.push(old);
            touched.push(key);
        }
        if touched.is_empty() {
            return Ok(Changed::default());
        }
        batch.write(&state)?;
        self.regroup(&mut state, &touched, &before, seen)
    }

    /// Takes in items of the cold tier that are newer than what is known.
    ///
    /// # Errors
    /// When the hot tier fails or an item is damaged.
    pub(crate) fn absorb(&self, items: &[Item]) -> Result<Changed, Error> {
        let mut state = self.state();
        let (mut touched, mut before) = (Vec::new(), Vec::new());
        let mut batch = Batch::new(self)?;
        for new in items {
            let known = self.stored(&new.key)?;
            if known.as_ref().is_some_and(|known| known.version >= new.version) {
                continue;
            }
            batch.put_item(new, false);
            state.last_version = state.last_version.max(new.version);
            match new.key {
                ItemKey::Part(key) => {
                    let old = known.map(|known| item::part(&known.body)).transpose()?.flatten();
                    batch.file(&key, old.as_ref(), item::part(&new.body)?.as_ref());
                    before.extend(old);
                    touched.push(key);
                }
                ItemKey::Evidence(run) => touched.extend(self.parts_named(run)?),
            }
        }
        batch.write(&state)?;
        self.regroup(&mut state, &touched, &before, &nothing_seen)
    }

    /// Measures the failovers again that are made of these parts: more was seen of their instances.
    ///
    /// # Errors
    /// When the hot tier fails.
    pub(crate) fn measure_again(&self, parts: &[PartKey], seen: &Seen<'_>) -> Result<Changed, Error> {
        self.regroup(&mut self.state(), parts, &[], seen)
    }

    /// Forgets what happened before `before`, and marks from before `marks_before` (both Unix nanoseconds). Gives how many parts.
    ///
    /// # Errors
    /// When the hot tier fails.
    pub(crate) fn expire(&self, before: i64, marks_before: i64) -> Result<usize, Error> {
        let mut state = self.state();
        let mut batch = Batch::new(self)?;
        let mut gone: Vec<(PartKey, RunPart)> = Vec::new();
        let active = Key::new(keys::ACTIVE);
        self.each_from(&active, &active.clone().time_back(before.saturating_sub(1)), |key, _| {
            let key = keys::parse_part(key)?;
            for one in [keys::item(&ItemKey::Part(key)), changed_key(&ItemKey::Part(key))] {
                batch.delete(&one);
            }
            gone.extend(self.part(&key)?.map(|part| (key, part)));
            Ok(gone.len() < EXPIRED_MAX)
        })?;
        self.each(&Key::new(keys::EVIDENCE), |key, value| {
            if parse_stored_at(value)? < before {
                batch.delete(&Key(key.to_vec()));
                batch.delete(&changed_key(&keys::parse_item(key)?));
            }
            Ok(true)
        })?;
        self.each(&Key::new(keys::MARK), |key, value| {
            let mark: HealthMark = item::decode(value)?;
            if mark.at.as_i64() < marks_before {
                batch.delete(&Key(key.to_vec()));
            }
            Ok(true)
        })?;
        for (key, part) in &gone {
            batch.file(key, Some(part), None);
        }
        batch.write_unversioned()?;
        let (keys, parts): (Vec<PartKey>, Vec<RunPart>) = gone.into_iter().unzip();
        self.regroup(&mut state, &keys, &parts, &nothing_seen)?;
        Ok(keys.len())
    }

    /// The parts of a run, joined; `None` when there is no such run.
    ///
    /// # Errors
    /// When the hot tier fails.
    pub(crate) fn run(&self, run: RunRef) -> Result<Option<(Run, Vec<HealthMark>)>, Error> {
        let Some(first) = self.parts_named(run)?.into_iter().next() else { return Ok(None) };
        let together = self.together(first)?;
        let runs = join(together.into_values().flatten().collect(), &self.settings);
        let names = |found: &Run| found.parts.iter().any(|part| part.trace_id == run.trace_id && part.top == run.top);
        let Some(found) = runs.into_iter().find(names) else { return Ok(None) };
        let evidence = self.stored(&ItemKey::Evidence(found.reference()))?;
        let marks = evidence.map(|known| item::marks(&known.body)).transpose()?.unwrap_or_default();
        Ok(Some((found, marks)))
    }

    /// The parts that a run may be named after.
    fn parts_named(&self, run: RunRef) -> Result<Vec<PartKey>, Error> {
        let mut parts = Vec::new();
        self.each(&Key::new(keys::PART).run(&run), |key, value| {
            if value.len() > STORED_HEAD {
                parts.push(keys::parse_part(key)?);
            }
            Ok(true)
        })?;
        Ok(parts)
    }

    /// What is known of a trace: what its parts are as they are kept, and read.
    fn parts_of_trace(&self, trace_id: TraceId) -> Result<BTreeMap<PartKey, Kept>, Error> {
        let mut parts = BTreeMap::new();
        self.each(&Key::new(keys::PART).trace(trace_id), |key, value| {
            let body = value.get(STORED_HEAD..).unwrap_or_default().to_vec();
            let part = item::part(&body)?;
            parts.insert(keys::parse_part(key)?, Kept { body, part });
            Ok(true)
        })?;
        Ok(parts)
    }

    pub(super) fn part(&self, key: &PartKey) -> Result<Option<RunPart>, Error> {
        let known = self.stored(&ItemKey::Part(*key))?;
        known.map(|known| item::part(&known.body)).transpose().map(Option::flatten)
    }

    pub(super) fn stored(&self, key: &ItemKey) -> Result<Option<Item>, Error> {
        let Some(value) = self.get(&keys::item(key))? else { return Ok(None) };
        let at = parse_stored_at(&value)?;
        let mut version = [0; 8];
        version.copy_from_slice(&value[..8]);
        Ok(Some(Item { key: *key, version: u64::from_be_bytes(version), at, body: value[STORED_HEAD..].to_vec() }))
    }

    pub(super) fn summary(&self, start: UnixNanos, run: &RunRef) -> Result<Option<RunSummary>, Error> {
        let row = self.get(&Key::new(keys::ALL).time_back(start.as_i64()).run(run))?;
        row.map(|row| item::decode(&row)).transpose()
    }

    pub(super) fn summary_of(&self, run: &RunRef) -> Result<Option<RunSummary>, Error> {
        let Some(start) = self.get(&Key::new(keys::RUN).run(run))? else { return Ok(None) };
        let start = keys::parse_time_back(&start, 0)?;
        self.summary(UnixNanos::from_i64(start), run)
    }

    pub(super) fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.db.rocks().get_cf(&self.db.runs()?, key)?)
    }

    /// Calls `each` with the entries whose keys begin with `prefix`, until it gives `false`.
    pub(super) fn each(
        &self,
        prefix: &Key,
        each: impl FnMut(&[u8], &[u8]) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        self.each_from(prefix, prefix, each)
    }

    /// The same, from `begin` on.
    pub(super) fn each_from(
        &self,
        prefix: &Key,
        begin: &Key,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let mut options = ReadOptions::default();
        // Behind what is not there may stand thousands of keys that were deleted, which would be gone over.
        options.set_iterate_range(PrefixRange(prefix.as_ref()));
        let mut iterator = self.db.rocks().raw_iterator_cf_opt(&self.db.runs()?, options);
        iterator.seek(begin);
        while let Some((key, value)) = iterator.item() {
            if !each(key, value)? {
                break;
            }
            iterator.next();
        }
        Ok(iterator.status()?)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the table to its files: what is in it survives a crash when this returns.
    ///
    /// # Errors
    /// When the hot tier fails.
    pub(crate) fn flush(&self) -> Result<(), Error> {
        self.db.flush_runs()
    }

    /// Which rules of time apply.
    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }
}

impl State {
    /// A version after all others that this node gave.
    pub(super) fn next(&mut self, clock: &dyn Clock) -> u64 {
        self.last_version = clock.now().as_u64().max(self.last_version + 1);
        self.last_version
    }
}

fn parse_stored_at(value: &[u8]) -> Result<i64, Error> {
    let at = value.get(8..STORED_HEAD).and_then(|at| at.try_into().ok()).map(i64::from_be_bytes);
    at.ok_or_else(|| corrupt("an entry", "it is cut off"))
}
