use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap as AxumHeaders;
use axum::response::IntoResponse;
use axum::routing::post;
use proto::UnixNanos;
use proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span};

use super::*;

/// An OTLP/HTTP server that answers each request with the next of `answers`; how often it was asked.
async fn serve(answers: Vec<(StatusCode, Option<&'static str>)>) -> (String, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let answer = move |headers: AxumHeaders, body: Bytes| {
        let (status, retry_after) = answers[count.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)];
        assert!(!body.is_empty() && headers.contains_key(CONTENT_TYPE));
        let headers: AxumHeaders =
            retry_after.map(|value| (RETRY_AFTER, value.parse().expect("a value"))).into_iter().collect();
        async move { (status, headers).into_response() }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/v1/traces", post(answer))).await });
    (format!("http://{address}"), asked)
}

fn batch(is_malformed: bool) -> Batch {
    let spans = vec![Span { trace_id: vec![1; 16], span_id: vec![2; 8], name: "one".to_owned(), ..Span::default() }];
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    Batch {
        at: UnixNanos::ZERO,
        request: ExportTraceServiceRequest { resource_spans },
        span_count: 1,
        wire: Wire::HttpProtobuf,
        compression: Compression::Zstd,
        is_malformed,
    }
}

async fn delivered(
    answers: Vec<(StatusCode, Option<&'static str>)>,
    is_malformed: bool,
) -> (Result<Outcome, HistoryError>, usize) {
    let (url, asked) = serve(answers).await;
    let clients = Clients::new("http://127.0.0.1:9", &url).expect("clients");
    (clients.deliver(batch(is_malformed)).await, asked.load(Ordering::SeqCst))
}

#[tokio::test]
async fn a_request_over_http_is_repeated_as_the_server_asks() {
    let began = Instant::now();
    let (outcome, asked) =
        delivered(vec![(StatusCode::SERVICE_UNAVAILABLE, Some("1")), (StatusCode::OK, None)], false).await;
    assert_eq!(outcome.expect("delivered").delivered, Delivered { spans: 1, rejected: 0, requests: 1 });
    assert_eq!(asked, 2);
    assert!(began.elapsed() >= Duration::from_secs(1), "it did not wait");
}

#[tokio::test]
async fn a_refusal_over_http_is_an_error_but_of_a_malformed_request() {
    let (outcome, asked) = delivered(vec![(StatusCode::BAD_REQUEST, None)], false).await;
    assert!(matches!(outcome, Err(HistoryError::Http { .. })), "{outcome:?}");
    assert_eq!(asked, 1);
    let (outcome, _) = delivered(vec![(StatusCode::BAD_REQUEST, None)], true).await;
    assert_eq!(outcome.expect("as it should be"), Outcome { malformed: 1, ..Outcome::default() });
    let (outcome, _) = delivered(vec![(StatusCode::OK, None)], true).await;
    assert!(matches!(outcome, Err(HistoryError::Http { .. })), "a malformed request was taken: {outcome:?}");
}
