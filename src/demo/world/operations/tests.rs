use std::time::Duration;

use proto::UnixNanos;

use super::failover::{Plan, failover};
use super::{backup, change, frequent, health, provisioning, reconcile, restore, sql};
use crate::demo::dice::Dice;
use crate::demo::fleet::{CANARY_REGION, Fleet, FleetSettings};
use crate::demo::world::pathology::Pathologies;
use crate::demo::world::stage::{Habits, Made, Stage};
use crate::demo::world::truth::{Evidence, Outcome, RunTruth};

const START: UnixNanos = UnixNanos::from_i64(1_790_812_800_000_000_000);

/// Many of an operation, over all instances that `wanted` takes.
fn many(count: usize, wanted: impl Fn(&Fleet, usize) -> bool, operation: impl Fn(&mut Stage<'_>) -> Made) -> Vec<Made> {
    let fleet = Fleet::with(FleetSettings { seed: 3, instance_count: 400, has_quirks: false, is_crowded: false });
    let habits =
        Habits { pathologies: Pathologies::all(), regression_since: START.saturating_add(1_000_000_000), storm: None };
    let mut dice = Dice::new(3, "operations");
    let positions: Vec<usize> = (0..fleet.instances.len()).filter(|position| wanted(&fleet, *position)).collect();
    let stage = |number: usize| positions[number % positions.len()];
    (0..count)
        .map(|number| {
            let mut dice = dice.fork();
            operation(&mut Stage {
                fleet: &fleet,
                dice: &mut dice,
                habits: &habits,
                start: START,
                position: stage(number),
            })
        })
        .collect()
}

fn has_standby(fleet: &Fleet, position: usize) -> bool {
    fleet.instances[position].nodes.len() > 1
}

fn runs(made: Vec<Made>) -> Vec<RunTruth> {
    made.into_iter().filter_map(|made| made.run).collect()
}

/// Durations of the first spans, in seconds.
fn root_seconds(made: &[Made]) -> Vec<f64> {
    let spans = made.iter().filter_map(|made| made.spans.first());
    spans.map(|emitted| (emitted.span.end_time_unix_nano - emitted.span.start_time_unix_nano) as f64 / 1e9).collect()
}

fn run_seconds(runs: &[RunTruth]) -> Vec<f64> {
    let whole = runs.iter().filter(|run| run.outcome == Outcome::Success && run.dialect != "neon");
    whole.map(|run| run.phase_seconds.values().sum()).collect()
}

fn quantile(mut values: Vec<f64>, quantile: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(quantile * (values.len() - 1) as f64) as usize]
}

#[track_caller]
fn assert_near(what: &str, found: f64, expected: f64, tolerance: f64) {
    assert!((found / expected - 1.0).abs() <= tolerance, "{what}: {found}, not {expected}");
}

#[test]
fn failovers_take_as_long_as_in_the_model() {
    let unplanned = runs(many(6_000, has_standby, |stage| {
        let plan = Plan::unplanned(stage);
        failover(stage, &plan, None)
    }));
    let seconds =
        |runs: &[RunTruth]| run_seconds(&runs.iter().filter(|run| run.attempts == 1).cloned().collect::<Vec<_>>());
    let unplanned = seconds(&unplanned);
    assert_near("unplanned p50", quantile(unplanned.clone(), 0.5), 36.0, 0.10);
    assert_near("unplanned p95", quantile(unplanned.clone(), 0.95), 58.0, 0.15);
    assert_near("unplanned p99", quantile(unplanned, 0.99), 99.0, 0.25);
    let planned = runs(many(6_000, has_standby, |stage| {
        let plan = Plan::planned(stage);
        failover(stage, &plan, None)
    }));
    // The native dialects switch no DNS; the model's figures are for those that do.
    let phased: Vec<RunTruth> =
        planned.into_iter().filter(|run| run.dialect != "multigres" && run.dialect != "vitess").collect();
    let planned = seconds(&phased);
    assert_near("planned p50", quantile(planned.clone(), 0.5), 3.7, 0.10);
    assert_near("planned p95", quantile(planned.clone(), 0.95), 6.3, 0.10);
    assert_near("planned p99", quantile(planned, 0.99), 8.0, 0.15);
}

