//! Where spans of a trace may be that came before a window and are not in memory: see [`super::earlier`].

use std::sync::Arc;

use proto::TraceId;

use super::bones::{self, Bone, Bones};
use super::seen::Seen;
use crate::cold::{BlockEntry, filter};
use crate::hot::HotWindow;
use crate::hot::db::WindowId;
use crate::view::View;

/// How far clocks of senders may be apart before a trace of theirs is not recognised in an earlier block.
const SKEW_NANOS: i64 = 2_000_000_000;

/// How long before a span without its parent, or without a root, the others of its trace may have been received.
const INCOMPLETE_NANOS: i64 = 30 * 60 * 1_000_000_000;

/// How late spans are still counted together with those that were in time.
const LATE_NANOS: i64 = 26 * 3_600 * 1_000_000_000;

/// Where earlier spans may be that are not in memory.
#[derive(Default)]
pub(super) struct Places {
    pub(super) windows: Vec<Arc<HotWindow>>,
    pub(super) blocks: Vec<Arc<BlockEntry>>,
}

impl Places {
    pub(super) const fn is_empty(&self) -> bool {
        self.windows.is_empty() && self.blocks.is_empty()
    }
}

/// Where earlier spans may be, as one view and one state of memory have it.
pub(super) struct Search {
    /// Of the hot tier, without those in memory, oldest first.
    windows: Vec<Arc<HotWindow>>,
    /// Those that are not in the hot tier in full, oldest first, each with when it was received.
    blocks: Vec<(i64, Arc<BlockEntry>)>,
    /// When the newest of them was received.
    newest: i64,
}

impl Search {
    pub(super) fn new(now: i64, writer: &str, view: &View, recent: &[Arc<Bones>], first: WindowId) -> Self {
        let in_memory = |id: WindowId| recent.iter().any(|bones| bones.window == id);
        let windows = view.hot.iter().filter(|window| window.id < first && !in_memory(window.id)).cloned().collect();
        let is_hot = |id: WindowId| view.hot.binary_search_by_key(&id, |window| window.id).is_ok();
        let is_known = |block: &&Arc<BlockEntry>| {
            !block.windows.is_empty() && block.windows.iter().all(|id| is_hot(*id) || in_memory(*id))
        };
        let oldest = now.saturating_sub(LATE_NANOS);
        let own = view.manifests.get(writer).map_or(&[][..], |manifest| &manifest.blocks);
        let blocks = own.iter().filter(|block| !is_known(block));
        let blocks = blocks.map(|block| (block.received().as_i64(), Arc::clone(block)));
        let blocks: Vec<_> = blocks.filter(|(received, _)| *received >= oldest).collect();
        let newest = blocks.iter().map(|(received, _)| *received).max().unwrap_or(i64::MIN);
        Self { windows, blocks, newest }
    }

    /// Where the trace may be that has these parts in memory, each by start.
    pub(super) fn places<'a, I: Iterator<Item = &'a [Bone]>>(
        &self,
        seen: &Seen,
        trace_id: TraceId,
        parts: impl Fn() -> I,
    ) -> Places {
        let mut places = Places::default();
        if self.windows.is_empty() && self.blocks.is_empty() {
            return places;
        }
        let (seen, forgotten): (Vec<_>, _) = (seen.windows_of(trace_id).collect(), seen.forgotten());
        // Without having seen a trace, only what was received while it was under way is asked.
        let newest = self.newest.max(forgotten.map_or(i64::MIN, |forgotten| forgotten.until));
        let first = parts().filter_map(|part| part.first()).map(|bone| bone.start).min().unwrap_or_default();
        let since = match first.saturating_sub(INCOMPLETE_NANOS) > newest {
            true => i64::MAX,
            false if is_complete(trace_id, parts()) => first.saturating_sub(SKEW_NANOS),
            false => first.saturating_sub(INCOMPLETE_NANOS),
        };
        let hash = filter::hash(trace_id);
        for window in &self.windows {
            let is_seen = seen.iter().any(|(first, last)| *first <= window.id && window.id <= *last);
            let may_be = is_seen || forgotten.is_some_and(|it| window.id <= it.through && it.until >= since);
            if may_be && window.filter().is_some_and(|filter| filter.may_have(hash)) {
                places.windows.push(Arc::clone(window));
            }
        }
        for (_, block) in self.blocks.iter().filter(|(received, _)| *received >= since) {
            if block.trace_id_min <= trace_id && trace_id <= block.trace_id_max {
                places.blocks.push(Arc::clone(block));
            }
        }
        places
    }
}

/// Whether a trace has a root, and each span its parent.
fn is_complete<'a>(trace_id: TraceId, parts: impl Iterator<Item = &'a [Bone]>) -> bool {
    let spans: Vec<Bone> = parts.flatten().copied().collect();
    let mut ids: Vec<u64> = spans.iter().map(|bone| bone.span).collect();
    ids.sort_unstable();
    let is_root = |bone: &Bone| bones::is_root(trace_id, bone.parent);
    let has_parent = |bone: &Bone| is_root(bone) || ids.binary_search(&bone.parent).is_ok();
    spans.iter().any(is_root) && spans.iter().all(has_parent)
}
