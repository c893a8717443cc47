use http::StatusCode;
use prost::Message;
use proto::otlp::common::v1::any_value::Value as Wire;
use proto::otlp::common::v1::{AnyValue, ArrayValue, KeyValue};
use proto::otlp::trace::v1::Span;
use serde_json::{Value, json};

use crate::harness::blocks::blocks;
use crate::harness::post::{JSON, PROTOBUF, packed, post};
use crate::harness::spans::{START, chain, request, span, text, trace_hex, trace_id};
use crate::harness::{Server, eventually};

/// What the server may have in memory at its worst: all that may be in flight (160 MiB), and about twice as much that the
/// allocator has not given back yet. Without limits, the bombs alone would take seven gigabytes.
const MEMORY_BYTES_MAX: u64 = 768 << 20;

/// More spans than any test here sends, so that a window is sealed when [`seal`] fills it up.
const WINDOW_SPANS: &str = "1000";

/// Trace number of what is sent to see that a server still works.
const SOUND_TRACE: u64 = 1_000_000;

struct Fixture {
    server: Server,
    folder: tempfile::TempDir,
}

/// A server that forgets the hot copy of a window as soon as its block is there.
fn start(window_spans: &str) -> Fixture {
    let folder = tempfile::tempdir().expect("a folder");
    // Blocks are counted here, so none are merged.
    let unmerged = ["--window-spans-max", window_spans, "--hot-bytes-max", "0", "--merge-inputs-min", "1000000"];
    let server = Server::start(folder.path(), &unmerged);
    Fixture { server, folder }
}

/// The server is ready, takes spans and finds them, and never had too much in memory.
async fn assert_unharmed(server: &Server) {
    assert_eq!(server.get("/readyz").await, "ready\n");
    server.send(request("sound", chain(SOUND_TRACE, 3))).await;
    assert_eq!(server.trace(&trace_hex(SOUND_TRACE)).await["span_count"], 3);
    let peak = server.peak_memory_bytes();
    assert!(peak <= MEMORY_BYTES_MAX, "{} MiB were in use", peak >> 20);
}

/// Fills the open window, and waits until nothing is left in the hot tier but the next one.
async fn seal(server: &Server, blocks: f64) {
    for number in 0..4 {
        server.send(request("filler", chain(2_000_000 + number, 250))).await;
    }
    server.offloaded(blocks).await;
    eventually("retirement", async || server.metric("spanhold_store_hot_windows").await <= 1.0).await;
}

/// The trace's entry among those that a search of all time finds for a service.
async fn found(server: &Server, service: &str, id: &str) -> Value {
    let path =
        format!("/api/v1/search?start=1970-01-01T00:00:00Z&end=2262-04-11T23:47:16.854775807Z&service={service}");
    let answer = server.get_json(&path).await;
    let traces = answer["traces"].as_array().expect("traces");
    traces.iter().find(|trace| trace["trace_id"] == id).unwrap_or_else(|| panic!("{id} not found: {answer}")).clone()
}

/// A length-delimited field.
fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 6);
    prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, &mut out);
    prost::encoding::encode_varint(bytes.len() as u64, &mut out);
    out.extend_from_slice(bytes);
    out
}

/// A request whose one span has an attribute of lists within lists; by hand, as prost's messages end the stack.
fn nested_protobuf(number: u64, levels: usize) -> Vec<u8> {
    let mut value = AnyValue { value: Some(Wire::IntValue(1)) }.encode_to_vec();
    for _ in 0..levels {
        value = field(5, &field(1, &value));
    }
    let attribute = [field(1, b"deep"), field(2, &value)].concat();
    let span = [span(number, 1, 0).encode_to_vec(), field(9, &attribute)].concat();
    field(1, &field(2, &field(2, &span)))
}

