/**
 * The UI as a person meets it: a real server with the demo's traces, a real browser. Set SPANHOLD_URL to the server.
 */

import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { WireSearch, WireTrace } from '../src/api/wire';
import { largeTrace } from '../tests/support/traces';
import { buildWireTrace } from '../tests/support/wire-builder';
import { accessibilityViolations, api, launch, listTotal, openPage, screenshot, tracePageState, type WatchedPage } from './browser';

/** The demo sends past data too; nothing it sends is older. */
const EVER = 'from=now-30d';
/**
 * What has come to rest: the demo goes on sending while the tests look, so whatever is counted twice and compared is
 * counted up to three minutes ago. No workflow that the demo plays live takes longer.
 */
const RESTED = {
  start: new Date(Date.now() - 30 * 86_400_000).toISOString(),
  end: new Date(Date.now() - 180_000).toISOString(),
};
const RESTED_LIST = `from=${RESTED.start}&to=${RESTED.end}`;
const NARROW_SPACES = /[\u2009\u202f]/g;

let browser: Browser;
let watched: WatchedPage;
let page: Page;

/** A trace of the demo by its root's name and exact duration. */
async function referenceTrace(name: string, durationNano: string): Promise<string> {
  const query = new URLSearchParams({ start: 'now-30d', operation: name, root: 'true', limit: '1000' });
  const found = await api<WireSearch>(`/api/v1/search?${query}`);
  const trace = found.traces.find((candidate) => candidate.duration_nano === durationNano);
  if (!trace) throw new Error(`none of ${found.total} traces of ${name} lasts ${durationNano} ns: is the demo running?`);
  return trace.trace_id;
}

const createInstance = () => referenceTrace('CreateInstance', '83500000000');

/** The text of a row of the waterfall, its spaces made plain. */
async function rowText(name: string): Promise<string> {
  const row = page.locator('[role=treegrid] [data-span]').filter({ has: page.getByText(name, { exact: true }) }).first();
  return ((await row.locator('.duration').textContent()) ?? '').replace(NARROW_SPACES, ' ');
}

async function openTrace(traceId: string, query = ''): Promise<void> {
  await page.goto(`/trace/${traceId}${query}`);
  await page.getByRole('treegrid').waitFor();
}

beforeAll(async () => {
  browser = await launch();
});

afterAll(async () => {
  await browser?.close();
});

beforeEach(async () => {
  watched = await openPage(browser);
  page = watched.page;
});

afterEach(async () => {
  await watched.context.close();
  // Every test is also the test that no page asks another host, throws, or breaks the content security policy.
  expect(watched.complaints).toEqual([]);
});

