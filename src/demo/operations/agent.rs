//! Commands that the control plane gives to the agents beside the databases, over gRPC.

use std::time::Duration;

use super::{Method, Scene, about, call};
use crate::demo::span::{Draft, EmittedSpan};

/// Commands that fail.
const ERROR_SHARE: f64 = 0.01;

/// Command, what it runs, median in milliseconds, spread.
type Command = (&'static str, &'static str, f64, f64);

/// Commands, and how often.
const COMMANDS: [(Command, f64); 6] = [
    (("ReloadConfig", "pg_ctl reload", 250.0, 0.5), 30.0),
    (("RotateCredentials", "psql -f rotate.sql", 400.0, 0.6), 20.0),
    (("CollectStatistics", "psql -c 'select * from pg_stat_database'", 120.0, 0.8), 20.0),
    (("Vacuum", "vacuumdb --analyze", 9_000.0, 1.0), 12.0),
    (("UpdateExtension", "psql -c 'alter extension pg_stat_statements update'", 900.0, 0.7), 10.0),
    (("ResizeVolume", "resize2fs", 4_000.0, 0.8), 8.0),
];

const FAILURES: [(&str, &str, i64); 3] = [
    ("CommandFailed", "exit status 1: could not connect to server: Connection refused", 1),
    ("PermissionDenied", "exit status 126: permission denied", 126),
    ("DeadlineExceeded", "command did not end within its deadline and was stopped", 137),
];

/// A command on some node.
pub fn command(scene: &mut Scene<'_>) -> Vec<EmittedSpan> {
    let instance = scene.fleet.any_instance(scene.dice);
    let node = scene.dice.pick(&instance.nodes);
    let engine = scene.fleet.service(instance.region, "workflow-engine");
    let (command, line, median_ms, sigma) = *scene.dice.pick_weighted(&COMMANDS);
    let mut trace = scene.trace().about(&instance.id);
    let mut at = scene.around_ms(2.0, 0.5);
    let queued = at;
    let run = scene.around_ms(median_ms, sigma);
    let prepare = scene.around_ms(3.0, 0.5);

    let root = Draft::new(engine, format!("AgentCommand {command}"));
    let root = trace.add(about(root, instance, "agent_command").with("dbaas.agent.command", command));
    let method = Method { from: engine, to: &node.agent, name: "dbaas.agent.v1.Agent/RunCommand" };
    let call = call(&mut trace, &mut at, root, &method, prepare + run);
    trace.change(call.client, |draft| draft.with("server.address", &node.pod));
    let process = Draft::new(&node.agent, format!("exec {command}")).under(call.server);
    let process = process.at(queued + super::HOP + prepare).lasting(run).with("process.command_line", line);
    let process = trace.add(process);
    trace.end(root, at + Duration::from_millis(1));

    if scene.dice.chance(ERROR_SHARE) {
        let (kind, message, code) = *scene.dice.pick(&FAILURES);
        trace.change(process, |draft| draft.with("process.exit.code", code).failed(kind, message));
        trace.change(call.server, |draft| draft.with("rpc.response.status_code", "INTERNAL").failed(kind, message));
        trace.change(call.client, |draft| draft.with("rpc.response.status_code", "INTERNAL").status_error(message));
        trace.change(root, |draft| draft.with("dbaas.operation.outcome", "failed").status_error(message));
    } else {
        trace.change(process, |draft| draft.with("process.exit.code", 0_i64));
        trace.change(call.server, |draft| draft.with("rpc.response.status_code", "OK"));
        trace.change(root, |draft| draft.with("dbaas.operation.outcome", "success"));
    }
    trace.finish()
}
