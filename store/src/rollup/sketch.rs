//! How durations are spread: a DDSketch, which answers any percentile within one hundredth of the true value, however
//! many sketches went into it.
//!
//! A duration falls into the bucket `floor(ln(nanoseconds) / ln(γ))` with `γ = (1 + α) / (1 − α)`, and any value of a bucket
//! is within `α` of its middle, `γ^bucket · 2γ / (1 + γ)` (Masson, Rim, Lee: "DDSketch", VLDB 2019). Whole nanoseconds up to
//! `i64::MAX` reach 2,184 buckets, so nothing is ever collapsed and merging adds counts, exactly.
//!
//! As bytes: for each bucket that has spans, ascending, how far it is from the one before it and its count, as LEB128
//! varints. Bucket 0 is for durations of 0, bucket `n + 1` the `n` of the formula. One span is three bytes.

use super::corrupt;
use crate::{Error, varint};

/// Percentiles are this close to the true value, relative to it.
pub const RELATIVE_ERROR: f64 = 0.01;

const GAMMA: f64 = (1.0 + RELATIVE_ERROR) / (1.0 - RELATIVE_ERROR);

/// `ln(γ)`; the logarithm is no constant function, so a test holds this against it.
const LN_GAMMA: f64 = 0.020_000_666_706_669_435;

/// Buckets there can be: those up to `i64::MAX` nanoseconds, the one for 0, and one for what floating point rounds up.
pub(crate) const BUCKETS_MAX: usize = 2_186;

/// Counts of durations by bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sketch {
    /// Number of the first bucket in `counts`.
    first: usize,
    counts: Vec<u64>,
}

impl Sketch {
    /// Counts a duration; a negative one as 0.
    pub fn add(&mut self, duration_nanos: i64) {
        *self.count_of(bucket(duration_nanos)) += 1;
    }

    /// From numbers of buckets and their counts.
    pub(crate) fn from_buckets(buckets: impl Iterator<Item = (usize, u64)>) -> Self {
        let mut sketch = Self::default();
        for (bucket, count) in buckets {
            *sketch.count_of(bucket) += count;
        }
        sketch
    }

    /// What was counted, ascending: the middle of each bucket in nanoseconds, and how many durations it has.
    pub fn spread(&self) -> impl Iterator<Item = (i64, u64)> {
        self.buckets().map(|(bucket, count)| (middle_nanos(bucket), count))
    }

    /// Counts all that `other` has.
    pub fn merge(&mut self, other: &Self) {
        // From the far end first, so that room is made once.
        for (bucket, count) in other.buckets().rev() {
            *self.count_of(bucket) += count;
        }
    }

    /// Counts all that is in `bytes`, which [`Self::to_bytes`] made.
    pub(crate) fn merge_bytes(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        let mut bucket = 0usize;
        while !bytes.is_empty() {
            let (step, count) =
                varint::take(&mut bytes).zip(varint::take(&mut bytes)).ok_or_else(|| corrupt("a sketch is cut off"))?;
            bucket = usize::try_from(step)
                .ok()
                .and_then(|step| bucket.checked_add(step))
                .filter(|bucket| *bucket < BUCKETS_MAX)
                .ok_or_else(|| corrupt("a sketch has a bucket that there is not"))?;
            let known = self.count_of(bucket);
            *known = known.checked_add(count).ok_or_else(|| corrupt("a sketch counts too much"))?;
        }
        Ok(())
    }

    /// As a rollup keeps it.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut before = 0;
        for (bucket, count) in self.buckets() {
            varint::put((bucket - before) as u64, &mut bytes);
            varint::put(count, &mut bytes);
            before = bucket;
        }
        bytes
    }

    /// Durations counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The duration, in nanoseconds, that is at least as long as the share `quantile` (0 to 1) of all: within
    /// [`RELATIVE_ERROR`] of the element with the number `floor(quantile · (count − 1))`, from 0, in ascending order.
    /// `None` when nothing was counted.
    #[must_use]
    pub fn quantile_nanos(&self, quantile: f64) -> Option<i64> {
        let last = self.count().checked_sub(1)?;
        let rank = (quantile.clamp(0.0, 1.0) * last as f64) as u64;
        let mut passed = 0;
        let found = self.buckets().find(|(_, count)| {
            passed = count.saturating_add(passed);
            passed > rank
        });
        found.or_else(|| self.buckets().next_back()).map(|(bucket, _)| middle_nanos(bucket))
    }

    /// Buckets with spans, ascending.
    fn buckets(&self) -> impl DoubleEndedIterator<Item = (usize, u64)> {
        let all = self.counts.iter().enumerate().map(|(at, count)| (self.first + at, *count));
        all.filter(|(_, count)| *count > 0)
    }

    fn count_of(&mut self, bucket: usize) -> &mut u64 {
        if self.counts.is_empty() {
            self.first = bucket;
        }
        if bucket < self.first {
            let missing = self.first - bucket;
            self.counts.splice(0..0, std::iter::repeat_n(0, missing));
            self.first = bucket;
        }
        let at = bucket - self.first;
        if at >= self.counts.len() {
            self.counts.resize(at + 1, 0);
        }
        &mut self.counts[at]
    }
}

