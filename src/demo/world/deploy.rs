//! Which version of a service runs when: every service of the control plane is rolled out anew each day, first in the canary
//! region, hours later everywhere.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use proto::UnixNanos;
use proto::otlp::common::v1::any_value::Value;

use super::stage::after;
use crate::demo::fleet::{CANARY_REGION, Emitter, Fleet};
use crate::demo::span::{EmittedSpan, Fact, key_value};

/// From one roll-out to the next.
pub(super) const PERIOD: Duration = Duration::from_secs(24 * 3_600);
/// From the start of the world's day to the roll-out in the canary region and in the others.
const CANARY_OFFSET: Duration = Duration::from_secs(10 * 3_600);
const OFFSET: Duration = Duration::from_secs(14 * 3_600);
/// The service whose roll-out made a step slower.
pub(super) const REGRESSED_SERVICE: &str = "k8s-operator";

/// The versions of all services.
#[derive(Debug)]
pub(super) struct Deploys {
    start: UnixNanos,
    /// Emitters after the fleet's own, by emitter and how many roll-outs it has seen.
    rolled_out: HashMap<(usize, u64), Arc<Emitter>>,
}

impl Deploys {
    pub(super) fn new(start: UnixNanos) -> Self {
        Self { start, rolled_out: HashMap::new() }
    }

    /// When the canary region gets the roll-out of a day, counted from 0.
    pub(super) fn canary_time(&self, day: u32) -> UnixNanos {
        after(after(self.start, PERIOD * day), CANARY_OFFSET)
    }

    /// Lets spans of an operation that started at `at` be sent by the versions of that time.
    pub(super) fn apply(&mut self, fleet: &Fleet, spans: &mut [EmittedSpan], at: UnixNanos) {
        for emitted in spans {
            let Some(region) = fleet.control_region(&emitted.emitter) else { continue };
            let count = self.roll_outs(region, at);
            if count > 0 {
                let id = emitted.emitter.id + fleet.emitter_count() * count as usize;
                let rolled_out = self.rolled_out.entry((emitted.emitter.id, count));
                let emitter = rolled_out.or_insert_with(|| Arc::new(rolled_out_emitter(&emitted.emitter, id, count)));
                emitted.emitter = Arc::clone(emitter);
            }
        }
    }

    /// The version that a service of the canary region runs at a time.
    pub(super) fn canary_version(&self, fleet: &Fleet, service: &str, at: UnixNanos) -> String {
        version(&fleet.service(CANARY_REGION, service).version, self.roll_outs(CANARY_REGION, at))
    }

    fn roll_outs(&self, region: usize, at: UnixNanos) -> u64 {
        let offset = if region == CANARY_REGION { CANARY_OFFSET } else { OFFSET };
        let since = at.nanos_since(after(self.start, offset));
        let period = i64::try_from(PERIOD.as_nanos()).unwrap_or(i64::MAX);
        u64::try_from(since).map_or(0, |since| since / period.unsigned_abs() + 1)
    }
}

/// The version after so many roll-outs, each of which counts up the last number.
fn version(first: &str, roll_outs: u64) -> String {
    match first.rsplit_once('.') {
        Some((front, last)) => format!("{front}.{}", last.parse::<u64>().unwrap_or(0) + roll_outs),
        None => first.to_owned(),
    }
}

fn rolled_out_emitter(emitter: &Emitter, id: usize, count: u64) -> Emitter {
    let version = version(&emitter.version, count);
    let mut resource = emitter.resource.clone();
    for attribute in &mut resource.attributes {
        let Some(Value::StringValue(text)) = attribute.value.as_ref().and_then(|value| value.value.as_ref()) else {
            continue;
        };
        let value = match attribute.key.as_str() {
            "service.version" => version.clone(),
            // A roll-out replaces the pods.
            "service.instance.id" | "k8s.pod.name" => format!("{text}-{count}"),
            _ => continue,
        };
        *attribute = key_value(&attribute.key, Fact::from(value));
    }
    Emitter { id, service: emitter.service, scope: emitter.scope, version, resource, clock_skew_nanos: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::dice::Dice;
    use crate::demo::fleet::FleetSettings;
    use crate::demo::span::{Draft, TraceBuilder};

    const START: UnixNanos = UnixNanos::from_i64(1_790_812_800_000_000_000);

    /// Version and pod of a service's sender, so long after the start.
    fn sent_by(deploys: &mut Deploys, fleet: &Fleet, region: usize, hours: u32) -> (String, String) {
        let mut trace = TraceBuilder::new(&mut Dice::new(1, "deploy"), START);
        trace.add(Draft::new(fleet.service(region, "provisioner"), "work"));
        let mut spans = trace.finish();
        deploys.apply(fleet, &mut spans, after(START, Duration::from_secs(3_600) * hours));
        let emitter = &spans[0].emitter;
        let pod = emitter.resource.attributes.iter().find(|attribute| attribute.key == "k8s.pod.name");
        (emitter.version.clone(), format!("{:?}", pod.expect("a pod").value))
    }

    #[test]
    fn every_day_has_its_version_and_the_canary_region_has_it_first() {
        let fleet = Fleet::with(FleetSettings { seed: 1, instance_count: 4, has_quirks: false, is_crowded: false });
        let mut deploys = Deploys::new(START);
        let other = (CANARY_REGION + 1) % 4;
        let before = sent_by(&mut deploys, &fleet, other, 12);
        assert_eq!(before.0, "2.14.0");
        assert_eq!(sent_by(&mut deploys, &fleet, CANARY_REGION, 12).0, "2.14.1");
        let after_it = sent_by(&mut deploys, &fleet, other, 15);
        assert_eq!(after_it.0, "2.14.1");
        assert_ne!(before.1, after_it.1, "a roll-out replaces pods");
        assert_eq!(sent_by(&mut deploys, &fleet, other, 15 + 24 * 9).0, "2.14.10");
        assert_eq!(deploys.canary_version(&fleet, "provisioner", deploys.canary_time(3)), "2.14.4");
    }
}
