/** The layers of the README, held to: imports look down, and only `api/client.ts` fetches. */

import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

const SRC = resolve(import.meta.dirname, '../src');

/** What each layer may import from, itself included. */
const MAY_IMPORT: Record<string, string[]> = {
  views: ['views', 'state', 'api', 'model'],
  state: ['state', 'api', 'model'],
  api: ['api', 'model'],
  model: ['model'],
};

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter(
  (path) => /\.(ts|svelte)$/.test(path) && !path.endsWith('.test.ts') && path.includes('/'),
);

test.each(files)('%s imports only from its layer and below', (path) => {
  const text = readFileSync(join(SRC, path), 'utf8');
  const layer = path.split('/')[0]!;
  for (const [, target] of text.matchAll(/from '(\.[^']+)'/g)) {
    const imported = relative(SRC, resolve(SRC, path, '..', target!)).split('/')[0]!;
    expect(MAY_IMPORT[layer], `${path} imports ${target}`).toContain(imported);
  }
});

test('only the API client fetches', () => {
  const fetching = files.filter((path) => /\bfetch\(|XMLHttpRequest|EventSource|WebSocket/.test(readFileSync(join(SRC, path), 'utf8')));
  expect(fetching).toEqual(['api/client.ts']);
});

test('no source names another host', () => {
  const named = files.filter((path) => /https?:\/\/(?!www\.w3\.org\/)/.test(readFileSync(join(SRC, path), 'utf8')));
  expect(named).toEqual([]);
});
