//! Keys of the column family of runs, with their order.
//!
//! | key | value |
//! |---|---|
//! | `p` + part | version, when it matters until, and the part: see [`super::item`] |
//! | `e` + run | the same with health checks and writes around a failover |
//! | `d` + key of a part or evidence | nothing: it is to go to the cold tier |
//! | `t` + trace id | nothing: what the trace says is to be looked at |
//! | `k` + CRC-32 of a [`model::run::RunKey`] + part | nothing: parts that may belong together |
//! | `g` + part | the run that the part is in |
//! | `r` + run | start of the run |
//! | `a` + start, latest first + run | [`super::RunSummary`] |
//! | `c` + class + start, latest first + run | [`super::row::Brief`]; so of the next two |
//! | `i` + CRC-32 of the instance + start, latest first + run | |
//! | `u` + start, latest first + run | runs without an end |
//! | `f` + start, earliest first + run | [`model::failover::FailoverFacts`] |
//! | `m` + CRC-32 of the instance + time + … | [`model::failover::HealthMark`] while an instance fails |
//! | `l` + path | nothing: this file of the cold tier is in the table |
//!
//! A part is its trace id, its topmost span, its class; a run a trace id and a topmost span. Numbers are big-endian. Two instances or keys
//! with one CRC-32 are told apart by what they lead to.

use model::OperationClass;
use model::failover::HealthMark;
use model::run::RunRef;
use proto::{SpanId, TraceId};

use super::corrupt;
use super::item::{ItemKey, PartKey};
use crate::Error;

pub(super) const PART: u8 = b'p';
pub(super) const EVIDENCE: u8 = b'e';
pub(super) const CHANGED: u8 = b'd';
pub(super) const TRACE: u8 = b't';
pub(super) const GROUP: u8 = b'k';
pub(super) const RUN_OF_PART: u8 = b'g';
pub(super) const RUN: u8 = b'r';
pub(super) const ALL: u8 = b'a';
pub(super) const CLASS: u8 = b'c';
pub(super) const INSTANCE: u8 = b'i';
pub(super) const UNFINISHED: u8 = b'u';
pub(super) const FAILOVER: u8 = b'f';
pub(super) const MARK: u8 = b'm';
pub(super) const LOADED: u8 = b'l';

/// Bytes of a part, of a run.
const PART_BYTES: usize = TraceId::LEN + SpanId::LEN + 1;
const RUN_BYTES: usize = TraceId::LEN + SpanId::LEN;

/// A key that begins with `tag`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(pub(super) Vec<u8>);

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Key {
    pub(super) fn new(tag: u8) -> Self {
        Self(vec![tag])
    }

    pub(super) fn part(mut self, part: &PartKey) -> Self {
        self.0.extend_from_slice(part.trace_id.as_bytes());
        self.0.extend_from_slice(part.top.as_bytes());
        self.0.push(part.class as u8);
        self
    }

    pub(super) fn run(mut self, run: &RunRef) -> Self {
        self.0.extend_from_slice(run.trace_id.as_bytes());
        self.0.extend_from_slice(run.top.as_bytes());
        self
    }

    pub(super) fn trace(mut self, trace_id: TraceId) -> Self {
        self.0.extend_from_slice(trace_id.as_bytes());
        self
    }

    pub(super) fn class(mut self, class: OperationClass) -> Self {
        self.0.push(class as u8);
        self
    }

    /// A text of any length, as four bytes.
    pub(super) fn digest(mut self, text: &[u8]) -> Self {
        self.0.extend_from_slice(&crc32fast::hash(text).to_be_bytes());
        self
    }

    /// A time, earlier ones first.
    pub(super) fn time(mut self, unix_nano: i64) -> Self {
        self.0.extend_from_slice(&unix_nano.unsigned_abs().to_be_bytes());
        self
    }

    /// A time, later ones first.
    pub(super) fn time_back(mut self, unix_nano: i64) -> Self {
        self.0.extend_from_slice(&(!unix_nano.unsigned_abs()).to_be_bytes());
        self
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }
}

