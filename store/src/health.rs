//! Whether the store may acknowledge spans: not while closing, never again after a failed background write.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crate::Error;

/// Shared by everything that writes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Health {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    closing: AtomicBool,
    poison: OnceLock<String>,
}

impl Health {
    /// Fails when nothing may be acknowledged.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if let Some(cause) = self.shared.poison.get() {
            return Err(Error::Poisoned(cause.clone()));
        }
        if self.shared.closing.load(Ordering::Relaxed) { Err(Error::Closing) } else { Ok(()) }
    }

    /// From now on nothing new is accepted.
    pub(crate) fn close(&self) {
        self.shared.closing.store(true, Ordering::Relaxed);
    }

    /// From now on nothing is acknowledged. The first cause counts.
    pub(crate) fn poison(&self, cause: &Error) {
        if self.shared.poison.set(cause.to_string()).is_ok() {
            tracing::error!(%cause, "the store stops accepting spans");
        }
    }

    /// Whether [`Self::poison`] was called.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.shared.poison.get().is_some()
    }
}
