//! Reads the attributes that rules ask for out of a block's columns: those with a column of their own, those in JSON, and
//! those of resources.

use arrow::array::{Array, AsArray, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type};
use model::retention::FactValue;
use model::{KeyValue, Value};

use crate::cold::decode::{self, Words};
use crate::cold::schema;
use crate::{Error, json};

/// Distinct values of one key that are looked at in one trace; a trace of thousands of statements has as many texts.
const VALUES_PER_KEY_MAX: usize = 64;

/// A value, kept.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    Text(String),
    Int(i64),
    Double(f64),
    Bool(bool),
}

impl Found {
    /// `None` for what no rule can look at: bytes, lists, maps, nothing.
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self::Text(text.clone())),
            Value::Int(number) => Some(Self::Int(*number)),
            Value::Double(number) => Some(Self::Double(*number)),
            Value::Bool(flag) => Some(Self::Bool(*flag)),
            Value::Empty | Value::Bytes(_) | Value::Array(_) | Value::Map(_) => None,
        }
    }

    pub(super) fn as_fact(&self) -> FactValue<'_> {
        match self {
            Self::Text(text) => FactValue::Text(text),
            Self::Int(number) => FactValue::Int(*number),
            Self::Double(number) => FactValue::Double(*number),
            Self::Bool(flag) => FactValue::Bool(*flag),
        }
    }

    fn kept(fact: FactValue<'_>) -> Self {
        match fact {
            FactValue::Text(text) => Self::Text(text.to_owned()),
            FactValue::Int(number) => Self::Int(number),
            FactValue::Double(number) => Self::Double(number),
            FactValue::Bool(flag) => Self::Bool(flag),
        }
    }
}

/// The values of traces, one trace after the other, each distinct value once per trace.
#[derive(Debug, Default)]
pub(super) struct Values {
    /// The place of the key, and the value.
    pub(super) found: Vec<(usize, Found)>,
    /// Where those of the trace at hand begin.
    begin: usize,
}

impl Values {
    /// What follows is of another trace.
    pub(super) fn next_trace(&mut self) {
        self.begin = self.found.len();
    }

    /// Those of the trace at hand, as places in [`Self::found`].
    pub(super) fn of_trace(&self) -> std::ops::Range<usize> {
        self.begin..self.found.len()
    }

    fn add(&mut self, key: usize, value: FactValue<'_>) {
        let mut of_key = 0;
        for (known, found) in &self.found[self.begin..] {
            if *known == key {
                of_key += 1;
                if found.as_fact() == value {
                    return;
                }
            }
        }
        if of_key < VALUES_PER_KEY_MAX {
            self.found.push((key, Found::kept(value)));
        }
    }
}

/// The columns that attributes are read from.
pub(super) struct AttributeReader<'a> {
    /// Each as `"key":`, which is how JSON has it, except for keys with characters that are escaped there.
    needles: Vec<String>,
    keys: &'a [String],
    columns: Vec<Option<Column<'a>>>,
    rest: &'a StringArray,
    resources: Words,
    /// By [`Words::key`].
    of_resource: Vec<Vec<(usize, Found)>>,
}

