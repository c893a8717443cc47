//! `CreateInstance` as it varies from day to day; the fixed one is in [`crate::demo::reference`].

use std::time::Duration;

use super::{Method, Scene, about, call, reconcile};
use crate::demo::fleet::{CANARY_REGION, Instance};
use crate::demo::span::{Draft, EmittedSpan, Handle, TraceBuilder};

/// Creations that fail. Several times the model's 3 %, so that a demo has one to show.
const FAILED_SHARE: f64 = 0.10;
/// Pods that wait for an image or a volume for another 70 s.
const SLOW_POD_SHARE: f64 = 0.06;
const SLOW_POD: Duration = Duration::from_secs(70);
/// How much slower pods get ready in the canary region: the regression that a reader should be able to find.
const CANARY_SLOWDOWN: f64 = 1.35;
/// The operator looks at the pod this often while it waits.
const POLL_PERIOD: Duration = Duration::from_secs(5);
/// Polls that are recorded; later ones are left out, as a sensible operator does.
const POLLS_MAX: usize = 12;

/// What goes wrong: step, exception, message, how often.
const FAILURES: [((&str, &str, &str), f64); 4] = [
    (("Quota check", "QuotaExceeded", "tenant may have 20 instances and has 20"), 0.2),
    (("Schedule placement", "NoCapacity", "no node pool in the region has room for this plan"), 0.3),
    (("Wait for Pod ready", "Timeout", "pod was not ready within 600s"), 0.4),
    (("initdb", "CommandFailed", "initdb: could not create directory: No space left on device"), 0.1),
];

/// A new instance, about 85 s.
pub fn create_instance(scene: &mut Scene<'_>) -> Vec<EmittedSpan> {
    let fleet = scene.fleet;
    let instance = fleet.any_instance(scene.dice);
    let failure = scene.dice.chance(FAILED_SHARE).then(|| *scene.dice.pick_weighted(&FAILURES));
    let control = fleet.service(instance.region, "control-api");
    let mut trace = scene.trace().about(&instance.id);
    let root = about(Draft::new(control, "CreateInstance").server(), instance, "create_instance");
    let root = trace.add(root.with("dbaas.request.id", scene.dice.hex(16)));
    let mut course = Course { trace, at: Duration::ZERO, failure: failure.map(|(step, ..)| step) };
    let completed = steps(scene, instance, &mut course, root);

    let Course { mut trace, at, .. } = course;
    trace.end(root, at);
    let cause = trace.target(root);
    if let (false, Some((_, kind, message))) = (completed, failure) {
        trace.change(root, |draft| draft.with("dbaas.operation.outcome", "failed").failed(kind, message));
    } else {
        trace.change(root, |draft| draft.with("dbaas.operation.outcome", "success"));
    }
    let mut spans = trace.finish();
    spans.extend(reconcile::reconcile(scene, instance, at, Some(cause)));
    spans
}

/// The trace so far, the time reached in it, and the step that is to fail.
struct Course {
    trace: TraceBuilder,
    at: Duration,
    failure: Option<&'static str>,
}

impl Course {
    /// Adds the next span; false when this is the step that fails.
    fn step(&mut self, draft: Draft, name: &'static str) -> bool {
        let span = self.trace.then(&mut self.at, draft);
        self.outcome(span, name)
    }

    fn outcome(&mut self, span: Handle, name: &'static str) -> bool {
        if self.failure != Some(name) {
            return true;
        }
        let failure = FAILURES.iter().map(|(failure, _)| failure).find(|(step, ..)| *step == name);
        if let Some((_, kind, message)) = failure {
            self.trace.change(span, |draft| draft.failed(kind, message));
        }
        false
    }
}

