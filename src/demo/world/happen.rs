//! One event: makes its operation, lets go wrong what has to, and puts its spans and its truth on their way.

use std::time::Duration;

use proto::{TraceId, UnixNanos};

use super::afflict::{Parcel, Role, Sent};
use super::operations::{backup, change, failover, frequent, health, provisioning, reconcile, restore, sql};
use super::pathology::Pathology;
use super::schedule::{Event, Kind};
use super::stage::{Made, Outage, Stage, after};
use super::truth::{RunTruth, Truth};
use super::{Output, World};
use crate::demo::span::EmittedSpan;

/// An instance does not fail over again within this time, so that one failover is not taken for another's second attempt.
const FAILOVER_REST: Duration = Duration::from_secs(900);
/// Failovers that are followed by another one under the same trace id, and when.
const REUSED_SHARE: f64 = 0.03;
const REUSED_AFTER: Duration = Duration::from_secs(480);
/// Draws until an instance is found that can fail over; a fleet where all are busy has had enough.
const DRAWS_MAX: usize = 30;
/// Primaries in a lost zone fail within this time.
const LOST_ZONE_SPREAD_SECS: f64 = 2.0;

impl World {
    pub(super) fn happen(&mut self, at: UnixNanos, event: Event) {
        match event {
            Event::Usual(kind) => {
                self.operate(at, kind);
                self.push_next(at, kind);
            }
            Event::Surge(kind) => {
                self.operate(at, kind);
                self.push_surge(at, kind);
            }
            Event::LostZone(position) => {
                let spread = self.once().between(0.0, LOST_ZONE_SPREAD_SECS);
                let at = after(at, Duration::from_secs_f64(spread));
                self.make(at, position, Kind::ALL.len(), |stage| {
                    let plan = failover::Plan::of_lost_zone(stage);
                    failover::failover(stage, &plan, None)
                });
            }
            Event::Reused(position, trace_id) => {
                self.make(at, position, Kind::ALL.len(), |stage| {
                    let plan = failover::Plan::planned(stage);
                    let mut made = failover::failover(stage, &plan, Some(trace_id));
                    made.pathologies.push(Pathology::TraceReuse);
                    made
                });
            }
            Event::PerFile(files) => {
                let count = self.fleet.instances.len() as u64;
                let position = self.once().below(count) as usize;
                self.make(at, position, Kind::ALL.len(), |stage| {
                    let mut made = backup::backup(stage, Some(files));
                    made.pathologies.push(Pathology::AttributeAbuse);
                    made
                });
            }
        }
    }

    /// The stream of chance of what happens once.
    fn once(&mut self) -> &mut crate::demo::dice::Dice {
        &mut self.streams[Kind::ALL.len()]
    }

    fn operate(&mut self, at: UnixNanos, kind: Kind) {
        let Some(position) = self.choose(at, kind) else { return };
        let outage = self.outages[position].filter(|outage: &Outage| outage.from <= at && at < outage.to);
        let made = self.make(at, position, kind as usize, |stage| match kind {
            Kind::Statement => sql::statement(stage, outage),
            Kind::HealthCheck => health::check(stage, outage),
            Kind::WalPush => backup::wal_push(stage),
            Kind::ApiRequest => frequent::api_request(stage),
            Kind::Reconcile => reconcile::periodic(stage),
            Kind::AgentCommand => frequent::agent_command(stage),
            Kind::RecoveryCycle => frequent::recovery_cycle(stage),
            Kind::Backup => backup::backup(stage, None),
            Kind::Create => provisioning::create_instance(stage),
            Kind::Change => change::change(stage),
            Kind::Restore => restore::restore(stage),
            Kind::Planned => {
                let plan = failover::Plan::planned(stage);
                failover::failover(stage, &plan, None)
            }
            Kind::Unplanned => {
                let plan = failover::Plan::unplanned(stage);
                failover::failover(stage, &plan, None)
            }
        });
        if matches!(kind, Kind::Planned | Kind::Unplanned) && self.settings.pathologies.has(Pathology::TraceReuse) {
            self.reuse(at, position, made);
        }
    }

    /// Lets a failover that ended well be followed by another one under its trace id, now and then.
    fn reuse(&mut self, at: UnixNanos, position: usize, reusable: Option<TraceId>) {
        let Some(trace_id) = reusable else { return };
        if !self.has_reused || self.once().chance(REUSED_SHARE) {
            self.has_reused = true;
            self.queue.push(after(at, REUSED_AFTER), Event::Reused(position, trace_id));
        }
    }

