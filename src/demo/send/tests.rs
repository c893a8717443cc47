use std::sync::{Arc, Mutex};

use proto::otlp::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use proto::otlp::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use tokio::net::TcpListener;
use tonic::{Request, Response};

use super::*;
use crate::demo::dice::Dice;
use crate::demo::fleet::{Fleet, INSTANCE_COUNT};
use crate::demo::reference;

/// What a test server has seen, and what it is to answer next.
#[derive(Debug, Default)]
struct Seen {
    requests: Vec<ExportTraceServiceRequest>,
    answers: Vec<Result<ExportTraceServiceResponse, Status>>,
}

#[derive(Debug, Clone, Default)]
struct Server(Arc<Mutex<Seen>>);

#[tonic::async_trait]
impl TraceService for Server {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut seen = self.0.lock().expect("not poisoned");
        let answer =
            if seen.answers.is_empty() { Ok(ExportTraceServiceResponse::default()) } else { seen.answers.remove(0) };
        if answer.is_ok() {
            seen.requests.push(request.into_inner());
        }
        answer.map(Response::new)
    }
}

/// Serves on a port of its own until the test's runtime ends.
async fn serve(server: Server) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    let service = TraceServiceServer::new(server).accept_compressed(CompressionEncoding::Gzip);
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
    format!("http://{address}")
}

fn reference_spans() -> Vec<EmittedSpan> {
    let fleet = Fleet::new(1, INSTANCE_COUNT);
    let end = proto::UnixNanos::from_wire(1_763_920_000_000_000_000);
    reference::create_instance(&fleet, &mut Dice::new(1, "send"), end)
}

fn status_with_delay(code: Code, millis: i32) -> Status {
    let info =
        proto::rpc::RetryInfo { retry_delay: Some(proto::rpc::Duration { seconds: 0, nanos: millis * 1_000_000 }) };
    let detail = proto::rpc::Any { type_url: proto::rpc::RetryInfo::TYPE_URL.to_owned(), value: info.encode_to_vec() };
    let rich = proto::rpc::Status { code: code as i32, message: "slow down".to_owned(), details: vec![detail] };
    Status::with_details(code, "slow down", rich.encode_to_vec().into())
}

#[tokio::test]
async fn each_service_sends_its_own_spans() {
    let server = Server::default();
    let mut senders = Senders::new(&serve(server.clone()).await).expect("an address");
    senders.wait_for_server().await.expect("it answers");
    senders.send(reference_spans()).await.expect("queued");
    assert_eq!(senders.delivered(), Delivered::default(), "no batch is full yet");
    senders.flush().await.expect("sent");
    assert_eq!(senders.delivered(), Delivered { spans: 14, rejected: 0, requests: 5 });
    let seen = server.0.lock().expect("not poisoned");
    for request in &seen.requests[1..] {
        let services: std::collections::BTreeSet<String> = request
            .resource_spans
            .iter()
            .filter_map(|group| group.resource.as_ref())
            .flat_map(|resource| resource.attributes.iter().filter(|kv| kv.key == "service.name"))
            .map(|kv| format!("{:?}", kv.value))
            .collect();
        assert_eq!(services.len(), 1, "one service per request");
    }
}

#[tokio::test]
async fn a_request_is_repeated_as_the_server_asks() {
    let server = Server::default();
    server.0.lock().expect("not poisoned").answers =
        vec![Err(status_with_delay(Code::ResourceExhausted, 300)), Err(status_with_delay(Code::Unavailable, 1))];
    let senders = Senders::new(&serve(server.clone()).await).expect("an address");
    let began = Instant::now();
    senders.wait_for_server().await.expect("the third try succeeds");
    assert!(began.elapsed() >= Duration::from_millis(300), "it waited as it was told");
    assert_eq!(server.0.lock().expect("not poisoned").requests.len(), 1);
}

#[tokio::test]
async fn a_refusal_for_good_is_an_error() {
    let server = Server::default();
    server.0.lock().expect("not poisoned").answers = vec![Err(Status::resource_exhausted("too large"))];
    let senders = Senders::new(&serve(server).await).expect("an address");
    let error = senders.wait_for_server().await.expect_err("no RetryInfo, no retry");
    assert!(matches!(error, SendError::Refused { code: Code::ResourceExhausted, .. }), "{error}");
}

#[tokio::test]
async fn rejected_spans_are_counted() {
    let server = Server::default();
    let partial = ExportTracePartialSuccess { rejected_spans: 2, error_message: "bad ids".to_owned() };
    server.0.lock().expect("not poisoned").answers =
        vec![Ok(ExportTraceServiceResponse { partial_success: Some(partial) })];
    let mut senders = Senders::new(&serve(server).await).expect("an address");
    let spans: Vec<EmittedSpan> = reference_spans().into_iter().filter(|s| s.emitter.service == "agent").collect();
    let count = spans.len() as u64;
    senders.send(spans).await.expect("queued");
    senders.flush().await.expect("sent");
    assert_eq!(senders.delivered(), Delivered { spans: count - 2, rejected: 2, requests: 1 });
}

#[tokio::test]
async fn waits_for_a_server_that_comes_up_later() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let senders = Senders::new(&format!("http://{address}")).expect("an address");
    let waiting = tokio::spawn(async move { senders.wait_for_server().await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished(), "nobody listens yet");
    let service = TraceServiceServer::new(Server::default()).accept_compressed(CompressionEncoding::Gzip);
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve(address));
    waiting.await.expect("no panic").expect("it came up");
}

#[test]
fn what_is_no_address_is_told() {
    let error = Senders::new("not an address").expect_err("spaces");
    assert!(error.to_string().contains("not an address"), "{error}");
}
