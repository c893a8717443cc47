/**
 * What the server sends, field for field (docs/http-api.md). Nothing but `api/` reads these types.
 */

export interface WireValue {
  stringValue?: string;
  boolValue?: boolean;
  intValue?: string | number;
  /** A string for NaN and the infinities. */
  doubleValue?: number | string;
  bytesValue?: string;
  arrayValue?: { values?: WireValue[] };
  kvlistValue?: { values?: WireAttribute[] };
}

export interface WireAttribute {
  key: string;
  value?: WireValue;
}

export interface WireEvent {
  time_unix_nano: string;
  name: string;
  attributes: WireAttribute[];
  dropped_attributes_count: number;
}

export interface WireLink {
  trace_id: string;
  span_id: string;
  trace_state: string;
  attributes: WireAttribute[];
  dropped_attributes_count: number;
  flags: number;
}

export interface WireSpan {
  span_id: string;
  parent_span_id: string | null;
  depth: number;
  placeholder: boolean;
  service: string;
  name: string;
  kind: string;
  start_unix_nano: string;
  end_unix_nano: string;
  duration_nano: string;
  self_time_nano: string;
  status: { code: string; message: string };
  attributes: WireAttribute[];
  events: WireEvent[];
  links: WireLink[];
  resource: number | null;
  scope: number | null;
  trace_state: string;
  flags: number;
  dropped_attributes_count: number;
  dropped_events_count: number;
  dropped_links_count: number;
  warnings: string[];
}

export interface WireResource {
  attributes: WireAttribute[];
  dropped_attributes_count: number;
  schema_url: string;
}

export interface WireScope extends WireResource {
  name: string;
  version: string;
}

export interface WireTrace {
  trace_id: string;
  complete: boolean;
  start_unix_nano: string;
  end_unix_nano: string;
  duration_nano: string;
  root: { span_id: string; service: string; name: string } | null;
  span_count: number;
  error_count: number;
  services: { name: string; span_count: number; self_time_nano: string }[];
  warnings: { code: string; span_id?: string | null; message: string }[];
  resources: WireResource[];
  scopes: WireScope[];
  spans: WireSpan[];
}

export interface WireTraceSummary {
  trace_id: string;
  start_unix_nano: string;
  duration_nano: string;
  root: { service: string; name: string } | null;
  first: { service: string; name: string };
  span_count: number;
  error_count: number;
  services: string[];
}

export interface WireSearch {
  total: number;
  traces: WireTraceSummary[];
}

export interface WireServices {
  services: {
    name: string;
    span_count: number;
    error_count: number;
    last_seen_unix_nano: string;
    operations: { name: string; span_count: number }[];
  }[];
}

/** RFC 9457. */
export interface WireProblem {
  title?: string;
  status?: number;
  detail?: string;
}
