//! Span attributes by key: per key one sparse column for each type that was seen.
//!
//! Spans of one name mostly have the same keys in the same order, and often the values of the span before. Both are
//! tried first, because comparing with one text is several times cheaper than finding it among all.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use proto::view::{KeyValueView, Text, ValueView};

use super::intern::{Interner, TextId};
use super::sparse::Sparse;
use crate::json;

/// Keys that get columns in one window; further ones are kept, but only as JSON. Bounds what a sender that puts ids
/// into keys can make us hold.
const KEYS_MAX: usize = 4_096;

/// Span names whose order of keys is remembered; a sender that puts ids into names has no use for it.
const SEQUENCES_MAX: usize = 4_096;

/// Keys remembered per span name.
const SEQUENCE_KEYS_MAX: usize = 64;

/// Values of a column after which it is clear whether they repeat.
const PROBATION_VALUES: u32 = 256;

/// The values of one key.
#[derive(Default)]
pub(crate) struct AttributeColumn {
    pub(crate) strings: Sparse<TextId>,
    pub(crate) ints: Sparse<i64>,
    pub(crate) doubles: Sparse<f64>,
    pub(crate) bools: Sparse<bool>,
    /// JSON of bytes, lists, maps and empty values.
    pub(crate) others: Sparse<TextId>,
    /// How many of `strings` no other value of the window was equal to when they came.
    new_strings: u32,
}

impl AttributeColumn {
    fn push_string(&mut self, texts: &mut Interner, row: u32, text: Text<'_>) {
        if let Some(last) = self.strings.values.last()
            && texts.has(*last, text)
        {
            self.strings.push(row, *last);
            return;
        }
        let known = texts.len();
        let is_id = self.new_strings > PROBATION_VALUES && self.new_strings as usize * 4 > self.strings.len() * 3;
        // Ids do not come back, so looking for them is wasted.
        let id = if is_id { texts.append(text.as_str()) } else { texts.intern(text) };
        self.new_strings += u32::from(texts.len() > known);
        self.strings.push(row, id);
    }
}

/// All span attributes of a window.
#[derive(Default)]
pub(crate) struct AttributeTable {
    index: HashMap<TextId, u32, RandomState>,
    /// Keys in the order in which they came.
    pub(crate) keys: Vec<TextId>,
    /// One per key.
    pub(crate) columns: Vec<AttributeColumn>,
    /// Key and JSON of the values of keys beyond [`KEYS_MAX`].
    pub(crate) overflow: Sparse<(TextId, TextId)>,
    /// For each span name the columns of its last span's attributes, in the sender's order.
    sequences: Vec<Vec<u32>>,
    /// Where that is, by span name.
    sequence_of: HashMap<TextId, usize, RandomState>,
    scratch: String,
}

impl AttributeTable {
    /// Adds all attributes of `row`, a span with the name `name`.
    pub(crate) fn push<'a>(
        &mut self,
        texts: &mut Interner,
        row: u32,
        name: TextId,
        attributes: impl Iterator<Item = KeyValueView<'a>>,
    ) {
        let of_name = self.sequence_of(name);
        // Taken out while columns change; put back as it was found, or better.
        let mut sequence = of_name.map(|at| std::mem::take(&mut self.sequences[at]));
        for (position, attribute) in attributes.enumerate() {
            let expected = sequence.as_ref().and_then(|sequence| sequence.get(position)).copied();
            let at = match expected {
                Some(at) if texts.has(self.keys[at as usize], attribute.key) => at,
                _ => {
                    let key = texts.intern(attribute.key);
                    let Some(at) = self.column(key) else {
                        let value = json_text(texts, &mut self.scratch, attribute.value);
                        self.overflow.push(row, (key, value));
                        continue;
                    };
                    if let Some(sequence) = &mut sequence {
                        remember(sequence, position, at);
                    }
                    at
                }
            };
            let column = &mut self.columns[at as usize];
            match attribute.value {
                ValueView::String(text) => column.push_string(texts, row, text),
                ValueView::Int(number) => column.ints.push(row, number),
                ValueView::Double(number) => column.doubles.push(row, number),
                ValueView::Bool(flag) => column.bools.push(row, flag),
                other => column.others.push(row, json_text(texts, &mut self.scratch, other)),
            }
        }
        if let Some((at, sequence)) = of_name.zip(sequence) {
            self.sequences[at] = sequence;
        }
    }

    fn sequence_of(&mut self, name: TextId) -> Option<usize> {
        if let Some(known) = self.sequence_of.get(&name) {
            return Some(*known);
        }
        let at = self.sequences.len();
        (at < SEQUENCES_MAX).then(|| {
            self.sequences.push(Vec::new());
            self.sequence_of.insert(name, at);
            at
        })
    }

    /// The values of a key, if it has a column.
    pub(crate) fn of_key(&self, key: TextId) -> Option<&AttributeColumn> {
        self.columns.get(*self.index.get(&key)? as usize)
    }

    fn column(&mut self, key: TextId) -> Option<u32> {
        if let Some(at) = self.index.get(&key) {
            return Some(*at);
        }
        if self.keys.len() >= KEYS_MAX {
            return None;
        }
        let at = self.keys.len() as u32;
        self.index.insert(key, at);
        self.keys.push(key);
        self.columns.push(AttributeColumn::default());
        Some(at)
    }
}

fn remember(sequence: &mut Vec<u32>, position: usize, at: u32) {
    if let Some(slot) = sequence.get_mut(position) {
        *slot = at;
    } else if position == sequence.len() && position < SEQUENCE_KEYS_MAX {
        // Otherwise an attribute before it has no column.
        sequence.push(at);
    }
}

fn json_text(texts: &mut Interner, scratch: &mut String, value: ValueView<'_>) -> TextId {
    scratch.clear();
    json::write_value(scratch, value);
    texts.intern(scratch.as_str())
}
