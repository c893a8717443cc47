//! The values of a column where they lie in an Arrow array, and how Parquet writes them.
//!
//! Source: <https://parquet.apache.org/docs/file-format/data-pages/encodings/>.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, UInt32Type};

use crate::Error;

/// Values by their place in an array.
#[derive(Debug, Clone, Copy)]
pub(super) enum Values<'a> {
    /// Numbers and ids of this many bytes each, little-endian.
    Fixed(usize, &'a [u8]),
    /// Truth values.
    Bits(&'a BooleanBuffer),
    /// Texts and bytes: where each begins, and all of them.
    Bytes(&'a [i32], &'a [u8]),
    /// Texts by the key that each place has.
    Words(&'a [i32], &'a StringArray),
}

impl<'a> Values<'a> {
    /// Those of an array of one of the types that a block has.
    ///
    /// # Errors
    /// When it is of another type.
    pub(super) fn of(array: &'a ArrayRef) -> Result<Self, Error> {
        let unknown = || Error::Block(format!("a column has type {}", array.data_type()));
        let fixed = |buffer: &'a arrow::buffer::Buffer, width: usize| Self::Fixed(width, buffer.as_slice());
        Ok(match array.data_type() {
            DataType::Int64 => fixed(array.as_primitive::<Int64Type>().values().inner(), 8),
            DataType::Float64 => fixed(array.as_primitive::<Float64Type>().values().inner(), 8),
            DataType::Int32 => fixed(array.as_primitive::<Int32Type>().values().inner(), 4),
            DataType::UInt32 => fixed(array.as_primitive::<UInt32Type>().values().inner(), 4),
            DataType::FixedSizeBinary(width) => Self::Fixed(*width as usize, array.as_fixed_size_binary().value_data()),
            DataType::Boolean => Self::Bits(array.as_boolean().values()),
            DataType::Utf8 => {
                let texts = array.as_string::<i32>();
                Self::Bytes(texts.value_offsets(), texts.value_data())
            }
            DataType::Binary => {
                let bytes = array.as_binary::<i32>();
                Self::Bytes(bytes.value_offsets(), bytes.value_data())
            }
            DataType::Dictionary(..) => {
                let words = array.as_dictionary_opt::<Int32Type>().ok_or_else(unknown)?;
                Self::Words(words.keys().values(), words.values().as_string_opt().ok_or_else(unknown)?)
            }
            _ => return Err(unknown()),
        })
    }

    /// The bytes of the value at `at`; of truth values there are none.
    pub(super) fn get(self, at: usize) -> &'a [u8] {
        match self {
            Self::Fixed(width, bytes) => &bytes[at * width..(at + 1) * width],
            Self::Bits(_) => &[],
            Self::Bytes(offsets, bytes) => &bytes[offsets[at] as usize..offsets[at + 1] as usize],
            Self::Words(keys, texts) => texts.value(keys[at] as usize).as_bytes(),
        }
    }

    /// The bytes that one value takes as [`Self::put`] writes it.
    pub(super) fn length(self, at: usize) -> usize {
        match self {
            Self::Fixed(width, _) => width,
            Self::Bits(_) => 1,
            Self::Bytes(..) | Self::Words(..) => LENGTH_BYTES + self.get(at).len(),
        }
    }

    /// Appends one value: the encoding `PLAIN`, except of truth values.
    pub(super) fn put(self, at: usize, out: &mut Vec<u8>) {
        let bytes = self.get(at);
        if matches!(self, Self::Bytes(..) | Self::Words(..)) {
            out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        }
        out.extend_from_slice(bytes);
    }

    /// Appends some values: the encoding `PLAIN`, except of truth values.
    pub(super) fn put_run(self, run: Range<usize>, out: &mut Vec<u8>) {
        match self {
            Self::Fixed(width, bytes) => out.extend_from_slice(&bytes[run.start * width..run.end * width]),
            _ => run.for_each(|at| self.put(at, out)),
        }
    }
}

/// What stands before each text.
const LENGTH_BYTES: usize = 4;

/// Packs truth values, the encoding `PLAIN`: the first is the lowest bit of its byte.
#[derive(Default)]
pub(super) struct Packed {
    byte: u8,
    count: u32,
}

impl Packed {
    pub(super) fn put(&mut self, bit: bool, out: &mut Vec<u8>) {
        self.byte |= u8::from(bit) << self.count;
        self.count += 1;
        if self.count == u8::BITS {
            self.finish(out);
        }
    }

    /// Writes what is left.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        if self.count > 0 {
            out.push(self.byte);
        }
        *self = Self::default();
    }
}

/// Brings the first bytes of numbers together, then the second ones and so on: the encoding `BYTE_STREAM_SPLIT`.
pub(super) fn split(width: usize, numbers: &[u8], out: &mut Vec<u8>) {
    for byte in 0..width {
        out.extend(numbers.chunks_exact(width).map(|number| number[byte]));
    }
}
