//! OTLP/JSON to protobuf: one pass, straight from the text to wire bytes, so that JSON joins protobuf's path and a small
//! text cannot unfold into large structures in memory.
//!
//! Source: OTLP specification, "JSON Protobuf Encoding", over proto3's JSON mapping: ids in hex, 64-bit integers as strings
//! or numbers, unknown fields ignored. [`schema`] lists the messages.
//!
//! Beyond the letter it takes what real emitters send, because refusing one attribute would drop a whole batch:
//! integers written as `3.0`, enums by name, `null` for anything, numbers for doubles as text (`"NaN"`, `"Infinity"`),
//! URL-safe base64, strings cut in the middle of a surrogate pair. An id of the wrong length is passed on with a wrong
//! length, so that its span alone is rejected; an id that is not hex is a defect of the encoder and fails the request.
//!
//! Nesting is bounded by `serde_json` at 128 levels of JSON, which is less than the 100 levels of protobuf that decoders
//! take: each level of an attribute value needs at least three of JSON and makes at most three of protobuf.

mod schema;

use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use schema::{EXPORT_TRACE_SERVICE_REQUEST, Field, Kind, Message};

/// Base64 with or without padding, as proto3's JSON mapping asks of parsers.
const LENIENT_BASE64: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD_BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT_BASE64);
const URL_SAFE_BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT_BASE64);

/// Spans in JSON are two to three times as long as in protobuf.
const EXPECTED_RATIO: usize = 2;

/// Wire types of protobuf.
const WIRE_VARINT: u32 = 0;
const WIRE_FIXED64: u32 = 1;
const WIRE_LENGTH: u32 = 2;
const WIRE_FIXED32: u32 = 5;

/// Rewrites an OTLP/JSON `ExportTraceServiceRequest` as protobuf. An empty text is an empty request.
///
/// # Errors
/// A sentence with line and column.
pub(crate) fn to_protobuf(json: &[u8]) -> Result<Vec<u8>, String> {
    if json.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    // Some encoders begin with a byte order mark, which RFC 8259 lets parsers ignore.
    let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json);
    let text = std::str::from_utf8(json).map_err(|error| format!("JSON: {error}"))?;
    let mut output = Vec::with_capacity(text.len() / EXPECTED_RATIO);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    MessageSeed { message: &EXPORT_TRACE_SERVICE_REQUEST, output: &mut output }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end())
        .map_err(|error| format!("JSON: {error}"))?;
    Ok(output)
}

/// Writes the fields of one JSON object.
struct MessageSeed<'a> {
    message: &'static Message,
    output: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for MessageSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for MessageSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as an object", self.message.name)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_key_seed(FieldName(self.message))? {
            match field {
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some(field) if field.repeated => map.next_value_seed(RepeatedSeed { field, output: self.output })?,
                Some(field) => {
                    map.next_value_seed(ValueSeed { field, output: self.output })?;
                }
            }
        }
        Ok(())
    }
}

/// Finds the field that a key names; `None` for a key that is not known.
struct FieldName(&'static Message);

impl<'de> DeserializeSeed<'de> for FieldName {
    type Value = Option<&'static Field>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        // As bytes: an unknown key may be any JSON string.
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for FieldName {
    type Value = Option<&'static Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a field of {}", self.0.name)
    }

    fn visit_bytes<E: Error>(self, name: &[u8]) -> Result<Self::Value, E> {
        Ok(self.0.fields.iter().find(|field| field.name.as_bytes() == name))
    }
}

/// Writes the elements of an array.
struct RepeatedSeed<'a> {
    field: &'static Field,
    output: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for RepeatedSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RepeatedSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as an array", self.field.name)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(written) = elements.next_element_seed(ValueSeed { field: self.field, output: self.output })? {
            // A null among attribute values is a value of an array, and keeps its place as an empty one.
            if !written && self.field.kind.is_any_value() {
                push_tag(self.output, self.field.number, WIRE_LENGTH);
                self.output.push(0);
            }
        }
        Ok(())
    }
}

/// Writes one value with its tag; tells whether there was one (`null` is none).
struct ValueSeed<'a> {
    field: &'static Field,
    output: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.field.name)
    }

    fn visit_none<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        let Self { field, output } = self;
        match field.kind {
            Kind::Message(message) => {
                push_tag(output, field.number, WIRE_LENGTH);
                let start = output.len();
                MessageSeed { message, output }.deserialize(deserializer)?;
                insert_length(output, start);
            }
            Kind::Text | Kind::Base64 | Kind::HexId => {
                // As bytes: half a surrogate pair is no Rust string, but no reason to drop a batch either.
                deserializer.deserialize_bytes(TextVisitor { field, output })?;
            }
            _ => deserializer.deserialize_any(ScalarVisitor { field, output })?,
        }
        Ok(true)
    }
}

/// Writes what JSON has in quotes and protobuf in bytes.
struct TextVisitor<'a> {
    field: &'static Field,
    output: &'a mut Vec<u8>,
}

impl Visitor<'_> for TextVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as a string", self.field.name)
    }

    fn visit_bytes<E: Error>(self, text: &[u8]) -> Result<(), E> {
        let number = self.field.number;
        match self.field.kind {
            Kind::HexId => push_bytes(self.output, number, &hex_id(text).ok_or_else(|| not_hex(self.field))?),
            Kind::Base64 => push_bytes(self.output, number, &base64(text).ok_or_else(|| not_base64(self.field))?),
            _ => push_bytes(self.output, number, String::from_utf8_lossy(text).as_bytes()),
        }
        Ok(())
    }
}

