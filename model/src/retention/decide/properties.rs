//! What holds of every decision, whatever the policy and the traces are.

use proptest::prelude::*;

use super::*;
use crate::retention::fixture::{DAY, MINUTE, SECOND, at, check, facts, policy};
use crate::{ClassSet, OperationClass};

const FOR_EVER: Outcome = Outcome::Keep { until: None };

prop_compose! {
    /// Any trace of a few instances and operations within half an hour.
    fn any_trace()(
        number in 1..u128::MAX,
        class in proptest::sample::select(OperationClass::ALL.to_vec()),
        inner in proptest::sample::select(OperationClass::ALL.to_vec()),
        service in proptest::sample::select(vec!["a", "b"]),
        operation in proptest::sample::select(vec!["HealthCheck", "Failover", "GET"]),
        instance in proptest::option::of(proptest::sample::select(vec!["pg-1", "pg-2", "pg-3"])),
        start in 0..30 * MINUTE,
        duration in 0..2 * SECOND,
        delay in 0..5 * MINUTE,
        flags in any::<[bool; 4]>(),
        span_count in 1..100_u64,
    ) -> TraceFacts<'static> {
        let facts = facts(number, class, operation, start).lasting(duration);
        let facts = TraceFacts {
            service, instance, span_count,
            classes: ClassSet::EMPTY.with(class).with(inner),
            received: facts.end.saturating_add(delay),
            has_root: flags[0], is_linked: flags[1], kept_before: flags[2],
            ..facts
        };
        if flags[3] { facts.failed() } else { facts }
    }
}

/// Several rules that catch some of [`any_trace`] each.
fn any_policy() -> impl Strategy<Value = Policy> {
    let selectors = vec![
        "class = [\"health_check\"]",
        "service = [\"a\"]",
        "operation = [\"*e*\"]",
        "class = [\"api\", \"query\"]",
        "",
    ];
    let keeps = vec![
        "keep = \"all\"",
        "keep = \"none\"",
        "keep_if = [{ state_change = true }, { span_count = { min_spans = 90 } }]\nelse = { sampling_percentage = 30 }",
        "keep_if = [{ neighbour = { of = [\"failover\"], window = \"1m\" } }, { latency = { percentile = 90 } }]",
        "keep_if = [{ not = { linked_or_parented = true } }, { status_code = \"ERROR\" }]\nretain = \"5m\"",
    ];
    let rule = (proptest::sample::select(selectors), proptest::sample::select(keeps));
    proptest::collection::vec(rule, 0..5).prop_map(|rules| {
        let reached = rules.iter().position(|(selector, _)| selector.is_empty()).map_or(rules.len(), |last| last + 1);
        let text = |(index, (selector, keep)): (usize, &(&str, &str))| {
            format!("[[rules]]\nname = \"r{index}\"\nmatch = {{ {selector} }}\n{keep}\n")
        };
        let texts: String = rules[..reached].iter().enumerate().map(text).collect();
        policy(if texts.is_empty() { "rules = []" } else { &texts })
    })
}

proptest! {
    #[test]
    fn the_first_match_wins(policy in any_policy(), traces in proptest::collection::vec(any_trace(), 1..20)) {
        let decisions = decide(&policy, &traces, &Context::default(), at(DAY));
        for (facts, decision) in traces.iter().zip(decisions) {
            let matching: Vec<bool> = policy.rules().iter().map(|rule| rule.selector.matches(facts)).collect();
            prop_assert!(matching[decision.rule]);
            prop_assert!(!matching[..decision.rule].contains(&true));
        }
    }

    #[test]
    fn decisions_are_the_same_in_any_order(policy in any_policy(), traces in proptest::collection::vec(any_trace(), 1..40)) {
        let now = at(20 * MINUTE);
        let decisions = decide(&policy, &traces, &Context::default(), now);
        let reversed: Vec<_> = traces.iter().rev().cloned().collect();
        let mut again = decide(&policy, &reversed, &Context::default(), now);
        again.reverse();
        prop_assert_eq!(decisions, again);
    }

    #[test]
    fn failed_health_checks_are_never_dropped_by_default(
        traces in proptest::collection::vec(any_trace(), 1..40),
        now in -DAY..10_000 * DAY,
    ) {
        let decisions = decide(&Policy::default(), &traces, &Context::default(), at(now));
        for (facts, decision) in traces.iter().zip(decisions) {
            prop_assert!(!facts.has_error() || decision.outcome == FOR_EVER);
        }
    }

    #[test]
    fn nothing_younger_than_the_hold_is_dropped(
        policy in any_policy(),
        traces in proptest::collection::vec(any_trace(), 1..40),
        now in 0..60 * MINUTE,
    ) {
        let decisions = decide(&policy, &traces, &Context::default(), at(now));
        for (facts, decision) in traces.iter().zip(decisions) {
            let is_young = at(now).nanos_since(facts.received) < policy.hold_nanos();
            prop_assert!(!(is_young && decision.outcome == Outcome::Drop));
            prop_assert!(is_young || decision.outcome != Outcome::Hold);
        }
    }

    #[test]
    fn about_the_percentage_is_kept(seed in any::<u128>(), percent in 1_u32..100) {
        let policy = policy(&format!(
            "[[rules]]\nname = \"r\"\nkeep_if = [{{ status_code = \"ERROR\" }}]\nelse = {{ sampling_percentage = {percent} }}"
        ));
        let id = |number: u128| (seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)) | 1;
        let traces: Vec<_> = (0..2_000).map(|number| check(id(number), "pg-1", 0)).collect();
        let decisions = decide(&policy, &traces, &Context::default(), at(DAY));
        let kept = decisions.iter().filter(|decision| decision.outcome == FOR_EVER).count() as f64;
        let share = f64::from(percent) / 100.0;
        let deviation = (2_000.0 * share * (1.0 - share)).sqrt();
        prop_assert!((kept - 2_000.0 * share).abs() < 6.0 * deviation, "{} of {} %", kept, percent);
        prop_assert!(decisions.iter().all(|decision| decision.outcome != FOR_EVER || decision.weight == 1.0 / share
            || (decision.weight * share - 1.0).abs() < 1e-9));
    }
}
