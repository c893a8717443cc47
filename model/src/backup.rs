//! Backups and restores: phases, rates, parallel work, and each against its peers.
//!
//! Owns what a run of either class comes to ([`BackupFacts`]) and the comparison with runs of the same engine, type, size and
//! region ([`against_peers`]). Knows runs only.

mod facts;
mod peers;

pub use facts::{BackupFacts, PhaseRate};
pub use peers::{PEERS_MIN, PeerKey, PeerRow, against_peers};

#[cfg(test)]
mod tests;
