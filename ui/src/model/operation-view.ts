/**
 * What the pages of operations show: rows in order, steps as a tree, changes by weight.
 */

import { type Breakdown, type Change, type ChangeKind, CLASSES, type Operations, type OperationSummary, type SlowStep, type Step } from './operation';
import type { OperationRoute, OperationSort, OperationsRoute, Range } from './report-url';
import { resolveTime, toRfc3339 } from './time';
import { formatPercent } from './units';

/** The operations of the list that the filters let through, in the wanted order. */
export function listedOperations(answer: Operations, route: OperationsRoute): OperationSummary[] {
  const needle = route.find.trim().toLowerCase();
  const found = answer.operations.filter(
    (operation) => needle === '' || `${operation.service} ${operation.name}`.toLowerCase().includes(needle),
  );
  return found.sort(orderOf(route.sort));
}

function orderOf(sort: OperationSort): (a: OperationSummary, b: OperationSummary) => number {
  if (sort === 'name') return (a, b) => compareText(a.name, b.name) || compareText(a.service, b.service);
  const value = VALUE_OF[sort];
  return (a, b) => compare(value(b), value(a)) || compareText(a.name, b.name);
}

const VALUE_OF: Record<Exclude<OperationSort, 'name'>, (operation: OperationSummary) => number | bigint> = {
  time: (operation) => operation.totalTimeNano,
  count: (operation) => operation.spanCount,
  rate: (operation) => operation.spansPerSecond,
  errors: (operation) => operation.errorCount / Math.max(1, operation.spanCount),
  p50: (operation) => operation.p50Nano,
  p95: (operation) => operation.p95Nano,
  p99: (operation) => operation.p99Nano,
  max: (operation) => operation.maxNano,
};

