//! Turns the bytes of an OTLP export request into a [`CheckedRequest`]: what may be kept.
//!
//! The bytes are walked once, strictly, and kept as they came; spans with a bad id are cut out of them. The rare request
//! that the walk cannot vouch for (a singular field sent twice, a protobuf group) goes through prost, which has the last
//! word on what protobuf accepts, and is encoded anew. So the outcome does not depend on which way was taken.
//!
//! Never judges times, names or attribute values: odd clocks and huge texts are data.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use crate::ids::IdError;
use crate::wire::{Field, Fields, WireError};
use crate::{SpanId, TraceId};

#[cfg(test)]
mod tests;

/// The wire bytes of an `ExportTraceServiceRequest` in which every span has valid ids.
///
/// Only this module makes one, so whoever holds it need not look again.
#[derive(Debug, Clone)]
pub struct CheckedRequest {
    bytes: Vec<u8>,
    span_count: usize,
}

impl CheckedRequest {
    /// Protobuf of an `ExportTraceServiceRequest`.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Spans in it.
    #[must_use]
    pub const fn span_count(&self) -> usize {
        self.span_count
    }
}

/// Spans that were left out, counted by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rejections {
    counts: BTreeMap<String, usize>,
}

/// Distinct reasons that are told; a reason holds a number that the sender chooses.
const REASONS_MAX: usize = 16;

impl Rejections {
    /// Counts one span.
    pub fn add(&mut self, reason: String) {
        let known = self.counts.len() < REASONS_MAX || self.counts.contains_key(&reason);
        let reason = if known { reason } else { "other reasons".to_owned() };
        *self.counts.entry(reason).or_default() += 1;
    }

    /// Whether every span was kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Spans that were left out.
    #[must_use]
    pub fn total(&self) -> usize {
        self.counts.values().sum()
    }

    /// Why, and how many for each reason.
    pub fn reasons(&self) -> impl Iterator<Item = (&str, usize)> {
        self.counts.iter().map(|(reason, count)| (reason.as_str(), *count))
    }
}

/// The bytes are no `ExportTraceServiceRequest`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an ExportTraceServiceRequest: {0}")]
pub struct Undecodable(pub String);

/// Checks the protobuf bytes of an export request. Spans with a bad id are left out and reported; the rest is kept.
///
/// # Errors
/// When the bytes are not an `ExportTraceServiceRequest`.
pub fn check(bytes: Vec<u8>) -> Result<(CheckedRequest, Rejections), Undecodable> {
    let mut walk = Walk::default();
    if walk.request(&bytes).is_ok() {
        return Ok(walk.finish(bytes));
    }
    if bytes.len() > MERGE_BYTES_MAX {
        let why = format!("malformed, or a singular field is there twice in more than {MERGE_BYTES_MAX} bytes");
        return Err(Undecodable(why));
    }
    let request = ExportTraceServiceRequest::decode(&bytes[..]).map_err(|error| Undecodable(error.to_string()))?;
    let bytes = request.encode_to_vec();
    let mut walk = Walk::default();
    walk.request(&bytes).map_err(|error| Undecodable(error.to_string()))?;
    Ok(walk.finish(bytes))
}

/// Messages within messages that protobuf decoders accept; prost's own limit.
const DEPTH_MAX: usize = 100;

/// Largest request that goes through prost: a two-byte message becomes a structure of hundreds of bytes there. No known
/// sender makes requests that need it.
const MERGE_BYTES_MAX: usize = 1 << 20;

/// Copies a request without the spans whose ids are bad.
fn cut_bad_spans(message: &[u8], level: usize, out: &mut Vec<u8>) {
    /// `resource_spans` of a request, `scope_spans` of those, `spans` of those.
    const NESTED: [u32; 3] = [1, 2, 2];
    let mut fields = Fields::new(message);
    loop {
        let before = fields.rest();
        let Ok(Some((number, field))) = fields.try_next() else { return };
        let field_bytes = &before[..before.len() - fields.rest().len()];
        match field {
            Field::Bytes(span) if number == NESTED[level] && level == NESTED.len() - 1 => {
                if check_span_ids(span).is_ok() {
                    out.extend_from_slice(field_bytes);
                }
            }
            Field::Bytes(inner) if number == NESTED[level] => {
                let mut kept = Vec::with_capacity(inner.len());
                cut_bad_spans(inner, level + 1, &mut kept);
                prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, out);
                prost::encoding::encode_varint(kept.len() as u64, out);
                out.extend_from_slice(&kept);
            }
            _ => out.extend_from_slice(field_bytes),
        }
    }
}