/// The number of the bucket that a duration falls into.
pub(crate) fn bucket(duration_nanos: i64) -> usize {
    if duration_nanos <= 0 {
        return 0;
    }
    // 1 is the shortest, so the logarithm is never negative.
    (((duration_nanos as f64).ln() / LN_GAMMA) as usize + 1).min(BUCKETS_MAX - 1)
}

fn middle_nanos(bucket: usize) -> i64 {
    match bucket.checked_sub(1) {
        None => 0,
        Some(power) => (GAMMA.powi(power as i32) * (2.0 * GAMMA / (1.0 + GAMMA))).round() as i64,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(durations: &[i64]) -> Sketch {
        let mut sketch = Sketch::default();
        durations.iter().for_each(|duration| sketch.add(*duration));
        sketch
    }

    fn close(found: i64, expected: i64) -> bool {
        (found - expected).abs() as f64 <= expected as f64 * RELATIVE_ERROR + 0.5
    }

    /// As spans last: short and long alike, 0 and less, and the longest that can be told.
    fn duration() -> impl Strategy<Value = i64> {
        prop_oneof![
            8 => (0u32..62, any::<u32>()).prop_map(|(bits, low)| (1i64 << bits) + i64::from(low) % (1i64 << bits)),
            1 => Just(0),
            1 => -5i64..0,
            1 => Just(i64::MAX),
        ]
    }

    proptest! {
        #[test]
        fn percentiles_are_within_the_stated_error(mut durations in prop::collection::vec(duration(), 1..400)) {
            let sketch = of(&durations);
            durations.iter_mut().for_each(|duration| *duration = (*duration).max(0));
            durations.sort_unstable();
            for quantile in [0.0, 0.5, 0.9, 0.95, 0.99, 1.0] {
                let expected = durations[(quantile * (durations.len() - 1) as f64) as usize];
                let found = sketch.quantile_nanos(quantile).expect("not empty");
                prop_assert!(close(found, expected), "{} is {} and not {}", quantile, found, expected);
            }
        }

        #[test]
        fn agrees_with_the_library_of_the_paper(durations in prop::collection::vec(1i64..1 << 50, 1..400)) {
            let sketch = of(&durations);
            let mut theirs = sketches_ddsketch::DDSketch::default();
            durations.iter().for_each(|duration| theirs.add(*duration as f64));
            for quantile in [0.1, 0.5, 0.9, 0.99] {
                let expected = theirs.quantile(quantile).expect("a share").expect("not empty");
                let found = sketch.quantile_nanos(quantile).expect("not empty");
                prop_assert!((found as f64 - expected).abs() <= 1.0 + expected * 1e-9, "{} is {} and not {}", quantile, found, expected);
            }
        }

        #[test]
        fn merged_is_the_same_as_counted_together(
            one in prop::collection::vec(duration(), 0..50),
            other in prop::collection::vec(duration(), 0..50),
        ) {
            let together = of(&[one.clone(), other.clone()].concat());
            let mut merged = of(&one);
            merged.merge(&of(&other));
            let mut from_bytes = Sketch::default();
            for part in [&one, &other] {
                from_bytes.merge_bytes(&of(part).to_bytes()).expect("what was written");
            }
            prop_assert_eq!(merged.to_bytes(), together.to_bytes());
            prop_assert_eq!(from_bytes.to_bytes(), together.to_bytes());
            prop_assert_eq!(together.count(), (one.len() + other.len()) as u64);
        }
    }

    #[test]
    fn the_constant_is_that_of_the_formula() {
        assert_eq!(LN_GAMMA.to_bits(), GAMMA.ln().to_bits());
        assert!(bucket(i64::MAX) < BUCKETS_MAX);
        assert_eq!((bucket(-1), bucket(0), bucket(1)), (0, 0, 1));
    }

    #[test]
    fn one_span_is_three_bytes_and_none_is_nothing() {
        assert_eq!(of(&[83_000_000]).to_bytes().len(), 3);
        assert_eq!((Sketch::default().to_bytes().len(), Sketch::default().quantile_nanos(0.5)), (0, None));
    }

    #[test]
    fn damage_is_told() {
        for bytes in [&[0x80u8][..], &[1], &[0xff, 0xff, 0x7f, 1], &[0xff; 30], &[1, 1, 2]] {
            assert!(Sketch::default().merge_bytes(bytes).is_err(), "{bytes:?}");
        }
        let most = [&[1][..], &[0xff; 9], &[1]].concat();
        let mut sketch = of(&[1]);
        assert!(sketch.merge_bytes(&most).is_err());
    }
}