/// Where an item lies.
pub(super) fn item(key: &ItemKey) -> Key {
    match key {
        ItemKey::Part(part) => Key::new(PART).part(part),
        ItemKey::Evidence(run) => Key::new(EVIDENCE).run(run),
    }
}

/// The item whose key (without any tag before its own) this is.
pub(super) fn parse_item(key: &[u8]) -> Result<ItemKey, Error> {
    match key.split_first() {
        Some((&PART, rest)) => parse_part(rest).map(ItemKey::Part),
        Some((&EVIDENCE, rest)) => parse_run(rest).map(ItemKey::Evidence),
        _ => Err(corrupt("a key", "it names no item")),
    }
}

/// The part at the end of a key.
pub(super) fn parse_part(key: &[u8]) -> Result<PartKey, Error> {
    let (rest, class) = key.split_last_chunk::<1>().ok_or_else(|| corrupt("a key", "it is cut off"))?;
    let class = OperationClass::ALL.into_iter().find(|known| *known as u8 == class[0]);
    let class = class.ok_or_else(|| corrupt("a key", "it has a class that there is not"))?;
    debug_assert!(key.len() >= PART_BYTES, "a part is at the end");
    let RunRef { trace_id, top } = parse_run(rest)?;
    Ok(PartKey { trace_id, top, class })
}

/// The run at the end of a key.
pub(super) fn parse_run(key: &[u8]) -> Result<RunRef, Error> {
    let begin = key.len().checked_sub(RUN_BYTES).ok_or_else(|| corrupt("a key", "it is cut off"))?;
    let (trace_id, top) = key[begin..].split_at(TraceId::LEN);
    let wrong = |error: proto::ids::IdError| corrupt("a key", error);
    Ok(RunRef { trace_id: TraceId::from_bytes(trace_id).map_err(wrong)?, top: SpanId::from_bytes(top).map_err(wrong)? })
}

/// The time after `prefix` bytes, as [`Key::time_back`] wrote it.
pub(super) fn parse_time_back(key: &[u8], prefix: usize) -> Result<i64, Error> {
    let bytes = key.get(prefix..prefix + 8).and_then(|bytes| bytes.try_into().ok());
    let number = bytes.map(u64::from_be_bytes).ok_or_else(|| corrupt("a key", "it is cut off"))?;
    Ok((!number).min(i64::MAX as u64) as i64)
}

/// Where a mark lies.
pub(super) fn mark(mark: &HealthMark) -> Key {
    Key::new(MARK)
        .digest(mark.instance.as_bytes())
        .time(mark.at.as_i64())
        .bytes(&[mark.kind as u8, u8::from(mark.failed)])
        .digest(mark.target.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_round_trip_and_keep_order() {
        let trace_id = TraceId::from_bytes(&[7; 16]).expect("not zero");
        let top = SpanId::from_bytes(&[9; 8]).expect("not zero");
        let part = PartKey { trace_id, top, class: OperationClass::Restore };
        let run = RunRef { trace_id, top };
        for key in [ItemKey::Part(part), ItemKey::Evidence(run)] {
            assert_eq!(parse_item(item(&key).as_ref()).expect("a key"), key);
        }
        let group = Key::new(GROUP).digest(b"x").part(&part);
        assert_eq!(parse_part(group.as_ref()).expect("a key"), part);
        let late = Key::new(ALL).time_back(2_000).run(&run);
        let early = Key::new(ALL).time_back(1_000).run(&run);
        assert!(late < early, "the latest come first");
        assert_eq!(parse_time_back(late.as_ref(), 1).expect("a time"), 2_000);
        assert!(Key::new(FAILOVER).time(1_000) < Key::new(FAILOVER).time(2_000));
        assert!(parse_item(b"z").is_err() && parse_run(b"123").is_err() && parse_part(b"").is_err());
    }
}
