//! One set of columns for several blocks: each attribute key gets the column that most of their spans had, and what does not
//! fit goes into the JSON of its row, with its type, before what is there already.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringBuilder, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema, SchemaRef};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::ParquetMetaData;
use proto::view::ValueView;

use super::family::KeyColumns;
use crate::cold::{encode, schema};
use crate::{Error, json};

/// Columns that are made anew from [`super::family`].
const KEY_COLUMNS: [&str; 7] = [
    schema::TRACE_ID,
    schema::TRACE_START,
    schema::START_OFFSET,
    schema::DURATION,
    schema::PARENT_ROW_DISTANCE,
    schema::PARENT_SPAN_ID,
    schema::SPAN_ID,
];

/// Something in a block that this version does not write.
pub(super) fn corrupt(why: String) -> Error {
    Error::Corrupt { what: "a block".to_owned(), why }
}

/// Metadata to read a block with, such that text columns with dictionaries are read as such.
pub(super) fn with_dictionaries(metadata: &Arc<ParquetMetaData>) -> Result<ArrowReaderMetadata, Error> {
    let plain = ArrowReaderMetadata::try_new(Arc::clone(metadata), ArrowReaderOptions::new())?;
    let roots = metadata.file_metadata().schema_descr();
    let field = |(at, field): (usize, &Arc<Field>)| {
        let of_field = |leaf: &usize| roots.get_column_root_idx(*leaf) == at;
        let has_dictionary = *field.data_type() == DataType::Utf8
            && field.name() != schema::ATTRIBUTES
            && (0..roots.num_columns()).find(of_field).is_some_and(|leaf| {
                metadata.row_groups().iter().all(|group| group.column(leaf).dictionary_page_offset().is_some())
            });
        match has_dictionary {
            true => field.as_ref().clone().with_data_type(schema::dictionary()),
            false => field.as_ref().clone(),
        }
    };
    let fields: Vec<Field> = plain.schema().fields().iter().enumerate().map(field).collect();
    let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields)));
    Ok(ArrowReaderMetadata::try_new(Arc::clone(metadata), options)?)
}

/// The columns of the new block.
pub(super) struct Unified {
    /// All of them.
    pub(super) schema: SchemaRef,
    /// Those that are carried over from the inputs, in the order of `schema`.
    carried: Vec<Arc<Field>>,
}

/// How often, in spans, a column occurs as a dictionary or number, and as plain text.
#[derive(Default, Clone, Copy)]
struct Weight {
    encoded: u64,
    plain: u64,
}

impl Weight {
    const fn all(self) -> u64 {
        self.encoded + self.plain
    }
}

impl Unified {
    /// From the columns of each input, as they are read, and its spans.
    pub(super) fn new(inputs: &[(SchemaRef, u64)]) -> Result<Self, Error> {
        let mut fixed: BTreeMap<&str, (DataType, Weight)> = BTreeMap::new();
        let mut attributes: BTreeMap<&str, BTreeMap<Kind, Weight>> = BTreeMap::new();
        for (columns, spans) in inputs {
            for field in columns.fields() {
                let is_plain = *field.data_type() == DataType::Utf8;
                let add =
                    |weight: &mut Weight| *(if is_plain { &mut weight.plain } else { &mut weight.encoded }) += spans;
                if field.name().starts_with(schema::ATTRIBUTE_PREFIX) {
                    let kind = Kind::of(field.data_type())?;
                    add(attributes.entry(field.name()).or_default().entry(kind).or_default());
                } else {
                    let known =
                        fixed.entry(field.name()).or_insert_with(|| (field.data_type().clone(), Weight::default()));
                    add(&mut known.1);
                }
            }
        }
        let mut fields = Vec::new();
        for field in &*schema::SPAN_FIELDS {
            let name = field.name();
            let (data_type, weight) =
                fixed.get(name.as_str()).ok_or_else(|| corrupt(format!("column {name} is missing")))?;
            let data_type = match Kind::of(data_type) {
                Ok(Kind::Text) => text_type(*weight),
                _ => data_type.clone(),
            };
            fields.push(field.clone().with_data_type(data_type));
        }
        for (name, kind, weight) in frequent(attributes) {
            let data_type = match kind {
                Kind::Text => text_type(weight),
                Kind::Int => DataType::Int64,
                Kind::Double => DataType::Float64,
                Kind::Bool => DataType::Boolean,
            };
            fields.push(Field::new(name, data_type, true));
        }
        fields.push(Field::new(schema::ATTRIBUTES, DataType::Utf8, true));
        let schema = Arc::new(Schema::new(fields));
        let is_carried = |field: &&Arc<Field>| !KEY_COLUMNS.contains(&field.name().as_str());
        let carried = schema.fields().iter().filter(is_carried).cloned().collect();
        Ok(Self { schema, carried })
    }

