//! Requests that use everything OTLP has, with the odd values that break formats. One request makes one block where
//! windows are that small.

use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use proto::otlp::common::v1::any_value::Value;
use proto::otlp::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use proto::otlp::resource::v1::Resource;
use proto::otlp::trace::v1::span::{Event, Link};
use proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

use super::spans::{START, span, text, trace_id};

/// Spans without anything special that a block has beside the special ones: more than a hundred, so that a key that one
/// span has is a rare one.
const PLAIN_SPANS: u8 = 140;

/// An attribute; `None` is OTLP's empty value.
pub(crate) fn attribute(key: &str, value: impl Into<Option<Value>>) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: value.into() }), ..KeyValue::default() }
}

/// A request of several resources.
pub(crate) fn request_of(resource_spans: Vec<ResourceSpans>) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest { resource_spans }
}

/// Frequent and rare attributes of every type, three resources and scopes, every kind, every place of a parent.
pub(crate) fn first_block() -> ExportTraceServiceRequest {
    let everything = Resource {
        attributes: [vec![text("service.name", "control-api")], every_value("resource")].concat(),
        dropped_attributes_count: 6,
        ..Resource::default()
    };
    let library = InstrumentationScope {
        name: "github.com/example/«lib»".to_owned(),
        version: "1.2.3-beta+5".to_owned(),
        attributes: every_value("scope"),
        dropped_attributes_count: u32::MAX,
    };
    // The first key begins with `$`, and it is no text that names the service.
    let odd = Resource {
        attributes: vec![text("$bytes", "AP8="), attribute("service.name", Value::IntValue(7)), text("$map", "")],
        ..Resource::default()
    };
    let named = InstrumentationScope { name: "$double".to_owned(), ..InstrumentationScope::default() };
    request_of(vec![
        ResourceSpans {
            resource: Some(everything),
            scope_spans: vec![
                ScopeSpans {
                    scope: Some(library),
                    spans: vec![rare_values(), events(), links()],
                    schema_url: "https://example.com/scope".to_owned(),
                },
                ScopeSpans { scope: None, spans: plain_spans(1), schema_url: String::new() },
            ],
            schema_url: "https://example.com/resource".to_owned(),
        },
        ResourceSpans {
            resource: Some(odd),
            scope_spans: vec![ScopeSpans { scope: Some(named), spans: parents(), ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        },
        ResourceSpans {
            resource: None,
            scope_spans: vec![ScopeSpans { scope: None, spans: fields(), ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        },
    ])
}

/// Other keys than the first block has, and the same with other types; spans whose parents are in the first block, and
/// one that was in it already.
pub(crate) fn second_block() -> ExportTraceServiceRequest {
    let mut spans = plain_spans(2);
    for (number, span) in (0i64..).zip(&mut spans) {
        span.attributes.push(text("only.in.the.second", &format!("value {}", number % 5)));
        for attribute in span.attributes.iter_mut().filter(|attribute| attribute.key == "plain.int") {
            *attribute = text("plain.int", &format!("text {number}"));
        }
    }
    // Sent again after it ended, and once more as it was before.
    let mut ended = span(1, 3, 2);
    let before = ended.clone();
    ended.end_time_unix_nano += 5_000_000;
    ended.attributes = vec![text("state", "ended")];
    spans.extend([span(1, 200, 7), ended, before]);
    super::spans::request("agent", spans)
}

/// More keys than a window has columns for, and more frequent ones than a block has.
pub(crate) fn block_of_many_keys() -> ExportTraceServiceRequest {
    let mut first = span(4, 201, 0);
    first.attributes = (0..3_900).map(|number| attribute(&format!("key {number}"), Value::IntValue(number))).collect();
    let mut spans = vec![first];
    spans.extend(plain_spans(5));
    for (number, span) in (0i64..).zip(&mut spans) {
        span.attributes
            .extend((0..200).map(|key| attribute(&format!("frequent {key}"), Value::IntValue(number * 1_000 + key))));
    }
    let mut last = span(4, 202, 201);
    last.attributes = [every_value("beyond"), every_value("beyond")].concat();
    spans.push(last);
    super::spans::request("many-keys", spans)
}

/// A value of every type and its odd ones, under a name of its own that begins with `prefix`.
fn every_value(prefix: &str) -> Vec<KeyValue> {
    let (texts, numbers) = (texts(), numbers());
    let named = texts.into_iter().chain(numbers).chain(nested()).chain([("empty", None)]);
    let mut attributes: Vec<_> = named.map(|(name, value)| attribute(&format!("{prefix}.{name}"), value)).collect();
    attributes.push(KeyValue { key: format!("{prefix}.absent"), value: None, ..KeyValue::default() });
    attributes
}

type Named = (&'static str, Option<Value>);

fn texts() -> Vec<Named> {
    let strings = [
        ("string", "select 1"),
        ("string.empty", ""),
        ("string.unicode", "Zürich 東京 🚀 \u{202e}\u{feff}\u{2028}"),
        ("string.control", "\u{0}\u{1}\u{1f}\u{7f}\u{80}"),
        ("string.quoted", "a \"b\" 'c' \\ \\u0041 \r\n\t/"),
        ("string.dollar", "$bytes"),
        ("string.number", "1"),
        ("string.json", "{\"$double\":\"NaN\"}"),
        ("string.null", "null"),
    ];
    strings.into_iter().map(|(name, text)| (name, Some(Value::StringValue(text.to_owned())))).collect()
}

fn numbers() -> Vec<Named> {
    let ints = [
        ("int", 42),
        ("int.zero", 0),
        ("int.minus_one", -1),
        ("int.least", i64::MIN),
        ("int.most", i64::MAX),
        ("int.beyond_doubles", (1 << 53) + 1),
    ];
    let doubles = [
        ("double", 1.5),
        ("double.whole", 5.0),
        ("double.zero", 0.0),
        ("double.minus_zero", -0.0),
        ("double.large", 1e300),
        ("double.large_whole", 1e15),
        ("double.least", 5e-324),
        ("double.most", f64::MAX),
        ("double.long", 0.1 + 0.2),
        ("double.nan", f64::NAN),
        ("double.infinity", f64::INFINITY),
        ("double.minus_infinity", f64::NEG_INFINITY),
    ];
    let bools = [("bool.true", true), ("bool.false", false)];
    let ints = ints.into_iter().map(|(name, number)| (name, Some(Value::IntValue(number))));
    let doubles = doubles.into_iter().map(|(name, number)| (name, Some(Value::DoubleValue(number))));
    let bools = bools.into_iter().map(|(name, flag)| (name, Some(Value::BoolValue(flag))));
    ints.chain(doubles).chain(bools).collect()
}

fn nested() -> Vec<Named> {
    let int = || Some(Value::IntValue(1));
    let nan = || Some(Value::DoubleValue(f64::NAN));
    let string = |text: &str| Some(Value::StringValue(text.to_owned()));
    let bytes = |bytes: Vec<u8>| Some(Value::BytesValue(bytes));
    let mixed = vec![string("a"), int(), Some(Value::DoubleValue(1.0)), Some(Value::BoolValue(true)), None, nan()];
    let mut deep = map(vec![("$map", int())]);
    for _ in 0..6 {
        deep = map(vec![("$map", array(vec![deep, None]))]);
    }
    vec![
        ("bytes", bytes((0..=255).collect())),
        ("bytes.empty", bytes(Vec::new())),
        ("bytes.one", bytes(vec![0])),
        ("array", array(mixed)),
        ("array.empty", array(Vec::new())),
        ("array.nested", array(vec![array(vec![bytes(vec![255])]), array(Vec::new()), map(Vec::new())])),
        ("map", map(vec![("b", int()), ("a", string("x")), ("", None), ("nan", nan()), ("raw", bytes(vec![1, 2]))])),
        ("map.empty", map(Vec::new())),
        ("map.like_bytes", map(vec![("$bytes", string("AP8="))])),
        ("map.like_bytes_and_more", map(vec![("$bytes", string("no base64")), ("b", int())])),
        ("map.like_double", map(vec![("$double", string("NaN"))])),
        ("map.like_map", map(vec![("$map", map(vec![("a", int())]))])),
        ("map.dollar", map(vec![("$", int()), ("$$", nan())])),
        ("map.dollar_later", map(vec![("a", int()), ("$double", string("NaN"))])),
        ("map.twice", map(vec![("k", int()), ("k", string("second")), ("k", int())])),
        ("map.deep", deep),
    ]
}

fn array(values: Vec<Option<Value>>) -> Option<Value> {
    let values = values.into_iter().map(|value| AnyValue { value }).collect();
    Some(Value::ArrayValue(ArrayValue { values }))
}

fn map(entries: Vec<(&str, Option<Value>)>) -> Option<Value> {
    let values = entries.into_iter().map(|(key, value)| attribute(key, value)).collect();
    Some(Value::KvlistValue(KeyValueList { values }))
}

fn rare_values() -> Span {
    let mut rare = span(3, 1, 0);
    rare.name = "every value as a rare attribute".to_owned();
    rare.attributes = every_value("rare");
    // A key that was sent three times, one whose values differ in type, and names that need quotes.
    rare.attributes.extend(["first", "second", "third"].map(|value| text("three_times", value)));
    rare.attributes.push(attribute("rare.twice", Value::BoolValue(true)));
    rare.attributes.push(text("rare.twice", "true"));
    rare.attributes.extend(["", "$bytes", "a \"b\"\n", "東京", "attributes"].map(|key| text(key, "odd key")));
    rare
}

fn events() -> Span {
    let event = |time_unix_nano: u64, name: &str, attributes: Vec<KeyValue>, dropped_attributes_count: u32| Event {
        time_unix_nano,
        name: name.to_owned(),
        attributes,
        dropped_attributes_count,
    };
    Span {
        name: "events".to_owned(),
        events: vec![
            event(START, "exception", vec![text("exception.message", "boom \"quoted\"\n  at x")], 0),
            event(0, "", Vec::new(), 0),
            event(u64::MAX, "every value", every_value("event"), u32::MAX),
            event(START - 1, "zweimal 二", vec![text("$map", "1"), text("k", "1"), text("k", "2")], 1),
        ],
        dropped_events_count: u32::MAX,
        ..span(3, 2, 1)
    }
}

fn links() -> Span {
    let link = |trace_id: Vec<u8>, span_id: Vec<u8>| Link { trace_id, span_id, ..Link::default() };
    Span {
        name: "links".to_owned(),
        links: vec![
            Link {
                trace_state: "vendor=a:b;c,other=1".to_owned(),
                attributes: every_value("link"),
                dropped_attributes_count: 4,
                flags: 0x301,
                ..link(trace_id(1), vec![1; 8])
            },
            link(Vec::new(), Vec::new()),
            link(vec![9, 0, 255], vec![0; 8]),
            Link { flags: u32::MAX, ..link(trace_id(99), vec![0, 0, 0, 0, 0, 0, 0, 1]) },
        ],
        dropped_links_count: 5,
        ..span(3, 3, 1)
    }
}

/// A chain with attributes that get columns, the same keys on every span; now and then with a value of another type, or
/// with two values.
fn plain_spans(trace: u64) -> Vec<Span> {
    let of = |named: Vec<Named>, at: u8| named[usize::from(at) % named.len()].1.clone();
    let (ints, doubles): (Vec<Named>, Vec<Named>) = numbers()
        .into_iter()
        .filter(|(name, _)| !name.starts_with("bool"))
        .partition(|(name, _)| name.starts_with("int"));
    let long_key = "k".repeat(129);
    (1..=PLAIN_SPANS)
        .map(|id| {
            let mut span = span(trace, id, id - 1);
            span.attributes = vec![
                attribute("plain.string", of(texts(), id)),
                attribute("plain.int", of(ints.clone(), id)),
                attribute("plain.double", of(doubles.clone(), id)),
                attribute("plain.bool", Value::BoolValue(id % 2 == 0)),
                // Differ in upper and lower case alone.
                text("Plain.String", "upper"),
                attribute("PLAIN.string", Value::IntValue(id.into())),
                text(&long_key, "too long for a column"),
                text("", "no key"),
                attribute("\"q\" 東京\n", Value::BoolValue(id % 3 == 0)),
            ];
            match id % 10 {
                1 => span.attributes.push(attribute("plain.mixed", Value::DoubleValue(f64::from(id)))),
                2 => span.attributes.push(attribute("plain.mixed", None)),
                3 => span.attributes.push(attribute("plain.nested", of(nested(), id))),
                4 => span.attributes.extend(["a", "b", "a"].map(|value| text("plain.string", value))),
                5 => span.attributes.extend([1, 2].map(|number| attribute("plain.double", Value::IntValue(number)))),
                6 => span.attributes.clear(),
                _ => span.attributes.push(attribute("plain.mixed", Value::IntValue(id.into()))),
            }
            span
        })
        .collect()
}

/// Parents before, after and beside their children, far away, and none.
fn parents() -> Vec<Span> {
    let spans = [
        ("root", span(6, 1, 0)),
        ("second root", Span { parent_span_id: vec![0; 8], ..span(6, 2, 0) }),
        ("child", span(6, 3, 1)),
        ("starts before its parent", Span { start_time_unix_nano: START - 5, ..span(6, 4, 3) }),
        ("its own parent", span(6, 5, 5)),
        ("parent of its parent", span(6, 6, 7)),
        ("child of its child", span(6, 7, 6)),
        ("parent elsewhere", span(6, 8, 99)),
        ("parent in another trace", Span { trace_id: vec![255; 16], ..span(6, 9, 1) }),
        ("low half of the trace id", Span { parent_span_id: trace_id(6)[8..].to_vec(), ..span(6, 10, 0) }),
        ("least id", Span { trace_id: [vec![0; 15], vec![1]].concat(), ..span(6, 11, 0) }),
    ];
    spans.into_iter().map(|(name, span)| Span { name: name.to_owned(), ..span }).collect()
}

/// Kinds, statuses, times and counts.
fn fields() -> Vec<Span> {
    let status = |code, message: &str| Some(Status { code, message: message.to_owned() });
    let mut spans: Vec<_> = (0u8..=6).map(|kind| Span { kind: kind.into(), ..span(7, kind + 1, 0) }).collect();
    spans.extend([
        Span { kind: -1, status: status(-1, "no such status"), ..span(7, 10, 1) },
        Span { status: status(0, "a message without a status"), ..span(7, 11, 1) },
        Span { status: status(1, ""), ..span(7, 12, 1) },
        Span { status: status(2, "ERROR: duplicate key (SQLSTATE 23505)\n\"x\" ü"), ..span(7, 13, 1) },
        Span { status: status(2, ""), ..span(7, 14, 1) },
        Span { end_time_unix_nano: START - 7, ..span(7, 15, 1) },
        Span { start_time_unix_nano: 0, end_time_unix_nano: u64::MAX, ..span(7, 16, 1) },
        Span { start_time_unix_nano: u64::MAX, end_time_unix_nano: 0, ..span(7, 17, 1) },
        Span { start_time_unix_nano: 1 << 63, end_time_unix_nano: (1 << 63) - 1, ..span(7, 18, 1) },
        Span { flags: u32::MAX, trace_state: "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE".to_owned(), ..span(7, 19, 1) },
        Span { dropped_attributes_count: u32::MAX, dropped_events_count: 1, dropped_links_count: 2, ..span(7, 20, 1) },
        Span { name: String::new(), ..span(7, 21, 1) },
        Span { name: "長い名前 \u{0} \"quoted\"\n".repeat(50), ..span(7, 22, 1) },
        // The same span twice in one request.
        Span { name: "before it ended".to_owned(), end_time_unix_nano: 0, ..span(7, 23, 1) },
        Span { name: "ended".to_owned(), ..span(7, 23, 1) },
    ]);
    spans
}
