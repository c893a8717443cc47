use std::collections::BTreeMap;

use super::*;
use crate::demo::fleet::INSTANCE_COUNT;

/// Name, parent, start, duration and service of a span, times in nanoseconds from the root's start.
type Row = (String, Option<String>, u64, u64, String);

fn rows(spans: &[EmittedSpan]) -> Vec<Row> {
    let names: BTreeMap<&[u8], &str> =
        spans.iter().map(|s| (s.span.span_id.as_slice(), s.span.name.as_str())).collect();
    let root_start = spans[0].span.start_time_unix_nano;
    spans
        .iter()
        .map(|EmittedSpan { span, emitter, .. }| {
            let parent = (!span.parent_span_id.is_empty()).then(|| names[span.parent_span_id.as_slice()].to_owned());
            let start = span.start_time_unix_nano - root_start;
            let duration = span.end_time_unix_nano - span.start_time_unix_nano;
            (span.name.clone(), parent, start, duration, emitter.service.to_owned())
        })
        .collect()
}

fn durations(rows: &[Row]) -> Vec<(&str, Option<&str>, u64)> {
    rows.iter().map(|(name, parent, _, duration, _)| (name.as_str(), parent.as_deref(), *duration)).collect()
}

/// The wall time of `[start, end)` that no interval covers, found without looking at how the product does it:
/// by asking of every piece between two neighbouring marks whether an interval holds it.
fn uncovered(start: u64, end: u64, intervals: &[(u64, u64)]) -> u64 {
    let mut marks: Vec<u64> = intervals.iter().flat_map(|(from, to)| [*from, *to]).chain([start, end]).collect();
    marks.retain(|mark| (start..=end).contains(mark));
    marks.sort_unstable();
    let is_covered = |piece: &[u64]| intervals.iter().any(|(from, to)| *from <= piece[0] && piece[1] <= *to);
    marks.windows(2).filter(|piece| !is_covered(piece)).map(|piece| piece[1] - piece[0]).sum()
}

fn check_self_times(steps: &[Step]) {
    for step in steps {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).expect("fits");
        let children: Vec<(u64, u64)> = steps
            .iter()
            .filter(|child| child.parent == Some(step.name))
            .map(|child| (nanos(child.start), nanos(child.start + child.duration)))
            .collect();
        let expected = uncovered(nanos(step.start), nanos(step.start + step.duration), &children);
        assert_eq!(nanos(step.self_time), expected, "self time of {}", step.name);
    }
}

fn check_children_inside(steps: &[Step]) {
    for step in steps {
        let Some(parent) = steps.iter().find(|parent| Some(parent.name) == step.parent) else { continue };
        assert!(parent.start <= step.start, "{} starts before its parent", step.name);
        assert!(step.start + step.duration <= parent.start + parent.duration, "{} outlives its parent", step.name);
    }
}

const MS: u64 = 1_000_000;
const US: u64 = 1_000;
const END: UnixNanos = UnixNanos::from_wire(1_763_928_083_500_000_000);

#[test]
fn create_instance_has_the_figures_of_the_specification() {
    let fleet = Fleet::new(42, INSTANCE_COUNT);
    let spans = create_instance(&fleet, &mut create_instance_dice(42), END);
    let rows = rows(&spans);
    let root = Some("CreateInstance");
    assert_eq!(
        durations(&rows),
        [
            ("CreateInstance", None, 83_500 * MS),
            ("API validation", root, 2 * MS),
            ("Quota check", root, 5 * MS),
            ("Schedule placement", root, 15 * MS),
            ("Allocate resources", root, 45_000 * MS),
            ("Create PVC", Some("Allocate resources"), 3_000 * MS),
            ("Create StatefulSet", Some("Allocate resources"), 2_000 * MS),
            ("Wait for Pod ready", Some("Allocate resources"), 40_000 * MS),
            ("Initialize database", root, 8_000 * MS),
            ("initdb", Some("Initialize database"), 3_000 * MS),
            ("Apply config", Some("Initialize database"), 1_000 * MS),
            ("Create users", Some("Initialize database"), 500 * MS),
            ("Setup replication", root, 30_000 * MS),
            ("Register endpoints", root, 2_000 * MS),
        ]
    );
    let steps_sum: u64 = rows.iter().filter(|row| row.1.as_deref() == root).map(|row| row.3).sum();
    assert_eq!(steps_sum, 85_022 * MS, "the steps add up to more than the total");
    assert_eq!(spans[0].span.end_time_unix_nano, END.as_u64());
    let services: std::collections::BTreeSet<&str> = rows.iter().map(|row| row.4.as_str()).collect();
    assert_eq!(
        services.into_iter().collect::<Vec<_>>(),
        ["agent", "control-api", "k8s-operator", "provisioner", "scheduler"]
    );
}

#[test]
fn select_user_has_the_figures_of_the_specification() {
    let fleet = Fleet::new(42, INSTANCE_COUNT);
    let rows = rows(&select_user(&fleet, &mut select_user_dice(42), END));
    let root = Some("SELECT * FROM users WHERE id = 42");
    let execution = Some("PostgreSQL query execution");
    assert_eq!(
        durations(&rows),
        [
            ("SELECT * FROM users WHERE id = 42", None, 4_800 * US),
            ("Connection pool acquire", root, 1_000 * US),
            ("Proxy routing", root, 500 * US),
            ("PostgreSQL query execution", root, 3_000 * US),
            ("Parse", execution, 100 * US),
            ("Plan", execution, 500 * US),
            ("Execute", execution, 2_400 * US),
            ("Result transmission", root, 300 * US),
        ]
    );
    let services: std::collections::BTreeSet<&str> = rows.iter().map(|row| row.4.as_str()).collect();
    assert_eq!(services.into_iter().collect::<Vec<_>>(), ["pooler", "postgres", "sql-proxy"]);
}

#[test]
fn self_times_follow_from_the_schedule() {
    check_self_times(&CREATE_INSTANCE);
    check_self_times(&SELECT_USER);
    let self_time = |name| CREATE_INSTANCE.iter().find(|step| step.name == name).expect("a step").self_time;
    assert_eq!(self_time("CreateInstance"), millis(500));
    assert_eq!(self_time("Allocate resources"), millis(0));
    assert_eq!(self_time("Initialize database"), millis(3_500));
}

#[test]
fn children_stay_inside_their_parents() {
    check_children_inside(&CREATE_INSTANCE);
    check_children_inside(&SELECT_USER);
}

#[test]
fn ids_follow_from_the_seed_and_not_from_the_time() {
    let fleet = Fleet::new(42, INSTANCE_COUNT);
    let ids = ReferenceIds::of_seed(42);
    for end in [END, END.saturating_add(1_000_000_000)] {
        let create = create_instance(&fleet, &mut create_instance_dice(42), end);
        let select = select_user(&fleet, &mut select_user_dice(42), end);
        assert!(create.iter().all(|s| s.span.trace_id == ids.create_instance.as_bytes()));
        assert!(select.iter().all(|s| s.span.trace_id == ids.select_user.as_bytes()));
    }
    assert_ne!(ids, ReferenceIds::of_seed(43));
    assert_ne!(ids.create_instance, ids.select_user);
}
