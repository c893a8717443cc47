//! The options of `spanhold demo`, and the times and numbers in them.

use std::path::PathBuf;
use std::time::Duration;

use proto::UnixNanos;

use super::world::pathology::Pathologies;
use super::world::{Profile, WorldSettings};

/// More traces per second than a generator on one core is good for.
const RATE_MAX: f64 = 2_000.0;
/// A longer past would be sent for minutes.
const HISTORY_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// More instances would need more memory than their traces.
const INSTANCES_MAX: u64 = 20_000;
/// Longer than any default retention.
const WORLD_MAX: Duration = Duration::from_secs(800 * 24 * 3600);
const FAILOVERS_PER_DAY_MAX: f64 = 100_000.0;

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
    /// Send the history of a large platform instead, and end
    #[arg(long, value_enum, conflicts_with_all = ["rate", "history", "once", "print_reference"])]
    pub profile: Option<Profile>,
    /// The history of a large platform.
    #[command(flatten)]
    pub world: WorldOptions,
}

/// Options of `spanhold demo --profile`.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "With --profile")]
pub struct WorldOptions {
    /// Database instances
    #[arg(long, default_value_t = 1_000, requires = "profile", value_parser = clap::value_parser!(u64).range(1..=INSTANCES_MAX))]
    pub instances: u64,
    /// Start: so long ago (-30d, -90m), or a time (2026-10-01T00:00:00Z)
    #[arg(long, default_value = "-30d", requires = "profile", allow_hyphen_values = true, value_parser = parse_moment)]
    pub from: Moment,
    /// End: now, so long ago, or a time
    #[arg(long, default_value = "now", requires = "profile", allow_hyphen_values = true, value_parser = parse_moment)]
    pub to: Moment,
    /// Make one of so many high-rate operations: SQL, health checks, WAL pushes, API requests, reconciles, agent commands
    #[arg(long, default_value_t = 100.0, requires = "profile", value_parser = parse_thin)]
    pub thin: f64,
    /// Failovers per day; 3 per 1,000 instances when left out
    #[arg(long, requires = "profile", value_parser = parse_failovers)]
    pub failovers_per_day: Option<f64>,
    /// What goes wrong with spans: all, none, or names with commas between them
    #[arg(long, default_value = "all", requires = "profile")]
    pub pathologies: Pathologies,
    /// Follow what is under way at the end until it is over, and send late spans too
    #[arg(long, requires = "profile")]
    pub drain: bool,
    /// Write what really happened into this file, as lines of JSON
    #[arg(long, value_name = "FILE", requires = "profile")]
    pub truth: Option<PathBuf>,
    /// Address of the OTLP/HTTP server, for the pathologies that need it
    #[arg(long, default_value = "http://127.0.0.1:4318", requires = "profile")]
    pub http_endpoint: String,
}

/// A point of time, perhaps one that depends on when the program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// So long before now.
    Ago(Duration),
    /// Then.
    At(UnixNanos),
}

impl Moment {
    fn at(self, now: UnixNanos) -> UnixNanos {
        match self {
            Self::Ago(ago) => now.saturating_add(-i64::try_from(ago.as_nanos()).unwrap_or(i64::MAX)),
            Self::At(time) => time,
        }
    }
}

/// The end is not after the start, or too far from it.
#[derive(Debug, thiserror::Error)]
#[error("--to must be after --from, by at most {} days", WORLD_MAX.as_secs() / 86_400)]
pub struct RangeError;

impl WorldOptions {
    /// The settings of the world that is meant.
    ///
    /// # Errors
    /// When it would have no time, or too much.
    pub fn settings(&self, profile: Profile, seed: u64, now: UnixNanos) -> Result<WorldSettings, RangeError> {
        let (from, to) = (self.from.at(now), self.to.at(now));
        let length = u64::try_from(to.nanos_since(from)).map(Duration::from_nanos).unwrap_or_default();
        if length.is_zero() || length > WORLD_MAX {
            return Err(RangeError);
        }
        Ok(WorldSettings {
            seed,
            profile,
            instances: usize::try_from(self.instances).unwrap_or(usize::MAX),
            from,
            to,
            thin: self.thin,
            failovers_per_day: self.failovers_per_day,
            pathologies: self.pathologies,
            is_drained: self.drain,
        })
    }
}

