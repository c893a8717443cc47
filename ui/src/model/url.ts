/**
 * The URL is the state. Each route has a type, a parser and a serialiser, and they are inverse to one another.
 *
 * Rules: one canonical order of parameters, defaults left out, unknown parameters ignored but never dropped, a value
 * that cannot be read treated as absent. Knows no `window`: paths here are relative to the base the page is served
 * under (`state/router.svelte.ts` joins the two).
 */

import { type Fold, NOTHING_FOLDED } from './fold';
import type { Window } from './layout';
import { type Parameter, Parameters, query } from './parameters';
import { parseReport, type ReportRoute, serialiseReport } from './report-url';

export type { Parameter } from './parameters';

export type Order = 'newest' | 'slowest';

/** The trace list: `/traces?…`. Field by field the parameters of `GET /api/v1/search`, under the names of the page. */
export interface ListRoute {
  page: 'list';
  /** `now-1h` or RFC 3339; stays relative in the URL. */
  from: string;
  to: string;
  service: string;
  operation: string;
  /** Least duration of the whole trace, as `1.5s`; empty for any. */
  minDuration: string;
  /** Least duration of the matching span. */
  minSpanDuration: string;
  errorsOnly: boolean;
  rootsOnly: boolean;
  order: Order;
  limit: number;
  /** Refresh by itself. */
  live: boolean;
  rest: Parameter[];
}

/** One trace: `/trace/{id}?…`. */
export interface TraceRoute {
  page: 'trace';
  traceId: string;
  /** The span whose details are open. */
  span: string;
  /** The visible part in nanoseconds since the trace's start; null for all of it. */
  zoom: Window | null;
  find: string;
  fold: Fold;
  rest: Parameter[];
}

export interface UnknownRoute {
  page: 'unknown';
  path: string;
  rest: Parameter[];
}

export type Route = ListRoute | TraceRoute | ReportRoute | UnknownRoute;

/** More folded spans than this are not written into the URL: browsers and proxies cut URLs at about 8 kB. */
const TOGGLED_IN_URL_MAX = 200;

export const LIMITS: readonly number[] = [20, 50, 100, 200, 500, 1000];

export const DEFAULT_LIST: ListRoute = {
  page: 'list',
  from: 'now-1h',
  to: 'now',
  service: '',
  operation: '',
  minDuration: '',
  minSpanDuration: '',
  errorsOnly: false,
  rootsOnly: false,
  order: 'newest',
  limit: 50,
  live: false,
  rest: [],
};

export function traceRoute(traceId: string, span = ''): TraceRoute {
  return { page: 'trace', traceId, span, zoom: null, find: '', fold: NOTHING_FOLDED, rest: [] };
}

/** Reads a path relative to the base (`traces?live=1`, `trace/0af7…`) and its query. */
export function parseUrl(path: string, query: string): Route {
  const segments = path.split('/').filter((segment) => segment !== '');
  const parameters = new Parameters(query);
  if (segments.length === 0 || (segments.length === 1 && segments[0] === 'traces')) return parseList(parameters);
  if (segments.length === 2 && segments[0] === 'trace') return parseTrace(segments[1]!.toLowerCase(), parameters);
  return parseReport(segments, parameters) ?? { page: 'unknown', path: segments.join('/'), rest: parameters.rest() };
}

/** The path relative to the base, with its query: the inverse of [`parseUrl`]. */
export function serialiseUrl(route: Route): string {
  switch (route.page) {
    case 'list':
      return `traces${query(listParameters(route))}`;
    case 'trace':
      return `trace/${route.traceId}${query(traceParameters(route))}`;
    case 'unknown':
      return `${route.path}${query(route.rest)}`;
    default:
      return serialiseReport(route);
  }
}

function parseList(parameters: Parameters): ListRoute {
  const limit = Number(parameters.take('limit'));
  return {
    page: 'list',
    from: parameters.take('from') || DEFAULT_LIST.from,
    to: parameters.take('to') || DEFAULT_LIST.to,
    service: parameters.take('service'),
    operation: parameters.take('operation'),
    minDuration: parameters.take('min_duration'),
    minSpanDuration: parameters.take('min_span_duration'),
    errorsOnly: parameters.take('errors') === '1',
    rootsOnly: parameters.take('roots') === '1',
    order: parameters.take('order') === 'slowest' ? 'slowest' : 'newest',
    limit: Number.isInteger(limit) && limit >= 1 && limit <= 1000 ? limit : DEFAULT_LIST.limit,
    live: parameters.take('live') === '1',
    rest: parameters.rest(),
  };
}

function listParameters(route: ListRoute): Parameter[] {
  const known: Parameter[] = [
    ['from', route.from === DEFAULT_LIST.from ? '' : route.from],
    ['to', route.to === DEFAULT_LIST.to ? '' : route.to],
    ['service', route.service],
    ['operation', route.operation],
    ['min_duration', route.minDuration],
    ['min_span_duration', route.minSpanDuration],
    ['errors', route.errorsOnly ? '1' : ''],
    ['roots', route.rootsOnly ? '1' : ''],
    ['order', route.order === DEFAULT_LIST.order ? '' : route.order],
    ['limit', route.limit === DEFAULT_LIST.limit ? '' : String(route.limit)],
    ['live', route.live ? '1' : ''],
  ];
  return [...known, ...route.rest];
}

function parseTrace(traceId: string, parameters: Parameters): TraceRoute {
  return {
    page: 'trace',
    traceId,
    span: parameters.take('span').toLowerCase(),
    zoom: parseZoom(parameters.take('z')),
    find: parameters.take('find'),
    fold: parseFold(parameters.take('fold')),
    rest: parameters.rest(),
  };
}

function traceParameters(route: TraceRoute): Parameter[] {
  const known: Parameter[] = [
    ['span', route.span],
    ['z', route.zoom ? `${Math.round(route.zoom.from)}..${Math.round(route.zoom.to)}` : ''],
    ['find', route.find],
    ['fold', serialiseFold(route.fold)],
  ];
  return [...known, ...route.rest];
}

function parseZoom(text: string): Window | null {
  const match = /^(\d{1,16})\.\.(\d{1,16})$/.exec(text);
  if (!match) return null;
  const from = Number(match[1]);
  const to = Number(match[2]);
  return from < to ? { from, to } : null;
}

function parseFold(text: string): Fold {
  let level: number | null = null;
  const toggled = new Set<string>();
  for (const word of text.toLowerCase().split(',')) {
    if (/^l\d{1,6}$/.test(word)) level = Number(word.slice(1));
    else if (/^[0-9a-f]{16}$/.test(word)) toggled.add(word);
  }
  return { level, toggled };
}

function serialiseFold(fold: Fold): string {
  const words = [...fold.toggled].slice(0, TOGGLED_IN_URL_MAX);
  if (fold.level !== null) words.unshift(`l${fold.level}`);
  return words.join(',');
}
