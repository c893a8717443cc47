//! Turns a sealed window into a block: order, columns, Parquet bytes.
//!
//! 1. Order the rows by trace, then start; of rows with the same span keep the one that ends last.
//! 2. Express parents as row distances and starts as offsets from their trace's first start.
//! 3. Give each frequent attribute key a typed column; write the others as JSON.
//! 4. Write row groups of [`schema::ROW_GROUP_ROWS`] rows ([`super::writer`]).
//!
//! A pure function of the window; does no I/O.

use std::cmp::Reverse;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, UInt32Array,
};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, Schema};
use model::{SpanKind, StatusCode};
use proto::TraceId;

use super::build::{self, Order, Spread, TextColumn, TextColumns};
use super::catalog::Catalog;
use super::schema;
use super::sieve::Sieve;
use super::writer::{BlockWriter, Effort, EncodedBlock};
use crate::Error;
use crate::window::Columns;
use crate::window::attributes::AttributeColumn;
use crate::window::intern::TextId;

/// Attribute keys that may get a column of their own in one block, the most frequent first. Each costs about 100 bytes
/// of footer per row group.
pub(crate) const ATTRIBUTE_COLUMNS_MAX: usize = 128;

/// A key gets a column when at least one row in this many has it.
const ATTRIBUTE_COLUMN_SHARE: usize = 100;

/// Longest key that gets a column.
const ATTRIBUTE_COLUMN_NAME_BYTES_MAX: usize = 128;

/// The order of a window's rows in its block: each span once.
pub(crate) fn order(window: &Columns) -> Order {
    Order::new(sorted_rows(window), window.len())
}

/// Encodes the rows of `window` that are in `order` and that `sieve` leaves; `None` when there are none.
pub(crate) fn encode(window: &Columns, order: &Order, sieve: &mut dyn Sieve) -> Result<Option<EncodedBlock>, Error> {
    if order.len() == 0 {
        return Ok(None);
    }
    let mut table =
        Table { window, order, texts: TextColumns::new(&window.texts), columns: Vec::new(), plain: Vec::new() };
    table.spans()?;
    table.attributes()?;
    let Table { columns, plain, .. } = table;

    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?;
    // Whatever is counted or rolled up is so from the whole window: before this, or from `window`.
    let batch = match sieve.sift(&batch)? {
        Some(stays) => filter_record_batch(&batch, &stays)?,
        None => batch,
    };
    let mut writer = BlockWriter::new(batch.schema_ref(), &plain, Effort::Offload)?;
    for offset in (0..batch.num_rows()).step_by(schema::ROW_GROUP_ROWS) {
        writer.write(&batch.slice(offset, schema::ROW_GROUP_ROWS.min(batch.num_rows() - offset)))?;
    }
    writer.finish()
}

/// The window's rows by trace, start and span, without those whose span has another row that ends later.
fn sorted_rows(window: &Columns) -> Vec<u32> {
    let mut traces: Vec<(TraceId, u32)> = window.traces.ids().iter().copied().zip(0..).collect();
    traces.sort_unstable();
    let mut rows = Vec::with_capacity(window.len());
    let (mut of_trace, mut by_span, mut dropped) = (Vec::new(), Vec::new(), Vec::new());
    for (_, trace) in traces {
        of_trace.clear();
        of_trace.extend(window.traces.rows(trace).map(|row| {
            let at = row as usize;
            (window.start[at], window.span_id[at], Reverse(window.end[at]), row)
        }));
        of_trace.sort_unstable();
        by_span.clear();
        by_span.extend(of_trace.iter().map(|(_, span_id, end, row)| (*span_id, *end, *row)));
        by_span.sort_unstable();
        dropped.clear();
        for same in by_span.chunk_by(|a, b| a.0 == b.0) {
            dropped.extend(same[1..].iter().map(|(_, _, row)| *row));
        }
        dropped.sort_unstable();
        let kept = of_trace.iter().map(|(_, _, _, row)| *row).filter(|row| dropped.binary_search(row).is_err());
        rows.extend(kept);
    }
    rows
}

/// The columns of a block as they are made.
struct Table<'a> {
    window: &'a Columns,
    order: &'a Order,
    texts: TextColumns<'a>,
    columns: Vec<(Field, ArrayRef)>,
    /// Text columns that no dictionary suits.
    plain: Vec<String>,
}

