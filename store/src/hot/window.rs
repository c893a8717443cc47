//! A window as the hot tier knows it: where its batches are, and since when they are in a block too.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use proto::UnixNanos;

use super::Group;
use super::db::WindowId;
use crate::cold::filter::TraceFilter;

/// A window whose batches are in the hot tier. Who holds it can read them.
pub(crate) struct HotWindow {
    pub(crate) id: WindowId,
    pub(crate) group: Arc<Group>,
    offloaded_at: AtomicI64,
    logged_bytes: AtomicU64,
    /// Set when the window's index is written, see [`super::index`].
    filter: OnceLock<TraceFilter>,
}

impl HotWindow {
    pub(crate) fn new(group: Arc<Group>, id: WindowId) -> Arc<Self> {
        let offloaded_at = AtomicI64::new(i64::MAX);
        Arc::new(Self { id, group, offloaded_at, logged_bytes: AtomicU64::new(0), filter: OnceLock::new() })
    }

    /// The window's index is written.
    pub(crate) fn set_filter(&self, filter: TraceFilter) {
        // A second try at the same window makes the same filter.
        let _ = self.filter.set(filter);
    }

    /// Knows the window's traces once its index is written.
    pub(crate) fn filter(&self) -> Option<&TraceFilter> {
        self.filter.get()
    }

    /// The window's batches take `bytes` more.
    pub(crate) fn grow(&self, bytes: u64) {
        self.logged_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes of the window's batches as they are kept.
    pub(crate) fn logged_bytes(&self) -> u64 {
        self.logged_bytes.load(Ordering::Relaxed)
    }

    /// The manifest covers this window since `now`.
    pub(crate) fn set_offloaded(&self, now: UnixNanos) {
        self.offloaded_at.store(now.as_i64(), Ordering::Relaxed);
    }

    /// When the manifest began to cover this window; `None` while it does not.
    pub(crate) fn offloaded_at(&self) -> Option<UnixNanos> {
        let nanos = self.offloaded_at.load(Ordering::Relaxed);
        (nanos != i64::MAX).then(|| UnixNanos::from_i64(nanos))
    }
}
