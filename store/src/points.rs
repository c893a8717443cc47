//! Named places between two steps: a crash there leaves something different behind than a crash before or after.
//!
//! Does nothing by itself. Tests pass a [`Probe`] that stops the process, or fails, at one of them.

use std::fmt;
use std::str::FromStr;

/// A place between two steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Point {
    /// A group of batches is synced; no sender has its answer.
    BatchesSynced,
    /// A new window is open; the one before it takes no more batches and waits.
    WindowSealed,
    /// A sealed window's index and batches are in files of the hot tier.
    WindowFlushed,
    /// A window's block is in the object store; no manifest names it.
    BlockPut,
    /// The manifest that names a window's block is in the object store; readers do not know it.
    BlockCommitted,
    /// Readers find the spans in the block; the hot tier still has the window.
    BlockShown,
    /// Windows that the manifest covers have left the hot tier.
    WindowsRetired,
    /// A merged block is in the object store; no manifest names it.
    MergedPut,
    /// The manifest names the merged block instead of its inputs, or blocks have left it by age or bytes; all of them are
    /// still in the object store.
    MergeCommitted,
    /// The manifest names one rollup instead of those that went into it.
    RollupsJoined,
    /// Some of the objects that no manifest names are deleted.
    OrphanSwept,
    /// The manifest names deleted traces, or forgets some; readers do not know it.
    DeletesCommitted,
}

impl Point {
    /// All of them, in the order in which a span meets them.
    pub const ALL: [Self; 12] = [
        Self::BatchesSynced,
        Self::WindowSealed,
        Self::WindowFlushed,
        Self::BlockPut,
        Self::BlockCommitted,
        Self::BlockShown,
        Self::WindowsRetired,
        Self::MergedPut,
        Self::MergeCommitted,
        Self::RollupsJoined,
        Self::OrphanSwept,
        Self::DeletesCommitted,
    ];

    /// As it is written, such as `block-put`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BatchesSynced => "batches-synced",
            Self::WindowSealed => "window-sealed",
            Self::WindowFlushed => "window-flushed",
            Self::BlockPut => "block-put",
            Self::BlockCommitted => "block-committed",
            Self::BlockShown => "block-shown",
            Self::WindowsRetired => "windows-retired",
            Self::MergedPut => "merged-put",
            Self::MergeCommitted => "merge-committed",
            Self::RollupsJoined => "rollups-joined",
            Self::OrphanSwept => "orphan-swept",
            Self::DeletesCommitted => "deletes-committed",
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|point| point.name() == text)
            .ok_or_else(|| format!("no such point {text:?}: {}", known()))
    }
}

/// Hears of each point as it is reached, on the thread that reached it.
pub trait Probe: Send + Sync + 'static {
    /// The store goes on when this returns.
    fn reached(&self, point: Point);
}

/// What the program runs with: nobody listens.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProbe;

impl Probe for NoProbe {
    fn reached(&self, _: Point) {}
}
