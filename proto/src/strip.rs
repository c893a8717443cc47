//! Takes out of an export request what no compression can shrink, its ids and times, so that what is left compresses
//! well, and puts it back.
//!
//! Random bytes in the middle of text spoil both: they break repetitions apart and even out the frequencies of bytes.
//! Apart, an id is kept as it is or as a reference to the span that has it, and a time as the distance to another one.
//!
//! Only what every span has is taken out: `trace_id`, `span_id`, `parent_span_id`, `start_time_unix_nano` and
//! `end_time_unix_nano`, where they have the length that [`crate::check`] asks for. Their tags and the lengths of all
//! messages stay, so that [`restore`] finds every place again. What it makes is the same bytes, to the bit.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::wire::{Field, Fields, WireError};
use crate::{SpanId, TraceId};

#[cfg(test)]
mod tests;

/// `resource_spans` of a request, `scope_spans` of those, `spans` of those; below are the fields of a span.
const NESTED: [u32; 3] = [1, 2, 2];
const SPAN_LEVEL: usize = NESTED.len();

/// The parts of a request. Filled anew each time, so that its memory serves many requests.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Stripped {
    /// The request without ids and times.
    pub text: Vec<u8>,
    /// Each trace id of the request, once, in the order in which they appear.
    pub trace_ids: Vec<u8>,
    /// For each span, which of `trace_ids` it has.
    pub traces: Vec<u32>,
    /// Every span id.
    pub span_ids: Vec<u8>,
    /// For each parent, how many spans further the span is that it names, zigzag-coded, plus 1; 0 where no span of the
    /// request has the id, which then is the next of `other_parents`.
    pub parents: Vec<u32>,
    /// Ids of parents that are not in the request.
    pub other_parents: Vec<u8>,
    /// Each start minus the start before it, zigzag-coded.
    pub starts: Vec<u64>,
    /// Each end minus the start before it, zigzag-coded.
    pub ends: Vec<u64>,
}

/// What is remembered between calls of [`strip`]: tables that are costly to make anew.
#[derive(Debug, Default)]
pub struct Scratch {
    trace_numbers: HashMap<[u8; TraceId::LEN], u32, BuildHasherDefault<IdHasher>>,
    span_numbers: HashMap<[u8; SpanId::LEN], u32, BuildHasherDefault<IdHasher>>,
    parents: Vec<(u32, [u8; SpanId::LEN])>,
}

/// Ids are random as a rule, and a sender that makes them collide slows down nothing but one request of its own.
#[derive(Debug, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = (self.0.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }

    fn write_usize(&mut self, _: usize) {
        // The length of an array, always the same.
    }
}

/// Takes a request apart.
///
/// # Errors
/// When the bytes break the wire format; `into` then holds nothing of use.
pub fn strip(request: &[u8], scratch: &mut Scratch, into: &mut Stripped) -> Result<(), WireError> {
    into.clear();
    scratch.trace_numbers.clear();
    scratch.span_numbers.clear();
    scratch.parents.clear();
    let mut stripper = Stripper { scratch, into, last_start: 0, last_trace: None };
    stripper.message(request, 0)?;
    stripper.resolve_parents();
    Ok(())
}

struct Stripper<'a> {
    scratch: &'a mut Scratch,
    into: &'a mut Stripped,
    last_start: u64,
    last_trace: Option<([u8; TraceId::LEN], u32)>,
}

