//! `spanhold retention`: asks a server what its rules would drop now, and prints a table.

use std::fmt::Write as _;
use std::io::Write;

use serde::Deserialize;

use crate::ask::{self, AskError};
use crate::cli::RetentionOptions;

/// What the server answers, as far as it is printed.
#[derive(Debug, Deserialize)]
struct DryRun {
    hours: u64,
    blocks: u64,
    blocks_left_out: u64,
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
struct Rule {
    name: String,
    kept_spans: u64,
    dropped_spans: u64,
    dropped_bytes: u64,
    held_spans: u64,
}

/// Prints the table.
///
/// # Errors
/// When the server does not answer or refuses.
pub async fn run(options: RetentionOptions) -> Result<(), AskError> {
    let path = format!("/api/v1/retention/dry-run?hours={}", options.hours);
    let answer = ask::get(&options.url, &path).await?;
    let run: DryRun = serde_json::from_str(&answer)?;
    Ok(std::io::stdout().write_all(render(&run).as_bytes())?)
}

fn render(run: &DryRun) -> String {
    let width = run.rules.iter().map(|rule| rule.name.chars().count()).max().unwrap_or(0).max("rule".len());
    let mut text = String::new();
    // A String takes everything.
    let _ = writeln!(text, "{:width$}  {:>12}  {:>12}  {:>14}  {:>12}", "rule", "kept", "would drop", "bytes", "held");
    for rule in &run.rules {
        let Rule { name, kept_spans, dropped_spans, dropped_bytes, held_spans } = rule;
        let _ = writeln!(
            text,
            "{name:width$}  {kept_spans:>12}  {dropped_spans:>12}  {dropped_bytes:>14}  {held_spans:>12}"
        );
    }
    let spans: u64 = run.rules.iter().map(|rule| rule.dropped_spans).sum();
    let bytes: u64 = run.rules.iter().map(|rule| rule.dropped_bytes).sum();
    let DryRun { hours, blocks, blocks_left_out, .. } = run;
    let _ = writeln!(text, "would have dropped {spans} spans, {bytes} bytes of {blocks} blocks of the last {hours} h");
    if *blocks_left_out > 0 {
        let _ = writeln!(text, "{blocks_left_out} older blocks were not looked at: ask for fewer hours");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_rules_and_what_it_comes_to() {
        let run: DryRun = serde_json::from_str(
            r#"{"hours":24,"blocks":2,"blocks_left_out":1,"rules":[
                {"name":"health-checks","kept_spans":10,"dropped_spans":990,"held_spans":5,"kept_bytes":250,
                 "dropped_bytes":24750,"held_bytes":125},
                {"name":"everything-else","kept_spans":1,"dropped_spans":0,"held_spans":0,"kept_bytes":25,
                 "dropped_bytes":0,"held_bytes":0}]}"#,
        )
        .expect("the API's form");
        let text = render(&run);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1].split_whitespace().collect::<Vec<_>>(), ["health-checks", "10", "990", "24750", "5"]);
        assert_eq!(lines[3], "would have dropped 990 spans, 24750 bytes of 2 blocks of the last 24 h");
        assert!(lines[4].starts_with("1 older blocks"), "{text}");
    }
}
