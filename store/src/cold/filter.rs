//! Which traces a block or a window has, in about 25 bits per trace: one fingerprint each, sorted, in buckets.
//!
//! Answers "certainly not" or "almost certainly, and it is number *n* in the order of fingerprints". An absent trace
//! passes by mistake once in half a million, so that a thousand blocks can be asked and none be read in vain. A Bloom
//! filter of that precision takes as much memory, touches more of it, and numbers nothing.
//!
//! **Layout** (little-endian): `keys: u32`, `buckets: u32`, the end of each bucket as `u32` counted in keys, then three
//! bytes per key. A trace id is hashed to 64 bits ([`hash`]); `hash × buckets` has the bucket in its upper 64 bits and
//! the fingerprint in the next 24, so both keep the order of the hashes.
//!
//! The bytes are what is kept on disk and in blocks; they are used as they are.

use std::ops::RangeInclusive;

use bytes::Bytes;
use proto::TraceId;

use crate::Error;

/// Keys per bucket on average: a lookup compares half a cache line's worth, and a bucket's end costs one bit per key.
const KEYS_PER_BUCKET: usize = 32;

const HEADER_BYTES: usize = 8;
const END_BYTES: usize = 4;
const FINGERPRINT_BYTES: usize = 3;
/// Bits of the product of hash and buckets below the fingerprint.
const FINGERPRINT_SHIFT: u32 = 64 - 8 * FINGERPRINT_BYTES as u32;

/// Fingerprints of a set of trace ids. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct TraceFilter {
    keys: usize,
    buckets: usize,
    bytes: Bytes,
}

/// Spreads a trace id over 64 bits, evenly even where senders count ids up: the finaliser of SplitMix64 (Steele, Lea,
/// Flood: "Fast splittable pseudorandom number generators", 2014) over both halves. Part of the format: never changes.
pub(crate) fn hash(trace_id: TraceId) -> u64 {
    let bytes = trace_id.as_bytes();
    let (mut high, mut low) = ([0; 8], [0; 8]);
    high.copy_from_slice(&bytes[..8]);
    low.copy_from_slice(&bytes[8..]);
    mix(mix(u64::from_be_bytes(high)).wrapping_add(u64::from_be_bytes(low)))
}

const fn mix(mut value: u64) -> u64 {
    value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

impl TraceFilter {
    /// From the hashes of distinct traces, sorted.
    pub(crate) fn new(hashes: &[u64]) -> Self {
        debug_assert!(hashes.is_sorted(), "fingerprints keep the order of the hashes");
        let buckets = hashes.len().div_ceil(KEYS_PER_BUCKET).max(1);
        let size = HEADER_BYTES + buckets * END_BYTES + hashes.len() * FINGERPRINT_BYTES;
        let mut bytes = Vec::with_capacity(size);
        bytes.extend_from_slice(&(hashes.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&(buckets as u32).to_le_bytes());
        let mut end = 0;
        for bucket in 0..buckets {
            while hashes.get(end).is_some_and(|hash| place(*hash, buckets).0 == bucket) {
                end += 1;
            }
            bytes.extend_from_slice(&(end as u32).to_le_bytes());
        }
        for hash in hashes {
            bytes.extend_from_slice(&place(*hash, buckets).1);
        }
        Self { keys: hashes.len(), buckets, bytes: bytes.into() }
    }

    /// Takes what [`Self::as_bytes`] gave.
    ///
    /// # Errors
    /// When the bytes do not have the length that they claim, or a bucket ends out of reach.
    pub(crate) fn parse(bytes: Bytes) -> Result<Self, Error> {
        let corrupt = |why: &str| Error::Corrupt { what: "a trace filter".to_owned(), why: why.to_owned() };
        let word = |at: usize| bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map(u32::from_le_bytes);
        let (Some(keys), Some(buckets)) = (word(0), word(4)) else { return Err(corrupt("its header is cut off")) };
        let (keys, buckets) = (keys as usize, buckets as usize);
        let size = HEADER_BYTES as u64 + buckets as u64 * END_BYTES as u64 + keys as u64 * FINGERPRINT_BYTES as u64;
        if bytes.len() as u64 != size || buckets == 0 {
            return Err(corrupt("it is not as long as it says"));
        }
        let filter = Self { keys, buckets, bytes };
        let ends: Vec<usize> = (0..buckets).map(|bucket| filter.end(bucket)).collect();
        if !ends.is_sorted() || ends.last() != Some(&keys) {
            return Err(corrupt("its buckets are out of order"));
        }
        Ok(filter)
    }

    /// The bytes to keep.
    pub(crate) const fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Traces in it.
    pub(crate) const fn len(&self) -> usize {
        self.keys
    }

    /// The numbers that a trace with this hash may have; empty when it is not in the set.
    pub(crate) fn find(&self, hash: u64) -> impl Iterator<Item = usize> + use<'_> {
        let (bucket, wanted) = place(hash, self.buckets);
        let start = if bucket == 0 { 0 } else { self.end(bucket - 1) };
        let first = HEADER_BYTES + self.buckets * END_BYTES;
        let of_bucket = &self.bytes[first + start * FINGERPRINT_BYTES..first + self.end(bucket) * FINGERPRINT_BYTES];
        let numbered = of_bucket.chunks_exact(FINGERPRINT_BYTES).enumerate();
        numbered.filter(move |(_, fingerprint)| *fingerprint == wanted).map(move |(at, _)| start + at)
    }

    /// Whether a trace with this hash may be in the set.
    pub(crate) fn may_have(&self, hash: u64) -> bool {
        self.find(hash).next().is_some()
    }

    /// For each trace in the set the upper halves that its hash may have: one or two in a large set, up to 256 in a small one.
    pub(crate) fn upper_halves(&self) -> impl Iterator<Item = RangeInclusive<u32>> + use<'_> {
        let first = HEADER_BYTES + self.buckets * END_BYTES;
        let mut begin = 0;
        (0..self.buckets).flat_map(move |bucket| {
            let of_bucket = begin..self.end(bucket);
            begin = of_bucket.end;
            of_bucket.map(move |key| {
                let at = first + key * FINGERPRINT_BYTES;
                let fingerprint =
                    self.bytes[at..at + FINGERPRINT_BYTES].iter().fold(0, |all, byte| all << 8 | u128::from(*byte));
                let product = (bucket as u128) << 64 | fingerprint << FINGERPRINT_SHIFT;
                let least = product.div_ceil(self.buckets as u128);
                let most = (product + (1 << FINGERPRINT_SHIFT) - 1) / self.buckets as u128;
                (least >> 32) as u32..=(most >> 32) as u32
            })
        })
    }

    fn end(&self, bucket: usize) -> usize {
        let at = HEADER_BYTES + bucket * END_BYTES;
        let mut word = [0; 4];
        word.copy_from_slice(&self.bytes[at..at + 4]);
        u32::from_le_bytes(word) as usize
    }
}