    /// The instance to which something of a kind happens.
    fn choose(&mut self, at: UnixNanos, kind: Kind) -> Option<usize> {
        let count = self.fleet.instances.len();
        match kind {
            // Each has its turn.
            Kind::Backup => {
                self.next_backup = (self.next_backup + 1) % count;
                return Some(self.next_backup);
            }
            Kind::Planned | Kind::Unplanned => {}
            _ => return Some(self.streams[kind as usize].below(count as u64) as usize),
        }
        for _ in 0..DRAWS_MAX {
            let position = self.streams[kind as usize].below(count as u64) as usize;
            if self.fleet.instances[position].nodes.len() > 1 && self.busy_until[position] <= at {
                return Some(position);
            }
        }
        None
    }

    /// Makes an operation and sends it on its way; its trace id when it was a failover that ended well, told in one trace.
    fn make(
        &mut self,
        at: UnixNanos,
        position: usize,
        stream: usize,
        operation: impl FnOnce(&mut Stage<'_>) -> Made,
    ) -> Option<TraceId> {
        // An operation draws from a stream of its own, so that what one does more does not move the next.
        let mut dice = self.streams[stream].fork();
        let mut stage = Stage { fleet: &self.fleet, dice: &mut dice, habits: &self.habits, start: at, position };
        let mut made = operation(&mut stage);
        self.deploys.apply(&self.fleet, &mut made.spans, at);
        self.deploys.apply(&self.fleet, &mut made.beside, at);
        if let Some(run) = &mut made.run {
            run.service_version = root_version(run, &made.spans);
        }
        let is_promoted = made.is_promoted;
        if let Some(outage) = made.outage {
            self.outages[position] = Some(outage);
        }
        let sent = self.afflictions.afflict(made);
        let mut reusable = None;
        if let Some(run) = sent.run.as_ref().filter(|run| run.class == "failover") {
            let end = run.end_unix_nano.unwrap_or(at);
            self.busy_until[position] = after(end, FAILOVER_REST);
            let is_short = end < after(at, REUSED_AFTER);
            if is_promoted && is_short && run.attempts == 1 {
                reusable = run.trace_ids.first().and_then(|id| id.parse().ok());
            }
        }
        if is_promoted {
            self.fleet.instances[position].nodes.swap(0, 1);
        }
        self.send(sent);
        reusable
    }

    fn send(&mut self, sent: Sent) {
        let Sent { parcels, run, class } = sent;
        let until = self.settings.to;
        let is_sent = |parcel: &Parcel| self.settings.is_drained || parcel.emitted.ready <= until;
        if let Some(mut run) = run {
            let counts = |parcel: &&Parcel| parcel.role == Role::Real && parcel.is_own && is_sent(parcel);
            run.spans_sent = parcels.iter().filter(counts).count() as u64;
            if !self.settings.is_drained && run.end_unix_nano.is_some_and(|end| end > until) {
                run.interrupt(until);
            }
            self.outputs.push_back(Output::Truth(Truth::Run(Box::new(run))));
        }
        let sent: Vec<Parcel> = parcels.into_iter().filter(is_sent).collect();
        for parcel in sent {
            if parcel.is_root
                && parcel.role == Role::Real
                && let Some(tally) = &mut self.tally
            {
                tally.count(&parcel.emitted, class_of(&parcel.emitted, class), parcel.has_failed);
            }
            self.waiting.push(parcel);
        }
    }
}

/// The class of a root, which may be of a trace beside the operation.
fn class_of(root: &EmittedSpan, class: &'static str) -> &'static str {
    match root.span.name.as_str() {
        health::CHECK => "health_check",
        reconcile::RECONCILE => "provisioning",
        _ => class,
    }
}

/// `service.version` of the sender of the main trace's first span.
fn root_version(run: &RunTruth, spans: &[EmittedSpan]) -> String {
    let main = run.trace_ids.first().and_then(|id| id.parse::<TraceId>().ok());
    let root = spans.iter().find(|emitted| main.is_some_and(|id| id.as_bytes()[..] == emitted.span.trace_id));
    root.map(|emitted| emitted.emitter.version.clone()).unwrap_or_default()
}
