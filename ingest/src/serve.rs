//! Listening, for either router: HTTP/2 without TLS by prior knowledge, and HTTP/1.1.

use std::future::Future;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Error, Server};

/// Requests at once on one connection. Collectors use tens; more connections can have more.
const STREAMS_PER_CONNECTION_MAX: u32 = 256;

/// Bytes a stream may send before we read: a batch of a few thousand spans in one go, where HTTP/2's default of 64 KiB
/// would cost a round trip per 200 spans.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;

/// The same for all streams of a connection; what a single connection can have in our socket buffers and not in a permit.
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;

/// Finds clients that vanished without a word, such as a pod that was killed.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Serves a router until `shutdown` resolves, then stops accepting and returns when the last request is answered.
/// The caller sets the deadline for that.
///
/// # Errors
/// When the listener fails.
pub async fn serve<F>(listener: TcpListener, router: Router, shutdown: F) -> Result<(), Error>
where
    F: Future<Output = ()>,
{
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true)).with_keepalive(Some(KEEPALIVE_INTERVAL));
    Server::builder()
        .accept_http1(true)
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .serve_with_incoming_shutdown(router, incoming, shutdown)
        .await
}
