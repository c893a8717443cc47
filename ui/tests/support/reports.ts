/** Answers about operations, failovers and runs as the server would send them: complete, and changed where a test needs it. */

import type {
  WireBreakdown,
  WireChange,
  WireDistribution,
  WireFailover,
  WireFailoverDetail,
  WireFailoverGroup,
  WireFailoverReport,
  WireFigures,
  WireOperations,
  WireRuns,
  WireSlow,
  WireTimeline,
} from '../../src/api/wire-reports';

/** 2026-11-23T20:00:00Z. */
export const START = 1_795_464_000n * 1_000_000_000n;

export function seconds(value: number): string {
  return String(BigInt(Math.round(value * 1e9)));
}

export function at(offsetSeconds: number): string {
  return String(START + BigInt(seconds(offsetSeconds)));
}

const TRACE = '0af7651916cd43dd8448eb211c80319c';
export const RUN = `${TRACE}-b7ad6b7169203331`;

export function wireFigures(changed: Partial<WireFigures> = {}): WireFigures {
  return {
    count: 120,
    error_count: 1,
    count_per_operation: 1,
    count_per_second: 0.033,
    total_time_nano: seconds(4800),
    self_time_nano: seconds(4800),
    critical_time_nano: seconds(4800),
    share: 0.48,
    critical_share: 0.47,
    p50_nano: seconds(40),
    p90_nano: seconds(50),
    p95_nano: seconds(55),
    p99_nano: seconds(60),
    max_nano: seconds(61),
    self_p50_nano: seconds(40),
    self_p95_nano: seconds(55),
    exemplar_trace_id: TRACE,
    ...changed,
  };
}

export function wireChange(changed: Partial<WireChange> = {}): WireChange {
  return {
    kind: 'slower',
    is_significant: true,
    ratio: 1.35,
    p_value: 0.0000012,
    critical_time_per_operation_nano: seconds(13.3),
    share_of_change: 0.94,
    error_ratio: null,
    error_p_value: null,
    ...changed,
  };
}

export function wireBreakdown(changed: Partial<WireBreakdown> = {}): WireBreakdown {
  const period = { start_unix_nano: at(0), end_unix_nano: at(3600), resolution_nano: seconds(60) };
  const same = wireChange({ kind: 'same', is_significant: false, ratio: 1.01, p_value: 0.6, critical_time_per_operation_nano: seconds(0.02) });
  return {
    ...period,
    as_of_unix_nano: at(3700),
    relative_error: 0.01,
    is_folded: false,
    baseline: { start_unix_nano: at(-3600), end_unix_nano: at(0), resolution_nano: seconds(60), version: null },
    operation: { figures: wireFigures({ share: 0.01, p50_nano: seconds(97) }), baseline: wireFigures({ p50_nano: seconds(83.5) }), change: wireChange() },
    versions: [
      { value: '2.4.1', figures: wireFigures(), baseline: null, change: null },
      { value: '2.4.0', figures: wireFigures({ count: 20 }), baseline: wireFigures(), change: same },
    ],
    values: [{ value: 'eu-1', figures: wireFigures(), baseline: wireFigures(), change: wireChange() }],
    steps: [
      {
        path: ['Allocate resources', 'Wait for Pod ready'],
        service: 'k8s-operator',
        figures: wireFigures(),
        baseline: wireFigures({ p50_nano: seconds(30) }),
        change: wireChange(),
      },
      {
        path: ['Allocate resources'],
        service: 'provisioner',
        figures: wireFigures({ share: 0.02, critical_time_nano: seconds(240) }),
        baseline: wireFigures(),
        change: same,
      },
      {
        path: ['Setup replication'],
        service: 'provisioner',
        figures: wireFigures({ share: 0.3, critical_time_nano: seconds(3600) }),
        baseline: wireFigures(),
        change: same,
      },
      { path: ['Warm cache'], service: 'agent', figures: null, baseline: wireFigures(), change: wireChange({ kind: 'missing', ratio: null, p_value: null, critical_time_per_operation_nano: seconds(-2) }) },
    ],
    ...changed,
  };
}

export function wireOperations(): WireOperations {
  const operation = (service: string, name: string, kind: string, count: number, p95: number) => ({
    service,
    name,
    class: kind,
    span_count: count,
    error_count: kind === 'failover' ? 1 : 0,
    spans_per_second: count / 3600,
    total_time_nano: seconds(count * p95),
    p50_nano: seconds(p95 / 2),
    p95_nano: seconds(p95),
    p99_nano: seconds(p95 * 1.2),
    max_nano: seconds(p95 * 2),
    exemplar_trace_id: TRACE,
  });
  return {
    start_unix_nano: at(0),
    end_unix_nano: at(3600),
    resolution_nano: seconds(60),
    as_of_unix_nano: at(3700),
    relative_error: 0.01,
    names_are_folded: false,
    total: 4,
    operations: [
      operation('control-api', 'CreateInstance', 'provisioning', 12, 104),
      operation('controller', 'Failover', 'failover', 3, 41),
      operation('sql-proxy', 'SELECT', 'query', 90_000, 0.018),
      operation('control-api', 'DeleteInstance', 'provisioning', 5, 20),
    ],
  };
}

