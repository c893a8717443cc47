//! Failovers: unplanned and planned, in two dialects, with their phases as spans.
//!
//! As in real systems the controller's span begins when the failure is *detected*; the fault itself shows in
//! `dbaas.failover.fault_time`, in failing health checks before it, and only sometimes as a `detect` span.

use std::sync::Arc;
use std::time::Duration;

use proto::UnixNanos;

use super::{Method, Scene, about, call, health, reconcile};
use crate::demo::fleet::{Emitter, Fleet, Instance};
use crate::demo::span::{Draft, EmittedSpan, Handle, TraceBuilder};

/// Failovers that end without a new primary. Several times the model's 3 %, so that a demo of one hour has one to show.
const FAILED_SHARE: f64 = 0.12;
/// Failovers whose first attempt fails and whose second one succeeds; raised likewise from 8 %.
const RETRIED_SHARE: f64 = 0.20;
/// Unplanned failovers in which the controller records detection as a span of its own trace.
const DETECT_SPAN_SHARE: f64 = 0.4;
/// Failovers after which the old primary rejoins in a trace of its own, linked to the failover.
const LINKED_REJOIN_SHARE: f64 = 0.2;
/// Failovers of instances that are run by a Multigres-like controller.
const MULTIGRES_SHARE: f64 = 0.3;
/// Time between health checks of an instance that does not answer.
const FAILING_CHECK_PERIOD: Duration = Duration::from_secs(5);
/// A failing instance is checked at most this often, so that a long outage stays a demo.
const FAILING_CHECKS_MAX: usize = 20;

/// Who does the work of a phase.
#[derive(Debug, Clone, Copy)]
enum Worker {
    Controller,
    Dns,
    OldPrimary,
    NewPrimary,
}

/// One phase: `dbaas.failover.phase`, span name, worker, median in seconds, spread.
type Phase = (&'static str, &'static str, Worker, f64, f64);

const UNPLANNED: [Phase; 6] = [
    ("fence", "Fence old primary", Worker::OldPrimary, 1.2, 0.7),
    ("elect", "Elect candidate", Worker::Controller, 1.0, 0.6),
    ("catchup", "Wait for WAL replay", Worker::NewPrimary, 0.35, 1.1),
    ("promote", "Promote standby", Worker::NewPrimary, 1.6, 0.5),
    ("endpoint", "Update DNS endpoint", Worker::Dns, 2.0, 0.8),
    ("verify", "Verify writes", Worker::Controller, 0.6, 0.5),
];

const PLANNED: [Phase; 6] = [
    ("elect", "Select candidate", Worker::Controller, 0.2, 0.4),
    ("fence", "Set read only", Worker::OldPrimary, 0.4, 0.5),
    ("catchup", "Wait for LSN", Worker::NewPrimary, 0.3, 0.8),
    ("promote", "Promote standby", Worker::NewPrimary, 1.1, 0.4),
    ("endpoint", "Switch endpoint", Worker::Dns, 1.2, 0.6),
    ("verify", "Verify writes", Worker::Controller, 0.3, 0.5),
];

const CAUSES: [(&str, f64); 4] = [("node_loss", 0.55), ("process_crash", 0.30), ("partition", 0.12), ("storage", 0.03)];
const PLANNED_CAUSES: [(&str, f64); 3] = [("maintenance", 0.6), ("resize", 0.25), ("user", 0.15)];

/// How a failover ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    Success,
    SecondAttempt,
    Failure,
}

impl Course {
    fn draw(scene: &mut Scene<'_>) -> Self {
        if scene.dice.chance(FAILED_SHARE) {
            Self::Failure
        } else if scene.dice.chance(RETRIED_SHARE) {
            Self::SecondAttempt
        } else {
            Self::Success
        }
    }

    const fn outcome(self) -> &'static str {
        match self {
            Self::Success | Self::SecondAttempt => "success",
            Self::Failure => "failed",
        }
    }
}

