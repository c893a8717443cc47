//! A name as lower-case words, so that `CreateInstance`, `create_instance` and `Create instance` are the same.

/// Bytes of a name that are looked at: pg_tracing sends whole statements as names, and what work is stands in front.
pub(super) const NAME_BYTES_MAX: usize = 256;

/// The words of a name.
pub(crate) struct Words {
    /// The words with one space between them.
    text: String,
    /// Where each word ends in `text`.
    ends: Vec<usize>,
}

impl Words {
    /// Splits at everything that is neither letter nor digit, and where a capital begins a word (`VTGate.Execute` is
    /// `vt gate execute`).
    pub(crate) fn of(name: &str) -> Self {
        let name = shortened(name);
        let mut words = Self { text: String::with_capacity(name.len() + 8), ends: Vec::with_capacity(8) };
        let mut previous: Option<char> = None;
        let mut chars = name.chars().peekable();
        while let Some(c) = chars.next() {
            if !c.is_alphanumeric() {
                words.end();
                previous = None;
                continue;
            }
            if previous.is_some_and(|previous| begins_word(previous, c, chars.peek().copied())) {
                words.end();
            }
            words.push(c);
            previous = Some(c);
        }
        words.end();
        words
    }

    fn push(&mut self, c: char) {
        let last_end = self.ends.last().copied().unwrap_or(0);
        if self.text.len() == last_end && last_end > 0 {
            self.text.push(' ');
        }
        self.text.extend(c.to_lowercase());
    }

    fn end(&mut self) {
        let last_end = self.ends.last().copied().unwrap_or(0);
        if self.text.len() > last_end {
            self.ends.push(self.text.len());
        }
    }

    /// All words with one space between them.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// How many words there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The word at this place, counted from 0.
    pub(crate) fn get(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)?;
        let start = if index == 0 { 0 } else { self.ends[index - 1] + 1 };
        Some(&self.text[start..end])
    }
}

/// At most [`NAME_BYTES_MAX`] bytes of the name.
pub(super) fn shortened(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_BYTES_MAX)]
}

fn begins_word(previous: char, c: char, next: Option<char>) -> bool {
    c.is_uppercase() && (!previous.is_uppercase() || next.is_some_and(char::is_lowercase))
}