describe('the list', () => {
  test('shows the traces that the server has, and says how many of them', async () => {
    await page.goto(`/traces?${EVER}&limit=20`);
    const total = await listTotal(page);
    const rows = await page.locator('tbody tr').count();
    expect(total).toBeGreaterThan(0);
    expect(rows).toBe(Math.min(20, total));
    if (total > 20) expect(await page.getByTestId('total').textContent()).toMatch(/Showing the newest 20 of [\d,]+ matching traces/);
  });

  test('filters change the URL and the answer', async () => {
    await page.goto(`/traces?${RESTED_LIST}`);
    const all = await listTotal(page);

    await page.getByLabel('Operation').fill('CreateInstance');
    await page.getByLabel('Operation').press('Enter');
    await page.waitForURL(/operation=CreateInstance/);
    const some = await listTotal(page);
    expect(some).toBeGreaterThan(0);
    expect(some).toBeLessThan(all);
    for (const text of await page.locator('tbody .operation').allTextContents()) expect(text).toContain('CreateInstance');

    await page.getByLabel('Trace at least').fill('1 h');
    await page.getByLabel('Trace at least').press('Enter');
    await page.waitForURL(/min_duration=1h/);
    expect(await listTotal(page)).toBe(0);
    expect(await page.getByText('No traces match').isVisible()).toBe(true);

    await page.goBack();
    expect(page.url()).not.toContain('min_duration');
    expect(await listTotal(page)).toBe(some);
    expect(await page.getByLabel('Trace at least').inputValue()).toBe('');
  });

  test('slowest first, errors only, by service: each agrees with the server', async () => {
    await page.goto(`/traces?${RESTED_LIST}`);
    await listTotal(page);
    await page.getByLabel('Order').selectOption('slowest');
    await page.waitForURL(/order=slowest/);
    await listTotal(page);
    const slowest = await api<WireSearch>(`/api/v1/search?${new URLSearchParams({ ...RESTED, order: 'slowest', limit: '1' })}`);
    expect(await page.locator('tbody a').first().getAttribute('href')).toContain(slowest.traces[0]!.trace_id);

    await page.getByLabel('Only errors').check();
    await page.waitForURL(/errors=1/);
    await listTotal(page);
    for (const text of await page.locator('tbody tr td:nth-child(6)').allTextContents()) expect(text).toContain('✖');

    const service = await page.getByLabel('Service').locator('option').nth(1).textContent();
    await page.getByLabel('Service').selectOption(service);
    await page.waitForURL(/service=/);
    const total = await listTotal(page);
    const query = new URLSearchParams({ ...RESTED, error: 'true', service: service! });
    expect(total).toBe((await api<WireSearch>(`/api/v1/search?${query}`)).total);
  });

  test('a duration that is none is refused and does not reach the URL', async () => {
    await page.goto(`/traces?${EVER}`);
    await listTotal(page);
    await page.getByLabel('Span at least').fill('soon');
    await page.getByLabel('Span at least').press('Enter');
    expect(await page.getByRole('alert').textContent()).toContain('A duration is a number and a unit');
    expect(page.url()).not.toContain('min_span_duration');
  });

  test("the server's refusal is shown in its own words", async () => {
    await page.route('**/api/v1/search?*', (route) =>
      route.fulfill({
        status: 404,
        contentType: 'application/problem+json',
        body: JSON.stringify({ type: 'about:blank', title: 'Not Found', status: 404, detail: 'the words of the server' }),
      }),
    );
    await page.goto('/traces');
    expect(await page.getByRole('alert').textContent()).toContain('the words of the server');
    await page.unroute('**/api/v1/search?*');
    await page.getByRole('button', { name: 'Try again' }).click();
    await listTotal(page);
    expect(await page.getByRole('alert').count()).toBe(0);
  });

  test('live asks again by itself', async () => {
    let asked = 0;
    page.on('request', (request) => {
      if (request.url().includes('/api/v1/search')) asked++;
    });
    await page.goto(`/traces?${EVER}`);
    await listTotal(page);
    expect(asked).toBe(1);
    await page.getByRole('button', { name: 'Live' }).click();
    await page.waitForURL(/live=1/);
    await expect.poll(() => asked, { timeout: 15_000 }).toBeGreaterThan(2);
  });

  test('Back from a trace finds the list where it was left', async () => {
    await page.goto(`/traces?${RESTED_LIST}&limit=100`);
    if ((await listTotal(page)) < 40) throw new Error('too few traces to scroll: is the demo running?');
    const region = page.getByRole('region', { name: 'Matching traces' });
    await region.evaluate((element) => element.scrollTo(0, 300));
    await page.locator('tbody a').nth(15).click();
    await page.getByRole('treegrid').waitFor();
    await page.goBack();
    await expect.poll(() => region.evaluate((element) => element.scrollTop)).toBe(300);
  });

  test('j moves through the rows, Enter opens', async () => {
    await page.goto(`/traces?${EVER}`);
    await listTotal(page);
    await page.keyboard.press('j');
    await page.keyboard.press('j');
    const second = await page.locator('tbody a').nth(1).getAttribute('href');
    await page.keyboard.press('Enter');
    await page.getByRole('treegrid').waitFor();
    expect(new URL(page.url()).pathname).toBe(second);
  });
});

