//! Parquet's hybrid of run-length encoding and bit packing, for definition levels and dictionary indexes. Write only.
//!
//! Source: <https://parquet.apache.org/docs/file-format/data-pages/encodings/>, "Run Length Encoding / Bit-Packing Hybrid".

use crate::varint;

/// Bit-packed values come in groups of this many.
const GROUP: usize = 8;

/// Values of one bit-packed run at most.
const PACKED_MAX: usize = 512 * GROUP;

/// A repeated value gets a run of its own from so many packed bits on: each run has a header, and so has what is packed behind it.
const RUN_BITS_MIN: usize = 32;

/// Encodes values of at most `width` bits.
pub(super) struct Hybrid<'a> {
    width: u32,
    out: &'a mut Vec<u8>,
    /// Not yet written, and not worth a run: the first `packed_count` of these.
    packed: [u32; PACKED_MAX],
    packed_count: usize,
    /// The last value, and how often it came one after the other.
    run: (u32, usize),
}

impl<'a> Hybrid<'a> {
    /// Appends to `out`.
    pub(super) fn new(width: u32, out: &'a mut Vec<u8>) -> Self {
        Self { width, out, packed: [0; PACKED_MAX], packed_count: 0, run: (0, 0) }
    }

    /// Adds `value`, `count` times.
    #[inline]
    pub(super) fn put(&mut self, value: u32, count: usize) {
        if value == self.run.0 {
            self.run.1 += count;
            return;
        }
        if self.run.1 == 1 && self.packed_count < PACKED_MAX - 1 {
            self.packed[self.packed_count] = self.run.0;
            self.packed_count += 1;
        } else {
            self.end_run();
        }
        self.run = (value, count);
    }

    /// Writes what is left.
    pub(super) fn finish(mut self) {
        self.end_run();
        // Readers know how many values there are.
        self.fill_group(0);
        self.write_packed();
    }

    fn end_run(&mut self) {
        let (value, mut count) = self.run;
        // Only the last packed run may end within a group.
        let to_fill = self.packed_count.next_multiple_of(GROUP) - self.packed_count;
        let run_min = GROUP.max(RUN_BITS_MIN / self.width.max(1) as usize);
        if count >= to_fill + run_min {
            self.fill_group(value);
            count -= to_fill;
            self.write_packed();
            put_run(value, count, self.width, self.out);
            return;
        }
        for _ in 0..count {
            self.packed[self.packed_count] = value;
            self.packed_count += 1;
            if self.packed_count == PACKED_MAX {
                self.write_packed();
            }
        }
    }

    fn fill_group(&mut self, value: u32) {
        let end = self.packed_count.next_multiple_of(GROUP);
        self.packed[self.packed_count..end].fill(value);
        self.packed_count = end;
    }

    /// Writes whole groups.
    fn write_packed(&mut self) {
        let packed = &self.packed[..self.packed_count];
        if packed.is_empty() {
            return;
        }
        put_packed_header(packed.len() / GROUP, self.out);
        let (mut bits, mut filled) = (0u64, 0);
        for value in packed {
            bits |= u64::from(*value) << filled;
            filled += self.width;
            if filled >= u32::BITS {
                self.out.extend_from_slice(&(bits as u32).to_le_bytes());
                bits >>= u32::BITS;
                filled -= u32::BITS;
            }
        }
        self.out.extend_from_slice(&bits.to_le_bytes()[..filled.div_ceil(u8::BITS) as usize]);
        self.packed_count = 0;
    }
}

/// Appends the first `count` of `bits`, the lowest of each byte first, as values of one bit.
pub(super) fn put_bits(bits: &[u8], count: usize, out: &mut Vec<u8>) {
    let put_packed = |bytes: &[u8], out: &mut Vec<u8>| {
        if !bytes.is_empty() {
            put_packed_header(bytes.len(), out);
            out.extend_from_slice(bytes);
        }
    };
    let (mut packed_from, mut at) = (0, 0);
    while at < bits.len() {
        let byte = bits[at];
        let end = bits[at..].iter().position(|other| *other != byte).map_or(bits.len(), |length| at + length);
        if (byte == 0 || byte == u8::MAX) && (end - at) * GROUP >= RUN_BITS_MIN {
            put_packed(&bits[packed_from..at], out);
            put_run(u32::from(byte & 1), (end * GROUP).min(count) - at * GROUP, 1, out);
            packed_from = end;
        }
        at = end;
    }
    put_packed(&bits[packed_from..], out);
}

fn put_run(value: u32, count: usize, width: u32, out: &mut Vec<u8>) {
    varint::put((count as u64) << 1, out);
    out.extend_from_slice(&value.to_le_bytes()[..width.div_ceil(8) as usize]);
}

fn put_packed_header(groups: usize, out: &mut Vec<u8>) {
    varint::put(groups as u64 * 2 + 1, out);
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

    proptest! {
        #[test]
        fn bits_are_read_back(
            runs in proptest::collection::vec((any::<u8>(), prop_oneof![Just(1usize), 1usize..9]), 0..60),
            is_even in any::<bool>(),
            cut in 0usize..8,
        ) {
            let all = |byte: u8| if is_even { if byte < 128 { 0 } else { u8::MAX } } else { byte };
            let bits: Vec<u8> = runs.into_iter().flat_map(|(byte, count)| std::iter::repeat_n(all(byte), count)).collect();
            let count = (bits.len() * 8).saturating_sub(cut);
            let mut bytes = Vec::new();
            put_bits(&bits, count, &mut bytes);
            let expected: Vec<u32> = (0..count).map(|at| u32::from(bits[at / 8] >> (at % 8) & 1)).collect();
            prop_assert_eq!(decode(1, count, &bytes), expected);
        }
    }

    #[test]
    fn indexes_take_as_few_bits_as_they_can() {
        assert_eq!([0, 1, 2, 3, 4, 5, 256, 257].map(width_of), [0, 0, 1, 2, 2, 3, 8, 9]);
    }
}
