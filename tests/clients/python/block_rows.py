"""Rows of blocks, as any Parquet reader gives them, made into OTLP's JSON form: what `GET /api/v1/traces/{id}/otlp` answers.

Written from docs/format.md alone. Two programs share it, so that what they do not share is the reader:
read_block_pyarrow.py and read_block_duckdb.py.
"""

import base64
import json
import math
from collections.abc import Iterable

KINDS = ["unspecified", "internal", "server", "client", "producer", "consumer"]
STATUSES = ["unset", "ok", "error"]
ATTRIBUTE_PREFIX = "attr."


class Entries(list):
    """A JSON object as its keys and values in order: a key may be there twice."""


def print_report(files: list[dict], rows: Iterable[dict], found: dict[bytes, int]) -> None:
    """Prints the one line that the test reads.

    `files` says what the files tell about themselves. Each of `rows` has the columns by name and, under `parent`, the id of the
    parent or None. `found` is how many spans a search by trace id found.
    """
    report = {
        "files": files,
        "found": {trace_id.hex(): spans for trace_id, spans in found.items()},
        "tracesData": traces_data(rows),
    }
    print(json.dumps(report, ensure_ascii=False, allow_nan=False))


def traces_data(rows: Iterable[dict]) -> dict:
    """OTLP's `TracesData`. Of a span that several blocks have, the one that ends last counts."""
    spans: dict[tuple, dict] = {}
    for row in rows:
        key = (row["trace_id"], row["span_id"])
        if key not in spans or end(row) > end(spans[key]):
            spans[key] = row
    resources: dict[str, dict[str, list]] = {}
    for row in spans.values():
        resources.setdefault(row["resource"], {}).setdefault(row["scope"], []).append(span(row))
    return {"resourceSpans": [resource_spans(*of_resource) for of_resource in resources.items()]}


def resource_spans(text: str, scopes: dict[str, list]) -> dict:
    resource = shared(text)
    return {
        "resource": {
            "attributes": resource["attributes"],
            "droppedAttributesCount": resource["dropped_attributes_count"],
        },
        "schemaUrl": resource["schema_url"],
        "scopeSpans": [scope_spans(*of_scope) for of_scope in scopes.items()],
    }


def scope_spans(text: str, spans: list) -> dict:
    scope = shared(text)
    return {
        "scope": {
            "name": scope["name"],
            "version": scope["version"],
            "attributes": scope["attributes"],
            "droppedAttributesCount": scope["dropped_attributes_count"],
        },
        "schemaUrl": scope["schema_url"],
        "spans": spans,
    }


def shared(text: str) -> dict:
    """A resource or scope; what is not there is empty, or 0."""
    fields = {"name": "", "version": "", "schema_url": "", "dropped_attributes_count": 0}
    for key, field in parse(text):
        fields[key] = key_values(field) if key == "attributes" else field
    return fields


def end(row: dict) -> int:
    return row["trace_start_unix_nano"] + row["start_offset_nano"] + row["duration_nano"]


def span(row: dict) -> dict:
    made = {
        "traceId": row["trace_id"].hex(),
        "spanId": row["span_id"].hex(),
        "traceState": row["trace_state"] or "",
        "flags": row["flags"],
        "name": row["name"],
        "kind": KINDS.index(row["kind"]),
        "startTimeUnixNano": str(row["trace_start_unix_nano"] + row["start_offset_nano"]),
        "endTimeUnixNano": str(end(row)),
        "attributes": span_attributes(row),
        "droppedAttributesCount": row["dropped_attributes_count"],
        "events": [event(each) for each in row["events"] or []],
        "droppedEventsCount": row["dropped_events_count"],
        "links": [link(each) for each in row["links"] or []],
        "droppedLinksCount": row["dropped_links_count"],
        "status": {"message": row["status_message"] or "", "code": STATUSES.index(row["status"])},
    }
    if row["parent"] is not None:
        made["parentSpanId"] = row["parent"].hex()
    return made


def event(row: dict) -> dict:
    return {
        "timeUnixNano": str(row["time_unix_nano"]),
        "name": row["name"],
        "attributes": attributes(row["attributes"]),
        "droppedAttributesCount": row["dropped_attributes_count"],
    }


def link(row: dict) -> dict:
    return {
        "traceId": row["trace_id"].hex(),
        "spanId": row["span_id"].hex(),
        "traceState": row["trace_state"],
        "attributes": attributes(row["attributes"]),
        "droppedAttributesCount": row["dropped_attributes_count"],
        "flags": row["flags"],
    }


def span_attributes(row: dict) -> list:
    """Those with a column of their own, then the others."""
    own = [
        {"key": name.removeprefix(ATTRIBUTE_PREFIX), "value": value(field)}
        for name, field in row.items()
        if name.startswith(ATTRIBUTE_PREFIX) and field is not None
    ]
    return own + attributes(row["attributes"])


def attributes(text: str | None) -> list:
    return key_values(parse(text)) if text else []


def parse(text: str) -> Entries:
    return json.loads(text, object_pairs_hook=Entries)


def key_values(entries: Entries) -> list:
    return [{"key": key, "value": value(field)} for key, field in entries]


def value(field) -> dict:
    """OTLP's `AnyValue`."""
    # bool comes first: it is a kind of int in Python. And Entries before list.
    if field is None:
        return {}
    if isinstance(field, bool):
        return {"boolValue": field}
    if isinstance(field, int):
        return {"intValue": str(field)}
    if isinstance(field, float):
        return {"doubleValue": double(field)}
    if isinstance(field, str):
        return {"stringValue": field}
    if isinstance(field, Entries):
        return object_value(field)
    if isinstance(field, list):
        return {"arrayValue": {"values": [value(element) for element in field]}}
    raise TypeError(f"no attribute is a {type(field).__name__}")


def object_value(entries: Entries) -> dict:
    """A nested map, or what JSON cannot say."""
    match entries[:1]:
        case [("$bytes", text)]:
            # Decoded and encoded again, so that it is base64 indeed.
            return {"bytesValue": base64.b64encode(base64.b64decode(text, validate=True)).decode()}
        case [("$double", text)]:
            return {"doubleValue": {"NaN": "NaN", "Infinity": "Infinity", "-Infinity": "-Infinity"}[text]}
        case [("$map", inner)]:
            return {"kvlistValue": {"values": key_values(inner)}}
    return {"kvlistValue": {"values": key_values(entries)}}


def double(number: float) -> float | str:
    """ProtoJSON writes what is no number as text."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return number
