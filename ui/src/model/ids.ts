/**
 * Trace and span ids as people paste them.
 */

export interface PastedId {
  traceId: string;
  /** Set when a whole `traceparent` was pasted. */
  spanId: string | null;
}

const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}/;

/**
 * Reads a trace id in any case, with a UUID's dashes, spaces or quotes around it, or a W3C `traceparent` header.
 * Null if it is none of these, or all zero (which OpenTelemetry calls invalid).
 */
export function parsePastedId(text: string): PastedId | null {
  const clean = text.trim().replace(/^["']|["']$/g, '').toLowerCase();
  const header = TRACEPARENT.exec(clean);
  const traceId = header ? header[1]! : clean.replace(/[-\s]/g, '');
  if (!/^[0-9a-f]{32}$/.test(traceId) || /^0+$/.test(traceId)) return null;
  return { traceId, spanId: header ? header[2]! : null };
}

/** The first eight digits: enough to recognise an id, never enough to look it up. */
export function shortId(id: string): string {
  return id.slice(0, 8);
}
