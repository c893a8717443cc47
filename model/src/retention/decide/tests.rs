use super::*;
use crate::OperationClass;
use crate::retention::facts::{Episode, FactValue, Health, StateKey};
use crate::retention::fixture::{DAY, MINUTE, MS, SECOND, at, check, facts, policy};
use crate::retention::surroundings::{EPISODE_NANOS_MAX, PERCENTILE_TRACES_MIN};

/// Long after all holds.
const LATER: i64 = DAY;

const FOR_EVER: Outcome = Outcome::Keep { until: None };

fn outcomes(policy: &Policy, traces: &[TraceFacts<'_>], now: i64) -> Vec<Outcome> {
    decide(policy, traces, &Context::default(), at(now)).iter().map(|decision| decision.outcome).collect()
}

fn one(policy: &Policy, facts: TraceFacts<'_>) -> Outcome {
    outcomes(policy, &[facts], LATER)[0]
}

/// What a rule with this one condition does with the trace.
fn is_kept_if(condition: &str, facts: TraceFacts<'_>) -> bool {
    let policy = policy(&format!("[[rules]]\nname = \"r\"\nkeep_if = [{condition}]"));
    one(&policy, facts) == FOR_EVER
}

fn failover(number: u128, instance: &str, start: i64) -> TraceFacts<'_> {
    let facts = facts(number, OperationClass::Failover, "Failover", start).lasting(30 * SECOND);
    TraceFacts { instance: Some(instance), ..facts }
}

#[test]
fn by_default_everything_but_health_checks_is_kept_for_ever() {
    for class in OperationClass::ALL {
        let outcome = one(&Policy::default(), facts(1, class, "x", 0));
        assert_eq!(outcome, if class == OperationClass::HealthCheck { Outcome::Drop } else { FOR_EVER }, "{class}");
    }
}

#[test]
fn by_default_health_checks_are_kept_when_there_is_a_problem() {
    let policy = Policy::default();
    let check = || check(1, "pg-1", 0);
    assert_eq!(one(&policy, check()), Outcome::Drop);
    assert_eq!(one(&policy, check().failed()), FOR_EVER);
    assert_eq!(one(&policy, check().lasting(500 * MS)), FOR_EVER);
    assert_eq!(one(&policy, check().lasting(500 * MS - 1)), Outcome::Drop);
    assert_eq!(one(&policy, TraceFacts { has_root: false, ..check() }), FOR_EVER);
    assert_eq!(one(&policy, TraceFacts { is_linked: true, ..check() }), FOR_EVER);
}

#[test]
fn the_means_of_a_health_check_are_no_other_operation() {
    let policy = Policy::default();
    let with = |class| {
        let check = check(1, "pg-1", 0);
        TraceFacts { classes: check.classes.with(class), ..check }
    };
    for class in [OperationClass::Query, OperationClass::Api, OperationClass::AgentCommand, OperationClass::Other] {
        assert_eq!(one(&policy, with(class)), Outcome::Drop, "{class}");
    }
    assert_eq!(one(&policy, with(OperationClass::Provisioning)), FOR_EVER);
}

#[test]
fn changes_of_health_are_kept_per_instance() {
    let policy = Policy::default();
    // In no order; of another instance in between.
    let traces = [
        check(4, "pg-1", 40 * SECOND),
        check(1, "pg-1", 10 * SECOND),
        check(5, "pg-2", 25 * SECOND),
        check(2, "pg-1", 20 * SECOND).failed(),
        check(3, "pg-1", 30 * SECOND),
    ];
    let expected = [Outcome::Drop, Outcome::Drop, Outcome::Drop, FOR_EVER, FOR_EVER];
    assert_eq!(outcomes(&policy, &traces, LATER), expected, "the first well one after a failing one is kept");
}

#[test]
fn the_first_health_is_compared_with_the_last_one_before() {
    let policy = Policy::default();
    let check = check(1, "pg-1", 0);
    let key = StateKey { subject: "pg-1", operation: "HealthCheck" };
    assert_eq!(StateKey::of(&check), key);
    for (before, outcome) in [(Health::Failing, FOR_EVER), (Health::Well, Outcome::Drop)] {
        let context = Context { last_health: [(key, before)].into(), ..Context::default() };
        assert_eq!(decide(&policy, std::slice::from_ref(&check), &context, at(LATER))[0].outcome, outcome);
    }
}

