use super::*;

fn from_toml(text: &str) -> Result<ServeOptions, toml::de::Error> {
    toml::from_str(text)
}

#[test]
fn defaults_stay_on_loopback_and_in_one_folder() {
    let config = validate(ServeOptions::default()).expect("the defaults are valid");
    assert!(config.otlp_grpc_listen.ip().is_loopback());
    assert!(config.otlp_http_listen.ip().is_loopback());
    assert!(config.http_listen.ip().is_loopback());
    assert!(config.store.hot_dir.is_absolute());
    assert!(config.cold.starts_with("file:///") && config.cold.ends_with("/spanhold-data/cold"), "{}", config.cold);
}

#[test]
fn a_flag_wins_over_the_file() {
    let file = from_toml("http-listen = \"127.0.0.1:1\"\nwindow-age-max = \"90s\"").expect("valid");
    let given = ServeOptions { http_listen: Some("127.0.0.1:2".to_owned()), ..ServeOptions::default() };
    let config = validate(given.or(file)).expect("valid");
    assert_eq!(config.http_listen.port(), 2);
    assert_eq!(config.store.window_age_max, Duration::from_secs(90));
}

#[test]
fn limits_of_the_store_are_settings() {
    let text = "windows-in-memory-max = 7\nwindows-waiting-max = 30\ndisk-free-min = 7\nhot-bytes-max = 9";
    let config = validate(from_toml(text).expect("valid")).expect("valid");
    let store = &config.store;
    assert_eq!((store.windows_in_memory_max, store.windows_waiting_max), (7, 30));
    assert_eq!((store.disk_free_min, store.hot_bytes_max), (7, 9));
}

#[test]
fn what_is_wrong_is_named() {
    let unknown = from_toml("htpp-listen = \"127.0.0.1:1\"").expect_err("no such key").to_string();
    assert!(unknown.contains("htpp-listen"), "{unknown}");
    let address = ServeOptions { http_listen: Some("4319".to_owned()), ..ServeOptions::default() };
    let error = validate(address).expect_err("no address").to_string();
    assert!(error.contains("http-listen") && error.contains("4319"), "{error}");
    let zero = ServeOptions { window_spans_max: Some(0), ..ServeOptions::default() };
    assert!(validate(zero).expect_err("too small").to_string().contains("window-spans-max"));
    let none = ServeOptions { windows_in_memory_max: Some(0), ..ServeOptions::default() };
    let error = validate(none).expect_err("too small").to_string();
    assert_eq!(error, "windows-in-memory-max = 0: must be at least 1");
}

#[test]
fn limits_of_merging_are_checked() {
    let file = from_toml(
        "merge-interval = \"5s\"\nmerge-block-bytes-max = 2097152\norphan-grace = \"2m\"\ncold-retention = \"30h\"\ncold-bytes-max = 9000000",
    );
    let store = validate(file.expect("valid")).expect("valid").store;
    assert_eq!((store.merge_interval, store.orphan_grace), (Duration::from_secs(5), Duration::from_secs(120)));
    assert_eq!((store.merge_block_bytes_max, store.cold_bytes_max), (2 << 20, Some(9_000_000)));
    assert_eq!(store.cold_retention, Some(Duration::from_secs(30 * 3_600)));
    for (wrong, expected) in [
        ("orphan-grace = \"1m\"", "orphan-grace in seconds = 60: must be at least 92"),
        ("merge-block-bytes-max = 5", "merge-block-bytes-max = 5: must be at least 1048576"),
        ("merge-inputs-min = 1", "merge-inputs-min = 1: must be at least 2"),
        ("merge-interval = \"0s\"", "merge-interval in milliseconds = 0: must be at least 1"),
        ("cold-retention = \"1s\"", "cold-retention in seconds = 1: must be at least 60"),
        ("cold-bytes-max = 0", "cold-bytes-max = 0: must be at least 1048576"),
    ] {
        let error = validate(from_toml(wrong).expect("TOML")).expect_err("too small").to_string();
        assert_eq!(error, expected);
    }
}

#[test]
fn rules_come_from_the_file_and_what_is_wrong_names_the_rule() {
    let file = from_toml(
        r#"
        http-listen = "127.0.0.1:1"

        [retention]
        hold = "20m"

        [[retention.rules]]
        name = "failovers"
        match = { class = ["failover"] }
        keep = "all"
        retain = "400d"
        "#,
    )
    .expect("valid");
    let config = validate(file).expect("valid");
    let rules: Vec<&str> = config.store.retention.rules().iter().map(|rule| rule.name()).collect();
    assert_eq!(rules, ["failovers", "everything-else"]);
    assert_eq!(config.store.retention.hold_nanos(), 20 * 60 * 1_000_000_000);
    let config = validate(ServeOptions::default()).expect("the defaults are valid");
    assert_eq!(config.store.retention.rules()[0].name(), "health-checks");

    let wrong = "[[retention.rules]]\nname = \"mine\"\nkeep = \"all\"\nretain = \"1ms\"";
    let error = from_toml(wrong).expect_err("too short").to_string();
    assert!(error.contains("`mine`") && error.contains("retain = \"1ms\""), "{error}");
    let error = from_toml("[retention]\nkeep = 1").expect_err("no such key").to_string();
    assert!(error.contains("keep"), "{error}");
}

#[test]
fn rules_of_operations_are_read_and_checked() {
    let text = "[operations]\nstuck_after = \"5m\"\n[[operations.rules]]\nname = \"house\"\nmatch = { span = [\"move-leader\"] }\nclass = \"failover\"\n";
    let config = validate(from_toml(text).expect("valid")).expect("valid");
    assert_eq!(config.store.operations.settings().stuck_after_nanos, 300 * 1_000_000_000);
    let span = model::rules::SpanContext { name: "move-leader", ..model::rules::SpanContext::default() };
    let explained = config.store.operations.explain(&[span]).expect("a span");
    assert!(explained.class.because.contains("house"), "{explained}");
    let wrong = from_toml("[operations]\nruns = [\"lunch\"]").expect_err("no class").to_string();
    assert!(wrong.contains("lunch"), "{wrong}");
}