impl Stripper<'_> {
    fn message(&mut self, message: &[u8], level: usize) -> Result<(), WireError> {
        let mut fields = Fields::new(message);
        // Everything from here on is still to be copied.
        let mut copied = 0;
        while let Some((number, field)) = fields.try_next()? {
            let end = message.len() - fields.rest().len();
            match field {
                Field::Bytes(bytes) if level < SPAN_LEVEL && number == NESTED[level] => {
                    self.into.text.extend_from_slice(&message[copied..end - bytes.len()]);
                    self.message(bytes, level + 1)?;
                    copied = end;
                }
                Field::Bytes(bytes) if level == SPAN_LEVEL && self.take_id(number, bytes) => {
                    self.into.text.extend_from_slice(&message[copied..end - bytes.len()]);
                    copied = end;
                }
                Field::Fixed64(nanos) if level == SPAN_LEVEL && self.take_time(number, nanos) => {
                    self.into.text.extend_from_slice(&message[copied..end - 8]);
                    copied = end;
                }
                _ => {}
            }
        }
        self.into.text.extend_from_slice(&message[copied..]);
        Ok(())
    }

    fn take_id(&mut self, number: u32, bytes: &[u8]) -> bool {
        match number {
            1 => bytes.try_into().is_ok_and(|id| self.take_trace_id(id)),
            2 => bytes.try_into().is_ok_and(|id: [u8; SpanId::LEN]| {
                let number = (self.into.span_ids.len() / SpanId::LEN) as u32;
                self.into.span_ids.extend_from_slice(&id);
                self.scratch.span_numbers.insert(id, number);
                true
            }),
            4 => bytes.try_into().is_ok_and(|id: [u8; SpanId::LEN]| {
                let spans_so_far = (self.into.span_ids.len() / SpanId::LEN) as u32;
                self.scratch.parents.push((spans_so_far, id));
                true
            }),
            _ => false,
        }
    }

    fn take_trace_id(&mut self, id: [u8; TraceId::LEN]) -> bool {
        let number = match self.last_trace {
            Some((last, number)) if last == id => number,
            _ => {
                let next = (self.into.trace_ids.len() / TraceId::LEN) as u32;
                let number = *self.scratch.trace_numbers.entry(id).or_insert(next);
                if number == next {
                    self.into.trace_ids.extend_from_slice(&id);
                }
                self.last_trace = Some((id, number));
                number
            }
        };
        self.into.traces.push(number);
        true
    }

    fn take_time(&mut self, number: u32, nanos: u64) -> bool {
        match number {
            7 => {
                self.into.starts.push(zigzag(nanos.wrapping_sub(self.last_start)));
                self.last_start = nanos;
            }
            8 => self.into.ends.push(zigzag(nanos.wrapping_sub(self.last_start))),
            _ => return false,
        }
        true
    }

    /// Only now are all spans known: children mostly come before their parents.
    fn resolve_parents(&mut self) {
        for (at, id) in &self.scratch.parents {
            match self.scratch.span_numbers.get(id) {
                Some(number) => {
                    let distance = i64::from(*number) - i64::from(*at);
                    self.into.parents.push(zigzag(distance as u64) as u32 + 1);
                }
                None => {
                    self.into.parents.push(0);
                    self.into.other_parents.extend_from_slice(id);
                }
            }
        }
    }
}

impl Stripped {
    fn clear(&mut self) {
        let Self { text, trace_ids, traces, span_ids, parents, other_parents, starts, ends } = self;
        for bytes in [text, trace_ids, span_ids, other_parents] {
            bytes.clear();
        }
        for numbers in [traces, parents] {
            numbers.clear();
        }
        for numbers in [starts, ends] {
            numbers.clear();
        }
    }
}

/// Small numbers of either sign become small numbers without one.
const fn zigzag(number: u64) -> u64 {
    let number = number as i64;
    ((number << 1) ^ (number >> 63)) as u64
}

const fn unzigzag(number: u64) -> u64 {
    (number >> 1) ^ (number & 1).wrapping_neg()
}

/// The parts do not belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the parts of a request do not fit together")]
pub struct Mismatch;

/// Puts a request together again; `length` is how long it was.
///
/// # Errors
/// When the parts are not what [`strip`] made of a request of that length. Takes no more memory than they do and
/// `length` allows.
pub fn restore(parts: &Stripped, length: usize) -> Result<Vec<u8>, Mismatch> {
    let mut restorer = Restorer {
        text: &parts.text,
        out: Vec::with_capacity(length.min(parts.text.len() + parts.added_bytes())),
        parts,
        traces: parts.traces.iter(),
        spans: 0,
        parents: parts.parents.iter(),
        other_parents: parts.other_parents.chunks_exact(SpanId::LEN),
        starts: parts.starts.iter(),
        ends: parts.ends.iter(),
        last_start: 0,
    };
    restorer.message(length, 0)?;
    if restorer.text.is_empty() { Ok(restorer.out) } else { Err(Mismatch) }
}

impl Stripped {
    /// What [`restore`] adds to the text.
    fn added_bytes(&self) -> usize {
        let ids = self.traces.len() * TraceId::LEN + self.span_ids.len() + self.parents.len() * SpanId::LEN;
        ids + (self.starts.len() + self.ends.len()) * 8
    }
}

