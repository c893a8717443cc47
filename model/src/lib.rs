//! What a trace *means*: spans as the rest of the program sees them, the tree they form, and what is computed from it.
//!
//! Pure functions over plain data. Never does I/O, is never async, knows no file format and no tier.

pub mod backup;
pub mod breakdown;
pub mod class;
pub mod critical_path;
pub mod duration;
pub mod failover;
pub mod retention;
pub mod rules;
pub mod run;
pub mod self_time;
pub mod semconv;
pub mod span;
pub mod stats;
pub mod summary;
pub mod text;
pub mod tree;
mod wildcard;

pub use class::{ClassSet, Classifier, OperationClass, Priority};
pub use span::{Event, KeyValue, Link, Resource, Scope, Span, SpanKind, StatusCode, Value};
pub use summary::{ServiceShare, Summary};
pub use tree::{Node, Trace, Warning, WarningCode, assemble};

#[cfg(test)]
mod fixture;
