//! Statements through proxy and pooler, and some as pg_tracing sends them.

use std::time::Duration;

use crate::demo::fleet::Engine;
use crate::demo::span::Draft;
use crate::demo::world::pathology::Pathology;
use crate::demo::world::stage::{Made, Outage, Stage};

const ERROR_SHARE: f64 = 0.0015;
/// Acquiring a connection waits for a free one.
const POOL_WAIT_SHARE: f64 = 0.02;
const POOL_WAIT: Duration = Duration::from_millis(8);
/// Statements of PostgreSQL that pg_tracing sampled by itself.
const PG_TRACING_SHARE: f64 = 0.05;
/// Of those, the ones whose text occurs once only.
const UNBOUNDED_SHARE: f64 = 0.02;
/// Distinct statements of one instance, and of all.
const STATEMENTS_PER_INSTANCE: u64 = 40;
const STATEMENTS: u64 = 4_000;
/// How much more often the first statement of an instance occurs than the n-th: `n^-1.2`.
const ZIPF_EXPONENT: f64 = 1.2;

/// SQLSTATE, exception, message, how often.
const FAILURES: [((&str, &str, &str), f64); 5] = [
    (("40001", "SerializationFailure", "could not serialize access due to concurrent update"), 0.35),
    (("57014", "QueryCanceled", "canceling statement due to statement timeout"), 0.20),
    (("53300", "TooManyConnections", "remaining connection slots are reserved"), 0.15),
    (("23505", "UniqueViolation", "duplicate key value violates unique constraint"), 0.20),
    (("XX000", "InternalError", "could not read block 4711: Input/output error"), 0.10),
];
const NO_PRIMARY: (&str, &str, &str) = ("57P01", "AdminShutdown", "no primary accepts connections");

/// Step, its sender, median in milliseconds, spread.
const STEPS: [(&str, Sender, f64, f64); 6] = [
    ("pool.acquire", Sender::Pooler, 0.06, 0.8),
    ("proxy.route", Sender::Proxy, 0.12, 0.5),
    ("db.parse", Sender::Database, 0.09, 0.5),
    ("db.plan", Sender::Database, 0.25, 0.6),
    ("db.execute", Sender::Database, 2.6, 1.1),
    ("db.transmit", Sender::Proxy, 0.35, 0.6),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sender {
    Proxy,
    Pooler,
    Database,
}

/// A statement on the instance; `outage` when it does not serve.
pub(in crate::demo::world) fn statement(stage: &mut Stage<'_>, outage: Option<Outage>) -> Made {
    let number = statement_number(stage);
    if stage.instance().engine == Engine::Postgresql && outage.is_none() && stage.dice.chance(PG_TRACING_SHARE) {
        return pg_tracing(stage, number);
    }
    let (operation, table) = (operation(number), number % 400);
    let instance = stage.instance();
    let proxy = stage.fleet.service(instance.region, "sql-proxy");
    let pooler = stage.fleet.service(instance.region, "pooler");
    let share = stage.error_share(ERROR_SHARE);
    let failure = match outage {
        Some(_) => Some(NO_PRIMARY),
        None => stage.dice.chance(share).then(|| *stage.dice.pick_weighted(&FAILURES)),
    };
    let mut script = stage.script(Duration::ZERO);
    let summary = format!("{operation} t{table}");
    let system = instance.engine.system_name();
    let root = Draft::new(proxy, summary.clone())
        .server()
        .with("db.system.name", system)
        .with("db.namespace", "shop|public")
        .with("db.operation.name", operation)
        .with("db.collection.name", format!("t{table}"))
        .with("db.query.text", text_of(operation, number))
        .with("db.query.summary", summary)
        .with("server.address", instance.endpoint())
        .with("server.port", instance.port());
    let root = script.trace.add(root);
    let mut at = Duration::ZERO;
    for (name, sender, median_ms, sigma) in STEPS {
        let mut work = stage.millis(median_ms, sigma);
        if name == "pool.acquire" && stage.dice.chance(POOL_WAIT_SHARE) {
            work += POOL_WAIT;
        }
        let emitter = match sender {
            Sender::Proxy => proxy,
            Sender::Pooler => pooler,
            Sender::Database => &instance.primary().database,
        };
        let draft = Draft::new(emitter, name).under(root).lasting(work);
        let draft = match name {
            "pool.acquire" => draft
                .with("db.client.connection.pool.name", "rw")
                .with("dbaas.pool.in_use", stage.dice.below(21))
                .with("dbaas.pool.size", 20_i64),
            "proxy.route" => {
                draft.with("dbaas.route.role", "primary").with("dbaas.route.target", &instance.primary().pod)
            }
            "db.execute" => {
                draft.with("db.response.returned_rows", stage.dice.below(50)).with("db.system.name", system)
            }
            _ => draft,
        };
        let ends_here = failure.is_some() && (name == "db.execute" || outage.is_some() && name == "proxy.route");
        let span = script.trace.then(&mut at, draft);
        if let (true, Some((sqlstate, kind, message))) = (ends_here, failure) {
            script.trace.change(span, |draft| draft.with("db.response.status_code", sqlstate).failed(kind, message));
            let failed = |draft: Draft| draft.with("db.response.status_code", sqlstate).status_error(message);
            script.trace.change(root, failed);
            break;
        }
    }
    script.trace.end(root, at);
    Made::frequent("query", script.finish())
}

/// One of the instance's statements, the first ones more often.
fn statement_number(stage: &mut Stage<'_>) -> u64 {
    // Inverse of the distribution's integral, which is close enough to the sum.
    let draw = stage.dice.between(0.0, 1.0);
    let most = (STATEMENTS_PER_INSTANCE as f64).powf(1.0 - ZIPF_EXPONENT);
    let rank = (1.0 - draw * (1.0 - most)).powf(1.0 / (1.0 - ZIPF_EXPONENT));
    let own = (rank as u64).clamp(1, STATEMENTS_PER_INSTANCE) - 1;
    (stage.position as u64 * 17 + own) % STATEMENTS
}

fn operation(number: u64) -> &'static str {
    match number % 10 {
        0..=5 => "SELECT",
        6 | 7 => "INSERT",
        8 => "UPDATE",
        _ => "DELETE",
    }
}

