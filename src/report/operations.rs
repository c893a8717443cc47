//! `spanhold operations`: operations by the time they take, and the steps of one.

use clap::{Args, Subcommand};
use serde::Deserialize;

use super::Asking;
use crate::ask::AskError;
use crate::table::{duration, percent, table, time};

/// Options of `spanhold operations`.
#[derive(Debug, Args)]
pub struct OperationOptions {
    /// What to show; all operations when left out.
    #[command(subcommand)]
    pub what: Option<What>,
    /// Only of this service.
    #[arg(long)]
    pub service: Option<String>,
    /// Only of this class, such as `provisioning`.
    #[arg(long)]
    pub class: Option<String>,
    /// What every report is asked with.
    #[command(flatten)]
    pub asking: Asking,
}

/// One look.
#[derive(Debug, Subcommand)]
pub enum What {
    /// The steps of one operation: where its time goes, and what changed.
    Steps {
        /// Service of the root.
        service: String,
        /// Name of the root.
        name: String,
        /// Only this version of the root's service.
        #[arg(long)]
        version: Option<String>,
        /// Begin of a period to compare with.
        #[arg(long, value_name = "TIME", requires = "baseline_end")]
        baseline_start: Option<String>,
        /// End of it.
        #[arg(long, value_name = "TIME", requires = "baseline_start")]
        baseline_end: Option<String>,
        /// Version to compare with.
        #[arg(long, value_name = "VERSION")]
        baseline_version: Option<String>,
    },
}

#[derive(Deserialize)]
struct Operations {
    start_unix_nano: String,
    end_unix_nano: String,
    total: usize,
    operations: Vec<Operation>,
}

#[derive(Deserialize)]
struct Operation {
    service: String,
    name: String,
    class: String,
    span_count: u64,
    error_count: u64,
    total_time_nano: String,
    p50_nano: String,
    p90_nano: String,
    p95_nano: String,
    p99_nano: String,
    max_nano: String,
}

#[derive(Deserialize)]
struct Breakdown {
    start_unix_nano: String,
    end_unix_nano: String,
    relative_error: f64,
    operation: Row,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    path: Vec<String>,
    #[serde(flatten)]
    row: Row,
}

#[derive(Deserialize)]
struct Row {
    figures: Option<Figures>,
    change: Option<Change>,
}

#[derive(Deserialize)]
struct Figures {
    count: u64,
    error_count: u64,
    critical_share: f64,
    self_time_nano: String,
    p50_nano: String,
    p95_nano: String,
    max_nano: String,
}

#[derive(Deserialize)]
struct Change {
    kind: String,
    is_significant: bool,
    ratio: Option<f64>,
    critical_time_per_operation_nano: String,
}

pub(super) async fn run(options: &OperationOptions) -> Result<(), AskError> {
    let OperationOptions { what, service, class, asking } = options;
    match what {
        None => {
            let further = [("service", service.as_deref()), ("class", class.as_deref())];
            asking.print("/api/v1/operations", &further, operations).await
        }
        Some(What::Steps { service, name, version, baseline_start, baseline_end, baseline_version }) => {
            let further = [
                ("service", Some(service.as_str())),
                ("name", Some(name.as_str())),
                ("version", version.as_deref()),
                ("baseline_start", baseline_start.as_deref()),
                ("baseline_end", baseline_end.as_deref()),
                ("baseline_version", baseline_version.as_deref()),
            ];
            asking.print("/api/v1/operations/breakdown", &further, steps).await
        }
    }
}

