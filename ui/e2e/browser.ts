/** The browser that the end-to-end tests look through, and what they ask of every page. */

import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';

export type Theme = 'light' | 'dark';

/** Debian's Chromium; the flags keep it from talking to anyone but the server under test. */
const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** The server under test: running, with the demo's traces. */
export function serverUrl(): URL {
  const url = process.env['SPANHOLD_URL'];
  if (!url) throw new Error('set SPANHOLD_URL to a running `spanhold serve` that `spanhold demo` has fed, e.g. http://127.0.0.1:4319');
  return new URL(url);
}

/** What the server itself says, to hold a page against. */
export async function api<T>(path: string): Promise<T> {
  const response = await fetch(new URL(path, serverUrl()));
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}

/** Sends spans, in OTLP's JSON, as the service `control-plane`. Resolves when the server has answered for them. */
export async function send(spans: object[]): Promise<void> {
  const url = process.env['SPANHOLD_OTLP_URL'];
  if (!url) throw new Error('set SPANHOLD_OTLP_URL to where that server takes OTLP over HTTP, e.g. http://127.0.0.1:4318');
  const resource = { attributes: [{ key: 'service.name', value: { stringValue: 'control-plane' } }] };
  const response = await fetch(new URL('/v1/traces', url), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ resourceSpans: [{ resource, scopeSpans: [{ spans }] }] }),
  });
  if (!response.ok) throw new Error(`spans were refused: ${response.status} ${await response.text()}`);
}

/** A text with its narrow spaces made plain, and every run of blanks one space. */
export function plain(text: string | null | undefined): string {
  return (text ?? '').replace(/[\s\u2009\u202f]+/g, ' ').trim();
}

/** Waits until everything that the page asked for is answered. */
export async function answered(page: Page): Promise<void> {
  await page.waitForFunction(() => {
    const answers = [...document.querySelectorAll('[data-testid=answer]')];
    return answers.length > 0 && answers.every((answer) => answer.getAttribute('aria-busy') === 'false');
  });
}

export async function launch(): Promise<Browser> {
  return chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
}

/** A page that writes down every request to another host and every error, for `complaints`. */
export interface WatchedPage {
  page: Page;
  context: BrowserContext;
  /** What no page may do: talk to others, throw, log errors (broken content security policy included). */
  complaints: string[];
}

export async function openPage(browser: Browser, theme: Theme = 'light'): Promise<WatchedPage> {
  const context = await browser.newContext({
    baseURL: serverUrl().href,
    colorScheme: theme,
    viewport: { width: 1440, height: 860 },
    timezoneId: 'Europe/Berlin',
    permissions: ['clipboard-read', 'clipboard-write'],
  });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.protocol !== 'data:' && url.protocol !== 'blob:' && url.origin !== serverUrl().origin) complaints.push(`request to ${url}`);
  });
  page.on('pageerror', (error) => complaints.push(`thrown: ${error.message}`));
  page.on('console', (message) => {
    // A 404 the page explains to the reader is also logged by the browser itself.
    if (message.type() === 'error' && !message.text().includes('status of 404')) complaints.push(`logged: ${message.text()}`);
  });
  return { page, context, complaints };
}

/** Waits until the list has the answer to its latest question; returns the total it shows. */
export async function listTotal(page: Page): Promise<number> {
  await page.waitForFunction(() => document.querySelector('[data-testid=results]')?.getAttribute('aria-busy') === 'false');
  return Number(await page.getByTestId('total').getAttribute('data-total'));
}

/** Violations of WCAG 2.2 A and AA, and of axe's best practices, one line each. */
export async function accessibilityViolations(page: Page): Promise<string[]> {
  await page.evaluate(axeSource);
  return page.evaluate(async () => {
    const axe = (globalThis as unknown as { axe: typeof import('axe-core') }).axe;
    const result = await axe.run(document, {
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
    });
    return result.violations.flatMap((violation) =>
      violation.nodes.map((node) => `${violation.id}: ${node.target.join(' ')}: ${node.failureSummary ?? ''}`),
    );
  });
}

/** Everything of a trace page that its URL must bring back: rows, folds, bars, window, details, search. */
export async function tracePageState(page: Page): Promise<unknown> {
  return page.evaluate(() => ({
    rows: [...document.querySelectorAll('[role=treegrid] [data-span]')].map((row) => ({
      span: row.getAttribute('data-span'),
      expanded: row.getAttribute('aria-expanded'),
      selected: row.getAttribute('aria-selected'),
      classes: [...row.classList].sort(),
      html: row.innerHTML,
      transform: (row as HTMLElement).style.transform,
    })),
    active: document.querySelector('[role=treegrid]')?.getAttribute('aria-activedescendant'),
    window: document.querySelector('.minimap .part')?.getAttribute('style') ?? null,
    find: document.querySelector<HTMLInputElement>('#find')?.value,
    details: document.querySelector('aside')?.textContent ?? null,
  }));
}

/** Takes a picture when SPANHOLD_SCREENSHOTS names a folder: for people to look at, never compared. */
export async function screenshot(page: Page, name: string): Promise<void> {
  const folder = process.env['SPANHOLD_SCREENSHOTS'];
  if (folder) await page.screenshot({ path: `${folder}/${name}.png` });
}
