//! What can be wrong with traces, as switches: the fifteen pathologies and the set of those that are on.
//!
//! Owns their names. What each does to spans is in [`super::afflict`] and in the operations.

use std::fmt;
use std::str::FromStr;

/// Something that real senders, networks and clocks do to traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pathology {
    /// A root arrives when it ends, after all of its children; without it a trace arrives at once, when it is over.
    RootLast,
    /// The controller crashes in the middle: root and open spans never arrive.
    RootNever,
    /// Spans of the control plane arrive seconds, hours or more than a day after their end, and requests out of order.
    LateSpans,
    /// Spans are sent twice, some with a later end the second time.
    Duplicates,
    /// Hosts' clocks are off by milliseconds, seconds or, on one host, five minutes.
    ClockSkew,
    /// Roots whose parent is eight zero bytes, or the low half of the trace id.
    ZeroParents,
    /// Spans in the middle of a trace are lost.
    MissingSpans,
    /// What an operation causes is in traces of its own that link to it.
    Links,
    /// Long operations announce themselves by a span that stands for the unfinished one.
    PendingSpans,
    /// Keys of before the stable semantic conventions, integers as texts, other encodings and compressions.
    MixedConventions,
    /// Huge texts, spans with 200 attributes, text that is not UTF-8, traces of 1,500 and of 60,000 spans.
    AttributeAbuse,
    /// Two failovers within minutes under one trace id.
    TraceReuse,
    /// Cycles that bear the name of a failover and are none.
    NameNoise,
    /// Failovers that need a second attempt.
    Retries,
    /// Failures that are told by a status alone, by an event, by logs only, or by an HTTP status code.
    ErrorShapes,
}

impl Pathology {
    /// All of them, in the order of the workload model.
    pub const ALL: [Self; 15] = [
        Self::RootLast,
        Self::RootNever,
        Self::LateSpans,
        Self::Duplicates,
        Self::ClockSkew,
        Self::ZeroParents,
        Self::MissingSpans,
        Self::Links,
        Self::PendingSpans,
        Self::MixedConventions,
        Self::AttributeAbuse,
        Self::TraceReuse,
        Self::NameNoise,
        Self::Retries,
        Self::ErrorShapes,
    ];

    /// As on the command line and in the truth file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RootLast => "root-last",
            Self::RootNever => "root-never",
            Self::LateSpans => "late-spans",
            Self::Duplicates => "duplicates",
            Self::ClockSkew => "clock-skew",
            Self::ZeroParents => "zero-parents",
            Self::MissingSpans => "missing-spans",
            Self::Links => "links",
            Self::PendingSpans => "pending-spans",
            Self::MixedConventions => "mixed-conventions",
            Self::AttributeAbuse => "attribute-abuse",
            Self::TraceReuse => "trace-reuse",
            Self::NameNoise => "name-noise",
            Self::Retries => "retries",
            Self::ErrorShapes => "error-shapes",
        }
    }
}

/// Those that are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pathologies(u16);

impl Pathologies {
    /// None: spans as a textbook has them.
    pub const NONE: Self = Self(0);

    /// All.
    #[must_use]
    pub fn all() -> Self {
        Pathology::ALL.into_iter().fold(Self::NONE, Self::with)
    }

    /// These and one more.
    #[must_use]
    pub const fn with(self, pathology: Pathology) -> Self {
        Self(self.0 | 1 << pathology as u16)
    }

    /// Whether one is on.
    #[must_use]
    pub const fn has(self, pathology: Pathology) -> bool {
        self.0 & (1 << pathology as u16) != 0
    }

    /// The names of those that are on.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Pathology::ALL.into_iter().filter(move |pathology| self.has(*pathology)).map(Pathology::name)
    }
}

/// There is no such pathology.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no pathology is called {0}: write all, none, or some of {names}", names = Pathologies::all())]
pub struct PathologyError(
    /// What was written.
    pub String,
);

impl FromStr for Pathologies {
    type Err = PathologyError;

    /// `all`, `none`, or names with commas between them.
    fn from_str(text: &str) -> Result<Self, PathologyError> {
        match text {
            "all" => return Ok(Self::all()),
            "none" => return Ok(Self::NONE),
            _ => {}
        }
        text.split(',').try_fold(Self::NONE, |set, name| {
            let found = Pathology::ALL.into_iter().find(|pathology| pathology.name() == name.trim());
            found.map(|pathology| set.with(pathology)).ok_or_else(|| PathologyError(name.trim().to_owned()))
        })
    }
}

impl fmt::Display for Pathologies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NONE {
            return f.write_str("none");
        }
        let names: Vec<&str> = self.names().collect();
        f.write_str(&names.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_written_as_it_is_read() {
        for set in [Pathologies::all(), Pathologies::NONE, Pathologies::NONE.with(Pathology::Links)] {
            assert_eq!(set.to_string().parse(), Ok(set));
        }
        assert_eq!("all".parse(), Ok(Pathologies::all()));
        let two = Pathologies::NONE.with(Pathology::Retries).with(Pathology::ClockSkew);
        assert_eq!("retries, clock-skew".parse(), Ok(two));
        assert!(!two.has(Pathology::Links));
        assert_eq!("retries,nonsense".parse::<Pathologies>(), Err(PathologyError("nonsense".to_owned())));
    }
}
