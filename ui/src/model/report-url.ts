/**
 * The routes of the pages over many traces: operations, failovers, runs, an instance. `url.ts` dispatches to them and
 * states the rules that they keep.
 */

import { type Parameter, type Parameters, query } from './parameters';

/** Times as the URL has them: `now-1h` or RFC 3339. */
export interface Range {
  from: string;
  to: string;
}

export const OPERATION_SORTS = ['time', 'count', 'rate', 'errors', 'p50', 'p95', 'p99', 'max', 'name'] as const;
export type OperationSort = (typeof OPERATION_SORTS)[number];

/** All operations: `/operations?…`. */
export interface OperationsRoute extends Range {
  page: 'operations';
  /** Only operations of this class; empty for any. */
  class: string;
  service: string;
  /** Only names that contain this. */
  find: string;
  sort: OperationSort;
  rest: Parameter[];
}

/** What an operation is held against: nothing, the period before, another period, or another version. */
export type Baseline = 'none' | 'before' | 'period' | 'version';

/** One operation: `/operation?service=…&name=…`. Names hold anything, so they are parameters and not part of the path. */
export interface OperationRoute extends Range {
  page: 'operation';
  service: string;
  name: string;
  baseline: Baseline;
  /** With `period`: when. */
  baselineFrom: string;
  baselineTo: string;
  /** With `version`: the version that is looked at, and the one that it is held against. */
  version: string;
  baselineVersion: string;
  /** The attribute whose values get a table; empty for none. */
  by: string;
  /** Also what slow traces have in common: the server reads hundreds of them for it. */
  slow: boolean;
  rest: Parameter[];
}

export type FailoverKind = 'all' | 'unplanned' | 'planned';

/** The failover report: `/failovers?…`. */
export interface FailoversRoute extends Range {
  page: 'failovers';
  groupBy: string[];
  kind: FailoverKind;
  /** The longest time without writes that is good enough, of unplanned failovers, as `60s`; one or two. */
  sloUnplanned: string[];
  sloPlanned: string[];
  rest: Parameter[];
}

/** One failover: `/failover/{run}`. */
export interface FailoverRoute {
  page: 'failover';
  run: string;
  rest: Parameter[];
}

export type RunStateFilter = 'unfinished' | 'all' | 'running' | 'stuck' | 'done' | 'failed' | 'lost';

/** Runs: `/runs?…`. */
export interface RunsRoute extends Range {
  page: 'runs';
  class: string;
  state: RunStateFilter;
  instance: string;
  /** Refresh by itself. */
  live: boolean;
  rest: Parameter[];
}

/** What happened to one database instance: `/instance/{id}?…`. */
export interface InstanceRoute extends Range {
  page: 'instance';
  instance: string;
  /** Routine (health checks, statements) too. */
  routine: boolean;
  rest: Parameter[];
}

export type ReportRoute = OperationsRoute | OperationRoute | FailoversRoute | FailoverRoute | RunsRoute | InstanceRoute;

export const DEFAULT_OPERATIONS: OperationsRoute = {
  page: 'operations',
  from: 'now-24h',
  to: 'now',
  class: '',
  service: '',
  find: '',
  sort: 'time',
  rest: [],
};

export const DEFAULT_FAILOVERS: FailoversRoute = {
  page: 'failovers',
  from: 'now-30d',
  to: 'now',
  groupBy: [],
  kind: 'all',
  sloUnplanned: ['60s'],
  sloPlanned: ['10s'],
  rest: [],
};

export const DEFAULT_RUNS: RunsRoute = {
  page: 'runs',
  from: 'now-24h',
  to: 'now',
  class: '',
  state: 'unfinished',
  instance: '',
  live: false,
  rest: [],
};

const INSTANCE_RANGE: Range = { from: 'now-24h', to: 'now' };

export function operationRoute(service: string, name: string, range: Range): OperationRoute {
  return {
    page: 'operation',
    from: range.from,
    to: range.to,
    service,
    name,
    baseline: 'before',
    baselineFrom: '',
    baselineTo: '',
    version: '',
    baselineVersion: '',
    by: '',
    slow: false,
    rest: [],
  };
}

export function failoverRoute(run: string): FailoverRoute {
  return { page: 'failover', run, rest: [] };
}

export function instanceRoute(instance: string, range: Range = INSTANCE_RANGE): InstanceRoute {
  return { page: 'instance', from: range.from, to: range.to, instance, routine: false, rest: [] };
}

/** The route of a path in segments, or null if none of these pages is there. */
export function parseReport(segments: string[], parameters: Parameters): ReportRoute | null {
  const [first, second] = segments;
  if (segments.length === 1) {
    if (first === 'operations') return parseOperations(parameters);
    if (first === 'operation') return parseOperation(parameters);
    if (first === 'failovers') return parseFailovers(parameters);
    if (first === 'runs') return parseRuns(parameters);
  }
  if (segments.length === 2) {
    if (first === 'failover') return { page: 'failover', run: second!.toLowerCase(), rest: parameters.rest() };
    if (first === 'instance') return parseInstance(decoded(second!), parameters);
  }
  return null;
}

/** The path relative to the base, with its query: the inverse of [`parseReport`]. */
export function serialiseReport(route: ReportRoute): string {
  switch (route.page) {
    case 'operations':
      return `operations${query(operationsParameters(route))}`;
    case 'operation':
      return `operation${query(operationParameters(route))}`;
    case 'failovers':
      return `failovers${query(failoversParameters(route))}`;
    case 'failover':
      return `failover/${route.run}${query(route.rest)}`;
    case 'runs':
      return `runs${query(runsParameters(route))}`;
    case 'instance':
      return `instance/${encodeURIComponent(route.instance)}${query(instanceParameters(route))}`;
  }
}

