//! Rows by what they count, with limits on how many there can be. Pure, so that counting a window, joining rollups and
//! answering are the same.

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use serde::Deserialize;

use super::bones::NONE;
use super::file::{RowPlace, RowView};
use super::totals::{Change, Counted};
use super::{
    DEPTH_MAX, NO_ROOT, OPERATIONS_PER_SERVICE_MAX, OTHER_STEPS, OTHER_VALUES, Row, STEPS_PER_OPERATION_MAX,
    StepRollup, VALUES_MAX, corrupt,
};
use crate::Error;
use crate::rollup::{OTHER_NAMES, OTHER_SERVICES, Resolution};
use crate::window::intern::{Interner, TextId};

/// The number of a step within one [`Table`].
pub(super) type PathId = u32;

/// Steps in all. Beyond it new operations are counted together: senders put ids into names of services too.
const PATHS_MAX: usize = 100_000;

/// Rows from which on minutes are counted by the hour, and hours by the day: for clocks that are all over the place.
const ROWS_MAX: usize = 65_536;

/// While rows are collected, so many times [`VALUES_MAX`] values are told apart, so that the most frequent ones stay.
const VALUES_FACTOR: u32 = 16;

/// A place in an operation.
#[derive(Debug, Clone, Copy)]
struct Node {
    /// Of an operation: its service.
    parent: u32,
    name: TextId,
    service: TextId,
    /// The topmost node; of an operation itself.
    operation: PathId,
    depth: u8,
    /// Of an operation: steps below it.
    steps: u32,
    /// Stands for all that is below it too.
    is_rest: bool,
}

/// What a row counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    path: PathId,
    /// 0 for versions, else the place in [`super::ATTRIBUTES`] + 1.
    attribute: u8,
    value: TextId,
    start: i64,
}

/// The row in which a step was counted last.
#[derive(Debug, Clone, Copy)]
struct Latest {
    start: i64,
    version: TextId,
    row: u32,
}

/// What the last row of a file counts.
struct Last {
    texts: [String; 4],
    path: PathId,
    attribute: Option<u8>,
    value: Option<String>,
    start: i64,
    /// [`NONE`] once rows have got other numbers.
    row: u32,
}

/// Rows by step, version or attribute, and time.
pub(crate) struct Table {
    texts: Interner,
    resolution: Resolution,
    nodes: Vec<Node>,
    operations: HashMap<(TextId, TextId), PathId, RandomState>,
    below: HashMap<(PathId, TextId), PathId, RandomState>,
    values: HashMap<(PathId, u8, TextId), TextId, RandomState>,
    values_of: HashMap<(PathId, u8), u32, RandomState>,
    numbers: HashMap<Key, u32, RandomState>,
    keys: Vec<Key>,
    changes: Vec<Change>,
    latest: Vec<Latest>,
    /// The row of the file that was added last, and where it is counted: rows of one step follow each other.
    last: Option<Last>,
    is_folded: bool,
}

impl Table {
    /// For rows of at least `resolution`.
    pub(crate) fn new(resolution: Resolution) -> Self {
        Self {
            texts: Interner::default(),
            resolution,
            nodes: Vec::new(),
            operations: HashMap::default(),
            below: HashMap::default(),
            values: HashMap::default(),
            values_of: HashMap::default(),
            numbers: HashMap::default(),
            keys: Vec::new(),
            changes: Vec::new(),
            latest: Vec::new(),
            last: None,
            is_folded: false,
        }
    }

    /// Whether operations, steps or values had to be counted together.
    pub(crate) const fn is_folded(&self) -> bool {
        self.is_folded
    }

    /// The number of a text.
    pub(super) fn intern(&mut self, text: &str) -> TextId {
        self.texts.intern(text)
    }

    /// A root.
    pub(super) fn operation(&mut self, service: TextId, name: TextId) -> PathId {
        if let Some(known) = self.operations.get(&(service, name)) {
            return *known;
        }
        let (mut service, mut name) = (service, name);
        if self.nodes.len() >= PATHS_MAX {
            (service, name) = (self.texts.intern(OTHER_SERVICES), self.texts.intern(OTHER_NAMES));
            self.is_folded = true;
        }
        let next = self.nodes.len() as PathId;
        let path = *self.operations.entry((service, name)).or_insert(next);
        if path == next {
            self.push(Node { parent: service, name, service, operation: next, depth: 0, steps: 0, is_rest: false });
        }
        path
    }

