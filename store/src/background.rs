//! One thread for CPU work that nobody waits for with a stopwatch: blocks are encoded here, so that requests never wait
//! behind them in a shared pool, and what they cost shows under a name of its own.

use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::Error;

type Job = Box<dyn FnOnce() + Send>;

/// How a thread competes with those that answer requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// As they do: memory waits for its work.
    Equal,
    /// Behind them: it gets what they leave, and a fifteenth when they leave nothing.
    Behind,
}

/// Of [`Urgency::Behind`]: 10 of 19 steps of niceness, so that a busy machine slows it down and does not stop it.
const NICENESS: i32 = 10;

/// A named thread that does one job after the other. Ends, with the job it is at, when this is dropped.
#[derive(Debug)]
pub(crate) struct Background {
    jobs: Sender<Job>,
    _thread: JoinHandle<()>,
}

impl Background {
    /// Starts the thread. The system shows the first 15 bytes of `name`.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub(crate) fn start(name: &str, urgency: Urgency) -> Result<Self, Error> {
        let (jobs, queue) = channel::<Job>();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                // On Linux that is of the calling thread alone. Where it is refused the thread is as urgent as others.
                if urgency == Urgency::Behind
                    && let Err(error) = rustix::process::nice(NICENESS)
                {
                    tracing::debug!(%error, "background work competes with requests");
                }
                queue.into_iter().for_each(|job| job());
            })
            .map_err(|error| Error::Io { what: format!("starting thread {name}"), why: error.to_string() })?;
        Ok(Self { jobs, _thread: thread })
    }

    /// Does `job` on the thread, after those that were asked for before.
    ///
    /// # Errors
    /// Those of the job, and when it panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (done, outcome) = oneshot::channel();
        let job = move || {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            // Whoever asked may have been stopped.
            let _ = done.send(result.unwrap_or_else(|_| Err(Error::Block("background work panicked".to_owned()))));
        };
        let ended = || Error::Block("the background thread has ended".to_owned());
        self.jobs.send(Box::new(job)).map_err(|_| ended())?;
        outcome.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Waits until the jobs that were asked for are done, also those whose asker went away.
    pub(crate) async fn idle(&self) {
        // It cannot fail, and a thread that has ended is idle.
        let _ = self.run(|| Ok(())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_thread_goes_on() {
        let background = Background::start("test", Urgency::Behind).expect("starts");
        let failed = background.run::<()>(|| panic!("on purpose")).await;
        assert!(matches!(failed, Err(Error::Block(_))));
        assert_eq!(background.run(|| Ok(7)).await.expect("goes on"), 7);
    }
}
