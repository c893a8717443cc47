//! The list of what exists in the cold tier. Not named here means not there.
//!
//! Every writer (node) has a prefix of its own, in which its manifests are numbered and written under fresh names; the
//! highest number counts. Correctness rests on one writer per prefix, never on conditional puts; where the object store
//! has them they fence off a second process that took the same writer id.

pub(crate) mod commit;
pub(crate) mod editor;
mod sync;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub(crate) use commit::ManifestStore;
pub(crate) use editor::{Editor, EditorParts};

use crate::cold::{BlockEntry, BlockId};
use crate::delete::Delete;
use crate::hot::db::WindowId;
use crate::rollup::{RollupEntry, RollupKind};

/// Version of the manifest's JSON.
pub(crate) const VERSION: u32 = 2;

/// Versions that can be read: the second names blocks of the second format.
pub(crate) const VERSIONS: std::ops::RangeInclusive<u32> = 1..=VERSION;

/// What becomes of a window in the cold tier; nothing when it had no span.
#[derive(Debug, Default)]
pub(crate) struct OfWindow {
    pub(crate) block: Option<BlockEntry>,
    pub(crate) rollup: Option<RollupEntry>,
    pub(crate) steps: Option<RollupEntry>,
    pub(crate) runs: Option<RollupEntry>,
}

/// What one writer has in the cold tier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the format.
    pub version: u32,
    /// Whose blocks these are.
    pub writer: String,
    /// Orders this writer's manifests: the higher is the newer. See [`editor::Editor::new`].
    pub number: u64,
    /// All windows up to this one are in blocks; 0 when none is.
    pub offloaded_through: WindowId,
    /// The blocks, oldest first.
    pub blocks: Vec<Arc<BlockEntry>>,
    /// Traces that nobody is to find any more, whoever's blocks they are in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deletes: Vec<Arc<Delete>>,
    /// The rollups, oldest first; what they count is not in the blocks any more once retention dropped it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rollups: Vec<Arc<RollupEntry>>,
    /// The rollups of steps, oldest first; a window has one beside its other rollup.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Arc<RollupEntry>>,
    /// The files of runs, oldest first; the time of a row is the last activity that it tells.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<Arc<RollupEntry>>,
}

impl Manifest {
    /// Before anything was offloaded.
    pub(crate) const fn empty(writer: String) -> Self {
        Self {
            version: VERSION,
            writer,
            number: 0,
            offloaded_through: 0,
            blocks: Vec::new(),
            deletes: Vec::new(),
            rollups: Vec::new(),
            steps: Vec::new(),
            runs: Vec::new(),
        }
    }

    /// With one more window offloaded. Its number is the editor's to give.
    pub(crate) fn with_window(&self, window: WindowId, made: &OfWindow) -> Self {
        let mut next = self.clone();
        next.version = VERSION;
        next.offloaded_through = next.offloaded_through.max(window);
        next.blocks.extend(made.block.clone().map(Arc::new));
        next.rollups.extend(made.rollup.clone().map(Arc::new));
        next.steps.extend(made.steps.clone().map(Arc::new));
        next.runs.extend(made.runs.clone().map(Arc::new));
        next
    }

    /// With `rollup` in the place of `inputs`, which are all of one kind; `None` when one of them is not there (any more).
    pub(crate) fn with_joined_rollups(
        &self,
        kind: RollupKind,
        inputs: &[Arc<RollupEntry>],
        rollup: Option<RollupEntry>,
    ) -> Option<Self> {
        let is_input = |entry: &Arc<RollupEntry>| inputs.iter().any(|input| input.path == entry.path);
        let mut next = self.clone();
        let rollups = match kind {
            RollupKind::Spans => &mut next.rollups,
            RollupKind::Steps => &mut next.steps,
            RollupKind::Runs => &mut next.runs,
        };
        let count = rollups.len();
        rollups.retain(|entry| !is_input(entry));
        if count - rollups.len() != inputs.len() {
            return None;
        }
        if let Some(rollup) = rollup {
            let at = rollups.partition_point(|entry| entry.offloaded_at <= rollup.offloaded_at);
            rollups.insert(at, Arc::new(rollup));
        }
        Some(next)
    }

    /// The rollups of one kind.
    pub(crate) fn rollups_of(&self, kind: RollupKind) -> &[Arc<RollupEntry>] {
        match kind {
            RollupKind::Spans => &self.rollups,
            RollupKind::Steps => &self.steps,
            RollupKind::Runs => &self.runs,
        }
    }

    /// Paths of all objects it names.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &str> {
        let blocks = self.blocks.iter().map(|block| block.path.as_str());
        blocks.chain(self.rollups.iter().chain(&self.steps).chain(&self.runs).map(|rollup| rollup.path.as_str()))
    }
}

impl Manifest {
    /// With `merged` in the place of the blocks that it was made of, or nothing if no span was left of them; `None` when one
    /// of them is not there any more.
    pub(crate) fn with_merged(&self, inputs: &[BlockId], merged: Option<&Arc<BlockEntry>>) -> Option<Self> {
        let is_input = |block: &Arc<BlockEntry>| inputs.contains(&block.id);
        if self.blocks.iter().filter(|block| is_input(block)).count() != inputs.len() {
            return None;
        }
        let mut next = self.clone();
        next.version = VERSION;
        let first = next.blocks.iter().position(is_input)?;
        next.blocks.retain(|block| !is_input(block));
        if let Some(merged) = merged {
            next.blocks.insert(first, Arc::clone(merged));
        }
        Some(next)
    }

    /// Without some blocks; `None` when it has none of them.
    pub(crate) fn without(&self, blocks: &[BlockId]) -> Option<Self> {
        let mut next = self.clone();
        next.version = VERSION;
        next.blocks.retain(|block| !blocks.contains(&block.id));
        (next.blocks.len() < self.blocks.len()).then_some(next)
    }
}

/// The manifests of all writers.
pub(crate) type Manifests = BTreeMap<String, Arc<Manifest>>;

/// Adds `manifest`, unless one of its writer is there that is not older.
pub(crate) fn keep_newest(manifests: &mut Manifests, manifest: &Arc<Manifest>) {
    let known = manifests.entry(manifest.writer.clone()).or_insert_with(|| Arc::clone(manifest));
    if known.number < manifest.number {
        *known = Arc::clone(manifest);
    }
}
