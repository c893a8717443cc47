import { afterEach, expect, test, vi } from 'vitest';
import { CREATE_INSTANCE, FAILOVER, largeTrace, SQL } from '../../tests/support/traces';
import { buildWireTrace, summaryOf } from '../../tests/support/wire-builder';
import { DEFAULT_LIST } from '../model/url';
import { ApiError, fetchSearch, fetchServices, fetchTrace, otlpUrl, searchParameters } from './client';
import { decodeTrace, decodeValue } from './decode';
import type { WireValue } from './wire';

const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;

afterEach(() => vi.unstubAllGlobals());

/** Answers the next fetches with `body`, and tells what was asked for. */
function answer(body: unknown, status = 200): ReturnType<typeof vi.fn> {
  const fetched = vi.fn(async () => new Response(typeof body === 'string' ? body : JSON.stringify(body), { status }));
  vi.stubGlobal('fetch', fetched);
  return fetched;
}

const never = new AbortController().signal;

test('the stored fixtures are what the builder makes', async () => {
  const traces = [CREATE_INSTANCE, SQL, FAILOVER].map(buildWireTrace);
  const [createInstance, sql, failover] = traces;
  await expect(json(createInstance)).toMatchFileSnapshot('../../tests/fixtures/api/create-instance.json');
  await expect(json(sql)).toMatchFileSnapshot('../../tests/fixtures/api/sql.json');
  await expect(json(failover)).toMatchFileSnapshot('../../tests/fixtures/api/failover.json');
  await expect(json({ total: 3, traces: traces.map(summaryOf) })).toMatchFileSnapshot('../../tests/fixtures/api/search.json');
});

test('CreateInstance: 83.5 s though its steps add up to more', async () => {
  answer(buildWireTrace(CREATE_INSTANCE));
  const trace = await fetchTrace(CREATE_INSTANCE.traceId, never);
  expect(trace.durationNano).toBe(83_500_000_000n);
  expect(trace.root).toMatchObject({ name: 'CreateInstance', service: 'control-api' });
  const steps = trace.spans.filter((span) => span.depth === 1);
  expect(steps.map((span) => [span.name, span.durationNano])).toEqual([
    ['API validation', 2_000_000n],
    ['Quota check', 5_000_000n],
    ['Schedule placement', 15_000_000n],
    ['Allocate resources', 45_000_000_000n],
    ['Initialize database', 8_000_000_000n],
    ['Setup replication', 30_000_000_000n],
    ['Register endpoints', 2_000_000_000n],
  ]);
  expect(steps.reduce((sum, span) => sum + span.durationNano, 0n)).toBe(85_022_000_000n);
});

test('the SQL statement: 4.8 ms', () => {
  const trace = decodeTrace(buildWireTrace(SQL));
  expect(trace.durationNano).toBe(4_800_000n);
  expect(trace.spans.find((span) => span.name === 'Execute')!.durationNano).toBe(2_400_000n);
  expect(trace.spans.find((span) => span.name === 'PostgreSQL query execution')!.selfTimeNano).toBe(0n);
});

test('a placeholder has neither resource nor scope, and the trace no root', () => {
  const trace = decodeTrace(buildWireTrace(FAILOVER));
  expect(trace.complete).toBe(false);
  expect(trace.root).toBeNull();
  expect(trace.spans[0]).toMatchObject({ placeholder: true, resource: null, scope: null, name: '' });
  expect(trace.warnings).toEqual([
    { code: 'missing_parent', spanId: trace.spans[0]!.spanId, message: expect.stringContaining('was not received') },
  ]);
});

test('nanoseconds beyond 2^53 arrive exactly', () => {
  const wire = buildWireTrace(CREATE_INSTANCE);
  wire.spans[0]!.start_unix_nano = '1763928000123456789';
  expect(decodeTrace(wire).spans[0]!.startUnixNano).toBe(1_763_928_000_123_456_789n);
});

