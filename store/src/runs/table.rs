//! The table of runs: parts as traces tell them, and what is joined of them. One writer, any number of readers.
//!
//! Parts are what counts; runs, failovers and the ways to find them are made of parts whenever one changes, from those that it
//! may belong together with. Everything lies in one column family ([`super::keys`]) and is written unlogged, so after a crash all of it is as
//! it was when it was last written to a file, or later, but never torn.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::OperationClass;
use model::failover::{FailoverFacts, HealthMark};
use model::rules::Settings;
use model::run::{LINK_DEPTH_MAX, Run, RunPart, RunRef, join};
use proto::{TraceId, UnixNanos};
use rocksdb::WriteBatch;

use super::corrupt;
use super::item::{self, Item, ItemKey, PartKey};
use super::keys::{self, Key};
use super::row::{Brief, RunSummary};
use crate::Error;
use crate::clock::Clock;
use crate::hot::HotDb;

/// Parts that are looked at to join those of one run.
const TOGETHER_MAX: usize = 200;

/// Health checks and writes that are kept with one failover: the failed ones first, then those nearest to it.
const EVIDENCE_MAX: usize = 2_000;

/// Changes that go to the cold tier at once; the others go with the next window.
pub(super) const CHANGED_MAX: usize = 20_000;

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

/// Parts of runs, and the runs that they make.
pub(crate) struct RunTable {
    db: Arc<HotDb>,
    settings: Settings,
    clock: Arc<dyn Clock>,
    /// Held by whoever changes the table.
    state: Mutex<State>,
}

struct State {
    last_version: u64,
}

