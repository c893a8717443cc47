use super::*;
use crate::fixture::{HOUR, Node, all_cold, any_time, append, blocks, check, close, root, trace_id, until};
use crate::{Reader, Settings, Store};

async fn finds(reader: &Reader, number: u64) -> bool {
    let spans = reader.trace(trace_id(number)).await.expect("readable");
    let found = reader.search(&any_time()).await.expect("readable");
    let is_listed = found.traces.iter().any(|trace| trace.trace_id == trace_id(number));
    assert_eq!(found.total, found.traces.len());
    assert_eq!(!spans.is_empty(), is_listed, "both answers agree");
    is_listed
}

async fn delete(store: &Store, numbers: &[u64]) -> usize {
    let ids: Vec<TraceId> = numbers.iter().map(|number| trace_id(*number)).collect();
    store.deleter().delete_traces(&ids).await.expect("deletes").deleted
}

fn standing(reader: &Reader) -> usize {
    let view = reader.shared().views.load();
    view.manifests.values().flat_map(|manifest| &manifest.deletes).map(|delete| delete.traces.len()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn effective_at_once_in_memory_and_for_late_spans() {
    let node = Node::new();
    let store = node.open(node.settings()).await;
    let reader = store.reader();
    append(&store, vec![root(1, "a", 0, 5), root(2, "b", 0, 5)]).await;
    assert!(finds(&reader, 1).await);
    assert_eq!(delete(&store, &[1, 9]).await, 2);
    assert!(!finds(&reader, 1).await && finds(&reader, 2).await);
    let services = reader.services().await.expect("readable");
    assert_eq!((services.len(), services[0].span_count), (1, 1));
    assert_eq!(delete(&store, &[1]).await, 0, "known already");

    append(&store, vec![root(1, "late", 0, 5), root(3, "c", 0, 5)]).await;
    assert!(!finds(&reader, 1).await && finds(&reader, 3).await);
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn effective_in_blocks_after_a_restart_and_on_another_node() {
    let node = Node::new();
    let store = node.open(node.cold_settings()).await;
    append(&store, vec![root(1, "a", 0, 5), root(2, "b", 0, 5)]).await;
    all_cold(&store.reader()).await;
    let other_node = Node::over(Arc::clone(&node.objects));
    let other = other_node.open(other_node.cold_settings()).await;
    assert!(finds(&other.reader(), 1).await);

    // The other node deletes what is in this one's block.
    assert_eq!(delete(&other, &[1]).await, 1);
    assert!(!finds(&other.reader(), 1).await && finds(&other.reader(), 2).await);
    let reader = store.reader();
    append(&store, vec![root(3, "c", 0, 5)]).await;
    until("refresh", async || reader.trace(trace_id(1)).await.expect("readable").is_empty()).await;
    assert!(!finds(&reader, 1).await);
    // It would keep the folder locked.
    drop(reader);
    close(other).await;
    close(store).await;

    let store = node.open(node.cold_settings()).await;
    assert!(!finds(&store.reader(), 1).await && finds(&store.reader(), 3).await);
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_trace_does_not_reach_a_block_and_its_delete_is_forgotten() {
    let node = Node::new();
    let store = node.open(node.settings()).await;
    append(&store, vec![root(1, "a", 0, 5), root(2, "b", 0, 5)]).await;
    delete(&store, &[1]).await;
    close(store).await;

    let store = node.open(node.cold_settings()).await;
    let reader = store.reader();
    let sweeper = sweeper(&store);
    // The window was cut by the start.
    append(&store, vec![root(3, "c", 0, 5)]).await;
    all_cold(&reader).await;
    let spans: u64 = blocks(&reader).iter().map(|block| block.spans).sum();
    assert_eq!(spans, 2, "without the deleted one");
    sweeper.sweep(node.clock.now()).await.expect("sweeps");
    assert_eq!(standing(&reader), 1, "too early");
    node.clock.forward(HOUR);
    sweeper.sweep(node.clock.now()).await.expect("sweeps");
    assert_eq!(standing(&reader), 0);
    assert!(!finds(&reader, 1).await && finds(&reader, 2).await);
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_stands_while_a_block_or_a_window_has_the_trace() {
    let node = Node::new();
    let store = node.open(Settings { window_spans_max: 2, hot_bytes_max: 0, ..node.settings() }).await;
    let reader = store.reader();
    append(&store, vec![root(1, "a", 0, 5), check(2, "pg-1", 0)]).await;
    all_cold(&reader).await;
    append(&store, vec![root(3, "c", 0, 5)]).await;
    delete(&store, &[1, 3, 4]).await;
    node.clock.forward(2 * HOUR);
    sweeper(&store).sweep(node.clock.now()).await.expect("sweeps");
    assert_eq!(standing(&reader), 2, "1 is in a block, 3 in a window, 4 nowhere");
    assert!(!finds(&reader, 1).await && !finds(&reader, 3).await);

    let block = &blocks(&reader)[0];
    let deleted = Arc::clone(&reader.shared().views.load().deleted);
    let locator = reader.shared().indexes.locator(block).await.expect("there");
    let may_have = |id| !locator.row_groups_of(id).is_empty();
    assert!(crate::retention::due_for_rewrite(block, &deleted, may_have, node.clock.now().saturating_add(-2 * HOUR)));
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_are_refused() {
    let node = Node::new();
    let store = node.open(node.settings()).await;
    let ids: Vec<TraceId> = (0..=DELETED_TRACES_MAX as u64).map(trace_id).collect();
    let error = store.deleter().delete_traces(&ids).await.expect_err("one too many");
    assert!(matches!(error, Error::TooManyDeletes { used: 20_001, allowed: 20_000 }), "{error}");
    let receipt = store.deleter().delete_traces(&ids[1..]).await.expect("as many as may");
    assert_eq!(receipt, Receipt { deleted: DELETED_TRACES_MAX });
    close(store).await;
}

fn sweeper(store: &Store) -> Sweeper {
    let (deleter, reader) = (store.deleter(), store.reader());
    let shared = reader.shared();
    Sweeper {
        editor: deleter.editor,
        views: Arc::clone(&shared.views),
        indexes: Arc::clone(&shared.indexes),
        writer: shared.writer.clone(),
    }
}
