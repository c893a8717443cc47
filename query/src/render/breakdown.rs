//! The JSON of `GET /api/v1/operations/breakdown`.

use std::collections::{BTreeMap, BTreeSet};

use model::breakdown::StepChange;
use proto::{TraceId, UnixNanos};
use serde::Serialize;
use store::{RELATIVE_ERROR, StepTotals, Steps};

use super::json::{Shown, Text64};
use crate::breakdown::{Change, Scale, Side};

/// One period: what was counted, of which time, and within how many seconds of it.
pub(crate) struct Period<'a> {
    pub(crate) side: &'a Side,
    /// Any of the answers of the store.
    pub(crate) steps: &'a Steps,
    pub(crate) version: Option<&'a str>,
    pub(crate) seconds: f64,
    pub(crate) is_folded: bool,
}

/// What was asked.
pub(crate) struct Question<'a> {
    pub(crate) as_of: UnixNanos,
    pub(crate) service: &'a str,
    pub(crate) name: &'a str,
    pub(crate) by: Option<&'static str>,
}

/// The answer, fields in the order of `docs/http-api.md`.
#[derive(Serialize)]
pub(crate) struct Breakdown<'a> {
    as_of_unix_nano: Text64,
    start_unix_nano: Text64,
    end_unix_nano: Text64,
    resolution_nano: Text64,
    relative_error: f64,
    is_folded: bool,
    service: &'a str,
    name: &'a str,
    version: Option<&'a str>,
    by: Option<&'static str>,
    baseline: Option<BaselineView<'a>>,
    operation: RootRow,
    versions: Vec<ValueRow<'a>>,
    values: Option<Vec<ValueRow<'a>>>,
    steps: Vec<StepRow<'a>>,
}

#[derive(Serialize)]
struct BaselineView<'a> {
    start_unix_nano: Text64,
    end_unix_nano: Text64,
    resolution_nano: Text64,
    version: Option<&'a str>,
    is_folded: bool,
}

#[derive(Serialize)]
struct RootRow {
    figures: Option<Figures>,
    baseline: Option<Figures>,
    change: Option<ChangeView>,
}

#[derive(Serialize)]
struct ValueRow<'a> {
    value: Option<&'a str>,
    #[serde(flatten)]
    row: RootRow,
}

#[derive(Serialize)]
struct StepRow<'a> {
    path: &'a [String],
    service: &'a str,
    figures: Option<Figures>,
    baseline: Option<Figures>,
    change: Option<ChangeView>,
    /// What it is sorted by.
    #[serde(skip)]
    rank: (bool, f64),
}

impl<'a> Breakdown<'a> {
    pub(crate) fn of(question: &Question<'a>, now: &Period<'a>, before: Option<&Period<'a>>) -> Self {
        let sides = Sides { now, before };
        let versions = sides.values(|side| &side.versions);
        Self {
            as_of_unix_nano: question.as_of.into(),
            start_unix_nano: now.steps.start.into(),
            end_unix_nano: now.steps.end.into(),
            resolution_nano: Text64(now.steps.resolution.nanos()),
            relative_error: RELATIVE_ERROR,
            is_folded: now.is_folded,
            service: question.service,
            name: question.name,
            version: now.version,
            by: question.by,
            baseline: before.map(|before| BaselineView {
                start_unix_nano: before.steps.start.into(),
                end_unix_nano: before.steps.end.into(),
                resolution_nano: Text64(before.steps.resolution.nanos()),
                version: before.version,
                is_folded: before.is_folded,
            }),
            operation: sides.operation(),
            values: match question.by {
                None => None,
                Some("version") => Some(sides.values(|side| &side.versions)),
                Some(_) => Some(sides.values(|side| &side.values)),
            },
            versions,
            steps: sides.steps(),
        }
    }
}

/// Both periods.
struct Sides<'p, 'a> {
    now: &'p Period<'a>,
    before: Option<&'p Period<'a>>,
}

