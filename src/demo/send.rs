//! Sends spans over OTLP/gRPC, as the fleet's services would: one client each, so that a trace's spans arrive apart.
//!
//! Owns batching, retries and what is told about them. A batch counts only once the server has acknowledged it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use prost::Message;
use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use proto::otlp::collector::trace::v1::trace_service_client::TraceServiceClient;
use tonic::codec::CompressionEncoding;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::span::{EmittedSpan, resource_spans};

/// Spans per request: what the SDKs' batch processors send by default (`OTEL_BSP_MAX_EXPORT_BATCH_SIZE`).
const BATCH_SPANS_MAX: usize = 512;
/// A request that takes longer is tried again.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The first pause before another try; it doubles up to the longest.
pub(super) const BACKOFF_FIRST: Duration = Duration::from_millis(200);
pub(super) const BACKOFF_LONGEST: Duration = Duration::from_secs(5);
/// A server may ask for a longer pause, but not for one that would look like a hang.
pub(super) const SERVER_DELAY_LONGEST: Duration = Duration::from_secs(60);
/// After so long without an answer nobody is there to wait for.
pub(super) const GIVE_UP_AFTER: Duration = Duration::from_secs(600);
/// Waiting is told once per this many tries.
const TRIES_PER_NOTICE: u32 = 10;

/// Spans could not be delivered.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The address is no address.
    #[error("{endpoint} is not an address such as http://127.0.0.1:4317: {reason}")]
    Endpoint {
        /// As given.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The server refused for good.
    #[error("the server refused a request ({code:?}): {message}")]
    Refused {
        /// gRPC status.
        code: Code,
        /// The server's words.
        message: String,
    },
    /// Nobody answered.
    #[error(
        "no answer for {} s, last: {message}; is spanhold running, and does --endpoint name its OTLP/gRPC port?",
        GIVE_UP_AFTER.as_secs()
    )]
    Unreachable {
        /// The last failure.
        message: String,
    },
}

/// What was delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Spans that the server acknowledged and kept.
    pub spans: u64,
    /// Spans that it acknowledged and rejected (`partial_success`).
    pub rejected: u64,
    /// Requests that it answered.
    pub requests: u64,
}

impl std::ops::AddAssign for Delivered {
    fn add_assign(&mut self, other: Self) {
        self.spans += other.spans;
        self.rejected += other.rejected;
        self.requests += other.requests;
    }
}

/// One client per service.
#[derive(Debug)]
pub struct Senders {
    endpoint: Endpoint,
    by_service: BTreeMap<&'static str, Sender>,
    delivered: Delivered,
}

/// A service's exporter.
#[derive(Debug)]
struct Sender {
    client: TraceServiceClient<Channel>,
    queue: Vec<EmittedSpan>,
}

impl Senders {
    /// Senders to the OTLP/gRPC server at `endpoint` (`http://host:port`). Connects when it has to.
    ///
    /// # Errors
    /// When `endpoint` is no address.
    pub fn new(endpoint: &str) -> Result<Self, SendError> {
        let endpoint = new_endpoint(endpoint)?;
        Ok(Self { endpoint, by_service: BTreeMap::new(), delivered: Delivered::default() })
    }

    /// What was delivered so far.
    #[must_use]
    pub fn delivered(&self) -> Delivered {
        self.delivered
    }

    /// Waits until the server answers (to an empty request, which OTLP lets succeed).
    ///
    /// # Errors
    /// When it refuses, or does not answer for ten minutes.
    pub async fn wait_for_server(&self) -> Result<(), SendError> {
        export(&mut new_client(&self.endpoint), ExportTraceServiceRequest::default(), 0).await?;
        Ok(())
    }

    /// Queues spans with their services, and sends full batches.
    ///
    /// # Errors
    /// When a batch is refused for good, or nobody answers for ten minutes.
    pub async fn send(&mut self, spans: Vec<EmittedSpan>) -> Result<(), SendError> {
        for span in spans {
            let sender = self
                .by_service
                .entry(span.emitter.service)
                .or_insert_with(|| Sender { client: new_client(&self.endpoint), queue: Vec::new() });
            sender.queue.push(span);
        }
        self.send_batches(BATCH_SPANS_MAX).await
    }

