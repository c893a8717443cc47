//! Attributes as JSON text: the form in which blocks keep resources, scopes, event attributes and rare span attributes.
//!
//! An attribute list is an object; text, booleans and numbers are themselves (a double always has a point or an
//! exponent, an integer never), lists are arrays, nested maps are objects. What JSON cannot say is an object whose
//! first key begins with `$`: `{"$bytes":"<base64>"}`, `{"$double":"NaN"}` (also `Infinity`, `-Infinity`), and
//! `{"$map":{…}}` around a nested map whose own first key begins with `$`. No value is `null`.
//! Types and duplicate keys survive; `docs/format.md` promises this form to other readers.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use model::{KeyValue, Value};
use proto::view::{KeyValueView, ValueView};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::Error;

/// Writes attributes as an object; nothing at all when there are none.
pub(crate) fn write_attributes<'a>(out: &mut String, attributes: impl Iterator<Item = KeyValueView<'a>>) {
    let before = out.len();
    write_entries(out, attributes);
    if out.len() == before + 2 {
        out.truncate(before);
    }
}

/// Writes one value.
pub(crate) fn write_value(out: &mut String, value: ValueView<'_>) {
    match value {
        ValueView::Empty => out.push_str("null"),
        ValueView::String(text) => write_string(out, text.as_str()),
        ValueView::Bool(flag) => out.push_str(if flag { "true" } else { "false" }),
        ValueView::Int(number) => push_display(out, number),
        ValueView::Double(number) => write_double(out, number),
        ValueView::Bytes(bytes) => {
            out.push_str("{\"$bytes\":\"");
            BASE64.encode_string(bytes, out);
            out.push_str("\"}");
        }
        ValueView::Array(array) => {
            out.push('[');
            for (position, element) in array.values().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                write_value(out, element);
            }
            out.push(']');
        }
        ValueView::Map(map) => {
            let escaped = map.entries().next().is_some_and(|first| first.key.as_bytes().starts_with(b"$"));
            if escaped {
                out.push_str("{\"$map\":");
            }
            write_entries(out, map.entries());
            if escaped {
                out.push('}');
            }
        }
    }
}

/// Writes a JSON string.
pub(crate) fn write_string(out: &mut String, text: &str) {
    // Writing to memory and serialising text cannot fail.
    if let Ok(quoted) = serde_json::to_string(text) {
        out.push_str(&quoted);
    }
}

/// Reads what [`write_attributes`] wrote; empty text is no attributes.
pub(crate) fn parse_attributes(text: &str) -> Result<Vec<KeyValue>, Error> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let parsed = deserializer.deserialize_map(EntriesVisitor).and_then(|entries| deserializer.end().map(|()| entries));
    parsed.map_err(|error| Error::Corrupt { what: "attributes of a block".to_owned(), why: error.to_string() })
}

/// Reads what [`write_value`] wrote.
pub(crate) fn parse_value(text: &str) -> Result<Value, Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let parsed = ValueSeed.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    parsed.map_err(|error| Error::Corrupt { what: "an attribute's value".to_owned(), why: error.to_string() })
}

fn write_entries<'a>(out: &mut String, entries: impl Iterator<Item = KeyValueView<'a>>) {
    out.push('{');
    for (position, entry) in entries.enumerate() {
        if position > 0 {
            out.push(',');
        }
        write_string(out, entry.key.as_str());
        out.push(':');
        write_value(out, entry.value);
    }
    out.push('}');
}

fn write_double(out: &mut String, number: f64) {
    match serde_json::to_string(&number) {
        Ok(text) if number.is_finite() => out.push_str(&text),
        _ if number.is_nan() => out.push_str("{\"$double\":\"NaN\"}"),
        _ if number > 0.0 => out.push_str("{\"$double\":\"Infinity\"}"),
        _ => out.push_str("{\"$double\":\"-Infinity\"}"),
    }
}

fn push_display(out: &mut String, value: impl fmt::Display) {
    use fmt::Write;
    // A String takes everything.
    let _ = write!(out, "{value}");
}

struct ValueSeed;

impl<'de> DeserializeSeed<'de> for ValueSeed {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an attribute value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Empty)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Value, E> {
        i64::try_from(number).map(Value::Int).map_err(|_| E::custom("integer out of range"))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Double(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = elements.next_element_seed(ValueSeed)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let Some(first) = entries.next_key::<String>()? else { return Ok(Value::Map(Vec::new())) };
        match first.as_str() {
            "$bytes" => {
                let text: String = entries.next_value()?;
                BASE64.decode(text).map(Value::Bytes).map_err(A::Error::custom)
            }
            "$double" => match entries.next_value::<String>()?.as_str() {
                "NaN" => Ok(Value::Double(f64::NAN)),
                "Infinity" => Ok(Value::Double(f64::INFINITY)),
                "-Infinity" => Ok(Value::Double(f64::NEG_INFINITY)),
                other => Err(A::Error::custom(format!("unknown double {other:?}"))),
            },
            "$map" => Ok(Value::Map(entries.next_value_seed(EntriesSeed)?)),
            _ => {
                let value = entries.next_value_seed(ValueSeed)?;
                Ok(Value::Map(collect_entries(vec![KeyValue { key: first, value }], entries)?))
            }
        }
    }
}

struct EntriesSeed;

impl<'de> DeserializeSeed<'de> for EntriesSeed {
    type Value = Vec<KeyValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<KeyValue>, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Vec<KeyValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of attributes")
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Vec<KeyValue>, A::Error> {
        collect_entries(Vec::new(), entries)
    }
}

fn collect_entries<'de, A: MapAccess<'de>>(
    mut collected: Vec<KeyValue>,
    mut entries: A,
) -> Result<Vec<KeyValue>, A::Error> {
    while let Some(key) = entries.next_key::<String>()? {
        collected.push(KeyValue { key, value: entries.next_value_seed(ValueSeed)? });
    }
    Ok(collected)
}

#[cfg(test)]
mod tests;