    /// The columns that are carried over.
    pub(super) fn carried(&self) -> &[Arc<Field>] {
        &self.carried
    }

    /// Brings rows of an input into the form of the carried columns.
    pub(super) fn adopt(&self, rows: &RecordBatch) -> Result<Vec<ArrayRef>, Error> {
        let find = |name: &str| rows.column_by_name(name);
        let mut columns = Vec::with_capacity(self.carried.len());
        for field in &self.carried {
            let wanted = field.data_type();
            columns.push(match find(field.name()) {
                Some(array) if array.data_type() == wanted => Arc::clone(array),
                Some(array) if is_text(array.data_type()) && is_text(wanted) => cast(array, wanted)?,
                // Another kind of value: it goes into the JSON.
                Some(_) if field.name().starts_with(schema::ATTRIBUTE_PREFIX) => {
                    new_null_array(wanted, rows.num_rows())
                }
                None if field.is_nullable() => new_null_array(wanted, rows.num_rows()),
                Some(array) => {
                    return Err(corrupt(format!("column {} has type {}", field.name(), array.data_type())));
                }
                None => return Err(corrupt(format!("column {} is missing", field.name()))),
            });
        }
        let demoted = self.demoted(rows)?;
        if !demoted.is_empty()
            && let Some(last) = columns.last_mut()
        {
            *last = with_demoted(last, &demoted)?;
        }
        Ok(columns)
    }

    /// Rows of the new block, from its key columns and the carried ones.
    pub(super) fn assemble(&self, keys: &KeyColumns, carried: Vec<ArrayRef>) -> Result<RecordBatch, Error> {
        let mut carried = carried.into_iter();
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for field in self.schema.fields() {
            let key = match field.name().as_str() {
                schema::TRACE_ID => Some(&keys.trace_id),
                schema::TRACE_START => Some(&keys.trace_start),
                schema::START_OFFSET => Some(&keys.start_offset),
                schema::DURATION => Some(&keys.duration),
                schema::PARENT_ROW_DISTANCE => Some(&keys.parent_row_distance),
                schema::PARENT_SPAN_ID => Some(&keys.parent_span_id),
                schema::SPAN_ID => Some(&keys.span_id),
                _ => None,
            };
            columns.extend(key.cloned().or_else(|| carried.next()));
        }
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    /// The attribute columns of an input that the new block does not have, or has for another kind of value.
    fn demoted(&self, rows: &RecordBatch) -> Result<Vec<Demoted>, Error> {
        let mut demoted = Vec::new();
        for (field, array) in rows.schema_ref().fields().iter().zip(rows.columns()) {
            let Some(key) = field.name().strip_prefix(schema::ATTRIBUTE_PREFIX) else { continue };
            let own = self.schema.field_with_name(field.name()).ok();
            let has_place = match own {
                Some(own) => Kind::of(own.data_type())? == Kind::of(array.data_type())?,
                None => false,
            };
            if has_place || array.null_count() == array.len() {
                continue;
            }
            let array = if is_text(array.data_type()) { cast(array, &DataType::Utf8)? } else { Arc::clone(array) };
            let mut quoted = String::new();
            json::write_string(&mut quoted, key);
            demoted.push(Demoted { key: quoted, array });
        }
        Ok(demoted)
    }
}

/// What the values of an attribute column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Text,
    Int,
    Double,
    Bool,
}

impl Kind {
    fn of(data_type: &DataType) -> Result<Self, Error> {
        match data_type {
            data_type if is_text(data_type) => Ok(Self::Text),
            DataType::Int64 => Ok(Self::Int),
            DataType::Float64 => Ok(Self::Double),
            DataType::Boolean => Ok(Self::Bool),
            other => Err(corrupt(format!("an attribute column has type {other}"))),
        }
    }
}

fn is_text(data_type: &DataType) -> bool {
    *data_type == DataType::Utf8 || *data_type == schema::dictionary()
}

/// A dictionary, unless most spans come from blocks that had none.
fn text_type(weight: Weight) -> DataType {
    if weight.plain <= weight.encoded { schema::dictionary() } else { DataType::Utf8 }
}

