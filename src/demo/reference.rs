//! The two reference traces: fixed operations whose every figure is known, so that tests, the UI and a reader can check
//! what Spanhold makes of them.
//!
//! The tables below are the whole truth about them: the demo sends exactly these spans, and [`Step::self_time`] says
//! what must come out. Nothing in them is drawn by chance but the ids.

use std::borrow::Cow;
use std::time::Duration;

use proto::otlp::trace::v1::span::SpanKind;
use proto::{TraceId, UnixNanos};

use super::dice::Dice;
use super::fleet::{Emitter, Fleet, Instance};
use super::span::{Draft, EmittedSpan, Fact, Handle, TraceBuilder};
use std::sync::Arc;

/// One span of a reference trace.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The span's name, unique in its trace.
    pub name: &'static str,
    /// The name of its parent; `None` for the root.
    pub parent: Option<&'static str>,
    /// `service.name` of its sender.
    pub service: &'static str,
    /// The span's kind.
    pub kind: SpanKind,
    /// From the start of the trace to its start.
    pub start: Duration,
    /// From its start to its end.
    pub duration: Duration,
    /// The part of `duration` that none of its children covers.
    pub self_time: Duration,
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

const fn step(
    name: &'static str,
    parent: &'static str,
    service: &'static str,
    kind: SpanKind,
    [start, duration, self_time]: [Duration; 3],
) -> Step {
    Step { name, parent: Some(parent), service, kind, start, duration, self_time }
}

/// Name of the root of [`CREATE_INSTANCE`].
pub const CREATE_INSTANCE_NAME: &str = "CreateInstance";
/// Name of the root of [`SELECT_USER`]: the statement itself.
pub const SELECT_USER_NAME: &str = "SELECT * FROM users WHERE id = 42";

/// `CreateInstance`: 83.5 s, while its seven steps add up to 85.022 s.
///
/// Replication starts at 51.022 s, as soon as the users exist, 2 s before the database's initialization is over; the
/// endpoints are registered from 81.000 s, 22 ms before the standby has caught up. So steps overlap by 2.022 s, and the
/// root is alone for the last 500 ms, while it stores the result and answers: 85.022 − 2.022 + 0.5 = 83.5.
#[rustfmt::skip]
pub const CREATE_INSTANCE: [Step; 14] = {
    use SpanKind::{Client, Internal, Server};
    const ROOT: &str = CREATE_INSTANCE_NAME;
    [
        Step {
            name: ROOT, parent: None, service: "control-api", kind: Server,
            start: Duration::ZERO, duration: millis(83_500), self_time: millis(500),
        },
        //                                                                                    start           duration        self time
        step("API validation",       ROOT,                  "control-api",  Internal, [millis(0),      millis(2),      millis(2)]),
        step("Quota check",          ROOT,                  "control-api",  Internal, [millis(2),      millis(5),      millis(5)]),
        step("Schedule placement",   ROOT,                  "scheduler",    Server,   [millis(7),      millis(15),     millis(15)]),
        step("Allocate resources",   ROOT,                  "provisioner",  Server,   [millis(22),     millis(45_000), millis(0)]),
        step("Create PVC",           "Allocate resources",  "k8s-operator", Client,   [millis(22),     millis(3_000),  millis(3_000)]),
        step("Create StatefulSet",   "Allocate resources",  "k8s-operator", Client,   [millis(3_022),  millis(2_000),  millis(2_000)]),
        step("Wait for Pod ready",   "Allocate resources",  "k8s-operator", Internal, [millis(5_022),  millis(40_000), millis(40_000)]),
        step("Initialize database",  ROOT,                  "agent",        Server,   [millis(45_022), millis(8_000),  millis(3_500)]),
        step("initdb",               "Initialize database", "agent",        Internal, [millis(45_122), millis(3_000),  millis(3_000)]),
        step("Apply config",         "Initialize database", "agent",        Internal, [millis(48_322), millis(1_000),  millis(1_000)]),
        step("Create users",         "Initialize database", "agent",        Client,   [millis(50_522), millis(500),    millis(500)]),
        step("Setup replication",    ROOT,                  "agent",        Server,   [millis(51_022), millis(30_000), millis(30_000)]),
        step("Register endpoints",   ROOT,                  "provisioner",  Server,   [millis(81_000), millis(2_000),  millis(2_000)]),
    ]
};