impl Table<'_> {
    fn push(&mut self, name: &str, array: ArrayRef, nullable: bool) {
        self.columns.push((Field::new(name, array.data_type().clone(), nullable), array));
    }

    fn push_text(&mut self, name: &str, column: TextColumn, nullable: bool) {
        if column.mostly_distinct {
            self.plain.push(name.to_owned());
        }
        self.push(name, column.array, nullable);
    }

    fn push_sparse_text(&mut self, name: &str, texts: &Spread<TextId>) -> Result<(), Error> {
        let column = self.texts.sparse(texts)?;
        self.push_text(name, column, true);
        Ok(())
    }

    fn push_dense_text(&mut self, name: &str, texts: &[TextId]) -> Result<(), Error> {
        let column = self.texts.dense(self.order.apply(texts))?;
        self.push_text(name, column, false);
        Ok(())
    }

    /// All columns but the attributes.
    fn spans(&mut self) -> Result<(), Error> {
        let (window, order) = (self.window, self.order);
        let family = family(window, order);

        self.push(
            schema::TRACE_ID,
            build::ids(order.old_of_new.iter().map(|row| *window.traces.id_of_row(*row as usize).as_bytes()))?,
            false,
        );
        self.push(
            schema::TRACE_START,
            Arc::new(Int64Array::from_iter_values(family.trace_start.iter().copied())),
            false,
        );
        let offsets = order.apply(&window.start).zip(&family.trace_start).map(|(start, first)| start - first);
        self.push(schema::START_OFFSET, Arc::new(Int64Array::from_iter_values(offsets)), false);
        let durations = order.apply(&window.end).zip(order.apply(&window.start)).map(|(end, start)| end - start);
        self.push(schema::DURATION, Arc::new(Int64Array::from_iter_values(durations)), false);
        let services: Vec<_> = window.resource.iter().map(|at| window.resources[*at as usize].service).collect();
        self.push_dense_text(schema::SERVICE, &services)?;
        self.push_dense_text(schema::NAME, &window.name)?;
        self.push(
            schema::STATUS,
            words(order.apply(&window.status).map(|code| StatusCode::from_wire(code.into()).name())),
            false,
        );
        self.push(schema::PARENT_ROW_DISTANCE, Arc::new(Int32Array::from(family.parent_row_distance)), true);
        self.push(schema::PARENT_SPAN_ID, build::optional_ids(&family.parent_span_id)?, true);

        self.push(schema::SPAN_ID, build::ids(order.apply(&window.span_id).map(|id| *id.as_bytes()))?, false);
        self.push(
            schema::KIND,
            words(order.apply(&window.kind).map(|kind| SpanKind::from_wire(kind.into()).name())),
            false,
        );
        let messages = order.spread(&window.status_message, |_, _| {});
        self.push_sparse_text(schema::STATUS_MESSAGE, &messages)?;
        let resources: Vec<_> = window.resource.iter().map(|at| window.resources[*at as usize].json).collect();
        self.push_dense_text(schema::RESOURCE, &resources)?;
        self.push_dense_text(schema::SCOPE, &window.scope)?;
        self.push(schema::FLAGS, Arc::new(UInt32Array::from_iter_values(order.apply(&window.flags))), false);
        let trace_states = order.spread(&window.trace_state, |_, _| {});
        self.push_sparse_text(schema::TRACE_STATE, &trace_states)?;
        self.push(schema::DROPPED_ATTRIBUTES, order.counts(&window.dropped_attributes_count), false);
        self.push(schema::DROPPED_EVENTS, order.counts(&window.dropped_events_count), false);
        self.push(schema::DROPPED_LINKS, order.counts(&window.dropped_links_count), false);
        self.push(schema::EVENTS, build::events(order, &window.texts, &window.events)?, true);
        self.push(schema::LINKS, build::links(order, &window.texts, &window.links)?, true);
        Ok(())
    }

    /// A column for each frequent key, and one for all that is left.
    fn attributes(&mut self) -> Result<(), Error> {
        let (window, order) = (self.window, self.order);
        let mut rest = Rest { window, entries: Vec::new() };
        let promoted = promoted_keys(window);
        for (at, (key, column)) in window.attributes.keys.iter().zip(&window.attributes.columns).enumerate() {
            let own = promoted.iter().find(|(promoted, _)| *promoted == at).map(|(_, kind)| *kind);
            if own != Some(Kind::String) {
                rest.add(order, *key, &column.strings, RestValue::Text);
            }
            if own != Some(Kind::Int) {
                rest.add(order, *key, &column.ints, RestValue::Int);
            }
            if own != Some(Kind::Double) {
                rest.add(order, *key, &column.doubles, RestValue::Double);
            }
            if own != Some(Kind::Bool) {
                rest.add(order, *key, &column.bools, RestValue::Bool);
            }
            rest.add(order, *key, &column.others, RestValue::Json);
        }
        for (old, (key, value)) in window.attributes.overflow.iter() {
            rest.push(order.new_of_old[old as usize], *key, RestValue::Json(*value));
        }
        for (at, kind) in promoted {
            let key = window.attributes.keys[at];
            self.attribute(key, &window.attributes.columns[at], kind, &mut rest)?;
        }
        let rest = rest.into_json(order.len());
        self.push(schema::ATTRIBUTES, Arc::new(rest), true);
        Ok(())
    }

    /// The column of one key. A span with the key twice has its second value in `rest`.
    fn attribute(
        &mut self,
        key: TextId,
        column: &AttributeColumn,
        kind: Kind,
        rest: &mut Rest<'_>,
    ) -> Result<(), Error> {
        let name = format!("{}{}", schema::ATTRIBUTE_PREFIX, self.window.texts.get(key));
        let order = self.order;
        match kind {
            Kind::String => {
                let texts = order.spread(&column.strings, |row, text| rest.push(row, key, RestValue::Text(text)));
                return self.push_sparse_text(&name, &texts);
            }
            Kind::Int => {
                let Spread { values, valid } =
                    order.spread(&column.ints, |row, number| rest.push(row, key, RestValue::Int(number)));
                self.push(&name, Arc::new(Int64Array::try_new(values.into(), Some(valid))?), true);
            }
            Kind::Double => {
                let Spread { values, valid } =
                    order.spread(&column.doubles, |row, number| rest.push(row, key, RestValue::Double(number)));
                self.push(&name, Arc::new(Float64Array::try_new(values.into(), Some(valid))?), true);
            }
            Kind::Bool => {
                let Spread { values, valid } =
                    order.spread(&column.bools, |row, flag| rest.push(row, key, RestValue::Bool(flag)));
                self.push(&name, Arc::new(BooleanArray::new(values.into(), Some(valid))), true);
            }
        }
        Ok(())
    }
}

