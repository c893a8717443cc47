//! Keeping spans: a RocksDB hot tier, a Parquet cold tier on an object store, and the one [`Reader`] over both.

pub mod error;
pub mod read;
pub mod settings;
pub mod writer;

pub use error::{Error, ErrorKind};
pub use read::{Entry, OperationSummary, Reader, SearchOrder, SearchRequest, SearchResult, ServiceSummary, TraceSummary};
pub use settings::Settings;
pub use writer::Writer;
