/**
 * Folding: which subtrees of the waterfall are hidden, in a form short enough for the URL.
 */

import { hasChildren, type Tree } from './tree';

/**
 * Which subtrees are folded. A span is folded if it lies at `level` or deeper, unless it is `toggled`, and the other
 * way round: "fold everything" stays one short word however large the trace is.
 */
export interface Fold {
  level: number | null;
  toggled: ReadonlySet<string>;
}

export const NOTHING_FOLDED: Fold = { level: null, toggled: new Set() };

/** A fold made ready for many questions: span ids turned into places. */
export class Folding {
  readonly #tree: Tree;
  readonly #level: number;
  readonly #toggled = new Set<number>();

  constructor(tree: Tree, fold: Fold) {
    this.#tree = tree;
    this.#level = fold.level ?? Number.POSITIVE_INFINITY;
    for (const id of fold.toggled) {
      const index = tree.indexOf.get(id);
      if (index !== undefined) this.#toggled.add(index);
    }
  }

  /** Whether the children of `index` are hidden. */
  isFolded(index: number): boolean {
    if (!hasChildren(this.#tree, index)) return false;
    return this.#tree.depth[index]! >= this.#level !== this.#toggled.has(index);
  }

  /** The spans on screen from top to bottom. */
  visible(): Int32Array {
    const rows = new Int32Array(this.#tree.count);
    let length = 0;
    let index = 0;
    while (index < this.#tree.count) {
      rows[length++] = index;
      index = this.isFolded(index) ? this.#tree.subtreeEnd[index]! : index + 1;
    }
    return rows.subarray(0, length);
  }
}

/** The fold with `spanId` turned over. */
export function toggleFold(fold: Fold, spanId: string): Fold {
  const toggled = new Set(fold.toggled);
  if (!toggled.delete(spanId)) toggled.add(spanId);
  return { level: fold.level, toggled };
}

/** The fold with every ancestor of `index` open, so that its row is on screen. */
export function revealSpan(tree: Tree, fold: Fold, spanIdOf: (index: number) => string, index: number): Fold {
  const folding = new Folding(tree, fold);
  let revealed = fold;
  for (let above = tree.parent[index]!; above >= 0; above = tree.parent[above]!) {
    if (folding.isFolded(above)) revealed = toggleFold(revealed, spanIdOf(above));
  }
  return revealed;
}

/** One level more folded (`step` -1) or open (+1), from what is on screen now. Single spans' folds are forgotten. */
export function stepFoldLevel(tree: Tree, fold: Fold, step: -1 | 1): Fold {
  const now = Math.min(fold.level ?? tree.maxDepth, tree.maxDepth);
  const level = Math.max(0, now + step);
  return { level: level >= tree.maxDepth ? null : level, toggled: new Set() };
}

export function foldAll(): Fold {
  return { level: 0, toggled: new Set() };
}
