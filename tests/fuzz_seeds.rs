use std::io::Write;
use std::path::{Path, PathBuf};

use prost::Message;
use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use proto::otlp::common::v1::any_value::Value as Wire;
use proto::otlp::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use proto::otlp::trace::v1::span::{Event, Link};
use proto::otlp::trace::v1::{Span, Status};

use crate::harness::post::packed;
use crate::harness::spans::{chain, request, span, text};

/// With this in the environment the seeds are written instead of compared: after a change to them.
const WRITE: &str = "SPANHOLD_WRITE_SEEDS";

/// A repository is no place for a corpus.
const BYTES_MAX: usize = 100_000;

struct Seed {
    target: &'static str,
    name: String,
    bytes: Vec<u8>,
    /// Whether other versions of a library may write other bytes that mean the same.
    varies: bool,
}

impl Seed {
    fn new(target: &'static str, name: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self { target, name: name.into(), bytes, varies: false }
    }

    fn path(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(self.target).join(&self.name)
    }
}

fn attribute(key: &str, value: Wire) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// A request that uses every field of a span.
fn rich() -> ExportTraceServiceRequest {
    let list = ArrayValue { values: vec![AnyValue { value: Some(Wire::IntValue(-7)) }, AnyValue::default()] };
    let map = KeyValueList { values: vec![text("$odd", "x"), attribute("list", Wire::ArrayValue(list))] };
    let rich = Span {
        trace_state: "k=v".into(),
        flags: 0x101,
        kind: 3,
        attributes: vec![
            attribute("rows", Wire::IntValue(3)),
            attribute("ratio", Wire::DoubleValue(0.1)),
            attribute("nan", Wire::DoubleValue(f64::NAN)),
            attribute("cached", Wire::BoolValue(true)),
            attribute("raw", Wire::BytesValue(vec![0, 255])),
            attribute("map", Wire::KvlistValue(map)),
            KeyValue { key: "none".into(), ..KeyValue::default() },
        ],
        events: vec![Event {
            time_unix_nano: u64::MAX,
            name: "exception".into(),
            attributes: vec![text("a", "b")],
            ..Event::default()
        }],
        links: vec![Link {
            trace_id: vec![9; 16],
            span_id: vec![1, 2],
            attributes: vec![text("c", "d")],
            flags: 1,
            ..Link::default()
        }],
        dropped_attributes_count: 1,
        dropped_events_count: 2,
        dropped_links_count: 3,
        status: Some(Status { code: 2, message: "failed".into() }),
        ..span(1, 7, 9)
    };
    let mut request = request("svc", vec![rich, span(2, 1, 0)]);
    let spans = &mut request.resource_spans[0];
    spans.schema_url = "https://resource".into();
    spans.scope_spans[0].schema_url = "https://scope".into();
    spans.scope_spans[0].scope = Some(InstrumentationScope {
        name: "lib".into(),
        version: "1.2".into(),
        attributes: vec![text("e", "f")],
        dropped_attributes_count: 4,
    });
    request
}

/// A request in which `extra` follows the fields of the first resource's spans.
fn with_field(extra: &[u8]) -> Vec<u8> {
    let mut spans = rich().resource_spans[0].encode_to_vec();
    spans.extend_from_slice(extra);
    let mut request = Vec::new();
    prost::encoding::encode_key(1, prost::encoding::WireType::LengthDelimited, &mut request);
    prost::encoding::encode_varint(spans.len() as u64, &mut request);
    request.extend(spans);
    request
}

fn protobuf_seeds() -> Vec<Seed> {
    let bad_ids = [vec![], vec![0; 16], vec![1; 8]].map(|trace_id| Span { trace_id, ..span(1, 1, 0) });
    let odd_parents = [vec![0; 8], vec![1; 4]].map(|parent_span_id| Span { parent_span_id, ..span(1, 1, 0) });
    let mut value = AnyValue { value: Some(Wire::IntValue(1)) };
    for _ in 0..45 {
        value = AnyValue { value: Some(Wire::ArrayValue(ArrayValue { values: vec![value] })) };
    }
    let attributes = vec![KeyValue { key: "deep".into(), value: Some(value), ..KeyValue::default() }];
    let seed = |name: &str, bytes| Seed::new("protobuf", name, bytes);
    vec![
        seed("chain", request("svc", chain(1, 5)).encode_to_vec()),
        seed("rich", rich().encode_to_vec()),
        seed("ids", request("svc", [&bad_ids[..], &odd_parents].concat()).encode_to_vec()),
        seed("deep", request("svc", vec![Span { attributes, ..span(1, 1, 0) }]).encode_to_vec()),
        // A resource with one attribute: prost merges it with the one that is there.
        seed("resource-twice", with_field(&[0x0a, 0x05, 0x0a, 0x03, 0x0a, 0x01, b'k'])),
        // Field 9 as a group, which protobuf has given up and decoders still skip.
        seed("group", with_field(&[0x4b, 0x08, 0x01, 0x4c])),
        seed("unknown-field", with_field(&[0x4a, 0x01, 0x00])),
    ]
}

