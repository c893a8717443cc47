//! What a decision looks at: plain data that the store fills from its columns.

use std::collections::HashMap;

use proto::{TraceId, UnixNanos};

use crate::{ClassSet, OperationClass, StatusCode};

/// The attribute that tells which database instance a span is about.
pub const INSTANCE_ATTRIBUTE: &str = "dbaas.instance.id";

/// What the unit to be decided (a window, or blocks about to be merged) knows of one trace.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceFacts<'a> {
    /// Which trace.
    pub trace_id: TraceId,
    /// `service.name` of the root, or of the earliest span while the root was not received.
    pub service: &'a str,
    /// The span name of the same span.
    pub operation: &'a str,
    /// The class of the same span.
    pub class: OperationClass,
    /// The classes of all its spans.
    pub classes: ClassSet,
    /// A span without a parent was received; pg_tracing's way to send none (see [`crate::tree`]) counts.
    pub has_root: bool,
    /// One of its spans has a link, or a span of another trace links to it.
    pub is_linked: bool,
    /// The statuses of its spans.
    pub statuses: StatusSet,
    /// First start of any span, as sent.
    pub start: UnixNanos,
    /// Last end of any span, as sent.
    pub end: UnixNanos,
    /// When the last of its spans arrived, by this node's clock, or later: when its window was sealed will do.
    pub received: UnixNanos,
    /// Its spans, each once.
    pub span_count: u64,
    /// The first [`INSTANCE_ATTRIBUTE`] that one of its spans or their resources has.
    pub instance: Option<&'a str>,
    /// What its spans and their resources have of [`super::Policy::attribute_keys`]: the place of the key there, and the value.
    /// A key may occur several times.
    pub attributes: Vec<(usize, FactValue<'a>)>,
    /// It is known that the run before it went the other way: seen by [`super::state_changes`] when both were at hand.
    pub state_changed: bool,
    /// An earlier decision of the same policy (see [`super::Policy::fingerprint`]) was to keep it, or a fragment of it. It is
    /// then not dropped because what spoke for it (a failover, the check before) is no longer in sight.
    pub kept_before: bool,
    /// How many traces it stands for by earlier decisions; 1 when there was none.
    pub weight: f64,
}

impl TraceFacts<'_> {
    /// Nanoseconds from the first start to the last end; 0 when the clocks say otherwise.
    #[must_use]
    pub fn duration_nanos(&self) -> i64 {
        self.end.nanos_since(self.start).max(0)
    }

    /// One of its spans has status `Error`.
    #[must_use]
    pub fn has_error(&self) -> bool {
        self.statuses.contains(StatusCode::Error)
    }

    /// How its operation went.
    #[must_use]
    pub fn health(&self) -> Health {
        if self.has_error() { Health::Failing } else { Health::Well }
    }

    /// It is part of something larger: what it is under was not received, it has to do with another trace, or another
    /// operation happens within it. Queries, API requests and agent commands within it are its own means.
    #[must_use]
    pub fn is_linked_or_parented(&self) -> bool {
        let holds_other = self.classes.iter().any(|class| class.is_lifecycle() && class != self.class);
        !self.has_root || self.is_linked || holds_other
    }
}

/// The value of an attribute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FactValue<'a> {
    /// Text.
    Text(&'a str),
    /// An integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// True or false.
    Bool(bool),
}

/// A set of span statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StatusSet(u8);

impl StatusSet {
    /// No status.
    pub const EMPTY: Self = Self(0);

    /// This set and `status`.
    #[must_use]
    pub const fn with(self, status: StatusCode) -> Self {
        Self(self.0 | 1 << status as u8)
    }

    /// Whether `status` is in the set.
    #[must_use]
    pub const fn contains(self, status: StatusCode) -> bool {
        self.0 & 1 << status as u8 != 0
    }

    /// Whether the two sets have a status in common.
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl FromIterator<StatusCode> for StatusSet {
    fn from_iter<T: IntoIterator<Item = StatusCode>>(statuses: T) -> Self {
        statuses.into_iter().fold(Self::EMPTY, Self::with)
    }
}

/// How the last run of an operation went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Health {
    /// Without an error.
    Well,
    /// With an error.
    Failing,
}

/// Whose health changes: an operation about one instance, or of one service when no instance is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateKey<'a> {
    /// Instance, or service.
    pub subject: &'a str,
    /// Span name of the root.
    pub operation: &'a str,
}

impl<'a> StateKey<'a> {
    /// Whose health this trace tells.
    #[must_use]
    pub fn of(facts: &TraceFacts<'a>) -> Self {
        Self { subject: facts.instance.unwrap_or(facts.service), operation: facts.operation }
    }
}

/// A stretch of time in which something happened to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Episode<'a> {
    /// What.
    pub class: OperationClass,
    /// To whom.
    pub instance: &'a str,
    /// Its first start.
    pub start: UnixNanos,
    /// Its last end.
    pub end: UnixNanos,
}

/// What is known besides the traces to be decided. What the policy does not ask for ([`super::Policy::needs`]) may be missing.
#[derive(Default)]
pub struct Context<'a> {
    /// Operations of other units, in any order.
    pub episodes: Vec<Episode<'a>>,
    /// The last health before these traces.
    pub last_health: HashMap<StateKey<'a>, Health>,
    /// The duration in nanoseconds that so many percent of an operation's traces do not exceed, by service, span name of
    /// the root and percentile; `None` where it is not known.
    pub latency_percentile: Option<&'a LatencyPercentile>,
}

/// See [`Context::latency_percentile`].
pub type LatencyPercentile = dyn Fn(&str, &str, f64) -> Option<i64>;