    /// Sends whatever is queued.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn flush(&mut self) -> Result<(), SendError> {
        self.send_batches(1).await
    }

    async fn send_batches(&mut self, spans_min: usize) -> Result<(), SendError> {
        let busy = self.by_service.values_mut().filter(|sender| sender.queue.len() >= spans_min);
        let results = futures::future::join_all(busy.map(|sender| sender.send_batches(spans_min))).await;
        for result in results {
            self.delivered += result?;
        }
        Ok(())
    }
}

impl Sender {
    async fn send_batches(&mut self, spans_min: usize) -> Result<Delivered, SendError> {
        let mut delivered = Delivered::default();
        while self.queue.len() >= spans_min.max(1) {
            let batch: Vec<EmittedSpan> = self.queue.drain(..self.queue.len().min(BATCH_SPANS_MAX)).collect();
            let span_count = batch.len() as u64;
            let request = ExportTraceServiceRequest { resource_spans: resource_spans(batch) };
            delivered += export(&mut self.client, request, span_count).await?;
        }
        Ok(delivered)
    }
}

/// The OTLP/gRPC server at `address`, with the limits of a sender.
///
/// # Errors
/// When it is no address.
pub(super) fn new_endpoint(address: &str) -> Result<Endpoint, SendError> {
    let endpoint = Endpoint::from_shared(address.to_owned())
        .map_err(|error| SendError::Endpoint { endpoint: address.to_owned(), reason: error.to_string() })?;
    Ok(endpoint.connect_timeout(CONNECT_TIMEOUT).timeout(REQUEST_TIMEOUT))
}

fn new_client(endpoint: &Endpoint) -> TraceServiceClient<Channel> {
    TraceServiceClient::new(endpoint.connect_lazy()).send_compressed(CompressionEncoding::Gzip)
}

/// Sends one request until it is answered.
///
/// # Errors
/// When it is refused for good, or nobody answers for ten minutes.
pub(super) async fn export(
    client: &mut TraceServiceClient<Channel>,
    request: ExportTraceServiceRequest,
    span_count: u64,
) -> Result<Delivered, SendError> {
    let began = Instant::now();
    let mut backoff = BACKOFF_FIRST;
    let mut tries = 0;
    loop {
        let status = match client.export(request.clone()).await {
            Ok(response) => {
                let rejected = match response.into_inner().partial_success {
                    Some(partial) if partial.rejected_spans > 0 || !partial.error_message.is_empty() => {
                        let message = partial.error_message;
                        tracing::warn!(rejected = partial.rejected_spans, message, "the server did not keep all spans");
                        partial.rejected_spans.unsigned_abs().min(span_count)
                    }
                    _ => 0,
                };
                return Ok(Delivered { spans: span_count - rejected, rejected, requests: 1 });
            }
            Err(status) => status,
        };
        let server_delay = retry_delay(&status);
        if !is_retryable(status.code(), server_delay.is_some()) {
            return Err(SendError::Refused { code: status.code(), message: status.message().to_owned() });
        }
        if began.elapsed() > GIVE_UP_AFTER {
            return Err(SendError::Unreachable { message: status.message().to_owned() });
        }
        if tries % TRIES_PER_NOTICE == 0 {
            tracing::info!(code = ?status.code(), message = status.message(), "waiting for the server");
        }
        tokio::time::sleep(server_delay.unwrap_or(backoff)).await;
        backoff = (backoff * 2).min(BACKOFF_LONGEST);
        tries += 1;
    }
}

/// The OTLP specification's table of what a client retries; `RESOURCE_EXHAUSTED` only if the server says when.
/// Tonic reports a connection that broke under a request as `UNKNOWN`, so that is retried too.
fn is_retryable(code: Code, has_server_delay: bool) -> bool {
    match code {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss
        | Code::Unknown => true,
        Code::ResourceExhausted => has_server_delay,
        _ => false,
    }
}

/// The pause that the server asks for by `google.rpc.RetryInfo`.
fn retry_delay(status: &Status) -> Option<Duration> {
    let rich = proto::rpc::Status::decode(status.details()).ok()?;
    let detail = rich.details.iter().find(|detail| detail.type_url == proto::rpc::RetryInfo::TYPE_URL)?;
    let delay = proto::rpc::RetryInfo::decode(detail.value.as_slice()).ok()?.retry_delay?;
    let delay = Duration::new(u64::try_from(delay.seconds).ok()?, u32::try_from(delay.nanos).ok()?.min(999_999_999));
    Some(delay.min(SERVER_DELAY_LONGEST))
}

#[cfg(test)]
mod tests;
