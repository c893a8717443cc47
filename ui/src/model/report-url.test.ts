import { expect, test } from 'vitest';
import {
  DEFAULT_FAILOVERS,
  DEFAULT_OPERATIONS,
  DEFAULT_RUNS,
  failoverRoute,
  type FailoversRoute,
  instanceRoute,
  operationRoute,
  type ReportRoute,
} from './report-url';
import { parseUrl, serialiseUrl } from './url';

function reparse(route: ReportRoute) {
  const [path, query] = serialiseUrl(route).split('?');
  return parseUrl(path!, query ?? '');
}

test('bare pages have bare URLs', () => {
  expect(serialiseUrl(DEFAULT_OPERATIONS)).toBe('operations');
  expect(serialiseUrl(DEFAULT_FAILOVERS)).toBe('failovers');
  expect(serialiseUrl(DEFAULT_RUNS)).toBe('runs');
  for (const route of [DEFAULT_OPERATIONS, DEFAULT_FAILOVERS, DEFAULT_RUNS]) expect(reparse(route)).toEqual(route);
});

test('an operation of any name comes back', () => {
  for (const name of ['CreateInstance', 'SELECT * FROM a WHERE b = ? & c', 'recovery/attempt', '(other names)', '']) {
    const route = operationRoute('sql-proxy', name, { from: 'now-7d', to: 'now' });
    expect(reparse(route), name).toEqual(route);
  }
});

test('every choice on the page of an operation makes the round trip', () => {
  const bare = operationRoute('control-api', 'CreateInstance', DEFAULT_OPERATIONS);
  for (const change of [
    { from: '2026-11-23T20:00:00Z', to: '2026-11-23T21:00:00Z' },
    { baseline: 'none' as const },
    { baseline: 'period' as const, baselineFrom: 'now-2d', baselineTo: 'now-1d' },
    { baseline: 'version' as const, version: '2.4.1', baselineVersion: '2.4.0+build 7' },
    { by: 'region' },
    { slow: true },
  ]) {
    const route = { ...bare, ...change };
    expect(reparse(route), JSON.stringify(change)).toEqual(route);
  }
});

test('a full report of failovers reads well and comes back', () => {
  const route: FailoversRoute = {
    ...DEFAULT_FAILOVERS,
    from: 'now-90d',
    groupBy: ['region', 'engine_version'],
    kind: 'unplanned',
    sloUnplanned: ['30s', '2m'],
    sloPlanned: ['5s'],
  };
  expect(serialiseUrl(route)).toBe('failovers?from=now-90d&group_by=region,engine_version&kind=unplanned&slo=30s,2m&slo_planned=5s');
  expect(reparse(route)).toEqual(route);
});

test('one failover, the runs and an instance come back', () => {
  const run = '0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331';
  for (const route of [
    failoverRoute(run),
    { ...DEFAULT_RUNS, class: 'backup', state: 'failed' as const, instance: 'pg 7/f2', live: true },
    instanceRoute('pg 7/f2?ü'),
    { ...instanceRoute('pg-7f2', { from: 'now-1h', to: 'now-10m' }), routine: true },
  ]) {
    expect(reparse(route), serialiseUrl(route)).toEqual(route);
  }
});

test('unknown parameters are kept, values that cannot be read count as absent', () => {
  expect(parseUrl('runs', 'state=asleep&future=1')).toEqual({ ...DEFAULT_RUNS, rest: [['future', '1']] });
  expect(parseUrl('operations', 'sort=luck')).toEqual(DEFAULT_OPERATIONS);
  expect(parseUrl('failovers', 'kind=odd&slo=,')).toEqual(DEFAULT_FAILOVERS);
  expect(parseUrl('failovers/more', '').page).toBe('unknown');
  expect(parseUrl('instance/%E0%A4%A', '')).toMatchObject({ page: 'instance', instance: '%E0%A4%A' });
});
