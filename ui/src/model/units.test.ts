import { expect, test } from 'vitest';
import {
  durationNanos,
  formatCount,
  formatDuration,
  formatDurationExactly,
  formatKnown,
  formatNoun,
  formatPercent,
  formatRate,
  formatShare,
  formatSignedDuration,
  normaliseDuration,
} from './units';

const plain = (text: string) => text.replaceAll('\u2009', ' ');

test.each([
  [0n, '0 ns'],
  [999n, '999 ns'],
  [1_000n, '1 µs'],
  [612_345n, '612 µs'],
  [999_900n, '1 ms'],
  [4_800_000n, '4.8 ms'],
  [4_934_000n, '4.93 ms'],
  [999_999_999n, '1 s'],
  [83_500_000_000n, '83.5 s'],
  [119_400_000_000n, '119 s'],
  [120_000_000_000n, '2 min'],
  [312_000_000_000n, '5 min 12 s'],
  [3_600_000_000_000n, '1 h'],
  [5_400_000_000_000n, '1 h 30 min'],
  [90_000_000_000_000n, '1 d 1 h'],
  [-2_000_000n, '−2 ms'],
])('%s ns reads as %s', (nanos, text) => {
  expect(plain(formatDuration(nanos))).toBe(text);
});

test('no duration of a real unit reads as zero', () => {
  for (let nanos = 1; nanos < 1e13; nanos *= 3) expect(plain(formatDuration(nanos))).not.toMatch(/^0/);
});

test('an exact duration keeps every nanosecond, also beyond 2^53', () => {
  expect(plain(formatDurationExactly(9_007_199_254_740_993n))).toBe('9 007 199 254 740 993 ns');
});

test.each([
  ['250ms', '250ms'],
  [' 1.5 s ', '1.5s'],
  ['2 min', '2m'],
  ['500µs', '500us'],
  ['.5S', '0.5s'],
  ['007ms', '7ms'],
])('typed %s is %s', (typed, normal) => {
  expect(normaliseDuration(typed)).toBe(normal);
});

test.each(['', '5', 'ms', '-1s', '1 fortnight', '1.2.3s', '1s2'])('typed %j is no duration', (typed) => {
  expect(normaliseDuration(typed)).toBeNull();
});

test('a duration has nanoseconds', () => {
  expect(durationNanos('1.5s')).toBe(1.5e9);
  expect(durationNanos('500us')).toBe(5e5);
  expect(durationNanos('soon')).toBeNull();
});

test('counts, nouns and shares', () => {
  expect(formatCount(1_284)).toBe('1,284');
  expect(formatNoun(1, 'span')).toBe('1 span');
  expect(formatNoun(0, 'span')).toBe('0 spans');
  expect(plain(formatShare(40n, 83n))).toBe('48 %');
  expect(plain(formatShare(1n, 1000n))).toBe('<1 %');
  expect(plain(formatShare(0n, 1000n))).toBe('0 %');
  expect(plain(formatShare(1n, 0n))).toBe('0 %');
});

test.each([
  [0, '0 %'],
  [0.0003, '<0.1 %'],
  [0.021, '2.1 %'],
  [0.905, '91 %'],
  [0.9997, '99.9 %'],
  [1, '100 %'],
  [-0.12, '−12 %'],
])('a share of %s reads as %s', (share, text) => {
  expect(plain(formatPercent(share))).toBe(text);
});

test.each([
  [910, '910/s'],
  [2.5, '2.5/s'],
  [0.5, '30/min'],
  [14 / 3600, '14/h'],
  [3 / 86_400, '3/d'],
])('%s a second reads as %s', (perSecond, text) => {
  expect(formatRate(perSecond)).toBe(text);
});

test('a duration that is not known is a dash, a change has its sign', () => {
  expect(formatKnown(null)).toBe('–');
  expect(plain(formatKnown(0n))).toBe('0 ns');
  expect(plain(formatSignedDuration(2_000_000n))).toBe('+2 ms');
  expect(plain(formatSignedDuration(-2_000_000n))).toBe('−2 ms');
});
