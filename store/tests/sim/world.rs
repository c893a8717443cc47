//! One seed: a bucket, some nodes, clients, and the dice that say what happens next.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use store::{Point, Settings};
use tempfile::TempDir;

use crate::bucket;
use crate::clients::{Append, Question};
use crate::faults;
use crate::gate::{Gate, Outcome};
use crate::life::{self, Life, SimClock};
use crate::model::Model;

/// What was done last, for whoever looks into a failure.
const STEPS_TOLD: usize = 60;

/// Everything that a seed makes.
pub(crate) struct World {
    pub(crate) dice: StdRng,
    pub(crate) gate: Arc<Gate>,
    pub(crate) clock: Arc<SimClock>,
    pub(crate) model: Model,
    pub(crate) life: Option<Life>,
    pub(crate) appends: Vec<Append>,
    pub(crate) questions: Vec<Question>,
    /// Numbers handed out: traces, versions of spans.
    pub(crate) next_trace: u64,
    pub(crate) next_number: u64,
    pub(crate) lives: u64,
    /// Folders of the nodes that do not run; `None` for the one that does.
    pub(crate) folders: Vec<Option<TempDir>>,
    pub(crate) settings: Settings,
    fault_rate: f64,
    is_away: bool,
    /// Windows that waited when the running store was opened.
    pub(crate) recovered: u64,
    /// Whether the running store was opened without seeing the bucket.
    pub(crate) is_blind: bool,
    hurt_store: bool,
    told: Vec<String>,
    pub(crate) tally: Tally,
}

/// What was done in all.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) steps: u64,
    pub(crate) lives: u64,
    pub(crate) faults: u64,
    pub(crate) acknowledged: u64,
    pub(crate) refused: u64,
    pub(crate) answers: u64,
    pub(crate) blocks: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.lives += other.lives;
        self.faults += other.faults;
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
        self.answers += other.answers;
        self.blocks += other.blocks;
    }
}

