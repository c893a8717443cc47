/**
 * Failovers: the report over many, and the time line of one. What is not known is null, which is not 0.
 */

import type { Share } from './operation';

/** In the order in which they usually come, with what each is. `other` and `unattributed` are no phases but take time. */
export const PHASES = ['detect', 'fence', 'elect', 'catchup', 'promote', 'endpoint', 'verify', 'rejoin'] as const;
export type Phase = (typeof PHASES)[number];
export type TimeShare = Phase | 'other' | 'unattributed';

/** Exact order statistics. */
export interface Distribution {
  count: number;
  p50Nano: bigint | null;
  p90Nano: bigint | null;
  p95Nano: bigint | null;
  maxNano: bigint | null;
  /** All values, ascending, where there are few. */
  allNano: bigint[] | null;
}

export interface Attainment {
  barNano: bigint;
  /** Null if none can be judged. */
  met: Share | null;
  instancesInBreach: number;
}

export interface PhaseReport {
  phase: string;
  /** Failovers in which it was the longest. */
  dominated: number;
  totalNano: bigint;
  share: number | null;
  distribution: Distribution;
}

export const MEASURES = [
  'writeUnavailable',
  'timeToDetect',
  'timeToAct',
  'executionTime',
  'observedWriteGap',
  'redundancyExposure',
] as const;
export type Measure = (typeof MEASURES)[number];

export interface WorstFailover {
  runId: string;
  traceId: string;
  instance: string | null;
  startUnixNano: bigint;
  writeUnavailableNano: bigint;
  dominantPhase: string | null;
}

export interface GroupBefore {
  count: number;
  success: number;
  writeUnavailable: Distribution;
  attainment: Attainment[];
  totalUnavailableNano: bigint;
}

export interface FailoverGroup {
  /** In the order of `groupBy`; null where it was not told. */
  key: (string | null)[];
  isPlanned: boolean;
  /** Finished ones: all but `running` is about these. */
  count: number;
  running: number;
  success: number;
  rolledBack: number;
  failed: number;
  retried: number;
  rejoinFailed: number;
  totalUnavailableNano: bigint;
  measures: Record<Measure, Distribution>;
  attainment: Attainment[];
  phases: PhaseReport[];
  otherNano: bigint;
  unattributedNano: bigint;
  worstPhaseByCount: string | null;
  worstPhaseByTime: string | null;
  worst: WorstFailover[];
  before: GroupBefore | null;
}

export interface Completeness {
  failovers: number;
  unfinished: number;
  unknownT0: number;
  /** More than a tenth of their time is unattributed. */
  unattributed: number;
  t0Sources: { source: string; count: number }[];
}

export interface FailoverReport {
  asOfUnixNano: bigint;
  startUnixNano: bigint;
  endUnixNano: bigint;
  beforeStartUnixNano: bigint;
  groupBy: string[];
  completeness: Completeness;
  groups: FailoverGroup[];
  failovers: Failover[];
}

export interface Failover {
  runId: string;
  traceId: string;
  startUnixNano: bigint;
  trigger: string;
  isPlanned: boolean;
  cause: string | null;
  outcome: string;
  hasEnded: boolean;
  attempts: number;
  instance: string | null;
  region: string | null;
  zone: string | null;
  engine: string | null;
  engineVersion: string | null;
  plan: string | null;
  controllerVersion: string | null;
  oldPrimary: string | null;
  newPrimary: string | null;
  t0Source: string;
  rejoinFailed: boolean;
  dataLossBytes: number | null;
  measures: Record<Measure, bigint | null>;
  phases: Record<TimeShare, bigint>;
  dominantPhase: string | null;
}

export interface TimePoint {
  point: string;
  name: string;
  atUnixNano: bigint | null;
}

export interface PhaseSpan {
  traceId: string;
  spanId: string;
  phase: string;
  startUnixNano: bigint;
  endUnixNano: bigint;
  depth: number;
  isError: boolean;
}

export interface FailoverDetail extends Failover {
  asOfUnixNano: bigint;
  endUnixNano: bigint | null;
  error: RunError | null;
  traceIds: string[];
  points: TimePoint[];
  spans: PhaseSpan[];
  parts: RunPart[];
}

export interface RunError {
  type: string;
  message: string;
  spanName: string;
}

/** What one trace says of a run. */
export interface RunPart {
  traceId: string;
  spanId: string;
  /** `operation`, `steps` of an operation that is elsewhere, or `linked` work. */
  kind: string;
  service: string;
  operation: string;
  startUnixNano: bigint;
  endUnixNano: bigint | null;
  outcome: string;
  attempt: number | null;
  spanCount: number;
  errorCount: number;
}

/** What groups of the report can be by, as the API calls it, and as it is called on the page. */
export const GROUP_BY: readonly [name: string, label: string][] = [
  ['region', 'Region'],
  ['zone', 'Zone'],
  ['engine', 'Engine'],
  ['engine_version', 'Engine version'],
  ['plan', 'Plan'],
  ['tenant', 'Tenant'],
  ['instance', 'Instance'],
  ['trigger', 'Trigger'],
  ['cause', 'Cause'],
  ['controller_version', 'Controller version'],
  ['week', 'Week'],
];

/** Columns that groups can be by at once. */
export const GROUP_BY_MAX = 3;
