//! A database platform over months of virtual time: everything that it sends, and beside it what really happened.
//!
//! [`World`] is an iterator of [`Output`]: requests in the order in which they would be sent, and lines of truth. It is pure
//! and repeatable: settings in, the same bytes out. Nothing here looks at a clock, does I/O, or uses any of the code that
//! draws conclusions from spans; what is known here is known because it was decided here.
//!
//! ```text
//! schedule (when) ─▶ operations (what, with its truth) ─▶ deploy (by which version) ─▶ afflict (what goes wrong)
//!                                                              tally, truth ◀─────────────┤
//!                                                              waiting ─▶ batch (requests) ▼
//! ```

mod afflict;
mod batch;
mod deploy;
mod happen;
mod operations;
pub mod pathology;
mod schedule;
mod stage;
mod sweep;
mod tally;
pub mod truth;
mod waiting;

use std::collections::VecDeque;
use std::time::Duration;

use proto::UnixNanos;

pub use batch::{Batch, BodyError, Compression, Wire};

use afflict::Afflictions;
use batch::{BATCH_SPANS_MAX, Packer};
use deploy::Deploys;
use operations::{backup, provisioning};
use pathology::{Pathologies, Pathology};
use schedule::{Event, Kind, Queue};
use stage::{Habits, Outage, Storm, after};
use tally::Tally;
use truth::{LostZoneTruth, RegressionTruth, Truth, WorldTruth};
use waiting::Waiting;

use super::dice::Dice;
use super::fleet::{CANARY_REGION, Fleet, FleetSettings};

/// Virtual time moves in these steps; requests are packed at their ends.
const STEP: Duration = Duration::from_secs(10);
/// Spans wait no longer than this for others to share a request with.
const HOLD_LONGEST: Duration = Duration::from_secs(300);
/// When the zone is lost, where in the time from start to end; the regression is rolled out by then, too.
const STORM_SHARE: f64 = 0.5;
const STORM_LENGTH: Duration = Duration::from_secs(600);
const SURGE_LENGTH: Duration = Duration::from_secs(60);
/// The regression is rolled out on the day after this share of the time.
const REGRESSION_SHARE: f64 = 0.65;
/// Files of the backups that have a span per file: one a day, and one in the middle of everything.
const FILES_DAILY: u64 = 1_490;
const FILES_ONCE: u64 = 59_990;

/// What kind of load a platform has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// The control plane: no SQL.
    Ctl,
    /// With SQL.
    Mixed,
    /// With SQL; in the middle an availability zone is lost, and a quarter of all instances with it.
    Burst,
}

impl Profile {
    const fn name(self) -> &'static str {
        match self {
            Self::Ctl => "ctl",
            Self::Mixed => "mixed",
            Self::Burst => "burst",
        }
    }
}

/// What a world is made from. Same settings, same bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WorldSettings {
    /// Seed of all chance.
    pub seed: u64,
    /// Kind of load.
    pub profile: Profile,
    /// Database instances.
    pub instances: usize,
    /// Nothing starts before.
    pub from: UnixNanos,
    /// Nothing starts after.
    pub to: UnixNanos,
    /// One of so many high-rate operations is made (SQL, health checks, WAL pushes, API requests, reconciles, agent commands,
    /// no-op cycles); at least 1. Everything else is made in full.
    pub thin: f64,
    /// Failovers per day; by the model when left out.
    pub failovers_per_day: Option<f64>,
    /// What goes wrong with the spans.
    pub pathologies: Pathologies,
    /// Whether what is under way at `to` is followed to its end, and late spans too. If not, it is running at the end.
    pub is_drained: bool,
}

/// What a world gives.
#[derive(Debug, Clone)]
pub enum Output {
    /// A request to send.
    Batch(Batch),
    /// Something to know.
    Truth(Truth),
}

/// The platform at work.
#[derive(Debug)]
pub struct World {
    settings: WorldSettings,
    fleet: Fleet,
    habits: Habits,
    deploys: Deploys,
    afflictions: Afflictions,
    queue: Queue,
    /// One stream of chance per kind of operation, and one for what happens once.
    streams: Vec<Dice>,
    waiting: Waiting,
    packer: Packer,
    tally: Option<Tally>,
    /// By instance: when it does or did not serve last, and until when it does not fail over again.
    outages: Vec<Option<Outage>>,
    busy_until: Vec<UnixNanos>,
    next_backup: usize,
    has_reused: bool,
    now: UnixNanos,
    packed: UnixNanos,
    outputs: VecDeque<Output>,
}

impl World {
    /// The world of these settings, before anything has happened.
    #[must_use]
    pub fn new(settings: WorldSettings) -> Self {
        let (seed, from) = (settings.seed, settings.from);
        let fleet = Fleet::with(FleetSettings {
            seed,
            instance_count: settings.instances,
            has_quirks: false,
            is_crowded: settings.profile == Profile::Burst,
        });
        let deploys = Deploys::new(from);
        let length = Duration::from_nanos(u64::try_from(settings.to.nanos_since(from)).unwrap_or(0));
        let day = length.mul_f64(REGRESSION_SHARE).as_secs().div_ceil(deploy::PERIOD.as_secs());
        let regression_since = deploys.canary_time(u32::try_from(day).unwrap_or(u32::MAX));
        let storm = (settings.profile == Profile::Burst).then(|| {
            let start = after(from, length.mul_f64(STORM_SHARE));
            Storm { region: 0, zone: Fleet::zones(0)[0], from: start, to: after(start, STORM_LENGTH) }
        });
        // The start is part of the seed, or else a second run would reuse the first one's trace ids.
        let stream = |purpose: &str| Dice::new(seed, &format!("world/{}/{purpose}", from.as_u64()));
        let streams = Kind::ALL.iter().map(|kind| stream(&format!("{kind:?}"))).chain([stream("once")]).collect();
        let until = (!settings.is_drained).then_some(settings.to);
        let mut world = Self {
            habits: Habits { pathologies: settings.pathologies, regression_since, storm },
            afflictions: Afflictions::new(seed, settings.pathologies, &fleet, until),
            deploys,
            queue: Queue::default(),
            streams,
            waiting: Waiting::default(),
            packer: Packer::new(
                stream("packer"),
                settings.pathologies.has(Pathology::MixedConventions),
                settings.pathologies.has(Pathology::LateSpans),
            ),
            tally: Some(Tally::default()),
            outages: vec![None; fleet.instances.len()],
            busy_until: vec![from; fleet.instances.len()],
            next_backup: 0,
            has_reused: false,
            now: from,
            packed: from,
            outputs: VecDeque::new(),
            fleet,
            settings,
        };
        world.schedule(length);
        let truth = world.truth();
        world.outputs.push_back(Output::Truth(Truth::World(truth)));
        world
    }

