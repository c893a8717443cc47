//! Gathers what a decision looks at from the columns of a block, trace by trace.
//!
//! Reads each column once and classifies each distinct service and span name once. Decides nothing.

use std::ops::Range;

use arrow::array::{Array, AsArray, BinaryArray, RecordBatch};
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use model::class::CLASS_ATTRIBUTES;
use model::retention::{INSTANCE_ATTRIBUTE, Policy, StatusSet, TraceFacts};
use model::{ClassSet, Classifier, OperationClass, StatusCode};
use proto::{TraceId, UnixNanos};

use super::values::{AttributeReader, Found, Values};
use crate::Error;
use crate::cold::decode::{self, Words};
use crate::cold::schema;

/// The attribute keys that are read: those of the policy, that of the instance, those of the class.
#[derive(Debug)]
pub(super) struct Keys {
    names: Vec<String>,
    instance: usize,
    class: usize,
}

impl Keys {
    pub(super) fn of(policy: &Policy) -> Self {
        let mut names = policy.attribute_keys().to_vec();
        let instance = names.len();
        names.push(INSTANCE_ATTRIBUTE.to_owned());
        let class = names.len();
        names.extend(CLASS_ATTRIBUTES.map(str::to_owned));
        Self { names, instance, class }
    }

    /// Whether a column that a search does not read is looked at.
    pub(super) fn are_read_from(&self, column: &str) -> bool {
        let is_named = |key: &str| self.names.iter().any(|name| name == key);
        [schema::LINKS, schema::RESOURCE, schema::ATTRIBUTES].contains(&column)
            || column.strip_prefix(schema::ATTRIBUTE_PREFIX).is_some_and(is_named)
    }
}

/// What the rows know of their traces.
pub(super) struct Gathered {
    services: Words,
    names: Words,
    values: Values,
    pub(super) traces: Vec<Trace>,
    /// The place of the instance's key.
    instance: usize,
}

/// One trace.
pub(super) struct Trace {
    pub(super) trace_id: TraceId,
    pub(super) rows: Range<usize>,
    /// The root, or the earliest span.
    entry: usize,
    class: OperationClass,
    classes: ClassSet,
    has_root: bool,
    is_linked: bool,
    statuses: StatusSet,
    start: i64,
    end: i64,
    values: Range<usize>,
}

/// Gathers the facts of whole traces, which `rows` has sorted by trace, then start.
pub(super) fn gather(rows: &RecordBatch, keys: &Keys, classifier: &Classifier) -> Result<Gathered, Error> {
    let columns = Columns::new(rows, keys)?;
    let mut classes = Classes { classifier, by_name: HashMap::default(), by_attribute: HashMap::default() };
    let linked = linked_traces(rows)?;
    let mut values = Values::default();
    let mut traces = Vec::new();
    let mut begin = 0;
    while begin < rows.num_rows() {
        let id = columns.ids.value(begin);
        let mut end = begin + 1;
        while end < rows.num_rows() && columns.ids.value(end) == id {
            end += 1;
        }
        values.next_trace();
        let mut trace = columns.trace(begin..end, &mut classes, &mut values, keys)?;
        trace.is_linked |= linked.contains(&trace.trace_id);
        traces.push(trace);
        begin = end;
    }
    Ok(Gathered { services: columns.services, names: columns.names, values, traces, instance: keys.instance })
}

impl Gathered {
    /// The facts of all traces, in their order, as if they had arrived at `received` and nothing had been decided yet.
    pub(super) fn facts(&self, received: UnixNanos) -> Vec<TraceFacts<'_>> {
        self.traces.iter().map(|trace| self.facts_of(trace, received)).collect()
    }

    fn facts_of(&self, trace: &Trace, received: UnixNanos) -> TraceFacts<'_> {
        let values = &self.values.found[trace.values.clone()];
        let instance = values.iter().find_map(|(key, value)| match value {
            Found::Text(text) if *key == self.instance => Some(text.as_str()),
            _ => None,
        });
        let of_policy = values.iter().filter(|(key, _)| *key < self.instance);
        TraceFacts {
            trace_id: trace.trace_id,
            service: self.services.value(trace.entry),
            operation: self.names.value(trace.entry),
            class: trace.class,
            classes: trace.classes,
            has_root: trace.has_root,
            is_linked: trace.is_linked,
            statuses: trace.statuses,
            start: UnixNanos::from_i64(trace.start),
            end: UnixNanos::from_i64(trace.end),
            received,
            span_count: trace.rows.len() as u64,
            instance,
            attributes: of_policy.map(|(key, value)| (*key, value.as_fact())).collect(),
            state_changed: false,
            kept_before: false,
            weight: 1.0,
        }
    }
}

