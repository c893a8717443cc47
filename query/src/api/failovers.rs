//! `GET /api/v1/failovers`: the report over many failovers, and one of them.

use axum::extract::State;
use axum::response::Response;
use http::header::{ACCEPT, VARY};
use http::{HeaderMap, HeaderValue, Uri};
use model::duration::parse_nanos;
use model::failover::{FailoverFacts, GroupBy, ReportOptions, SLO_BARS_MAX, report};
use model::run::Trigger;
use proto::UnixNanos;

use super::runs::{RunInPath, unknown};
use super::{Asked, DAY_NANOS, JSON, body, off_the_runtime, to_json};
use crate::limits::{FAILOVERS_DEFAULT, FAILOVERS_MAX, GROUP_BY_MAX};
use crate::params::Params;
use crate::problem::Problem;
use crate::render::failover::FailoverDetail;
use crate::render::failover_table::{self, Rows};
use crate::render::failovers::ReportView;
use crate::runs;

/// How far back a report without a start looks: a quarter.
const RANGE_DEFAULT_NANOS: i64 = 90 * DAY_NANOS;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Csv,
    Markdown,
}

impl Format {
    const ALL: [(&str, Self); 3] = [("json", Self::Json), ("csv", Self::Csv), ("markdown", Self::Markdown)];

    const fn media_type(self) -> &'static str {
        match self {
            Self::Json => JSON,
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Markdown => "text/markdown; charset=utf-8",
        }
    }

    /// The first that the client names; JSON when it names none.
    fn accepted(headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let media_types = accepted.flat_map(|value| value.split(',')).map(|item| {
            let media_type = item.split(';').next().unwrap_or_default();
            media_type.trim().to_ascii_lowercase()
        });
        let mut known = media_types.filter_map(|media_type| match media_type.as_str() {
            JSON => Some(Self::Json),
            "text/csv" => Some(Self::Csv),
            "text/markdown" => Some(Self::Markdown),
            _ => None,
        });
        known.next().unwrap_or(Self::Json)
    }
}

/// What was asked.
struct Request {
    options: ReportOptions,
    triggers: Vec<Trigger>,
    lists_failovers: bool,
    limit: usize,
    format: Option<Format>,
}

/// The report.
pub(crate) async fn failovers(State(asked): State<Asked>, headers: HeaderMap, uri: Uri) -> Result<Response, Problem> {
    let request = read_request(&uri, asked.clock.now())?;
    let format = request.format.unwrap_or_else(|| Format::accepted(&headers));
    let Request { options, .. } = &request;
    // The period before is as long and ends where this one starts.
    let since = options.start.saturating_add(-options.end.nanos_since(options.start));
    let facts = asked.gate.run(async { Ok(asked.reader.failovers(since, options.end).await?) }).await?;
    off_the_runtime(move || {
        let mut response = body(format.media_type(), render(&request, facts, format)?);
        response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
        Ok(response)
    })
    .await
}

fn render(request: &Request, mut facts: Vec<FailoverFacts>, format: Format) -> Result<Vec<u8>, Problem> {
    let Request { options, triggers, lists_failovers, limit, .. } = request;
    facts.retain(|failover| triggers.is_empty() || triggers.contains(&failover.trigger));
    let report = report(&facts, options);
    let mut listed: Vec<&FailoverFacts> =
        facts.iter().filter(|failover| (options.start..options.end).contains(&failover.start)).collect();
    listed.sort_by_key(|failover| std::cmp::Reverse((failover.start, failover.run)));
    listed.truncate(*limit);
    let listed = lists_failovers.then_some(listed.as_slice());
    let rows = listed.map_or(Rows::Groups, Rows::Failovers);
    match format {
        Format::Json => to_json(&ReportView::of(&report, listed)),
        Format::Csv => Ok(failover_table::csv(&report, rows).into_bytes()),
        Format::Markdown => Ok(failover_table::markdown(&report, rows).into_bytes()),
    }
}

