//! The fleet that the demo pretends to run: regions, control-plane services, tenants and database instances.
//!
//! Owns who sends spans (an [`Emitter`] is one process with its resource) and what they can be about. Never makes a span.

use std::collections::BTreeMap;
use std::sync::Arc;

use proto::otlp::resource::v1::Resource;

use super::dice::Dice;
use super::span::{Fact, key_value};

/// Instances of the demo's fleet: enough for charts by region and engine, few enough that each has a history.
pub const INSTANCE_COUNT: usize = 60;

/// Tenants per 10 instances, and how many there are at least.
const TENANTS_PER_10_INSTANCES: usize = 3;
const TENANTS_MIN: usize = 20;
/// How much more the first tenant owns than the n-th: `n^-1.1`, the usual skew of customers.
const TENANT_ZIPF_EXPONENT: f64 = 1.1;
/// Hosts with a badly set clock are rare; in this fleet the standby of one instance in twenty is ahead by this much.
const SKEWED_CLOCK_NANOS: i64 = 35_000_000;
const SKEWED_CLOCK_EVERY: usize = 20;
/// Which instances of a crowded fleet are in its crowded zone: one in so many.
const CROWDED_EVERY: usize = 4;
/// Kubernetes clusters that run databases, per region.
const CLUSTERS_PER_REGION: usize = 2;

/// The region whose provisioner and operator run the newer version, in which waiting for pods takes longer.
pub const CANARY_REGION: usize = 2;

const REGIONS: [(&str, [&str; 3]); 4] = [
    ("eu-central-1", ["eu-central-1a", "eu-central-1b", "eu-central-1c"]),
    ("eu-west-1", ["eu-west-1a", "eu-west-1b", "eu-west-1c"]),
    ("us-east-1", ["us-east-1a", "us-east-1b", "us-east-1c"]),
    ("ap-southeast-2", ["ap-southeast-2a", "ap-southeast-2b", "ap-southeast-2c"]),
];

/// Services that run once per region: name, instrumentation scope, version, version in the canary region.
const REGIONAL_SERVICES: [(&str, &str, &str, &str); 12] = [
    ("api-gateway", "dbaas/gateway", "4.7.2", "4.7.2"),
    ("control-api", "dbaas/control-api", "3.18.0", "3.18.0"),
    ("workflow-engine", "dbaas/workflow", "2.9.4", "2.9.4"),
    ("scheduler", "dbaas/scheduler", "1.12.1", "1.12.1"),
    ("provisioner", "dbaas/provisioner", "2.14.0", "2.15.0"),
    ("k8s-operator", "dbaas-operator", "0.31.2", "0.32.0"),
    ("backup-runner", "dbaas/backup", "1.6.3", "1.6.3"),
    ("failover-controller", "dbaas/failover", "1.22.0", "1.22.0"),
    ("dns-controller", "dbaas/dns", "0.9.8", "0.9.8"),
    ("health-monitor", "dbaas/health", "2.1.0", "2.1.0"),
    ("sql-proxy", "dbaas/sql-proxy", "5.3.1", "5.3.1"),
    ("pooler", "dbaas/pooler", "1.4.0", "1.4.0"),
];

const ENGINES: [(Engine, f64); 3] = [(Engine::Postgresql, 0.70), (Engine::Mysql, 0.22), (Engine::Mongodb, 0.08)];
const PLANS: [(&str, f64); 6] =
    [("dev-1", 0.30), ("std-2", 0.28), ("std-4", 0.18), ("pro-8", 0.12), ("pro-16", 0.08), ("ent-32", 0.04)];
const REPLICA_COUNTS: [(usize, f64); 3] = [(1, 0.30), (2, 0.60), (3, 0.10)];

/// What kind of database an instance runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// PostgreSQL.
    Postgresql,
    /// MySQL.
    Mysql,
    /// MongoDB.
    Mongodb,
}

