//! `DELETE` of one trace, and of all that match.

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use proto::TraceId;
use store::{Deleter, SearchOrder};

use super::search::read_conditions;
use super::trace::{IdInPath, unknown};
use super::{Asked, JSON, body, to_json};
use crate::limits::{DELETE_TRACES_MAX, DELETE_TRACES_SHOWN_MAX};
use crate::params::Params;
use crate::problem::Problem;
use crate::render::deleted::Deleted;

/// `DELETE /api/v1/traces/{trace_id}`.
pub(crate) async fn trace(State(asked): State<Asked>, IdInPath(id): IdInPath, uri: Uri) -> Result<Response, Problem> {
    let mut params = Params::of(&uri)?;
    let dry_run = params.flag("dry_run")?.unwrap_or(false);
    params.finish()?;
    let query = async {
        if asked.reader.trace(id).await?.is_empty() {
            return Err(unknown(id));
        }
        answer(&asked.deleter, &[id], dry_run).await
    };
    asked.gate.run(query).await
}

/// `DELETE /api/v1/traces`: what a search with the same conditions finds, all of it.
pub(crate) async fn matching(State(asked): State<Asked>, uri: Uri) -> Result<Response, Problem> {
    let mut params = Params::of(&uri)?;
    let dry_run = params.flag("dry_run")?.unwrap_or(false);
    let is_bounded = params.is_given("start");
    let request = read_conditions(&mut params, asked.clock.now(), SearchOrder::Newest, DELETE_TRACES_MAX)?;
    params.finish()?;
    if !is_bounded {
        return Err(Problem::bad_request("parameter `start` is missing: a delete does not guess from when on"));
    }
    let query = async {
        let found = asked.reader.search(&request).await?;
        if found.total > DELETE_TRACES_MAX {
            let total = found.total;
            return Err(Problem::bad_request(format!(
                "{total} traces match, and at most {DELETE_TRACES_MAX} are deleted at once: narrow the conditions or the time"
            )));
        }
        let ids: Vec<TraceId> = found.traces.iter().map(|trace| trace.trace_id).collect();
        answer(&asked.deleter, &ids, dry_run).await
    };
    asked.gate.run(query).await
}

async fn answer(deleter: &Deleter, ids: &[TraceId], dry_run: bool) -> Result<Response, Problem> {
    if !dry_run && !ids.is_empty() {
        let receipt = deleter.delete_traces(ids).await?;
        tracing::info!(traces = receipt.deleted, "deleted traces");
    }
    let shown = &ids[..ids.len().min(DELETE_TRACES_SHOWN_MAX)];
    Ok(body(JSON, to_json(&Deleted::of(ids.len(), shown, dry_run))?))
}