/// One failover.
pub(crate) async fn failover(
    State(asked): State<Asked>,
    RunInPath(reference): RunInPath,
    uri: Uri,
) -> Result<Response, Problem> {
    Params::of(&uri)?.finish()?;
    let as_of = asked.clock.now();
    let found = asked.gate.run(runs::one(&asked.reader, reference)).await?;
    let (run, facts) = found.ok_or_else(|| unknown(reference))?;
    let facts = facts.ok_or_else(|| Problem::not_found(format!("run {reference} is no failover")))?;
    off_the_runtime(move || Ok(body(JSON, to_json(&FailoverDetail::of(&run, &facts, as_of))?))).await
}

fn read_request(uri: &Uri, now: UnixNanos) -> Result<Request, Problem> {
    let mut params = Params::of(uri)?;
    let (start, end) = params.range(now, RANGE_DEFAULT_NANOS)?;
    let group_by: Vec<GroupBy> = params.list("group_by", GROUP_BY_MAX, str::parse)?;
    let triggers = params.list("trigger", Trigger::ALL.len(), trigger)?;
    let options = ReportOptions {
        start,
        end,
        as_of: now,
        group_by,
        slo_unplanned_nanos: params.list("slo", SLO_BARS_MAX, parse_nanos)?,
        slo_planned_nanos: params.list("slo_planned", SLO_BARS_MAX, parse_nanos)?,
    };
    let lists_failovers = params.choice("rows", &[("groups", false), ("failovers", true)])?.unwrap_or(false);
    let limit = params.count("limit", FAILOVERS_MAX)?.unwrap_or(FAILOVERS_DEFAULT);
    let format = params.choice("format", &Format::ALL)?;
    params.finish()?;
    let mut distinct = options.group_by.clone();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < options.group_by.len() {
        return Err(Problem::bad_request("parameter `group_by`: a value is given twice"));
    }
    Ok(Request { options, triggers, lists_failovers, limit, format })
}

fn trigger(text: &str) -> Result<Trigger, String> {
    let names = || Trigger::ALL.map(Trigger::name).join(", ");
    let known = Trigger::ALL.into_iter().find(|trigger| trigger.name() == text);
    known.ok_or_else(|| format!("`{text}` is none of: {}", names()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixNanos = UnixNanos::from_i64(1_795_464_000_000_000_000);

    fn read(query: &str) -> Result<Request, Problem> {
        read_request(&format!("/api/v1/failovers?{query}").parse().expect("a valid URI"), NOW)
    }

    #[test]
    fn lists_are_read_and_bounded() {
        let request = read("group_by=region,week&trigger=unplanned,forced&slo=60s,30s&slo_planned=10s&rows=failovers")
            .expect("all are known");
        assert_eq!(request.options.group_by, [GroupBy::Region, GroupBy::Week]);
        assert_eq!(request.triggers, [Trigger::Unplanned, Trigger::Forced]);
        assert_eq!(request.options.slo_unplanned_nanos, [60_000_000_000, 30_000_000_000]);
        assert_eq!(request.options.slo_planned_nanos, [10_000_000_000]);
        assert!(request.lists_failovers && request.format.is_none());
        assert_eq!(NOW.nanos_since(request.options.start), RANGE_DEFAULT_NANOS);
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        for query in [
            "group_by=moon",
            "group_by=region,zone,engine,plan",
            "group_by=region,region",
            "trigger=chaos",
            "slo=1s,2s,3s",
            "slo=fast",
            "format=pdf",
            "limit=10001",
            "start=now&end=now-1h",
        ] {
            assert!(read(query).is_err(), "{query}");
        }
    }

    #[test]
    fn the_first_known_media_type_is_taken() {
        let accepted = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            Format::accepted(&headers)
        };
        assert_eq!(Format::accepted(&HeaderMap::new()), Format::Json);
        assert_eq!(accepted("text/html, Text/CSV;q=0.9, application/json"), Format::Csv);
        assert_eq!(accepted("text/markdown"), Format::Markdown);
        assert_eq!(accepted("*/*"), Format::Json);
    }
}
