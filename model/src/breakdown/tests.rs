use super::*;
use crate::fixture::build::Build;
use crate::fixture::{create_instance, emitters};
use crate::{Trace, assemble};

const MS: i64 = 1_000_000;

fn only(trace: &Trace) -> TraceBreakdown {
    let mut breakdowns = break_down(trace);
    assert_eq!(breakdowns.len(), 1);
    breakdowns.remove(0)
}

fn step<'a>(breakdown: &'a TraceBreakdown, name: &str) -> &'a StepShare {
    breakdown.steps.iter().find(|step| step.path.last().is_some_and(|last| last == name)).expect("the step")
}

#[test]
fn create_instance_by_steps() {
    let breakdown = only(&assemble(create_instance()).expect("spans"));
    assert_eq!((breakdown.operation.as_str(), breakdown.service.as_str()), ("CreateInstance", "control-api"));
    assert_eq!(breakdown.steps.len(), 14);
    let pod = step(&breakdown, "Wait for Pod ready");
    assert_eq!(pod.path, ["CreateInstance", "Allocate resources", "Wait for Pod ready"]);
    assert_eq!(
        (pod.count, pod.total_nanos, pod.self_nanos, pod.critical_nanos),
        (1, 40_000 * MS, 40_000 * MS, 40_000 * MS)
    );
    assert_eq!(step(&breakdown, "Allocate resources").self_nanos, 0);
    let critical: i64 = breakdown.steps.iter().map(|step| step.critical_nanos).sum();
    assert_eq!(critical, breakdown.duration_nanos);
}

#[test]
fn repeats_of_a_step_are_one_step() {
    let mut build = Build::new(1).add(1, 0, "GET /orders", "api", 0.0, 10.0);
    for number in 0..7 {
        let from = f64::from(number);
        build =
            build.add(u64::from(number as u32) + 2, 1, "SELECT a, b FROM lines WHERE id = 7", "db", from, from + 0.5);
    }
    let breakdown = only(&build.failed("deadlock").trace());
    let query = step(&breakdown, "SELECT");
    assert_eq!((query.count, query.error_count, query.max_nanos, query.total_nanos), (7, 1, 500 * MS, 3_500 * MS));
    assert_eq!(breakdown.steps.len(), 2);
}

#[test]
fn statements_and_plans_are_named_by_what_they_are() {
    let breakdown = only(&emitters::pg_tracing(1).trace());
    let paths: Vec<String> = breakdown.steps.iter().map(|step| step.path.join(" > ")).collect();
    let expected = [
        "Select query",
        "Select query > Planner",
        "Select query > ExecutorRun",
        "Select query > ExecutorRun > IndexScan",
    ];
    assert_eq!(paths, expected);
    let name = |build: Build| step_name(&build.spans[0]).into_owned();
    assert_eq!(name(Build::new(1).add(1, 0, "SELECT users", "db", 0.0, 1.0)), "SELECT users");
    assert_eq!(name(Build::new(1).add(1, 0, "INSERT INTO t VALUES (1)", "db", 0.0, 1.0)), "INSERT");
    let summarised =
        Build::new(1).add(1, 0, "SELECT * FROM users", "db", 0.0, 1.0).with("db.query.summary", "SELECT users");
    assert_eq!(name(summarised), "SELECT users");
}

#[test]
fn what_hangs_below_no_root_is_left_out() {
    let build = Build::new(1)
        .add(1, 0, "first", "a", 0.0, 1.0)
        .add(2, 1, "inner", "a", 0.0, 0.5)
        .add(3, 99, "orphan", "a", 0.2, 0.4)
        .add(4, 0, "second", "a", 2.0, 3.0)
        .add(5, 98, "late orphan", "a", 4.0, 5.0);
    let breakdowns = break_down(&build.trace());
    let found: Vec<(&str, usize)> = breakdowns.iter().map(|of| (of.operation.as_str(), of.steps.len())).collect();
    assert_eq!(found, [("first", 2), ("second", 1)]);
}

