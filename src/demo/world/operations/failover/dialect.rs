//! What controllers that trace their phases one after the other call them.

use std::borrow::Cow;

use crate::demo::dice::Dice;

/// A way of telling phases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `dbaas.failover.phase` on each; the names may be anything.
    Attributes,
    /// Names that people use, and nothing else.
    Names,
    /// Temporal's workflow and activities.
    Temporal,
}

/// Styles, and how often.
pub(super) const STYLES: [(Style, f64); 3] = [(Style::Attributes, 0.50), (Style::Names, 0.36), (Style::Temporal, 0.14)];

impl Style {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Attributes => "attributes",
            Self::Names => "names",
            Self::Temporal => "temporal",
        }
    }

    /// The name of the root span.
    pub(super) const fn root(self, is_planned: bool) -> &'static str {
        match (self, is_planned) {
            (Self::Temporal, true) => "StartWorkflow:SwitchoverInstance",
            (Self::Temporal, false) => "StartWorkflow:FailoverInstance",
            (_, true) => "Switchover",
            (_, false) => "Failover",
        }
    }

    /// A name of a phase's span.
    pub(super) fn phase(self, phase: &str, dice: &mut Dice) -> Cow<'static, str> {
        let names = names(phase);
        match self {
            // Two of five say nothing by their name.
            Self::Attributes if dice.chance(0.4) => Cow::Borrowed(vague_name(phase)),
            Self::Attributes | Self::Names => Cow::Borrowed(dice.pick::<&'static str>(names)),
            Self::Temporal => Cow::Borrowed(activity(phase)),
        }
    }
}

fn names(phase: &str) -> &'static [&'static str] {
    match phase {
        "detect" => &["DetectFailure", "confirm failure", "lease expiry", "Detect primary failure"],
        "fence" => &["FencePrimary", "Demote old primary", "set_read_only", "fast shutdown"],
        "elect" => &["Elect candidate", "FindMostAdvancedReplica", "acquire leader lock", "choose new primary"],
        "catchup" => &["WaitForReplay", "wait for LSN", "catch up", "drain_replay"],
        "promote" => &["pg_promote", "PromoteStandby", "become primary", "Promote standby"],
        "endpoint" => &["UpdateDNS", "SwitchEndpoint", "publish topology", "Patch service endpoints"],
        "verify" => &["VerifyWrites", "write probe", "smoke test", "Verify new primary"],
        _ => &["pg_rewind", "RebuildStandby", "Rejoin old primary", "reclone"],
    }
}

/// Names that no table can know.
fn vague_name(phase: &str) -> &'static str {
    match phase {
        "detect" => "step 0",
        "fence" => "Handle former writer",
        "elect" => "Determine target",
        "catchup" => "Settle target",
        "promote" => "Open target",
        "endpoint" => "Point clients at target",
        "verify" => "Final step",
        _ => "Clean up former writer",
    }
}

/// Temporal's SDK names the span of an activity so.
fn activity(phase: &str) -> &'static str {
    match phase {
        "detect" => "RunActivity:DetectFailure",
        "fence" => "RunActivity:FencePrimary",
        "elect" => "RunActivity:ElectCandidate",
        "catchup" => "RunActivity:WaitForReplay",
        "promote" => "RunActivity:PromoteStandby",
        "endpoint" => "RunActivity:UpdateDNS",
        "verify" => "RunActivity:VerifyWrites",
        _ => "RunActivity:RejoinOldPrimary",
    }
}
