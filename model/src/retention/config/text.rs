//! The configuration's own shape: fields and conditions as they are written, nothing of it checked yet.

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::retention) struct PolicyText {
    pub(super) hold: Option<String>,
    pub(super) rules: Option<Vec<RuleText>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleText {
    pub(super) name: String,
    #[serde(default, rename = "match")]
    pub(super) selector: SelectorText,
    pub(super) keep: Option<KeepText>,
    pub(super) keep_if: Option<Vec<ConditionText>>,
    #[serde(rename = "else")]
    pub(super) fallback: Option<FallbackText>,
    pub(super) retain: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SelectorText {
    pub(super) class: Vec<String>,
    pub(super) service: Vec<String>,
    pub(super) operation: Vec<String>,
    pub(super) attribute: Vec<AttributeText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AttributeText {
    pub(super) key: String,
    pub(super) values: Option<Vec<String>>,
    pub(super) exists: Option<bool>,
    pub(super) min_value: Option<f64>,
    pub(super) max_value: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum KeepText {
    All,
    None,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FallbackText {
    pub(super) sampling_percentage: f64,
    pub(super) retain: Option<String>,
}

/// The names are those of `tail_sampling`'s policy types, as far as it has them.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ConditionText {
    StatusCode(StatusText),
    Latency(LatencyText),
    StateChange(bool),
    Neighbour(NeighbourText),
    LinkedOrParented(bool),
    StringAttribute(StringAttributeText),
    NumericAttribute(NumericAttributeText),
    BooleanAttribute(BooleanAttributeText),
    SpanCount(SpanCountText),
    And(Vec<ConditionText>),
    Not(Box<ConditionText>),
    Probabilistic(ProbabilisticText),
}

/// `"ERROR"`, `["ERROR", "UNSET"]`, or the collector's `{ status_codes = [...] }`.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a status code, such as \"ERROR\", or a list of them")]
pub(super) enum StatusText {
    One(String),
    Many(Vec<String>),
    Collector { status_codes: Vec<String> },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LatencyText {
    pub(super) threshold_ms: Option<u32>,
    pub(super) percentile: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NeighbourText {
    pub(super) of: Vec<String>,
    pub(super) window: String,
    pub(super) same: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StringAttributeText {
    pub(super) key: String,
    pub(super) values: Vec<String>,
    #[serde(default)]
    pub(super) invert_match: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NumericAttributeText {
    pub(super) key: String,
    pub(super) min_value: Option<f64>,
    pub(super) max_value: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BooleanAttributeText {
    pub(super) key: String,
    pub(super) value: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SpanCountText {
    pub(super) min_spans: Option<u64>,
    pub(super) max_spans: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProbabilisticText {
    pub(super) sampling_percentage: f64,
}