struct Columns<'a> {
    ids: &'a arrow::array::FixedSizeBinaryArray,
    parents: &'a arrow::array::FixedSizeBinaryArray,
    parent_rows: &'a arrow::array::ArrayRef,
    trace_starts: &'a arrow::array::Int64Array,
    offsets: &'a arrow::array::Int64Array,
    durations: &'a arrow::array::Int64Array,
    links: &'a arrow::array::ArrayRef,
    services: Words,
    names: Words,
    statuses: Words,
    /// By [`Words::key`] of `statuses`.
    codes: Vec<StatusCode>,
    attributes: AttributeReader<'a>,
}

impl<'a> Columns<'a> {
    fn new(rows: &'a RecordBatch, keys: &'a Keys) -> Result<Self, Error> {
        let statuses = Words::new(rows, schema::STATUS)?;
        let code = |name: &str| {
            let known = [StatusCode::Unset, StatusCode::Ok, StatusCode::Error];
            known.into_iter().find(|code| code.name() == name).unwrap_or(StatusCode::Unset)
        };
        Ok(Self {
            ids: decode::binary(rows, schema::TRACE_ID)?,
            parents: decode::binary(rows, schema::PARENT_SPAN_ID)?,
            parent_rows: decode::column(rows, schema::PARENT_ROW_DISTANCE)?,
            trace_starts: decode::int64(rows, schema::TRACE_START)?,
            offsets: decode::int64(rows, schema::START_OFFSET)?,
            durations: decode::int64(rows, schema::DURATION)?,
            links: decode::column(rows, schema::LINKS)?,
            services: Words::new(rows, schema::SERVICE)?,
            names: Words::new(rows, schema::NAME)?,
            codes: statuses.distinct().map(code).collect(),
            statuses,
            attributes: AttributeReader::new(rows, &keys.names)?,
        })
    }

    fn trace(
        &self,
        rows: Range<usize>,
        classes: &mut Classes<'_>,
        values: &mut Values,
        keys: &Keys,
    ) -> Result<Trace, Error> {
        let trace_id = decode::id(self.ids.value(rows.start), TraceId::from_bytes)?;
        let mut trace = Trace {
            trace_id,
            entry: rows.start,
            class: OperationClass::Other,
            classes: ClassSet::EMPTY,
            has_root: false,
            is_linked: false,
            statuses: StatusSet::EMPTY,
            start: i64::MAX,
            end: 0,
            values: 0..0,
            rows: rows.clone(),
        };
        for row in rows {
            let start = self.trace_starts.value(row) + self.offsets.value(row);
            trace.start = trace.start.min(start);
            trace.end = trace.end.max(start + self.durations.value(row));
            trace.statuses = trace.statuses.with(self.codes[self.statuses.key(row)]);
            trace.is_linked |= self.links.is_valid(row);
            let attribute = self.attributes.read(row, keys.class, values)?;
            let class = classes.of(self, row, attribute);
            trace.classes = trace.classes.with(class);
            let is_root = self.is_root(trace_id, row);
            if row == trace.entry || (is_root && !trace.has_root) {
                (trace.entry, trace.class) = (row, class);
            }
            trace.has_root |= is_root;
        }
        trace.values = values.of_trace();
        Ok(trace)
    }

    fn is_root(&self, trace_id: TraceId, row: usize) -> bool {
        let parents = self.parents;
        self.parent_rows.is_null(row) && (parents.is_null(row) || parents.value(row) == &trace_id.as_bytes()[8..])
    }
}

/// Classes by service, span name and attribute, each told once.
struct Classes<'a> {
    classifier: &'a Classifier,
    by_name: HashMap<(usize, usize), OperationClass, RandomState>,
    by_attribute: HashMap<(usize, usize, String), OperationClass, RandomState>,
}

impl Classes<'_> {
    fn of(&mut self, columns: &Columns<'_>, row: usize, attribute: Option<String>) -> OperationClass {
        let (service, name) = (columns.services.key(row), columns.names.key(row));
        let tell = |attribute: Option<&str>| {
            self.classifier.classify(columns.services.text(service), columns.names.text(name), attribute)
        };
        match attribute {
            None => *self.by_name.entry((service, name)).or_insert_with(|| tell(None)),
            Some(text) => {
                if let Some(known) = self.by_attribute.get(&(service, name, text.clone())) {
                    return *known;
                }
                let class = tell(Some(&text));
                self.by_attribute.insert((service, name, text), class);
                class
            }
        }
    }
}

/// The traces that some span of another one links to.
fn linked_traces(rows: &RecordBatch) -> Result<HashSet<TraceId, RandomState>, Error> {
    let links = decode::column(rows, schema::LINKS)?;
    let corrupt = || Error::Corrupt { what: "a block".to_owned(), why: "its links are no list of links".to_owned() };
    let lists = links.as_list_opt::<i32>().ok_or_else(corrupt)?;
    let fields = lists.values().as_struct_opt().ok_or_else(corrupt)?;
    let ids: &BinaryArray =
        fields.column_by_name(schema::TRACE_ID).and_then(|ids| ids.as_binary_opt()).ok_or_else(corrupt)?;
    // Ids are kept as sent; one that is none links to nothing.
    Ok(ids.iter().flatten().filter_map(|id| TraceId::from_bytes(id).ok()).collect())
}
