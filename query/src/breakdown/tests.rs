use model::breakdown::StepChange;
use proto::UnixNanos;
use store::{Resolution, StepRow};

use super::*;

const MS: i64 = 1_000_000;

/// Spans of these durations, all of it their own.
fn totals(durations: impl IntoIterator<Item = i64>) -> StepTotals {
    let mut totals = StepTotals::default();
    for nanos in durations {
        let mut one = StepTotals {
            spans: 1,
            sum_nanos: nanos,
            self_nanos: nanos,
            critical_nanos: nanos,
            min_nanos: nanos,
            max_nanos: nanos,
            ..StepTotals::default()
        };
        one.durations.add(nanos);
        one.self_times.add(nanos);
        totals.merge(&one);
    }
    totals
}

/// A hundred durations around `middle`, a fifth of it apart at most.
fn around(middle: i64) -> impl Iterator<Item = i64> {
    (0..100).map(move |number| middle - middle / 10 + middle / 5 * number / 99)
}

fn row(path: &[&str], version: Option<&str>, totals: StepTotals) -> StepRow {
    StepRow {
        service: "control-api".to_owned(),
        operation: "CreateInstance".to_owned(),
        path: path.iter().map(|name| (*name).to_owned()).collect(),
        step_service: "provisioner".to_owned(),
        attribute: None,
        version: version.map(str::to_owned),
        totals,
    }
}

fn steps(rows: Vec<StepRow>) -> Steps {
    let (start, end) = (UnixNanos::ZERO, UnixNanos::from_i64(60_000_000_000));
    Steps { start, end, resolution: Resolution::Minute, rows, is_folded: false }
}

fn scale(operations: u64, critical_nanos: i64) -> Scale {
    Scale { operations, self_nanos: critical_nanos, critical_nanos }
}

#[test]
fn versions_add_up_and_can_be_told_apart() {
    let roots = steps(vec![row(&[], Some("1"), totals([10, 20])), row(&[], Some("2"), totals([30]))]);
    let below = steps(vec![row(&["a"], Some("1"), totals([4, 5])), row(&["a"], Some("2"), totals([6]))]);
    let side = Side::of(&roots, &below, None);
    assert_eq!((side.operation.spans, side.operation.sum_nanos, side.operation.max_nanos), (3, 60, 30));
    let step = &side.steps[&vec!["a".to_owned()]];
    assert_eq!((step.totals.spans, step.totals.sum_nanos, step.service.as_str()), (3, 15, "provisioner"));
    assert_eq!((side.scale().operations, side.scale().self_nanos), (3, 75));

    let side = Side::of(&roots, &below, Some("2"));
    assert_eq!((side.operation.spans, side.steps[&vec!["a".to_owned()]].totals.sum_nanos), (1, 6));
    assert_eq!(side.versions.keys().collect::<Vec<_>>(), [&Some("2".to_owned())]);
}

#[test]
fn a_step_that_takes_longer_is_slower_by_that_much() {
    let (now, before) = (totals(around(135 * MS)), totals(around(100 * MS)));
    let (now_scale, before_scale) = (scale(100, now.critical_nanos), scale(100, before.critical_nanos));
    let change = Change::of_step((Some(&now), &now_scale), (Some(&before), &before_scale)).expect("both have it");
    assert_eq!((change.kind, change.is_significant), (StepChange::Slower, true));
    let ratio = change.comparison.expect("enough spans").ratio;
    assert!((ratio - 1.35).abs() < 0.02, "{ratio}");
    assert!((change.critical_nanos - 35e6).abs() < 1e6, "{}", change.critical_nanos);
    assert_eq!(change.share, Some(1.0));

    let back = Change::of_step((Some(&before), &before_scale), (Some(&now), &now_scale)).expect("both have it");
    assert_eq!((back.kind, back.critical_nanos), (StepChange::Faster, -change.critical_nanos));
}

#[test]
fn chance_and_few_spans_are_no_change() {
    let of = |now: &StepTotals, before: &StepTotals| {
        let (now_scale, before_scale) =
            (scale(now.spans, now.critical_nanos), scale(before.spans, before.critical_nanos));
        Change::of_step((Some(now), &now_scale), (Some(before), &before_scale)).expect("both have it")
    };
    let same = of(&totals(around(102 * MS)), &totals(around(100 * MS)));
    assert_eq!((same.kind, same.is_significant), (StepChange::Same, false));
    let few = of(&totals([200 * MS; 4]), &totals([100 * MS; 4]));
    assert_eq!((few.kind, few.comparison), (StepChange::Same, None));
}

#[test]
fn steps_come_and_go_and_repeat() {
    let usual = scale(100, 1_000 * MS);
    let step = totals(around(MS));
    let new = Change::of_step((Some(&step), &usual), (None, &usual)).expect("one has it");
    assert_eq!((new.kind, new.is_significant), (StepChange::New, true));
    let missing = Change::of_step((None, &usual), (Some(&step), &usual)).expect("one had it");
    assert_eq!((missing.kind, missing.is_significant), (StepChange::Missing, true));
    // In one operation of a hundred it may as well be chance.
    let rare = Change::of_step((Some(&totals([MS])), &usual), (None, &usual)).expect("one has it");
    assert_eq!((rare.kind, rare.is_significant), (StepChange::New, false));

    let mut often = StepTotals::default();
    (0..3).for_each(|_| often.merge(&step));
    let repeated = Change::of_step((Some(&often), &usual), (Some(&step), &usual)).expect("both have it");
    assert_eq!((repeated.kind, repeated.is_significant), (StepChange::Repeated, true));
    assert!(Change::of_step((None, &usual), (None, &usual)).is_none());
}

#[test]
fn operations_are_compared_by_their_duration() {
    let (now, before) = (totals(around(300 * MS)), totals(around(200 * MS)));
    let change = Change::of_roots(Some(&now), Some(&before)).expect("both have it");
    assert_eq!((change.kind, change.share), (StepChange::Slower, None));
    assert!((change.critical_nanos - 1e8).abs() < 2e6, "{}", change.critical_nanos);
}

#[test]
fn failures_are_compared_by_their_share() {
    let mut now = totals(around(MS));
    now.errors = 30;
    let mut before = totals(around(MS));
    before.errors = 10;
    let errors = Change::of_roots(Some(&now), Some(&before)).expect("both have it").errors.expect("there are some");
    assert!((errors.ratio - 3.0).abs() < 1e-9 && errors.is_significant(), "{errors:?}");
}
