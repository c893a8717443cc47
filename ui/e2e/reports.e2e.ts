/**
 * Operations, failovers and runs as a person meets them, held against what the server itself answers. Needs a server with
 * the history of `spanhold demo --profile ctl` (scripts/e2e.sh).
 */

import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type {
  WireBreakdown,
  WireFailoverDetail,
  WireFailoverGroup,
  WireFailoverReport,
  WireOperations,
  WireRuns,
  WireTimeline,
} from '../src/api/wire-reports';
import { formatDuration, formatKnown, formatPercent } from '../src/model/units';
import { accessibilityViolations, answered, api, launch, openPage, plain, screenshot, send, type WatchedPage } from './browser';

/** Whole minutes that have come to rest, so that the page and the server count the same. */
const MINUTE = 60_000;
const END = new Date(Math.floor(Date.now() / MINUTE) * MINUTE - 5 * MINUTE);
const HOUR = 60 * MINUTE;
const time = (at: Date) => at.toISOString().replace('.000Z', 'Z');
const FROM = time(new Date(END.getTime() - 30 * 24 * HOUR));
const TO = time(END);
const PERIOD = `from=${FROM}&to=${TO}`;
const ASKED = `start=${FROM}&end=${TO}`;

let browser: Browser;
let watched: WatchedPage;
let page: Page;

/** A duration as the page writes it, its spaces plain. */
const duration = (nano: string | null) => plain(formatKnown(nano === null ? null : BigInt(nano)));

async function open(path: string): Promise<void> {
  await page.goto(path);
  await answered(page);
}

async function cells(row: Locator): Promise<string[]> {
  return (await row.locator('th, td').allTextContents()).map(plain);
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
  expect(watched.complaints).toEqual([]);
});

