//! What counting steps needs of a span, and nothing else: some 50 bytes, so that the spans of the last windows stay in memory.

use std::ops::Range;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use model::{KeyValue, Span, StatusCode, Value};
use proto::TraceId;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::ATTRIBUTES;
use crate::cold::build::Order;
use crate::hot::db::WindowId;
use crate::json;
use crate::window::Columns;
use crate::window::attributes::AttributeColumn;
use crate::window::intern::{Interner, TextId};

/// No text, no fact.
pub(super) const NONE: u32 = u32::MAX;

/// The attribute of a root's resource by which all steps are counted.
const VERSION: &str = "service.version";

/// Attributes of a span that only tells that another one has started, with the text that they have there. It counts for nothing.
const MARKERS: [(&str, &str); 2] = [("logfire.span_type", "pending_span"), ("dbaas.span.state", "started")];

/// Names and values are told apart by so many bytes.
const TEXT_BYTES_MAX: usize = 256;

/// One span. Texts are those of its [`Bones`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bone {
    pub(super) span: u64,
    /// 0 for none: no span has this id.
    pub(super) parent: u64,
    pub(super) start: i64,
    /// As sent: may lie before the start.
    pub(super) end: i64,
    pub(super) service: TextId,
    pub(super) name: TextId,
    /// Place in [`Bones::facts`]; [`NONE`] for a span that names a parent.
    pub(super) facts: u32,
    pub(super) is_error: bool,
}

/// What is told of a root: version and values of [`ATTRIBUTES`], or [`NONE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Facts {
    pub(super) version: TextId,
    pub(super) values: [TextId; ATTRIBUTES.len()],
}

impl Facts {
    const UNKNOWN: Self = Self { version: NONE, values: [NONE; ATTRIBUTES.len()] };

    /// Fills in what is not known yet.
    fn fill(&mut self, attributes: &[KeyValue], mut intern: impl FnMut(&str) -> TextId) {
        for (value, names) in self.values.iter_mut().zip(ATTRIBUTES) {
            if *value == NONE {
                *value = names.iter().find_map(|name| text_of(attributes, name)).map_or(NONE, &mut intern);
            }
        }
    }
}

/// Spans by trace, each span once.
#[derive(Default)]
pub(crate) struct Bones {
    /// The window that they are of; 0 when they are of no single one.
    pub(super) window: WindowId,
    /// Rows of the window, those that were sent again included.
    pub(super) rows: usize,
    pub(super) texts: Interner,
    /// Ascending, with their places in `spans`.
    pub(super) traces: Vec<(TraceId, Range<u32>)>,
    /// Those of a trace by start and id.
    pub(super) spans: Vec<Bone>,
    pub(super) facts: Vec<Facts>,
}

impl Bones {
    /// Those of a window, in the order of its block.
    pub(crate) fn of_window(window: WindowId, columns: &Columns, order: &Order) -> Self {
        let mut bones = Self { window, rows: columns.len(), ..Self::default() };
        bones.spans.reserve_exact(order.len());
        let mut source = Source::new(columns);
        let trace_of = |row: u32| columns.traces.number_of_row(row as usize);
        for trace in order.old_of_new.chunk_by(|a, b| trace_of(*a) == trace_of(*b)) {
            let trace_id = columns.traces.id_of_row(trace[0] as usize);
            let begin = bones.spans.len() as u32;
            for row in trace.iter().map(|row| *row as usize) {
                if !source.is_marker(row) {
                    let bone = source.bone(&mut bones, trace_id, row);
                    bones.spans.push(bone);
                }
            }
            bones.end_trace(trace_id, begin);
        }
        bones
    }

    /// What has been pushed since `begin` is one trace, the next in order.
    fn end_trace(&mut self, trace_id: TraceId, begin: u32) {
        let end = self.spans.len() as u32;
        if end > begin {
            self.traces.push((trace_id, begin..end));
        }
    }

    /// The spans of one of the traces.
    pub(super) fn of_trace(&self, number: usize) -> &[Bone] {
        let Range { start, end } = self.traces[number].1;
        &self.spans[start as usize..end as usize]
    }

    /// Spans.
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }
}

