//! The decision: which rule applies to a trace, and what comes of it.

use proto::UnixNanos;

use super::policy::{Condition, Fallback, Keep, Rule};
use super::sampling::{Percentage, randomness};
use super::surroundings::Surroundings;
use super::{Context, Policy, TraceFacts};

/// What is to happen with a trace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// Place in [`Policy::rules`] of the rule that decided.
    pub rule: usize,
    /// What to do.
    pub outcome: Outcome,
    /// How many traces this one stands for, itself included: 1, or more when it was kept by chance. Counts and sums over kept
    /// traces are right when each counts so often. Without meaning when dropped.
    pub weight: f64,
}

/// What to do with a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Keep it.
    Keep {
        /// Until then; `None` for ever.
        until: Option<UnixNanos>,
    },
    /// Drop all that the unit has of it.
    Drop,
    /// It would be dropped, and is too young for that: keep it for now and decide again later.
    Hold,
}

/// Decides about the traces of one unit, in their order.
///
/// `now` is this node's clock, as [`TraceFacts::received`] is: a trace is held until [`Policy::hold_nanos`] after its last span
/// was received. How long it is then kept counts from its own end, or from `received` when its clock claims to be later.
///
/// The same traces, context and time give the same decisions on every node.
#[must_use]
pub fn decide(policy: &Policy, traces: &[TraceFacts<'_>], context: &Context<'_>, now: UnixNanos) -> Vec<Decision> {
    let surroundings = Surroundings::of(policy, traces, context);
    let one = |(index, facts)| Case { index, facts, surroundings: &surroundings }.decide(policy, now);
    traces.iter().enumerate().map(one).collect()
}

/// One trace to be decided about.
struct Case<'a> {
    index: usize,
    facts: &'a TraceFacts<'a>,
    surroundings: &'a Surroundings<'a>,
}

/// What a rule makes of a trace, its age aside.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Verdict {
    Keep {
        weight: f64,
        retain_nanos: Option<i64>,
    },
    /// It cannot be told yet.
    Unknown {
        retain_nanos: Option<i64>,
    },
    Drop,
}

/// Whether a condition is met. Ordered logic of three values: what is not known yet decides only where nothing else does.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Met {
    Yes { weight: f64 },
    Unknown,
    No,
}

impl Met {
    const CERTAINLY: Self = Self::Yes { weight: 1.0 };

    fn when(condition: bool) -> Self {
        if condition { Self::CERTAINLY } else { Self::No }
    }

    /// The most certain of the two.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            // All chance is one and the same for a trace, so the larger share holds the smaller one.
            (Self::Yes { weight: one }, Self::Yes { weight: two }) => Self::Yes { weight: one.min(two) },
            (Self::Yes { .. }, _) => self,
            (_, Self::Yes { .. }) => other,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::No, Self::No) => Self::No,
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Yes { weight: one }, Self::Yes { weight: two }) => Self::Yes { weight: one.max(two) },
        }
    }

    const fn not(self) -> Self {
        match self {
            Self::Yes { .. } => Self::No,
            Self::Unknown => Self::Unknown,
            Self::No => Self::CERTAINLY,
        }
    }
}

