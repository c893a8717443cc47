//! Makes and encodes all requests of a run before anything is measured.
//!
//! The spans are the demo's: the mix, the attributes and the resources of a small database platform, at a far higher rate.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use prost::Message;
use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use proto::otlp::common::v1::{AnyValue, KeyValue, any_value};
use proto::otlp::resource::v1::Resource;
use proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span};
use proto::{TraceId, UnixNanos};

use crate::demo::dice::Dice;
use crate::demo::span::{EmittedSpan, resource_spans};
use crate::demo::traffic::{Traffic, TrafficSettings};

/// Spans per request: what a collector's batch processor sends under load, roughly.
pub(super) const REQUEST_SPANS: usize = 1_000;
/// Traces per second of virtual time: a fleet of about 1,000 instances with sampled SQL.
const TRACES_PER_SEC: f64 = 2_000.0;
/// What a trace of the mix has, to place the start of virtual time; only the times depend on it.
const SPANS_PER_TRACE_ESTIMATE: f64 = 6.0;
/// Virtual time moves in these steps when spans are scattered.
const SCATTER_STEP: Duration = Duration::from_millis(100);

/// How traces are spread over requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Arrangement {
    /// All spans of a trace in one request, as behind a collector that waits for traces.
    Whole,
    /// Each service sends its own spans when they end: the spans of a trace are in several requests, far apart.
    Scattered,
}

impl std::fmt::Display for Arrangement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Whole => "whole",
            Self::Scattered => "scattered",
        })
    }
}

/// What to make.
#[derive(Debug, Clone, Copy)]
pub(super) struct WorkloadSettings {
    pub(super) seed: u64,
    /// About when the last span ends.
    pub(super) end: UnixNanos,
    /// At least so many spans; the last operation is not cut.
    pub(super) span_count: usize,
    pub(super) arrangement: Arrangement,
    /// Traces to choose for the lookups.
    pub(super) lookup_count: usize,
}

/// A trace to look up, and what must come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lookup {
    pub(super) trace_id: TraceId,
    pub(super) span_count: u64,
}

/// Encoded requests, and what is in them.
#[derive(Debug)]
pub(super) struct Workload {
    /// Each an `ExportTraceServiceRequest`.
    pub(super) requests: Vec<Bytes>,
    pub(super) lookups: Vec<Lookup>,
    pub(super) span_count: u64,
    pub(super) trace_count: u64,
    pub(super) attribute_count: u64,
    pub(super) resource_count: u64,
}

impl Workload {
    pub(super) fn new(settings: &WorkloadSettings) -> Self {
        let secs = settings.span_count as f64 / SPANS_PER_TRACE_ESTIMATE / TRACES_PER_SEC;
        let start = settings.end.saturating_add(-((secs * 1e9) as i64));
        let traffic = Traffic::new(&TrafficSettings {
            seed: settings.seed,
            start,
            reference_end: settings.end,
            rate: TRACES_PER_SEC,
            has_oddities: false,
        });
        let mut encoder = Encoder::default();
        match settings.arrangement {
            Arrangement::Whole => encode_whole(traffic, settings.span_count, &mut encoder),
            Arrangement::Scattered => encode_scattered(traffic, start, settings.span_count, &mut encoder),
        }
        encoder.finish(settings)
    }

    pub(super) fn wire_bytes(&self) -> u64 {
        self.requests.iter().map(|request| request.len() as u64).sum()
    }
}