/// The attribute keys that get a column, those of most spans first, each for the kind of value that most of them have.
fn frequent(attributes: BTreeMap<&str, BTreeMap<Kind, Weight>>) -> Vec<(&str, Kind, Weight)> {
    let of_key = |(name, kinds): (_, BTreeMap<Kind, Weight>)| {
        let all: u64 = kinds.values().map(|weight| weight.all()).sum();
        let (kind, weight) = kinds.into_iter().max_by_key(|(kind, weight)| (weight.all(), Reverse(*kind)))?;
        Some((all, name, kind, weight))
    };
    let mut keys: Vec<_> = attributes.into_iter().filter_map(of_key).collect();
    keys.sort_by_key(|(all, name, _, _)| (Reverse(*all), *name));
    keys.truncate(encode::ATTRIBUTE_COLUMNS_MAX);
    keys.into_iter().map(|(_, name, kind, weight)| (name, kind, weight)).collect()
}

/// A column that becomes JSON.
struct Demoted {
    /// The key as JSON.
    key: String,
    array: ArrayRef,
}

/// Puts demoted values before what a row has in its JSON: of two values of one key the column's comes first when read.
fn with_demoted(rest: &ArrayRef, demoted: &[Demoted]) -> Result<ArrayRef, Error> {
    let rest =
        rest.as_string_opt::<i32>().ok_or_else(|| corrupt(format!("attributes have type {}", rest.data_type())))?;
    let mut builder = StringBuilder::with_capacity(rest.len(), rest.value_data().len());
    let mut object = String::new();
    for row in 0..rest.len() {
        object.clear();
        for Demoted { key, array } in demoted.iter().filter(|demoted| demoted.array.is_valid(row)) {
            object.push(if object.is_empty() { '{' } else { ',' });
            object.push_str(key);
            object.push(':');
            json::write_value(&mut object, value(array, row)?);
        }
        let old = if rest.is_valid(row) { rest.value(row) } else { "" };
        match (object.is_empty(), old.strip_prefix('{')) {
            (true, None) => builder.append_null(),
            (true, Some(_)) => builder.append_value(old),
            (false, Some(entries)) if entries != "}" => {
                object.push(',');
                object.push_str(entries);
                builder.append_value(&object);
            }
            (false, _) => {
                object.push('}');
                builder.append_value(&object);
            }
        }
    }
    Ok(Arc::new(builder.finish()))
}

fn value(array: &ArrayRef, row: usize) -> Result<ValueView<'_>, Error> {
    Ok(match Kind::of(array.data_type())? {
        Kind::Text => ValueView::String(array.as_string::<i32>().value(row).into()),
        Kind::Int => ValueView::Int(array.as_primitive::<Int64Type>().value(row)),
        Kind::Double => ValueView::Double(array.as_primitive::<Float64Type>().value(row)),
        Kind::Bool => ValueView::Bool(array.as_boolean().value(row)),
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, StringArray};

    use super::*;

    #[test]
    fn demoted_values_keep_their_type_and_come_first() {
        let rest: ArrayRef =
            Arc::new(StringArray::from(vec![Some(r#"{"a":1,"b":[2]}"#), None, Some(r#"{"c":3}"#), None]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("x\"y"), Some("z"), None, None]));
        let doubles: ArrayRef = Arc::new(Float64Array::from(vec![Some(f64::NAN), Some(2.0), None, None]));
        let demoted =
            [Demoted { key: r#""a""#.to_owned(), array: texts }, Demoted { key: r#""d""#.to_owned(), array: doubles }];
        let merged = with_demoted(&rest, &demoted).expect("JSON");
        let merged: Vec<_> = merged.as_string::<i32>().iter().collect();
        let expected = [
            Some(r#"{"a":"x\"y","d":{"$double":"NaN"},"a":1,"b":[2]}"#),
            Some(r#"{"a":"z","d":2.0}"#),
            Some(r#"{"c":3}"#),
            None,
        ];
        assert_eq!(merged, expected);
    }

    #[test]
    fn the_most_frequent_keys_get_columns_of_their_most_frequent_kind() {
        let weight = |encoded, plain| Weight { encoded, plain };
        let mut attributes = BTreeMap::new();
        let names: Vec<String> = (0..200).map(|number| format!("attr.key {number:03}")).collect();
        for (number, name) in names.iter().enumerate() {
            let kinds = [(Kind::Int, weight(10, 0)), (Kind::Text, weight(number as u64, 1))];
            attributes.insert(name.as_str(), BTreeMap::from(kinds));
        }
        let chosen = frequent(attributes);
        assert_eq!(chosen.len(), encode::ATTRIBUTE_COLUMNS_MAX);
        assert_eq!((chosen[0].0, chosen[0].1), ("attr.key 199", Kind::Text));
        assert_eq!(chosen[127].0, "attr.key 072");
    }
}
