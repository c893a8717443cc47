use proptest::prelude::*;

use super::*;
use crate::fixture::build::{Build, SECOND, at, nanos, numbered_trace};
use crate::fixture::{create_instance, emitters, span_id};
use crate::rules::{Phase, Rules, Settings};
use crate::{OperationClass, assemble};

fn parts(build: &Build) -> Vec<RunPart> {
    parts_of(&build.trace(), &Rules::default())
}

fn only(build: &Build) -> RunPart {
    let mut parts = parts(build);
    assert_eq!(parts.len(), 1, "{parts:#?}");
    parts.remove(0)
}

fn joined(builds: &[Build]) -> Vec<Run> {
    join(builds.iter().flat_map(parts).collect(), &Settings::default())
}

fn phases(part: &RunPart) -> Vec<(Phase, f64, f64)> {
    let seconds = |time: proto::UnixNanos| time.nanos_since(at(0.0)) as f64 / 1e9;
    part.spans.iter().map(|span| (span.phase, seconds(span.start), seconds(span.end))).collect()
}

#[test]
fn a_failover_with_everything_told() {
    let part = only(&emitters::unplanned(1));
    assert_eq!(
        (part.kind, part.class, part.operation.as_str()),
        (PartKind::Operation, OperationClass::Failover, "Failover")
    );
    assert_eq!((part.start, part.end, part.last_activity), (at(30.0), Some(at(90.0)), at(90.0)));
    assert_eq!(
        (part.trigger, part.outcome, part.cause.as_deref()),
        (Trigger::Unplanned, Outcome::Success, Some("node_loss"))
    );
    assert_eq!(part.ids, [RunId { kind: RunIdKind::Failover, value: "fo-1".to_owned() }]);
    assert_eq!(part.points.fault, Some(at(0.0)));
    let subject = &part.subject;
    let texts = [&subject.instance, &subject.region, &subject.engine, &subject.engine_version, &subject.plan];
    assert_eq!(texts.map(|text| text.as_deref().unwrap_or("-")), ["pg-1", "eu-1", "postgresql", "17.2", "ha-4"]);
    assert_eq!(subject.controller_version.as_deref(), Some("2.1.0"));
    assert_eq!(phases(&part).len(), 7);
    assert_eq!(part.steps.len(), 7);
    assert_eq!((part.steps[0].name.as_str(), part.steps[0].total_nanos), ("Fence old primary", nanos(1.5)));
    assert_eq!((part.span_count, part.error_count, part.other.len(), part.is_cut), (8, 0, 0, false));
    // "Wait for WAL replay" waits; gaps are neither waiting nor work.
    assert_eq!((part.wait_nanos, part.work_nanos), (nanos(0.5), nanos(59.0)));
}

#[test]
fn a_part_survives_being_kept() {
    for build in [emitters::unplanned(1), emitters::gitlab(2), emitters::multigres(3)] {
        let part = only(&build);
        let bytes = postcard::to_stdvec(&part).expect("serialised");
        assert!(bytes.len() < 1_024, "{} bytes", bytes.len());
        assert_eq!(postcard::from_bytes::<RunPart>(&bytes).expect("read back"), part);
        let text = serde_json::to_string(&part).expect("serialised");
        assert_eq!(serde_json::from_str::<RunPart>(&text).expect("read back"), part);
    }
}

