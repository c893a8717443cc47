//! Goes over new rows of windows: which traces may say something about runs, and what is said of instances.

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use model::class::CLASS_ATTRIBUTES;
use model::failover::HealthMark;
use model::rules::{MarkKind, Rules};
use model::{StatusCode, semconv};
use proto::{TraceId, UnixNanos};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::interest::{Interest, MarkOfName, id_attributes};
use crate::hot::db::WindowId;
use crate::json;
use crate::window::Columns;
use crate::window::attributes::AttributeColumn;

const INSTANCE: &str = "dbaas.instance.id";
const TARGET: &str = "server.address";
const STATEMENT: &str = "db.operation.name";
const HTTP_STATUS: &str = "http.response.status_code";

/// Responses from here on are errors of the server.
const HTTP_SERVER_ERROR: i64 = 500;

/// What new rows tell.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Traces that may say something about runs.
    pub(super) traces: HashSet<TraceId, RandomState>,
    /// What is said of instances, in the order of arrival.
    pub(super) marks: Vec<HealthMark>,
}

/// How far windows have been gone over.
pub(super) struct Scanner {
    rules: Rules,
    windows: HashMap<WindowId, Scanned, RandomState>,
}

struct Scanned {
    rows: usize,
    interest: Interest,
    /// By number of the resource.
    instances: Vec<Option<String>>,
}

impl Scanner {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules, windows: HashMap::default() }
    }

    /// Goes over the rows of a window that have come since the last time. `is_known` tells traces that have said something before.
    pub(super) fn scan(&mut self, window: WindowId, columns: &Columns, is_known: impl Fn(TraceId) -> bool) -> Found {
        let rules = &self.rules;
        let scanned = self.windows.entry(window).or_insert_with(|| Scanned {
            rows: 0,
            interest: Interest::new(rules.clone()),
            instances: Vec::new(),
        });
        let (from, to) = (scanned.rows, columns.len());
        let mut found = Found::default();
        if from >= to {
            return found;
        }
        scanned.names(columns, from..to, is_known, &mut found);
        scanned.attributes(columns, from, &mut found);
        scanned.links(columns, from, &mut found);
        scanned.rows = to;
        found
    }

    /// A window has been gone over for the last time.
    pub(super) fn forget(&mut self, window: WindowId) {
        self.windows.remove(&window);
    }
}

impl Scanned {
    fn names(
        &mut self,
        columns: &Columns,
        rows: std::ops::Range<usize>,
        is_known: impl Fn(TraceId) -> bool,
        found: &mut Found,
    ) {
        let marks = MarkColumns::new(columns);
        let mut last = None;
        for row in rows {
            let trace = columns.traces.number_of_row(row);
            if last != Some(trace) {
                last = Some(trace);
                let trace_id = columns.traces.id_of_row(row);
                if is_known(trace_id) {
                    found.traces.insert(trace_id);
                }
            }
            let of_name = self.interest.of_row(columns, row);
            if of_name.may_have_run {
                found.traces.insert(columns.traces.id_of_row(row));
            }
            let kind = match of_name.mark {
                MarkOfName::No => None,
                MarkOfName::Always(kind) => Some(kind),
                MarkOfName::ByStatement => {
                    let operation = marks.statement.text(row);
                    operation.filter(|id| self.interest.is_write(columns, row, *id)).map(|_| MarkKind::Write)
                }
            };
            found.marks.extend(kind.and_then(|kind| self.mark(columns, &marks, row, kind)));
        }
    }

    fn mark(&mut self, columns: &Columns, marks: &MarkColumns<'_>, row: usize, kind: MarkKind) -> Option<HealthMark> {
        let instance = match marks.instance.told(columns, row) {
            Some(instance) => instance,
            None => self.instance_of(columns, columns.resource[row])?,
        };
        let is_error = |code: i64| code >= HTTP_SERVER_ERROR;
        let failed = match StatusCode::from_wire(columns.status[row].into()) {
            StatusCode::Error => true,
            StatusCode::Unset => marks.http_status.int(columns, row).is_some_and(is_error),
            StatusCode::Ok => false,
        };
        let (start, end) = (columns.start[row], columns.end[row]);
        let at = UnixNanos::from_i64(if failed { start } else { end.max(start) });
        let target = marks.target.told(columns, row).unwrap_or_default();
        Some(HealthMark { instance, target, at, kind, failed })
    }