fn nested_json(number: u64, levels: usize) -> Vec<u8> {
    let (open, close) = (r#"{"arrayValue":{"values":["#.repeat(levels), "]}}".repeat(levels));
    let value = format!(r#"{open}{{"intValue":1}}{close}"#);
    let span = format!(
        r#"{{"traceId":"{}","spanId":"0101010101010101","name":"step 1","startTimeUnixNano":"{START}","attributes":[{{"key":"deep","value":{value}}}]}}"#,
        trace_hex(number)
    );
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span}]}}]}}]}}"#).into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn nesting_beyond_the_limit_is_refused_and_within_it_comes_back() {
    let Fixture { server, .. } = &start(WINDOW_SPANS);
    for levels in [60, 1_000, 10_000] {
        for encoding in [None, Some("gzip")] {
            for (kind, body) in [(PROTOBUF, nested_protobuf(1, levels)), (JSON, nested_json(1, levels))] {
                let body = encoding.map_or_else(|| body.clone(), |encoding| packed(encoding, &body));
                let (status, answered, _) = post(server, kind, encoding, body).await;
                assert_eq!((status, &answered[..]), (StatusCode::BAD_REQUEST, kind), "{levels} levels, {encoding:?}");
            }
        }
    }
    assert_eq!(server.try_get(&format!("/api/v1/traces/{}", trace_hex(1))).await.0, 404);

    // As deep as prost and the JSON of answers go.
    for (number, kind, body) in [(2, PROTOBUF, nested_protobuf(2, 30)), (3, JSON, nested_json(3, 30))] {
        assert_eq!(post(server, kind, None, body).await.0, StatusCode::OK, "{kind}");
        let hot = server.trace(&trace_hex(number)).await;
        let mut value = &hot["spans"][0]["attributes"][0]["value"];
        for _ in 0..30 {
            value = &value["arrayValue"]["values"][0];
        }
        assert_eq!(value, &json!({"intValue": "1"}), "{kind}");
    }
    let hot = [server.trace(&trace_hex(2)).await, server.trace(&trace_hex(3)).await];
    seal(server, 1.0).await;
    assert_eq!([server.trace(&trace_hex(2)).await, server.trace(&trace_hex(3)).await], hot);
    // The deepest that is accepted: what was answered can be read, in the form that has no limit of its own.
    for levels in (31..60).rev() {
        if post(server, PROTOBUF, None, nested_protobuf(4, levels)).await.0 == StatusCode::OK {
            assert!(levels >= 45, "only {levels}");
            break;
        }
    }
    server.get(&format!("/api/v1/traces/{}", trace_hex(4))).await;
    seal(server, 2.0).await;
    server.get(&format!("/api/v1/traces/{}", trace_hex(4))).await;
    assert_unharmed(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_text_or_no_request_are_refused() {
    let Fixture { server, .. } = &start(WINDOW_SPANS);
    let valid = request("svc", chain(1, 3)).encode_to_vec();
    let valid_json = serde_json::to_vec(&request("svc", chain(1, 3))).expect("JSON");
    let broken = |bytes: &[u8], text: &[u8]| {
        let at = bytes.windows(text.len()).position(|part| part == text).expect("it is there");
        let mut bytes = bytes.to_vec();
        bytes[at] = 0xff;
        bytes
    };
    for text in [&b"step 2"[..], b"svc", b"service.name"] {
        assert_eq!(post(server, PROTOBUF, None, broken(&valid, text)).await.0, StatusCode::BAD_REQUEST);
        assert_eq!(post(server, JSON, None, broken(&valid_json, text)).await.0, StatusCode::BAD_REQUEST);
    }
    for length in [1, valid.len() / 2, valid.len() - 1] {
        assert_eq!(post(server, PROTOBUF, None, valid[..length].to_vec()).await.0, StatusCode::BAD_REQUEST, "{length}");
        assert_eq!(
            post(server, JSON, None, valid_json[..length].to_vec()).await.0,
            StatusCode::BAD_REQUEST,
            "{length}"
        );
    }
    for encoding in ["gzip", "zstd", "deflate"] {
        let body = packed(encoding, &valid);
        for cut in [&body[..body.len() / 2], &valid] {
            let (status, _, answer) = post(server, PROTOBUF, Some(encoding), cut.to_vec()).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{encoding}: {}", String::from_utf8_lossy(&answer));
        }
    }
    // A length that promises four gigabytes.
    let promise = [0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 1].to_vec();
    assert_eq!(post(server, PROTOBUF, None, promise).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(server.try_get(&format!("/api/v1/traces/{}", trace_hex(1))).await.0, 404, "nothing of it was kept");
    assert_unharmed(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_that_come_at_once_do_not_add_up() {
    let Fixture { server, .. } = &start(WINDOW_SPANS);
    let plain = vec![0u8; 300_000_000];
    let bombs: Vec<_> = ["gzip", "zstd", "deflate"].map(|encoding| (encoding, packed(encoding, &plain))).into();
    drop(plain);
    let posts = (0..24).map(|number| {
        let (encoding, bomb) = &bombs[number % bombs.len()];
        post(server, if number % 2 == 0 { PROTOBUF } else { JSON }, Some(encoding), bomb.clone())
    });
    for (status, ..) in futures::future::join_all(posts).await {
        assert!(matches!(status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::TOO_MANY_REQUESTS), "{status}");
    }
    assert_unharmed(server).await;
}

fn attribute(key: &str, value: Wire) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// Spans that are odd and valid, one per trace, with what each is about.
fn oddities() -> Vec<(&'static str, Span)> {
    let with = |number: u64, attributes: Vec<KeyValue>| Span { attributes, ..span(number, 1, 0) };
    let list = ArrayValue { values: vec![AnyValue { value: None }; 3_000] };
    vec![
        ("a key of 64 KiB", with(0, vec![text(&"k".repeat(64 << 10), "v")])),
        ("5,000 keys", with(1, (0..5_000).map(|at| text(&format!("key {at}"), "v")).collect())),
        ("one key in all types", {
            let values =
                [Wire::StringValue("1".into()), Wire::IntValue(1), Wire::DoubleValue(1.0), Wire::BoolValue(true)];
            with(2, values.into_iter().cycle().take(200).map(|value| attribute("key", value)).collect())
        }),
        ("keys that mean something to the store", {
            let keys =
                ["", "trace_id", "attr.trace_id", "attributes", "$bytes", "$map", "$double", "a\0b", "\u{202e}", "\""];
            with(3, keys.map(|key| text(key, key)).into())
        }),
        ("values that mean something to the store", {
            let texts = ["", "\0", "{\"$bytes\":\"AA==\"}", "null", "\u{10ffff}", "NaN"];
            with(4, texts.map(|value| text(&format!("key {value}"), value)).into())
        }),
        ("extreme numbers", {
            let doubles = [f64::NAN, f64::INFINITY, -0.0, f64::MIN_POSITIVE, f64::MAX].map(Wire::DoubleValue);
            let values = doubles.into_iter().chain([i64::MIN, i64::MAX].map(Wire::IntValue));
            with(5, values.enumerate().map(|(at, value)| attribute(&format!("key {at}"), value)).collect())
        }),
        ("a list of nothing", with(6, vec![attribute("list", Wire::ArrayValue(list))])),
        ("an attribute without a value", with(7, vec![KeyValue { key: "none".into(), ..KeyValue::default() }])),
        ("a name of 1 MB", Span { name: "n".repeat(1_000_000), ..span(8, 1, 0) }),
        ("no name", Span { name: String::new(), ..span(9, 1, 0) }),
        ("its own parent", span(10, 1, 1)),
        ("a start in 1970", Span { start_time_unix_nano: 0, ..span(11, 1, 0) }),
        ("no clock", Span { start_time_unix_nano: 0, end_time_unix_nano: 0, ..span(12, 1, 0) }),
        ("all of time", Span { start_time_unix_nano: 0, end_time_unix_nano: u64::MAX, ..span(13, 1, 0) }),
        ("a start at the end of time", Span { start_time_unix_nano: u64::MAX, ..span(16, 1, 0) }),
        ("an end before the start", Span { end_time_unix_nano: 1, ..span(14, 1, 0) }),
        ("counts that cannot be", {
            let (kind, flags, dropped_attributes_count) = (i32::MIN, u32::MAX, u32::MAX);
            Span { kind, flags, dropped_attributes_count, ..span(15, 1, 0) }
        }),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_odd_and_valid_is_found_as_it_was_sent_hot_and_cold() {
    let Fixture { server, .. } = &start(WINDOW_SPANS);
    let oddities = oddities();
    // In one request, so that one span's keys and types meet the others' in the same columns.
    server.send(request("odd", oddities.iter().map(|(_, span)| span.clone()).collect())).await;
    let mut hot = Vec::new();
    for (what, sent) in &oddities {
        let trace = server.trace(&hex(&sent.trace_id)).await;
        assert_eq!(trace["span_count"], 1, "{what}");
        let span = trace["spans"].as_array().expect("spans").last().expect("the span");
        assert_eq!(span["name"], sent.name, "{what}");
        assert_eq!(span["attributes"].as_array().expect("a list").len(), sent.attributes.len(), "{what}");
        hot.push(trace);
    }
    for tier in ["hot", "cold"] {
        eventually("visibility", async || server.metric("spanhold_store_in_flight_bytes").await == 0.0).await;
        for ((what, sent), hot) in oddities.iter().zip(&hot) {
            let id = hex(&sent.trace_id);
            assert_eq!(server.trace(&id).await, *hot, "{what}, {tier}");
            assert_eq!(found(server, "odd", &id).await["span_count"], 1, "{what}, {tier}");
        }
        if tier == "hot" {
            seal(server, 1.0).await;
        }
    }
    assert_unharmed(server).await;
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_span_that_is_there_twice_counts_once() {
    let Fixture { server, .. } = &start(WINDOW_SPANS);
    let mut later = span(1, 2, 1);
    later.end_time_unix_nano += 7;
    // Within a request, and again in another one.
    server.send(request("twice", vec![span(1, 1, 0), span(1, 2, 1), later.clone(), span(1, 2, 1)])).await;
    server.send(request("twice", vec![span(1, 2, 1)])).await;
    for tier in ["hot", "cold"] {
        let trace = server.trace(&trace_hex(1)).await;
        assert_eq!(trace["span_count"], 2, "{tier}");
        assert_eq!(trace["spans"][1]["end_unix_nano"], later.end_time_unix_nano.to_string(), "{tier}");
        eventually("visibility", async || server.metric("spanhold_store_in_flight_bytes").await == 0.0).await;
        assert_eq!(found(server, "twice", &trace_hex(1)).await["span_count"], 2, "{tier}");
        if tier == "hot" {
            seal(server, 1.0).await;
        }
    }
    assert_unharmed(server).await;
}

/// Spans of a large trace: a chain, so that it is as deep as it is long.
fn large(number: u64, ids: std::ops::Range<u64>) -> Vec<Span> {
    ids.map(|id| Span {
        trace_id: trace_id(number),
        span_id: (id + 1).to_be_bytes().to_vec(),
        parent_span_id: if id == 0 { Vec::new() } else { id.to_be_bytes().to_vec() },
        name: "copy file".into(),
        start_time_unix_nano: START + id,
        end_time_unix_nano: START + 60_000,
        ..Span::default()
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_of_sixty_thousand_spans_arrive_whole_in_one_request_and_in_many() {
    const SPANS: u64 = 60_000;
    // Each trace lies in several windows and blocks.
    let Fixture { server, .. } = &start("25000");
    server.send(request("large", large(1, 0..SPANS))).await;
    for first in (0..SPANS).step_by(1_000) {
        server.send(request("large", large(2, first..first + 1_000))).await;
    }
    for tier in ["hot", "cold"] {
        eventually("visibility", async || server.metric("spanhold_store_in_flight_bytes").await == 0.0).await;
        for number in [1, 2] {
            let trace = server.trace(&trace_hex(number)).await;
            assert_eq!((&trace["span_count"], &trace["complete"]), (&json!(SPANS), &json!(true)), "{tier}");
            let last = trace["spans"].as_array().expect("spans").last().expect("many");
            assert_eq!(last["depth"], SPANS - 1, "{tier}");
            assert_eq!(found(server, "large", &trace_hex(number)).await["span_count"], SPANS, "{tier}");
        }
        if tier == "hot" {
            for number in 0..100 {
                server.send(request("filler", chain(2_000_000 + number, 250))).await;
            }
            // Small blocks may have been merged by now.
            server.offloaded(1.0).await;
            eventually("retirement", async || server.metric("spanhold_store_hot_windows").await <= 1.0).await;
        }
    }
    assert_unharmed(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_block_is_an_error_to_who_asks_and_never_the_end_of_the_process() {
    // Two blocks that stay two.
    let folder = tempfile::tempdir().expect("a folder");
    let unmerged = ["--window-spans-max", "500", "--hot-bytes-max", "0", "--merge-inputs-min", "1000000"];
    let server = Server::start(folder.path(), &unmerged);
    server.send(request("first", (0..100).flat_map(|number| chain(number, 5)).collect())).await;
    server.offloaded(1.0).await;
    let cold = folder.path().join("cold");
    let [block] = &blocks(&cold)[..] else { panic!("one block") };
    server.send(request("second", (100..200).flat_map(|number| chain(number, 5)).collect())).await;
    server.offloaded(2.0).await;
    server.terminate();

    let whole = std::fs::read(block).expect("readable");
    let length = whole.len();
    let damaged = |damage: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        damage(&mut bytes);
        bytes
    };
    for (what, bytes) in [
        ("emptied", Vec::new()),
        ("cut in half", damaged(&|bytes| bytes.truncate(length / 2))),
        ("its end cut off", damaged(&|bytes| bytes.truncate(length - 1))),
        ("zeroed", damaged(&|bytes| bytes.fill(0))),
        ("its columns zeroed", damaged(&|bytes| bytes[4..length / 2].fill(0))),
        ("its columns overwritten", damaged(&|bytes| bytes[4..length / 2].fill(0xff))),
        ("its end overwritten", damaged(&|bytes| bytes[length - 2_000..length - 8].fill(0xff))),
        (
            "its end garbled",
            damaged(&|bytes| bytes[length - 2_000..length - 8].iter_mut().for_each(|byte| *byte ^= 0x55)),
        ),
        ("a footer of another length", damaged(&|bytes| bytes[length - 8] ^= 0x10)),
    ] {
        std::fs::write(block, &bytes).expect("writable");
        // Without the hot tier, for that has copies of the blocks' indexes.
        let fresh = tempfile::tempdir().expect("a folder");
        let server = Server::start(fresh.path(), &["--cold", &format!("file://{}", cold.display())]);
        let (status, answer) = server.try_get(&format!("/api/v1/traces/{}", trace_hex(7))).await;
        assert!(matches!(status, 500 | 503), "{what}: {status} {answer}");
        let problem: Value = serde_json::from_str(&answer).expect("problem+json");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{what}: {problem}");
        let (status, answer) = server.try_get("/api/v1/search?start=2026-11-23T00:00:00Z&service=first").await;
        assert!(matches!(status, 500 | 503), "{what}: {status} {answer}");
        // A trace that may be in a block whose index cannot be read has no answer either: half of one would be a lie.
        server.send(request("sound", chain(SOUND_TRACE, 3))).await;
        let (status, answer) = server.try_get(&format!("/api/v1/traces/{}", trace_hex(SOUND_TRACE))).await;
        assert!(matches!(status, 200 | 500 | 503), "{what}: {status} {answer}");
        assert_eq!(server.get("/readyz").await, "ready\n");
        assert!(server.peak_memory_bytes() <= MEMORY_BYTES_MAX, "{what}");
    }
    std::fs::write(block, &whole).expect("writable");
    let fresh = tempfile::tempdir().expect("a folder");
    let server = Server::start(fresh.path(), &["--cold", &format!("file://{}", cold.display())]);
    assert_eq!(server.trace(&trace_hex(7)).await["span_count"], 5);
}

#[test]
fn a_damaged_manifest_is_told_at_the_start() {
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let folder = runtime.block_on(async {
        let Fixture { server, folder } = start("5");
        server.send(request("svc", chain(1, 5))).await;
        server.offloaded(1.0).await;
        server.terminate();
        folder
    });
    let cold = folder.path().join("cold");
    let writer = std::fs::read_dir(cold.join("tenant=default/manifest")).expect("manifests").next().expect("one");
    let manifests = std::fs::read_dir(writer.expect("readable").path()).expect("a folder");
    let manifest = manifests.map(|manifest| manifest.expect("readable").path()).max().expect("one");
    let mut garbled = std::fs::read(&manifest).expect("readable");
    let middle = garbled.len() / 2;
    garbled[middle] = 0xff;
    // One that is cut off is as if it had never been put: `store::manifest`.
    for damage in [&garbled[..], b"{\"version\":99}", b"[]", &[b'['; 100_000]] {
        std::fs::write(&manifest, damage).expect("writable");
        let fresh = tempfile::tempdir().expect("a folder");
        // Who believes it would go on to serve.
        let output = std::process::Command::new("timeout")
            .args([
                "20",
                env!("CARGO_BIN_EXE_spanhold"),
                "serve",
                "--otlp-grpc-listen",
                "127.0.0.1:0",
                "--otlp-http-listen",
                "127.0.0.1:0",
            ])
            .args(["--http-listen", "127.0.0.1:0", "--cold", &format!("file://{}", cold.display())])
            .arg("--data-dir")
            .arg(fresh.path())
            .output()
            .expect("runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code().is_some_and(|code| ![0, 101, 124].contains(&code)), "{:?}: {told}", output.status);
        assert!(told.contains("manifest") && told.contains(".json"), "{told}");
    }
}
