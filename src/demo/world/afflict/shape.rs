//! What is wrong with the spans themselves: clocks, parents, conventions, errors, and attributes beyond all reason.

use proto::otlp::common::v1::any_value::Value;
use proto::otlp::trace::v1::Status;

use super::{Afflictions, Parcel, Role};
use crate::demo::dice::Dice;
use crate::demo::fleet::Fleet;
use crate::demo::span::{Fact, key_value};
use crate::demo::world::pathology::Pathology;
use crate::demo::world::tally::is_error;

/// Clocks: spread of all, share and size of the bad ones, and the one that is hopeless.
const SKEW_SIGMA_NANOS: f64 = 40e6;
const BAD_CLOCK_SHARE: f64 = 0.01;
const BAD_SKEW_NANOS: i64 = 2_000_000_000;
const HOPELESS_SKEW_NANOS: i64 = 300_000_000_000;
/// Operations with keys of before the stable conventions, and spans of those whose integers are texts.
const OLD_KEYS_SHARE: f64 = 0.40;
const TEXT_INTEGERS_SHARE: f64 = 0.10;
const ZERO_PARENT_SHARE: f64 = 0.10;
const LOW_HALF_PARENT_SHARE: f64 = 0.05;
const HUGE_TEXT_SHARE: f64 = 0.001;
const HUGE_TEXT_BYTES: usize = 64 << 10;
const MANY_ATTRIBUTES_SHARE: f64 = 0.002;
const MANY_ATTRIBUTES: usize = 200;
/// Operations beside which a span is sent whose text is not UTF-8.
const MALFORMED_SHARE: f64 = 0.000_5;
/// What stands for bytes that are not UTF-8 until the request is encoded: four bytes that occur in no sane text.
pub(in crate::demo::world) const NOT_UTF8_STAND_IN: &str = "\u{10fffe}";

/// New key, old key.
const OLD_KEYS: [(&str, &str); 9] = [
    ("db.system.name", "db.system"),
    ("db.namespace", "db.name"),
    ("db.operation.name", "db.operation"),
    ("db.query.text", "db.statement"),
    ("db.collection.name", "db.sql.table"),
    ("http.request.method", "http.method"),
    ("http.response.status_code", "http.status_code"),
    ("rpc.system.name", "rpc.system"),
    ("url.path", "http.target"),
];

/// How far each host's clock is ahead, by emitter. An agent and the database beside it have one clock.
pub(super) fn clock_skews(fleet: &Fleet, dice: &mut Dice) -> Vec<i64> {
    let mut draw = || {
        let usual = dice.normal() * SKEW_SIGMA_NANOS;
        let sign = if dice.chance(0.5) { 1 } else { -1 };
        if dice.chance(BAD_CLOCK_SHARE) { sign * BAD_SKEW_NANOS } else { usual as i64 }
    };
    // A process of the control plane has a host of its own.
    let mut skews: Vec<i64> = (0..fleet.emitter_count()).map(|_| draw()).collect();
    for node in fleet.instances.iter().flat_map(|instance| &instance.nodes) {
        skews[node.database.id] = skews[node.agent.id];
    }
    if let Some(node) = fleet.instances.last().and_then(|instance| instance.nodes.last()) {
        skews[node.agent.id] = HOPELESS_SKEW_NANOS;
        skews[node.database.id] = HOPELESS_SKEW_NANOS;
    }
    skews
}

impl Afflictions {
    pub(super) fn skew_clocks(&mut self, parcels: &mut Vec<Parcel>) -> u64 {
        let mut skewed = 0;
        for parcel in parcels {
            // Emitters that a roll-out made are numbered after the fleet's own.
            let skew = self.skews[parcel.emitted.emitter.id % self.skews.len()];
            let span = &mut parcel.emitted.span;
            let times = [&mut span.start_time_unix_nano, &mut span.end_time_unix_nano];
            for time in times.into_iter().chain(span.events.iter_mut().map(|event| &mut event.time_unix_nano)) {
                *time = time.saturating_add_signed(skew);
            }
            skewed += u64::from(skew != 0);
        }
        skewed
    }

    #[expect(clippy::ptr_arg, reason = "all strikes have one signature")]
    pub(super) fn write_parents(&mut self, parcels: &mut Vec<Parcel>) -> u64 {
        let dice = self.dice(Pathology::ZeroParents);
        let mut written = 0;
        for parcel in parcels.iter_mut().filter(|parcel| parcel.is_root) {
            let span = &mut parcel.emitted.span;
            if !span.parent_span_id.is_empty() {
                // pg_tracing's own.
                written += 1;
            } else if dice.chance(ZERO_PARENT_SHARE) {
                span.parent_span_id = vec![0; 8];
                written += 1;
            } else if dice.chance(LOW_HALF_PARENT_SHARE) {
                span.parent_span_id = span.trace_id[8..].to_vec();
                written += 1;
            }
        }
        written
    }

