//! The JSON of `GET /api/v1/classify`.

use model::OperationClass;
use model::rules::{Answer, Explanation, Phase, SpanContext};
use model::run::StepKind;
use proto::SpanId;
use serde::Serialize;

use super::json::Shown;

/// The answer.
#[derive(Serialize)]
pub(crate) struct Classified<'a> {
    spans: Vec<ClassifiedSpan<'a>>,
}

impl<'a> Classified<'a> {
    pub(crate) fn of(spans: Vec<ClassifiedSpan<'a>>) -> Self {
        Self { spans }
    }
}

/// One span and what the rules come to for it.
#[derive(Serialize)]
pub(crate) struct ClassifiedSpan<'a> {
    span_id: Option<Shown<SpanId>>,
    depth: u32,
    service: &'a str,
    scope: &'a str,
    name: &'a str,
    class: Answer<OperationClass>,
    phase: Option<Answer<Option<Phase>>>,
    step: Answer<StepKind>,
    is_noise: Answer<bool>,
    has_run: Answer<bool>,
}

impl<'a> ClassifiedSpan<'a> {
    /// `id`: of a span that was received.
    pub(crate) fn of(id: Option<SpanId>, depth: u32, span: &SpanContext<'a>, explained: Explanation) -> Self {
        let Explanation { class, phase, step, is_noise, has_run } = explained;
        let SpanContext { service, scope, name, attributes: _ } = *span;
        Self { span_id: id.map(Shown), depth, service, scope, name, class, phase, step, is_noise, has_run }
    }
}
