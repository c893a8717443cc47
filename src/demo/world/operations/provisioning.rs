//! `CreateInstance`, as the control plane traces it or as Temporal's SDK does.

use std::sync::Arc;
use std::time::Duration;

use super::reconcile;
use crate::demo::fleet::{CANARY_REGION, Emitter};
use crate::demo::operations::{HOP, about};
use crate::demo::span::{Draft, Handle};
use crate::demo::world::pathology::Pathology;
use crate::demo::world::stage::{Made, Script, Stage};
use crate::demo::world::truth::Outcome;

const FAILED_SHARE: f64 = 0.03;
/// Creations that are told by Temporal's spans.
const TEMPORAL_SHARE: f64 = 0.15;
/// Controllers that crash in the middle.
const CRASH_SHARE: f64 = 0.02;
/// Pods that wait for an image or a volume.
const SLOW_POD_SHARE: f64 = 0.06;
const SLOW_POD: Duration = Duration::from_secs(70);
/// Pods that cannot be scheduled until somebody makes room.
const UNSCHEDULABLE_SHARE: f64 = 0.01;
const UNSCHEDULABLE: Duration = Duration::from_secs(600);
/// A pod that is not ready by then never will be.
const POD_DEADLINE: Duration = Duration::from_secs(600);
/// The step that a deploy made slower, and by how much.
pub(in crate::demo::world) const REGRESSED_STEP: &str = "wait_pod_ready";
pub(in crate::demo::world) const REGRESSION_FACTOR: f64 = 1.35;
/// Whoever waits looks this often, and tells so many times.
const POLL_PERIOD: Duration = Duration::from_millis(700);
const POLLS_MAX: usize = 250;

/// What goes wrong: step, exception, message, how often.
const FAILURES: [((&str, &str, &str), f64); 4] = [
    ((REGRESSED_STEP, "Timeout", "pod was not ready within 600s"), 0.40),
    (("quota_check", "QuotaExceeded", "tenant may have 20 instances and has 20"), 0.20),
    (("schedule_placement", "NoCapacity", "no node pool in the region has room for this plan"), 0.30),
    (("initdb", "CommandFailed", "initdb: could not create directory: No space left on device"), 0.10),
];