impl World {
    /// Begins with an empty bucket and one node.
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = StdRng::seed_from_u64(seed);
        let settings = settings(&mut dice);
        let fault_rate = [0.0, 0.05, 0.15, 0.4][dice.random_range(0..4)];
        Self {
            dice,
            gate: Gate::new(),
            clock: SimClock::new(),
            model: Model::default(),
            life: None,
            appends: Vec::new(),
            questions: Vec::new(),
            next_trace: 0,
            next_number: 0,
            lives: 0,
            folders: vec![Some(life::new_folder())],
            settings,
            fault_rate,
            is_away: false,
            recovered: 0,
            is_blind: false,
            hurt_store: false,
            told: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// Runs `steps` steps, then brings everything to rest and looks at all of it.
    pub(crate) fn run(&mut self, steps: u64) -> Result<(), String> {
        self.start()?;
        for _ in 0..steps {
            self.tally.steps += 1;
            self.step()?;
            self.check_always()?;
        }
        self.rest()
    }

    /// The last steps, oldest first.
    pub(crate) fn told(&self) -> String {
        self.told.join("\n")
    }

    pub(crate) fn tell(&mut self, what: impl Into<String>) {
        if self.told.len() == STEPS_TOLD {
            self.told.remove(0);
        }
        self.told.push(format!("{:>6}  {}", self.tally.steps, what.into()));
    }

    pub(crate) fn life(&self) -> &Life {
        self.life.as_ref().expect("a node runs")
    }

    fn step(&mut self) -> Result<(), String> {
        match self.dice.random_range(0..1000) {
            0..200 => self.append()?,
            200..300 => self.ask_trace(),
            300..330 => self.ask_search(),
            330..370 => self.let_straggler_arrive(),
            370..410 => self.let_time_pass()?,
            410..420 => {
                self.is_away = !self.is_away;
                self.tell(if self.is_away { "the object store goes away" } else { "the object store is back" });
            }
            420..450 => self.arm(),
            450..462 => self.crash()?,
            462..470 => self.stop_and_start()?,
            470..478 => self.change_node()?,
            478..498 => self.check_all("in the middle")?,
            498..502 => self.drain()?,
            _ => self.release_any()?,
        }
        self.after_step()
    }

    fn after_step(&mut self) -> Result<(), String> {
        self.settle()?;
        self.hear()?;
        if let Some(point) = self.life().probe.reached() {
            self.tell(format!("the process dies at {point}"));
            self.crash()?;
        }
        Ok(())
    }

    /// Lets everything run until all that is left waits at the gate.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        if std::mem::take(&mut self.hurt_store) {
            self.life().pause();
        }
        let (gate, appends) = (&self.gate, &self.appends);
        self.life().settle(gate, |life| {
            if life.probe.reached().is_some() || gate.store_waits() {
                None
            } else if appends.iter().any(|append| !append.is_over()) {
                Some("an append is answered")
            } else if life.metric("spanhold_store_windows_waiting") > 0 {
                Some("a waiting window comes to the object store")
            } else {
                None
            }
        })
    }

    /// Ends one of the waiting requests.
    pub(crate) fn release_any(&mut self) -> Result<(), String> {
        let waiting = self.gate.waiting();
        if waiting.is_empty() {
            return Ok(());
        }
        let at = self.dice.random_range(0..waiting.len());
        let (request, is_of_store) = &waiting[at];
        let outcome =
            if self.is_away { Outcome::Failed } else { faults::outcome(&mut self.dice, request, self.fault_rate) };
        if outcome != Outcome::Done {
            self.tally.faults += 1;
            self.hurt_store |= is_of_store;
        }
        self.tell(format!("{}: {request}: {outcome:?}", if *is_of_store { "store" } else { "client" }));
        self.gate.release(at, outcome);
        Ok(())
    }

    /// From now on everything goes well.
    pub(crate) fn end_faults(&mut self) {
        self.tell("no more faults");
        (self.fault_rate, self.is_away) = (0.0, false);
        self.life().probe.arm(None);
    }

    /// Faults as they were.
    pub(crate) fn faults(&self) -> (f64, bool) {
        (self.fault_rate, self.is_away)
    }

    /// Back to earlier faults.
    pub(crate) fn set_faults(&mut self, (rate, is_away): (f64, bool)) {
        (self.fault_rate, self.is_away) = (rate, is_away);
    }

    fn let_straggler_arrive(&mut self) {
        let count = self.gate.stragglers();
        if count > 0 {
            let at = self.dice.random_range(0..count);
            let what = futures::executor::block_on(self.gate.arrive(at));
            self.tell(format!("late: {what}"));
        }
    }

    /// Carries out everything that is still on its way.
    pub(crate) fn let_stragglers_arrive(&mut self) {
        while self.gate.stragglers() > 0 {
            self.let_straggler_arrive();
        }
    }

    /// Long pauses only when no question waits: none may take longer than the grace of deleted objects.
    fn let_time_pass(&mut self) -> Result<(), String> {
        let mut by = Duration::from_millis(self.dice.random_range(1..5_000));
        if self.dice.random_bool(0.2) {
            self.finish_questions()?;
            by = Duration::from_secs(self.dice.random_range(60..7_200));
        }
        self.clock.advance(by);
        self.tell(format!("{by:?} pass"));
        Ok(())
    }

    fn arm(&mut self) {
        let point = Point::ALL[self.dice.random_range(0..Point::ALL.len())];
        self.life().probe.arm(Some(point));
        self.tell(format!("the process will die at {point}"));
    }

    /// A store that was opened without the bucket reads it before it offloads its first window.
    pub(crate) fn learn_what_it_knows(&mut self) {
        let has_read = !self.is_blind || self.life().probe.count(Point::BlockShown) > 0;
        self.model.knows_bucket = has_read && !self.gate.has_lagged();
    }

    pub(crate) fn check_bucket(&self) -> Result<(), String> {
        futures::executor::block_on(bucket::check(&self.gate.truth, &self.gate.committed_through()))
    }

    /// What holds after every step.
    fn check_always(&mut self) -> Result<(), String> {
        self.learn_what_it_knows();
        if let Some(violation) = self.gate.violation() {
            return Err(violation);
        }
        self.check_bucket()?;
        let life = self.life();
        life.store().check().map_err(|error| format!("the store stays healthy: {error}"))?;
        let in_flight = life.metric("spanhold_store_in_flight_bytes");
        if in_flight > self.settings.in_flight_bytes_max {
            return Err(format!("in_flight_bytes_max holds: {in_flight} bytes in flight"));
        }
        let waiting = life.metric("spanhold_store_windows_waiting");
        // One more may be sealed by each append that was let in at the limit.
        let most =
            self.recovered.max(self.settings.windows_waiting_max as u64 + 1) + crate::clients::APPENDS_MAX as u64;
        if waiting > most {
            return Err(format!("windows_waiting_max holds: {waiting} windows wait"));
        }
        Ok(())
    }
}

/// Settings that make everything happen often. What joins the store later joins the simulation here.
fn settings(dice: &mut StdRng) -> Settings {
    let mut settings = Settings::new(std::path::PathBuf::new());
    settings.window_spans_max = dice.random_range(8..40);
    // By real time, so it would not repeat; windows are sealed by their spans.
    settings.window_age_max = Duration::from_secs(24 * 3600);
    settings.windows_waiting_max = dice.random_range(1..4);
    settings.in_flight_bytes_max = dice.random_range(8..64) << 10;
    settings.hot_retention = Duration::from_secs(dice.random_range(1..3600));
    settings.hot_bytes_max = [0, 20_000, 1 << 30][dice.random_range(0..3)];
    // Real time too.
    settings.manifest_refresh = Duration::from_secs(24 * 3600);
    settings.retry_pause_min = Duration::from_millis(1);
    settings.retry_pause_max = Duration::from_millis(1);
    settings
}