/// A primary is lost.
pub fn unplanned(scene: &mut Scene<'_>) -> Vec<EmittedSpan> {
    let instance = scene.fleet.any_replicated_instance(scene.dice);
    let cause = *scene.dice.pick_weighted(&CAUSES);
    let detect = detection_time(scene, cause);
    let mut spans = failing_checks(scene, instance, detect);
    if scene.dice.chance(MULTIGRES_SHARE) {
        spans.extend(multigres(scene, instance, detect));
        return spans;
    }
    let course = Course::draw(scene);
    let shows_detection = scene.dice.chance(DETECT_SPAN_SHARE);
    let fault = scene.start;
    let trace = if shows_detection { scene.trace() } else { scene.trace_at(detect) };
    let mut trace = trace.about(&instance.id);
    let mut at = Duration::ZERO;
    let root = root_span(&mut trace, scene, instance, "unplanned", cause, course);
    let detected = fault.saturating_add(i64::try_from(detect.as_nanos()).unwrap_or(i64::MAX));
    trace.change(root, |draft| {
        draft
            .with("dbaas.failover.fault_time", time_text(fault))
            .with("dbaas.failover.detected_time", time_text(detected))
    });
    if shows_detection {
        let controller = scene.fleet.service(instance.region, "failover-controller");
        let span = Draft::new(controller, "Detect failure").under(root).lasting(detect);
        trace.then(&mut at, span.with("dbaas.failover.phase", "detect").with("dbaas.step.kind", "wait"));
    }
    spans.extend(run(scene, instance, trace, root, at, &UNPLANNED, course));
    spans
}

/// An operator or a maintenance window moves the primary.
pub fn planned(scene: &mut Scene<'_>) -> Vec<EmittedSpan> {
    let instance = scene.fleet.any_replicated_instance(scene.dice);
    let cause = *scene.dice.pick_weighted(&PLANNED_CAUSES);
    let course = Course::draw(scene);
    let mut trace = scene.trace().about(&instance.id);
    let root = root_span(&mut trace, scene, instance, "planned", cause, course);
    run(scene, instance, trace, root, Duration::ZERO, &PLANNED, course)
}

/// A cycle of a Multigres-like controller that found nothing to do: it bears the name of a failover and is none.
pub fn recovery_cycle(scene: &mut Scene<'_>) -> Vec<EmittedSpan> {
    let instance = scene.fleet.any_replicated_instance(scene.dice);
    let controller = scene.fleet.service(instance.region, "failover-controller");
    let mut trace = scene.trace().about(&instance.id);
    let mut at = scene.around_ms(1.0, 0.5);
    let root = trace.add(Draft::new(controller, "recovery/cycle").scope("multiorch").with("shard.id", &instance.id));
    let attempt = Draft::new(controller, "recovery/attempt").scope("multiorch").under(root);
    let attempt = attempt.lasting(scene.around_ms(4.0, 0.6)).with("problem.code", "StaleLeader");
    trace.then(&mut at, attempt.with("action.name", "FixReplication").with("result", "problem_resolved"));
    trace.end(root, at);
    trace.finish()
}

fn detection_time(scene: &mut Scene<'_>, cause: &str) -> Duration {
    let secs = match cause {
        "node_loss" => scene.dice.between(20.0, 30.0) + scene.dice.between(0.0, 10.0),
        "process_crash" => scene.dice.between(1.0, 10.0) + scene.around_secs(3.0, 0.6).as_secs_f64(),
        _ => scene.dice.between(20.0, 40.0),
    };
    Duration::from_secs_f64(secs)
}

fn failing_checks(scene: &mut Scene<'_>, instance: &Instance, outage: Duration) -> Vec<EmittedSpan> {
    let mut spans = Vec::new();
    let mut at = FAILING_CHECK_PERIOD / 2;
    for _ in 0..FAILING_CHECKS_MAX {
        if at >= outage {
            break;
        }
        spans.extend(health::failing_check(scene, instance, at));
        at += FAILING_CHECK_PERIOD;
    }
    spans
}

