//! What the parts of one run have in common.

use std::fmt;

use proto::TraceId;
use serde::{Deserialize, Serialize};

use crate::OperationClass;

/// Which attribute an id of a run comes from. New kinds go to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunIdKind {
    /// `dbaas.failover.id`
    Failover,
    /// `dbaas.backup.id`
    Backup,
    /// `dbaas.restore.id`
    Restore,
    /// `dbaas.operation.id`
    Operation,
    /// `dbaas.request.id`: one request may start several runs, so it joins only parts of one class and instance.
    Request,
}

impl RunIdKind {
    /// Every kind, in the order of the enumeration.
    pub const ALL: [Self; 5] = [Self::Failover, Self::Backup, Self::Restore, Self::Operation, Self::Request];

    /// The attribute that holds the id.
    #[must_use]
    pub const fn attribute(self) -> &'static str {
        match self {
            Self::Failover => "dbaas.failover.id",
            Self::Backup => "dbaas.backup.id",
            Self::Restore => "dbaas.restore.id",
            Self::Operation => "dbaas.operation.id",
            Self::Request => "dbaas.request.id",
        }
    }

    /// The class whose operations have ids of this kind; `None` for every class.
    #[must_use]
    pub const fn class(self) -> Option<OperationClass> {
        match self {
            Self::Failover => Some(OperationClass::Failover),
            Self::Backup => Some(OperationClass::Backup),
            Self::Restore => Some(OperationClass::Restore),
            Self::Operation | Self::Request => None,
        }
    }
}

/// An id that the emitter gave a run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunId {
    /// Which attribute it comes from.
    pub kind: RunIdKind,
    /// The attribute's value, as text.
    pub value: String,
}

/// What parts are filed under so that those of one run are found: two parts can only belong together when they share a key,
/// or each shares one with a third.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RunKey {
    /// The part has this id.
    Id(RunId),
    /// The part is of this trace, or links to it.
    Trace(TraceId),
    /// Failovers of one instance that begin close to each other. The number is that of a merge window since the epoch: a part
    /// is filed under its own and the next one, so that neighbours meet.
    Instance {
        /// `dbaas.instance.id`
        instance: String,
        /// Start divided by the merge window.
        window: i64,
    },
}

impl fmt::Display for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{}={}", id.kind.attribute(), id.value),
            Self::Trace(trace_id) => write!(f, "trace={trace_id}"),
            Self::Instance { instance, window } => write!(f, "instance={instance}@{window}"),
        }
    }
}
