/**
 * What the pages of failovers show: bars of phases on a common scale, objectives in words, changes since the period before.
 */

import {
  type Attainment,
  type Completeness,
  type Failover,
  type FailoverDetail,
  type FailoverGroup,
  GROUP_BY,
  type Measure,
  PHASES,
  type TimeShare,
} from './failover';
import { formatDuration, formatNoun, formatPercent, THIN_SPACE } from './units';

/** All that time is told by, in the order of a bar. */
export const TIME_SHARES: readonly TimeShare[] = [...PHASES, 'other', 'unattributed'];

const SHARE_LABELS: Record<TimeShare, string> = {
  detect: 'Detect',
  fence: 'Fence',
  elect: 'Elect',
  catchup: 'Catch up',
  promote: 'Promote',
  endpoint: 'Endpoint',
  verify: 'Verify',
  rejoin: 'Rejoin',
  other: 'Other',
  unattributed: 'Unattributed',
};

export const SHARE_MEANINGS: Record<TimeShare, string> = {
  detect: 'the fault is noticed and confirmed',
  fence: 'the old primary is kept from taking writes',
  elect: 'a new primary is chosen',
  catchup: 'the new primary replays what it lacks',
  promote: 'the new primary starts to take writes',
  endpoint: 'clients are led to it',
  verify: 'a write is seen to work',
  rejoin: 'replicas follow, the old primary is one of them',
  other: 'spans without a phase',
  unattributed: 'no span at all',
};

/** How a phase is written; a name that this page does not know stands for itself. */
export function phaseLabel(phase: string | null): string {
  if (phase === null) return '–';
  return SHARE_LABELS[phase as TimeShare] ?? phase;
}

/** The custom property of its colour. */
export function phaseColour(phase: string): string {
  return (TIME_SHARES as readonly string[]).includes(phase) ? `--phase-${phase}` : '--phase-other';
}

export const MEASURE_LABELS: Record<Measure, { label: string; meaning: string }> = {
  writeUnavailable: { label: 'Writes unavailable', meaning: 'T0 to T7, from the fault (planned: from when writes stopped) to the first write that worked' },
  timeToDetect: { label: 'Time to detect', meaning: 'T0 to T1' },
  timeToAct: { label: 'Time to act', meaning: 'T1 to T2: queueing, approval, hold' },
  executionTime: { label: 'Execution', meaning: 'T2 to T6: what the operation itself shows' },
  observedWriteGap: { label: 'Write gap seen by clients', meaning: 'between the last write that worked before and the first after' },
  redundancyExposure: { label: 'Without a standby', meaning: 'T3 to T8; no part of the time without writes' },
};

const T0_SOURCES: Record<string, string> = {
  attribute: 'an attribute says it',
  detect_span: 'a span of detection began then',
  health_checks: 'health checks failed from then on',
  writes: 'writes failed from then on',
  fence_span: 'writes were stopped then',
  unknown: 'nothing says it',
};

/** Where T0 comes from, in words. */
export function t0SourceText(source: string): string {
  return T0_SOURCES[source] ?? source;
}

/** A piece of a bar, in fractions of its scale. */
export interface Segment {
  phase: TimeShare;
  nanos: bigint;
  left: number;
  width: number;
}

/** Times laid end to end, those that took none left out. */
export function segments(times: Record<TimeShare, bigint>, scaleNano: bigint): Segment[] {
  const found: Segment[] = [];
  let before = 0n;
  for (const phase of TIME_SHARES) {
    const nanos = times[phase];
    if (nanos <= 0n) continue;
    found.push({ phase, nanos, left: fraction(before, scaleNano), width: fraction(nanos, scaleNano) });
    before += nanos;
  }
  return found;
}

export function fraction(nanos: bigint, scaleNano: bigint): number {
  return scaleNano > 0n ? Number(nanos) / Number(scaleNano) : 0;
}

/** What a bar shows, for those who do not see it. */
export function segmentsText(bar: readonly Segment[]): string {
  return bar.length === 0 ? 'no time told' : bar.map((part) => `${SHARE_LABELS[part.phase]} ${formatDuration(part.nanos)}`).join(', ');
}

/** Mean times of a group's failovers: means add up, percentiles do not. */
export function meanTimes(group: FailoverGroup): Record<TimeShare, bigint> {
  const count = BigInt(Math.max(1, group.count));
  const total = (phase: string) => group.phases.find((report) => report.phase === phase)?.totalNano ?? 0n;
  const means = Object.fromEntries(PHASES.map((phase) => [phase, total(phase) / count]));
  return { ...means, other: group.otherNano / count, unattributed: group.unattributedNano / count } as Record<TimeShare, bigint>;
}

export function sumOf(times: Record<TimeShare, bigint>): bigint {
  return TIME_SHARES.reduce((sum, phase) => sum + times[phase], 0n);
}

/** The common scale of the bars of groups: their means, p95s and objectives are all within it. */
export function groupScale(groups: readonly FailoverGroup[]): bigint {
  return widened(
    groups.flatMap((group) => [
      sumOf(meanTimes(group)),
      group.measures.writeUnavailable.p95Nano ?? 0n,
      ...group.attainment.map((attainment) => attainment.barNano),
    ]),
  );
}

/** The common scale of the bars of single failovers and the objectives they are held against. */
export function failoverScale(failovers: readonly Failover[], barsNano: readonly bigint[]): bigint {
  return widened([...failovers.map((failover) => sumOf(failover.phases)), ...barsNano]);
}

