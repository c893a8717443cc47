//! Why a request was not kept: one enum for both transports. `reply` gives each its code.

use std::time::Duration;

use store::Overload;

/// A request that was not kept, as a whole. A bad span in a good request is no refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The bytes are not what the headers say. Sending them again cannot help.
    #[error("the request does not decode: {0}")]
    Undecodable(String),
    /// A size limit of [`crate::Settings`].
    #[error("the request is larger than {limit} bytes {stage}: send smaller batches, or raise {setting}")]
    TooLarge {
        /// `as sent` or `after decompression`.
        stage: &'static str,
        /// The setting to raise.
        setting: &'static str,
        /// Its value.
        limit: usize,
    },
    /// A content type that is neither protobuf nor JSON.
    #[error("content type {0} is not supported: send application/x-protobuf or application/json")]
    UnsupportedType(String),
    /// A compression that is not known here.
    #[error("encoding {0} is not supported: send gzip, zstd, deflate or none")]
    UnsupportedEncoding(String),
    /// Another method than POST.
    #[error("method {0} is not supported: send POST")]
    UnsupportedMethod(String),
    /// A path that is not served.
    #[error("nothing is served here: spans go to POST /v1/traces, metrics and logs are not kept")]
    UnknownPath,
    /// A breach of gRPC's own framing, for which gRPC prescribes the code.
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    /// The body took too long to arrive.
    #[error("the request body did not arrive within {} s", .0.as_secs())]
    Slow(Duration),
    /// The connection failed within the body; the sender will hardly read the answer.
    #[error("the request body broke off: {0}")]
    Interrupted(String),
    /// A limit, here or in the store, is reached, or so near that these spans are refused for others.
    #[error("{0}")]
    Overloaded(Overload),
    /// The store takes nothing at the moment.
    #[error("spans cannot be kept at the moment ({message}): send them again")]
    Unavailable {
        /// The store's reason.
        message: String,
        /// The least time to wait.
        retry_after: Duration,
    },
    /// The store needs its operator. Still the sender's data is good, so the answer asks to retry;
    /// what is wrong is in the log, not in the answer.
    #[error("spans cannot be kept until the operator of this server acts: see its log, and send them again")]
    Broken {
        /// The least time to wait.
        retry_after: Duration,
    },
    /// A defect of ours that this very request triggers, so sending it again cannot help.
    #[error("the server failed on this request")]
    Crashed,
}

impl Refusal {
    /// When the client may send the same request again; `None` when it must not.
    pub(crate) const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Overloaded(overload) => Some(overload.retry_after()),
            Self::Unavailable { retry_after, .. } | Self::Broken { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    /// The value of the label `outcome` in the metrics.
    pub(crate) const fn outcome(&self) -> &'static str {
        match self {
            Self::Undecodable(_) => "undecodable",
            Self::TooLarge { .. } => "too_large",
            Self::UnsupportedType(_) | Self::UnsupportedEncoding(_) => "unsupported",
            Self::UnsupportedMethod(_) | Self::UnknownPath | Self::Protocol(_) => "protocol",
            Self::Slow(_) => "slow",
            Self::Interrupted(_) => "interrupted",
            Self::Overloaded(_) => "overloaded",
            Self::Unavailable { .. } => "unavailable",
            Self::Broken { .. } => "broken",
            Self::Crashed => "crashed",
        }
    }
}

impl From<Overload> for Refusal {
    fn from(overload: Overload) -> Self {
        Self::Overloaded(overload)
    }
}