describe('operations', () => {
  test('stand by class with the figures of the server', async () => {
    const answer = await api<WireOperations>(`/api/v1/operations?${ASKED}&limit=1000`);
    expect(answer.operations.length).toBeGreaterThan(3);
    await open(`/operations?${PERIOD}`);
    expect(plain(await page.getByRole('status').first().textContent())).toMatch(new RegExp(`^${answer.total} operations`));
    for (const operation of answer.operations.slice(0, 5)) {
      const link = page.locator('a[data-row]', { hasText: new RegExp(`^${escape(operation.name)}$`) });
      const rows = page.locator(`tbody[data-class="${operation.class}"] tr`);
      const row = rows.filter({ has: link }).filter({ hasText: operation.service }).first();
      const text = await cells(row);
      expect(text[1]!.replaceAll(',', '')).toBe(String(operation.span_count));
      expect(text.slice(4, 9)).toEqual(
        [operation.p50_nano, operation.p95_nano, operation.p99_nano, operation.max_nano, operation.total_time_nano].map(duration),
      );
    }
  });

  test('are filtered by class, found by name and sorted by column, all in the URL', async () => {
    await open(`/operations?${PERIOD}`);
    await page.getByLabel('Class').selectOption('provisioning');
    await page.waitForURL(/class=provisioning/);
    await answered(page);
    await expect.poll(() => page.locator('tbody[data-class]').evaluateAll((bodies) => bodies.map((body) => body.getAttribute('data-class')))).toEqual(['provisioning']);
    await page.getByRole('button', { name: 'Operation' }).click();
    await page.waitForURL(/sort=name/);
    const names = await page.locator('a[data-row]').allTextContents();
    expect(names).toEqual([...names].sort());
    await page.getByLabel('Find').fill('createinstance');
    await expect.poll(() => page.url()).toContain('find=createinstance');
    for (const name of await page.locator('a[data-row]').allTextContents()) expect(name.toLowerCase()).toContain('createinstance');
    await page.reload();
    await answered(page);
    expect(await page.getByLabel('Find').inputValue()).toBe('createinstance');
  });

  test('CreateInstance opens with its steps, whose self time adds up, each with a trace', async () => {
    await open(`/operations?${PERIOD}&class=provisioning&find=CreateInstance`);
    await page.locator('a[data-row]', { hasText: /^CreateInstance$/ }).first().click();
    await page.waitForURL(/\/operation\?/);
    await answered(page);
    const query = new URL(page.url()).searchParams;
    const asked = new URLSearchParams({ service: query.get('service')!, name: 'CreateInstance', start: FROM, end: TO });
    const answer = await api<WireBreakdown>(`/api/v1/operations/breakdown?${asked}`);
    const rows = page.getByTestId('steps').locator('tbody tr');
    // The first row is the operation itself.
    expect(await rows.count()).toBe(1 + answer.steps.filter((step) => step.figures !== null).length);
    const shares = [answer.operation, ...answer.steps].map((step) => step.figures?.share ?? 0);
    expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 2);
    const deepest = answer.steps.find((step) => step.path.length > 1 && step.figures !== null)!;
    const row = rows.filter({ hasText: deepest.path.at(-1)! }).first();
    const text = await cells(row);
    expect(text[0]).toMatch(/^level [3-9]/);
    expect(text.slice(5, 7)).toEqual([deepest.figures!.share, deepest.figures!.critical_share].map((share) => plain(formatPercent(share))));
    await row.getByRole('link').click();
    await page.getByRole('treegrid').waitFor();
  });

  test('what changed is what the server is certain of, the weightiest first', async () => {
    const half = time(new Date(END.getTime() - 36 * HOUR));
    const before = time(new Date(END.getTime() - 72 * HOUR));
    const list = await api<WireOperations>(`/api/v1/operations?start=${half}&end=${TO}&class=provisioning&limit=1000`);
    const operation = list.operations.find(({ name }) => name === 'CreateInstance') ?? list.operations[0]!;
    const names = new URLSearchParams({ service: operation.service, name: operation.name });
    const answer = await api<WireBreakdown>(
      `/api/v1/operations/breakdown?${names}&start=${half}&end=${TO}&baseline_start=${before}&baseline_end=${half}`,
    );
    const weight = (step: WireBreakdown['steps'][number]) => Math.abs(Number(step.change?.critical_time_per_operation_nano ?? 0));
    const certain = answer.steps
      .filter((step) => step.change?.is_significant && step.change.kind !== 'same')
      .sort((a, b) => weight(b) - weight(a));
    await open(`/operation?${names}&from=${half}&to=${TO}`);
    expect(plain(await page.getByTestId('operation-figures').textContent())).toContain(`p50 ${duration(answer.operation.figures!.p50_nano)} was`);
    const rows = page.getByTestId('changes').locator('tbody tr');
    expect(await rows.count()).toBe(certain.length);
    for (const [i, step] of certain.entries()) expect(await rows.nth(i).locator('th').getAttribute('title')).toBe(step.path.join(' › '));
    if (certain.length === 0) expect(await page.getByText('No step changed for certain').isVisible()).toBe(true);

    await page.getByLabel('Compared with').selectOption('none');
    await page.waitForURL(/baseline=none/);
    await answered(page);
    expect(await page.getByRole('heading', { name: 'What changed' }).count()).toBe(0);
  });

  test('by region, and what slow ones have in common', async () => {
    const list = await api<WireOperations>(`/api/v1/operations?${ASKED}&class=provisioning&limit=1000`);
    const names = new URLSearchParams({ service: list.operations[0]!.service, name: list.operations[0]!.name });
    const answer = await api<WireBreakdown>(`/api/v1/operations/breakdown?${names}&${ASKED}&by=region`);
    await open(`/operation?${names}&${PERIOD}`);
    await page.getByLabel('By value of').selectOption('region');
    await page.waitForURL(/by=region/);
    await answered(page);
    expect(await page.getByTestId('by-region').locator('tbody tr').count()).toBe(answer.values!.length);
    await page.getByRole('button', { name: 'Compare slow traces' }).click();
    await page.waitForURL(/slow=1/);
    const slow = page.getByTestId('slow');
    await slow.waitFor();
    expect(plain(await slow.textContent())).toMatch(/traces above the p95 of .* against .* others/);
  });
});

