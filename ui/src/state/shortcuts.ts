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