/// `SELECT * FROM users WHERE id = 42`: 4.8 ms, one step after the other without a gap.
#[rustfmt::skip]
pub const SELECT_USER: [Step; 8] = {
    use SpanKind::{Internal, Server};
    const ROOT: &str = SELECT_USER_NAME;
    [
        Step {
            name: ROOT, parent: None, service: "sql-proxy", kind: Server,
            start: Duration::ZERO, duration: micros(4_800), self_time: Duration::ZERO,
        },
        //                                                                                                   start          duration       self time
        step("Connection pool acquire",    ROOT,                         "pooler",    Server,   [micros(0),     micros(1_000), micros(1_000)]),
        step("Proxy routing",              ROOT,                         "sql-proxy", Internal, [micros(1_000), micros(500),   micros(500)]),
        step("PostgreSQL query execution", ROOT,                         "postgres",  Server,   [micros(1_500), micros(3_000), micros(0)]),
        step("Parse",                      "PostgreSQL query execution", "postgres",  Internal, [micros(1_500), micros(100),   micros(100)]),
        step("Plan",                       "PostgreSQL query execution", "postgres",  Internal, [micros(1_600), micros(500),   micros(500)]),
        step("Execute",                    "PostgreSQL query execution", "postgres",  Internal, [micros(2_100), micros(2_400), micros(2_400)]),
        step("Result transmission",        ROOT,                         "sql-proxy", Internal, [micros(4_500), micros(300),   micros(300)]),
    ]
};

/// The trace ids under which the reference traces are sent when the demo starts. They follow from the seed alone, so
/// that a link to them works again after the next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReferenceIds {
    /// Of [`CREATE_INSTANCE`].
    pub create_instance: TraceId,
    /// Of [`SELECT_USER`].
    pub select_user: TraceId,
}

impl ReferenceIds {
    /// The ids under a seed.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let trace_id = |mut dice| TraceBuilder::new(&mut dice, UnixNanos::ZERO).trace_id();
        Self { create_instance: trace_id(create_instance_dice(seed)), select_user: trace_id(select_user_dice(seed)) }
    }
}

/// The stream of chance that gives `CreateInstance` its ids at the start of the demo.
#[must_use]
pub fn create_instance_dice(seed: u64) -> Dice {
    Dice::new(seed, "reference/create_instance")
}

/// The stream of chance that gives the `SELECT` its ids at the start of the demo.
#[must_use]
pub fn select_user_dice(seed: u64) -> Dice {
    Dice::new(seed, "reference/select_user")
}

/// [`CREATE_INSTANCE`], ending at `end`, for the fleet's first instance.
#[must_use]
pub fn create_instance(fleet: &Fleet, dice: &mut Dice, end: UnixNanos) -> Vec<EmittedSpan> {
    spans_of(&CREATE_INSTANCE, fleet, dice, end)
}

/// [`SELECT_USER`], ending at `end`, on the fleet's first instance.
#[must_use]
pub fn select_user(fleet: &Fleet, dice: &mut Dice, end: UnixNanos) -> Vec<EmittedSpan> {
    spans_of(&SELECT_USER, fleet, dice, end)
}

fn spans_of(steps: &[Step], fleet: &Fleet, dice: &mut Dice, end: UnixNanos) -> Vec<EmittedSpan> {
    let total_nanos = i64::try_from(steps[0].duration.as_nanos()).unwrap_or(i64::MAX);
    let mut trace = TraceBuilder::new(dice, end.saturating_add(-total_nanos));
    let mut handles: Vec<(&str, Handle)> = Vec::with_capacity(steps.len());
    for step in steps {
        let emitter = emitter_of(step, fleet);
        let mut draft = Draft::new(&emitter, step.name).kind(step.kind).at(step.start).lasting(step.duration);
        for (key, fact) in facts_of(step, &fleet.instances[0]) {
            draft = draft.with(key, fact);
        }
        // A step's parent stands above it in the table.
        if let Some((_, parent)) = handles.iter().find(|(name, _)| Some(*name) == step.parent) {
            draft = draft.under(*parent);
        }
        handles.push((step.name, trace.add(draft)));
    }
    trace.finish()
}

