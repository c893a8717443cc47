/**
 * Matters of taste, kept in localStorage: theme, time zone, pane widths, single-key shortcuts. What a person looks at
 * is never kept here; that is in the URL.
 */

import type { Zone } from '../model/time';

export type Theme = 'system' | 'light' | 'dark';

const KEY = 'spanhold.taste';

interface Taste {
  theme: Theme;
  zone: Zone;
  /** Width of the waterfall's name column, in pixels. */
  nameWidth: number;
  /** Width of the span detail panel, in pixels. */
  panelWidth: number;
  /** Single-letter shortcuts on (WCAG 2.1.4 wants a way to turn them off). */
  shortcuts: boolean;
}

const DEFAULTS: Taste = { theme: 'system', zone: 'local', nameWidth: 340, panelWidth: 420, shortcuts: true };

function load(): Taste {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? '{}') as Partial<Taste>;
    return {
      theme: kept.theme === 'light' || kept.theme === 'dark' ? kept.theme : DEFAULTS.theme,
      zone: kept.zone === 'utc' ? 'utc' : DEFAULTS.zone,
      nameWidth: typeof kept.nameWidth === 'number' ? kept.nameWidth : DEFAULTS.nameWidth,
      panelWidth: typeof kept.panelWidth === 'number' ? kept.panelWidth : DEFAULTS.panelWidth,
      shortcuts: kept.shortcuts !== false,
    };
  } catch {
    // Storage is forbidden or holds something else: taste is not worth an error message.
    return { ...DEFAULTS };
  }
}

class Preferences {
  #taste = $state(load());

  get theme(): Theme {
    return this.#taste.theme;
  }
  set theme(theme: Theme) {
    this.#set({ theme });
    this.applyTheme();
  }

  get zone(): Zone {
    return this.#taste.zone;
  }
  set zone(zone: Zone) {
    this.#set({ zone });
  }

  get nameWidth(): number {
    return this.#taste.nameWidth;
  }
  set nameWidth(nameWidth: number) {
    this.#set({ nameWidth });
  }

  get panelWidth(): number {
    return this.#taste.panelWidth;
  }
  set panelWidth(panelWidth: number) {
    this.#set({ panelWidth });
  }

  get shortcuts(): boolean {
    return this.#taste.shortcuts;
  }
  set shortcuts(shortcuts: boolean) {
    this.#set({ shortcuts });
  }

  /** Tells the style sheet; `system` leaves the choice to the browser. */
  applyTheme(): void {
    document.documentElement.dataset['theme'] = this.theme;
  }

  #set(change: Partial<Taste>): void {
    Object.assign(this.#taste, change);
    try {
      localStorage.setItem(KEY, JSON.stringify(this.#taste));
    } catch {
      // As above: the choice holds until the page is closed.
    }
  }
}

export const preferences = new Preferences();
