//! How one batch is kept: `version byte, zstd frame of the ExportTraceServiceRequest`.

use crate::Error;

const VERSION_ZSTD: u8 = 1;

/// zstd's fastest standard level: 2.1 to 2.6 million spans per CPU-second, and three times fewer bytes to sync.
const ZSTD_LEVEL: i32 = 1;

/// Largest batch that is read back: far above what ingest accepts, so that a damaged length cannot ask for all memory.
const BATCH_BYTES_MAX: u64 = 1 << 30;

/// Compresses the bytes of a request.
pub(crate) fn encode(request: &[u8]) -> Result<Vec<u8>, Error> {
    let mut value = vec![0; 1 + zstd::zstd_safe::compress_bound(request.len())];
    value[0] = VERSION_ZSTD;
    let length = zstd::bulk::compress_to_buffer(request, &mut value[1..], ZSTD_LEVEL)
        .map_err(|error| Error::Block(format!("compressing a batch: {error}")))?;
    value.truncate(1 + length);
    value.shrink_to_fit();
    Ok(value)
}

/// The bytes of a request.
pub(crate) fn decode(value: &[u8]) -> Result<Vec<u8>, Error> {
    let corrupt = |why: String| Error::Corrupt { what: "a batch of the hot tier".to_owned(), why };
    let Some((&VERSION_ZSTD, frame)) = value.split_first() else {
        return Err(corrupt(format!("unknown version {:?}, this program reads {VERSION_ZSTD}", value.first())));
    };
    // Compressing in one piece writes the size into the frame.
    let Ok(Some(length)) = zstd::zstd_safe::get_frame_content_size(frame) else {
        return Err(corrupt("it does not begin with a zstd frame that tells its size".to_owned()));
    };
    if length > BATCH_BYTES_MAX {
        return Err(corrupt(format!("it claims {length} bytes")));
    }
    zstd::bulk::decompress(frame, length as usize).map_err(|error| corrupt(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_round_trip() {
        for bytes in [vec![], vec![7; 100_000], b"short".to_vec()] {
            assert_eq!(decode(&encode(&bytes).expect("compresses")).expect("decompresses"), bytes);
        }
    }

    #[test]
    fn damage_is_told() {
        let mut value = encode(&[7; 1000]).expect("compresses");
        value.truncate(value.len() - 2);
        assert!(matches!(decode(&value), Err(Error::Corrupt { .. })));
        assert!(matches!(decode(&[9, 1, 2]), Err(Error::Corrupt { .. })));
        assert!(matches!(decode(&[]), Err(Error::Corrupt { .. })));
    }
}