test.each<[WireValue | undefined, unknown]>([
  [{ stringValue: '' }, ''],
  [{ intValue: '9223372036854775807' }, 9_223_372_036_854_775_807n],
  [{ intValue: 5 }, 5n],
  [{ boolValue: false }, false],
  [{ doubleValue: 0.5 }, 0.5],
  [{ doubleValue: 'NaN' }, Number.NaN],
  [{ doubleValue: '-Infinity' }, Number.NEGATIVE_INFINITY],
  [{ bytesValue: 'AAE=' }, { base64: 'AAE=' }],
  [{ arrayValue: {} }, []],
  [{ arrayValue: { values: [{ intValue: '1' }, {}] } }, [1n, null]],
  [{ kvlistValue: { values: [{ key: 'a', value: { boolValue: true } }] } }, { entries: [{ key: 'a', value: true }] }],
  [{}, null],
  [undefined, null],
])('OTLP value %j', (wire, value) => {
  expect(decodeValue(wire)).toEqual(value);
});

test('the list asks in the words of the API, and leaves out what it does not want', () => {
  expect(searchParameters(DEFAULT_LIST)).toEqual([['start', 'now-1h'], ['limit', '50'], ['order', 'newest']]);
  const all = searchParameters({
    ...DEFAULT_LIST,
    to: 'now-5m',
    service: 'agent',
    operation: 'initdb',
    minDuration: '1s',
    minSpanDuration: '5ms',
    errorsOnly: true,
    rootsOnly: true,
    order: 'slowest',
    limit: 20,
  });
  expect(Object.fromEntries(all)).toEqual({
    start: 'now-1h', end: 'now-5m', service: 'agent', operation: 'initdb', error: 'true',
    min_span_duration: '5ms', min_duration: '1s', root: 'true', limit: '20', order: 'slowest',
  });
});

test('a search is one relative request, its answer is decoded', async () => {
  const fetched = answer({ total: 1284, traces: [summaryOf(buildWireTrace(FAILOVER))] });
  const result = await fetchSearch({ ...DEFAULT_LIST, operation: 'a b&c' }, never);
  expect(fetched.mock.calls[0]![0]).toBe('api/v1/search?start=now-1h&operation=a+b%26c&limit=50&order=newest');
  expect(result.total).toBe(1284);
  expect(result.traces[0]).toMatchObject({ root: null, first: { name: 'detect' }, errorCount: 2, durationNano: 21_000_000_000n });
  expect(otlpUrl('ab')).toBe('api/v1/traces/ab/otlp');
});

test('services and their operations', async () => {
  answer({ services: [{ name: 'agent', span_count: 3, error_count: 1, last_seen_unix_nano: '1', operations: [{ name: 'initdb', span_count: 2 }] }] });
  expect(await fetchServices(never)).toEqual([{ name: 'agent', spanCount: 3, errorCount: 1, operations: [{ name: 'initdb', spanCount: 2 }] }]);
});

test("a problem document's own words reach the reader", async () => {
  answer({ type: 'about:blank', title: 'Not Found', status: 404, detail: 'no span of trace 0af7 is kept' }, 404);
  const failure = await fetchTrace('0af7', never).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(ApiError);
  expect(failure).toMatchObject({ status: 404, title: 'Not Found', message: 'no span of trace 0af7 is kept' });
});

test('an error page that is no problem document still has its status', async () => {
  answer('<html>Bad Gateway</html>', 502);
  await expect(fetchServices(never)).rejects.toMatchObject({ status: 502, message: 'The server answered with status 502.' });
});

test('no answer at all is told apart from a request that was given up', async () => {
  vi.stubGlobal('fetch', async () => Promise.reject(new TypeError('failed to fetch')));
  await expect(fetchServices(never)).rejects.toMatchObject({ status: 0, title: 'No answer' });
  await expect(fetchServices(AbortSignal.abort())).rejects.toBeInstanceOf(TypeError);
});

test('100,000 spans are decoded in a moment', () => {
  const wire = buildWireTrace(largeTrace(100_000));
  const began = performance.now();
  const trace = decodeTrace(wire);
  expect(trace.spans).toHaveLength(100_000);
  // Ten times what was measured: this catches a quadratic step, not a slow machine.
  expect(performance.now() - began).toBeLessThan(4000);
});