export function wireSlow(): WireSlow {
  const share = { count: 50, total: 64, share: 0.78, low: 0.67, high: 0.87 };
  return {
    percentile: 95,
    threshold_nano: seconds(156),
    total: 1284,
    slow_count: 64,
    rest_count: 136,
    slow_mean_nano: seconds(190),
    rest_mean_nano: seconds(83),
    steps: [
      {
        path: ['CreateInstance', 'Allocate resources', 'Wait for Pod ready'],
        kind: 'slower',
        slow_mean_nano: seconds(140),
        rest_mean_nano: seconds(40),
        share_of_difference: 0.94,
        slow_repeats: 1,
        rest_repeats: 1,
        p_value: 0.000001,
      },
    ],
    attributes: [{ key: 'cloud.region', value: 'eu-1', lift: 2.4, p_value: 0.0002, slow: share, rest: { ...share, share: 0.3, low: 0.2, high: 0.4 } }],
    slow_trace_ids: [TRACE],
  };
}

export function wireDistribution(values: number[]): WireDistribution {
  const sorted = [...values].sort((a, b) => a - b);
  const rank = (p: number) => (sorted.length === 0 ? null : seconds(sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)]!));
  return {
    count: sorted.length,
    p50_nano: rank(0.5),
    p90_nano: rank(0.9),
    p95_nano: rank(0.95),
    max_nano: rank(1),
    all_nano: sorted.map(seconds),
  };
}

export function wireGroup(changed: Partial<WireFailoverGroup> = {}): WireFailoverGroup {
  const phase = (name: string, perFailover: number) => ({
    phase: name,
    dominated: name === 'detect' ? 4 : 0,
    total_nano: seconds(perFailover * 4),
    share: perFailover / 36,
    distribution: wireDistribution(perFailover > 0 ? Array.from({ length: 4 }, () => perFailover) : []),
  });
  return {
    key: {},
    is_planned: false,
    count: 4,
    running: 1,
    success: 3,
    rolled_back: 0,
    failed: 1,
    retried: 1,
    rejoin_failed: 0,
    total_unavailable_nano: seconds(150),
    measures: {
      write_unavailable: wireDistribution([30, 36, 41, 43]),
      time_to_detect: wireDistribution([20, 22, 25, 28]),
      time_to_act: wireDistribution([1, 1, 1, 1]),
      execution_time: wireDistribution([9, 10, 11, 14]),
      observed_write_gap: wireDistribution([]),
      redundancy_exposure: wireDistribution([60, 70, 80, 90]),
    },
    attainment: [{ bar_nano: seconds(60), met: { count: 4, total: 4, share: 1, low: 0.51, high: 1 }, instances_in_breach: 0 }],
    phases: [
      phase('detect', 20),
      phase('fence', 2),
      phase('elect', 3),
      phase('catchup', 1),
      phase('promote', 4),
      phase('endpoint', 3),
      phase('verify', 1),
      phase('rejoin', 0),
    ],
    other_nano: seconds(4),
    unattributed_nano: seconds(8),
    worst_phase_by_count: 'detect',
    worst_phase_by_time: 'detect',
    worst: [
      { run_id: RUN, trace_id: TRACE, instance: 'pg-7f2', start_unix_nano: at(10), write_unavailable_nano: seconds(43), dominant_phase: 'detect' },
    ],
    before: {
      count: 3,
      success: 3,
      write_unavailable: wireDistribution([28, 30, 31]),
      attainment: [],
      total_unavailable_nano: seconds(89),
    },
    ...changed,
  };
}

export function wireFailover(changed: Partial<WireFailover> = {}): WireFailover {
  return {
    run_id: RUN,
    trace_id: TRACE,
    start_unix_nano: at(10),
    trigger: 'unplanned',
    is_planned: false,
    cause: 'node_loss',
    outcome: 'success',
    has_ended: true,
    attempts: 1,
    instance: 'pg-7f2',
    region: 'eu-1',
    zone: 'eu-1a',
    engine: 'postgresql',
    engine_version: '17.2',
    plan: 'ha-4',
    controller_version: '2.4.1',
    old_primary: 'pg-7f2-0',
    new_primary: 'pg-7f2-1',
    t0_source: 'detect_span',
    rejoin_failed: false,
    data_loss_bytes: null,
    measures: {
      write_unavailable_nano: seconds(36),
      time_to_detect_nano: seconds(20),
      time_to_act_nano: null,
      execution_time_nano: seconds(14),
      observed_write_gap_nano: null,
      redundancy_exposure_nano: seconds(70),
    },
    phases: {
      detect_nano: seconds(20),
      fence_nano: seconds(2),
      elect_nano: seconds(3),
      catchup_nano: '0',
      promote_nano: seconds(5),
      endpoint_nano: seconds(3),
      verify_nano: seconds(1),
      rejoin_nano: '0',
      other_nano: '0',
      unattributed_nano: seconds(2),
    },
    dominant_phase: 'detect',
    ...changed,
  };
}

