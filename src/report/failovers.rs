//! `spanhold failovers`: the report, by group or one by one.

use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Asking, say};
use crate::ask::{self, AskError};
use crate::table::{duration, percent, table, time};

/// Options of `spanhold failovers`.
#[derive(Debug, Args)]
pub struct FailoverOptions {
    /// Group by these, with commas: region, zone, engine, engine_version, plan, tenant, instance, trigger, cause,
    /// controller_version, week.
    #[arg(long, value_name = "BY")]
    pub group_by: Option<String>,
    /// Only these: planned, unplanned, forced, drill, unknown.
    #[arg(long)]
    pub trigger: Option<String>,
    /// One or two objectives for unplanned failovers, with a comma: the longest time without writes.
    #[arg(long, value_name = "DURATION")]
    pub slo: Option<String>,
    /// The same for planned ones.
    #[arg(long, value_name = "DURATION")]
    pub slo_planned: Option<String>,
    /// Print each failover rather than groups.
    #[arg(long)]
    pub each: bool,
    /// Print the server's CSV or Markdown.
    #[arg(long, value_enum, conflicts_with = "json")]
    pub format: Option<Format>,
    /// What every report is asked with.
    #[command(flatten)]
    pub asking: Asking,
}

/// Another form than a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For spreadsheets.
    Csv,
    /// For post-mortems.
    Markdown,
}

#[derive(Deserialize)]
struct Report {
    as_of_unix_nano: String,
    start_unix_nano: String,
    end_unix_nano: String,
    completeness: Completeness,
    groups: Vec<Group>,
    failovers: Option<Vec<Failover>>,
}

#[derive(Deserialize)]
struct Completeness {
    failovers: usize,
    unfinished: usize,
    unknown_t0: usize,
    unattributed: usize,
}

#[derive(Deserialize)]
struct Group {
    key: Map<String, Value>,
    is_planned: bool,
    count: usize,
    success_share: Option<f64>,
    measures: Measures,
    attainment: Vec<Attainment>,
    total_unavailable_nano: String,
    worst_phase_by_count: Option<String>,
    worst: Vec<Worst>,
}

#[derive(Deserialize)]
struct Measures {
    write_unavailable: Distribution,
    time_to_detect: Distribution,
    execution_time: Distribution,
}

#[derive(Deserialize)]
struct Distribution {
    p50_nano: Option<String>,
    p95_nano: Option<String>,
    max_nano: Option<String>,
}

#[derive(Deserialize)]
struct Attainment {
    bar_nano: String,
    met: Option<Share>,
}

#[derive(Deserialize)]
struct Share {
    share: f64,
    low: f64,
    high: f64,
}

#[derive(Deserialize)]
struct Worst {
    trace_id: String,
}

#[derive(Deserialize)]
struct Failover {
    run_id: String,
    start_unix_nano: String,
    trigger: String,
    outcome: String,
    instance: Option<String>,
    t0_source: String,
    measures: FailoverMeasures,
    dominant_phase: Option<String>,
}

#[derive(Deserialize)]
struct FailoverMeasures {
    write_unavailable_nano: Option<String>,
    time_to_detect_nano: Option<String>,
    execution_time_nano: Option<String>,
}

pub(super) async fn run(options: &FailoverOptions) -> Result<(), AskError> {
    let FailoverOptions { group_by, trigger, slo, slo_planned, each, format, asking } = options;
    let format = format.map(|format| if format == Format::Csv { "csv" } else { "markdown" });
    let further = [
        ("group_by", group_by.as_deref()),
        ("trigger", trigger.as_deref()),
        ("slo", slo.as_deref()),
        ("slo_planned", slo_planned.as_deref()),
        ("rows", each.then_some("failovers")),
        ("format", format),
    ];
    if format.is_none() {
        return asking.print("/api/v1/failovers", &further, render).await;
    }
    let common = [("start", &asking.start), ("end", &asking.end), ("limit", &asking.limit)];
    let common = common.into_iter().map(|(name, value)| (name, value.as_deref()));
    let parameters: Vec<(&str, Option<&str>)> = common.chain(further).collect();
    say(&ask::get_with(&asking.url, "/api/v1/failovers", &parameters).await?)
}