function parseOperations(parameters: Parameters): OperationsRoute {
  return {
    page: 'operations',
    ...takeRange(parameters, DEFAULT_OPERATIONS),
    class: parameters.take('class'),
    service: parameters.take('service'),
    find: parameters.take('find'),
    sort: oneOf(OPERATION_SORTS, parameters.take('sort'), DEFAULT_OPERATIONS.sort),
    rest: parameters.rest(),
  };
}

function operationsParameters(route: OperationsRoute): Parameter[] {
  return [
    ...rangeParameters(route, DEFAULT_OPERATIONS),
    ['class', route.class],
    ['service', route.service],
    ['find', route.find],
    ['sort', route.sort === DEFAULT_OPERATIONS.sort ? '' : route.sort],
    ...route.rest,
  ];
}

const BASELINES = ['none', 'before', 'period', 'version'] as const;

function parseOperation(parameters: Parameters): OperationRoute {
  return {
    page: 'operation',
    ...takeRange(parameters, DEFAULT_OPERATIONS),
    service: parameters.take('service'),
    name: parameters.take('name'),
    baseline: oneOf(BASELINES, parameters.take('baseline'), 'before'),
    baselineFrom: parameters.take('baseline_from'),
    baselineTo: parameters.take('baseline_to'),
    version: parameters.take('version'),
    baselineVersion: parameters.take('baseline_version'),
    by: parameters.take('by'),
    slow: parameters.take('slow') === '1',
    rest: parameters.rest(),
  };
}

function operationParameters(route: OperationRoute): Parameter[] {
  return [
    ['service', route.service],
    ['name', route.name],
    ...rangeParameters(route, DEFAULT_OPERATIONS),
    ['baseline', route.baseline === 'before' ? '' : route.baseline],
    ['baseline_from', route.baselineFrom],
    ['baseline_to', route.baselineTo],
    ['version', route.version],
    ['baseline_version', route.baselineVersion],
    ['by', route.by],
    ['slow', route.slow ? '1' : ''],
    ...route.rest,
  ];
}

/** Objectives that a report holds failovers against, of either kind: a strict one and a lax one. */
const SLO_BARS_MAX = 2;

function parseFailovers(parameters: Parameters): FailoversRoute {
  return {
    page: 'failovers',
    ...takeRange(parameters, DEFAULT_FAILOVERS),
    groupBy: listOf(parameters.take('group_by')),
    kind: oneOf(['all', 'unplanned', 'planned'] as const, parameters.take('kind'), 'all'),
    sloUnplanned: barsOf(parameters.take('slo'), DEFAULT_FAILOVERS.sloUnplanned),
    sloPlanned: barsOf(parameters.take('slo_planned'), DEFAULT_FAILOVERS.sloPlanned),
    rest: parameters.rest(),
  };
}

function failoversParameters(route: FailoversRoute): Parameter[] {
  const bars = (values: string[], usual: string[]) => (values.join() === usual.join() ? '' : values.join());
  return [
    ...rangeParameters(route, DEFAULT_FAILOVERS),
    ['group_by', route.groupBy.join()],
    ['kind', route.kind === 'all' ? '' : route.kind],
    ['slo', bars(route.sloUnplanned, DEFAULT_FAILOVERS.sloUnplanned)],
    ['slo_planned', bars(route.sloPlanned, DEFAULT_FAILOVERS.sloPlanned)],
    ...route.rest,
  ];
}

const RUN_STATE_FILTERS = ['unfinished', 'all', 'running', 'stuck', 'done', 'failed', 'lost'] as const;

function parseRuns(parameters: Parameters): RunsRoute {
  return {
    page: 'runs',
    ...takeRange(parameters, DEFAULT_RUNS),
    class: parameters.take('class'),
    state: oneOf(RUN_STATE_FILTERS, parameters.take('state'), DEFAULT_RUNS.state),
    instance: parameters.take('instance'),
    live: parameters.take('live') === '1',
    rest: parameters.rest(),
  };
}

function runsParameters(route: RunsRoute): Parameter[] {
  return [
    ...rangeParameters(route, DEFAULT_RUNS),
    ['class', route.class],
    ['state', route.state === DEFAULT_RUNS.state ? '' : route.state],
    ['instance', route.instance],
    ['live', route.live ? '1' : ''],
    ...route.rest,
  ];
}

function parseInstance(instance: string, parameters: Parameters): InstanceRoute {
  return {
    page: 'instance',
    ...takeRange(parameters, INSTANCE_RANGE),
    instance,
    routine: parameters.take('routine') === '1',
    rest: parameters.rest(),
  };
}

function instanceParameters(route: InstanceRoute): Parameter[] {
  return [...rangeParameters(route, INSTANCE_RANGE), ['routine', route.routine ? '1' : ''], ...route.rest];
}

function takeRange(parameters: Parameters, usual: Range): Range {
  return { from: parameters.take('from') || usual.from, to: parameters.take('to') || usual.to };
}

function rangeParameters(range: Range, usual: Range): Parameter[] {
  return [
    ['from', range.from === usual.from ? '' : range.from],
    ['to', range.to === usual.to ? '' : range.to],
  ];
}

function listOf(text: string): string[] {
  return text.split(',').filter((word) => word !== '');
}

function barsOf(text: string, usual: string[]): string[] {
  const bars = [...new Set(listOf(text))].slice(0, SLO_BARS_MAX);
  return bars.length === 0 ? usual : bars;
}

function oneOf<T extends string>(choices: readonly T[], text: string, usual: T): T {
  return choices.find((choice) => choice === text) ?? usual;
}

/** A segment of a path as it was before it was encoded; as it stands if it never was. */
function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
