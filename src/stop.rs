//! Stops the program at a named place between two steps of the store, for tests that kill it exactly there.
//!
//! Does nothing unless [`STOP_AT`] is set; no option of `serve`, because nobody who runs a server wants it.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use store::{NoProbe, Point, Probe};

/// A [`Point`] by name, and at which reach of it to stop when not at the first: `block-put`, `block-put:3`.
const STOP_AT: &str = "SPANHOLD_STOP_AT";

/// Says `stopped at=POINT` on standard output and never returns, on whichever thread reaches the point.
struct StopAt {
    point: Point,
    reach: u64,
    reached: AtomicU64,
}

impl Probe for StopAt {
    fn reached(&self, point: Point) {
        if point != self.point || self.reached.fetch_add(1, Ordering::SeqCst) + 1 != self.reach {
            return;
        }
        let mut out = std::io::stdout();
        // Without a listener there is nobody to stop for, and stopping is all the same.
        let _ = writeln!(out, "stopped at={point}").and_then(|()| out.flush());
        loop {
            std::thread::park();
        }
    }
}

/// What the store tells its points to.
///
/// # Errors
/// When the variable names no point.
pub fn probe() -> Result<Arc<dyn Probe>, String> {
    match std::env::var(STOP_AT) {
        Ok(text) => Ok(Arc::new(parse(&text).map_err(|why| format!("{STOP_AT}={text}: {why}"))?)),
        Err(_) => Ok(Arc::new(NoProbe)),
    }
}

fn parse(text: &str) -> Result<StopAt, String> {
    let (point, reach) = text.split_once(':').unwrap_or((text, "1"));
    let reach = reach.parse().ok().filter(|reach| *reach > 0).ok_or("give a number from 1 behind the colon")?;
    Ok(StopAt { point: point.parse()?, reach, reached: AtomicU64::new(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_and_its_reach_are_read() {
        let stop = parse("block-put:3").expect("valid");
        assert_eq!((stop.point, stop.reach), (Point::BlockPut, 3));
        assert_eq!(parse("batches-synced").expect("valid").reach, 1);
        for wrong in ["", "block", "block-put:", "block-put:0", "block-put:x"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
