//! The JSON of `GET /api/v1/failovers`.

use model::failover::{
    Attainment, Before, Completeness, Distribution, FailoverFacts, Group, GroupBy, MeasureReport, PhaseNanos,
    PhaseReport, Report, T0Source, WorstFailover,
};
use model::rules::Phase;
use model::stats::Share;
use proto::TraceId;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::json::{Each, Shown, Text64};
use super::runs::SubjectView;

/// The report, fields in the order of `docs/http-api.md`.
#[derive(Serialize)]
pub(crate) struct ReportView<'a> {
    as_of_unix_nano: Text64,
    start_unix_nano: Text64,
    end_unix_nano: Text64,
    before_start_unix_nano: Text64,
    group_by: &'a [GroupBy],
    completeness: CompletenessView,
    groups: Vec<GroupView<'a>>,
    failovers: Option<Vec<FailoverRow<'a>>>,
}

impl<'a> ReportView<'a> {
    /// `listed`: each failover, where they were asked for.
    pub(crate) fn of(report: &'a Report, listed: Option<&[&'a FailoverFacts]>) -> Self {
        Self {
            as_of_unix_nano: report.as_of.into(),
            start_unix_nano: report.start.into(),
            end_unix_nano: report.end.into(),
            before_start_unix_nano: report.before_start.into(),
            group_by: &report.group_by,
            completeness: CompletenessView::of(&report.completeness),
            groups: report.groups.iter().map(|group| GroupView::of(group, &report.group_by)).collect(),
            failovers: listed.map(|listed| listed.iter().map(|failover| FailoverRow::of(failover)).collect()),
        }
    }
}

#[derive(Serialize)]
struct CompletenessView {
    failovers: usize,
    unfinished: usize,
    unknown_t0: usize,
    unattributed: usize,
    t0_sources: T0Sources,
}

impl CompletenessView {
    fn of(completeness: &Completeness) -> Self {
        let Completeness { failovers, unfinished, unknown_t0, unattributed, t0_sources } = *completeness;
        Self { failovers, unfinished, unknown_t0, unattributed, t0_sources: T0Sources(t0_sources) }
    }
}

struct T0Sources([usize; T0Source::ALL.len()]);

impl Serialize for T0Sources {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(T0Source::ALL.iter().map(|source| source.name()).zip(&self.0))
    }
}

#[derive(Serialize)]
struct GroupView<'a> {
    key: Key<'a>,
    is_planned: bool,
    count: usize,
    running: usize,
    success: usize,
    rolled_back: usize,
    failed: usize,
    retried: usize,
    rejoin_failed: usize,
    success_share: Option<f64>,
    total_unavailable_nano: Text64,
    measures: MeasuresView<'a>,
    attainment: Each<'a, Attainment, AttainmentView>,
    phases: Vec<PhaseView<'a>>,
    other_nano: Text64,
    unattributed_nano: Text64,
    worst_phase_by_count: Option<&'static str>,
    worst_phase_by_time: Option<&'static str>,
    worst: Each<'a, WorstFailover, WorstView<'a>>,
    before: Option<BeforeView<'a>>,
}

impl<'a> GroupView<'a> {
    fn of(group: &'a Group, group_by: &'a [GroupBy]) -> Self {
        let all_nanos = total_nanos(group);
        Self {
            key: Key { group_by, values: &group.key },
            is_planned: group.is_planned,
            count: group.count,
            running: group.running,
            success: group.success,
            rolled_back: group.rolled_back,
            failed: group.failed,
            retried: group.retried,
            rejoin_failed: group.rejoin_failed,
            success_share: (group.count > 0).then(|| group.success as f64 / group.count as f64),
            total_unavailable_nano: Text64(group.total_unavailable_nanos),
            measures: MeasuresView::of(&group.measures),
            attainment: Each(&group.attainment, AttainmentView::of),
            phases: group.phases.iter().map(|phase| PhaseView::of(phase, all_nanos)).collect(),
            other_nano: Text64(group.other_nanos),
            unattributed_nano: Text64(group.unattributed_nanos),
            worst_phase_by_count: group.worst_phase_by_count.map(Phase::name),
            worst_phase_by_time: group.worst_phase_by_time.map(Phase::name),
            worst: Each(&group.worst, WorstView::of),
            before: group.before.as_ref().map(BeforeView::of),
        }
    }
}

