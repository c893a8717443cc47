//! Key encoding of a group's column family, with its order: what all its windows need, then window by window, of each its
//! batches first.

use super::db::WindowId;
use super::dictionary::DictionaryId;

/// Numbers the batches of one window from 0, in the order in which they became durable.
pub(crate) type BatchNumber = u64;

/// No window has it: what belongs to all windows of a group has it in its keys.
const ALL_WINDOWS: WindowId = 0;

const BATCH: u8 = b'b';
const DICTIONARY: u8 = b'd';
const FILTER: u8 = b'f';
const PAGE: u8 = b'i';
const SUMMARY: u8 = b's';

/// Where a dictionary of a group's batches lies, see [`super::dictionary`].
pub(crate) fn dictionary(id: DictionaryId) -> [u8; 17] {
    numbered(ALL_WINDOWS, DICTIONARY, id)
}

/// What the keys of the oldest window there can be begin with.
pub(crate) const fn first_window() -> [u8; 8] {
    window(ALL_WINDOWS + 1)
}

/// What all keys of a window begin with.
pub(crate) const fn window(id: WindowId) -> [u8; 8] {
    id.to_be_bytes()
}

/// The window that a key belongs to.
pub(crate) fn parse_window(key: &[u8]) -> Option<WindowId> {
    key.first_chunk().map(|id| WindowId::from_be_bytes(*id))
}

/// Where a batch lies.
pub(crate) fn batch(id: WindowId, number: BatchNumber) -> [u8; 17] {
    numbered(id, BATCH, number)
}

/// The keys of all batches of a window lie between these: the first one, and what comes after the last.
pub(crate) fn batches(id: WindowId) -> (Vec<u8>, Vec<u8>) {
    (of_kind(id, BATCH).to_vec(), of_kind(id, BATCH + 1).to_vec())
}

/// The number in a batch key; `None` for any other key.
pub(crate) fn parse_batch(key: &[u8]) -> Option<BatchNumber> {
    let (_, rest) = key.split_first_chunk::<8>()?;
    let (&kind, number) = rest.split_first()?;
    (kind == BATCH).then_some(())?;
    Some(BatchNumber::from_be_bytes(number.try_into().ok()?))
}

/// Where the filter of a window's index lies, see [`super::index`].
pub(crate) fn filter(id: WindowId) -> [u8; 9] {
    of_kind(id, FILTER)
}

/// Where a page of a window's index lies.
pub(crate) fn page(id: WindowId, number: u32) -> [u8; 13] {
    let mut key = [PAGE; 13];
    key[..8].copy_from_slice(&window(id));
    key[9..].copy_from_slice(&number.to_be_bytes());
    key
}

/// Where lies what is known of a spilled window, see [`super::spilled`].
pub(crate) fn summary(id: WindowId) -> [u8; 9] {
    of_kind(id, SUMMARY)
}

fn numbered(id: WindowId, kind: u8, number: u64) -> [u8; 17] {
    let mut key = [kind; 17];
    key[..8].copy_from_slice(&window(id));
    key[9..].copy_from_slice(&number.to_be_bytes());
    key
}

fn of_kind(id: WindowId, kind: u8) -> [u8; 9] {
    let mut key = [kind; 9];
    key[..8].copy_from_slice(&window(id));
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_round_trip_and_keep_order() {
        assert_eq!(parse_batch(&batch(9, 300)), Some(300));
        assert_eq!(parse_window(&batch(9, 300)), Some(9));
        assert!(batch(1, 255) < batch(1, 256));
        assert!(page(1, 255) < page(1, 256));
        let (from, to) = batches(1);
        assert!(from[..] <= batch(1, 0)[..] && batch(1, u64::MAX)[..] < to[..]);
        for other in [&filter(1)[..], &summary(1), &page(1, 0), &batch(2, 0)] {
            assert!(to[..] <= *other);
        }
        assert!(summary(255)[..] < batch(256, 0)[..]);
        assert!(dictionary(u64::MAX)[..] < first_window()[..]);
        assert!(first_window()[..] < batch(1, 0)[..]);
        assert_eq!(parse_batch(&page(1, 1)), None);
        assert_eq!(parse_batch(&filter(1)), None);
        assert_eq!(parse_window(b"short"), None);
    }
}
