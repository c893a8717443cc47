/**
 * Where things go: the part of the time axis on screen, bars within it, ticks, and which rows to mount.
 *
 * Pure arithmetic on nanoseconds, fractions and pixels, tested without a browser.
 */

import type { Tree } from './tree';
import { THIN_SPACE } from './units';

/** A part of the time axis, in nanoseconds since the trace's start. */
export interface Window {
  from: number;
  to: number;
}

/** Height of a waterfall row in pixels; the windowing below is closed-form because it is the same for all. */
export const ROW_HEIGHT = 24;

/** Rows kept mounted above and below the viewport, so that a key press never shows an empty row. */
const OVERSCAN_ROWS = 8;

/** The mounted rows of a list of `count` rows: `first` up to, not including, `end`. */
export function mountedRows(count: number, scrollTop: number, viewportHeight: number): { first: number; end: number } {
  const first = Math.floor(scrollTop / ROW_HEIGHT) - OVERSCAN_ROWS;
  const end = Math.ceil((scrollTop + viewportHeight) / ROW_HEIGHT) + OVERSCAN_ROWS;
  return { first: Math.min(Math.max(0, first), count), end: Math.min(Math.max(0, end), count) };
}

/** The scroll position, closest to the present one, at which `row` is wholly on screen. */
export function scrollToRow(row: number, scrollTop: number, viewportHeight: number): number {
  const top = row * ROW_HEIGHT;
  const bottom = top + ROW_HEIGHT;
  if (top < scrollTop) return top;
  if (bottom > scrollTop + viewportHeight) return Math.max(0, bottom - viewportHeight);
  return scrollTop;
}

/** Indentation of a tree level: 12 px each down to depth 8, then 4 px, so that deep names stay on screen. */
export function indentOf(depth: number): number {
  return Math.min(depth, 8) * 12 + Math.max(0, depth - 8) * 4;
}

/** The least window that can be zoomed to: 100 ns, ten times finer than the finest clock that emitters use. */
export const MIN_WINDOW_NANOS = 100;

export function fullWindow(durationNanos: number): Window {
  return { from: 0, to: Math.max(durationNanos, MIN_WINDOW_NANOS) };
}

/** `wanted` moved and shrunk until it lies within the trace; null if it is then all of it. */
export function clampWindow(wanted: Window, durationNanos: number): Window | null {
  const full = fullWindow(durationNanos);
  const width = Math.min(Math.max(wanted.to - wanted.from, MIN_WINDOW_NANOS), full.to);
  const from = Math.min(Math.max(0, wanted.from), full.to - width);
  if (from <= 0 && from + width >= full.to) return null;
  return { from, to: from + width };
}

/** The window `factor` times as wide (below 1: zoomed in), with the time at `anchor` (0..1) kept in place. */
export function zoomWindow(window: Window, factor: number, anchor: number, durationNanos: number): Window | null {
  const width = window.to - window.from;
  const fixed = window.from + width * anchor;
  const wanted = Math.max(width * factor, MIN_WINDOW_NANOS);
  return clampWindow({ from: fixed - wanted * anchor, to: fixed + wanted * (1 - anchor) }, durationNanos);
}

/** The window moved by `share` of its width. */
export function panWindow(window: Window, share: number, durationNanos: number): Window | null {
  const move = (window.to - window.from) * share;
  return clampWindow({ from: window.from + move, to: window.to + move }, durationNanos);
}

/** Where a bar is, in fractions of the axis. */
export interface BarPlace {
  /** The side on which the bar lies wholly off screen; null if some of it is seen. */
  off: 'left' | 'right' | null;
  left: number;
  width: number;
}

/** Places an interval within the window and cuts off what lies outside. */
export function placeBar(start: number, end: number, window: Window): BarPlace {
  if (end < window.from) return { off: 'left', left: 0, width: 0 };
  if (start > window.to) return { off: 'right', left: 1, width: 0 };
  const width = window.to - window.from;
  const left = (Math.max(start, window.from) - window.from) / width;
  const right = (Math.min(end, window.to) - window.from) / width;
  return { off: null, left, width: right - left };
}

/**
 * The parts of a span that none of its children covers, within the window, in nanoseconds since the trace's start.
 * Parts shorter than `leastNanos` (a pixel) are left out. Children may overlap and may stick out of their parent.
 */
export function selfParts(tree: Tree, index: number, window: Window, leastNanos: number): Window[] {
  const parts: Window[] = [];
  const end = Math.min(tree.end[index]!, window.to);
  let covered = Math.max(tree.start[index]!, window.from);
  // Children come by start, so one pass with the furthest end seen so far finds every gap.
  for (let child = index + 1; child < tree.subtreeEnd[index]! && covered < end; child = tree.subtreeEnd[child]!) {
    const gapEnd = Math.min(tree.start[child]!, end);
    if (gapEnd - covered >= leastNanos) parts.push({ from: covered, to: gapEnd });
    covered = Math.max(covered, tree.end[child]!);
  }
  if (end - covered >= leastNanos) parts.push({ from: covered, to: end });
  return parts;
}

export interface Tick {
  /** Fraction of the axis. */
  at: number;
  label: string;
}

/** Seconds that divide a minute, hour or day evenly; below a second steps go 1, 2, 5. */
const LONG_STEPS_SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200, 86_400];

/** Round times within the window, about `wanted` of them, labelled alike. */
export function axisTicks(window: Window, wanted: number): Tick[] {
  const width = window.to - window.from;
  const step = niceStep(width / Math.max(1, wanted));
  const ticks: Tick[] = [];
  for (let k = Math.ceil(window.from / step); k * step <= window.to; k++) {
    ticks.push({ at: (k * step - window.from) / width, label: tickLabel(k * step, step) });
  }
  return ticks;
}

function niceStep(atLeast: number): number {
  if (atLeast > 0.5e9) {
    const seconds = LONG_STEPS_SECONDS.find((candidate) => candidate * 1e9 >= atLeast);
    return (seconds ?? Math.ceil(atLeast / 86_400e9) * 86_400) * 1e9;
  }
  const power = 10 ** Math.floor(Math.log10(Math.max(1, atLeast)));
  for (const factor of [1, 2, 5]) if (factor * power >= atLeast) return factor * power;
  return 10 * power;
}

/** A tick's time in the unit of its size, with just the decimals the step needs. */
function tickLabel(nanos: number, step: number): string {
  if (nanos === 0) return '0';
  if (step >= 60e9) {
    const minutes = Math.round(nanos / 60e9);
    if (minutes < 60) return `${minutes}${THIN_SPACE}min`;
    const rest = minutes % 60;
    return rest === 0 ? `${minutes / 60}${THIN_SPACE}h` : `${Math.floor(minutes / 60)}:${String(rest).padStart(2, '0')}${THIN_SPACE}h`;
  }
  const [size, unit] = nanos >= 1e9 ? [1e9, 's'] : nanos >= 1e6 ? [1e6, 'ms'] : nanos >= 1e3 ? [1e3, 'µs'] : [1, 'ns'];
  const decimals = Math.max(0, Math.ceil(Math.log10(size as number) - Math.log10(step) - 1e-9));
  return `${(nanos / (size as number)).toFixed(decimals)}${THIN_SPACE}${unit}`;
}
