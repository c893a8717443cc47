//! Reads the sources of a search: windows in memory, blocks through their search columns.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use model::StatusCode;
use proto::TraceId;

use super::fold::{Conditions, Folded, Row, fold};
use super::{SearchRequest, Shared};
use crate::Error;
use crate::cold::decode::{self, Words};
use crate::cold::{BlockEntry, reader, schema};
use crate::window::{Columns, LiveWindow};

/// Folds all traces of a window, or only those that `wanted` names.
pub(super) fn window(live: &LiveWindow, request: &SearchRequest, wanted: Option<&dyn Fn(TraceId) -> bool>) -> Folded {
    let columns = live.read();
    let mut folded = Folded::default();
    // The window's texts go on growing; the answer keeps those that it names.
    let mut own = vec![None; columns.texts.len()];
    let conditions = Conditions::new(request, |text| columns.texts.find(text));
    for row in 0..columns.len() {
        let trace_id = columns.traces.id_of_row(row);
        if wanted.is_some_and(|wanted| !wanted(trace_id)) {
            continue;
        }
        let row = window_row(&columns, row);
        fold(&mut folded.fragments, &row, &conditions);
    }
    let mut translate =
        |text: u32| *own[text as usize].get_or_insert_with(|| folded.texts.intern(columns.texts.get(text)));
    for fragment in folded.fragments.values_mut() {
        for named in fragment.root.iter_mut().chain([&mut fragment.first]) {
            named.service = translate(named.service);
            named.name = translate(named.name);
        }
        for service in &mut fragment.services {
            *service = translate(*service);
        }
    }
    folded
}

fn window_row(columns: &Columns, row: usize) -> Row {
    let trace_id = columns.traces.id_of_row(row);
    Row {
        trace_id,
        start: columns.start[row],
        end: columns.end[row],
        service: columns.resources[columns.resource[row] as usize].service,
        name: columns.name[row],
        is_error: columns.status[row] == StatusCode::Error.to_wire() as u8,
        is_root: Columns::is_root(trace_id, columns.parent_span_id[row]),
    }
}

impl Shared {
    /// Folds all traces of a block, or only those that `wanted` names.
    pub(super) async fn block(
        &self,
        block: &Arc<BlockEntry>,
        request: &SearchRequest,
        wanted: Option<&(dyn Fn(TraceId) -> bool + Sync)>,
    ) -> Result<Folded, Error> {
        let footer = self.indexes.footer(block).await?;
        let mut folded = Folded { spans_are_unique: true, ..Folded::default() };
        for batch in reader::search_columns(&self.objects, block, footer).await? {
            fold_batch(&mut folded, &batch, request, wanted)?;
        }
        Ok(folded)
    }
}

fn fold_batch(
    folded: &mut Folded,
    batch: &RecordBatch,
    request: &SearchRequest,
    wanted: Option<&(dyn Fn(TraceId) -> bool + Sync)>,
) -> Result<(), Error> {
    let ids = decode::binary(batch, schema::TRACE_ID)?;
    let parents = decode::binary(batch, schema::PARENT_SPAN_ID)?;
    let parent_rows = decode::column(batch, schema::PARENT_ROW_DISTANCE)?;
    let trace_starts = decode::int64(batch, schema::TRACE_START)?;
    let offsets = decode::int64(batch, schema::START_OFFSET)?;
    let durations = decode::int64(batch, schema::DURATION)?;
    let services = Words::new(batch, schema::SERVICE)?;
    let names = Words::new(batch, schema::NAME)?;
    let statuses = Words::new(batch, schema::STATUS)?;

    let service_texts: Vec<_> = services.distinct().map(|text| folded.texts.intern(text)).collect();
    let name_texts: Vec<_> = names.distinct().map(|text| folded.texts.intern(text)).collect();
    let error_keys: Vec<_> = statuses.distinct().map(|text| text == StatusCode::Error.name()).collect();
    let conditions = Conditions::new(request, |text| folded.texts.find(text));
    for row in 0..batch.num_rows() {
        let trace_id = decode::id(ids.value(row), TraceId::from_bytes)?;
        if wanted.is_some_and(|wanted| !wanted(trace_id)) {
            continue;
        }
        let start = trace_starts.value(row) + offsets.value(row);
        let has_no_parent =
            parent_rows.is_null(row) && (parents.is_null(row) || parents.value(row) == &trace_id.as_bytes()[8..]);
        let row = Row {
            trace_id,
            start,
            end: start + durations.value(row),
            service: service_texts[services.key(row)],
            name: name_texts[names.key(row)],
            is_error: error_keys[statuses.key(row)],
            is_root: has_no_parent,
        };
        fold(&mut folded.fragments, &row, &conditions);
    }
    Ok(())
}
