//! Looks at the disk of the hot tier, and finds out when a full one has space again.
//!
//! Does not free anything: [`crate::offload::retire`] does, as far as windows may go.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::Error;
use crate::hot::HotDb;
use crate::pressure::Gauges;

/// How often the disk is looked at: in this time a fast sender writes less than the least that must be free.
const INTERVAL: Duration = Duration::from_secs(1);

/// Watches one file system.
pub(crate) struct DiskWatch {
    pub(crate) folder: PathBuf,
    pub(crate) free_min: u64,
    pub(crate) db: Arc<HotDb>,
    pub(crate) gauges: Arc<Gauges>,
}

impl DiskWatch {
    /// Looks now and then, for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let watch = Arc::clone(&self);
            // A file system that hangs must not hold up anything else. A panic shows itself.
            let _ = tokio::task::spawn_blocking(move || watch.look()).await;
        }
    }

    /// Sees how much is free and, after a write that found no space, whether one would succeed.
    pub(crate) fn look(&self) {
        let free = match free_bytes(&self.folder) {
            Ok(free) => free,
            Err(error) => {
                tracing::debug!(%error, "cannot see how much of the disk is free");
                u64::MAX
            }
        };
        self.gauges.set_disk_free(free);
        if self.gauges.disk_is_full() && free >= self.free_min {
            match self.db.check_writable() {
                Ok(()) => self.gauges.clear_disk_is_full(),
                // RocksDB looks at the disk itself, every five seconds, before it goes on.
                Err(error) => tracing::debug!(%error, "the hot tier does not write yet"),
            }
        }
    }
}

/// Bytes that an ordinary process may still write to the file system of `folder`.
fn free_bytes(folder: &std::path::Path) -> Result<u64, Error> {
    let file_system = rustix::fs::statvfs(folder)
        .map_err(|error| Error::io(format!("looking at the disk of {}", folder.display()), &error.into()))?;
    Ok(file_system.f_bavail.saturating_mul(file_system.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_tells_what_is_free() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(free_bytes(folder.path()).expect("a file system") > 0);
        assert!(free_bytes(&folder.path().join("nothing")).is_err());
    }
}