describe('failovers', () => {
  let report: WireFailoverReport;

  beforeEach(async () => {
    report = await api<WireFailoverReport>(`/api/v1/failovers?${ASKED}&slo=60s&slo_planned=10s&rows=failovers&limit=200`);
  });

  const groupOf = (isPlanned: boolean): WireFailoverGroup => report.groups.find((group) => group.is_planned === isPlanned)!;

  test('are told apart by kind, with the figures of the server', async () => {
    await open(`/failovers?${PERIOD}`);
    for (const [title, group] of [['Unplanned', groupOf(false)], ['Planned', groupOf(true)]] as const) {
      const row = page.getByTestId(`kind-${title}`).locator('tbody tr').first();
      const text = await cells(row);
      const { p50_nano, p90_nano, p95_nano, max_nano } = group.measures['write_unavailable']!;
      expect(text[1]).toMatch(new RegExp(`^${group.count}\\b`));
      expect(text.slice(5, 9)).toEqual([p50_nano, p90_nano, p95_nano, max_nano].map(duration));
      const met = group.attainment[0]!.met!;
      expect(text[9]).toContain(`${met.count} of ${met.total}`);
      expect(text[9]).toContain('95 % interval');
    }
    const known = plain(await page.getByTestId('completeness').textContent());
    expect(known).toContain(`${report.completeness.failovers} failovers, of which ${report.completeness.unfinished} unfinished`);
    expect(known).toContain('as of');
    expect(await page.getByTestId('each').locator('tbody tr').count()).toBe(report.failovers!.length);
  });

  test('are grouped as chosen, held against the objective that is typed, and refuse what is none', async () => {
    await open(`/failovers?${PERIOD}`);
    await page.getByLabel('Group by').selectOption('region');
    await page.waitForURL(/group_by=region/);
    await page.getByLabel('and by').selectOption('engine');
    await page.waitForURL(/group_by=region,engine/);
    await answered(page);
    const grouped = await api<WireFailoverReport>(`/api/v1/failovers?${ASKED}&group_by=region,engine`);
    const unplanned = grouped.groups.filter((group) => !group.is_planned);
    await expect.poll(() => page.getByTestId('kind-Unplanned').locator(':scope > tbody').count()).toBe(unplanned.length);

    await page.getByLabel('Objective, unplanned').fill('30s, 2 min');
    await page.getByLabel('Objective, unplanned').press('Enter');
    await page.waitForURL(/slo=30s,2m/);
    await answered(page);
    await expect.poll(async () => plain(await page.getByTestId('kind-Unplanned').locator(':scope > thead').textContent())).toContain('≤ 30 s');

    await page.getByLabel('Objective, planned').fill('soon');
    await page.getByLabel('Objective, planned').press('Enter');
    expect(await page.getByRole('alert').textContent()).toContain('An objective is one duration or two');
    expect(page.url()).not.toContain('slo_planned');

    await page.getByLabel('Kind').selectOption('planned');
    await page.waitForURL(/kind=planned/);
    await answered(page);
    await expect.poll(() => page.getByTestId('kind-Unplanned').count()).toBe(0);
    expect(await page.getByTestId('kind-Planned').count()).toBe(1);
  });

  test('the bar of a group is its mean failover, its objective is marked', async () => {
    await open(`/failovers?${PERIOD}`);
    const bar = page.getByTestId('kind-Unplanned').getByRole('img').first();
    const label = plain(await bar.getAttribute('aria-label'));
    expect(label).toContain('objective ≤ 60 s');
    const group = groupOf(false);
    for (const phase of group.phases) {
      const mean = BigInt(phase.total_nano) / BigInt(group.count);
      if (mean > 0n) expect(await bar.locator(`[data-phase=${phase.phase}]`).getAttribute('title')).toContain(formatDuration(mean));
    }
  });

  test('the report can be taken along as CSV and as Markdown', async () => {
    await open(`/failovers?${PERIOD}&group_by=region`);
    const take = async (name: string) => {
      const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name, exact: true }).click()]);
      return { name: download.suggestedFilename(), text: await readFile(await download.path(), 'utf8') };
    };
    const csv = await take('CSV');
    expect(csv.name).toBe('failovers.csv');
    expect(csv.text.split(/\r?\n/)[0]).toContain('region');
    const groups = (await api<WireFailoverReport>(`/api/v1/failovers?${ASKED}&group_by=region`)).groups;
    expect(csv.text.trim().split(/\r?\n/)).toHaveLength(1 + groups.length);
    const markdown = await take('Markdown');
    expect(markdown.name).toBe('failovers.md');
    expect(markdown.text).toMatch(/\|.*\|/);
  });

  test('one of the worst opens with its time line and the source of its T0', async () => {
    const worst = groupOf(false).worst[0]!;
    const detail = await api<WireFailoverDetail>(`/api/v1/failovers/${worst.run_id}`);
    await open(`/failovers?${PERIOD}`);
    await page.getByTestId('kind-Unplanned').locator(`a[href$="/failover/${worst.run_id}"]`).first().click();
    await page.waitForURL(new RegExp(`/failover/${worst.run_id}`));
    await answered(page);
    expect(plain(await page.getByTestId('t0-source').textContent())).toContain(detail.t0_source.replaceAll('_', ' '));
    expect(plain(await page.locator('[data-measure=writeUnavailable]').textContent())).toBe(duration(worst.write_unavailable_nano));
    const points = page.getByTestId('points').locator('tbody tr');
    expect(await points.count()).toBe(9);
    for (const [i, point] of detail.points.entries()) {
      const text = await cells(points.nth(i));
      expect(text[0]).toBe(point.point);
      expect(text[2] === 'not known').toBe(point.at_unix_nano === null);
    }
    const widths = await page.locator('.report > [data-testid=answer] > .bar .segment').evaluateAll((parts) => parts.map((part) => Number.parseFloat((part as HTMLElement).style.width)));
    expect(widths.reduce((sum, width) => sum + width, 0)).toBeCloseTo(100, 0);
    expect(await page.getByTestId('attempts').locator('tbody tr').count()).toBe(detail.parts.length);
    await page.getByTestId('phase-spans').getByRole('link').first().click();
    await page.getByRole('treegrid').waitFor();
    expect(page.url()).toContain(`span=${detail.spans[0]!.span_id}`);
  });

  test('a run that is none says so', async () => {
    await page.goto(`/failover/${'0'.repeat(31)}1-${'0'.repeat(15)}1`);
    expect(await page.getByRole('alert').textContent()).toContain('(404)');
  });
});

