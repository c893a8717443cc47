//! How one batch is kept: `version byte, zstd frame of the ExportTraceServiceRequest`.

use std::cell::RefCell;

use crate::Error;

const VERSION_ZSTD: u8 = 1;

/// zstd's fastest standard level: OTLP repeats itself so much that it leaves a fraction of the bytes to sync.
const ZSTD_LEVEL: i32 = 1;

/// Largest batch that is read back: far above what ingest accepts, so that a damaged length cannot ask for all memory.
const BATCH_BYTES_MAX: u64 = 1 << 30;

/// Most scratch memory that a thread keeps between batches.
const SCRATCH_BYTES_MAX: usize = 1 << 20;

/// zstd's working memory is larger than most batches, so each thread keeps its own instead of making it anew.
struct Codec {
    compressor: zstd::bulk::Compressor<'static>,
    decompressor: zstd::bulk::Decompressor<'static>,
    scratch: Vec<u8>,
}

thread_local! {
    static CODEC: RefCell<Option<Codec>> = const { RefCell::new(None) };
}

fn with_codec<T>(work: impl FnOnce(&mut Codec) -> std::io::Result<T>) -> std::io::Result<T> {
    CODEC.with_borrow_mut(|codec| {
        if codec.is_none() {
            *codec = Some(Codec {
                compressor: zstd::bulk::Compressor::new(ZSTD_LEVEL)?,
                decompressor: zstd::bulk::Decompressor::new()?,
                scratch: Vec::new(),
            });
        }
        match codec {
            Some(codec) => work(codec),
            None => Err(std::io::ErrorKind::OutOfMemory.into()),
        }
    })
}

/// Compresses the bytes of a request.
pub(crate) fn encode(request: &[u8]) -> Result<Vec<u8>, Error> {
    let encoded = with_codec(|codec| {
        codec.scratch.resize(zstd::zstd_safe::compress_bound(request.len()), 0);
        let length = codec.compressor.compress_to_buffer(request, &mut codec.scratch[..])?;
        let mut value = Vec::with_capacity(1 + length);
        value.push(VERSION_ZSTD);
        value.extend_from_slice(&codec.scratch[..length]);
        codec.scratch.truncate(SCRATCH_BYTES_MAX);
        codec.scratch.shrink_to(SCRATCH_BYTES_MAX);
        Ok(value)
    });
    encoded.map_err(|error| Error::Block(format!("compressing a batch: {error}")))
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
    with_codec(|codec| codec.decompressor.decompress(frame, length as usize))
        .map_err(|error| corrupt(error.to_string()))
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
