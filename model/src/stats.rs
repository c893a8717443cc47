//! Statistics of small samples and of comparisons: exact, stated, and without a library that would know better.
//!
//! Durations are lognormal more or less, so means are compared of their logarithms.

/// Standard normal quantile of 97.5 %: two-sided 95 %.
pub const Z_95: f64 = 1.959_963_984_540_054;

/// The smallest value that at least the share `q` of all values does not exceed: the nearest rank, an element of the sample and
/// no interpolation. Of 4 values, q = 0.5 is the second. `sorted` ascends; `None` when it is empty.
#[must_use]
pub fn nearest_rank<T: Copy>(sorted: &[T], q: f64) -> Option<T> {
    let rank = (q.clamp(0.0, 1.0) * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1).min(sorted.len().saturating_sub(1))).copied()
}

/// The middle value, or the mean of the two middle ones. `None` for an empty sample.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    Some(if sorted.len() % 2 == 1 { upper } else { f64::midpoint(sorted[sorted.len() / 2 - 1], upper) })
}

/// A share with its Wilson score interval: <https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval>.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Share {
    /// Of `total`, these.
    pub count: u64,
    /// All.
    pub total: u64,
    /// `count / total`.
    pub share: f64,
    /// Lower end of the interval, 95 % two-sided.
    pub low: f64,
    /// Upper end of it.
    pub high: f64,
}

/// `None` when there is nothing to have a share of.
#[must_use]
pub fn wilson(count: u64, total: u64) -> Option<Share> {
    if total == 0 {
        return None;
    }
    let n = total as f64;
    let share = count.min(total) as f64 / n;
    let z2 = Z_95 * Z_95;
    let center = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z_95 / (1.0 + z2 / n) * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    let (low, high) = ((center - half).max(0.0), (center + half).min(1.0));
    Some(Share { count: count.min(total), total, share, low, high })
}

/// How far a value is from those of its peers, in robust standard deviations: 0.6745 (value - median) / MAD, and where more
/// than half of the peers are equal (value - median) / (1.2533 mean absolute deviation).
///
/// Source: Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993). `None` when there are no peers, or they are all equal.
#[must_use]
pub fn robust_z(value: f64, peers: &[f64]) -> Option<f64> {
    let center = median(peers)?;
    let deviations: Vec<f64> = peers.iter().map(|peer| (peer - center).abs()).collect();
    let mad = median(&deviations)?;
    if mad > 0.0 {
        return Some(0.674_5 * (value - center) / mad);
    }
    let mean = deviations.iter().sum::<f64>() / deviations.len() as f64;
    (mean > 0.0).then(|| (value - center) / (1.253_314 * mean))
}

/// Count, sum and sum of squares of a sample's natural logarithms: enough for [`welch`], and what rollups can add up.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LogMoments {
    /// Values.
    pub count: f64,
    /// Sum of their logarithms.
    pub sum: f64,
    /// Sum of the squares of these.
    pub sum_of_squares: f64,
}

impl LogMoments {
    /// Adds a value `times` times. One that has no logarithm counts as 1, the shortest duration there is.
    pub fn add(&mut self, value: f64, times: f64) {
        let log = value.max(1.0).ln();
        self.count += times;
        self.sum += times * log;
        self.sum_of_squares += times * log * log;
    }

    fn mean(&self) -> f64 {
        self.sum / self.count
    }

    /// Of the sample, without bias.
    fn variance(&self) -> f64 {
        ((self.sum_of_squares - self.sum * self.sum / self.count) / (self.count - 1.0)).max(0.0)
    }
}

impl FromIterator<f64> for LogMoments {
    fn from_iter<T: IntoIterator<Item = f64>>(values: T) -> Self {
        let mut moments = Self::default();
        values.into_iter().for_each(|value| moments.add(value, 1.0));
        moments
    }
}

/// Two samples compared.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Comparison {
    /// The second sample's geometric mean over the first's, or for shares the one share over the other.
    pub ratio: f64,
    /// How likely a difference as large as this is where there is none: two-sided.
    pub p_value: f64,
}

