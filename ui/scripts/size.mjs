// Checks the build against the size budget of the UI. Run after `npm run build`; exits with 1 when it is exceeded.

import { readdirSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const KB = 1000;
const BUDGET = { 'initial JS': 110 * KB, 'all JS': 150 * KB, CSS: 15 * KB };

const dist = new URL('../dist/', import.meta.url);
const gzipped = (path) => gzipSync(readFileSync(new URL(path, dist)), { level: 9 }).length;

const page = readFileSync(new URL('index.html', dist), 'utf8');
const initial = [...page.matchAll(/(?:src|href)="\.\/(assets\/[^"]+\.js)"/g)].map((match) => match[1]);
if (initial.length === 0) throw new Error('dist/index.html names no script: is the build complete?');
const assets = readdirSync(new URL('assets/', dist)).map((name) => `assets/${name}`);

const sum = (paths) => paths.reduce((total, path) => total + gzipped(path), 0);
const sizes = {
  'initial JS': sum(initial),
  'all JS': sum(assets.filter((path) => path.endsWith('.js'))),
  CSS: sum(assets.filter((path) => path.endsWith('.css'))),
};

let exceeded = false;
for (const [what, size] of Object.entries(sizes)) {
  const over = size > BUDGET[what];
  exceeded ||= over;
  console.log(`${what}: ${(size / KB).toFixed(1)} kB gzip of ${BUDGET[what] / KB} kB${over ? '  EXCEEDED' : ''}`);
}
process.exit(exceeded ? 1 : 0);
