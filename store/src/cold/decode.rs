//! From rows of a block back to spans. The opposite of [`super::encode`].

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, UInt32Type};
use model::{Event, KeyValue, Link, Resource, Scope, Span, SpanKind, StatusCode, Value};
use proto::{SpanId, TraceId, UnixNanos};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::schema;
use crate::{Error, convert, json};

/// Decodes consecutive rows of a block. All rows of a trace must be among them, as parents are row distances.
pub(crate) fn decode(batch: &RecordBatch) -> Result<Vec<Span>, Error> {
    let columns = SpanColumns::new(batch)?;
    let resources = columns.resources()?;
    let scopes = columns.scopes()?;
    let attribute_columns: Vec<(&str, &ArrayRef)> = batch
        .schema_ref()
        .fields()
        .iter()
        .zip(batch.columns())
        .filter_map(|(field, array)| Some((field.name().strip_prefix(schema::ATTRIBUTE_PREFIX)?, array)))
        .collect();

    let mut spans = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let start = UnixNanos::from_i64(columns.trace_start.value(row)).saturating_add(columns.start_offset.value(row));
        spans.push(Span {
            trace_id: id(columns.trace_id.value(row), TraceId::from_bytes)?,
            span_id: id(columns.span_id.value(row), SpanId::from_bytes)?,
            parent_span_id: columns.parent(row)?,
            trace_state: text_or_empty(columns.trace_state, row),
            flags: columns.flags.value(row),
            name: columns.name.value(row).to_owned(),
            kind: kind(columns.kind.value(row))?,
            start,
            end: start.saturating_add(columns.duration.value(row)),
            status: status(columns.status.value(row))?,
            status_message: text_or_empty(columns.status_message, row),
            attributes: attributes(columns.attributes, &attribute_columns, row)?,
            dropped_attributes_count: columns.dropped_attributes.value(row),
            events: events(columns.events, row)?,
            dropped_events_count: columns.dropped_events.value(row),
            links: links(columns.links, row)?,
            dropped_links_count: columns.dropped_links.value(row),
            resource: Arc::clone(&resources[columns.resource.key(row)]),
            scope: Arc::clone(&scopes[columns.scope.key(row)]),
        });
    }
    Ok(spans)
}

/// A column of few distinct texts, none missing.
pub(crate) struct Words {
    keys: arrow::array::Int32Array,
    values: arrow::array::StringArray,
}

impl Words {
    /// The column with this name, whether it is kept as a dictionary or not.
    pub(crate) fn new(batch: &RecordBatch, name: &str) -> Result<Self, Error> {
        let array = column(batch, name)?;
        if array.null_count() > 0 {
            return Err(corrupt(format!("column {name} has nulls")));
        }
        let array = match array.data_type() {
            DataType::Utf8 => arrow::compute::cast(array, &schema::dictionary())?,
            _ => Arc::clone(array),
        };
        let dictionary = array.as_dictionary_opt::<Int32Type>().ok_or_else(|| wrong_type(name, &array))?;
        let values = dictionary.values().as_string_opt::<i32>().ok_or_else(|| wrong_type(name, &array))?;
        Ok(Self { keys: dictionary.keys().clone(), values: values.clone() })
    }

    /// Which of [`Self::distinct`] a row has.
    pub(crate) fn key(&self, row: usize) -> usize {
        self.keys.value(row) as usize
    }

    /// The text of a row.
    pub(crate) fn value(&self, row: usize) -> &str {
        self.text(self.key(row))
    }

    /// One of [`Self::distinct`].
    pub(crate) fn text(&self, key: usize) -> &str {
        self.values.value(key)
    }

    /// All texts that rows may have.
    pub(crate) fn distinct(&self) -> impl Iterator<Item = &str> {
        (0..self.values.len()).map(|at| self.values.value(at))
    }
}

struct SpanColumns<'a> {
    trace_id: &'a arrow::array::FixedSizeBinaryArray,
    span_id: &'a arrow::array::FixedSizeBinaryArray,
    parent_row_distance: &'a arrow::array::Int32Array,
    parent_span_id: &'a arrow::array::FixedSizeBinaryArray,
    trace_start: &'a arrow::array::Int64Array,
    start_offset: &'a arrow::array::Int64Array,
    duration: &'a arrow::array::Int64Array,
    name: Words,
    kind: Words,
    status: Words,
    resource: Words,
    scope: Words,
    status_message: &'a arrow::array::StringArray,
    trace_state: &'a arrow::array::StringArray,
    attributes: &'a arrow::array::StringArray,
    flags: &'a arrow::array::UInt32Array,
    dropped_attributes: &'a arrow::array::UInt32Array,
    dropped_events: &'a arrow::array::UInt32Array,
    dropped_links: &'a arrow::array::UInt32Array,
    events: &'a arrow::array::ListArray,
    links: &'a arrow::array::ListArray,
}

