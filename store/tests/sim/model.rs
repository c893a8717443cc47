//! What the store was given and what it said about it: all that an answer is judged by.

use std::collections::{BTreeMap, HashMap};

use model::{Span, Value};
use proto::TraceId;

use crate::traffic::{self, SentSpan};

/// A span of a trace.
type Key = (u64, u8);

#[derive(Debug)]
struct Version {
    sent: SentSpan,
    /// How often it may have been written.
    rows: u64,
    is_acknowledged: bool,
    /// The node that has it in its hot tier.
    node: usize,
    /// It is known to be in a block.
    is_cold: bool,
}

/// Everything that was sent and not refused.
#[derive(Debug, Default)]
pub(crate) struct Model {
    spans: BTreeMap<Key, Vec<Version>>,
    traces: HashMap<TraceId, u64>,
    /// The node that answers.
    pub(crate) node: usize,
    /// Whether that node has seen the manifests of the others.
    pub(crate) knows_bucket: bool,
}

/// What an answer must have at least: the end of each span.
pub(crate) type Promise = BTreeMap<Key, u64>;

impl Model {
    /// Is about to be sent: may be found from now on. Says which spans are new, for [`Self::refused`].
    pub(crate) fn sending(&mut self, spans: &[SentSpan]) -> Vec<bool> {
        let node = self.node;
        let mut are_new = Vec::new();
        for sent in spans {
            self.traces.insert(traffic::trace_id(sent.trace), sent.trace);
            let versions = self.spans.entry((sent.trace, sent.span)).or_default();
            let known = versions.iter_mut().find(|version| version.sent.number == sent.number);
            are_new.push(known.is_none());
            match known {
                Some(version) => version.rows += 1,
                None => {
                    versions.push(Version { sent: sent.clone(), rows: 1, is_acknowledged: false, node, is_cold: false })
                }
            }
        }
        are_new
    }

    /// The store said that it has them.
    pub(crate) fn acknowledged(&mut self, spans: &[SentSpan]) {
        for sent in spans {
            if let Some(version) = self.version(sent) {
                version.is_acknowledged = true;
            }
        }
    }

    /// The store said that it does not have them.
    pub(crate) fn refused(&mut self, spans: &[SentSpan], are_new: &[bool]) {
        for (sent, is_new) in spans.iter().zip(are_new) {
            if *is_new {
                if let Some(versions) = self.spans.get_mut(&(sent.trace, sent.span)) {
                    versions.retain(|version| version.sent.number != sent.number);
                }
            } else if let Some(version) = self.version(sent) {
                version.rows -= 1;
            }
        }
        self.spans.retain(|_, versions| !versions.is_empty());
    }

    /// All windows of this node are offloaded.
    pub(crate) fn drained(&mut self) {
        let node = self.node;
        for version in self.spans.values_mut().flatten() {
            version.is_cold |= version.is_acknowledged && version.node == node;
        }
    }

    fn version(&mut self, sent: &SentSpan) -> Option<&mut Version> {
        let versions = self.spans.get_mut(&(sent.trace, sent.span))?;
        versions.iter_mut().find(|version| version.sent.number == sent.number)
    }

    fn is_promised(&self, version: &Version) -> bool {
        version.is_acknowledged && (version.node == self.node || (version.is_cold && self.knows_bucket))
    }

    /// Traces of which anything was sent.
    pub(crate) fn traces(&self) -> Vec<u64> {
        let mut traces: Vec<u64> = self.spans.keys().map(|(trace, _)| *trace).collect();
        traces.dedup();
        traces
    }

    /// The spans that were sent of a trace, with any version of each.
    pub(crate) fn sent_of(&self, trace: u64) -> Vec<SentSpan> {
        let of_trace = self.spans.range((trace, 0)..=(trace, u8::MAX));
        of_trace.filter_map(|(_, versions)| Some(versions.last()?.sent.clone())).collect()
    }

    /// A version that was sent to this node before, if the trace has one.
    pub(crate) fn sent_here(&self, trace: u64) -> Option<SentSpan> {
        let mut of_trace = self.spans.range((trace, 0)..=(trace, u8::MAX)).flat_map(|(_, versions)| versions);
        Some(of_trace.find(|version| version.node == self.node)?.sent.clone())
    }

