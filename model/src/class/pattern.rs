//! Patterns of words, as the class table writes them.
//!
//! ```text
//! create|delete db? instance*     some word of the first element, perhaps `db`, then a word that begins with `instance`
//! ^find$                          `^` in front: from the first word on; `$` behind: up to the last word
//! ```
//!
//! Not regular expressions: a row stays readable, and all patterns are held against a name by looking its words up.

use super::words::Words;

/// A word of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Choice {
    /// This word.
    Word(String),
    /// A word that begins so.
    Prefix(String),
}

impl Choice {
    fn parse(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(prefix) => Self::Prefix(prefix.to_owned()),
            None => Self::Word(text.to_owned()),
        }
    }

    fn matches(&self, word: &str) -> bool {
        match self {
            Self::Word(text) => text == word,
            Self::Prefix(prefix) => word.starts_with(prefix.as_str()),
        }
    }
}

/// One place of a pattern.
#[derive(Debug, Clone)]
struct Element {
    choices: Vec<Choice>,
    is_optional: bool,
}

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    elements: Vec<Element>,
    from_first: bool,
    to_last: bool,
}

impl Pattern {
    /// Compiles the notation of this module, which has no wrong texts.
    pub(super) fn parse(text: &str) -> Self {
        let (from_first, text) = text.strip_prefix('^').map_or((false, text), |rest| (true, rest));
        let (to_last, text) = text.strip_suffix('$').map_or((false, text), |rest| (true, rest));
        let elements = text.split_whitespace().map(|element| {
            let (is_optional, choices) = element.strip_suffix('?').map_or((false, element), |choices| (true, choices));
            Element { choices: choices.split('|').map(Choice::parse).collect(), is_optional }
        });
        Self { elements: elements.collect(), from_first, to_last }
    }

    /// What the first matched word can be.
    pub(super) fn starts(&self) -> impl Iterator<Item = &Choice> {
        let optional = self.elements.iter().take_while(|element| element.is_optional).count();
        self.elements.iter().take(optional + 1).flat_map(|element| &element.choices)
    }

    /// Whether the pattern matches the words from the one at `index` on.
    pub(super) fn matches_at(&self, words: &Words, index: usize) -> bool {
        (!self.from_first || index == 0) && self.matches_rest(&self.elements, words, index)
    }

    /// Recurses once per element of the pattern.
    fn matches_rest(&self, elements: &[Element], words: &Words, index: usize) -> bool {
        let Some((element, rest)) = elements.split_first() else {
            return !self.to_last || index == words.len();
        };
        let is_here = words.get(index).is_some_and(|word| element.choices.iter().any(|choice| choice.matches(word)));
        (is_here && self.matches_rest(rest, words, index + 1))
            || (element.is_optional && self.matches_rest(rest, words, index))
    }
}
