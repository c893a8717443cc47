import { expect, test } from 'vitest';
import { seconds, wireBreakdown, wireFailoverReport, wireGroup, wireSlow } from '../../tests/support/reports';
import { DEFAULT_FAILOVERS, DEFAULT_OPERATIONS, DEFAULT_RUNS, operationRoute } from '../model/report-url';
import { decodeBreakdown, decodeFailoverReport, decodeSlow } from './decode-reports';
import { breakdownParameters, failoverParameters, failoverReportUrl, runsQuestions } from './reports';

const NOW = Date.UTC(2026, 10, 23, 20);

test('a breakdown is asked for with its baseline, what is not chosen is left to the server', () => {
  const route = operationRoute('control-api', 'CreateInstance', DEFAULT_OPERATIONS);
  expect(breakdownParameters({ ...route, by: 'region' }, NOW)).toEqual([
    ['service', 'control-api'],
    ['name', 'CreateInstance'],
    ['start', 'now-24h'],
    ['end', 'now'],
    ['baseline_start', '2026-11-21T20:00:00Z'],
    ['baseline_end', '2026-11-22T20:00:00Z'],
    ['by', 'region'],
  ]);
  expect(breakdownParameters({ ...route, baseline: 'version', version: '2', baselineVersion: '1' }, NOW)).toContainEqual(['baseline_version', '1']);
});

test('values are not asked for by anything but the version where only one version counts', () => {
  const route = { ...operationRoute('s', 'n', DEFAULT_OPERATIONS), version: '2' };
  const by = (asked: string) => breakdownParameters({ ...route, by: asked }, NOW).find(([name]) => name === 'by')?.[1];
  expect(by('region')).toBeUndefined();
  expect(by('version')).toBe('version');
});

test('unplanned failovers are all but the planned ones', () => {
  const trigger = (kind: 'all' | 'planned' | 'unplanned') => failoverParameters({ ...DEFAULT_FAILOVERS, kind }).find(([name]) => name === 'trigger')?.[1];
  expect(trigger('all')).toBeUndefined();
  expect(trigger('planned')).toBe('planned');
  expect(trigger('unplanned')).toBe('unplanned,forced,drill,unknown');
});

test('the download has the filters of the page', () => {
  const url = failoverReportUrl({ ...DEFAULT_FAILOVERS, groupBy: ['region', 'week'], kind: 'planned' }, 'csv', 'groups');
  const query = new URL(url, 'http://x/').searchParams;
  expect(url).toMatch(/^api\/v1\/failovers\?/);
  expect(Object.fromEntries(query)).toEqual({
    start: 'now-30d',
    end: 'now',
    group_by: 'region,week',
    trigger: 'planned',
    slo: '60s',
    slo_planned: '10s',
    rows: 'groups',
    format: 'csv',
  });
});

test('unfinished runs are looked for from the beginning, ended ones within the period', () => {
  const asked = (state: 'unfinished' | 'all' | 'stuck' | 'failed') =>
    runsQuestions({ ...DEFAULT_RUNS, state, class: 'backup' }).map((parameters) => Object.fromEntries(parameters));
  expect(asked('unfinished')).toEqual([
    { state: 'stuck', class: 'backup', limit: '500' },
    { state: 'running', class: 'backup', limit: '500' },
  ]);
  expect(asked('stuck')).toEqual([{ state: 'stuck', class: 'backup', limit: '500' }]);
  expect(asked('failed')).toEqual([{ state: 'failed', class: 'backup', start: 'now-24h', end: 'now', limit: '500' }]);
  expect(asked('all')[2]).toEqual({ class: 'backup', start: 'now-24h', end: 'now', limit: '500' });
});

test('a breakdown is decoded with what only the baseline has', () => {
  const breakdown = decodeBreakdown(wireBreakdown());
  expect(breakdown.steps).toHaveLength(4);
  expect(breakdown.steps[3]).toMatchObject({ path: ['Warm cache'], figures: null });
  expect(breakdown.steps[0]!.change?.criticalTimePerOperationNano).toBe(13_300_000_000n);
  expect(breakdown.baseline?.version).toBeNull();
  expect(decodeBreakdown(wireBreakdown({ baseline: null, values: null }))).toMatchObject({ baseline: null, values: [] });
});

test('groups of failovers are decoded with their keys in order', () => {
  const report = decodeFailoverReport(
    wireFailoverReport({ group_by: ['week', 'region'], groups: [wireGroup({ key: { region: null, week: '2026-W48' } })], failovers: null }),
  );
  expect(report.groups[0]!.key).toEqual(['2026-W48', null]);
  expect(report.groups[0]!.measures.writeUnavailable.allNano).toEqual([30, 36, 41, 43].map((value) => BigInt(seconds(value))));
  expect(report.groups[0]!.measures.observedWriteGap).toEqual({ count: 0, p50Nano: null, p90Nano: null, p95Nano: null, maxNano: null, allNano: [] });
  expect(report.failovers).toEqual([]);
});

test('slow traces without enough of them have no means', () => {
  const slow = decodeSlow({ ...wireSlow(), slow_mean_nano: null, steps: [], attributes: [] });
  expect(slow.slowMeanNano).toBeNull();
  expect(decodeSlow(wireSlow()).steps[0]!.slowMeanNano).toBe(140_000_000_000n);
});
