//! Joins the parts of the table to runs, and measures failovers: always those that a change concerns, from the parts as they are.

use std::collections::{BTreeMap, BTreeSet};

use model::OperationClass;
use model::failover::{FailoverFacts, HealthMark};
use model::run::{LINK_DEPTH_MAX, Run, RunPart, join};
use proto::UnixNanos;

use super::batch::{Batch, group_keys};
use super::item::{self, Item, ItemKey, PartKey};
use super::keys::{self, Key};
use super::table::{Changed, RunTable, Seen, State};
use crate::Error;

/// Parts that are looked at to join those of one run.
const TOGETHER_MAX: usize = 200;

/// Health checks and writes that are kept with one failover: the failed ones first, then those nearest to it.
const EVIDENCE_MAX: usize = 2_000;

impl RunTable {
    /// Joins the parts that were touched with those that they belong to, or did before.
    pub(super) fn regroup(
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
        // Of the same span a trace may say one class at first and another later, and both make a run of the same name: that of
        // the part that is gone goes first.
        for key in left.clone() {
            if self.part(&key)?.is_none() {
                left.remove(&key);
                self.join(state, &BTreeMap::from([(key, None)]), seen, &mut changed)?;
            }
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
    pub(super) fn together(&self, first: PartKey) -> Result<BTreeMap<PartKey, Option<RunPart>>, Error> {
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
        batch.write(state)
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
        batch.write_unversioned()
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
}

/// Keeps all that failed, and of the rest what is nearest to the begin of the failover.
fn thin_out(marks: &mut Vec<HealthMark>, start: UnixNanos) {
    if marks.len() > EVIDENCE_MAX {
        marks.sort_by_key(|mark| (!mark.failed, mark.at.nanos_since(start).abs()));
        marks.truncate(EVIDENCE_MAX);
        marks.sort_unstable();
    }
}