#[test]
fn depth_and_number_of_steps_are_limited() {
    let mut build = Build::new(1).add(1, 0, "root", "a", 0.0, 1.0);
    for number in 2..100 {
        build = build.add(number, number - 1, "link", "a", 0.0, 1.0);
    }
    let breakdown = only(&build.trace());
    assert_eq!(breakdown.steps.len(), PATH_DEPTH_MAX);
    assert_eq!(breakdown.steps.iter().map(|step| step.count).sum::<u64>(), 99, "deeper ones count to the deepest step");

    let mut build = Build::new(1).add(1, 0, "root", "a", 0.0, 1.0);
    for number in 2..3_000 {
        build = build.add(number, 1, &format!("job {}", "x".repeat(number as usize)), "a", 0.0, 1.0);
    }
    let breakdown = only(&build.trace());
    assert_eq!(breakdown.steps.len(), STEPS_MAX);
    assert_eq!(breakdown.steps.iter().map(|step| step.count).sum::<u64>(), 2_999);
}

fn cohort_trace(steps: &[(&str, i64, u64)], region: &str) -> CohortTrace {
    let share = |&(name, ms, count): &(&str, i64, u64)| StepShare {
        path: vec!["root".to_owned(), name.to_owned()],
        count,
        error_count: 0,
        total_nanos: ms * MS,
        max_nanos: ms * MS,
        self_nanos: ms * MS,
        critical_nanos: ms * MS,
    };
    CohortTrace {
        duration_nanos: steps.iter().map(|(_, ms, _)| ms * MS).sum(),
        steps: steps.iter().map(share).collect(),
        attributes: vec![
            ("cloud.region".to_owned(), region.to_owned()),
            ("db.system.name".to_owned(), "postgresql".to_owned()),
        ],
    }
}

#[test]
fn slow_traces_are_told_apart_by_their_steps() {
    let rest: Vec<CohortTrace> = (0..40)
        .map(|number| {
            let jitter = number % 5;
            let steps =
                [("wait", 100 + jitter, 1), ("query", 10 + jitter, 1), ("cache", 5, 1), ("same", 20 + jitter, 1)];
            cohort_trace(&steps, ["eu-1", "us-1"][number as usize % 2])
        })
        .collect();
    let slow: Vec<CohortTrace> = (0..20)
        .map(|number| {
            let jitter = number % 5;
            let steps = [
                ("wait", 400 + jitter, 1),
                ("query", 100 + jitter, 30),
                ("image pull", 200, 1),
                ("same", 20 + jitter, 1),
            ];
            cohort_trace(&steps, "eu-1")
        })
        .collect();
    let report = compare(&slow, &rest).expect("two cohorts");
    let rows: Vec<(&str, StepChange)> = report.steps.iter().map(|row| (row.path[1].as_str(), row.change)).collect();
    let expected = [
        ("wait", StepChange::Slower),
        ("image pull", StepChange::New),
        ("query", StepChange::Repeated),
        ("cache", StepChange::Missing),
        ("same", StepChange::Same),
    ];
    assert_eq!(rows, expected);
    // 300 of 300 + 200 + 90 - 5 ms.
    assert!((report.steps[0].share_of_difference - 300.0 / 585.0).abs() < 1e-9);
    let shares: f64 = report.steps.iter().map(|row| row.share_of_difference).sum();
    assert!((shares - 1.0).abs() < 1e-9, "all steps account for all of the difference");
    let lifts: Vec<(&str, f64)> = report.attributes.iter().map(|lift| (lift.value.as_str(), lift.lift)).collect();
    assert_eq!(lifts, [("eu-1", 1.5)], "20 of 20 slow ones against 40 of all 60; the engine is everybody's");
    assert_eq!(compare(&slow, &[]), None);
}
