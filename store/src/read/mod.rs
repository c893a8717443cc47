//! The one way to ask: hot and cold as a single set of spans, each span once.

pub mod request;

use std::sync::Arc;

use model::Span;
use proto::TraceId;
pub use request::*;

use crate::Error;

/// Asks the store. Cheap to clone; cannot write.
#[derive(Clone)]
pub struct Reader {
    _inner: Arc<()>,
}

impl Reader {
    /// Every span of a trace, each once (of two with the same id the later end wins), by start; empty when unknown.
    ///
    /// # Errors
    /// When a tier cannot be read.
    pub async fn trace(&self, _id: TraceId) -> Result<Vec<Span>, Error> {
        Err(Error::Closing)
    }

    /// The traces that match, in exact order.
    ///
    /// # Errors
    /// When a tier cannot be read.
    pub async fn search(&self, _request: &SearchRequest) -> Result<SearchResult, Error> {
        Err(Error::Closing)
    }

    /// All services, by name.
    ///
    /// # Errors
    /// When a tier cannot be read.
    pub async fn services(&self) -> Result<Vec<ServiceSummary>, Error> {
        Err(Error::Closing)
    }
}
