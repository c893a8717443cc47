/**
 * Attribute values as text, and attributes sorted into groups for the detail panel.
 */

import type { Attribute, Span, SpanEvent, Value } from './trace';

/** A value as a person would write it. Lists and maps look like JSON; bytes are named, not shown. */
export function valueText(value: Value): string {
  if (value === null) return '';
  if (typeof value === 'object') return nestedText(value);
  return String(value);
}

function nestedText(value: Value): string {
  if (value === null) return 'null';
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value !== 'object') return String(value);
  if (Array.isArray(value)) return `[${value.map(nestedText).join(', ')}]`;
  if ('base64' in value) return `base64:${value.base64}`;
  return `{${value.entries.map((entry) => `${JSON.stringify(entry.key)}: ${nestedText(entry.value)}`).join(', ')}}`;
}

/** The OTLP type, for the reader who wonders whether `1` is a number. */
export function valueType(value: Value): string {
  if (value === null) return 'empty';
  if (typeof value === 'bigint') return 'int';
  if (typeof value === 'number') return 'double';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'string') return 'string';
  if (Array.isArray(value)) return 'array';
  return 'base64' in value ? 'bytes' : 'kvlist';
}

/** Text that wants a block of its own: several lines, or long. */
export function isLongText(text: string): boolean {
  return text.length > 120 || text.includes('\n');
}

export interface AttributeGroup {
  /** The first part of the keys (`k8s` of `k8s.pod.name`), empty for keys without a dot. */
  prefix: string;
  attributes: Attribute[];
}

/** Prefixes that answer "which database is it?" and so stand first. */
const LEADING_PREFIXES = ['dbaas', 'db'];

/** Attributes by prefix: the database's own first, then by name; within a group by key. */
export function groupByPrefix(attributes: readonly Attribute[]): AttributeGroup[] {
  const groups = new Map<string, Attribute[]>();
  for (const attribute of attributes) {
    const dot = attribute.key.indexOf('.');
    const prefix = dot > 0 ? attribute.key.slice(0, dot) : '';
    const group = groups.get(prefix);
    if (group) group.push(attribute);
    else groups.set(prefix, [attribute]);
  }
  return [...groups]
    .map(([prefix, members]) => ({ prefix, attributes: members.sort((a, b) => compare(a.key, b.key)) }))
    .sort((a, b) => rank(a.prefix) - rank(b.prefix) || compare(a.prefix, b.prefix));
}

function rank(prefix: string): number {
  const place = LEADING_PREFIXES.indexOf(prefix);
  if (place >= 0) return place;
  return prefix === '' ? LEADING_PREFIXES.length + 1 : LEADING_PREFIXES.length;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The attributes whose `key=value` contains `text`, whatever the case. */
export function filterAttributes(attributes: readonly Attribute[], text: string): readonly Attribute[] {
  const needle = text.trim().toLowerCase();
  if (needle === '') return attributes;
  return attributes.filter((attribute) => findText(attribute).toLowerCase().includes(needle));
}

/** How an attribute is written in the find box: `key=value`. */
export function findText(attribute: Attribute): string {
  return `${attribute.key}=${valueText(attribute.value)}`;
}

/** An event that records an exception, by OpenTelemetry's semantic conventions. */
export interface ExceptionEvent {
  type: string;
  message: string;
  stacktrace: string;
}

/** The exception an event records, or null. */
export function exceptionOf(event: SpanEvent): ExceptionEvent | null {
  if (event.name !== 'exception') return null;
  const text = (key: string) => valueText(event.attributes.find((attribute) => attribute.key === key)?.value ?? null);
  return { type: text('exception.type'), message: text('exception.message'), stacktrace: text('exception.stacktrace') };
}

/** The database's id, if the span names one by any of the names in use. */
export function instanceOf(span: Span): string {
  for (const key of ['dbaas.instance.id', 'db.instance.id']) {
    const found = span.attributes.find((attribute) => attribute.key === key);
    if (found) return valueText(found.value);
  }
  return '';
}
