import { expect, test } from 'vitest';
import { ApiError } from '../api/client';
import { Fetched } from './fetched.svelte';

test('the data of the last good answer stays while a new one is on its way, and when that fails', async () => {
  const fetched = new Fetched<string>();
  await fetched.run(async () => 'first');
  let fail: (error: unknown) => void = () => {};
  const running = fetched.run(() => new Promise((_, reject) => (fail = reject)));
  expect(fetched.loading).toBe(true);
  expect(fetched.data).toBe('first');
  fail(new ApiError(503, 'Unavailable', 'try later'));
  await running;
  expect(fetched.loading).toBe(false);
  expect(fetched.data).toBe('first');
  expect(fetched.error?.status).toBe(503);
  await fetched.run(async () => 'second');
  expect(fetched.error).toBeUndefined();
  expect(fetched.data).toBe('second');
});

test('a slow answer to an old question never replaces the answer to the new one', async () => {
  const fetched = new Fetched<string>();
  let answerOld: (data: string) => void = () => {};
  let oldSignal: AbortSignal | undefined;
  const old = fetched.run((signal) => {
    oldSignal = signal;
    return new Promise((resolve) => (answerOld = resolve));
  });
  await fetched.run(async () => 'new');
  expect(oldSignal?.aborted).toBe(true);
  answerOld('old');
  await old;
  expect(fetched.data).toBe('new');
  expect(fetched.loading).toBe(false);
});

test('an answer that cannot be read is an error, not a crash', async () => {
  const fetched = new Fetched<string>();
  await fetched.run(async () => {
    throw new SyntaxError('Unexpected token');
  });
  expect(fetched.error?.title).toBe('Unreadable answer');
});