/** A little more than the largest, so that a mark there is seen. */
function widened(values: readonly bigint[]): bigint {
  const largest = values.reduce((max, value) => (value > max ? value : max), 1n);
  return largest + largest / 20n;
}

/** `26 of 28 (93 %)`, with the interval; what cannot be judged says so. */
export function attainmentText(attainment: Attainment): { met: string; interval: string } {
  const met = attainment.met;
  if (met === null) return { met: 'none can be judged', interval: '' };
  return {
    met: `${met.count} of ${met.total} (${formatPercent(met.share)})`,
    interval: `95${THIN_SPACE}% interval ${formatPercent(met.low)} to ${formatPercent(met.high)}`,
  };
}

/** Which objective: `within 60 s`. */
export function barText(barNano: bigint): string {
  return `≤${THIN_SPACE}${formatDuration(barNano)}`;
}

/** A change since the period before. */
export interface Delta {
  sign: '▲' | '▼' | '=';
  text: string;
  tone: 'worse' | 'better' | 'none';
}

/** A change smaller than this share is none: failovers are few and their times vary. */
const DELTA_SHARE_MIN = 0.05;

/** Longer is worse; null where either is not known. */
export function durationDelta(now: bigint | null, before: bigint | null): Delta | null {
  if (now === null || before === null) return null;
  const change = now - before;
  const size = change < 0n ? -change : change;
  if (Number(size) < DELTA_SHARE_MIN * Number(before)) return { sign: '=', text: 'about the same', tone: 'none' };
  const text = `${change > 0n ? '+' : '−'}${formatDuration(size)}`;
  return change > 0n ? { sign: '▲', text, tone: 'worse' } : { sign: '▼', text, tone: 'better' };
}

/** Of what the groups are by, in the words of the page. */
export function groupByLabel(name: string): string {
  return GROUP_BY.find(([known]) => known === name)?.[1] ?? name;
}

/** The objectives that groups of one kind are held against. */
export function barsOf(groups: readonly FailoverGroup[]): bigint[] {
  const bars = new Set(groups.flatMap((group) => group.attainment.map((attainment) => attainment.barNano)));
  return [...bars].sort((a, b) => (a < b ? -1 : 1));
}

/** How much is known, one sentence each; what is wrong first. */
export function completenessText(completeness: Completeness): string[] {
  const finished = completeness.failovers - completeness.unfinished;
  const sources = completeness.t0Sources
    .filter(({ source, count }) => count > 0 && source !== 'unknown')
    .map(({ source, count }) => `${count} × ${t0SourceText(source)}`);
  return [
    `${formatNoun(completeness.failovers, 'failover')}, of which ${completeness.unfinished} unfinished and in no figure`,
    `the fault (T0) is not known of ${completeness.unknownT0} of ${finished}`,
    `more than 10${THIN_SPACE}% of the time is unattributed in ${completeness.unattributed} of ${finished}`,
    ...(sources.length > 0 ? [`T0: ${sources.join(', ')}`] : []),
  ];
}

/** An outcome in a word and a sign. */
export function outcomeLabel(failover: { outcome: string; hasEnded: boolean }): { sign: string; word: string; tone: 'ok' | 'error' | 'warn' | 'none' } {
  if (!failover.hasEnded) return { sign: '▶', word: 'running', tone: 'none' };
  switch (failover.outcome) {
    case 'success':
      return { sign: '✔', word: 'success', tone: 'ok' };
    case 'rolled_back':
      return { sign: '▲', word: 'rolled back', tone: 'warn' };
    case 'failed':
      return { sign: '✖', word: 'failed', tone: 'error' };
    case 'aborted':
      return { sign: '✖', word: 'aborted', tone: 'error' };
    default:
      return { sign: '?', word: 'ended, outcome not told', tone: 'none' };
  }
}

/** The period that the page of one failover shows: all its points and spans. */
export interface Span {
  start: bigint;
  end: bigint;
}

export function detailSpan(detail: FailoverDetail): Span {
  const times = [
    detail.startUnixNano,
    detail.endUnixNano,
    ...detail.points.map((point) => point.atUnixNano),
    ...detail.spans.flatMap((span) => [span.startUnixNano, span.endUnixNano]),
  ].filter((time) => time !== null);
  const start = times.reduce((min, time) => (time < min ? time : min), detail.startUnixNano);
  const end = times.reduce((max, time) => (time > max ? time : max), detail.startUnixNano);
  return { start, end: end > start ? end : start + 1n };
}

/** A time point on the axis; a null place is not known. */
export interface PlacedPoint {
  point: string;
  name: string;
  at: bigint | null;
  /** Since the first known point. */
  offset: bigint | null;
  left: number | null;
}

const POINT_NAMES: Record<string, string> = {
  fault: 'fault',
  detected: 'detected',
  acted: 'acted upon',
  fenced: 'old primary fenced',
  elected: 'new primary elected',
  promoted: 'promoted',
  routable: 'reachable',
  restored: 'writes work again',
  redundant: 'standby again',
};

export function placedPoints(detail: FailoverDetail): PlacedPoint[] {
  const span = detailSpan(detail);
  const first = detail.points.find((point) => point.atUnixNano !== null)?.atUnixNano ?? detail.startUnixNano;
  return detail.points.map((point) => ({
    point: point.point,
    name: POINT_NAMES[point.name] ?? point.name,
    at: point.atUnixNano,
    offset: point.atUnixNano === null ? null : point.atUnixNano - first,
    left: point.atUnixNano === null ? null : fraction(point.atUnixNano - span.start, span.end - span.start),
  }));
}
