//! How durations are spread, as changes: the buckets of [`Sketch`], with counts that may be taken back.
//!
//! A trace whose spans arrive in several windows is first counted as far as it is known, and corrected by the window that
//! knows more of it. So a file may count less than nothing in a bucket; added up over all files no bucket does.
//!
//! As bytes: for each bucket with a count, ascending, how far it is from the one before it as a LEB128 varint, and the count as one
//! in zigzag form (0, −1, 1, −2, …).

use std::borrow::Cow;

use super::corrupt;
use crate::rollup::Sketch;
use crate::rollup::sketch::{BUCKETS_MAX, bucket};
use crate::{Error, varint};

/// Spans that wait to be sorted in: looking for the bucket of each in a list that is in no cache was a third of all counting.
const RECENT_MAX: usize = 64;

/// Changes of counts by bucket; few buckets, so a sorted list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spread {
    /// Ascending by bucket; counts that came to 0 are left out when it is written.
    counts: Vec<(u16, i64)>,
    /// Buckets with one more span each, in any order.
    recent: Vec<u16>,
}

impl PartialEq for Spread {
    fn eq(&self, other: &Self) -> bool {
        self.settled() == other.settled()
    }
}

impl Eq for Spread {}

impl Spread {
    /// The spread of one span.
    pub(crate) fn of(duration_nanos: i64) -> Self {
        Self { counts: vec![(bucket_of(duration_nanos), 1)], recent: Vec::new() }
    }

    /// Counts so many more in a bucket.
    pub(crate) fn add(&mut self, bucket: u16, count: i64) {
        if count == 1 {
            self.recent.push(bucket);
            if self.recent.len() >= RECENT_MAX {
                self.settle();
            }
            return;
        }
        match self.counts.binary_search_by_key(&bucket, |(known, _)| *known) {
            Ok(at) => self.counts[at].1 = self.counts[at].1.saturating_add(count),
            Err(at) => self.counts.insert(at, (bucket, count)),
        }
    }

    /// Sorts in what waits.
    fn settle(&mut self) {
        self.recent.sort_unstable();
        let (mut at, known) = (0, self.counts.len());
        for same in self.recent.chunk_by(|one, next| one == next) {
            let (bucket, count) = (same[0], same.len() as i64);
            at += self.counts[at..known].partition_point(|(before, _)| *before < bucket);
            match self.counts[at..known].first_mut().filter(|(found, _)| *found == bucket) {
                Some((_, sum)) => *sum = sum.saturating_add(count),
                None => self.counts.push((bucket, count)),
            }
        }
        if self.counts.len() > known {
            // Two sorted lists, which is what a stable sort is fast at.
            self.counts.sort_by_key(|(bucket, _)| *bucket);
        }
        self.recent.clear();
    }