describe('runs', () => {
  /** One that has begun and one that has come to nothing for hours: whether the demo has some just now is chance. */
  beforeAll(async () => {
    const started = (minutesAgo: number) => {
      const start = `${BigInt(Date.now() - minutesAgo * MINUTE) * 1_000_000n}`;
      return {
        traceId: randomBytes(16).toString('hex'),
        spanId: randomBytes(8).toString('hex'),
        name: 'CreateInstance',
        startTimeUnixNano: start,
        endTimeUnixNano: start,
        attributes: [{ key: 'dbaas.span.state', value: { stringValue: 'started' } }],
      };
    };
    await send([started(1), started(5 * 60)]);
  });

  test('unfinished ones come first, each with what it is at', async () => {
    // Runs follow their spans by a moment.
    for (const state of ['running', 'stuck']) {
      await expect.poll(async () => (await api<WireRuns>(`/api/v1/runs?state=${state}`)).runs.length, { timeout: 10_000 }).toBeGreaterThan(0);
    }
    const [stuck, running] = await Promise.all(
      ['stuck', 'running'].map((state) => api<WireRuns>(`/api/v1/runs?state=${state}&limit=500`)),
    );
    await open('/runs');
    const rows = page.getByTestId('runs').locator('tbody tr');
    const unfinished = stuck!.runs.length + running!.runs.length;
    expect(unfinished).toBeGreaterThan(0);
    expect(await rows.count()).toBe(unfinished);

    await page.getByLabel('State').selectOption('all');
    await page.waitForURL(/state=all/);
    await answered(page);
    await expect.poll(() => rows.count()).toBeGreaterThan(unfinished);
    const states = await rows.evaluateAll((all) => all.map((row) => row.getAttribute('data-state')));
    const rank = ['stuck', 'running', 'lost', 'failed', 'done'];
    const ended = states.slice(unfinished);
    expect(states.slice(0, unfinished).every((state) => rank.indexOf(state!) < 2)).toBe(true);
    expect(ended.every((state) => rank.indexOf(state!) >= 2)).toBe(true);
  });

  test('of one class and state agree with the server and open their trace', async () => {
    const answer = await api<WireRuns>(`/api/v1/runs?state=done&class=backup&start=${FROM}&end=${TO}&limit=500`);
    expect(answer.runs.length).toBeGreaterThan(0);
    await open(`/runs?state=done&class=backup&${PERIOD}`);
    const rows = page.getByTestId('runs').locator('tbody tr');
    expect(await rows.count()).toBe(answer.runs.length);
    const text = await cells(rows.first());
    expect(text[1]).toContain(answer.runs[0]!.operation);
    expect(text[4]).toBe(duration(answer.runs[0]!.duration_nano));
    await rows.first().locator('a[data-row]').click();
    await page.getByRole('treegrid').waitFor();
    expect(page.url()).toContain(answer.runs[0]!.trace_ids[0]);
  });

  test('an instance has a time line over all its traces', async () => {
    const { runs } = await api<WireRuns>(`/api/v1/runs?state=done&class=failover&start=${FROM}&end=${TO}&limit=500`);
    const run = runs.find((candidate) => candidate.instance !== null)!;
    const timeline = await api<WireTimeline>(`/api/v1/instances/${encodeURIComponent(run.instance!)}/timeline?${ASKED}&limit=10000`);
    expect(timeline.entries.some((entry) => entry.run_id === run.run_id)).toBe(true);
    await open(`/runs?state=done&class=failover&${PERIOD}&instance=${encodeURIComponent(run.instance!)}`);
    await page.getByTestId('runs').getByRole('link', { name: run.instance!, exact: true }).first().click();
    await page.waitForURL(/\/instance\//);
    await open(`/instance/${encodeURIComponent(run.instance!)}?${PERIOD}`);
    const routine = timeline.entries.filter((entry) => entry.plane === 'data' && entry.status !== 'error').length;
    const rows = page.getByTestId('timeline').locator('tbody tr');
    expect(await rows.count()).toBe(Math.min(1000, timeline.entries.length - routine));
    await page.getByRole('button', { name: 'Health checks and statements' }).click();
    await page.waitForURL(/routine=1/);
    expect(await rows.count()).toBe(Math.min(1000, timeline.entries.length));
    await page.locator(`a[data-row][href$="/failover/${run.run_id}"]`).first().click();
    await page.getByTestId('points').waitFor();
  });

  test('live asks again by itself', async () => {
    let asked = 0;
    page.on('request', (request) => {
      if (request.url().includes('/api/v1/runs?state=stuck')) asked++;
    });
    await open('/runs');
    expect(asked).toBe(1);
    await page.getByRole('button', { name: 'Live' }).click();
    await page.waitForURL(/live=1/);
    await expect.poll(() => asked, { timeout: 15_000 }).toBeGreaterThan(2);
  });
});

test('the keyboard goes from page to page, through rows and into one', async () => {
  await page.goto('/traces');
  for (const [key, path] of [['o', 'operations'], ['f', 'failovers'], ['r', 'runs'], ['t', 'traces']]) {
    await page.keyboard.press('g');
    await page.keyboard.press(key!);
    await page.waitForURL(new RegExp(`/${path}`));
  }
  await open(`/operations?${PERIOD}`);
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  await page.keyboard.press('k');
  const first = await page.locator('a[data-row]').first().getAttribute('href');
  expect(await page.evaluate(() => document.activeElement?.getAttribute('href'))).toBe(first);
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/operation\?/);
  await open(`/operations?${PERIOD}`);
  await page.keyboard.press('/');
  expect(await page.evaluate(() => document.activeElement?.id)).toBe('find-operation');
});

