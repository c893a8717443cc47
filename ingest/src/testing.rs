//! What the tests of this crate share: a store that only remembers, receivers on port 0, and requests to send.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use futures::future::BoxFuture;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use proto::CheckedRequest;
use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use proto::otlp::common::v1::{AnyValue, KeyValue, any_value};
use proto::otlp::resource::v1::Resource;
use proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span};
use store::{Error, PreparedRequest, Pressure};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::accept::Append;
use crate::admit::{Gate, Permit};
use crate::{Ingest, Metrics, Settings, grpc_router, http_router, serve};

/// Remembers what it was given, or fails as told.
#[derive(Clone, Default)]
pub(crate) struct Recorder {
    state: Arc<Mutex<RecorderState>>,
}

#[derive(Default)]
struct RecorderState {
    refuses_all: Option<Error>,
    refuses_request: Option<Error>,
    requests: Vec<PreparedRequest>,
    failure: Option<Error>,
}

impl Recorder {
    /// Every request that was appended, decoded.
    pub(crate) fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        let state = self.state.lock().expect("lock");
        state
            .requests
            .iter()
            .map(|request| prost::Message::decode(request.bytes()).expect("checked bytes decode"))
            .collect()
    }

    /// Fails every append from now on; `None` ends that.
    pub(crate) fn fail_with(&self, failure: Option<Error>) {
        self.state.lock().expect("lock").failure = failure;
    }

    /// Admits nothing from now on, not even for reading; `None` ends that.
    pub(crate) fn refuse_all(&self, refusal: Option<Error>) {
        self.state.lock().expect("lock").refuses_all = refusal;
    }

    /// Admits no request that it was shown from now on.
    pub(crate) fn refuse_requests(&self, refusal: Error) {
        self.state.lock().expect("lock").refuses_request = Some(refusal);
    }
}

impl Append for Recorder {
    fn prepare(&self, request: CheckedRequest) -> Result<PreparedRequest, Error> {
        PreparedRequest::new(request)
    }

    fn append(&self, request: PreparedRequest) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let mut state = self.state.lock().expect("lock");
            match &state.failure {
                Some(failure) => Err(failure.clone()),
                None => {
                    state.requests.push(request);
                    Ok(())
                }
            }
        })
    }

    fn admit(&self) -> Result<(), Error> {
        self.state.lock().expect("lock").refuses_all.clone().map_or(Ok(()), Err)
    }

    fn admit_request(&self, _: &CheckedRequest, _: Pressure) -> Result<(), Error> {
        self.state.lock().expect("lock").refuses_request.clone().map_or(Ok(()), Err)
    }
}

/// A receiver with both transports on ports of their own. Stops with `stop`, or with the runtime of its test.
pub(crate) struct Receiver {
    pub(crate) store: Recorder,
    pub(crate) registry: Registry,
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    servers: Vec<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Receiver {
    pub(crate) async fn start(settings: Settings) -> Self {
        let store = Recorder::default();
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let ingest = Ingest::with_store(settings, Box::new(store.clone()), metrics).expect("valid settings");
        let (grpc, grpc_server) = spawn(grpc_router(ingest.clone())).await;
        let (http, http_server) = spawn(http_router(ingest)).await;
        Self { store, registry, grpc, http, servers: vec![grpc_server, http_server] }
    }

    /// Ends both servers the clean way.
    pub(crate) async fn stop(self) {
        for (shutdown, server) in self.servers {
            shutdown.send(()).expect("the server runs");
            server.await.expect("the server ends");
        }
    }
}

async fn spawn(router: Router) -> (SocketAddr, (oneshot::Sender<()>, JoinHandle<()>)) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (shutdown, signal) = oneshot::channel::<()>();
    let server = tokio::spawn(async move {
        // A dropped sender counts as the signal.
        let signal = async { signal.await.unwrap_or_default() };
        serve(listener, router, signal).await.expect("served");
    });
    (address, (shutdown, server))
}

/// A permit without practical limits.
pub(crate) fn permit() -> Permit {
    Gate::new(&Settings::default(), Gauge::default(), Gauge::default()).enter().expect("a free place")
}

/// A request of one resource and one scope with these spans.
pub(crate) fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let resource = Resource { attributes: vec![text_attribute("service.name", "agent")], ..Resource::default() };
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }
}

/// A valid span; the number is its id.
pub(crate) fn span(number: u8) -> Span {
    Span {
        trace_id: vec![7; 16],
        span_id: vec![0, 0, 0, 0, 0, 0, 1, number],
        name: format!("step {number}"),
        start_time_unix_nano: 1_763_928_000_000_000_000,
        end_time_unix_nano: 1_763_928_001_000_000_000,
        ..Span::default()
    }
}

pub(crate) fn text_attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}
