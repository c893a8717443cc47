//! Keeps texts and gives each a number: the same to equal texts, unless they are known not to repeat.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

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
    pub(crate) fn intern(&mut self, text: &str) -> TextId {
        let hash = self.hasher.hash_one(text);
        let Self { bytes, ends, table, hasher } = self;
        let known = table.find(hash, |id| slice(bytes, ends, *id) == text);
        if let Some(id) = known {
            return *id;
        }
        let id = ends.len() as TextId;
        bytes.push_str(text);
        ends.push(bytes.len());
        table.insert_unique(hash, id, |id| hasher.hash_one(slice(bytes, ends, *id)));
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
        let hash = self.hasher.hash_one(text);
        self.table.find(hash, |id| self.get(*id) == text).copied()
    }

    /// The text with this number.
    pub(crate) fn get(&self, id: TextId) -> &str {
        slice(&self.bytes, &self.ends, id)
    }

    /// Numbers given out.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }
}

fn slice<'a>(bytes: &'a str, ends: &[usize], id: TextId) -> &'a str {
    let at = id as usize;
    let start = if at == 0 { 0 } else { ends[at - 1] };
    &bytes[start..ends[at]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_has_one_number() {
        let mut texts = Interner::default();
        let ids: Vec<_> = ["a", "", "bc", "a", "", "ü"].iter().map(|text| texts.intern(text)).collect();
        assert_eq!(ids, [0, 1, 2, 0, 1, 3]);
        assert_eq!((texts.get(2), texts.get(1), texts.get(3), texts.len()), ("bc", "", "ü", 4));
        assert_eq!((texts.find("bc"), texts.find("zz")), (Some(2), None));
        let appended = texts.append("a");
        assert_eq!((appended, texts.get(appended), texts.find("a")), (4, "a", Some(0)));
    }
}
