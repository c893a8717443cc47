use super::*;
use crate::fixture::{EPOCH_NANOS, child, create_instance, select_users, span};
use crate::{Event, Span, assemble};

fn rendered(spans: Vec<Span>, options: Options) -> String {
    render(&assemble(spans).expect("there are spans"), options)
}

#[test]
fn create_instance_reads_like_this() {
    let expected = "\
trace 0af7651916cd43dd8448eb211c80319c: 83.5 s, 14 spans, 4 services, no errors

   OFFSET  DURATION      SELF  SERVICE      SPAN
     0 ns    83.5 s    500 ms  control-api  CreateInstance
     0 ns   2.00 ms   2.00 ms  control-api  ├─ API validation
  2.00 ms   5.00 ms   5.00 ms  control-api  ├─ Quota check
  7.00 ms   15.0 ms   15.0 ms  scheduler    ├─ Schedule placement
  22.0 ms    45.0 s      0 ns  provisioner  ├─ Allocate resources
  22.0 ms    3.00 s    3.00 s  provisioner  │  ├─ Create PVC
   3.02 s    2.00 s    2.00 s  provisioner  │  ├─ Create StatefulSet
   5.02 s    40.0 s    40.0 s  provisioner  │  └─ Wait for Pod ready
   45.0 s    8.00 s    3.50 s  agent        ├─ Initialize database
   45.0 s    3.00 s    3.00 s  agent        │  ├─ initdb
   48.0 s    1.00 s    1.00 s  agent        │  ├─ Apply config
   49.0 s    500 ms    500 ms  agent        │  └─ Create users
   51.0 s    30.0 s    30.0 s  agent        ├─ Setup replication
   81.0 s    2.00 s    2.00 s  control-api  └─ Register endpoints
";
    assert_eq!(rendered(create_instance(), Options::default()), expected);
}

#[test]
fn select_reads_like_this() {
    let expected = "\
trace 0af7651916cd43dd8448eb211c80319c: 4.80 ms, 8 spans, 3 services, no errors

   OFFSET  DURATION      SELF  SERVICE    SPAN
     0 ns   4.80 ms      0 ns  sql-proxy  SELECT * FROM users WHERE id = 42
     0 ns   1.00 ms   1.00 ms  pooler     ├─ Connection pool acquire
  1.00 ms    500 µs    500 µs  sql-proxy  ├─ Proxy routing
  1.50 ms   3.00 ms      0 ns  postgres   ├─ PostgreSQL query execution
  1.50 ms    100 µs    100 µs  postgres   │  ├─ Parse
  1.60 ms    500 µs    500 µs  postgres   │  ├─ Plan
  2.10 ms   2.40 ms   2.40 ms  postgres   │  └─ Execute
  4.50 ms    300 µs    300 µs  sql-proxy  └─ Result transmission
";
    assert_eq!(rendered(select_users(), Options::default()), expected);
}

#[test]
fn errors_events_placeholders_and_warnings() {
    let size = KeyValue { key: "backup.size_bytes".to_owned(), value: Value::Int(42) };
    let completed = Event {
        time: UnixNanos::from_i64(EPOCH_NANOS + 900),
        name: "backup completed".to_owned(),
        attributes: vec![size],
        dropped_attributes_count: 0,
    };
    let mut backup = child(2, 1, "Backup", "agent", 0, 1_000);
    backup.events.push(completed.clone());
    let mut upload = child(3, 2, "Upload", "agent", 100, 2_000);
    upload.status = StatusCode::Error;
    upload.status_message = "bucket\nis gone".to_owned();
    upload.events.push(completed);
    let expected = "\
trace 0af7651916cd43dd8448eb211c80319c: 2.00 µs, 2 spans, 1 service, 1 error, root not received

   OFFSET  DURATION      SELF  SERVICE  SPAN
     0 ns   1.00 µs                     (not received)
     0 ns   1.00 µs    100 ns  agent    └─ Backup
   900 ns                                  │  • backup completed  backup.size_bytes=42
   100 ns   1.90 µs   1.90 µs  agent       └─ Upload  ✗ bucket is gone  ⚠ outside_parent
   900 ns                                        • backup completed  backup.size_bytes=42
";
    assert_eq!(rendered(vec![backup, upload], Options { events: true }), expected);
}

#[test]
fn warnings_of_the_whole_trace_stand_below() {
    let text = rendered(vec![span(1, "a", "s", 0, 1), span(2, "b", "s", 0, 1)], Options::default());
    assert!(text.ends_with("\n\n⚠ the trace has several spans without a parent\n"), "{text}");
}

#[test]
fn what_senders_write_cannot_steer_a_terminal() {
    let hostile = span(1, "\u{1b}[2Jgone\r\n\u{202e}reversed", "se\u{7}rvice", 0, 1);
    let text = rendered(vec![hostile], Options::default());
    assert!(text.contains("se\u{fffd}rvice  \u{fffd}[2Jgone  \u{fffd}reversed\n"), "{text}");
}

#[test]
fn long_names_are_cut() {
    let text = rendered(vec![span(1, &"é".repeat(500), "s", 0, 1)], Options::default());
    let name = text.trim_end().rsplit(' ').next().expect("a name");
    assert_eq!(name.chars().count(), SHOWN_CHARS_MAX);
    assert!(name.ends_with("é…"));
}

#[test]
fn a_deep_chain_does_not_grow_quadratically() {
    const LENGTH: u64 = 60_000;
    let mut spans: Vec<Span> = (2..=LENGTH).map(|n| child(n, n - 1, "file", "agent", n as i64, 90_000)).collect();
    spans.push(span(1, "backup", "agent", 0, 90_000));
    let text = rendered(spans, Options { events: true });
    assert_eq!(text.lines().count() as u64, LENGTH + 3);
    assert!(text.len() < 20_000_000);
    assert!(text.ends_with("└─ [depth 59999] file\n"));
}