export function wireFailoverReport(changed: Partial<WireFailoverReport> = {}): WireFailoverReport {
  return {
    as_of_unix_nano: at(3700),
    start_unix_nano: at(0),
    end_unix_nano: at(3600),
    before_start_unix_nano: at(-3600),
    group_by: [],
    completeness: {
      failovers: 5,
      unfinished: 1,
      unknown_t0: 0,
      unattributed: 1,
      t0_sources: { attribute: 1, detect_span: 3, health_checks: 0, writes: 0, fence_span: 0, unknown: 0 },
    },
    groups: [wireGroup()],
    failovers: [wireFailover()],
    ...changed,
  };
}

export function wireFailoverDetail(changed: Partial<WireFailoverDetail> = {}): WireFailoverDetail {
  const names = ['fault', 'detected', 'acted', 'fenced', 'elected', 'promoted', 'routable', 'restored', 'redundant'];
  const times = [0, 20, null, 22, 25, 30, 33, 36, 92];
  return {
    ...wireFailover(),
    as_of_unix_nano: at(3700),
    end_unix_nano: at(40),
    error: null,
    trace_ids: [TRACE],
    points: names.map((name, i) => ({ point: `T${i}`, name, at_unix_nano: times[i] == null ? null : at(times[i]) })),
    spans: [
      { trace_id: TRACE, span_id: '00f067aa0ba902b7', phase: 'detect', start_unix_nano: at(0), end_unix_nano: at(20), depth: 1, is_error: false },
      { trace_id: TRACE, span_id: '00f067aa0ba902b8', phase: 'promote', start_unix_nano: at(25), end_unix_nano: at(30), depth: 1, is_error: true },
    ],
    parts: [
      {
        trace_id: TRACE,
        span_id: 'b7ad6b7169203331',
        kind: 'operation',
        service: 'controller',
        operation: 'Failover',
        start_unix_nano: at(10),
        end_unix_nano: at(40),
        outcome: 'success',
        attempt: 1,
        span_count: 41,
        error_count: 1,
      },
    ],
    ...changed,
  };
}

type WireRun = WireRuns['runs'][number];

export function wireRun(changed: Partial<WireRun> = {}): WireRun {
  return {
    run_id: RUN,
    class: 'provisioning',
    service: 'control-api',
    operation: 'CreateInstance',
    state: 'running',
    outcome: 'unknown',
    start_unix_nano: at(0),
    end_unix_nano: null,
    duration_nano: seconds(300),
    idle_nano: seconds(200),
    instance: 'pg-7f2',
    region: 'eu-1',
    engine: 'postgresql',
    attempts: 1,
    current_step: { name: 'Wait for Pod ready', span_id: '00f067aa0ba902b7', start_unix_nano: at(100), phase: null, kind: 'wait' },
    usual_step_p95_nano: seconds(60),
    error: null,
    span_count: 41,
    error_count: 0,
    trace_ids: [TRACE],
    ...changed,
  };
}

export function wireRuns(runs: WireRun[], total = runs.length): WireRuns {
  return { as_of_unix_nano: at(300), total, runs };
}

export function wireTimeline(): WireTimeline {
  const entry = (offset: number, length: number, plane: string, name: string, status: string) => ({
    start_unix_nano: at(offset),
    end_unix_nano: at(offset + length),
    duration_nano: seconds(length),
    plane,
    kind: plane === 'control' ? 'run' : 'span',
    class: plane === 'control' ? 'backup' : 'health_check',
    service: 'health-monitor',
    name,
    status,
    trace_id: TRACE,
    span_id: `00f067aa0ba9${String(1000 + offset)}`,
    run_id: plane === 'control' ? RUN : null,
  });
  return {
    as_of_unix_nano: at(3700),
    start_unix_nano: at(0),
    end_unix_nano: at(3600),
    is_cut: false,
    entries: [
      entry(100, 1, 'data', 'probe', 'ok'),
      entry(200, 600, 'control', 'Backup', 'done'),
      entry(300, 1, 'data', 'probe', 'error'),
      entry(400, 1, 'data', 'probe', 'unset'),
    ],
  };
}
