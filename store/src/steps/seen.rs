//! Which traces were in windows that are not in memory any more: by mistake some others too, never one too few.
//!
//! Nearly every trace of a window is asked for and is in no other, so this must cost nanoseconds: Bloom filters whose bits for one trace lie
//! in one cache line (Putze, Sanders, Singler: "Cache-, Hash- and Space-Efficient Bloom Filters", 2007), one for each
//! [`TRACES_PER_GENERATION`] traces. The oldest is forgotten when there are [`GENERATIONS_MAX`].
//!
//! Knows a trace by the upper half of [`filter::hash`], because that is what the filter of a window gives back after a restart.

use std::collections::VecDeque;

use proto::TraceId;

use crate::cold::filter::{self, TraceFilter};
use crate::hot::db::WindowId;

/// Traces of one filter.
const TRACES_PER_GENERATION: usize = 1 << 19;

/// Filters at most: four million traces in 6 MB, which at two thousand a second is half an hour.
const GENERATIONS_MAX: usize = 8;

/// Bits per trace: one in some hundreds passes by mistake.
const BITS_PER_TRACE: usize = 12;

/// Bits that are set for one trace.
const BITS_SET: u32 = 5;

/// Words of 64 bits in one cache line, and what tells a bit in it.
const LINE_WORDS: usize = 8;
const LINE_BITS: u32 = 9;

/// Traces of consecutive windows.
struct Generation {
    windows: (WindowId, WindowId),
    /// Unix nanoseconds: all of them had been received by then.
    until: i64,
    traces: usize,
    lines: Vec<[u64; LINE_WORDS]>,
}

impl Generation {
    fn new(window: WindowId) -> Self {
        let lines = (TRACES_PER_GENERATION * BITS_PER_TRACE).div_ceil(LINE_WORDS * 64);
        Self { windows: (window, window), until: i64::MIN, traces: 0, lines: vec![[0; LINE_WORDS]; lines] }
    }

    fn insert(&mut self, key: u32) {
        let line = self.line(key);
        for (word, bit) in bits(key) {
            self.lines[line][word] |= bit;
        }
        self.traces += 1;
    }

    fn may_have(&self, key: u32) -> bool {
        let line = &self.lines[self.line(key)];
        bits(key).all(|(word, bit)| line[word] & bit != 0)
    }

    fn line(&self, key: u32) -> usize {
        ((u64::from(key) * self.lines.len() as u64) >> 32) as usize
    }
}

/// The bits of a trace in its line.
fn bits(key: u32) -> impl Iterator<Item = (usize, u64)> {
    // The line is told by the upper bits of the key; multiplying mixes the lower ones in (Knuth, "Fibonacci hashing").
    let mixed = (u64::from(key) ^ 0x5bd1_e995).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..BITS_SET).map(move |at| {
        let bit = (mixed >> (64 - LINE_BITS * (at + 1))) as usize & ((1 << LINE_BITS) - 1);
        (bit / 64, 1 << (bit % 64))
    })
}

/// Windows that nothing is known of any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Forgotten {
    /// Up to this one.
    pub(super) through: WindowId,
    /// Unix nanoseconds: all of them had been received by then.
    pub(super) until: i64,
}

/// Traces of earlier windows.
#[derive(Default)]
pub(super) struct Seen {
    generations: VecDeque<Generation>,
    forgotten: Option<Forgotten>,
}

impl Seen {
    /// Adds the traces of a window, later than all before, which had been received `by` then.
    pub(super) fn add(&mut self, window: WindowId, traces: impl Iterator<Item = TraceId>, by: i64) {
        let keys = traces.map(|trace| key(filter::hash(trace)));
        self.add_keys(window, keys, by);
    }

    /// Adds a window whose filter is all that is known of it.
    pub(super) fn add_filter(&mut self, window: WindowId, filter: &TraceFilter, by: i64) {
        self.add_keys(window, filter.upper_halves().flatten(), by);
    }

    fn add_keys(&mut self, window: WindowId, keys: impl Iterator<Item = u32>, by: i64) {
        if self.generations.back().is_none_or(|last| last.traces >= TRACES_PER_GENERATION) {
            if self.generations.len() >= GENERATIONS_MAX
                && let Some(oldest) = self.generations.pop_front()
            {
                self.forget(oldest.windows.1, oldest.until);
            }
            self.generations.push_back(Generation::new(window));
        }
        // There is one now.
        let Some(generation) = self.generations.back_mut() else { return };
        keys.for_each(|key| generation.insert(key));
        generation.windows.1 = window;
        generation.until = generation.until.max(by);
    }

    /// Nothing is known of the windows up to `through`, which had been received by `until`.
    pub(super) fn forget(&mut self, through: WindowId, until: i64) {
        let known = self.forgotten.get_or_insert(Forgotten { through, until });
        known.through = known.through.max(through);
        known.until = known.until.max(until);
    }

    /// See [`Forgotten`].
    pub(super) const fn forgotten(&self) -> Option<Forgotten> {
        self.forgotten
    }

    /// First and last window of each group of windows that may have a trace.
    pub(super) fn windows_of(&self, trace: TraceId) -> impl Iterator<Item = (WindowId, WindowId)> + use<'_> {
        let key = key(filter::hash(trace));
        let may_have = move |generation: &&Generation| generation.may_have(key);
        self.generations.iter().filter(may_have).map(|generation| generation.windows)
    }
}

const fn key(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> TraceId {
        TraceId::from_bytes(&(u128::from(number) + 1).to_be_bytes()).expect("not zero")
    }

    #[test]
    fn traces_are_found_again_and_few_others() {
        let mut seen = Seen::default();
        for window in 1..=10u64 {
            seen.add(window, (window * 100_000..(window + 1) * 100_000).map(id), window as i64);
        }
        for (trace, window) in [(100_000, 1), (550_000, 5), (1_099_999, 10)] {
            assert!(seen.windows_of(id(trace)).any(|(first, last)| first <= window && window <= last));
        }
        let wrong = (5_000_000..5_100_000).filter(|trace| seen.windows_of(id(*trace)).next().is_some()).count();
        assert!(wrong < 1_500, "{wrong} of 100,000");
        assert_eq!(seen.forgotten(), None);
    }

    #[test]
    fn what_the_filter_of_a_window_tells_is_enough() {
        let mut hashes: Vec<u64> = (0..1_000).map(|trace| filter::hash(id(trace))).collect();
        hashes.sort_unstable();
        let mut seen = Seen::default();
        seen.add_filter(7, &TraceFilter::new(&hashes), 0);
        assert!((0..1_000).all(|trace| seen.windows_of(id(trace)).eq([(7, 7)])));
        let wrong = (1_000..101_000).filter(|trace| seen.windows_of(id(*trace)).next().is_some()).count();
        assert!(wrong < 100, "{wrong} of 100,000");
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut seen = Seen::default();
        let windows = GENERATIONS_MAX as u64 + 2;
        for window in 1..=windows {
            let first = window << 32;
            seen.add(window, (first..first + TRACES_PER_GENERATION as u64).map(id), window as i64 * 10);
        }
        assert_eq!(seen.forgotten(), Some(Forgotten { through: 2, until: 20 }));
        assert!(seen.windows_of(id((1 << 32) + 5)).all(|(first, _)| first > 2));
        assert!(seen.windows_of(id((3 << 32) + 5)).any(|windows| windows == (3, 3)));
    }
}
