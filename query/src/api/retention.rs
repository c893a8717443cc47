//! `GET /api/v1/retention`: the rules in force, and what they did or would do.

use axum::extract::State;
use axum::response::Response;
use http::Uri;

use super::{Asked, JSON, body, to_json};
use crate::limits::{DRY_RUN_HOURS_DEFAULT, DRY_RUN_HOURS_MAX};
use crate::params::Params;
use crate::problem::Problem;
use crate::render::retention;

const HOUR_NANOS: i64 = 3_600 * 1_000_000_000;

/// The rules and what they did since the start.
pub(crate) async fn rules(State(asked): State<Asked>, uri: Uri) -> Result<Response, Problem> {
    Params::of(&uri)?.finish()?;
    Ok(body(JSON, to_json(&retention::Rules::of(&asked.reader.retention()))?))
}

/// What the rules would do now with what was received in the last hours.
pub(crate) async fn dry_run(State(asked): State<Asked>, uri: Uri) -> Result<Response, Problem> {
    let mut params = Params::of(&uri)?;
    let hours = params.count("hours", DRY_RUN_HOURS_MAX)?.unwrap_or(DRY_RUN_HOURS_DEFAULT);
    params.finish()?;
    let run = asked.gate.run(async { Ok(asked.reader.retention_dry_run(hours as i64 * HOUR_NANOS).await?) }).await?;
    Ok(body(JSON, to_json(&retention::DryRun::of(&run, hours))?))
}
