//! What is wrong on the way: spans that are lost, late, repeated, or that only announce themselves.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use proto::UnixNanos;
use proto::otlp::trace::v1::Status;

use super::{Afflictions, Parcel, Role};
use crate::demo::span::{EmittedSpan, Fact, key_value};
use crate::demo::world::pathology::Pathology;
use crate::demo::world::stage::after;

/// An operation is long from here on.
pub(super) const LONG_NANOS: i64 = 10_000_000_000;
const LOST_SHARE: f64 = 0.01;
/// Late spans: usual ones, those of more than an hour, those of more than a day.
const LATE_SHARE: f64 = 0.05;
const LATE_MEDIAN: Duration = Duration::from_secs(30);
const LATE_SIGMA: f64 = 1.2;
const LATE_HOUR_SHARE: f64 = 0.005;
const LATE_DAY_SHARE: f64 = 0.000_5;
const REPEATED_SHARE: f64 = 0.01;
const UPDATED_SHARE: f64 = 0.002;
/// A span that is sent before it has ended says that it took so much of its time.
const UPDATED_PART: f64 = 0.7;
const ANNOUNCED_SHARE: f64 = 0.20;
const ANNOUNCED_AFTER: Duration = Duration::from_millis(50);

impl Afflictions {
    /// Lets a trace arrive span by span, its root at the end; or at once when it is over, where that is off.
    pub(super) fn strike_root_last(&mut self, parcels: &mut [Parcel], is_long: bool, struck: &mut BTreeSet<Pathology>) {
        if self.on.has(Pathology::RootLast) {
            if is_long {
                let roots = parcels.iter().filter(|parcel| parcel.is_root).count();
                self.note(Pathology::RootLast, roots as u64, struck);
            }
            return;
        }
        let mut ends: HashMap<Vec<u8>, UnixNanos> = HashMap::new();
        for Parcel { emitted, .. } in parcels.iter() {
            let end = ends.entry(emitted.span.trace_id.clone()).or_insert(emitted.ready);
            *end = (*end).max(emitted.ready);
        }
        for Parcel { emitted, .. } in parcels {
            emitted.ready = ends[&emitted.span.trace_id];
        }
    }

    pub(super) fn lose_spans(&mut self, parcels: &mut Vec<Parcel>) -> u64 {
        let dice = self.dice(Pathology::MissingSpans);
        let parents: HashSet<Vec<u8>> =
            parcels.iter().map(|parcel| parcel.emitted.span.parent_span_id.clone()).collect();
        let before = parcels.len();
        parcels.retain(|parcel| {
            let is_middle = !parcel.is_root && parents.contains(&parcel.emitted.span.span_id);
            !(is_middle && dice.chance(LOST_SHARE))
        });
        (before - parcels.len()) as u64
    }

    pub(super) fn delay(&mut self, parcels: &mut Vec<Parcel>) -> u64 {
        let dice = self.dice(Pathology::LateSpans);
        let hours = |dice: &mut crate::demo::dice::Dice, from: f64, to: f64| {
            Duration::from_secs_f64(dice.between(from, to) * 3_600.0)
        };
        let mut delayed = 0;
        for parcel in parcels {
            let draw = dice.between(0.0, 1.0);
            let delay = if draw < LATE_DAY_SHARE {
                hours(dice, 24.0, 30.0)
            } else if draw < LATE_HOUR_SHARE {
                hours(dice, 1.0, 6.0)
            } else if draw < LATE_SHARE {
                dice.lognormal(LATE_MEDIAN, LATE_SIGMA)
            } else {
                continue;
            };
            parcel.emitted.ready = after(parcel.emitted.ready, delay);
            delayed += 1;
        }
        delayed
    }

    pub(super) fn repeat(&mut self, parcels: &mut Vec<Parcel>) -> u64 {
        let until = self.until;
        let dice = self.dice(Pathology::Duplicates);
        let mut copies = Vec::new();
        for parcel in parcels.iter_mut().filter(|parcel| parcel.role == Role::Real) {
            if dice.chance(REPEATED_SHARE) {
                let mut copy = again(parcel, parcel.emitted.clone());
                copy.emitted.ready = after(copy.emitted.ready, Duration::from_secs_f64(dice.between(0.2, 30.0)));
                copies.push(copy);
            } else if dice.chance(UPDATED_SHARE) {
                let later = after(parcel.emitted.ready, Duration::from_secs_f64(dice.between(1.0, 60.0)));
                // The first version alone would be what was sent.
                if until.is_some_and(|until| later > until) {
                    continue;
                }
                let mut early = parcel.emitted.clone();
                let span = &mut early.span;
                let length = span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano);
                span.end_time_unix_nano = span.start_time_unix_nano + (length as f64 * UPDATED_PART) as u64;
                span.attributes.push(key_value("dbaas.progress", Fact::Double(UPDATED_PART)));
                copies.push(again(parcel, early));
                parcel.emitted.ready = later;
            }
        }
        let count = copies.len() as u64;
        parcels.extend(copies);
        count
    }

    /// Some long operations announce each root when it starts: by Logfire's convention a span below it, or the same span with
    /// the state `started`.
    pub(super) fn announce(&mut self, parcels: &mut Vec<Parcel>) -> u64 {
        let dice = self.dice(Pathology::PendingSpans);
        if !dice.chance(ANNOUNCED_SHARE) {
            return 0;
        }
        let mut firsts: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        for (position, parcel) in parcels.iter().enumerate() {
            let length =
                parcel.emitted.span.end_time_unix_nano.saturating_sub(parcel.emitted.span.start_time_unix_nano);
            if parcel.is_root && parcel.is_own && length >= LONG_NANOS.unsigned_abs() {
                firsts.entry(parcel.emitted.span.trace_id.clone()).or_insert(position);
            }
        }
        let mut count = 0;
        for position in firsts.into_values() {
            let root = &parcels[position];
            let mut emitted = root.emitted.clone();
            let real = &root.emitted.span;
            let span = &mut emitted.span;
            span.end_time_unix_nano = span.start_time_unix_nano;
            span.events.clear();
            span.status = Some(Status::default());
            span.attributes.retain(|attribute| !attribute.key.ends_with(".outcome") && attribute.key != "error.type");
            if dice.chance(0.5) {
                span.span_id = dice.span_id().as_bytes().to_vec();
                span.parent_span_id.clone_from(&real.span_id);
                span.attributes.push(key_value("logfire.span_type", Fact::from("pending_span")));
                span.attributes.push(key_value("logfire.pending_parent_id", Fact::from("0000000000000000")));
            } else {
                span.attributes.push(key_value("dbaas.span.state", Fact::from("started")));
            }
            emitted.ready = after(UnixNanos::from_wire(span.start_time_unix_nano), ANNOUNCED_AFTER);
            parcels.push(Parcel { emitted, role: Role::Pending, is_root: false, is_own: true, has_failed: false });
            count += 1;
        }
        count
    }
}

fn again(parcel: &Parcel, emitted: EmittedSpan) -> Parcel {
    Parcel { emitted, role: Role::Again, is_root: false, is_own: parcel.is_own, has_failed: parcel.has_failed }
}
