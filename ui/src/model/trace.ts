/**
 * The words the UI thinks in: a trace, its spans, their attributes.
 *
 * Types only. Times are nanoseconds since the Unix epoch as `bigint` (a number cannot hold them), and nothing
 * here knows how the server writes them down; `api/decode.ts` does.
 */

/** An attribute value: OTLP's AnyValue with its type kept. An integer is a `bigint`, a double a `number`. */
export type Value = null | string | boolean | bigint | number | Bytes | Value[] | KeyValueList;

/** Raw bytes, still in base64. */
export interface Bytes {
  base64: string;
}

export interface KeyValueList {
  entries: Attribute[];
}

export interface Attribute {
  key: string;
  value: Value;
}

export type SpanKind = 'unspecified' | 'internal' | 'server' | 'client' | 'producer' | 'consumer';
export type StatusCode = 'unset' | 'ok' | 'error';

export interface SpanEvent {
  timeUnixNano: bigint;
  name: string;
  attributes: Attribute[];
  droppedAttributesCount: number;
}

export interface SpanLink {
  traceId: string;
  spanId: string;
  traceState: string;
  attributes: Attribute[];
  droppedAttributesCount: number;
}

export interface Span {
  readonly spanId: string;
  readonly parentSpanId: string | null;
  /** 0 for a root. */
  readonly depth: number;
  /** A parent that was named and not received: no name, no service, its interval the hull of its children. */
  readonly placeholder: boolean;
  readonly service: string;
  readonly name: string;
  readonly kind: SpanKind;
  readonly startUnixNano: bigint;
  readonly endUnixNano: bigint;
  readonly durationNano: bigint;
  readonly selfTimeNano: bigint;
  readonly status: { code: StatusCode; message: string };
  readonly attributes: Attribute[];
  readonly events: SpanEvent[];
  readonly links: SpanLink[];
  /** Index into `Trace.resources`, null for a placeholder. */
  readonly resource: number | null;
  /** Index into `Trace.scopes`, null for a placeholder. */
  readonly scope: number | null;
  readonly traceState: string;
  readonly flags: number;
  readonly droppedAttributesCount: number;
  readonly droppedEventsCount: number;
  readonly droppedLinksCount: number;
  readonly warnings: string[];
}

export interface Resource {
  attributes: Attribute[];
  droppedAttributesCount: number;
  schemaUrl: string;
}

export interface Scope {
  name: string;
  version: string;
  attributes: Attribute[];
  droppedAttributesCount: number;
  schemaUrl: string;
}

export interface ServiceShare {
  name: string;
  spanCount: number;
  selfTimeNano: bigint;
}

export interface TraceWarning {
  code: string;
  spanId: string | null;
  message: string;
}

export interface OperationName {
  service: string;
  name: string;
}

export interface Trace {
  traceId: string;
  /** Whether a root span was seen. */
  complete: boolean;
  startUnixNano: bigint;
  endUnixNano: bigint;
  durationNano: bigint;
  root: (OperationName & { spanId: string }) | null;
  spanCount: number;
  errorCount: number;
  /** Longest self time first: the rank is the service's colour. */
  services: ServiceShare[];
  warnings: TraceWarning[];
  resources: Resource[];
  scopes: Scope[];
  /** Tree order: a span before its children, children by start. */
  spans: Span[];
}

/** One line of the trace list. */
export interface TraceSummary {
  traceId: string;
  startUnixNano: bigint;
  durationNano: bigint;
  /** Null while no root was seen. */
  root: OperationName | null;
  /** The earliest span. */
  first: OperationName;
  spanCount: number;
  errorCount: number;
  services: string[];
}

export interface SearchResult {
  /** All matching traces, counted exactly; `traces` holds at most the limit. */
  total: number;
  traces: TraceSummary[];
}

export interface ServiceStats {
  name: string;
  spanCount: number;
  errorCount: number;
  operations: { name: string; spanCount: number }[];
}
