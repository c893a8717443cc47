//! Decisions by chance that come out the same for a trace wherever and whenever they are taken.
//!
//! The model is OpenTelemetry's consistent probability sampling: a trace has 56 bits of randomness *R*, a percentage a
//! threshold *T* = (1 - p) · 2⁵⁶, and the trace is kept when *R* ≥ *T*. So all fragments of a trace and all nodes decide alike,
//! and what a smaller percentage keeps a larger one keeps too.
//!
//! OpenTelemetry takes *R* from the last 7 bytes of the trace id. Here the id is hashed first: some senders count, put a clock
//! into the low bytes, or send 8 bytes of zeros.

use proto::TraceId;

/// Bits of randomness that a trace has.
pub const RANDOMNESS_BITS: u32 = 56;

/// The randomness of a trace, below 2⁵⁶. Both halves of the id, most significant byte first, go through the finaliser of
/// MurmurHash3, the upper one on top of the lower one's result. Must never change: blocks that were written rely on it.
#[must_use]
pub fn randomness(trace_id: TraceId) -> u64 {
    let id = u128::from_be_bytes(*trace_id.as_bytes());
    let (high, low) = ((id >> 64) as u64, id as u64);
    // The golden ratio keeps a half of zeros from staying zero.
    let hash = mixed(high ^ mixed(low.wrapping_add(0x9e37_79b9_7f4a_7c15)));
    hash & ((1 << RANDOMNESS_BITS) - 1)
}

/// `fmix64` of MurmurHash3.
const fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits = (bits ^ (bits >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    bits ^ (bits >> 33)
}

/// A share of all traces.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Percentage(f64);

impl Percentage {
    /// Nothing.
    pub(super) const ZERO: Self = Self(0.0);

    /// `None` outside of 0 to 100.
    pub(super) fn new(percent: f64) -> Option<Self> {
        (0.0..=100.0).contains(&percent).then_some(Self(percent))
    }

    pub(super) const fn percent(self) -> f64 {
        self.0
    }

    /// Whether a trace with this randomness is in the share.
    pub(super) fn keeps(self, randomness: u64) -> bool {
        let all = (1_u64 << RANDOMNESS_BITS) as f64;
        let threshold = ((1.0 - self.0 / 100.0) * all).round() as u64;
        randomness >= threshold
    }

    /// How many traces a kept one stands for.
    pub(super) fn weight(self) -> f64 {
        100.0 / self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn trace_id(number: u128) -> TraceId {
        TraceId::from_bytes(&number.to_be_bytes()).expect("not zero")
    }

    #[test]
    fn randomness_never_changes() {
        assert_eq!(randomness(trace_id(1)), 0xff_e416_e9a5_dfee);
        assert_eq!(randomness("0af7651916cd43dd8448eb211c80319c".parse().expect("an id")), 0xf6_39ec_aca3_e4b3);
    }

    #[test]
    fn the_ends_keep_nothing_and_everything() {
        for randomness in [0, 1, 1 << 55, (1 << RANDOMNESS_BITS) - 1] {
            assert!(!Percentage::ZERO.keeps(randomness));
            assert!(Percentage(100.0).keeps(randomness));
        }
        assert!(
            Percentage::new(100.1).is_none() && Percentage::new(-0.1).is_none() && Percentage::new(f64::NAN).is_none()
        );
    }

    /// Of 100,000 traces, within 6 standard deviations.
    fn share_is_kept(percent: f64, id_of: impl Fn(u128) -> u128) -> bool {
        let share = Percentage(percent);
        let kept = (1..=100_000).filter(|number| share.keeps(randomness(trace_id(id_of(*number))))).count();
        let expected = 1_000.0 * percent;
        (kept as f64 - expected).abs() < 6.0 * (expected * (1.0 - percent / 100.0)).sqrt()
    }

    #[test]
    fn ids_that_are_not_random_are_sampled_evenly() {
        for percent in [0.1, 5.0, 50.0, 99.0] {
            assert!(share_is_kept(percent, |number| number), "counted, {percent} %");
            assert!(share_is_kept(percent, |number| number << 64), "counted in the upper half, {percent} %");
            assert!(
                share_is_kept(percent, |number| (number << 64) | 1_795_464_000),
                "constant lower half, {percent} %"
            );
            assert!(share_is_kept(percent, |number| number * 1_000_000_007), "multiples, {percent} %");
        }
    }

    proptest! {
        #[test]
        fn about_the_share_of_random_ids_is_kept(seed in any::<u64>(), percent in 0.1..99.9) {
            let mut state = seed;
            let ids: Vec<u128> = (0..=100_000).map(|_| {
                state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                (u128::from(mixed(state)) << 64) | u128::from(mixed(!state)) | 1
            }).collect();
            prop_assert!(share_is_kept(percent, |number| ids[number as usize]));
        }

        #[test]
        fn a_larger_share_keeps_what_a_smaller_one_keeps(id in 1..u128::MAX, one in 0.0..=100.0, other in 0.0..=100.0) {
            let randomness = randomness(trace_id(id));
            let (smaller, larger) = if one < other { (one, other) } else { (other, one) };
            prop_assert!(!Percentage(smaller).keeps(randomness) || Percentage(larger).keeps(randomness));
        }
    }
}
