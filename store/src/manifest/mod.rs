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

use crate::cold::BlockEntry;
use crate::hot::db::WindowId;

/// Version of the manifest's JSON.
pub(crate) const VERSION: u32 = 2;

/// Versions that can be read: the second names blocks of the second format.
pub(crate) const VERSIONS: std::ops::RangeInclusive<u32> = 1..=VERSION;

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
}

impl Manifest {
    /// Before anything was offloaded.
    pub(crate) const fn empty(writer: String) -> Self {
        Self { version: VERSION, writer, number: 0, offloaded_through: 0, blocks: Vec::new() }
    }

    /// With one more window offloaded, into `block` if it had any span. Its number is the editor's to give.
    pub(crate) fn with_window(&self, window: WindowId, block: Option<BlockEntry>) -> Self {
        let mut next = self.clone();
        next.version = VERSION;
        next.offloaded_through = next.offloaded_through.max(window);
        next.blocks.extend(block.map(Arc::new));
        next
    }
}

/// The manifests of all writers.
pub(crate) type Manifests = BTreeMap<String, Arc<Manifest>>;
