//! Sends encoded requests over gRPC without touching them, and looks up traces over HTTP, both with a stopwatch.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, Bytes};
use futures::future::try_join_all;
use http::StatusCode;
use http::uri::PathAndQuery;
use prost::Message;
use proto::TraceId;
use proto::otlp::collector::trace::v1::ExportTraceServiceResponse;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::LoadError;
use super::workload::Lookup;

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// The pause before a request is sent again that the server was too busy for.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
/// A server that is too busy for so long has stopped working.
const RETRY_DEADLINE: Duration = Duration::from_secs(60);

/// Spans that are not found after this long will not be.
const VISIBLE_DEADLINE: Duration = Duration::from_secs(30);

/// How the sending went.
#[derive(Debug)]
pub(super) struct Sent {
    /// From the first request to the last answer.
    pub(super) wall: Duration,
    /// From each request's first try to its answer.
    pub(super) answer_times: Vec<Duration>,
    /// Tries that the server was too busy for.
    pub(super) retries: u64,
}

/// Sends all requests in order over `connections`, each with one request under way.
pub(super) async fn send(address: &str, requests: &[Bytes], connections: usize) -> Result<Sent, LoadError> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    let channels = try_join_all((0..connections).map(|_| endpoint.connect())).await?;
    let next = AtomicUsize::new(0);
    let retries = AtomicU64::new(0);
    let began = Instant::now();
    let workers = channels.into_iter().map(|channel| send_next(channel, requests, &next, &retries));
    let answer_times = try_join_all(workers).await?.concat();
    Ok(Sent { wall: began.elapsed(), answer_times, retries: retries.into_inner() })
}

async fn send_next(
    channel: Channel,
    requests: &[Bytes],
    next: &AtomicUsize,
    retries: &AtomicU64,
) -> Result<Vec<Duration>, LoadError> {
    let mut client = Grpc::new(channel);
    let mut times = Vec::new();
    while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
        let began = Instant::now();
        while let Err(status) = export(&mut client, request.clone()).await {
            let is_busy = matches!(status.code(), Code::Unavailable | Code::ResourceExhausted);
            if !is_busy || began.elapsed() > RETRY_DEADLINE {
                return Err(LoadError::Export(Box::new(status)));
            }
            retries.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        times.push(began.elapsed());
    }
    Ok(times)
}

async fn export(client: &mut Grpc<Channel>, request: Bytes) -> Result<(), Status> {
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let response = client.unary(Request::new(request), PathAndQuery::from_static(EXPORT), RawCodec).await?;
    match response.into_inner().partial_success {
        // Every span of the workload is valid, so each rejection is the server's mistake.
        Some(partial) if partial.rejected_spans > 0 => Err(Status::internal(partial.error_message)),
        _ => Ok(()),
    }
}

/// Looks up every trace, one after the other over one connection, and checks the number of its spans. The times from
/// request to answer.
pub(super) async fn look_up(address: &str, lookups: &[Lookup]) -> Result<Vec<Duration>, LoadError> {
    let client = reqwest::Client::new();
    let mut times = Vec::with_capacity(lookups.len());
    for lookup in lookups {
        let url = format!("http://{address}/api/v1/traces/{}", lookup.trace_id);
        let began = Instant::now();
        let body = client.get(&url).send().await?.error_for_status()?.bytes().await?;
        times.push(began.elapsed());
        let answer: serde_json::Value =
            serde_json::from_slice(&body).map_err(|error| LoadError::Server(format!("{url}: no JSON: {error}")))?;
        let got = answer["span_count"].as_u64().unwrap_or_default();
        if got != lookup.span_count {
            let trace_id = lookup.trace_id.to_string();
            return Err(LoadError::WrongAnswer { trace_id, sent: lookup.span_count, got });
        }
    }
    Ok(times)
}

/// Asks for traces that nobody sent. The times from request to answer.
pub(super) async fn look_up_absent(address: &str, trace_ids: &[TraceId]) -> Result<Vec<Duration>, LoadError> {
    let client = reqwest::Client::new();
    let mut times = Vec::with_capacity(trace_ids.len());
    for trace_id in trace_ids {
        let began = Instant::now();
        let response = client.get(format!("http://{address}/api/v1/traces/{trace_id}")).send().await?;
        let status = response.status();
        response.bytes().await?;
        times.push(began.elapsed());
        if status != StatusCode::NOT_FOUND {
            return Err(LoadError::Server(format!("{status} for trace {trace_id}, which was never sent")));
        }
    }
    Ok(times)
}

/// Sends requests one after the other, and after each answer searches until its service is found. The times from the
/// answer to that.
pub(super) async fn until_visible(
    grpc: &str,
    http: &str,
    requests: &[(String, Bytes)],
) -> Result<Vec<Duration>, LoadError> {
    let channel = Endpoint::from_shared(format!("http://{grpc}"))?.connect().await?;
    let mut exporter = Grpc::new(channel);
    let client = reqwest::Client::new();
    let mut times = Vec::with_capacity(requests.len());
    for (service, request) in requests {
        export(&mut exporter, request.clone()).await.map_err(|status| LoadError::Export(Box::new(status)))?;
        let began = Instant::now();
        loop {
            let url = format!("http://{http}/api/v1/search?service={service}&limit=1");
            let answer: serde_json::Value = client.get(&url).send().await?.error_for_status()?.json().await?;
            if answer["traces"].as_array().is_some_and(|traces| !traces.is_empty()) {
                break;
            }
            if began.elapsed() > VISIBLE_DEADLINE {
                return Err(LoadError::TooSlow("an acknowledged span is not found", VISIBLE_DEADLINE));
            }
        }
        times.push(began.elapsed());
    }
    Ok(times)
}

/// Takes requests that are encoded already.
#[derive(Debug, Clone, Copy)]
struct RawCodec;

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = ExportTraceServiceResponse;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.reserve(item.len());
        into.put(item);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = ExportTraceServiceResponse;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        let body = from.copy_to_bytes(from.remaining());
        ExportTraceServiceResponse::decode(body).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