    /// Gives everything to `each`, from start to end.
    pub fn run(self, each: impl FnMut(Output)) {
        self.for_each(each);
    }

    /// The first event of each kind, and what happens once.
    fn schedule(&mut self, length: Duration) {
        for kind in Kind::ALL {
            self.push_next(self.settings.from, kind);
        }
        if let Some(storm) = self.habits.storm {
            for (position, instance) in self.fleet.instances.iter().enumerate() {
                if instance.region == storm.region && instance.primary().zone == storm.zone && instance.nodes.len() > 1
                {
                    self.queue.push(storm.from, Event::LostZone(position));
                }
            }
            for kind in Kind::ALL.into_iter().filter(|kind| kind.is_frequent()) {
                self.push_surge(storm.from, kind);
            }
        }
        if self.settings.pathologies.has(Pathology::AttributeAbuse) {
            self.queue.push(after(self.settings.from, length / 2), Event::PerFile(FILES_ONCE));
            let mut daily = after(self.settings.from, length.min(deploy::PERIOD) / 3);
            while daily < self.settings.to {
                self.queue.push(daily, Event::PerFile(FILES_DAILY));
                daily = after(daily, deploy::PERIOD);
            }
        }
    }

    fn push_next(&mut self, at: UnixNanos, kind: Kind) {
        let rate = kind.per_second(&self.settings);
        if rate > 0.0 {
            let wait = self.streams[kind as usize].until_next(rate);
            self.queue.push(after(at, wait), Event::Usual(kind));
        }
    }

    fn push_surge(&mut self, at: UnixNanos, kind: Kind) {
        let rate = kind.per_second(&self.settings) * (schedule::SURGE_FACTOR - 1.0);
        if rate > 0.0 {
            let next = after(at, self.streams[kind as usize].until_next(rate));
            if self.habits.storm.is_some_and(|storm| next < after(storm.from, SURGE_LENGTH)) {
                self.queue.push(next, Event::Surge(kind));
            }
        }
    }

    fn truth(&self) -> WorldTruth {
        let since = self.habits.regression_since;
        WorldTruth {
            seed: self.settings.seed,
            profile: self.settings.profile.name(),
            from_unix_nano: self.settings.from,
            to_unix_nano: self.settings.to,
            instances: self.settings.instances,
            thin: self.settings.thin,
            is_drained: self.settings.is_drained,
            pathologies: self.settings.pathologies.names().collect(),
            regression: RegressionTruth {
                region: self.fleet.regions[CANARY_REGION].name,
                service: deploy::REGRESSED_SERVICE,
                version: self.deploys.canary_version(&self.fleet, deploy::REGRESSED_SERVICE, since),
                since_unix_nano: since,
                step: provisioning::REGRESSED_STEP,
                factor: provisioning::REGRESSION_FACTOR,
            },
            slow_backup_instances: backup::slow_peers(&self.fleet),
            lost_zone: self.habits.storm.map(|s| LostZoneTruth { zone: s.zone, at_unix_nano: s.from }),
        }
    }

    /// Moves virtual time on by a step, or to the next span that waits when nothing happens any more. False at the end.
    fn advance(&mut self) -> bool {
        let until = self.settings.to;
        if self.now < until {
            self.now = after(self.now, STEP).min(until);
        } else if let Some(ready) = self.waiting.next_ready() {
            self.now = after(ready, HOLD_LONGEST);
        } else {
            return false;
        }
        while let Some((at, event)) = self.queue.pop(self.now.min(until)) {
            self.happen(at, event);
        }
        let is_held = self.now < until && after(self.packed, HOLD_LONGEST) > self.now;
        if is_held && self.waiting.ready_count(self.now, BATCH_SPANS_MAX) < BATCH_SPANS_MAX {
            return true;
        }
        self.packed = self.now;
        let ready = self.waiting.take(self.now);
        let batches = self.packer.pack(self.now, ready);
        self.outputs.extend(batches.into_iter().map(Output::Batch));
        true
    }

    /// The truth that is known at the end only.
    fn conclude(&mut self) {
        let Some(tally) = self.tally.take() else { return };
        self.outputs.extend(tally.into_truth().map(Output::Truth));
        self.outputs.extend(self.afflictions.truth().map(Truth::Pathology).map(Output::Truth));
    }
}

impl Iterator for World {
    type Item = Output;

    fn next(&mut self) -> Option<Output> {
        while self.outputs.is_empty() {
            if !self.advance() {
                self.conclude();
                break;
            }
        }
        self.outputs.pop_front()
    }
}

#[cfg(test)]
mod tests;
