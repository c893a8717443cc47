/**
 * Points in time: written for people in UTC or local time, read from what people and URLs say.
 *
 * Never reads the clock: whoever needs "now" passes it in.
 */

export type Zone = 'utc' | 'local';

const NANOS_PER_MILLI = 1_000_000n;

/** `2026-11-23 20:37:07.123`; with `'all'`, six or nine digits where the sender's clock had them; with `'seconds'`, none. */
export function formatTime(unixNano: bigint, zone: Zone, precision: 'seconds' | 'millis' | 'all' = 'millis'): string {
  const millis = Number(unixNano / NANOS_PER_MILLI);
  const { year, month, day, hour, minute, second } = parts(millis, zone);
  const whole = `${year}-${month}-${day} ${hour}:${minute}:${second}`;
  if (precision === 'seconds') return whole;
  const fraction = (unixNano % 1_000_000_000n).toString().padStart(9, '0');
  const shown = precision === 'millis' ? fraction.slice(0, 3) : fraction.replace(/(000){1,2}$/, '');
  return `${whole}.${shown}`;
}

/** What a `datetime-local` field holds: `2026-11-23T20:37:07`. */
export function toInputValue(unixMillis: number, zone: Zone): string {
  const { year, month, day, hour, minute, second } = parts(unixMillis, zone);
  return `${year}-${month}-${day}T${hour}:${minute}:${second}`;
}

/** The RFC 3339 time (in UTC) that a `datetime-local` field means in `zone`, or null for an unfinished field. */
export function fromInputValue(text: string, zone: Zone): string | null {
  if (!/^\d{4,}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?$/.test(text)) return null;
  // A date-time string without an offset is local time by definition; with Z it is UTC.
  const date = new Date(zone === 'utc' ? `${text}Z` : text);
  return Number.isNaN(date.getTime()) ? null : toRfc3339(date.getTime());
}

/** Whole seconds where possible: `2026-11-23T20:37:07Z`. */
export function toRfc3339(unixMillis: number): string {
  return new Date(unixMillis).toISOString().replace('.000Z', 'Z');
}

const RELATIVE = /^now(?:-(\d+)(ms|s|m|h|d))?$/;
const MILLIS_PER_UNIT: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Whether `text` is `now` or `now-15m`: such a time moves, so a list over it can be live. */
export function isRelative(text: string): boolean {
  return RELATIVE.test(text);
}

/** A time of the URL (`now-1h`, RFC 3339) as Unix milliseconds, or null if it is neither. */
export function resolveTime(text: string, nowMillis: number): number | null {
  const match = RELATIVE.exec(text);
  if (match) {
    return match[1] === undefined ? nowMillis : nowMillis - Number(match[1]) * MILLIS_PER_UNIT[match[2]!]!;
  }
  if (!/^\d{4}-\d\d-\d\dT/.test(text)) return null;
  const millis = Date.parse(text);
  return Number.isNaN(millis) ? null : millis;
}

/** An hour before `startUnixNano` to an hour after `endUnixNano`, as the URL has times: what is around a trace. */
export function rangeAround(startUnixNano: bigint, endUnixNano: bigint): { from: string; to: string } {
  const millis = (unixNano: bigint) => Number(unixNano / NANOS_PER_MILLI);
  const hour = MILLIS_PER_UNIT['h']!;
  return { from: toRfc3339(millis(startUnixNano) - hour), to: toRfc3339(millis(endUnixNano) + hour) };
}

export interface TimePreset {
  from: string;
  label: string;
}

/** The ranges offered by name; each ends now. */
export const TIME_PRESETS: readonly TimePreset[] = [
  { from: 'now-5m', label: 'Last 5 minutes' },
  { from: 'now-15m', label: 'Last 15 minutes' },
  { from: 'now-1h', label: 'Last hour' },
  { from: 'now-6h', label: 'Last 6 hours' },
  { from: 'now-24h', label: 'Last 24 hours' },
  { from: 'now-7d', label: 'Last 7 days' },
  { from: 'now-30d', label: 'Last 30 days' },
];

/** Those offered where single events are few: failovers are a matter of months. */
export const LONG_TIME_PRESETS: readonly TimePreset[] = [
  { from: 'now-24h', label: 'Last 24 hours' },
  { from: 'now-7d', label: 'Last 7 days' },
  { from: 'now-30d', label: 'Last 30 days' },
  { from: 'now-90d', label: 'Last 90 days' },
  { from: 'now-365d', label: 'Last 365 days' },
];

function parts(millis: number, zone: Zone) {
  const date = new Date(millis);
  const two = (value: number) => String(value).padStart(2, '0');
  if (zone === 'utc') {
    return {
      year: String(date.getUTCFullYear()).padStart(4, '0'),
      month: two(date.getUTCMonth() + 1),
      day: two(date.getUTCDate()),
      hour: two(date.getUTCHours()),
      minute: two(date.getUTCMinutes()),
      second: two(date.getUTCSeconds()),
    };
  }
  return {
    year: String(date.getFullYear()).padStart(4, '0'),
    month: two(date.getMonth() + 1),
    day: two(date.getDate()),
    hour: two(date.getHours()),
    minute: two(date.getMinutes()),
    second: two(date.getSeconds()),
  };
}
