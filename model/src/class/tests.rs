use super::OperationClass::{AgentCommand, Api, Backup, Failover, HealthCheck, Other, Provisioning, Query, Restore};
use super::words::{NAME_BYTES_MAX, Words};
use super::*;

/// Names that tell the class whatever the service is.
const NAMES: &[(OperationClass, &[&str])] = &[
    (
        Failover,
        &[
            "Failover",
            "Switchover",
            "failover",
            "FailOver",
            "fail_over",
            "run.failover",
            "instance.failover",
            "dbaas.control.v1.ControlPlane/FailoverInstance",
            "VtctldServer.EmergencyReparentShard",
            "VtctldServer.PlannedReparentShard",
            "TabletExternallyReparented",
            "recover dead primary",
            "graceful master takeover",
            "AppointLeader",
            "recovery/attempt",
            "consensus/recruit",
            "consensus/pg-promote",
            "pg_ctl promote",
            "Promote standby",
            "Fence old primary",
            "Rejoin old primary",
            "pg_rewind old primary",
            "RunWorkflow:FailoverWorkflow",
            "POST /v1/instances/{id}/failover",
            "POST /v1/instances/{id}:failover",
            "POST /v1/instances/{id}/switchover",
            "POST /v1/replicas/{id}/promote",
            "post failover health check",
        ],
    ),
    (
        Provisioning,
        &[
            "CreateInstance",
            "create_instance",
            "createInstance",
            "instance.create",
            "create-instance",
            "Create Instance",
            "DeleteInstance",
            "resize_cluster",
            "UpgradeDBInstance",
            "cluster/scale",
            "POST /v1/instances",
            "DELETE /v1/instances/{id}",
            "DELETE /v1/instances/pg-7f2",
            "PATCH /v1/instances/{id}",
            "POST https://api.example.net/v1/instances/{id}/resize",
            "POST /v1/instances/{id}:restart",
            "dbaas.control.v1.ControlPlane/CreateInstance",
            "start_compute",
            "get_basebackup",
            "sync_safekeepers",
            "DatabaseCluster.Reconcile",
            "MultigresCluster.ReconcileCells",
            "Shard.ReconcileDrainState",
            "reconciler",
            "workflow",
            "workflow_phase",
            "create_workflow_pod",
            "reconcile_workflow",
            "RunWorkflow:ProvisionTenant",
            "StartWorkflow:Resize",
            "Allocate resources",
            "Create StatefulSet",
            "Wait for Pod ready",
            "provision",
        ],
    ),
    (
        Backup,
        &[
            "Backup",
            "backup/pgbackrest",
            "backup",
            "agent.ExecuteBackup",
            "dbaas.agent.v1.Agent/TakeBackup",
            "pg_basebackup",
            "wal_push",
            "wal-push",
            "WALPush",
            "wal-g",
            "archive-push",
            "expire-backups",
            "verify-backups",
            "verify backup",
            "VtctldServer.BackupShard",
            "pgBackRest",
            "CreateSnapshot",
            "POST /v1/instances/{id}/backups",
            "POST /v1/instances/{id}/snapshots",
            "BackupHealthCheck",
        ],
    ),
    (
        Restore,
        &[
            "RestoreInstance",
            "restore/pgbackrest",
            "restore/start-postgres",
            "VtctldServer.RestoreFromBackup",
            "restore",
            "PITR",
            "point-in-time recovery",
            "POST /v1/instances/{id}/restore",
            "Verify restored data",
            "fast_import",
        ],
    ),
    (
        Api,
        &[
            "GET",
            "POST",
            "DELETE",
            "HTTP GET",
            "GET /v1/instances/{id}",
            "GET /v1/instances",
            "GET /v1/instances/{id}/metrics",
            "GET /v1/operations/{id}",
            "PATCH /v1/instances/{id}/tags",
            "POST /v1/instances/{id}/users",
            "GET /v1/instances/{id}/backups",
            "GET /v1/failovers",
            "GET /v1/instances/{id}/health",
            "GET pod",
            "PUT object",
            "GET /api/v1/namespaces/{:namespace}/pods/{:name}",
            "POST /apis/apps/v1/namespaces/{:namespace}/statefulsets",
            "dbaas.control.v1.ControlPlane/GetInstance",
            "ListInstances",
            "connect_request",
            "API validation",
        ],
    ),
    (
        AgentCommand,
        &[
            "AgentCommand ReloadConfig",
            "AgentCommand RotateCredentials",
            "AgentCommand Vacuum",
            "AgentCommand ResizeVolume",
            "dbaas.agent.v1.Agent/RunCommand",
            "exec pg_ctl reload",
            "exec psql -f rotate.sql",
            "execute_command",
            "RunActivity:Notify",
            "Apply config",
            "rotate-certificates",
            "VtctldServer.ExecuteHook",
            "pg_reload_conf",
        ],
    ),
    (
        HealthCheck,
        &[
            "HealthCheck",
            "health_check",
            "healthcheck",
            "health-checks",
            "agent.Health/Check",
            "grpc.health.v1.Health/Check",
            "/grpc.health.v1.Health/Watch",
            "POST /grpc.health.v1.Health/Check",
            "GET /healthz",
            "GET /readyz",
            "GET /livez",
            "HEAD /health",
            "GET /api/health",
            "GET /actuator/health/liveness",
            "GET /-/ready",
            "GET /ping",
            "HTTP GET /health",
            "pg_isready",
            "PgIsReady",
            "ping",
            "COM_PING",
            "VtctldServer.PingTablet",
            "VtctldServer.RunHealthCheck",
            "heartbeat_ps",
            "heartbeat_sk",
            "liveness probe",
            "readiness",
            "check_instance_health",
        ],
    ),
    (
        Query,
        &[
            "SELECT * FROM users WHERE id = 42",
            "select * from users where id = $1",
            "SELECT users",
            "SELECT",
            "SELECT 1",
            "INSERT INTO events (user_id) VALUES ($1)",
            "insert into t values (1)",
            "UPDATE carts SET items = $2",
            "UPDATE instances",
            "DELETE FROM sessions WHERE expires_at < now()",
            "DELETE sessions",
            "COMMIT",
            "commit",
            "BEGIN",
            "CREATE TABLE backups (id int)",
            "create index on failovers (id)",
            "CREATE ROLE",
            "SELECT * FROM failovers",
            "/*traceparent='00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'*/ SELECT health_check()",
            "WITH x AS (SELECT 1) SELECT * FROM x",
            "SELECT postgresql",
            "gateway.query",
            "shard.execute",
            "db.query",
            "db.execute",
            "db.transmit",
            "pool.acquire",
            "Pool.Get",
            "proxy.route",
            "query",
            "ext.parse",
            "Select query",
            "ExecutorRun",
            "Planner",
            "IndexScan using users_pkey on users",
            "VTGate.Execute",
            "TabletServer.Execute",
            "QueryExecutor.execDBConn",
            "DBConn.Exec",
            "TxPool.Begin",
            "sql txn",
            "sql query",
            "dist sender send",
            "rpc yb.tserver.PgClientService.Perform",
            "Connection pool acquire",
            "PostgreSQL query execution",
            "Parse",
            "Result transmission",
            "GET_PAGE",
        ],
    ),
    (
        Other,
        &[
            "",
            "render",
            "authenticate",
            "recovery/cycle",
            "TopoServer.Lock",
            "syncPod",
            "select candidate",
            "Select candidate",
            "Update DNS endpoint",
            "Set read only",
            "Wait for LSN",
            "Create etcd3",
            "Wait for slot",
            "✓",
        ],
    ),
];