fn not_hex<E: Error>(field: &Field) -> E {
    E::custom(format!("{} must be hex digits (OTLP does not write ids in base64)", field.name))
}

fn not_base64<E: Error>(field: &Field) -> E {
    E::custom(format!("{} must be base64", field.name))
}

/// The bytes of a hex id. Of an odd number of digits it makes an odd number of bytes: never the length of a valid id.
fn hex_id(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 2 + 1);
    for pair in text.chunks(2) {
        let mut byte = 0;
        for &digit in pair {
            byte = byte << 4 | char::from(digit).to_digit(16)? as u8;
        }
        bytes.push(byte);
    }
    if text.len() % 2 == 1 && bytes.len() % 2 == 0 {
        bytes.push(0);
    }
    Some(bytes)
}

fn base64(text: &[u8]) -> Option<Vec<u8>> {
    STANDARD_BASE64.decode(text).or_else(|_| URL_SAFE_BASE64.decode(text)).ok()
}

/// Writes numbers, booleans and enums, from whatever JSON a sender found fitting.
struct ScalarVisitor<'a> {
    field: &'static Field,
    output: &'a mut Vec<u8>,
}

impl Visitor<'_> for ScalarVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = match self.field.kind {
            Kind::Bool => "a boolean",
            Kind::Double => "a number",
            _ => "an integer",
        };
        write!(f, "{} as {shape}", self.field.name)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        match self.field.kind {
            Kind::Bool => {
                push_tag(self.output, self.field.number, WIRE_VARINT);
                self.output.push(u8::from(value));
                Ok(())
            }
            _ => Err(E::invalid_type(serde::de::Unexpected::Bool(value), &self)),
        }
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.push_integer(i128::from(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.push_integer(i128::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        match self.field.kind {
            Kind::Double => {
                push_tag(self.output, self.field.number, WIRE_FIXED64);
                self.output.extend_from_slice(&value.to_le_bytes());
                Ok(())
            }
            // Within 2^64 an f64 without fraction converts exactly.
            _ if value.fract() == 0.0 && value.abs() < 2_f64.powi(65) => self.push_integer(value as i128),
            _ => Err(E::invalid_value(serde::de::Unexpected::Float(value), &self)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if let Kind::Enum(names) = self.field.kind
            && text.starts_with(|first: char| first.is_ascii_alphabetic())
        {
            let named = names.iter().position(|&name| name == text);
            // A name of a later version reads as 0, "not specified", as an unknown number would.
            return self.push_integer(named.unwrap_or_default() as i128);
        }
        if let Ok(integer) = text.parse::<i128>() {
            return self.push_integer(integer);
        }
        // Rust parses "NaN" and "Infinity" as proto3's JSON mapping spells them.
        match text.parse::<f64>() {
            Ok(number) => self.visit_f64(number),
            Err(_) => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
        }
    }
}

impl ScalarVisitor<'_> {
    fn push_integer<E: Error>(self, value: i128) -> Result<(), E> {
        let number = self.field.number;
        let out_of_range = || E::custom(format!("{} is out of range: {value}", self.field.name));
        match self.field.kind {
            Kind::Int64 => {
                let value = i64::try_from(value).map_err(|_| out_of_range())?;
                push_tag(self.output, number, WIRE_VARINT);
                push_varint(self.output, value.cast_unsigned());
            }
            Kind::Enum(_) => {
                let value = i32::try_from(value).map_err(|_| out_of_range())?;
                push_tag(self.output, number, WIRE_VARINT);
                // Protobuf extends the sign of a negative enum to 64 bits.
                push_varint(self.output, i64::from(value).cast_unsigned());
            }
            Kind::Uint32 => {
                let value = u32::try_from(value).map_err(|_| out_of_range())?;
                push_tag(self.output, number, WIRE_VARINT);
                push_varint(self.output, u64::from(value));
            }
            Kind::Fixed32 => {
                let value = u32::try_from(value).map_err(|_| out_of_range())?;
                push_tag(self.output, number, WIRE_FIXED32);
                self.output.extend_from_slice(&value.to_le_bytes());
            }
            Kind::Fixed64 => {
                let value = u64::try_from(value).map_err(|_| out_of_range())?;
                push_tag(self.output, number, WIRE_FIXED64);
                self.output.extend_from_slice(&value.to_le_bytes());
            }
            Kind::Double => {
                push_tag(self.output, number, WIRE_FIXED64);
                self.output.extend_from_slice(&(value as f64).to_le_bytes());
            }
            _ => {
                let found = serde::de::Unexpected::Other("a number");
                return Err(E::invalid_type(found, &self));
            }
        }
        Ok(())
    }
}

fn push_tag(output: &mut Vec<u8>, number: u32, wire_type: u32) {
    push_varint(output, u64::from(number << 3 | wire_type));
}

fn push_varint(output: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        output.push(value as u8 | 0x80);
        value >>= 7;
    }
    output.push(value as u8);
}

fn push_bytes(output: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    push_tag(output, number, WIRE_LENGTH);
    push_varint(output, bytes.len() as u64);
    output.extend_from_slice(bytes);
}

/// Puts the length of what was written since `start` before it. Moving the bytes is cheaper than a second pass over the
/// text to learn the length beforehand.
fn insert_length(output: &mut Vec<u8>, start: usize) {
    let body_end = output.len();
    push_varint(output, (body_end - start) as u64);
    output[start..].rotate_left(body_end - start);
}

#[cfg(test)]
mod tests;