/// A p-value below this counts as a change.
pub const P_VALUE_MAX: f64 = 0.01;

/// A change smaller than this share is not worth telling, however certain it is.
pub const CHANGE_MIN: f64 = 0.05;

impl Comparison {
    /// Whether the difference is neither chance nor too small to matter.
    #[must_use]
    pub fn is_significant(&self) -> bool {
        self.p_value < P_VALUE_MAX && (self.ratio - 1.0).abs() >= CHANGE_MIN
    }
}

/// Values that each sample must have before two of them are compared.
pub const SAMPLE_MIN: f64 = 5.0;

/// Welch's t-test on logarithms: whether the durations of `after` have another geometric mean than those of `before`. `None`
/// when either has less than [`SAMPLE_MIN`] values.
#[must_use]
pub fn welch(before: &LogMoments, after: &LogMoments) -> Option<Comparison> {
    if before.count < SAMPLE_MIN || after.count < SAMPLE_MIN {
        return None;
    }
    let difference = after.mean() - before.mean();
    let (a, b) = (before.variance() / before.count, after.variance() / after.count);
    let ratio = difference.exp();
    if a + b <= f64::EPSILON * difference.abs().max(1.0) {
        let p_value = if difference.abs() < 1e-9 { 1.0 } else { 0.0 };
        return Some(Comparison { ratio, p_value });
    }
    let t = difference / (a + b).sqrt();
    // Welch and Satterthwaite.
    let freedom = (a + b).powi(2) / (a * a / (before.count - 1.0) + b * b / (after.count - 1.0));
    Some(Comparison { ratio, p_value: student_two_sided(t, freedom) })
}

/// The two-proportion z-test with pooled variance: whether errors have become more or fewer. `None` when there is nothing to
/// compare, or no error at all.
#[must_use]
pub fn two_proportions(before: (u64, u64), after: (u64, u64)) -> Option<Comparison> {
    let (count_before, total_before) = (before.0 as f64, before.1 as f64);
    let (count_after, total_after) = (after.0 as f64, after.1 as f64);
    if total_before < SAMPLE_MIN || total_after < SAMPLE_MIN {
        return None;
    }
    let pooled = (count_before + count_after) / (total_before + total_after);
    let deviation = (pooled * (1.0 - pooled) * (1.0 / total_before + 1.0 / total_after)).sqrt();
    if deviation <= 0.0 {
        return None;
    }
    let z = (count_after / total_after - count_before / total_before) / deviation;
    let ratio = (count_after / total_after) / (count_before / total_before);
    Some(Comparison { ratio, p_value: libm::erfc(z.abs() / std::f64::consts::SQRT_2) })
}

/// How likely Student's t is at least this far from 0: the regularised incomplete beta function I_x(f/2, 1/2) at
/// x = f / (f + t^2).
fn student_two_sided(t: f64, freedom: f64) -> f64 {
    incomplete_beta(freedom / (freedom + t * t), freedom / 2.0, 0.5)
}

/// By its continued fraction, as in Numerical Recipes 6.4, evaluated with Lentz's method.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    let ln_front = libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b) + a * x.ln() + b * (-x).ln_1p();
    // The fraction converges quickly on this side of the mean only.
    if x < (a + 1.0) / (a + b + 2.0) {
        ln_front.exp() * beta_fraction(x, a, b) / a
    } else {
        1.0 - ln_front.exp() * beta_fraction(1.0 - x, b, a) / b
    }
}

fn beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    const STEPS_MAX: u32 = 1_000;
    const TINY: f64 = 1e-300;
    let away_from_zero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for step in 1..=STEPS_MAX {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away_from_zero(1.0 + even * d);
        c = away_from_zero(1.0 + even / c);
        fraction *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away_from_zero(1.0 + odd * d);
        c = away_from_zero(1.0 + odd / c);
        let change = d * c;
        fraction *= change;
        if (change - 1.0).abs() < 1e-14 {
            break;
        }
    }
    fraction
}

#[cfg(test)]
mod tests;