/// Bucket and fingerprint of a hash.
fn place(hash: u64, buckets: usize) -> (usize, [u8; FINGERPRINT_BYTES]) {
    let product = u128::from(hash) * buckets as u128;
    let [a, b, c, ..] = (product as u64).to_be_bytes();
    ((product >> 64) as usize, [a, b, c])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> TraceId {
        // Ids that count up: the worst that senders do.
        let mut bytes = [0; 16];
        bytes[8..].copy_from_slice(&(number + 1).to_be_bytes());
        TraceId::from_bytes(&bytes).expect("not zero")
    }

    fn filter(numbers: std::ops::Range<u64>) -> (TraceFilter, Vec<u64>) {
        let mut hashes: Vec<u64> = numbers.map(|number| hash(id(number))).collect();
        hashes.sort_unstable();
        (TraceFilter::new(&hashes), hashes)
    }

    #[test]
    fn every_trace_is_found_under_its_number() {
        for count in [0, 1, 31, 32, 33, 5_000] {
            let (filter, hashes) = filter(0..count);
            let filter = TraceFilter::parse(filter.as_bytes().clone()).expect("what was written");
            assert_eq!(filter.len(), count as usize);
            for (number, hash) in hashes.iter().enumerate() {
                assert!(filter.find(*hash).any(|found| found == number));
            }
        }
    }

    #[test]
    fn the_upper_half_of_each_hash_is_told() {
        for count in [1, 31, 33, 5_000, 100_000] {
            let (filter, hashes) = filter(0..count);
            let told: Vec<_> = filter.upper_halves().collect();
            assert_eq!(told.len(), hashes.len());
            for (hash, range) in hashes.iter().zip(&told) {
                assert!(range.contains(&((hash >> 32) as u32)), "{hash:x} is not in {range:x?}");
            }
            let most = told.iter().map(|range| range.end() - range.start()).max().expect("traces");
            assert!(u64::from(most) <= 256 / count.div_ceil(32) + 1, "{most} of {count}");
        }
    }

    #[test]
    fn absent_traces_pass_once_in_many_thousands() {
        let (filter, _) = filter(0..20_000);
        let passed = (1_000_000..2_000_000).filter(|number| filter.may_have(hash(id(*number)))).count();
        // 32 / 2^24 of a million: about 2.
        assert!(passed < 20, "{passed} of a million");
        let bits = filter.as_bytes().len() * 8 / filter.len();
        assert!(bits <= 25, "{bits} bits per trace");
    }

    #[test]
    fn damage_is_told() {
        let (filter, _) = filter(0..100);
        let good = filter.as_bytes();
        let mut wrong_end = good.to_vec();
        wrong_end[HEADER_BYTES + 3] = 0xff;
        for bytes in [Bytes::new(), good.slice(..good.len() - 1), good.slice(1..), wrong_end.into()] {
            assert!(matches!(TraceFilter::parse(bytes), Err(Error::Corrupt { .. })));
        }
    }
}
