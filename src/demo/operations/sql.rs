//! Statements through proxy and pooler, and the database's own spans as pg_tracing sends them.

use std::time::Duration;

use proto::otlp::trace::v1::span::SpanKind;

use super::Scene;
use crate::demo::fleet::{Engine, Instance};
use crate::demo::span::{Draft, EmittedSpan, TraceBuilder};

/// Statements that fail.
const ERROR_SHARE: f64 = 0.0015;
/// Clients that still send the names from before the stable semantic conventions for databases.
const OLD_CONVENTION_SHARE: f64 = 0.15;
/// Acquiring a connection waits for a free one.
const POOL_WAIT_SHARE: f64 = 0.02;
const POOL_WAIT: Duration = Duration::from_millis(8);

/// Statement, operation, table, rows returned at most, how often.
const STATEMENTS: [(Statement, f64); 12] = [
    (Statement::new("SELECT * FROM users WHERE id = $1", "SELECT", "users", 1), 22.0),
    (Statement::new("SELECT * FROM sessions WHERE token = $1", "SELECT", "sessions", 1), 16.0),
    (
        Statement::new("SELECT id, name, price FROM products WHERE category = $1 LIMIT 50", "SELECT", "products", 50),
        12.0,
    ),
    (Statement::new("INSERT INTO events (user_id, kind, body) VALUES ($1, $2, $3)", "INSERT", "events", 0), 12.0),
    (Statement::new("UPDATE carts SET items = $2, updated_at = now() WHERE id = $1", "UPDATE", "carts", 0), 9.0),
    (
        Statement::new(
            "SELECT * FROM orders WHERE user_id = $1 ORDER BY created_at DESC LIMIT 20",
            "SELECT",
            "orders",
            20,
        ),
        8.0,
    ),
    (Statement::new("INSERT INTO orders (user_id, total) VALUES ($1, $2) RETURNING id", "INSERT", "orders", 1), 5.0),
    (Statement::new("UPDATE inventory SET reserved = reserved + $2 WHERE sku = $1", "UPDATE", "inventory", 0), 5.0),
    (Statement::new("DELETE FROM sessions WHERE expires_at < now()", "DELETE", "sessions", 0), 3.0),
    (Statement::new("SELECT count(*) FROM events WHERE kind = $1 AND created_at > $2", "SELECT", "events", 1), 4.0),
    (
        Statement::new(
            "SELECT o.id, u.email FROM orders o JOIN users u ON u.id = o.user_id WHERE o.state = $1",
            "SELECT",
            "orders",
            400,
        ),
        3.0,
    ),
    (Statement::new("COMMIT", "COMMIT", "", 0), 1.0),
];

/// SQLSTATE, exception, message, how often.
const FAILURES: [((&str, &str, &str), f64); 4] = [
    (("40001", "SerializationFailure", "could not serialize access due to concurrent update"), 0.40),
    (("57014", "QueryCanceled", "canceling statement due to statement timeout"), 0.24),
    (("53300", "TooManyConnections", "remaining connection slots are reserved"), 0.18),
    (("23505", "UniqueViolation", "duplicate key value violates unique constraint"), 0.18),
];

#[derive(Debug, Clone, Copy)]
struct Statement {
    text: &'static str,
    operation: &'static str,
    table: &'static str,
    rows_max: u64,
}

impl Statement {
    const fn new(text: &'static str, operation: &'static str, table: &'static str, rows_max: u64) -> Self {
        Self { text, operation, table, rows_max }
    }

    /// `db.query.summary`: low cardinality, so it is also the span's name.
    fn summary(&self) -> String {
        if self.table.is_empty() { self.operation.to_owned() } else { format!("{} {}", self.operation, self.table) }
    }
}

