//! What happens many times a second: requests to the API, commands to agents, and the cycles of a controller that finds
//! nothing to do.

use std::time::Duration;

use crate::demo::operations::{HOP, Method, about, call};
use crate::demo::span::Draft;
use crate::demo::world::pathology::Pathology;
use crate::demo::world::stage::{Made, Stage};

const SERVER_ERROR_SHARE: f64 = 0.002;
const CLIENT_ERROR_SHARE: f64 = 0.012;
const COMMAND_ERROR_SHARE: f64 = 0.01;
/// No command takes longer than so many medians; the model's p99 is 100 medians.
const COMMAND_MULTIPLE_MAX: f64 = 1_500.0;

/// Method, route, its time as a multiple of the usual, how often. Four of five are GET.
const ROUTES: [((&str, &str, f64), f64); 6] = [
    (("GET", "/v1/instances/{id}", 0.7), 36.0),
    (("GET", "/v1/instances", 1.3), 20.0),
    (("GET", "/v1/instances/{id}/metrics", 1.7), 12.0),
    (("GET", "/v1/operations/{id}", 0.6), 12.0),
    (("PATCH", "/v1/instances/{id}/tags", 1.0), 12.0),
    (("POST", "/v1/instances/{id}/users", 2.0), 8.0),
];

const COMMANDS: [(&str, f64); 6] = [
    ("ReloadConfig", 0.30),
    ("RotateCredentials", 0.20),
    ("CollectStatistics", 0.20),
    ("Vacuum", 0.12),
    ("UpdateExtension", 0.10),
    ("ResizeVolume", 0.08),
];

/// A request: gateway, control API, its metadata store.
pub(in crate::demo::world) fn api_request(stage: &mut Stage<'_>) -> Made {
    let instance = stage.instance();
    let gateway = stage.fleet.service(instance.region, "api-gateway");
    let control = stage.fleet.service(instance.region, "control-api");
    let (method, route, factor) = *stage.dice.pick_weighted(&ROUTES);
    let name = format!("{method} {route}");
    let total = stage.millis(35.0 * factor, 1.39);
    let share = stage.error_share(SERVER_ERROR_SHARE);
    let status = if stage.dice.chance(share) {
        500
    } else if stage.dice.chance(CLIENT_ERROR_SHARE) {
        404
    } else {
        200_i64
    };
    let message = "metadata store did not answer within 5s";
    let failed = |draft: Draft| if status == 500 { draft.failed("MetadataStoreTimeout", message) } else { draft };
    let answered = |draft: Draft| draft.with("http.response.status_code", status);
    let mut script = stage.script(Duration::ZERO);
    let root = answered(Draft::new(gateway, name.clone()).server().lasting(total))
        .with("http.request.method", method)
        .with("http.route", route)
        .with("url.path", route.replace("{id}", &instance.id))
        .with("dbaas.request.id", stage.dice.hex(16))
        .with("dbaas.tenant.id", &instance.tenant);
    let root = script.trace.add(if status == 500 { root.status_error("internal error") } else { root });
    let part = |share: f64| total.mul_f64(share);
    script.trace.add(Draft::new(gateway, "authenticate").under(root).lasting(part(0.05)));
    let forward = Draft::new(gateway, method).client().under(root).at(part(0.06)).lasting(part(0.92));
    let forward = script.trace.add(answered(forward).with("http.request.method", method));
    let handle = Draft::new(control, name).server().under(forward).at(part(0.08)).lasting(part(0.88));
    let handle = script.trace.add(failed(answered(handle).with("http.route", route)));
    let load = Draft::new(control, "SELECT instances").client().under(handle).at(part(0.1)).lasting(part(0.45));
    script.trace.add(failed(load.with("db.system.name", "postgresql").with("db.collection.name", "instances")));
    if status == 200 {
        script.trace.add(Draft::new(control, "render").under(handle).at(part(0.6)).lasting(part(0.3)));
    }
    Made::frequent("api", script.finish())
}

/// A command to an agent.
pub(in crate::demo::world) fn agent_command(stage: &mut Stage<'_>) -> Made {
    let instance = stage.instance();
    let node = stage.dice.pick(&instance.nodes);
    let engine = stage.fleet.service(instance.region, "workflow-engine");
    let command = *stage.dice.pick_weighted(&COMMANDS);
    let total = stage.dice.lognormal_within(Duration::from_millis(400), 1.98, COMMAND_MULTIPLE_MAX);
    let work = total.saturating_sub(4 * HOP);
    let share = stage.error_share(COMMAND_ERROR_SHARE);
    let fails = stage.dice.chance(share);
    let message = "exit status 1: could not connect to server: Connection refused";
    let failed = |draft: Draft| if fails { draft.failed("CommandFailed", message) } else { draft };
    let mut script = stage.script(Duration::ZERO);
    let root = Draft::new(engine, format!("AgentCommand {command}")).lasting(total);
    let root = about(root, instance, "agent_command")
        .with("dbaas.agent.command", command)
        .with("dbaas.operation.outcome", if fails { "failed" } else { "success" });
    let root = script.trace.add(if fails { root.status_error(message) } else { root });
    let mut at = HOP;
    let method = Method { from: engine, to: &node.agent, name: "dbaas.agent.v1.Agent/RunCommand" };
    let called = call(&mut script.trace, &mut at, root, &method, work);
    script.trace.change(called.server, failed);
    let process = Draft::new(&node.agent, format!("exec {command}")).under(called.server);
    let process = process.at(2 * HOP + work / 20).lasting(work.mul_f64(0.9));
    let code = i64::from(fails);
    script.trace.add(failed(process.with("process.exit.code", code)));
    Made::frequent("agent_command", script.finish())
}

/// A cycle of a Multigres-like controller that found nothing to do: it bears the name of a failover and is none.
pub(in crate::demo::world) fn recovery_cycle(stage: &mut Stage<'_>) -> Made {
    let instance = stage.instance();
    let controller = stage.fleet.service(instance.region, "failover-controller");
    let mut script = stage.script(Duration::ZERO);
    let mut at = stage.millis(1.0, 0.5);
    let root = Draft::new(controller, "recovery/cycle").scope("multiorch").with("shard.id", &instance.id);
    let root = script.trace.add(root);
    if stage.dice.chance(0.4) {
        let attempt = Draft::new(controller, "recovery/attempt").scope("multiorch").under(root);
        let attempt = attempt.lasting(stage.millis(4.0, 0.6)).with("problem.code", "StaleLeader");
        script.trace.then(&mut at, attempt.with("action.name", "FixReplication").with("result", "problem_resolved"));
    }
    script.trace.end(root, at);
    Made { pathologies: vec![Pathology::NameNoise], ..Made::frequent("other", script.finish()) }
}
