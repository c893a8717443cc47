//! `spanhold demo`: the traces of a database platform, sent over real OTLP: a small one, past and live, or with `--profile` months
//! of a large one ([`world`]), beside which is written what really happened.
//!
//! Generation is pure and repeatable ([`traffic`] and [`world`], fed by a seed and by virtual time); only [`send`] and
//! [`history`] do I/O, and only [`run`] looks at the clock. The demo never talks to Spanhold in any other way than a customer's services do.
//!
//! ```text
//! fleet (who exists) ─▶ operations (what they do) ─▶ traffic (when) ─▶ send (OTLP/gRPC, one client per service)
//!                       reference (two traces whose every figure is known) ─▲
//! fleet ─▶ world (what, when, what goes wrong, and the truth) ─▶ history (OTLP/gRPC and OTLP/HTTP, as fast as it is taken)
//! ```

pub mod dice;
pub mod fleet;
pub mod history;
pub mod operations;
pub mod options;
pub mod reference;
pub mod send;
pub mod span;
pub mod traffic;
pub mod world;

use std::future::Future;
use std::io::Write;
use std::time::{Duration, SystemTime};

use proto::UnixNanos;

pub use options::DemoOptions;

use history::HistoryError;
use options::RangeError;
use reference::{CREATE_INSTANCE_NAME, ReferenceIds, SELECT_USER_NAME};
use send::{SendError, Senders};
use traffic::{Traffic, TrafficSettings};

/// How far virtual time moves at once through the past: small enough that a step's spans need little memory.
const HISTORY_STEP: Duration = Duration::from_secs(10);
/// How often live spans are sent: soon enough for a page that shows new traces.
const LIVE_STEP: Duration = Duration::from_secs(1);

/// The demo could not go on.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// Spans could not be delivered.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The history has no time, or too much.
    #[error(transparent)]
    Range(#[from] RangeError),
    /// The history of a large platform could not be sent.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// Standard output is gone.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] std::io::Error),
}

/// Sends the past, then lives on until `shutdown`; with `--once` or `--profile`, ends after the past.
///
/// # Errors
/// When the server refuses spans for good or does not answer for ten minutes, or the truth cannot be written.
pub async fn run(options: DemoOptions, shutdown: impl Future<Output = ()>) -> Result<(), DemoError> {
    if options.print_reference {
        print_reference(options.seed, &mut std::io::stdout())?;
        return Ok(());
    }
    if let Some(profile) = options.profile {
        let settings = options.world.settings(profile, options.seed, now())?;
        return Ok(history::send(settings, &options, shutdown).await?);
    }
    let mut senders = Senders::new(&options.endpoint)?;
    let ended = tokio::select! {
        result = drive(&options, &mut senders) => result,
        () = shutdown => Ok(()),
    };
    let delivered = senders.delivered();
    tracing::info!(spans = delivered.spans, rejected = delivered.rejected, requests = delivered.requests, "demo ended");
    Ok(ended?)
}

async fn drive(options: &DemoOptions, senders: &mut Senders) -> Result<(), SendError> {
    senders.wait_for_server().await?;
    let present = now();
    let start = present.saturating_add(-nanos(options.history));
    let settings =
        TrafficSettings { seed: options.seed, start, reference_end: present, rate: options.rate, has_oddities: true };
    let mut traffic = Traffic::new(&settings);
    tracing::info!(endpoint = options.endpoint, history_secs = options.history.as_secs(), "sending the past");
    let mut reached = start;
    while reached < present {
        reached = reached.saturating_add(nanos(HISTORY_STEP)).min(present);
        senders.send(traffic.advance_to(reached)).await?;
    }
    senders.flush().await?;
    let ids = ReferenceIds::of_seed(options.seed);
    tracing::info!(
        spans = senders.delivered().spans,
        create_instance = %ids.create_instance,
        select_user = %ids.select_user,
        "the past is sent"
    );
    if options.once {
        return Ok(());
    }
    tracing::info!(traces_per_sec = options.rate, "sending live");
    let mut ticks = tokio::time::interval(LIVE_STEP);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        senders.send(traffic.advance_to(now())).await?;
        senders.flush().await?;
    }
}

/// Writes one line per reference trace: its id, then its name.
fn print_reference(seed: u64, output: &mut impl Write) -> std::io::Result<()> {
    let ids = ReferenceIds::of_seed(seed);
    writeln!(output, "{} {CREATE_INSTANCE_NAME}", ids.create_instance)?;
    writeln!(output, "{} {SELECT_USER_NAME}", ids.select_user)
}

fn now() -> UnixNanos {
    UnixNanos::from_system(SystemTime::now())
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_ids_are_printed_with_their_names() {
        let mut output = Vec::new();
        print_reference(42, &mut output).expect("written");
        let ids = ReferenceIds::of_seed(42);
        let expected =
            format!("{} CreateInstance\n{} SELECT * FROM users WHERE id = 42\n", ids.create_instance, ids.select_user);
        assert_eq!(String::from_utf8(output).expect("text"), expected);
    }
}
