use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt, PutMode, RetryConfig, WriteMultipart};
use prost::Message;
use proto::TraceId;
use store::{Components, PreparedRequest, Reader, Settings, Store};

use crate::harness::s3::FaultyS3;
use crate::harness::s3_process::{BUCKET, KEY, S3Process, SECRET};
use crate::harness::spans::{chain, request, trace_hex, trace_id};
use crate::harness::{Server, eventually};

fn s3(endpoint: &str) -> Arc<dyn ObjectStore> {
    let retry = RetryConfig { max_retries: 1, ..RetryConfig::default() };
    let store = AmazonS3Builder::new()
        .with_endpoint(endpoint)
        .with_bucket_name(BUCKET)
        .with_region("us-east-1")
        .with_access_key_id(KEY)
        .with_secret_access_key(SECRET)
        .with_retry(retry)
        .with_client_options(ClientOptions::new().with_allow_http(true).with_timeout(Duration::from_secs(10)))
        .build();
    Arc::new(store.expect("valid settings"))
}

fn checked(number: u64) -> PreparedRequest {
    let (checked, rejected) = proto::check::check(request("svc", chain(number, 4)).encode_to_vec()).expect("valid");
    assert!(rejected.is_empty());
    PreparedRequest::new(checked).expect("compresses")
}

fn id(number: u64) -> TraceId {
    TraceId::from_bytes(&trace_id(number)).expect("valid")
}

async fn open(objects: &Arc<dyn ObjectStore>, root: Option<PathBuf>, hot: &Path, spans_max: u64) -> Store {
    let mut settings = Settings::new(hot.to_owned());
    settings.window_spans_max = spans_max;
    settings.hot_bytes_max = 0;
    settings.windows_waiting_max = 1_000;
    // These tests count requests.
    settings.merge_inputs_min = usize::MAX;
    let components = Components { local_root: root, ..Components::new(Arc::clone(objects)) };
    Store::open(settings, components).await.expect("opens")
}

async fn close(store: Store) {
    store.close(Instant::now() + Duration::from_secs(20)).await;
}

async fn expect_traces(reader: &Reader, numbers: std::ops::Range<u64>) {
    for number in numbers {
        assert_eq!(reader.trace(id(number)).await.expect("readable").len(), 4, "trace {number}");
    }
}

/// What the cold tier needs of an object store.
async fn requests_work(objects: &Arc<dyn ObjectStore>) {
    let bytes: Vec<u8> = (0..20u32 << 20).map(|at| (at % 251) as u8).collect();
    let path = ObjectPath::from("suite/large");
    let mut upload = WriteMultipart::new(objects.put_multipart(&path).await.expect("multipart begins"));
    upload.write(&bytes);
    upload.finish().await.expect("multipart ends");
    let range = objects.get_range(&path, 7_000_000..7_000_100).await.expect("a range");
    assert_eq!(&range[..], &bytes[7_000_000..7_000_100]);
    let parts = objects.get_ranges(&path, &[0..10, 20_000_000..20_000_010]).await.expect("ranges");
    assert_eq!((&parts[0][..], &parts[1][..]), (&bytes[..10], &bytes[20_000_000..20_000_010]));

    let path = ObjectPath::from("suite/created-once");
    let create = |text: &'static str| objects.put_opts(&path, text.into(), PutMode::Create.into());
    create("first").await.expect("nothing is there");
    assert!(matches!(create("second").await, Err(object_store::Error::AlreadyExists { .. })));
    assert_eq!(objects.get(&path).await.expect("there").bytes().await.expect("readable"), "first");
}

