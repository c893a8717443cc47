//! `GET /api/v1/operations`: how often each operation ran and how long it took.

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use model::OperationClass;
use model::rules::{Rules, SpanContext};
use proto::UnixNanos;
use store::{RollupRequest, Rollups};

use super::{Asked, HOUR_NANOS, JSON, body, off_the_runtime, to_json};
use crate::limits::{OPERATIONS_DEFAULT, OPERATIONS_MAX};
use crate::params::Params;
use crate::problem::Problem;
use crate::render::operations::{Operation, Operations};

/// What was asked.
struct Request {
    rollups: RollupRequest,
    class: Option<OperationClass>,
    limit: usize,
}

/// Lists operations, those that took the most time in all first.
pub(crate) async fn operations(State(asked): State<Asked>, uri: Uri) -> Result<Response, Problem> {
    let as_of = asked.clock.now();
    let Request { rollups: request, class, limit } = read_request(&uri, as_of)?;
    let rollups = asked.gate.run(async { Ok(asked.reader.rollups(&request).await?) }).await?;
    off_the_runtime(move || Ok(body(JSON, to_json(&answer(&rollups, &asked.rules, class, as_of, limit))?))).await
}

fn read_request(uri: &Uri, now: UnixNanos) -> Result<Request, Problem> {
    let mut params = Params::of(uri)?;
    let (start, end) = params.range(now, HOUR_NANOS)?;
    let rollups = RollupRequest {
        start,
        end,
        service: params.text("service")?,
        name: params.text("operation")?,
        root_only: params.flag("root")?.unwrap_or(true),
    };
    let class = params.parsed("class", str::parse)?;
    let limit = params.count("limit", OPERATIONS_MAX)?.unwrap_or(OPERATIONS_DEFAULT);
    params.finish()?;
    Ok(Request { rollups, class, limit })
}

/// Leaves operations of other classes out.
fn answer(
    rollups: &Rollups,
    rules: &Rules,
    class: Option<OperationClass>,
    as_of: UnixNanos,
    limit: usize,
) -> Operations {
    let seconds = rollups.end.min(as_of).nanos_since(rollups.start).max(1) as f64 / 1e9;
    let of_rows = rollups.rows.iter().map(|row| (class_of(rules, &row.service, &row.name), row));
    let asked = of_rows.filter(|(of_name, _)| class.is_none_or(|class| class == *of_name));
    let mut operations: Vec<Operation> = asked.map(|(of_name, row)| Operation::of(row, of_name, seconds)).collect();
    let total = operations.len();
    operations.sort_by_key(|operation| std::cmp::Reverse(operation.total_time_nano.0));
    operations.truncate(limit);
    Operations::of(rollups, as_of, total, operations)
}

/// What is known of an operation without its attributes.
fn class_of(rules: &Rules, service: &str, name: &str) -> OperationClass {
    let span = SpanContext { service, name, ..SpanContext::default() };
    rules.explain(&[span]).map_or(OperationClass::Other, |explained| explained.class.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixNanos = UnixNanos::from_i64(1_795_464_000_000_000_000);

    fn read(query: &str) -> Result<Request, Problem> {
        read_request(&format!("/api/v1/operations?{query}").parse().expect("a valid URI"), NOW)
    }

    #[test]
    fn defaults_and_everything_given() {
        let Request { rollups, limit, .. } = read("").expect("nothing is required");
        assert_eq!(NOW.nanos_since(rollups.start), HOUR_NANOS);
        assert_eq!((rollups.end, rollups.root_only, rollups.service, limit), (NOW, true, None, OPERATIONS_DEFAULT));
        let Request { rollups, class, limit } =
            read("start=now-1d&end=now-1h&service=agent&operation=initdb&root=false&limit=3&class=backup")
                .expect("all are known");
        assert_eq!(class, Some(OperationClass::Backup));
        assert_eq!((NOW.nanos_since(rollups.end), rollups.root_only, limit), (HOUR_NANOS, false, 3));
        assert_eq!((rollups.service.as_deref(), rollups.name.as_deref()), (Some("agent"), Some("initdb")));
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        for query in ["limit=1001", "root=1", "start=now&end=now", "class=lunch", "end=now-2h"] {
            assert!(read(query).is_err(), "{query}");
        }
    }
}
