//! `spanhold runs`: what goes on, what is stuck, and what has been.

use clap::Args;
use serde::Deserialize;

use super::Asking;
use crate::ask::AskError;
use crate::table::{duration, table, time};

/// Options of `spanhold runs`.
#[derive(Debug, Args)]
pub struct RunOptions {
    /// Only of this class, such as `failover`.
    #[arg(long)]
    pub class: Option<String>,
    /// Only in this state: running, stuck, done, failed, lost.
    #[arg(long)]
    pub state: Option<String>,
    /// Only of this database instance.
    #[arg(long)]
    pub instance: Option<String>,
    /// What every report is asked with.
    #[command(flatten)]
    pub asking: Asking,
}

#[derive(Deserialize)]
struct Runs {
    total: usize,
    runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    run_id: String,
    class: String,
    operation: String,
    state: String,
    instance: Option<String>,
    start_unix_nano: String,
    duration_nano: String,
    idle_nano: String,
    end_unix_nano: Option<String>,
    current_step: Option<Step>,
    usual_step_p95_nano: Option<String>,
}

#[derive(Deserialize)]
struct Step {
    name: String,
}

pub(super) async fn run(options: &RunOptions) -> Result<(), AskError> {
    let RunOptions { class, state, instance, asking } = options;
    let further = [("class", class.as_deref()), ("state", state.as_deref()), ("instance", instance.as_deref())];
    asking.print("/api/v1/runs", &further, render).await
}

fn render(answer: &Runs) -> String {
    let dash = || "-".to_owned();
    let row = |run: &Run| {
        let idle = if run.end_unix_nano.is_some() { dash() } else { duration(Some(&run.idle_nano)) };
        vec![
            time(&run.start_unix_nano),
            run.state.clone(),
            run.class.clone(),
            run.operation.clone(),
            run.instance.clone().unwrap_or_else(dash),
            duration(Some(&run.duration_nano)),
            run.current_step.as_ref().map_or_else(dash, |step| step.name.clone()),
            idle,
            duration(run.usual_step_p95_nano.as_deref()),
            run.run_id.clone(),
        ]
    };
    let rows: Vec<_> = answer.runs.iter().map(row).collect();
    let head =
        ["start", "state", "class", "operation", "instance", "duration", "step", "silent for", "usual p95", "run"];
    format!("{}{} of {} runs\n", table(&head, &rows), rows.len(), answer.total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stuck_shows_its_step_and_how_long_it_is_silent() {
        let answer: Runs = serde_json::from_str(
            r#"{"total":7,"runs":[
                {"run_id":"a-b","class":"provisioning","operation":"CreateInstance","state":"stuck","instance":"pg-1",
                 "start_unix_nano":"1795464000000000000","duration_nano":"1800000000000","idle_nano":"1200000000000",
                 "end_unix_nano":null,"current_step":{"name":"wait_pod_ready"},"usual_step_p95_nano":"61000000000"},
                {"run_id":"c-d","class":"backup","operation":"backup","state":"done","instance":null,
                 "start_unix_nano":"1795464000000000000","duration_nano":"264000000000","idle_nano":"5",
                 "end_unix_nano":"1795464264000000000","current_step":null,"usual_step_p95_nano":null}]}"#,
        )
        .expect("the API's form");
        let text = render(&answer);
        let lines: Vec<&str> = text.lines().collect();
        for word in ["2026-11-23T20:00:00Z", "stuck", "wait_pod_ready", "30 min 00 s", "20 min 00 s", "61.0 s", "a-b"] {
            assert!(lines[1].contains(word), "{word}: {text}");
        }
        assert!(lines[2].ends_with("c-d") && lines[2].contains("4 min 24 s"), "{text}");
        assert_eq!(lines[3], "2 of 7 runs");
    }
}
