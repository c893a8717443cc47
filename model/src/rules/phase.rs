//! The canonical parts of a failover, a backup and a restore.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::OperationClass;

/// A canonical part of an operation. `Verify` and `Promote` belong to more than one class.
///
/// New phases go to the end: kept runs name them by their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Failover: from the fault to the problem being declared.
    Detect,
    /// Failover: the old primary is kept from accepting writes.
    Fence,
    /// Failover: a candidate is chosen, and the choice made durable.
    Elect,
    /// Failover: the candidate replays what it has received.
    Catchup,
    /// Failover, restore: the new primary begins to accept writes.
    Promote,
    /// Failover: endpoints, DNS or proxies are pointed to the new primary.
    Endpoint,
    /// Every class: the result is tried.
    Verify,
    /// Failover: replicas follow the new primary, the old one is rewound or rebuilt.
    Rejoin,
    /// Backup: waiting for a slot or a window.
    Queue,
    /// Backup: locks, choice of the target.
    Prepare,
    /// Backup: waiting for the checkpoint from which the backup starts.
    Checkpoint,
    /// Backup: data is read, compressed, encrypted and sent, or a snapshot is taken.
    Copy,
    /// Backup: the backup is ended and its label written.
    Stop,
    /// Backup: waiting until every WAL segment it needs is archived.
    WalWait,
    /// Backup: old backups are removed.
    Expire,
    /// Restore: a place for the data is made.
    Provision,
    /// Restore: the backup is fetched.
    Download,
    /// Restore: the base backup is laid out.
    ApplyBase,
    /// Restore: WAL segments are fetched.
    WalFetch,
    /// Restore: WAL is replayed.
    Replay,
    /// Restore: configuration after the data is there.
    PostConfig,
}

/// The text is no phase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no phase: write one of {names}", names = Phase::ALL.map(Phase::name).join(", "))]
pub struct PhaseError(
    /// What was written.
    pub String,
);

impl Phase {
    /// Every phase, in the order of the enumeration.
    pub const ALL: [Self; 21] = [
        Self::Detect,
        Self::Fence,
        Self::Elect,
        Self::Catchup,
        Self::Promote,
        Self::Endpoint,
        Self::Verify,
        Self::Rejoin,
        Self::Queue,
        Self::Prepare,
        Self::Checkpoint,
        Self::Copy,
        Self::Stop,
        Self::WalWait,
        Self::Expire,
        Self::Provision,
        Self::Download,
        Self::ApplyBase,
        Self::WalFetch,
        Self::Replay,
        Self::PostConfig,
    ];

    /// The phases of a failover, in their usual order.
    pub const FAILOVER: [Self; 8] = [
        Self::Detect,
        Self::Fence,
        Self::Elect,
        Self::Catchup,
        Self::Promote,
        Self::Endpoint,
        Self::Verify,
        Self::Rejoin,
    ];

    /// The phases of a backup, in their usual order.
    pub const BACKUP: [Self; 8] = [
        Self::Queue,
        Self::Prepare,
        Self::Checkpoint,
        Self::Copy,
        Self::Stop,
        Self::WalWait,
        Self::Verify,
        Self::Expire,
    ];

    /// The phases of a restore, in their usual order.
    pub const RESTORE: [Self; 8] = [
        Self::Provision,
        Self::Download,
        Self::ApplyBase,
        Self::WalFetch,
        Self::Replay,
        Self::Promote,
        Self::PostConfig,
        Self::Verify,
    ];

    /// The phases of operations of this class, in their usual order; none for classes that have no phases.
    #[must_use]
    pub const fn of_class(class: OperationClass) -> &'static [Self] {
        match class {
            OperationClass::Failover => &Self::FAILOVER,
            OperationClass::Backup => &Self::BACKUP,
            OperationClass::Restore => &Self::RESTORE,
            _ => &[],
        }
    }

    /// The name in attributes, in configuration and in the HTTP API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Detect => "detect",
            Self::Fence => "fence",
            Self::Elect => "elect",
            Self::Catchup => "catchup",
            Self::Promote => "promote",
            Self::Endpoint => "endpoint",
            Self::Verify => "verify",
            Self::Rejoin => "rejoin",
            Self::Queue => "queue",
            Self::Prepare => "prepare",
            Self::Checkpoint => "checkpoint",
            Self::Copy => "copy",
            Self::Stop => "stop",
            Self::WalWait => "wal_wait",
            Self::Expire => "expire",
            Self::Provision => "provision",
            Self::Download => "download",
            Self::ApplyBase => "apply_base",
            Self::WalFetch => "wal_fetch",
            Self::Replay => "replay",
            Self::PostConfig => "post_config",
        }
    }

    /// Whether operations of this class have the phase.
    #[must_use]
    pub fn belongs_to(self, class: OperationClass) -> bool {
        Self::of_class(class).contains(&self)
    }
}

impl FromStr for Phase {
    type Err = PhaseError;

    fn from_str(text: &str) -> Result<Self, PhaseError> {
        Self::ALL.into_iter().find(|phase| phase.name() == text).ok_or_else(|| PhaseError(text.to_owned()))
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
