//! `GET /api/v1/services`: services and their span names.

use axum::extract::State;
use axum::response::Response;
use http::Uri;

use super::{Asked, JSON, body, to_json};
use crate::params::Params;
use crate::problem::Problem;
use crate::render::native;

/// Lists all services.
pub(crate) async fn services(State(asked): State<Asked>, uri: Uri) -> Result<Response, Problem> {
    Params::of(&uri)?.finish()?;
    let services = asked.gate.run(async { Ok(asked.reader.services().await?) }).await?;
    Ok(body(JSON, to_json(&native::Services::of(&services))?))
}