#[test]
fn real_emitters() {
    let multigres = only(&emitters::multigres(1));
    assert_eq!((multigres.operation.as_str(), multigres.outcome), ("recovery/attempt", Outcome::Success));
    assert_eq!(phases(&multigres)[0], (Phase::Elect, 10.0, 10.1));
    assert_eq!(phases(&multigres).last(), Some(&(Phase::Promote, 12.0, 14.2)));
    assert_eq!(multigres.other.len(), 1, "the unlock has no phase");

    let planned = only(&emitters::vitess_planned(1));
    assert_eq!((planned.trigger, planned.outcome), (Trigger::Planned, Outcome::Success));
    let rolled_back = only(&emitters::vitess_rolled_back(1));
    assert_eq!(rolled_back.outcome, Outcome::RolledBack);
    assert_eq!(rolled_back.error.expect("an error").message, "primary position could not be reached");

    let temporal = only(&emitters::temporal_failover(1));
    assert_eq!((temporal.operation.as_str(), temporal.start), ("RunWorkflow:FailoverWorkflow", at(0.02)));
    let found: Vec<Phase> = temporal.spans.iter().map(|span| span.phase).collect();
    for phase in [Phase::Fence, Phase::Promote, Phase::Endpoint, Phase::Verify] {
        assert!(found.contains(&phase), "{phase}");
    }

    for build in [emitters::neon_start(1), emitters::argo(1)] {
        let part = only(&build);
        assert_eq!((part.class, part.kind), (OperationClass::Provisioning, PartKind::Operation), "{}", part.operation);
        assert!(part.spans.is_empty() && part.end.is_some());
    }
    assert!(parts(&emitters::pg_tracing(1)).is_empty(), "queries have no runs");
}

#[test]
fn noise_is_no_run() {
    assert!(parts(&emitters::multigres_noise(1)).is_empty());
}

#[test]
fn create_instance_is_one_run_of_its_steps() {
    let trace = assemble(create_instance()).expect("spans");
    let parts = parts_of(&trace, &Rules::default());
    assert_eq!(parts.len(), 1, "{parts:#?}");
    let names: Vec<&str> = parts[0].steps.iter().map(|step| step.name.as_str()).collect();
    let expected = [
        "API validation",
        "Quota check",
        "Schedule placement",
        "Allocate resources",
        "Initialize database",
        "Setup replication",
        "Register endpoints",
    ];
    assert_eq!(names, expected);
    assert_eq!(parts[0].wait_nanos, 40 * SECOND, "for the pod");
    // All but the gap of 500 ms before the end, of the 43.5 s that nothing is waited for.
    assert_eq!(parts[0].work_nanos, 43 * SECOND);
}

#[test]
fn a_run_without_its_root_is_known_by_its_steps() {
    let failover = only(&emitters::multigres(1).without(&[1]));
    assert_eq!((failover.class, failover.kind), (OperationClass::Failover, PartKind::Operation));
    assert_eq!((failover.top, failover.has_top, failover.end), (span_id(1), false, None));
    assert_eq!((failover.start, failover.last_activity), (at(10.0), at(14.3)));

    let spans = create_instance().into_iter().filter(|span| span.span_id != span_id(1)).collect();
    let parts = parts_of(&assemble(spans).expect("spans"), &Rules::default());
    assert_eq!(parts.len(), 1, "{parts:#?}");
    assert_eq!((parts[0].class, parts[0].top), (OperationClass::Provisioning, span_id(1)));
}

#[test]
fn a_lost_span_in_the_middle_makes_no_second_run() {
    let build = Build::new(1)
        .add(1, 0, "CreateInstance", "api", 0.0, 50.0)
        .add(3, 2, "Create PVC", "provisioner", 1.0, 2.0)
        .add(5, 4, "promote standby", "agent", 10.0, 12.0)
        .add(6, 4, "Create users", "agent", 12.0, 13.0);
    assert_eq!(only(&build).class, OperationClass::Provisioning);

    let failover = only(&emitters::multigres(1).without(&[3]));
    assert_eq!((failover.operation.as_str(), failover.span_count), ("recovery/attempt", 11));
}

