//! A window as the hot tier knows it: its column family, and when that goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use proto::UnixNanos;

use super::HotDb;
use super::db::WindowId;

/// A window's column family. Retired windows are dropped when the last reader lets go of this, never under one.
pub(crate) struct HotWindow {
    pub(crate) id: WindowId,
    pub(crate) db: Arc<HotDb>,
    retired: AtomicBool,
    offloaded_at: AtomicI64,
}

impl HotWindow {
    pub(crate) fn new(db: Arc<HotDb>, id: WindowId) -> Arc<Self> {
        Arc::new(Self { id, db, retired: AtomicBool::new(false), offloaded_at: AtomicI64::new(i64::MAX) })
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

    /// To be dropped from RocksDB as soon as nobody reads it. Only for windows that the manifest covers.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }
}

impl Drop for HotWindow {
    fn drop(&mut self) {
        if *self.retired.get_mut()
            && let Err(error) = self.db.drop_window(self.id)
        {
            // Nothing is lost: the manifest covers the window, and it is dropped at the next start.
            tracing::warn!(window = self.id, %error, "could not drop a retired window");
        }
    }
}