/// Spans of one trace from several sources, to be taken together: of two with the same id the later end counts, of those the one
/// that came first.
#[derive(Default)]
pub(super) struct Gathered {
    bones: Bones,
}

impl Gathered {
    /// Adds spans of a window, the windows in the order in which they came.
    pub(super) fn add_bones(&mut self, from: &Bones, number: usize) {
        self.add(from, from.of_trace(number));
    }

    /// Adds what another one has.
    pub(super) fn add_all(&mut self, other: &Self) {
        self.add(&other.bones, &other.bones.spans);
    }

    fn add(&mut self, from: &Bones, spans: &[Bone]) {
        for bone in spans {
            let text = |texts: &mut Interner, id| if id == NONE { NONE } else { texts.intern(from.texts.get(id)) };
            let texts = &mut self.bones.texts;
            let (service, name) = (text(texts, bone.service), text(texts, bone.name));
            let facts = if bone.facts == NONE {
                NONE
            } else {
                let known = &from.facts[bone.facts as usize];
                let facts =
                    Facts { version: text(texts, known.version), values: known.values.map(|value| text(texts, value)) };
                self.bones.facts.push(facts);
                (self.bones.facts.len() - 1) as u32
            };
            self.bones.spans.push(Bone { service, name, facts, ..*bone });
        }
    }

    /// Adds a span that was read back.
    pub(super) fn add_span(&mut self, span: &Span) {
        if MARKERS.iter().any(|(key, marker)| text_of(&span.attributes, key) == Some(marker)) {
            return;
        }
        let texts = &mut self.bones.texts;
        let mut intern = |text: &str| texts.intern(shortened(text));
        let parent = span.parent_span_id.map_or(0, |id| number(id.as_bytes()));
        let facts = if is_root(span.trace_id, parent) {
            let version = text_of(&span.resource.attributes, VERSION).map_or(NONE, &mut intern);
            let mut facts = Facts { version, ..Facts::UNKNOWN };
            facts.fill(&span.attributes, &mut intern);
            facts.fill(&span.resource.attributes, &mut intern);
            self.bones.facts.push(facts);
            (self.bones.facts.len() - 1) as u32
        } else {
            NONE
        };
        self.bones.spans.push(Bone {
            span: number(span.span_id.as_bytes()),
            parent,
            start: span.start.as_i64(),
            end: span.end.as_i64(),
            service: intern(span.service()),
            name: intern(&span.name),
            facts,
            is_error: span.status == StatusCode::Error,
        });
    }

    /// Spans so far, some perhaps twice.
    pub(super) fn len(&self) -> usize {
        self.bones.spans.len()
    }

    /// The first `count` spans that were added, each once, by start and id.
    pub(super) fn first(&self, count: usize) -> Vec<Bone> {
        let mut spans = self.bones.spans[..count].to_vec();
        spans.sort_by_key(|bone| (bone.span, std::cmp::Reverse(bone.end)));
        spans.dedup_by_key(|bone| bone.span);
        spans.sort_unstable_by_key(|bone| (bone.start, bone.span));
        spans
    }

    /// What they refer to.
    pub(super) const fn bones(&self) -> &Bones {
        &self.bones
    }
}

/// Whether a span with this parent is a root: see [`Columns::is_root`].
pub(super) fn is_root(trace_id: TraceId, parent: u64) -> bool {
    parent == 0 || parent == low_half(trace_id)
}

/// See [`TraceId::low_half`].
pub(super) fn low_half(trace_id: TraceId) -> u64 {
    trace_id.low_half().map_or(0, |id| number(id.as_bytes()))
}

const fn number(id: &[u8; 8]) -> u64 {
    u64::from_be_bytes(*id)
}

fn text_of<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    attributes.iter().find_map(|attribute| match &attribute.value {
        Value::String(text) if attribute.key == key && !text.is_empty() => Some(text.as_str()),
        _ => None,
    })
}

fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

/// A window's columns, read row by row.
struct Source<'a> {
    columns: &'a Columns,
    /// By the numbers of the window's texts.
    texts: Vec<TextId>,
    /// By the numbers of the window's resources.
    of_resource: Vec<Option<Facts>>,
    /// For each of [`ATTRIBUTES`] the window's text of each row, or [`NONE`].
    values: Vec<Vec<TextId>>,
    /// Ascending.
    markers: Vec<u32>,
    known_facts: HashMap<Facts, u32, RandomState>,
}

