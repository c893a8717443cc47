//! Key encoding of a window's column family, with its order.

use proto::TraceId;

/// Numbers the batches of one window from 0, in the order in which they became durable.
pub(crate) type BatchNumber = u64;

const BATCH: u8 = b'b';
const TRACE: u8 = b't';

/// Bytes of a trace index key that all batches of one trace share.
pub(crate) const TRACE_PREFIX_LEN: usize = 1 + TraceId::LEN;

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

/// What all index keys of a trace begin with.
pub(crate) fn trace_prefix(trace_id: TraceId) -> [u8; TRACE_PREFIX_LEN] {
    let mut key = [TRACE; TRACE_PREFIX_LEN];
    key[1..].copy_from_slice(trace_id.as_bytes());
    key
}

/// Says that batch `number` has spans of `trace_id`.
pub(crate) fn trace(trace_id: TraceId, number: BatchNumber) -> [u8; TRACE_PREFIX_LEN + 8] {
    let mut key = [0; TRACE_PREFIX_LEN + 8];
    key[..TRACE_PREFIX_LEN].copy_from_slice(&trace_prefix(trace_id));
    key[TRACE_PREFIX_LEN..].copy_from_slice(&number.to_be_bytes());
    key
}

/// The batch number in an index key.
pub(crate) fn parse_trace(key: &[u8]) -> Option<BatchNumber> {
    let number = key.get(TRACE_PREFIX_LEN..)?;
    (key[0] == TRACE).then_some(())?;
    Some(BatchNumber::from_be_bytes(number.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_round_trip_and_keep_order() {
        let id = TraceId::from_bytes(&[7; 16]).expect("not zero");
        assert_eq!(parse_batch(&batch(300)), Some(300));
        assert_eq!(parse_trace(&trace(id, 300)), Some(300));
        assert!(batch(255) < batch(256));
        assert!(trace(id, 255) < trace(id, 256));
        assert!(trace(id, 1).starts_with(&trace_prefix(id)));
        assert_eq!(parse_batch(&trace(id, 1)), None);
        assert_eq!(parse_trace(&batch(1)), None);
    }
}