#[test]
fn neighbours_of_a_failover_are_kept() {
    let policy = Policy::default();
    let traces = [
        failover(1, "pg-1", 0),
        check(2, "pg-1", -5 * MINUTE - 5 * MS),
        check(3, "pg-1", -5 * MINUTE - 5 * MS - 1),
        check(4, "pg-1", 10 * SECOND),
        check(5, "pg-1", 30 * SECOND + 5 * MINUTE),
        check(6, "pg-1", 30 * SECOND + 5 * MINUTE + 1),
        check(7, "pg-2", 10 * SECOND),
        TraceFacts { instance: None, ..check(8, "", 10 * SECOND) },
    ];
    let kept: Vec<bool> = outcomes(&policy, &traces, LATER).iter().map(|outcome| *outcome == FOR_EVER).collect();
    assert_eq!(kept, [true, true, false, true, true, false, false, false]);
}

#[test]
fn failovers_of_other_units_count_as_neighbours_too() {
    let policy = Policy::default();
    let episode = |class, from, to| Episode { class, instance: "pg-1", start: at(from), end: at(to) };
    let is_kept = |episodes: &[Episode<'static>]| {
        let context = Context { episodes: episodes.to_vec(), ..Context::default() };
        decide(&policy, &[check(1, "pg-1", 0)], &context, at(LATER))[0].outcome == FOR_EVER
    };
    assert!(is_kept(&[episode(OperationClass::Failover, 4 * MINUTE, 9 * MINUTE)]));
    assert!(!is_kept(&[episode(OperationClass::Failover, 6 * MINUTE, 9 * MINUTE)]));
    assert!(!is_kept(&[episode(OperationClass::Backup, 0, MINUTE)]));
    // A long one, begun before a short one that is over: found although the search looks at ends.
    let nested = [(-60 * MINUTE, MINUTE), (-50 * MINUTE, -49 * MINUTE), (30 * MINUTE, 31 * MINUTE)];
    assert!(is_kept(&nested.map(|(from, to)| episode(OperationClass::Failover, from, to))));
}

#[test]
fn a_failover_within_another_operation_has_neighbours() {
    let request = facts(1, OperationClass::Api, "POST", 0);
    let classes = request.classes.with(OperationClass::Failover);
    let traces = [TraceFacts { classes, instance: Some("pg-1"), ..request }, check(2, "pg-1", MINUTE)];
    assert_eq!(outcomes(&Policy::default(), &traces, LATER), [FOR_EVER, FOR_EVER]);
}

#[test]
fn a_broken_clock_does_not_make_everything_a_neighbour() {
    let endless = TraceFacts { end: UnixNanos::MAX, ..failover(1, "pg-1", 0) };
    let traces = [
        endless,
        check(2, "pg-1", EPISODE_NANOS_MAX + 5 * MINUTE),
        check(3, "pg-1", EPISODE_NANOS_MAX + 5 * MINUTE + 1),
    ];
    assert_eq!(outcomes(&Policy::default(), &traces, 10 * DAY), [FOR_EVER, FOR_EVER, Outcome::Drop]);
}

#[test]
fn nothing_is_dropped_before_its_hold_is_over() {
    let policy = Policy::default();
    let check = check(1, "pg-1", 0);
    let received = 5 * MS;
    assert_eq!(outcomes(&policy, std::slice::from_ref(&check), received + 10 * MINUTE - 1), [Outcome::Hold]);
    assert_eq!(outcomes(&policy, std::slice::from_ref(&check), received + 10 * MINUTE), [Outcome::Drop]);
    assert_eq!(outcomes(&policy, std::slice::from_ref(&check), -MINUTE), [Outcome::Hold], "the clock was set back");
    let late = TraceFacts { received: at(LATER), ..check };
    assert_eq!(outcomes(&policy, &[late], LATER), [Outcome::Hold], "old, but it has only just arrived");
}

#[test]
fn what_is_kept_leaves_when_its_time_is_over() {
    let policy = policy("[[rules]]\nname = \"r\"\nkeep = \"all\"\nretain = \"1d\"");
    let old = || facts(1, OperationClass::Api, "GET", 0);
    let end = 5 * MS;
    let until = Outcome::Keep { until: Some(at(end + DAY)) };
    assert_eq!(outcomes(&policy, &[old()], end + DAY - 1), [until]);
    assert_eq!(outcomes(&policy, &[old()], end + DAY), [Outcome::Drop]);
    let imported = TraceFacts { received: at(30 * DAY), ..old() };
    assert_eq!(outcomes(&policy, &[imported], 30 * DAY), [Outcome::Hold], "past its time when it came");
    let fast = TraceFacts { end: UnixNanos::MAX, ..old() };
    assert_eq!(outcomes(&policy, &[fast], end), [until], "a clock that is ahead wins no time");
}

