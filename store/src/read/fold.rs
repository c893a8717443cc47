//! Folds the spans of one source (a window or a block) into fragments: what that source knows of each trace.

use std::ops::RangeInclusive;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use proto::{TraceId, UnixNanos};

use super::SearchRequest;
use crate::window::intern::{Interner, TextId};

/// Fragments by trace.
pub(super) type Fragments = HashMap<TraceId, Fragment, RandomState>;

/// What one source knows of a trace. Texts are those of the source's [`Folded`].
#[derive(Debug, Clone)]
pub(super) struct Fragment {
    pub(super) start: i64,
    pub(super) end: i64,
    /// Whether one of its spans meets the request's span conditions.
    pub(super) matched: bool,
    pub(super) spans: u64,
    pub(super) errors: u64,
    pub(super) root: Option<Named>,
    pub(super) first: Named,
    pub(super) services: Vec<TextId>,
}

/// A span by name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named {
    pub(super) start: i64,
    /// Sorts a root before the children that start with it.
    pub(super) is_child: bool,
    pub(super) service: TextId,
    pub(super) name: TextId,
}

impl Named {
    /// Lower is earlier.
    pub(super) const fn place(&self) -> (i64, bool) {
        (self.start, self.is_child)
    }
}

/// The columns of one span that a search looks at.
pub(super) struct Row {
    pub(super) trace_id: TraceId,
    pub(super) start: i64,
    /// As sent: may lie before the start.
    pub(super) end: i64,
    pub(super) service: TextId,
    pub(super) name: TextId,
    pub(super) is_error: bool,
    pub(super) is_root: bool,
}

/// The span conditions of a request, in a source's texts.
pub(super) struct Conditions {
    starts: RangeInclusive<i64>,
    service: Option<TextId>,
    name: Option<TextId>,
    error: Option<bool>,
    duration_min: i64,
    root_only: bool,
    /// No span of the source can match, because it does not have the service or the name.
    never: bool,
}

impl Conditions {
    /// `find` gives the number of a text in the source, if it has it.
    pub(super) fn new(request: &SearchRequest, find: impl Fn(&str) -> Option<TextId>) -> Self {
        let service = request.service.as_deref().map(&find);
        let name = request.name.as_deref().map(&find);
        Self {
            starts: request.start.as_i64()..=request.last_start(),
            service: service.flatten(),
            name: name.flatten(),
            error: request.error,
            duration_min: request.span_duration_min_nanos.unwrap_or(0),
            root_only: request.root_only,
            never: matches!(service, Some(None)) || matches!(name, Some(None)),
        }
    }

    fn matches(&self, row: &Row) -> bool {
        !self.never
            && self.starts.contains(&row.start)
            && self.service.is_none_or(|service| service == row.service)
            && self.name.is_none_or(|name| name == row.name)
            && self.error.is_none_or(|error| error == row.is_error)
            && (row.end - row.start).max(0) >= self.duration_min
            && (!self.root_only || row.is_root)
    }
}

/// All fragments of a source, with their texts.
#[derive(Default)]
pub(super) struct Folded {
    pub(super) fragments: Fragments,
    pub(super) texts: Interner,
    /// Whether the source has no span twice.
    pub(super) spans_are_unique: bool,
}

/// Adds one span to its trace's fragment.
pub(super) fn fold(fragments: &mut Fragments, row: &Row, conditions: &Conditions) {
    let named = Named { start: row.start, is_child: !row.is_root, service: row.service, name: row.name };
    let fragment = fragments.entry(row.trace_id).or_insert_with(|| Fragment {
        start: row.start,
        end: row.start,
        matched: false,
        spans: 0,
        errors: 0,
        root: None,
        first: named,
        services: Vec::new(),
    });
    fragment.start = fragment.start.min(row.start);
    fragment.end = fragment.end.max(row.end);
    fragment.matched |= conditions.matches(row);
    fragment.spans += 1;
    fragment.errors += u64::from(row.is_error);
    if named.place() < fragment.first.place() {
        fragment.first = named;
    }
    if row.is_root && fragment.root.is_none_or(|root| row.start < root.start) {
        fragment.root = Some(named);
    }
    if !fragment.services.contains(&row.service) {
        fragment.services.push(row.service);
    }
}

/// First start to last end over several fragments of a trace.
pub(super) fn hull<'a>(fragments: impl Iterator<Item = &'a Fragment>) -> (UnixNanos, i64) {
    let (mut start, mut end) = (i64::MAX, 0);
    for fragment in fragments {
        start = start.min(fragment.start);
        end = end.max(fragment.end);
    }
    (UnixNanos::from_i64(start), (end - start).max(0))
}
