use super::*;
use crate::fixture::build::Build;
use crate::run::StepKind;
use crate::{KeyValue, OperationClass, Value};

fn rules(toml: &str) -> Rules {
    toml::from_str(toml).expect("rules")
}

fn problem(toml: &str) -> String {
    toml::from_str::<Rules>(toml).expect_err("wrong rules").message().to_owned()
}

fn phase(class: OperationClass, name: &str) -> Option<Phase> {
    let spans = Build::new(1).add(1, 0, name, "a-service", 0.0, 1.0).spans;
    Rules::default().map(&spans[0]).phase(class)
}

#[test]
fn failover_phases_of_real_names() {
    for (expected, names) in [
        (Phase::Detect, &["Detect failure", "ttl expired", "confirm failure", "primary is dead"][..]),
        (
            Phase::Fence,
            &["DemotePrimary", "Fence old primary", "stonith", "consensus/recruit", "StopReplicationAndGetStatus"],
        ),
        (Phase::Elect, &["TopoServer.Lock", "Elect candidate", "acquire leader lock", "consensus/rule-write"]),
        (
            Phase::Catchup,
            &["WaitForPosition", "Wait for WAL replay", "sync_safekeepers", "consensus/replay_completion_wait"],
        ),
        (Phase::Promote, &["PromoteReplica", "pg_ctl promote", "read_only=0", "reconfigure", "consensus/pg-promote"]),
        (
            Phase::Endpoint,
            &[
                "Update DNS endpoint",
                "Switch endpoint",
                "TabletExternallyReparented",
                "Writing KV",
                "UpdateServiceLabels",
            ],
        ),
        (Phase::Verify, &["Verify writes", "promotion.postgres_ready", "post failover check"]),
        (
            Phase::Rejoin,
            &["pg_rewind old primary", "SetReplicationSource", "Rejoin old primary", "consensus.set_primary"],
        ),
    ] {
        for name in names {
            assert_eq!(phase(OperationClass::Failover, name), Some(expected), "{name}");
        }
    }
    for name in ["TopoServer.Unlock", "Failover", "GET /api", ""] {
        assert_eq!(phase(OperationClass::Failover, name), None, "{name}");
    }
}

#[test]
fn backup_and_restore_phases_of_real_names() {
    for (expected, names) in [
        (Phase::Queue, &["queue", "wait for slot"][..]),
        (Phase::Checkpoint, &["pg_backup_start", "execute backup start", "checkpoint"]),
        (Phase::Copy, &["Upload part", "backup/pgbackrest", "Walking", "copying files", "snapshot"]),
        (Phase::Stop, &["pg_backup_stop", "issuing stop backup command", "Write manifest"]),
        (
            Phase::WalWait,
            &["check archive for segments", "wait for WAL archive", "Waiting for all WAL segments to archive"],
        ),
        (Phase::Verify, &["backup/verify", "verify checksums"]),
        (Phase::Expire, &["expire", "prune"]),
        (Phase::Prepare, &["backup/find", "prepare"]),
    ] {
        for name in names {
            assert_eq!(phase(OperationClass::Backup, name), Some(expected), "{name}");
        }
    }
    for (expected, names) in [
        (Phase::Provision, &["Provision host", "Wait for Pod ready", "attach volume"][..]),
        (Phase::Download, &["restore/pgbackrest", "download backup", "backup-fetch"]),
        (Phase::ApplyBase, &["extract base", "decompress"]),
        (Phase::WalFetch, &["Fetch WAL", "wal-fetch", "archive-get"]),
        (Phase::Replay, &["Replay WAL", "crash recovery"]),
        (Phase::Promote, &["restore/start-postgres", "promote"]),
        (Phase::PostConfig, &["restore/reopen-pooler", "restore/reconfigure-archive", "restore/mark-initialized"]),
        (Phase::Verify, &["Verify restored data"]),
    ] {
        for name in names {
            assert_eq!(phase(OperationClass::Restore, name), Some(expected), "{name}");
        }
    }
    assert_eq!(phase(OperationClass::Query, "promote"), None, "queries have no phases");
}

