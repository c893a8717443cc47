/**
 * Remembers every span that this process ended and prints them as one line of JSON, so that a test can compare what the
 * SDK was told with what the backend answers.
 *
 * It is a span processor beside the exporter and shares nothing with it: what it prints never went over the wire.
 * The shape is described in tests/clients/README.md.
 */
import { SpanKind, SpanStatusCode } from '@opentelemetry/api';

const NANOS_PER_SECOND = 1_000_000_000n;

/** A span processor that keeps every ended span. */
export class Recorder {
  #spans = [];
  #resource = [];

  onStart() {}

  onEnd(span) {
    this.#spans.push(describe(span));
    this.#resource = keyValues(span.resource.attributes);
  }

  async forceFlush() {}

  async shutdown() {}

  /** Prints the one line. `continueFrom` is what another process would name as its parent. */
  print(client, continueFrom) {
    const { traceId, spanId, traceFlags } = continueFrom;
    const line = {
      client,
      trace_id: traceId,
      traceparent: `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`,
      resource: this.#resource,
      spans: this.#spans,
    };
    console.log(JSON.stringify(line));
  }
}

function describe(span) {
  return {
    span_id: span.spanContext().spanId,
    parent_span_id: span.parentSpanContext?.spanId ?? null,
    service: span.resource.attributes['service.name'],
    scope: { name: span.instrumentationScope.name, version: span.instrumentationScope.version ?? '' },
    name: span.name,
    kind: SpanKind[span.kind].toLowerCase(),
    start_unix_nano: unixNano(span.startTime),
    end_unix_nano: unixNano(span.endTime),
    status: { code: SpanStatusCode[span.status.code].toLowerCase(), message: span.status.message ?? '' },
    attributes: keyValues(span.attributes),
    events: span.events.map((event) => ({
      time_unix_nano: unixNano(event.time),
      name: event.name,
      attributes: keyValues(event.attributes),
    })),
    links: span.links.map((link) => ({
      trace_id: link.context.traceId,
      span_id: link.context.spanId,
      attributes: keyValues(link.attributes),
    })),
  };
}

function unixNano([seconds, nanos]) {
  return (BigInt(seconds) * NANOS_PER_SECOND + BigInt(nanos)).toString();
}

function keyValues(attributes = {}) {
  return Object.entries(attributes).map(([key, item]) => ({ key, value: value(item) }));
}

/** OTLP's JSON form. JavaScript has one type of number: a whole one goes out as an integer, 2.0 included. */
function value(item) {
  if (typeof item === 'string') return { stringValue: item };
  if (typeof item === 'boolean') return { boolValue: item };
  if (Number.isInteger(item)) return { intValue: item.toString() };
  if (typeof item === 'number') return { doubleValue: item };
  if (Array.isArray(item)) return { arrayValue: { values: item.map(value) } };
  throw new TypeError(`no OTLP form is known for ${typeof item}`);
}