describe('a trace', () => {
  test('CreateInstance opens from the list with the duration of every step', async () => {
    const traceId = await createInstance();
    await page.goto(`/traces?${EVER}&operation=CreateInstance&limit=1000`);
    await listTotal(page);
    await page.locator(`tbody a[href$="${traceId}"]`).click();
    await page.getByRole('treegrid').waitFor();
    expect(await page.getByRole('heading', { level: 1 }).textContent()).toBe('CreateInstance');
    expect((await page.getByTestId('trace-duration').textContent())!.replace(NARROW_SPACES, ' ')).toBe('83.5 s');
    const steps: [name: string, duration: string][] = [
      ['API validation', '2 ms'],
      ['Quota check', '5 ms'],
      ['Schedule placement', '15 ms'],
      ['Allocate resources', '45 s'],
      ['Create PVC', '3 s'],
      ['Create StatefulSet', '2 s'],
      ['Wait for Pod ready', '40 s'],
      ['Initialize database', '8 s'],
      ['initdb', '3 s'],
      ['Apply config', '1 s'],
      ['Create users', '500 ms'],
      ['Setup replication', '30 s'],
      ['Register endpoints', '2 s'],
    ];
    for (const [name, duration] of steps) expect(await rowText(name), name).toBe(duration);
  });

  test('the SQL statement: 4.8 ms, on an axis of milliseconds', async () => {
    await openTrace(await referenceTrace('SELECT * FROM users WHERE id = 42', '4800000'));
    expect(await rowText('Connection pool acquire')).toBe('1 ms');
    expect(await rowText('Plan')).toBe('500 µs');
    expect(await rowText('Execute')).toBe('2.4 ms');
    expect(await page.locator('.header .axis').textContent()).toContain('ms');
  });

  test('a span opens with its attributes and events', async () => {
    const traceId = await createInstance();
    const trace = await api<WireTrace>(`/api/v1/traces/${traceId}`);
    const span = trace.spans.find((candidate) => candidate.attributes.length > 0 && candidate.depth > 0) ?? trace.spans[0]!;
    await openTrace(traceId);
    await page.locator(`[data-span="${span.span_id}"]`).click();
    const details = page.getByRole('complementary', { name: 'Span details' });
    await details.waitFor();
    await page.waitForURL(new RegExp(`span=${span.span_id}`));
    const text = (await details.textContent())!;
    expect(text).toContain(span.name);
    for (const attribute of span.attributes) expect(text).toContain(attribute.key);
    for (const event of span.events) expect(text).toContain(event.name);

    await page.keyboard.press('Escape');
    await details.waitFor({ state: 'detached' });
    await expect.poll(() => page.url()).not.toContain('span=');
  });

  test('an error and its exception are one key away', async () => {
    const failed = await api<WireSearch>('/api/v1/search?start=now-30d&error=true&limit=200');
    expect(failed.total).toBeGreaterThan(0);
    await openTrace(failed.traces[0]!.trace_id);
    await page.keyboard.press('e');
    const active = await page.getByRole('treegrid').getAttribute('aria-activedescendant');
    expect(await page.locator(`#${active}`).textContent()).toContain('Error:');
    await page.keyboard.press('Enter');
    expect(await page.getByRole('complementary', { name: 'Span details' }).textContent()).toContain('✖ error');
  });

  test('a deep link, reloaded, brings back the same page', async () => {
    await openTrace(await createInstance());
    await page.keyboard.press('Home');
    await page.getByLabel('Find in this trace').fill('create');
    await page.getByLabel('Find in this trace').press('Enter');
    await page.getByLabel('Find in this trace').press('Escape');
    await page.keyboard.press('n');
    await page.getByRole('treegrid').focus();
    await page.keyboard.press('Enter');
    await page.keyboard.press('z');
    await page.keyboard.press('s');
    await page.keyboard.press('ArrowUp');
    await page.locator('[data-span]', { hasText: 'Initialize database' }).locator('.caret').click();
    await expect.poll(() => page.url()).toMatch(/span=.*&z=.*&find=create&fold=/);

    const before = await tracePageState(page);
    await page.reload();
    await page.getByRole('treegrid').waitFor();
    expect(await tracePageState(page)).toEqual(before);
  });

  test('the keyboard folds, walks and zooms', async () => {
    await openTrace(await createInstance());
    const grid = page.getByRole('treegrid');
    const rows = page.locator('[data-span]');
    const all = await rows.count();
    await grid.focus();
    await page.keyboard.press('Home');
    await page.keyboard.press('ArrowLeft');
    expect(await rows.count()).toBe(1);
    expect(await rows.first().getAttribute('aria-expanded')).toBe('false');
    await page.keyboard.press('ArrowRight');
    expect(await rows.count()).toBe(all);
    await page.keyboard.press('{');
    expect(await rows.count()).toBe(1);
    await page.keyboard.press('}');
    expect(await rows.count()).toBe(all);
    await page.keyboard.press('ArrowDown');
    expect(await grid.getAttribute('aria-activedescendant')).toBe('span-1');

    await page.keyboard.press('w');
    await expect.poll(() => page.url()).toContain('z=');
    await page.keyboard.press('0');
    await expect.poll(() => page.url()).not.toContain('z=');
    await page.keyboard.press('?');
    expect(await page.getByRole('dialog').isVisible()).toBe(true);
    await page.keyboard.press('Escape');
    await page.keyboard.press('g');
    await page.keyboard.press('t');
    await page.waitForURL(/\/traces/);
  });

  test('dragging on the overview zooms to that part', async () => {
    await openTrace(await createInstance());
    const box = (await page.locator('.minimap').boundingBox())!;
    await page.mouse.move(box.x + box.width * 0.25, box.y + 30);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.5, box.y + 30, { steps: 4 });
    await page.mouse.up();
    await expect.poll(() => page.url()).toContain('z=');
    const [from, to] = /z=(\d+)\.\.(\d+)/.exec(page.url())!.slice(1).map(Number);
    expect(from! / 83.5e9).toBeCloseTo(0.25, 1);
    expect(to! / 83.5e9).toBeCloseTo(0.5, 1);
    await page.locator('.minimap').dblclick();
    await expect.poll(() => page.url()).not.toContain('z=');
  });

  test('its id opens it from any page, in any spelling', async () => {
    const traceId = await createInstance();
    const uuid = traceId.toUpperCase().replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
    await page.goto('/nowhere');
    await page.getByRole('heading', { name: 'There is no page here' }).waitFor();
    await page.keyboard.press('Control+k');
    await page.keyboard.type('not an id');
    await page.keyboard.press('Enter');
    expect(await page.getByRole('alert').textContent()).toContain('32 hex digits');
    await page.getByLabel('Trace id').fill(uuid);
    await page.keyboard.press('Enter');
    await page.getByRole('treegrid').waitFor();
    expect(new URL(page.url()).pathname).toBe(`/trace/${traceId}`);
  });

  test('one that is not kept says so', async () => {
    await page.goto(`/trace/${'0'.repeat(31)}1`);
    const alert = page.getByRole('alert');
    await alert.waitFor();
    expect(await alert.textContent()).toMatch(/\(404\)/);
  });

  test('its OTLP JSON can be downloaded', async () => {
    const traceId = await createInstance();
    await openTrace(traceId);
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByText('OTLP JSON').click()]);
    expect(download.suggestedFilename()).toBe(`${traceId}.otlp.json`);
  });
});

