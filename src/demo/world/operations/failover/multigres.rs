//! Failovers as Multigres traces them: `recovery/attempt` with its `consensus/*` steps and no attribute of ours.
//!
//! Poolers are recruited in parallel, so that fencing and catching up overlap. Nothing tells when clients can write again but
//! the end of the attempt.

use std::time::Duration;

use super::{Course, Plan, Told};
use crate::demo::span::{Draft, Handle};
use crate::demo::world::stage::{Script, Stage, after};

const ORCH: &str = "multiorch";
const POOLER: &str = "multipooler";
/// Gateways that watch the topology are so much faster than DNS.
const GATEWAY_SHARE: f64 = 0.2;

/// Tells the failover. A second attempt is a trace of its own, as each attempt of Multigres is.
pub(super) fn tell(stage: &mut Stage<'_>, plan: &Plan) -> Told {
    let acted = after(stage.start, plan.before_acting());
    let mut run = stage.run("failover", "recovery/attempt");
    run.dialect = "multigres";
    run.t_unix_nano[2] = Some(acted);
    run.start_unix_nano = acted;
    let mut told = Told::new(run, acted);
    let mut begin = plan.before_acting();
    if plan.course == Course::SecondAttempt {
        let lasted = attempt(stage, plan, begin, false, &mut told);
        begin += lasted + Duration::from_secs_f64(stage.dice.between(1.0, 5.0));
    }
    let succeeds = matches!(plan.course, Course::Success | Course::SecondAttempt);
    attempt(stage, plan, begin, succeeds, &mut told);
    if succeeds {
        told.run.t_unix_nano[8] = told.run.t_unix_nano[7];
    }
    told
}

/// One attempt that starts `begin` after the operation; how long it lasted.
fn attempt(stage: &mut Stage<'_>, plan: &Plan, begin: Duration, succeeds: bool, told: &mut Told) -> Duration {
    let instance = stage.instance();
    let controller = stage.fleet.service(instance.region, "failover-controller");
    let problem = if plan.is_planned() { "LeaderResigned" } else { "LeaderUnreachableByCohort" };
    let orch = |name: &'static str| Draft::new(controller, name).scope(ORCH);
    let mut script = stage.script(begin);
    let mut at = Duration::ZERO;
    let root = script.trace.add(
        orch("recovery/attempt")
            .with("shard.database", "shop")
            .with("shard.tablegroup", "default")
            .with("shard.id", &instance.id)
            .with("problem.code", problem)
            .with("entity.id", &instance.primary().pod)
            .with("action.name", "AppointLeader")
            .with("problem.priority", if plan.is_planned() { "normal" } else { "emergency" })
            .with("dbaas.engine", instance.engine.system_name())
            .with("dbaas.engine.version", instance.engine_version)
            .with("dbaas.plan", instance.plan)
            .with("result", if succeeds { "success" } else { "action_failed" }),
    );
    told.main = told.main.or(Some(script.trace.trace_id()));
    let lock = orch("TopoServer.Lock").client().under(root).lasting(stage.millis(40.0, 0.5));
    script.phase(
        &mut at,
        "elect",
        lock.with("action", "AppointLeader").with("path", format!("/shards/{}", instance.id)),
    );
    at += stage.gap();
    if plan.is_planned() {
        let resign = Draft::new(&instance.primary().agent, "consensus/resign_leadership").scope(POOLER).server();
        told.run.writes_stopped_unix_nano = told.run.writes_stopped_unix_nano.or(Some(script.time(at)));
        script.phase(&mut at, "fence", resign.under(root).lasting(plan.fence));
        at += stage.gap();
    }
    recruit(stage, plan, &mut script, root, &mut at);
    let fenced = script.time(at);
    told.run.t_unix_nano[3] = told.run.t_unix_nano[3].or(Some(fenced));

    let new_primary = |name: &'static str| Draft::new(&instance.standby().agent, name).scope(POOLER).server();
    let rule = script.trace.add(orch("consensus/rule-write").under(root).at(at));
    script.mark(rule, "elect");
    let ack = new_primary("consensus/standby-ack").under(rule).lasting(plan.elect);
    script.phase(&mut at, "elect", ack.with("is_promotion", true));
    script.trace.end(rule, at);
    told.run.t_unix_nano[4] = Some(script.time(at));
    at += stage.gap();
    let promote = new_primary("consensus/pg-promote").under(root).lasting(plan.promote);
    let promote = script.phase(&mut at, "promote", promote);
    if succeeds {
        told.run.t_unix_nano[5] = Some(script.time(at));
        // Gateways learn of the new primary from the topology and send it what they held back; no span tells.
        at += stage.gap() + plan.endpoint.mul_f64(GATEWAY_SHARE);
    } else {
        let message = "pg_promote: standby did not leave recovery";
        script.trace.change(promote, |draft| draft.failed("PromotionFailed", message));
        script.trace.change(root, |draft| draft.status_error(message));
    }
    let unlock = orch("TopoServer.Unlock").client().under(root).lasting(stage.millis(15.0, 0.4));
    script.trace.then(&mut at, unlock);
    script.trace.end(root, at);
    told.over = script.time(at);
    told.end = told.over;
    if succeeds {
        told.run.t_unix_nano[6] = Some(told.over);
        told.run.t_unix_nano[7] = Some(told.over);
    }
    told.take(script);
    at
}

/// Every pooler is recruited at the same time: it stops replication and replays what it has. The slowest decides.
fn recruit(stage: &mut Stage<'_>, plan: &Plan, script: &mut Script, root: Handle, at: &mut Duration) {
    let mut recruited = *at;
    for (ordinal, node) in stage.instance().nodes.iter().enumerate() {
        let pooler = |name: &'static str| Draft::new(&node.agent, name).scope(POOLER);
        // The new primary takes as long as the plan says, the others about as long.
        let factor = if ordinal == 1 { 1.0 } else { stage.dice.between(0.6, 1.1) };
        let (stop, replay) = (plan.fence.mul_f64(factor), plan.catchup.mul_f64(factor));
        let recruit = script.trace.add(pooler("consensus/recruit").server().under(root).at(*at).lasting(stop + replay));
        script.mark(recruit, "fence");
        let stopping = script.trace.add(pooler("consensus/stop-replication").under(recruit).at(*at).lasting(stop));
        script.mark(stopping, "fence");
        let replaying = pooler("consensus/replay_completion_wait").under(recruit).at(*at + stop).lasting(replay);
        let replaying = script.trace.add(replaying);
        script.mark(replaying, "catchup");
        recruited = recruited.max(*at + stop + replay);
    }
    *at = recruited + stage.gap();
}
