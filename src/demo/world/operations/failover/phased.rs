//! Failovers as a provider's own controller traces them: one span per phase, one after the other, below a root.

use std::sync::Arc;
use std::time::Duration;

use proto::{TraceId, UnixNanos};

use super::dialect::{STYLES, Style};
use super::{Course, Plan, Told};
use crate::demo::fleet::Emitter;
use crate::demo::operations::{HOP, Method, about, call};
use crate::demo::span::{Draft, Handle, LinkTarget};
use crate::demo::world::operations::reconcile;
use crate::demo::world::pathology::Pathology;
use crate::demo::world::stage::{Script, Stage, after};
use crate::demo::world::truth::Evidence;

/// Failovers after which the old primary rejoins in a linked trace.
const LINKED_REJOIN_SHARE: f64 = 0.20;
/// Detections that are told in a linked trace and not in the failover's own.
const LINKED_DETECTION_SHARE: f64 = 0.4;
/// Second attempts that are told in a trace of their own, under the same `dbaas.failover.id`.
const APART_SHARE: f64 = 0.5;
/// The controller looks after its worker this often while it waits.
const POLL_PERIOD: Duration = Duration::from_millis(400);
const POLLS_MAX: usize = 10;
const PROMOTION_FAILED: &str = "standby did not reach a consistent recovery state";

/// The trace being told, and what is needed on every step.
struct Teller<'s, 'a> {
    stage: &'s mut Stage<'a>,
    plan: &'s Plan,
    style: Style,
    script: Script,
    root: Handle,
    /// Where steps are put: the root, an attempt, or Temporal's workflow.
    parent: Handle,
    at: Duration,
}

/// Tells the failover.
pub(super) fn tell(stage: &mut Stage<'_>, plan: &Plan, reused: Option<TraceId>) -> Told {
    let style = *stage.dice.pick_weighted(&STYLES);
    let id = format!("fo-{}", stage.dice.hex(10));
    let shows_detection = !plan.is_planned() && plan.evidence == Evidence::DetectSpan;
    let is_detected_apart = shows_detection && stage.has(Pathology::Links) && stage.dice.chance(LINKED_DETECTION_SHARE);
    let is_detected_inside = shows_detection && !is_detected_apart;
    let mut run = stage.run("failover", style.root(plan.is_planned()));
    run.dialect = style.name();
    run.run_id.clone_from(&id);
    let acted = after(stage.start, plan.before_acting());
    let mut told = Told::new(run, acted);

    let cause = is_detected_apart.then(|| detection_apart(stage, plan, style, &mut told));
    let begin = if is_detected_inside { Duration::ZERO } else { plan.before_acting() };
    let mut teller = Teller::begin(stage, plan, style, begin, &id, reused);
    told.main = Some(teller.script.trace.trace_id());
    told.run.start_unix_nano = teller.script.trace.start();
    if let Some(cause) = cause {
        let root = teller.root;
        teller.script.trace.change(root, |draft| draft.link(cause));
    }
    if is_detected_inside {
        teller.detection();
    }
    told.run.t_unix_nano[2] = Some(acted);
    match plan.course {
        Course::Success => {}
        Course::SecondAttempt => {
            teller.attempt(1);
            teller.failing_phases(&mut told);
            if teller.stage.dice.chance(APART_SHARE) && style != Style::Temporal {
                teller = teller.begin_again(&id, &mut told);
            } else {
                teller.at += Duration::from_secs_f64(teller.stage.dice.between(0.5, 3.0));
            }
            teller.attempt(2);
        }
        Course::RolledBack => {
            teller.failing_phases(&mut told);
            teller.roll_back(&mut told);
            teller.finish(&mut told);
            return told;
        }
        Course::Failure => {
            teller.failing_phases(&mut told);
            told.over = teller.now();
            teller.fail();
            teller.finish(&mut told);
            return told;
        }
    }
    teller.phases(&mut told);
    teller.rejoin(&mut told);
    told
}