#[test]
fn the_first_rule_that_matches_decides() {
    let policy = policy(
        r#"
        rules = [
            { name = "a", match = { service = ["a-*"], operation = ["Backup*"] }, keep = "none" },
            { name = "b", match = { class = ["backup"] }, keep = "all", retain = "90d" },
            { name = "c", match = { attribute = [{ key = "tier", values = ["gold*"] }, { key = "size", min_value = 10 }] }, keep = "none" },
        ]
        "#,
    );
    let decided = |facts: TraceFacts<'_>| {
        let decision = decide(&policy, &[facts], &Context::default(), at(LATER))[0];
        (policy.rules()[decision.rule].name().to_owned(), decision.outcome == Outcome::Drop)
    };
    let backup = || facts(1, OperationClass::Backup, "BackupShard", 0);
    let api = || facts(1, OperationClass::Api, "GET", 0);
    assert_eq!(decided(backup()), ("a".to_owned(), true));
    assert_eq!(decided(TraceFacts { service: "b", ..backup() }), ("b".to_owned(), false));
    assert_eq!(decided(TraceFacts { operation: "Take", ..backup() }), ("b".to_owned(), false));
    assert_eq!(decided(api()), ("everything-else".to_owned(), false));
    let tier = (0, FactValue::Text("golden"));
    let big = TraceFacts { attributes: vec![tier, (1, FactValue::Int(3)), (1, FactValue::Int(10))], ..api() };
    assert_eq!(decided(big), ("c".to_owned(), true), "one of several values is enough");
    let small = TraceFacts { attributes: vec![tier, (1, FactValue::Int(3))], ..api() };
    assert_eq!(decided(small), ("everything-else".to_owned(), false), "all attributes must match");
}

#[test]
fn conditions_on_attributes_read_every_type() {
    let with = |value| TraceFacts { attributes: vec![(0, value)], ..facts(1, OperationClass::Query, "SELECT", 0) };
    let number = "{ numeric_attribute = { key = \"k\", min_value = 500, max_value = 599.5 } }";
    for (value, is_kept) in [
        (FactValue::Int(500), true),
        (FactValue::Int(499), false),
        (FactValue::Double(599.5), true),
        (FactValue::Double(f64::NAN), false),
        (FactValue::Text("503"), true),
        (FactValue::Text("5xx"), false),
        (FactValue::Bool(true), false),
    ] {
        assert_eq!(is_kept_if(number, with(value)), is_kept, "{value:?}");
    }
    let text = "{ string_attribute = { key = \"k\", values = [\"eu-*\", \"7\", \"true\"] } }";
    let inverted = "{ string_attribute = { key = \"k\", values = [\"eu-*\", \"7\", \"true\"], invert_match = true } }";
    for (value, is_met) in [
        (FactValue::Text("eu-1"), true),
        (FactValue::Text("us-1"), false),
        (FactValue::Int(7), true),
        (FactValue::Double(7.0), true),
        (FactValue::Bool(true), true),
        (FactValue::Bool(false), false),
    ] {
        assert_eq!(is_kept_if(text, with(value)), is_met, "{value:?}");
        assert_eq!(is_kept_if(inverted, with(value)), !is_met, "{value:?}");
    }
    let none = || facts(1, OperationClass::Query, "SELECT", 0);
    assert!(!is_kept_if(text, none()) && is_kept_if(inverted, none()) && !is_kept_if(number, none()));
    let boolean = "{ boolean_attribute = { key = \"k\", value = false } }";
    assert!(is_kept_if(boolean, with(FactValue::Bool(false))) && is_kept_if(boolean, with(FactValue::Text("false"))));
    assert!(!is_kept_if(boolean, with(FactValue::Bool(true))) && !is_kept_if(boolean, none()));
}

