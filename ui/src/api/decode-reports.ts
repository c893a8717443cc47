/**
 * Operations, failovers and runs from the wire to the model.
 */

import {
  type Attainment,
  type Distribution,
  type Failover,
  type FailoverDetail,
  type FailoverGroup,
  type FailoverReport,
  type Measure,
  MEASURES,
  PHASES,
  type RunError,
  type RunPart,
  type TimeShare,
} from '../model/failover';
import type { Breakdown, Change, ChangeKind, Compared, Counted, Figures, Operations, SlowReport } from '../model/operation';
import type { InstanceTimeline, Run, Runs, RunState, TimelineEntry } from '../model/run';
import type {
  WireAttainment,
  WireBreakdown,
  WireChange,
  WireCompared,
  WireCounted,
  WireDistribution,
  WireFailover,
  WireFailoverDetail,
  WireFailoverGroup,
  WireFailoverReport,
  WireFigures,
  WireOperations,
  WireRunError,
  WireRunPart,
  WireRuns,
  WireSlow,
  WireTimeline,
} from './wire-reports';

/** What is not known is null, never 0. */
function nano(text: string | null | undefined): bigint | null {
  return text === null || text === undefined ? null : BigInt(text);
}

export function decodeOperations(wire: WireOperations): Operations {
  return {
    ...decodeCounted(wire),
    asOfUnixNano: BigInt(wire.as_of_unix_nano),
    relativeError: wire.relative_error,
    namesAreFolded: wire.names_are_folded,
    total: wire.total,
    operations: wire.operations.map((operation) => ({
      service: operation.service,
      name: operation.name,
      class: operation.class,
      spanCount: operation.span_count,
      errorCount: operation.error_count,
      spansPerSecond: operation.spans_per_second,
      totalTimeNano: BigInt(operation.total_time_nano),
      p50Nano: BigInt(operation.p50_nano),
      p95Nano: BigInt(operation.p95_nano),
      p99Nano: BigInt(operation.p99_nano),
      maxNano: BigInt(operation.max_nano),
      exemplarTraceId: operation.exemplar_trace_id,
    })),
  };
}

export function decodeBreakdown(wire: WireBreakdown): Breakdown {
  return {
    ...decodeCounted(wire),
    asOfUnixNano: BigInt(wire.as_of_unix_nano),
    relativeError: wire.relative_error,
    isFolded: wire.is_folded,
    baseline: wire.baseline && { ...decodeCounted(wire.baseline), version: wire.baseline.version },
    operation: decodeCompared(wire.operation),
    versions: wire.versions.map((version) => ({ value: version.value, ...decodeCompared(version) })),
    values: (wire.values ?? []).map((value) => ({ value: value.value, ...decodeCompared(value) })),
    steps: wire.steps.map((step) => ({ path: step.path, service: step.service, ...decodeCompared(step) })),
  };
}

function decodeCounted(wire: WireCounted): Counted {
  return {
    startUnixNano: BigInt(wire.start_unix_nano),
    endUnixNano: BigInt(wire.end_unix_nano),
    resolutionNano: BigInt(wire.resolution_nano),
  };
}

function decodeCompared(wire: WireCompared): Compared {
  return {
    figures: wire.figures && decodeFigures(wire.figures),
    baseline: wire.baseline && decodeFigures(wire.baseline),
    change: wire.change && decodeChange(wire.change),
  };
}

function decodeFigures(wire: WireFigures): Figures {
  return {
    count: wire.count,
    errorCount: wire.error_count,
    countPerOperation: wire.count_per_operation,
    countPerSecond: wire.count_per_second,
    totalTimeNano: BigInt(wire.total_time_nano),
    selfTimeNano: BigInt(wire.self_time_nano),
    criticalTimeNano: BigInt(wire.critical_time_nano),
    share: wire.share,
    criticalShare: wire.critical_share,
    p50Nano: BigInt(wire.p50_nano),
    p90Nano: BigInt(wire.p90_nano),
    p95Nano: BigInt(wire.p95_nano),
    p99Nano: BigInt(wire.p99_nano),
    maxNano: BigInt(wire.max_nano),
    selfP50Nano: nano(wire.self_p50_nano),
    selfP95Nano: nano(wire.self_p95_nano),
    exemplarTraceId: wire.exemplar_trace_id,
  };
}

function decodeChange(wire: WireChange): Change {
  return {
    kind: wire.kind as ChangeKind,
    isSignificant: wire.is_significant,
    ratio: wire.ratio,
    pValue: wire.p_value,
    criticalTimePerOperationNano: nano(wire.critical_time_per_operation_nano),
    shareOfChange: wire.share_of_change,
    errorRatio: wire.error_ratio,
    errorPValue: wire.error_p_value,
  };
}

