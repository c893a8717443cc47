//! The spine of receiving, the same for both transports: admit, read, decompress, check, prepare, append.
//!
//! Decides nothing about codes and headers: `grpc` and `http` unwrap the request, `reply` wraps the outcome.
//!
//! A client that goes away drops its request here, wherever it is; what was appended stays, and what it sends again the
//! store keeps once. The places in flight follow the work, also when nobody waits for it any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use futures::future::BoxFuture;
use http::HeaderMap;
use proto::check::check;
use proto::{CheckedRequest, Rejections};
use store::{Error, ErrorKind, PreparedRequest, Pressure, Writer};
use tokio::sync::Semaphore;

use crate::admit::{Gate, Permit};
use crate::body::{self, Encoding, Format};
use crate::frame::{self, PREFIX_BYTES};
use crate::json;
use crate::metrics::Metrics;
use crate::refusal::Refusal;
use crate::settings::{Settings, SettingsError};

/// Plain protobuf up to this size is checked and compressed where it arrived: at some 300 MB/s that is a tenth of a
/// millisecond, and handing it to another thread would cost a tenth of that.
const INLINE_PLAIN_BYTES_MAX: usize = 32 << 10;

/// The same for what must be decompressed or rewritten, which is ten times slower.
const INLINE_PACKED_BYTES_MAX: usize = 16 << 10;

/// A closing or starting store is back, or replaced, within seconds.
const UNAVAILABLE_RETRY_AFTER: Duration = Duration::from_secs(5);

/// A broken store waits for a person or a restart; exporters give up a batch after a minute or so, so not much longer.
const BROKEN_RETRY_AFTER: Duration = Duration::from_secs(20);

/// Receives export requests. Cheap to clone; clones share their limits.
#[derive(Clone)]
pub struct Ingest {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    gate: Arc<Gate>,
    /// One per core: more threads would not finish sooner, and each may hold a decompression window.
    cpu: Arc<Semaphore>,
    store: Box<dyn Append>,
    /// Whether the log has it already that the store is broken.
    broken: AtomicBool,
    metrics: Metrics,
}

/// What receiving needs of the store. Tests put a recorder in its place.
pub(crate) trait Append: Send + Sync + 'static {
    /// See [`Writer::prepare`].
    fn prepare(&self, request: CheckedRequest) -> Result<PreparedRequest, Error>;
    /// See [`Writer::append`].
    fn append(&self, request: PreparedRequest) -> BoxFuture<'_, Result<(), Error>>;
    /// See [`Writer::admit`].
    fn admit(&self) -> Result<(), Error>;
    /// See [`Writer::admit_request`].
    fn admit_request(&self, request: &CheckedRequest, besides: Pressure) -> Result<(), Error>;
}

impl Append for Writer {
    fn prepare(&self, request: CheckedRequest) -> Result<PreparedRequest, Error> {
        Self::prepare(self, request)
    }

    fn append(&self, request: PreparedRequest) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(Self::append(self, request))
    }

    fn admit(&self) -> Result<(), Error> {
        Self::admit(self)
    }

    fn admit_request(&self, request: &CheckedRequest, besides: Pressure) -> Result<(), Error> {
        Self::admit_request(self, request, besides)
    }
}

/// The way a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Grpc,
    Http,
}

impl Transport {
    /// The value of the label `transport` in the metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Http => "http",
        }
    }
}

/// What the headers say about the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) format: Format,
    pub(crate) encoding: Encoding,
}

/// A request that was kept, maybe without some of its spans.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// Spans made durable.
    pub(crate) span_count: usize,
    /// Spans left out.
    pub(crate) rejections: Rejections,
}

impl Ingest {
    /// Receives into `writer`.
    ///
    /// # Errors
    /// When the settings contradict each other.
    pub fn new(settings: Settings, writer: Writer, metrics: Metrics) -> Result<Self, SettingsError> {
        Self::with_store(settings, Box::new(writer), metrics)
    }