/// Parents and trace starts of a block's rows.
struct Family {
    trace_start: Vec<i64>,
    parent_row_distance: Vec<Option<i32>>,
    parent_span_id: Vec<Option<[u8; 8]>>,
}

fn family(window: &Columns, order: &Order) -> Family {
    let rows = order.len();
    let mut family = Family {
        trace_start: Vec::with_capacity(rows),
        parent_row_distance: Vec::with_capacity(rows),
        parent_span_id: Vec::with_capacity(rows),
    };
    let mut by_span = Vec::new();
    let trace_of = |row: &u32| window.traces.number_of_row(*row as usize);
    let same_trace = |a: &u32, b: &u32| trace_of(a) == trace_of(b);
    for trace in order.old_of_new.chunk_by(same_trace) {
        // Rows of a trace are sorted by start.
        let trace_start = window.start[trace[0] as usize];
        by_span.clear();
        by_span.extend(trace.iter().enumerate().map(|(row, old)| (window.span_id[*old as usize], row as i32)));
        by_span.sort_unstable();
        for (row, old) in trace.iter().enumerate() {
            let parent = window.parent_span_id[*old as usize];
            let parent_row = parent
                .and_then(|parent| by_span.binary_search_by_key(&parent, |(span, _)| *span).ok())
                .map(|found| by_span[found].1);
            family.trace_start.push(trace_start);
            family.parent_row_distance.push(parent_row.map(|parent_row| row as i32 - parent_row));
            family.parent_span_id.push(match parent_row {
                Some(_) => None,
                None => parent.map(|parent| *parent.as_bytes()),
            });
        }
    }
    family
}

fn words(words: impl Iterator<Item = &'static str>) -> ArrayRef {
    let array: arrow::array::DictionaryArray<arrow::datatypes::Int32Type> = words.collect();
    Arc::new(array)
}