export function decodeSlow(wire: WireSlow): SlowReport {
  return {
    percentile: wire.percentile,
    thresholdNano: nano(wire.threshold_nano),
    total: wire.total,
    slowCount: wire.slow_count,
    restCount: wire.rest_count,
    slowMeanNano: nano(wire.slow_mean_nano),
    restMeanNano: nano(wire.rest_mean_nano),
    steps: wire.steps.map((step) => ({
      path: step.path,
      kind: step.kind as ChangeKind,
      slowMeanNano: BigInt(step.slow_mean_nano),
      restMeanNano: BigInt(step.rest_mean_nano),
      shareOfDifference: step.share_of_difference,
      slowRepeats: step.slow_repeats,
      restRepeats: step.rest_repeats,
      pValue: step.p_value,
    })),
    attributes: wire.attributes.map((attribute) => ({
      key: attribute.key,
      value: attribute.value,
      lift: attribute.lift,
      pValue: attribute.p_value,
      slow: attribute.slow,
      rest: attribute.rest,
    })),
    slowTraceIds: wire.slow_trace_ids,
  };
}

export function decodeFailoverReport(wire: WireFailoverReport): FailoverReport {
  const { completeness } = wire;
  return {
    asOfUnixNano: BigInt(wire.as_of_unix_nano),
    startUnixNano: BigInt(wire.start_unix_nano),
    endUnixNano: BigInt(wire.end_unix_nano),
    beforeStartUnixNano: BigInt(wire.before_start_unix_nano),
    groupBy: wire.group_by,
    completeness: {
      failovers: completeness.failovers,
      unfinished: completeness.unfinished,
      unknownT0: completeness.unknown_t0,
      unattributed: completeness.unattributed,
      t0Sources: Object.entries(completeness.t0_sources).map(([source, count]) => ({ source, count })),
    },
    groups: wire.groups.map((group) => decodeGroup(group, wire.group_by)),
    failovers: (wire.failovers ?? []).map(decodeFailover),
  };
}

/** The wire's names of the measures. */
const WIRE_MEASURES: Record<Measure, string> = {
  writeUnavailable: 'write_unavailable',
  timeToDetect: 'time_to_detect',
  timeToAct: 'time_to_act',
  executionTime: 'execution_time',
  observedWriteGap: 'observed_write_gap',
  redundancyExposure: 'redundancy_exposure',
};

const NOTHING: WireDistribution = { count: 0, p50_nano: null, p90_nano: null, p95_nano: null, max_nano: null, all_nano: null };

function decodeGroup(wire: WireFailoverGroup, groupBy: string[]): FailoverGroup {
  const measures = MEASURES.map((measure) => [measure, decodeDistribution(wire.measures[WIRE_MEASURES[measure]] ?? NOTHING)]);
  return {
    key: groupBy.map((name) => wire.key[name] ?? null),
    isPlanned: wire.is_planned,
    count: wire.count,
    running: wire.running,
    success: wire.success,
    rolledBack: wire.rolled_back,
    failed: wire.failed,
    retried: wire.retried,
    rejoinFailed: wire.rejoin_failed,
    totalUnavailableNano: BigInt(wire.total_unavailable_nano),
    measures: Object.fromEntries(measures) as Record<Measure, Distribution>,
    attainment: wire.attainment.map(decodeAttainment),
    phases: wire.phases.map((phase) => ({
      phase: phase.phase,
      dominated: phase.dominated,
      totalNano: BigInt(phase.total_nano),
      share: phase.share,
      distribution: decodeDistribution(phase.distribution),
    })),
    otherNano: BigInt(wire.other_nano),
    unattributedNano: BigInt(wire.unattributed_nano),
    worstPhaseByCount: wire.worst_phase_by_count,
    worstPhaseByTime: wire.worst_phase_by_time,
    worst: wire.worst.map((worst) => ({
      runId: worst.run_id,
      traceId: worst.trace_id,
      instance: worst.instance,
      startUnixNano: BigInt(worst.start_unix_nano),
      writeUnavailableNano: BigInt(worst.write_unavailable_nano),
      dominantPhase: worst.dominant_phase,
    })),
    before: wire.before && {
      count: wire.before.count,
      success: wire.before.success,
      writeUnavailable: decodeDistribution(wire.before.write_unavailable),
      attainment: wire.before.attainment.map(decodeAttainment),
      totalUnavailableNano: BigInt(wire.before.total_unavailable_nano),
    },
  };
}

function decodeDistribution(wire: WireDistribution): Distribution {
  return {
    count: wire.count,
    p50Nano: nano(wire.p50_nano),
    p90Nano: nano(wire.p90_nano),
    p95Nano: nano(wire.p95_nano),
    maxNano: nano(wire.max_nano),
    allNano: wire.all_nano?.map(BigInt) ?? null,
  };
}

function decodeAttainment(wire: WireAttainment): Attainment {
  return { barNano: BigInt(wire.bar_nano), met: wire.met, instancesInBreach: wire.instances_in_breach };
}