/// A statement: proxy, pooler, database; about 4 ms.
pub fn statement(scene: &mut Scene<'_>) -> Vec<EmittedSpan> {
    let fleet = scene.fleet;
    let instance = fleet.any_instance(scene.dice);
    let statement = *scene.dice.pick_weighted(&STATEMENTS);
    let proxy = fleet.service(instance.region, "sql-proxy");
    let pooler = fleet.service(instance.region, "pooler");
    let database = &instance.primary().database;
    let mut trace = scene.trace().about(&instance.id);
    let mut at = scene.around_ms(0.03, 0.4);

    let root = trace.add(described(Draft::new(proxy, statement.summary()).server(), instance, &statement, scene));
    let mut acquire = scene.around_ms(0.06, 0.8);
    if scene.dice.chance(POOL_WAIT_SHARE) {
        acquire += POOL_WAIT;
    }
    let acquire = Draft::new(pooler, "pool.acquire").server().under(root).lasting(acquire);
    let in_use = scene.dice.below(21);
    trace.then(
        &mut at,
        acquire
            .with("db.client.connection.pool.name", "rw")
            .with("dbaas.pool.in_use", in_use)
            .with("dbaas.pool.size", 20_i64),
    );
    let route = Draft::new(proxy, "proxy.route").under(root).lasting(scene.around_ms(0.12, 0.5));
    trace.then(&mut at, route.with("dbaas.route.role", "primary").with("dbaas.route.target", &instance.primary().pod));

    let query = trace.add(
        Draft::new(database, "db.query")
            .server()
            .under(root)
            .at(at)
            .with("db.system.name", instance.engine.system_name())
            .with("dbaas.instance.id", &instance.id),
    );
    let parse = Draft::new(database, "db.parse").under(query).lasting(scene.around_ms(0.09, 0.5));
    trace.then(&mut at, parse.with("db.query.summary", statement.summary()));
    let plan = Draft::new(database, "db.plan").under(query).lasting(scene.around_ms(0.25, 0.6));
    let cost = scene.dice.between(0.3, 480.0).round();
    trace.then(&mut at, plan.with("dbaas.plan.cost", cost).with("dbaas.plan.is_cached", scene.dice.chance(0.7)));
    let rows = scene.dice.below(statement.rows_max + 1);
    let execute = Draft::new(database, "db.execute").under(query).lasting(scene.around_ms(2.6, 1.1));
    let execute = execute.with("db.response.returned_rows", rows).with("dbaas.blocks.hit", scene.dice.below(40) + 3);
    let execute = trace.then(&mut at, execute.with("db.system.name", instance.engine.system_name()));
    trace.end(query, at);

    if scene.dice.chance(ERROR_SHARE) {
        let (sqlstate, kind, message) = *scene.dice.pick_weighted(&FAILURES);
        trace.change(execute, |draft| draft.with("db.response.status_code", sqlstate).failed(kind, message));
        trace.end(root, at);
        trace.change(root, |draft| draft.with("db.response.status_code", sqlstate).status_error(message));
        return trace.finish();
    }
    let transmit = Draft::new(proxy, "db.transmit").under(root).lasting(scene.around_ms(0.35, 0.6));
    trace.then(&mut at, transmit.with("dbaas.result.rows", rows).with("dbaas.result.bytes", rows * 180 + 14));
    trace.end(root, at);
    trace.finish()
}

fn described(draft: Draft, instance: &Instance, statement: &Statement, scene: &mut Scene<'_>) -> Draft {
    let system = instance.engine.system_name();
    let draft = draft.with("dbaas.instance.id", &instance.id);
    if scene.dice.chance(OLD_CONVENTION_SHARE) {
        return draft
            .with("db.system", system)
            .with("db.name", "shop")
            .with("db.operation", statement.operation)
            .with("db.statement", statement.text)
            .with("db.user", "app");
    }
    let draft = draft
        .with("db.system.name", system)
        .with("db.namespace", "shop|public")
        .with("db.operation.name", statement.operation)
        .with("db.query.text", statement.text)
        .with("db.query.summary", statement.summary())
        .with("server.address", instance.endpoint())
        .with("server.port", instance.port());
    if statement.table.is_empty() { draft } else { draft.with("db.collection.name", statement.table) }
}

/// A statement that pg_tracing sampled by itself: no proxy, scope names that are span types, a clock that counts
/// microseconds, and a root whose parent is the low half of the trace id.
pub fn pg_tracing(scene: &mut Scene<'_>) -> Vec<EmittedSpan> {
    scene.start = proto::UnixNanos::from_i64(scene.start.as_i64() / 1_000 * 1_000);
    let instance = scene.fleet.any_instance_of(Engine::Postgresql, scene.dice);
    let statement = STATEMENTS[scene.dice.below(STATEMENTS.len() as u64 - 1) as usize].0;
    let database = &instance.primary().database;
    let mut trace: TraceBuilder = scene.trace().about(&instance.id);
    let mut at = Duration::ZERO;
    let server = |name: &'static str, scope| Draft::new(database, name).scope(scope).kind(SpanKind::Server);

    let top_scope = match statement.operation {
        "SELECT" => "Select query",
        "INSERT" => "Insert query",
        "UPDATE" => "Update query",
        _ => "Delete query",
    };
    let query_id = scene.dice.below(i64::MAX as u64);
    let backend_pid = scene.dice.below(60_000) + 1_000;
    let root = trace.add(
        server(statement.text, top_scope)
            .pg_tracing_root()
            .with("query.query_id", query_id)
            .with("backend.pid", backend_pid),
    );
    let planner = whole_micros(scene.around_ms(0.2, 0.6));
    trace.then(&mut at, server("Planner", "Planner").under(root).lasting(planner));
    let run = trace.add(server("ExecutorRun", "ExecutorRun").under(root).at(at));
    let node = whole_micros(scene.around_ms(2.0, 1.0));
    let rows = scene.dice.below(statement.rows_max + 1);
    let node_name = format!("IndexScan using {0}_pkey on {0}", statement.table);
    let node = Draft::new(database, node_name).scope("IndexScan").server().under(run).lasting(node);
    trace.then(
        &mut at,
        node.with("plan.cost.total", 8.31).with("node.rows", rows).with("blocks.shared.hit", scene.dice.below(40)),
    );
    trace.end(run, at);
    trace.end(root, at);
    trace.finish()
}

fn whole_micros(duration: Duration) -> Duration {
    Duration::from_micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}
