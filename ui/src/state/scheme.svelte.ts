/**
 * Whether the page is dark now, and colours in a form a canvas can draw with.
 */

import { preferences } from './preferences.svelte';

class Scheme {
  readonly #query = matchMedia('(prefers-color-scheme: dark)');
  #systemDark = $state(this.#query.matches);

  constructor() {
    this.#query.addEventListener('change', (event) => {
      this.#systemDark = event.matches;
    });
  }

  get dark(): boolean {
    return preferences.theme === 'system' ? this.#systemDark : preferences.theme === 'dark';
  }
}

export const scheme = new Scheme();

/**
 * The present values of colour properties. A canvas does not understand `light-dark()`, so an element is asked what it
 * makes of each.
 */
export function resolveColours(names: readonly string[], within: HTMLElement): Map<string, string> {
  const probe = document.createElement('span');
  within.append(probe);
  const resolved = new Map<string, string>();
  for (const name of names) {
    probe.style.color = `var(${name})`;
    resolved.set(name, getComputedStyle(probe).color);
  }
  probe.remove();
  return resolved;
}
