//! Keeps the memory of windows that wait for the object store within bounds: of those beyond
//! [`crate::Settings::windows_in_memory_max`] only the batches in RocksDB stay, with an index. Their columns are made again
//! when it is their turn to be offloaded.
//!
//! Works on the thread that fills columns, so that no more windows come while one is written: what arrives meanwhile
//! counts as bytes in flight.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use crate::Settings;
use crate::health::Health;
use crate::hot::db::WindowId;
use crate::hot::{HotWindow, SpilledWindow};
use crate::metrics::Metrics;
use crate::pressure::Gauges;
use crate::view::{View, Views};
use crate::window::LiveWindow;

/// Takes sealed windows out of memory when there are too many, and passes them on to be offloaded.
pub(crate) struct Spiller {
    pub(crate) settings: Settings,
    pub(crate) views: Arc<Views>,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) health: Health,
    pub(crate) metrics: Metrics,
    /// Windows to offload, in order.
    pub(crate) next: UnboundedSender<Arc<HotWindow>>,
}

impl Spiller {
    /// A window has all its columns.
    pub(crate) fn sealed(&self, window: &LiveWindow) {
        self.spill_through(window.hot.id);
        // The receiver is gone when the store closes; the window is found again at the next start.
        let _ = self.next.send(Arc::clone(&window.hot));
    }

    /// Takes windows out of memory that have all their columns, but not the oldest, whose turn is next.
    fn spill_through(&self, last: WindowId) {
        let view = self.views.load();
        let complete = view.live.iter().filter(|live| live.hot.id <= last);
        for live in complete.skip(self.settings.windows_in_memory_max) {
            let spilled = match SpilledWindow::write(&live.hot, &live.read()) {
                Ok(spilled) => Arc::new(spilled),
                Err(error) if error.passes_by_itself() => {
                    // It stays in memory until the next one is sealed; nothing is accepted until there is space.
                    self.gauges.set_disk_is_full(&error);
                    return;
                }
                Err(error) => {
                    self.metrics.poisoned.set(1);
                    self.health.poison(&error);
                    return;
                }
            };
            self.views.change(|view| exchange(view, spilled));
            tracing::debug!(window = live.hot.id, "a window waits on disk only");
        }
    }
}

/// Puts a spilled window in the place of the one with columns, unless that was offloaded in the meantime.
fn exchange(view: &mut View, spilled: Arc<SpilledWindow>) {
    let id = spilled.hot.id;
    let Some(at) = view.live.iter().position(|live| live.hot.id == id) else { return };
    view.live.remove(at);
    let place = view.spilled.partition_point(|other| other.hot.id < id);
    view.spilled.insert(place, spilled);
}
