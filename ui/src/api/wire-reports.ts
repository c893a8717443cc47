/**
 * What the server sends of operations, failovers and runs, field for field (docs/http-api.md). Fields that no page shows
 * are left out. Nothing but `api/` reads these types.
 */

export interface WireFigures {
  count: number;
  error_count: number;
  count_per_operation: number;
  count_per_second: number;
  total_time_nano: string;
  self_time_nano: string;
  critical_time_nano: string;
  share: number;
  critical_share: number;
  p50_nano: string;
  p90_nano: string;
  p95_nano: string;
  p99_nano: string;
  max_nano: string;
  self_p50_nano: string | null;
  self_p95_nano: string | null;
  exemplar_trace_id: string | null;
}

export interface WireChange {
  kind: string;
  is_significant: boolean;
  ratio: number | null;
  p_value: number | null;
  critical_time_per_operation_nano: string | null;
  share_of_change: number | null;
  error_ratio: number | null;
  error_p_value: number | null;
}

export interface WireCompared {
  figures: WireFigures | null;
  baseline: WireFigures | null;
  change: WireChange | null;
}

export interface WireCounted {
  start_unix_nano: string;
  end_unix_nano: string;
  resolution_nano: string;
}

export interface WireBreakdown extends WireCounted {
  as_of_unix_nano: string;
  relative_error: number;
  is_folded: boolean;
  baseline: (WireCounted & { version: string | null }) | null;
  operation: WireCompared;
  versions: (WireCompared & { value: string | null })[];
  values: (WireCompared & { value: string | null })[] | null;
  steps: (WireCompared & { path: string[]; service: string })[];
}

export interface WireOperations extends WireCounted {
  as_of_unix_nano: string;
  relative_error: number;
  names_are_folded: boolean;
  total: number;
  operations: {
    service: string;
    name: string;
    class: string;
    span_count: number;
    error_count: number;
    spans_per_second: number;
    total_time_nano: string;
    p50_nano: string;
    p95_nano: string;
    p99_nano: string;
    max_nano: string;
    exemplar_trace_id: string;
  }[];
}

export interface WireShare {
  count: number;
  total: number;
  share: number;
  low: number;
  high: number;
}

export interface WireSlow {
  percentile: number;
  threshold_nano: string | null;
  total: number;
  slow_count: number;
  rest_count: number;
  slow_mean_nano: string | null;
  rest_mean_nano: string | null;
  steps: {
    path: string[];
    kind: string;
    slow_mean_nano: string;
    rest_mean_nano: string;
    share_of_difference: number;
    slow_repeats: number;
    rest_repeats: number;
    p_value: number | null;
  }[];
  attributes: { key: string; value: string; lift: number; p_value: number; slow: WireShare; rest: WireShare }[];
  slow_trace_ids: string[];
}

export interface WireDistribution {
  count: number;
  p50_nano: string | null;
  p90_nano: string | null;
  p95_nano: string | null;
  max_nano: string | null;
  all_nano: string[] | null;
}

export interface WireAttainment {
  bar_nano: string;
  met: WireShare | null;
  instances_in_breach: number;
}

export interface WireFailoverGroup {
  key: Record<string, string | null>;
  is_planned: boolean;
  count: number;
  running: number;
  success: number;
  rolled_back: number;
  failed: number;
  retried: number;
  rejoin_failed: number;
  total_unavailable_nano: string;
  measures: Record<string, WireDistribution>;
  attainment: WireAttainment[];
  phases: { phase: string; dominated: number; total_nano: string; share: number | null; distribution: WireDistribution }[];
  other_nano: string;
  unattributed_nano: string;
  worst_phase_by_count: string | null;
  worst_phase_by_time: string | null;
  worst: {
    run_id: string;
    trace_id: string;
    instance: string | null;
    start_unix_nano: string;
    write_unavailable_nano: string;
    dominant_phase: string | null;
  }[];
  before: {
    count: number;
    success: number;
    write_unavailable: WireDistribution;
    attainment: WireAttainment[];
    total_unavailable_nano: string;
  } | null;
}

export interface WireFailover {
  run_id: string;
  trace_id: string;
  start_unix_nano: string;
  trigger: string;
  is_planned: boolean;
  cause: string | null;
  outcome: string;
  has_ended: boolean;
  attempts: number;
  instance: string | null;
  region: string | null;
  zone: string | null;
  engine: string | null;
  engine_version: string | null;
  plan: string | null;
  controller_version: string | null;
  old_primary: string | null;
  new_primary: string | null;
  t0_source: string;
  rejoin_failed: boolean;
  data_loss_bytes: number | null;
  measures: Record<string, string | null>;
  phases: Record<string, string>;
  dominant_phase: string | null;
}

export interface WireFailoverReport {
  as_of_unix_nano: string;
  start_unix_nano: string;
  end_unix_nano: string;
  before_start_unix_nano: string;
  group_by: string[];
  completeness: {
    failovers: number;
    unfinished: number;
    unknown_t0: number;
    unattributed: number;
    t0_sources: Record<string, number>;
  };
  groups: WireFailoverGroup[];
  failovers: WireFailover[] | null;
}

export interface WireRunError {
  type: string;
  message: string;
  span_name: string;
}

export interface WireRunPart {
  trace_id: string;
  span_id: string;
  kind: string;
  service: string;
  operation: string;
  start_unix_nano: string;
  end_unix_nano: string | null;
  outcome: string;
  attempt: number | null;
  span_count: number;
  error_count: number;
}

export interface WireFailoverDetail extends WireFailover {
  as_of_unix_nano: string;
  end_unix_nano: string | null;
  error: WireRunError | null;
  trace_ids: string[];
  points: { point: string; name: string; at_unix_nano: string | null }[];
  spans: {
    trace_id: string;
    span_id: string;
    phase: string;
    start_unix_nano: string;
    end_unix_nano: string;
    depth: number;
    is_error: boolean;
  }[];
  parts: WireRunPart[];
}

export interface WireRuns {
  as_of_unix_nano: string;
  total: number;
  runs: {
    run_id: string;
    class: string;
    service: string;
    operation: string;
    state: string;
    outcome: string;
    start_unix_nano: string;
    end_unix_nano: string | null;
    duration_nano: string;
    idle_nano: string;
    instance: string | null;
    region: string | null;
    engine: string | null;
    attempts: number;
    current_step: { name: string; span_id: string; start_unix_nano: string; phase: string | null; kind: string } | null;
    usual_step_p95_nano: string | null;
    error: WireRunError | null;
    span_count: number;
    error_count: number;
    trace_ids: string[];
  }[];
}

export interface WireTimeline {
  as_of_unix_nano: string;
  start_unix_nano: string;
  end_unix_nano: string;
  is_cut: boolean;
  entries: {
    start_unix_nano: string;
    end_unix_nano: string | null;
    duration_nano: string;
    plane: string;
    kind: string;
    class: string;
    service: string;
    name: string;
    status: string;
    trace_id: string;
    span_id: string;
    run_id: string | null;
  }[];
}