impl<'a> SpanColumns<'a> {
    fn new(batch: &'a RecordBatch) -> Result<Self, Error> {
        let binary = |name| binary(batch, name);
        let int64 = |name| int64(batch, name);
        let count = |name| {
            let array = column(batch, name)?;
            array.as_primitive_opt::<UInt32Type>().ok_or_else(|| wrong_type(name, array))
        };
        let text = |name| {
            let array = column(batch, name)?;
            array.as_string_opt::<i32>().ok_or_else(|| wrong_type(name, array))
        };
        let list = |name| {
            let array = column(batch, name)?;
            array.as_list_opt::<i32>().ok_or_else(|| wrong_type(name, array))
        };
        let distance = column(batch, schema::PARENT_ROW_DISTANCE)?;
        Ok(Self {
            trace_id: binary(schema::TRACE_ID)?,
            span_id: binary(schema::SPAN_ID)?,
            parent_row_distance: distance
                .as_primitive_opt::<Int32Type>()
                .ok_or_else(|| wrong_type(schema::PARENT_ROW_DISTANCE, distance))?,
            parent_span_id: binary(schema::PARENT_SPAN_ID)?,
            trace_start: int64(schema::TRACE_START)?,
            start_offset: int64(schema::START_OFFSET)?,
            duration: int64(schema::DURATION)?,
            name: Words::new(batch, schema::NAME)?,
            kind: Words::new(batch, schema::KIND)?,
            status: Words::new(batch, schema::STATUS)?,
            resource: Words::new(batch, schema::RESOURCE)?,
            scope: Words::new(batch, schema::SCOPE)?,
            status_message: text(schema::STATUS_MESSAGE)?,
            trace_state: text(schema::TRACE_STATE)?,
            attributes: text(schema::ATTRIBUTES)?,
            flags: count(schema::FLAGS)?,
            dropped_attributes: count(schema::DROPPED_ATTRIBUTES)?,
            dropped_events: count(schema::DROPPED_EVENTS)?,
            dropped_links: count(schema::DROPPED_LINKS)?,
            events: list(schema::EVENTS)?,
            links: list(schema::LINKS)?,
        })
    }

    fn parent(&self, row: usize) -> Result<Option<SpanId>, Error> {
        if self.parent_row_distance.is_valid(row) {
            let parent = row as i64 - i64::from(self.parent_row_distance.value(row));
            let parent = usize::try_from(parent).ok().filter(|parent| *parent < self.span_id.len());
            let parent = parent.ok_or_else(|| corrupt(format!("the parent of row {row} is out of reach")))?;
            return id(self.span_id.value(parent), SpanId::from_bytes).map(Some);
        }
        if self.parent_span_id.is_valid(row) {
            return id(self.parent_span_id.value(row), SpanId::from_bytes).map(Some);
        }
        Ok(None)
    }

    fn resources(&self) -> Result<Vec<Arc<Resource>>, Error> {
        self.resource.distinct().map(|text| Ok(Arc::new(SharedJson::parse(text)?.into_resource()?))).collect()
    }

    fn scopes(&self) -> Result<Vec<Arc<Scope>>, Error> {
        self.scope.distinct().map(|text| Ok(Arc::new(SharedJson::parse(text)?.into_scope()?))).collect()
    }
}

/// A resource or scope as `docs/format.md` has it.
#[derive(Deserialize)]
pub(crate) struct SharedJson<'a> {
    #[serde(borrow, default)]
    name: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    version: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    schema_url: std::borrow::Cow<'a, str>,
    #[serde(default)]
    dropped_attributes_count: u32,
    #[serde(borrow)]
    attributes: &'a RawValue,
}

impl<'a> SharedJson<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, Error> {
        serde_json::from_str(text).map_err(|error| corrupt(format!("a resource or scope: {error}")))
    }

    pub(crate) fn into_resource(self) -> Result<Resource, Error> {
        Ok(Resource {
            attributes: sorted_attributes(self.attributes.get())?,
            dropped_attributes_count: self.dropped_attributes_count,
            schema_url: self.schema_url.into_owned(),
        })
    }

    pub(crate) fn into_scope(self) -> Result<Scope, Error> {
        Ok(Scope {
            attributes: sorted_attributes(self.attributes.get())?,
            name: self.name.into_owned(),
            version: self.version.into_owned(),
            dropped_attributes_count: self.dropped_attributes_count,
            schema_url: self.schema_url.into_owned(),
        })
    }
}

fn attributes(
    rest: &arrow::array::StringArray,
    columns: &[(&str, &ArrayRef)],
    row: usize,
) -> Result<Vec<KeyValue>, Error> {
    let mut attributes = Vec::new();
    for (key, array) in columns.iter().filter(|(_, array)| array.is_valid(row)) {
        let value = match array.data_type() {
            DataType::Utf8 => Value::String(array.as_string::<i32>().value(row).to_owned()),
            DataType::Int64 => Value::Int(array.as_primitive::<Int64Type>().value(row)),
            DataType::Float64 => Value::Double(array.as_primitive::<Float64Type>().value(row)),
            DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
            _ => return Err(wrong_type(key, array)),
        };
        attributes.push(KeyValue { key: (*key).to_owned(), value });
    }
    if rest.is_valid(row) {
        attributes.append(&mut json::parse_attributes(rest.value(row))?);
    }
    convert::sort_attributes(&mut attributes);
    Ok(attributes)
}

