"""Remembers every span that this process ended and prints them as one line of JSON, so that a test can compare what
the SDK was told with what the backend answers.

It is a span processor beside the exporter and shares nothing with it: what it prints never went over the wire.
The shape is described in tests/clients/README.md.
"""

import json

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.trace import SpanContext, format_span_id, format_trace_id


class Recorder(SpanProcessor):
    """A span processor that keeps every ended span."""

    def __init__(self) -> None:
        self._spans: list[dict] = []
        self._resource: list[dict] = []

    def on_end(self, span: ReadableSpan) -> None:
        self._spans.append(_span(span))
        self._resource = _key_values(span.resource.attributes)

    def print(self, client: str, continue_from: SpanContext) -> None:
        """Prints the one line. `continue_from` is what another process would name as its parent."""
        trace_id = format_trace_id(continue_from.trace_id)
        span_id = format_span_id(continue_from.span_id)
        line = {
            "client": client,
            "trace_id": trace_id,
            "traceparent": f"00-{trace_id}-{span_id}-{continue_from.trace_flags:02x}",
            "resource": self._resource,
            "spans": self._spans,
        }
        print(json.dumps(line, ensure_ascii=False), flush=True)


def _span(span: ReadableSpan) -> dict:
    return {
        "span_id": format_span_id(span.context.span_id),
        "parent_span_id": format_span_id(span.parent.span_id) if span.parent else None,
        "service": span.resource.attributes["service.name"],
        "scope": {"name": span.instrumentation_scope.name, "version": span.instrumentation_scope.version or ""},
        "name": span.name,
        "kind": span.kind.name.lower(),
        "start_unix_nano": str(span.start_time),
        "end_unix_nano": str(span.end_time),
        "status": {"code": span.status.status_code.name.lower(), "message": span.status.description or ""},
        "attributes": _key_values(span.attributes),
        "events": [
            {"time_unix_nano": str(event.timestamp), "name": event.name, "attributes": _key_values(event.attributes)}
            for event in span.events
        ],
        "links": [
            {
                "trace_id": format_trace_id(link.context.trace_id),
                "span_id": format_span_id(link.context.span_id),
                "attributes": _key_values(link.attributes),
            }
            for link in span.links
        ],
    }


def _key_values(attributes) -> list[dict]:
    return [{"key": key, "value": _value(value)} for key, value in (attributes or {}).items()]


def _value(value) -> dict:
    """OTLP's JSON form: integers are strings there, because a JSON number cannot hold 64 bits."""
    # bool comes first: it is a kind of int in Python.
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, (list, tuple)):
        return {"arrayValue": {"values": [_value(item) for item in value]}}
    raise TypeError(f"no OTLP form is known for {type(value).__name__}")
