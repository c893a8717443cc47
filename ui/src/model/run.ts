/**
 * Runs: executions of operations one by one, unfinished ones too, and what happened to one database instance.
 */

import type { RunError } from './failover';

export type RunState = 'running' | 'stuck' | 'done' | 'failed' | 'lost';

export interface CurrentStep {
  name: string;
  spanId: string;
  startUnixNano: bigint;
  phase: string | null;
  /** `wait` for something else, or `work`. */
  kind: string;
}

export interface Run {
  runId: string;
  class: string;
  service: string;
  operation: string;
  state: RunState;
  outcome: string;
  startUnixNano: bigint;
  endUnixNano: bigint | null;
  /** Goes on to the time of the answer while there is no end. */
  durationNano: bigint;
  /** Since anything was heard of it. */
  idleNano: bigint;
  instance: string | null;
  region: string | null;
  engine: string | null;
  attempts: number;
  currentStep: CurrentStep | null;
  /** The p95 of what it is at. */
  usualStepP95Nano: bigint | null;
  error: RunError | null;
  spanCount: number;
  errorCount: number;
  traceIds: string[];
}

export interface Runs {
  asOfUnixNano: bigint;
  /** More match than there are in `runs`. */
  hasMore: boolean;
  runs: Run[];
}

export interface TimelineEntry {
  startUnixNano: bigint;
  endUnixNano: bigint | null;
  durationNano: bigint;
  plane: 'control' | 'data';
  kind: 'run' | 'span';
  class: string;
  service: string;
  name: string;
  /** Of a run its state, of a span its status. */
  status: string;
  traceId: string;
  spanId: string;
  runId: string | null;
}

export interface InstanceTimeline {
  asOfUnixNano: bigint;
  startUnixNano: bigint;
  endUnixNano: bigint;
  /** There is more; a shorter time shows it. */
  isCut: boolean;
  entries: TimelineEntry[];
}