/// Step, the step around it, service, median in seconds, spread. In this order; a step around others has no time of its own.
type Step = (&'static str, Option<&'static str>, &'static str, f64, f64);

const STEPS: [Step; 12] = [
    ("api_validation", None, "control-api", 0.12, 0.4),
    ("quota_check", None, "control-api", 0.05, 0.5),
    ("schedule_placement", None, "scheduler", 0.4, 0.6),
    ("allocate_resources", None, "provisioner", 0.0, 0.0),
    ("create_pvc", Some("allocate_resources"), "k8s-operator", 3.2, 0.5),
    ("create_statefulset", Some("allocate_resources"), "k8s-operator", 0.6, 0.4),
    (REGRESSED_STEP, Some("allocate_resources"), "k8s-operator", 36.0, 0.3),
    ("initialize_database", None, "provisioner", 0.0, 0.0),
    ("initdb", Some("initialize_database"), "agent", 9.0, 0.4),
    ("apply_config", Some("initialize_database"), "agent", 2.1, 0.4),
    ("create_users", Some("initialize_database"), "agent", 1.2, 0.4),
    ("replication_setup", None, "agent", 20.5, 0.5),
];
const LAST_STEP: Step = ("register_endpoints", None, "dns-controller", 4.0, 0.6);

/// A new instance.
pub(in crate::demo::world) fn create_instance(stage: &mut Stage<'_>) -> Made {
    let is_temporal = stage.dice.chance(TEMPORAL_SHARE);
    let share = stage.error_share(FAILED_SHARE);
    let failure = stage.dice.chance(share).then(|| *stage.dice.pick_weighted(&FAILURES));
    let crashes = stage.has(Pathology::RootNever) && stage.dice.chance(CRASH_SHARE);
    let name = if is_temporal { "StartWorkflow:CreateInstance" } else { "CreateInstance" };
    let instance = stage.instance();
    let request_id = stage.dice.hex(16);
    let mut run = stage.run("provisioning", name);
    run.run_id.clone_from(&request_id);
    run.dialect = if is_temporal { "temporal" } else { "generic" };

    let mut script = stage.script(Duration::ZERO);
    let control = stage.fleet.service(instance.region, "control-api");
    let root = about(Draft::new(control, name).server(), instance, "create_instance");
    let root = script.trace.add(root.with("dbaas.request.id", &request_id));
    let mut course = Course { script, at: HOP, parent: root, is_temporal, failure: failure.map(|(step, ..)| step) };
    if is_temporal {
        course.begin_workflow(stage, root);
    }
    let completed = course.steps(stage);
    let Course { mut script, at, parent, .. } = course;
    script.trace.end(parent, at);
    let succeeded = completed || failure.is_none();
    if let (false, Some((_, kind, message))) = (succeeded, failure) {
        run.outcome = Outcome::Failed;
        script.trace.change(parent, |draft| draft.failed(kind, message));
        script.trace.change(root, |draft| draft.with("dbaas.operation.outcome", "failed").status_error(message));
    } else {
        script.trace.change(root, |draft| draft.with("dbaas.operation.outcome", "success"));
    }
    let lived = if crashes { at.mul_f64(stage.dice.between(0.1, 0.9)) } else { at };
    let end = script.time(lived);
    run.end_unix_nano = Some(end);
    run.attribute(&script.marks(), end);
    let cause = script.target(root);
    let mut spans = script.finish();
    if crashes {
        // What was open when the controller died was never sent, nor was anything done after.
        spans.retain(|emitted| emitted.span.end_time_unix_nano <= end.as_u64());
        run.outcome = Outcome::Lost;
    } else {
        spans.extend(reconcile::caused(stage, end, cause));
    }
    let mut made = Made::run(run, None, spans);
    if crashes {
        made.pathologies.push(Pathology::RootNever);
    }
    made
}

/// The trace so far.
struct Course {
    script: Script,
    at: Duration,
    parent: Handle,
    is_temporal: bool,
    failure: Option<&'static str>,
}

impl Course {
    fn begin_workflow(&mut self, stage: &mut Stage<'_>, root: Handle) {
        let instance = stage.instance();
        let engine = stage.fleet.service(instance.region, "workflow-engine");
        self.script
            .trace
            .change(root, |draft| draft.client().scope("temporal-sdk-go").lasting(Duration::from_millis(20)));
        let workflow_id = format!("create-{}", instance.id);
        let run =
            Draft::new(engine, "RunWorkflow:CreateInstance").scope("temporal-sdk-go").server().under(root).at(HOP);
        let run = run.with("temporalWorkflowID", workflow_id).with("temporalRunID", stage.dice.hex(32));
        self.parent = self.script.trace.add(run);
        self.at = 2 * HOP;
    }

    /// All steps; false when one failed, which ends the operation.
    fn steps(&mut self, stage: &mut Stage<'_>) -> bool {
        let mut around: Option<(&'static str, Handle)> = None;
        for step in STEPS.iter().chain([&LAST_STEP]) {
            let (name, outer, service, median_secs, sigma) = *step;
            if let Some((outer_name, handle)) = around
                && outer != Some(outer_name)
            {
                self.script.trace.end(handle, self.at);
                around = None;
            }
            let parent = around.map_or(self.parent, |(_, handle)| handle);
            if median_secs == 0.0 {
                let handle = self.open(stage, name, service, parent);
                around = Some((name, handle));
                continue;
            }
            let work = self.work(stage, name, median_secs, sigma);
            let handle = self.open(stage, name, service, parent);
            let start = self.at;
            self.at += work;
            self.script.trace.end(handle, self.at);
            if matches!(name, REGRESSED_STEP | "replication_setup") {
                self.polls(stage, handle, start);
                self.script.trace.change(handle, |draft| draft.with("dbaas.step.kind", "wait"));
            }
            if self.failure == Some(name) {
                self.fail(handle, around);
                return false;
            }
            self.at += stage.millis(120.0, 0.5);
        }
        true
    }

    fn open(&mut self, stage: &Stage<'_>, name: &'static str, service: &'static str, parent: Handle) -> Handle {
        let emitter = emitter_of(stage, name, service);
        let handle = if self.is_temporal {
            let engine = stage.fleet.service(stage.instance().region, "workflow-engine");
            let start = Draft::new(engine, format!("StartActivity:{name}")).scope("temporal-sdk-go").client();
            self.script.trace.add(start.under(parent).at(self.at).lasting(Duration::from_millis(3)));
            let run = Draft::new(emitter, format!("RunActivity:{name}")).scope("temporal-sdk-go").server();
            self.script.trace.add(run.under(parent).at(self.at))
        } else {
            self.script.trace.add(Draft::new(emitter, name).server().under(parent).at(self.at))
        };
        self.script.mark(handle, name);
        handle
    }

    fn work(&self, stage: &mut Stage<'_>, name: &str, median_secs: f64, sigma: f64) -> Duration {
        let mut work = stage.secs(median_secs, sigma);
        if name != REGRESSED_STEP {
            return work;
        }
        if stage.instance().region == CANARY_REGION && stage.start >= stage.habits.regression_since {
            work = work.mul_f64(REGRESSION_FACTOR);
        }
        if self.failure == Some(name) {
            POD_DEADLINE
        } else if stage.dice.chance(SLOW_POD_SHARE) {
            work + SLOW_POD
        } else if stage.dice.chance(UNSCHEDULABLE_SHARE) {
            work + UNSCHEDULABLE
        } else {
            work
        }
    }

    fn polls(&mut self, stage: &mut Stage<'_>, wait: Handle, start: Duration) {
        let operator = stage.fleet.service(stage.instance().region, "k8s-operator");
        let mut at = start + POLL_PERIOD;
        for _ in 0..POLLS_MAX {
            let lasting = stage.millis(9.0, 0.5);
            if at + lasting >= self.at {
                break;
            }
            let poll = Draft::new(operator, "GET /api/v1/namespaces/{:namespace}/pods/{:name}").client().under(wait);
            self.script.trace.add(poll.at(at).lasting(lasting).with("http.response.status_code", 200_i64));
            at += POLL_PERIOD;
        }
    }

    fn fail(&mut self, step: Handle, around: Option<(&'static str, Handle)>) {
        let failure = FAILURES.iter().map(|(failure, _)| failure).find(|(name, ..)| self.failure == Some(*name));
        if let Some((_, kind, message)) = failure {
            self.script.trace.change(step, |draft| draft.failed(kind, message));
            if let Some((_, handle)) = around {
                self.script.trace.end(handle, self.at);
                self.script.trace.change(handle, |draft| draft.status_error(message));
            }
        }
    }
}

fn emitter_of<'a>(stage: &Stage<'a>, step: &str, service: &str) -> &'a Arc<Emitter> {
    let instance = stage.instance();
    match (service, step) {
        ("agent", "replication_setup") => &instance.standby().agent,
        ("agent", _) => &instance.primary().agent,
        _ => stage.fleet.service(instance.region, service),
    }
}
