//! What a span stands for: class, phase, waiting or working, noise, and whether it has a run of its own.
//!
//! Owns the rules, those that ship and those that users add under `[operations]`, and the explanation of what they come to.
//! Precedence, for each answer by itself: an attribute of the span; a rule of the user by the exact name, then by a pattern;
//! the rules and tables that ship, exact names first; the nearest mapped ancestor; else `other`. Looks at one span and the
//! names above it; what spans come to together is told in [`crate::run`].

mod config;
mod error;
mod explain;
mod mapped;
mod name;
mod phase;
mod rule;
mod settings;
mod shipped;
mod text;

use std::fmt;
use std::sync::Arc;

use quick_cache::sync::Cache;
use serde::Deserialize;

pub use config::RULES_MAX;
pub use error::{RuleProblem, RulesError};
pub use explain::{Answer, Explanation, SpanContext};
pub use mapped::Mapped;
pub use name::{MarkKind, NameRules};
pub use phase::{Phase, PhaseError};
pub use settings::Settings;

use crate::class::Words;
use crate::{Classifier, Span};
use name::{KNOWN_BYTES_MAX, KNOWN_MAX, NameKey, NameRef, PhasePatterns};
use rule::Rule;
use text::OperationsText;

/// Attributes by which a span can belong to a run whatever its name is.
pub const RUN_ATTRIBUTES: [&str; 6] = [
    "dbaas.operation.class",
    "dbaas.operation",
    "dbaas.failover.id",
    "dbaas.backup.id",
    "dbaas.restore.id",
    "dbaas.operation.id",
];

/// The rules in force, compiled. Cloning shares them.
#[derive(Clone, Deserialize)]
#[serde(try_from = "OperationsText")]
pub struct Rules(Arc<Compiled>);

struct Compiled {
    settings: Settings,
    /// The user's, then those that ship.
    rules: Vec<Rule>,
    classifier: Classifier,
    phases: PhasePatterns,
    /// What is known of distinct (service, scope, name). A memory, no state: it changes no answer.
    known: Cache<NameKey, Arc<NameRules>>,
}

impl Default for Rules {
    /// The rules that ship.
    fn default() -> Self {
        Self::new(Settings::default(), shipped::rules().collect())
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.rules.iter().map(|rule| rule.name.as_str()).collect();
        f.debug_struct("Rules").field("settings", &self.0.settings).field("rules", &names).finish()
    }
}

impl Rules {
    fn new(settings: Settings, rules: Vec<Rule>) -> Self {
        Self(Arc::new(Compiled {
            settings,
            rules,
            classifier: Classifier::default(),
            phases: PhasePatterns::default(),
            known: Cache::new(KNOWN_MAX),
        }))
    }

    /// What is not a rule: which classes have runs, windows and limits in time.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// What the rules say of a span. Costs a lookup when its name is known.
    #[must_use]
    pub fn map<'a>(&'a self, span: &'a Span) -> Mapped<'a> {
        let name = self.of_name(span.service(), &span.scope.name, &span.name);
        Mapped { compiled: &self.0, name, attributes: &span.attributes, resource: &span.resource.attributes }
    }

    /// What the rules say of every span of this name, before its attributes are looked at: kept for the next time.
    #[must_use]
    pub fn of_name(&self, service: &str, scope: &str, name: &str) -> Arc<NameRules> {
        if service.len() + scope.len() + name.len() > KNOWN_BYTES_MAX {
            return Arc::new(self.compiled(service, scope, name));
        }
        let key = NameRef { service, scope, name };
        if let Some(known) = self.0.known.get(&key) {
            return known;
        }
        let compiled = Arc::new(self.compiled(service, scope, name));
        self.0.known.insert(key.to_key(), Arc::clone(&compiled));
        compiled
    }

    fn compiled(&self, service: &str, scope: &str, name: &str) -> NameRules {
        let words = Words::of(name);
        let matching = self.0.rules.iter().enumerate().filter_map(|(index, rule)| {
            let precision = rule.matches_name(service, scope, name, words.text())?;
            Some((rule.is_shipped, precision, index))
        });
        let mut matching: Vec<_> = matching.collect();
        matching.sort_unstable();
        NameRules {
            by_name: self.0.classifier.by_name(name),
            by_service: self.0.classifier.by_service(service),
            phases: self.0.phases.first_matches(words.text()),
            waits: self.0.phases.waits(words.text()),
            rules: matching.into_iter().map(|(_, precision, index)| (precision, index)).collect(),
            may_have_run: false,
        }
        .with_interest(&self.0.rules, &self.0.settings)
    }
}

#[cfg(test)]
mod tests;
