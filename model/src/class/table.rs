//! The classes of the names that are known: data only, in the notation of [`super::pattern`].
//!
//! The names are those that Multigres, Vitess, Neon, YugabyteDB, pg_tracing, CockroachDB, MySQL, Temporal, Argo Workflows
//! and Kubernetes operators emit, and words that people use for the same work. Names that are told by their form (SQL, HTTP)
//! are in [`super::shape`].

use super::OperationClass::{
    self, AgentCommand, Api, Backup, Failover, HealthCheck, Other, Provisioning, Query, Restore,
};

/// Whole names, as words. They go before every pattern.
pub(super) const EXACT: &[(&str, OperationClass)] = &[
    // Multigres: `recovery/cycle` is its watching, `recovery/attempt` its acting.
    ("recovery cycle", Other),
    ("recovery attempt", Failover),
    ("verify backups", Backup),
    // Neon: a compute starts from a base backup, which is no backup being taken.
    ("get basebackup", Provisioning),
    ("try get basebackup", Provisioning),
    ("prepare pgdata", Provisioning),
    ("check safekeepers synced", Provisioning),
    ("sync safekeepers", Provisioning),
    ("start postgres", Provisioning),
    ("post apply config", Provisioning),
    ("configure as primary", Provisioning),
    ("download preload extensions", Provisioning),
    ("handle migrations", Provisioning),
    ("drain node", Provisioning),
    ("fill node", Provisioning),
    ("connect to compute", Query),
    ("connect once", Query),
    ("do wake compute", Query),
    ("do get auth info", Query),
    ("get page", Query),
    ("get vectored", Query),
    ("wait lsn", Query),
    ("walredo", Query),
    // Temporal
    ("handle query", Provisioning),
    ("handle signal", Provisioning),
    ("handle update", Provisioning),
    ("validate update", Provisioning),
    // Steps of a statement: YugabyteDB, CockroachDB, pg_tracing
    ("parse", Query),
    ("rewrite", Query),
    ("plan", Query),
    ("planner", Query),
    ("optimizer", Query),
    ("execute", Query),
    ("flow", Query),
    ("abort", Query),
    ("session recording", Query),
    ("table reader", Query),
    ("colbatchscan", Query),
    ("consuming rows", Query),
];