impl<'a> Sides<'_, 'a> {
    fn operation(&self) -> RootRow {
        let some = |period: &Period<'a>| Some(&period.side.operation).filter(|totals| totals.spans > 0);
        let (now, before) = (some(self.now), self.before.and_then(some));
        // The root is a step too: its shares are of all steps.
        RootRow {
            figures: now.map(|totals| Figures::of(totals, &self.now.side.scale(), self.now.seconds)),
            baseline: self
                .before
                .zip(before)
                .map(|(period, totals)| Figures::of(totals, &period.side.scale(), period.seconds)),
            change: self.before.and_then(|_| Change::of_roots(now, before)).map(ChangeView::of),
        }
    }

    /// Most time first.
    fn values(&self, of: fn(&Side) -> &BTreeMap<Option<String>, StepTotals>) -> Vec<ValueRow<'a>> {
        let (now, before) = (of(self.now.side), self.before.map(|before| of(before.side)));
        let values: BTreeSet<&'a Option<String>> =
            now.keys().chain(before.iter().flat_map(|before| before.keys())).collect();
        let rows = values.into_iter().map(|value| {
            let (in_now, in_before) = (now.get(value), before.and_then(|before| before.get(value)));
            let row = RootRow {
                figures: in_now.map(|totals| Figures::of(totals, &self.now.side.scale(), self.now.seconds)),
                baseline: self
                    .before
                    .zip(in_before)
                    .map(|(period, totals)| Figures::of(totals, &period.side.scale(), period.seconds)),
                change: before.and_then(|_| Change::of_roots(in_now, in_before)).map(ChangeView::of),
            };
            (in_now.map_or(0, |totals| totals.sum_nanos), ValueRow { value: value.as_deref(), row })
        });
        let mut rows: Vec<(i64, ValueRow<'a>)> = rows.collect();
        rows.sort_by_key(|(nanos, _)| std::cmp::Reverse(*nanos));
        rows.into_iter().map(|(_, row)| row).collect()
    }

    fn steps(&self) -> Vec<StepRow<'a>> {
        let (now, before) = (&self.now.side.steps, self.before.map(|before| &before.side.steps));
        let (now_scale, before_scale) = (self.now.side.scale(), self.before.map(|before| before.side.scale()));
        let paths: BTreeSet<&'a Vec<String>> =
            now.keys().chain(before.iter().flat_map(|before| before.keys())).collect();
        let rows = paths.into_iter().filter_map(|path| {
            let (in_now, in_before) = (now.get(path), before.and_then(|before| before.get(path)));
            let change = before_scale.and_then(|before_scale| {
                let before = (in_before.map(|step| &step.totals), &before_scale);
                Change::of_step((in_now.map(|step| &step.totals), &now_scale), before)
            });
            let critical = in_now.map_or(0.0, |step| step.totals.critical_nanos as f64);
            let rank = match &change {
                Some(change) => (change.is_significant, change.critical_nanos.abs()),
                None => (false, critical),
            };
            Some(StepRow {
                path,
                service: &in_now.or(in_before)?.service,
                figures: in_now.map(|step| Figures::of(&step.totals, &now_scale, self.now.seconds)),
                baseline: in_before
                    .zip(self.before.zip(before_scale))
                    .map(|(step, (period, scale))| Figures::of(&step.totals, &scale, period.seconds)),
                change: change.map(ChangeView::of),
                rank,
            })
        });
        let mut rows: Vec<StepRow<'a>> = rows.collect();
        rows.sort_by(|a, b| b.rank.0.cmp(&a.rank.0).then(b.rank.1.total_cmp(&a.rank.1)));
        rows
    }
}

/// Counts and times of one row.
#[derive(Serialize)]
struct Figures {
    count: u64,
    error_count: u64,
    count_per_operation: f64,
    count_per_second: f64,
    total_time_nano: Text64,
    self_time_nano: Text64,
    critical_time_nano: Text64,
    share: f64,
    critical_share: f64,
    min_nano: Text64,
    p50_nano: Text64,
    p90_nano: Text64,
    p95_nano: Text64,
    p99_nano: Text64,
    max_nano: Text64,
    self_p50_nano: Text64,
    self_p95_nano: Text64,
    exemplar_trace_id: Option<Shown<TraceId>>,
}

impl Figures {
    fn of(totals: &StepTotals, scale: &Scale, seconds: f64) -> Self {
        let quantile = |quantile| Text64(totals.quantile_nanos(quantile));
        Self {
            count: totals.spans,
            error_count: totals.errors,
            count_per_operation: scale.per_operation(totals.spans),
            count_per_second: totals.spans as f64 / seconds,
            total_time_nano: Text64(totals.sum_nanos),
            self_time_nano: Text64(totals.self_nanos),
            critical_time_nano: Text64(totals.critical_nanos),
            share: totals.self_nanos as f64 / scale.self_nanos.max(1) as f64,
            critical_share: totals.critical_nanos as f64 / scale.critical_nanos.max(1) as f64,
            min_nano: Text64(totals.min_nanos),
            p50_nano: quantile(0.5),
            p90_nano: quantile(0.9),
            p95_nano: quantile(0.95),
            p99_nano: quantile(0.99),
            max_nano: Text64(totals.max_nanos),
            self_p50_nano: Text64(totals.self_quantile_nanos(0.5)),
            self_p95_nano: Text64(totals.self_quantile_nanos(0.95)),
            exemplar_trace_id: totals.slowest.map(Shown),
        }
    }
}

#[derive(Serialize)]
struct ChangeView {
    kind: StepChange,
    is_significant: bool,
    ratio: Option<f64>,
    p_value: Option<f64>,
    critical_time_per_operation_nano: Text64,
    share_of_change: Option<f64>,
    error_ratio: Option<f64>,
    error_p_value: Option<f64>,
}

impl ChangeView {
    fn of(change: Change) -> Self {
        // Where there was none the ratio is infinite, which JSON cannot say.
        let finite = |ratio: f64| Some(ratio).filter(|ratio| ratio.is_finite());
        Self {
            kind: change.kind,
            is_significant: change.is_significant,
            ratio: change.comparison.and_then(|comparison| finite(comparison.ratio)),
            p_value: change.comparison.map(|comparison| comparison.p_value),
            critical_time_per_operation_nano: Text64(change.critical_nanos.round() as i64),
            share_of_change: change.share,
            error_ratio: change.errors.and_then(|errors| finite(errors.ratio)),
            error_p_value: change.errors.map(|errors| errors.p_value),
        }
    }
}
