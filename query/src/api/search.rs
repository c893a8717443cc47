//! `GET /api/v1/search`: traces that match.

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use proto::UnixNanos;
use store::{SearchOrder, SearchRequest};

use super::{Asked, JSON, body, to_json};
use crate::limits::{SEARCH_TRACES_DEFAULT, SEARCH_TRACES_MAX};
use crate::params::Params;
use crate::problem::Problem;
use crate::render::native;

/// How far a search without a start looks back: one hour.
const RANGE_DEFAULT_NANOS: i64 = 3_600 * 1_000_000_000;

/// Answers a search.
pub(crate) async fn search(State(asked): State<Asked>, uri: Uri) -> Result<Response, Problem> {
    let request = read_request(&uri, asked.clock.now())?;
    let found = asked.gate.run(async { Ok(asked.reader.search(&request).await?) }).await?;
    Ok(body(JSON, to_json(&native::SearchResult::of(&found))?))
}

fn read_request(uri: &Uri, now: UnixNanos) -> Result<SearchRequest, Problem> {
    let mut params = Params::of(uri)?;
    let order = [("newest", SearchOrder::Newest), ("slowest", SearchOrder::Slowest)];
    let order = params.choice("order", &order)?.unwrap_or_default();
    let limit = params.count("limit", SEARCH_TRACES_MAX)?.unwrap_or(SEARCH_TRACES_DEFAULT);
    let request = read_conditions(&mut params, now, order, limit)?;
    params.finish()?;
    Ok(request)
}

/// The conditions of a search, from the parameters that tell them.
pub(super) fn read_conditions(
    params: &mut Params,
    now: UnixNanos,
    order: SearchOrder,
    limit: usize,
) -> Result<SearchRequest, Problem> {
    let request = SearchRequest {
        start: params.time("start", now)?.unwrap_or_else(|| now.saturating_add(-RANGE_DEFAULT_NANOS)),
        end: params.time("end", now)?.unwrap_or(now),
        service: params.text("service")?,
        name: params.text("operation")?,
        error: params.flag("error")?,
        span_duration_min_nanos: params.duration_nanos("min_span_duration")?,
        trace_duration_min_nanos: params.duration_nanos("min_duration")?,
        root_only: params.flag("root")?.unwrap_or(false),
        order,
        limit,
    };
    if request.start >= request.end {
        return Err(Problem::bad_request("`start` must lie before `end` (which is now unless it is given)"));
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixNanos = UnixNanos::from_i64(1_795_464_000_000_000_000);

    fn read(query: &str) -> Result<SearchRequest, Problem> {
        let uri = format!("/api/v1/search?{query}").parse().expect("a valid URI");
        read_request(&uri, NOW)
    }

    #[test]
    fn defaults() {
        let request = read("").expect("nothing is required");
        assert_eq!(NOW.nanos_since(request.start), RANGE_DEFAULT_NANOS);
        assert_eq!((request.end, request.limit, request.order), (NOW, 50, SearchOrder::Newest));
        assert_eq!((request.service, request.name, request.error, request.root_only), (None, None, None, false));
        assert_eq!((request.span_duration_min_nanos, request.trace_duration_min_nanos), (None, None));
    }

    #[test]
    fn everything_given() {
        let request = read(
            "start=now-1d&end=now-1h&service=agent&operation=initdb&error=false&min_span_duration=5ms&min_duration=1m\
             &root=true&limit=1000&order=slowest",
        )
        .expect("all are known");
        assert_eq!(NOW.nanos_since(request.start), 86_400 * 1_000_000_000);
        assert_eq!(NOW.nanos_since(request.end), 3_600 * 1_000_000_000);
        assert_eq!((request.service.as_deref(), request.name.as_deref()), (Some("agent"), Some("initdb")));
        assert_eq!((request.error, request.root_only), (Some(false), true));
        assert_eq!(request.span_duration_min_nanos, Some(5_000_000));
        assert_eq!(request.trace_duration_min_nanos, Some(60_000_000_000));
        assert_eq!((request.limit, request.order), (1_000, SearchOrder::Slowest));
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        for query in ["limit=1001", "order=oldest", "start=now&end=now", "end=now-2h", "name=initdb", "root=1"] {
            assert!(read(query).is_err(), "{query}");
        }
    }
}
