//! Health checks: by far the most spans of a control plane, and nearly all of them boring.

use std::time::Duration;

use super::Scene;
use crate::demo::fleet::Instance;
use crate::demo::span::{Draft, EmittedSpan};

/// Checks that fail although the instance is well.
const ERROR_SHARE: f64 = 0.002;
/// Checks that take far longer than usual.
const SLOW_SHARE: f64 = 0.003;
const SLOW_MEDIAN_MS: f64 = 700.0;
/// A check that gets no answer gives up after this long.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// A check of some instance.
pub fn check(scene: &mut Scene<'_>) -> Vec<EmittedSpan> {
    let instance = scene.fleet.any_instance(scene.dice);
    if scene.dice.chance(ERROR_SHARE) {
        return failing_check(scene, instance, Duration::ZERO);
    }
    let monitor = scene.fleet.service(instance.region, "health-monitor");
    let node = scene.dice.pick(&instance.nodes);
    let mut trace = scene.trace().about(&instance.id);
    let ping =
        if scene.dice.chance(SLOW_SHARE) { scene.around_ms(SLOW_MEDIAN_MS, 0.4) } else { scene.around_ms(5.0, 0.7) };
    let hop = scene.around_ms(0.8, 0.4);
    let lag_bytes = scene.dice.below(65_536);
    let probe = Draft::new(monitor, "HealthCheck").client().lasting(ping + 2 * hop);
    let probe = trace.add(probe.with("dbaas.instance.id", &instance.id).with("server.address", &node.pod).status_ok());
    let served = Draft::new(&node.agent, "agent.Health/Check").server().under(probe).at(hop).lasting(ping);
    let served = trace.add(served.with("rpc.system.name", "grpc").with("dbaas.lag.bytes", lag_bytes));
    let query =
        Draft::new(&node.database, "SELECT 1").client().under(served).at(hop + ping / 10).lasting(ping.mul_f64(0.8));
    trace.add(query.with("db.system.name", instance.engine.system_name()).with("db.query.text", "SELECT 1"));
    trace.finish()
}

/// A check `offset` into the scene of an instance that does not answer: the monitor's span alone.
pub fn failing_check(scene: &mut Scene<'_>, instance: &Instance, offset: Duration) -> Vec<EmittedSpan> {
    let monitor = scene.fleet.service(instance.region, "health-monitor");
    let mut trace = scene.trace_at(offset).about(&instance.id);
    let probe = Draft::new(monitor, "HealthCheck").client().lasting(PROBE_TIMEOUT);
    trace.add(
        probe
            .with("dbaas.instance.id", &instance.id)
            .with("server.address", &instance.primary().pod)
            .failed("DeadlineExceeded", "no answer from the instance within 2s"),
    );
    trace.finish()
}