#[test]
fn failovers_end_as_in_the_model() {
    let made = many(8_000, has_standby, |stage| {
        let plan = Plan::unplanned(stage);
        failover(stage, &plan, None)
    });
    let runs = runs(made);
    let share = |is: &dyn Fn(&RunTruth) -> bool| runs.iter().filter(|run| is(run)).count() as f64 / runs.len() as f64;
    assert_near("failed", share(&|run| run.outcome == Outcome::Failed), 0.03, 0.25);
    assert_near("rolled back", share(&|run| run.outcome == Outcome::RolledBack), 0.02, 0.3);
    assert_near("second attempts", share(&|run| run.attempts == 2), 0.08, 0.15);
    assert_near("node loss", share(&|run| run.cause == Some("node_loss")), 0.55, 0.05);
    assert_near("without evidence", share(&|run| run.evidence == Some(Evidence::None)), 0.10, 0.15);
    for dialect in ["attributes", "names", "temporal", "multigres", "vitess"] {
        assert!(share(&|run| run.dialect == dialect) > 0.02, "too few are told by {dialect}");
    }
    let spans: f64 = runs.iter().map(|run| run.trace_ids.len() as f64).sum();
    assert!(spans / runs.len() as f64 > 1.5, "too few linked traces");
}

#[test]
fn long_operations_take_as_long_as_in_the_model() {
    let any = |_: &Fleet, _: usize| true;
    let create = run_seconds(&runs(many(4_000, any, provisioning::create_instance)));
    assert_near("CreateInstance p50", quantile(create.clone(), 0.5), 85.6, 0.10);
    assert_near("CreateInstance p95", quantile(create, 0.95), 156.0, 0.15);
    let full = |run: &RunTruth| run.bytes.is_some_and(|bytes| bytes.backup_type == "full");
    let backups: Vec<RunTruth> =
        runs(many(3_000, any, |stage| backup::backup(stage, None))).into_iter().filter(full).collect();
    assert_near("backup p50", quantile(run_seconds(&backups), 0.5), 264.0, 0.10);
    assert_near("restore p50", quantile(run_seconds(&runs(many(3_000, any, restore::restore))), 0.5), 660.0, 0.10);
    assert_near("change p50", quantile(run_seconds(&runs(many(4_000, any, change::change))), 0.5), 45.0, 0.10);
}

#[test]
fn short_operations_take_as_long_as_in_the_model() {
    let any = |_: &Fleet, _: usize| true;
    let millis = |made: Vec<Made>, q: f64| quantile(root_seconds(&made), q) * 1e3;
    let statement = |stage: &mut Stage<'_>| sql::statement(stage, None);
    let statements = || many(6_000, |fleet, position| fleet.instances[position].id.starts_with("my-"), statement);
    assert_near("statement p50", millis(statements(), 0.5), 3.9, 0.10);
    assert_near("statement p95", millis(statements(), 0.95), 18.0, 0.15);
    let check = |stage: &mut Stage<'_>| health::check(stage, None);
    assert_near("health check p50", millis(many(6_000, any, check), 0.5), 8.0, 0.10);
    assert_near("health check p99", millis(many(20_000, any, check), 0.99), 90.0, 0.15);
    assert_near("WAL push p50", millis(many(6_000, any, backup::wal_push), 0.5), 180.0, 0.10);
    assert_near("API request p50", millis(many(6_000, any, frequent::api_request), 0.5), 35.0, 0.10);
    assert_near("agent command p50", millis(many(6_000, any, frequent::agent_command), 0.5), 400.0, 0.10);
    assert_near("agent command p99", millis(many(20_000, any, frequent::agent_command), 0.99), 40_000.0, 0.25);
    assert_near("reconcile p50", millis(many(6_000, any, reconcile::periodic), 0.5), 120.0, 0.10);
}

