//! How one batch is kept: what repeats compressed, what is random as it is.
//!
//! **Version 2**: the version byte, nine LEB128 varints (the request's length and the length of each part, in entries), the
//! parts that are random (trace ids, span ids, parents that are elsewhere, some planes of the times), then one zstd frame
//! of all others. The parts are those of [`proto::strip`]. Numbers of spans and traces are varints. Times are cut into
//! planes, the lowest byte of each first, because the upper planes repeat and the lower ones do not: a byte per plane
//! says where it went.
//!
//! **Version 3** is version 2 compressed with a [dictionary](super::dictionary), whose id (8 bytes, little-endian) follows the version byte.
//!
//! **Version 1**, for what cannot be taken apart: the version byte and a zstd frame of the request.

use std::cell::RefCell;
use std::sync::Arc;

use proto::strip::{self, Scratch, Stripped};
use zstd::zstd_safe::{self, CCtx, DCtx, DDict};

use super::dictionary::{Dictionaries, Dictionary, DictionaryId};
use crate::{Error, varint};

const VERSION_ZSTD: u8 = 1;
const VERSION_STRIPPED: u8 = 2;
const VERSION_WITH_DICTIONARY: u8 = 3;

/// zstd's second level: with a dictionary it saves a byte a span over the first, at a cost too small to measure end to end.
const ZSTD_LEVEL: i32 = 2;

/// Largest batch that is read back: far above what ingest accepts, so that a damaged length cannot ask for all memory.
const BATCH_BYTES_MAX: u64 = 1 << 30;

/// Most scratch memory of a kind that a thread keeps between batches.
const SCRATCH_BYTES_MAX: usize = 1 << 20;

/// A plane in which one byte has at least this share is worth compressing.
const PLANE_SHARE: usize = 4;

const TIME_BYTES: usize = size_of::<u64>();

/// Working memory that is larger than most batches, so each thread keeps its own instead of making it anew.
struct Codec {
    compressor: CCtx<'static>,
    decompressor: DCtx<'static>,
    scratch: Scratch,
    parts: Stripped,
    /// What goes into the frame, and the frame.
    plain: Vec<u8>,
    packed: Vec<u8>,
}

thread_local! {
    static CODEC: RefCell<Option<Codec>> = const { RefCell::new(None) };
}

fn with_codec<T>(work: impl FnOnce(&mut Codec) -> Result<T, String>) -> Result<T, String> {
    CODEC.with_borrow_mut(|slot| {
        let codec = match slot {
            Some(codec) => codec,
            None => slot.insert(Codec {
                compressor: CCtx::try_create().ok_or("no memory for zstd")?,
                decompressor: DCtx::try_create().ok_or("no memory for zstd")?,
                scratch: Scratch::default(),
                parts: Stripped::default(),
                plain: Vec::new(),
                packed: Vec::new(),
            }),
        };
        let done = work(codec);
        if codec.plain.capacity() > SCRATCH_BYTES_MAX {
            *slot = None;
        }
        done
    })
}

/// A batch, ready to be kept.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) value: Vec<u8>,
    /// What it cannot be read without.
    pub(crate) dictionary: Option<Arc<Dictionary>>,
}

/// Compresses the bytes of a request. With `dictionaries` it takes one of them, and teaches them.
pub(crate) fn encode(request: &[u8], dictionaries: Option<&Dictionaries>) -> Result<Encoded, Error> {
    with_codec(|codec| {
        if strip::strip(request, &mut codec.scratch, &mut codec.parts).is_err() {
            return Ok(Encoded { value: codec.encode_whole(request)?, dictionary: None });
        }
        let dictionary = dictionaries.and_then(|dictionaries| {
            dictionaries.see(&codec.parts.text, ZSTD_LEVEL);
            dictionaries.current()
        });
        Ok(Encoded { value: codec.encode_stripped(request.len(), dictionary.as_deref())?, dictionary })
    })
    .map_err(|error| Error::Block(format!("compressing a batch: {error}")))
}

impl Codec {
    fn encode_whole(&mut self, request: &[u8]) -> Result<Vec<u8>, String> {
        let mut value = vec![VERSION_ZSTD];
        self.plain.clear();
        self.plain.extend_from_slice(request);
        self.append_frame(&mut value, None)?;
        Ok(value)
    }

