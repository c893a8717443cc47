//! An S3 server in this process that counts, dawdles and fails as it is told: s3s-fs behind a layer of our own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};

/// A running server; ends with the test.
pub(crate) struct FaultyS3 {
    pub(crate) endpoint: String,
    shared: Arc<Shared>,
    _folder: tempfile::TempDir,
    server: tokio::task::JoinHandle<()>,
}

struct Shared {
    service: S3Service,
    gets: AtomicU64,
    puts_succeeded: AtomicU64,
    fails: AtomicBool,
    delay_millis: AtomicU64,
}

impl FaultyS3 {
    /// With one empty bucket.
    pub(crate) async fn start(bucket: &str, key: &str, secret: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join(bucket)).expect("a bucket");
        let files = s3s_fs::FileSystem::new(folder.path()).expect("a folder");
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(key, secret));
        let shared = Arc::new(Shared {
            service: builder.build(),
            gets: AtomicU64::new(0),
            puts_succeeded: AtomicU64::new(0),
            fails: AtomicBool::new(false),
            delay_millis: AtomicU64::new(0),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
        let app = axum::Router::new().fallback(serve).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, app).await.expect("serves") });
        Self { endpoint, shared, _folder: folder, server }
    }

    /// GET requests so far.
    pub(crate) fn gets(&self) -> u64 {
        self.shared.gets.load(Ordering::SeqCst)
    }

    /// PUT requests that succeeded so far.
    pub(crate) fn puts_succeeded(&self) -> u64 {
        self.shared.puts_succeeded.load(Ordering::SeqCst)
    }

    /// From now on every request is answered with 503, or none.
    pub(crate) fn fail(&self, fails: bool) {
        self.shared.fails.store(fails, Ordering::SeqCst);
    }

    /// From now on every answer takes this much longer.
    pub(crate) fn delay(&self, delay: Duration) {
        self.shared.delay_millis.store(delay.as_millis() as u64, Ordering::SeqCst);
    }
}

impl Drop for FaultyS3 {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    tokio::time::sleep(Duration::from_millis(shared.delay_millis.load(Ordering::SeqCst))).await;
    if shared.fails.load(Ordering::SeqCst) {
        return (StatusCode::SERVICE_UNAVAILABLE, "<Error><Code>SlowDown</Code></Error>").into_response();
    }
    let method = request.method().clone();
    // A listing of the bucket is a GET too; only those of objects are of interest.
    if method == Method::GET && !request.uri().query().is_some_and(|query| query.contains("list-type")) {
        shared.gets.fetch_add(1, Ordering::SeqCst);
    }
    match shared.service.call(request.map(s3s::Body::http_body_unsync)).await {
        Ok(response) => {
            if method == Method::PUT && response.status().is_success() {
                shared.puts_succeeded.fetch_add(1, Ordering::SeqCst);
            }
            response.map(Body::new)
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:?}")).into_response(),
    }
}
