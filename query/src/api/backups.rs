//! `GET /api/v1/backups`: backups and restores against their peers.

use std::collections::HashMap;

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use model::OperationClass;
use model::backup::{BackupFacts, PeerRow, against_peers};
use model::run::RunRef;
use proto::UnixNanos;
use store::RunRequest;

use super::{Asked, DAY_NANOS, JSON, body, off_the_runtime, to_json};
use crate::limits::{BACKUPS_DEFAULT, BACKUPS_MAX, PEERS_MAX};
use crate::params::Params;
use crate::problem::Problem;
use crate::render::backups::{BackupRow, Backups};
use crate::runs;

const RANGE_DEFAULT_NANOS: i64 = 7 * DAY_NANOS;

const CLASSES: [(&str, OperationClass); 2] = [("backup", OperationClass::Backup), ("restore", OperationClass::Restore)];

/// What was asked.
struct Request {
    class: Option<OperationClass>,
    instance: Option<String>,
    engine: Option<String>,
    start: UnixNanos,
    end: UnixNanos,
    limit: usize,
}

impl Request {
    fn has(&self, backup: &BackupFacts) -> bool {
        let is = |wanted: &Option<String>, text: &Option<String>| wanted.is_none() || wanted == text;
        self.class.is_none_or(|class| class == backup.class)
            && is(&self.instance, &backup.subject.instance)
            && is(&self.engine, &backup.subject.engine)
    }
}

/// Lists them, the slowest for their kind first.
pub(crate) async fn backups(State(asked): State<Asked>, uri: Uri) -> Result<Response, Problem> {
    let as_of = asked.clock.now();
    let request = read_request(&uri, as_of)?;
    let query = async {
        let classes = request.class.map_or_else(|| CLASSES.map(|(_, class)| class).to_vec(), |class| vec![class]);
        let mut names = Vec::new();
        for class in classes {
            let (start, end, class) = (request.start, request.end, Some(class));
            let wanted = RunRequest { start, end, class, ..RunRequest::newest(PEERS_MAX) };
            names.extend(asked.reader.runs(&wanted).await?.runs.into_iter().map(|(run, _)| run.run));
        }
        runs::in_full(&asked.reader, names).await
    };
    let found = asked.gate.run(query).await?;
    off_the_runtime(move || {
        let facts: Vec<BackupFacts> = found.iter().filter_map(BackupFacts::of).collect();
        let peers = against_peers(&facts);
        let (total, rows) = list(&request, &facts, &peers);
        Ok(body(JSON, to_json(&Backups::of(as_of, (request.start, request.end), total, rows))?))
    })
    .await
}

/// How many match, and the first of them.
fn list<'a>(request: &Request, facts: &'a [BackupFacts], peers: &'a [PeerRow]) -> (usize, Vec<BackupRow<'a>>) {
    let peers: HashMap<RunRef, &PeerRow> = peers.iter().map(|row| (row.run, row)).collect();
    let matching = facts.iter().filter(|backup| request.has(backup));
    let mut matching: Vec<(&BackupFacts, Option<&PeerRow>)> =
        matching.map(|backup| (backup, peers.get(&backup.run).copied())).collect();
    let z = |peers: &Option<&PeerRow>| peers.and_then(|row| row.z).unwrap_or(f64::NEG_INFINITY);
    matching.sort_by(|(a, a_peers), (b, b_peers)| {
        z(b_peers).total_cmp(&z(a_peers)).then_with(|| (b.start, b.run).cmp(&(a.start, a.run)))
    });
    let rows = matching.iter().take(request.limit).map(|(backup, peers)| BackupRow::of(backup, *peers));
    (matching.len(), rows.collect())
}

fn read_request(uri: &Uri, now: UnixNanos) -> Result<Request, Problem> {
    let mut params = Params::of(uri)?;
    let class = params.choice("class", &CLASSES)?;
    let (instance, engine) = (params.text("instance")?, params.text("engine")?);
    let (start, end) = params.range(now, RANGE_DEFAULT_NANOS)?;
    let limit = params.count("limit", BACKUPS_MAX)?.unwrap_or(BACKUPS_DEFAULT);
    params.finish()?;
    Ok(Request { class, instance, engine, start, end, limit })
}
