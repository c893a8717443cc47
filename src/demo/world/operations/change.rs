//! Changes to an instance that exists: updates, scaling, restarts, deletion; and computes that start as Neon's do.

use std::time::Duration;

use super::reconcile;
use crate::demo::fleet::Engine;
use crate::demo::operations::{HOP, Method, about, call};
use crate::demo::span::Draft;
use crate::demo::world::stage::{Made, Stage};
use crate::demo::world::truth::Outcome;

const FAILED_SHARE: f64 = 0.02;
/// Starts of a PostgreSQL compute by Neon's `compute_ctl`, as a share of the changes to PostgreSQL.
const NEON_SHARE: f64 = 0.15;
/// No change takes longer than so many medians.
const MULTIPLE_MAX: f64 = 40.0;

/// Root, `dbaas.operation`, how often.
const CHANGES: [((&str, &str), f64); 4] = [
    (("UpdateInstance", "update_instance"), 0.45),
    (("ScaleInstance", "scale_instance"), 0.25),
    (("RestartInstance", "restart_instance"), 0.18),
    (("DeleteInstance", "delete_instance"), 0.12),
];

/// Step, its share of the time.
const STEPS: [(&str, f64); 5] = [
    ("validate_change", 0.01),
    ("wait_maintenance_lock", 0.09),
    ("apply_resources", 0.30),
    ("wait_rollout", 0.54),
    ("update_catalog", 0.05),
];

/// Step of a compute's start, median in milliseconds, spread; what waits for safekeepers varies most.
const NEON_STEPS: [(&str, f64, f64); 6] = [
    ("prepare_pgdata", 60.0, 0.5),
    ("sync_safekeepers", 210.0, 0.9),
    ("get_basebackup", 330.0, 0.7),
    ("start_postgres", 180.0, 0.5),
    ("apply_config", 240.0, 0.6),
    ("post_apply_config", 90.0, 0.5),
];

/// A change of the instance.
pub(in crate::demo::world) fn change(stage: &mut Stage<'_>) -> Made {
    if stage.instance().engine == Engine::Postgresql && stage.dice.chance(NEON_SHARE) {
        return start_compute(stage);
    }
    let (name, operation) = *stage.dice.pick_weighted(&CHANGES);
    let total = stage.dice.lognormal_within(Duration::from_secs(45), 1.41, MULTIPLE_MAX);
    let share = stage.error_share(FAILED_SHARE);
    let fails = stage.dice.chance(share);
    let instance = stage.instance();
    let request_id = stage.dice.hex(16);
    let mut run = stage.run("provisioning", name);
    run.run_id.clone_from(&request_id);
    let control = stage.fleet.service(instance.region, "control-api");
    let workflow = stage.fleet.service(instance.region, "workflow-engine");
    let operator = stage.fleet.service(instance.region, "k8s-operator");
    let mut script = stage.script(Duration::ZERO);
    let root = about(Draft::new(control, name).server(), instance, operation);
    let root = script.trace.add(root.with("dbaas.request.id", &request_id));
    let mut at = total.mul_f64(0.01);
    for (step, share) in STEPS {
        let work = total.mul_f64(share);
        let draft = Draft::new(workflow, step).under(root).lasting(work);
        let draft = if step.starts_with("wait") { draft.with("dbaas.step.kind", "wait") } else { draft };
        let start = at;
        let span = script.phase(&mut at, step, draft);
        let parts = if step == "wait_rollout" { 12 } else { 3 };
        for part in 0..parts {
            let name = if step == "apply_resources" { "PATCH statefulset" } else { "GET pod" };
            let slot = work / parts;
            let lasting = stage.millis(10.0, 0.5).min(slot);
            let draft = Draft::new(operator, name).client().under(span).at(start + slot * part).lasting(lasting);
            script.trace.add(draft.with("http.response.status_code", 200_i64));
        }
        if step == "apply_resources" {
            let mut call_at = start;
            let method =
                Method { from: workflow, to: &instance.primary().agent, name: "dbaas.agent.v1.Agent/ApplyConfig" };
            call(&mut script.trace, &mut call_at, span, &method, (work / 2).saturating_sub(2 * HOP));
        }
        if fails && step == "wait_rollout" {
            let message = "rollout did not finish: pod is in CrashLoopBackOff";
            script.trace.change(span, |draft| draft.failed("RolloutFailed", message));
            script.trace.change(root, |draft| draft.status_error(message));
            run.outcome = Outcome::Failed;
            break;
        }
    }
    let outcome = if fails { "failed" } else { "success" };
    script.trace.end(root, at);
    script.trace.change(root, |draft| draft.with("dbaas.operation.outcome", outcome));
    let end = script.time(at);
    run.end_unix_nano = Some(end);
    run.attribute(&script.marks(), end);
    let cause = script.target(root);
    let mut spans = script.finish();
    spans.extend(reconcile::caused(stage, end, cause));
    Made::run(run, None, spans)
}

/// A compute starts, with the spans of Neon's `compute_ctl` and none of our attributes but the instance.
fn start_compute(stage: &mut Stage<'_>) -> Made {
    let agent = &stage.instance().primary().agent;
    let mut run = stage.run("provisioning", "start_compute");
    run.dialect = "neon";
    let mut script = stage.script(Duration::ZERO);
    let root = script.trace.add(Draft::new(agent, "start_compute").scope("compute_ctl").server());
    let mut at = stage.gap();
    for (step, median_ms, sigma) in NEON_STEPS {
        let draft = Draft::new(agent, step).scope("compute_ctl").under(root).lasting(stage.millis(median_ms, sigma));
        let start = at;
        let span = script.phase(&mut at, step, draft);
        if step == "get_basebackup" {
            let inner = Draft::new(agent, "try_get_basebackup").scope("compute_ctl").under(span).at(start);
            script.trace.add(inner.lasting((at - start).mul_f64(0.95)).with("basebackup_bytes", 16_i64 << 20));
        }
        at += stage.millis(2.0, 0.5);
    }
    script.trace.end(root, at);
    let end = script.time(at);
    run.end_unix_nano = Some(end);
    run.attribute(&script.marks(), end);
    Made::run(run, None, script.finish())
}
