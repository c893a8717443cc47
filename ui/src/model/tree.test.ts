import { expect, test } from 'vitest';
import { decodeTrace } from '../api/decode';
import { CREATE_INSTANCE, FAILOVER, largeTrace } from '../../tests/support/traces';
import { buildWireTrace, type TraceSpec } from '../../tests/support/wire-builder';
import { foldAll, Folding, NOTHING_FOLDED, revealSpan, stepFoldLevel, toggleFold } from './fold';
import { buildTree, errorsInSubtree, hasChildren, nextError, nextMatch, rowOf, type Tree } from './tree';

const load = (spec: TraceSpec) => decodeTrace(buildWireTrace(spec));
const instance = load(CREATE_INSTANCE);
const tree = buildTree(instance);
const at = (name: string) => instance.spans.findIndex((span) => span.name === name);
const idOf = (index: number) => instance.spans[index]!.spanId;
const visibleNames = (fold = NOTHING_FOLDED, of: Tree = tree) =>
  Array.from(new Folding(of, fold).visible(), (index) => instance.spans[index]!.name);

test('parents and subtrees follow from depth and order', () => {
  expect(tree.parent[0]).toBe(-1);
  expect(tree.parent[at('Wait for Pod ready')]).toBe(at('Allocate resources'));
  expect(tree.parent[at('Setup replication')]).toBe(0);
  expect(tree.subtreeEnd[0]).toBe(14);
  expect(tree.subtreeEnd[at('Allocate resources')]).toBe(at('Initialize database'));
  expect(hasChildren(tree, at('initdb'))).toBe(false);
  expect(tree.maxDepth).toBe(2);
});

test('times count from the start of the trace', () => {
  expect(tree.start[at('Wait for Pod ready')]).toBe(5_022_000_000);
  expect(tree.end[at('Wait for Pod ready')]).toBe(45_022_000_000);
  expect(tree.end[0]).toBe(83_500_000_000);
});

test('a service has the rank of its self time', () => {
  expect(instance.services.map((share) => share.name)).toEqual(['provisioner', 'agent', 'endpoint-controller', 'scheduler', 'control-api']);
  expect(tree.service[at('Create PVC')]).toBe(0);
  expect(tree.service[0]).toBe(4);
});

test('folding hides a subtree and nothing else', () => {
  const folded = toggleFold(NOTHING_FOLDED, idOf(at('Allocate resources')));
  expect(visibleNames(folded)).not.toContain('Create PVC');
  expect(visibleNames(folded)).toContain('Allocate resources');
  expect(visibleNames(folded)).toHaveLength(11);
  expect(visibleNames(toggleFold(folded, idOf(at('Allocate resources'))))).toEqual(visibleNames());
});

test('levels fold from the deepest up, and a single span can differ', () => {
  expect(visibleNames(foldAll())).toEqual(['CreateInstance']);
  const oneLevel = stepFoldLevel(tree, NOTHING_FOLDED, -1);
  expect(oneLevel.level).toBe(1);
  expect(visibleNames(oneLevel)).toHaveLength(8);
  expect(visibleNames(toggleFold(oneLevel, idOf(at('Initialize database'))))).toHaveLength(11);
  expect(stepFoldLevel(tree, oneLevel, 1)).toEqual(NOTHING_FOLDED);
  expect(stepFoldLevel(tree, foldAll(), -1).level).toBe(0);
});

test('revealing a span opens just its ancestors', () => {
  const revealed = revealSpan(tree, foldAll(), idOf, at('initdb'));
  expect(visibleNames(revealed)).toContain('initdb');
  expect(visibleNames(revealed)).not.toContain('Create PVC');
  expect(revealSpan(tree, NOTHING_FOLDED, idOf, at('initdb'))).toBe(NOTHING_FOLDED);
});

test('a hidden span is at the row of what hides it', () => {
  const rows = new Folding(tree, foldAll()).visible();
  expect(rowOf(rows, at('initdb'))).toBe(0);
  const all = new Folding(tree, NOTHING_FOLDED).visible();
  expect(rowOf(all, at('initdb'))).toBe(at('initdb'));
});

test('errors roll up, and are gone through in a circle', () => {
  const failover = load(FAILOVER);
  const failed = buildTree(failover);
  const promote = failover.spans.findIndex((span) => span.name === 'promote');
  expect(failed.service[0]).toBe(-1);
  expect(errorsInSubtree(failed, 0)).toBe(2);
  expect(errorsInSubtree(failed, 1)).toBe(0);
  expect(nextError(failed, 0, 1)).toBe(promote);
  expect(nextError(failed, promote, 1)).toBe(promote + 1);
  expect(nextError(failed, promote + 1, 1)).toBe(promote);
  expect(nextError(failed, promote, -1)).toBe(promote + 1);
  expect(nextError(tree, 0, 1)).toBe(-1);
});

test('matches are gone through in a circle', () => {
  const matches = Int32Array.from([2, 5, 9]);
  expect(nextMatch(matches, 2, 1)).toBe(5);
  expect(nextMatch(matches, 9, 1)).toBe(2);
  expect(nextMatch(matches, 3, -1)).toBe(2);
  expect(nextMatch(matches, 2, -1)).toBe(9);
  expect(nextMatch(new Int32Array(0), 2, 1)).toBe(-1);
});

test('100,000 spans: tree, fold and rows fit into a frame or two', () => {
  const large = load(largeTrace(100_000));
  const began = performance.now();
  const built = buildTree(large);
  const builtAfter = performance.now();
  const rows = new Folding(built, NOTHING_FOLDED).visible();
  const few = new Folding(built, { level: 1, toggled: new Set() }).visible();
  const folded = performance.now();
  expect(rows).toHaveLength(100_000);
  expect(few).toHaveLength(1001);
  expect(built.errorsBefore[100_000]).toBe(large.errorCount);
  // Ten times what was measured: this catches a quadratic step, not a slow machine.
  expect(builtAfter - began).toBeLessThan(1500);
  expect(folded - builtAfter).toBeLessThan(200);
});