    /// What stands in the place of a root that has not been received.
    pub(super) fn without_root(&mut self, service: TextId) -> PathId {
        let name = self.texts.intern(NO_ROOT);
        self.operation(service, name)
    }

    /// A step below another one.
    pub(super) fn below(&mut self, parent: PathId, service: TextId, name: TextId) -> PathId {
        let above = self.nodes[parent as usize];
        if above.is_rest {
            return parent;
        }
        if let Some(known) = self.below.get(&(parent, name)) {
            let known = *known;
            self.note_service(known, service);
            return known;
        }
        let operation = &mut self.nodes[above.operation as usize];
        let is_rest = above.depth >= DEPTH_MAX || operation.steps >= STEPS_PER_OPERATION_MAX;
        let (parent, name, depth) = if is_rest {
            self.is_folded = true;
            (above.operation, self.texts.intern(OTHER_STEPS), 1)
        } else {
            operation.steps += 1;
            (parent, name, above.depth + 1)
        };
        let next = self.nodes.len() as PathId;
        let path = *self.below.entry((parent, name)).or_insert(next);
        if path == next {
            self.push(Node { parent, name, service, operation: above.operation, depth, steps: 0, is_rest });
        } else {
            self.note_service(path, service);
        }
        path
    }

    fn push(&mut self, node: Node) {
        self.nodes.push(node);
        self.latest.push(Latest { start: i64::MIN, version: NONE, row: NONE });
    }

    /// Of several services the first in alphabetical order, whatever comes first.
    fn note_service(&mut self, path: PathId, service: TextId) {
        let known = self.nodes[path as usize].service;
        if known != service && service != NONE && (known == NONE || self.texts.get(service) < self.texts.get(known)) {
            self.nodes[path as usize].service = service;
        }
    }

    /// Counts a span by the version of its root, which started at `start`.
    pub(super) fn count(&mut self, path: PathId, start: i64, version: TextId, span: &Counted, takes_back: bool) {
        let start = self.resolution.floor(start);
        let latest = self.latest[path as usize];
        let row = if latest.row != NONE && latest.start == start && latest.version == version {
            latest.row
        } else {
            let row = self.row(Key { path, attribute: 0, value: version, start });
            self.latest[path as usize] = Latest { start, version, row };
            row
        };
        self.changes[row as usize].count(span, takes_back);
    }

    /// Counts a root by the value of an attribute.
    pub(super) fn count_value(
        &mut self,
        path: PathId,
        start: i64,
        attribute: u8,
        value: TextId,
        span: &Counted,
        takes_back: bool,
    ) {
        let value = self.value(path, attribute, value);
        let key = Key { path, attribute: attribute + 1, value, start: self.resolution.floor(start) };
        let row = self.row(key);
        self.changes[row as usize].count(span, takes_back);
    }

    /// The value under which one is counted.
    fn value(&mut self, path: PathId, attribute: u8, value: TextId) -> TextId {
        if let Some(known) = self.values.get(&(path, attribute, value)) {
            return *known;
        }
        let count = self.values_of.entry((path, attribute)).or_default();
        let other = self.texts.intern(OTHER_VALUES);
        if *count >= VALUES_MAX.saturating_mul(VALUES_FACTOR) && value != other {
            self.is_folded = true;
            return other;
        }
        *count += 1;
        self.values.insert((path, attribute, value), value);
        value
    }

    fn row(&mut self, key: Key) -> u32 {
        if let Some(known) = self.numbers.get(&key) {
            return *known;
        }
        if self.keys.len() >= ROWS_MAX
            && let Some(coarser) = self.resolution.coarser()
        {
            self.coarsen(coarser);
            return self.row(Key { start: coarser.floor(key.start), ..key });
        }
        let row = self.keys.len() as u32;
        self.numbers.insert(key, row);
        self.keys.push(key);
        self.changes.push(Change::default());
        row
    }

    fn coarsen(&mut self, resolution: Resolution) {
        self.resolution = resolution;
        let keys = std::mem::take(&mut self.keys);
        self.rename(keys.into_iter().map(|key| Key { start: resolution.floor(key.start), ..key }).collect());
    }

