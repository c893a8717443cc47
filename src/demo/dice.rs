//! Seeded chance: every draw of the demo comes from here, so that a seed repeats.
//!
//! Never looks at the clock or at the system's randomness.

use std::time::Duration;

use proto::{SpanId, TraceId};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// A lognormal draw is held under this multiple of its median, so that one draw cannot make a trace of days.
const LOGNORMAL_MULTIPLE_MAX: f64 = 60.0;

/// A stream of random draws.
#[derive(Debug, Clone)]
pub struct Dice(StdRng);

impl Dice {
    /// The stream that belongs to `purpose` under `seed`. Different purposes give unrelated streams, so that a change in one
    /// place does not move the draws of another.
    #[must_use]
    pub fn new(seed: u64, purpose: &str) -> Self {
        Self(StdRng::seed_from_u64(seed ^ fnv1a(purpose.as_bytes())))
    }

    /// A stream of its own, seeded by this one's next draw.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self(StdRng::seed_from_u64(self.0.random()))
    }

    /// True with probability `share` (0 to 1).
    pub fn chance(&mut self, share: f64) -> bool {
        self.0.random::<f64>() < share
    }

    /// A whole number in `0..bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.0.random_range(0..bound) }
    }

    /// A number in `low..high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.0.random::<f64>()
    }

    /// A time in `low..high`.
    pub fn duration_between(&mut self, low: Duration, high: Duration) -> Duration {
        Duration::from_secs_f64(self.between(low.as_secs_f64(), high.as_secs_f64()))
    }

    /// One of `choices`, each as likely as the next.
    ///
    /// # Panics
    /// When there is nothing to choose from.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.0.random_range(0..choices.len())]
    }

    /// One of `choices`, as likely as its weight.
    ///
    /// # Panics
    /// When there is nothing to choose from.
    pub fn pick_weighted<'a, T>(&mut self, choices: &'a [(T, f64)]) -> &'a T {
        let total: f64 = choices.iter().map(|(_, weight)| weight).sum();
        let mut left = self.0.random::<f64>() * total;
        for (choice, weight) in choices {
            left -= weight;
            if left < 0.0 {
                return choice;
            }
        }
        &choices[choices.len() - 1].0
    }

    /// A time whose logarithm is normal, with this median: the usual shape of latencies.
    pub fn lognormal(&mut self, median: Duration, sigma: f64) -> Duration {
        self.lognormal_within(median, sigma, LOGNORMAL_MULTIPLE_MAX)
    }

    /// A lognormal time of at most `multiple_max` medians.
    pub fn lognormal_within(&mut self, median: Duration, sigma: f64, multiple_max: f64) -> Duration {
        median.mul_f64((sigma * self.normal()).exp().min(multiple_max))
    }

    /// The time to the next of events that come `per_second` on average, independently (a Poisson process).
    pub fn until_next(&mut self, per_second: f64) -> Duration {
        let uniform = 1.0 - self.0.random::<f64>();
        Duration::from_secs_f64(-uniform.ln() / per_second)
    }

    /// A standard normal draw (Box and Muller's method).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.0.random::<f64>()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.0.random::<f64>()).cos()
    }

    /// `digits` lower-case hex digits.
    pub fn hex(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits);
        for _ in 0..digits {
            text.push(char::from_digit(self.0.random_range(0..16), 16).unwrap_or('0'));
        }
        text
    }

    /// A new trace id; neither it nor its low half is zero.
    pub fn trace_id(&mut self) -> TraceId {
        loop {
            if let Ok(id) = TraceId::from_bytes(&self.0.random::<[u8; 16]>())
                && id.low_half().is_some()
            {
                return id;
            }
        }
    }

    /// A new span id, not zero.
    pub fn span_id(&mut self) -> SpanId {
        loop {
            if let Ok(id) = SpanId::from_bytes(&self.0.random::<[u8; 8]>()) {
                return id;
            }
        }
    }
}

/// 64-bit FNV-1a, only to spread purposes over seeds (<http://www.isthe.com/chongo/tech/comp/fnv/>).
fn fnv1a(bytes: &[u8]) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    bytes.iter().fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_purposes_differ() {
        let draw = |seed, purpose| {
            let mut dice = Dice::new(seed, purpose);
            (dice.trace_id(), dice.span_id(), dice.hex(8))
        };
        assert_eq!(draw(7, "fleet"), draw(7, "fleet"));
        assert_ne!(draw(7, "fleet"), draw(8, "fleet"));
        assert_ne!(draw(7, "fleet"), draw(7, "traffic"));
    }

    #[test]
    fn lognormal_has_its_median() {
        let mut dice = Dice::new(1, "lognormal");
        let median = Duration::from_millis(100);
        let below = (0..10_000).filter(|_| dice.lognormal(median, 0.8) < median).count();
        assert!((4_800..5_200).contains(&below), "{below} of 10000 were under the median");
    }

    #[test]
    fn arrivals_have_their_rate() {
        let mut dice = Dice::new(1, "arrivals");
        let total: Duration = (0..10_000).map(|_| dice.until_next(5.0)).sum();
        let rate = 10_000.0 / total.as_secs_f64();
        assert!((4.8..5.2).contains(&rate), "{rate} per second");
    }

    #[test]
    fn weights_are_kept() {
        let mut dice = Dice::new(1, "weights");
        let choices = [("often", 9.0), ("seldom", 1.0)];
        let often = (0..10_000).filter(|_| *dice.pick_weighted(&choices) == "often").count();
        assert!((8_800..9_200).contains(&often), "{often} of 10000");
    }
}
