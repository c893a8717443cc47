import { expect, test } from 'vitest';
import { decodeTrace } from '../api/decode';
import { CREATE_INSTANCE, FAILOVER } from '../../tests/support/traces';
import { buildWireTrace } from '../../tests/support/wire-builder';
import { axisTicks, clampWindow, fullWindow, indentOf, mountedRows, panWindow, placeBar, scrollToRow, selfParts, zoomWindow } from './layout';
import { buildTree } from './tree';

const trace = decodeTrace(buildWireTrace(CREATE_INSTANCE));
const tree = buildTree(trace);
const at = (name: string) => trace.spans.findIndex((span) => span.name === name);
const S = 1e9;
const full = fullWindow(83.5 * S);

test('only rows near the viewport are mounted, whatever their number', () => {
  expect(mountedRows(100_000, 0, 720)).toEqual({ first: 0, end: 38 });
  expect(mountedRows(100_000, 1_200_000, 720)).toEqual({ first: 49_992, end: 50_038 });
  expect(mountedRows(100_000, 2_400_000, 720)).toEqual({ first: 99_992, end: 100_000 });
  expect(mountedRows(3, 0, 720)).toEqual({ first: 0, end: 3 });
  expect(mountedRows(0, 0, 720)).toEqual({ first: 0, end: 0 });
  expect(mountedRows(5, 10_000, 720)).toEqual({ first: 5, end: 5 });
});

test('scrolling to a row moves no further than it must', () => {
  expect(scrollToRow(10, 0, 480)).toBe(0);
  expect(scrollToRow(30, 0, 480)).toBe(264);
  expect(scrollToRow(2, 480, 480)).toBe(48);
});

test('indentation narrows beyond depth 8', () => {
  expect(indentOf(1)).toBe(12);
  expect(indentOf(8)).toBe(96);
  expect(indentOf(10)).toBe(104);
});

test('a bar is cut at the window, or tells its side', () => {
  expect(placeBar(0, 10, { from: 0, to: 100 })).toEqual({ off: null, left: 0, width: 0.1 });
  expect(placeBar(-50, 200, { from: 0, to: 100 })).toEqual({ off: null, left: 0, width: 1 });
  expect(placeBar(0, 10, { from: 20, to: 100 }).off).toBe('left');
  expect(placeBar(110, 120, { from: 20, to: 100 }).off).toBe('right');
  expect(placeBar(50, 50, { from: 0, to: 100 })).toEqual({ off: null, left: 0.5, width: 0 });
});

test('windows stay inside the trace and never become empty', () => {
  expect(clampWindow({ from: -10, to: 50 }, 100_000)).toEqual({ from: 0, to: 100 });
  expect(clampWindow({ from: 99_990, to: 100_090 }, 100_000)).toEqual({ from: 99_900, to: 100_000 });
  expect(clampWindow({ from: -1, to: 200_000 }, 100_000)).toBeNull();
  expect(clampWindow({ from: 50_000, to: 50_000 }, 100_000)).toEqual({ from: 50_000, to: 50_100 });
  expect(clampWindow({ from: 0, to: 10 }, 0)).toBeNull();
});

test('zooming keeps the anchor in place', () => {
  const zoomed = zoomWindow({ from: 0, to: 100_000 }, 0.5, 0.2, 100_000)!;
  expect(zoomed).toEqual({ from: 10_000, to: 60_000 });
  expect(zoomed.from + 0.2 * (zoomed.to - zoomed.from)).toBe(20_000);
  expect(zoomWindow(zoomed, 4, 0.5, 100_000)).toBeNull();
  expect(panWindow(zoomed, 0.2, 100_000)).toEqual({ from: 20_000, to: 70_000 });
  expect(panWindow(zoomed, 9, 100_000)).toEqual({ from: 50_000, to: 100_000 });
});

test("a parent's own parts are what no child covers", () => {
  // initdb 45.1..48.1, Apply config 48.2..49.2, Create users 49.3..49.8 within 45.022..53.022.
  expect(selfParts(tree, at('Initialize database'), full, 1)).toEqual([
    { from: 45.022 * S, to: 45.1 * S },
    { from: 48.1 * S, to: 48.2 * S },
    { from: 49.2 * S, to: 49.3 * S },
    { from: 49.8 * S, to: 53.022 * S },
  ]);
  expect(selfParts(tree, at('initdb'), full, 1)).toEqual([{ from: 45.1 * S, to: 48.1 * S }]);
});

test('children that overlap leave no part between them', () => {
  expect(selfParts(tree, 0, full, 1)).toEqual([]);
});

test('own parts sum up to the self time the server sends', () => {
  for (const spec of [CREATE_INSTANCE, FAILOVER]) {
    const loaded = decodeTrace(buildWireTrace(spec));
    const columns = buildTree(loaded);
    const everything = fullWindow(Number(loaded.durationNano));
    loaded.spans.forEach((span, index) => {
      if (span.placeholder) return;
      const sum = selfParts(columns, index, everything, 0).reduce((total, part) => total + part.to - part.from, 0);
      expect(sum, span.name).toBe(Number(span.selfTimeNano));
    });
  }
});

test('own parts are cut at the window, and those below a pixel left out', () => {
  const index = at('Initialize database');
  expect(selfParts(tree, index, { from: 50 * S, to: 51 * S }, 1)).toEqual([{ from: 50 * S, to: 51 * S }]);
  expect(selfParts(tree, index, full, 0.2 * S)).toEqual([{ from: 49.8 * S, to: 53.022 * S }]);
});

test.each([
  [{ from: 0, to: 83.5 * S }, ['0', '10 s', '20 s', '30 s', '40 s', '50 s', '60 s', '70 s', '80 s']],
  [{ from: 0, to: 4.8e6 }, ['0', '1 ms', '2 ms', '3 ms', '4 ms']],
  [{ from: 45.1 * S, to: 45.5 * S }, ['45.1 s', '45.2 s', '45.3 s', '45.4 s', '45.5 s']],
  [{ from: 0, to: 3600 * S }, ['0', '10 min', '20 min', '30 min', '40 min', '50 min', '1 h']],
  [{ from: 3600 * S, to: 3 * 3600 * S }, ['1 h', '1:30 h', '2 h', '2:30 h', '3 h']],
])('ticks of %j', (window, labels) => {
  const wanted = labels.length > 5 ? 9 : 5;
  const ticks = axisTicks(window, wanted);
  expect(ticks.map((tick) => tick.label.replaceAll('\u2009', ' '))).toEqual(labels);
  for (const tick of ticks) expect(tick.at >= 0 && tick.at <= 1.000001).toBe(true);
});

test('ticks are few at any width', () => {
  for (let width = 100; width < 1e16; width *= 7) {
    expect(axisTicks({ from: 0, to: width }, 8).length, String(width)).toBeLessThanOrEqual(10);
  }
});