#[test]
fn setting_a_failover_up_is_none_and_doing_one_within_a_resize_is() {
    let set_up = Build::new(1)
        .add(1, 0, "CreateInstance", "api", 0.0, 50.0)
        .add(2, 1, "configure_failover", "agent", 1.0, 2.0)
        .add(3, 1, "setup_backup_schedule", "agent", 2.0, 3.0)
        .add(4, 1, "promote standby", "agent", 3.0, 4.0);
    assert_eq!(only(&set_up).class, OperationClass::Provisioning);

    let resize = Build::new(1)
        .add(1, 0, "ResizeInstance", "api", 0.0, 50.0)
        .add(2, 1, "Switchover", "failover-controller", 20.0, 24.0)
        .add(3, 2, "Demote primary", "agent", 20.0, 21.0)
        .add(4, 2, "Promote standby", "agent", 21.0, 23.0);
    let parts = parts(&resize);
    let found: Vec<(OperationClass, &str)> = parts.iter().map(|part| (part.class, part.operation.as_str())).collect();
    assert_eq!(found, [(OperationClass::Provisioning, "ResizeInstance"), (OperationClass::Failover, "Switchover")]);
    assert_eq!((parts[1].trigger, parts[1].spans.len()), (Trigger::Planned, 2));
    assert_eq!(parts[0].span_count, 4, "the inner run is a step of the outer one");
}

#[test]
fn a_trace_id_that_is_used_twice_holds_two_failovers() {
    let twice = |second_parent: u64| {
        Build::new(1)
            .add(1, 0, "Failover", "ctl", 0.0, 30.0)
            .with("dbaas.failover.id", "fo-1")
            .with("dbaas.instance.id", "pg-1")
            .add(2, 1, "Promote standby", "agent", 1.0, 2.0)
            .add(11, second_parent, "Failover", "ctl", 480.0, 500.0)
            .with("dbaas.failover.id", "fo-2")
            .with("dbaas.instance.id", "pg-1")
            .add(12, 11, "Promote standby", "agent", 481.0, 482.0)
            .add(13, 99, "Verify writes", "ctl", 482.0, 483.0)
    };
    for second_parent in [0, 1] {
        let runs = joined(&[twice(second_parent)]);
        let starts: Vec<_> = runs.iter().map(|run| run.start).collect();
        assert_eq!(starts, [at(0.0), at(480.0)], "below {second_parent}");
    }
    // What lost its parent belongs to the failover that went on.
    let runs = joined(&[twice(0)]);
    assert_eq!(phases(&runs[1].parts[0]).last(), Some(&(Phase::Verify, 482.0, 483.0)));
}

#[test]
fn logfires_pending_spans_are_markers_until_the_span_comes() {
    let pending = Build::new(1)
        .add(11, 1, "CreateInstance", "api", 0.0, 0.0)
        .with("logfire.span_type", "pending_span")
        .with("logfire.pending_parent_id", "0000000000000000")
        .with("dbaas.instance.id", "pg-1")
        .add(2, 1, "Quota check", "api", 0.0, 1.0)
        .add(13, 3, "Wait for Pod ready", "provisioner", 1.0, 1.0)
        .with("logfire.span_type", "pending_span")
        .with("logfire.pending_parent_id", "0000000000000001");
    let part = only(&pending);
    assert_eq!((part.operation.as_str(), part.top, part.has_top), ("CreateInstance", span_id(1), false));
    assert_eq!((part.span_count, part.subject.instance.as_deref()), (1, Some("pg-1")));
    let names: Vec<(&str, u16)> = part.pending.iter().map(|pending| (pending.name.as_str(), pending.depth)).collect();
    assert_eq!(names, [("CreateInstance", 0), ("Wait for Pod ready", 1)]);
    assert_eq!(part.steps.len(), 1, "a marker is in no latency");
    let run = joined(&[pending]).remove(0);
    assert_eq!(run.current().map(|pending| pending.name.as_str()), Some("Wait for Pod ready"));

    let complete = Build::new(1)
        .add(11, 1, "CreateInstance", "api", 0.0, 0.0)
        .with("logfire.span_type", "pending_span")
        .add(1, 0, "CreateInstance", "api", 0.0, 9.0);
    let part = only(&complete);
    assert_eq!((part.pending.len(), part.span_count, part.end), (0, 1, Some(at(9.0))));
}

