//! Spans back from the columns of a window, for who follows what comes: an order of magnitude cheaper than decompressing the
//! batches that have them.
//!
//! As complete as a block is: of several values of one key those of one type come together. Answers to people are read from batches,
//! which have everything as it was sent.

use std::sync::Arc;

use hashbrown::HashMap;
use model::{Event, KeyValue, Link, Resource, Scope, Span, SpanKind, StatusCode, Value};
use proto::UnixNanos;

use super::Columns;
use super::intern::TextId;
use super::sparse::Sparse;
use super::traces::TraceNumber;
use crate::cold::decode::{SharedJson, sorted_attributes};
use crate::{Error, convert, json};

impl Columns {
    /// The spans of a trace, in order of arrival.
    pub(crate) fn spans_of(&self, trace: TraceNumber) -> Result<Vec<Span>, Error> {
        let mut rows: Vec<u32> = self.traces.rows(trace).collect();
        rows.reverse();
        let mut shared = Shared::default();
        let mut spans = Vec::with_capacity(rows.len());
        for row in &rows {
            spans.push(self.bare_span(*row as usize, &mut shared)?);
        }
        let text = |id: TextId| self.texts.get(id).to_owned();
        each_of(&self.trace_state, &rows, |at, id| spans[at].trace_state = text(*id));
        each_of(&self.status_message, &rows, |at, id| spans[at].status_message = text(*id));
        each_of(&self.dropped_attributes_count, &rows, |at, count| spans[at].dropped_attributes_count = *count);
        each_of(&self.dropped_events_count, &rows, |at, count| spans[at].dropped_events_count = *count);
        each_of(&self.dropped_links_count, &rows, |at, count| spans[at].dropped_links_count = *count);
        self.add_attributes(&rows, &mut spans)?;
        let (mut events, mut links) = (Vec::new(), Vec::new());
        each_of(&self.events, &rows, |at, event| events.push((at, event)));
        for (at, event) in events {
            spans[at].events.push(Event {
                time: UnixNanos::from_i64(event.time_unix_nano),
                name: text(event.name),
                attributes: sorted_attributes(self.texts.get(event.attributes))?,
                dropped_attributes_count: event.dropped_attributes_count,
            });
        }
        each_of(&self.links, &rows, |at, link| links.push((at, link)));
        for (at, link) in links {
            spans[at].links.push(Link {
                trace_id: link.trace_id.to_vec(),
                span_id: link.span_id.to_vec(),
                trace_state: text(link.trace_state),
                attributes: sorted_attributes(self.texts.get(link.attributes))?,
                dropped_attributes_count: link.dropped_attributes_count,
                flags: link.flags,
            });
        }
        Ok(spans)
    }

    /// What every span has.
    fn bare_span(&self, row: usize, shared: &mut Shared) -> Result<Span, Error> {
        let (resource, scope) = (self.resources[self.resource[row] as usize].json, self.scope[row]);
        let json = |id| SharedJson::parse(self.texts.get(id));
        Ok(Span {
            trace_id: self.traces.id_of_row(row),
            span_id: self.span_id[row],
            parent_span_id: self.parent_span_id[row],
            trace_state: String::new(),
            flags: self.flags[row],
            name: self.texts.get(self.name[row]).to_owned(),
            kind: SpanKind::from_wire(i32::from(self.kind[row])),
            start: UnixNanos::from_i64(self.start[row]),
            end: UnixNanos::from_i64(self.end[row]),
            status: StatusCode::from_wire(i32::from(self.status[row])),
            status_message: String::new(),
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: Vec::new(),
            dropped_events_count: 0,
            links: Vec::new(),
            dropped_links_count: 0,
            resource: read_once(&mut shared.resources, resource, || json(resource)?.into_resource())?,
            scope: read_once(&mut shared.scopes, scope, || json(scope)?.into_scope())?,
        })
    }

