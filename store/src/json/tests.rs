use proptest::prelude::*;
use prost::Message;
use proto::otlp::common::v1::any_value::Value as Wire;
use proto::otlp::common::v1::{AnyValue, ArrayValue, KeyValue as WireKeyValue, KeyValueList};
use proto::otlp::resource::v1::Resource;
use proto::view::ResourceView;

use super::*;
use crate::convert;

fn entry(key: &str, value: Option<Wire>) -> WireKeyValue {
    WireKeyValue { key: key.to_owned(), value: Some(AnyValue { value }), ..WireKeyValue::default() }
}

fn text_of(attributes: Vec<WireKeyValue>) -> String {
    let bytes = Resource { attributes, ..Resource::default() }.encode_to_vec();
    let mut text = String::new();
    write_attributes(&mut text, ResourceView(&bytes).attributes());
    text
}

#[test]
fn reads_as_plain_json_where_json_can_say_it() {
    let text = text_of(vec![
        entry("s", Some(Wire::StringValue("a\"b".into()))),
        entry("i", Some(Wire::IntValue(-5))),
        entry("d", Some(Wire::DoubleValue(2.0))),
        entry("b", Some(Wire::BoolValue(true))),
        entry("x", Some(Wire::BytesValue(vec![1, 2]))),
        entry("n", Some(Wire::DoubleValue(f64::NAN))),
        entry("e", None),
    ]);
    assert_eq!(text, r#"{"s":"a\"b","i":-5,"d":2.0,"b":true,"x":{"$bytes":"AQI="},"n":{"$double":"NaN"},"e":null}"#);
    assert_eq!(text_of(vec![]), "");
}

#[test]
fn damage_is_told() {
    for text in ["{", "[]", "{\"a\":1} x", "{\"a\":{\"$double\":\"two\"}}", "{\"a\":18446744073709551615}"] {
        assert!(matches!(parse_attributes(text), Err(Error::Corrupt { .. })), "{text}");
    }
}

fn wire_value() -> impl Strategy<Value = Option<Wire>> {
    let key = prop_oneof!["[a-z]{1,3}", Just("$bytes".to_owned()), Just("$map".to_owned())];
    let leaf = prop_oneof![
        Just(None),
        ".{0,8}".prop_map(|text| Some(Wire::StringValue(text))),
        any::<bool>().prop_map(|flag| Some(Wire::BoolValue(flag))),
        any::<i64>().prop_map(|number| Some(Wire::IntValue(number))),
        any::<f64>().prop_map(|number| Some(Wire::DoubleValue(number))),
        proptest::collection::vec(any::<u8>(), 0..4).prop_map(|bytes| Some(Wire::BytesValue(bytes))),
    ];
    leaf.prop_recursive(4, 16, 3, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(|values| {
                let values = values.into_iter().map(|value| AnyValue { value }).collect();
                Some(Wire::ArrayValue(ArrayValue { values }))
            }),
            proptest::collection::vec((key.clone(), inner), 0..3).prop_map(|entries| {
                let values = entries.into_iter().map(|(key, value)| entry(&key, value)).collect();
                Some(Wire::KvlistValue(KeyValueList { values }))
            }),
        ]
    })
}

proptest! {
    /// Compared as debug text, in which NaN equals NaN and 2.0 differs from 2.
    #[test]
    fn every_value_comes_back(values in proptest::collection::vec(("\\PC{0,5}", wire_value()), 0..5)) {
        let attributes: Vec<_> = values.iter().map(|(key, value)| entry(key, value.clone())).collect();
        let bytes = Resource { attributes: attributes.clone(), ..Resource::default() }.encode_to_vec();
        let direct = convert::attributes(ResourceView(&bytes).attributes());
        let mut parsed = parse_attributes(&text_of(attributes)).expect("our own text");
        convert::sort_attributes(&mut parsed);
        prop_assert_eq!(format!("{direct:?}"), format!("{parsed:?}"));
    }
}
