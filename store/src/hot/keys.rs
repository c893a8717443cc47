//! Key encoding of a window's column family, with its order.

/// Numbers the batches of one window from 0, in the order in which they became durable.
pub(crate) type BatchNumber = u64;

const BATCH: u8 = b'b';
const PAGE: u8 = b'i';

/// The filter of a window's index, see [`super::index`].
pub(crate) const FILTER: [u8; 1] = *b"f";

/// What is known of a spilled window, see [`super::spilled`].
pub(crate) const SUMMARY: [u8; 1] = *b"s";

/// Where a batch lies.
pub(crate) fn batch(number: BatchNumber) -> [u8; 9] {
    let mut key = [BATCH; 9];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}

/// The number in a batch key; `None` for any other key.
pub(crate) fn parse_batch(key: &[u8]) -> Option<BatchNumber> {
    let (&kind, number) = key.split_first()?;
    (kind == BATCH).then_some(())?;
    Some(BatchNumber::from_be_bytes(number.try_into().ok()?))
}

/// Where a page of a window's index lies.
pub(crate) fn page(number: u32) -> [u8; 5] {
    let mut key = [PAGE; 5];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_round_trip_and_keep_order() {
        assert_eq!(parse_batch(&batch(300)), Some(300));
        assert!(batch(255) < batch(256));
        assert!(page(255) < page(256));
        // Batches come first: who reads all of them stops at the first other key.
        assert!(batch(u64::MAX)[..] < FILTER[..]);
        assert!(batch(u64::MAX)[..] < SUMMARY[..]);
        assert!(batch(u64::MAX)[..] < page(0)[..]);
        assert_eq!(parse_batch(&page(1)), None);
        assert_eq!(parse_batch(&FILTER), None);
    }
}
