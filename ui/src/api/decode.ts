/**
 * From the wire to the model: nanosecond strings become `bigint`, OTLP JSON values get their type.
 */

import type {
  Attribute,
  SearchResult,
  ServiceStats,
  Span,
  SpanEvent,
  SpanKind,
  SpanLink,
  StatusCode,
  Trace,
  TraceSummary,
  Value,
} from '../model/trace';
import type {
  WireAttribute,
  WireEvent,
  WireLink,
  WireSearch,
  WireServices,
  WireSpan,
  WireTrace,
  WireTraceSummary,
  WireValue,
} from './wire';

export function decodeTrace(wire: WireTrace): Trace {
  return {
    traceId: wire.trace_id,
    complete: wire.complete,
    startUnixNano: BigInt(wire.start_unix_nano),
    endUnixNano: BigInt(wire.end_unix_nano),
    durationNano: BigInt(wire.duration_nano),
    root: wire.root && { spanId: wire.root.span_id, service: wire.root.service, name: wire.root.name },
    spanCount: wire.span_count,
    errorCount: wire.error_count,
    services: wire.services.map((share) => ({
      name: share.name,
      spanCount: share.span_count,
      selfTimeNano: BigInt(share.self_time_nano),
    })),
    warnings: wire.warnings.map((warning) => ({
      code: warning.code,
      spanId: warning.span_id ?? null,
      message: warning.message,
    })),
    resources: wire.resources.map((resource) => ({
      attributes: decodeAttributes(resource.attributes),
      droppedAttributesCount: resource.dropped_attributes_count,
      schemaUrl: resource.schema_url,
    })),
    scopes: wire.scopes.map((scope) => ({
      name: scope.name,
      version: scope.version,
      attributes: decodeAttributes(scope.attributes),
      droppedAttributesCount: scope.dropped_attributes_count,
      schemaUrl: scope.schema_url,
    })),
    spans: wire.spans.map((span) => new DecodedSpan(span)),
  };
}

export function decodeSearch(wire: WireSearch): SearchResult {
  return { total: wire.total, traces: wire.traces.map(decodeSummary) };
}

export function decodeServices(wire: WireServices): ServiceStats[] {
  return wire.services.map((service) => ({
    name: service.name,
    spanCount: service.span_count,
    errorCount: service.error_count,
    operations: service.operations.map((operation) => ({ name: operation.name, spanCount: operation.span_count })),
  }));
}

/** A value in OTLP's JSON form; null if it has none of the known fields. */
export function decodeValue(wire: WireValue | undefined): Value {
  if (wire === undefined) return null;
  if (wire.stringValue !== undefined) return wire.stringValue;
  if (wire.intValue !== undefined) return BigInt(wire.intValue);
  if (wire.boolValue !== undefined) return wire.boolValue;
  if (wire.doubleValue !== undefined) return Number(wire.doubleValue);
  if (wire.bytesValue !== undefined) return { base64: wire.bytesValue };
  if (wire.arrayValue !== undefined) return (wire.arrayValue.values ?? []).map(decodeValue);
  if (wire.kvlistValue !== undefined) return { entries: decodeAttributes(wire.kvlistValue.values ?? []) };
  return null;
}

function decodeAttributes(wire: WireAttribute[]): Attribute[] {
  return wire.map((attribute) => ({ key: attribute.key, value: decodeValue(attribute.value) }));
}

function decodeSummary(wire: WireTraceSummary): TraceSummary {
  return {
    traceId: wire.trace_id,
    startUnixNano: BigInt(wire.start_unix_nano),
    durationNano: BigInt(wire.duration_nano),
    root: wire.root,
    first: wire.first,
    spanCount: wire.span_count,
    errorCount: wire.error_count,
    services: wire.services,
  };
}

/**
 * A span whose details are decoded when they are first looked at: of a trace's 100,000 spans a reader opens a few, and
 * the others' attributes are most of the work.
 */
class DecodedSpan implements Span {
  readonly #wire: WireSpan;
  #attributes: Attribute[] | undefined;
  #events: SpanEvent[] | undefined;
  #links: SpanLink[] | undefined;

  readonly startUnixNano: bigint;
  readonly durationNano: bigint;

  constructor(wire: WireSpan) {
    this.#wire = wire;
    this.startUnixNano = BigInt(wire.start_unix_nano);
    this.durationNano = BigInt(wire.duration_nano);
  }

  get spanId() {
    return this.#wire.span_id;
  }
  get parentSpanId() {
    return this.#wire.parent_span_id;
  }
  get depth() {
    return this.#wire.depth;
  }
  get placeholder() {
    return this.#wire.placeholder;
  }
  get service() {
    return this.#wire.service;
  }
  get name() {
    return this.#wire.name;
  }
  get kind() {
    return this.#wire.kind as SpanKind;
  }
  get endUnixNano() {
    return BigInt(this.#wire.end_unix_nano);
  }
  get selfTimeNano() {
    return BigInt(this.#wire.self_time_nano);
  }
  get status() {
    return this.#wire.status as { code: StatusCode; message: string };
  }
  get attributes() {
    return (this.#attributes ??= decodeAttributes(this.#wire.attributes));
  }
  get events() {
    return (this.#events ??= this.#wire.events.map(decodeEvent));
  }
  get links() {
    return (this.#links ??= this.#wire.links.map(decodeLink));
  }
  get resource() {
    return this.placeholder ? null : this.#wire.resource;
  }
  get scope() {
    return this.placeholder ? null : this.#wire.scope;
  }
  get traceState() {
    return this.#wire.trace_state;
  }
  get flags() {
    return this.#wire.flags;
  }
  get droppedAttributesCount() {
    return this.#wire.dropped_attributes_count;
  }
  get droppedEventsCount() {
    return this.#wire.dropped_events_count;
  }
  get droppedLinksCount() {
    return this.#wire.dropped_links_count;
  }
  get warnings() {
    return this.#wire.warnings;
  }

  /** The span as it came, for whoever wants to see it raw. */
  toJSON(): unknown {
    return this.#wire;
  }
}

function decodeEvent(wire: WireEvent): SpanEvent {
  return {
    timeUnixNano: BigInt(wire.time_unix_nano),
    name: wire.name,
    attributes: decodeAttributes(wire.attributes),
    droppedAttributesCount: wire.dropped_attributes_count,
  };
}

function decodeLink(wire: WireLink): SpanLink {
  return {
    traceId: wire.trace_id,
    spanId: wire.span_id,
    traceState: wire.trace_state,
    attributes: decodeAttributes(wire.attributes),
    droppedAttributesCount: wire.dropped_attributes_count,
  };
}
