//! A seeded simulation of the store: clients, the object store, the clock, crashes and restarts, all moved by dice.
//!
//! Nothing of the store is replaced but what it is given: clock, object store, probe. Every request to the object store
//! waits at a [`gate`] until the dice say how it ends; between two steps everything runs until nothing is left but what
//! waits there. After each step the invariants that need no question are checked, and now and then everything is asked
//! for and compared with the [`model`] of what was acknowledged.
//!
//! **Seeds.** A failure prints its seed and the steps before it; `SPANHOLD_SIM_SEED=… make sim` runs that seed alone.
//! `SPANHOLD_SIM_STEPS` says how many steps to run in all.
//!
//! **What a seed does not repeat exactly.** The store has threads of its own and RocksDB has more. Nothing is decided
//! while they run, so what they do in between has no influence on the dice; but requests that are sent at the same time
//! become durable in an order that the system chooses, and so the windows may be cut elsewhere by one request. Names of
//! blocks contain the real time and a random part. Pauses between attempts are real, of a millisecond. A failure that
//! depends on none of these, which are nearly all, comes back with its seed.
//!
//! **What is not simulated.** Power cuts (a crash loses no written bytes, synced or not), windows that are sealed by age,
//! manifests of other nodes that are read again while a node runs, and uploads in parts: all of them are real time or
//! real size. `tests/` of the repository has those with the real program.

extern crate spanhold_store as store;

mod bucket;
mod checks;
mod clients;
mod faults;
mod gate;
mod life;
mod model;
mod nodes;
mod quiet;
mod traffic;
mod world;

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use world::World;

/// Steps of one seed: long enough for a dozen lives.
const STEPS_PER_SEED: u64 = 200;

/// Steps when nobody says otherwise: about half a minute.
const STEPS: u64 = 6_000;

/// The first of the seeds that `make test` runs, always the same.
const FIRST_SEED: u64 = 1;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text:?} is no number")))
}

#[test]
#[expect(clippy::print_stderr, reason = "how much was done is for whoever runs it")]
fn whatever_happens_nothing_acknowledged_is_lost_or_doubled() {
    let only = number("SPANHOLD_SIM_SEED");
    let steps = number("SPANHOLD_SIM_STEPS").unwrap_or(STEPS);
    let first = match (only, std::env::var_os("SPANHOLD_SIM_STEPS")) {
        (Some(seed), _) => seed,
        // Whoever asks for more steps wants other ones.
        (None, Some(_)) => SystemTime::now().duration_since(UNIX_EPOCH).map_or(FIRST_SEED, |since| since.as_secs()),
        (None, None) => FIRST_SEED,
    };
    let seeds = if only.is_some() { 1 } else { steps.div_ceil(STEPS_PER_SEED) };
    let started = Instant::now();
    let mut tally = world::Tally::default();
    for seed in first..first + seeds {
        let mut world = World::new(seed);
        if let Err(violation) = world.run(STEPS_PER_SEED) {
            panic!(
                "seed {seed}, step {}: violated: {violation}\nthe steps before it:\n{}\nrun it again: SPANHOLD_SIM_SEED={seed} make sim",
                world.tally.steps,
                world.told()
            );
        }
        tally.add(&world.tally);
    }
    eprintln!("seeds {first} to {}: {tally:?} in {:?}", first + seeds - 1, started.elapsed());
    assert!(
        tally.acknowledged > 0 && tally.answers > 0 && tally.blocks > 0,
        "the simulation does something: {tally:?}"
    );
}
