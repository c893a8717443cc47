//! A backup or restore against those like it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::facts::BackupFacts;
use crate::OperationClass;
use crate::rules::Phase;
use crate::run::{Outcome, RunRef};
use crate::stats::{median, robust_z};

/// With fewer peers than this there is nothing to be held against.
pub const PEERS_MIN: usize = 5;

const BYTES_PER_GIB: u64 = 1 << 30;

/// What peers have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct PeerKey {
    /// Backup or restore.
    pub class: OperationClass,
    /// `db.system.name`
    pub engine: Option<String>,
    /// `dbaas.backup.type`
    pub kind: Option<String>,
    /// Size in GiB is at least 2 to the power of this, and less than twice that; 0 for everything below 2 GiB.
    pub size_log2_gib: u32,
    /// `cloud.region`
    pub region: Option<String>,
}

/// How one of them compares.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PeerRow {
    /// Which.
    pub run: RunRef,
    /// Its peers.
    pub key: PeerKey,
    /// How many of them there are, itself among them.
    pub peers: usize,
    /// Its seconds for each GiB.
    pub seconds_per_gib: f64,
    /// The median of its peers.
    pub median_seconds_per_gib: f64,
    /// Robust standard deviations above (or below) them; `None` where they are too few or all alike.
    pub z: Option<f64>,
    /// The phase that takes it longest beyond the median of its peers, and by how many seconds for each GiB.
    pub slowest_phase: Option<(Phase, f64)>,
}

/// Holds each successful, finished one of a known size against its peers, the slowest for its kind first.
#[must_use]
pub fn against_peers(facts: &[BackupFacts]) -> Vec<PeerRow> {
    let mut groups: BTreeMap<PeerKey, Vec<(&BackupFacts, f64)>> = BTreeMap::new();
    for backup in facts.iter().filter(|backup| backup.outcome == Outcome::Success) {
        if let (Some(key), Some(seconds)) = (PeerKey::of(backup), backup.seconds_per_gib()) {
            groups.entry(key).or_default().push((backup, seconds));
        }
    }
    let mut rows: Vec<PeerRow> = groups.iter().flat_map(|(key, peers)| rows(key, peers)).collect();
    let z = |row: &PeerRow| row.z.unwrap_or(f64::NEG_INFINITY);
    rows.sort_by(|a, b| z(b).total_cmp(&z(a)).then_with(|| a.run.cmp(&b.run)));
    rows
}

impl PeerKey {
    /// `None` when the size is not known.
    #[must_use]
    pub fn of(backup: &BackupFacts) -> Option<Self> {
        let gib = backup.size_bytes()? / BYTES_PER_GIB;
        Some(Self {
            class: backup.class,
            engine: backup.subject.engine.clone(),
            kind: backup.figures.kind.clone(),
            size_log2_gib: gib.max(1).ilog2(),
            region: backup.subject.region.clone(),
        })
    }
}

fn rows(key: &PeerKey, peers: &[(&BackupFacts, f64)]) -> Vec<PeerRow> {
    let seconds: Vec<f64> = peers.iter().map(|(_, seconds)| *seconds).collect();
    let center = median(&seconds).unwrap_or(0.0);
    let phase_medians: Vec<(Phase, f64)> = Phase::of_class(key.class)
        .iter()
        .filter_map(|&phase| {
            let of_peers: Vec<f64> = peers.iter().filter_map(|(peer, _)| peer.phase_seconds_per_gib(phase)).collect();
            Some((phase, median(&of_peers)?))
        })
        .collect();
    let row = |&(backup, seconds_per_gib): &(&BackupFacts, f64)| PeerRow {
        run: backup.run,
        key: key.clone(),
        peers: peers.len(),
        seconds_per_gib,
        median_seconds_per_gib: center,
        z: (peers.len() >= PEERS_MIN).then(|| robust_z(seconds_per_gib, &seconds)).flatten(),
        slowest_phase: slowest_phase(backup, &phase_medians),
    };
    peers.iter().map(row).collect()
}

fn slowest_phase(backup: &BackupFacts, medians: &[(Phase, f64)]) -> Option<(Phase, f64)> {
    let beyond =
        medians.iter().filter_map(|(phase, median)| Some((*phase, backup.phase_seconds_per_gib(*phase)? - median)));
    beyond.filter(|(_, seconds)| *seconds > 0.0).max_by(|(_, a), (_, b)| a.total_cmp(b))
}
