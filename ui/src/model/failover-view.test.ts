import { expect, test } from 'vitest';
import { wireDistribution, wireFailover, wireFailoverDetail, wireFailoverReport, wireGroup } from '../../tests/support/reports';
import { decodeFailoverDetail, decodeFailoverReport } from '../api/decode-reports';
import {
  attainmentText,
  completenessText,
  detailSpan,
  durationDelta,
  failoverScale,
  groupScale,
  meanTimes,
  outcomeLabel,
  phaseColour,
  phaseLabel,
  placedPoints,
  segments,
  segmentsText,
  sumOf,
  TIME_SHARES,
} from './failover-view';

const SECOND = 1_000_000_000n;
const plain = (text: string) => text.replaceAll('\u2009', ' ');
const group = (changed: Parameters<typeof wireGroup>[0] = {}) => decodeFailoverReport(wireFailoverReport({ groups: [wireGroup(changed)] })).groups[0]!;

test('a bar lays its phases end to end and adds up to the whole', () => {
  const failover = decodeFailoverReport(wireFailoverReport()).failovers[0]!;
  const bar = segments(failover.phases, 72n * SECOND);
  expect(bar.map((part) => part.phase)).toEqual(['detect', 'fence', 'elect', 'promote', 'endpoint', 'verify', 'unattributed']);
  for (let i = 1; i < bar.length; i++) expect(bar[i]!.left).toBeCloseTo(bar[i - 1]!.left + bar[i - 1]!.width);
  expect(bar.reduce((sum, part) => sum + part.width, 0)).toBeCloseTo(0.5);
  expect(sumOf(failover.phases)).toBe(36n * SECOND);
  expect(plain(segmentsText(bar))).toMatch(/^Detect 20 s, Fence 2 s, .*Unattributed 2 s$/);
  expect(segmentsText([])).toBe('no time told');
});

test('the bar of a group is its mean failover', () => {
  const means = meanTimes(group());
  expect(means.detect).toBe(20n * SECOND);
  expect(means.other).toBe(1n * SECOND);
  expect(means.unattributed).toBe(2n * SECOND);
  expect(sumOf(means)).toBe(37n * SECOND);
  // A group of only unfinished failovers has no mean, and does not divide by zero.
  expect(sumOf(meanTimes(group({ count: 0, phases: [], other_nano: '0', unattributed_nano: '0' })))).toBe(0n);
});

test('means, p95 and objectives are all within the scale', () => {
  const groups = [group(), group({ attainment: [], measures: { write_unavailable: wireDistribution([90]) } })];
  const scale = groupScale(groups);
  expect(scale).toBeGreaterThan(90n * SECOND);
  expect(groupScale([group()])).toBeGreaterThan(60n * SECOND);
  expect(groupScale([])).toBeGreaterThan(0n);
  const failovers = decodeFailoverReport(wireFailoverReport()).failovers;
  expect(failoverScale(failovers, [])).toBeGreaterThan(36n * SECOND);
  expect(failoverScale(failovers, [60n * SECOND])).toBeGreaterThan(60n * SECOND);
});

test('attainment with its interval, and that nothing can be judged', () => {
  const text = attainmentText(group().attainment[0]!);
  expect(plain(text.met)).toBe('4 of 4 (100 %)');
  expect(plain(text.interval)).toBe('95 % interval 51 % to 100 %');
  expect(attainmentText({ barNano: SECOND, met: null, instancesInBreach: 0 })).toEqual({ met: 'none can be judged', interval: '' });
});

test('a change since the period before: longer is worse, small ones are none, unknown is no change', () => {
  expect(durationDelta(43n * SECOND, 31n * SECOND)).toMatchObject({ sign: '▲', tone: 'worse' });
  expect(plain(durationDelta(43n * SECOND, 31n * SECOND)!.text)).toBe('+12 s');
  expect(plain(durationDelta(20n * SECOND, 31n * SECOND)!.text)).toBe('−11 s');
  expect(durationDelta(20n * SECOND, 31n * SECOND)!.tone).toBe('better');
  expect(durationDelta(102n * SECOND, 100n * SECOND)!.tone).toBe('none');
  expect(durationDelta(null, SECOND)).toBeNull();
  expect(durationDelta(SECOND, null)).toBeNull();
});

test('completeness says what is missing', () => {
  const text = completenessText(decodeFailoverReport(wireFailoverReport()).completeness).map(plain);
  expect(text[0]).toBe('5 failovers, of which 1 unfinished and in no figure');
  expect(text[1]).toBe('the fault (T0) is not known of 0 of 4');
  expect(text[2]).toBe('more than 10 % of the time is unattributed in 1 of 4');
  expect(text[3]).toBe('T0: 1 × an attribute says it, 3 × a span of detection began then');
});

test('a failover that goes on has no outcome yet, whatever was told', () => {
  expect(outcomeLabel({ outcome: 'unknown', hasEnded: false }).word).toBe('running');
  expect(outcomeLabel({ outcome: 'success', hasEnded: true })).toMatchObject({ sign: '✔', tone: 'ok' });
  expect(outcomeLabel({ outcome: 'rolled_back', hasEnded: true }).word).toBe('rolled back');
  expect(outcomeLabel({ outcome: 'failed', hasEnded: true }).tone).toBe('error');
  expect(outcomeLabel({ outcome: 'unknown', hasEnded: true }).word).toContain('not told');
});

test('time points are placed on the axis; one that is not known has no place', () => {
  const detail = decodeFailoverDetail(wireFailoverDetail());
  const span = detailSpan(detail);
  expect(span.end - span.start).toBe(92n * SECOND);
  const points = placedPoints(detail);
  expect(points).toHaveLength(9);
  expect(points[0]).toMatchObject({ point: 'T0', left: 0, offset: 0n });
  expect(points[2]).toMatchObject({ point: 'T2', at: null, left: null, offset: null });
  expect(points[7]!.left).toBeCloseTo(36 / 92);
  expect(points[8]).toMatchObject({ left: 1, offset: 92n * SECOND });
});

test('a failover without any time point still has an axis', () => {
  const wire = wireFailoverDetail({ end_unix_nano: null, spans: [] });
  const detail = decodeFailoverDetail({ ...wire, points: wire.points.map((point) => ({ ...point, at_unix_nano: null })) });
  expect(detailSpan(detail).end).toBeGreaterThan(detailSpan(detail).start);
  expect(placedPoints(detail).every((point) => point.left === null)).toBe(true);
});

test('every share of time has a name and a colour; a phase of a later server too', () => {
  for (const share of TIME_SHARES) {
    expect(phaseLabel(share)).not.toBe(share);
    expect(phaseColour(share)).toBe(`--phase-${share}`);
  }
  expect(phaseLabel('teleport')).toBe('teleport');
  expect(phaseColour('teleport')).toBe('--phase-other');
  expect(phaseLabel(null)).toBe('–');
});

test('what is not known is null and never 0', () => {
  const failover = decodeFailoverReport(wireFailoverReport({ failovers: [wireFailover({ measures: { write_unavailable_nano: null } })] })).failovers[0]!;
  expect(failover.measures.writeUnavailable).toBeNull();
  expect(failover.measures.timeToDetect).toBeNull();
});