#[test]
fn every_shipped_pattern_compiles_and_belongs_to_its_class() {
    for (class, patterns) in [
        (OperationClass::Failover, shipped::FAILOVER),
        (OperationClass::Backup, shipped::BACKUP),
        (OperationClass::Restore, shipped::RESTORE),
    ] {
        for (phase, pattern) in patterns {
            regex::Regex::new(pattern).expect("a pattern");
            assert!(phase.belongs_to(class), "{phase}");
        }
    }
    regex::Regex::new(shipped::WAITS).expect("a pattern");
    assert_eq!(
        Phase::ALL.map(|phase| phase as usize),
        std::array::from_fn(|place| place),
        "kept runs name phases by place"
    );
}

#[test]
fn an_attribute_goes_before_a_rule_and_a_rule_before_what_ships() {
    let rules = rules(
        r#"
        [[rules]]
        name = "ours"
        match = { span = ["Elect*"] }
        phase = "promote"
        class = "backup"

        [[rules]]
        name = "exactly"
        match = { span = ["Elect candidate"] }
        phase = "fence"
        "#,
    );
    let told = Build::new(1).add(1, 0, "Elect candidate", "a", 0.0, 1.0).with("dbaas.failover.phase", "verify");
    assert_eq!(rules.map(&told.spans[0]).phase(OperationClass::Failover), Some(Phase::Verify));
    let exact = Build::new(1).add(1, 0, "Elect candidate", "a", 0.0, 1.0);
    assert_eq!(rules.map(&exact.spans[0]).phase(OperationClass::Failover), Some(Phase::Fence));
    assert_eq!(rules.map(&exact.spans[0]).class(), Some(OperationClass::Backup));
    let pattern = Build::new(1).add(1, 0, "Elect leader", "a", 0.0, 1.0);
    assert_eq!(rules.map(&pattern.spans[0]).phase(OperationClass::Failover), Some(Phase::Promote));
    assert_eq!(Rules::default().map(&pattern.spans[0]).phase(OperationClass::Failover), Some(Phase::Elect));
    let other_words = Build::new(1).add(1, 0, "x", "a", 0.0, 1.0).with("dbaas.failover.phase", "demote primary");
    assert_eq!(rules.map(&other_words.spans[0]).phase(OperationClass::Failover), Some(Phase::Fence));
    let nonsense = Build::new(1).add(1, 0, "promote", "a", 0.0, 1.0).with("dbaas.failover.phase", "no such thing");
    assert_eq!(rules.map(&nonsense.spans[0]).phase(OperationClass::Failover), Some(Phase::Promote));
}

#[test]
fn rules_look_at_service_scope_and_attributes() {
    let rules = rules(
        r#"
        [[rules]]
        name = "loops of ours"
        match = { span_regex = "^tick \\d+$", service = ["ctl-*"], scope = ["loop"], attribute = [
            { key = "http.status_code", values = ["2*"] }, { key = "skip", exists = false } ] }
        noise = true
        step = "wait"
        "#,
    );
    let spans = |service: &str, scope: &str| {
        Build::new(1).add(1, 0, "Tick 7", service, 0.0, 1.0).scope(scope).with("http.response.status_code", 204_i64)
    };
    let is_noise = |build: &Build| rules.map(&build.spans[0]).is_noise();
    assert!(is_noise(&spans("ctl-1", "loop")));
    assert_eq!(rules.map(&spans("ctl-1", "loop").spans[0]).step(), StepKind::Wait);
    assert!(!is_noise(&spans("ctl-1", "other")));
    assert!(!is_noise(&spans("api", "loop")));
    assert!(!is_noise(&spans("ctl-1", "loop").with("skip", true)));
}

