//! Sends the requests of a [`World`], as fast as the server takes them, and writes its truth.
//!
//! Owns the pipeline (one thread makes, a few requests are under way) and OTLP/HTTP; OTLP/gRPC is [`super::send`]'s. A refusal
//! is honoured: a request is repeated after the pause that the server asks for.

use std::future::Future;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flate2::write::GzEncoder;
use futures::StreamExt;
use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use proto::otlp::collector::trace::v1::trace_service_client::TraceServiceClient;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use tokio::sync::mpsc;
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;

use super::options::DemoOptions;
use super::send::{self, Delivered, SendError};
use super::world::{Batch, BodyError, Compression, Output, Wire, World, WorldSettings};

/// Requests under way at the same time.
const CONCURRENT: usize = 4;
/// Requests that wait for those.
const MADE_MAX: usize = 8;
const PROGRESS_PERIOD: Duration = Duration::from_secs(10);
const ZSTD_LEVEL: i32 = 1;

/// The history could not be sent.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// Spans could not be delivered over gRPC.
    #[error(transparent)]
    Send(#[from] SendError),
    /// Spans could not be delivered over HTTP.
    #[error("cannot send to {url}: {reason}; is spanhold running, and does --http-endpoint name its OTLP/HTTP port?")]
    Http {
        /// Where to.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// A request could not be encoded.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// A request could not be compressed.
    #[error("cannot compress a request: {0}")]
    Compress(std::io::Error),
    /// The truth could not be written.
    #[error("cannot write the truth into {}: {source}", path.display())]
    Truth {
        /// Where to.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The thread that makes the requests died.
    #[error("the generator died: {0}")]
    Generator(#[from] tokio::task::JoinError),
}

/// What was delivered, and what was refused as it should be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What was delivered.
    pub delivered: Delivered,
    /// Malformed requests, all of which were refused.
    pub malformed: u64,
}

/// Makes the world of `settings` and sends it, until its end or `shutdown`.
///
/// # Errors
/// When the server refuses spans for good or does not answer for ten minutes, or the truth cannot be written.
pub async fn send(
    settings: WorldSettings,
    options: &DemoOptions,
    shutdown: impl Future<Output = ()>,
) -> Result<(), HistoryError> {
    let clients = Clients::new(&options.endpoint, &options.world.http_endpoint)?;
    let truth = options.world.truth.clone();
    let deliver = async {
        // An empty request, which OTLP lets succeed, finds out whether somebody is there.
        let mut first = clients.grpc(Compression::Identity);
        send::export(&mut first, ExportTraceServiceRequest::default(), 0).await?;
        let (sender, batches) = mpsc::channel(MADE_MAX);
        let generator = tokio::task::spawn_blocking(move || generate(settings, truth.as_deref(), &sender));
        let outcome = deliver_all(&clients, batches).await?;
        generator.await??;
        Ok::<Outcome, HistoryError>(outcome)
    };
    tokio::select! {
        result = deliver => {
            let Outcome { delivered, malformed } = result?;
            let (spans, rejected, requests) = (delivered.spans, delivered.rejected, delivered.requests);
            tracing::info!(spans, rejected, requests, malformed, "the history is sent");
            Ok(())
        }
        () = shutdown => {
            tracing::warn!("stopped before the history was sent; the truth tells of more than was sent");
            Ok(())
        }
    }
}

/// Makes everything, hands requests over and writes the truth; ends early when nobody takes the requests any more.
fn generate(settings: WorldSettings, truth: Option<&Path>, sender: &mpsc::Sender<Batch>) -> Result<(), HistoryError> {
    let failed =
        |source: std::io::Error| HistoryError::Truth { path: truth.map(Path::to_owned).unwrap_or_default(), source };
    let mut file = truth.map(std::fs::File::create).transpose().map_err(failed)?.map(BufWriter::new);
    for output in World::new(settings) {
        match (output, &mut file) {
            (Output::Batch(batch), _) => {
                if sender.blocking_send(batch).is_err() {
                    break;
                }
            }
            (Output::Truth(truth), Some(file)) => {
                serde_json::to_writer(&mut *file, &truth).map_err(|error| failed(error.into()))?;
                file.write_all(b"\n").map_err(failed)?;
            }
            (Output::Truth(_), None) => {}
        }
    }
    file.map_or(Ok(()), |mut file| file.flush()).map_err(failed)
}

async fn deliver_all(clients: &Clients, mut batches: mpsc::Receiver<Batch>) -> Result<Outcome, HistoryError> {
    let made = futures::stream::poll_fn(move |context| batches.poll_recv(context));
    let mut sent = made
        .map(|batch| async move {
            let at = batch.at;
            clients.deliver(batch).await.map(|outcome| (at, outcome))
        })
        .buffer_unordered(CONCURRENT);
    let mut total = Outcome::default();
    let began = Instant::now();
    let mut told = began;
    while let Some(result) = sent.next().await {
        let (at, outcome) = result?;
        total.delivered += outcome.delivered;
        total.malformed += outcome.malformed;
        if told.elapsed() >= PROGRESS_PERIOD {
            told = Instant::now();
            let reached = jiff::Timestamp::from_nanosecond(i128::from(at.as_i64())).unwrap_or_default();
            let per_sec = total.delivered.spans as f64 / began.elapsed().as_secs_f64();
            tracing::info!(%reached, spans = total.delivered.spans, spans_per_sec = per_sec as u64, "sending the history");
        }
    }
    Ok(total)
}

/// The ways to the server.
#[derive(Debug)]
struct Clients {
    channel: Channel,
    http: reqwest::Client,
    url: String,
}

impl Clients {
    fn new(endpoint: &str, http_endpoint: &str) -> Result<Self, HistoryError> {
        let endpoint = send::new_endpoint(endpoint)?;
        let url = format!("{}/v1/traces", http_endpoint.trim_end_matches('/'));
        let http = reqwest::Client::builder().connect_timeout(send::CONNECT_TIMEOUT).timeout(send::REQUEST_TIMEOUT);
        let http = http.build().map_err(|error| HistoryError::Http { url: url.clone(), reason: error.to_string() })?;
        Ok(Self { channel: endpoint.connect_lazy(), http, url })
    }

    fn grpc(&self, compression: Compression) -> TraceServiceClient<Channel> {
        let client = TraceServiceClient::new(self.channel.clone());
        match compression {
            Compression::Identity => client,
            Compression::Gzip => client.send_compressed(CompressionEncoding::Gzip),
            Compression::Zstd => client.send_compressed(CompressionEncoding::Zstd),
        }
    }

    async fn deliver(&self, batch: Batch) -> Result<Outcome, HistoryError> {
        if batch.wire == Wire::Grpc {
            let delivered =
                send::export(&mut self.grpc(batch.compression), batch.request, batch.span_count as u64).await?;
            return Ok(Outcome { delivered, malformed: 0 });
        }
        let mut headers = HeaderMap::new();
        let content_type = if batch.wire == Wire::HttpProtobuf { "application/x-protobuf" } else { "application/json" };
        headers.insert(CONTENT_TYPE, content_type.parse().map_err(|_| self.failed("no header"))?);
        let body = batch.body()?;
        let body = match batch.compression {
            Compression::Identity => body,
            Compression::Gzip => {
                headers.insert(CONTENT_ENCODING, "gzip".parse().map_err(|_| self.failed("no header"))?);
                let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(&body).and_then(|()| encoder.finish()).map_err(HistoryError::Compress)?
            }
            Compression::Zstd => {
                headers.insert(CONTENT_ENCODING, "zstd".parse().map_err(|_| self.failed("no header"))?);
                zstd::encode_all(&*body, ZSTD_LEVEL).map_err(HistoryError::Compress)?
            }
        };
        let status = self.post(&headers, body).await?;
        match (status, batch.is_malformed) {
            (StatusCode::BAD_REQUEST, true) => Ok(Outcome { malformed: 1, ..Outcome::default() }),
            (status, true) => {
                Err(self.failed(&format!("a malformed request was answered with {status}, not with 400")))
            }
            (status, false) if status.is_success() => {
                let delivered = Delivered { spans: batch.span_count as u64, rejected: 0, requests: 1 };
                Ok(Outcome { delivered, malformed: 0 })
            }
            (status, false) => Err(self.failed(&format!("the server refused a request with {status}"))),
        }
    }

    /// Posts a body until it is answered by something else than a request to come back later.
    async fn post(&self, headers: &HeaderMap, body: Vec<u8>) -> Result<StatusCode, HistoryError> {
        let body = bytes::Bytes::from(body);
        let began = Instant::now();
        let mut backoff = send::BACKOFF_FIRST;
        loop {
            let request = self.http.post(&self.url).headers(headers.clone()).body(body.clone());
            let (reason, delay) = match request.send().await {
                Ok(response) if is_retryable(response.status()) => {
                    (response.status().to_string(), retry_after(response.headers()))
                }
                Ok(response) => return Ok(response.status()),
                Err(error) => (error.to_string(), None),
            };
            if began.elapsed() > send::GIVE_UP_AFTER {
                return Err(self.failed(&reason));
            }
            tokio::time::sleep(delay.unwrap_or(backoff)).await;
            backoff = (backoff * 2).min(send::BACKOFF_LONGEST);
        }
    }

    fn failed(&self, reason: &str) -> HistoryError {
        HistoryError::Http { url: self.url.clone(), reason: reason.to_owned() }
    }
}

/// What OTLP/HTTP has a client repeat.
fn is_retryable(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// The pause that the server asks for, in seconds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let secs: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(secs).min(send::SERVER_DELAY_LONGEST))
}

#[cfg(test)]
mod tests;
