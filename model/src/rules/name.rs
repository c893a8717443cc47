//! What the rules say of a name, worked out once per distinct (service, scope, name).

use quick_cache::Equivalent;
use regex::{Regex, RegexSet};

use super::rule::{Precision, Rule};
use super::{Phase, Settings, shipped};
use crate::OperationClass;
use crate::class::NameMatch;

/// Distinct (service, scope, name) that are remembered. A fleet has some thousands; senders that put ids into names have any
/// number, and cost a classification each.
pub(super) const KNOWN_MAX: usize = 8_192;

/// Longest (service, scope, name) that is remembered, in bytes: with the above some megabytes at most.
pub(super) const KNOWN_BYTES_MAX: usize = 192;

/// What the rules say of every span of one service, scope and name. Attributes of a span may overrule it.
#[derive(Debug)]
pub struct NameRules {
    /// Those that match, in the order in which they are asked.
    pub(super) rules: Vec<(Precision, usize)>,
    pub(super) by_name: Option<(OperationClass, NameMatch)>,
    pub(super) by_service: Option<OperationClass>,
    /// For each of [`PHASED`], the first pattern that matches.
    pub(super) phases: [Option<usize>; 3],
    pub(super) waits: bool,
    pub(super) may_have_run: bool,
}

/// What a health check or a write tells about an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkKind {
    /// A health check.
    HealthCheck,
    /// A statement that writes, or the probe that does so.
    Write,
}

/// The classes that have phases.
const PHASED: [OperationClass; 3] = [OperationClass::Failover, OperationClass::Backup, OperationClass::Restore];

impl NameRules {
    /// Whether a span of this name can be (part of) an operation that has runs, as far as the name tells. A span can also be
    /// one by its attributes: see [`super::RUN_ATTRIBUTES`].
    #[must_use]
    pub fn may_have_run(&self) -> bool {
        self.may_have_run
    }

    /// Whether the name tells a phase of a failover, so that a trace which links to another may be a part of one.
    #[must_use]
    pub fn may_be_linked_part(&self) -> bool {
        self.phases[0].is_some()
    }

    /// Sets [`Self::may_have_run`]: the first rule that answers whatever the attributes are ends the search.
    pub(super) fn with_interest(mut self, rules: &[Rule], settings: &Settings) -> Self {
        // What never has a run whatever its attributes are, such as pushing WAL, comes thousands of times an hour.
        let says_so = |index: &usize| Some((rules[*index].says.has_run?, rules[*index].attributes.is_empty()));
        let mut told = self.rules.iter().filter_map(|(_, index)| says_so(index));
        if told.find(|(has_run, is_final)| *has_run || *is_final).is_some_and(|(has_run, _)| !has_run) {
            self.may_have_run = false;
            return self;
        }
        let has_run = |class| settings.run_classes.contains(class);
        let mut answers = self.rules.iter().map(|(_, index)| &rules[*index]).filter_map(|rule| {
            let class = rule.says.class?;
            Some((has_run(class), rule.attributes.is_empty()))
        });
        let mut by_rules = None;
        for (may, is_final) in answers.by_ref() {
            by_rules = Some(by_rules.unwrap_or(false) || may);
            if is_final {
                self.may_have_run = by_rules.unwrap_or(false);
                return self;
            }
        }
        let by_name = self.by_name.is_some_and(|(class, _)| has_run(class));
        self.may_have_run = by_rules.unwrap_or(false) || by_name;
        self
    }

    /// The pattern that tells the phase within an operation of the class.
    pub(super) fn pattern(&self, class: OperationClass) -> Option<(Phase, &'static str)> {
        let place = PHASED.iter().position(|phased| *phased == class)?;
        self.phases[place].map(|index| table(class)[index])
    }
}

const fn table(class: OperationClass) -> &'static [(Phase, &'static str)] {
    match class {
        OperationClass::Failover => shipped::FAILOVER,
        OperationClass::Backup => shipped::BACKUP,
        OperationClass::Restore => shipped::RESTORE,
        _ => &[],
    }
}

/// The patterns that ship, compiled: those of a class in one go.
pub(super) struct PhasePatterns {
    of_class: [RegexSet; 3],
    waits: Option<Regex>,
}

impl Default for PhasePatterns {
    fn default() -> Self {
        // The patterns are constants and a test compiles each: a set that does not compile is an empty one, not a panic.
        let set = |class| RegexSet::new(table(class).iter().map(|(_, pattern)| *pattern)).unwrap_or_default();
        Self { of_class: PHASED.map(set), waits: Regex::new(shipped::WAITS).ok() }
    }
}

impl PhasePatterns {
    /// Per class of [`PHASED`], the first pattern that matches the words.
    pub(super) fn first_matches(&self, words: &str) -> [Option<usize>; 3] {
        self.of_class.each_ref().map(|set| set.matches(words).iter().min())
    }

    /// The phase that a text names in other words.
    pub(super) fn phase(&self, class: OperationClass, words: &str) -> Option<Phase> {
        let place = PHASED.iter().position(|phased| *phased == class)?;
        self.of_class[place].matches(words).iter().min().map(|index| table(class)[index].0)
    }

    pub(super) fn waits(&self, words: &str) -> bool {
        self.waits.as_ref().is_some_and(|regex| regex.is_match(words))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct NameKey {
    service: Box<str>,
    scope: Box<str>,
    name: Box<str>,
}

/// A [`NameKey`] that is only looked up: hashes alike.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct NameRef<'a> {
    pub(super) service: &'a str,
    pub(super) scope: &'a str,
    pub(super) name: &'a str,
}

impl NameRef<'_> {
    pub(super) fn to_key(&self) -> NameKey {
        NameKey { service: self.service.into(), scope: self.scope.into(), name: self.name.into() }
    }
}

impl Equivalent<NameKey> for NameRef<'_> {
    fn equivalent(&self, key: &NameKey) -> bool {
        self.name == &*key.name && self.service == &*key.service && self.scope == &*key.scope
    }
}
