use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use model::retention::Policy;
use proto::otlp::common::v1::any_value::Value as Wire;
use proto::otlp::trace::v1::{Span, span};
use proto::{TraceId, UnixNanos};

use super::*;
use crate::cold::sieve::Sieve;
use crate::cold::{decode, reader, schema};
use crate::fixture::{
    HOUR, MINUTE, Node, SECOND, all_cold, any_time, append, attribute, blocks, check, close, failed, root, text,
    trace_id,
};
use crate::{BlockEntry, Clock, Reader, Settings, Store};

fn policy(json: serde_json::Value) -> Policy {
    serde_json::from_value(json).expect("a policy")
}

/// What a rewrite of `blocks` as one would leave, and what its entry would remember.
async fn rewrite(reader: &Reader, blocks: &[Arc<BlockEntry>], now: UnixNanos) -> (BTreeSet<TraceId>, BlockRetention) {
    let shared = reader.shared();
    let mut inputs = Vec::new();
    for block in blocks {
        inputs.push((Arc::clone(block), shared.indexes.locator(block).await.expect("there")));
    }
    let mut sieve = shared.retention.of_blocks(&shared.views.load(), &inputs, now);
    let mut left = BTreeSet::new();
    for block in blocks {
        let rows = rows(reader, block).await;
        let stays = sieve.sift(&rows).expect("decides");
        let ids = decode::binary(&rows, schema::TRACE_ID).expect("a column");
        for row in 0..rows.num_rows() {
            if stays.as_ref().is_none_or(|stays| stays.value(row)) {
                left.insert(TraceId::from_bytes(ids.value(row)).expect("an id"));
            }
        }
    }
    (left, sieve.finish(25.0))
}

async fn rows(reader: &Reader, block: &Arc<BlockEntry>) -> RecordBatch {
    let shared = reader.shared();
    let footer = shared.indexes.footer(block).await.expect("there");
    let rows = reader::retention_columns(&shared.objects, block, footer).await.expect("readable");
    concat_batches(rows[0].schema_ref(), &rows).expect("one schema")
}

fn ids(numbers: impl IntoIterator<Item = u64>) -> BTreeSet<TraceId> {
    numbers.into_iter().map(trace_id).collect()
}

async fn open(node: &Node, retention: Policy) -> Store {
    node.open(Settings { retention, ..node.cold_settings() }).await
}

