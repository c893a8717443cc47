//! Turns a sealed window into a block: order, columns, Parquet bytes.
//!
//! 1. Order the rows by trace, then start; of rows with the same span keep the one that ends last.
//! 2. Express parents as row distances and starts as offsets from their trace's first start.
//! 3. Give each frequent attribute key a typed column; write the others as JSON.
//! 4. Encode column by column, in row groups of [`schema::ROW_GROUP_ROWS`] rows, and write those ([`super::writer`]).
//!
//! A pure function of the window; does no I/O.

use std::cmp::Reverse;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, UInt32Array,
};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema};
use model::{SpanKind, StatusCode};
use proto::TraceId;

use super::build::{self, Order, Spread, TextColumns};
use super::catalog::Catalog;
use super::schema;
use super::sieve::Sieve;
use super::writer::{BlockWriter, Effort, EncodedBlock};
use crate::Error;
use crate::window::Columns;
use crate::window::intern::TextId;
use crate::window::sparse::Sparse;

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
///
/// Columns are made and encoded one after the other, so that there is one in memory besides those that the sieve looks at.
pub(crate) fn encode(window: &Columns, order: &Order, sieve: &mut dyn Sieve) -> Result<Option<EncodedBlock>, Error> {
    if order.len() == 0 {
        return Ok(None);
    }
    let kept;
    let mut table = Table::new(window, order);
    let mut head = table.head(sieve)?;
    // Whatever is counted or rolled up is so from the whole window: before this, or from `window`.
    if let Some(stays) = sieve.sift(&head)? {
        head = filter_record_batch(&head, &stays)?;
        kept = order.kept(&stays);
        table = Table::new(window, &kept);
    }
    let mut writer = BlockWriter::new(&Schema::new(table.fields.clone()), Effort::Offload)?;
    let fields = table.fields.clone();
    writer.write(&fields, head.num_rows(), |at| match head.column_by_name(fields[at].name()) {
        Some(known) => Ok(Arc::clone(known)),
        None => table.column(at),
    })?;
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

/// The columns of a block, each made when it is asked for.
struct Table<'a> {
    window: &'a Columns,
    order: &'a Order,
    texts: TextColumns<'a>,
    family: Family,
    /// In the order of the block. Texts may be dictionaries.
    fields: Vec<Field>,
    /// Keys whose columns stand behind those of spans, by their place in the window.
    promoted: Vec<(usize, Kind)>,
}

impl<'a> Table<'a> {
    fn new(window: &'a Columns, order: &'a Order) -> Self {
        let promoted = promoted_keys(window);
        let of_key = |(at, kind): &(usize, Kind)| {
            let name = format!("{}{}", schema::ATTRIBUTE_PREFIX, window.texts.get(window.attributes.keys[*at]));
            Field::new(name, kind.data_type(), true)
        };
        let mut fields = schema::SPAN_FIELDS.clone();
        fields.extend(promoted.iter().map(of_key));
        fields.push(Field::new(schema::ATTRIBUTES, DataType::Utf8, true));
        let (texts, family) = (TextColumns::new(&window.texts), family(window, order));
        Self { window, order, texts, family, fields, promoted }
    }

    /// The columns that a search reads, and what `sieve` looks at besides.
    fn head(&mut self, sieve: &dyn Sieve) -> Result<RecordBatch, Error> {
        let (mut fields, mut arrays) = (Vec::new(), Vec::new());
        for at in 0..self.fields.len() {
            let name = self.fields[at].name();
            if schema::SEARCH_COLUMNS.contains(&name.as_str()) || sieve.reads(name) {
                let array = self.column(at)?;
                fields.push(self.fields[at].clone().with_data_type(array.data_type().clone()));
                arrays.push(array);
            }
        }
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
    }