    fn add_attributes(&self, rows: &[u32], spans: &mut [Span]) -> Result<(), Error> {
        let text = |id: TextId| self.texts.get(id);
        let mut in_json = Vec::new();
        for (key, column) in self.attributes.keys.iter().zip(&self.attributes.columns) {
            let key = text(*key);
            let mut add = |at: usize, value| spans[at].attributes.push(KeyValue { key: key.to_owned(), value });
            each_of(&column.strings, rows, |at, id| add(at, Value::String(text(*id).to_owned())));
            each_of(&column.ints, rows, |at, number| add(at, Value::Int(*number)));
            each_of(&column.doubles, rows, |at, number| add(at, Value::Double(*number)));
            each_of(&column.bools, rows, |at, flag| add(at, Value::Bool(*flag)));
            each_of(&column.others, rows, |at, id| in_json.push((at, key, *id)));
        }
        each_of(&self.attributes.overflow, rows, |at, (key, id)| in_json.push((at, text(*key), *id)));
        for (at, key, id) in in_json {
            spans[at].attributes.push(KeyValue { key: key.to_owned(), value: json::parse_value(text(id))? });
        }
        spans.iter_mut().for_each(|span| convert::sort_attributes(&mut span.attributes));
        Ok(())
    }
}

/// Resources and scopes, each read once, by the number of their JSON.
#[derive(Default)]
struct Shared {
    resources: HashMap<TextId, Arc<Resource>>,
    scopes: HashMap<TextId, Arc<Scope>>,
}

fn read_once<T>(
    known: &mut HashMap<TextId, Arc<T>>,
    id: TextId,
    read: impl FnOnce() -> Result<T, Error>,
) -> Result<Arc<T>, Error> {
    if let Some(known) = known.get(&id) {
        return Ok(Arc::clone(known));
    }
    let value = Arc::new(read()?);
    known.insert(id, Arc::clone(&value));
    Ok(value)
}

/// Calls `each` with the values of `rows`, which ascend, and the place of their row among those.
fn each_of<'a, T>(column: &'a Sparse<T>, rows: &[u32], mut each: impl FnMut(usize, &'a T)) {
    let Some(first) = rows.first() else { return };
    let mut next = first_of(&column.rows, *first);
    for (at, row) in rows.iter().enumerate() {
        next += passed(&column.rows[next..], *row);
        while column.rows.get(next) == Some(row) {
            each(at, &column.values[next]);
            next += 1;
        }
    }
}

/// How many of `known` are below `row`. Most columns have about as many values in each stretch of rows, so that is begun with.
fn first_of(known: &[u32], row: u32) -> usize {
    let Some(last) = known.last().filter(|last| **last >= row) else { return known.len() };
    let guess = (known.len() as u64 * u64::from(row) / (u64::from(*last) + 1)) as usize;
    let (mut from, mut reach) = (guess, 1);
    while from > 0 && known[from - 1] >= row {
        from = guess.saturating_sub(reach);
        reach *= 2;
    }
    from + passed(&known[from..], row)
}

/// How many of `known` are below `row`; the rows of a trace mostly follow one another, so it is mostly few.
fn passed(known: &[u32], row: u32) -> usize {
    let mut reach = 1;
    while known.get(reach - 1).is_some_and(|known| *known < row) {
        reach *= 2;
    }
    known[..reach.min(known.len())].partition_point(|known| *known < row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::tests::{plain_span, request, rich_span};

    #[test]
    fn spans_come_back_as_a_request_has_them() {
        let mixed = vec![rich_span(1), plain_span(2, 1, 0, 5, 10), plain_span(1, 7, 1, 3, 4), rich_span(3)];
        let request = request("api", mixed);
        let mut columns = Columns::default();
        columns.push_request(&request, 0);
        for (trace_id, number) in columns.traces.ids().iter().zip(0..) {
            let mut sent = Vec::new();
            convert::spans_of_trace(request.bytes(), *trace_id, &mut sent);
            assert_eq!(columns.spans_of(number).expect("valid"), sent);
        }
    }
}
