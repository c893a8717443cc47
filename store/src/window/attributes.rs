//! Span attributes by key: per key one sparse column for each type that was seen.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use proto::view::{KeyValueView, ValueView};

use super::intern::{Interner, TextId};
use super::sparse::Sparse;
use crate::json;

/// Keys that get columns in one window; further ones are kept, but only as JSON. Bounds what a sender that puts ids
/// into keys can make us hold.
const KEYS_MAX: usize = 4_096;

/// The values of one key.
#[derive(Default)]
pub(crate) struct AttributeColumn {
    pub(crate) strings: Sparse<TextId>,
    pub(crate) ints: Sparse<i64>,
    pub(crate) doubles: Sparse<f64>,
    pub(crate) bools: Sparse<bool>,
    /// JSON of bytes, lists, maps and empty values.
    pub(crate) others: Sparse<TextId>,
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
}

impl AttributeTable {
    /// Adds one attribute of `row`.
    pub(crate) fn push(&mut self, texts: &mut Interner, scratch: &mut String, row: u32, attribute: KeyValueView<'_>) {
        let key = texts.intern(attribute.key);
        let Some(column) = self.column(key) else {
            let value = json_text(texts, scratch, attribute.value);
            self.overflow.push(row, (key, value));
            return;
        };
        match attribute.value {
            ValueView::String(text) => column.strings.push(row, texts.intern(text)),
            ValueView::Int(number) => column.ints.push(row, number),
            ValueView::Double(number) => column.doubles.push(row, number),
            ValueView::Bool(flag) => column.bools.push(row, flag),
            other => column.others.push(row, json_text(texts, scratch, other)),
        }
    }

    fn column(&mut self, key: TextId) -> Option<&mut AttributeColumn> {
        let at = match self.index.get(&key) {
            Some(at) => *at as usize,
            None if self.keys.len() >= KEYS_MAX => return None,
            None => {
                self.index.insert(key, self.keys.len() as u32);
                self.keys.push(key);
                self.columns.push(AttributeColumn::default());
                self.keys.len() - 1
            }
        };
        self.columns.get_mut(at)
    }
}

fn json_text(texts: &mut Interner, scratch: &mut String, value: ValueView<'_>) -> TextId {
    scratch.clear();
    json::write_value(scratch, value);
    texts.intern(scratch)
}