#[test]
fn a_deploy_makes_pods_slower_in_one_region() {
    let in_region = |region: usize| move |fleet: &Fleet, position: usize| fleet.instances[position].region == region;
    let wait = |region: usize, later: Duration| {
        let made = many(2_000, in_region(region), |stage| {
            stage.start = crate::demo::world::stage::after(stage.start, later);
            provisioning::create_instance(stage)
        });
        let seconds =
            runs(made).iter().filter_map(|run| run.phase_seconds.get(provisioning::REGRESSED_STEP).copied()).collect();
        quantile(seconds, 0.5)
    };
    let (before, hour) = (Duration::ZERO, Duration::from_secs(3_600));
    assert_near("after the deploy", wait(CANARY_REGION, hour) / wait(CANARY_REGION, before), 1.35, 0.05);
    assert_near("elsewhere", wait(CANARY_REGION + 1, hour) / wait(CANARY_REGION + 1, before), 1.0, 0.05);
}

#[test]
fn a_slow_peer_copies_slowly() {
    let rate = |is_slow: bool| {
        let made = many(
            600,
            move |_, position| backup::is_slow_peer(position) == is_slow,
            |stage| backup::backup(stage, None),
        );
        let rates = runs(made)
            .iter()
            .filter(|run| run.outcome == Outcome::Success)
            .filter_map(|run| run.bytes.map(|bytes| bytes.size_bytes as f64 / run.phase_seconds["copy"]))
            .collect();
        quantile(rates, 0.5)
    };
    assert_near("slow peers", rate(false) / rate(true), 4.0, 0.2);
}

#[test]
fn a_crashed_controller_leaves_no_root_and_nothing_after() {
    let made = many(6_000, |_, _| true, provisioning::create_instance);
    let lost: Vec<&Made> =
        made.iter().filter(|made| made.run.as_ref().is_some_and(|run| run.outcome == Outcome::Lost)).collect();
    assert_near("crashes", lost.len() as f64 / made.len() as f64, 0.02, 0.25);
    for made in lost {
        let end = made.run.as_ref().and_then(|run| run.end_unix_nano).expect("an end").as_u64();
        assert!(made.spans.iter().all(|emitted| emitted.span.end_time_unix_nano <= end));
        assert!(made.spans.iter().all(|emitted| emitted.span.name != "CreateInstance"));
    }
}

#[test]
fn a_second_attempt_is_told_in_the_same_trace_or_under_the_same_id() {
    let made = many(4_000, has_standby, |stage| {
        let plan = Plan::unplanned(stage);
        failover(stage, &plan, None)
    });
    let (mut inside, mut apart) = (0, 0);
    for made in made.iter().filter(|made| made.run.as_ref().is_some_and(|run| run.attempts == 2)) {
        let run = made.run.as_ref().expect("filtered");
        let roots: Vec<_> = made.spans.iter().filter(|emitted| emitted.span.name == run.operation).collect();
        let has_id = |key: &str| {
            let texts = roots.iter().filter(|root| {
                root.span
                    .attributes
                    .iter()
                    .any(|attribute| attribute.key == key && format!("{:?}", attribute.value).contains(&run.run_id))
            });
            texts.count()
        };
        match (run.dialect, roots.len()) {
            ("multigres" | "vitess", count) => assert_eq!(count, 2, "{run:?}"),
            (_, 1) => inside += 1,
            (_, count) => {
                assert_eq!((count, has_id("dbaas.failover.id")), (2, 2), "{run:?}");
                apart += 1;
            }
        }
    }
    assert!(inside > 30 && apart > 30, "{inside} in one trace, {apart} in two");
}
