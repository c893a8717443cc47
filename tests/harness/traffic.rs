//! Senders that go on sending, and what there must be afterwards of what was acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use proto::otlp::collector::trace::v1::trace_service_client::TraceServiceClient;
use tokio::task::JoinHandle;

use super::Server;
use super::spans::{chain, request, trace_hex};

/// Spans of each trace.
pub(crate) const SPANS: u8 = 5;

/// Senders at the same time: as many traces may be there without an answer.
const SENDERS: u64 = 4;

/// Pause of a sender that was refused.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Senders under way.
pub(crate) struct Traffic {
    senders: Vec<JoinHandle<Vec<u64>>>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    acknowledged: AtomicU64,
    refused: AtomicU64,
    is_over: AtomicBool,
}

impl Traffic {
    /// Sends up to `most` traces, numbered from `first`. A refused one is sent again; a sender whose server is gone ends.
    pub(crate) fn start(server: &Server, first: u64, most: u64) -> Self {
        let shared = Arc::new(Shared::default());
        let sender = |sender: u64| {
            let numbers = (first + sender..first + most).step_by(SENDERS as usize);
            tokio::spawn(send(server.otlp_grpc.clone(), numbers, Arc::clone(&shared)))
        };
        Self { senders: (0..SENDERS).map(sender).collect(), shared }
    }

    /// Traces acknowledged so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::SeqCst)
    }

    /// Refusals so far.
    pub(crate) fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::SeqCst)
    }

    /// Has the senders end after the request that they are at; the traces that were acknowledged.
    pub(crate) async fn end(self) -> Vec<u64> {
        self.shared.is_over.store(true, Ordering::SeqCst);
        let mut kept = Vec::new();
        for sender in self.senders {
            kept.extend(sender.await.expect("no panic"));
        }
        kept
    }
}

async fn send(address: String, numbers: impl Iterator<Item = u64>, shared: Arc<Shared>) -> Vec<u64> {
    let mut kept = Vec::new();
    let Ok(mut client) = TraceServiceClient::connect(address).await else { return kept };
    for number in numbers {
        while let Err(status) = client.export(request("svc", chain(number, SPANS))).await {
            // Only a server that is there says when to come back.
            if status.details().is_empty() || shared.is_over.load(Ordering::SeqCst) {
                return kept;
            }
            shared.refused.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        kept.push(number);
        shared.acknowledged.fetch_add(1, Ordering::SeqCst);
        if shared.is_over.load(Ordering::SeqCst) {
            break;
        }
    }
    kept
}

/// Every trace of `kept` is there exactly once, by id and by search, and besides them no more than were under way.
pub(crate) async fn expect_kept(server: &Server, kept: &[u64]) {
    for number in kept {
        assert_eq!(server.trace(&trace_hex(*number)).await["span_count"], SPANS, "trace {number}");
    }
    let found = server.get_json("/api/v1/search?start=2026-11-23T00:00:00Z&end=2026-11-25T00:00:00Z&limit=1000").await;
    let total = found["total"].as_u64().expect("a number") as usize;
    let most = kept.len() + SENDERS as usize;
    assert!((kept.len()..=most).contains(&total), "{total} found, {} acknowledged", kept.len());
    for trace in found["traces"].as_array().expect("traces") {
        assert_eq!(trace["span_count"], SPANS, "{trace}");
    }
    let services = server.get_json("/api/v1/services").await;
    let spans = &services["services"][0]["span_count"];
    assert_eq!(spans.as_u64(), Some(total as u64 * u64::from(SPANS)), "each span is in one place: {services}");
}
