//! `spanhold demo`: the traces of a small database platform, sent over real OTLP, past and live.
//!
//! Generation is pure and repeatable ([`traffic`], fed by a seed and by virtual time); only [`send`] does I/O, and only
//! [`run`] looks at the clock. The demo never talks to Spanhold in any other way than a customer's services do.
//!
//! ```text
//! fleet (who exists) ─▶ operations (what they do) ─▶ traffic (when) ─▶ send (OTLP/gRPC, one client per service)
//!                       reference (two traces whose every figure is known) ─▲
//! ```

pub mod dice;
pub mod fleet;
pub mod operations;
pub mod reference;
pub mod send;
pub mod span;
pub mod traffic;
pub mod world;

use std::future::Future;
use std::io::Write;
use std::time::{Duration, SystemTime};

use proto::UnixNanos;

use reference::{CREATE_INSTANCE_NAME, ReferenceIds, SELECT_USER_NAME};
use send::{SendError, Senders};
use traffic::{Traffic, TrafficSettings};

/// How far virtual time moves at once through the past: small enough that a step's spans need little memory.
const HISTORY_STEP: Duration = Duration::from_secs(10);
/// How often live spans are sent: soon enough for a page that shows new traces.
const LIVE_STEP: Duration = Duration::from_secs(1);
/// More traces per second than a generator on one core is good for.
const RATE_MAX: f64 = 2_000.0;
/// A longer past would be sent for minutes.
const HISTORY_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// Options of `spanhold demo`.
#[derive(Debug, Clone, clap::Args)]
pub struct DemoOptions {
    /// Address of the OTLP/gRPC server
    #[arg(long, default_value = "http://127.0.0.1:4317")]
    pub endpoint: String,
    /// Same seed, same fleet and same reference traces
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// Traces per second
    #[arg(long, default_value_t = 5.0, value_parser = parse_rate)]
    pub rate: f64,
    /// How much past to send at the start, such as 90s, 30m or 1h
    #[arg(long, default_value = "1h", value_parser = parse_history)]
    pub history: Duration,
    /// Send the past and end
    #[arg(long)]
    pub once: bool,
    /// Print the ids of the two reference traces and send nothing
    #[arg(long)]
    pub print_reference: bool,
}

/// The demo could not go on.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// Spans could not be delivered.
    #[error(transparent)]
    Send(#[from] SendError),
    /// Standard output is gone.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] std::io::Error),
}

/// Sends the past, then lives on until `shutdown`; with `--once`, ends after the past.
///
/// # Errors
/// When the server refuses spans for good or does not answer for ten minutes.
pub async fn run(options: DemoOptions, shutdown: impl Future<Output = ()>) -> Result<(), DemoError> {
    if options.print_reference {
        print_reference(options.seed, &mut std::io::stdout())?;
        return Ok(());
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

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| format!("{text} is not a number"))?;
    if rate > 0.0 && rate <= RATE_MAX { Ok(rate) } else { Err(format!("must be above 0 and at most {RATE_MAX}")) }
}

fn parse_history(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| format!("{text} is not a time such as 90s, 30m or 1h"))?;
    let unit_secs = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(format!("{text} lacks a unit: s, m, h or d")),
    };
    let history = Duration::from_secs(number.saturating_mul(unit_secs));
    if history <= HISTORY_MAX { Ok(history) } else { Err("at most 7d".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_is_a_time_with_a_unit() {
        assert_eq!(parse_history("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_history("1h"), Ok(Duration::from_secs(3_600)));
        assert_eq!(parse_history("0s"), Ok(Duration::ZERO));
        for bad in ["", "1", "h", "1w", "-1h", "8d", "99999999999999999d"] {
            assert!(parse_history(bad).is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn the_rate_is_bounded() {
        assert_eq!(parse_rate("2.5"), Ok(2.5));
        for bad in ["0", "-1", "NaN", "inf", "x"] {
            assert!(parse_rate(bad).is_err(), "{bad} was taken");
        }
    }

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