/** Every page with something on it, by its name. */
async function pages(): Promise<[name: string, path: string][]> {
  const report = await api<WireFailoverReport>(`/api/v1/failovers?${ASKED}`);
  const worst = report.groups.find((group) => group.worst.length > 0)!.worst[0]!;
  const list = await api<WireOperations>(`/api/v1/operations?${ASKED}&class=provisioning`);
  const operation = new URLSearchParams({ service: list.operations[0]!.service, name: list.operations[0]!.name });
  return [
    ['operations', `/operations?${PERIOD}&sort=p95`],
    ['operation', `/operation?${operation}&${PERIOD}&by=region&slow=1`],
    ['failovers', `/failovers?${PERIOD}&group_by=region,week&slo=30s,60s`],
    ['failover', `/failover/${worst.run_id}`],
    ['runs', `/runs?state=all&${PERIOD}`],
    ['instance', `/instance/${encodeURIComponent(worst.instance ?? 'pg')}?${PERIOD}`],
  ];
}

test('deep links, reloaded, bring back the same pages', async () => {
  // When an answer was made is all that may differ.
  const content = async () => (await page.locator('main').innerText()).replaceAll(/as of\s+[-\d]+ [:\d]+/g, '');
  for (const [name, path] of await pages()) {
    await open(path);
    const before = await content();
    await page.reload();
    await answered(page);
    expect(new URL(page.url()).pathname + new URL(page.url()).search, name).toBe(path);
    // Runs that are under way go on.
    if (name !== 'runs') expect(await content(), name).toBe(before);
  }
});

test('no page is wider than its window; wide tables scroll within', async () => {
  for (const [name, path] of await pages()) {
    for (const width of [1280, 360]) {
      await page.setViewportSize({ width, height: 860 });
      await open(path);
      expect(await page.evaluate(() => document.documentElement.scrollWidth), `${name} at ${width}`).toBe(width);
    }
  }
});

describe.each(['light', 'dark'] as const)('%s', (theme) => {
  test('every page is accessible, on a wide window and on a narrow one', async () => {
    await watched.context.close();
    watched = await openPage(browser, theme);
    page = watched.page;
    for (const [name, path] of await pages()) {
      for (const width of [1280, 480]) {
        await page.setViewportSize({ width, height: 860 });
        await open(path);
        await screenshot(page, `${name}-${theme}-${width}`);
        expect(await accessibilityViolations(page), `${name} at ${width}`).toEqual([]);
      }
    }
  });
});

function escape(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