/// The wall time that phases are shares of.
pub(super) fn total_nanos(group: &Group) -> i64 {
    let phases = group.phases.iter().map(|phase| phase.total_nanos);
    phases.chain([group.other_nanos, group.unattributed_nanos]).fold(0, i64::saturating_add)
}

struct Key<'a> {
    group_by: &'a [GroupBy],
    values: &'a [Option<String>],
}

impl Serialize for Key<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.group_by.iter().map(|by| by.name()).zip(self.values))
    }
}

#[derive(Serialize)]
struct MeasuresView<'a> {
    write_unavailable: DistributionView<'a>,
    time_to_detect: DistributionView<'a>,
    time_to_act: DistributionView<'a>,
    execution_time: DistributionView<'a>,
    observed_write_gap: DistributionView<'a>,
    redundancy_exposure: DistributionView<'a>,
}

impl<'a> MeasuresView<'a> {
    fn of(measures: &'a MeasureReport) -> Self {
        Self {
            write_unavailable: DistributionView::of(&measures.write_unavailable),
            time_to_detect: DistributionView::of(&measures.time_to_detect),
            time_to_act: DistributionView::of(&measures.time_to_act),
            execution_time: DistributionView::of(&measures.execution_time),
            observed_write_gap: DistributionView::of(&measures.observed_write_gap),
            redundancy_exposure: DistributionView::of(&measures.redundancy_exposure),
        }
    }
}

#[derive(Serialize)]
struct DistributionView<'a> {
    count: usize,
    p50_nano: Option<Text64>,
    p90_nano: Option<Text64>,
    p95_nano: Option<Text64>,
    max_nano: Option<Text64>,
    all_nano: Option<Each<'a, i64, Text64>>,
}

impl<'a> DistributionView<'a> {
    fn of(distribution: &'a Distribution) -> Self {
        Self {
            count: distribution.count,
            p50_nano: distribution.p50.map(Text64),
            p90_nano: distribution.p90.map(Text64),
            p95_nano: distribution.p95.map(Text64),
            max_nano: distribution.max.map(Text64),
            all_nano: distribution.all.as_deref().map(|all| Each(all, |nanos| Text64(*nanos))),
        }
    }
}

#[derive(Serialize)]
struct AttainmentView {
    bar_nano: Text64,
    met: Option<Share>,
    instances_in_breach: usize,
}

impl AttainmentView {
    fn of(attainment: &Attainment) -> Self {
        let Attainment { bar_nanos, met, instances_in_breach } = *attainment;
        Self { bar_nano: Text64(bar_nanos), met, instances_in_breach }
    }
}

#[derive(Serialize)]
struct PhaseView<'a> {
    phase: &'static str,
    dominated: usize,
    total_nano: Text64,
    share: Option<f64>,
    distribution: DistributionView<'a>,
}

impl<'a> PhaseView<'a> {
    fn of(phase: &'a PhaseReport, all_nanos: i64) -> Self {
        Self {
            phase: phase.phase.name(),
            dominated: phase.dominated,
            total_nano: Text64(phase.total_nanos),
            share: (all_nanos > 0).then(|| phase.total_nanos as f64 / all_nanos as f64),
            distribution: DistributionView::of(&phase.distribution),
        }
    }
}

#[derive(Serialize)]
struct WorstView<'a> {
    run_id: String,
    trace_id: Shown<TraceId>,
    instance: Option<&'a str>,
    start_unix_nano: Text64,
    write_unavailable_nano: Text64,
    dominant_phase: Option<&'static str>,
}

impl<'a> WorstView<'a> {
    fn of(worst: &'a WorstFailover) -> Self {
        Self {
            run_id: worst.run.to_string(),
            trace_id: Shown(worst.run.trace_id),
            instance: worst.instance.as_deref(),
            start_unix_nano: worst.start.into(),
            write_unavailable_nano: Text64(worst.write_unavailable),
            dominant_phase: worst.dominant.map(Phase::name),
        }
    }
}

