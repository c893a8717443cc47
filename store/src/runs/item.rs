//! What the table is made of, and what goes to the cold tier: parts of runs, and what was seen of instances around failovers.

use model::OperationClass;
use model::failover::HealthMark;
use model::run::{RunPart, RunRef};
use proto::{SpanId, TraceId};

use super::corrupt;
use crate::Error;

/// Version of the encoding of [`RunPart`] and [`HealthMark`]; the first byte of each item.
const VERSION: u8 = 1;

/// Names a part for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PartKey {
    pub(crate) trace_id: TraceId,
    pub(crate) top: SpanId,
    pub(crate) class: OperationClass,
}

/// Names an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ItemKey {
    /// What a trace says about a run.
    Part(PartKey),
    /// Health checks and writes around a failover.
    Evidence(RunRef),
}

/// One version of an item. Of several the highest version counts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    pub(crate) key: ItemKey,
    /// Unix nanoseconds of the change, made distinct.
    pub(crate) version: u64,
    /// When it ends to matter is counted from here: the last activity that it tells, Unix nanoseconds.
    pub(crate) at: i64,
    /// As [`encode`] made it; empty: the item is gone.
    pub(crate) body: Vec<u8>,
}

impl PartKey {
    /// Of a part.
    pub(crate) const fn of(part: &RunPart) -> Self {
        Self { trace_id: part.trace_id, top: part.top, class: part.class }
    }
}

/// As it is kept.
///
/// # Errors
/// Never for what the model makes; when there is no memory.
pub(crate) fn encode<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    postcard::to_extend(value, vec![VERSION]).map_err(|error| corrupt("an entry that was to be written", error))
}

/// What [`encode`] made.
///
/// # Errors
/// When it is of a later version, or damaged.
pub(crate) fn decode<'a, T: serde::Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Error> {
    match bytes.split_first() {
        Some((&VERSION, body)) => postcard::from_bytes(body).map_err(|error| corrupt("an entry", error)),
        Some((version, _)) => Err(corrupt("an entry", format!("version {version}, this program reads {VERSION}"))),
        None => Err(corrupt("an entry", "it is empty")),
    }
}

/// The part in an item; `None` for one that is gone.
pub(crate) fn part(body: &[u8]) -> Result<Option<RunPart>, Error> {
    if body.is_empty() { Ok(None) } else { decode(body).map(Some) }
}

/// The marks in an item; none for one that is gone.
pub(crate) fn marks(body: &[u8]) -> Result<Vec<HealthMark>, Error> {
    if body.is_empty() { Ok(Vec::new()) } else { decode(body) }
}
