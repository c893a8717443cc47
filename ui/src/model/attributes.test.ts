import { expect, test } from 'vitest';
import { exceptionOf, filterAttributes, findText, groupByPrefix, isLongText, valueText, valueType } from './attributes';
import type { Attribute, Value } from './trace';

const attribute = (key: string, value: Value = 'x'): Attribute => ({ key, value });

test.each<[text: string, type: string, value: Value]>([
  ['pg-7f2', 'string', 'pg-7f2'],
  ['9223372036854775807', 'int', 9_223_372_036_854_775_807n],
  ['8.29', 'double', 8.29],
  ['NaN', 'double', Number.NaN],
  ['true', 'bool', true],
  ['', 'empty', null],
  ['["pg_ctl", 2]', 'array', ['pg_ctl', 2n]],
  ['base64:AAE=', 'bytes', { base64: 'AAE=' }],
  ['{"a": 1, "b": [null]}', 'kvlist', { entries: [attribute('a', 1n), attribute('b', [null])] }],
])('%s is written for a %s', (text, type, value) => {
  expect(valueText(value)).toBe(text);
  expect(valueType(value)).toBe(type);
});

test('groups: the database first, keys without a prefix last', () => {
  const groups = groupByPrefix(['http.method', 'replicas', 'k8s.pod.name', 'dbaas.plan', 'db.system', 'dbaas.engine'].map((key) => attribute(key)));
  expect(groups.map((group) => group.prefix)).toEqual(['dbaas', 'db', 'http', 'k8s', '']);
  expect(groups[0]!.attributes.map((member) => member.key)).toEqual(['dbaas.engine', 'dbaas.plan']);
});

test('the filter looks at key and value', () => {
  const all = [attribute('k8s.pod.name', 'pg-7f2-0'), attribute('replicas', 2n)];
  expect(filterAttributes(all, 'PG-7')).toEqual([all[0]]);
  expect(filterAttributes(all, 'replicas=2')).toEqual([all[1]]);
  expect(filterAttributes(all, '  ')).toBe(all);
  expect(findText(all[1]!)).toBe('replicas=2');
});

test('an exception event by the semantic conventions', () => {
  const event = { timeUnixNano: 1n, name: 'exception', droppedAttributesCount: 0, attributes: [attribute('exception.type', 'TimeoutError'), attribute('exception.message', 'too late')] };
  expect(exceptionOf(event)).toEqual({ type: 'TimeoutError', message: 'too late', stacktrace: '' });
  expect(exceptionOf({ ...event, name: 'Pulled' })).toBeNull();
});

test('several lines or many letters want a block', () => {
  expect(isLongText('SELECT 1')).toBe(false);
  expect(isLongText('SELECT\n1')).toBe(true);
  expect(isLongText('x'.repeat(121))).toBe(true);
});