    /// Makes the column of the field at `at`.
    fn column(&mut self, at: usize) -> Result<ArrayRef, Error> {
        let (window, order, family) = (self.window, self.order, &self.family);
        Ok(match self.fields[at].name().as_str() {
            schema::TRACE_ID => {
                build::ids(order.old_of_new.iter().map(|row| *window.traces.id_of_row(*row as usize).as_bytes()))?
            }
            schema::TRACE_START => Arc::new(Int64Array::from_iter_values(family.trace_start.iter().copied())),
            schema::START_OFFSET => {
                let offsets = order.apply(&window.start).zip(&family.trace_start).map(|(start, first)| start - first);
                Arc::new(Int64Array::from_iter_values(offsets))
            }
            schema::DURATION => {
                let times = order.apply(&window.end).zip(order.apply(&window.start));
                Arc::new(Int64Array::from_iter_values(times.map(|(end, start)| end - start)))
            }
            schema::SERVICE => {
                let service_of = |at| window.resources[at as usize].service;
                self.texts.dense(order.apply(&window.resource).map(service_of))?
            }
            schema::NAME => self.texts.dense(order.apply(&window.name))?,
            schema::STATUS => {
                build::words(order.apply(&window.status), |code| StatusCode::from_wire(code.into()).name())?
            }
            schema::PARENT_ROW_DISTANCE => Arc::new(Int32Array::from_iter(family.parent_row_distance.iter().copied())),
            schema::PARENT_SPAN_ID => build::optional_ids(&family.parent_span_id)?,
            schema::SPAN_ID => build::ids(order.apply(&window.span_id).map(|id| *id.as_bytes()))?,
            schema::KIND => build::words(order.apply(&window.kind), |kind| SpanKind::from_wire(kind.into()).name())?,
            schema::STATUS_MESSAGE => self.texts.sparse(&order.spread(&window.status_message))?,
            schema::RESOURCE => {
                let json_of = |at| window.resources[at as usize].json;
                self.texts.dense(order.apply(&window.resource).map(json_of))?
            }
            schema::SCOPE => self.texts.dense(order.apply(&window.scope))?,
            schema::FLAGS => Arc::new(UInt32Array::from_iter_values(order.apply(&window.flags))),
            schema::TRACE_STATE => self.texts.sparse(&order.spread(&window.trace_state))?,
            schema::DROPPED_ATTRIBUTES => order.counts(&window.dropped_attributes_count),
            schema::DROPPED_EVENTS => order.counts(&window.dropped_events_count),
            schema::DROPPED_LINKS => order.counts(&window.dropped_links_count),
            schema::EVENTS => build::events(order, &window.texts, &window.events)?,
            schema::LINKS => build::links(order, &window.texts, &window.links)?,
            schema::ATTRIBUTES => Arc::new(self.rest().into_json(order.len())),
            _ => self.attribute(at - schema::SPAN_FIELDS.len())?,
        })
    }

    /// What has no column of its own.
    fn rest(&self) -> Rest<'a> {
        let (window, order) = (self.window, self.order);
        let mut rest = Rest { window, order, entries: Vec::new() };
        for (at, (key, column)) in window.attributes.keys.iter().zip(&window.attributes.columns).enumerate() {
            let own = self.promoted.iter().find(|(promoted, _)| *promoted == at).map(|(_, kind)| *kind);
            let is_own = |kind| own == Some(kind);
            rest.add(*key, &column.strings, is_own(Kind::String), RestValue::Text);
            rest.add(*key, &column.ints, is_own(Kind::Int), RestValue::Int);
            rest.add(*key, &column.doubles, is_own(Kind::Double), RestValue::Double);
            rest.add(*key, &column.bools, is_own(Kind::Bool), RestValue::Bool);
            rest.add(*key, &column.others, false, RestValue::Json);
        }
        for (old, (key, value)) in window.attributes.overflow.iter() {
            rest.push(old, *key, RestValue::Json(*value));
        }
        rest
    }

    /// The column of a promoted key.
    fn attribute(&mut self, promoted: usize) -> Result<ArrayRef, Error> {
        let (at, kind) = self.promoted[promoted];
        let (column, order) = (&self.window.attributes.columns[at], self.order);
        Ok(match kind {
            Kind::String => self.texts.sparse(&order.spread(&column.strings))?,
            Kind::Int => {
                let Spread { values, valid } = order.spread(&column.ints);
                Arc::new(Int64Array::try_new(values.into(), Some(valid))?)
            }
            Kind::Double => {
                let Spread { values, valid } = order.spread(&column.doubles);
                Arc::new(Float64Array::try_new(values.into(), Some(valid))?)
            }
            Kind::Bool => {
                let Spread { values, valid } = order.spread(&column.bools);
                Arc::new(BooleanArray::new(values.into(), Some(valid)))
            }
        })
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

impl Kind {
    const fn data_type(self) -> DataType {
        match self {
            Self::String => DataType::Utf8,
            Self::Int => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Bool => DataType::Boolean,
        }
    }
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
    order: &'a Order,
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
    /// Adds the values of a key. If it has a column of its own, only those of spans that have the key twice: that has the first.
    fn add<T: Copy>(&mut self, key: TextId, column: &Sparse<T>, has_own: bool, wrap: impl Fn(T) -> RestValue) {
        if has_own {
            column.seconds().for_each(|(old, value)| self.push(old, key, wrap(*value)));
        } else {
            column.iter().for_each(|(old, value)| self.push(old, key, wrap(*value)));
        }
    }

    fn push(&mut self, old: u32, key: TextId, value: RestValue) {
        let row = self.order.new_of_old[old as usize];
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
