//! Requests: spans that are ready at about the same time, in the encoding in which they are to be sent.

use prost::Message;
use proto::UnixNanos;
use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use serde_json::Value;

use super::afflict::{NOT_UTF8_STAND_IN, Parcel, Role};
use crate::demo::dice::Dice;
use crate::demo::span::{EmittedSpan, resource_spans};

/// Spans per request: what a collector's batch processor sends, roughly.
pub(super) const BATCH_SPANS_MAX: usize = 1_000;
/// As many bytes as the stand-in has, and not UTF-8.
const NOT_UTF8: [u8; NOT_UTF8_STAND_IN.len()] = [0xff; NOT_UTF8_STAND_IN.len()];

/// Requests by another way than gRPC, where encodings are mixed.
const HTTP_PROTOBUF_SHARE: f64 = 0.15;
const HTTP_JSON_SHARE: f64 = 0.10;
const ZSTD_SHARE: f64 = 0.30;
const PLAIN_SHARE: f64 = 0.20;
/// Of the requests in JSON, those whose integers are numbers, as pg_tracing writes them, and not texts.
const NUMERIC_INTEGERS_SHARE: f64 = 0.5;
/// Requests that come after their successor, where spans are late.
const OVERTAKEN_SHARE: f64 = 0.10;

/// Protocol and encoding of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP with protobuf.
    HttpProtobuf,
    /// OTLP/HTTP with JSON.
    HttpJson {
        /// Whether integers are JSON numbers; the specification has them as texts.
        has_numeric_integers: bool,
    },
}

/// Compression of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// None.
    Identity,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

/// A request that is to be sent.
#[derive(Debug, Clone)]
pub struct Batch {
    /// When it would be sent.
    pub at: UnixNanos,
    /// The request. Of a malformed one it is what [`Self::body`] makes malformed.
    pub request: ExportTraceServiceRequest,
    /// Spans in it.
    pub span_count: usize,
    /// How it is to be sent.
    pub wire: Wire,
    /// How it is to be compressed.
    pub compression: Compression,
    /// Whether a text in it is not UTF-8, so that a server has to refuse it. Only [`Self::body`] has such bytes.
    pub is_malformed: bool,
}

/// A request could not be written as JSON.
#[derive(Debug, thiserror::Error)]
#[error("cannot write a request as JSON: {0}")]
pub struct BodyError(#[from] serde_json::Error);

impl Batch {
    /// The encoded request, not compressed.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn body(&self) -> Result<Vec<u8>, BodyError> {
        let mut body = match self.wire {
            Wire::Grpc | Wire::HttpProtobuf => self.request.encode_to_vec(),
            Wire::HttpJson { has_numeric_integers } => {
                let mut value = serde_json::to_value(&self.request)?;
                if has_numeric_integers {
                    write_integers_as_numbers(&mut value);
                }
                serde_json::to_vec(&value)?
            }
        };
        if self.is_malformed {
            let stand_in = NOT_UTF8_STAND_IN.as_bytes();
            while let Some(at) = body.windows(stand_in.len()).position(|window| window == stand_in) {
                body[at..at + NOT_UTF8.len()].copy_from_slice(&NOT_UTF8);
            }
        }
        Ok(body)
    }
}

fn write_integers_as_numbers(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(write_integers_as_numbers),
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                let number = field.as_str().and_then(|text| text.parse::<i64>().ok());
                match (name.as_str(), number) {
                    ("intValue", Some(number)) => *field = Value::from(number),
                    _ => write_integers_as_numbers(field),
                }
            }
        }
        _ => {}
    }
}

/// Packs parcels into requests.
#[derive(Debug)]
pub(super) struct Packer {
    dice: Dice,
    is_mixed: bool,
    is_out_of_order: bool,
}

impl Packer {
    pub(super) fn new(dice: Dice, is_mixed: bool, is_out_of_order: bool) -> Self {
        Self { dice, is_mixed, is_out_of_order }
    }

    /// The requests for parcels that are ready, in the order in which they are to be sent.
    pub(super) fn pack(&mut self, at: UnixNanos, parcels: Vec<Parcel>) -> Vec<Batch> {
        let (malformed, good): (Vec<Parcel>, Vec<Parcel>) =
            parcels.into_iter().partition(|parcel| parcel.role == Role::Malformed);
        let mut batches = Vec::with_capacity(good.len() / BATCH_SPANS_MAX + malformed.len() + 1);
        let mut spans: Vec<EmittedSpan> = good.into_iter().map(|parcel| parcel.emitted).collect();
        while !spans.is_empty() {
            let rest = spans.split_off(spans.len().min(BATCH_SPANS_MAX));
            batches.push(self.batch(at, spans));
            spans = rest;
        }
        if self.is_out_of_order {
            for position in 1..batches.len() {
                if self.dice.chance(OVERTAKEN_SHARE) {
                    batches.swap(position - 1, position);
                }
            }
        }
        for parcel in malformed {
            let batch = self.batch(at, vec![parcel.emitted]);
            batches.push(Batch { wire: Wire::HttpProtobuf, is_malformed: true, ..batch });
        }
        batches
    }

    fn batch(&mut self, at: UnixNanos, spans: Vec<EmittedSpan>) -> Batch {
        let (wire, compression) = self.encoding();
        let span_count = spans.len();
        let request = ExportTraceServiceRequest { resource_spans: resource_spans(spans) };
        Batch { at, request, span_count, wire, compression, is_malformed: false }
    }

    fn encoding(&mut self) -> (Wire, Compression) {
        if !self.is_mixed {
            return (Wire::Grpc, Compression::Gzip);
        }
        let draw = self.dice.between(0.0, 1.0);
        let wire = if draw < HTTP_JSON_SHARE {
            Wire::HttpJson { has_numeric_integers: self.dice.chance(NUMERIC_INTEGERS_SHARE) }
        } else if draw < HTTP_JSON_SHARE + HTTP_PROTOBUF_SHARE {
            Wire::HttpProtobuf
        } else {
            Wire::Grpc
        };
        let draw = self.dice.between(0.0, 1.0);
        let compression = if draw < ZSTD_SHARE {
            Compression::Zstd
        } else if draw < ZSTD_SHARE + PLAIN_SHARE {
            Compression::Identity
        } else {
            Compression::Gzip
        };
        (wire, compression)
    }
}
