//! Requests to the public HTTP API that change nothing in the fleet.

use std::time::Duration;

use super::Scene;
use crate::demo::span::{Draft, EmittedSpan};

/// Requests that end with a 5xx.
const SERVER_ERROR_SHARE: f64 = 0.004;
/// Requests that end with a 4xx: the caller's mistake, so the span's status stays unset.
const CLIENT_ERROR_SHARE: f64 = 0.012;

/// Method, route, median in milliseconds, how often.
const ROUTES: [((&str, &str, f64), f64); 6] = [
    (("GET", "/v1/instances/{id}", 18.0), 40.0),
    (("GET", "/v1/instances", 45.0), 20.0),
    (("GET", "/v1/instances/{id}/metrics", 60.0), 14.0),
    (("GET", "/v1/operations/{id}", 14.0), 12.0),
    (("PATCH", "/v1/instances/{id}/tags", 35.0), 8.0),
    (("POST", "/v1/instances/{id}/users", 80.0), 6.0),
];

const SERVER_ERRORS: [(&str, &str); 3] = [
    ("MetadataStoreTimeout", "metadata store did not answer within 5s"),
    ("UpstreamUnavailable", "control-api: connection refused"),
    ("LockTimeout", "instance is locked by another operation"),
];

/// A request: gateway, control API, its metadata store.
pub fn request(scene: &mut Scene<'_>) -> Vec<EmittedSpan> {
    let fleet = scene.fleet;
    let instance = fleet.any_instance(scene.dice);
    let gateway = fleet.service(instance.region, "api-gateway");
    let control = fleet.service(instance.region, "control-api");
    let (method, route, median_ms) = *scene.dice.pick_weighted(&ROUTES);
    let name = format!("{method} {route}");
    let request_id = scene.dice.hex(16);
    let mut trace = scene.trace().about(&instance.id);
    let mut at = Duration::ZERO;

    let root = Draft::new(gateway, name.clone()).server();
    let root = trace.add(
        root.with("http.request.method", method)
            .with("http.route", route)
            .with("url.path", route.replace("{id}", &instance.id))
            .with("dbaas.request.id", &request_id)
            .with("dbaas.tenant.id", &instance.tenant),
    );
    let authenticate = Draft::new(gateway, "authenticate").under(root).lasting(scene.around_ms(1.2, 0.5));
    trace.then(&mut at, authenticate);
    let forward =
        trace.add(Draft::new(gateway, method).client().under(root).at(at).with("http.request.method", method));
    at += scene.around_ms(0.5, 0.4);
    let handle = trace.add(Draft::new(control, name).server().under(forward).at(at).with("http.route", route));
    let load =
        Draft::new(control, "SELECT instances").client().under(handle).lasting(scene.around_ms(median_ms * 0.4, 0.7));
    let load = load.with("db.system.name", "postgresql").with("db.collection.name", "instances");
    let load = trace.then(&mut at, load);

    let status = if scene.dice.chance(SERVER_ERROR_SHARE) {
        let (kind, message) = *scene.dice.pick(&SERVER_ERRORS);
        trace.change(load, |draft| draft.failed(kind, message));
        trace.end(handle, at);
        trace.change(handle, |draft| draft.failed(kind, message));
        500
    } else if scene.dice.chance(CLIENT_ERROR_SHARE) {
        404
    } else {
        let render = Draft::new(control, "render").under(handle).lasting(scene.around_ms(median_ms * 0.3, 0.6));
        trace.then(&mut at, render);
        200
    };
    trace.end(handle, at);
    at += scene.around_ms(0.5, 0.4);
    trace.end(forward, at);
    trace.end(root, at + Duration::from_micros(200));
    for span in [root, forward, handle] {
        trace.change(span, |draft| draft.with("http.response.status_code", i64::from(status)));
    }
    if status == 500 {
        trace.change(root, |draft| draft.status_error("internal error"));
    }
    trace.finish()
}
