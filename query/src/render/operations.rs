//! The JSON of `GET /api/v1/operations`.

use model::OperationClass;
use proto::{TraceId, UnixNanos};
use serde::Serialize;
use store::{RELATIVE_ERROR, RollupRow, Rollups};

use super::json::{Shown, Text64};

/// The answer, fields in the order of `docs/http-api.md`.
#[derive(Serialize)]
pub(crate) struct Operations {
    as_of_unix_nano: Text64,
    start_unix_nano: Text64,
    end_unix_nano: Text64,
    resolution_nano: Text64,
    relative_error: f64,
    names_are_folded: bool,
    total: usize,
    operations: Vec<Operation>,
}

/// One operation.
#[derive(Serialize)]
pub(crate) struct Operation {
    service: String,
    name: String,
    class: &'static str,
    span_count: u64,
    error_count: u64,
    spans_per_second: f64,
    /// The answer is in this order.
    pub(crate) total_time_nano: Text64,
    min_nano: Text64,
    p50_nano: Text64,
    p90_nano: Text64,
    p95_nano: Text64,
    p99_nano: Text64,
    max_nano: Text64,
    exemplar_trace_id: Shown<TraceId>,
}

impl Operations {
    /// `total` operations there are, of which `operations` are shown.
    pub(crate) fn of(rollups: &Rollups, as_of: UnixNanos, total: usize, operations: Vec<Operation>) -> Self {
        Self {
            as_of_unix_nano: as_of.into(),
            start_unix_nano: rollups.start.into(),
            end_unix_nano: rollups.end.into(),
            resolution_nano: Text64(rollups.resolution.nanos()),
            relative_error: RELATIVE_ERROR,
            names_are_folded: rollups.names_are_folded,
            total,
            operations,
        }
    }
}

impl Operation {
    /// Seen within `seconds`.
    pub(crate) fn of(row: &RollupRow, class: OperationClass, seconds: f64) -> Self {
        let RollupRow { service, name, totals } = row;
        let quantile = |quantile| Text64(totals.quantile_nanos(quantile));
        Self {
            service: service.clone(),
            name: name.clone(),
            class: class.name(),
            span_count: totals.spans,
            error_count: totals.errors,
            spans_per_second: totals.spans as f64 / seconds,
            total_time_nano: Text64(totals.sum_nanos),
            min_nano: Text64(totals.min_nanos),
            p50_nano: quantile(0.5),
            p90_nano: quantile(0.9),
            p95_nano: quantile(0.95),
            p99_nano: quantile(0.99),
            max_nano: Text64(totals.max_nanos),
            exemplar_trace_id: Shown(totals.slowest),
        }
    }
}
