//! The open window and those not yet offloaded, as columns in memory: searched live, and what blocks are made of.
//!
//! Columns are a function of the batches in the hot tier: filled after the answer, rebuilt after a crash.
//! Never touches a disk or an object store.

pub(crate) mod attributes;
pub(crate) mod columns;
pub(crate) mod intern;
mod spans;
pub(crate) mod sparse;
pub(crate) mod traces;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub(crate) use columns::Columns;

use crate::hot::HotWindow;

/// A window whose spans are not in a block yet.
pub(crate) struct LiveWindow {
    pub(crate) hot: Arc<HotWindow>,
    columns: RwLock<Columns>,
}

impl LiveWindow {
    /// With room for `spans` rows; room that is not used takes no memory.
    pub(crate) fn new(hot: Arc<HotWindow>, spans: u64) -> Arc<Self> {
        Arc::new(Self { hot, columns: RwLock::new(Columns::with_capacity(spans as usize)) })
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Columns> {
        self.columns.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Columns> {
        self.columns.write().unwrap_or_else(PoisonError::into_inner)
    }
}
