//! Turns the bytes of an OTLP export request into a [`CheckedRequest`]: what may be kept.
//!
//! The bytes are walked once, strictly, and kept as they came. The rare request that a walk cannot vouch for (a span
//! with a bad id, a singular field sent twice, a protobuf group) goes through prost, which has the last word on what
//! protobuf accepts, and is encoded anew. So the outcome never depends on which way was taken.
//!
//! Never judges times, names or attribute values: odd clocks and huge texts are data.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
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
    trace_ids: Vec<TraceId>,
    span_count: usize,
}

impl CheckedRequest {
    /// Protobuf of an `ExportTraceServiceRequest`.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The distinct traces in it, sorted.
    #[must_use]
    pub fn trace_ids(&self) -> &[TraceId] {
        &self.trace_ids
    }

    /// Spans in it.
    #[must_use]
    pub const fn span_count(&self) -> usize {
        self.span_count
    }
}

/// A span that was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Position of the span in the request, counted over all resources and scopes from 0.
    pub index: usize,
    /// The span's name.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
}

/// The bytes are no `ExportTraceServiceRequest`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an ExportTraceServiceRequest: {0}")]
pub struct Undecodable(pub String);

/// Checks the protobuf bytes of an export request. Spans with a bad id are left out and reported; the rest is kept.
///
/// # Errors
/// When the bytes are not an `ExportTraceServiceRequest`.
pub fn check(bytes: Vec<u8>) -> Result<(CheckedRequest, Vec<Rejection>), Undecodable> {
    let mut walk = Walk::default();
    if walk.request(&bytes).is_ok() {
        return Ok((walk.finish(bytes), Vec::new()));
    }
    let request = ExportTraceServiceRequest::decode(&bytes[..]).map_err(|error| Undecodable(error.to_string()))?;
    check_decoded(request)
}

/// [`check`] for a request that is decoded already (from JSON).
///
/// # Errors
/// When the request nests deeper than protobuf allows.
pub fn check_decoded(mut request: ExportTraceServiceRequest) -> Result<(CheckedRequest, Vec<Rejection>), Undecodable> {
    let rejections = remove_invalid(&mut request);
    let bytes = request.encode_to_vec();
    let mut walk = Walk::default();
    walk.request(&bytes).map_err(|_| Undecodable(format!("values are nested deeper than {DEPTH_MAX} messages")))?;
    Ok((walk.finish(bytes), rejections))
}

/// Messages within messages that protobuf decoders accept; prost's own limit.
const DEPTH_MAX: usize = 100;

fn remove_invalid(request: &mut ExportTraceServiceRequest) -> Vec<Rejection> {
    let mut rejections = Vec::new();
    let mut index = 0;
    for scope_spans in request.resource_spans.iter_mut().flat_map(|resource| &mut resource.scope_spans) {
        scope_spans.spans.retain(|span| {
            let fault = check_ids(&span.trace_id, &span.span_id, &span.parent_span_id).err();
            if let Some(fault) = &fault {
                rejections.push(reject(index, span, fault));
            }
            index += 1;
            fault.is_none()
        });
    }
    rejections
}

fn reject(index: usize, span: &Span, fault: &IdFault) -> Rejection {
    let reason = match fault {
        IdFault::Own(error) => error.to_string(),
        IdFault::Parent(length) => format!("parent span id must be empty or {} bytes, got {length}", SpanId::LEN),
    };
    Rejection { index, name: span.name.clone(), reason }
}

enum IdFault {
    Own(IdError),
    Parent(usize),
}

/// A parent of all zeros means "none" to some senders and is accepted.
fn check_ids(trace_id: &[u8], span_id: &[u8], parent: &[u8]) -> Result<TraceId, IdFault> {
    let trace_id = TraceId::from_bytes(trace_id).map_err(IdFault::Own)?;
    SpanId::from_bytes(span_id).map_err(IdFault::Own)?;
    match parent.len() {
        0 | SpanId::LEN => Ok(trace_id),
        length => Err(IdFault::Parent(length)),
    }
}

/// The strict walk: every field that OTLP defines has the right type, every text is UTF-8, every id is valid.
#[derive(Default)]
struct Walk {
    trace_ids: Vec<TraceId>,
    span_count: usize,
}

impl Walk {
    fn finish(mut self, bytes: Vec<u8>) -> CheckedRequest {
        self.trace_ids.sort_unstable();
        self.trace_ids.dedup();
        CheckedRequest { bytes, trace_ids: self.trace_ids, span_count: self.span_count }
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
                3 => drop(field.str()?),
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
                3 => drop(field.str()?),
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
                3 | 5 => drop(field.str()?),
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
        let trace_id = check_ids(trace_bytes, span_bytes, parent_bytes).map_err(|_| WireError)?;
        if self.trace_ids.last() != Some(&trace_id) {
            self.trace_ids.push(trace_id);
        }
        self.span_count += 1;
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
            1 | 2 => drop(field.str()?),
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
            2 => drop(field.str()?),
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
            3 => drop(field.str()?),
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
            2 => drop(field.str()?),
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
            field.str()?;
        }
    }
    Ok(())
}

fn walk_key_value(message: &[u8], depth: usize) -> Result<(), WireError> {
    let mut fields = Fields::new(message);
    let mut value = Once::default();
    while let Some((number, field)) = fields.try_next()? {
        match number {
            1 => drop(field.str()?),
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
            1 => drop(field.str()?),
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
