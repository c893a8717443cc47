//! Keeps texts and gives each a number: the same to equal texts, unless they are known not to repeat.

use std::hash::BuildHasher;
use std::ops::Range;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use proto::view::Text;

/// The number of a text within one [`Interner`].
pub(crate) type TextId = u32;

/// Texts of one window: names, attribute values, JSON.
#[derive(Default)]
pub(crate) struct Interner {
    bytes: String,
    ends: Vec<usize>,
    table: HashTable<TextId>,
    hasher: RandomState,
}

impl Interner {
    /// The number of `text`, new or known.
    pub(crate) fn intern<'a>(&mut self, text: impl Into<Text<'a>>) -> TextId {
        let text = text.into();
        let hash = self.hasher.hash_one(text.as_bytes());
        let Self { bytes, ends, table, hasher } = self;
        if let Some(known) = table.find(hash, |id| bytes.as_bytes()[range(ends, *id)] == *text.as_bytes()) {
            return *known;
        }
        let id = ends.len() as TextId;
        bytes.push_str(text.as_str());
        ends.push(bytes.len());
        table.insert_unique(hash, id, |id| hasher.hash_one(&bytes.as_bytes()[range(ends, *id)]));
        id
    }

    /// A new number for `text`, which is not looked for, now or later: for texts that do not come back.
    pub(crate) fn append(&mut self, text: &str) -> TextId {
        let id = self.ends.len() as TextId;
        self.bytes.push_str(text);
        self.ends.push(self.bytes.len());
        id
    }

    /// The number of `text`, if it is known.
    pub(crate) fn find(&self, text: &str) -> Option<TextId> {
        let hash = self.hasher.hash_one(text.as_bytes());
        self.table.find(hash, |id| self.has(*id, text.into())).copied()
    }

    /// Whether `text` is the one with this number.
    pub(crate) fn has(&self, id: TextId, text: Text<'_>) -> bool {
        self.bytes.as_bytes()[range(&self.ends, id)] == *text.as_bytes()
    }

    /// The text with this number.
    pub(crate) fn get(&self, id: TextId) -> &str {
        &self.bytes[range(&self.ends, id)]
    }

    /// Numbers given out.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }
}

/// Where a text lies.
fn range(ends: &[usize], id: TextId) -> Range<usize> {
    let at = id as usize;
    let start = if at == 0 { 0 } else { ends[at - 1] };
    start..ends[at]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_has_one_number() {
        let mut texts = Interner::default();
        let ids: Vec<_> = ["a", "", "bc", "a", "", "ü"].iter().map(|text| texts.intern(*text)).collect();
        assert_eq!(ids, [0, 1, 2, 0, 1, 3]);
        assert_eq!((texts.get(2), texts.get(1), texts.get(3), texts.len()), ("bc", "", "ü", 4));
        assert_eq!((texts.find("bc"), texts.find("zz")), (Some(2), None));
        let appended = texts.append("a");
        assert_eq!((appended, texts.get(appended), texts.find("a")), (4, "a", Some(0)));
    }
}