function compare(a: number | bigint, b: number | bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Operations by class, in the order in which the classes are offered; a class of a later server comes last. */
export function classesOf(operations: readonly OperationSummary[]): { name: string; members: OperationSummary[] }[] {
  const names = new Set<string>([...CLASSES, ...operations.map((operation) => operation.class)]);
  return [...names]
    .map((name) => ({ name, members: operations.filter((operation) => operation.class === name) }))
    .filter(({ members }) => members.length > 0);
}

/** A row of the tree of steps. */
export interface StepRow {
  step: Step;
  name: string;
  depth: number;
  /** Names between the row above it in the tree and itself: those of steps that the answer leaves out. */
  skipped: string[];
}

/**
 * Steps as a tree: each below the one it is a part of, siblings by time on the critical path with all that is below them. A step whose parent is not
 * among them hangs below the nearest one that is.
 */
export function stepTree(steps: readonly Step[]): StepRow[] {
  const byPath = new Map(steps.map((step) => [keyOf(step.path), step]));
  const children = new Map<string, Step[]>();
  for (const step of steps) {
    const parent = parentKey(step.path, byPath);
    children.set(parent, [...(children.get(parent) ?? []), step]);
  }
  // A step's own time on the critical path does not hold that of the steps below it.
  const totals = new Map<string, bigint>();
  const total = (key: string): bigint =>
    (children.get(key) ?? []).reduce((sum, step) => sum + criticalOf(step) + total(keyOf(step.path)), 0n);
  for (const step of steps) totals.set(keyOf(step.path), criticalOf(step) + total(keyOf(step.path)));
  const weight = (step: Step) => totals.get(keyOf(step.path)) ?? 0n;
  const rows: StepRow[] = [];
  const visit = (parent: string, parentLength: number, depth: number) => {
    const siblings = (children.get(parent) ?? []).sort((a, b) => compare(weight(b), weight(a)));
    for (const step of siblings) {
      rows.push({ step, name: step.path.at(-1) ?? '', depth, skipped: step.path.slice(parentLength, -1) });
      visit(keyOf(step.path), step.path.length, depth + 1);
    }
  };
  visit(ROOT, 0, 0);
  return rows;
}

const ROOT = keyOf([]);

function keyOf(path: readonly string[]): string {
  return JSON.stringify(path);
}

function parentKey(path: readonly string[], known: ReadonlyMap<string, Step>): string {
  for (let length = path.length - 1; length > 0; length--) {
    const key = keyOf(path.slice(0, length));
    if (known.has(key)) return key;
  }
  return ROOT;
}

function criticalOf(step: Step): bigint {
  return step.figures?.criticalTimeNano ?? 0n;
}

/** Steps that changed for certain, those that account for most of the operation's change first. */
export function changedSteps(breakdown: Breakdown): Step[] {
  const weight = (step: Step) => Math.abs(Number(step.change?.criticalTimePerOperationNano ?? 0n));
  return breakdown.steps.filter((step) => isCertain(step.change)).sort((a, b) => weight(b) - weight(a));
}

/** Whether the change is no chance: new, missing and repeated steps are certain by their counts. */
export function isCertain(change: Change | null): boolean {
  return change !== null && change.kind !== 'same' && change.isSignificant;
}

/** A change in a word and a sign, so that it is not told by its colour. */
export interface ChangeLabel {
  sign: '▲' | '▼' | '+' | '−' | '×' | '=';
  word: string;
  tone: 'worse' | 'better' | 'none';
}

const CHANGE_LABELS: Record<ChangeKind, ChangeLabel> = {
  slower: { sign: '▲', word: 'slower', tone: 'worse' },
  faster: { sign: '▼', word: 'faster', tone: 'better' },
  new: { sign: '+', word: 'new', tone: 'worse' },
  missing: { sign: '−', word: 'missing', tone: 'better' },
  repeated: { sign: '×', word: 'repeated', tone: 'worse' },
  same: { sign: '=', word: 'same', tone: 'none' },
};

/** What became of it; a difference that may be chance is `same`. */
export function changeLabel(change: Change): ChangeLabel {
  return CHANGE_LABELS[isCertain(change) ? change.kind : 'same'];
}

export function slowStepLabel(step: SlowStep): ChangeLabel {
  return CHANGE_LABELS[step.kind];
}

/** `1.35×`, or a dash where there are too few to say. */
export function formatRatio(ratio: number | null): string {
  if (ratio === null || !Number.isFinite(ratio)) return '–';
  return `${ratio >= 10 ? Math.round(ratio) : ratio.toFixed(2)}×`;
}

/** How likely a difference is by chance: never written as 0. */
export function formatPValue(pValue: number | null): string {
  if (pValue === null) return 'too few to say';
  return pValue < 0.0001 ? 'p < 0.0001' : `p = ${pValue.toPrecision(2)}`;
}

/** `2.1 %` of all failed, and a plain 0 where none did. */
export function formatErrorShare(errorCount: number, count: number): string {
  return errorCount === 0 || count === 0 ? '0' : formatPercent(errorCount / count);
}

/** The two periods or versions that a breakdown is asked for, in the words of the API. */
export interface BaselineQuestion {
  version: string;
  baselineStart: string;
  baselineEnd: string;
  baselineVersion: string;
}

const NO_BASELINE: BaselineQuestion = { version: '', baselineStart: '', baselineEnd: '', baselineVersion: '' };

/** What to ask for; as with `none` while the choice of a period or version is unfinished. */
export function baselineQuestion(route: OperationRoute, nowMillis: number): BaselineQuestion {
  const question = { ...NO_BASELINE, version: route.version };
  switch (route.baseline) {
    case 'none':
      return question;
    case 'before': {
      const before = periodBefore(route, nowMillis);
      return before ? { ...question, baselineStart: before.from, baselineEnd: before.to } : question;
    }
    case 'period':
      if (route.baselineFrom === '' || route.baselineTo === '') return question;
      return { ...question, baselineStart: route.baselineFrom, baselineEnd: route.baselineTo };
    case 'version':
      return { ...question, baselineVersion: route.baselineVersion };
  }
}

/** Whether values of this attribute are told: of one version alone they are not counted. */
export function isCountedBy(by: string, route: OperationRoute): boolean {
  const isOfVersion = route.version !== '' || (route.baseline === 'version' && route.baselineVersion !== '');
  return by === 'version' || !isOfVersion;
}

/** The period of the same length that ends where this one begins; null if that cannot be told. */
export function periodBefore(range: Range, nowMillis: number): Range | null {
  const from = resolveTime(range.from, nowMillis);
  const to = resolveTime(range.to, nowMillis);
  if (from === null || to === null || to <= from) return null;
  return { from: toRfc3339(from - (to - from)), to: toRfc3339(from) };
}
