use serde::Deserialize;

use super::*;
use crate::OperationClass;
use crate::retention::fixture::{DAY, MINUTE, MS, policy};

fn error(toml: &str) -> String {
    let error = toml::from_str::<Policy>(toml).expect_err("not a policy");
    error.message().to_owned()
}

/// A policy with one rule, of which these are the lines.
fn rule(lines: &str) -> String {
    format!("[[rules]]\nname = \"mine\"\n{lines}\n")
}

#[test]
fn nothing_written_is_the_default() {
    assert_eq!(policy(""), Policy::default());
    assert_eq!(policy("hold = \"1h\"").rules(), Policy::default().rules());
    assert_eq!(policy("hold = \"1h\"").hold_nanos(), 60 * MINUTE);
    assert_eq!(Policy::default().hold_nanos(), 10 * MINUTE);
}

#[test]
fn an_empty_list_of_rules_keeps_everything() {
    let policy = policy("rules = []");
    assert!(policy.keeps_everything() && !Policy::default().keeps_everything());
    assert_eq!(policy.rules().iter().map(Rule::name).collect::<Vec<_>>(), ["everything-else"]);
}

#[test]
fn the_default_can_be_written_down() {
    let written = r#"
        hold = "10m"
        [[rules]]
        name = "health-checks"
        match = { class = ["health_check"] }
        keep_if = [
            { status_code = "ERROR" },
            { latency = { threshold_ms = 500 } },
            { state_change = true },
            { neighbour = { of = ["failover"], window = "5m", same = "dbaas.instance.id" } },
            { linked_or_parented = true },
        ]
    "#;
    assert_eq!(policy(written), Policy::default());
    assert_eq!(policy(written).fingerprint(), Policy::default().fingerprint());
}

#[test]
fn every_condition_can_be_written() {
    let policy = policy(&rule(
        r#"
        match = { class = ["sql", "api"], service = ["sql-*"], operation = ["SELECT *"], attribute = [
            { key = "dbaas.plan", values = ["gold", "silver"] },
            { key = "db.system.name", exists = true },
            { key = "rows", min_value = 10 },
        ] }
        keep_if = [
            { status_code = ["ERROR", "UNSET"] },
            { status_code = { status_codes = ["OK"] } },
            { latency = { percentile = 99.9 } },
            { string_attribute = { key = "dbaas.plan", values = ["gold"], invert_match = true } },
            { numeric_attribute = { key = "http.response.status_code", min_value = 500, max_value = 599 } },
            { boolean_attribute = { key = "debug", value = true } },
            { span_count = { min_spans = 20 } },
            { and = [{ not = { linked_or_parented = true } }, { probabilistic = { sampling_percentage = 5 } }] },
        ]
        else = { sampling_percentage = 0.1, retain = "24h" }
        retain = "14d"
        "#,
    ));
    let keys = ["dbaas.plan", "db.system.name", "rows", "http.response.status_code", "debug"];
    assert_eq!(policy.attribute_keys(), keys, "in the order in which they are met, each once");
    let rule = &policy.rules()[0];
    assert_eq!(rule.retain_nanos, Some(14 * DAY));
    let both = ClassSet::EMPTY.with(OperationClass::Query).with(OperationClass::Api);
    assert_eq!(rule.selector.classes, both);
    let Keep::If { any, fallback } = &rule.keep else { panic!("conditions") };
    assert_eq!(any.len(), 8);
    assert_eq!((fallback.share.percent(), fallback.retain_nanos), (0.1, Some(DAY)));
}

#[test]
fn the_rest_stays_as_long_as_the_others_where_nothing_else_is_said() {
    let conditions = "keep_if = [{ latency = { threshold_ms = 250 } }]\nretain = \"7d\"\n";
    let policy = policy(&rule(&format!("{conditions}else = {{ sampling_percentage = 5 }}")));
    let Keep::If { any, fallback } = &policy.rules()[0].keep else { panic!("conditions") };
    assert_eq!(*any, [Condition::Latency { threshold_nanos: 250 * MS }]);
    assert_eq!(fallback.retain_nanos, Some(7 * DAY));
}