/// Spans go in, blocks and manifests come out, and a node that has nothing but the bucket answers the same.
async fn cold_tier_works(objects: Arc<dyn ObjectStore>, root: Option<PathBuf>) {
    requests_work(&objects).await;
    let (first, second) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let store = open(&objects, root.clone(), first.path(), 40).await;
    for number in 0..30 {
        store.writer().append(checked(number)).await.expect("kept");
    }
    expect_traces(&store.reader(), 0..30).await;
    close(store).await;

    let alone = open(&objects, root.clone(), second.path(), 1_000).await;
    expect_traces(&alone.reader(), 0..30).await;
    alone.writer().append(checked(30)).await.expect("kept");
    close(alone).await;

    // Both writers go on beside each other.
    let store = open(&objects, root, first.path(), 1).await;
    store.writer().append(checked(31)).await.expect("kept");
    expect_traces(&store.reader(), 0..30).await;
    expect_traces(&store.reader(), 31..32).await;
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory() {
    cold_tier_works(Arc::new(InMemory::new()), None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let objects = LocalFileSystem::new_with_prefix(folder.path()).expect("a folder");
    cold_tier_works(Arc::new(objects), Some(folder.path().to_owned())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3s_fs() {
    let server = FaultyS3::start(BUCKET, KEY, SECRET).await;
    cold_tier_works(s3(&server.endpoint), None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn moto() {
    let server = S3Process::moto().await;
    cold_tier_works(s3(&server.endpoint), None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versitygw() {
    let server = S3Process::versitygw().await;
    cold_tier_works(s3(&server.endpoint), None).await;
}

/// A cold trace costs one ranged GET in the one block that has it; an absent one none.
#[tokio::test(flavor = "multi_thread")]
async fn a_cold_trace_is_one_get() {
    let server = FaultyS3::start(BUCKET, KEY, SECRET).await;
    let objects = s3(&server.endpoint);
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&objects, None, folder.path(), 400).await;
    for number in 0..2_000 {
        store.writer().append(checked(number)).await.expect("kept");
    }
    close(store).await;

    let store = open(&objects, None, folder.path(), 1_000_000).await;
    let reader = store.reader();
    eventually("retirement", async || {
        // All windows are offloaded and retired when the trace's block is what answers.
        let before = server.gets();
        reader.trace(id(5)).await.expect("readable");
        server.gets() > before
    })
    .await;
    let before = server.gets();
    let mut found = 0;
    for number in (0..2_000).step_by(20) {
        found += reader.trace(id(number)).await.expect("readable").len();
    }
    let gets = server.gets() - before;
    assert_eq!(found, 400);
    // One each, and a filter's false positive now and then: 19 other blocks at 1 %.
    assert!((100..150).contains(&gets), "{gets} GETs for 100 traces");

    let before = server.gets();
    for number in 10_000..10_500 {
        assert!(reader.trace(id(number)).await.expect("readable").is_empty());
    }
    let gets = server.gets() - before;
    assert!(gets < 200, "{gets} GETs for 500 absent traces in 20 blocks");
    close(store).await;
}

/// While the object store fails, spans are kept and answered; when it is back, they move, each once.
#[tokio::test(flavor = "multi_thread")]
async fn a_failing_object_store_loses_nothing() {
    let server = FaultyS3::start(BUCKET, KEY, SECRET).await;
    let objects = s3(&server.endpoint);
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&objects, None, folder.path(), 40).await;
    server.fail(true);
    for number in 0..40 {
        store.writer().append(checked(number)).await.expect("kept");
    }
    expect_traces(&store.reader(), 0..40).await;
    server.fail(false);
    server.delay(Duration::from_millis(20));
    eventually("offload", async || server.puts_succeeded() >= 8).await;
    expect_traces(&store.reader(), 0..40).await;
    close(store).await;
    let alone = tempfile::tempdir().expect("a folder");
    let store = open(&objects, None, alone.path(), 1_000).await;
    expect_traces(&store.reader(), 0..40).await;
    close(store).await;
}

/// A node starts, answers and accepts while its object store is away.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_the_object_store_is_a_start() {
    let server = FaultyS3::start(BUCKET, KEY, SECRET).await;
    let objects = s3(&server.endpoint);
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&objects, None, folder.path(), 40).await;
    for number in 0..20 {
        store.writer().append(checked(number)).await.expect("kept");
    }
    close(store).await;
    server.fail(true);
    let store = open(&objects, None, folder.path(), 4).await;
    store.writer().append(checked(20)).await.expect("kept");
    expect_traces(&store.reader(), 20..21).await;
    server.fail(false);
    eventually("the cold tier", async || store.reader().trace(id(3)).await.is_ok_and(|spans| spans.len() == 4)).await;
    expect_traces(&store.reader(), 0..21).await;
    close(store).await;
}

/// The program itself, set up by the usual variables, with an S3 server that stops and starts in the middle.
#[tokio::test(flavor = "multi_thread")]
async fn the_program_on_s3() {
    let s3 = FaultyS3::start(BUCKET, KEY, SECRET).await;
    let folder = tempfile::tempdir().expect("a folder");
    let variables = [
        ("AWS_ENDPOINT_URL", s3.endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_REGION", "us-east-1"),
    ];
    let arguments = ["--cold", "s3://traces/some/prefix", "--window-spans-max", "40", "--hot-bytes-max", "0"];
    let server = Server::start_with(folder.path(), &arguments, &variables);
    for number in 0..10 {
        server.send(request("svc", chain(number, 4))).await;
    }
    server.offloaded(1.0).await;
    s3.fail(true);
    for number in 10..20 {
        server.send(request("svc", chain(number, 4))).await;
    }
    s3.fail(false);
    server.offloaded(2.0).await;
    for number in 0..20 {
        assert_eq!(server.trace(&trace_hex(number)).await["span_count"], 4, "trace {number}");
    }
    server.kill();
    // The bucket alone.
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start_with(folder.path(), &arguments, &variables);
    for number in 0..20 {
        assert_eq!(server.trace(&trace_hex(number)).await["span_count"], 4, "trace {number}");
    }
}
