//! Wire messages, ids and time types: the words that every other crate shares.
//!
//! Owns the shape of OTLP on the wire: the generated prost messages (re-exported from
//! `opentelemetry-proto`, OTLP 1.x), an allocation-free [`view`] of the same bytes for the hot path,
//! and [`check`], which turns the bytes of an export request into a [`check::CheckedRequest`].
//!
//! Never does I/O, is never async, and knows nothing of how spans are kept.

pub mod check;
pub mod ids;
pub mod rpc;
mod serialize;
pub mod split;
pub mod strip;
pub mod time;
pub mod view;
pub mod wire;

pub use check::{CheckedRequest, Rejections};
pub use ids::{SpanId, TraceId};
pub use opentelemetry_proto::tonic as otlp;
pub use time::UnixNanos;
