//! Windows that wait on disk only.

use std::path::PathBuf;

use object_store::local::LocalFileSystem;

use super::*;

const SECOND: u64 = 1_000_000_000;
const TRACES: u64 = 90;

/// A cold tier in a folder that takes no blocks for now: where they go there is a file.
struct BlockedCold {
    folder: tempfile::TempDir,
}

impl BlockedCold {
    fn new() -> Self {
        let cold = Self { folder: tempfile::tempdir().expect("a folder") };
        std::fs::create_dir(cold.folder.path().join("tenant=default")).expect("a folder");
        std::fs::write(cold.blocks(), "in the way").expect("a file");
        cold
    }

    fn blocks(&self) -> PathBuf {
        self.folder.path().join("tenant=default/spans")
    }

    fn unblock(&self) {
        std::fs::remove_file(self.blocks()).expect("it is there");
    }

    fn components(&self) -> Components {
        let objects = LocalFileSystem::new_with_prefix(self.folder.path()).expect("a folder");
        Components::new(Arc::new(objects))
    }
}

/// Each trace has a root, and a child that comes twenty requests later.
async fn fill(writer: &crate::Writer) {
    for number in 0..TRACES {
        let mut spans = vec![plain_span(number, 1, 0, number * SECOND, SECOND)];
        if let Some(earlier) = number.checked_sub(20) {
            let mut child = plain_span(earlier, 2, 1, number * SECOND + 7, SECOND + earlier);
            child.status = Some(Status { code: if earlier % 3 == 0 { 2 } else { 0 }, message: String::new() });
            spans.push(child);
        }
        let service = if number % 2 == 0 { "even" } else { "odd" };
        writer.append(request(service, spans)).await.expect("kept");
    }
}

/// Everything that can be asked, as text.
async fn answers(reader: &Reader) -> Vec<String> {
    let at = |seconds: u64| UnixNanos::from_wire(seconds * SECOND);
    let requests = [
        any_time(),
        SearchRequest { limit: 3, ..any_time() },
        SearchRequest { order: SearchOrder::Slowest, limit: 5, ..any_time() },
        SearchRequest { start: at(70), limit: 7, ..any_time() },
        SearchRequest { start: at(30), end: at(32), ..any_time() },
        SearchRequest { start: at(60), end: at(80), order: SearchOrder::Slowest, ..any_time() },
        SearchRequest { service: Some("odd".into()), name: Some("op 2".into()), limit: 4, ..any_time() },
        SearchRequest { service: Some("nobody".into()), ..any_time() },
        SearchRequest { error: Some(true), ..any_time() },
        SearchRequest { root_only: true, start: at(10), end: at(20), ..any_time() },
        SearchRequest { trace_duration_min_nanos: Some(21 * SECOND as i64), start: at(50), ..any_time() },
    ];
    let mut answers = vec![format!("{:?}", reader.services().await.expect("readable"))];
    for request in requests {
        answers.push(format!("{:?}", reader.search(&request).await.expect("readable")));
    }
    for number in 0..=TRACES {
        answers.push(format!("{:?}", reader.trace(trace_id(number)).await.expect("readable")));
    }
    answers
}

async fn expect_same(reader: &Reader, expected: &[String], when: &str) {
    for (answer, expected) in answers(reader).await.iter().zip(expected) {
        assert_eq!(answer, expected, "{when}");
    }
}