#[test]
fn a_span_sent_when_it_starts_is_a_marker_of_itself() {
    let started = Build::new(1)
        .add(1, 0, "Failover", "ctl", 0.0, 0.0)
        .with("dbaas.span.state", "started")
        .add(2, 1, "Fence old primary", "agent", 0.5, 1.0)
        .add(3, 1, "Promote standby", "agent", 1.0, 1.0)
        .with("dbaas.span.state", "started");
    let part = only(&started);
    assert_eq!((part.has_top, part.end, part.span_count), (false, None, 1));
    assert_eq!(part.pending.last().and_then(|pending| pending.phase), Some(Phase::Promote));
    assert_eq!(phases(&part), [(Phase::Fence, 0.5, 1.0)]);
    // The same ids with a later end take the markers' place.
    let mut spans = started.spans.clone();
    spans.extend(
        Build::new(1).add(1, 0, "Failover", "ctl", 0.0, 5.0).add(3, 1, "Promote standby", "agent", 1.0, 4.0).spans,
    );
    let parts = parts_of(&assemble(spans).expect("spans"), &Rules::default());
    assert_eq!((parts[0].end, parts[0].pending.len(), parts[0].spans.len()), (Some(at(5.0)), 0, 2));
}

#[test]
fn markers_that_lead_in_a_circle_are_survived() {
    let pending = |number: u64, of: u64, parent: &str| {
        Build::new(1)
            .add(number, of, "Failover", "ctl", 0.0, 0.0)
            .with("logfire.span_type", "pending_span")
            .with("logfire.pending_parent_id", parent)
    };
    let mut build = pending(11, 1, "0000000000000002");
    build.spans.extend(pending(12, 2, "0000000000000001").spans);
    assert!(parts(&build).iter().all(|part| part.span_count == 0));
}

#[test]
fn a_rejoin_in_a_trace_of_its_own_belongs_to_its_failover() {
    let rejoin = || {
        Build::new(2)
            .add(1, 0, "Rejoin old primary", "agent", 95.0, 140.0)
            .with("dbaas.failover.phase", "rejoin")
            .with("dbaas.instance.id", "pg-1")
    };
    assert_eq!(only(&rejoin()).kind, PartKind::Steps);
    for linked in [rejoin().link(1, 1), rejoin()] {
        let runs = joined(&[linked, emitters::unplanned(1)]);
        assert_eq!(runs.len(), 1);
        assert_eq!((runs[0].attempts, runs[0].trace_ids()), (1, vec![numbered_trace(1), numbered_trace(2)]));
        assert_eq!((runs[0].end, runs[0].last_activity), (Some(at(90.0)), at(140.0)));
    }
    let alone = joined(&[rejoin()]);
    assert!(alone[0].is_detached(), "it is shown, and no failover");
}

#[test]
fn linked_work_joins_over_links_and_is_no_run() {
    let reconcile = |trace: u8, linked: u8| {
        Build::new(trace).add(1, 0, "DatabaseCluster.Reconcile", "operator", 36.0, 37.0).link(linked, 1).add(
            2,
            1,
            "patch service endpoints",
            "operator",
            36.1,
            36.9,
        )
    };
    assert_eq!(only(&reconcile(2, 1)).kind, PartKind::Linked);
    let chain = [emitters::unplanned(1), reconcile(2, 1), reconcile(3, 2), reconcile(4, 3), reconcile(5, 4)];
    let runs = joined(&chain);
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].trace_ids().len(), 4, "three links away and no further");
    assert!(joined(&[reconcile(2, 1)]).is_empty());
    let plain = Build::new(2).add(1, 0, "DatabaseCluster.Reconcile", "operator", 36.0, 37.0).link(1, 1);
    assert!(parts(&plain).is_empty(), "nothing to tell");
}

