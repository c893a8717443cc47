//! Accepts batches: durable before it returns.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::budget::Budget;
use crate::health::Health;
use crate::hot::commit::Append;
use crate::prepare::PreparedRequest;
use crate::view::Views;
use crate::{Error, Settings};

/// Appends to the store. Cheap to clone; cannot read.
#[derive(Clone)]
pub struct Writer {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    /// `None` after [`Writer::disconnect`].
    pub(crate) batches: Mutex<Option<Sender<Append>>>,
    pub(crate) budget: Budget,
    pub(crate) health: Health,
    pub(crate) views: Arc<Views>,
    pub(crate) settings: Settings,
}

impl Writer {
    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// Keeps the spans of one export request. When this returns `Ok` they are synced to disk, and every question that is
    /// asked from then on finds them.
    ///
    /// # Errors
    /// When a limit is reached, the store is closing or broken; nothing of the batch is kept then. After a failed write
    /// it is not known whether the disk has the batch; it is not acknowledged, and a resend is harmless.
    pub async fn append(&self, request: PreparedRequest) -> Result<(), Error> {
        let shared = &self.shared;
        shared.health.check()?;
        if request.span_count() == 0 {
            return Ok(());
        }
        self.check_windows_waiting()?;
        let permit = shared.budget.take(request.bytes().len() as u64)?;
        let (done, answer) = oneshot::channel();
        let sent = match &*shared.batches.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(batches) => batches.send(Append { request, permit, done }).is_ok(),
            None => false,
        };
        if !sent {
            return Err(Error::Closing);
        }
        answer.await.unwrap_or(Err(Error::Closing))
    }

    /// No batch can be sent any more; the writing thread ends when it has served those that were.
    pub(crate) fn disconnect(&self) {
        self.shared.batches.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn check_windows_waiting(&self) -> Result<(), Error> {
        // The last of them is open.
        let used = self.shared.views.load().live.len() as u64 - 1;
        let allowed = self.shared.settings.windows_waiting_max as u64;
        if used > allowed {
            return Err(Error::Overloaded { limit: "windows_waiting_max", used, allowed });
        }
        Ok(())
    }
}

#[cfg(test)]
impl Writer {
    /// Takes from the budget as an append would.
    pub(crate) fn hold_budget(&self, bytes: u64) -> impl Drop + use<> {
        self.shared.budget.take(bytes).expect("free")
    }

    /// Bytes in flight.
    pub(crate) fn budget_used(&self) -> u64 {
        self.shared.budget.used()
    }
}