fn operations(answer: &Operations) -> String {
    let row = |operation: &Operation| {
        let nanos = [
            &operation.total_time_nano,
            &operation.p50_nano,
            &operation.p90_nano,
            &operation.p95_nano,
            &operation.p99_nano,
            &operation.max_nano,
        ];
        let mut row = vec![operation.service.clone(), operation.name.clone(), operation.class.clone()];
        row.extend([operation.span_count.to_string(), operation.error_count.to_string()]);
        row.extend(nanos.map(|nanos| duration(Some(nanos))));
        row
    };
    let rows: Vec<_> = answer.operations.iter().map(row).collect();
    let head = ["service", "operation", "class", "count", "errors", "total", "p50", "p90", "p95", "p99", "max"];
    let Operations { start_unix_nano, end_unix_nano, total, .. } = answer;
    let (start, end) = (time(start_unix_nano), time(end_unix_nano));
    format!("{}{} of {total} operations from {start} to {end}\n", table(&head, &rows), rows.len())
}

fn steps(answer: &Breakdown) -> String {
    let mut rows = vec![row("(operation)".to_owned(), &answer.operation)];
    rows.extend(answer.steps.iter().map(|step| row(step.path.join(" / "), &step.row)));
    let head = ["step", "count", "errors", "critical", "self", "p50", "p95", "max", "change", "per operation"];
    let Breakdown { start_unix_nano, end_unix_nano, relative_error, .. } = answer;
    let (start, end) = (time(start_unix_nano), time(end_unix_nano));
    let error = relative_error * 100.0;
    format!("{}from {start} to {end}; percentiles within {error} %\n", table(&head, &rows))
}

fn row(name: String, row: &Row) -> Vec<String> {
    let mut cells = vec![name];
    match &row.figures {
        Some(figures) => {
            cells.extend([figures.count.to_string(), figures.error_count.to_string()]);
            cells.push(percent(Some(figures.critical_share)));
            let nanos = [&figures.self_time_nano, &figures.p50_nano, &figures.p95_nano, &figures.max_nano];
            cells.extend(nanos.map(|nanos| duration(Some(nanos))));
        }
        None => cells.extend(std::iter::repeat_n("-".to_owned(), 7)),
    }
    let change = row.change.as_ref();
    cells.push(change.map_or_else(String::new, told));
    cells.push(change.map_or_else(String::new, |change| duration(Some(&change.critical_time_per_operation_nano))));
    cells
}

fn told(change: &Change) -> String {
    let ratio = change.ratio.map(|ratio| format!(" ({:+.0} %)", (ratio - 1.0) * 100.0)).unwrap_or_default();
    let doubt = if change.is_significant || change.kind == "same" { "" } else { ", perhaps" };
    format!("{}{ratio}{doubt}", change.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_stand_below_their_operation_with_what_changed() {
        let figures = r#"{"count":100,"error_count":1,"critical_share":0.455,"self_time_nano":"3800000000","p50_nano":"38000000",
            "p95_nano":"51300000","max_nano":"60000000"}"#;
        let answer: Breakdown = serde_json::from_str(&format!(
            r#"{{"start_unix_nano":"1795464000000000000","end_unix_nano":"1795467600000000000","relative_error":0.01,
                "operation":{{"figures":{figures},"change":null}},
                "steps":[{{"path":["allocate","wait_pod_ready"],"figures":{figures},
                  "change":{{"kind":"slower","is_significant":true,"ratio":1.35,"critical_time_per_operation_nano":"13300000"}}}},
                 {{"path":["quota"],"figures":null,
                  "change":{{"kind":"missing","is_significant":false,"ratio":null,"critical_time_per_operation_nano":"-50000"}}}}]}}"#
        ))
        .expect("the API's form");
        let text = steps(&answer);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("(operation)"), "{text}");
        assert!(lines[2].starts_with("allocate / wait_pod_ready") && lines[2].contains("slower (+35 %)"), "{text}");
        assert!(lines[2].ends_with("13.3 ms") && lines[2].contains("45.5 %"), "{text}");
        assert!(lines[3].contains("missing, perhaps") && lines[3].ends_with("-50.0 µs"), "{text}");
        assert_eq!(lines[4], "from 2026-11-23T20:00:00Z to 2026-11-23T21:00:00Z; percentiles within 1 %");
    }
}