    /// What is promised of a trace now.
    pub(crate) fn promise(&self, trace: u64) -> Promise {
        let of_trace = self.spans.range((trace, 0)..=(trace, u8::MAX));
        of_trace.filter_map(|(key, versions)| Some((*key, self.promised_end(versions)?))).collect()
    }

    fn promised_end(&self, versions: &[Version]) -> Option<u64> {
        versions.iter().filter(|version| self.is_promised(version)).map(|version| version.sent.end).max()
    }

    /// Judges the spans that the store gave for a trace. What was seen once must be seen from then on.
    pub(crate) fn judge_trace(&mut self, trace: u64, promise: &Promise, found: &[Span]) -> Result<(), String> {
        let mut missing = promise.clone();
        let mut seen = Vec::new();
        for span in found {
            let number = number_of(span).ok_or_else(|| format!("nothing appears that was not sent: {span:?}"))?;
            let span_number = span.span_id.as_bytes()[0];
            let key = (trace, span_number);
            if seen.contains(&key) {
                return Err(format!("a span is found once: span {span_number} of trace {trace} twice"));
            }
            seen.push(key);
            let versions = self.spans.get(&key).map_or(&[][..], Vec::as_slice);
            let Some(version) = versions.iter().find(|version| version.sent.number == number) else {
                return Err(format!("nothing appears that was not sent: version {number} of span {key:?}"));
            };
            version.sent.is_told_right(span)?;
            if let Some(least) = missing.remove(&key)
                && version.sent.end < least
            {
                let end = version.sent.end;
                return Err(format!("the later end wins: span {key:?} ends at {end}, one until {least} is known"));
            }
            let sent = version.sent.clone();
            self.saw(&sent);
        }
        match missing.first_key_value() {
            Some((key, _)) => {
                let versions = self.spans.get(key);
                Err(format!("acknowledged spans are found: span {key:?} is not, of {versions:?}"))
            }
            None => Ok(()),
        }
    }

    fn saw(&mut self, sent: &SentSpan) {
        let node = self.node;
        if let Some(version) = self.version(sent) {
            version.is_acknowledged = true;
            // Spans of another node are seen through their block.
            version.is_cold |= version.node != node;
        }
    }

    /// How many traces a search must find at least and may find at most.
    pub(crate) fn trace_counts(&self) -> (usize, usize) {
        let (mut least, mut most) = (0, 0);
        for trace in self.traces() {
            most += 1;
            least += usize::from(!self.promise(trace).is_empty());
        }
        (least, most)
    }

    /// Judges one row of a search.
    pub(crate) fn judge_summary(&self, summary: &store::TraceSummary, is_quiet: bool) -> Result<(), String> {
        let Some(trace) = self.traces.get(&summary.trace_id) else {
            return Err(format!("nothing appears that was not sent: trace {}", summary.trace_id));
        };
        let most = self.sent_of(*trace).len() as u64;
        let least = if is_quiet { self.promise(*trace).len() as u64 } else { 1 };
        if (least..=most).contains(&summary.span_count) {
            return Ok(());
        }
        let count = summary.span_count;
        Err(format!("a search counts each span once: {count} of trace {trace}, {least} to {most} were sent"))
    }

    /// Judges what the store says of its services: a window's spans are counted in one place.
    pub(crate) fn judge_services(&self, services: &[store::ServiceSummary]) -> Result<(), String> {
        let mut expected: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for ((trace, _), versions) in &self.spans {
            let (least, most) = expected.entry(traffic::service(*trace)).or_default();
            *least += u64::from(self.promised_end(versions).is_some());
            *most += versions.iter().map(|version| version.rows).sum::<u64>();
        }
        for (name, (least, most)) in expected {
            let count = services.iter().find(|service| service.name == name).map_or(0, |service| service.span_count);
            if !(least..=most).contains(&count) {
                return Err(format!("a window is in one tier: {name} has {count} spans, {least} to {most} were sent"));
            }
        }
        Ok(())
    }
}

fn number_of(span: &Span) -> Option<u64> {
    span.attributes.iter().find_map(|attribute| match (&*attribute.key, &attribute.value) {
        ("number", Value::Int(number)) => Some(*number as u64),
        _ => None,
    })
}
