//! How far the columns are behind the log, so that a question can wait for what was acknowledged before it was asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// Counts requests: durable, and turned into columns. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    committed: AtomicU64,
    built: watch::Sender<u64>,
}

impl Progress {
    /// Nothing is committed, nothing is behind.
    pub(crate) fn new() -> Self {
        Self { shared: Arc::new(Shared { committed: AtomicU64::new(0), built: watch::Sender::new(0) }) }
    }

    /// One more request is durable; its sender has no answer yet.
    pub(crate) fn commit(&self) {
        self.shared.committed.fetch_add(1, Ordering::Release);
    }

    /// The columns have one more request.
    pub(crate) fn build(&self) {
        self.shared.built.send_modify(|built| *built = built.saturating_add(1));
    }

    /// No more requests become columns; nobody need wait for any.
    pub(crate) fn end(&self) {
        self.shared.built.send_replace(u64::MAX);
    }

    /// Requests that are durable and not in the columns.
    pub(crate) fn behind(&self) -> u64 {
        let built = *self.shared.built.borrow();
        self.shared.committed.load(Ordering::Relaxed).saturating_sub(built)
    }

    /// Waits until the columns have all that is durable now: milliseconds, as what is between is limited by
    /// [`crate::Settings::in_flight_bytes_max`].
    pub(crate) async fn catch_up(&self) {
        let committed = self.shared.committed.load(Ordering::Acquire);
        // The sender lives as long as this does, so waiting cannot fail.
        let _ = self.shared.built.subscribe().wait_for(|built| *built >= committed).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_for_what_was_committed_before() {
        let progress = Progress::new();
        progress.catch_up().await;
        progress.commit();
        assert_eq!(progress.behind(), 1);
        let waiting = tokio::spawn({
            let progress = progress.clone();
            async move { progress.catch_up().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        progress.build();
        waiting.await.expect("no panic");
        assert_eq!(progress.behind(), 0);
    }
}
