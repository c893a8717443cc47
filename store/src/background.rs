//! One thread for CPU work that nobody waits for with a stopwatch: blocks are encoded here, so that requests never wait
//! behind them in a shared pool, and what they cost shows under a name of its own.

use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::Error;

type Job = Box<dyn FnOnce() + Send>;

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
    pub(crate) fn start(name: &str) -> Result<Self, Error> {
        let (jobs, queue) = channel::<Job>();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || queue.into_iter().for_each(|job| job()))
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_thread_goes_on() {
        let background = Background::start("test").expect("starts");
        let failed = background.run::<()>(|| panic!("on purpose")).await;
        assert!(matches!(failed, Err(Error::Block(_))));
        assert_eq!(background.run(|| Ok(7)).await.expect("goes on"), 7);
    }
}
