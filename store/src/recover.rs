//! What a start finds in the hot tier, sorted out: windows that the manifest covers stay for trace-by-id until they are
//! retired, the others wait to be offloaded, as before.
//!
//! Never offloads anything itself.

use std::sync::Arc;

use crate::clock::Clock;
use crate::hot::db::WindowId;
use crate::hot::{Group, HotDb, HotWindow, SpilledWindow, index};
use crate::manifest::Manifest;
use crate::window::LiveWindow;
use crate::{Error, Settings, offload};

/// The windows that were there, oldest first.
#[derive(Default)]
pub(crate) struct Recovered {
    /// Those that wait in memory: the oldest.
    pub(crate) live: Vec<Arc<LiveWindow>>,
    /// Those that wait on disk only.
    pub(crate) spilled: Vec<Arc<SpilledWindow>>,
    /// All of them.
    pub(crate) hot: Vec<Arc<HotWindow>>,
    /// The greatest id that was used; 0 when none was.
    pub(crate) last: WindowId,
}

impl Recovered {
    /// Reads the windows of these groups. Groups with nothing to keep go.
    pub(crate) fn read(
        db: &Arc<HotDb>,
        groups: &[WindowId],
        manifest: &Manifest,
        clock: &dyn Clock,
        settings: &Settings,
    ) -> Result<Self, Error> {
        let mut recovered = Self::default();
        for first in groups {
            recovered.last = recovered.last.max(*first);
            let group = Group::found(db, *first, clock.now());
            let known = recovered.hot.len();
            for id in db.windows_of(*first)? {
                recovered.last = recovered.last.max(id);
                let window = HotWindow::new(Arc::clone(&group), id);
                window.grow(db.window_bytes(*first, id));
                if id <= manifest.offloaded_through {
                    recovered.add_offloaded(window, clock)?;
                } else {
                    recovered.add_waiting(window, settings)?;
                }
            }
            if recovered.hot.len() == known {
                group.retire();
            }
        }
        Ok(recovered)
    }

    /// Windows that are in no block, oldest first.
    pub(crate) fn waiting(&self) -> Vec<Arc<HotWindow>> {
        let live = self.live.iter().map(|live| &live.hot);
        let mut waiting: Vec<_> = live.chain(self.spilled.iter().map(|spilled| &spilled.hot)).cloned().collect();
        waiting.sort_by_key(|window| window.id);
        waiting
    }

    fn add_offloaded(&mut self, window: Arc<HotWindow>, clock: &dyn Clock) -> Result<(), Error> {
        // One without an index cannot be read and need not be.
        if let Some(filter) = index::read_filter(&window)? {
            window.set_filter(filter);
            window.set_offloaded(clock.now());
            self.hot.push(window);
        }
        Ok(())
    }

    fn add_waiting(&mut self, window: Arc<HotWindow>, settings: &Settings) -> Result<(), Error> {
        if let Some(spilled) = SpilledWindow::read(&window)? {
            self.spilled.push(Arc::new(spilled));
            self.hot.push(window);
            return Ok(());
        }
        let live = offload::rebuild(&window)?;
        let spans = live.read().len();
        if spans == 0 {
            return Ok(());
        }
        tracing::info!(window = window.id, spans, "recovered a window");
        if self.live.len() >= settings.windows_in_memory_max {
            self.spilled.push(Arc::new(SpilledWindow::write(&window, &live.read())?));
        } else {
            self.live.push(live);
        }
        self.hot.push(window);
        Ok(())
    }
}
