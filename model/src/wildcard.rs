//! Texts with `*` for any run of characters.

/// A text to compare with, in which each `*` stands for any characters, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wildcard(String);

impl Wildcard {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// As it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `text` is one that is meant. Takes each part at its first place, so it never goes back and forth.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let Some((first, rest)) = self.0.split_once('*') else {
            return self.0 == text;
        };
        let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
        let Some(inner) = text.strip_prefix(first).and_then(|text| text.strip_suffix(last)) else {
            return false;
        };
        let mut inner = inner;
        for part in middle.split('*') {
            match inner.find(part) {
                Some(at) => inner = &inner[at + part.len()..],
                None => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text) in [
            ("Backup", "Backup"),
            ("*", ""),
            ("*", "anything"),
            ("GET *", "GET /healthz"),
            ("*Check", "HealthCheck"),
            ("a*b*c", "a--b--b-c"),
            ("*lth*k", "HealthCheck"),
            ("**", "é"),
        ] {
            assert!(Wildcard::new(pattern).matches(text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("Backup", "backup"), ("GET *", "GET"), ("ab*ba", "aba"), ("a*b*c", "a-c-b"), ("", "x"), ("*x*", "yyy")]
        {
            assert!(!Wildcard::new(pattern).matches(text), "{pattern} {text}");
        }
    }
}