impl Engine {
    /// The value of `db.system.name`, which is also the `service.name` of the database's own spans
    /// (`postgres` by custom for PostgreSQL).
    #[must_use]
    pub const fn system_name(self) -> &'static str {
        match self {
            Self::Postgresql => "postgresql",
            Self::Mysql => "mysql",
            Self::Mongodb => "mongodb",
        }
    }

    const fn service(self) -> &'static str {
        match self {
            Self::Postgresql => "postgres",
            Self::Mysql => "mysql",
            Self::Mongodb => "mongodb",
        }
    }

    const fn id_prefix(self) -> &'static str {
        match self {
            Self::Postgresql => "pg",
            Self::Mysql => "my",
            Self::Mongodb => "mg",
        }
    }

    const fn port(self) -> i64 {
        match self {
            Self::Postgresql => 5432,
            Self::Mysql => 3306,
            Self::Mongodb => 27017,
        }
    }

    const fn versions(self) -> &'static [&'static str] {
        match self {
            Self::Postgresql => &["14.19", "15.14", "16.10", "17.6", "18.1"],
            Self::Mysql => &["8.0.43", "8.4.6", "9.4.0", "9.7.0"],
            Self::Mongodb => &["6.0.25", "7.0.23", "8.0.13"],
        }
    }
}

/// One process that sends spans: what its SDK puts into the resource and the scope.
#[derive(Debug, PartialEq)]
pub struct Emitter {
    /// Position in the fleet, unique.
    pub id: usize,
    /// `service.name`.
    pub service: &'static str,
    /// Instrumentation scope that the service's own code uses.
    pub scope: &'static str,
    /// `service.version`, also the scope's version.
    pub version: String,
    /// All resource attributes.
    pub resource: Resource,
    /// How far this host's clock is ahead.
    pub clock_skew_nanos: i64,
}

/// A region with its control plane.
#[derive(Debug)]
pub struct Region {
    /// `cloud.region`.
    pub name: &'static str,
    services: BTreeMap<&'static str, Arc<Emitter>>,
}

/// One host of an instance: the database and the agent beside it.
#[derive(Debug)]
pub struct Node {
    /// `k8s.pod.name`.
    pub pod: String,
    /// `cloud.availability_zone`.
    pub zone: &'static str,
    /// The agent.
    pub agent: Arc<Emitter>,
    /// The database process.
    pub database: Arc<Emitter>,
}

/// A customer's database.
#[derive(Debug)]
pub struct Instance {
    /// `dbaas.instance.id`.
    pub id: String,
    /// What it runs.
    pub engine: Engine,
    /// The engine's version.
    pub engine_version: &'static str,
    /// Size class.
    pub plan: &'static str,
    /// Owner.
    pub tenant: String,
    /// Position in [`Fleet::regions`].
    pub region: usize,
    /// Data in bytes.
    pub size_bytes: u64,
    /// Primary first; never empty.
    pub nodes: Vec<Node>,
}

impl Instance {
    /// The node that takes writes (before a failover moves that).
    #[must_use]
    pub fn primary(&self) -> &Node {
        &self.nodes[0]
    }

    /// The node that a failover promotes: the first standby, or the primary itself when it has none.
    #[must_use]
    pub fn standby(&self) -> &Node {
        self.nodes.get(1).unwrap_or(&self.nodes[0])
    }

    /// `server.address` of its endpoint.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("{}.db.example.net", self.id)
    }

    /// `server.port`.
    #[must_use]
    pub fn port(&self) -> i64 {
        self.engine.port()
    }
}

/// What a fleet is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FleetSettings {
    /// Same seed, same fleet.
    pub seed: u64,
    /// Database instances; at least one is made.
    pub instance_count: usize,
    /// Whether some standbys' clocks are ahead and [`CANARY_REGION`] runs newer versions.
    pub has_quirks: bool,
    /// Whether every fourth instance has a standby and its primary in the first zone of the first region, so that losing this
    /// zone is a disaster.
    pub is_crowded: bool,
}