#[test]
fn retries_within_the_merge_window_are_attempts() {
    let attempt = |trace: u8, from: f64, outcome: &str| {
        Build::new(trace)
            .add(1, 0, "Failover", "ctl", from, from + 20.0)
            .with("dbaas.instance.id", "pg-1")
            .with("dbaas.failover.outcome", outcome)
    };
    let runs = joined(&[attempt(1, 0.0, "failed"), attempt(2, 60.0, "success")]);
    assert_eq!((runs.len(), runs[0].attempts, runs[0].outcome), (1, 2, Outcome::Success));
    assert_eq!((runs[0].start, runs[0].end), (at(0.0), Some(at(80.0))));
    assert_eq!(joined(&[attempt(1, 0.0, "failed"), attempt(2, 130.0, "success")]).len(), 2, "too far apart");
    assert_eq!(joined(&[attempt(1, 0.0, "success"), attempt(2, 60.0, "success")]).len(), 2, "nothing to try again");
    let other = Build::new(2).add(1, 0, "Failover", "ctl", 60.0, 70.0).with("dbaas.instance.id", "pg-2");
    assert_eq!(joined(&[attempt(1, 0.0, "failed"), other]).len(), 2, "another instance");
    let with_id = |trace, from, id: &str| attempt(trace, from, "failed").with("dbaas.failover.id", id);
    assert_eq!(joined(&[with_id(1, 0.0, "a"), with_id(2, 60.0, "b")]).len(), 2, "ids that differ");
    assert_eq!(joined(&[with_id(1, 0.0, "a"), with_id(2, 900.0, "a")]).len(), 1, "the same id");
}

#[test]
fn one_request_for_many_instances_is_many_runs() {
    let of = |trace: u8, instance: &str| {
        Build::new(trace)
            .add(1, 0, "Switchover", "ctl", 0.0, 5.0)
            .with("dbaas.request.id", "r-1")
            .with("dbaas.instance.id", instance)
    };
    assert_eq!(joined(&[of(1, "pg-1"), of(2, "pg-2"), of(3, "pg-1")]).len(), 2);
}

#[test]
fn attempts_within_a_trace_are_counted_by_their_attribute() {
    let build = Build::new(1)
        .add(1, 0, "Failover", "ctl", 0.0, 20.0)
        .add(2, 1, "attempt 1", "ctl", 0.0, 8.0)
        .with("dbaas.failover.attempt", 1_i64)
        .failed("promotion failed")
        .add(3, 1, "attempt 2", "ctl", 9.0, 20.0)
        .with("dbaas.failover.attempt", 2_i64);
    let run = joined(&[build]).remove(0);
    assert_eq!((run.attempts, run.outcome), (2, Outcome::Success));
    assert_eq!(run.error.expect("of the first").message, "promotion failed");
    assert!(run.parts[0].other.is_empty(), "an attempt is not something that is done");
}

#[test]
fn states_of_a_run() {
    let settings = Settings::default();
    let no_baseline = |_: &str, _: &str, _: Option<&str>| None;
    let half_hour = |_: &str, operation: &str, step: Option<&str>| {
        assert_eq!((operation, step), ("provisioning", None));
        Some(1_800 * SECOND)
    };
    let spans: Vec<_> = create_instance().into_iter().filter(|span| span.span_id != span_id(1)).collect();
    let parts = parts_of(&assemble(spans).expect("spans"), &Rules::default());
    let running = join(parts, &settings).remove(0);
    // The last span ended at 83.0 s.
    for (seconds, expected) in [
        (100.0, RunState::Running),
        (683.0, RunState::Running),
        (684.0, RunState::Stuck),
        (86_483.0, RunState::Stuck),
        (86_484.0, RunState::Lost),
    ] {
        assert_eq!(running.state(at(seconds), &settings, &no_baseline), expected, "{seconds}");
    }
    assert_eq!(running.state(at(5_400.0), &settings, &half_hour), RunState::Running, "its steps take half an hour");
    assert_eq!(running.state(at(5_484.0), &settings, &half_hour), RunState::Stuck);

    let done = joined(&[emitters::unplanned(1)]).remove(0);
    assert_eq!(done.state(at(1e6), &settings, &no_baseline), RunState::Done);
    let failed = joined(&[emitters::vitess_rolled_back(1)]).remove(0);
    assert_eq!(failed.state(at(1e6), &settings, &no_baseline), RunState::Failed);
    let name = done.reference().to_string();
    assert_eq!(name.parse(), Ok(done.reference()));
    assert!("x-y".parse::<RunRef>().is_err());
}