    /// Gives each row a new key, and joins those that come to the same one.
    fn rename(&mut self, keys: Vec<Key>) {
        self.numbers.clear();
        if let Some(last) = &mut self.last {
            last.row = NONE;
        }
        self.latest.fill(Latest { start: i64::MIN, version: NONE, row: NONE });
        self.keys.clear();
        for (key, change) in keys.into_iter().zip(std::mem::take(&mut self.changes)) {
            let next = self.keys.len() as u32;
            let row = *self.numbers.entry(key).or_insert(next);
            if row == next {
                self.keys.push(key);
                self.changes.push(change);
            } else {
                self.changes[row as usize].merge(&change);
            }
        }
    }

    /// Counts the rarest operations of services that have too many together, and the rarest values of attributes.
    fn fold_rare(&mut self) {
        let (no_root, other) = (self.texts.intern(NO_ROOT), self.texts.intern(OTHER_VALUES));
        let (mut of_operations, mut of_values) = (Counts::default(), Counts::default());
        for (key, change) in self.keys.iter().zip(&self.changes) {
            let operation = self.nodes[key.path as usize].operation;
            let Node { parent: service, name, .. } = self.nodes[operation as usize];
            if key.attribute == 0 && name != no_root {
                of_operations.add(u64::from(service), operation, change.spans);
            } else if key.attribute > 0 && key.value != other {
                of_values.add(u64::from(key.path) << 8 | u64::from(key.attribute), key.value, change.spans);
            }
        }
        let rare_operations = of_operations.rarest(OPERATIONS_PER_SERVICE_MAX);
        let rare_values = of_values.rarest(VALUES_MAX);
        if rare_operations.is_empty() && rare_values.is_empty() {
            return;
        }
        self.is_folded = true;
        let (names, steps) = (self.texts.intern(OTHER_NAMES), self.texts.intern(OTHER_STEPS));
        let mut keys = std::mem::take(&mut self.keys);
        for key in &mut keys {
            let node = self.nodes[key.path as usize];
            let service = self.nodes[node.operation as usize].parent;
            if rare_values.contains(&(u64::from(key.path) << 8 | u64::from(key.attribute), key.value)) {
                key.value = other;
            }
            if rare_operations.contains(&(u64::from(service), node.operation)) {
                let operation = self.operation(service, names);
                key.path = if node.depth == 0 { operation } else { self.below(operation, service, steps) };
            }
        }
        self.rename(keys);
    }

    /// Adds a row of a file, at the time `start`.
    ///
    /// # Errors
    /// When its path or a sketch cannot be read.
    pub(crate) fn add_view(&mut self, start: i64, view: &RowView<'_>) -> Result<(), Error> {
        let row = self.row_of(start, view.place)?;
        view.add_to(&mut self.changes[row as usize])
    }

    /// Adds a row, at the time `start`.
    ///
    /// # Errors
    /// When its path cannot be read.
    pub(crate) fn add(&mut self, start: i64, row: &Row) -> Result<(), Error> {
        let number = self.row_of(start, row.place())?;
        self.changes[number as usize].merge(&row.change);
        Ok(())
    }

    fn row_of(&mut self, start: i64, place: RowPlace<'_>) -> Result<u32, Error> {
        let texts = [place.service, place.operation, place.path, place.step_service];
        let start = self.resolution.floor(start);
        let last = self.last.as_ref().filter(|last| last.texts.iter().zip(texts).all(|(known, text)| known == text));
        if let Some(last) = last
            && last.row != NONE
            && (last.start, last.attribute, last.value.as_deref()) == (start, place.attribute, place.value)
        {
            return Ok(last.row);
        }
        let path = match last {
            Some(last) => last.path,
            None => self.path_of(place)?,
        };
        let value = place.value.map_or(NONE, |value| self.texts.intern(value));
        let (attribute, value) = match place.attribute {
            None => (0, value),
            Some(attribute) => (attribute + 1, self.value(path, attribute, value)),
        };
        let row = self.row(Key { path, attribute, value, start });
        let (texts, value) = (texts.map(str::to_owned), place.value.map(str::to_owned));
        self.last = Some(Last { texts, path, attribute: place.attribute, value, start, row });
        Ok(row)
    }

