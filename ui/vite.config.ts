import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

// A running server for `npm run dev`; the built UI never needs this.
const server = process.env['SPANHOLD_URL'] ?? 'http://127.0.0.1:4319';

export default defineConfig({
  plugins: [svelte()],
  // Relative to `<base href>` in index.html, which a server behind a path prefix rewrites.
  base: './',
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    // Young enough for light-dark() in CSS; older targets make the minifier rewrite it.
    target: ['chrome123', 'firefox120', 'safari17.5'],
    // Inlined assets would need `data:` in the content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { '/api': server } },
  test: { include: ['src/**/*.test.ts', 'tests/**/*.test.ts'], environment: 'node' },
});