#[test]
fn limits_hold_for_a_trace_of_60_000_files() {
    let mut build = Build::new(1).add(1, 0, "backup", "runner", 0.0, 3_000.0).with("dbaas.backup.workers", 4_i64).add(
        2,
        1,
        "Copy files",
        "runner",
        1.0,
        2_990.0,
    );
    for number in 0..60_000_u64 {
        let from = 1.0 + number as f64 * 0.04;
        build = build.add(number + 10, 2, "Upload file", "runner", from, from + 0.1);
    }
    for number in 0..100_u64 {
        build = build.add(number + 100_000, 1, &format!("odd {number}"), "runner", 2_990.0, 2_991.0);
    }
    let part = only(&build);
    assert!(part.is_cut);
    assert_eq!((part.spans.len(), part.steps.len(), part.span_count), (PHASE_SPANS_MAX, STEPS_MAX, 60_102));
    assert!(part.spans.iter().any(|span| span.span_id == span_id(2)), "the outermost span is kept");
    let backup = part.backup.expect("figures");
    assert_eq!((backup.workers, backup.serial_copy_nanos), (Some(4), 60_000 * nanos(0.1)));
}

#[test]
fn parts_that_belong_together_share_keys() {
    let settings = Settings::default();
    let rejoin = Build::new(2).add(1, 0, "Rejoin old primary", "agent", 95.0, 140.0).with("dbaas.instance.id", "pg-1");
    let (failover, rejoin) = (only(&emitters::unplanned(1)), only(&rejoin));
    let keys = failover.keys(&settings);
    assert!(keys.contains(&RunKey::Trace(numbered_trace(1))));
    assert!(rejoin.keys(&settings).iter().any(|key| keys.contains(key)), "by instance and time");
    assert_eq!(keys[0].to_string(), "dbaas.failover.id=fo-1");
}

fn any_builds() -> Vec<Build> {
    vec![
        emitters::unplanned(1),
        Build::new(2).add(1, 0, "Rejoin old primary", "agent", 95.0, 140.0).link(1, 1),
        emitters::multigres(3),
        emitters::multigres(4).without(&[1]),
        emitters::gitlab(5),
        Build::new(6).add(1, 0, "DatabaseCluster.Reconcile", "operator", 36.0, 37.0).link(1, 1).add(
            2,
            1,
            "update dns",
            "operator",
            36.1,
            36.9,
        ),
        Build::new(7).add(1, 0, "Failover", "ctl", 500.0, 501.0).with("dbaas.failover.id", "fo-1"),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn runs_do_not_depend_on_the_order_of_parts(
        order in Just((0..7).collect::<Vec<usize>>()).prop_shuffle(),
        twice in 0_usize..7,
    ) {
        let rules = Rules::default();
        let all: Vec<RunPart> = any_builds().iter().flat_map(|build| parts_of(&build.trace(), &rules)).collect();
        let expected = join(all.clone(), &Settings::default());
        let mut shuffled: Vec<RunPart> = order.iter().filter_map(|index| all.get(*index).cloned()).collect();
        shuffled.push(all[twice].clone());
        prop_assert_eq!(join(shuffled, &Settings::default()), expected);
    }

    #[test]
    fn parts_do_not_depend_on_the_order_of_spans(seed in any::<u64>()) {
        let rules = Rules::default();
        for build in any_builds() {
            let mut spans = build.spans.clone();
            let count = spans.len();
            for index in 0..count {
                spans.swap(index, (seed as usize).wrapping_mul(index + 7) % count);
            }
            spans.push(spans[seed as usize % count].clone());
            let shuffled = parts_of(&assemble(spans).expect("spans"), &rules);
            prop_assert_eq!(shuffled, parts_of(&build.trace(), &rules));
        }
    }
}
