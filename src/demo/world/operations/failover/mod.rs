//! Failovers: what happens to the database is drawn first ([`Plan`]), then told in the way of one controller.
//!
//! The controller's span begins when it acts; the fault lies before, and what tells of it ([`Evidence`]) differs.

mod dialect;
mod multigres;
mod phased;
mod vitess;

use std::time::Duration;

use proto::UnixNanos;

use super::health;
use crate::demo::fleet::Engine;
use crate::demo::span::EmittedSpan;
use crate::demo::world::pathology::Pathology;
use crate::demo::world::stage::{Made, Outage, Script, Stage, after};
use crate::demo::world::sweep::Mark;
use crate::demo::world::truth::{Evidence, Outcome, RunTruth};

const FAILED_SHARE: f64 = 0.03;
const ROLLED_BACK_SHARE: f64 = 0.02;
const RETRIED_SHARE: f64 = 0.08;
/// Old primaries that do not come back by themselves.
const REJOIN_FAILED_SHARE: f64 = 0.12;
/// Reverse proxies and clients that hold on to an old address.
const STALE_DNS_SHARE: f64 = 0.04;
/// Standbys that have much to replay.
const LONG_CATCHUP_SHARE: f64 = 0.03;
/// Failovers of PostgreSQL and MySQL that are told by Multigres' and Vitess' own spans.
const NATIVE_SHARE: f64 = 0.30;
/// In a lost zone the controllers work off what they have to do within so many seconds.
const LOST_ZONE_QUEUE_SECS: f64 = 90.0;

const CAUSES: [(&str, f64); 3] = [("node_loss", 0.55), ("process_crash", 0.30), ("partition", 0.15)];
const PLANNED_CAUSES: [(&str, f64); 3] = [("maintenance", 0.6), ("resize", 0.25), ("user", 0.15)];
const EVIDENCE: [(Evidence, f64); 4] =
    [(Evidence::Attribute, 0.35), (Evidence::DetectSpan, 0.25), (Evidence::HealthChecks, 0.30), (Evidence::None, 0.10)];

/// What befalls a failover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    Success,
    SecondAttempt,
    RolledBack,
    Failure,
}

/// A failover before anybody has told of it. Times follow each other in this order, with gaps between them.
#[derive(Debug, Clone, Copy)]
pub(in crate::demo::world) struct Plan {
    pub(super) trigger: &'static str,
    pub(super) cause: &'static str,
    pub(super) course: Course,
    pub(super) evidence: Evidence,
    /// From the fault until it is known; zero in a planned one.
    pub(super) detect: Duration,
    /// From there until the controller acts.
    pub(super) act: Duration,
    pub(super) fence: Duration,
    pub(super) elect: Duration,
    pub(super) catchup: Duration,
    pub(super) promote: Duration,
    pub(super) endpoint: Duration,
    pub(super) verify: Duration,
    pub(super) rejoin: Duration,
    pub(super) rejoins: bool,
}

impl Plan {
    /// A primary is lost.
    pub(in crate::demo::world) fn unplanned(stage: &mut Stage<'_>) -> Self {
        let cause = *stage.dice.pick_weighted(&CAUSES);
        Self::of_cause(stage, cause)
    }

    /// The primary is lost with its zone; the controllers have a queue.
    pub(in crate::demo::world) fn of_lost_zone(stage: &mut Stage<'_>) -> Self {
        let queue = Duration::from_secs_f64(stage.dice.between(0.0, LOST_ZONE_QUEUE_SECS));
        let plan = Self::of_cause(stage, "az_outage");
        Self { act: plan.act + queue, ..plan }
    }

    fn of_cause(stage: &mut Stage<'_>, cause: &'static str) -> Self {
        let detect = match cause {
            "process_crash" => stage.dice.between(1.0, 10.0) + stage.secs(3.0, 0.6).as_secs_f64(),
            "partition" => stage.dice.between(10.0, 20.0) + 10.0 + stage.dice.between(0.0, 10.0),
            _ => stage.dice.between(20.0, 30.0) + stage.dice.between(0.0, 10.0),
        };
        let mut catchup = stage.secs(0.35, 1.1);
        if stage.dice.chance(LONG_CATCHUP_SHARE) {
            catchup += stage.secs(45.0, 0.6);
        }
        let mut endpoint = stage.secs(2.0, 0.8);
        if stage.dice.chance(STALE_DNS_SHARE) {
            endpoint += stage.secs(25.0, 0.5);
        }
        Self {
            trigger: "unplanned",
            cause,
            course: Course::draw(stage),
            evidence: *stage.dice.pick_weighted(&EVIDENCE),
            detect: Duration::from_secs_f64(detect),
            act: stage.secs(0.2, 0.6),
            fence: if cause == "partition" { stage.secs(6.0, 0.6) } else { stage.secs(1.2, 0.7) },
            elect: stage.secs(1.0, 0.6),
            catchup,
            promote: stage.secs(1.6, 0.5),
            endpoint,
            verify: stage.secs(0.6, 0.5),
            rejoin: stage.secs(40.0, 0.9),
            rejoins: !stage.dice.chance(REJOIN_FAILED_SHARE),
        }
    }

