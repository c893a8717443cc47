//! Operation classes: what kind of work a span or a trace is, told from an attribute, a name, or at last the service.
//!
//! Owns the classes, how much each matters, and the [`Classifier`] with the table that ships. Never looks at anything but
//! the texts it is given, so that callers may keep one answer per distinct (service, span name, attribute).

mod classifier;
mod pattern;
mod shape;
mod table;
mod words;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use classifier::Classifier;
pub(crate) use classifier::NameMatch;
pub(crate) use shape::is_statement;
pub(crate) use words::Words;

/// Attributes that tell the class, most telling first: the first one that a span has is what [`Classifier::classify`] takes.
/// The value is a class, or a word for the work itself, such as `create_instance`.
pub const CLASS_ATTRIBUTES: [&str; 2] = ["dbaas.operation.class", "dbaas.operation"];

/// What kind of work an operation is. New classes go to the end: kept runs name them by their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationClass {
    /// Another node becomes the primary, planned or not, and what belongs to it: fencing, rejoining.
    Failover,
    /// Instances are made, changed, moved or removed; the loops and workflows that do so.
    Provisioning,
    /// Data is saved: base backups, WAL archiving, snapshots.
    Backup,
    /// Data is brought back.
    Restore,
    /// A request to an API that is none of the above.
    Api,
    /// The control plane tells an agent beside a database what to do.
    AgentCommand,
    /// Something is asked whether it is well.
    HealthCheck,
    /// A statement, and the parts of the data plane that serve it.
    Query,
    /// Everything else.
    Other,
}

/// How much an operation class matters when not everything can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Wanted only when there is a problem.
    Low,
    /// Wanted.
    Medium,
    /// What the traces are kept for.
    High,
}

/// The text is no operation class.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no operation class: write one of {names}", names = class_names())]
pub struct ClassError(
    /// What was written.
    pub String,
);

/// Another name of [`OperationClass::Query`].
const QUERY_ALIAS: &str = "sql";

impl OperationClass {
    /// Every class.
    pub const ALL: [Self; 9] = [
        Self::Failover,
        Self::Provisioning,
        Self::Backup,
        Self::Restore,
        Self::Api,
        Self::AgentCommand,
        Self::HealthCheck,
        Self::Query,
        Self::Other,
    ];

    /// The name in configuration, in the HTTP API and in attributes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failover => "failover",
            Self::Provisioning => "provisioning",
            Self::Backup => "backup",
            Self::Restore => "restore",
            Self::Api => "api",
            Self::AgentCommand => "agent_command",
            Self::HealthCheck => "health_check",
            Self::Query => "query",
            Self::Other => "other",
        }
    }

    /// How much it matters. A restore is rare and somebody waits for it, so it ranks with failovers, not with backups.
    #[must_use]
    pub const fn priority(self) -> Priority {
        match self {
            Self::Failover | Self::Provisioning | Self::Restore | Self::Api => Priority::High,
            Self::Backup | Self::AgentCommand | Self::Query | Self::Other => Priority::Medium,
            Self::HealthCheck => Priority::Low,
        }
    }

    /// Work on an instance that is an operation wherever it occurs. The other classes are also the means by which other work
    /// is done: a health check sends a query, a failover calls an agent.
    #[must_use]
    pub const fn is_lifecycle(self) -> bool {
        matches!(self, Self::Failover | Self::Provisioning | Self::Backup | Self::Restore)
    }
}

impl FromStr for OperationClass {
    type Err = ClassError;

    fn from_str(text: &str) -> Result<Self, ClassError> {
        if text == QUERY_ALIAS {
            return Ok(Self::Query);
        }
        Self::ALL.into_iter().find(|class| class.name() == text).ok_or_else(|| ClassError(text.to_owned()))
    }
}

impl fmt::Display for OperationClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

fn class_names() -> String {
    OperationClass::ALL.map(OperationClass::name).join(", ")
}

/// A set of classes, such as those of all spans of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ClassSet(u16);

impl ClassSet {
    /// No class.
    pub const EMPTY: Self = Self(0);

    /// This set and `class`.
    #[must_use]
    pub const fn with(self, class: OperationClass) -> Self {
        Self(self.0 | 1 << class as u16)
    }

    /// What either of the two sets has.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether `class` is in the set.
    #[must_use]
    pub const fn contains(self, class: OperationClass) -> bool {
        self.0 & 1 << class as u16 != 0
    }

    /// The classes of the set, in the order of [`OperationClass::ALL`].
    pub fn iter(self) -> impl Iterator<Item = OperationClass> {
        OperationClass::ALL.into_iter().filter(move |class| self.contains(*class))
    }
}

impl FromIterator<OperationClass> for ClassSet {
    fn from_iter<T: IntoIterator<Item = OperationClass>>(classes: T) -> Self {
        classes.into_iter().fold(Self::EMPTY, Self::with)
    }
}

#[cfg(test)]
mod tests;