/// Health checks in one window, failovers in the next: 1 to 9 are of pg-1, whose failover is far away, 11 to 19 of pg-2, whose
/// failover is near, 100 on are backups.
async fn fleet(store: &Store) {
    let mut spans: Vec<Span> = (1..=9).map(|n| check(n, "pg-1", n as i64 * SECOND)).collect();
    spans[3] = failed(spans[3].clone());
    spans[6].end_time_unix_nano += 600_000_000;
    spans.extend((11..=19).map(|n| check(n, "pg-2", n as i64 * SECOND)));
    spans.push(root(100, "Backup", 0, SECOND));
    append(store, spans).await;
    let failover = |number: u64, instance: &str, start| Span {
        attributes: vec![text("dbaas.instance.id", instance)],
        ..root(number, "Switchover", start, 20 * SECOND)
    };
    append(store, vec![failover(200, "pg-2", 2 * MINUTE), failover(201, "pg-1", 3 * HOUR)]).await;
    all_cold(&store.reader()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_checks_go_after_the_hold_unless_there_is_a_problem() {
    let node = Node::new();
    let store = open(&node, Policy::default()).await;
    fleet(&store).await;
    let reader = store.reader();
    let blocks = blocks(&reader);
    assert_eq!(blocks.len(), 2);
    let all = ids((1..=9).chain(11..=19).chain([100, 200, 201]));
    let (left, record) = rewrite(&reader, &blocks, node.clock.now()).await;
    assert_eq!((left, record.decided_by), (all, None), "held");
    // Failed, the change after it, slow; beside a failover; not health checks.
    let expected = ids([4, 5, 7].into_iter().chain(11..=19).chain([100, 200, 201]));
    node.clock.forward(10 * MINUTE);
    let now = node.clock.now();
    assert!(
        blocks[0]
            .rewrite_at()
            .is_some_and(|at| at > now.saturating_add(-MINUTE) && at <= now.saturating_add(2 * MINUTE))
    );
    let (left, record) = rewrite(&reader, &blocks, now).await;
    assert_eq!(left, expected);
    assert_eq!((record.decided_by, record.rewrite_at), (Some(Policy::default().fingerprint()), None));
    // Alone, the failover's block being another one.
    let (left, _) = rewrite(&reader, &blocks[..1], now).await;
    assert_eq!(left, expected.difference(&ids([200, 201])).copied().collect());

    let report = reader.retention();
    let health = &report.rules[0];
    assert!(health.0.starts_with("health-checks: class health_check"), "{}", health.0);
    // At the offload, before the failovers were known, 15 were held, and 6 by the first rewrite; the other two dropped these.
    assert_eq!((health.1.fates.dropped_spans, health.1.fates.held_spans), (12, 21));
    assert_eq!(health.1.fates.dropped_bytes, 12 * 25);
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_what_is_then_dropped() {
    let node = Node::new();
    let store = open(&node, Policy::default()).await;
    fleet(&store).await;
    let reader = store.reader();
    let young = reader.retention_dry_run(HOUR).await.expect("readable");
    assert_eq!((young.rules[0].fates.dropped_spans, young.rules[0].fates.held_spans), (0, 6));
    node.clock.forward(20 * MINUTE);
    let before = reader.retention();
    let run = reader.retention_dry_run(HOUR).await.expect("readable");
    assert_eq!(reader.retention(), before, "a dry run does not count");
    assert_eq!((run.blocks, run.blocks_left_out), (2, 0));
    for block in blocks(&reader) {
        rewrite(&reader, &[block], node.clock.now()).await;
    }
    for ((rule, before), after) in run.rules.iter().zip(&before.rules).zip(&reader.retention().rules) {
        let (before, after) = (before.1.fates, after.1.fates);
        assert_eq!(rule.fates.dropped_spans, after.dropped_spans - before.dropped_spans, "{}", rule.rule);
        assert_eq!(rule.fates.kept_spans, after.kept_spans - before.kept_spans, "{}", rule.rule);
    }
    assert_eq!(run.rules[0].fates.dropped_spans, 6);
    assert!(run.rules[0].fates.dropped_bytes > 0);
    assert_eq!(reader.retention_dry_run(10 * MINUTE).await.expect("readable").blocks, 0, "received earlier");
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_hold_they_do_not_even_reach_a_block() {
    let node = Node::new();
    let rules = serde_json::json!({ "hold": "0s", "rules": [
        { "name": "checks", "match": { "class": ["health_check"] }, "keep_if": [{ "status_code": "ERROR" }] },
    ]});
    let store = open(&node, policy(rules)).await;
    append(&store, (1..=5).map(|n| check(n, "pg-1", n as i64)).collect()).await;
    append(&store, vec![check(6, "pg-1", 6), failed(check(7, "pg-1", 7)), root(8, "Backup", 0, 1)]).await;
    let reader = store.reader();
    all_cold(&reader).await;
    assert_eq!(blocks(&reader).len(), 1, "nothing is left of the first window");
    let found = reader.search(&any_time()).await.expect("readable");
    assert_eq!(found.traces.iter().map(|trace| trace.trace_id).collect::<BTreeSet<_>>(), ids([7, 8]));
    assert!(reader.trace(trace_id(1)).await.expect("readable").is_empty());
    assert_eq!(reader.retention().rules[0].1.fates.dropped_spans, 6);
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chance_is_the_same_on_every_node_and_in_every_block() {
    let rules = serde_json::json!({ "hold": "0s", "rules": [
        { "name": "some", "keep_if": [{ "status_code": "ERROR" }], "else": { "sampling_percentage": 20 } },
    ]});
    let mut kept = Vec::new();
    for pieces in [1, 4] {
        let node = Node::new();
        let store = open(&node, policy(rules.clone())).await;
        for piece in 0..pieces {
            append(&store, (1..=1_000).filter(|n| n % pieces == piece).map(|n| root(n, "op", 0, 1)).collect()).await;
        }
        all_cold(&store.reader()).await;
        let found = store.reader().search(&any_time()).await.expect("readable");
        kept.push(found.traces.iter().map(|trace| trace.trace_id).collect::<BTreeSet<_>>());
        close(store).await;
    }
    assert_eq!(kept[0], kept[1]);
    assert!((140..260).contains(&kept[0].len()), "{}", kept[0].len());
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_is_kept_when_its_reason_is_out_of_sight() {
    let node = Node::new();
    let store = open(&node, Policy::default()).await;
    append(&store, vec![failed(check(1, "pg-1", 0)), check(2, "pg-1", SECOND), check(3, "pg-1", 2 * SECOND)]).await;
    let reader = store.reader();
    all_cold(&reader).await;
    node.clock.forward(20 * MINUTE);
    let now = node.clock.now();
    let mut entry = BlockEntry::clone(&blocks(&reader)[0]);
    assert_eq!(entry.retention.as_ref().map(|told| told.state_changes.clone()), Some(vec![trace_id(2)]));
    let (_, record) = rewrite(&reader, &[Arc::new(entry.clone())], now).await;
    entry.retention = Some(BlockRetention { state_changes: Vec::new(), ..record });
    let (left, _) = rewrite(&reader, &[Arc::new(entry.clone())], now).await;
    assert_eq!(left, ids(1..=3), "decided already, whatever the reason was");
    let of_other_rules = entry.retention.take().map(|told| BlockRetention { decided_by: Some(1), ..told });
    entry.retention = of_other_rules;
    let (left, _) = rewrite(&reader, &[Arc::new(entry)], now).await;
    assert_eq!(left, ids([1, 2]), "other rules decide anew, by what is in sight");
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_is_seen_across_windows_and_a_restart() {
    let node = Node::new();
    let store = open(&node, Policy::default()).await;
    append(&store, vec![check(1, "pg-1", 0), failed(check(2, "pg-1", SECOND)), check(3, "pg-2", 0)]).await;
    all_cold(&store.reader()).await;
    close(store).await;
    let store = open(&node, Policy::default()).await;
    append(&store, vec![check(4, "pg-1", 2 * SECOND), check(5, "pg-2", 2 * SECOND)]).await;
    append(&store, vec![check(6, "pg-1", 3 * SECOND)]).await;
    let reader = store.reader();
    all_cold(&reader).await;
    node.clock.forward(20 * MINUTE);
    // One block at a time, and the pieces of one one by one: what is in sight differs, what is kept does not.
    let mut left = BTreeSet::new();
    for block in blocks(&reader) {
        left.extend(rewrite(&reader, &[block], node.clock.now()).await.0);
    }
    assert_eq!(left, ids([2, 4]));
    assert_eq!(rewrite(&reader, &blocks(&reader), node.clock.now()).await.0, ids([2, 4]));
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_slow_is_known_from_earlier_windows() {
    let node = Node::new();
    let rules = serde_json::json!({ "hold": "0s", "rules": [
        { "name": "slow", "keep_if": [{ "latency": { "percentile": 90 } }] },
    ]});
    let store = open(&node, policy(rules)).await;
    append(&store, (1..=50).map(|n| root(n, "q", 0, n as i64 * 1_000_000)).collect()).await;
    append(&store, (51..=100).map(|n| root(n, "q", 0, n as i64 * 1_000_000)).collect()).await;
    append(&store, (101..=110).map(|n| root(n, "q", 0, (n as i64 - 100) * 20_000_000)).collect()).await;
    let reader = store.reader();
    all_cold(&reader).await;
    let found = reader.search(&any_time()).await.expect("readable");
    let left: BTreeSet<_> = found.traces.iter().map(|trace| trace.trace_id).collect();
    // Of the first hundred too little was known; then 90 % took at most 90 ms (96 ms, as it is counted).
    assert_eq!(left, ids((1..=100).chain(105..=110)));
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_are_found_wherever_a_block_has_them() {
    let node = Node::new();
    let rules = serde_json::json!({ "hold": "0s", "rules": [
        { "name": "plan", "match": { "attribute": [{ "key": "deployment.environment.name", "values": ["test"] }] },
          "keep_if": [
            { "string_attribute": { "key": "dbaas.plan", "values": ["gold"] } },
            { "numeric_attribute": { "key": "http.response.status_code", "min_value": 500 } },
            { "boolean_attribute": { "key": "dbaas.vip", "value": true } },
            { "linked_or_parented": true },
            { "span_count": { "min_spans": 2 } },
        ]},
    ]});
    let store = open(&node, policy(rules)).await;
    let with = |number, attributes| Span { attributes, ..root(number, "op", 0, 1) };
    // Enough plain ones that some keys have no column.
    let mut spans: Vec<Span> = (1_000..1_400).map(|n| with(n, vec![text("dbaas.plan", "free")])).collect();
    spans.push(with(1, vec![text("dbaas.plan", "gold")]));
    spans.push(with(2, vec![attribute("http.response.status_code", Wire::IntValue(503))]));
    spans.push(with(3, vec![text("other", "x"), attribute("dbaas.vip", Wire::BoolValue(true))]));
    spans.push(with(4, vec![text("dbaas.plan", "silver"), text("dbaas.plan", "gold")]));
    spans.push(with(5, vec![attribute("http.response.status_code", Wire::IntValue(200))]));
    let link = span::Link { trace_id: trace_id(7).as_bytes().to_vec(), span_id: vec![1; 8], ..span::Link::default() };
    spans.push(Span { links: vec![link], ..root(6, "op", 0, 1) });
    spans.push(root(7, "op", 0, 1));
    spans.push(Span { parent_span_id: vec![9; 8], ..root(8, "op", 0, 1) });
    spans.push(root(9, "op", 0, 1));
    spans.push(Span { span_id: vec![2; 8], parent_span_id: vec![1; 8], ..root(9, "part", 0, 1) });
    spans
        .push(Span { parent_span_id: trace_id(10).as_bytes()[8..].to_vec(), ..root(10, "as pg_tracing has it", 0, 1) });
    append(&store, spans).await;
    let reader = store.reader();
    all_cold(&reader).await;
    let found = reader.search(&any_time()).await.expect("readable");
    assert_eq!(found.traces.iter().map(|trace| trace.trace_id).collect::<BTreeSet<_>>(), ids([1, 2, 3, 4, 6, 7, 8, 9]));
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_read_back_from_a_block_are_those_of_its_window() {
    let node = Node::new();
    let store = open(&node, Policy::default()).await;
    fleet(&store).await;
    let reader = store.reader();
    let retention = &reader.shared().retention;
    let mut instances = BTreeMap::new();
    for block in blocks(&reader) {
        let rows = rows(&reader, &block).await;
        let gathered = facts::gather(&rows, &retention.keys, &retention.classifier).expect("readable");
        for one in gathered.facts(block.received()) {
            instances.insert(one.trace_id, (one.instance.map(str::to_owned), one.class, one.service.to_owned()));
        }
    }
    let told = |number, instance: Option<&str>, class| {
        assert_eq!(instances[&trace_id(number)], (instance.map(str::to_owned), class, "agent".to_owned()));
    };
    told(1, Some("pg-1"), model::OperationClass::HealthCheck);
    told(19, Some("pg-2"), model::OperationClass::HealthCheck);
    told(100, None, model::OperationClass::Backup);
    told(200, Some("pg-2"), model::OperationClass::Failover);
    close(store).await;
}