fn json_seeds() -> Vec<Seed> {
    let mut finite = rich();
    finite.resource_spans[0].scope_spans[0].spans[0].attributes.retain(|it| it.key != "nan" && it.key != "none");
    let lenient = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"00000000000000000AF7651916cd43dd",
        "spanId":"00000000000000a1","kind":"SPAN_KIND_CLIENT","startTimeUnixNano":1795464000000001000,"events":null,
        "endTimeUnixNano":"1795464000000004000","status":{"code":"STATUS_CODE_ERROR"},"unknown":{"x":[1]},"name":"\ud800",
        "attributes":[{"key":"n","value":{"intValue":3.0}},{"key":"d","value":{"doubleValue":"-Infinity"}},
        {"key":"b","value":{"bytesValue":"-_8"}},{"key":"l","value":{"arrayValue":{"values":[null,{}]}}}]}]}]}]}"#;
    let seed = |name: &str, bytes| Seed::new("json", name, bytes);
    vec![
        seed("chain", serde_json::to_vec(&request("svc", chain(1, 5))).expect("JSON")),
        seed("rich", serde_json::to_vec(&finite).expect("JSON")),
        seed("lenient", lenient.as_bytes().to_vec()),
    ]
}

/// The first byte is what the target wants to know; see `fuzz/fuzz_targets/body.rs`.
fn body_seeds() -> Vec<Seed> {
    let plain = request("svc", chain(1, 20)).encode_to_vec();
    let mut raw_deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    raw_deflate.write_all(&plain).expect("memory");
    let compressed = [
        ("identity", 0, plain.clone()),
        ("gzip", 1, packed("gzip", &plain)),
        ("deflate", 2, packed("deflate", &plain)),
        ("deflate-raw", 2, raw_deflate.finish().expect("memory")),
        ("zstd", 3, packed("zstd", &plain)),
        ("gzip-bomb", 1, packed("gzip", &[0; 1_000_000])),
        ("deflate-bomb", 2, packed("deflate", &[0; 1_000_000])),
        ("zstd-bomb", 3, packed("zstd", &[0; 1_000_000])),
    ];
    let seed = |(name, how, rest): (&str, u8, Vec<u8>)| Seed {
        varies: true,
        ..Seed::new("body", name, [vec![how], rest].concat())
    };
    let mut seeds: Vec<_> = compressed.into_iter().map(seed).collect();
    seeds.extend((128..=255).step_by(9).map(|how| Seed::new("body", format!("plain-{how}"), vec![how, b'a', b'b'])));
    seeds
}

/// The first byte says how many edits of three bytes come before the request; see `fuzz/fuzz_targets/batch.rs`.
fn batch_seeds() -> Vec<Seed> {
    let seed = |name: &str, edits: &[u8], request: ExportTraceServiceRequest| {
        Seed::new("batch", name, [&[edits.len() as u8 / 3], edits, &request.encode_to_vec()].concat())
    };
    vec![
        seed("chain", &[], request("svc", chain(1, 5))),
        seed("rich", &[], rich()),
        seed("damaged", &[7, 0, 1, 90, 1, 0xff], request("svc", [chain(1, 5), chain(2, 3)].concat())),
    ]
}

fn manifest_seeds() -> Vec<Seed> {
    let block = r#"{"id":"01K9XYZ0000000000000000000","path":"tenant=default/spans/2026-11-23/01K9XYZ0000000000000000000.parquet",
        "bytes":12345,"index_offset":12000,"windows":[1,2],"spans":100,"traces":20,"start_min":0,"start_max":9223372036854775807,
        "trace_id_min":"00000000000000000000000000000001","trace_id_max":"ffffffffffffffffffffffffffffffff"}"#;
    let manifest = |blocks: &str| {
        format!(
            r#"{{"version":1,"writer":"01K9XYZ0000000000000000000","number":3,"offloaded_through":2,"blocks":[{blocks}]}}"#
        )
    };
    let seed = |name: &str, json: String| Seed::new("manifest", name, json.into_bytes());
    vec![seed("empty", manifest("")), seed("blocks", manifest(&[block, block].join(",")))]
}

/// Edits of six bytes; see `fuzz/fuzz_targets/block.rs`.
fn block_seeds() -> Vec<Seed> {
    // The locator of one row group and no trace.
    let locator = [&b"SHL1"[..], &[1, 0, 0, 0], &[1; 16], &[9; 16], &[0; 4], &[1, 0, 0, 0], &[0; 4]].concat();
    let mut seeds = vec![Seed::new("block", "whole", Vec::new()), Seed::new("block", "locator", locator)];
    for what in 0..7u8 {
        for from_end in [5u16, 9, 300, 2_500, 12_000] {
            let [low, high] = from_end.to_le_bytes();
            seeds.push(Seed::new("block", format!("edit-{what}-{from_end}"), vec![what, low, high, 0, 0x81, 3]));
        }
    }
    seeds
}

#[test]
fn the_seeds_of_the_fuzz_targets_are_those_that_are_made_here() {
    let all = [protobuf_seeds(), json_seeds(), body_seeds(), batch_seeds(), manifest_seeds(), block_seeds()];
    let seeds: Vec<_> = all.into_iter().flatten().collect();
    assert!(seeds.iter().map(|seed| seed.bytes.len()).sum::<usize>() <= BYTES_MAX);
    for seed in seeds {
        let path = seed.path();
        if std::env::var_os(WRITE).is_some() {
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
            std::fs::write(&path, &seed.bytes).expect("writable");
        }
        let committed =
            std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; set {WRITE}=1", path.display()));
        assert!(seed.varies || committed == seed.bytes, "{} differs; set {WRITE}=1", path.display());
    }
}

#[test]
fn the_seeds_are_what_they_are_meant_to_be() {
    for seed in protobuf_seeds() {
        proto::check::check(seed.bytes).unwrap_or_else(|error| panic!("{}: {error}", seed.name));
    }
    for seed in json_seeds() {
        ingest::fuzzing::json(&seed.bytes).unwrap_or_else(|error| panic!("{}: {error}", seed.name));
    }
    for seed in manifest_seeds() {
        store::fuzzing::manifest(&seed.bytes).unwrap_or_else(|error| panic!("{}: {error}", seed.name));
    }
}
