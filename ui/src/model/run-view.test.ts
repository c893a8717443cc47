import { expect, test } from 'vitest';
import { at, seconds, wireRun, wireRuns, wireTimeline } from '../../tests/support/reports';
import { decodeRuns, decodeTimeline } from '../api/decode-reports';
import { mergeRuns, orderedRuns, placeEntry, progressOf, shownEntries, stateCounts } from './run-view';

const SECOND = 1_000_000_000n;

test('stuck runs come first, then running ones by how far they are beyond their usual time, then the newest', () => {
  const answer = decodeRuns(
    wireRuns([
      wireRun({ run_id: 'done-old', state: 'done', start_unix_nano: at(0) }),
      wireRun({ run_id: 'on-time', usual_step_p95_nano: seconds(1000) }),
      wireRun({ run_id: 'failed-new', state: 'failed', start_unix_nano: at(50) }),
      wireRun({ run_id: 'overdue', usual_step_p95_nano: seconds(60) }),
      wireRun({ run_id: 'unknown', usual_step_p95_nano: null }),
      wireRun({ run_id: 'stuck', state: 'stuck', usual_step_p95_nano: seconds(100) }),
      wireRun({ run_id: 'lost', state: 'lost' }),
    ]),
  );
  expect(orderedRuns(answer).map((run) => run.runId)).toEqual(['stuck', 'overdue', 'on-time', 'unknown', 'lost', 'failed-new', 'done-old']);
  expect(stateCounts(answer.runs)).toEqual([
    { state: 'stuck', count: 1 },
    { state: 'running', count: 3 },
    { state: 'lost', count: 1 },
    { state: 'failed', count: 1 },
    { state: 'done', count: 1 },
  ]);
});

test('a run is held against the p95 of its step', () => {
  const progress = (changed: Parameters<typeof wireRun>[0]) => {
    const answer = decodeRuns(wireRuns([wireRun(changed)]));
    return progressOf(answer.runs[0]!, answer.asOfUnixNano);
  };
  // In its step since 100 s, and it is 300 s.
  expect(progress({ usual_step_p95_nano: seconds(50) })).toEqual({ elapsedNano: 200n * SECOND, usualNano: 50n * SECOND, ratio: 4, isOverdue: true });
  expect(progress({ usual_step_p95_nano: seconds(400) })).toMatchObject({ ratio: 0.5, isOverdue: false });
  expect(progress({ usual_step_p95_nano: null })).toMatchObject({ ratio: null, isOverdue: false });
  // Where the step is not told, the time without a sign of life counts.
  expect(progress({ current_step: null, idle_nano: seconds(90) }).elapsedNano).toBe(90n * SECOND);
  // A clock ahead of the server's is no negative time.
  const ahead = { name: 'x', span_id: '1', start_unix_nano: at(400), phase: null, kind: 'work' };
  expect(progress({ current_step: ahead }).elapsedNano).toBe(0n);
});

test('answers to several questions hold each run once', () => {
  const first = decodeRuns(wireRuns([wireRun({ run_id: 'a', state: 'stuck' })]));
  const second = decodeRuns(wireRuns([wireRun({ run_id: 'a', state: 'running' }), wireRun({ run_id: 'b' })], 700));
  const merged = mergeRuns([first, second]);
  expect(merged.runs.map((run) => [run.runId, run.state])).toEqual([['a', 'stuck'], ['b', 'running']]);
  expect(merged.hasMore).toBe(true);
  expect(mergeRuns([first, first]).hasMore).toBe(false);
});

test('routine that went well is left out and counted', () => {
  const timeline = decodeTimeline(wireTimeline());
  const shown = shownEntries(timeline, false);
  expect(shown.entries.map((entry) => [entry.name, entry.status])).toEqual([['Backup', 'done'], ['probe', 'error']]);
  expect(shown.hidden).toBe(2);
  expect(shownEntries(timeline, true)).toMatchObject({ hidden: 0 });
  expect(shownEntries(timeline, true).entries).toHaveLength(4);
});

test('an entry is placed within the period, and cut off where it sticks out', () => {
  const timeline = decodeTimeline(wireTimeline());
  expect(placeEntry(timeline.entries[1]!, timeline).left).toBeCloseTo(200 / 3600);
  expect(placeEntry(timeline.entries[1]!, timeline).width).toBeCloseTo(600 / 3600);
  const early = { ...timeline.entries[1]!, startUnixNano: timeline.startUnixNano - 100n * SECOND, endUnixNano: null };
  expect(placeEntry(early, timeline)).toEqual({ left: 0, width: 1 });
});