impl RunTable {
    /// Over the database that has its column family.
    pub(crate) fn new(db: Arc<HotDb>, settings: Settings, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { db, settings, clock, state: Mutex::new(State { last_version: 0 }) })
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
            let (old_body, old) = known.remove(&key).unwrap_or_default();
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
        for (key, (_, old)) in known {
            let Some(old) = old else { continue };
            let (at, version) = (old.last_activity.as_i64(), state.next(&*self.clock));
            batch.put_item(&Item { key: ItemKey::Part(key), version, at, body: Vec::new() }, true);
            batch.file(&key, Some(&old), None);
            before.push(old);
            touched.push(key);
        }
        if touched.is_empty() {
            return Ok(Changed::default());
        }
        batch.write()?;
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
        batch.write()?;
        self.regroup(&mut state, &touched, &before, &nothing_seen)
    }

    /// Measures the failovers again that are made of these parts: more was seen of their instances.
    ///
    /// # Errors
    /// When the hot tier fails.
    pub(crate) fn measure_again(&self, parts: &[PartKey], seen: &Seen<'_>) -> Result<Changed, Error> {
        self.regroup(&mut self.state(), parts, &[], seen)
    }

    /// Joins the parts that were touched with those that they belong to, or did before.
    fn regroup(
        &self,
        state: &mut State,
        touched: &[PartKey],
        before: &[RunPart],
        seen: &Seen<'_>,
    ) -> Result<Changed, Error> {
        let mut changed = Changed::default();
        let mut left: BTreeSet<PartKey> = touched.iter().copied().collect();
        for part in before {
            left.extend(self.related(part)?);
        }
        // Many at once come from the cold tier; each group is joined by itself.
        while let Some(first) = left.pop_first() {
            let together = self.together(first)?;
            left.retain(|key| !together.contains_key(key));
            self.join(state, &together, seen, &mut changed)?;
        }
        Ok(changed)
    }

    /// The parts that may belong together with one, itself included; `None` for one that is gone.
    fn together(&self, first: PartKey) -> Result<BTreeMap<PartKey, Option<RunPart>>, Error> {
        let mut together = BTreeMap::new();
        let mut next = vec![first];
        // One hop further than links are followed, so that what a run is linked to is seen with all of its own.
        for _ in 0..=LINK_DEPTH_MAX {
            let mut found = Vec::new();
            for key in next {
                if together.contains_key(&key) || together.len() >= TOGETHER_MAX {
                    continue;
                }
                let part = self.part(&key)?;
                if let Some(part) = &part {
                    found.extend(self.related(part)?);
                }
                together.insert(key, part);
            }
            next = found;
        }
        Ok(together)
    }

    /// Parts that share a key with one.
    fn related(&self, part: &RunPart) -> Result<Vec<PartKey>, Error> {
        let mut related = Vec::new();
        for key in group_keys(part, &self.settings)? {
            self.each(&key, |key, _| {
                related.push(keys::parse_part(key)?);
                Ok(related.len() < TOGETHER_MAX)
            })?;
        }
        Ok(related)
    }

    fn join(
        &self,
        state: &mut State,
        together: &BTreeMap<PartKey, Option<RunPart>>,
        seen: &Seen<'_>,
        changed: &mut Changed,
    ) -> Result<(), Error> {
        let mut old_runs = BTreeSet::new();
        for key in together.keys() {
            if let Some(run) = self.get(&Key::new(keys::RUN_OF_PART).part(key))? {
                old_runs.insert(keys::parse_run(&run)?);
            }
        }
        let mut evidence: Vec<HealthMark> = Vec::new();
        for run in &old_runs {
            if let Some(known) = self.stored(&ItemKey::Evidence(*run))? {
                evidence.extend(item::marks(&known.body)?);
            }
        }
        let runs = join(together.values().flatten().cloned().collect(), &self.settings);
        let mut batch = Batch::new(self)?;
        for run in &old_runs {
            batch.remove_run(*run)?;
            if runs.iter().all(|new| new.reference() != *run) && self.stored(&ItemKey::Evidence(*run))?.is_some() {
                let (key, version) = (ItemKey::Evidence(*run), state.next(&*self.clock));
                batch.put_item(&Item { key, version, at: self.clock.now().as_i64(), body: Vec::new() }, true);
            }
        }
        for key in together.keys() {
            batch.delete(&Key::new(keys::RUN_OF_PART).part(key));
        }
        for run in &runs {
            batch.put_run(run)?;
            if run.class == OperationClass::Failover
                && let Some(facts) = self.measure(state, run, &evidence, seen, &mut batch)?
            {
                changed.failovers.push(facts);
            }
        }
        batch.write()
    }

    /// Measures a failover by what is known of its instance, and keeps that.
    fn measure(
        &self,
        state: &mut State,
        run: &Run,
        evidence: &[HealthMark],
        seen: &Seen<'_>,
        batch: &mut Batch<'_>,
    ) -> Result<Option<FailoverFacts>, Error> {
        let reference = run.reference();
        let mut marks: Vec<HealthMark> = Vec::new();
        if let Some(instance) = &run.subject.instance {
            let look_back = self.settings.look_back_nanos;
            let from = run.start.saturating_add(look_back.saturating_neg()).as_i64();
            let to = run.end.unwrap_or(run.last_activity).saturating_add(look_back).as_i64();
            marks.extend(evidence.iter().filter(|mark| mark.instance == *instance).cloned());
            marks.extend(self.marks(instance, from, to)?);
            marks.extend(seen(instance, from, to));
            marks.retain(|mark| (from..=to).contains(&mark.at.as_i64()));
            marks.sort_unstable();
            marks.dedup();
            thin_out(&mut marks, run.start);
        }
        let known = self.stored(&ItemKey::Evidence(reference))?.map(|known| known.body).unwrap_or_default();
        let body = if marks.is_empty() { Vec::new() } else { item::encode(&marks)? };
        if body != known {
            let (key, version) = (ItemKey::Evidence(reference), state.next(&*self.clock));
            batch.put_item(&Item { key, version, at: run.last_activity.as_i64(), body }, true);
        }
        let Some(facts) = FailoverFacts::of(run, &marks, &self.settings) else { return Ok(None) };
        batch.put(&Key::new(keys::FAILOVER).time(run.start.as_i64()).run(&reference), &item::encode(&facts)?);
        Ok(Some(facts))
    }

    /// Keeps what was seen of instances that fail, for failovers that are told about later.
    ///
    /// # Errors
    /// When the hot tier fails.
    pub(crate) fn add_marks(&self, marks: &[HealthMark]) -> Result<(), Error> {
        let mut batch = Batch::new(self)?;
        for mark in marks {
            batch.put(&keys::mark(mark), &item::encode(mark)?);
        }
        batch.write()
    }

    /// What was kept of an instance between two times.
    fn marks(&self, instance: &str, from: i64, to: i64) -> Result<Vec<HealthMark>, Error> {
        let prefix = Key::new(keys::MARK).digest(instance.as_bytes());
        let begin = prefix.clone().time(from.max(0));
        let mut marks = Vec::new();
        self.each_from(&prefix, &begin, |_, value| {
            let mark: HealthMark = item::decode(value)?;
            let goes_on = mark.at.as_i64() <= to && marks.len() < EVIDENCE_MAX;
            if goes_on && mark.instance == instance {
                marks.push(mark);
            }
            Ok(goes_on)
        })?;
        Ok(marks)
    }

    /// Remembers traces that are to be looked at, whatever happens.
    ///
    /// # Errors
    /// When the hot tier fails.
    pub(crate) fn note_traces(&self, traces: impl Iterator<Item = TraceId>) -> Result<(), Error> {
        let mut batch = Batch::new(self)?;
        traces.for_each(|trace| batch.put(&Key::new(keys::TRACE).trace(trace), &[]));
        batch.write()
    }

    /// A trace has been looked at.
    ///
    /// # Errors
    /// When the hot tier fails.
    pub(crate) fn forget_trace(&self, trace: TraceId) -> Result<(), Error> {
        let mut batch = Batch::new(self)?;
        batch.delete(&Key::new(keys::TRACE).trace(trace));
        batch.write()
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

    /// Calls `each` with the traces of parts that had activity since `since` (Unix nanoseconds), or have no end.
    ///
    /// # Errors
    /// When the hot tier fails.
    pub(crate) fn each_active_trace(&self, since: i64, mut each: impl FnMut(TraceId)) -> Result<(), Error> {
        self.each(&Key::new(keys::PART), |key, value| {
            if parse_stored_at(value)? >= since && value.len() > STORED_HEAD {
                each(keys::parse_part(key)?.trace_id);
            }
            Ok(true)
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
        batch.write()
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
        batch.write()
    }

    /// Forgets what happened before `before`, and marks from before `marks_before` (both Unix nanoseconds). Gives how many parts.
    ///
    /// # Errors
    /// When the hot tier fails.
    pub(crate) fn expire(&self, before: i64, marks_before: i64) -> Result<usize, Error> {
        let mut state = self.state();
        let mut batch = Batch::new(self)?;
        let mut gone: Vec<(PartKey, RunPart)> = Vec::new();
        self.each(&Key::new(keys::PART), |key, value| {
            if parse_stored_at(value)? < before {
                batch.delete(&Key(key.to_vec()));
                let key = keys::parse_part(key)?;
                batch.delete(&changed_key(&ItemKey::Part(key)));
                if let Some(part) = item::part(&value[STORED_HEAD..])? {
                    gone.push((key, part));
                }
            }
            Ok(true)
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
        batch.write()?;
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
    fn parts_of_trace(&self, trace_id: TraceId) -> Result<BTreeMap<PartKey, (Vec<u8>, Option<RunPart>)>, Error> {
        let mut parts = BTreeMap::new();
        self.each(&Key::new(keys::PART).trace(trace_id), |key, value| {
            let body = value.get(STORED_HEAD..).unwrap_or_default().to_vec();
            let part = item::part(&body)?;
            parts.insert(keys::parse_part(key)?, (body, part));
            Ok(true)
        })?;
        Ok(parts)
    }

    fn part(&self, key: &PartKey) -> Result<Option<RunPart>, Error> {
        let known = self.stored(&ItemKey::Part(*key))?;
        known.map(|known| item::part(&known.body)).transpose().map(Option::flatten)
    }

    fn stored(&self, key: &ItemKey) -> Result<Option<Item>, Error> {
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

    fn summary_of(&self, run: &RunRef) -> Result<Option<RunSummary>, Error> {
        let Some(start) = self.get(&Key::new(keys::RUN).run(run))? else { return Ok(None) };
        let start = keys::parse_time_back(&start, 0)?;
        self.summary(UnixNanos::from_i64(start), run)
    }

    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, Error> {
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
        let mut iterator = self.db.rocks().raw_iterator_cf(&self.db.runs()?);
        iterator.seek(begin);
        while let Some((key, value)) = iterator.item() {
            if !key.starts_with(prefix.as_ref()) || !each(key, value)? {
                break;
            }
            iterator.next();
        }
        Ok(iterator.status()?)
    }

    fn state(&self) -> MutexGuard<'_, State> {
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
    fn next(&mut self, clock: &dyn Clock) -> u64 {
        self.last_version = clock.now().as_u64().max(self.last_version + 1);
        self.last_version
    }
}

/// Bytes before the body of a stored item: its version, and when it matters.
const STORED_HEAD: usize = 16;

fn parse_stored_at(value: &[u8]) -> Result<i64, Error> {
    let at = value.get(8..STORED_HEAD).and_then(|at| at.try_into().ok()).map(i64::from_be_bytes);
    at.ok_or_else(|| corrupt("an entry", "it is cut off"))
}

fn changed_key(key: &ItemKey) -> Key {
    Key::new(keys::CHANGED).bytes(keys::item(key).as_ref())
}

fn group_keys(part: &RunPart, settings: &Settings) -> Result<Vec<Key>, Error> {
    let digest = |key| Ok(Key::new(keys::GROUP).digest(&item::encode(&key)?));
    part.keys(settings).into_iter().map(digest).collect()
}

/// Keeps all that failed, and of the rest what is nearest to the begin of the failover.
fn thin_out(marks: &mut Vec<HealthMark>, start: UnixNanos) {
    if marks.len() > EVIDENCE_MAX {
        marks.sort_by_key(|mark| (!mark.failed, mark.at.nanos_since(start).abs()));
        marks.truncate(EVIDENCE_MAX);
        marks.sort_unstable();
    }
}

/// Changes that are written together.
struct Batch<'a> {
    table: &'a RunTable,
    family: Arc<rocksdb::BoundColumnFamily<'a>>,
    batch: WriteBatch,
}

impl<'a> Batch<'a> {
    fn new(table: &'a RunTable) -> Result<Self, Error> {
        Ok(Self { table, family: table.db.runs()?, batch: WriteBatch::default() })
    }

    fn put(&mut self, key: &Key, value: &[u8]) {
        self.batch.put_cf(&self.family, key, value);
    }

    fn delete(&mut self, key: &Key) {
        self.batch.delete_cf(&self.family, key);
    }

    /// Puts an item, which `is_ours` to bring to the cold tier.
    fn put_item(&mut self, item: &Item, is_ours: bool) {
        let mut value = Vec::with_capacity(STORED_HEAD + item.body.len());
        value.extend_from_slice(&item.version.to_be_bytes());
        value.extend_from_slice(&item.at.to_be_bytes());
        value.extend_from_slice(&item.body);
        self.put(&keys::item(&item.key), &value);
        let changed = changed_key(&item.key);
        if is_ours { self.put(&changed, &[]) } else { self.delete(&changed) }
    }

    /// Files a part under its keys instead of those that it had.
    fn file(&mut self, key: &PartKey, old: Option<&RunPart>, new: Option<&RunPart>) {
        for (part, is_new) in old.map(|old| (old, false)).into_iter().chain(new.map(|new| (new, true))) {
            // What the model makes can be written.
            for group in group_keys(part, &self.table.settings).unwrap_or_default() {
                let filed = group.part(key);
                if is_new { self.put(&filed, &[]) } else { self.delete(&filed) }
            }
        }
    }

    fn put_run(&mut self, run: &Run) -> Result<(), Error> {
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

    fn remove_run(&mut self, run: RunRef) -> Result<(), Error> {
        let Some(summary) = self.table.summary_of(&run)? else { return Ok(()) };
        self.delete(&Key::new(keys::RUN).run(&run));
        for key in run_keys(&summary) {
            self.delete(&key);
        }
        self.delete(&Key::new(keys::FAILOVER).time(summary.start.as_i64()).run(&run));
        Ok(())
    }

    fn write(self) -> Result<(), Error> {
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