    fn path_of(&mut self, place: RowPlace<'_>) -> Result<PathId, Error> {
        let (service, operation) = (self.texts.intern(place.service), self.texts.intern(place.operation));
        let mut path = self.operation(service, operation);
        if place.path != ROOT_PATH {
            let names: Vec<Name<'_>> =
                serde_json::from_str(place.path).map_err(|_| corrupt("a path is no list of texts"))?;
            let step_service = self.texts.intern(place.step_service);
            for (at, Name(name)) in names.iter().enumerate() {
                let name = self.texts.intern(&**name);
                let is_last = at + 1 == names.len();
                path = self.below(path, if is_last { step_service } else { NONE }, name);
                self.nodes[path as usize].is_rest |= is_last && self.texts.get(name) == OTHER_STEPS;
            }
        }
        Ok(path)
    }

    /// Counts all that `other` does, whose rows have the same resolution.
    ///
    /// # Errors
    /// When a path cannot be read.
    pub(crate) fn absorb(&mut self, other: Self) -> Result<(), Error> {
        self.is_folded |= other.is_folded;
        for row in other.into_rows() {
            self.add(row.start, &row)?;
        }
        Ok(())
    }

    /// The rows that change something, in order, with the most frequent operations and values.
    pub(crate) fn into_rollup(mut self) -> StepRollup {
        self.fold_rare();
        let resolution = self.resolution;
        let mut rows = self.into_rows();
        rows.sort_unstable_by(|a, b| order(a).cmp(&order(b)));
        StepRollup { resolution, rows }
    }

    /// The rows that change something.
    fn into_rows(self) -> Vec<Row> {
        let paths = self.paths();
        let text = |id: TextId| if id == NONE { String::new() } else { self.texts.get(id).to_owned() };
        let mut rows: Vec<Row> = Vec::with_capacity(self.keys.len());
        for (key, mut change) in self.keys.iter().zip(self.changes) {
            change.tidy();
            if change.is_zero() {
                continue;
            }
            let node = self.nodes[key.path as usize];
            let operation = self.nodes[node.operation as usize];
            rows.push(Row {
                start: key.start,
                service: text(operation.parent),
                operation: text(operation.name),
                path: paths[key.path as usize].clone(),
                step_service: text(node.service),
                attribute: key.attribute.checked_sub(1),
                value: (key.value != NONE).then(|| text(key.value)),
                change,
            });
        }
        rows
    }

    /// The path of each node as JSON.
    fn paths(&self) -> Vec<String> {
        let mut paths: Vec<String> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            // Nodes come after those above them.
            let above = if node.depth == 0 { "" } else { paths[node.parent as usize].trim_end_matches(']') };
            let mut path = above.to_owned();
            if node.depth == 0 {
                path.push_str(ROOT_PATH);
            } else {
                if node.depth > 1 {
                    path.push(',');
                }
                crate::json::write_string(&mut path, self.texts.get(node.name));
                path.push(']');
            }
            paths.push(path);
        }
        paths
    }
}

/// How many spans there are of each of some things, by what they belong to.
#[derive(Default)]
struct Counts(HashMap<u64, HashMap<u32, u64, RandomState>, RandomState>);

impl Counts {
    fn add(&mut self, owner: u64, thing: u32, spans: i64) {
        *self.0.entry(owner).or_default().entry(thing).or_default() += spans.unsigned_abs();
    }

    /// All but the `most` that have most spans, of each owner.
    fn rarest(self, most: u32) -> HashSet<(u64, u32), RandomState> {
        let mut rare = HashSet::default();
        for (owner, counts) in self.0 {
            let mut things: Vec<(std::cmp::Reverse<u64>, u32)> =
                counts.into_iter().map(|(thing, spans)| (std::cmp::Reverse(spans), thing)).collect();
            things.sort_unstable();
            rare.extend(things.into_iter().skip(most as usize).map(|(_, thing)| (owner, thing)));
        }
        rare
    }
}

/// The path of a root.
pub(crate) const ROOT_PATH: &str = "[]";

/// The order of rows in a file: what lists of operations read first, then what is counted by attributes, then steps.
pub(crate) fn order(row: &Row) -> (u8, &str, &str, &str, &str, Option<u8>, Option<&str>, i64) {
    let section = section(row.path != ROOT_PATH, row.attribute.is_some());
    let (service, operation, path) = (row.service.as_str(), row.operation.as_str(), row.path.as_str());
    (section, service, operation, path, &row.step_service, row.attribute, row.value.as_deref(), row.start)
}

/// Which part of a file a row is in.
pub(crate) const fn section(is_step: bool, is_value: bool) -> u8 {
    match (is_step, is_value) {
        (false, false) => 0,
        (false, true) => 1,
        (true, _) => 2,
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] std::borrow::Cow<'a, str>);