fn root_span(
    trace: &mut TraceBuilder,
    scene: &mut Scene<'_>,
    instance: &Instance,
    trigger: &'static str,
    cause: &'static str,
    course: Course,
) -> Handle {
    let controller = scene.fleet.service(instance.region, "failover-controller");
    let name = if trigger == "planned" { "Switchover" } else { "Failover" };
    let root = about(Draft::new(controller, name), instance, "failover")
        .with("dbaas.failover.id", format!("fo-{}", scene.dice.hex(10)))
        .with("dbaas.failover.trigger", trigger)
        .with("dbaas.failover.cause", cause)
        .with("dbaas.failover.outcome", course.outcome())
        .with("dbaas.failover.old_primary", &instance.primary().pod)
        .with("dbaas.failover.new_primary", &instance.standby().pod)
        .with("cloud.region", scene.fleet.regions[instance.region].name);
    trace.add(root)
}

/// The phases, the reconcile they cause, and the rejoin of the old primary.
fn run(
    scene: &mut Scene<'_>,
    instance: &Instance,
    mut trace: TraceBuilder,
    root: Handle,
    mut at: Duration,
    phases: &[Phase],
    course: Course,
) -> Vec<EmittedSpan> {
    let controller = scene.fleet.service(instance.region, "failover-controller");
    let mut parent = root;
    if course != Course::Success {
        let attempt =
            trace.add(Draft::new(controller, "attempt 1").under(root).at(at).with("dbaas.failover.attempt", 1_i64));
        failed_attempt(scene, instance, &mut trace, attempt, &mut at, phases);
        if course == Course::Failure {
            trace.end(root, at);
            trace.change(root, |draft| draft.failed("FailoverFailed", "no standby could be promoted"));
            return trace.finish();
        }
        at += Duration::from_secs(1);
        parent =
            trace.add(Draft::new(controller, "attempt 2").under(root).at(at).with("dbaas.failover.attempt", 2_i64));
    }
    for phase in phases {
        phase_span(scene, instance, &mut trace, parent, &mut at, phase);
    }
    if parent != root {
        trace.end(parent, at);
    }
    let restored = at;
    let cause = trace.target(root);
    let mut others = reconcile::reconcile(scene, instance, offset_in_scene(scene, &trace, restored), Some(cause));

    let rejoin = scene.around_secs(40.0, 0.9);
    if scene.dice.chance(LINKED_REJOIN_SHARE) {
        let mut rejoining = scene.trace_at(offset_in_scene(scene, &trace, restored)).about(&instance.id);
        let draft = Draft::new(&instance.primary().agent, "Rejoin old primary").lasting(rejoin).link(cause);
        rejoining.add(draft.with("dbaas.instance.id", &instance.id).with("dbaas.failover.phase", "rejoin"));
        others.extend(rejoining.finish());
    } else {
        let draft = Draft::new(&instance.primary().agent, "pg_rewind old primary").under(parent).lasting(rejoin);
        trace.then(&mut at, draft.with("dbaas.failover.phase", "rejoin"));
        if parent != root {
            trace.end(parent, at);
        }
    }
    trace.end(root, at);
    let mut spans = trace.finish();
    spans.extend(others);
    spans
}

/// Offset from the scene's start of a point of `trace`.
fn offset_in_scene(scene: &Scene<'_>, trace: &TraceBuilder, at: Duration) -> Duration {
    let before = trace.start().nanos_since(scene.start);
    at + Duration::from_nanos(before.unsigned_abs())
}

/// The first phases of an attempt, up to the promotion, which fails.
fn failed_attempt(
    scene: &mut Scene<'_>,
    instance: &Instance,
    trace: &mut TraceBuilder,
    attempt: Handle,
    at: &mut Duration,
    phases: &[Phase],
) {
    let message = "standby did not reach consistent recovery state";
    for phase in phases {
        let span = phase_span(scene, instance, trace, attempt, at, phase);
        if phase.0 == "promote" {
            trace.change(span, |draft| draft.failed("PromotionFailed", message));
            break;
        }
    }
    trace.end(attempt, *at);
    trace.change(attempt, |draft| draft.status_error(message));
}