#[test]
fn needs_are_found_in_nested_conditions() {
    let policy = policy(&rule(
        r#"keep_if = [
            { and = [{ not = { neighbour = { of = ["failover", "restore"], window = "2m" } } }] },
            { not = { latency = { percentile = 50 } } },
        ]"#,
    ));
    let needs = policy.needs();
    assert_eq!(needs.episodes.iter().collect::<Vec<_>>(), [OperationClass::Failover, OperationClass::Restore]);
    assert_eq!((needs.window_nanos, needs.last_health, needs.latency_percentiles), (2 * MINUTE, false, true));
    assert!(Policy::default().needs().last_health);
}

#[test]
fn errors_name_the_rule_and_say_what_to_do() {
    for (lines, message) in [
        ("", "says not what to keep: write keep = \"all\", keep = \"none\" or keep_if = [...]"),
        ("keep = \"all\"\nkeep_if = [{ state_change = true }]", "write only one of them"),
        ("keep = \"all\"\nelse = { sampling_percentage = 1 }", "has else without keep_if"),
        ("keep = \"none\"\nretain = \"1d\"", "keeps nothing, so retain says nothing"),
        (
            "keep = \"all\"\nmatch = { class = [\"failovers\"] }",
            "`failovers` is no operation class: write one of failover,",
        ),
        ("keep = \"all\"\nretain = \"2w\"", "retain: `2w` is no duration: write a number and one of the units"),
        ("keep = \"all\"\nretain = \"1s\"", "retain = \"1s\": must be 1m to 36500d"),
        ("keep = \"all\"\nretain = \"40000d\"", "retain = \"40000d\": must be 1m to 36500d"),
        ("keep = \"all\"\nmatch = { attribute = [{ key = \"k\" }] }", "attribute `k` needs one of: values, exists,"),
        ("keep = \"all\"\nmatch = { attribute = [{ key = \"k\", values = [] }] }", "attribute `k` needs one of"),
        ("keep = \"all\"\nmatch = { attribute = [{ key = \"k\", exists = true, max_value = 1 }] }", "`k` needs one of"),
        ("keep = \"all\"\nmatch = { attribute = [{ key = \"\", exists = true }] }", "an attribute has an empty key"),
        ("keep_if = []", "keep_if is empty: write at least one condition"),
        ("keep_if = [{ and = [] }]", "and is empty"),
        ("keep_if = [{ status_code = \"error\" }]", "status_code `error`: write ERROR, OK or UNSET"),
        ("keep_if = [{ status_code = [] }]", "status_code is empty"),
        ("keep_if = [{ latency = {} }]", "latency needs threshold_ms or percentile, and only one of them"),
        ("keep_if = [{ latency = { threshold_ms = 1, percentile = 99 } }]", "and only one of them"),
        ("keep_if = [{ latency = { percentile = 100 } }]", "percentile = 100: write a number above 0 and below 100"),
        ("keep_if = [{ latency = { percentile = nan } }]", "percentile = NaN"),
        ("keep_if = [{ state_change = false }]", "write not = { state_change = true }"),
        ("keep_if = [{ linked_or_parented = false }]", "linked_or_parented = false asks for nothing"),
        ("keep_if = [{ neighbour = { of = [], window = \"1m\" } }]", "name the operation classes"),
        ("keep_if = [{ neighbour = { of = [\"incident\"], window = \"1m\" } }]", "`incident` is no operation class"),
        (
            "keep_if = [{ neighbour = { of = [\"backup\"], window = \"1m\", same = \"host\" } }]",
            "only \"dbaas.instance.id\"",
        ),
        ("keep_if = [{ neighbour = { of = [\"backup\"], window = \"11m\" } }]", "raise hold to at least 11m"),
        ("keep_if = [{ string_attribute = { key = \"k\", values = [] } }]", "attribute `k` needs one of"),
        ("keep_if = [{ numeric_attribute = { key = \"k\" } }]", "attribute `k` needs one of"),
        (
            "keep_if = [{ numeric_attribute = { key = \"k\", min_value = 2, max_value = 1 } }]",
            "least, 2, is above the most, 1",
        ),
        ("keep_if = [{ span_count = {} }]", "span_count needs min_spans, max_spans or both"),
        ("keep_if = [{ span_count = { min_spans = 2, max_spans = 1 } }]", "least, 2, is above the most, 1"),
        (
            "keep_if = [{ probabilistic = { sampling_percentage = 101 } }]",
            "sampling_percentage = 101: write a number from 0 to 100",
        ),
        ("keep_if = [{ not = { probabilistic = { sampling_percentage = 5 } } }]", "cannot stand in not"),
        ("keep_if = [{ state_change = true }]\nelse = { sampling_percentage = -1 }", "sampling_percentage = -1"),
        (
            "keep_if = [{ state_change = true }]\nelse = { sampling_percentage = 1, retain = \"0s\" }",
            "else.retain = \"0s\"",
        ),
    ] {
        let error = error(&rule(lines));
        assert!(error.starts_with("retention rule `mine`: ") && error.contains(message), "{lines}\n{error}");
    }
}

