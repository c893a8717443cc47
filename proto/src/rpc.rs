//! `google.rpc.Status` and `google.rpc.RetryInfo`: the body of an OTLP error.
//!
//! Source: googleapis `google/rpc/{status,error_details}.proto`, which the OTLP specification names for failures.
//! Only the fields that OTLP uses; both are stable, public definitions under Apache-2.0.

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Status {
    /// A `google.rpc.Code`; the same numbers as gRPC's.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// What went wrong and what to do, for a developer.
    #[prost(string, tag = "2")]
    pub message: String,
    /// Further messages, such as [`RetryInfo`].
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Any {
    /// `type.googleapis.com/<full name>`.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The encoded message.
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

/// `google.rpc.RetryInfo`: when the client may send again.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RetryInfo {
    /// The least time to wait.
    #[prost(message, optional, tag = "1")]
    pub retry_delay: Option<Duration>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Duration {
    /// Whole seconds.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Nanoseconds within the second.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

impl RetryInfo {
    /// The name under which [`Any`] carries this message.
    pub const TYPE_URL: &'static str = "type.googleapis.com/google.rpc.RetryInfo";
}
