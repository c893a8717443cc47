//! Parquet's hybrid of run-length encoding and bit packing, for definition levels and dictionary indexes. Write only.
//!
//! Source: <https://parquet.apache.org/docs/file-format/data-pages/encodings/>, "Run Length Encoding / Bit-Packing Hybrid".

use crate::varint;

/// Bit-packed values come in groups of this many.
const GROUP: usize = 8;

/// Values of one bit-packed run at most, so that its header is one byte.
const PACKED_MAX: usize = 63 * GROUP;

/// Encodes values of at most `width` bits.
pub(super) struct Hybrid<'a> {
    width: u32,
    out: &'a mut Vec<u8>,
    /// Not yet written, and not worth a run.
    packed: Vec<u32>,
    /// The last value, and how often it came one after the other.
    run: (u32, usize),
}

impl<'a> Hybrid<'a> {
    /// Appends to `out`.
    pub(super) fn new(width: u32, out: &'a mut Vec<u8>) -> Self {
        Self { width, out, packed: Vec::with_capacity(PACKED_MAX), run: (0, 0) }
    }

    /// Adds `value`, `count` times.
    #[inline]
    pub(super) fn put(&mut self, value: u32, count: usize) {
        if value == self.run.0 {
            self.run.1 += count;
        } else {
            self.end_run();
            self.run = (value, count);
        }
    }

    /// Writes what is left.
    pub(super) fn finish(mut self) {
        self.end_run();
        // Readers know how many values there are.
        self.packed.resize(self.packed.len().next_multiple_of(GROUP), 0);
        self.write_packed();
    }

    fn end_run(&mut self) {
        let (value, mut count) = self.run;
        // Only the last packed run may end within a group.
        let to_fill = self.packed.len().next_multiple_of(GROUP) - self.packed.len();
        if count >= to_fill + GROUP {
            self.packed.extend(std::iter::repeat_n(value, to_fill));
            count -= to_fill;
            self.write_packed();
            varint::put((count as u64) << 1, self.out);
            self.out.extend_from_slice(&value.to_le_bytes()[..self.width.div_ceil(8) as usize]);
            return;
        }
        for _ in 0..count {
            self.packed.push(value);
            if self.packed.len() == PACKED_MAX {
                self.write_packed();
            }
        }
    }

    /// Writes whole groups.
    fn write_packed(&mut self) {
        if self.packed.is_empty() {
            return;
        }
        varint::put((self.packed.len() / GROUP) as u64 * 2 + 1, self.out);
        let (mut bits, mut filled) = (0u64, 0);
        for value in &self.packed {
            bits |= u64::from(*value) << filled;
            filled += self.width;
            while filled >= 8 {
                self.out.push(bits as u8);
                bits >>= 8;
                filled -= 8;
            }
        }
        self.packed.clear();
    }
}

/// Bits that the greatest of `count` indexes takes.
pub(super) const fn width_of(count: usize) -> u32 {
    match count {
        0 | 1 => 0,
        count => (count - 1).ilog2() + 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads `count` values back, by the letter of the specification.
    fn decode(width: u32, count: usize, mut bytes: &[u8]) -> Vec<u32> {
        let mut values = Vec::new();
        while values.len() < count {
            let header = varint::take(&mut bytes).expect("a header");
            if header & 1 == 0 {
                let (value, rest) = bytes.split_at(width.div_ceil(8) as usize);
                bytes = rest;
                let value = value.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
                values.extend(std::iter::repeat_n(value, (header >> 1) as usize));
            } else {
                let (packed, rest) = bytes.split_at((header >> 1) as usize * width as usize);
                bytes = rest;
                let bit = |at: u32| u32::from(packed[at as usize / 8] >> (at % 8) & 1);
                let value = |at: u32| (0..width).fold(0, |value, low| value | bit(at * width + low) << low);
                values.extend((0..(header >> 1) as u32 * 8).map(value));
            }
        }
        assert!(bytes.is_empty(), "nothing behind the values");
        values.truncate(count);
        values
    }

    proptest! {
        #[test]
        fn what_is_put_is_read_back(
            width in 0u32..18,
            runs in proptest::collection::vec((any::<u32>(), prop_oneof![1usize..4, 1usize..40, 500usize..600]), 0..60),
        ) {
            let mut bytes = Vec::new();
            let mut hybrid = Hybrid::new(width, &mut bytes);
            let mut values = Vec::new();
            for (value, count) in runs {
                let value = value & ((1u32 << width) - 1);
                hybrid.put(value, count);
                values.extend(std::iter::repeat_n(value, count));
            }
            hybrid.finish();
            prop_assert_eq!(decode(width, values.len(), &bytes), values);
        }
    }

    #[test]
    fn indexes_take_as_few_bits_as_they_can() {
        assert_eq!([0, 1, 2, 3, 4, 5, 256, 257].map(width_of), [0, 0, 1, 2, 2, 3, 8, 9]);
    }
}