    pub(crate) fn with_store(
        settings: Settings,
        store: Box<dyn Append>,
        metrics: Metrics,
    ) -> Result<Self, SettingsError> {
        settings.validate()?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let inner = Inner {
            gate: Gate::new(&settings, metrics.in_flight_requests.clone(), metrics.in_flight_bytes.clone()),
            settings,
            cpu: Arc::new(Semaphore::new(cores)),
            store,
            broken: AtomicBool::new(false),
            metrics,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Carries one request from its headers to its outcome. A request whose headers were refused already comes as an
    /// error, so that it is counted like any other.
    pub(crate) async fn accept(
        &self,
        transport: Transport,
        envelope: Result<Envelope, Refusal>,
        headers: &HeaderMap,
        body: &mut Body,
    ) -> Result<Accepted, Refusal> {
        let started = Instant::now();
        let outcome = match envelope {
            Ok(envelope) => self.carry(transport, envelope, headers, body).await,
            Err(refusal) => Err(refusal),
        };
        self.inner.metrics.count_outcome(transport, &outcome, started.elapsed());
        outcome
    }

    async fn carry(
        &self,
        transport: Transport,
        envelope: Envelope,
        headers: &HeaderMap,
        body: &mut Body,
    ) -> Result<Accepted, Refusal> {
        let inner = &self.inner;
        // Before anything is read: a refusal must not cost what it is to save.
        inner.store.admit().map_err(|error| inner.refuse(&error))?;
        let mut permit = inner.gate.enter()?;
        let bytes_max = inner.settings.request_bytes_max + if transport == Transport::Grpc { PREFIX_BYTES } else { 0 };
        let bytes = body::read(body, headers, bytes_max, inner.settings.body_read_timeout, &mut permit).await?;
        inner.metrics.count_received(transport, bytes.len());

        let work = Work { inner: Arc::clone(inner), transport, envelope, bytes, permit };
        let Checked { request, rejections, permit: _in_flight_until_answered } = work.run().await?;

        let span_count = request.span_count();
        if span_count > 0 {
            inner.store.append(request).await.map_err(|error| inner.refuse(&error))?;
            inner.broken.store(false, Ordering::Relaxed);
        }
        Ok(Accepted { span_count, rejections })
    }
}

impl Inner {
    /// What an error of the store means for the sender.
    fn refuse(&self, error: &Error) -> Refusal {
        match error.kind() {
            ErrorKind::Overloaded { retry_after } => match error {
                Error::Overloaded(overload) => (*overload).into(),
                _ => Refusal::Unavailable { message: "the store is full".to_owned(), retry_after },
            },
            ErrorKind::Unavailable => {
                Refusal::Unavailable { message: error.to_string(), retry_after: UNAVAILABLE_RETRY_AFTER }
            }
            ErrorKind::Broken => {
                // Once, not with every request that senders repeat until it works again.
                if !self.broken.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, "spans are refused until the store can write again");
                }
                Refusal::Broken { retry_after: BROKEN_RETRY_AFTER }
            }
        }
    }
}

/// The part of a request that takes CPU time, and all that it needs.
struct Work {
    inner: Arc<Inner>,
    transport: Transport,
    envelope: Envelope,
    bytes: Vec<u8>,
    permit: Permit,
}

/// What comes out of it.
struct Checked {
    request: PreparedRequest,
    rejections: Rejections,
    permit: Permit,
}

impl Work {
    /// Does small work here and large work off the threads that serve connections, one per core at a time.
    async fn run(self) -> Result<Checked, Refusal> {
        if self.is_small() {
            return self.carry_out();
        }
        let Ok(core) = Arc::clone(&self.inner.cpu).acquire_owned().await else {
            // Only a closed semaphore fails, and nobody closes it.
            return Err(Refusal::Crashed);
        };
        tokio::task::spawn_blocking(move || {
            let checked = self.carry_out();
            drop(core);
            checked
        })
        .await
        .unwrap_or_else(|error| {
            tracing::error!(%error, "checking an export request failed");
            Err(Refusal::Crashed)
        })
    }

    fn is_small(&self) -> bool {
        let plain = self.envelope == Envelope { format: Format::Protobuf, encoding: Encoding::Identity };
        self.bytes.len() <= if plain { INLINE_PLAIN_BYTES_MAX } else { INLINE_PACKED_BYTES_MAX }
    }

    fn carry_out(self) -> Result<Checked, Refusal> {
        let Self { inner, transport, envelope, bytes, mut permit } = self;
        let (encoding, message) = match transport {
            Transport::Grpc => unframe(envelope.encoding, bytes)?,
            Transport::Http => (envelope.encoding, bytes),
        };
        let message = body::decompress(encoding, message, inner.settings.decompressed_bytes_max, &mut permit)?;
        inner.metrics.count_decompressed(transport, message.len());
        let protobuf = match envelope.format {
            Format::Protobuf => message,
            Format::Json => {
                // Protobuf is never longer than the JSON it came from, but for a few negative numbers.
                permit.hold(message.len())?;
                let protobuf = json::to_protobuf(&message).map_err(Refusal::Undecodable)?;
                permit.release(message.len());
                protobuf
            }
        };
        let started = Instant::now();
        let (request, rejections) = check(protobuf).map_err(|error| Refusal::Undecodable(error.to_string()))?;
        inner.store.admit_request(&request, inner.gate.pressure()).map_err(|error| inner.refuse(&error))?;
        let request = inner.store.prepare(request).map_err(|error| inner.refuse(&error))?;
        inner.metrics.count_prepared(started.elapsed());
        Ok(Checked { request, rejections, permit })
    }
}

/// Takes gRPC's prefix off. Its flag says whether the encoding of the headers was applied to this message.
fn unframe(encoding: Encoding, body: Vec<u8>) -> Result<(Encoding, Vec<u8>), Refusal> {
    match (frame::unframe(body)?, encoding) {
        ((false, message), _) => Ok((Encoding::Identity, message)),
        ((true, _), Encoding::Identity) => {
            Err(Refusal::Protocol("the message is flagged as compressed and grpc-encoding names no compression"))
        }
        ((true, message), encoding) => Ok((encoding, message)),
    }
}
