//! Reconcile loops of the Kubernetes operator: a trace of its own each, some linked to the operation that caused it.

use std::time::Duration;

use proto::UnixNanos;

use crate::demo::span::{Draft, EmittedSpan, LinkTarget};
use crate::demo::world::pathology::Pathology;
use crate::demo::world::stage::{Made, Stage};

/// Name of the root.
pub(in crate::demo::world) const RECONCILE: &str = "DatabaseCluster.Reconcile";
const ERROR_SHARE: f64 = 0.008;
/// An operation causes another reconcile with this probability, up to the limit.
const ANOTHER_SHARE: f64 = 0.65;
const CAUSED_MAX: usize = 40;

/// A periodic reconcile.
pub(in crate::demo::world) fn periodic(stage: &mut Stage<'_>) -> Made {
    let spans = reconcile(stage, Duration::ZERO, None);
    Made::frequent("provisioning", spans)
}

/// The reconciles that an operation causes, from `when` on, linked to it; none where nothing links.
pub(in crate::demo::world) fn caused(stage: &mut Stage<'_>, when: UnixNanos, cause: LinkTarget) -> Vec<EmittedSpan> {
    let mut spans = Vec::new();
    if !stage.has(Pathology::Links) {
        return spans;
    }
    let mut offset = Duration::from_nanos(u64::try_from(when.nanos_since(stage.start)).unwrap_or(0));
    for _ in 0..CAUSED_MAX {
        spans.extend(reconcile(stage, offset, Some(cause)));
        offset += stage.secs(2.0, 0.8);
        if !stage.dice.chance(ANOTHER_SHARE) {
            break;
        }
    }
    spans
}

fn reconcile(stage: &mut Stage<'_>, offset: Duration, cause: Option<LinkTarget>) -> Vec<EmittedSpan> {
    let instance = stage.instance();
    let operator = stage.fleet.service(instance.region, "k8s-operator");
    let total = stage.millis(120.0, 0.8);
    let share = stage.error_share(ERROR_SHARE);
    let fails = stage.dice.chance(share);
    let mut script = stage.script(offset);
    let mut root = Draft::new(operator, RECONCILE)
        .lasting(total)
        .with("k8s.namespace.name", format!("db-{}", instance.id))
        .with("k8s.resource.kind", "DatabaseCluster");
    if let Some(cause) = cause {
        root = root.link(cause);
    }
    let message = "the object has been modified; please apply your changes to the latest version";
    if fails {
        root = root.status_error(message);
    }
    let root = script.trace.add(root);
    let mut at = total.mul_f64(0.02);
    for (name, share) in [("ReconcileStatefulSet", 0.3), ("ReconcileServices", 0.22), ("ReconcileBackupPVCs", 0.15)] {
        let work = total.mul_f64(share);
        let part = script.trace.add(Draft::new(operator, name).under(root).at(at).lasting(work));
        let get = Draft::new(operator, "GET /api/v1/namespaces/{:namespace}/pods/{:name}").client().under(part);
        let get = get.at(at).lasting(work.mul_f64(0.8)).with("http.request.method", "GET");
        script.trace.add(get.with("http.response.status_code", 200_i64));
        at += work;
    }
    let mut update = Draft::new(operator, "UpdateStatus").client().under(root).at(at).lasting(total.mul_f64(0.25));
    if fails {
        update = update.with("http.response.status_code", 409_i64).failed("Conflict", message);
    }
    script.trace.add(update.with("http.request.method", "PATCH"));
    script.finish()
}
