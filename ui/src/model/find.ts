/**
 * Text search within one trace.
 *
 * One rule: a span matches if its name, service, id, status message, an event's name or a `key=value` of its
 * attributes contains the text, whatever the case.
 */

import { findText } from './attributes';
import type { Span, Trace } from './trace';

/** Keeps the lower-cased text of each span, so that only the first search of a large trace costs anything. */
export class SpanFinder {
  readonly #spans: readonly Span[];
  #texts: string[] | null = null;

  constructor(trace: Trace) {
    this.#spans = trace.spans;
  }

  /** Places of the matching spans, ascending; none for empty text. */
  find(text: string): Int32Array {
    const needle = text.trim().toLowerCase();
    if (needle === '') return new Int32Array(0);
    this.#texts ??= this.#spans.map(spanText);
    const places: number[] = [];
    for (let i = 0; i < this.#texts.length; i++) if (this.#texts[i]!.includes(needle)) places.push(i);
    return Int32Array.from(places);
  }
}

function spanText(span: Span): string {
  const words = [span.name, span.service, span.spanId, span.status.message];
  for (const event of span.events) words.push(event.name);
  for (const attribute of span.attributes) words.push(findText(attribute));
  // A line break cannot be typed into the find box, so no match runs over from one word to the next.
  return words.join('\n').toLowerCase();
}
