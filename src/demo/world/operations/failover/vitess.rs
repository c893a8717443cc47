//! Failovers as Vitess traces them: `VtctldServer.EmergencyReparentShard` and `.PlannedReparentShard`, which begin after
//! VTOrc has decided, with the calls to the tablets below them.

use std::time::Duration;

use super::{Course, Plan, Told};
use crate::demo::span::{Draft, Handle};
use crate::demo::world::stage::{Script, Stage, after};

const VTCTLD: &str = "vtctld";
const TABLET: &str = "vttablet";

/// Tells the failover. A second attempt is a call, and so a trace, of its own.
pub(super) fn tell(stage: &mut Stage<'_>, plan: &Plan) -> Told {
    let acted = after(stage.start, plan.before_acting());
    let mut run = stage.run("failover", root_name(plan));
    run.dialect = "vitess";
    run.t_unix_nano[2] = Some(acted);
    run.start_unix_nano = acted;
    let mut told = Told::new(run, acted);
    let mut begin = plan.before_acting();
    if plan.course == Course::SecondAttempt {
        let first = Plan { course: Course::Failure, ..*plan };
        let lasted = reparent(stage, &first, begin, &mut told);
        begin += lasted + Duration::from_secs_f64(stage.dice.between(1.0, 15.0));
    }
    reparent(stage, plan, begin, &mut told);
    told
}

fn root_name(plan: &Plan) -> &'static str {
    if plan.is_planned() { "VtctldServer.PlannedReparentShard" } else { "VtctldServer.EmergencyReparentShard" }
}

/// One call that starts `begin` after the operation; how long it lasted.
fn reparent(stage: &mut Stage<'_>, plan: &Plan, begin: Duration, told: &mut Told) -> Duration {
    let instance = stage.instance();
    let controller = stage.fleet.service(instance.region, "failover-controller");
    let vtctld = |name: &'static str| Draft::new(controller, name).scope(VTCTLD);
    let new_primary = |name: &'static str| Draft::new(&instance.standby().agent, name).scope(TABLET).server();
    let mut script = stage.script(begin);
    let mut at = Duration::ZERO;
    let root = script.trace.add(
        vtctld(root_name(plan))
            .server()
            .with("keyspace", &instance.id)
            .with("shard", "-")
            .with("new_primary_alias", &instance.standby().pod)
            .with("wait_replicas_timeout_sec", 30_i64)
            .with("dbaas.engine", instance.engine.system_name())
            .with("dbaas.engine.version", instance.engine_version)
            .with("dbaas.plan", instance.plan),
    );
    told.main = told.main.or(Some(script.trace.trace_id()));
    let lock = vtctld("TopoServer.LockShard").client().under(root).lasting(stage.millis(35.0, 0.5));
    script.phase(&mut at, "elect", lock);
    at += stage.gap();

    fence(stage, plan, &mut script, root, &mut at, told);
    at += stage.gap();
    script.phase(&mut at, "elect", vtctld("FindCandidates").under(root).lasting(plan.elect));
    told.run.t_unix_nano[4] = Some(script.time(at));
    at += stage.gap();
    script.phase(&mut at, "catchup", new_primary("TabletManager.WaitForPosition").under(root).lasting(plan.catchup));
    at += stage.gap();
    let promote = new_primary("TabletManager.PromoteReplica").under(root).lasting(plan.promote);
    let promote = script.phase(&mut at, "promote", promote);
    match plan.course {
        Course::Success | Course::SecondAttempt => {
            told.run.t_unix_nano[5] = Some(script.time(at));
            at += stage.gap();
            script.phase(&mut at, "endpoint", vtctld("RefreshFromTopo").client().under(root).lasting(plan.endpoint));
            told.run.t_unix_nano[6] = Some(script.time(at));
            told.run.t_unix_nano[7] = Some(script.time(at));
            told.over = script.time(at);
            reparent_others(stage, plan, &mut script, root, &mut at, told);
        }
        Course::RolledBack | Course::Failure => {
            let message = "primary-elect tablet failed to be upgraded to primary";
            script.trace.change(promote, |draft| draft.failed("PromoteReplicaFailed", message));
            script.trace.change(root, |draft| draft.status_error(message));
            if plan.course == Course::RolledBack {
                let undo = stage.secs(1.5, 0.5);
                let undo = Draft::new(&instance.primary().agent, "TabletManager.UndoDemotePrimary").lasting(undo);
                at += stage.gap();
                // By its name this is fencing, and it is what keeps writes away.
                script.phase(&mut at, "fence", undo.scope(TABLET).server().under(root));
                script.trace.change(root, |draft| draft.with("dbaas.failover.outcome", "rolled_back"));
                told.run.t_unix_nano[7] = Some(script.time(at));
            }
            told.over = script.time(at);
        }
    }
    script.trace.end(root, at);
    told.end = script.time(at);
    told.take(script);
    at
}

/// The old primary stops taking writes: by demotion when it answers, or else by all replicas' leaving it.
fn fence(stage: &mut Stage<'_>, plan: &Plan, script: &mut Script, root: Handle, at: &mut Duration, told: &mut Told) {
    let instance = stage.instance();
    if plan.is_planned() {
        told.run.writes_stopped_unix_nano = told.run.writes_stopped_unix_nano.or(Some(script.time(*at)));
        let demote = Draft::new(&instance.primary().agent, "TabletManager.DemotePrimary").scope(TABLET).server();
        script.phase(at, "fence", demote.under(root).lasting(plan.fence));
    } else {
        let start = *at;
        for (ordinal, node) in instance.nodes.iter().enumerate().skip(1) {
            let factor = if ordinal == 1 { 1.0 } else { stage.dice.between(0.6, 1.0) };
            let stop = Draft::new(&node.agent, "TabletManager.StopReplicationAndGetStatus").scope(TABLET).server();
            let stop = script.trace.add(stop.under(root).at(start).lasting(plan.fence.mul_f64(factor)));
            script.mark(stop, "fence");
        }
        *at += plan.fence;
    }
    told.run.t_unix_nano[3] = told.run.t_unix_nano[3].or(Some(script.time(*at)));
}

/// The other tablets follow the new primary, within the same call.
fn reparent_others(
    stage: &mut Stage<'_>,
    plan: &Plan,
    script: &mut Script,
    root: Handle,
    at: &mut Duration,
    told: &mut Told,
) {
    let start = *at + stage.gap();
    for (ordinal, node) in stage.instance().nodes.iter().enumerate() {
        let is_lost = ordinal == 0 && !plan.is_planned() && !plan.rejoins;
        if ordinal == 1 || is_lost {
            continue;
        }
        let work = stage.secs(0.8, 0.5);
        let draft = Draft::new(&node.agent, "TabletManager.SetReplicationSource").scope(TABLET).server();
        let span = script.trace.add(draft.under(root).at(start).lasting(work));
        script.mark(span, "rejoin");
        *at = (*at).max(start + work);
    }
    told.run.t_unix_nano[8] = plan.rejoins.then(|| script.time(*at));
}
