//! Joins rows: of the same time, of many, or of all, with a limit on how many there can be. Pure, so that joining rollups is
//! the same in the worker and in an answer.

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use model::SpanKind;
use proto::TraceId;

use super::{NAMES_PER_SERVICE_MAX, OTHER_NAMES, OTHER_SERVICES, Resolution, Rollup, Row, Totals};
use crate::Error;
use crate::window::intern::{Interner, TextId};

/// A row as a file has it: texts and sketch where they lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowView<'a> {
    pub(crate) start: i64,
    pub(crate) service: &'a str,
    pub(crate) name: &'a str,
    pub(crate) kind: SpanKind,
    pub(crate) is_root: bool,
    pub(crate) spans: u64,
    pub(crate) errors: u64,
    pub(crate) sum_nanos: i64,
    pub(crate) min_nanos: i64,
    pub(crate) max_nanos: i64,
    /// See [`super::Sketch::to_bytes`].
    pub(crate) sketch: &'a [u8],
    pub(crate) slowest: TraceId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    service: TextId,
    name: TextId,
    kind: SpanKind,
    is_root: bool,
    start: i64,
}

/// Rows by what they count.
pub(crate) struct Table {
    texts: Interner,
    rows: HashMap<Key, Totals, RandomState>,
    rows_max: usize,
    /// Whether `rows_max` was reached.
    names_folded: bool,
}

impl Table {
    /// For about `rows_max` rows: from there on new names are counted as [`OTHER_NAMES`] of their service, and beyond
    /// twice as many also new services together, so that no count is ever lost.
    pub(crate) fn new(rows_max: usize) -> Self {
        Self { texts: Interner::default(), rows: HashMap::default(), rows_max, names_folded: false }
    }

    /// Whether names had to be counted together.
    pub(crate) const fn names_are_folded(&self) -> bool {
        self.names_folded
    }

    /// Adds a row of a file, at the time `start`.
    ///
    /// # Errors
    /// When its sketch cannot be read.
    pub(crate) fn add_view(&mut self, start: i64, row: &RowView<'_>) -> Result<(), Error> {
        let totals = self.entry(start, row.service, row.name, row.kind, row.is_root, || Totals {
            spans: 0,
            errors: 0,
            sum_nanos: 0,
            min_nanos: row.min_nanos,
            max_nanos: row.max_nanos,
            sketch: super::Sketch::default(),
            slowest: row.slowest,
        });
        totals.sketch.merge_bytes(row.sketch)?;
        totals.merge_counts(row.spans, row.errors, row.sum_nanos);
        totals.stretch(row.min_nanos, row.max_nanos, row.slowest);
        Ok(())
    }

    /// Adds a row, at the time `start`.
    pub(crate) fn add(&mut self, start: i64, row: &Row) {
        self.add_totals(start, &row.service, &row.name, row.kind, row.is_root, &row.totals);
    }

    fn add_totals(&mut self, start: i64, service: &str, name: &str, kind: SpanKind, is_root: bool, totals: &Totals) {
        let mut is_new = false;
        let known = self.entry(start, service, name, kind, is_root, || {
            is_new = true;
            totals.clone()
        });
        if !is_new {
            known.merge(totals);
        }
    }

    /// Counts all that `other` does.
    pub(crate) fn absorb(&mut self, other: Self) {
        let Self { texts, rows, names_folded, .. } = other;
        self.names_folded |= names_folded;
        for (key, totals) in rows {
            let (service, name) = (texts.get(key.service), texts.get(key.name));
            self.add_totals(key.start, service, name, key.kind, key.is_root, &totals);
        }
    }

    fn entry(
        &mut self,
        start: i64,
        service: &str,
        name: &str,
        kind: SpanKind,
        is_root: bool,
        new: impl FnOnce() -> Totals,
    ) -> &mut Totals {
        let mut key = Key { service: self.texts.intern(service), name: self.texts.intern(name), kind, is_root, start };
        if self.rows.len() >= self.rows_max && !self.rows.contains_key(&key) {
            self.names_folded = true;
            key.name = self.texts.intern(OTHER_NAMES);
            if self.rows.len() >= self.rows_max.saturating_mul(2) && !self.rows.contains_key(&key) {
                key.service = self.texts.intern(OTHER_SERVICES);
            }
        }
        self.rows.entry(key).or_insert_with(new)
    }

    /// The rows in order, with the most frequent [`NAMES_PER_SERVICE_MAX`] names of each service.
    pub(crate) fn into_rollup(mut self, resolution: Resolution) -> Rollup {
        self.fold_rare_names();
        let Self { texts, rows, .. } = self;
        let mut rows: Vec<Row> = rows
            .into_iter()
            .map(|(key, totals)| Row {
                start: key.start,
                service: texts.get(key.service).to_owned(),
                name: texts.get(key.name).to_owned(),
                kind: key.kind,
                is_root: key.is_root,
                totals,
            })
            .collect();
        sort(&mut rows);
        Rollup { resolution, rows }
    }

    fn fold_rare_names(&mut self) {
        let other = self.texts.intern(OTHER_NAMES);
        let mut counts: HashMap<(TextId, TextId), u64, RandomState> = HashMap::default();
        for (key, totals) in self.rows.iter().filter(|(key, _)| key.name != other) {
            *counts.entry((key.service, key.name)).or_default() += totals.spans;
        }
        let rare = rare_names(counts.into_iter().map(|((service, name), spans)| (service, name, spans)));
        if rare.is_empty() {
            return;
        }
        let folded: Vec<(Key, Totals)> =
            self.rows.extract_if(|key, _| rare.contains(&(key.service, key.name))).collect();
        for (key, totals) in folded {
            match self.rows.entry(Key { name: other, ..key }) {
                hashbrown::hash_map::Entry::Occupied(mut known) => known.get_mut().merge(&totals),
                hashbrown::hash_map::Entry::Vacant(free) => {
                    free.insert(totals);
                }
            }
        }
    }
}

/// Brings rows into the order of a file.
pub(super) fn sort(rows: &mut [Row]) {
    fn order(row: &Row) -> (&str, &str, i32, bool, i64) {
        (&row.service, &row.name, row.kind.to_wire(), row.is_root, row.start)
    }
    rows.sort_unstable_by(|a, b| order(a).cmp(&order(b)));
}

/// Services with their span names that are beyond [`NAMES_PER_SERVICE_MAX`], out of all services, names and their spans.
pub(super) fn rare_names(
    counts: impl Iterator<Item = (TextId, TextId, u64)>,
) -> HashSet<(TextId, TextId), RandomState> {
    let mut services: HashMap<TextId, Vec<(std::cmp::Reverse<u64>, TextId)>, RandomState> = HashMap::default();
    for (service, name, spans) in counts {
        services.entry(service).or_default().push((std::cmp::Reverse(spans), name));
    }
    let mut rare = HashSet::default();
    for (service, mut names) in services {
        if names.len() > NAMES_PER_SERVICE_MAX {
            names.sort_unstable();
            rare.extend(names[NAMES_PER_SERVICE_MAX..].iter().map(|(_, name)| (service, *name)));
        }
    }
    rare
}