    /// An operator or a maintenance window moves the primary.
    pub(in crate::demo::world) fn planned(stage: &mut Stage<'_>) -> Self {
        Self {
            trigger: "planned",
            cause: stage.dice.pick_weighted::<&'static str>(&PLANNED_CAUSES),
            course: Course::draw(stage),
            evidence: Evidence::None,
            detect: Duration::ZERO,
            act: Duration::ZERO,
            elect: stage.secs(0.2, 0.4),
            fence: stage.secs(0.4, 0.5),
            catchup: stage.secs(0.3, 0.8),
            promote: stage.secs(1.1, 0.4),
            endpoint: stage.secs(1.2, 0.6),
            verify: stage.secs(0.3, 0.5),
            rejoin: stage.secs(15.0, 0.7),
            rejoins: true,
        }
    }

    pub(super) fn is_planned(&self) -> bool {
        self.trigger == "planned"
    }

    /// From the fault until the controller acts.
    pub(super) fn before_acting(&self) -> Duration {
        self.detect + self.act
    }
}

impl Course {
    fn draw(stage: &mut Stage<'_>) -> Self {
        let draw = stage.dice.between(0.0, 1.0);
        if draw < FAILED_SHARE {
            Self::Failure
        } else if draw < FAILED_SHARE + ROLLED_BACK_SHARE {
            Self::RolledBack
        } else if draw < FAILED_SHARE + ROLLED_BACK_SHARE + RETRIED_SHARE && stage.has(Pathology::Retries) {
            Self::SecondAttempt
        } else {
            Self::Success
        }
    }

    pub(super) const fn outcome(self) -> Outcome {
        match self {
            Self::Success | Self::SecondAttempt => Outcome::Success,
            Self::RolledBack => Outcome::RolledBack,
            Self::Failure => Outcome::Failed,
        }
    }
}

/// What a controller has told of a failover.
pub(super) struct Told {
    spans: Vec<EmittedSpan>,
    /// The trace that comes first.
    main: Option<proto::TraceId>,
    marks: Vec<Mark>,
    run: RunTruth,
    /// End of all work, of linked traces too.
    end: UnixNanos,
    /// When clients can write again, or nobody tries any more.
    over: UnixNanos,
}

impl Told {
    /// Nothing yet; the controller acts at `acted`.
    fn new(run: RunTruth, acted: UnixNanos) -> Self {
        Self { spans: Vec::new(), main: None, marks: Vec::new(), run, end: acted, over: acted }
    }

    /// Takes over a trace that is finished.
    fn take(&mut self, script: Script) {
        self.marks.extend(script.marks());
        self.spans.extend(script.finish());
    }
}

/// The failover of a plan, which starts with its fault, or when it is planned with the controller's acting. `reused` is the
/// trace id under which it is told, if not under one of its own.
pub(in crate::demo::world) fn failover(stage: &mut Stage<'_>, plan: &Plan, reused: Option<proto::TraceId>) -> Made {
    let engine = stage.instance().engine;
    let is_tellable = match engine {
        // Multigres knows no undoing.
        Engine::Postgresql => plan.course != Course::RolledBack,
        Engine::Mysql => true,
        Engine::Mongodb => false,
    };
    let is_native = reused.is_none() && is_tellable && stage.dice.chance(NATIVE_SHARE);
    // These controllers say nothing of the fault, and try again in traces of their own.
    let native = Plan {
        evidence: match plan.evidence {
            Evidence::Attribute | Evidence::DetectSpan => Evidence::HealthChecks,
            other => other,
        },
        ..*plan
    };
    let told = match engine {
        Engine::Postgresql if is_native => multigres::tell(stage, &native),
        Engine::Mysql if is_native => vitess::tell(stage, &native),
        _ => phased::tell(stage, plan, reused),
    };
    conclude(stage, if is_native { &native } else { plan }, told)
}

fn conclude(stage: &mut Stage<'_>, plan: &Plan, told: Told) -> Made {
    let Told { spans, main, marks, mut run, end, over } = told;
    run.trigger = Some(plan.trigger);
    run.cause = Some(plan.cause);
    run.outcome = plan.course.outcome();
    run.attempts = if plan.course == Course::SecondAttempt { 2 } else { 1 };
    run.end_unix_nano = Some(end);
    let mut outage = None;
    if !plan.is_planned() {
        let fault = stage.start;
        run.t_unix_nano[0] = Some(fault);
        run.t_unix_nano[1] = Some(after(fault, plan.detect));
        run.writes_stopped_unix_nano = Some(fault);
        run.evidence = Some(plan.evidence);
        run.evidence_unix_nano = match plan.evidence {
            Evidence::Attribute | Evidence::DetectSpan => Some(fault),
            Evidence::HealthChecks | Evidence::None => None,
        };
        outage = Some(Outage { from: fault, to: over, is_silent: plan.evidence == Evidence::None });
    }
    run.attribute_failover(&marks, over);
    let mut checks = Vec::new();
    if !plan.is_planned() && plan.evidence != Evidence::None {
        let around = health::around_outage(stage, over);
        if plan.evidence == Evidence::HealthChecks {
            run.evidence_unix_nano = Some(around.first_failure);
        }
        checks = around.spans;
    }
    let mut made = Made::run(run, main, spans);
    made.beside = checks;
    made.outage = outage;
    made.is_promoted = plan.course.outcome() == Outcome::Success;
    if plan.course == Course::SecondAttempt {
        made.pathologies.push(Pathology::Retries);
    }
    made
}