/// Counts rows of a window by service and name.
pub(crate) fn catalog(window: &Columns, rows: impl Iterator<Item = usize>) -> Catalog {
    let mut counts: hashbrown::HashMap<(TextId, TextId), (u64, u64, i64), foldhash::fast::RandomState> =
        hashbrown::HashMap::default();
    for row in rows {
        let service = window.resources[window.resource[row] as usize].service;
        let (spans, errors, last_start) = counts.entry((service, window.name[row])).or_default();
        *spans += 1;
        *errors += u64::from(window.status[row] == StatusCode::Error.to_wire() as u8);
        *last_start = (*last_start).max(window.start[row]);
    }
    let mut catalog = Catalog::default();
    for ((service, name), (spans, errors, last_start)) in counts {
        catalog.add(window.texts.get(service), window.texts.get(name), spans, errors, last_start);
    }
    catalog
}

/// The type of an attribute column.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    String,
    Int,
    Double,
    Bool,
}

/// Positions of the keys that get a column, with the type that most of their values have.
fn promoted_keys(window: &Columns) -> Vec<(usize, Kind)> {
    let mut frequent: Vec<(usize, usize, Kind)> = Vec::new();
    for (at, column) in window.attributes.columns.iter().enumerate() {
        let counts = [
            (column.strings.len(), Kind::String),
            (column.ints.len(), Kind::Int),
            (column.doubles.len(), Kind::Double),
            (column.bools.len(), Kind::Bool),
        ];
        let Some((count, kind)) = counts.into_iter().max_by_key(|(count, _)| *count) else { continue };
        let key = window.texts.get(window.attributes.keys[at]);
        if count > 0 && count * ATTRIBUTE_COLUMN_SHARE >= window.len() && key.len() <= ATTRIBUTE_COLUMN_NAME_BYTES_MAX {
            frequent.push((count, at, kind));
        }
    }
    frequent.sort_unstable_by_key(|(count, at, _)| (Reverse(*count), *at));
    frequent.truncate(ATTRIBUTE_COLUMNS_MAX);
    frequent.into_iter().map(|(_, at, kind)| (at, kind)).collect()
}

/// Attributes without a column, on their way to JSON.
struct Rest<'a> {
    window: &'a Columns,
    entries: Vec<(u32, TextId, RestValue)>,
}

#[derive(Clone, Copy)]
enum RestValue {
    Text(TextId),
    Int(i64),
    Double(f64),
    Bool(bool),
    Json(TextId),
}

impl Rest<'_> {
    fn add<T: Copy>(
        &mut self,
        order: &Order,
        key: TextId,
        column: &crate::window::sparse::Sparse<T>,
        wrap: impl Fn(T) -> RestValue,
    ) {
        for (old, value) in column.iter() {
            self.push(order.new_of_old[old as usize], key, wrap(*value));
        }
    }

    fn push(&mut self, row: u32, key: TextId, value: RestValue) {
        if row != build::DROPPED {
            self.entries.push((row, key, value));
        }
    }

    /// One object per row that has any entry.
    fn into_json(mut self, rows: usize) -> StringArray {
        use crate::json;
        use proto::view::ValueView;
        let texts = &self.window.texts;
        self.entries.sort_by_key(|(row, _, _)| *row);
        let mut builder = arrow::array::StringBuilder::new();
        let mut object = String::new();
        let mut entries = self.entries.iter().peekable();
        for row in 0..rows as u32 {
            object.clear();
            while let Some((_, key, value)) = entries.next_if(|(of, _, _)| *of == row) {
                object.push(if object.is_empty() { '{' } else { ',' });
                json::write_string(&mut object, texts.get(*key));
                object.push(':');
                match *value {
                    RestValue::Text(text) => json::write_string(&mut object, texts.get(text)),
                    RestValue::Int(number) => json::write_value(&mut object, ValueView::Int(number)),
                    RestValue::Double(number) => json::write_value(&mut object, ValueView::Double(number)),
                    RestValue::Bool(flag) => json::write_value(&mut object, ValueView::Bool(flag)),
                    RestValue::Json(value) => object.push_str(texts.get(value)),
                }
            }
            if object.is_empty() {
                builder.append_null();
            } else {
                object.push('}');
                builder.append_value(&object);
            }
        }
        builder.finish()
    }
}
