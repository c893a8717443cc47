//! Health checks: boring by the million, and the only evidence of many faults.

use std::time::Duration;

use proto::UnixNanos;

use crate::demo::operations::HOP;
use crate::demo::span::{Draft, EmittedSpan};
use crate::demo::world::stage::{Made, Outage, Stage, after};

/// Name of the root of a check.
pub(in crate::demo::world) const CHECK: &str = "HealthCheck";
/// Checks that fail although the instance is well.
const ERROR_SHARE: f64 = 0.002;
/// Checks that take far longer than usual.
const SLOW_SHARE: f64 = 0.003;
/// A check that gets no answer gives up after this long.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// An instance that does not answer is checked again so often.
const FAILING_PERIOD: Duration = Duration::from_secs(5);
/// Failing checks of one outage; a longer one is looked after by people.
const FAILING_CHECKS_MAX: usize = 60;

/// A check of the instance; `outage` when it does not serve. Nothing when nobody looks.
pub(in crate::demo::world) fn check(stage: &mut Stage<'_>, outage: Option<Outage>) -> Made {
    let share = stage.error_share(ERROR_SHARE);
    let spans = match outage {
        Some(outage) if outage.is_silent => Vec::new(),
        Some(_) => failing(stage, Duration::ZERO),
        None if stage.dice.chance(share) => failing(stage, Duration::ZERO),
        None => good(stage, Duration::ZERO),
    };
    Made::frequent("health_check", spans)
}

fn good(stage: &mut Stage<'_>, offset: Duration) -> Vec<EmittedSpan> {
    let instance = stage.instance();
    let monitor = stage.fleet.service(instance.region, "health-monitor");
    let node = stage.dice.pick(&instance.nodes);
    let slow = stage.dice.chance(SLOW_SHARE);
    let ping = if slow { stage.millis(700.0, 0.3) } else { stage.millis(7.2, 1.04) };
    let mut script = stage.script(offset);
    let probe = Draft::new(monitor, CHECK).client().lasting(ping + 2 * HOP).with("server.address", &node.pod);
    let probe = script.trace.add(probe.status_ok());
    let served = Draft::new(&node.agent, "agent.Health/Check").server().under(probe).at(HOP).lasting(ping);
    let served =
        script.trace.add(served.with("rpc.system.name", "grpc").with("dbaas.lag.bytes", stage.dice.below(65_536)));
    let query =
        Draft::new(&node.database, "SELECT 1").client().under(served).at(HOP + ping / 10).lasting(ping.mul_f64(0.8));
    script.trace.add(query.with("db.system.name", instance.engine.system_name()).with("db.query.text", "SELECT 1"));
    script.finish()
}

fn failing(stage: &mut Stage<'_>, offset: Duration) -> Vec<EmittedSpan> {
    let instance = stage.instance();
    let monitor = stage.fleet.service(instance.region, "health-monitor");
    let mut script = stage.script(offset);
    let probe = Draft::new(monitor, CHECK).client().lasting(PROBE_TIMEOUT);
    script.trace.add(
        probe
            .with("server.address", &instance.primary().pod)
            .failed("DeadlineExceeded", "no answer from the instance within 2s"),
    );
    script.finish()
}

/// The checks around an outage.
pub(in crate::demo::world) struct Around {
    pub(in crate::demo::world) spans: Vec<EmittedSpan>,
    pub(in crate::demo::world) first_failure: UnixNanos,
}

/// The checks around an outage that begins with the operation and ends at `over`: a good one before it, failing ones through
/// it, a good one after it. They are evidence, so none is thinned out.
pub(in crate::demo::world) fn around_outage(stage: &mut Stage<'_>, over: UnixNanos) -> Around {
    let fault = stage.start;
    let length = Duration::from_nanos(u64::try_from(over.nanos_since(fault)).unwrap_or(0));
    let before = Duration::from_secs_f64(stage.dice.between(3.0, 9.0));
    stage.start = fault.saturating_add(-i64::try_from(before.as_nanos()).unwrap_or(0));
    let mut spans = good(stage, Duration::ZERO);
    stage.start = fault;
    let first = Duration::from_secs_f64(stage.dice.between(0.02, 0.4));
    let mut at = first;
    for _ in 0..FAILING_CHECKS_MAX {
        if at >= length {
            break;
        }
        spans.extend(failing(stage, at));
        at += FAILING_PERIOD;
    }
    let later = length + PROBE_TIMEOUT + Duration::from_secs_f64(stage.dice.between(0.5, 5.0));
    spans.extend(good(stage, later));
    Around { spans, first_failure: after(fault, first) }
}
