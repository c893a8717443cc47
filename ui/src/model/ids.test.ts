import { expect, test } from 'vitest';
import { parsePastedId } from './ids';

const ID = '0af7651916cd43dd8448eb211c80319c';

test.each([
  ID,
  ID.toUpperCase(),
  ` ${ID}\n`,
  `"${ID}"`,
  '0af76519-16cd-43dd-8448-eb211c80319c',
  '0AF76519-16CD-43DD-8448-EB211C80319C',
  '0af76519 16cd43dd 8448eb21 1c80319c',
])('%j is the trace', (text) => {
  expect(parsePastedId(text)).toEqual({ traceId: ID, spanId: null });
});

test('a traceparent header names the span too', () => {
  expect(parsePastedId(`00-${ID}-b7ad6b7169203331-01`)).toEqual({ traceId: ID, spanId: 'b7ad6b7169203331' });
});

test.each(['', 'abc', ID.slice(1), `${ID}0`, ID.replace('0', 'g'), '0'.repeat(32)])('%j is no trace id', (text) => {
  expect(parsePastedId(text)).toBeNull();
});
