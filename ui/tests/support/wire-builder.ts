/**
 * Builds traces as the server would send them (docs/http-api.md), from a short description. What the server computes
 * (depth, self time, shares, counts) is computed here the plain way, so that fixtures cannot contradict themselves.
 */

import type { WireAttribute, WireEvent, WireLink, WireSpan, WireTrace, WireTraceSummary, WireValue } from '../../src/api/wire';

export interface SpanSpec {
  name: string;
  service: string;
  /** Nanoseconds since the trace's start. */
  start: number;
  duration: number;
  kind?: string;
  error?: string;
  attributes?: Record<string, string | number | boolean | WireValue>;
  events?: { at: number; name: string; attributes?: SpanSpec['attributes'] }[];
  links?: { traceId: string; spanId: string }[];
  warnings?: string[];
  /** Named as a parent and never received. */
  placeholder?: boolean;
  children?: SpanSpec[];
}

export interface TraceSpec {
  traceId: string;
  startUnixNano: bigint;
  roots: SpanSpec[];
}

export function buildWireTrace(spec: TraceSpec): WireTrace {
  const spans: WireSpan[] = [];
  const services = new Map<string, { spanCount: number; selfTime: number }>();
  let end = 0;
  let errorCount = 0;

  // A stack instead of recursion: a chain may be thousands of spans deep.
  const waiting: { span: SpanSpec; parent: string | null; depth: number }[] = [];
  for (const root of spec.roots.toReversed()) waiting.push({ span: root, parent: null, depth: 0 });
  while (waiting.length > 0) {
    const { span, parent, depth } = waiting.pop()!;
    const id = spanId(spans.length);
    const children = (span.children ?? []).toSorted((a, b) => a.start - b.start);
    const selfTime = span.placeholder ? 0 : selfTimeOf(span, children);
    end = Math.max(end, span.start + span.duration);
    if (span.error !== undefined) errorCount++;
    if (!span.placeholder) {
      const share = services.get(span.service) ?? { spanCount: 0, selfTime: 0 };
      services.set(span.service, { spanCount: share.spanCount + 1, selfTime: share.selfTime + selfTime });
    }
    const at = (nanos: number) => String(spec.startUnixNano + BigInt(nanos));
    spans.push({
      span_id: id,
      parent_span_id: parent,
      depth,
      placeholder: span.placeholder ?? false,
      service: span.placeholder ? '' : span.service,
      name: span.placeholder ? '' : span.name,
      kind: span.kind ?? (span.placeholder ? 'unspecified' : 'internal'),
      start_unix_nano: at(span.start),
      end_unix_nano: at(span.start + span.duration),
      duration_nano: String(span.duration),
      self_time_nano: String(selfTime),
      status: { code: span.error === undefined ? 'unset' : 'error', message: span.error ?? '' },
      attributes: wireAttributes(span.attributes),
      events: (span.events ?? []).map(
        (event): WireEvent => ({
          time_unix_nano: at(event.at),
          name: event.name,
          attributes: wireAttributes(event.attributes),
          dropped_attributes_count: 0,
        }),
      ),
      links: (span.links ?? []).map(
        (link): WireLink => ({
          trace_id: link.traceId,
          span_id: link.spanId,
          trace_state: '',
          attributes: [],
          dropped_attributes_count: 0,
          flags: 0,
        }),
      ),
      resource: span.placeholder ? null : 0,
      scope: span.placeholder ? null : 0,
      trace_state: '',
      flags: 1,
      dropped_attributes_count: 0,
      dropped_events_count: 0,
      dropped_links_count: 0,
      warnings: span.warnings ?? [],
    });
    for (const child of children.toReversed()) waiting.push({ span: child, parent: id, depth: depth + 1 });
  }

  const root = spans.find((span) => span.depth === 0 && !span.placeholder);
  const resourceService = spec.roots[0]!.service;
  return {
    trace_id: spec.traceId,
    complete: root !== undefined,
    start_unix_nano: String(spec.startUnixNano),
    end_unix_nano: String(spec.startUnixNano + BigInt(end)),
    duration_nano: String(end),
    root: root ? { span_id: root.span_id, service: root.service, name: root.name } : null,
    span_count: spans.filter((span) => !span.placeholder).length,
    error_count: errorCount,
    services: [...services]
      .map(([name, share]) => ({ name, span_count: share.spanCount, self_time_nano: String(share.selfTime) }))
      .sort((a, b) => Number(BigInt(b.self_time_nano) - BigInt(a.self_time_nano))),
    warnings: spans
      .filter((span) => span.placeholder)
      .map((span) => ({
        code: 'missing_parent',
        span_id: span.span_id,
        message: `span ${span.span_id} is named as a parent and was not received`,
      })),
    resources: [
      {
        attributes: wireAttributes({ 'service.name': resourceService, 'k8s.cluster.name': 'eu-west-1a', 'host.arch': 'arm64' }),
        dropped_attributes_count: 0,
        schema_url: '',
      },
    ],
    scopes: [{ name: 'control-plane', version: '1.2.0', attributes: [], dropped_attributes_count: 0, schema_url: '' }],
    spans,
  };
}

/** The line of the trace list for a trace. */
export function summaryOf(trace: WireTrace): WireTraceSummary {
  const first = trace.spans.find((span) => !span.placeholder)!;
  return {
    trace_id: trace.trace_id,
    start_unix_nano: trace.start_unix_nano,
    duration_nano: trace.duration_nano,
    root: trace.root && { service: trace.root.service, name: trace.root.name },
    first: { service: first.service, name: first.name },
    span_count: trace.span_count,
    error_count: trace.error_count,
    services: trace.services.map((service) => service.name).sort(),
  };
}

/** The span's own time: its duration without what the union of its children covers of it. */
function selfTimeOf(span: SpanSpec, children: readonly SpanSpec[]): number {
  const end = span.start + span.duration;
  let self = 0;
  let covered = span.start;
  for (const child of children) {
    if (child.start > covered) self += Math.max(0, Math.min(child.start, end) - covered);
    covered = Math.max(covered, child.start + child.duration);
  }
  return self + Math.max(0, end - covered);
}

function spanId(place: number): string {
  return (0xb7ad_0000_0001 + place).toString(16).padStart(16, '0');
}

function wireAttributes(attributes: SpanSpec['attributes'] = {}): WireAttribute[] {
  return Object.entries(attributes).map(([key, value]) => ({ key, value: wireValue(value) }));
}

function wireValue(value: string | number | boolean | WireValue): WireValue {
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  if (typeof value === 'number') return Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value };
  return value;
}