/// All steps in order; false when one failed, which ends the operation.
fn steps(scene: &mut Scene<'_>, instance: &Instance, course: &mut Course, root: Handle) -> bool {
    let fleet = scene.fleet;
    let control = fleet.service(instance.region, "control-api");
    let scheduler = fleet.service(instance.region, "scheduler");
    let provisioner = fleet.service(instance.region, "provisioner");
    let local = |emitter, name: &'static str, parent, work| Draft::new(emitter, name).under(parent).lasting(work);

    course.step(local(control, "API validation", root, scene.around_ms(120.0, 0.4)), "API validation");
    if !course.step(local(control, "Quota check", root, scene.around_ms(50.0, 0.5)), "Quota check") {
        return false;
    }
    let placement = local(scheduler, "Schedule placement", root, scene.around_ms(400.0, 0.6)).server();
    if !course.step(placement.with("dbaas.placement.candidates", scene.dice.below(20)), "Schedule placement") {
        return false;
    }
    let allocate = course.trace.add(Draft::new(provisioner, "Allocate resources").server().under(root).at(course.at));
    let is_allocated = allocate_resources(scene, instance, course, allocate);
    course.trace.end(allocate, course.at);
    if !is_allocated {
        course.trace.change(allocate, |draft| draft.status_error("pod did not get ready"));
        return false;
    }
    let is_initialized = initialize_database(scene, instance, course, root);
    if !is_initialized {
        return false;
    }
    let standby = &instance.standby().agent;
    let replication = local(standby, "Setup replication", root, scene.around_secs(20.5, 0.5)).server();
    course.step(replication, "Setup replication");
    let dns = fleet.service(instance.region, "dns-controller");
    let endpoints = local(dns, "Register endpoints", root, scene.around_secs(4.0, 0.6)).server();
    course.step(endpoints.with("server.address", instance.endpoint()), "Register endpoints")
}

fn allocate_resources(scene: &mut Scene<'_>, instance: &Instance, course: &mut Course, parent: Handle) -> bool {
    let operator = scene.fleet.service(instance.region, "k8s-operator");
    let local = |name: &'static str, work| Draft::new(operator, name).under(parent).lasting(work);
    course.step(local("Create PVC", scene.around_secs(3.2, 0.5)).client(), "Create PVC");
    course.step(local("Create StatefulSet", scene.around_ms(600.0, 0.4)).client(), "Create StatefulSet");

    let mut work = scene.around_secs(36.0, 0.3);
    if instance.region == CANARY_REGION {
        work = work.mul_f64(CANARY_SLOWDOWN);
    }
    if course.failure == Some("Wait for Pod ready") {
        work = Duration::from_secs(600);
    } else if scene.dice.chance(SLOW_POD_SHARE) {
        work += SLOW_POD;
    }
    let start = course.at;
    let wait = local("Wait for Pod ready", work).with("dbaas.step.kind", "wait");
    let wait = course.trace.then(&mut course.at, wait.with("k8s.pod.name", &instance.primary().pod));
    let mut poll_at = start + POLL_PERIOD;
    for _ in 0..POLLS_MAX {
        let poll = Draft::new(operator, "GET pod").client().under(wait).lasting(scene.around_ms(9.0, 0.6));
        if poll_at + Duration::from_secs(1) > course.at {
            break;
        }
        course.trace.add(poll.at(poll_at).with("http.response.status_code", 200_i64));
        poll_at += POLL_PERIOD;
    }
    course.outcome(wait, "Wait for Pod ready")
}

fn initialize_database(scene: &mut Scene<'_>, instance: &Instance, course: &mut Course, root: Handle) -> bool {
    let provisioner = scene.fleet.service(instance.region, "provisioner");
    let agent = &instance.primary().agent;
    let method = Method { from: provisioner, to: agent, name: "dbaas.agent.v1.Agent/InitializeDatabase" };
    let step = course.trace.add(Draft::new(provisioner, "Initialize database").under(root).at(course.at));
    let mut call_at = course.at;
    let called = call(&mut course.trace, &mut call_at, step, &method, Duration::ZERO);
    course.at += super::HOP;

    let mut succeeded = true;
    for (name, median_secs) in [("initdb", 9.0), ("Apply config", 2.1), ("Create users", 1.2)] {
        let draft = Draft::new(agent, name).under(called.server).lasting(scene.around_secs(median_secs, 0.4));
        if !course.step(draft, name) {
            succeeded = false;
            break;
        }
    }
    course.trace.end(called.server, course.at);
    course.at += super::HOP;
    course.trace.end(called.client, course.at);
    course.trace.end(step, course.at);
    if !succeeded {
        for span in [called.server, called.client, step] {
            course.trace.change(span, |draft| draft.status_error("initialization failed"));
        }
    }
    succeeded
}
