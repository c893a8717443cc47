import { expect, test } from 'vitest';
import { decodeTrace } from '../api/decode';
import { CREATE_INSTANCE, FAILOVER } from '../../tests/support/traces';
import { buildWireTrace } from '../../tests/support/wire-builder';
import { SpanFinder } from './find';

const instance = decodeTrace(buildWireTrace(CREATE_INSTANCE));
const names = (text: string, trace = instance) => Array.from(new SpanFinder(trace).find(text), (index) => trace.spans[index]!.name);

test.each([
  ['wait for pod', ['Wait for Pod ready']],
  ['SCHEDULER', ['Schedule placement']],
  ['k8s.pod.name=pg-7f2-0', ['Wait for Pod ready']],
  ['replicas=2', ['CreateInstance']],
  ['pulled', ['Wait for Pod ready']],
  ['nothing like it', []],
  ['', []],
  ['   ', []],
])('find %j', (text, found) => {
  expect(names(text)).toEqual(found);
});

test('a status message and a span id are found too', () => {
  const failover = decodeTrace(buildWireTrace(FAILOVER));
  expect(names('exit status', failover)).toEqual(['pg_ctl promote']);
  expect(names(failover.spans[1]!.spanId, failover)).toEqual(['detect']);
});
