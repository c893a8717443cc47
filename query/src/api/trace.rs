//! One trace by its id: assembled, as text, or as the OTLP that came in.

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, State};
use axum::response::Response;
use http::header::{ACCEPT, VARY};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Uri};
use model::Span;
use prost::Message;
use proto::TraceId;

use super::{Asked, JSON, body, off_the_runtime, to_json};
use crate::params::Params;
use crate::problem::Problem;
use crate::render::{native, otlp as otlp_form};

#[derive(Clone, Copy)]
enum Format {
    Json,
    Tree,
}

/// `GET /api/v1/traces/{trace_id}`.
pub(crate) async fn trace(State(asked): State<Asked>, IdInPath(id): IdInPath, uri: Uri) -> Result<Response, Problem> {
    let mut params = Params::of(&uri)?;
    let format = params.choice("format", &[("json", Format::Json), ("tree", Format::Tree)])?.unwrap_or(Format::Json);
    let events = params.flag("events")?.unwrap_or(false);
    params.finish()?;

    let query = async {
        let spans = spans_of(&asked, id).await?;
        off_the_runtime(move || {
            let trace = model::assemble(spans).ok_or_else(|| unknown(id))?;
            match format {
                Format::Json => Ok(body(JSON, to_json(&native::Trace::of(&trace))?)),
                Format::Tree => {
                    let text = model::text::render(&trace, model::text::Options { events });
                    Ok(body("text/plain; charset=utf-8", text.into_bytes()))
                }
            }
        })
        .await
    };
    asked.gate.run(query).await
}

/// `GET /api/v1/traces/{trace_id}/otlp`.
pub(crate) async fn otlp(
    State(asked): State<Asked>,
    IdInPath(id): IdInPath,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    Params::of(&uri)?.finish()?;
    let protobuf = wants_protobuf(&headers);
    let query = async {
        let spans = spans_of(&asked, id).await?;
        off_the_runtime(move || {
            let groups = otlp_form::group(&spans);
            let mut response = match protobuf {
                true => body(PROTOBUF, otlp_form::to_message(&groups).encode_to_vec()),
                false => body(JSON, to_json(&otlp_form::TracesData::of(&groups))?),
            };
            response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
            Ok(response)
        })
        .await
    };
    asked.gate.run(query).await
}

/// The media type of OTLP/HTTP in protobuf.
const PROTOBUF: &str = "application/x-protobuf";

/// Whether the first of the two media types that the client names is protobuf; JSON when it names neither.
fn wants_protobuf(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let media_types = accepted.flat_map(|value| value.split(',')).map(|item| {
        let media_type = item.split(';').next().unwrap_or_default();
        media_type.trim().to_ascii_lowercase()
    });
    for media_type in media_types {
        match media_type.as_str() {
            PROTOBUF | "application/protobuf" => return true,
            JSON => return false,
            _ => {}
        }
    }
    false
}

async fn spans_of(asked: &Asked, id: TraceId) -> Result<Vec<Span>, Problem> {
    let spans = asked.reader.trace(id).await?;
    if spans.is_empty() {
        return Err(unknown(id));
    }
    Ok(spans)
}

pub(super) fn unknown(id: TraceId) -> Problem {
    Problem::not_found(format!("no span of trace {id} is kept"))
}

/// The trace id of the path.
pub(crate) struct IdInPath(pub(crate) TraceId);

impl<S: Send + Sync> FromRequestParts<S> for IdInPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
        let Path(text) = text.map_err(|error| Problem::bad_request(error.body_text()))?;
        parse_id(&text).map(Self)
    }
}

/// 32 hex digits, or the same in the form of a UUID.
pub(super) fn parse_id(text: &str) -> Result<TraceId, Problem> {
    let mut digits = text.to_owned();
    if is_grouped_like_a_uuid(text) {
        digits.retain(|c| c != '-');
    }
    digits.parse().map_err(|error| Problem::bad_request(format!("`{text}` is no trace id: {error}")))
}

fn is_grouped_like_a_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_in_every_accepted_form() {
        let id: TraceId = "0af7651916cd43dd8448eb211c80319c".parse().expect("a valid id");
        for text in [
            "0af7651916cd43dd8448eb211c80319c",
            "0AF7651916CD43DD8448EB211C80319C",
            "0af76519-16cd-43dd-8448-eb211c80319c",
        ] {
            assert_eq!(parse_id(text), Ok(id));
        }
    }

    #[test]
    fn malformed_ids() {
        for text in
            ["", "0af7", "zz", "0af76519-16cd43dd8448eb211c80319c", "0-a-f", "00000000000000000000000000000000", "é"]
        {
            assert!(parse_id(text).is_err(), "{text}");
        }
    }

    #[test]
    fn protobuf_only_when_asked_for() {
        let wants = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            wants_protobuf(&headers)
        };
        assert!(!wants_protobuf(&HeaderMap::new()));
        assert!(wants("application/x-protobuf") && wants("Application/Protobuf;q=0.9, */*"));
        assert!(!wants("*/*") && !wants("application/json, application/x-protobuf"));
    }
}
