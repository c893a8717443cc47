//! Counts the spans of a window, each once.
//!
//! 1. Number the groups of service, span name, kind and root; join names that are too many.
//! 2. Number the cells of group and minute; as long as there are too many, take hours, then days.
//! 3. Count each span in its cell.
//!
//! Only texts' numbers are hashed, and each span's cell is known before anything is made for it, so memory follows the
//! rows of the result and not what a sender puts into names and times.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use model::{SpanKind, StatusCode};

use super::table::rare_names;
use super::{OTHER_NAMES, Resolution, Rollup, Row, Totals, table};
use crate::window::Columns;
use crate::window::intern::TextId;

/// Rows up to which a window is counted by minutes: ten times what a platform of a thousand instances has in one. Spans
/// whose clocks are all over the place, or windows that took hours to fill, are counted by hours or days.
const ROWS_MAX: usize = 16_384;

/// Service, name, kind and root of spans, in one number, which is hashed at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Group(u128);

/// Stands for all names that are too many. A window that is about to have as many texts was sealed long before.
const OTHER: TextId = TextId::MAX;

impl Group {
    /// `kind` is OTLP's number.
    fn new(service: TextId, name: TextId, kind: u8, is_root: bool) -> Self {
        Self(u128::from(service) << 64 | u128::from(name) << 32 | u128::from(kind) << 1 | u128::from(is_root))
    }

    const fn service(self) -> TextId {
        (self.0 >> 64) as TextId
    }

    const fn name(self) -> TextId {
        (self.0 >> 32) as TextId
    }

    const fn kind(self) -> u8 {
        (self.0 as u32 >> 1) as u8
    }

    const fn is_root(self) -> bool {
        self.0 & 1 == 1
    }
}

/// Numbers things in the order in which they come.
struct Numbers<K> {
    numbers: HashMap<K, u32, RandomState>,
    keys: Vec<K>,
}

impl<K: Copy + Eq + std::hash::Hash> Numbers<K> {
    fn new() -> Self {
        Self { numbers: HashMap::default(), keys: Vec::new() }
    }

    fn of(&mut self, key: K) -> u32 {
        *self.numbers.entry(key).or_insert_with(|| {
            self.keys.push(key);
            (self.keys.len() - 1) as u32
        })
    }
}

/// Group and begin of a row.
type Cell = (u32, i64);

/// Counts the rows for which `is_kept`: of several rows with the same span that is one.
pub(crate) fn of_window(window: &Columns, is_kept: impl Fn(usize) -> bool) -> Rollup {
    let rows: Vec<u32> = (0..window.len()).filter(|row| is_kept(*row)).map(|row| row as u32).collect();
    let (groups, mut numbers) = group(window, &rows);
    let (cells, resolution) = divide(window, &rows, groups.len(), &mut numbers);

    let mut totals: Vec<Option<Totals>> = vec![None; cells.len()];
    for (row, cell) in rows.iter().zip(&numbers) {
        let at = *row as usize;
        let duration = window.end[at] - window.start[at];
        let is_error = window.status[at] == StatusCode::Error.to_wire() as u8;
        let trace_id = || window.traces.id_of_row(at);
        match &mut totals[*cell as usize] {
            Some(totals) => totals.add_span(duration, is_error, trace_id),
            none => *none = Some(Totals::of_span(duration, is_error, trace_id())),
        }
    }
    let row = |((group, start), totals): (Cell, Option<Totals>)| {
        let group = groups[group as usize];
        Some(Row {
            start,
            service: window.texts.get(group.service()).to_owned(),
            name: if group.name() == OTHER { OTHER_NAMES } else { window.texts.get(group.name()) }.to_owned(),
            kind: SpanKind::from_wire(group.kind().into()),
            is_root: group.is_root(),
            totals: totals?,
        })
    };
    let mut rows: Vec<Row> = cells.into_iter().zip(totals).filter_map(row).collect();
    table::sort(&mut rows);
    Rollup { resolution, rows }
}

/// The groups of `rows`, and the group of each.
fn group(window: &Columns, rows: &[u32]) -> (Vec<Group>, Vec<u32>) {
    let mut groups = Numbers::new();
    let mut spans: Vec<u64> = Vec::new();
    let mut numbers = Vec::with_capacity(rows.len());
    for row in rows {
        let at = *row as usize;
        let parent = window.parent_span_id[at];
        let service = window.resources[window.resource[at] as usize].service;
        let is_root = parent.is_none() || Columns::is_root(window.traces.id_of_row(at), parent);
        let number = groups.of(Group::new(service, window.name[at], window.kind[at], is_root));
        match spans.get_mut(number as usize) {
            Some(spans) => *spans += 1,
            None => spans.push(1),
        }
        numbers.push(number);
    }
    let mut by_name: HashMap<(TextId, TextId), u64, RandomState> = HashMap::default();
    for (group, spans) in groups.keys.iter().zip(&spans) {
        *by_name.entry((group.service(), group.name())).or_default() += spans;
    }
    let rare = rare_names(by_name.into_iter().map(|((service, name), spans)| (service, name, spans)));
    if rare.is_empty() {
        return (groups.keys, numbers);
    }
    let mut joined = Numbers::new();
    let of_old: Vec<u32> = groups
        .keys
        .iter()
        .map(|group| {
            let name = if rare.contains(&(group.service(), group.name())) { OTHER } else { group.name() };
            joined.of(Group::new(group.service(), name, group.kind(), group.is_root()))
        })
        .collect();
    for number in &mut numbers {
        *number = of_old[*number as usize];
    }
    (joined.keys, numbers)
}

/// Divides `groups` by time. `numbers` has the group of each row, and then its cell.
fn divide(window: &Columns, rows: &[u32], groups: usize, numbers: &mut [u32]) -> (Vec<Cell>, Resolution) {
    let mut resolution = Resolution::Minute;
    let mut cells = Numbers::new();
    // Spans of a group mostly come in the order of time.
    let mut latest: Vec<(i64, u32)> = vec![(i64::MIN, 0); groups];
    for (row, number) in rows.iter().zip(&mut *numbers) {
        let start = Resolution::Minute.floor(window.start[*row as usize]);
        let (known, cell) = &mut latest[*number as usize];
        if *known != start {
            (*known, *cell) = (start, cells.of((*number, start)));
        }
        *number = *cell;
    }
    while let Some(coarser) = resolution.coarser().filter(|_| cells.keys.len() > ROWS_MAX) {
        resolution = coarser;
        let mut joined = Numbers::new();
        let of_old: Vec<u32> =
            cells.keys.iter().map(|(group, start)| joined.of((*group, resolution.floor(*start)))).collect();
        for number in &mut *numbers {
            *number = of_old[*number as usize];
        }
        cells = joined;
    }
    (cells.keys, resolution)
}