struct Restorer<'a> {
    text: &'a [u8],
    out: Vec<u8>,
    parts: &'a Stripped,
    traces: std::slice::Iter<'a, u32>,
    spans: usize,
    parents: std::slice::Iter<'a, u32>,
    other_parents: std::slice::ChunksExact<'a, u8>,
    starts: std::slice::Iter<'a, u64>,
    ends: std::slice::Iter<'a, u64>,
    last_start: u64,
}

impl<'a> Restorer<'a> {
    /// Restores fields until the output has reached `end`.
    fn message(&mut self, end: usize, level: usize) -> Result<(), Mismatch> {
        while self.out.len() < end {
            let key = self.copy_varint()?;
            let number = (key >> 3) as u32;
            match key & 7 {
                0 => drop(self.copy_varint()?),
                1 if level == SPAN_LEVEL && (number == 7 || number == 8) => self.put_time(number)?,
                1 => self.copy(8)?,
                5 => self.copy(4)?,
                2 => {
                    let length = usize::try_from(self.copy_varint()?).map_err(|_| Mismatch)?;
                    match (level, number, length) {
                        (SPAN_LEVEL, 1, TraceId::LEN) => self.put_trace_id()?,
                        (SPAN_LEVEL, 2, SpanId::LEN) => self.put_span_id()?,
                        (SPAN_LEVEL, 4, SpanId::LEN) => self.put_parent()?,
                        (0..SPAN_LEVEL, _, _) if number == NESTED[level] => {
                            let inner_end = self.out.len().checked_add(length).filter(|inner| *inner <= end);
                            self.message(inner_end.ok_or(Mismatch)?, level + 1)?;
                        }
                        _ => self.copy(length)?,
                    }
                }
                _ => return Err(Mismatch),
            }
        }
        if self.out.len() == end { Ok(()) } else { Err(Mismatch) }
    }

    fn copy(&mut self, length: usize) -> Result<(), Mismatch> {
        let (copied, rest) = self.text.split_at_checked(length).ok_or(Mismatch)?;
        self.out.extend_from_slice(copied);
        self.text = rest;
        Ok(())
    }

    fn copy_varint(&mut self) -> Result<u64, Mismatch> {
        let mut number = 0;
        for (position, byte) in self.text.iter().take(10).enumerate() {
            number |= u64::from(byte & 0x7f) << (7 * position);
            if byte & 0x80 == 0 {
                self.copy(position + 1)?;
                return Ok(number);
            }
        }
        Err(Mismatch)
    }

    fn put_trace_id(&mut self) -> Result<(), Mismatch> {
        let number = *self.traces.next().ok_or(Mismatch)? as usize;
        let id = self.parts.trace_ids.chunks_exact(TraceId::LEN).nth(number).ok_or(Mismatch)?;
        self.out.extend_from_slice(id);
        Ok(())
    }

    fn put_span_id(&mut self) -> Result<(), Mismatch> {
        let id = self.span_id(self.spans)?;
        self.out.extend_from_slice(id);
        self.spans += 1;
        Ok(())
    }

    fn put_parent(&mut self) -> Result<(), Mismatch> {
        let id = match self.parents.next().ok_or(Mismatch)?.checked_sub(1) {
            None => self.other_parents.next().ok_or(Mismatch)?,
            Some(distance) => {
                let distance = unzigzag(u64::from(distance)) as i64;
                let number = usize::try_from(self.spans as i64 + distance).map_err(|_| Mismatch)?;
                self.span_id(number)?
            }
        };
        self.out.extend_from_slice(id);
        Ok(())
    }

    fn span_id(&self, number: usize) -> Result<&'a [u8], Mismatch> {
        self.parts.span_ids.chunks_exact(SpanId::LEN).nth(number).ok_or(Mismatch)
    }

    fn put_time(&mut self, number: u32) -> Result<(), Mismatch> {
        let distance = if number == 7 { self.starts.next() } else { self.ends.next() };
        let nanos = self.last_start.wrapping_add(unzigzag(*distance.ok_or(Mismatch)?));
        if number == 7 {
            self.last_start = nanos;
        }
        self.out.extend_from_slice(&nanos.to_le_bytes());
        Ok(())
    }
}