    fn encode_stripped(&mut self, length: usize, dictionary: Option<&Dictionary>) -> Result<Vec<u8>, String> {
        let parts = &self.parts;
        let random = parts.trace_ids.len() + parts.span_ids.len() + parts.other_parents.len();
        let mut value = Vec::with_capacity(random + parts.text.len() / 4);
        match dictionary {
            Some(dictionary) => {
                value.push(VERSION_WITH_DICTIONARY);
                value.extend_from_slice(&dictionary.id.to_le_bytes());
            }
            None => value.push(VERSION_STRIPPED),
        }
        let lengths = [
            length,
            parts.text.len(),
            parts.trace_ids.len(),
            parts.traces.len(),
            parts.span_ids.len(),
            parts.parents.len(),
            parts.other_parents.len(),
            parts.starts.len(),
            parts.ends.len(),
        ];
        lengths.into_iter().for_each(|length| varint::put(length as u64, &mut value));
        value.extend_from_slice(&parts.trace_ids);
        value.extend_from_slice(&parts.span_ids);
        value.extend_from_slice(&parts.other_parents);

        self.plain.clear();
        self.plain.extend_from_slice(&parts.text);
        for number in parts.traces.iter().chain(&parts.parents) {
            varint::put(u64::from(*number), &mut self.plain);
        }
        for times in [&parts.starts, &parts.ends] {
            put_planes(times, &mut value, &mut self.plain);
        }
        self.append_frame(&mut value, dictionary)?;
        Ok(value)
    }

    fn append_frame(&mut self, value: &mut Vec<u8>, dictionary: Option<&Dictionary>) -> Result<(), String> {
        self.packed.clear();
        self.packed.reserve(zstd_safe::compress_bound(self.plain.len()));
        let length = match dictionary {
            Some(Dictionary { encoder, .. }) => {
                self.compressor.compress_using_cdict(&mut self.packed, &self.plain, encoder)
            }
            None => self.compressor.compress(&mut self.packed, &self.plain, ZSTD_LEVEL),
        };
        let length = length.map_err(zstd_safe::get_error_name)?;
        value.reserve_exact(length);
        value.extend_from_slice(&self.packed[..length]);
        Ok(())
    }
}

/// Puts each plane of `times`, after a byte that says so, where it is best kept.
fn put_planes(times: &[u64], random: &mut Vec<u8>, repeating: &mut Vec<u8>) {
    for plane in 0..TIME_BYTES {
        let byte = |time: &u64| (time >> (8 * plane)) as u8;
        let mut counts = [0usize; 256];
        times.iter().for_each(|time| counts[usize::from(byte(time))] += 1);
        let repeats = counts.iter().any(|count| count * PLANE_SHARE > times.len());
        random.push(u8::from(repeats));
        let place = if repeats { &mut *repeating } else { &mut *random };
        place.extend(times.iter().map(byte));
    }
}

/// The bytes of a request; `find` gives a dictionary by its id.
pub(crate) fn decode(
    value: &[u8],
    find: impl FnOnce(DictionaryId) -> Result<Arc<DDict<'static>>, Error>,
) -> Result<Vec<u8>, Error> {
    let corrupt = |why: String| Error::Corrupt { what: "a batch of the hot tier".to_owned(), why };
    match value.split_first() {
        Some((&VERSION_ZSTD, frame)) => unpack(frame, None).map_err(corrupt),
        Some((&VERSION_STRIPPED, rest)) => decode_stripped(rest, None).map_err(corrupt),
        Some((&VERSION_WITH_DICTIONARY, rest)) => {
            let (id, rest) = rest.split_first_chunk().ok_or_else(|| corrupt(CUT_OFF.to_owned()))?;
            decode_stripped(rest, Some(&*find(DictionaryId::from_le_bytes(*id))?)).map_err(corrupt)
        }
        other => Err(corrupt(format!("unknown version {:?}", other.map(|(version, _)| version)))),
    }
}

fn unpack(frame: &[u8], dictionary: Option<&DDict<'_>>) -> Result<Vec<u8>, String> {
    // Compressing in one piece writes the size into the frame.
    let Ok(Some(length)) = zstd_safe::get_frame_content_size(frame) else {
        return Err("it has no zstd frame that tells its size".to_owned());
    };
    if length > BATCH_BYTES_MAX {
        return Err(format!("it claims {length} bytes"));
    }
    with_codec(|codec| {
        let mut plain = Vec::with_capacity(length as usize);
        let written = match dictionary {
            Some(dictionary) => codec.decompressor.decompress_using_ddict(&mut plain, frame, dictionary),
            None => codec.decompressor.decompress(&mut plain, frame),
        };
        written.map_err(zstd_safe::get_error_name)?;
        Ok(plain)
    })
}

fn decode_stripped(mut rest: &[u8], dictionary: Option<&DDict<'_>>) -> Result<Vec<u8>, String> {
    let mut lengths = [0; 9];
    for length in &mut lengths {
        *length = varint::take(&mut rest).filter(|length| *length <= BATCH_BYTES_MAX).ok_or(CUT_OFF)? as usize;
    }
    let [length, text, trace_ids, traces, span_ids, parents, other_parents, starts, ends] = lengths;
    let mut parts = Stripped {
        trace_ids: take(&mut rest, trace_ids)?.to_vec(),
        span_ids: take(&mut rest, span_ids)?.to_vec(),
        other_parents: take(&mut rest, other_parents)?.to_vec(),
        ..Stripped::default()
    };
    let mut planes: Vec<Option<&[u8]>> = Vec::with_capacity(2 * TIME_BYTES);
    for count in [starts, ends] {
        for _ in 0..TIME_BYTES {
            let repeats = take(&mut rest, 1)? == [1];
            planes.push(if repeats { None } else { Some(take(&mut rest, count)?) });
        }
    }
    let plain = unpack(rest, dictionary)?;
    let mut repeating = &plain[..];
    parts.text = take(&mut repeating, text)?.to_vec();
    parts.traces = take_numbers(&mut repeating, traces)?;
    parts.parents = take_numbers(&mut repeating, parents)?;
    let (of_starts, of_ends) = planes.split_at(TIME_BYTES);
    parts.starts = take_planes(of_starts, &mut repeating, starts)?;
    parts.ends = take_planes(of_ends, &mut repeating, ends)?;
    strip::restore(&parts, length).map_err(|error| error.to_string())
}

