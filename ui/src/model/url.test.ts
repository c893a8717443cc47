import { expect, test } from 'vitest';
import { NOTHING_FOLDED } from './fold';
import { DEFAULT_LIST, type ListRoute, parseUrl, type Route, serialiseUrl, traceRoute, type TraceRoute } from './url';

const ID = '0af7651916cd43dd8448eb211c80319c';

function reparse(route: Route): Route {
  const [path, query] = serialiseUrl(route).split('?');
  return parseUrl(path!, query ?? '');
}

test('the bare list has a bare URL', () => {
  expect(serialiseUrl(DEFAULT_LIST)).toBe('traces');
  expect(parseUrl('', '')).toEqual(DEFAULT_LIST);
  expect(parseUrl('/traces/', '')).toEqual(DEFAULT_LIST);
});

test('a full list reads well and comes back', () => {
  const route: ListRoute = {
    page: 'list',
    from: '2026-11-23T20:00:00Z',
    to: '2026-11-23T21:00:00Z',
    service: 'sql-proxy',
    operation: 'SELECT * FROM users WHERE id = 42 & more',
    minDuration: '1.5s',
    minSpanDuration: '2ms',
    errorsOnly: true,
    rootsOnly: true,
    order: 'slowest',
    limit: 200,
    live: true,
    rest: [],
  };
  expect(serialiseUrl(route)).toBe(
    'traces?from=2026-11-23T20:00:00Z&to=2026-11-23T21:00:00Z&service=sql-proxy' +
      '&operation=SELECT+*+FROM+users+WHERE+id+%3D+42+%26+more&min_duration=1.5s&min_span_duration=2ms' +
      '&errors=1&roots=1&order=slowest&limit=200&live=1',
  );
  expect(reparse(route)).toEqual(route);
});

test('each field of the list alone makes the round trip', () => {
  const changes: Partial<ListRoute>[] = [
    { from: 'now-7d' },
    { to: 'now-1d' },
    { service: 'a b+c/d?e=ü' },
    { operation: '100% "done"' },
    { minDuration: '10s' },
    { minSpanDuration: '500us' },
    { errorsOnly: true },
    { rootsOnly: true },
    { order: 'slowest' },
    { limit: 1 },
    { live: true },
  ];
  for (const change of changes) {
    const route = { ...DEFAULT_LIST, ...change };
    expect(reparse(route), JSON.stringify(change)).toEqual(route);
  }
});

test('a trace with all its state comes back', () => {
  const route: TraceRoute = {
    page: 'trace',
    traceId: ID,
    span: 'b7ad6b7169203331',
    zoom: { from: 5_022_000_000, to: 45_022_000_000 },
    find: 'k8s.pod.name=pg-7f2-0',
    fold: { level: 2, toggled: new Set(['00f067aa0ba902b7', 'b7ad6b7169203331']) },
    rest: [],
  };
  expect(serialiseUrl(route)).toBe(
    `trace/${ID}?span=b7ad6b7169203331&z=5022000000..45022000000&find=k8s.pod.name%3Dpg-7f2-0` +
      '&fold=l2,00f067aa0ba902b7,b7ad6b7169203331',
  );
  expect(reparse(route)).toEqual(route);
  expect(reparse(traceRoute(ID))).toEqual(traceRoute(ID));
});

test('unknown parameters are ignored and kept', () => {
  const route = parseUrl('traces', 'future=1&service=agent&also=a&also=b') as ListRoute;
  expect(route.service).toBe('agent');
  expect(serialiseUrl(route)).toBe('traces?service=agent&future=1&also=a&also=b');
});

test('values that cannot be read count as absent', () => {
  expect(parseUrl('traces', 'limit=many&order=random&errors=yes')).toEqual(DEFAULT_LIST);
  expect(parseUrl('traces', 'limit=5000')).toEqual(DEFAULT_LIST);
  const trace = parseUrl(`trace/${ID.toUpperCase()}`, 'z=9..3&fold=everything') as TraceRoute;
  expect(trace.traceId).toBe(ID);
  expect(trace.zoom).toBeNull();
  expect(trace.fold).toEqual(NOTHING_FOLDED);
});

test('a URL stays short however much is folded', () => {
  const toggled = new Set(Array.from({ length: 5000 }, (_, i) => i.toString(16).padStart(16, '0')));
  expect(serialiseUrl({ ...traceRoute(ID), fold: { level: null, toggled } }).length).toBeLessThan(4000);
});

test('a page that does not exist says its path', () => {
  expect(parseUrl('nowhere/at/all', 'x=1')).toEqual({ page: 'unknown', path: 'nowhere/at/all', rest: [['x', '1']] });
});
