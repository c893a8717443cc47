/**
 * What the pages of runs show: which stand first, and how long they are at it against what is usual.
 */

import type { InstanceTimeline, Run, Runs, RunState, TimelineEntry } from './run';

/** Those that somebody has to look at first: stuck, running, lost, then what has ended. */
const STATE_RANK: Record<RunState, number> = { stuck: 0, running: 1, lost: 2, failed: 3, done: 3 };

/** A state in a word and a sign, so that it is not told by its colour. */
export const STATE_SIGN: Record<RunState, string> = { stuck: '▲', running: '▶', lost: '?', failed: '✖', done: '✔' };

/** Answers to several questions as one: each run once, as the first answer has it. */
export function mergeRuns(answers: readonly Runs[]): Runs {
  const byId = new Map<string, Run>();
  for (const run of answers.flatMap((answer) => answer.runs)) if (!byId.has(run.runId)) byId.set(run.runId, run);
  return {
    asOfUnixNano: answers[0]?.asOfUnixNano ?? 0n,
    hasMore: answers.some((answer) => answer.hasMore),
    runs: [...byId.values()],
  };
}

/** Stuck and running ones first, those furthest beyond their usual time at the top; the others newest first. */
export function orderedRuns(answer: Runs): Run[] {
  return [...answer.runs].sort((a, b) => {
    const byState = STATE_RANK[a.state] - STATE_RANK[b.state];
    if (byState !== 0) return byState;
    if (isUnfinished(a)) {
      const byProgress = (progressOf(b, answer.asOfUnixNano).ratio ?? 0) - (progressOf(a, answer.asOfUnixNano).ratio ?? 0);
      if (byProgress !== 0) return byProgress;
    }
    return a.startUnixNano < b.startUnixNano ? 1 : a.startUnixNano > b.startUnixNano ? -1 : 0;
  });
}

export function isUnfinished(run: Run): boolean {
  return run.state === 'running' || run.state === 'stuck';
}

/** How long a run is at what it does. */
export interface Progress {
  /** In its step, or without progress where the step is not known. */
  elapsedNano: bigint;
  usualNano: bigint | null;
  /** Elapsed over usual; null where the usual is not known. */
  ratio: number | null;
  isOverdue: boolean;
}

export function progressOf(run: Run, asOfUnixNano: bigint): Progress {
  const since = run.currentStep ? asOfUnixNano - run.currentStep.startUnixNano : run.idleNano;
  const elapsedNano = since > 0n ? since : 0n;
  const usualNano = run.usualStepP95Nano;
  const ratio = usualNano !== null && usualNano > 0n ? Number(elapsedNano) / Number(usualNano) : null;
  return { elapsedNano, usualNano, ratio, isOverdue: ratio !== null && ratio > 1 };
}

/** The bar of a run at its step ends at this many times the usual: three, from where on it may count as stuck. */
export const PROGRESS_BAR_RATIO_MAX = 3;

/** How many runs there are in each state, stuck ones first. */
export function stateCounts(runs: readonly Run[]): { state: RunState; count: number }[] {
  const states = Object.keys(STATE_RANK) as RunState[];
  return states
    .map((state) => ({ state, count: runs.filter((run) => run.state === state).length }))
    .filter(({ count }) => count > 0);
}

/** What the time line of an instance shows, and how much routine it leaves out. */
export interface ShownEntries {
  entries: TimelineEntry[];
  hidden: number;
}

/** Health checks and statements that went well are routine: there are thousands for each operation. */
export function shownEntries(timeline: InstanceTimeline, routine: boolean): ShownEntries {
  const entries = timeline.entries.filter((entry) => routine || entry.plane === 'control' || entry.status === 'error');
  return { entries, hidden: timeline.entries.length - entries.length };
}

/** Where an entry lies within the time line's period, in fractions; what sticks out is cut off. */
export function placeEntry(entry: TimelineEntry, timeline: InstanceTimeline): { left: number; width: number } {
  const length = Number(timeline.endUnixNano - timeline.startUnixNano);
  const place = (at: bigint) => Math.min(1, Math.max(0, Number(at - timeline.startUnixNano) / Math.max(1, length)));
  const left = place(entry.startUnixNano);
  return { left, width: place(entry.endUnixNano ?? timeline.asOfUnixNano) - left };
}
