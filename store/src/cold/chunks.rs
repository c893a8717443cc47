//! The parts of a file that were fetched, where the Parquet reader expects the whole file.

use bytes::{Buf, Bytes};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// Byte ranges of a file of known length.
#[derive(Debug, Clone)]
pub(crate) struct Chunks {
    file_length: u64,
    parts: Vec<(u64, Bytes)>,
}

impl Chunks {
    /// Parts with the offset of their first byte.
    pub(crate) const fn new(file_length: u64, parts: Vec<(u64, Bytes)>) -> Self {
        Self { file_length, parts }
    }

    fn find(&self, start: u64) -> Result<Bytes> {
        for (offset, bytes) in &self.parts {
            if let Some(within) = start.checked_sub(*offset)
                && within < bytes.len() as u64
            {
                return Ok(bytes.slice(within as usize..));
            }
        }
        Err(ParquetError::General(format!("byte {start} of the block was not fetched")))
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.file_length
    }
}

impl ChunkReader for Chunks {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(self.find(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let bytes = self.find(start)?;
        if bytes.len() < length {
            return Err(ParquetError::General(format!("{length} bytes at {start} of the block were not fetched")));
        }
        Ok(bytes.slice(..length))
    }
}
