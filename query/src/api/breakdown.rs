//! `GET /api/v1/operations/breakdown`: where the time of an operation goes, and what changed.

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use proto::UnixNanos;
use store::{Reader, StepRequest, StepRows, Steps};

use super::{Asked, HOUR_NANOS, JSON, body, off_the_runtime, to_json};
use crate::breakdown::Side;
use crate::params::Params;
use crate::problem::Problem;
use crate::render::breakdown::{Breakdown, Period, Question};

/// What `by` can be, with the attribute whose values the store counts.
const BY: [(&str, By); 5] = [
    ("region", By { name: "region", attribute: Some("cloud.region") }),
    ("zone", By { name: "zone", attribute: Some("cloud.availability_zone") }),
    ("engine", By { name: "engine", attribute: Some("db.system.name") }),
    ("instance", By { name: "instance", attribute: Some("dbaas.instance.id") }),
    ("version", By { name: "version", attribute: None }),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct By {
    name: &'static str,
    /// `None` for the version, by which everything is counted.
    attribute: Option<&'static str>,
}

/// What was asked.
struct Request {
    service: String,
    name: String,
    now: PeriodRequest,
    before: Option<PeriodRequest>,
    by: Option<By>,
}

#[derive(Clone)]
struct PeriodRequest {
    start: UnixNanos,
    end: UnixNanos,
    version: Option<String>,
}

/// Answers with the steps.
pub(crate) async fn breakdown(State(asked): State<Asked>, uri: Uri) -> Result<Response, Problem> {
    let as_of = asked.clock.now();
    let request = read_request(&uri, as_of)?;
    let query = async {
        let now = Counted::read(&asked.reader, &request, &request.now).await?;
        let before = match &request.before {
            Some(before) => Some(Counted::read(&asked.reader, &request, before).await?),
            None => None,
        };
        Ok((now, before))
    };
    let (now, before) = asked.gate.run(query).await?;
    off_the_runtime(move || answer(&request, &now, before.as_ref(), as_of)).await
}

fn answer(request: &Request, now: &Counted, before: Option<&Counted>, as_of: UnixNanos) -> Result<Response, Problem> {
    let (now_side, before_side) = (now.side(request.by), before.map(|before| before.side(request.by)));
    if now_side.operation.spans == 0 && before_side.as_ref().is_none_or(|side| side.operation.spans == 0) {
        let Request { service, name, .. } = request;
        return Err(Problem::not_found(format!("no `{name}` of service `{service}` began in this time")));
    }
    let period = now.period(&now_side, as_of);
    let before_period = before.zip(before_side.as_ref()).map(|(before, side)| before.period(side, as_of));
    let question = Question { as_of, service: &request.service, name: &request.name, by: request.by.map(|by| by.name) };
    Ok(body(JSON, to_json(&Breakdown::of(&question, &period, before_period.as_ref()))?))
}

/// What the store counted in one period.
struct Counted {
    roots: Steps,
    steps: Steps,
    values: Option<Steps>,
    version: Option<String>,
}

impl Counted {
    async fn read(reader: &Reader, request: &Request, period: &PeriodRequest) -> Result<Self, Problem> {
        let wanted = |rows| StepRequest {
            start: period.start,
            end: period.end,
            service: Some(request.service.clone()),
            operation: Some(request.name.clone()),
            rows,
        };
        let values = match request.by.and_then(|by| by.attribute) {
            Some(_) => Some(reader.steps(&wanted(StepRows::Values)).await?),
            None => None,
        };
        Ok(Self {
            roots: reader.steps(&wanted(StepRows::Operations)).await?,
            steps: reader.steps(&wanted(StepRows::Steps)).await?,
            values,
            version: period.version.clone(),
        })
    }

    fn side(&self, by: Option<By>) -> Side {
        let side = Side::of(&self.roots, &self.steps, self.version.as_deref());
        match (&self.values, by.and_then(|by| by.attribute)) {
            (Some(values), Some(attribute)) => side.with_values(values, attribute),
            _ => side,
        }
    }

    fn period<'a>(&'a self, side: &'a Side, as_of: UnixNanos) -> Period<'a> {
        let Steps { start, end, .. } = self.roots;
        Period {
            side,
            steps: &self.roots,
            version: self.version.as_deref(),
            seconds: end.min(as_of).nanos_since(start).max(1) as f64 / 1e9,
            is_folded: [Some(&self.roots), Some(&self.steps), self.values.as_ref()]
                .into_iter()
                .flatten()
                .any(|steps| steps.is_folded),
        }
    }
}

fn read_request(uri: &Uri, now: UnixNanos) -> Result<Request, Problem> {
    let mut params = Params::of(uri)?;
    let (service, name) = (params.required("service")?, params.required("name")?);
    let (start, end) = params.range(now, HOUR_NANOS)?;
    let version = params.text("version")?;
    let baseline = (params.time("baseline_start", now)?, params.time("baseline_end", now)?);
    let baseline_version = params.text("baseline_version")?;
    let by = params.choice("by", &BY)?;
    params.finish()?;
    let period = match baseline {
        (Some(start), Some(end)) if start < end => Some((start, end)),
        (Some(_), Some(_)) => return Err(Problem::bad_request("`baseline_start` must lie before `baseline_end`")),
        (None, None) => baseline_version.is_some().then_some((start, end)),
        _ => return Err(Problem::bad_request("`baseline_start` and `baseline_end` go together")),
    };
    let is_of_version = version.is_some() || baseline_version.is_some();
    if is_of_version && by.is_some_and(|by| by.attribute.is_some()) {
        return Err(Problem::bad_request("values are not counted by version: leave `version` or `by` out"));
    }
    let before = period.map(|(start, end)| PeriodRequest { start, end, version: baseline_version });
    Ok(Request { service, name, now: PeriodRequest { start, end, version }, before, by })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixNanos = UnixNanos::from_i64(1_795_464_000_000_000_000);

    fn read(query: &str) -> Result<Request, Problem> {
        let uri = format!("/api/v1/operations/breakdown?service=api&name=Create{query}").parse().expect("a valid URI");
        read_request(&uri, NOW)
    }

    #[test]
    fn values_are_of_attributes_that_the_store_counts() {
        for (_, by) in BY {
            let known = |attribute| store::STEP_ATTRIBUTES.iter().any(|names| names[0] == attribute);
            assert!(by.attribute.is_none_or(known), "{}", by.name);
        }
    }

    #[test]
    fn a_baseline_is_a_period_or_a_version_or_both() {
        assert!(read("").expect("nothing else is required").before.is_none());
        let before = read("&baseline_start=now-3h&baseline_end=now-2h").expect("a period").before.expect("a baseline");
        assert_eq!((NOW.nanos_since(before.start), before.version), (3 * HOUR_NANOS, None));
        let request = read("&version=2&baseline_version=1").expect("two versions");
        let before = request.before.expect("a baseline");
        assert_eq!((before.start, before.end, before.version.as_deref()), (request.now.start, NOW, Some("1")));
        assert_eq!(request.now.version.as_deref(), Some("2"));
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        for query in [
            "&baseline_start=now-3h",
            "&baseline_start=now-2h&baseline_end=now-3h",
            "&by=color",
            "&by=region&version=1",
            "&end=now-2h",
        ] {
            assert!(read(query).is_err(), "{query}");
        }
        let uri = "/api/v1/operations/breakdown?service=api".parse().expect("a valid URI");
        assert!(read_request(&uri, NOW).is_err());
    }
}
