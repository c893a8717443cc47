/**
 * The only place that fetches. Every call, also those of `reports.ts`, takes a signal, answers with model types, and fails
 * with an `ApiError`.
 */

import type { SearchResult, ServiceStats, Trace } from '../model/trace';
import { DEFAULT_LIST, type ListRoute, type Parameter } from '../model/url';
import { decodeSearch, decodeServices, decodeTrace } from './decode';
import type { WireProblem, WireSearch, WireServices, WireTrace } from './wire';

/** A request that failed: what the server said, or that it said nothing. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    /** HTTP status, 0 if there was no answer. */
    readonly status: number,
    readonly title: string,
    detail: string,
  ) {
    super(detail);
  }
}

export async function fetchTrace(traceId: string, signal: AbortSignal): Promise<Trace> {
  return decodeTrace(await getJson<WireTrace>(`traces/${encodeURIComponent(traceId)}`, [], signal));
}

export async function fetchSearch(list: ListRoute, signal: AbortSignal): Promise<SearchResult> {
  return decodeSearch(await getJson<WireSearch>('search', searchParameters(list), signal));
}

export async function fetchServices(signal: AbortSignal): Promise<ServiceStats[]> {
  return decodeServices(await getJson<WireServices>('services', [], signal));
}

/** Where the spans of a trace can be downloaded as OTLP JSON. */
export function otlpUrl(traceId: string): string {
  return apiUrl(`traces/${encodeURIComponent(traceId)}/otlp`, []);
}

/** The list's state in the words of `GET /api/v1/search`; the server's defaults are left out. */
export function searchParameters(list: ListRoute): Parameter[] {
  const all: Parameter[] = [
    ['start', list.from],
    ['end', list.to === DEFAULT_LIST.to ? '' : list.to],
    ['service', list.service],
    ['operation', list.operation],
    ['error', list.errorsOnly ? 'true' : ''],
    ['min_span_duration', list.minSpanDuration],
    ['min_duration', list.minDuration],
    ['root', list.rootsOnly ? 'true' : ''],
    ['limit', String(list.limit)],
    ['order', list.order],
  ];
  return all.filter(([, value]) => value !== '');
}

export function apiUrl(path: string, parameters: Parameter[]): string {
  // Relative to <base href>, so that the UI works under a path prefix.
  const query = new URLSearchParams(parameters).toString();
  return `api/v1/${path}${query === '' ? '' : `?${query}`}`;
}

export async function getJson<Wire>(path: string, parameters: Parameter[], signal: AbortSignal): Promise<Wire> {
  let response: Response;
  try {
    response = await fetch(apiUrl(path, parameters), { signal, headers: { accept: 'application/json' } });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ApiError(0, 'No answer', 'The Spanhold server cannot be reached. Is it running?');
  }
  if (!response.ok) throw await problemOf(response);
  return (await response.json()) as Wire;
}

async function problemOf(response: Response): Promise<ApiError> {
  let problem: WireProblem = {};
  try {
    problem = (await response.json()) as WireProblem;
  } catch {
    // Not a problem document (a proxy's page, perhaps): the status alone has to do.
  }
  const title = problem.title ?? (response.statusText || `HTTP ${response.status}`);
  return new ApiError(response.status, title, problem.detail ?? `The server answered with status ${response.status}.`);
}