    /// The instance that a resource names.
    fn instance_of(&mut self, columns: &Columns, resource: u32) -> Option<String> {
        #[derive(Deserialize)]
        struct Resource<'a> {
            #[serde(borrow)]
            attributes: &'a RawValue,
        }
        // Numbers are given in order.
        while self.instances.len() <= resource as usize {
            let json = columns.texts.get(columns.resources[self.instances.len()].json);
            // Written by this program a moment ago.
            let parsed = serde_json::from_str::<Resource<'_>>(json).ok();
            let attributes = parsed.and_then(|parsed| json::parse_attributes(parsed.attributes.get()).ok());
            let instance = attributes.and_then(|attributes| {
                let value = semconv::lookup(&attributes, INSTANCE).and_then(semconv::text);
                value.map(std::borrow::Cow::into_owned)
            });
            self.instances.push(instance);
        }
        self.instances[resource as usize].clone()
    }

    fn attributes(&mut self, columns: &Columns, from: usize, found: &mut Found) {
        let row = from as u32;
        let column = |key: &str| columns.texts.find(key).and_then(|key| Some((key, columns.attributes.of_key(key)?)));
        for (_, column) in id_attributes().filter_map(column) {
            let rows = column.strings.iter_from(row).map(|(row, _)| row);
            for row in rows.chain(column.ints.iter_from(row).map(|(row, _)| row)) {
                found.traces.insert(columns.traces.id_of_row(row as usize));
            }
        }
        for (key, column) in CLASS_ATTRIBUTES.into_iter().filter_map(column) {
            for (row, value) in column.strings.iter_from(row) {
                if self.interest.names_run(columns, row as usize, key, *value) {
                    found.traces.insert(columns.traces.id_of_row(row as usize));
                }
            }
        }
    }

    fn links(&mut self, columns: &Columns, from: usize, found: &mut Found) {
        for (row, _) in columns.links.iter_from(from as u32) {
            if self.interest.of_row(columns, row as usize).may_be_linked {
                found.traces.insert(columns.traces.id_of_row(row as usize));
            }
        }
    }
}

/// A key under all of its names.
struct Keyed<'a>(Vec<&'a AttributeColumn>);

impl<'a> Keyed<'a> {
    fn new(columns: &'a Columns, key: &str) -> Self {
        let names = std::iter::once(key).chain(semconv::aliases(key).iter().copied());
        Self(names.filter_map(|name| columns.attributes.of_key(columns.texts.find(name)?)).collect())
    }

    fn text(&self, row: usize) -> Option<u32> {
        self.0.iter().find_map(|column| column.strings.get(row as u32).copied())
    }

    fn told(&self, columns: &Columns, row: usize) -> Option<String> {
        let text = self.text(row).map(|text| columns.texts.get(text).to_owned()).filter(|text| !text.is_empty());
        let number = || self.0.iter().find_map(|column| column.ints.get(row as u32)).map(ToString::to_string);
        text.or_else(number)
    }

    fn int(&self, columns: &Columns, row: usize) -> Option<i64> {
        let text = || columns.texts.get(self.text(row)?).parse().ok();
        self.0.iter().find_map(|column| column.ints.get(row as u32).copied()).or_else(text)
    }
}

/// What is asked of a span that tells something about an instance.
struct MarkColumns<'a> {
    instance: Keyed<'a>,
    target: Keyed<'a>,
    statement: Keyed<'a>,
    http_status: Keyed<'a>,
}

impl<'a> MarkColumns<'a> {
    fn new(columns: &'a Columns) -> Self {
        let keyed = |key| Keyed::new(columns, key);
        Self {
            instance: keyed(INSTANCE),
            target: keyed(TARGET),
            statement: keyed(STATEMENT),
            http_status: keyed(HTTP_STATUS),
        }
    }
}