impl Case<'_> {
    fn decide(&self, policy: &Policy, now: UnixNanos) -> Decision {
        let rules = policy.rules();
        // The last rule matches everything.
        let first = rules.iter().position(|rule| rule.selector.matches(self.facts));
        let rule = first.unwrap_or(rules.len() - 1);
        let verdict = self.verdict(&rules[rule]);
        let is_held = now.nanos_since(self.facts.received) < policy.hold_nanos();
        let (outcome, weight) = self.outcome(verdict, is_held, now);
        Decision { rule, outcome, weight: weight.max(self.facts.weight) }
    }

    fn outcome(&self, verdict: Verdict, is_held: bool, now: UnixNanos) -> (Outcome, f64) {
        let let_go = if is_held { Outcome::Hold } else { Outcome::Drop };
        match verdict {
            Verdict::Drop => (let_go, 1.0),
            Verdict::Unknown { .. } if is_held => (Outcome::Hold, 1.0),
            // The traces that this one will stand for are still there.
            Verdict::Keep { weight, .. } if is_held && weight > 1.0 && !self.facts.kept_before => (Outcome::Hold, 1.0),
            Verdict::Unknown { retain_nanos } => (self.keep(retain_nanos, now, let_go), 1.0),
            Verdict::Keep { weight, retain_nanos } => (self.keep(retain_nanos, now, let_go), weight),
        }
    }

    fn keep(&self, retain_nanos: Option<i64>, now: UnixNanos, let_go: Outcome) -> Outcome {
        let end = self.facts.end.max(self.facts.start).min(self.facts.received);
        match retain_nanos.map(|retain_nanos| end.saturating_add(retain_nanos)) {
            Some(until) if until <= now => let_go,
            until => Outcome::Keep { until },
        }
    }

    fn verdict(&self, rule: &Rule) -> Verdict {
        let retain_nanos = rule.retain_nanos;
        match &rule.keep {
            Keep::All => Verdict::Keep { weight: 1.0, retain_nanos },
            Keep::None => Verdict::Drop,
            Keep::If { any, fallback } => match self.any_met(any) {
                // Had chance not met a condition, the same chance might still have been enough for the rest.
                Met::Yes { weight } => {
                    Verdict::Keep { weight: weight.min(self.weight_in(fallback.share)), retain_nanos }
                }
                Met::Unknown if !self.facts.kept_before => Verdict::Unknown { retain_nanos },
                Met::Unknown | Met::No => self.fall_back(*fallback, retain_nanos),
            },
        }
    }

    /// Infinite when the share does not have the trace.
    fn weight_in(&self, share: Percentage) -> f64 {
        if share.keeps(randomness(self.facts.trace_id)) { share.weight() } else { f64::INFINITY }
    }

    /// What was kept stays kept, with the time that it got then. What chance would keep was kept by chance.
    fn fall_back(&self, fallback: Fallback, retain_nanos: Option<i64>) -> Verdict {
        if self.facts.kept_before {
            let is_sampled = self.facts.weight > 1.0 || self.weight_in(fallback.share).is_finite();
            let retain_nanos = if is_sampled { fallback.retain_nanos } else { retain_nanos };
            return Verdict::Keep { weight: self.facts.weight, retain_nanos };
        }
        let weight = self.weight_in(fallback.share);
        if weight.is_finite() { Verdict::Keep { weight, retain_nanos: fallback.retain_nanos } } else { Verdict::Drop }
    }

    fn any_met(&self, conditions: &[Condition]) -> Met {
        let mut met = Met::No;
        for condition in conditions {
            met = met.or(self.met(condition));
            if met == Met::CERTAINLY {
                break;
            }
        }
        met
    }

    /// Recurses as deep as the conditions are nested, which `CONDITIONS_MAX` bounds.
    fn met(&self, condition: &Condition) -> Met {
        let facts = self.facts;
        match condition {
            Condition::Status(statuses) => Met::when(facts.statuses.meets(*statuses)),
            Condition::Latency { threshold_nanos } => Met::when(facts.duration_nanos() >= *threshold_nanos),
            Condition::Percentile(percentile) => match self.surroundings.percentile_nanos(facts, *percentile) {
                Some(nanos) => Met::when(facts.duration_nanos() > nanos),
                None => Met::Unknown,
            },
            Condition::StateChange => Met::when(facts.state_changed || self.surroundings.state_changed(self.index)),
            Condition::Neighbour { of, window_nanos } => {
                Met::when(self.surroundings.has_neighbour(facts, *of, *window_nanos))
            }
            Condition::LinkedOrParented => Met::when(facts.is_linked_or_parented()),
            Condition::Attribute(attribute) => Met::when(attribute.is_met(facts)),
            Condition::SpanCount { min, max } => Met::when((*min..=*max).contains(&facts.span_count)),
            Condition::And(all) => all.iter().fold(Met::CERTAINLY, |met, condition| met.and(self.met(condition))),
            Condition::Not(inner) => self.met(inner).not(),
            Condition::Probabilistic(share) => match self.weight_in(*share) {
                f64::INFINITY => Met::No,
                weight => Met::Yes { weight },
            },
        }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