/// Everything that exists.
#[derive(Debug)]
pub struct Fleet {
    /// All regions.
    pub regions: Vec<Region>,
    /// All instances; the first one is PostgreSQL with a standby in the first region, and the reference traces are about it.
    pub instances: Vec<Instance>,
    emitter_count: usize,
}

impl Fleet {
    /// The fleet of a seed; the same for every start time.
    #[must_use]
    pub fn new(seed: u64, instance_count: usize) -> Self {
        Self::with(FleetSettings { seed, instance_count, has_quirks: true, is_crowded: false })
    }

    /// The fleet of these settings.
    #[must_use]
    pub fn with(settings: FleetSettings) -> Self {
        let mut dice = Dice::new(settings.seed, "fleet");
        let mut fleet = Self { regions: Vec::new(), instances: Vec::new(), emitter_count: 0 };
        for region in 0..REGIONS.len() {
            let region = fleet.new_region(region, settings, &mut dice);
            fleet.regions.push(region);
        }
        let tenant_count = (settings.instance_count * TENANTS_PER_10_INSTANCES / 10).max(TENANTS_MIN);
        let tenants = tenants_by_weight(tenant_count, &mut dice);
        for position in 0..settings.instance_count.max(1) {
            let instance = fleet.new_instance(position, settings, &tenants, &mut dice);
            fleet.instances.push(instance);
        }
        fleet
    }

    /// The zones of a region.
    #[must_use]
    pub fn zones(region: usize) -> [&'static str; 3] {
        REGIONS[region].1
    }

    /// The process of `service` in `region`. Those that run on an instance's nodes are in [`Instance::nodes`].
    ///
    /// # Panics
    /// When the demo's code names a service that no region has.
    #[must_use]
    pub fn service(&self, region: usize, service: &str) -> &Arc<Emitter> {
        &self.regions[region].services[service]
    }

    /// An instance by chance.
    pub fn any_instance(&self, dice: &mut Dice) -> &Instance {
        dice.pick(&self.instances)
    }

    /// An instance by chance that runs `engine`; the first instance is PostgreSQL, so there is always one of those.
    pub fn any_instance_of(&self, engine: Engine, dice: &mut Dice) -> &Instance {
        let matching: Vec<&Instance> = self.instances.iter().filter(|instance| instance.engine == engine).collect();
        if matching.is_empty() { &self.instances[0] } else { dice.pick::<&Instance>(&matching) }
    }

    /// An instance by chance that has a standby; the first instance has one.
    pub fn any_replicated_instance(&self, dice: &mut Dice) -> &Instance {
        let replicated: Vec<&Instance> = self.instances.iter().filter(|instance| instance.nodes.len() > 1).collect();
        dice.pick::<&Instance>(&replicated)
    }

    /// The region of a process of the control plane; nothing for those beside the databases.
    #[must_use]
    pub fn control_region(&self, emitter: &Emitter) -> Option<usize> {
        let region = emitter.id / REGIONAL_SERVICES.len();
        (region < self.regions.len()).then_some(region)
    }

    /// How many processes send spans.
    #[must_use]
    pub fn emitter_count(&self) -> usize {
        self.emitter_count
    }

    fn new_region(&mut self, region: usize, settings: FleetSettings, dice: &mut Dice) -> Region {
        let (name, zones) = REGIONS[region];
        let mut services = BTreeMap::new();
        for (service, scope, version, canary_version) in REGIONAL_SERVICES {
            let is_canary = settings.has_quirks && region == CANARY_REGION;
            let version = if is_canary { canary_version } else { version };
            let replica_set = dice.hex(9);
            let place = Place {
                region: name,
                zone: dice.pick::<&'static str>(&zones),
                cluster: format!("{name}-ctl"),
                namespace: "dbaas-system".to_owned(),
                pod: format!("{service}-{replica_set}-{}", dice.hex(5)),
                host: format!("ctl-{}.{name}.internal", dice.hex(4)),
            };
            services.insert(service, self.new_emitter(service, scope, version, &place, 0));
        }
        Region { name, services }
    }