#[test]
fn the_other_conditions_do_what_they_say() {
    let query = || facts(1, OperationClass::Query, "SELECT", 0);
    assert!(is_kept_if("{ status_code = \"UNSET\" }", query()) && !is_kept_if("{ status_code = \"OK\" }", query()));
    let spans = |count| TraceFacts { span_count: count, ..query() };
    for (count, is_kept) in [(1, false), (2, true), (4, true), (5, false)] {
        assert_eq!(is_kept_if("{ span_count = { min_spans = 2, max_spans = 4 } }", spans(count)), is_kept, "{count}");
    }
    let both = "{ and = [{ status_code = \"ERROR\" }, { span_count = { min_spans = 2 } }] }";
    assert!(is_kept_if(both, spans(2).failed()) && !is_kept_if(both, spans(1).failed()) && !is_kept_if(both, spans(2)));
    let not = "{ not = { status_code = \"ERROR\" } }";
    assert!(is_kept_if(not, query()) && !is_kept_if(not, query().failed()));
    let backwards = TraceFacts { start: at(0), end: at(-MINUTE), ..query() };
    assert!(!is_kept_if("{ latency = { threshold_ms = 1 } }", backwards));
}

#[test]
fn a_percentile_is_asked_for_and_else_counted() {
    let policy = policy("[[rules]]\nname = \"r\"\nkeep_if = [{ latency = { percentile = 99 } }]");
    let query = |number: u128, nanos| facts(number, OperationClass::Query, "SELECT", 0).lasting(nanos);
    let known = |service: &str, operation: &str, percentile: f64| {
        (service == "a-service" && operation == "SELECT" && percentile == 99.0).then_some(40 * MS)
    };
    let context = Context { latency_percentile: Some(&known), ..Context::default() };
    let decisions = decide(&policy, &[query(1, 40 * MS), query(2, 40 * MS + 1)], &context, at(LATER));
    assert_eq!(decisions.iter().map(|decision| decision.outcome).collect::<Vec<_>>(), [Outcome::Drop, FOR_EVER]);

    let many: Vec<_> = (1..=200).map(|number| query(number, number as i64 * MS)).collect();
    let kept = outcomes(&policy, &many, LATER).iter().filter(|outcome| **outcome == FOR_EVER).count();
    assert_eq!(kept, 2, "of 200 the two slowest");
}

#[test]
fn while_a_percentile_is_unknown_nothing_is_dropped_for_it() {
    let fast = |number| facts(number, OperationClass::Query, "SELECT", 0);
    let few: Vec<_> = (1..PERCENTILE_TRACES_MIN as u128).map(fast).collect();
    for condition in ["{ latency = { percentile = 99 } }", "{ not = { latency = { percentile = 99 } } }"] {
        let policy = policy(&format!("[[rules]]\nname = \"r\"\nkeep_if = [{condition}]"));
        assert!(outcomes(&policy, &few, LATER).iter().all(|outcome| *outcome == FOR_EVER), "{condition}");
        assert!(outcomes(&policy, &few, MINUTE).iter().all(|outcome| *outcome == Outcome::Hold), "{condition}");
    }
    // What else is said still counts.
    let both = "{ and = [{ latency = { percentile = 99 } }, { status_code = \"ERROR\" }] }";
    assert!(!is_kept_if(both, fast(1)) && is_kept_if(both, fast(1).failed()));
}

#[test]
fn what_was_kept_is_not_dropped_when_its_reason_is_out_of_sight() {
    let policy = policy(
        r#"
        [[rules]]
        name = "r"
        keep_if = [{ state_change = true }]
        else = { sampling_percentage = 10, retain = "2d" }
        retain = "90d"
        "#,
    );
    let until = |days: i64| Outcome::Keep { until: Some(at(5 * MS + days * DAY)) };
    let dropped =
        (1..).map(|number| check(number, "pg-1", 0)).find(|check| one(&policy, check.clone()) == Outcome::Drop);
    let check = TraceFacts { kept_before: true, ..dropped.expect("most are") };
    assert_eq!(one(&policy, check.clone()), until(90));
    assert_eq!(one(&policy, TraceFacts { weight: 10.0, ..check.clone() }), until(2), "kept by chance");
    let in_share = (1..)
        .map(|number| super::super::fixture::check(number, "pg-1", 0))
        .find(|check| one(&policy, check.clone()) == until(2));
    let in_share = TraceFacts { kept_before: true, ..in_share.expect("some are") };
    assert_eq!(one(&policy, in_share), until(2), "by chance, with or without its weight at hand");
    assert_eq!(outcomes(&policy, &[check], 91 * DAY), [Outcome::Drop], "its time ends all the same");
}

