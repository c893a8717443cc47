//! The failover report as CSV and as Markdown: what is pasted into a spreadsheet or a post-mortem.

use std::fmt::Write as _;

use model::failover::{Attainment, Distribution, FailoverFacts, Group, Report};
use model::rules::Phase;
use proto::UnixNanos;

use super::failovers::total_nanos;
use super::table::Table;

/// What a table lists.
#[derive(Clone, Copy)]
pub(crate) enum Rows<'a> {
    /// The groups of the report.
    Groups,
    /// These failovers.
    Failovers(&'a [&'a FailoverFacts]),
}

/// CSV with a header line.
pub(crate) fn csv(report: &Report, rows: Rows<'_>) -> String {
    table(report, rows).to_csv()
}

/// A table below what it is about.
pub(crate) fn markdown(report: &Report, rows: Rows<'_>) -> String {
    let known = &report.completeness;
    let mut text = String::new();
    // A String takes everything.
    let _ = writeln!(
        text,
        "Failovers from {} to {}, as of {}: {}, of which {} unfinished, {} with an unknown T0, {} with more than 10 % of \
         their time unattributed.\n",
        time(report.start),
        time(report.end),
        time(report.as_of),
        known.failovers,
        known.unfinished,
        known.unknown_t0,
        known.unattributed,
    );
    text + &table(report, rows).to_markdown()
}

fn table(report: &Report, rows: Rows<'_>) -> Table {
    match rows {
        Rows::Groups => groups(report),
        Rows::Failovers(failovers) => each(failovers),
    }
}

fn groups(report: &Report) -> Table {
    let bars = report.groups.iter().map(|group| group.attainment.len()).max().unwrap_or(0);
    let mut head: Vec<String> = report.group_by.iter().map(|by| by.name().to_owned()).collect();
    head.extend(
        [
            "kind",
            "count",
            "running",
            "success",
            "rolled_back",
            "failed",
            "success_share",
            "write_unavailable_known",
            "write_unavailable_p50_s",
            "write_unavailable_p90_s",
            "write_unavailable_p95_s",
            "write_unavailable_max_s",
            "write_unavailable_all_s",
            "time_to_detect_p50_s",
            "time_to_detect_p95_s",
            "time_to_detect_max_s",
            "execution_time_p50_s",
            "execution_time_p95_s",
            "execution_time_max_s",
            "redundancy_exposure_p50_s",
            "redundancy_exposure_max_s",
            "total_unavailable_s",
        ]
        .map(str::to_owned),
    );
    for bar in 1..=bars {
        for column in ["s", "met_share", "met_low", "met_high", "instances_in_breach"] {
            head.push(format!("slo{bar}_{column}"));
        }
    }
    head.extend(["worst_phase_by_count", "worst_phase_by_time", "unattributed_share"].map(str::to_owned));
    head.extend((1..=model::failover::WORST_MAX).map(|rank| format!("worst{rank}_run")));
    Table { head, rows: report.groups.iter().map(|group| group_row(group, bars)).collect() }
}

fn group_row(group: &Group, bars: usize) -> Vec<String> {
    let mut row: Vec<String> = group.key.iter().map(|value| value.clone().unwrap_or_default()).collect();
    row.push(if group.is_planned { "planned" } else { "unplanned" }.to_owned());
    row.extend(
        [group.count, group.running, group.success, group.rolled_back, group.failed].map(|count| count.to_string()),
    );
    row.push(share(group.success as i64, group.count as i64));
    let measures = &group.measures;
    let Distribution { count, p50, p90, p95, max, all } = &measures.write_unavailable;
    row.push(count.to_string());
    row.extend([p50, p90, p95, max].map(|nanos| seconds(*nanos)));
    let all = all.iter().flatten().map(|nanos| seconds(Some(*nanos)));
    row.push(all.collect::<Vec<_>>().join(" "));
    let detect = &measures.time_to_detect;
    row.extend([detect.p50, detect.p95, detect.max].map(seconds));
    let execution = &measures.execution_time;
    row.extend([execution.p50, execution.p95, execution.max].map(seconds));
    row.extend([measures.redundancy_exposure.p50, measures.redundancy_exposure.max].map(seconds));
    row.push(seconds(Some(group.total_unavailable_nanos)));
    for bar in 0..bars {
        row.extend(attainment(group.attainment.get(bar)));
    }
    row.extend([group.worst_phase_by_count, group.worst_phase_by_time].map(phase));
    row.push(share(group.unattributed_nanos, total_nanos(group)));
    let worst = |rank: usize| group.worst.get(rank).map(|worst| worst.run.to_string()).unwrap_or_default();
    row.extend((0..model::failover::WORST_MAX).map(worst));
    row
}