/// A trace of the monitor's that covers the detection, and to which the failover links.
fn detection_apart(stage: &mut Stage<'_>, plan: &Plan, style: Style, told: &mut Told) -> LinkTarget {
    let monitor = stage.fleet.service(stage.instance().region, "health-monitor");
    let mut script = stage.script(Duration::ZERO);
    let name = if style == Style::Temporal { "DetectFailure".into() } else { style.phase("detect", stage.dice) };
    let mut at = Duration::ZERO;
    let draft = Draft::new(monitor, name).lasting(plan.detect).with("dbaas.failover.phase", "detect");
    let span = script.phase(&mut at, "detect", draft.with("dbaas.step.kind", "wait"));
    let target = script.target(span);
    told.take(script);
    target
}

impl<'s, 'a> Teller<'s, 'a> {
    fn begin(
        stage: &'s mut Stage<'a>,
        plan: &'s Plan,
        style: Style,
        begin: Duration,
        id: &str,
        reused: Option<TraceId>,
    ) -> Self {
        let mut script = stage.script(begin);
        if let Some(trace_id) = reused {
            script.trace = script.trace.in_trace(trace_id);
        }
        let instance = stage.instance();
        let name = style.root(plan.is_planned());
        let service = if style == Style::Temporal { "workflow-engine" } else { "failover-controller" };
        let emitter = stage.fleet.service(instance.region, service);
        let mut root = about(Draft::new(emitter, name), instance, "failover")
            .with("dbaas.failover.id", id)
            .with("dbaas.failover.trigger", plan.trigger)
            .with("dbaas.failover.cause", plan.cause)
            .with("dbaas.failover.old_primary", &instance.primary().pod)
            .with("dbaas.failover.new_primary", &instance.standby().pod)
            .with("cloud.region", stage.fleet.regions[instance.region].name)
            .with("cloud.availability_zone", instance.primary().zone);
        if !plan.is_planned() && plan.evidence == Evidence::Attribute {
            root = root
                .with("dbaas.failover.fault_time", time_text(stage.start))
                .with("dbaas.failover.detected_time", time_text(after(stage.start, plan.detect)));
        }
        let mut parent = script.trace.add(root);
        let top = parent;
        if style == Style::Temporal {
            script
                .trace
                .change(top, |draft| draft.client().scope("temporal-sdk-go").lasting(Duration::from_millis(25)));
            let workflow = name.replace("StartWorkflow", "RunWorkflow");
            let run = Draft::new(emitter, workflow).scope("temporal-sdk-go").server().under(top).at(HOP);
            let workflow_id = format!("failover-{id}");
            parent =
                script.trace.add(run.with("temporalWorkflowID", workflow_id).with("temporalRunID", stage.dice.hex(32)));
        }
        Self { stage, plan, style, script, root: top, parent, at: 2 * HOP }
    }

    fn now(&self) -> UnixNanos {
        self.script.time(self.at)
    }

