//! Looking at everything: each trace by id, all of them by search, the counts of the services.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use store::{Point, SearchOrder};

use crate::clients::any_time;
use crate::gate::{ASKER, Asker};
use crate::traffic;
use crate::world::World;

/// Requests that a window may need until it is offloaded, when nothing fails: many times as many as it does.
const REQUESTS_PER_DRAIN: usize = 2_000;

impl World {
    /// Asks for everything, past the gate, and judges it.
    pub(crate) fn check_all(&mut self, when: &str) -> Result<(), String> {
        self.tell(format!("look at everything {when}"));
        let free = || Asker { is_free: true, is_hurt: Arc::new(AtomicBool::new(false)) };
        let reader = self.life().store().reader();
        for trace in self.model.traces() {
            let promise = self.model.promise(trace);
            let asked = ASKER.scope(free(), reader.trace(traffic::trace_id(trace)));
            let found = self.life().runtime.block_on(asked);
            let found = found.map_err(|error| format!("what is kept is readable: trace {trace}: {error}"))?;
            self.model.judge_trace(trace, &promise, &found)?;
        }
        for order in [SearchOrder::Newest, SearchOrder::Slowest] {
            let request = any_time(order);
            let asked = ASKER.scope(free(), reader.search(&request));
            let found = self.life().runtime.block_on(asked);
            let found = found.map_err(|error| format!("what is kept is searchable: {error}"))?;
            let (least, most) = self.model.trace_counts();
            if found.total != found.traces.len() || !(least..=most).contains(&found.total) {
                return Err(format!("a search finds all: {} traces, {least} to {most} were sent", found.total));
            }
            found.traces.iter().try_for_each(|summary| self.model.judge_summary(summary, true))?;
        }
        let services = self.life().runtime.block_on(ASKER.scope(free(), reader.services()));
        let services = services.map_err(|error| format!("services are listed: {error}"))?;
        self.model.judge_services(&services)
    }

    /// Seals the open window and lets all windows move, with nothing in their way.
    pub(crate) fn drain(&mut self) -> Result<(), String> {
        self.tell("drain");
        let faults = self.faults();
        self.end_faults();
        self.settle()?;
        self.hear()?;
        let sealed = self.life().probe.count(Point::WindowSealed);
        for _ in 0..REQUESTS_PER_DRAIN {
            let is_sealed = self.life().probe.count(Point::WindowSealed) > sealed;
            if is_sealed && self.life().metric("spanhold_store_windows_waiting") == 0 {
                self.model.drained();
                self.set_faults(faults);
                return Ok(());
            }
            if self.gate.store_waits() {
                self.release_any()?;
            } else if !is_sealed {
                let spans = self.new_spans();
                self.send(vec![spans]);
            }
            self.settle()?;
            self.hear()?;
        }
        Err("windows move once the object store answers: they do not".to_owned())
    }

    /// The end of a seed: everything comes to rest, and is still there after a crash and on a node that has nothing.
    pub(crate) fn rest(&mut self) -> Result<(), String> {
        self.end_faults();
        self.finish_questions()?;
        self.drain()?;
        self.let_stragglers_arrive();
        self.check_all("at rest")?;
        self.crash()?;
        self.check_all("after a crash")?;
        self.lose_folder()?;
        self.check_all("on a node that has nothing")?;
        self.stop();
        self.check_bucket()
    }
}
