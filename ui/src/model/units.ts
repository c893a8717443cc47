/**
 * Durations and counts as text, and durations typed by people.
 *
 * Owns the rules of `83.5 s`, `4.93 ms`, `612 µs`: three significant digits, a thin space before the unit, minutes
 * and hours written out in two parts. Never rounds to a unit that would read as zero.
 */

/** U+2009, between a number and its unit. */
export const THIN_SPACE = '\u2009';

const NANOS_PER_MICRO = 1e3;
const NANOS_PER_MILLI = 1e6;
const NANOS_PER_SECOND = 1e9;
const NANOS_PER_MINUTE = 60e9;
const NANOS_PER_HOUR = 3600e9;
const NANOS_PER_DAY = 86_400e9;

/** From here on a duration is written in minutes and seconds: below, `83.5 s` reads better than `1 min 23.5 s`. */
const MINUTES_FROM = 2 * NANOS_PER_MINUTE;

/**
 * A duration for the eye, from nanoseconds.
 *
 * A `bigint` beyond 2^53 ns (104 days) loses nanoseconds on the way, which three digits do not show.
 */
export function formatDuration(nanos: bigint | number): string {
  const value = Number(nanos);
  if (value < 0) return `−${formatDuration(-value)}`;
  if (value < NANOS_PER_MICRO) return `${Math.round(value)}${THIN_SPACE}ns`;
  // A value that rounds up to the next unit's 1 belongs to the next unit: 999.9 µs is "1 ms".
  if (roundTo3(value / NANOS_PER_MICRO) < 1000) return `${threeDigits(value / NANOS_PER_MICRO)}${THIN_SPACE}µs`;
  if (roundTo3(value / NANOS_PER_MILLI) < 1000) return `${threeDigits(value / NANOS_PER_MILLI)}${THIN_SPACE}ms`;
  if (value < MINUTES_FROM) return `${threeDigits(value / NANOS_PER_SECOND)}${THIN_SPACE}s`;

  const seconds = Math.round(value / NANOS_PER_SECOND);
  if (value < NANOS_PER_HOUR) return twoParts(Math.floor(seconds / 60), 'min', seconds % 60, 's');
  const minutes = Math.round(value / NANOS_PER_MINUTE);
  if (value < NANOS_PER_DAY) return twoParts(Math.floor(minutes / 60), 'h', minutes % 60, 'min');
  const hours = Math.round(value / NANOS_PER_HOUR);
  return twoParts(Math.floor(hours / 24), 'd', hours % 24, 'h');
}

/** All digits of a duration in its natural unit, for tooltips and the detail panel: `83.500 000 001 s`. */
export function formatDurationExactly(nanos: bigint): string {
  return `${nanos.toString().replace(/\B(?=(\d{3})+$)/g, THIN_SPACE)}${THIN_SPACE}ns`;
}

function roundTo3(value: number): number {
  return Number(value.toPrecision(3));
}

function threeDigits(value: number): string {
  // toPrecision may answer "1.20e+3"; values here are below 1000 after rounding, or whole seconds up to 119.
  return String(roundTo3(value));
}

function twoParts(big: number, bigUnit: string, small: number, smallUnit: string): string {
  const head = `${big}${THIN_SPACE}${bigUnit}`;
  return small === 0 ? head : `${head} ${small}${THIN_SPACE}${smallUnit}`;
}

const DURATION_INPUT = /^(\d+(?:\.\d+)?|\.\d+)\s*(ns|us|µs|μs|ms|s|m|min|h)$/;

const NANOS_PER_UNIT: Record<string, number> = {
  ns: 1,
  us: NANOS_PER_MICRO,
  ms: NANOS_PER_MILLI,
  s: NANOS_PER_SECOND,
  m: NANOS_PER_MINUTE,
  h: NANOS_PER_HOUR,
};

/**
 * A duration as a person types it (`250ms`, `1.5 s`, `2 min`, `500µs`), in the one spelling the server and the URL use.
 * Null if it is none.
 */
export function normaliseDuration(text: string): string | null {
  const match = DURATION_INPUT.exec(text.trim().toLowerCase());
  if (!match) return null;
  const unit = match[2]!.replace(/^[µμ]s$/, 'us').replace(/^min$/, 'm');
  return `${Number(match[1])}${unit}`;
}

/** Nanoseconds of a normalised duration, or null. */
export function durationNanos(text: string): number | null {
  const normal = normaliseDuration(text);
  if (normal === null) return null;
  const unit = /[a-z]+$/.exec(normal)![0];
  return Number.parseFloat(normal) * NANOS_PER_UNIT[unit]!;
}

const COUNT_FORMAT = new Intl.NumberFormat('en');

/** A count with thousands separators: `1,284`. */
export function formatCount(count: number): string {
  return COUNT_FORMAT.format(count);
}

/** `1 span`, `2 spans`. */
export function formatNoun(count: number, noun: string, plural = `${noun}s`): string {
  return `${formatCount(count)} ${count === 1 ? noun : plural}`;
}

/** A share of a whole in percent, or `<1 %` for what would round to nothing. */
export function formatShare(part: bigint, whole: bigint): string {
  if (whole <= 0n || part <= 0n) return `0${THIN_SPACE}%`;
  const percent = (Number(part) / Number(whole)) * 100;
  return percent < 1 ? `<1${THIN_SPACE}%` : `${Math.round(percent)}${THIN_SPACE}%`;
}

/** A fraction in percent: whole percents from 10 on, one digit below, `<0.1 %` for what would round to nothing. */
export function formatPercent(share: number): string {
  if (share < 0) return `−${formatPercent(-share)}`;
  const percent = share * 100;
  if (percent === 0) return `0${THIN_SPACE}%`;
  if (percent < 0.1) return `<0.1${THIN_SPACE}%`;
  // 99.97 % must not read as all.
  const digits = percent < 10 || (percent > 99 && percent < 100) ? 1 : 0;
  const shown = percent > 99.9 && percent < 100 ? '99.9' : String(Number(percent.toFixed(digits)));
  return `${shown}${THIN_SPACE}%`;
}

/** How often something happens, in the unit in which it reads best: `14/h`, `2.5/s`. */
export function formatRate(perSecond: number): string {
  const [value, unit] = perSecond >= 1 ? [perSecond, 's'] : perSecond * 60 >= 1 ? [perSecond * 60, 'min'] : perSecond * 3600 >= 1 ? [perSecond * 3600, 'h'] : [perSecond * 86_400, 'd'];
  const shown = value >= 100 ? formatCount(Math.round(value)) : String(roundTo3(Number(value.toFixed(2))));
  return `${shown}/${unit}`;
}

/** A duration, or a dash where it is not known: unknown is not 0. */
export function formatKnown(nanos: bigint | null): string {
  return nanos === null ? '–' : formatDuration(nanos);
}

/** A change of a duration with its sign. */
export function formatSignedDuration(nanos: bigint): string {
  return nanos > 0n ? `+${formatDuration(nanos)}` : formatDuration(nanos);
}