test('100,000 spans stay usable', async () => {
  const large = buildWireTrace(largeTrace(100_000));
  await page.route(`**/api/v1/traces/${large.trace_id}`, (route) => route.fulfill({ json: large }));
  await openTrace(large.trace_id);
  const rows = page.locator('[data-span]');
  expect(await page.getByRole('treegrid').getAttribute('aria-rowcount')).toBe('100001');
  expect(await rows.count()).toBeLessThan(90);

  // The last row is a key press away, and so is folding everything; neither may take seconds.
  const began = Date.now();
  await page.getByRole('treegrid').focus();
  await page.keyboard.press('End');
  await page.locator('#span-99999').waitFor();
  expect(await rows.count()).toBeLessThan(90);
  await page.keyboard.press('[');
  await expect.poll(() => page.getByRole('treegrid').getAttribute('aria-rowcount')).toBe('1002');
  // With everything folded there is nothing to scroll; the last error's row must first come to be.
  await page.keyboard.press('{');
  await expect.poll(() => page.getByRole('treegrid').getAttribute('aria-rowcount')).toBe('2');
  await page.keyboard.press('E');
  const active = async () => page.locator(`#${await page.getByRole('treegrid').getAttribute('aria-activedescendant')}`);
  await expect.poll(async () => (await active()).textContent({ timeout: 100 }).catch(() => '')).toContain('Error:');
  expect(await (await active()).evaluate((row) => row.getBoundingClientRect().bottom <= innerHeight)).toBe(true);
  await page.keyboard.press('w');
  await page.keyboard.press('w');
  expect(Date.now() - began).toBeLessThan(5000);
  await screenshot(page, 'large');
});