/// Whether the ids of a span are all right.
fn check_span_ids(span: &[u8]) -> Result<(), IdFault> {
    let (mut trace_id, mut span_id, mut parent) = (&[][..], &[][..], &[][..]);
    for (number, field) in Fields::new(span) {
        match (number, field) {
            (1, Field::Bytes(bytes)) => trace_id = bytes,
            (2, Field::Bytes(bytes)) => span_id = bytes,
            (4, Field::Bytes(bytes)) => parent = bytes,
            _ => {}
        }
    }
    check_ids(trace_id, span_id, parent)
}

/// What is wrong with the ids of a span.
#[derive(Debug, thiserror::Error)]
enum IdFault {
    #[error(transparent)]
    Own(IdError),
    #[error("parent span id must be empty or {expected} bytes, got {0}", expected = SpanId::LEN)]
    Parent(usize),
}

/// A parent of all zeros means "none" to some senders and is accepted.
fn check_ids(trace_id: &[u8], span_id: &[u8], parent: &[u8]) -> Result<(), IdFault> {
    TraceId::from_bytes(trace_id).map_err(IdFault::Own)?;
    SpanId::from_bytes(span_id).map_err(IdFault::Own)?;
    match parent.len() {
        0 | SpanId::LEN => Ok(()),
        length => Err(IdFault::Parent(length)),
    }
}

/// The strict walk: every field that OTLP defines has the right type, every text is UTF-8; bad ids are counted.
#[derive(Default)]
struct Walk {
    span_count: usize,
    rejections: Rejections,
}

impl Walk {
    fn finish(self, mut bytes: Vec<u8>) -> (CheckedRequest, Rejections) {
        if !self.rejections.is_empty() {
            let mut kept = Vec::with_capacity(bytes.len());
            cut_bad_spans(&bytes, 0, &mut kept);
            bytes = kept;
        }
        (CheckedRequest { bytes, span_count: self.span_count }, self.rejections)
    }

    fn request(&mut self, message: &[u8]) -> Result<(), WireError> {
        let mut fields = Fields::new(message);
        while let Some((number, field)) = fields.try_next()? {
            if number == 1 {
                self.resource_spans(field.bytes()?, DEPTH_MAX - 1)?;
            }
        }
        Ok(())
    }

    fn resource_spans(&mut self, message: &[u8], depth: usize) -> Result<(), WireError> {
        let mut fields = Fields::new(message);
        let mut resource = Once::default();
        while let Some((number, field)) = fields.try_next()? {
            match number {
                1 => walk_resource(resource.take(field)?, deeper(depth)?)?,
                2 => self.scope_spans(field.bytes()?, deeper(depth)?)?,
                3 => field.check_str()?,
                _ => {}
            }
        }
        Ok(())
    }

    fn scope_spans(&mut self, message: &[u8], depth: usize) -> Result<(), WireError> {
        let mut fields = Fields::new(message);
        let mut scope = Once::default();
        while let Some((number, field)) = fields.try_next()? {
            match number {
                1 => walk_scope(scope.take(field)?, deeper(depth)?)?,
                2 => self.span(field.bytes()?, deeper(depth)?)?,
                3 => field.check_str()?,
                _ => {}
            }
        }
        Ok(())
    }

    fn span(&mut self, message: &[u8], depth: usize) -> Result<(), WireError> {
        let mut fields = Fields::new(message);
        let (mut trace_id, mut span_id, mut parent, mut status) =
            (Once::default(), Once::default(), Once::default(), Once::default());
        let (mut trace_bytes, mut span_bytes, mut parent_bytes) = (&[][..], &[][..], &[][..]);
        while let Some((number, field)) = fields.try_next()? {
            match number {
                1 => trace_bytes = trace_id.take(field)?,
                2 => span_bytes = span_id.take(field)?,
                4 => parent_bytes = parent.take(field)?,
                3 | 5 => field.check_str()?,
                6 | 10 | 12 | 14 => drop(field.varint()?),
                7 | 8 => drop(field.fixed64()?),
                9 => walk_key_value(field.bytes()?, deeper(depth)?)?,
                11 => walk_event(field.bytes()?, deeper(depth)?)?,
                13 => walk_link(field.bytes()?, deeper(depth)?)?,
                15 => {
                    deeper(depth)?;
                    walk_status(status.take(field)?)?;
                }
                16 => drop(field.fixed32()?),
                _ => {}
            }
        }
        match check_ids(trace_bytes, span_bytes, parent_bytes) {
            Ok(()) => self.span_count += 1,
            Err(fault) => self.rejections.add(fault.to_string()),
        }
        Ok(())
    }
}