const CUT_OFF: &str = "it is cut off";

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], String> {
    let (taken, after) = rest.split_at_checked(length).ok_or(CUT_OFF)?;
    *rest = after;
    Ok(taken)
}

fn take_numbers(rest: &mut &[u8], count: usize) -> Result<Vec<u32>, String> {
    // Each takes at least a byte, so a damaged count asks for no more memory than there are bytes.
    let mut numbers = Vec::with_capacity(count.min(rest.len()));
    for _ in 0..count {
        let number = varint::take(rest).and_then(|number| u32::try_from(number).ok());
        numbers.push(number.ok_or(CUT_OFF)?);
    }
    Ok(numbers)
}

fn take_planes(planes: &[Option<&[u8]>], repeating: &mut &[u8], count: usize) -> Result<Vec<u64>, String> {
    let mut times = Vec::new();
    for (plane, random) in planes.iter().enumerate() {
        let bytes = match random {
            Some(bytes) => bytes,
            None => take(repeating, count)?,
        };
        times.resize(count, 0);
        for (time, byte) in times.iter_mut().zip(bytes) {
            *time |= u64::from(*byte) << (8 * plane);
        }
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::super::dictionary::decoder;
    use super::*;

    fn decode(value: &[u8]) -> Result<Vec<u8>, Error> {
        super::decode(value, |id| Err(Error::Block(format!("dictionary {id} was asked for"))))
    }

    fn encode(request: &[u8]) -> Result<Vec<u8>, Error> {
        super::encode(request, None).map(|encoded| encoded.value)
    }

    /// A request with two spans of one trace.
    fn request() -> Vec<u8> {
        use prost::Message;
        use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
        use proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span};
        let span = |id: u8, parent: u8| Span {
            trace_id: vec![7; 16],
            span_id: vec![id; 8],
            parent_span_id: vec![parent; 8],
            name: "step".to_owned(),
            start_time_unix_nano: 1_763_928_000_000_000_000 + u64::from(id),
            end_time_unix_nano: 1_763_928_001_000_000_000,
            ..Span::default()
        };
        let scope_spans = vec![ScopeSpans { spans: vec![span(1, 2), span(2, 9)], ..ScopeSpans::default() }];
        let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
        ExportTraceServiceRequest { resource_spans }.encode_to_vec()
    }

    #[test]
    fn every_cut_is_told() {
        let value = encode(&request()).expect("compresses");
        assert_eq!(value[0], VERSION_STRIPPED);
        for length in 0..value.len() {
            assert!(
                matches!(decode(&value[..length]), Err(Error::Corrupt { .. })),
                "{length} bytes of {}",
                value.len()
            );
        }
    }

    #[test]
    fn batches_round_trip() {
        for bytes in [vec![], vec![7; 100_000], b"short".to_vec(), request()] {
            assert_eq!(decode(&encode(&bytes).expect("compresses")).expect("decompresses"), bytes);
        }
    }

    #[test]
    fn a_dictionary_saves_what_batches_have_in_common() {
        let (dictionaries, request) = (Dictionaries::default(), request());
        while dictionaries.current().is_none() {
            super::encode(&request, Some(&dictionaries)).expect("compresses");
        }
        let Encoded { value, dictionary } = super::encode(&request, Some(&dictionaries)).expect("compresses");
        let dictionary = dictionary.expect("there is one");
        assert!(value.len() < encode(&request).expect("compresses").len());
        let decoder = Arc::new(decoder(&dictionary.packed).expect("what was packed"));
        let find = |id| {
            assert_eq!(id, dictionary.id);
            Ok(Arc::clone(&decoder))
        };
        assert_eq!(super::decode(&value, find).expect("decompresses"), request);
        for length in 1..value.len() {
            assert!(super::decode(&value[..length], |_| Ok(Arc::clone(&decoder))).is_err(), "{length} bytes");
        }
        assert!(matches!(decode(&value), Err(Error::Block(_))), "it cannot be read without");
    }

    #[test]
    fn damage_is_told() {
        let mut value = encode(&[7; 1000]).expect("compresses");
        value.truncate(value.len() - 2);
        assert!(matches!(decode(&value), Err(Error::Corrupt { .. })));
        assert!(matches!(decode(&[9, 1, 2]), Err(Error::Corrupt { .. })));
        assert!(matches!(decode(&[]), Err(Error::Corrupt { .. })));
    }
}