    fn new_instance(
        &mut self,
        position: usize,
        settings: FleetSettings,
        tenants: &[(String, f64)],
        dice: &mut Dice,
    ) -> Instance {
        let is_reference = position == 0;
        let is_crowded = settings.is_crowded && position % CROWDED_EVERY == 1;
        let engine = if is_reference { Engine::Postgresql } else { *dice.pick_weighted(&ENGINES) };
        let node_count = if is_reference || is_crowded { 2 } else { *dice.pick_weighted(&REPLICA_COUNTS) };
        let region = if is_reference || is_crowded { 0 } else { dice.below(REGIONS.len() as u64) as usize };
        let engine_version = if is_reference { "17.6" } else { *dice.pick(engine.versions()) };
        let id = format!("{}-{}", engine.id_prefix(), dice.hex(8));
        let (region_name, zones) = REGIONS[region];
        let first_zone = if is_crowded { 0 } else { dice.below(zones.len() as u64) as usize };
        let mut nodes = Vec::with_capacity(node_count);
        for ordinal in 0..node_count {
            let place = Place {
                region: region_name,
                zone: zones[(first_zone + ordinal) % zones.len()],
                cluster: format!("{region_name}-data-{}", position % CLUSTERS_PER_REGION + 1),
                namespace: format!("db-{id}"),
                pod: format!("{id}-{ordinal}"),
                host: format!("node-{}.{region_name}.internal", dice.hex(5)),
            };
            let skew = if settings.has_quirks && ordinal == 1 && position % SKEWED_CLOCK_EVERY == SKEWED_CLOCK_EVERY - 1
            {
                SKEWED_CLOCK_NANOS
            } else {
                0
            };
            nodes.push(Node {
                agent: self.new_emitter("agent", "dbaas/agent", "1.30.0", &place, skew),
                database: self.new_emitter(engine.service(), "dbaas/database", engine_version, &place, skew),
                zone: place.zone,
                pod: place.pod,
            });
        }
        Instance {
            engine,
            engine_version,
            plan: dice.pick_weighted::<&str>(&PLANS),
            tenant: dice.pick_weighted(tenants).clone(),
            region,
            // Lognormal around 40 GiB, at least 1 GiB.
            size_bytes: ((40.0 * (1.2 * dice.normal()).exp()).clamp(1.0, 2048.0) * f64::from(1 << 30)) as u64,
            nodes,
            id,
        }
    }

    fn new_emitter(
        &mut self,
        service: &'static str,
        scope: &'static str,
        version: &str,
        place: &Place<'_>,
        clock_skew_nanos: i64,
    ) -> Arc<Emitter> {
        let id = self.emitter_count;
        self.emitter_count += 1;
        let attributes = [
            ("service.name", service),
            ("service.namespace", "dbaas"),
            ("service.version", version),
            ("service.instance.id", &format!("{service}/{}", place.pod)),
            ("deployment.environment.name", "production"),
            ("cloud.provider", "aws"),
            ("cloud.region", place.region),
            ("cloud.availability_zone", place.zone),
            ("k8s.cluster.name", &place.cluster),
            ("k8s.namespace.name", &place.namespace),
            ("k8s.pod.name", &place.pod),
            ("host.name", &place.host),
        ];
        let attributes = attributes.into_iter().map(|(key, value)| key_value(key, Fact::from(value))).collect();
        Arc::new(Emitter {
            id,
            service,
            scope,
            version: version.to_owned(),
            resource: Resource { attributes, ..Resource::default() },
            clock_skew_nanos,
        })
    }
}

/// Where a process runs.
struct Place<'a> {
    region: &'a str,
    zone: &'static str,
    cluster: String,
    namespace: String,
    pod: String,
    host: String,
}

fn tenants_by_weight(count: usize, dice: &mut Dice) -> Vec<(String, f64)> {
    (1..=count).map(|rank| (format!("tenant-{}", dice.hex(6)), (rank as f64).powf(-TENANT_ZIPF_EXPONENT))).collect()
}

#[cfg(test)]
mod tests;