    pub(super) fn mix_conventions(&mut self, parcels: &mut Vec<Parcel>) -> u64 {
        let dice = self.dice(Pathology::MixedConventions);
        if !dice.chance(OLD_KEYS_SHARE) {
            return 0;
        }
        let mut changed = 0;
        for parcel in parcels {
            let has_text_integers = dice.chance(TEXT_INTEGERS_SHARE);
            let mut is_changed = false;
            for attribute in &mut parcel.emitted.span.attributes {
                if let Some((_, old)) = OLD_KEYS.iter().find(|(new, _)| *new == attribute.key) {
                    (*old).clone_into(&mut attribute.key);
                    is_changed = true;
                }
                let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
                if let (true, Some(Value::IntValue(number))) = (has_text_integers, value) {
                    *attribute = key_value(&attribute.key, Fact::from(number.to_string()));
                    is_changed = true;
                }
            }
            changed += u64::from(is_changed);
        }
        changed
    }

    #[expect(clippy::ptr_arg, reason = "all strikes have one signature")]
    pub(super) fn change_errors(&mut self, parcels: &mut Vec<Parcel>) -> u64 {
        let dice = self.dice(Pathology::ErrorShapes);
        let mut changed = 0;
        for parcel in parcels.iter_mut().filter(|parcel| is_error(&parcel.emitted)) {
            let span = &mut parcel.emitted.span;
            let draw = dice.between(0.0, 1.0);
            let status_code = span.attributes.iter_mut().find(|attribute| attribute.key == "http.response.status_code");
            if draw < 0.2 {
                // The status alone.
                span.events.clear();
                span.attributes.retain(|attribute| attribute.key != "error.type");
            } else if draw < 0.4 {
                // The exception went to the logs.
                span.events.clear();
            } else if let (true, Some(attribute)) = (draw < 0.6, status_code) {
                *attribute = key_value("http.response.status_code", Fact::Int(500));
                span.events.clear();
                span.status = Some(Status::default());
            } else {
                continue;
            }
            changed += 1;
        }
        changed
    }

    pub(super) fn abuse_attributes(&mut self, parcels: &mut Vec<Parcel>) -> u64 {
        let dice = self.dice(Pathology::AttributeAbuse);
        let mut abused = 0;
        let Some(position) = parcels.iter().position(|parcel| parcel.is_root) else { return 0 };
        if dice.chance(HUGE_TEXT_SHARE) {
            let attributes = &mut parcels[position].emitted.span.attributes;
            attributes.retain(|attribute| attribute.key != "db.query.text");
            attributes.push(key_value("db.query.text", Fact::from(huge_statement())));
            abused += 1;
        }
        if dice.chance(MANY_ATTRIBUTES_SHARE) {
            let attributes = &mut parcels[position].emitted.span.attributes;
            for number in attributes.len()..MANY_ATTRIBUTES {
                attributes.push(key_value(&format!("label.{number}"), Fact::from(format!("value {number}"))));
            }
            abused += 1;
        }
        if dice.chance(MALFORMED_SHARE) {
            let mut emitted = parcels[position].emitted.clone();
            emitted.span.trace_id = dice.trace_id().as_bytes().to_vec();
            emitted.span.name = format!("caf{NOT_UTF8_STAND_IN}");
            parcels.push(Parcel { emitted, role: Role::Malformed, is_root: false, is_own: false, has_failed: false });
            abused += 1;
        }
        abused
    }

    #[expect(clippy::ptr_arg, reason = "all strikes have one signature")]
    pub(super) fn count_links(&mut self, parcels: &mut Vec<Parcel>) -> u64 {
        parcels.iter().filter(|parcel| !parcel.emitted.span.links.is_empty()).count() as u64
    }
}

/// A statement of 64 KiB, as generators of SQL write them.
fn huge_statement() -> String {
    let mut text = String::with_capacity(HUGE_TEXT_BYTES + 16);
    text.push_str("SELECT * FROM t1 WHERE id IN (0");
    let mut number = 0_u64;
    while text.len() < HUGE_TEXT_BYTES - 16 {
        number += 7_919;
        text.push_str(", ");
        text.push_str(&number.to_string());
    }
    text.push(')');
    text
}
