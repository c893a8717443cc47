//! What can go wrong in the store: one rich enum inside, a few kinds outside that tell the caller what to do.

use std::time::Duration;

use crate::pressure::{Limit, Overload};

/// What the caller should do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Slow down: a named limit is reached; send again after the given time.
    Overloaded {
        /// The least time to wait.
        retry_after: Duration,
    },
    /// Try again soon: closing, starting, or the object store does not answer.
    Unavailable,
    /// Call the operator: data on disk or in the object store is not what was written, or a background write failed.
    Broken,
}

/// Merges that remove deleted traces take minutes.
const DELETES_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Any failure of the store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A limit of [`crate::Settings`] is reached, or so near that these spans are refused for others.
    #[error(transparent)]
    Overloaded(#[from] Overload),
    /// More traces are deleted and not yet physically gone than a node keeps account of.
    #[error("{used} traces are deleted and not yet gone from all blocks, at most {allowed} may be: wait for merges")]
    TooManyDeletes {
        /// With those that were to be deleted.
        used: u64,
        /// What a node keeps.
        allowed: u64,
    },
    /// A write found no space on the disk; it is not known to be done, and all goes on when there is space again.
    #[error("no space is left on the disk: {0}; free some")]
    DiskFull(String),
    /// The store is closing and takes no more writes.
    #[error("the store is shutting down")]
    Closing,
    /// A background write failed earlier, so nothing may be acknowledged any more.
    #[error("the store stopped accepting spans after a failed write: {0}; repair the cause and restart")]
    Poisoned(String),
    /// RocksDB refused.
    #[error("hot tier: {0}")]
    Hot(rocksdb::Error),
    /// The object store refused or did not answer.
    #[error("object store: {0}")]
    Cold(std::sync::Arc<object_store::Error>),
    /// A block could not be written or read.
    #[error("block: {0}")]
    Block(String),
    /// Something on disk or in the object store is not what this version writes.
    #[error("{what} is not readable: {why}")]
    Corrupt {
        /// Which file, key or object.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// The file system refused.
    #[error("{what}: {why}")]
    Io {
        /// What was tried.
        what: String,
        /// The system's answer.
        why: String,
    },
}

impl Error {
    /// What the caller should do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Overloaded(overload) => ErrorKind::Overloaded { retry_after: overload.retry_after() },
            Self::TooManyDeletes { .. } => ErrorKind::Overloaded { retry_after: DELETES_RETRY_AFTER },
            Self::DiskFull(_) => ErrorKind::Overloaded { retry_after: Limit::DiskFree.retry_after() },
            Self::Closing | Self::Cold(_) => ErrorKind::Unavailable,
            Self::Poisoned(_) | Self::Hot(_) | Self::Block(_) | Self::Corrupt { .. } | Self::Io { .. } => {
                ErrorKind::Broken
            }
        }
    }
}

/// What the C library says of `ENOSPC`, and RocksDB of an error that it knows to be that.
const NO_SPACE: &str = "No space left on device";

impl Error {
    /// The file system refused `what`.
    pub(crate) fn io(what: String, error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull => Self::DiskFull(what),
            _ => Self::Io { what, why: error.to_string() },
        }
    }

    /// Whether the same can succeed later without anybody repairing anything here.
    pub(crate) const fn passes_by_itself(&self) -> bool {
        matches!(self, Self::Cold(_) | Self::DiskFull(_))
    }
}

impl From<rocksdb::Error> for Error {
    fn from(error: rocksdb::Error) -> Self {
        let text: &str = error.as_ref();
        if text.contains(NO_SPACE) { Self::DiskFull(text.to_owned()) } else { Self::Hot(error) }
    }
}

impl From<object_store::Error> for Error {
    fn from(error: object_store::Error) -> Self {
        Self::Cold(std::sync::Arc::new(error))
    }
}

impl From<parquet::errors::ParquetError> for Error {
    fn from(error: parquet::errors::ParquetError) -> Self {
        Self::Block(error.to_string())
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Block(error.to_string())
    }
}
