//! Reconcile loops of the Kubernetes operator: a trace of its own each, linked to the operation that caused it.

use std::time::Duration;

use super::Scene;
use crate::demo::fleet::Instance;
use crate::demo::span::{Draft, EmittedSpan, LinkTarget};

/// Reconciles that fail and are tried again later.
const ERROR_SHARE: f64 = 0.008;

/// A periodic reconcile of some instance.
pub fn periodic(scene: &mut Scene<'_>) -> Vec<EmittedSpan> {
    let instance = scene.fleet.any_instance(scene.dice);
    reconcile(scene, instance, Duration::ZERO, None)
}

/// A reconcile `offset` into the scene, linked to its cause if there is one.
pub fn reconcile(
    scene: &mut Scene<'_>,
    instance: &Instance,
    offset: Duration,
    cause: Option<LinkTarget>,
) -> Vec<EmittedSpan> {
    let operator = scene.fleet.service(instance.region, "k8s-operator");
    let mut trace = scene.trace_at(offset).about(&instance.id);
    let mut at = scene.around_ms(0.5, 0.4);
    let mut root = Draft::new(operator, "DatabaseCluster.Reconcile")
        .with("dbaas.instance.id", &instance.id)
        .with("k8s.namespace.name", format!("db-{}", instance.id))
        .with("k8s.resource.kind", "DatabaseCluster");
    if let Some(target) = cause {
        root = root.link(target);
    }
    let root = trace.add(root);
    for (name, median_ms) in
        [("ReconcileStatefulSet", 25.0), ("ReconcileServices", 18.0), ("ReconcileBackupPVCs", 12.0)]
    {
        let part = trace.add(Draft::new(operator, name).under(root).at(at));
        let get = Draft::new(operator, "GET /api/v1/namespaces/{:namespace}/pods/{:name}").client().under(part);
        let get = get.lasting(scene.around_ms(median_ms, 0.7)).with("http.request.method", "GET");
        trace.then(&mut at, get.with("http.response.status_code", 200_i64));
        at += scene.around_ms(1.0, 0.5);
        trace.end(part, at);
    }
    let update = Draft::new(operator, "UpdateStatus").client().under(root).lasting(scene.around_ms(20.0, 0.6));
    let update = trace.then(&mut at, update.with("http.request.method", "PATCH"));
    trace.end(root, at);
    if scene.dice.chance(ERROR_SHARE) {
        let message = "the object has been modified; please apply your changes to the latest version";
        trace.change(update, |draft| draft.with("http.response.status_code", 409_i64).failed("Conflict", message));
        trace.change(root, |draft| draft.status_error(message));
    }
    trace.finish()
}
