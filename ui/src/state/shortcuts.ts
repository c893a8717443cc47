/**
 * When a key press is a shortcut and when it is typing.
 */

import { preferences } from './preferences.svelte';

/** Whether the event's target takes text, so that letters belong to it. */
export function isTyping(event: KeyboardEvent): boolean {
  const target = event.target;
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return target.type !== 'checkbox' && target.type !== 'radio';
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement || target.isContentEditable;
}

/** Whether a single key may act: not while typing, not with a modifier, not under a dialog, not when turned off. */
export function isShortcut(event: KeyboardEvent): boolean {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return false;
  if (isTyping(event) || document.querySelector('dialog[open]')) return false;
  return preferences.shortcuts;
}

/** `j` and `k`: the next or previous row. A row is what its link, marked `data-row`, stands for. */
export function walkRows(event: KeyboardEvent): void {
  if (!isShortcut(event)) return;
  const step = event.key === 'j' ? 1 : event.key === 'k' ? -1 : 0;
  if (step === 0) return;
  const links = [...document.querySelectorAll<HTMLAnchorElement>('main a[data-row]')];
  const at = links.indexOf(document.activeElement as HTMLAnchorElement);
  links[Math.min(Math.max(0, at + step), links.length - 1)]?.focus();
}