#[derive(Serialize)]
struct BeforeView<'a> {
    count: usize,
    success: usize,
    write_unavailable: DistributionView<'a>,
    attainment: Each<'a, Attainment, AttainmentView>,
    total_unavailable_nano: Text64,
}

impl<'a> BeforeView<'a> {
    fn of(before: &'a Before) -> Self {
        Self {
            count: before.count,
            success: before.success,
            write_unavailable: DistributionView::of(&before.write_unavailable),
            attainment: Each(&before.attainment, AttainmentView::of),
            total_unavailable_nano: Text64(before.total_unavailable_nanos),
        }
    }
}

/// One failover of a list.
#[derive(Serialize)]
pub(crate) struct FailoverRow<'a> {
    run_id: String,
    trace_id: Shown<TraceId>,
    start_unix_nano: Text64,
    trigger: &'static str,
    is_planned: bool,
    cause: Option<&'a str>,
    outcome: &'static str,
    has_ended: bool,
    attempts: u32,
    #[serde(flatten)]
    subject: SubjectView<'a>,
    old_primary: Option<&'a str>,
    new_primary: Option<&'a str>,
    t0_source: &'static str,
    rejoin_failed: bool,
    data_loss_bytes: Option<u64>,
    slo_nano: Option<Text64>,
    measures: MeasureNanos,
    phases: Phases,
    dominant_phase: Option<&'static str>,
}

impl<'a> FailoverRow<'a> {
    pub(crate) fn of(failover: &'a FailoverFacts) -> Self {
        Self {
            run_id: failover.run.to_string(),
            trace_id: Shown(failover.run.trace_id),
            start_unix_nano: failover.start.into(),
            trigger: failover.trigger.name(),
            is_planned: failover.trigger.is_planned(),
            cause: failover.cause.as_deref(),
            outcome: failover.outcome.name(),
            has_ended: failover.has_ended,
            attempts: failover.attempts,
            subject: SubjectView::of(&failover.subject),
            old_primary: failover.subject.old_primary.as_deref(),
            new_primary: failover.subject.new_primary.as_deref(),
            t0_source: failover.t0_source().name(),
            rejoin_failed: failover.timeline.rejoin_failed,
            data_loss_bytes: failover.data_loss_bytes,
            slo_nano: failover.slo_nanos.map(Text64),
            measures: MeasureNanos::of(&failover.measures),
            phases: Phases(failover.phases),
            dominant_phase: failover.phases.dominant().map(Phase::name),
        }
    }
}

#[derive(Serialize)]
struct MeasureNanos {
    write_unavailable_nano: Option<Text64>,
    time_to_detect_nano: Option<Text64>,
    time_to_act_nano: Option<Text64>,
    execution_time_nano: Option<Text64>,
    observed_write_gap_nano: Option<Text64>,
    redundancy_exposure_nano: Option<Text64>,
}

impl MeasureNanos {
    fn of(measures: &model::failover::Measures) -> Self {
        Self {
            write_unavailable_nano: measures.write_unavailable.map(Text64),
            time_to_detect_nano: measures.time_to_detect.map(Text64),
            time_to_act_nano: measures.time_to_act.map(Text64),
            execution_time_nano: measures.execution_time.map(Text64),
            observed_write_gap_nano: measures.observed_write_gap.map(Text64),
            redundancy_exposure_nano: measures.redundancy_exposure.map(Text64),
        }
    }
}

struct Phases(PhaseNanos);

impl Serialize for Phases {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut phases = serializer.serialize_map(None)?;
        for phase in Phase::FAILOVER {
            phases.serialize_entry(&format_args!("{}_nano", phase.name()), &Text64(self.0.of(phase)))?;
        }
        phases.serialize_entry("other_nano", &Text64(self.0.other))?;
        phases.serialize_entry("unattributed_nano", &Text64(self.0.unattributed))?;
        phases.end()
    }
}