fn events(lists: &arrow::array::ListArray, row: usize) -> Result<Vec<Event>, Error> {
    if lists.is_null(row) {
        return Ok(Vec::new());
    }
    let fields = fields_of(&lists.value(row), schema::EVENTS)?;
    let times = int64(&fields, "time_unix_nano")?;
    (0..fields.num_rows())
        .map(|at| {
            Ok(Event {
                time: UnixNanos::from_i64(times.value(at)),
                name: text_at(&fields, "name", at)?.to_owned(),
                attributes: sorted_attributes(text_at(&fields, schema::ATTRIBUTES, at)?)?,
                dropped_attributes_count: count_at(&fields, schema::DROPPED_ATTRIBUTES, at)?,
            })
        })
        .collect()
}

fn links(lists: &arrow::array::ListArray, row: usize) -> Result<Vec<Link>, Error> {
    if lists.is_null(row) {
        return Ok(Vec::new());
    }
    let fields = fields_of(&lists.value(row), schema::LINKS)?;
    (0..fields.num_rows())
        .map(|at| {
            Ok(Link {
                trace_id: bytes_at(&fields, schema::TRACE_ID, at)?.to_vec(),
                span_id: bytes_at(&fields, schema::SPAN_ID, at)?.to_vec(),
                trace_state: text_at(&fields, schema::TRACE_STATE, at)?.to_owned(),
                attributes: sorted_attributes(text_at(&fields, schema::ATTRIBUTES, at)?)?,
                dropped_attributes_count: count_at(&fields, schema::DROPPED_ATTRIBUTES, at)?,
                flags: count_at(&fields, schema::FLAGS, at)?,
            })
        })
        .collect()
}

/// Attributes kept as JSON, sorted by key as every span has them.
pub(crate) fn sorted_attributes(text: &str) -> Result<Vec<KeyValue>, Error> {
    let mut attributes = json::parse_attributes(text)?;
    convert::sort_attributes(&mut attributes);
    Ok(attributes)
}

fn fields_of(list: &ArrayRef, name: &str) -> Result<RecordBatch, Error> {
    list.as_struct_opt().map(RecordBatch::from).ok_or_else(|| wrong_type(name, list))
}

fn text_at<'a>(fields: &'a RecordBatch, name: &str, at: usize) -> Result<&'a str, Error> {
    let array = column(fields, name)?;
    array.as_string_opt::<i32>().map(|texts| texts.value(at)).ok_or_else(|| wrong_type(name, array))
}

fn bytes_at<'a>(fields: &'a RecordBatch, name: &str, at: usize) -> Result<&'a [u8], Error> {
    let array = column(fields, name)?;
    array.as_binary_opt::<i32>().map(|bytes| bytes.value(at)).ok_or_else(|| wrong_type(name, array))
}

fn count_at(fields: &RecordBatch, name: &str, at: usize) -> Result<u32, Error> {
    let array = column(fields, name)?;
    array.as_primitive_opt::<UInt32Type>().map(|counts| counts.value(at)).ok_or_else(|| wrong_type(name, array))
}

fn text_or_empty(texts: &arrow::array::StringArray, row: usize) -> String {
    if texts.is_valid(row) { texts.value(row).to_owned() } else { String::new() }
}

/// A span kind by its name.
pub(crate) fn kind(name: &str) -> Result<SpanKind, Error> {
    (0..=5)
        .map(SpanKind::from_wire)
        .find(|kind| kind.name() == name)
        .ok_or_else(|| corrupt(format!("unknown span kind {name:?}")))
}

fn status(name: &str) -> Result<StatusCode, Error> {
    (0..=2)
        .map(StatusCode::from_wire)
        .find(|status| status.name() == name)
        .ok_or_else(|| corrupt(format!("unknown status {name:?}")))
}

/// A column of ids.
pub(crate) fn binary<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a arrow::array::FixedSizeBinaryArray, Error> {
    let array = column(batch, name)?;
    array.as_fixed_size_binary_opt().ok_or_else(|| wrong_type(name, array))
}

/// A column of 64-bit integers.
pub(crate) fn int64<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a arrow::array::Int64Array, Error> {
    let array = column(batch, name)?;
    array.as_primitive_opt::<Int64Type>().ok_or_else(|| wrong_type(name, array))
}

/// A column by name.
pub(crate) fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, Error> {
    batch.column_by_name(name).ok_or_else(|| corrupt(format!("column {name} is missing")))
}

/// An id that must be valid, as only valid ids are written.
pub(crate) fn id<T>(bytes: &[u8], parse: fn(&[u8]) -> Result<T, proto::ids::IdError>) -> Result<T, Error> {
    parse(bytes).map_err(|error| corrupt(error.to_string()))
}

fn wrong_type(name: &str, array: &ArrayRef) -> Error {
    corrupt(format!("column {name} has type {}", array.data_type()))
}

fn corrupt(why: String) -> Error {
    Error::Corrupt { what: "a block".to_owned(), why }
}