/// In this order; the first class with a matching pattern is it. Health checks come behind the classes that must not be taken
/// for one, as health checks are what gets dropped.
pub(super) const PATTERNS: &[(OperationClass, &[&str])] = &[
    (
        Failover,
        &[
            "failover*|switchover*|failback*",
            "fail over*|back",
            "switch over|overs",
            "emergency|planned reparent*",
            "tablet externally reparented",
            "recover dead master|primary|intermediate",
            "graceful master|primary? takeover",
            "take over",
            "takeover",
            "appoint|elect leader|primary|master",
            "leader election",
            "promote replica|standby|secondary|compute",
            "demote old? primary|master|leader",
            "fence old|former? primary|master|leader",
            "step down",
            "resign leadership",
            "pg ctl? promote",
            "pg rewind*",
            "rejoin old|former? primary|master|node|replica|standby?",
            "^consensus",
        ],
    ),
    (
        Restore,
        &[
            "restore*",
            "pitr",
            "point in time recovery",
            "clone from",
            "clone instance|cluster|database|branch",
            "fast import",
            "rebuild from backup",
        ],
    ),
    (
        Backup,
        &[
            "backup*|basebackup*",
            "back up|ups",
            "snapshot|snapshots",
            "wal archive|push|g",
            "archive wal|push|get",
            "pgbackrest|xtrabackup|mysqldump|mongodump|mariabackup|pbm|barman",
            "pg back rest",
            "pg dump|dumpall",
        ],
    ),
    (
        Provisioning,
        &[
            "create|delete|drop|update|modify|resize|scale|upgrade|patch|provision|deprovision|start|stop|restart|reboot|\
             suspend|resume|pause|terminate|migrate|rename db|database|compute|service? \
             instance*|cluster*|database|compute|tenant*|branch|endpoint|replica",
            "instance|cluster|database|compute|tenant|branch|replica \
             create*|delete*|drop|update*|modify|resize*|scale*|upgrade*|patch|start|stop|restart|reboot|suspend|resume|\
             terminate",
            "provision*|deprovision*",
            "reconcile*|reconciling|reconfigure|reconfiguring",
            "workflow*",
            "vertical|horizontal scaling",
            "volume expansion",
            "start compute",
            "allocate resources",
            "schedule placement",
            "wait for pod",
            "create pvc|stateful|statefulset",
        ],
    ),
    (
        HealthCheck,
        &[
            "healthz|livez|readyz|healthcheck*|heartbeat*|readiness|liveness",
            "health check*|checks|probe|ping",
            "health z",
            "check instance|node|replica|primary|database|cluster|db|postgres|service? health",
            "grpc health v1",
            "^health$",
            "heart beat*",
            "ping|pings",
            "probe|probes",
            "pg isready",
            "pg is ready",
            "is alive|ready$",
        ],
    ),
    (
        Query,
        &[
            "^query",
            "query$",
            "^gateway|db|database|sql query|parse|plan|execute|transmit|txn",
            "select|insert|update|delete|merge|utility query",
            "executor run|finish|execute",
            "process utility",
            "transaction block|commit",
            "^index|seq|bitmap only|heap? scan",
            "postgre sql",
            "postgresql|mysql query",
            "my sql query",
            "query executor|engine|execution",
            "vt gate",
            "tablet server execute",
            "tx? pool get|begin|commit|acquire|connect",
            "connection pool",
            "proxy route|routing",
            "result transmission",
            "shard execute",
            "db conn exec",
            "com query|stmt",
            "^ext parse|bind|execute|sync|describe|flush",
            "pg client service",
            "dist sender",
            "txn coordinator",
        ],
    ),
    (
        AgentCommand,
        &[
            "agent*",
            "execute|exec|run command|hook|activity",
            "start activity",
            "^exec",
            "apply|reload|push config",
            "rotate cert*|credential*|password*|secret*|key*",
            "^configure",
            "pg reload conf",
            "vacuum|reindex",
        ],
    ),
    (
        Api,
        &[
            "^http get|post|put|patch|delete|request",
            "http|connect|api request",
            "vtctld server",
            "control api|plane",
            "api",
            "get|list|describe|watch instance*|cluster*|database*|tenant*|operation*",
        ],
    ),
];

/// What the last part of a route stands for in a request that changes something. The patterns above come first, so that
/// `backups` and `failover` need no row.
pub(super) const CHANGED_ROUTES: &[(OperationClass, &[&str])] = &[
    (Failover, &["^promote$"]),
    (
        Provisioning,
        &[
            "^instance|instances|cluster|clusters|database|databases|tenant|tenants|replica|replicas|branch|branches$",
            "^resize|scale|upgrade|restart|reboot|start|stop|suspend|resume|clone|migrate$",
        ],
    ),
];

/// What a route without a parameter is when it ends so: `/health/live`, `/-/ready`. Only without one: whoever asks for
/// `/v1/instances/{id}/health` is a user of the API.
pub(super) const PROBED_ROUTES: &[(OperationClass, &[&str])] =
    &[(HealthCheck, &["^health|healthy|live|alive|ready|up|heartbeat|ping$"])];

/// The last resort, by the service's name. There is no row for health checks: what is dropped must be named as such.
pub(super) const SERVICES: &[(OperationClass, &[&str])] = &[
    (Backup, &["backup*"]),
    (Restore, &["restore*"]),
    (Provisioning, &["provisioner|provisioning", "workflow*"]),
    (
        Query,
        &[
            "sql|pg|mysql|db proxy",
            "pooler|pgbouncer|odyssey|pgcat|proxysql|vtgate|vttablet|ysql",
            "postgres|postgresql|mysql|mongodb|mongod|mariadb$",
            "^postgre sql",
            "^my sql",
        ],
    ),
    (AgentCommand, &["agent$"]),
    (Api, &["api", "api gateway"]),
];
