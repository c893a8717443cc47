//! What goes wrong with traces on their way: applied to finished operations, lightly, so that the UI's answers to it
//! can be seen. (pg_tracing's roots, skewed clocks and roots that arrive last are in the operations themselves.)

use std::collections::HashSet;
use std::time::Duration;

use super::Scene;
use crate::demo::span::EmittedSpan;

/// Operations of which one span in the middle is lost.
const LOST_SPAN_SHARE: f64 = 0.004;
/// Operations of which one span comes late.
const LATE_SPAN_SHARE: f64 = 0.01;
/// How late: median and spread.
const LATE_MEDIAN: Duration = Duration::from_secs(20);
const LATE_SIGMA: f64 = 1.0;
/// Operations of which one span is sent twice, as a retry does it.
const REPEATED_SPAN_SHARE: f64 = 0.004;

/// Loses, delays or repeats a span now and then.
pub fn afflict(scene: &mut Scene<'_>, spans: &mut Vec<EmittedSpan>) {
    if scene.dice.chance(LOST_SPAN_SHARE) {
        lose_a_middle_span(scene, spans);
    }
    if scene.dice.chance(LATE_SPAN_SHARE) {
        let delay = i64::try_from(scene.dice.lognormal(LATE_MEDIAN, LATE_SIGMA).as_nanos()).unwrap_or(i64::MAX);
        let late = scene.dice.below(spans.len() as u64) as usize;
        spans[late].ready = spans[late].ready.saturating_add(delay);
    }
    if scene.dice.chance(REPEATED_SPAN_SHARE) {
        let repeated = scene.dice.below(spans.len() as u64) as usize;
        spans.push(spans[repeated].clone());
    }
}

/// Takes out a span that has both a parent and children; nothing when no span has.
fn lose_a_middle_span(scene: &mut Scene<'_>, spans: &mut Vec<EmittedSpan>) {
    let parents: HashSet<&[u8]> = spans.iter().map(|emitted| emitted.span.parent_span_id.as_slice()).collect();
    let middle: Vec<usize> = (0..spans.len())
        .filter(|position| {
            let span = &spans[*position].span;
            !span.parent_span_id.is_empty() && parents.contains(span.span_id.as_slice())
        })
        .collect();
    if !middle.is_empty() {
        let lost = *scene.dice.pick(&middle);
        spans.remove(lost);
    }
}
