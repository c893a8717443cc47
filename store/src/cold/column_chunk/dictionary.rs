//! Numbers the distinct values of a column chunk, if they are few.

use std::hash::{BuildHasher, Hash};
use std::ops::Range;

use arrow::array::Array;
use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::hybrid::width_of;
use super::values::Values;

/// A dictionary with more than this is not written: whoever wants one value has to read all of it.
const BYTES_MAX: usize = 1 << 20;

/// Distinct values up to which a dictionary is small whatever it saves.
const DISTINCT_MIN: usize = 64;

/// The distinct values of a chunk, and which of them each value is. Made once and used for one chunk after the other.
#[derive(Default)]
pub(super) struct Dictionary {
    /// Where each distinct value occurs first, in order.
    pub(super) distinct: Vec<u32>,
    /// For each value its number among `distinct`.
    pub(super) indexes: Vec<u32>,
    /// By the keys of an Arrow dictionary: the number, or [`UNSEEN`].
    of_key: Vec<u32>,
    /// Numbers by the hash of the value.
    known: HashTable<u32>,
    /// Unknown to senders, who could choose values that meet otherwise.
    hasher: RandomState,
    /// Bytes of the distinct values.
    bytes: usize,
}

const UNSEEN: u32 = u32::MAX;

impl Dictionary {
    /// Numbers the values in `runs`, in the order in which they occur. Says whether a dictionary pays; if not, what is here means
    /// nothing.
    pub(super) fn number(&mut self, values: Values<'_>, runs: impl FnOnce(&mut dyn FnMut(Range<usize>))) -> bool {
        self.distinct.clear();
        self.indexes.clear();
        self.known.clear();
        self.bytes = 0;
        let mut pays = true;
        match values {
            Values::Words(keys, texts) => {
                self.of_key.clear();
                self.of_key.resize(texts.len(), UNSEEN);
                runs(&mut |run| run.for_each(|at| self.add_word(values, keys[at] as usize, at)));
                pays = self.bytes <= BYTES_MAX;
            }
            Values::Bits(_) => pays = false,
            Values::Fixed(4, bytes) => {
                let (numbers, _) = bytes.as_chunks::<4>();
                runs(&mut |run| pays = pays && self.add_run(run, &|at| numbers[at], &|_| 4));
            }
            Values::Fixed(8, bytes) => {
                let (numbers, _) = bytes.as_chunks::<8>();
                runs(&mut |run| pays = pays && self.add_run(run, &|at| numbers[at], &|_| 8));
            }
            Values::Fixed(..) | Values::Bytes(..) => {
                runs(&mut |run| pays = pays && self.add_run(run, &|at| values.get(at), &|at| values.length(at)));
            }
        }
        pays && (matches!(values, Values::Words(..)) || self.is_small())
    }

    #[inline]
    fn add_word(&mut self, values: Values<'_>, key: usize, at: usize) {
        let number = &mut self.of_key[key];
        if *number == UNSEEN {
            *number = self.distinct.len() as u32;
            self.distinct.push(at as u32);
            self.bytes += values.length(at);
        }
        self.indexes.push(*number);
    }

    /// Gives up, and says so, as soon as half of the values differ.
    fn add_run<V: Copy + Eq + Hash>(
        &mut self,
        run: Range<usize>,
        value_at: &impl Fn(usize) -> V,
        length_at: &impl Fn(usize) -> usize,
    ) -> bool {
        let mut last: Option<(V, u32)> = None;
        for at in run {
            let value = value_at(at);
            // Values of neighbours are often the same.
            let number = match last {
                Some((known, number)) if known == value => number,
                _ => {
                    let Self { distinct, known, hasher, .. } = self;
                    let of = |number: &u32| value_at(distinct[*number as usize] as usize);
                    let hash = hasher.hash_one(value);
                    if let Some(number) = known.find(hash, |number| of(number) == value) {
                        *number
                    } else {
                        let number = distinct.len() as u32;
                        distinct.push(at as u32);
                        let of = |number: &u32| value_at(distinct[*number as usize] as usize);
                        known.insert_unique(hash, number, |number| hasher.hash_one(of(number)));
                        self.bytes += length_at(at);
                        if self.bytes > BYTES_MAX || !self.is_small_so_far() {
                            return false;
                        }
                        number
                    }
                }
            };
            last = Some((value, number));
            self.indexes.push(number);
        }
        true
    }

    /// Bits of an index. Whole bytes where that is not much more: spans of an operation repeat themselves, which zstd finds by the byte
    /// only, and that saves more than the bits.
    pub(super) fn width(&self) -> u32 {
        match width_of(self.distinct.len()) {
            5..=8 => 8,
            width => width,
        }
    }

    fn is_small(&self) -> bool {
        pays(self.distinct.len(), self.indexes.len())
    }

    /// The first values of a chunk differ more often than the later ones.
    fn is_small_so_far(&self) -> bool {
        self.distinct.len() <= DISTINCT_MIN * 16 || self.is_small()
    }
}

/// Whether a dictionary is worth it: few of the values differ, or at most half of them.
pub(in crate::cold) const fn pays(distinct: usize, values: usize) -> bool {
    distinct <= DISTINCT_MIN || distinct * 2 <= values
}
