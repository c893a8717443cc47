/**
 * Operations: how often each ran and how long it took, and where the time of one goes.
 */

/** How likely a difference is chance, and how large it is. */
export type ChangeKind = 'slower' | 'faster' | 'same' | 'new' | 'missing' | 'repeated';

export interface Change {
  kind: ChangeKind;
  isSignificant: boolean;
  /** Of the geometric means of the durations; null where there are too few. */
  ratio: number | null;
  pValue: number | null;
  /** How much more (or less) time of the critical path of one operation; null where that cannot be said. */
  criticalTimePerOperationNano: bigint | null;
  /** The step's part of the operation's change. */
  shareOfChange: number | null;
  /** Share of failed spans over that in the baseline. */
  errorRatio: number | null;
  errorPValue: number | null;
}

export interface Figures {
  count: number;
  errorCount: number;
  countPerOperation: number;
  countPerSecond: number;
  totalTimeNano: bigint;
  /** Wall time that no child covers. */
  selfTimeNano: bigint;
  /** Time in which the end of the operation waited for it. */
  criticalTimeNano: bigint;
  /** Of the self time of all steps. */
  share: number;
  /** Of the critical path of all steps. */
  criticalShare: number;
  p50Nano: bigint;
  p90Nano: bigint;
  p95Nano: bigint;
  p99Nano: bigint;
  maxNano: bigint;
  selfP50Nano: bigint | null;
  selfP95Nano: bigint | null;
  /** A trace with the longest of the durations. */
  exemplarTraceId: string | null;
}

/** Something counted now and, if asked for, in the baseline. */
export interface Compared {
  /** Null if it occurs only in the baseline. */
  figures: Figures | null;
  /** Null without a baseline, or if it does not occur there. */
  baseline: Figures | null;
  change: Change | null;
}

export interface Step extends Compared {
  /** Names below the root, the outermost first. */
  path: string[];
  service: string;
}

/** The operations in which an attribute has a value. */
export interface AttributeValue extends Compared {
  /** Null where it was not told. */
  value: string | null;
}

export interface Counted {
  startUnixNano: bigint;
  endUnixNano: bigint;
  /** To what unit the asked period was taken. */
  resolutionNano: bigint;
}

export interface Breakdown extends Counted {
  asOfUnixNano: bigint;
  /** Of every percentile. */
  relativeError: number;
  /** There were more steps or values than are counted. */
  isFolded: boolean;
  baseline: (Counted & { version: string | null }) | null;
  operation: Compared;
  versions: AttributeValue[];
  values: AttributeValue[];
  steps: Step[];
}

/** One line of the list of operations. */
export interface OperationSummary {
  service: string;
  name: string;
  class: string;
  spanCount: number;
  errorCount: number;
  spansPerSecond: number;
  totalTimeNano: bigint;
  p50Nano: bigint;
  p95Nano: bigint;
  p99Nano: bigint;
  maxNano: bigint;
  exemplarTraceId: string;
}

export interface Operations extends Counted {
  asOfUnixNano: bigint;
  relativeError: number;
  namesAreFolded: boolean;
  /** All that match; `operations` holds at most the limit. */
  total: number;
  operations: OperationSummary[];
}

/** A count of a total, with the interval that its true share lies in with 95 % certainty (Wilson). */
export interface Share {
  count: number;
  total: number;
  share: number;
  low: number;
  high: number;
}

/** A step of slow traces against the same step of the others. */
export interface SlowStep {
  /** From the root's name on. */
  path: string[];
  kind: ChangeKind;
  /** On the critical path, per trace. */
  slowMeanNano: bigint;
  restMeanNano: bigint;
  shareOfDifference: number;
  slowRepeats: number;
  restRepeats: number;
  pValue: number | null;
}

/** An attribute value that slow traces have more often. */
export interface SlowAttribute {
  key: string;
  value: string;
  lift: number;
  pValue: number;
  slow: Share;
  rest: Share;
}

/** Slow traces of an operation against the others. */
export interface SlowReport {
  percentile: number;
  /** Null if there is no trace at all. */
  thresholdNano: bigint | null;
  total: number;
  slowCount: number;
  restCount: number;
  slowMeanNano: bigint | null;
  restMeanNano: bigint | null;
  steps: SlowStep[];
  attributes: SlowAttribute[];
  slowTraceIds: string[];
}

/** The classes that operations have, in the order in which they are offered. */
export const CLASSES = [
  'failover',
  'provisioning',
  'backup',
  'restore',
  'api',
  'agent_command',
  'health_check',
  'query',
  'other',
] as const;

/** What a breakdown can be told by. */
export const BREAKDOWN_BY = ['region', 'zone', 'engine', 'instance', 'version'] as const;