enum Column<'a> {
    Text(&'a StringArray),
    Words(&'a Int32Array, &'a StringArray),
    Int(&'a Int64Array),
    Double(&'a Float64Array),
    Bool(&'a BooleanArray),
}

impl<'a> Column<'a> {
    fn new(rows: &'a RecordBatch, key: &str) -> Option<Self> {
        let array = rows.column_by_name(&format!("{}{key}", schema::ATTRIBUTE_PREFIX))?;
        match array.data_type() {
            DataType::Utf8 => array.as_string_opt().map(Self::Text),
            DataType::Int64 => array.as_primitive_opt::<Int64Type>().map(Self::Int),
            DataType::Float64 => array.as_primitive_opt::<Float64Type>().map(Self::Double),
            DataType::Boolean => array.as_boolean_opt().map(Self::Bool),
            _ => {
                let words = array.as_dictionary_opt::<Int32Type>()?;
                Some(Self::Words(words.keys(), words.values().as_string_opt()?))
            }
        }
    }

    fn value(&self, row: usize) -> Option<FactValue<'a>> {
        match self {
            Self::Text(texts) => texts.is_valid(row).then(|| FactValue::Text(texts.value(row))),
            Self::Words(keys, texts) => {
                keys.is_valid(row).then(|| FactValue::Text(texts.value(keys.value(row) as usize)))
            }
            Self::Int(numbers) => numbers.is_valid(row).then(|| FactValue::Int(numbers.value(row))),
            Self::Double(numbers) => numbers.is_valid(row).then(|| FactValue::Double(numbers.value(row))),
            Self::Bool(flags) => flags.is_valid(row).then(|| FactValue::Bool(flags.value(row))),
        }
    }
}

impl<'a> AttributeReader<'a> {
    /// For the keys in `keys`, which values are told by their place there.
    pub(super) fn new(rows: &'a RecordBatch, keys: &'a [String]) -> Result<Self, Error> {
        let rest = decode::column(rows, schema::ATTRIBUTES)?;
        let rest = rest.as_string_opt::<i32>().ok_or_else(|| Error::Corrupt {
            what: "a block".to_owned(),
            why: format!("column {} has type {}", schema::ATTRIBUTES, rest.data_type()),
        })?;
        let resources = Words::new(rows, schema::RESOURCE)?;
        let mut needles = Vec::with_capacity(keys.len());
        for key in keys {
            let mut needle = String::new();
            json::write_string(&mut needle, key);
            needle.push(':');
            needles.push(needle);
        }
        let of_resource = resources.distinct().map(|text| resource_values(text, keys)).collect::<Result<_, _>>()?;
        let columns = keys.iter().map(|key| Column::new(rows, key)).collect();
        Ok(Self { needles, keys, columns, rest, resources, of_resource })
    }

    /// Adds the values of one row and its resource to those of its trace. Gives the text of the first of the keys from `wanted` on
    /// that the span itself has.
    pub(super) fn read(&self, row: usize, wanted: usize, values: &mut Values) -> Result<Option<String>, Error> {
        let mut text: Option<(usize, String)> = None;
        let mut note = |values: &mut Values, key: usize, value: FactValue<'_>| {
            if key < wanted {
                values.add(key, value);
            } else if let FactValue::Text(told) = value
                && text.as_ref().is_none_or(|(known, _)| key < *known)
            {
                text = Some((key, told.to_owned()));
            }
        };
        for (key, column) in self.columns.iter().enumerate() {
            if let Some(value) = column.as_ref().and_then(|column| column.value(row)) {
                note(values, key, value);
            }
        }
        if self.rest.is_valid(row) {
            let rest = self.rest.value(row);
            if self.needles.iter().any(|needle| rest.contains(needle)) {
                for (key, value) in self.pick(&json::parse_attributes(rest)?) {
                    note(values, key, value.as_fact());
                }
            }
        }
        for (key, value) in &self.of_resource[self.resources.key(row)] {
            if *key < wanted {
                values.add(*key, value.as_fact());
            }
        }
        Ok(text.map(|(_, text)| text))
    }

    fn pick(&self, attributes: &[KeyValue]) -> Vec<(usize, Found)> {
        pick(attributes, self.keys)
    }
}

fn pick(attributes: &[KeyValue], keys: &[String]) -> Vec<(usize, Found)> {
    let mut picked = Vec::new();
    for attribute in attributes {
        // A rule may ask for the instance too, so a key can have two places.
        for place in (0..keys.len()).filter(|place| keys[*place] == attribute.key) {
            picked.extend(Found::of(&attribute.value).map(|value| (place, value)));
        }
    }
    picked
}

fn resource_values(resource: &str, keys: &[String]) -> Result<Vec<(usize, Found)>, Error> {
    #[derive(serde::Deserialize)]
    struct Resource<'a> {
        #[serde(borrow)]
        attributes: &'a serde_json::value::RawValue,
    }
    let resource: Resource<'_> = serde_json::from_str(resource)
        .map_err(|error| Error::Corrupt { what: "a block's resource".to_owned(), why: error.to_string() })?;
    Ok(pick(&json::parse_attributes(resource.attributes.get())?, keys))
}
