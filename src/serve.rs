//! `spanhold serve`: the one place that constructs and connects everything, in start order, and stops it in the reverse.

use std::future::{Future, IntoFuture};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use prometheus_client::registry::Registry;
use store::{Clock, Components, Store, SystemClock};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::{assets, cold, http, stop};

/// Serves until `shutdown`, then stops within the configured deadline.
///
/// # Errors
/// When the store cannot be opened or an address cannot be bound. Prints `listening NAME=ADDRESS` for each port, then
/// `ready`, to standard output.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), Box<dyn std::error::Error>> {
    let otlp_grpc = bind("otlp-grpc-listen", config.otlp_grpc_listen).await?;
    let otlp_http = bind("otlp-http-listen", config.otlp_http_listen).await?;
    let http = bind("http-listen", config.http_listen).await?;

    let cold = cold::open(&config.cold)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let components = Components {
        objects: cold.objects,
        local_root: cold.local_root,
        clock: Arc::clone(&clock),
        probe: stop::probe()?,
    };
    let store = Arc::new(Store::open(config.store, components).await?);

    let mut registry = Registry::default();
    store.register_metrics(&mut registry);
    let ingest = ingest::Ingest::new(config.ingest, store.writer(), ingest::Metrics::register(&mut registry))?;
    let asked = query::Metrics::default();
    asked.register(&mut registry);
    let api = query::routes(store.reader(), store.deleter(), Arc::clone(&clock), query::Limits::default(), asked);
    let pages = http::routes(api, http::Vitals { store: Arc::clone(&store), registry });

    for (name, listener) in [("otlp_grpc", &otlp_grpc), ("otlp_http", &otlp_http), ("http", &http)] {
        say(&format!("listening {name}={}", listener.local_addr()?))?;
    }
    if !assets::has_page() {
        tracing::warn!("built without the web page; run `make ui` and build again");
    }
    let stop = CancellationToken::new();
    let stopped = || stop.clone().cancelled_owned();
    let servers = [
        spawn(ingest::serve(otlp_grpc, ingest::grpc_router(ingest.clone()), stopped())),
        spawn(ingest::serve(otlp_http, ingest::http_router(ingest), stopped())),
        spawn(axum::serve(http, pages).with_graceful_shutdown(stopped()).into_future()),
    ];
    say("ready")?;

    shutdown.await;
    let deadline = Instant::now() + config.shutdown_deadline;
    tracing::info!(deadline = ?config.shutdown_deadline, "stopping");
    stop.cancel();
    for server in servers {
        // A connection that does not end in time is cut by the end of the process.
        let _ = tokio::time::timeout_at(deadline.into(), server).await;
    }
    match Arc::try_unwrap(store) {
        Ok(store) => store.close(deadline).await,
        // A connection that outlived the deadline still holds it. What it was told is durable all the same.
        Err(_) => tracing::warn!("connections are still open at the deadline"),
    }
    Ok(())
}

/// Resolves when the process is asked to end: SIGTERM or Ctrl-C.
pub async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

async fn bind(name: &str, address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address)
        .await
        .map_err(|error| format!("{name}: cannot listen on {address}: {error}; is another server running there?"))
}

/// Runs a server until it was told to stop.
fn spawn<E: std::fmt::Display>(server: impl Future<Output = Result<(), E>> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "a listener failed");
        }
    })
}

/// One line to whoever started the process.
fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    out.flush()
}
