/**
 * The requests of the pages over many traces: operations, failovers, runs, an instance.
 */

import type { FailoverDetail, FailoverReport } from '../model/failover';
import type { Breakdown, Operations, SlowReport } from '../model/operation';
import { baselineQuestion, isCountedBy } from '../model/operation-view';
import type { FailoversRoute, InstanceRoute, OperationRoute, OperationsRoute, RunsRoute } from '../model/report-url';
import type { InstanceTimeline, Runs } from '../model/run';
import { mergeRuns } from '../model/run-view';
import type { Parameter } from '../model/url';
import { apiUrl, getJson } from './client';
import {
  decodeBreakdown,
  decodeFailoverDetail,
  decodeFailoverReport,
  decodeOperations,
  decodeRuns,
  decodeSlow,
  decodeTimeline,
} from './decode-reports';
import type {
  WireBreakdown,
  WireFailoverDetail,
  WireFailoverReport,
  WireOperations,
  WireRuns,
  WireSlow,
  WireTimeline,
} from './wire-reports';

/** The most that one answer lists. */
const OPERATIONS_MAX = 1000;
const RUNS_MAX = 500;
const TIMELINE_MAX = 10_000;

/** Failovers listed one by one below the report. */
export const FAILOVERS_MAX = 200;

export async function fetchOperations(route: OperationsRoute, signal: AbortSignal): Promise<Operations> {
  const parameters: Parameter[] = [
    ['start', route.from],
    ['end', route.to],
    ['class', route.class],
    ['service', route.service],
    ['limit', String(OPERATIONS_MAX)],
  ];
  return decodeOperations(await getJson<WireOperations>('operations', given(parameters), signal));
}

/** `now` places the period before a period that moves. */
export async function fetchBreakdown(route: OperationRoute, nowMillis: number, signal: AbortSignal): Promise<Breakdown> {
  return decodeBreakdown(await getJson<WireBreakdown>('operations/breakdown', breakdownParameters(route, nowMillis), signal));
}

/** The page's state in the words of `GET /api/v1/operations/breakdown`. */
export function breakdownParameters(route: OperationRoute, nowMillis: number): Parameter[] {
  const question = baselineQuestion(route, nowMillis);
  return given([
    ['service', route.service],
    ['name', route.name],
    ['start', route.from],
    ['end', route.to],
    ['version', question.version],
    ['baseline_start', question.baselineStart],
    ['baseline_end', question.baselineEnd],
    ['baseline_version', question.baselineVersion],
    ['by', isCountedBy(route.by, route) ? route.by : ''],
  ]);
}

export async function fetchSlow(route: OperationRoute, signal: AbortSignal): Promise<SlowReport> {
  const parameters: Parameter[] = [
    ['service', route.service],
    ['name', route.name],
    ['start', route.from],
    ['end', route.to],
  ];
  return decodeSlow(await getJson<WireSlow>('operations/slow', parameters, signal));
}

export async function fetchFailovers(route: FailoversRoute, signal: AbortSignal): Promise<FailoverReport> {
  const parameters: Parameter[] = [...failoverParameters(route), ['rows', 'failovers'], ['limit', String(FAILOVERS_MAX)]];
  return decodeFailoverReport(await getJson<WireFailoverReport>('failovers', parameters, signal));
}

/** Where the report of the page can be downloaded. */
export function failoverReportUrl(route: FailoversRoute, format: 'csv' | 'markdown', rows: 'groups' | 'failovers'): string {
  return apiUrl('failovers', [...failoverParameters(route), ['rows', rows], ['format', format]]);
}

/** Everything but `planned` is measured like a fault. */
const UNPLANNED = 'unplanned,forced,drill,unknown';

/** The page's state in the words of `GET /api/v1/failovers`. */
export function failoverParameters(route: FailoversRoute): Parameter[] {
  return given([
    ['start', route.from],
    ['end', route.to],
    ['group_by', route.groupBy.join()],
    ['trigger', route.kind === 'all' ? '' : route.kind === 'planned' ? 'planned' : UNPLANNED],
    ['slo', route.sloUnplanned.join()],
    ['slo_planned', route.sloPlanned.join()],
  ]);
}

export async function fetchFailover(run: string, signal: AbortSignal): Promise<FailoverDetail> {
  return decodeFailoverDetail(await getJson<WireFailoverDetail>(`failovers/${encodeURIComponent(run)}`, [], signal));
}

/** What the page of runs shows takes several questions: unfinished ones are looked for from the beginning, others within its period. */
export async function fetchRuns(route: RunsRoute, signal: AbortSignal): Promise<Runs> {
  const answers = runsQuestions(route).map((parameters) => getJson<WireRuns>('runs', parameters, signal));
  return mergeRuns((await Promise.all(answers)).map(decodeRuns));
}

export function runsQuestions(route: RunsRoute): Parameter[][] {
  const ask = (state: string, period: Parameter[]) =>
    given([['state', state], ['class', route.class], ['instance', route.instance], ...period, ['limit', String(RUNS_MAX)]]);
  const period: Parameter[] = [
    ['start', route.from],
    ['end', route.to],
  ];
  const unfinished = [ask('stuck', []), ask('running', [])];
  switch (route.state) {
    case 'unfinished':
      return unfinished;
    case 'all':
      return [...unfinished, ask('', period)];
    case 'running':
    case 'stuck':
      return [ask(route.state, [])];
    default:
      return [ask(route.state, period)];
  }
}

export async function fetchTimeline(route: InstanceRoute, signal: AbortSignal): Promise<InstanceTimeline> {
  const parameters: Parameter[] = [
    ['start', route.from],
    ['end', route.to],
    ['limit', String(TIMELINE_MAX)],
  ];
  return decodeTimeline(await getJson<WireTimeline>(`instances/${encodeURIComponent(route.instance)}/timeline`, parameters, signal));
}

/** What is not given is left to the server. */
function given(parameters: Parameter[]): Parameter[] {
  return parameters.filter(([, value]) => value !== '');
}
