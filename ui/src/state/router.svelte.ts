/**
 * The current route, kept equal to the address bar. Owns the History API; `model/url.ts` owns what a URL means.
 */

import { parseUrl, type Route, serialiseUrl } from '../model/url';

/** Continuous changes (zooming, typing) reach the address bar this long after the last one: Safari allows 100 in 10 s. */
const REPLACE_AFTER_MILLIS = 200;

/** Where the page is served, with a slash at the end; `<base href>` says it. */
const base = new URL(document.baseURI).pathname.replace(/[^/]*$/, '');

function readLocation(): Route {
  const path = location.pathname.startsWith(base) ? location.pathname.slice(base.length) : location.pathname;
  return parseUrl(path, location.search);
}

class Router {
  #route = $state.raw<Route>(readLocation());
  #pendingReplace: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    addEventListener('popstate', () => {
      clearTimeout(this.#pendingReplace);
      this.#pendingReplace = undefined;
      this.#route = readLocation();
    });
    // A link copied or a tab closed right after a change must have it.
    addEventListener('pagehide', () => this.#flush());
  }

  get route(): Route {
    return this.#route;
  }

  /** A step of its own: Back returns to where it was taken. */
  push(route: Route): void {
    this.#flush();
    const url = this.href(route);
    if (url !== location.pathname + location.search) history.pushState(null, '', url);
    this.#route = route;
  }

  /** A change within the step. The page follows at once, the address bar when changes pause. */
  replace(route: Route): void {
    this.#route = route;
    clearTimeout(this.#pendingReplace);
    this.#pendingReplace = setTimeout(() => this.#flush(), REPLACE_AFTER_MILLIS);
  }

  /** The address of a route, for links. */
  href(route: Route): string {
    return base + serialiseUrl(route);
  }

  /** The whole address of what is on screen now, for the clipboard. */
  absoluteHref(): string {
    return new URL(this.href(this.#route), location.href).href;
  }

  /** Turns clicks on links within the page into steps; everything else stays the browser's. */
  followLink(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element).closest('a');
    if (!link?.href || link.hasAttribute('download') || link.target !== '') return;
    const url = new URL(link.href);
    if (url.origin !== location.origin || !url.pathname.startsWith(base)) return;
    const path = url.pathname.slice(base.length);
    if (path.startsWith('api/')) return;
    event.preventDefault();
    this.push(parseUrl(path, url.search));
  }

  #flush(): void {
    clearTimeout(this.#pendingReplace);
    if (this.#pendingReplace === undefined) return;
    this.#pendingReplace = undefined;
    history.replaceState(history.state, '', this.href(this.#route));
  }
}

export const router = new Router();
