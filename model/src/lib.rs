//! What a trace *means*: spans as the rest of the program sees them, the tree they form, and what is computed from it.
//!
//! Pure functions over plain data. Never does I/O, is never async, knows no file format and no tier.

pub mod span;

pub use span::{Event, KeyValue, Link, Resource, Scope, Span, SpanKind, StatusCode, Value};