/// A singular field: protobuf would merge a second occurrence, which only prost does.
#[derive(Default)]
struct Once(bool);

impl Once {
    fn take<'a>(&mut self, field: Field<'a>) -> Result<&'a [u8], WireError> {
        if std::mem::replace(&mut self.0, true) {
            return Err(WireError);
        }
        field.bytes()
    }
}

fn deeper(depth: usize) -> Result<usize, WireError> {
    depth.checked_sub(1).ok_or(WireError)
}

fn walk_resource(message: &[u8], depth: usize) -> Result<(), WireError> {
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.try_next()? {
        match number {
            1 => walk_key_value(field.bytes()?, deeper(depth)?)?,
            2 => drop(field.varint()?),
            3 => {
                deeper(depth)?;
                walk_strings(field.bytes()?, 1..=4)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn walk_scope(message: &[u8], depth: usize) -> Result<(), WireError> {
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.try_next()? {
        match number {
            1 | 2 => field.check_str()?,
            3 => walk_key_value(field.bytes()?, deeper(depth)?)?,
            4 => drop(field.varint()?),
            _ => {}
        }
    }
    Ok(())
}

fn walk_event(message: &[u8], depth: usize) -> Result<(), WireError> {
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.try_next()? {
        match number {
            1 => drop(field.fixed64()?),
            2 => field.check_str()?,
            3 => walk_key_value(field.bytes()?, deeper(depth)?)?,
            4 => drop(field.varint()?),
            _ => {}
        }
    }
    Ok(())
}

fn walk_link(message: &[u8], depth: usize) -> Result<(), WireError> {
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.try_next()? {
        match number {
            1 | 2 => drop(field.bytes()?),
            3 => field.check_str()?,
            4 => walk_key_value(field.bytes()?, deeper(depth)?)?,
            5 => drop(field.varint()?),
            6 => drop(field.fixed32()?),
            _ => {}
        }
    }
    Ok(())
}

fn walk_status(message: &[u8]) -> Result<(), WireError> {
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.try_next()? {
        match number {
            2 => field.check_str()?,
            3 => drop(field.varint()?),
            _ => {}
        }
    }
    Ok(())
}

fn walk_strings(message: &[u8], numbers: std::ops::RangeInclusive<u32>) -> Result<(), WireError> {
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.try_next()? {
        if numbers.contains(&number) {
            field.check_str()?;
        }
    }
    Ok(())
}

fn walk_key_value(message: &[u8], depth: usize) -> Result<(), WireError> {
    let mut fields = Fields::new(message);
    let mut value = Once::default();
    while let Some((number, field)) = fields.try_next()? {
        match number {
            1 => field.check_str()?,
            2 => walk_value(value.take(field)?, deeper(depth)?)?,
            3 => drop(field.varint()?),
            _ => {}
        }
    }
    Ok(())
}

/// Of the variants at most one may be there: with several, protobuf keeps the last or merges.
fn walk_value(message: &[u8], depth: usize) -> Result<(), WireError> {
    let mut fields = Fields::new(message);
    let mut variants = 0;
    while let Some((number, field)) = fields.try_next()? {
        match number {
            1 => field.check_str()?,
            2 | 3 | 8 => drop(field.varint()?),
            4 => drop(field.fixed64()?),
            5 => walk_list(field.bytes()?, deeper(depth)?, walk_value)?,
            6 => walk_list(field.bytes()?, deeper(depth)?, walk_key_value)?,
            7 => drop(field.bytes()?),
            _ => continue,
        }
        variants += 1;
    }
    if variants > 1 { Err(WireError) } else { Ok(()) }
}

/// `ArrayValue` and `KeyValueList`: their elements are field 1.
fn walk_list(
    message: &[u8],
    depth: usize,
    walk_element: fn(&[u8], usize) -> Result<(), WireError>,
) -> Result<(), WireError> {
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.try_next()? {
        if number == 1 {
            walk_element(field.bytes()?, deeper(depth)?)?;
        }
    }
    Ok(())
}
