//! Which spans may belong to a run, and which tell something about an instance, by name and by the attributes that matter.
//!
//! Asked of every span, so what rules say is worked out once per distinct service, scope and name of a window. A span is said to matter
//! sooner than not: what its trace is about is decided from all of it.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use model::class::CLASS_ATTRIBUTES;
use model::rules::{MarkKind, RUN_ATTRIBUTES, Rules};
use model::{KeyValue, OperationClass, Resource, Scope, Span, SpanKind, StatusCode, Value};
use proto::UnixNanos;
use serde::Deserialize;

use crate::window::Columns;
use crate::window::intern::TextId;

/// Distinct names of a window that rules are asked about; a sender that puts ids into names has a hundred thousand, and those
/// matter by their attributes only.
const NAMES_MAX: usize = 8_192;

/// What a name says, whatever the attributes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OfName {
    pub(super) may_have_run: bool,
    /// A trace that links to another may be a part of its run.
    pub(super) may_be_linked: bool,
    pub(super) mark: MarkOfName,
}

/// Whether spans of a name tell something about an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MarkOfName {
    No,
    Always(MarkKind),
    /// A statement: depends on what it does.
    ByStatement,
}

impl OfName {
    const NOTHING: Self = Self { may_have_run: false, may_be_linked: false, mark: MarkOfName::No };
}

/// What rules say of the names of one window.
pub(super) struct Interest {
    rules: Rules,
    names: HashMap<(TextId, TextId, TextId), OfName, RandomState>,
    /// By the text of a scope: its name.
    scopes: HashMap<TextId, String, RandomState>,
    /// By name and value of an attribute that names a class.
    classes: HashMap<(TextId, TextId, TextId), bool, RandomState>,
    /// By what a statement does.
    writes: HashMap<TextId, bool, RandomState>,
}

impl Interest {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            names: HashMap::default(),
            scopes: HashMap::default(),
            classes: HashMap::default(),
            writes: HashMap::default(),
        }
    }

    /// What the name of a row says.
    pub(super) fn of_row(&mut self, columns: &Columns, row: usize) -> OfName {
        let service = columns.resources[columns.resource[row] as usize].service;
        let (scope, name) = (columns.scope[row], columns.name[row]);
        if let Some(known) = self.names.get(&(service, scope, name)) {
            return *known;
        }
        if self.names.len() >= NAMES_MAX {
            return OfName::NOTHING;
        }
        let scope_name = self.scopes.entry(scope).or_insert_with(|| scope_name(columns.texts.get(scope))).clone();
        let (service_name, span_name) = (columns.texts.get(service), columns.texts.get(name));
        let rules = self.rules.of_name(service_name, &scope_name, span_name);
        let span = stand_in(columns, row, scope_name, Vec::new());
        let mapped = self.rules.map(&span);
        let mark = match (mapped.mark(span_name), mapped.class()) {
            (Some(kind), _) => MarkOfName::Always(kind),
            (None, Some(OperationClass::Query)) => MarkOfName::ByStatement,
            _ => MarkOfName::No,
        };
        let of_name = OfName { may_have_run: rules.may_have_run(), may_be_linked: rules.may_be_linked_part(), mark };
        self.names.insert((service, scope, name), of_name);
        of_name
    }

    /// Whether an attribute that may name a class makes a row an operation that has runs. `key` is one of [`CLASS_ATTRIBUTES`].
    pub(super) fn names_run(&mut self, columns: &Columns, row: usize, key: TextId, value: TextId) -> bool {
        let name = columns.name[row];
        let known = (name, key, value);
        if let Some(known) = self.classes.get(&known) {
            return *known;
        }
        let text = |id| columns.texts.get(id);
        let attributes = vec![KeyValue { key: text(key).to_owned(), value: Value::String(text(value).to_owned()) }];
        let span = stand_in(columns, row, String::new(), attributes);
        let has_run = self.rules.map(&span).has_run();
        if self.classes.len() < NAMES_MAX {
            self.classes.insert(known, has_run);
        }
        has_run
    }

    /// Whether a statement with this `db.operation.name` writes.
    pub(super) fn is_write(&mut self, columns: &Columns, row: usize, operation: TextId) -> bool {
        if let Some(known) = self.writes.get(&operation) {
            return *known;
        }
        let value = Value::String(columns.texts.get(operation).to_owned());
        let attributes = vec![KeyValue { key: "db.operation.name".to_owned(), value }];
        let span = stand_in(columns, row, String::new(), attributes);
        let is_write = self.rules.map(&span).mark(&span.name) == Some(MarkKind::Write);
        if self.writes.len() < NAMES_MAX {
            self.writes.insert(operation, is_write);
        }
        is_write
    }
}

/// Attributes by which a span is of a run whatever they say.
pub(super) fn id_attributes() -> impl Iterator<Item = &'static str> {
    RUN_ATTRIBUTES.into_iter().filter(|key| !CLASS_ATTRIBUTES.contains(key))
}

/// A span that has nothing of a row but what rules ask for.
fn stand_in(columns: &Columns, row: usize, scope: String, attributes: Vec<KeyValue>) -> Span {
    let text = |id: TextId| columns.texts.get(id).to_owned();
    let service = text(columns.resources[columns.resource[row] as usize].service);
    let service = KeyValue { key: "service.name".to_owned(), value: Value::String(service) };
    Span {
        trace_id: columns.traces.id_of_row(row),
        span_id: columns.span_id[row],
        parent_span_id: None,
        trace_state: String::new(),
        flags: 0,
        name: text(columns.name[row]),
        kind: SpanKind::Unspecified,
        start: UnixNanos::ZERO,
        end: UnixNanos::ZERO,
        status: StatusCode::Unset,
        status_message: String::new(),
        attributes,
        dropped_attributes_count: 0,
        events: Vec::new(),
        dropped_events_count: 0,
        links: Vec::new(),
        dropped_links_count: 0,
        resource: Arc::new(Resource { attributes: vec![service], ..Resource::default() }),
        scope: Arc::new(Scope { name: scope, ..Scope::default() }),
    }
}

fn scope_name(json: &str) -> String {
    #[derive(Deserialize)]
    struct Named {
        #[serde(default)]
        name: String,
    }
    // Written by this program a moment ago.
    serde_json::from_str::<Named>(json).map(|named| named.name).unwrap_or_default()
}