/// Requests of one span each, with the service that only it has.
pub(super) fn probes(count: usize) -> Vec<(String, Bytes)> {
    let now = UnixNanos::from_system(SystemTime::now());
    let mut dice = Dice::new(0, "probes");
    let mut probe = |number: usize| {
        let service = format!("probe-{number}");
        let span = Span {
            trace_id: dice.trace_id().as_bytes().to_vec(),
            span_id: (number as u64 + 1).to_be_bytes().to_vec(),
            name: "probe".to_owned(),
            start_time_unix_nano: now.as_u64(),
            end_time_unix_nano: now.as_u64() + 1,
            ..Span::default()
        };
        let name = KeyValue {
            key: "service.name".to_owned(),
            value: Some(AnyValue { value: Some(any_value::Value::StringValue(service.clone())) }),
            ..KeyValue::default()
        };
        let resource = Resource { attributes: vec![name], ..Resource::default() };
        let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
        let group = ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() };
        (service, ExportTraceServiceRequest { resource_spans: vec![group] }.encode_to_vec().into())
    };
    (0..count).map(&mut probe).collect()
}

/// Ids that no workload has.
pub(super) fn absent_ids(count: usize) -> Vec<TraceId> {
    let mut dice = Dice::new(0, "absent");
    (0..count).map(|_| dice.trace_id()).collect()
}

/// Whole operations, request after request.
fn encode_whole(mut traffic: Traffic, span_count: usize, encoder: &mut Encoder) {
    let mut made = 0;
    let mut batch = Vec::new();
    while made < span_count {
        let spans = traffic.next_operation();
        made += spans.len();
        batch.extend(spans);
        if batch.len() >= REQUEST_SPANS {
            encoder.encode(std::mem::take(&mut batch));
        }
    }
    encoder.encode(batch);
}

/// Spans as they end, batched by service.
fn encode_scattered(mut traffic: Traffic, start: UnixNanos, span_count: usize, encoder: &mut Encoder) {
    let mut made = 0;
    let mut batches: BTreeMap<&'static str, Vec<EmittedSpan>> = BTreeMap::new();
    let mut reached = start;
    let step = SCATTER_STEP.as_nanos() as i64;
    while made < span_count {
        reached = reached.saturating_add(step);
        for span in traffic.advance_to(reached) {
            made += 1;
            let batch = batches.entry(span.emitter.service).or_default();
            batch.push(span);
            if batch.len() >= REQUEST_SPANS {
                encoder.encode(std::mem::take(batch));
            }
        }
    }
    for batch in batches.into_values() {
        encoder.encode(batch);
    }
}

/// Encodes batches and counts what is in them.
#[derive(Debug, Default)]
struct Encoder {
    requests: Vec<Bytes>,
    spans_of_trace: HashMap<TraceId, u32>,
    emitters: HashSet<usize>,
    span_count: u64,
    attribute_count: u64,
}

impl Encoder {
    fn encode(&mut self, batch: Vec<EmittedSpan>) {
        if batch.is_empty() {
            return;
        }
        for EmittedSpan { span, emitter, .. } in &batch {
            if let Ok(trace_id) = TraceId::from_bytes(&span.trace_id) {
                *self.spans_of_trace.entry(trace_id).or_default() += 1;
            }
            self.emitters.insert(emitter.id);
            self.span_count += 1;
            self.attribute_count += span.attributes.len() as u64;
        }
        let request = ExportTraceServiceRequest { resource_spans: resource_spans(batch) };
        self.requests.push(request.encode_to_vec().into());
    }

    fn finish(self, settings: &WorkloadSettings) -> Workload {
        // Sorted, so that the choice depends on the seed and not on the order of a hash map.
        let mut trace_ids: Vec<TraceId> = self.spans_of_trace.keys().copied().collect();
        trace_ids.sort_unstable();
        let mut dice = Dice::new(settings.seed, "load/lookups");
        let lookup_count = if trace_ids.is_empty() { 0 } else { settings.lookup_count };
        let lookups = (0..lookup_count)
            .map(|_| {
                let trace_id = *dice.pick(&trace_ids);
                Lookup { trace_id, span_count: u64::from(self.spans_of_trace[&trace_id]) }
            })
            .collect();
        Workload {
            requests: self.requests,
            lookups,
            span_count: self.span_count,
            trace_count: trace_ids.len() as u64,
            attribute_count: self.attribute_count,
            resource_count: self.emitters.len() as u64,
        }
    }
}