function decodeFailover(wire: WireFailover): Failover {
  const shares: TimeShare[] = [...PHASES, 'other', 'unattributed'];
  return {
    runId: wire.run_id,
    traceId: wire.trace_id,
    startUnixNano: BigInt(wire.start_unix_nano),
    trigger: wire.trigger,
    isPlanned: wire.is_planned,
    cause: wire.cause,
    outcome: wire.outcome,
    hasEnded: wire.has_ended,
    attempts: wire.attempts,
    instance: wire.instance,
    region: wire.region,
    zone: wire.zone,
    engine: wire.engine,
    engineVersion: wire.engine_version,
    plan: wire.plan,
    controllerVersion: wire.controller_version,
    oldPrimary: wire.old_primary,
    newPrimary: wire.new_primary,
    t0Source: wire.t0_source,
    rejoinFailed: wire.rejoin_failed,
    dataLossBytes: wire.data_loss_bytes,
    measures: Object.fromEntries(
      MEASURES.map((measure) => [measure, nano(wire.measures[`${WIRE_MEASURES[measure]}_nano`])]),
    ) as Record<Measure, bigint | null>,
    phases: Object.fromEntries(shares.map((share) => [share, nano(wire.phases[`${share}_nano`]) ?? 0n])) as Record<TimeShare, bigint>,
    dominantPhase: wire.dominant_phase,
  };
}

export function decodeFailoverDetail(wire: WireFailoverDetail): FailoverDetail {
  return {
    ...decodeFailover(wire),
    asOfUnixNano: BigInt(wire.as_of_unix_nano),
    endUnixNano: nano(wire.end_unix_nano),
    error: decodeError(wire.error),
    traceIds: wire.trace_ids,
    points: wire.points.map((point) => ({ point: point.point, name: point.name, atUnixNano: nano(point.at_unix_nano) })),
    spans: wire.spans.map((span) => ({
      traceId: span.trace_id,
      spanId: span.span_id,
      phase: span.phase,
      startUnixNano: BigInt(span.start_unix_nano),
      endUnixNano: BigInt(span.end_unix_nano),
      depth: span.depth,
      isError: span.is_error,
    })),
    parts: wire.parts.map(decodePart),
  };
}

function decodeError(wire: WireRunError | null): RunError | null {
  return wire && { type: wire.type, message: wire.message, spanName: wire.span_name };
}

function decodePart(wire: WireRunPart): RunPart {
  return {
    traceId: wire.trace_id,
    spanId: wire.span_id,
    kind: wire.kind,
    service: wire.service,
    operation: wire.operation,
    startUnixNano: BigInt(wire.start_unix_nano),
    endUnixNano: nano(wire.end_unix_nano),
    outcome: wire.outcome,
    attempt: wire.attempt,
    spanCount: wire.span_count,
    errorCount: wire.error_count,
  };
}

export function decodeRuns(wire: WireRuns): Runs {
  return {
    asOfUnixNano: BigInt(wire.as_of_unix_nano),
    hasMore: wire.total > wire.runs.length,
    runs: wire.runs.map(decodeRun),
  };
}

function decodeRun(wire: WireRuns['runs'][number]): Run {
  const step = wire.current_step;
  return {
    runId: wire.run_id,
    class: wire.class,
    service: wire.service,
    operation: wire.operation,
    state: wire.state as RunState,
    outcome: wire.outcome,
    startUnixNano: BigInt(wire.start_unix_nano),
    endUnixNano: nano(wire.end_unix_nano),
    durationNano: BigInt(wire.duration_nano),
    idleNano: BigInt(wire.idle_nano),
    instance: wire.instance,
    region: wire.region,
    engine: wire.engine,
    attempts: wire.attempts,
    currentStep: step && {
      name: step.name,
      spanId: step.span_id,
      startUnixNano: BigInt(step.start_unix_nano),
      phase: step.phase,
      kind: step.kind,
    },
    usualStepP95Nano: nano(wire.usual_step_p95_nano),
    error: decodeError(wire.error),
    spanCount: wire.span_count,
    errorCount: wire.error_count,
    traceIds: wire.trace_ids,
  };
}

export function decodeTimeline(wire: WireTimeline): InstanceTimeline {
  return {
    asOfUnixNano: BigInt(wire.as_of_unix_nano),
    startUnixNano: BigInt(wire.start_unix_nano),
    endUnixNano: BigInt(wire.end_unix_nano),
    isCut: wire.is_cut,
    entries: wire.entries.map((entry) => ({
      startUnixNano: BigInt(entry.start_unix_nano),
      endUnixNano: nano(entry.end_unix_nano),
      durationNano: BigInt(entry.duration_nano),
      plane: entry.plane as TimelineEntry['plane'],
      kind: entry.kind as TimelineEntry['kind'],
      class: entry.class,
      service: entry.service,
      name: entry.name,
      status: entry.status,
      traceId: entry.trace_id,
      spanId: entry.span_id,
      runId: entry.run_id,
    })),
  };
}
