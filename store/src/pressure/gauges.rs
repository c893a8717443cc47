//! What the store uses of its limits, as those who use it tell; cheap enough to be asked with every request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{Limit, Pressure};
use crate::budget::Budget;
use crate::view::Views;
use crate::{Error, Settings};

/// Shared by those who write and those who ask.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    waiting_bytes: AtomicU64,
    /// Bytes left on the disk of the hot tier; the greatest number while nobody knows.
    disk_free: AtomicU64,
    /// A write found no space, and none succeeded since.
    disk_is_full: AtomicBool,
}

impl Gauges {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { disk_free: AtomicU64::new(u64::MAX), ..Self::default() })
    }

    /// A window that is in no block grew by `bytes`.
    pub(crate) fn add_waiting(&self, bytes: u64) {
        self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A window of `bytes` is in a block now.
    pub(crate) fn remove_waiting(&self, bytes: u64) {
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes of the windows that are in no block, the open one included.
    pub(crate) fn waiting_bytes(&self) -> u64 {
        self.waiting_bytes.load(Ordering::Relaxed)
    }

    /// The disk has this much left.
    pub(crate) fn set_disk_free(&self, bytes: u64) {
        self.disk_free.store(bytes, Ordering::Relaxed);
    }

    /// Bytes left on the disk of the hot tier, when they are known.
    pub(crate) fn disk_free(&self) -> Option<u64> {
        Some(self.disk_free.load(Ordering::Relaxed)).filter(|free| *free != u64::MAX)
    }

    /// A write of the hot tier found no space: nothing is accepted until one succeeds.
    pub(crate) fn set_disk_is_full(&self, error: &Error) {
        if !self.disk_is_full.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "spans are refused until the disk of the hot tier has space");
        }
    }

    /// A write of the hot tier succeeded again.
    pub(crate) fn clear_disk_is_full(&self) {
        if self.disk_is_full.swap(false, Ordering::Relaxed) {
            tracing::info!("the disk of the hot tier has space again, spans are accepted");
        }
    }

    /// Whether the last write of the hot tier found no space.
    pub(crate) fn disk_is_full(&self) -> bool {
        self.disk_is_full.load(Ordering::Relaxed)
    }

    /// The limit of which the greatest share is in use.
    pub(crate) fn pressure(&self, settings: &Settings, budget: &Budget, views: &Views) -> Pressure {
        let windows = views.load().waiting() as u64;
        budget
            .pressure()
            .max(Pressure::new(Limit::WindowsWaiting, windows, settings.windows_waiting_max as u64))
            .max(Pressure::new(Limit::HotBytes, self.waiting_bytes(), settings.waiting_bytes_max()))
            .max(self.disk_pressure(settings.disk_free_min))
    }

    /// How near the disk of the hot tier is to having less than `least` bytes left.
    pub(crate) fn disk_pressure(&self, least: u64) -> Pressure {
        let free = self.disk_free.load(Ordering::Relaxed);
        // What the file system says is free is not always free for us.
        let free = if self.disk_is_full() { free.min(least) } else { free };
        // Nothing need be left, and yet nothing may be written.
        let least = if self.disk_is_full() { least.max(1) } else { least };
        Pressure::new(Limit::DiskFree, least, free)
    }
}
