//! The shape of `[operations]` in the configuration file, nothing of it checked yet.

use serde::Deserialize;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OperationsText {
    pub(super) runs: Option<Vec<String>>,
    pub(super) merge_window: Option<String>,
    pub(super) look_back: Option<String>,
    pub(super) lost_after: Option<String>,
    pub(super) stuck_after: Option<String>,
    pub(super) rules: Vec<RuleText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleText {
    pub(super) name: String,
    #[serde(default, rename = "match")]
    pub(super) selector: SelectorText,
    pub(super) class: Option<String>,
    pub(super) phase: Option<String>,
    pub(super) step: Option<String>,
    pub(super) noise: Option<bool>,
    pub(super) run: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SelectorText {
    pub(super) span: Vec<String>,
    pub(super) span_regex: Option<String>,
    pub(super) service: Vec<String>,
    pub(super) scope: Vec<String>,
    pub(super) attribute: Vec<AttributeText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AttributeText {
    pub(super) key: String,
    pub(super) values: Option<Vec<String>>,
    pub(super) exists: Option<bool>,
}