#[test]
fn multigres_acts_and_looks_under_one_name() {
    let rules = Rules::default();
    let attempt = |action: &str, result: &str| {
        Build::new(1).add(1, 0, "recovery/attempt", "m", 0.0, 1.0).with("action.name", action).with("result", result)
    };
    for (action, result, is_failover) in [
        ("AppointLeader", "success", true),
        ("AppointLeader", "action_failed", true),
        ("AppointLeader", "recheck_failed", false),
        ("FixReplication", "success", false),
    ] {
        let build = attempt(action, result);
        let mapped = rules.map(&build.spans[0]);
        assert_eq!(mapped.is_noise(), !is_failover, "{action} {result}");
        assert_eq!(mapped.has_run(), is_failover, "{action} {result}");
    }
    assert!(rules.of_name("m", "", "recovery/attempt").may_have_run(), "its attributes decide");
    assert!(!rules.of_name("m", "", "recovery/cycle").may_have_run());
    assert!(rules.of_name("m", "", "Failover").may_have_run());
    assert!(!rules.of_name("m", "", "SELECT 1").may_have_run());
}

#[test]
fn high_rate_work_has_no_runs() {
    let rules = Rules::default();
    for name in ["wal_push", "DatabaseCluster.Reconcile", "ReconcileServices", "StartWorkflow:Resize", "expire-backups"]
    {
        let build = Build::new(1).add(1, 0, name, "a", 0.0, 1.0);
        assert!(!rules.map(&build.spans[0]).has_run(), "{name}");
    }
    for name in ["CreateInstance", "RunWorkflow:Resize", "backup", "restore", "Failover"] {
        let build = Build::new(1).add(1, 0, name, "a", 0.0, 1.0);
        assert!(rules.map(&build.spans[0]).has_run(), "{name}");
    }
    let own = self::rules("runs = [\"api\"]");
    assert!(!own.map(&Build::new(1).add(1, 0, "Failover", "a", 0.0, 1.0).spans[0]).has_run());
}

#[test]
fn waiting_is_told_by_attribute_or_name() {
    let rules = Rules::default();
    let step = |build: Build| rules.map(&build.spans[0]).step();
    assert_eq!(step(Build::new(1).add(1, 0, "Wait for Pod ready", "a", 0.0, 1.0)), StepKind::Wait);
    assert_eq!(
        step(Build::new(1).add(1, 0, "wait_pod_ready", "a", 0.0, 1.0).with("dbaas.step.kind", "work")),
        StepKind::Work
    );
    assert_eq!(step(Build::new(1).add(1, 0, "initdb", "a", 0.0, 1.0)), StepKind::Work);
    assert_eq!(step(Build::new(1).add(1, 0, "initdb", "a", 0.0, 1.0).with("dbaas.step.kind", "wait")), StepKind::Wait);
}