fn phase_span(
    scene: &mut Scene<'_>,
    instance: &Instance,
    trace: &mut TraceBuilder,
    parent: Handle,
    at: &mut Duration,
    &(phase, name, worker, median_secs, sigma): &Phase,
) -> Handle {
    let work = scene.around_secs(median_secs, sigma);
    let controller = scene.fleet.service(instance.region, "failover-controller");
    let step = trace.add(Draft::new(controller, name).under(parent).at(*at).with("dbaas.failover.phase", phase));
    let Some((worker, method)) = remote_worker(scene.fleet, instance, worker, phase) else {
        *at += work;
        trace.end(step, *at);
        return step;
    };
    let method = Method { from: controller, to: worker, name: method };
    call(trace, at, step, &method, work);
    trace.end(step, *at);
    step
}

fn remote_worker<'a>(
    fleet: &'a Fleet,
    instance: &'a Instance,
    worker: Worker,
    phase: &str,
) -> Option<(&'a Arc<Emitter>, &'static str)> {
    match (worker, phase) {
        (Worker::Controller, _) => None,
        (Worker::Dns, _) => Some((fleet.service(instance.region, "dns-controller"), "dbaas.dns.v1.Dns/SwitchRecord")),
        (Worker::OldPrimary, _) => Some((&instance.primary().agent, "dbaas.agent.v1.Agent/Demote")),
        (Worker::NewPrimary, "promote") => Some((&instance.standby().agent, "dbaas.agent.v1.Agent/Promote")),
        (Worker::NewPrimary, _) => Some((&instance.standby().agent, "dbaas.agent.v1.Agent/WaitForReplay")),
    }
}

/// A failover as a Multigres-like controller traces it: names with slashes, recruiting in parallel, no phase attributes.
fn multigres(scene: &mut Scene<'_>, instance: &Instance, detect: Duration) -> Vec<EmittedSpan> {
    let controller = scene.fleet.service(instance.region, "failover-controller");
    let mut trace = scene.trace_at(detect).about(&instance.id);
    let mut at = Duration::ZERO;
    let orch = |name: &'static str| Draft::new(controller, name).scope("multiorch");
    let root = orch("recovery/attempt")
        .with("shard.database", "shop")
        .with("shard.tablegroup", "default")
        .with("shard.id", &instance.id)
        .with("problem.code", "LeaderUnreachableByCohort")
        .with("entity.id", &instance.primary().pod)
        .with("action.name", "AppointLeader")
        .with("problem.priority", "emergency")
        .with("dbaas.instance.id", &instance.id)
        .with("result", "success");
    let root = trace.add(root);
    let lock = orch("TopoServer.Lock").client().under(root).lasting(scene.around_ms(40.0, 0.5));
    trace.then(&mut at, lock.with("action", "AppointLeader").with("path", format!("/shards/{}", instance.id)));

    // Every pooler is recruited at the same time; the slowest decides.
    let mut recruited = at;
    for node in &instance.nodes {
        let pooler = |name: &'static str| Draft::new(&node.agent, name).scope("multipooler");
        let stop = scene.around_secs(0.6, 0.6);
        let replay = scene.around_secs(0.4, 1.0);
        let recruit = trace.add(pooler("consensus/recruit").server().under(root).at(at).lasting(stop + replay));
        trace.add(pooler("consensus/stop-replication").under(recruit).at(at).lasting(stop));
        trace.add(pooler("consensus/replay_completion_wait").under(recruit).at(at + stop).lasting(replay));
        recruited = recruited.max(at + stop + replay);
    }
    at = recruited;
    let new_primary = |name: &'static str| Draft::new(&instance.standby().agent, name).scope("multipooler");
    let rule = trace.add(orch("consensus/rule-write").under(root).at(at));
    let ack = new_primary("consensus/standby-ack").server().under(rule).lasting(scene.around_ms(60.0, 0.6));
    trace.then(&mut at, ack.with("is_promotion", true));
    trace.end(rule, at);
    let promote = new_primary("consensus/pg-promote").server().under(root).lasting(scene.around_secs(1.6, 0.5));
    trace.then(&mut at, promote);
    let unlock = orch("TopoServer.Unlock").client().under(root).lasting(scene.around_ms(15.0, 0.4));
    trace.then(&mut at, unlock);
    trace.end(root, at);
    trace.finish()
}

/// Seconds since 1970 with a fraction, as attribute text.
fn time_text(time: UnixNanos) -> String {
    let nanos = time.as_u64();
    format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}