#[test]
fn what_is_no_field_is_refused() {
    for (lines, message) in [
        ("keep = \"some\"", "unknown variant `some`, expected `all` or `none`"),
        ("keep = \"all\"\nretian = \"1d\"", "unknown field `retian`"),
        ("keep = \"all\"\nmatch = { klass = [] }", "unknown field `klass`"),
        (
            "keep_if = [{ rate_limiting = 1 }]",
            "unknown variant `rate_limiting`, expected one of `status_code`, `latency`",
        ),
        ("keep_if = [{ latency = { threshold = 1 } }]", "unknown field `threshold`"),
        ("keep_if = [{ status_code = 2 }]", "expected a status code, such as \"ERROR\", or a list of them"),
        ("keep_if = [{ state_change = true, linked_or_parented = true }]", "exactly 1"),
    ] {
        let error = error(&rule(lines));
        assert!(error.contains(message), "{lines}\n{error}");
    }
    assert!(error("holds = \"1m\"").contains("unknown field `holds`"));
}

#[test]
fn errors_of_the_whole_policy_say_what_to_do() {
    assert!(error("hold = \"31d\"").starts_with("retention hold: hold = \"31d\": must be 0s to 30d"));
    assert!(error("hold = \"soon\"").starts_with("retention hold: hold: `soon` is no duration"));
    let shorter = error("hold = \"1m\"");
    assert!(shorter.contains("`health-checks`") && shorter.contains("raise hold to at least 5m"), "{shorter}");

    let named = |name: &str, selector: &str| format!("[[rules]]\nname = \"{name}\"\nkeep = \"all\"\n{selector}\n");
    let selective = "match = { service = [\"x\"] }";
    let twice = format!("{}{}", named("a", selective), named("a", ""));
    assert!(error(&twice).contains("two retention rules are called `a`"));
    let reserved = named("everything-else", selective);
    assert!(error(&reserved).contains("two retention rules are called `everything-else`"));
    let hidden = format!("{}{}", named("a", ""), named("b", selective));
    assert!(error(&hidden).contains("`b` is never reached, as `a` before it matches everything"));
    assert!(error(&named("", "")).contains("retention rule 1 has an empty name"));
}