fn text_of(operation: &str, number: u64) -> String {
    let (table, column) = (number % 400, number / 400);
    match operation {
        "SELECT" => format!("SELECT * FROM t{table} WHERE c{column} = $1 ORDER BY id LIMIT 20"),
        "INSERT" => format!("INSERT INTO t{table} (id, c{column}) VALUES ($1, $2)"),
        "UPDATE" => format!("UPDATE t{table} SET c{column} = $2, updated_at = now() WHERE id = $1"),
        _ => format!("DELETE FROM t{table} WHERE c{column} < $1"),
    }
}

/// A statement that pg_tracing sampled by itself: no proxy, the statement as the root's name, span types as scopes.
fn pg_tracing(stage: &mut Stage<'_>, number: u64) -> Made {
    let database = &stage.instance().primary().database;
    let operation = operation(number);
    let mut name = text_of(operation, number);
    if stage.dice.chance(UNBOUNDED_SHARE) {
        name.push_str(&format!(" /* {} */", stage.dice.hex(12)));
    }
    let scope = match operation {
        "SELECT" => "Select query",
        "INSERT" => "Insert query",
        "UPDATE" => "Update query",
        _ => "Delete query",
    };
    let mut script = stage.script(Duration::ZERO);
    let mut at = Duration::ZERO;
    let root = Draft::new(database, name).scope(scope).server();
    let root = if stage.has(Pathology::ZeroParents) { root.pg_tracing_root() } else { root };
    let root = root.with("query.query_id", number * 7_919 + 11).with("backend.pid", stage.dice.below(60_000) + 1_000);
    let root = script.trace.add(root);
    let planner = stage.millis(0.2, 0.6);
    script.trace.then(&mut at, Draft::new(database, "Planner").scope("Planner").server().under(root).lasting(planner));
    let run = script.trace.add(Draft::new(database, "ExecutorRun").scope("ExecutorRun").server().under(root).at(at));
    let node =
        Draft::new(database, format!("IndexScan using t{0}_pkey on t{0}", number % 400)).scope("IndexScan").server();
    let node = node.under(run).lasting(stage.millis(2.0, 1.0)).with("node.rows", stage.dice.below(50));
    script.trace.then(&mut at, node.with("blocks.shared.hit", stage.dice.below(40)));
    script.trace.end(run, at);
    script.trace.end(root, at);
    Made::frequent("query", script.finish())
}
