//! What exists at one instant, over all tiers, as one value: a reader that holds it sees every span where it was then.
//!
//! A window leaves `live` in the same step in which its block enters `manifests`, so no reader finds it in both or in
//! neither. Retired windows can be read until the last view that names them is gone.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::delete::DeletedTraces;
use crate::hot::{HotWindow, SpilledWindow};
use crate::manifest::Manifests;
use crate::window::LiveWindow;

/// All tiers at one instant.
#[derive(Clone)]
pub(crate) struct View {
    /// Windows whose spans are in no block and in memory, oldest first; the last one is open.
    pub(crate) live: Vec<Arc<LiveWindow>>,
    /// Windows whose spans are in no block either, and no longer in memory, oldest first.
    pub(crate) spilled: Vec<Arc<SpilledWindow>>,
    /// Windows whose batches are in the hot tier, oldest first: all live and spilled ones, and those not yet retired.
    pub(crate) hot: Vec<Arc<HotWindow>>,
    /// The cold tier.
    pub(crate) manifests: Manifests,
    /// What `manifests` say is deleted; brought up to date with every change.
    pub(crate) deleted: Arc<DeletedTraces>,
}

impl View {
    /// Sealed windows that are in no block.
    pub(crate) fn waiting(&self) -> usize {
        // The last of the live ones is open.
        self.live.len().saturating_sub(1) + self.spilled.len()
    }
}

/// The current view.
pub(crate) struct Views {
    current: ArcSwap<View>,
    changing: Mutex<()>,
    changed: Condvar,
}

impl Views {
    pub(crate) fn new(mut view: View) -> Arc<Self> {
        view.deleted = Arc::new(DeletedTraces::of(&view.manifests));
        Arc::new(Self { current: ArcSwap::from_pointee(view), changing: Mutex::new(()), changed: Condvar::new() })
    }

    /// The view of this instant.
    pub(crate) fn load(&self) -> Arc<View> {
        self.current.load_full()
    }

    /// Replaces the view by a changed copy, one change at a time.
    pub(crate) fn change(&self, change: impl FnOnce(&mut View)) {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut view = View::clone(&self.current.load());
        change(&mut view);
        let deleted = DeletedTraces::of(&view.manifests);
        if deleted != *view.deleted {
            view.deleted = Arc::new(deleted);
        }
        self.current.store(Arc::new(view));
        self.changed.notify_all();
    }

    /// Waits until a view has what `is_met` looks for, or until `patience` is over. Blocks the thread.
    pub(crate) fn wait(&self, patience: Duration, is_met: impl Fn(&View) -> bool) {
        let until = Instant::now() + patience;
        let mut unchanged = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        while !is_met(&self.current.load()) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            unchanged = self.changed.wait_timeout(unchanged, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
