import { expect, test } from 'vitest';
import {
  formatTime,
  fromInputValue,
  isRelative,
  LONG_TIME_PRESETS,
  rangeAround,
  resolveTime,
  TIME_PRESETS,
  toInputValue,
  toRfc3339,
} from './time';

const NOW = Date.UTC(2026, 10, 23, 20, 37, 7);

test('a time in UTC, to the millisecond or as far as its clock went', () => {
  const nano = BigInt(NOW) * 1_000_000n + 123_456_000n;
  expect(formatTime(nano, 'utc')).toBe('2026-11-23 20:37:07.123');
  expect(formatTime(nano, 'utc', 'seconds')).toBe('2026-11-23 20:37:07');
  expect(formatTime(nano, 'utc', 'all')).toBe('2026-11-23 20:37:07.123456');
  expect(formatTime(nano + 7n, 'utc', 'all')).toBe('2026-11-23 20:37:07.123456007');
  expect(formatTime(BigInt(NOW) * 1_000_000n, 'utc', 'all')).toBe('2026-11-23 20:37:07.000');
});

test('what a date field holds comes back as the same time, in either zone', () => {
  for (const zone of ['utc', 'local'] as const) {
    expect(fromInputValue(toInputValue(NOW, zone), zone)).toBe('2026-11-23T20:37:07Z');
  }
});

test('an unfinished date field is no time', () => {
  expect(fromInputValue('', 'utc')).toBeNull();
  expect(fromInputValue('2026-11-', 'utc')).toBeNull();
  expect(fromInputValue('2026-13-45T00:00', 'utc')).toBeNull();
});

test('relative times move with now, absolute ones do not', () => {
  expect(resolveTime('now', NOW)).toBe(NOW);
  expect(resolveTime('now-15m', NOW)).toBe(NOW - 15 * 60_000);
  expect(resolveTime('now-7d', NOW)).toBe(NOW - 7 * 86_400_000);
  expect(resolveTime('2026-11-23T20:00:00Z', NOW)).toBe(Date.UTC(2026, 10, 23, 20));
  expect(resolveTime('yesterday', NOW)).toBeNull();
  expect(isRelative('now-1h')).toBe(true);
  expect(isRelative('2026-11-23T20:00:00Z')).toBe(false);
});

test('every preset is a relative time', () => {
  for (const preset of [...TIME_PRESETS, ...LONG_TIME_PRESETS]) expect(isRelative(preset.from), preset.from).toBe(true);
});

test('whole seconds have no fraction', () => {
  expect(toRfc3339(NOW)).toBe('2026-11-23T20:37:07Z');
  expect(toRfc3339(NOW + 5)).toBe('2026-11-23T20:37:07.005Z');
});

test('around a trace is an hour before and after it', () => {
  const start = BigInt(NOW) * 1_000_000n;
  expect(rangeAround(start, start + 60_000_000_000n)).toEqual({ from: '2026-11-23T19:37:07Z', to: '2026-11-23T21:38:07Z' });
});
