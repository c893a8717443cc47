//! `GET /api/v1/inspect`: windows and manifests, one block from the inside, or where a trace is.

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use proto::TraceId;
use store::BlockId;

use super::trace::parse_id;
use super::{Asked, JSON, body, to_json};
use crate::inspection::{BlockDetail, Inspection, Places};
use crate::params::Params;
use crate::problem::Problem;

/// What was asked.
#[derive(Debug, PartialEq)]
enum Request {
    All,
    Block(BlockId),
    Trace(TraceId),
}

/// Answers a look inside.
pub(crate) async fn inspect(State(asked): State<Asked>, uri: Uri) -> Result<Response, Problem> {
    let inspector = asked.reader.inspector();
    let bytes = match read_request(&uri)? {
        Request::All => {
            let manifests = inspector.manifests();
            to_json(&Inspection::of(&inspector.windows(), manifests.iter().map(|manifest| &**manifest)))?
        }
        Request::Block(id) => {
            let found = asked.gate.run(async { Ok(inspector.block(id).await?) }).await?;
            let facts = found.ok_or_else(|| Problem::not_found(format!("no block {id} is in a manifest")))?;
            to_json(&BlockDetail::of(&facts))?
        }
        Request::Trace(id) => {
            let places = asked.gate.run(async { Ok(inspector.trace(id).await?) }).await?;
            to_json(&Places::of(id, places))?
        }
    };
    Ok(body(JSON, bytes))
}

fn read_request(uri: &Uri) -> Result<Request, Problem> {
    let mut params = Params::of(uri)?;
    let (block, trace) = (params.text("block")?, params.text("trace")?);
    params.finish()?;
    match (block, trace) {
        (None, None) => Ok(Request::All),
        (Some(block), None) => {
            let id = block.parse();
            id.map(Request::Block).map_err(|error| Problem::bad_request(format!("`{block}` is no block id: {error}")))
        }
        (None, Some(trace)) => parse_id(&trace).map(Request::Trace),
        (Some(_), Some(_)) => Err(Problem::bad_request("give `block` or `trace`, not both")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Request, Problem> {
        read_request(&format!("/api/v1/inspect?{query}").parse().expect("a valid URI"))
    }

    #[test]
    fn one_thing_at_a_time() {
        let (block, trace) = ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(read(""), Ok(Request::All));
        assert_eq!(read(&format!("block={block}")), Ok(Request::Block(block.parse().expect("an id"))));
        assert_eq!(read(&format!("trace={trace}")), Ok(Request::Trace(trace.parse().expect("an id"))));
        for query in [format!("block={block}&trace={trace}"), "block=7".into(), "trace=7".into(), "window=7".into()] {
            assert!(read(&query).is_err(), "{query}");
        }
    }
}
