//! The JSON forms that the native answer and OTLP/JSON share.
//!
//! Source: the OTLP specification's "JSON Protobuf Encoding" and protobuf's ProtoJSON: 64-bit integers are strings, bytes
//! are base64 (ids alone are hex), `NaN` and the infinities are strings.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use model::{KeyValue, Value};
use proto::UnixNanos;
use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};

/// A 64-bit number as a string.
#[derive(Clone, Copy)]
pub(crate) struct Text64(pub(crate) i64);

impl From<UnixNanos> for Text64 {
    fn from(time: UnixNanos) -> Self {
        Self(time.as_i64())
    }
}

impl Serialize for Text64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Anything that is shown as text, as a string.
pub(crate) struct Shown<T>(pub(crate) T);

impl<T: fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Bytes as lower-case hex.
pub(crate) struct Hex<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Hex<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A list, each item of the slice shown through a view.
pub(crate) struct Each<'a, T, V>(pub(crate) &'a [T], pub(crate) fn(&'a T) -> V);

impl<T, V: Serialize> Serialize for Each<'_, T, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(self.1))
    }
}

/// A list of attributes in OTLP's form.
pub(crate) struct Attributes<'a>(pub(crate) &'a [KeyValue]);

impl Serialize for Attributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Attribute))
    }
}

struct Attribute<'a>(&'a KeyValue);

impl Serialize for Attribute<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut attribute = serializer.serialize_struct("KeyValue", 2)?;
        attribute.serialize_field("key", &self.0.key)?;
        attribute.serialize_field("value", &AnyValue(&self.0.value))?;
        attribute.end()
    }
}

struct AnyValue<'a>(&'a Value);

impl Serialize for AnyValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut value = serializer.serialize_map(None)?;
        match self.0 {
            Value::Empty => {}
            Value::String(text) => value.serialize_entry("stringValue", text)?,
            Value::Bool(flag) => value.serialize_entry("boolValue", flag)?,
            Value::Int(number) => value.serialize_entry("intValue", &Text64(*number))?,
            Value::Double(number) => match name_of_non_finite(*number) {
                Some(name) => value.serialize_entry("doubleValue", name)?,
                None => value.serialize_entry("doubleValue", number)?,
            },
            Value::Bytes(bytes) => value.serialize_entry("bytesValue", &BASE64.encode(bytes))?,
            Value::Array(values) => value.serialize_entry("arrayValue", &Values { values: Each(values, AnyValue) })?,
            Value::Map(entries) => value.serialize_entry("kvlistValue", &Values { values: Attributes(entries) })?,
        }
        value.end()
    }
}

/// OTLP's `ArrayValue` and `KeyValueList`.
#[derive(Serialize)]
struct Values<T> {
    values: T,
}

fn name_of_non_finite(number: f64) -> Option<&'static str> {
    if number.is_nan() {
        Some("NaN")
    } else if number == f64::INFINITY {
        Some("Infinity")
    } else if number == f64::NEG_INFINITY {
        Some("-Infinity")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &Value) -> String {
        serde_json::to_string(&AnyValue(value)).expect("memory takes everything")
    }

    #[test]
    fn every_type_in_its_proto_json_form() {
        let entry = |value| KeyValue { key: "k".to_owned(), value };
        let cases = [
            (Value::Empty, "{}"),
            (Value::String("a\"\n".to_owned()), r#"{"stringValue":"a\"\n"}"#),
            (Value::Bool(false), r#"{"boolValue":false}"#),
            (Value::Int(i64::MIN), r#"{"intValue":"-9223372036854775808"}"#),
            (Value::Double(1.5), r#"{"doubleValue":1.5}"#),
            (Value::Double(f64::NAN), r#"{"doubleValue":"NaN"}"#),
            (Value::Double(f64::NEG_INFINITY), r#"{"doubleValue":"-Infinity"}"#),
            (Value::Bytes(vec![0, 255, 16]), r#"{"bytesValue":"AP8Q"}"#),
            (Value::Array(vec![Value::Int(1), Value::Empty]), r#"{"arrayValue":{"values":[{"intValue":"1"},{}]}}"#),
            (
                Value::Map(vec![entry(Value::Bool(true))]),
                r#"{"kvlistValue":{"values":[{"key":"k","value":{"boolValue":true}}]}}"#,
            ),
        ];
        for (value, json) in cases {
            assert_eq!(written(&value), json);
        }
    }

    #[test]
    fn hex_keeps_leading_zeros() {
        assert_eq!(Hex(&[0, 10, 255]).to_string(), "000aff");
    }
}
