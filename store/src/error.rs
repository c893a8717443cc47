//! What can go wrong in the store: one rich enum inside, a few kinds outside that tell the caller what to do.

use std::time::Duration;

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

/// Any failure of the store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A limit of [`crate::Settings`] is reached.
    #[error("{limit} is reached ({used} of {allowed}): wait, or raise the limit")]
    Overloaded {
        /// The setting's name.
        limit: &'static str,
        /// What is in use.
        used: u64,
        /// What the setting allows.
        allowed: u64,
    },
    /// The store is closing and takes no more writes.
    #[error("the store is shutting down")]
    Closing,
    /// A background write failed earlier, so nothing may be acknowledged any more.
    #[error("the store stopped accepting spans after a failed write: {0}; repair the cause and restart")]
    Poisoned(String),
    /// RocksDB refused.
    #[error("hot tier: {0}")]
    Hot(#[from] rocksdb::Error),
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
            Self::Overloaded { .. } => ErrorKind::Overloaded { retry_after: Duration::from_secs(1) },
            Self::Closing | Self::Cold(_) => ErrorKind::Unavailable,
            Self::Poisoned(_) | Self::Hot(_) | Self::Block(_) | Self::Corrupt { .. } | Self::Io { .. } => {
                ErrorKind::Broken
            }
        }
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