fn emitter_of(step: &Step, fleet: &Fleet) -> Arc<Emitter> {
    let instance = &fleet.instances[0];
    let emitter = match (step.service, step.name) {
        ("agent", "Setup replication") => &instance.standby().agent,
        ("agent", _) => &instance.primary().agent,
        ("postgres", _) => &instance.primary().database,
        (service, _) => fleet.service(instance.region, service),
    };
    Arc::clone(emitter)
}

/// The attributes of a step.
fn facts_of(step: &Step, instance: &Instance) -> Vec<(&'static str, Fact)> {
    let text = |text: &'static str| Fact::Text(Cow::Borrowed(text));
    let pod = || Fact::from(&instance.primary().pod);
    let mut facts = vec![("dbaas.instance.id", Fact::from(&instance.id))];
    facts.extend(match step.name {
        CREATE_INSTANCE_NAME => vec![
            ("dbaas.operation", text("create_instance")),
            ("dbaas.engine", text(instance.engine.system_name())),
            ("dbaas.engine.version", text(instance.engine_version)),
            ("dbaas.plan", text(instance.plan)),
            ("dbaas.tenant.id", Fact::from(&instance.tenant)),
            ("rpc.system.name", text("grpc")),
            ("rpc.method", text("dbaas.control.v1.ControlPlane/CreateInstance")),
        ],
        "API validation" => vec![("dbaas.step", text("validate"))],
        "Quota check" => vec![("dbaas.quota.used", Fact::Int(7)), ("dbaas.quota.limit", Fact::Int(20))],
        "Schedule placement" => vec![("dbaas.placement.candidates", Fact::Int(12))],
        "Create PVC" => vec![("k8s.pod.name", pod()), ("k8s.storageclass.name", text("gp3-encrypted"))],
        "Create StatefulSet" => {
            vec![("k8s.statefulset.name", Fact::from(&instance.id)), ("dbaas.replicas", Fact::Int(2))]
        }
        "Wait for Pod ready" => vec![("k8s.pod.name", pod()), ("dbaas.step.kind", text("wait"))],
        "initdb" => vec![("process.command", text("initdb")), ("process.exit.code", Fact::Int(0))],
        "Apply config" => vec![("dbaas.config.changes", Fact::Int(34))],
        "Create users" => vec![("db.system.name", text("postgresql")), ("db.operation.name", text("CREATE ROLE"))],
        "Setup replication" => vec![("dbaas.replication.mode", text("synchronous"))],
        "Register endpoints" => vec![("server.address", Fact::from(instance.endpoint()))],
        SELECT_USER_NAME => vec![
            ("db.system.name", text("postgresql")),
            ("db.namespace", text("shop|public")),
            ("db.operation.name", text("SELECT")),
            ("db.collection.name", text("users")),
            ("db.query.text", text(SELECT_USER_NAME)),
            ("db.query.summary", text("SELECT users")),
            ("server.address", Fact::from(instance.endpoint())),
            ("server.port", Fact::Int(instance.port())),
        ],
        "Connection pool acquire" => vec![
            ("db.client.connection.pool.name", text("shop-rw")),
            ("dbaas.pool.in_use", Fact::Int(18)),
            ("dbaas.pool.size", Fact::Int(20)),
        ],
        "Proxy routing" => vec![("dbaas.route.role", text("primary")), ("dbaas.route.target", pod())],
        "PostgreSQL query execution" => {
            vec![("db.system.name", text("postgresql")), ("db.namespace", text("shop|public"))]
        }
        "Execute" => vec![("db.response.returned_rows", Fact::Int(1))],
        "Result transmission" => vec![("dbaas.result.rows", Fact::Int(1)), ("dbaas.result.bytes", Fact::Int(182))],
        _ => Vec::new(),
    });
    facts
}

#[cfg(test)]
mod tests;
