import { expect, test } from 'vitest';
import { wireBreakdown, wireChange, wireFigures, wireOperations } from '../../tests/support/reports';
import { decodeBreakdown, decodeOperations } from '../api/decode-reports';
import {
  baselineQuestion,
  changedSteps,
  changeLabel,
  classesOf,
  formatErrorShare,
  formatPValue,
  formatRatio,
  listedOperations,
  stepTree,
} from './operation-view';
import { DEFAULT_OPERATIONS, operationRoute, type OperationSort } from './report-url';

const NOW = Date.UTC(2026, 10, 23, 20);
const plain = (text: string) => text.replaceAll('\u2009', ' ');

test('operations are found by service or name, and sorted as wanted', () => {
  const answer = decodeOperations(wireOperations());
  const names = (find: string, sort: OperationSort) => listedOperations(answer, { ...DEFAULT_OPERATIONS, find, sort }).map(({ name }) => name);
  expect(names('', 'time')).toEqual(['SELECT', 'CreateInstance', 'Failover', 'DeleteInstance']);
  expect(names('CONTROL', 'p95')).toEqual(['CreateInstance', 'Failover', 'DeleteInstance']);
  expect(names('instance', 'name')).toEqual(['CreateInstance', 'DeleteInstance']);
  expect(names('', 'count')[0]).toBe('SELECT');
  expect(names('', 'errors')[0]).toBe('Failover');
  expect(names('nothing', 'time')).toEqual([]);
});

test('operations stand by class, in the order of classes, unknown classes last', () => {
  const { operations } = decodeOperations(wireOperations());
  const unknown = { ...operations[0]!, class: 'teleport' };
  expect(classesOf([unknown, ...operations]).map(({ name, members }) => [name, members.length])).toEqual([
    ['failover', 1],
    ['provisioning', 2],
    ['query', 1],
    ['teleport', 1],
  ]);
});

test('steps hang below the step they are a part of, those that the end waited for longest first', () => {
  const rows = stepTree(decodeBreakdown(wireBreakdown()).steps.filter((step) => step.figures !== null));
  expect(rows.map(({ name, depth }) => [name, depth])).toEqual([
    ['Allocate resources', 0],
    ['Wait for Pod ready', 1],
    ['Setup replication', 0],
  ]);
});

test('a step whose parents are left out hangs below the nearest one, and says which are missing', () => {
  const steps = decodeBreakdown(
    wireBreakdown({
      steps: [
        { path: ['a', 'b', 'c', 'd'], service: 's', figures: wireFigures(), baseline: null, change: null },
        { path: ['a'], service: 's', figures: wireFigures(), baseline: null, change: null },
        { path: ['x', 'y'], service: 's', figures: wireFigures({ critical_time_nano: '1' }), baseline: null, change: null },
      ],
    }),
  ).steps;
  expect(stepTree(steps).map(({ name, depth, skipped }) => [name, depth, skipped])).toEqual([
    ['a', 0, []],
    ['d', 1, ['b', 'c']],
    ['y', 0, ['x']],
  ]);
});

test('steps with the same name in different places stay apart', () => {
  const step = (path: string[]) => ({ path, service: 's', figures: wireFigures(), baseline: null, change: null });
  const { steps } = decodeBreakdown(wireBreakdown({ steps: [step(['a']), step(['a', 'x']), step(['b']), step(['b', 'x']), step(['a\nb', 'x'])] }));
  expect(stepTree(steps).map(({ name, depth }) => `${depth}${name}`)).toEqual(['0a', '1x', '0b', '1x', '0x']);
});

test('what changed for certain is named, the weightiest first, chance is not', () => {
  const changed = changedSteps(decodeBreakdown(wireBreakdown()));
  expect(changed.map((step) => step.path.at(-1))).toEqual(['Wait for Pod ready', 'Warm cache']);
});

test('a change that may be chance is called the same', () => {
  const label = (changed: Parameters<typeof wireChange>[0]) => {
    const breakdown = decodeBreakdown(wireBreakdown({ operation: { figures: wireFigures(), baseline: wireFigures(), change: wireChange(changed) } }));
    return changeLabel(breakdown.operation.change!);
  };
  expect(label({})).toMatchObject({ sign: '▲', word: 'slower', tone: 'worse' });
  expect(label({ is_significant: false })).toMatchObject({ word: 'same', tone: 'none' });
  expect(label({ kind: 'faster' })).toMatchObject({ sign: '▼', tone: 'better' });
  expect(label({ kind: 'repeated' })).toMatchObject({ sign: '×', word: 'repeated' });
});

test('ratios, certainty and shares of errors in words', () => {
  expect(formatRatio(1.347)).toBe('1.35×');
  expect(formatRatio(41.2)).toBe('41×');
  expect(formatRatio(null)).toBe('–');
  expect(formatPValue(0)).toBe('p < 0.0001');
  expect(formatPValue(0.0042)).toBe('p = 0.0042');
  expect(formatPValue(null)).toBe('too few to say');
  expect(formatErrorShare(0, 50)).toBe('0');
  expect(plain(formatErrorShare(1, 50))).toBe('2 %');
  expect(plain(formatErrorShare(1, 1_000_000))).toBe('<0.1 %');
});

test('the baseline is the period before, of the same length, unless another is chosen', () => {
  const route = operationRoute('s', 'n', { from: 'now-6h', to: 'now' });
  expect(baselineQuestion(route, NOW)).toEqual({
    version: '',
    baselineStart: '2026-11-23T08:00:00Z',
    baselineEnd: '2026-11-23T14:00:00Z',
    baselineVersion: '',
  });
  const absolute = operationRoute('s', 'n', { from: '2026-11-23T10:00:00Z', to: '2026-11-23T10:30:00Z' });
  expect(baselineQuestion(absolute, NOW)).toMatchObject({ baselineStart: '2026-11-23T09:30:00Z', baselineEnd: '2026-11-23T10:00:00Z' });
  expect(baselineQuestion({ ...route, baseline: 'none', version: '2' }, NOW)).toEqual({ version: '2', baselineStart: '', baselineEnd: '', baselineVersion: '' });
  expect(baselineQuestion({ ...route, baseline: 'period', baselineFrom: 'now-2d', baselineTo: 'now-1d' }, NOW)).toMatchObject({
    baselineStart: 'now-2d',
    baselineEnd: 'now-1d',
  });
  expect(baselineQuestion({ ...route, baseline: 'period', baselineFrom: 'now-2d' }, NOW)).toMatchObject({ baselineStart: '', baselineEnd: '' });
  expect(baselineQuestion({ ...route, baseline: 'version', version: '2', baselineVersion: '1' }, NOW)).toMatchObject({
    version: '2',
    baselineStart: '',
    baselineVersion: '1',
  });
  // A period that ends before it begins has none before it.
  expect(baselineQuestion(operationRoute('s', 'n', { from: 'now', to: 'now-1h' }), NOW)).toMatchObject({ baselineStart: '' });
});