#[test]
fn rules_conditions_and_keys_are_limited() {
    let rules = |count: usize| -> String {
        let one = |n| format!("[[rules]]\nname = \"r{n}\"\nkeep = \"all\"\nmatch = {{ service = [\"s{n}\"] }}\n");
        (0..count).map(one).collect()
    };
    assert_eq!(policy(&rules(RULES_MAX)).rules().len(), RULES_MAX + 1);
    assert!(error(&rules(RULES_MAX + 1)).contains("at most 200 are allowed"));

    let conditions = |count: usize| rule(&format!("keep_if = [{}]", "{ state_change = true },".repeat(count)));
    policy(&conditions(CONDITIONS_MAX));
    assert!(error(&conditions(CONDITIONS_MAX + 1)).contains("more than 100 conditions"));

    let keys = |count: usize| {
        let one = |n| format!("{{ boolean_attribute = {{ key = \"k{n}\", value = true }} }},");
        rule(&format!("keep_if = [{}]", (0..count).map(one).collect::<String>()))
    };
    assert_eq!(policy(&keys(ATTRIBUTE_KEYS_MAX)).attribute_keys().len(), ATTRIBUTE_KEYS_MAX);
    assert!(error(&keys(ATTRIBUTE_KEYS_MAX + 1)).contains("at most 64 are allowed"));
}

#[test]
fn a_policy_explains_itself() {
    let policy = policy(
        r#"
        [[rules]]
        name = "gold"
        match = { class = ["failover", "restore"], service = ["a", "b*"], operation = ["X*"], attribute = [{ key = "plan", values = ["gold"] }] }
        keep = "all"
        retain = "400d"
        [[rules]]
        name = "noise"
        match = { attribute = [{ key = "n", max_value = 3 }, { key = "m", exists = false }] }
        keep = "none"
        [[rules]]
        name = "sql"
        keep_if = [
            { status_code = ["OK", "ERROR"] }, { latency = { percentile = 99 } }, { span_count = { max_spans = 9 } },
            { and = [{ not = { boolean_attribute = { key = "debug", value = true } } }, { probabilistic = { sampling_percentage = 5 } }] },
        ]
        else = { sampling_percentage = 0.1, retain = "36h" }
        "#,
    );
    assert_eq!(
        policy.explain(),
        [
            "gold: class failover or restore and service `a` or `b*` and operation `X*` and plan is `gold`: all are kept for 400d",
            "noise: n is at most 3 and m is not set: all are dropped 10m after their last span",
            "sql: every trace: kept without end when a span has status ERROR or OK, or it is slower than 99 % of its \
             operation, or it has 0 to 9 spans, or (not (debug is true) and it is among 5 % of all by chance); \
             of the others 0.1 % are kept for 36h",
        ]
    );
    assert_eq!(
        Policy::default().explain(),
        [
            "health-checks: class health_check: kept without end when a span has status ERROR, or it takes at least 500ms, or \
             the run before it went the other way, or within 5m of failover with the same dbaas.instance.id, or it is part of \
             another operation or linked to one; otherwise dropped 10m after the last span",
            "everything-else: every trace: all are kept without end",
        ]
    );
}

#[test]
fn a_fingerprint_differs_where_decisions_do() {
    let mut texts = vec![String::new(), "hold = \"11m\"".to_owned(), rule("keep = \"all\""), rule("keep = \"none\"")];
    for share in ["1", "2"] {
        texts.push(rule(&format!("keep_if = [{{ state_change = true }}]\nelse = {{ sampling_percentage = {share} }}")));
    }
    texts.push(rule("keep_if = [{ boolean_attribute = { key = \"a\", value = true } }]"));
    texts.push(rule("keep_if = [{ boolean_attribute = { key = \"b\", value = true } }]"));
    let mut fingerprints: Vec<u64> = texts.iter().map(|text| policy(text).fingerprint()).collect();
    fingerprints.sort_unstable();
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), texts.len());
}

/// The part of the configuration file that this crate knows.
#[derive(Deserialize)]
struct File {
    retention: Policy,
}

#[test]
fn the_examples_of_the_manual_work() {
    let manual = include_str!("../../../../docs/retention.md");
    let blocks: Vec<&str> = manual.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() == 3, "{}", blocks.len());
    let policies: Vec<Policy> = blocks
        .iter()
        .map(|block| toml::from_str::<File>(block).unwrap_or_else(|e| panic!("{block}\n{e}")).retention)
        .collect();
    assert_eq!(policies[0], Policy::default(), "the first one is what holds when nothing is written");
}