fn small_windows(fixture: &Fixture) -> Settings {
    let mut settings = fixture.settings();
    settings.window_spans_max = 10;
    settings.windows_in_memory_max = 2;
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_on_disk_answer_as_those_in_memory_and_move_when_the_object_store_is_back() {
    let all_in_memory = Fixture::new();
    let store = all_in_memory.open(all_in_memory.settings()).await;
    fill(&store.writer()).await;
    let expected = answers(&store.reader()).await;
    assert!(expected[0].contains("even") && expected[2].contains("total: 90"), "{expected:?}");
    close(store).await;

    let (fixture, cold) = (Fixture::new(), BlockedCold::new());
    let store = Store::open(small_windows(&fixture), cold.components()).await.expect("opens");
    fill(&store.writer()).await;
    let view = || store.reader().shared.views.load();
    until("spilling", async || view().live.len() == 3 && view().spilled.len() == 14).await;
    let waiting = store.writer().pressure();
    assert!(waiting.percent() < 70, "{waiting:?}");
    expect_same(&store.reader(), &expected, "spilled").await;
    store.close(Instant::now()).await;

    // Those on disk stay there.
    let store = Store::open(small_windows(&fixture), cold.components()).await.expect("opens");
    assert_eq!((view_of(&store).live.len(), view_of(&store).spilled.len()), (3, 14));
    expect_same(&store.reader(), &expected, "after a restart").await;

    cold.unblock();
    offloaded(&store.reader(), 16).await;
    assert!(view_of(&store).spilled.is_empty());
    expect_same(&store.reader(), &expected, "offloaded").await;
    close(store).await;

    // And all of it is in the cold tier.
    let alone = Fixture::new();
    let store = Store::open(alone.settings(), cold.components()).await.expect("opens");
    expect_same(&store.reader(), &expected, "from the cold tier alone").await;
    close(store).await;
}

fn view_of(store: &Store) -> Arc<View> {
    store.reader().shared.views.load()
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_that_wait_fill_the_hot_tier_up_to_its_limit() {
    let (fixture, cold) = (Fixture::new(), BlockedCold::new());
    let mut settings = small_windows(&fixture);
    settings.hot_bytes_max = 20_000;
    settings.window_bytes_max = 2_000;
    let store = Store::open(settings, cold.components()).await.expect("opens");
    let mut kept = 0;
    let refusal = loop {
        match store.writer().append(request("a", vec![rich_span(kept)])).await {
            Ok(()) => kept += 1,
            Err(refusal) => break refusal,
        }
        assert!(kept < 1_000, "nothing is ever refused");
    };
    assert!(refusal.to_string().starts_with("hot_bytes_max is reached (2"), "{refusal}");
    assert!(store.writer().admit().is_err());
    assert!(kept > 20, "{kept} kept");
    cold.unblock();
    until("room", async || store.writer().admit().is_ok()).await;
    store.writer().append(request("a", vec![rich_span(kept)])).await.expect("kept");
    for number in 0..=kept {
        assert_eq!(store.reader().trace(trace_id(number)).await.expect("readable").len(), 1, "{number}");
    }
    close(store).await;
}

/// What is no matter of waiting stops the store: here the hot tier cannot make the next window.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_background_write_poisons_with_a_clear_error() {
    let fixture = Fixture::new();
    let mut settings = fixture.settings();
    settings.window_spans_max = 2;
    let hot = settings.hot_dir.clone();
    let store = fixture.open(settings).await;
    store.writer().append(request("a", vec![rich_span(1)])).await.expect("kept");
    // RocksDB makes files there for a new column family.
    std::fs::rename(&hot, hot.with_extension("away")).expect("renamed");
    std::fs::write(&hot, "in the way").expect("written");
    store.writer().append(request("a", vec![rich_span(2)])).await.expect("kept");
    until("poison", async || store.check().is_err()).await;
    let error = store.check().expect_err("poisoned").to_string();
    assert!(error.contains("stopped accepting spans after a failed write: hot tier: IO error"), "{error}");
    assert!(error.contains("repair the cause and restart"), "{error}");
    let refused = store.writer().append(request("a", vec![rich_span(3)])).await.expect_err("refused");
    assert_eq!(refused.kind(), crate::ErrorKind::Broken);
    for number in [1, 2] {
        assert_eq!(store.reader().trace(trace_id(number)).await.expect("readable").len(), 1);
    }
    std::fs::remove_file(&hot).expect("removed");
    std::fs::rename(hot.with_extension("away"), &hot).expect("renamed");
    close(store).await;
}
