//! What traces of the data plane say about an instance: evidence for when it failed.

use std::borrow::Cow;

use proto::UnixNanos;
use serde::{Deserialize, Serialize};

use crate::rules::{MarkKind, Rules};
use crate::{Span, StatusCode, semconv};

/// A health check of an instance, or a write to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HealthMark {
    /// `dbaas.instance.id`
    pub instance: String,
    /// `server.address`: which node of the instance; empty when not told.
    pub target: String,
    /// When it is known: the start of one that failed, the end of one that went well.
    pub at: UnixNanos,
    /// Which.
    pub kind: MarkKind,
    /// Whether it failed.
    pub failed: bool,
}

/// Responses from here on are errors of the server.
const HTTP_SERVER_ERROR: i64 = 500;

impl HealthMark {
    /// What the span says about an instance; `None` for most spans. Looks the name up first, so it is cheap to ask of all.
    #[must_use]
    pub fn of(span: &Span, rules: &Rules) -> Option<Self> {
        let kind = rules.map(span).mark(&span.name)?;
        let instance = semconv::of_span(span, "dbaas.instance.id").and_then(semconv::text)?.into_owned();
        let target = semconv::lookup(&span.attributes, "server.address").and_then(semconv::text);
        let target = target.map(Cow::into_owned).unwrap_or_default();
        let failed = is_failed(span);
        let at = if failed { span.start } else { span.end.max(span.start) };
        Some(Self { instance, target, at, kind, failed })
    }
}

/// By status, or by the answer of a server that left the status unset.
pub(crate) fn is_failed(span: &Span) -> bool {
    let by_http = || {
        let code = semconv::lookup(&span.attributes, "http.response.status_code").and_then(semconv::integer);
        code.is_some_and(|code| code >= HTTP_SERVER_ERROR)
    };
    match span.status {
        StatusCode::Error => true,
        StatusCode::Unset => by_http(),
        StatusCode::Ok => false,
    }
}
