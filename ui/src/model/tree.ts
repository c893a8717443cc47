/**
 * A trace's spans as columns: one typed array per property, indexed by the span's place in tree order.
 *
 * Everything the waterfall asks for on each frame (which rows are visible, what a bar covers) is answered from here in
 * time linear in what is looked at, so a trace of 100,000 spans folds, scrolls and zooms without a pause. Never
 * changes after it was built.
 */

import type { Trace } from './trace';

export interface Tree {
  readonly count: number;
  /** Index of the parent, -1 for a root. */
  readonly parent: Int32Array;
  readonly depth: Int32Array;
  /** One past the last descendant: the subtree of `i` is `i .. subtreeEnd[i]`. */
  readonly subtreeEnd: Int32Array;
  /** Nanoseconds since the trace's start. A double is exact up to 104 days. */
  readonly start: Float64Array;
  readonly end: Float64Array;
  /** Rank of the span's service by self time, -1 for a placeholder. */
  readonly service: Int32Array;
  /** 1 for a span with status error. */
  readonly error: Uint8Array;
  /** `errorsBefore[i]` spans with an error come before `i`, so a subtree's errors are one subtraction. */
  readonly errorsBefore: Int32Array;
  /** Place of each span id. */
  readonly indexOf: ReadonlyMap<string, number>;
  readonly maxDepth: number;
}

export function buildTree(trace: Trace): Tree {
  const count = trace.spans.length;
  const parent = new Int32Array(count).fill(-1);
  const depth = new Int32Array(count);
  const subtreeEnd = new Int32Array(count);
  const start = new Float64Array(count);
  const end = new Float64Array(count);
  const service = new Int32Array(count).fill(-1);
  const error = new Uint8Array(count);
  const errorsBefore = new Int32Array(count + 1);
  const indexOf = new Map<string, number>();
  const rankOf = new Map(trace.services.map((share, rank) => [share.name, rank]));
  let maxDepth = 0;

  // The spans from a root down to the last one read; the next one closes those at its depth or deeper.
  const open: number[] = [];
  for (let i = 0; i < count; i++) {
    const span = trace.spans[i]!;
    while (open.length > span.depth) subtreeEnd[open.pop()!] = i;
    parent[i] = open.length === 0 ? -1 : open[open.length - 1]!;
    depth[i] = open.length;
    maxDepth = Math.max(maxDepth, open.length);
    open.push(i);

    start[i] = Number(span.startUnixNano - trace.startUnixNano);
    // By the duration and not by the end: a span that ended before it started has duration 0.
    end[i] = start[i]! + Number(span.durationNano);
    service[i] = span.placeholder ? -1 : (rankOf.get(span.service) ?? -1);
    error[i] = span.status.code === 'error' ? 1 : 0;
    errorsBefore[i + 1] = errorsBefore[i]! + error[i]!;
    indexOf.set(span.spanId, i);
  }
  for (const i of open) subtreeEnd[i] = count;

  return { count, parent, depth, subtreeEnd, start, end, service, error, errorsBefore, indexOf, maxDepth };
}

export function hasChildren(tree: Tree, index: number): boolean {
  return tree.subtreeEnd[index]! > index + 1;
}

/** Spans with an error in the subtree of `index`, itself included. */
export function errorsInSubtree(tree: Tree, index: number): number {
  return tree.errorsBefore[tree.subtreeEnd[index]!]! - tree.errorsBefore[index]!;
}

/**
 * The row at which `index` is shown, or the row of the folded ancestor that hides it. `rows` is ascending, so this is a
 * binary search for the last row that does not come after it.
 */
export function rowOf(rows: Int32Array, index: number): number {
  let low = 0;
  let high = rows.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (rows[middle]! <= index) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** The next span with an error after `from` (before it, for -1), round the end; -1 if there is none. */
export function nextError(tree: Tree, from: number, step: -1 | 1): number {
  for (let distance = 1; distance <= tree.count; distance++) {
    const index = (((from + step * distance) % tree.count) + tree.count) % tree.count;
    if (tree.error[index] === 1) return index;
  }
  return -1;
}

/** The place of `from` among `matches` (ascending) moved by `step`, round the end; -1 if there are no matches. */
export function nextMatch(matches: Int32Array, from: number, step: -1 | 1): number {
  if (matches.length === 0) return -1;
  if (step === 1) {
    for (const match of matches) if (match > from) return match;
    return matches[0]!;
  }
  for (let i = matches.length - 1; i >= 0; i--) if (matches[i]! < from) return matches[i]!;
  return matches[matches.length - 1]!;
}