    fn controller(&self) -> &'a Arc<Emitter> {
        let service = if self.style == Style::Temporal { "workflow-engine" } else { "failover-controller" };
        self.stage.fleet.service(self.stage.instance().region, service)
    }

    fn draft(&mut self, phase: &'static str) -> Draft {
        let draft = Draft::new(self.controller(), self.style.phase(phase, self.stage.dice)).under(self.parent);
        match self.style {
            Style::Attributes => draft.with("dbaas.failover.phase", phase),
            Style::Names => draft,
            Style::Temporal => draft.server().scope("temporal-sdk-go"),
        }
    }

    /// The detection, from the fault on, in which the trace starts.
    fn detection(&mut self) {
        let detect = self.plan.detect;
        let draft = self.draft("detect").at(Duration::ZERO).lasting(detect).with("dbaas.step.kind", "wait");
        let span = self.script.trace.add(draft);
        self.script.mark(span, "detect");
        self.at = self.plan.before_acting();
    }

    fn attempt(&mut self, number: i64) {
        if self.style == Style::Temporal {
            return;
        }
        let draft = Draft::new(self.controller(), format!("attempt {number}")).under(self.root).at(self.at);
        self.parent = self.script.trace.add(draft.with("dbaas.failover.attempt", number));
    }

    /// Ends this trace as failed and goes on in another one.
    fn begin_again(mut self, id: &str, told: &mut Told) -> Self {
        self.fail();
        let (stage, plan, style) = (self.stage, self.plan, self.style);
        let offset = self.at + Duration::from_nanos(self.script.trace.start().nanos_since(stage.start).unsigned_abs());
        told.take(self.script);
        let pause = Duration::from_secs_f64(stage.dice.between(1.0, 20.0));
        Self::begin(stage, plan, style, offset + pause, id, None)
    }

    /// One phase with the work that the controller has others do.
    fn step(&mut self, phase: &'static str, work: Duration) -> Handle {
        let draft = self.draft(phase).at(self.at);
        let step = self.script.trace.add(draft);
        self.script.mark(step, phase);
        let start = self.at;
        match self.worker(phase) {
            Some((worker, name)) => {
                let method = Method { from: self.controller(), to: worker, name };
                call(&mut self.script.trace, &mut self.at, step, &method, work);
            }
            None => self.at += work,
        }
        self.script.trace.end(step, self.at);
        if matches!(phase, "promote" | "endpoint") {
            self.polls(step, start);
        }
        step
    }

    fn polls(&mut self, step: Handle, start: Duration) {
        let operator = self.stage.fleet.service(self.stage.instance().region, "k8s-operator");
        let mut at = start + POLL_PERIOD;
        for _ in 0..POLLS_MAX {
            let lasting = self.stage.millis(9.0, 0.5);
            if at + lasting >= self.at {
                break;
            }
            let poll = Draft::new(operator, "GET /api/v1/namespaces/{:namespace}/pods/{:name}").client().under(step);
            self.script.trace.add(poll.at(at).lasting(lasting).with("http.response.status_code", 200_i64));
            at += POLL_PERIOD;
        }
    }

    fn worker(&self, phase: &str) -> Option<(&'a Arc<Emitter>, &'static str)> {
        let instance = self.stage.instance();
        match phase {
            "fence" => Some((&instance.primary().agent, "dbaas.agent.v1.Agent/Demote")),
            "catchup" => Some((&instance.standby().agent, "dbaas.agent.v1.Agent/WaitForReplay")),
            "promote" => Some((&instance.standby().agent, "dbaas.agent.v1.Agent/Promote")),
            "endpoint" => {
                Some((self.stage.fleet.service(instance.region, "dns-controller"), "dbaas.dns.v1.Dns/SwitchRecord"))
            }
            _ => None,
        }
    }

    /// From the first phase to the end of the catch-up. A planned failover chooses before it stops writes.
    fn first_phases(&mut self, told: &mut Told) {
        let plan = *self.plan;
        let order = if plan.is_planned() {
            [("elect", plan.elect), ("fence", plan.fence)]
        } else {
            [("fence", plan.fence), ("elect", plan.elect)]
        };
        for (phase, work) in order {
            if phase == "fence" && plan.is_planned() && told.run.writes_stopped_unix_nano.is_none() {
                told.run.writes_stopped_unix_nano = Some(self.now());
            }
            self.step(phase, work);
            let now = self.now();
            match phase {
                "fence" => told.run.t_unix_nano[3] = told.run.t_unix_nano[3].or(Some(now)),
                _ => told.run.t_unix_nano[4] = Some(now),
            }
            self.at += self.stage.gap();
        }
        self.step("catchup", plan.catchup);
        self.at += self.stage.gap();
    }

    /// An attempt up to the promotion, which fails.
    fn failing_phases(&mut self, told: &mut Told) {
        self.first_phases(told);
        let promote = self.step("promote", self.plan.promote);
        self.script.trace.change(promote, |draft| draft.failed("PromotionFailed", PROMOTION_FAILED));
        if self.parent != self.root && self.style != Style::Temporal {
            self.script.trace.end(self.parent, self.at);
            self.script.trace.change(self.parent, |draft| draft.status_error(PROMOTION_FAILED));
        }
        self.parent = if self.style == Style::Temporal { self.parent } else { self.root };
    }

    /// All phases, up to clients that can write.
    fn phases(&mut self, told: &mut Told) {
        let plan = *self.plan;
        self.first_phases(told);
        self.step("promote", plan.promote);
        told.run.t_unix_nano[5] = Some(self.now());
        self.repoint_others();
        self.at += self.stage.gap();
        self.step("endpoint", plan.endpoint);
        told.run.t_unix_nano[6] = Some(self.now());
        self.at += self.stage.gap();
        self.step("verify", plan.verify);
        told.run.t_unix_nano[7] = Some(self.now());
        told.over = self.now();
    }

    /// A third node follows the new primary while the endpoint is switched.
    fn repoint_others(&mut self) {
        for node in self.stage.instance().nodes.iter().skip(2) {
            let work = self.stage.secs(1.2, 0.6);
            let draft = Draft::new(&node.agent, "RepointReplica").server().under(self.parent).at(self.at).lasting(work);
            let draft =
                if self.style == Style::Attributes { draft.with("dbaas.failover.phase", "rejoin") } else { draft };
            let span = self.script.trace.add(draft);
            self.script.mark(span, "rejoin");
        }
    }

    /// The old primary serves again.
    fn roll_back(&mut self, told: &mut Told) {
        self.at += self.stage.gap();
        let undo = self.stage.secs(1.5, 0.5);
        let agent = &self.stage.instance().primary().agent;
        let draft = Draft::new(agent, "UndoDemotePrimary").server().under(self.parent).lasting(undo);
        let draft = draft.with("dbaas.failover.phase", "promote");
        self.script.phase(&mut self.at, "promote", draft);
        self.at += self.stage.gap();
        self.step("verify", self.plan.verify);
        told.run.t_unix_nano[7] = Some(self.now());
        told.over = self.now();
        let root = self.root;
        self.script
            .trace
            .change(root, |draft| draft.with("dbaas.failover.outcome", "rolled_back").status_error("rolled back"));
    }

    fn fail(&mut self) {
        let (root, parent, at) = (self.root, self.parent, self.at);
        if self.style != Style::Temporal {
            self.script.trace.end(root, at);
        }
        self.script.trace.end(parent, at);
        let failed = |draft: Draft| draft.failed("FailoverFailed", "no standby could be promoted");
        self.script.trace.change(root, |draft| failed(draft).with("dbaas.failover.outcome", "failed"));
        if parent != root {
            self.script.trace.change(parent, failed);
        }
    }

    /// The old primary comes back, or does not, while clients write again; then all is over.
    fn rejoin(mut self, told: &mut Told) {
        let root = self.root;
        self.script.trace.change(root, |draft| draft.with("dbaas.failover.outcome", "success"));
        let is_linked = self.stage.has(Pathology::Links) && self.stage.dice.chance(LINKED_REJOIN_SHARE);
        let (rejoins, work) = (self.plan.rejoins, self.plan.rejoin);
        let outcome = |draft: Draft| {
            if rejoins {
                draft
            } else {
                draft.failed("RejoinFailed", "old primary has diverged, and rewinding it failed")
            }
        };
        let restored = self.at;
        let cause = self.script.target(root);
        let agent = &self.stage.instance().primary().agent;
        if is_linked {
            let offset = Duration::from_nanos(self.now().nanos_since(self.stage.start).unsigned_abs());
            let mut script = self.stage.script(offset);
            let draft = outcome(Draft::new(agent, "Rejoin old primary").lasting(work)).link(cause);
            let mut at = Duration::ZERO;
            script.phase(&mut at, "rejoin", draft.with("dbaas.failover.phase", "rejoin"));
            told.take(script);
        } else {
            let draft = self.draft("rejoin");
            let draft = outcome(draft.at(restored).lasting(work));
            let span = self.script.trace.add(draft);
            self.script.mark(span, "rejoin");
            self.at += work;
        }
        let redundant = self.script.time(restored + work);
        told.run.t_unix_nano[8] = rejoins.then_some(redundant);
        self.finish(told);
        told.end = told.end.max(redundant);
    }

    fn finish(mut self, told: &mut Told) {
        let parent = self.parent;
        self.script.trace.end(parent, self.at);
        if self.style != Style::Temporal {
            self.script.trace.end(self.root, self.at);
        }
        let end = self.now();
        told.end = end;
        let cause = self.script.target(self.root);
        let linked = reconcile::caused(self.stage, end, cause);
        told.take(self.script);
        told.spans.extend(linked);
    }
}

/// Seconds since 1970 with a fraction, as attribute text.
fn time_text(time: UnixNanos) -> String {
    let nanos = time.as_u64();
    format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}
