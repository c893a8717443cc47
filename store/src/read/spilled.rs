//! Searches windows that wait on disk only, batch by batch: a search holds one batch of them and what it found, never a
//! window.

use std::collections::HashSet;
use std::sync::Arc;

use foldhash::fast::RandomState;
use model::StatusCode;
use proto::{TraceId, view};

use super::SearchRequest;
use super::fold::{Conditions, Folded, Row, fold};
use crate::cold::catalog::Catalog;
use crate::hot::{SpilledWindow, index, lookup};
use crate::window::Columns;
use crate::{Error, convert};

/// Whether the window may have a span that starts in the asked time.
pub(super) fn overlaps(window: &SpilledWindow, request: &SearchRequest) -> bool {
    window.start_min < request.end.as_i64() && request.start.as_i64() <= window.start_max
}

/// Folds all traces of a window.
pub(super) async fn search(window: &Arc<SpilledWindow>, request: &SearchRequest) -> Result<Folded, Error> {
    let (window, request) = (Arc::clone(window), request.clone());
    on_its_own(move || {
        let mut folding = Folding::new(&request);
        lookup::all_batches(&window.hot, |_, batch| {
            folding.add(&batch, |_| true);
            Ok(())
        })?;
        Ok(folding.folded)
    })
    .await
}

/// Folds the traces of a window that `ids` names; `None` when it has none of them.
pub(super) async fn search_traces(
    window: &Arc<SpilledWindow>,
    request: &SearchRequest,
    ids: &[TraceId],
) -> Result<Option<Folded>, Error> {
    let (window, request, ids) = (Arc::clone(window), request.clone(), ids.to_vec());
    on_its_own(move || {
        let Some(filter) = window.hot.filter() else { return Ok(None) };
        let mut numbers = Vec::new();
        for id in &ids {
            numbers.extend(index::batches_of(&window.hot, filter, *id)?);
        }
        if numbers.is_empty() {
            return Ok(None);
        }
        numbers.sort_unstable();
        numbers.dedup();
        let wanted: HashSet<TraceId, RandomState> = ids.into_iter().collect();
        let mut folding = Folding::new(&request);
        for number in numbers {
            for batch in lookup::batches(&window.hot, &[number])? {
                folding.add(&batch, |id| wanted.contains(&id));
            }
        }
        Ok(Some(folding.folded))
    })
    .await
}

/// Which services and span names the windows have.
pub(super) async fn catalog(windows: &[Arc<SpilledWindow>]) -> Result<Catalog, Error> {
    let windows = windows.to_vec();
    on_its_own(move || {
        let mut catalog = Catalog::default();
        for window in windows {
            catalog.merge(&window.catalog()?);
        }
        Ok(catalog)
    })
    .await
}

/// Reads and decompresses where no connection waits for it.
async fn on_its_own<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    let read = tokio::task::spawn_blocking(work).await;
    read.map_err(|error| Error::Block(format!("reading the hot tier: {error}")))?
}

struct Folding {
    folded: Folded,
    conditions: Conditions,
}

impl Folding {
    fn new(request: &SearchRequest) -> Self {
        let mut folded = Folded::default();
        // The texts that are looked for get their numbers before any batch has them.
        for text in [&request.service, &request.name].into_iter().flatten() {
            folded.texts.intern(text.as_str());
        }
        let conditions = Conditions::new(request, |text| folded.texts.find(text));
        Self { folded, conditions }
    }

    fn add(&mut self, batch: &[u8], wanted: impl Fn(TraceId) -> bool) {
        let Self { folded: Folded { fragments, texts, .. }, conditions } = self;
        for resource_spans in view::resource_spans(batch) {
            let service = texts.intern(convert::resource(&resource_spans).service());
            for span in resource_spans.scope_spans().flat_map(|scope_spans| scope_spans.spans()) {
                if !wanted(span.trace_id) {
                    continue;
                }
                let row = Row {
                    trace_id: span.trace_id,
                    start: span.start.as_i64(),
                    end: span.end.as_i64(),
                    service,
                    name: texts.intern(span.name),
                    is_error: StatusCode::from_wire(span.status_code) == StatusCode::Error,
                    is_root: Columns::is_root(span.trace_id, span.parent_span_id),
                };
                fold(fragments, &row, conditions);
            }
        }
    }
}