#[test]
fn explanations_name_the_rule_and_the_reason() {
    let rules = rules(
        "[[rules]]\nname = \"house\"\nmatch = { span = [\"swap *\"] }\nclass = \"failover\"\nphase = \"promote\"",
    );
    let explained = |chain: &[SpanContext<'_>]| rules.explain(chain).expect("a span").to_string();
    let span = |name| SpanContext { name, ..SpanContext::default() };
    assert_eq!(
        explained(&[span("swap nodes")]),
        "class  failover      rule `house`, by a pattern\n\
         phase  promote       rule `house`, by a pattern\n\
         step   work          nothing says that it waits\n\
         noise  no            no rule says so\n\
         run    yes           rule `house`, by a pattern"
    );
    let below = explained(&[span("step 3"), span("Demote primary"), span("Failover")]);
    assert!(
        below.contains("class  failover      `Demote primary` above it is failover: a part of the name is known"),
        "{below}"
    );
    assert!(below.contains("phase  fence         `Demote primary` above it is fence: the shipped pattern "), "{below}");
    let attributes = [KeyValue { key: "dbaas.operation".to_owned(), value: Value::from("wal_push") }];
    let told = explained(&[SpanContext { name: "x", attributes: &attributes, ..SpanContext::default() }]);
    assert!(told.contains("class  backup        attribute dbaas.operation"), "{told}");
    assert!(told.contains("run    no            shipped rule `wal-archiving-by-attribute`"), "{told}");
    let by_service = explained(&[SpanContext { name: "x", service: "postgres", ..SpanContext::default() }]);
    assert!(by_service.starts_with("class  query         the name of its service, `postgres`"), "{by_service}");
    assert!(explained(&[span("zzz")]).starts_with("class  other         nothing is known of it"));
    assert_eq!(rules.explain(&[]), None);
}

#[test]
fn what_is_wrong_with_a_rule_is_told_with_its_name() {
    let rule = |rest: &str| problem(&format!("[[rules]]\nname = \"r\"\n{rest}"));
    assert_eq!(
        rule("phase = \"fence\""),
        "operations rule `r`: matches every span: write match = { span = [...] }, span_regex, service, scope or attribute"
    );
    assert_eq!(
        rule("match = { span = [\"x\"] }"),
        "operations rule `r`: says nothing about what it matches: write class, phase, step, noise or run"
    );
    assert!(
        rule("match = { span = [\"x\"] }\nphase = \"fencing\"")
            .starts_with("operations rule `r`: `fencing` is no phase: write one of detect, ")
    );
    assert!(
        rule("match = { span = [\"x\"] }\nclass = \"fo\"")
            .starts_with("operations rule `r`: `fo` is no operation class")
    );
    assert_eq!(
        rule("match = { span = [\"x\"] }\nstep = \"idle\""),
        "operations rule `r`: step = \"idle\": write \"work\" or \"wait\""
    );
    assert!(
        rule("match = { span_regex = \"(\" }\nnoise = true")
            .starts_with("operations rule `r`: span_regex: regex parse error")
    );
    assert_eq!(
        rule("match = { attribute = [{ key = \"k\" }] }\nnoise = true"),
        "operations rule `r`: attribute `k` needs values or exists, and only one of them"
    );
    assert_eq!(
        problem("[[rules]]\nname = \"\"\nnoise = true\nmatch = { span = [\"x\"] }"),
        "operations rule 1 has an empty name: explanations need one"
    );
    let twice = "[[rules]]\nname = \"r\"\nnoise = true\nmatch = { span = [\"x\"] }\n".repeat(2);
    assert_eq!(problem(&twice), "two operations rules are called `r`: give each a name of its own");
    assert_eq!(
        problem("merge_window = \"2\""),
        "operations merge_window: `2` is no duration: write a number and one of the units ns, us, ms, s, m, h, d, such as `250ms`"
    );
    assert_eq!(problem("lost_after = \"1s\""), "operations lost_after = \"1s\": must be 1m to 90d");
    assert!(problem("run = [\"backup\"]").contains("unknown field `run`"));
    let many = "[[rules]]\nname = \"r\"\nnoise = true\nmatch = { span = [\"x\"] }\n".repeat(RULES_MAX + 1);
    assert_eq!(problem(&many), "operations has 501 rules: at most 500 are allowed, merge some of them");
}

#[test]
fn settings_have_defaults_and_can_be_set() {
    let settings =
        *rules("merge_window = \"30s\"\nlook_back = \"2m\"\nlost_after = \"1h\"\nstuck_after = \"5m\"").settings();
    assert_eq!(settings.merge_window_nanos, 30_000_000_000);
    assert_eq!(settings.look_back_nanos, 120_000_000_000);
    assert_eq!(settings.lost_after_nanos, 3_600_000_000_000);
    assert_eq!(settings.stuck_after_nanos, 300_000_000_000);
    assert_eq!(*Rules::default().settings(), Settings::default());
}

#[test]
fn statements_and_checks_are_marks() {
    let rules = Rules::default();
    let mark = |build: Build| rules.map(&build.spans[0]).mark(&build.spans[0].name);
    assert_eq!(mark(Build::new(1).add(1, 0, "HealthCheck", "a", 0.0, 1.0)), Some(MarkKind::HealthCheck));
    assert_eq!(mark(Build::new(1).add(1, 0, "INSERT INTO t VALUES (1)", "a", 0.0, 1.0)), Some(MarkKind::Write));
    assert_eq!(
        mark(Build::new(1).add(1, 0, "gateway.query", "a", 0.0, 1.0).with("db.operation", "UPDATE")),
        Some(MarkKind::Write)
    );
    assert_eq!(mark(Build::new(1).add(1, 0, "SELECT 1", "a", 0.0, 1.0)), None);
    assert_eq!(mark(Build::new(1).add(1, 0, "UpdateStatus", "a", 0.0, 1.0)), None);
}
