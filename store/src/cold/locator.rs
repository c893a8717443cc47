//! Which row groups of a block may have a trace: the part of a block's index that every lookup asks, and nothing else.
//!
//! **Layout**, between the last row group and Parquet's footer (little-endian): the magic `SHL1`, `row_groups: u32`, the first and last trace
//! id of each row group (16 bytes each), then the filter as [`super::filter`] has it.

use std::ops::Range;

use bytes::{Buf, BufMut, Bytes};
use parquet::bloom_filter::Sbbf;
use proto::TraceId;

use super::filter::{self, TraceFilter};
use crate::Error;

const MAGIC: &[u8; 4] = b"SHL1";

/// Parquet's Bloom filters come in blocks of 256 bits.
const BLOOM_BLOCK_BYTES: usize = 32;

/// Finds row groups by trace id.
pub(crate) struct Locator {
    /// First and last trace of each row group.
    row_groups: Vec<(TraceId, TraceId)>,
    filter: Filter,
}

enum Filter {
    Fingerprints(TraceFilter),
    /// Blocks of format version 1 have Parquet's Bloom filters, one per row group.
    Bloom(Vec<Option<Sbbf>>),
}

impl Locator {
    /// From the first and last trace of each row group, and the fingerprints of all traces.
    pub(crate) const fn new(row_groups: Vec<(TraceId, TraceId)>, filter: TraceFilter) -> Self {
        Self { row_groups, filter: Filter::Fingerprints(filter) }
    }

    /// For a block of format version 1.
    pub(crate) fn of_version_1(row_groups: Vec<(TraceId, TraceId)>, filters: Vec<Option<Sbbf>>) -> Self {
        Self { row_groups, filter: Filter::Bloom(filters) }
    }

    /// What a block keeps.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.put_slice(MAGIC);
        bytes.put_u32_le(self.row_groups.len() as u32);
        for (first, last) in &self.row_groups {
            bytes.put_slice(first.as_bytes());
            bytes.put_slice(last.as_bytes());
        }
        if let Filter::Fingerprints(filter) = &self.filter {
            bytes.put_slice(filter.as_bytes());
        }
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// When the bytes are not that.
    pub(crate) fn parse(mut bytes: Bytes) -> Result<Self, Error> {
        let corrupt = |why: &str| Error::Corrupt { what: "a block's locator".to_owned(), why: why.to_owned() };
        if bytes.len() < 8 || &bytes.split_to(4)[..] != MAGIC {
            return Err(corrupt("it does not begin with its magic"));
        }
        let count = bytes.get_u32_le() as usize;
        if (bytes.len() as u64) < count as u64 * 32 {
            return Err(corrupt("it is cut off"));
        }
        let mut id = || TraceId::from_bytes(&bytes.split_to(TraceId::LEN)).map_err(|_| corrupt("a trace id is zero"));
        let row_groups = (0..count).map(|_| Ok((id()?, id()?))).collect::<Result<Vec<_>, Error>>()?;
        Ok(Self::new(row_groups, TraceFilter::parse(bytes)?))
    }

    /// The row groups that may have spans of a trace: consecutive, usually none or one.
    pub(crate) fn row_groups_of(&self, trace_id: TraceId) -> Range<usize> {
        if let Filter::Fingerprints(filter) = &self.filter
            && !filter.may_have(filter::hash(trace_id))
        {
            return 0..0;
        }
        let first = self.row_groups.partition_point(|(_, last)| *last < trace_id);
        let last = self.row_groups.partition_point(|(first, _)| *first <= trace_id);
        match &self.filter {
            Filter::Fingerprints(_) => first..last.max(first),
            Filter::Bloom(filters) => {
                let passes = |at: &usize| filters[*at].as_ref().is_none_or(|it| it.check(&trace_id.as_bytes()[..]));
                let passing: Vec<usize> = (first..last).filter(passes).collect();
                passing.first().zip(passing.last()).map_or(0..0, |(first, last)| *first..last + 1)
            }
        }
    }

    /// Memory it takes, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let filter = match &self.filter {
            Filter::Fingerprints(filter) => filter.as_bytes().len(),
            Filter::Bloom(filters) => {
                filters.iter().flatten().map(|filter| filter.num_blocks() * BLOOM_BLOCK_BYTES).sum()
            }
        };
        size_of::<Self>() + self.row_groups.len() * size_of::<(TraceId, TraceId)>() + filter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> TraceId {
        TraceId::from_bytes(&[number; 16]).expect("not zero")
    }

    fn locator() -> Locator {
        // Trace 9 begins in the first row group and ends in the second.
        let mut hashes: Vec<u64> = [1, 5, 9, 20].into_iter().map(|number| filter::hash(id(number))).collect();
        hashes.sort_unstable();
        Locator::new(vec![(id(1), id(9)), (id(9), id(9)), (id(20), id(20))], TraceFilter::new(&hashes))
    }

    #[test]
    fn names_the_row_groups_of_a_trace() {
        let locator = Locator::parse(locator().to_bytes().into()).expect("what was written");
        assert_eq!(locator.row_groups_of(id(5)), 0..1);
        assert_eq!(locator.row_groups_of(id(9)), 0..2);
        assert_eq!(locator.row_groups_of(id(20)), 2..3);
        assert!(locator.row_groups_of(id(6)).is_empty());
        assert!(locator.row_groups_of(id(77)).is_empty());
    }

    #[test]
    fn damage_is_told() {
        let good = Bytes::from(locator().to_bytes());
        for bytes in [Bytes::new(), good.slice(1..), good.slice(..20), good.slice(..good.len() - 1)] {
            assert!(matches!(Locator::parse(bytes), Err(Error::Corrupt { .. })));
        }
    }
}