#[test]
fn names_land_in_their_class() {
    let classifier = Classifier::default();
    let mut wrong = Vec::new();
    for (class, names) in NAMES {
        for name in *names {
            let told = classifier.classify("some-service", name, None);
            if told != *class {
                wrong.push(format!("{name:?} is {told}, not {class}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_attribute_goes_before_the_name() {
    let classifier = Classifier::default();
    assert_eq!(classifier.classify("agent", "HealthCheck", Some("failover")), Failover);
    assert_eq!(classifier.classify("agent", "SELECT 1", Some("health_check")), HealthCheck);
    assert_eq!(classifier.classify("agent", "step", Some("create_instance")), Provisioning, "a word for the work");
    assert_eq!(classifier.classify("agent", "Backup", Some("no-such-thing")), Backup, "an unknown one is none");
}

#[test]
fn a_service_tells_the_class_of_a_name_that_does_not() {
    let classifier = Classifier::default();
    for (service, class) in [
        ("sql-proxy", Query),
        ("pgbouncer", Query),
        ("postgres", Query),
        ("PostgreSQL_Server", Query),
        ("backup-runner", Backup),
        ("provisioner", Provisioning),
        ("workflow-engine", Provisioning),
        ("agent", AgentCommand),
        ("api-gateway", Api),
        ("checkout", Other),
        ("health-monitor", Other),
        ("failover-controller", Other),
    ] {
        assert_eq!(classifier.classify(service, "step 7", None), class, "{service}");
    }
    assert_eq!(classifier.classify("agent", "Backup", None), Backup, "the name goes first");
}

#[test]
fn class_names_parse() {
    for class in OperationClass::ALL {
        assert_eq!(class.name().parse(), Ok(class));
    }
    assert_eq!("sql".parse(), Ok(Query));
    let error = "Failover ".parse::<OperationClass>().expect_err("not exactly a name");
    assert!(error.to_string().contains("`Failover ` is no operation class: write one of failover, provisioning,"));
}

#[test]
fn health_checks_alone_matter_least() {
    for class in OperationClass::ALL {
        assert_eq!(class.priority() == Priority::Low, class == HealthCheck, "{class}");
    }
    assert!(Failover.priority() > Backup.priority() && AgentCommand.priority() > HealthCheck.priority());
}

#[test]
fn sets_hold_what_was_put_in() {
    let set: ClassSet = [Query, Failover].into_iter().collect();
    assert_eq!(set.iter().collect::<Vec<_>>(), [Failover, Query]);
    assert!(set.contains(Query) && !set.contains(Other) && !ClassSet::EMPTY.contains(Failover));
    assert_eq!(set.union(ClassSet::EMPTY.with(Other)).iter().count(), 3);
}

#[test]
fn names_fall_into_words() {
    for (name, words) in [
        ("CreateDBInstance", "create db instance"),
        ("VTGate.Execute", "vt gate execute"),
        ("recovery/replay_completion_wait", "recovery replay completion wait"),
        ("grpc.health.v1.Health/Check", "grpc health v1 health check"),
        ("  ::a--B  ", "a b"),
        ("ÜberPrüfung", "über prüfung"),
        ("", ""),
    ] {
        assert_eq!(Words::of(name).text(), words);
    }
    let words = Words::of("create the instance");
    assert_eq!((words.len(), words.get(1), words.get(3)), (3, Some("the"), None));
}

#[test]
fn of_an_endless_name_the_beginning_counts() {
    let classifier = Classifier::default();
    let filler = "é ".repeat(NAME_BYTES_MAX);
    assert_eq!(classifier.classify("", &format!("backup {filler}"), None), Backup);
    assert_eq!(classifier.classify("", &format!("{filler} backup"), None), Other);
}
