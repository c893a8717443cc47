//! The rules and phase patterns that ship: data only.
//!
//! Classes of names are in [`crate::class`]; here is what goes beyond a name's class.

use super::Phase;
use super::rule::{AttributeTest, Rule, Says, ValueTest};
use crate::OperationClass;
use crate::wildcard::Wildcard;

/// A rule as the table writes it: name, spans, attributes with their values, what it says.
type Row = (&'static str, &'static [&'static str], &'static [(&'static str, &'static [&'static str])], Says);

const SILENT: Says = Says { class: None, phase: None, step: None, is_noise: None, has_run: None };
const NOISE: Says = Says { class: Some(OperationClass::Other), is_noise: Some(true), ..SILENT };
const NO_RUN: Says = Says { has_run: Some(false), ..SILENT };

/// In this order.
const ROWS: &[Row] = &[
    // Multigres watches and acts under the same names; it acted when it appointed a leader and came to an end with that.
    (
        "multigres-appoint-leader",
        &["recovery/attempt"],
        &[("action.name", &["AppointLeader"]), ("result", &["success", "action_failed"])],
        Says { class: Some(OperationClass::Failover), is_noise: Some(false), ..SILENT },
    ),
    ("multigres-recovery-attempt", &["recovery/attempt"], &[], NOISE),
    ("multigres-recovery-cycle", &["recovery/cycle"], &[], NOISE),
    // High-rate work, and loops that look whether there is anything to do: worth a rollup, not a run each.
    (
        "wal-archiving",
        &[
            "wal_push",
            "wal-push",
            "wal_archive",
            "archive-push",
            "archive-get",
            "archive_wal",
            "wal_fetch",
            "wal-fetch",
        ],
        &[],
        NO_RUN,
    ),
    ("wal-archiving-by-attribute", &[], &[("dbaas.operation", &["wal_push", "wal_archive", "wal_fetch"])], NO_RUN),
    ("wal-archiving-by-type", &[], &[("dbaas.backup.type", &["wal"])], NO_RUN),
    ("reconcile-loops", &["*.Reconcile", "*.Reconcile*", "Reconcile*", "reconcile*"], &[], NO_RUN),
    ("backup-housekeeping", &["expire-backups", "verify-backups", "pgbackrest-check"], &[], NO_RUN),
    // Temporal: the span of starting a workflow ends long before the workflow; the run is `RunWorkflow:`.
    (
        "temporal-calls",
        &[
            "StartWorkflow:*",
            "StartActivity:*",
            "StartChildWorkflow:*",
            "Signal*:*",
            "Query*:*",
            "Update*:*",
            "Handle*:*",
        ],
        &[],
        NO_RUN,
    ),
];

/// The rules that ship, behind those of the user.
pub(super) fn rules() -> impl Iterator<Item = Rule> {
    ROWS.iter().map(|(name, spans, attributes, says)| Rule {
        name: (*name).to_owned(),
        is_shipped: true,
        spans: spans.iter().map(|text| Wildcard::new(text)).collect(),
        span_regex: None,
        services: Vec::new(),
        scopes: Vec::new(),
        attributes: attributes.iter().map(|(key, values)| test(key, values)).collect(),
        says: *says,
    })
}

fn test(key: &str, values: &[&str]) -> AttributeTest {
    let values = values.iter().map(|text| Wildcard::new(text)).collect();
    AttributeTest { key: key.to_owned(), test: ValueTest::OneOf(values) }
}

/// Names of steps that wait rather than work.
pub(super) const WAITS: &str =
    r"\b(wait\w*|await\w*|queue[ds]?|queueing|sleep\w*|back ?off|poll\w*|throttl\w*|pending)\b";

/// Patterns of failovers on names as lower-case words, in this order. No look-around: the `regex` crate has none.
pub(super) const FAILOVER: &[(Phase, &str)] = &[
    (Phase::Promote, r"\bread only ?(0|off|false)\b"),
    (
        Phase::Verify,
        r"\b(verif(y|ication)|validate (new )?primary|smoke test|health ?check after|post failover (check|process)|write (check|probe)|confirm (write|primary)|postgres ready|wait for promotion complete|wait ready)\b",
    ),
    (
        Phase::Endpoint,
        r"\b((update|switch|register|publish|patch|propagate|refresh|announce|flip|move|repoint|re point) (the )?(\w+ ){0,2}(dns|endpoints?|service|cname|vip|route|routing|proxy|proxies|topology|discovery|kv|serving graph|label|labels|config ?map)|dns( (update|switch|propagation|change))?|endpoint (switch|update|registration)|vip (move|switch)|service discovery|(writing|distributing) kv|refresh from topo|tablet externally reparented|proxy reconfigur\w*|(haproxy|pgbouncer|odyssey|pooler|proxy) (reload|switch|pause|resume)|unbuffer|drain buffer|buffer drain)\b",
    ),
    (
        Phase::Fence,
        r"\b(fenc\w*|stonith|demot\w*|revoke|step ?down|resign\w*( leadership)?|isolat\w*|read only( 1)?|super read only|stop(ping)? (old|former|current) (primary|master|leader)|fast shutdown|immediate shutdown|shut ?down (old|former)|kill (old|former) primary|stop(ping)? replication( on all| and build status maps?)?|stop replication and get status|set read only|draining|drain (old|connections?|pooler)|recruit|expel|member leave)\b",
    ),
    (
        Phase::Catchup,
        r"\b(catch ?up|caught up|wait for (position|lsn|gtid|replay|catch ?up|all relay logs to apply|sql thread|sync)|replay( \w+)? wait|replay( completion)?|wal replay|apply(ing)? relay logs?|relay logs? (apply|to apply)|lsn wait|catching ?up|fast forward|drain replay|sync safekeepers|wait(ing)? for sql thread|crash recovery|recover wal|apply backlog)\b",
    ),
    (
        Phase::Rejoin,
        r"\b(re ?wind|pg rewind|rejoin|re ?clone|rebuild (replica|standby|instance)|reinit\w*|re ?point\w*( replicas?)?|re ?parent (tablet|replicas?)|set replication source|change (master|replication source)|follow( new)? (primary|leader|master)|attach(ing)? replicas?|regroup(ing)? replicas?|relocat\w+ replicas?|fix replication|reconcile replicas?|set primary|start replication|set master|reconfigure replicas?|create (new )?standby|node join|member join|join (secondary|standby|replica)|(standby|failover|replica) follow|rebuild (old|former) (primary|master)|data sync|reset replica\w*)\b",
    ),
    (
        Phase::Elect,
        r"\b(elect\w*|find a new (master|primary|leader)|report lsn|leader ?(race|lock)|acquire (leader )?(lock|lease)|session lock|candidate\w*|choose new primary|select (new )?(primary|candidate|replica|standby)|find (most advanced|best replica|positions?)|quorum vote|propose|rule (write|propose)|appoint leader|topo server lock|lock shard|shard lock|standby ack)\b",
    ),
    (
        Phase::Promote,
        r"\b(promot\w*|pg ctl promote|set read write|set writable|init primary|undo demote primary|read only 0|become (primary|leader|master)|activat\w+ (standby|replica|instance)|start as primary|reset slave all|reconfigure( as primary)?|switch ?over to|take ?over)\b",
    ),
    (
        Phase::Detect,
        r"\b(detect\w*|suspect\w*|suspicion|heart ?beat|liveness|failure (analysis|detection)|ttl expir\w*|lease expir\w*|await lease|lock expir\w*|probe|health ?check|recheck|confirm (failure|outage)|analy[sz]e|problem|unreachable|grace period|recovery cycle|quorum confirm|(db|node|primary|master) is (failed|dead|down))\b",
    ),
];

/// Patterns of backups. The names are those of pgBackRest, WAL-G, Barman, Multigres and XtraBackup.
pub(super) const BACKUP: &[(Phase, &str)] = &[
    (
        Phase::WalWait,
        r"\b(wal wait|wait\w* (for )?(all )?(the )?(wal|archiv\w*|segments?)( \w+){0,3}|check archive( for)?( prior)?( segments?)?|archive wait|wait for archive)\b",
    ),
    (
        Phase::Queue,
        r"\b(queue\w*|wait\w* (for )?(a )?(slot|window|turn|lock)|backup (slot|window)|acquire slot|throttl\w*)\b",
    ),
    (Phase::Expire, r"\b(expir\w*|retention|prun(e|ing)|delete old|remove old|purg(e|ing))\b"),
    (Phase::Verify, r"\b(verif\w*|validat\w*|checksums?|check backup|test restore)\b"),
    (
        Phase::Checkpoint,
        r"\b(checkpoint|(pg )?(backup start|start backup|start(ing)? backup)|execute backup start|begin backup)\b",
    ),
    (
        Phase::Stop,
        r"\b((pg )?(backup stop|stop(ping)? backup)|execute backup stop|end backup|finali[sz]e\w*|(write|read|upload) (backup )?(label|manifest|metadata|sentinel)|backup labels?|sentinel|uploading pg control)\b",
    ),
    (
        Phase::Copy,
        r"\b(cop(y|ying|ies)|upload\w*|snapshot\w*|compress\w*|encrypt\w*|read(ing)? (data|files?)|walking|packing|transfer\w*|stream\w*|finishing queue|put (object|part|file)|send (file|part)|pgbackrest|pg ?base ?backup|base ?backup|xtrabackup|mysqldump|mariabackup|mongodump|pg dump)\b",
    ),
    (
        Phase::Prepare,
        r"\b(prepar\w*|locks?|locking|choose\w*|select\w*|find|list|plan\w*|analy[sz]\w*|resolv\w*|lease)\b",
    ),
];

/// Patterns of restores.
pub(super) const RESTORE: &[(Phase, &str)] = &[
    (Phase::Verify, r"\b(verif\w*|validat\w*|checksums?|smoke test|first connection|check (instance|data|restored))\b"),
    (
        Phase::WalFetch,
        r"\b((fetch|get|download|stream)\w* (wal|archive|segments?|binlogs?|oplog)|wal (fetch|get|download)|archive get)\b",
    ),
    (
        Phase::Replay,
        r"\b(replay\w*|recover(y|ing)?( \w+)?|roll forward|apply\w* (wal|logs?|redo|binlogs?|oplog|increment\w*)|crash recovery|catch ?up|wait for consistent)\b",
    ),
    (
        Phase::Download,
        r"\b(download\w*|fetch\w*|pull\w*|copy from|cop(y|ying) (base|files?|data|backup)|restore (pgbackrest|wal g|barman|files?|set|backup set)|backup fetch|get backup|get object)\b",
    ),
    (
        Phase::ApplyBase,
        r"\b((apply|extract|unpack|decompress|decrypt|prepare|restore|lay ?out) (the )?base\w*|extract\w*|unpack\w*|decompress\w*|decrypt\w*|pg restore|load dump|import\w*|basebackup)\b",
    ),
    (
        Phase::Promote,
        r"\b(promot\w*|start(ing)? (postgres\w*|mysql\w*|mongo\w*|database|primary|server)|set (read write|writable)|open read write|become primary)\b",
    ),
    (
        Phase::PostConfig,
        r"\b(post config|(re)?configur\w*( \w+)?|apply config|create (users?|roles?)|rotate (passwords?|credentials?)|register (endpoints?|instance)|update (dns|endpoints?)|reopen pooler|reconfigure archive|mark initiali[sz]ed|handle migrations)\b",
    ),
    (
        Phase::Provision,
        r"\b(provision\w*|allocate\w*|create (pvc|volume|stateful ?set|pod|instance|vm|host|disk)|attach (volume|disk)|schedul\w*|wait for pod( ready)?|wait pod ready|find (backup|host)|choose (backup|host))\b",
    ),
];