describe.each(['light', 'dark'] as const)('%s', (theme) => {
  beforeEach(async () => {
    await watched.context.close();
    watched = await openPage(browser, theme);
    page = watched.page;
  });

  test('the list is accessible', async () => {
    await page.goto(`/traces?${EVER}`);
    await listTotal(page);
    await screenshot(page, `list-${theme}`);
    expect(await accessibilityViolations(page)).toEqual([]);
    await page.goto(`/traces?${EVER}&min_duration=1000h`);
    await listTotal(page);
    expect(await accessibilityViolations(page)).toEqual([]);
  });

  test('a trace is accessible, with details and help open too', async () => {
    await openTrace(await createInstance());
    await screenshot(page, `trace-${theme}`);
    expect(await accessibilityViolations(page)).toEqual([]);
    const failed = await api<WireSearch>('/api/v1/search?start=now-30d&error=true&limit=1');
    await openTrace(failed.traces[0]!.trace_id);
    await page.keyboard.press('e');
    await page.keyboard.press('Enter');
    await page.getByLabel('Find in this trace').fill('e');
    await page.getByTestId('match-count').waitFor();
    await screenshot(page, `span-${theme}`);
    expect(await accessibilityViolations(page)).toEqual([]);
    await page.getByRole('button', { name: 'Keyboard shortcuts' }).click();
    await screenshot(page, `help-${theme}`);
    expect(await accessibilityViolations(page)).toEqual([]);
  });

  test('errors and unknown pages are accessible', async () => {
    await page.goto(`/trace/${'0'.repeat(31)}1`);
    await page.getByRole('alert').waitFor();
    expect(await accessibilityViolations(page)).toEqual([]);
    await page.goto('/nowhere');
    await page.getByRole('heading', { name: 'There is no page here' }).waitFor();
    expect(await accessibilityViolations(page)).toEqual([]);
  });
});

test('the theme follows the system until one is chosen, and the choice is kept', async () => {
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.goto('/traces');
  const light = await ground();
  await page.emulateMedia({ colorScheme: 'dark' });
  const dark = await ground();
  expect(dark).not.toBe(light);
  await page.getByRole('button', { name: 'Theme: system' }).click();
  expect(await ground()).toBe(light);
  await page.reload();
  await page.getByRole('button', { name: 'Theme: light' }).click();
  await page.emulateMedia({ colorScheme: 'light' });
  expect(await ground()).toBe(dark);
});

test('times are local or UTC, as chosen', async () => {
  await page.goto(`/traces?${EVER}`);
  await listTotal(page);
  const start = page.locator('td.start').first();
  const local = await start.textContent();
  await page.getByRole('button', { name: 'Local time' }).click();
  const utc = await start.textContent();
  // The browser of the tests lives in Berlin.
  const hours = (Date.parse(`${local!.replace(' ', 'T')}Z`) - Date.parse(`${utc!.replace(' ', 'T')}Z`)) / 3_600_000;
  expect([1, 2]).toContain(hours);
});
