//! What goes wrong with finished operations: in the spans themselves ([`shape`]) and on their way ([`delivery`]).
//!
//! Each pathology has its own stream of chance, so that switching one off leaves the others as they were. What an operation
//! does differently by itself (a crash, a second attempt, a link) is in the operations.

mod delivery;
mod shape;

pub(super) use shape::NOT_UTF8_STAND_IN;

use std::collections::BTreeSet;

use proto::UnixNanos;

use super::pathology::{Pathologies, Pathology};
use super::stage::Made;
use super::tally::is_error;
use super::truth::{PathologyTruth, RunTruth};
use crate::demo::dice::Dice;
use crate::demo::fleet::Fleet;
use crate::demo::span::EmittedSpan;

/// What a parcel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A span of an operation, in its last version.
    Real,
    /// The same span again, or before it changed.
    Again,
    /// Stands for a span that has not ended.
    Pending,
    /// Made so that a request is refused.
    Malformed,
}

/// A span on its way.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) emitted: EmittedSpan,
    pub(super) role: Role,
    /// Whether it is the root of its trace, whatever it says about a parent.
    pub(super) is_root: bool,
    /// Whether it is of the operation, and not beside it.
    pub(super) is_own: bool,
    /// Whether what it stands for failed, whatever it says.
    pub(super) has_failed: bool,
}

/// An operation that goes out.
pub(super) struct Sent {
    pub(super) parcels: Vec<Parcel>,
    pub(super) run: Option<RunTruth>,
    pub(super) class: &'static str,
}

/// Everything that goes wrong, and how often it did.
#[derive(Debug)]
pub(super) struct Afflictions {
    on: Pathologies,
    dice: Vec<Dice>,
    /// How far each host's clock is ahead, by emitter.
    skews: Vec<i64>,
    counts: [(u64, u64); Pathology::ALL.len()],
    /// When nothing is sent any more, unless what is under way is followed to its end.
    until: Option<UnixNanos>,
}

impl Afflictions {
    pub(super) fn new(seed: u64, on: Pathologies, fleet: &Fleet, until: Option<UnixNanos>) -> Self {
        let dice = Pathology::ALL.iter().map(|pathology| Dice::new(seed, pathology.name())).collect();
        let mut afflictions =
            Self { on, dice, skews: vec![0; fleet.emitter_count()], counts: Default::default(), until };
        if on.has(Pathology::ClockSkew) {
            afflictions.skews = shape::clock_skews(fleet, afflictions.dice(Pathology::ClockSkew));
        }
        afflictions
    }

    /// Lets everything that is on strike an operation that was made, and says so in its truth.
    pub(super) fn afflict(&mut self, made: Made) -> Sent {
        let Made { spans, beside, mut run, class, pathologies, .. } = made;
        let mut struck = BTreeSet::new();
        for pathology in pathologies {
            self.note(pathology, 0, &mut struck);
        }
        let own = spans.into_iter().map(|emitted| (emitted, true));
        let mut parcels: Vec<Parcel> = own
            .chain(beside.into_iter().map(|emitted| (emitted, false)))
            .map(|(emitted, is_own)| Parcel {
                role: Role::Real,
                is_root: is_root(&emitted),
                is_own,
                has_failed: is_error(&emitted),
                emitted,
            })
            .collect();
        if let Some(run) = &mut run {
            run.spans_made = parcels.iter().filter(|parcel| parcel.is_own).count() as u64;
        }
        let is_control_plane = class != "query";
        let is_long = run.as_ref().is_some_and(|run| {
            run.end_unix_nano.is_some_and(|end| end.nanos_since(run.start_unix_nano) >= delivery::LONG_NANOS)
        });
        for (pathology, strike) in [
            (Pathology::Links, Self::count_links as Strike),
            (Pathology::ErrorShapes, Self::change_errors),
            (Pathology::AttributeAbuse, Self::abuse_attributes),
            (Pathology::MixedConventions, Self::mix_conventions),
            (Pathology::ZeroParents, Self::write_parents),
            (Pathology::MissingSpans, Self::lose_spans),
        ] {
            self.strike(pathology, strike, &mut parcels, &mut struck);
        }
        self.strike_root_last(&mut parcels, is_long, &mut struck);
        self.strike(Pathology::ClockSkew, Self::skew_clocks, &mut parcels, &mut struck);
        if is_long {
            self.strike(Pathology::PendingSpans, Self::announce, &mut parcels, &mut struck);
        }
        if is_control_plane {
            self.strike(Pathology::LateSpans, Self::delay, &mut parcels, &mut struck);
        }
        self.strike(Pathology::Duplicates, Self::repeat, &mut parcels, &mut struck);
        if let Some(run) = &mut run {
            run.pathologies = struck.iter().map(|pathology| pathology.name()).collect();
        }
        Sent { parcels, run, class }
    }

    /// Counts spans that a pathology changed, and their operation if it had not struck it before.
    fn note(&mut self, pathology: Pathology, spans: u64, struck: &mut BTreeSet<Pathology>) {
        let count = &mut self.counts[pathology as usize];
        count.0 += u64::from(struck.insert(pathology));
        count.1 += spans;
    }

    /// How often each that is on struck.
    pub(super) fn truth(&self) -> impl Iterator<Item = PathologyTruth> {
        let on = Pathology::ALL.into_iter().filter(|pathology| self.on.has(*pathology));
        on.map(|pathology| {
            let (operations, spans) = self.counts[pathology as usize];
            PathologyTruth { name: pathology.name(), operations, spans }
        })
    }

    fn dice(&mut self, pathology: Pathology) -> &mut Dice {
        &mut self.dice[pathology as usize]
    }

    fn strike(
        &mut self,
        pathology: Pathology,
        strike: Strike,
        parcels: &mut Vec<Parcel>,
        struck: &mut BTreeSet<Pathology>,
    ) {
        if !self.on.has(pathology) {
            return;
        }
        let changed = strike(self, parcels);
        if changed > 0 {
            self.note(pathology, changed, struck);
        }
    }
}

/// Does something to an operation's spans; how many it changed, added or took away.
type Strike = fn(&mut Afflictions, &mut Vec<Parcel>) -> u64;

/// Whether a span says that it has no parent, in OpenTelemetry's way or in pg_tracing's.
fn is_root(emitted: &EmittedSpan) -> bool {
    let span = &emitted.span;
    span.parent_span_id.is_empty() || span.trace_id.ends_with(&span.parent_span_id)
}