#[test]
fn a_change_that_was_seen_earlier_counts() {
    let policy = policy("[[rules]]\nname = \"r\"\nkeep_if = [{ state_change = true }]");
    let alone = check(1, "pg-1", 0);
    assert_eq!(one(&policy, alone.clone()), Outcome::Drop);
    assert_eq!(one(&policy, TraceFacts { state_changed: true, ..alone }), FOR_EVER);
}

#[test]
fn survivors_do_not_raise_the_bar_for_each_other() {
    let policy = policy("[[rules]]\nname = \"r\"\nkeep_if = [{ latency = { percentile = 50 } }]");
    let mut traces: Vec<_> =
        (1..=100).map(|n| facts(n, OperationClass::Query, "q", 0).lasting(n as i64 * MS)).collect();
    for number in 101..=300 {
        let slow = facts(number, OperationClass::Query, "q", 0).lasting(SECOND);
        traces.push(TraceFacts { kept_before: true, ..slow });
    }
    let kept = outcomes(&policy, &traces, LATER).iter().filter(|outcome| **outcome == FOR_EVER).count();
    assert_eq!(kept, 50 + 200);
}

#[test]
fn what_is_kept_by_chance_tells_how_many_it_stands_for() {
    let policy = policy(
        r#"
        [[rules]]
        name = "r"
        keep_if = [
            { status_code = "ERROR" },
            { and = [{ span_count = { min_spans = 2 } }, { probabilistic = { sampling_percentage = 50 } }] },
        ]
        else = { sampling_percentage = 20, retain = "1d" }
        "#,
    );
    let mut weights = std::collections::BTreeMap::new();
    for number in 1..=2_000 {
        let mut trace = facts(number, OperationClass::Query, "SELECT", 0);
        trace.span_count = 1 + number as u64 % 2;
        if number % 10 == 0 {
            trace = trace.failed();
        }
        let decision = decide(&policy, &[trace], &Context::default(), at(LATER - MINUTE))[0];
        if let Outcome::Keep { until } = decision.outcome {
            assert_eq!(until.is_some(), decision.weight == 5.0, "only the rest is kept for a day");
            *weights.entry(decision.weight as u64).or_insert(0_u64) += 1;
        }
    }
    assert_eq!(weights.keys().copied().collect::<Vec<_>>(), [1, 2, 5]);
    let estimate: u64 = weights.iter().map(|(weight, count)| weight * count).sum();
    assert!((1_800..=2_200).contains(&estimate), "{estimate}");
}

#[test]
fn of_several_chances_the_best_one_counts() {
    let chance = |percent| format!("{{ probabilistic = {{ sampling_percentage = {percent} }} }}");
    for (conditions, rest) in [
        (format!("{}, {}", chance(50), chance(5)), 0),
        (format!("{}, {}", chance(5), chance(50)), 5),
        (chance(5), 50),
        (format!("{{ and = [{}, {}] }}", chance(50), chance(80)), 5),
    ] {
        let policy = policy(&format!(
            "[[rules]]\nname = \"r\"\nkeep_if = [{conditions}]\nelse = {{ sampling_percentage = {rest} }}"
        ));
        let traces: Vec<_> = (1..=400).map(|number| check(number, "pg-1", 0)).collect();
        let decisions = decide(&policy, &traces, &Context::default(), at(LATER));
        let kept: Vec<_> = decisions.iter().filter(|decision| decision.outcome == FOR_EVER).collect();
        assert!((150..=250).contains(&kept.len()), "{conditions}");
        assert!(kept.iter().all(|decision| decision.weight == 2.0), "{conditions}");
    }
}

#[test]
fn chance_is_not_taken_before_the_hold_is_over() {
    let policy =
        policy("[[rules]]\nname = \"r\"\nkeep_if = [{ state_change = true }]\nelse = { sampling_percentage = 50 }");
    for number in 1..=20 {
        let trace = check(number, "pg-1", 0);
        let decision = decide(&policy, &[trace], &Context::default(), at(MINUTE))[0];
        assert_eq!((decision.outcome, decision.weight), (Outcome::Hold, 1.0));
    }
}

#[test]
fn a_weight_from_before_is_not_lost() {
    let trace = TraceFacts { weight: 20.0, ..facts(1, OperationClass::Api, "GET", 0) };
    let decision = decide(&Policy::default(), &[trace], &Context::default(), at(LATER))[0];
    assert_eq!((decision.outcome, decision.weight), (FOR_EVER, 20.0));
}
