//! What happens in the fleet: each function here makes the spans of one operation, with durations drawn by chance.
//!
//! Pure: a [`Scene`] holds all that an operation may depend on. Medians and spreads follow the workload model that the
//! project uses for provisioning, failover and SQL; they are a model, not measurements of any provider.

pub mod agent;
pub mod api;
pub mod backup;
pub mod failover;
pub mod health;
pub mod oddity;
pub mod provisioning;
pub mod reconcile;
pub mod sql;

use std::time::Duration;

use proto::UnixNanos;

use super::dice::Dice;
use super::fleet::{Engine, Fleet, Instance};
use super::span::{Draft, Handle, TraceBuilder};

/// What an operation may depend on.
#[derive(Debug)]
pub struct Scene<'a> {
    /// Who exists.
    pub fleet: &'a Fleet,
    /// Chance.
    pub dice: &'a mut Dice,
    /// When the operation starts.
    pub start: UnixNanos,
}

impl Scene<'_> {
    /// A new trace that starts when the operation does.
    pub fn trace(&mut self) -> TraceBuilder {
        self.trace_at(Duration::ZERO)
    }

    /// A new trace that starts `offset` after the operation did.
    pub fn trace_at(&mut self, offset: Duration) -> TraceBuilder {
        let nanos = i64::try_from(offset.as_nanos()).unwrap_or(i64::MAX);
        TraceBuilder::new(self.dice, self.start.saturating_add(nanos)).with_threads()
    }

    /// A lognormal duration, its median in milliseconds.
    pub fn around_ms(&mut self, median_ms: f64, sigma: f64) -> Duration {
        self.dice.lognormal(Duration::from_secs_f64(median_ms / 1e3), sigma)
    }

    /// A lognormal duration, its median in seconds.
    pub fn around_secs(&mut self, median_secs: f64, sigma: f64) -> Duration {
        self.dice.lognormal(Duration::from_secs_f64(median_secs), sigma)
    }
}

/// The attributes that every control-plane root about an instance has.
pub(super) fn about(draft: Draft, instance: &Instance, operation: &'static str) -> Draft {
    draft
        .with("dbaas.operation", operation)
        .with("dbaas.instance.id", &instance.id)
        .with("dbaas.engine", instance.engine.system_name())
        .with("dbaas.engine.version", instance.engine_version)
        .with("dbaas.plan", instance.plan)
        .with("dbaas.tenant.id", &instance.tenant)
}

/// A gRPC call as instrumented libraries record it: a client span and the server's span inside it.
pub(super) struct Call {
    /// The caller's span.
    pub(super) client: Handle,
    /// The span of the one who is called.
    pub(super) server: Handle,
}

/// Time on the wire in each direction between two services of a region.
pub(super) const HOP: Duration = Duration::from_micros(400);

/// Adds a call at `*at` that the server works on for `work`, and moves `*at` behind it.
pub(super) fn call(
    trace: &mut TraceBuilder,
    at: &mut Duration,
    parent: Handle,
    method: &Method<'_>,
    work: Duration,
) -> Call {
    let rpc = |draft: Draft| draft.with("rpc.system.name", "grpc").with("rpc.method", method.name);
    let client = rpc(Draft::new(method.from, method.name.to_owned()).client().under(parent).lasting(work + 2 * HOP));
    let start = *at + HOP;
    let client = trace.then(at, client);
    let server = rpc(Draft::new(method.to, method.name.to_owned()).server().under(client).at(start).lasting(work));
    Call { client, server: trace.add(server) }
}

/// Who calls what on whom.
pub(super) struct Method<'a> {
    /// The caller.
    pub(super) from: &'a std::sync::Arc<super::fleet::Emitter>,
    /// The one who is called.
    pub(super) to: &'a std::sync::Arc<super::fleet::Emitter>,
    /// Fully qualified.
    pub(super) name: &'a str,
}

/// What an instance's engine calls its base backup tool.
pub(super) fn backup_tool(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgresql => "pgbackrest",
        Engine::Mysql => "xtrabackup",
        Engine::Mongodb => "pbm",
    }
}

#[cfg(test)]
mod tests;