fn render(report: &Report) -> String {
    let rows = report.failovers.as_deref().map_or_else(|| groups(&report.groups), each);
    let Completeness { failovers, unfinished, unknown_t0, unattributed } = report.completeness;
    let (start, end) = (time(&report.start_unix_nano), time(&report.end_unix_nano));
    format!(
        "{rows}{failovers} failovers from {start} to {end} as of {}: {unfinished} unfinished, {unknown_t0} with an unknown \
         T0, {unattributed} with more than 10 % of their time unattributed\n",
        time(&report.as_of_unix_nano)
    )
}

fn groups(groups: &[Group]) -> String {
    let bars = groups.iter().map(|group| group.attainment.len()).max().unwrap_or(0);
    let mut head: Vec<&str> =
        groups.first().map_or_else(Vec::new, |group| group.key.keys().map(String::as_str).collect());
    head.extend(["kind", "count", "success", "no writes p50", "p95", "max", "detect p50", "execution p50"]);
    head.extend(std::iter::repeat_n("objective", bars));
    head.extend(["in all", "worst phase", "worst trace"]);
    let rows: Vec<Vec<String>> = groups.iter().map(|group| group_row(group, bars)).collect();
    table(&head, &rows)
}

fn group_row(group: &Group, bars: usize) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut row: Vec<String> = group.key.values().map(text).collect();
    row.push(if group.is_planned { "planned" } else { "unplanned" }.to_owned());
    row.extend([group.count.to_string(), percent(group.success_share)]);
    let Distribution { p50_nano, p95_nano, max_nano } = &group.measures.write_unavailable;
    let measures = [
        p50_nano,
        p95_nano,
        max_nano,
        &group.measures.time_to_detect.p50_nano,
        &group.measures.execution_time.p50_nano,
    ];
    row.extend(measures.map(|nanos| duration(nanos.as_deref())));
    row.extend((0..bars).map(|bar| group.attainment.get(bar).map_or_else(|| "-".to_owned(), attainment)));
    row.push(duration(Some(&group.total_unavailable_nano)));
    row.push(group.worst_phase_by_count.clone().unwrap_or_else(|| "-".to_owned()));
    row.push(group.worst.first().map_or_else(|| "-".to_owned(), |worst| worst.trace_id.clone()));
    row
}

fn attainment(attainment: &Attainment) -> String {
    let bar = duration(Some(&attainment.bar_nano));
    match &attainment.met {
        Some(met) => {
            format!("{} <= {bar} ({} to {})", percent(Some(met.share)), percent(Some(met.low)), percent(Some(met.high)))
        }
        None => format!("? <= {bar}"),
    }
}

fn each(failovers: &[Failover]) -> String {
    let row = |failover: &Failover| {
        let measures = &failover.measures;
        let nanos = [&measures.write_unavailable_nano, &measures.time_to_detect_nano, &measures.execution_time_nano];
        let mut row = vec![time(&failover.start_unix_nano), failover.trigger.clone(), failover.outcome.clone()];
        row.push(failover.instance.clone().unwrap_or_else(|| "-".to_owned()));
        row.extend(nanos.map(|nanos| duration(nanos.as_deref())));
        row.push(failover.t0_source.clone());
        row.push(failover.dominant_phase.clone().unwrap_or_else(|| "-".to_owned()));
        row.push(failover.run_id.clone());
        row
    };
    let rows: Vec<Vec<String>> = failovers.iter().map(row).collect();
    let head = [
        "start",
        "trigger",
        "outcome",
        "instance",
        "no writes",
        "detect",
        "execution",
        "T0 from",
        "longest phase",
        "run",
    ];
    table(&head, &rows)
}
