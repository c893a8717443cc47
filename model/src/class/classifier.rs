//! The class of a span, from its name.

use std::collections::HashMap;

use super::OperationClass;
use super::pattern::{Choice, Pattern};
use super::shape::{HttpRequest, is_statement};
use super::table;
use super::words::Words;

/// Tells classes. Made once, then shared: nothing changes in it.
#[derive(Debug, Clone)]
pub struct Classifier {
    exact: HashMap<String, OperationClass>,
    names: Patterns,
    changed_routes: Patterns,
    probed_routes: Patterns,
    services: Patterns,
}

/// How a name told the class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameMatch {
    /// It is a statement or an HTTP request.
    Form,
    /// The whole name is known.
    Exact,
    /// A part of it is known.
    Pattern,
}

impl Default for Classifier {
    /// With the table that ships.
    fn default() -> Self {
        Self {
            exact: table::EXACT.iter().map(|(name, class)| ((*name).to_owned(), *class)).collect(),
            names: Patterns::new(table::PATTERNS),
            changed_routes: Patterns::new(table::CHANGED_ROUTES),
            probed_routes: Patterns::new(table::PROBED_ROUTES),
            services: Patterns::new(table::SERVICES),
        }
    }
}

impl Classifier {
    /// The class of a span: by the attribute (see [`super::CLASS_ATTRIBUTES`]), else by its name, else by its service.
    ///
    /// Of a name, the first that applies: it is an HTTP request or a statement by its form; the whole name is known; one of
    /// its parts is known. Reads the name a few times and allocates a little: where every span asks, keep the answer per
    /// distinct name.
    #[must_use]
    pub fn classify(&self, service: &str, span_name: &str, class_attribute: Option<&str>) -> OperationClass {
        class_attribute
            .and_then(|value| self.by_attribute(value))
            .or_else(|| self.by_name(span_name).map(|(class, _)| class))
            .or_else(|| self.by_service(service))
            .unwrap_or(OperationClass::Other)
    }

    /// What the value of one of [`super::CLASS_ATTRIBUTES`] stands for: a class, or a word for the work.
    pub(crate) fn by_attribute(&self, value: &str) -> Option<OperationClass> {
        value.parse().ok().or_else(|| self.by_name(value).map(|(class, _)| class))
    }

    /// The last resort.
    pub(crate) fn by_service(&self, service: &str) -> Option<OperationClass> {
        self.services.first_match(&Words::of(service))
    }

    /// The class that a name tells, and how.
    pub(crate) fn by_name(&self, name: &str) -> Option<(OperationClass, NameMatch)> {
        if let Some(request) = HttpRequest::parse(name) {
            return Some((self.by_route(&request), NameMatch::Form));
        }
        if is_statement(name) {
            return Some((OperationClass::Query, NameMatch::Form));
        }
        let words = Words::of(name);
        let exact = self.exact.get(words.text()).map(|class| (*class, NameMatch::Exact));
        exact.or_else(|| self.names.first_match(&words).map(|class| (class, NameMatch::Pattern)))
    }

    /// Reading is an API request, whatever is read. Changing something is what the route's last part says.
    fn by_route(&self, request: &HttpRequest<'_>) -> OperationClass {
        let words = Words::of(request.last_part);
        let by_words = self.names.first_match(&words);
        let is_probe =
            by_words == Some(OperationClass::HealthCheck) || self.probed_routes.first_match(&words).is_some();
        if is_probe && !request.has_parameter {
            return OperationClass::HealthCheck;
        }
        if request.is_read {
            return OperationClass::Api;
        }
        let changed = by_words.filter(|class| class.is_lifecycle());
        changed.or_else(|| self.changed_routes.first_match(&words)).unwrap_or(OperationClass::Api)
    }
}

/// Patterns in order, found by the words that they can begin with.
#[derive(Debug, Clone, Default)]
struct Patterns {
    patterns: Vec<(Pattern, OperationClass)>,
    by_word: HashMap<String, Vec<usize>>,
    by_prefix: Vec<(String, usize)>,
}

impl Patterns {
    fn new(table: &[(OperationClass, &[&str])]) -> Self {
        let mut patterns = Self::default();
        for (class, texts) in table {
            for text in *texts {
                patterns.push(Pattern::parse(text), *class);
            }
        }
        patterns
    }

    fn push(&mut self, pattern: Pattern, class: OperationClass) {
        let index = self.patterns.len();
        for start in pattern.starts() {
            match start {
                Choice::Word(word) => self.by_word.entry(word.clone()).or_default().push(index),
                Choice::Prefix(prefix) => self.by_prefix.push((prefix.clone(), index)),
            }
        }
        self.patterns.push((pattern, class));
    }

    /// The class of the first pattern, in their order, that matches somewhere.
    fn first_match(&self, words: &Words) -> Option<OperationClass> {
        let mut first = self.patterns.len();
        for at in 0..words.len() {
            let word = words.get(at).unwrap_or_default();
            let by_word = self.by_word.get(word).into_iter().flatten().copied();
            let by_prefix = self.by_prefix.iter().filter(|(prefix, _)| word.starts_with(prefix.as_str()));
            for index in by_word.chain(by_prefix.map(|(_, index)| *index)) {
                if index < first && self.patterns[index].0.matches_at(words, at) {
                    first = index;
                }
            }
        }
        self.patterns.get(first).map(|(_, class)| *class)
    }
}