    /// All counts, ascending by bucket.
    fn settled(&self) -> Cow<'_, [(u16, i64)]> {
        if self.recent.is_empty() {
            return Cow::Borrowed(&self.counts);
        }
        let mut settled = self.clone();
        settled.settle();
        Cow::Owned(settled.counts)
    }

    /// Counts all that `other` has.
    pub(crate) fn merge(&mut self, other: &Self) {
        if self.counts.is_empty() && self.recent.is_empty() {
            self.clone_from(other);
            return;
        }
        for (bucket, count) in &*other.settled() {
            self.add(*bucket, *count);
        }
    }

    /// Counts all that is in `bytes`, which [`Self::to_bytes`] made.
    ///
    /// # Errors
    /// When they are cut off or name a bucket that there is not.
    pub(crate) fn merge_bytes(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        let is_empty = self.counts.is_empty() && self.recent.is_empty();
        let mut bucket = 0usize;
        while !bytes.is_empty() {
            let step = varint::take(&mut bytes).and_then(|step| usize::try_from(step).ok());
            let count = varint::take(&mut bytes).map(unzigzag);
            let (Some(step), Some(count)) = (step, count) else { return Err(corrupt("a sketch is cut off")) };
            bucket = bucket
                .checked_add(step)
                .filter(|bucket| *bucket < BUCKETS_MAX)
                .ok_or_else(|| corrupt("a sketch has a bucket that there is not"))?;
            // What comes first is in order already.
            match self.counts.last_mut().filter(|_| is_empty) {
                Some((last, known)) if usize::from(*last) == bucket => *known = known.saturating_add(count),
                Some(_) => self.counts.push((bucket as u16, count)),
                None if is_empty => self.counts.push((bucket as u16, count)),
                None => self.add(bucket as u16, count),
            }
        }
        Ok(())
    }

    /// As a file keeps it; empty when nothing is counted.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut before = 0;
        for (bucket, count) in self.settled().iter().filter(|(_, count)| *count != 0) {
            varint::put(u64::from(bucket - before), &mut bytes);
            varint::put(zigzag(*count), &mut bytes);
            before = *bucket;
        }
        bytes
    }

    /// Without buckets that came to nothing.
    pub(crate) fn tidy(&mut self) {
        self.settle();
        self.counts.retain(|(_, count)| *count != 0);
    }

    /// Whether all that was counted was taken back.
    pub(crate) fn is_zero(&self) -> bool {
        self.settled().iter().all(|(_, count)| *count == 0)
    }

    /// What is left: as many as were added and not taken back.
    pub(crate) fn to_sketch(&self) -> Sketch {
        let counts = self.settled();
        let left = counts.iter().filter(|(_, count)| *count > 0);
        Sketch::from_buckets(left.map(|(bucket, count)| (usize::from(*bucket), count.unsigned_abs())))
    }

    /// The count of the bucket that a duration falls into.
    pub(crate) fn count_near(&self, duration_nanos: i64) -> i64 {
        let counts = self.settled();
        let found = counts.binary_search_by_key(&bucket_of(duration_nanos), |(known, _)| *known);
        found.map_or(0, |at| counts[at].1)
    }
}

/// The number of a duration's bucket.
pub(crate) fn bucket_of(duration_nanos: i64) -> u16 {
    bucket(duration_nanos) as u16
}

const fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

const fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn changes() -> impl Strategy<Value = Vec<(i64, i64)>> {
        prop::collection::vec((prop_oneof![0i64..3, 0i64..1 << 50, Just(i64::MAX)], -3i64..4), 0..40)
    }

    fn of(changes: &[(i64, i64)]) -> Spread {
        let mut spread = Spread::default();
        changes.iter().for_each(|(duration, count)| spread.add(bucket_of(*duration), *count));
        spread
    }

    proptest! {
        #[test]
        fn merged_and_through_bytes_is_the_same_as_counted_together(one in changes(), other in changes()) {
            let together = of(&[one.clone(), other.clone()].concat());
            let mut merged = of(&one);
            merged.merge(&of(&other));
            prop_assert_eq!(&merged, &together);
            let mut read = Spread::default();
            for part in [&one, &other] {
                read.merge_bytes(&of(part).to_bytes()).expect("what was written");
            }
            prop_assert_eq!(read.to_bytes(), together.to_bytes());
        }

        #[test]
        fn what_is_taken_back_leaves_nothing(changes in changes()) {
            let mut spread = of(&changes);
            let back: Vec<_> = changes.iter().map(|(duration, count)| (*duration, -count)).collect();
            spread.merge(&of(&back));
            prop_assert!(spread.is_zero() && spread.to_bytes().is_empty());
            prop_assert_eq!(spread.to_sketch().count(), 0);
        }
    }

    #[test]
    fn it_has_the_percentiles_of_the_sketch() {
        let mut spread = of(&[(1_000_000, 5), (2_000_000, 5), (7, 3)]);
        spread.add(bucket_of(7), -3);
        let sketch = spread.to_sketch();
        assert_eq!(sketch.count(), 10);
        let median = sketch.quantile_nanos(0.5).expect("not empty");
        assert!((median - 1_000_000).abs() <= 10_000, "{median}");
        assert_eq!((spread.count_near(2_000_000), spread.count_near(7)), (5, 0));
    }

    #[test]
    fn damage_is_told() {
        for bytes in [&[0x80u8][..], &[1], &[0xff, 0xff, 0x7f, 1], &[0xff; 30], &[1, 1, 2]] {
            assert!(Spread::default().merge_bytes(bytes).is_err(), "{bytes:?}");
        }
    }
}
