//! What can go wrong with a request, and how often: the contract with object stores that the store is tested against.
//!
//! A put that is carried out late is carried out in full: object stores compare what came with its length before they keep
//! it. A torn object is what a power cut leaves in a folder, or a server that lies; it comes at once or never.

use rand::Rng;
use rand::rngs::StdRng;

use crate::gate::{Outcome, Request};

/// How a request ends, by the dice: `rate` of them badly.
pub(crate) fn outcome(dice: &mut StdRng, request: &Request, rate: f64) -> Outcome {
    if !dice.random_bool(rate) {
        return Outcome::Done;
    }
    match (request, dice.random_range(0..6)) {
        (Request::Put(..), 1) => Outcome::AnswerLost,
        (Request::Put(..), 2) => Outcome::Torn { kept: dice.random_range(0..1000), is_told: true },
        (Request::Put(..), 3) => Outcome::Torn { kept: dice.random_range(0..1000), is_told: false },
        (Request::Put(..), 4) => Outcome::Late,
        (Request::Put(..), 5) => Outcome::Twice,
        (Request::Get(_), 1 | 2) => Outcome::Short,
        (Request::Get(_) | Request::Head(_), 3) => Outcome::AnswerLost,
        (Request::Delete(_), 1) => Outcome::AnswerLost,
        (Request::Delete(_), 2) => Outcome::Late,
        (Request::Delete(_), 3) => Outcome::Twice,
        (Request::List, 1..=3) => Outcome::Lagging { hidden: dice.random_range(1..4) },
        _ => Outcome::Failed,
    }
}

/// Whether a request whose process died is carried out all the same, later.
pub(crate) fn is_carried_out(dice: &mut StdRng) -> bool {
    dice.random_bool(0.6)
}