impl<'a> Source<'a> {
    fn new(columns: &'a Columns) -> Self {
        let mut markers: Vec<u32> = Vec::new();
        for (key, marker) in MARKERS {
            let Some((column, marker)) = column(columns, key).zip(columns.texts.find(marker)) else { continue };
            markers.extend(column.strings.iter().filter(|(_, text)| **text == marker).map(|(row, _)| row));
        }
        markers.sort_unstable();
        Self {
            columns,
            texts: vec![NONE; columns.texts.len()],
            of_resource: vec![None; columns.resources.len()],
            values: ATTRIBUTES.iter().map(|names| values(columns, names)).collect(),
            markers,
            known_facts: HashMap::default(),
        }
    }

    fn is_marker(&self, row: usize) -> bool {
        !self.markers.is_empty() && self.markers.binary_search(&(row as u32)).is_ok()
    }

    fn bone(&mut self, bones: &mut Bones, trace_id: TraceId, row: usize) -> Bone {
        let columns = self.columns;
        let parent = columns.parent_span_id[row].map_or(0, |id| number(id.as_bytes()));
        let service = columns.resources[columns.resource[row] as usize].service;
        let facts = if is_root(trace_id, parent) { self.facts(bones, row) } else { NONE };
        Bone {
            span: number(columns.span_id[row].as_bytes()),
            parent,
            start: columns.start[row],
            end: columns.end[row],
            service: self.text(bones, service),
            name: self.text(bones, columns.name[row]),
            facts,
            is_error: columns.status[row] == StatusCode::Error.to_wire() as u8,
        }
    }

    fn text(&mut self, bones: &mut Bones, text: TextId) -> TextId {
        let known = &mut self.texts[text as usize];
        if *known == NONE {
            *known = bones.texts.intern(shortened(self.columns.texts.get(text)));
        }
        *known
    }

    fn facts(&mut self, bones: &mut Bones, row: usize) -> u32 {
        let mut facts = self.resource_facts(bones, self.columns.resource[row]);
        for attribute in 0..ATTRIBUTES.len() {
            let value = self.values[attribute].get(row).copied().unwrap_or(NONE);
            if value != NONE && !self.columns.texts.get(value).is_empty() {
                facts.values[attribute] = self.text(bones, value);
            }
        }
        *self.known_facts.entry(facts).or_insert_with(|| {
            bones.facts.push(facts);
            (bones.facts.len() - 1) as u32
        })
    }

    fn resource_facts(&mut self, bones: &mut Bones, resource: u32) -> Facts {
        let slot = &mut self.of_resource[resource as usize];
        if let Some(known) = slot {
            return *known;
        }
        #[derive(Deserialize)]
        struct Resource<'a> {
            #[serde(borrow)]
            attributes: &'a RawValue,
        }
        let json = self.columns.texts.get(self.columns.resources[resource as usize].json);
        // Written by this program a moment ago.
        let parsed = serde_json::from_str::<Resource<'_>>(json).ok();
        let attributes = parsed.and_then(|parsed| json::parse_attributes(parsed.attributes.get()).ok());
        let attributes = attributes.unwrap_or_default();
        let mut intern = |text: &str| bones.texts.intern(shortened(text));
        let version = text_of(&attributes, VERSION).map_or(NONE, &mut intern);
        let mut facts = Facts { version, ..Facts::UNKNOWN };
        facts.fill(&attributes, &mut intern);
        *slot = Some(facts);
        facts
    }
}

/// The column of a key.
fn column<'a>(columns: &'a Columns, key: &str) -> Option<&'a AttributeColumn> {
    columns.attributes.of_key(columns.texts.find(key)?)
}

/// For each row the text of the first of some keys that it has; nothing at all when no row has one.
fn values(columns: &Columns, names: &[&str]) -> Vec<TextId> {
    let mut values = Vec::new();
    for column in names.iter().rev().filter_map(|name| column(columns, name)) {
        values.resize(columns.len(), NONE);
        // Of a key that was sent twice the first counts.
        for (row, text) in column.strings.rows.iter().zip(&column.strings.values).rev() {
            values[*row as usize] = *text;
        }
    }
    values
}