fn attainment(attainment: Option<&Attainment>) -> [String; 5] {
    let Some(Attainment { bar_nanos, met, instances_in_breach }) = attainment else {
        return Default::default();
    };
    let part = |of: fn(&model::stats::Share) -> f64| met.as_ref().map(|met| format!("{:.4}", of(met)));
    [
        seconds(Some(*bar_nanos)),
        part(|met| met.share).unwrap_or_default(),
        part(|met| met.low).unwrap_or_default(),
        part(|met| met.high).unwrap_or_default(),
        instances_in_breach.to_string(),
    ]
}

fn each(failovers: &[&FailoverFacts]) -> Table {
    let mut head: Vec<String> = [
        "run",
        "start",
        "instance",
        "region",
        "zone",
        "engine",
        "engine_version",
        "plan",
        "trigger",
        "cause",
        "outcome",
        "attempts",
        "t0_source",
        "write_unavailable_s",
        "time_to_detect_s",
        "time_to_act_s",
        "execution_time_s",
        "observed_write_gap_s",
        "redundancy_exposure_s",
        "dominant_phase",
    ]
    .map(str::to_owned)
    .into();
    head.extend(Phase::FAILOVER.iter().map(|phase| format!("{}_s", phase.name())));
    head.extend(["other_s", "unattributed_s"].map(str::to_owned));
    Table { head, rows: failovers.iter().map(|failover| failover_row(failover)).collect() }
}

fn failover_row(failover: &FailoverFacts) -> Vec<String> {
    let subject = &failover.subject;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let outcome = if failover.has_ended { failover.outcome.name() } else { "running" };
    let mut row = vec![failover.run.to_string(), time(failover.start)];
    row.extend([&subject.instance, &subject.region, &subject.zone].map(text));
    row.extend([&subject.engine, &subject.engine_version, &subject.plan].map(text));
    row.extend([failover.trigger.name().to_owned(), text(&failover.cause), outcome.to_owned()]);
    row.extend([failover.attempts.to_string(), failover.t0_source().name().to_owned()]);
    let measures = &failover.measures;
    row.extend(
        [
            measures.write_unavailable,
            measures.time_to_detect,
            measures.time_to_act,
            measures.execution_time,
            measures.observed_write_gap,
            measures.redundancy_exposure,
        ]
        .map(seconds),
    );
    row.push(phase(failover.phases.dominant()));
    row.extend(Phase::FAILOVER.iter().map(|phase| seconds(Some(failover.phases.of(*phase)))));
    row.extend([failover.phases.other, failover.phases.unattributed].map(|nanos| seconds(Some(nanos))));
    row
}

fn phase(phase: Option<Phase>) -> String {
    phase.map_or("", Phase::name).to_owned()
}

/// To the millisecond; nothing when it is not known.
fn seconds(nanos: Option<i64>) -> String {
    nanos.map(|nanos| format!("{:.3}", nanos as f64 / 1e9)).unwrap_or_default()
}

fn share(part: i64, all: i64) -> String {
    if all > 0 { format!("{:.4}", part as f64 / all as f64) } else { String::new() }
}

/// RFC 3339, to the second.
fn time(at: UnixNanos) -> String {
    jiff::Timestamp::from_second(at.as_i64() / 1_000_000_000).map(|at| at.to_string()).unwrap_or_default()
}
