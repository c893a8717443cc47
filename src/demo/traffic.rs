//! Decides what happens in the fleet and when, over virtual time.
//!
//! Owns the schedule and the spans that are not ready to be sent yet. Never looks at a clock: the caller moves time
//! forward with [`Traffic::advance_to`], in leaps through the past or second by second in the present. A span comes out
//! when its sender would have it ready, which is its end: so roots come last, and an operation that is still running has
//! none.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use proto::UnixNanos;

use super::dice::Dice;
use super::fleet::{Fleet, INSTANCE_COUNT};
use super::operations::{Scene, agent, api, backup, failover, health, oddity, provisioning, reconcile, sql};
use super::reference;
use super::span::EmittedSpan;

type Operation = fn(&mut Scene<'_>) -> Vec<EmittedSpan>;

/// What happens all the time, and its share of the traces that `--rate` asks for.
const FREQUENT: [(Operation, f64); 8] = [
    (sql::statement, 0.50),
    (sql::pg_tracing, 0.03),
    (health::check, 0.20),
    (api::request, 0.13),
    (reconcile::periodic, 0.06),
    (agent::command, 0.04),
    (backup::wal_push, 0.03),
    (failover::recovery_cycle, 0.01),
];

/// What happens now and then, whatever the rate: per hour.
const RARE: [(Operation, f64); 5] = [
    (provisioning::create_instance, 12.0),
    (failover::unplanned, 3.0),
    (failover::planned, 4.0),
    (backup::backup, 10.0),
    (backup::restore, 2.0),
];

/// The reference traces are sent again this often, under new ids, so that they stay near the top of a list of new traces.
const REFERENCE_PERIOD: Duration = Duration::from_secs(240);

const SECS_PER_HOUR: f64 = 3600.0;

/// What the traffic is made from.
#[derive(Debug, Clone, Copy)]
pub struct TrafficSettings {
    /// Same seed and times, same spans, byte for byte.
    pub seed: u64,
    /// Nothing happens before.
    pub start: UnixNanos,
    /// When the reference traces end for the first time.
    pub reference_end: UnixNanos,
    /// Traces per second of the frequent operations; above 0.
    pub rate: f64,
    /// Whether spans are lost, late and sent twice now and then.
    pub has_oddities: bool,
}

/// The fleet at work.
#[derive(Debug)]
pub struct Traffic {
    fleet: Fleet,
    dice: Dice,
    rate: f64,
    has_oddities: bool,
    next_frequent: UnixNanos,
    next_rare: [UnixNanos; RARE.len()],
    next_reference: UnixNanos,
    waiting: BinaryHeap<Reverse<Waiting>>,
    waiting_sequence: u64,
}

/// A span that is not ready yet. Ordered by when it is, then by when it was made.
#[derive(Debug)]
struct Waiting {
    order: (UnixNanos, u64),
    span: EmittedSpan,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order.cmp(&other.order)
    }
}

/// What happens next.
#[derive(Debug, Clone, Copy)]
enum Next {
    Frequent,
    Rare(usize),
    Reference,
}

impl Traffic {
    /// The fleet of the seed, before anything has happened.
    #[must_use]
    pub fn new(settings: &TrafficSettings) -> Self {
        let seed = settings.seed;
        // The start is part of the seed, or else a second run would reuse the first one's trace ids.
        let mut dice = Dice::new(seed, &format!("traffic/{}", settings.start.as_u64()));
        let next_rare = RARE.map(|(_, per_hour)| {
            let period = Duration::from_secs_f64(SECS_PER_HOUR / per_hour);
            after(settings.start, dice.duration_between(Duration::ZERO, period))
        });
        let mut traffic = Self {
            fleet: Fleet::new(seed, INSTANCE_COUNT),
            dice,
            rate: settings.rate,
            has_oddities: settings.has_oddities,
            next_frequent: settings.start,
            next_rare,
            next_reference: after(settings.reference_end, REFERENCE_PERIOD),
            waiting: BinaryHeap::new(),
            waiting_sequence: 0,
        };
        let mut create_instance_dice = reference::create_instance_dice(seed);
        let mut select_user_dice = reference::select_user_dice(seed);
        let end = settings.reference_end;
        let create_instance = reference::create_instance(&traffic.fleet, &mut create_instance_dice, end);
        let select_user = reference::select_user(&traffic.fleet, &mut select_user_dice, end);
        traffic.wait(create_instance);
        traffic.wait(select_user);
        traffic
    }

    /// Lets everything happen up to `now`; the spans that became ready, in that order.
    pub fn advance_to(&mut self, now: UnixNanos) -> Vec<EmittedSpan> {
        while self.next().0 <= now {
            let spans = self.next_operation();
            self.wait(spans);
        }
        let mut ready = Vec::new();
        while let Some(Reverse(waiting)) = self.waiting.peek() {
            if waiting.order.0 > now {
                break;
            }
            if let Some(Reverse(waiting)) = self.waiting.pop() {
                ready.push(waiting.span);
            }
        }
        ready
    }

    /// The next operation at once, with spans that are not ready yet; for whoever needs whole traces. Do not mix with
    /// [`Self::advance_to`], which would not give these spans again.
    pub fn next_operation(&mut self) -> Vec<EmittedSpan> {
        let (at, next) = self.next();
        match next {
            Next::Frequent => {
                let operation = *self.dice.pick_weighted(&FREQUENT);
                let spans = self.happen(at, operation);
                self.next_frequent = after(at, self.dice.until_next(self.rate));
                spans
            }
            Next::Rare(position) => {
                let (operation, per_hour) = RARE[position];
                let spans = self.happen(at, operation);
                self.next_rare[position] = after(at, self.dice.until_next(per_hour / SECS_PER_HOUR));
                spans
            }
            Next::Reference => {
                self.next_reference = after(at, REFERENCE_PERIOD);
                self.repeat_references(at)
            }
        }
    }

    /// Spans of operations that are under way.
    #[must_use]
    pub fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    fn next(&self) -> (UnixNanos, Next) {
        let mut earliest = (self.next_frequent, Next::Frequent);
        for (position, at) in self.next_rare.iter().enumerate() {
            if *at < earliest.0 {
                earliest = (*at, Next::Rare(position));
            }
        }
        if self.next_reference < earliest.0 { (self.next_reference, Next::Reference) } else { earliest }
    }

    fn happen(&mut self, at: UnixNanos, operation: Operation) -> Vec<EmittedSpan> {
        let mut scene = Scene { fleet: &self.fleet, dice: &mut self.dice, start: at };
        let mut spans = operation(&mut scene);
        if self.has_oddities {
            oddity::afflict(&mut scene, &mut spans);
        }
        spans
    }

    fn repeat_references(&mut self, at: UnixNanos) -> Vec<EmittedSpan> {
        let create_instance_end = after(at, reference::CREATE_INSTANCE[0].duration);
        let mut spans = reference::create_instance(&self.fleet, &mut self.dice, create_instance_end);
        spans.extend(reference::select_user(&self.fleet, &mut self.dice, at));
        spans
    }

    fn wait(&mut self, spans: Vec<EmittedSpan>) {
        for span in spans {
            self.waiting.push(Reverse(Waiting { order: (span.ready, self.waiting_sequence), span }));
            self.waiting_sequence += 1;
        }
    }
}

fn after(time: UnixNanos, duration: Duration) -> UnixNanos {
    time.saturating_add(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
