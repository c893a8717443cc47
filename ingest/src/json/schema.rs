//! The messages of an `ExportTraceServiceRequest`: JSON name, field number and kind of each field.
//!
//! Source: opentelemetry-proto `collector/trace/v1/trace_service.proto`, `trace/v1/trace.proto`,
//! `common/v1/common.proto`, `resource/v1/resource.proto`. Fields that only profiles use are left out, hence ignored.

/// A protobuf message.
pub(super) struct Message {
    pub(super) name: &'static str,
    pub(super) fields: &'static [Field],
}

/// A field of a message.
pub(super) struct Field {
    /// lowerCamelCase, the only spelling that OTLP/JSON knows.
    pub(super) name: &'static str,
    pub(super) number: u32,
    pub(super) kind: Kind,
    pub(super) repeated: bool,
}

/// How a field looks in JSON and on the wire.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    Base64,
    /// Bytes that OTLP, other than proto3's JSON mapping, writes in hex.
    HexId,
    Bool,
    Int64,
    Uint32,
    Fixed32,
    Fixed64,
    Double,
    /// With the names of its numbers, from 0.
    Enum(&'static [&'static str]),
    Message(&'static Message),
}

impl Kind {
    /// Whether the field holds attribute values.
    pub(super) fn is_any_value(self) -> bool {
        matches!(self, Self::Message(message) if std::ptr::eq(message, &ANY_VALUE))
    }
}

const fn one(name: &'static str, number: u32, kind: Kind) -> Field {
    Field { name, number, kind, repeated: false }
}

const fn many(name: &'static str, number: u32, kind: Kind) -> Field {
    Field { name, number, kind, repeated: true }
}

pub(super) static EXPORT_TRACE_SERVICE_REQUEST: Message =
    Message { name: "ExportTraceServiceRequest", fields: &[many("resourceSpans", 1, Kind::Message(&RESOURCE_SPANS))] };

static RESOURCE_SPANS: Message = Message {
    name: "ResourceSpans",
    fields: &[
        one("resource", 1, Kind::Message(&RESOURCE)),
        many("scopeSpans", 2, Kind::Message(&SCOPE_SPANS)),
        one("schemaUrl", 3, Kind::Text),
    ],
};

static RESOURCE: Message = Message {
    name: "Resource",
    fields: &[
        many("attributes", 1, Kind::Message(&KEY_VALUE)),
        one("droppedAttributesCount", 2, Kind::Uint32),
        many("entityRefs", 3, Kind::Message(&ENTITY_REF)),
    ],
};

static ENTITY_REF: Message = Message {
    name: "EntityRef",
    fields: &[
        one("schemaUrl", 1, Kind::Text),
        one("type", 2, Kind::Text),
        many("idKeys", 3, Kind::Text),
        many("descriptionKeys", 4, Kind::Text),
    ],
};

static SCOPE_SPANS: Message = Message {
    name: "ScopeSpans",
    fields: &[
        one("scope", 1, Kind::Message(&INSTRUMENTATION_SCOPE)),
        many("spans", 2, Kind::Message(&SPAN)),
        one("schemaUrl", 3, Kind::Text),
    ],
};

static INSTRUMENTATION_SCOPE: Message = Message {
    name: "InstrumentationScope",
    fields: &[
        one("name", 1, Kind::Text),
        one("version", 2, Kind::Text),
        many("attributes", 3, Kind::Message(&KEY_VALUE)),
        one("droppedAttributesCount", 4, Kind::Uint32),
    ],
};

static SPAN: Message = Message {
    name: "Span",
    fields: &[
        // In the order of how often SDKs write them: keys are looked up from the front.
        one("traceId", 1, Kind::HexId),
        one("spanId", 2, Kind::HexId),
        one("parentSpanId", 4, Kind::HexId),
        one("name", 5, Kind::Text),
        one("kind", 6, Kind::Enum(SPAN_KINDS)),
        one("startTimeUnixNano", 7, Kind::Fixed64),
        one("endTimeUnixNano", 8, Kind::Fixed64),
        many("attributes", 9, Kind::Message(&KEY_VALUE)),
        one("droppedAttributesCount", 10, Kind::Uint32),
        many("events", 11, Kind::Message(&EVENT)),
        one("droppedEventsCount", 12, Kind::Uint32),
        one("status", 15, Kind::Message(&STATUS)),
        many("links", 13, Kind::Message(&LINK)),
        one("droppedLinksCount", 14, Kind::Uint32),
        one("flags", 16, Kind::Fixed32),
        one("traceState", 3, Kind::Text),
    ],
};

const SPAN_KINDS: &[&str] = &[
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];

static EVENT: Message = Message {
    name: "Event",
    fields: &[
        one("timeUnixNano", 1, Kind::Fixed64),
        one("name", 2, Kind::Text),
        many("attributes", 3, Kind::Message(&KEY_VALUE)),
        one("droppedAttributesCount", 4, Kind::Uint32),
    ],
};

static LINK: Message = Message {
    name: "Link",
    fields: &[
        one("traceId", 1, Kind::HexId),
        one("spanId", 2, Kind::HexId),
        one("traceState", 3, Kind::Text),
        many("attributes", 4, Kind::Message(&KEY_VALUE)),
        one("droppedAttributesCount", 5, Kind::Uint32),
        one("flags", 6, Kind::Fixed32),
    ],
};

static STATUS: Message =
    Message { name: "Status", fields: &[one("code", 3, Kind::Enum(STATUS_CODES)), one("message", 2, Kind::Text)] };

const STATUS_CODES: &[&str] = &["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"];

static KEY_VALUE: Message =
    Message { name: "KeyValue", fields: &[one("key", 1, Kind::Text), one("value", 2, Kind::Message(&ANY_VALUE))] };

static ANY_VALUE: Message = Message {
    name: "AnyValue",
    fields: &[
        one("stringValue", 1, Kind::Text),
        one("intValue", 3, Kind::Int64),
        one("boolValue", 2, Kind::Bool),
        one("doubleValue", 4, Kind::Double),
        one("arrayValue", 5, Kind::Message(&ARRAY_VALUE)),
        one("kvlistValue", 6, Kind::Message(&KEY_VALUE_LIST)),
        one("bytesValue", 7, Kind::Base64),
    ],
};

static ARRAY_VALUE: Message = Message { name: "ArrayValue", fields: &[many("values", 1, Kind::Message(&ANY_VALUE))] };

static KEY_VALUE_LIST: Message =
    Message { name: "KeyValueList", fields: &[many("values", 1, Kind::Message(&KEY_VALUE))] };