fn parse_number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("{text} is not a number"))
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = parse_number(text)?;
    if rate > 0.0 && rate <= RATE_MAX { Ok(rate) } else { Err(format!("must be above 0 and at most {RATE_MAX}")) }
}

fn parse_thin(text: &str) -> Result<f64, String> {
    let thin = parse_number(text)?;
    if thin >= 1.0 && thin.is_finite() { Ok(thin) } else { Err("must be at least 1".to_owned()) }
}

fn parse_failovers(text: &str) -> Result<f64, String> {
    let per_day = parse_number(text)?;
    let is_sensible = (0.0..=FAILOVERS_PER_DAY_MAX).contains(&per_day);
    if is_sensible { Ok(per_day) } else { Err(format!("must be between 0 and {FAILOVERS_PER_DAY_MAX}")) }
}

fn parse_history(text: &str) -> Result<Duration, String> {
    let history = parse_duration(text)?;
    if history <= HISTORY_MAX { Ok(history) } else { Err("at most 7d".to_owned()) }
}

fn parse_moment(text: &str) -> Result<Moment, String> {
    if text == "now" {
        return Ok(Moment::Ago(Duration::ZERO));
    }
    if let Some(ago) = text.strip_prefix('-') {
        return parse_duration(ago).map(Moment::Ago);
    }
    let time: jiff::Timestamp = text
        .parse()
        .map_err(|_| format!("{text} is not now, a time ago such as -30d, or a time such as 2026-10-01T00:00:00Z"))?;
    let nanos = i64::try_from(time.as_nanosecond()).map_err(|_| format!("{text} is out of range"))?;
    Ok(Moment::At(UnixNanos::from_i64(nanos)))
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| format!("{text} is not a time such as 90s, 30m or 1h"))?;
    let unit_secs = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(format!("{text} lacks a unit: s, m, h or d")),
    };
    Ok(Duration::from_secs(number.saturating_mul(unit_secs)))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        demo: DemoOptions,
    }

    fn parsed(arguments: &[&str]) -> Result<DemoOptions, clap::Error> {
        Cli::try_parse_from(std::iter::once(&"demo").chain(arguments)).map(|cli| cli.demo)
    }

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
        for bad in ["0.5", "-2", "NaN", "inf"] {
            assert!(parse_thin(bad).is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn a_history_is_asked_for_by_its_profile() {
        let now = UnixNanos::from_i64(1_790_812_800_000_000_000);
        let options =
            parsed(&["--profile", "ctl", "--from", "-2d", "--to", "-1d", "--pathologies", "links"]).expect("parsed");
        let settings = options.world.settings(Profile::Ctl, options.seed, now).expect("a range");
        let day = 86_400_000_000_000;
        assert_eq!((settings.from, settings.to), (now.saturating_add(-2 * day), now.saturating_add(-day)));
        assert_eq!((settings.instances, settings.pathologies.to_string()), (1_000, "links".to_owned()));
        assert_eq!(parse_moment("2026-10-01T00:00:00Z"), Ok(Moment::At(now)));
        for bad in ["yesterday", "-", "30d", "-30"] {
            assert!(parse_moment(bad).is_err(), "{bad} was taken");
        }
        assert!(parsed(&["--from", "-2d"]).is_err(), "taken without a profile");
        assert!(parsed(&["--profile", "ctl", "--history", "1h"]).is_err(), "taken with the small fleet's option");
        let backwards = parsed(&["--profile", "ctl", "--from", "-1d", "--to", "-2d"]).expect("parsed");
        assert!(backwards.world.settings(Profile::Ctl, 1, now).is_err());
        assert!(parsed(&[]).expect("parsed").profile.is_none());
    }
}
