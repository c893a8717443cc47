//! Accepts batches: durable before it returns.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use model::Priority;
use proto::CheckedRequest;
use tokio::sync::oneshot;

use crate::budget::Budget;
use crate::health::Health;
use crate::hot::commit::Append;
use crate::hot::dictionary::Dictionaries;
use crate::prepare::PreparedRequest;
use crate::pressure::{Gauges, Overload, Pressure, Priorities};
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
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) priorities: Priorities,
    /// Of what was prepared.
    pub(crate) dictionaries: Dictionaries,
}

impl Writer {
    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// Cuts and compresses a request, with what was prepared before it in mind.
    ///
    /// # Errors
    /// When there is no memory for the compression.
    pub fn prepare(&self, request: CheckedRequest) -> Result<PreparedRequest, Error> {
        PreparedRequest::with(request, Some(&self.shared.dictionaries))
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
        self.pressure().check(Priority::High)?;
        let permit = shared.budget.take(request.bytes().len() as u64)?;
        let (done, answer) = oneshot::channel();
        let sent = match &*shared.batches.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(batches) => batches.send(Append { request, permit, done }).is_ok(),
            None => false,
        };
        if !sent {
            return Err(Error::Closing);
        }
        match answer.await.unwrap_or(Err(Error::Closing)) {
            // Which file it was is for the log.
            Err(Error::DiskFull(_)) => {
                Err(Overload::full(shared.gauges.disk_pressure(shared.settings.disk_free_min)).into())
            }
            other => other,
        }
    }

    /// No batch can be sent any more; the writing thread ends when it has served those that were.
    pub(crate) fn disconnect(&self) {
        self.shared.batches.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// How full the store is. Costs a few loads, so it can be asked with every request, and several times.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        let Shared { gauges, settings, budget, views, .. } = &*self.shared;
        gauges.pressure(settings, budget, views)
    }

    /// Whether anything at all would be accepted now: to be asked before a request is read.
    ///
    /// # Errors
    /// When nothing would be.
    pub fn admit(&self) -> Result<(), Error> {
        self.shared.health.check()?;
        Ok(self.pressure().check(Priority::High)?)
    }

    /// Whether this request would be accepted now, by what kind of work is in it; `besides` is what else is under pressure.
    /// To be asked before a request is prepared. Without pressure the request is not looked at.
    ///
    /// # Errors
    /// When it is refused for what matters more.
    pub fn admit_request(&self, request: &CheckedRequest, besides: Pressure) -> Result<(), Error> {
        let pressure = self.pressure().max(besides);
        if pressure.refuses().is_none() {
            return Ok(());
        }
        Ok(pressure.check(self.shared.priorities.highest(request))?)
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
