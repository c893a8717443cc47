//! One seed: a bucket, some nodes, clients, and the dice that say what happens next.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use store::{Error, Point, Settings};
use tempfile::TempDir;

use crate::bucket;
use crate::clients::{Append, Question};
use crate::faults::{self, Fate};
use crate::gate::{Gate, Outcome};
use crate::life::{self, Life, SimClock};
use crate::model::Model;

/// Nodes of one bucket: more would add nothing but time.
const NODES_MAX: usize = 3;

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
    lives: u64,
    /// Folders of the nodes that do not run; `None` for the one that does.
    folders: Vec<Option<TempDir>>,
    settings: Settings,
    fault_rate: f64,
    is_away: bool,
    /// Windows that waited when the running store was opened.
    recovered: u64,
    /// Whether the running store was opened without seeing the bucket.
    is_blind: bool,
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
            0..300 => self.append()?,
            300..420 => self.ask_trace(),
            420..450 => self.ask_search(),
            450..500 => self.let_straggler_arrive(),
            500..540 => self.let_time_pass()?,
            540..550 => {
                self.is_away = !self.is_away;
                self.tell(if self.is_away { "the object store goes away" } else { "the object store is back" });
            }
            550..580 => self.arm(),
            580..592 => self.crash()?,
            592..600 => self.stop_and_start()?,
            600..608 => self.change_node()?,
            608..628 => self.check_all("in the middle")?,
            628..632 => self.drain()?,
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

    pub(crate) fn crash(&mut self) -> Result<(), String> {
        self.tell("kill");
        let life = self.life.take().expect("a node runs");
        self.note_blocks(&life);
        let folder = life.kill();
        self.folders[self.model.node] = Some(folder);
        self.start()
    }

    fn stop_and_start(&mut self) -> Result<(), String> {
        self.stop();
        self.start()
    }

    pub(crate) fn stop(&mut self) {
        self.tell("stop");
        let life = self.life.take().expect("a node runs");
        self.note_blocks(&life);
        let folder = life.close();
        self.folders[self.model.node] = Some(folder);
    }

    fn note_blocks(&mut self, life: &Life) {
        self.tally.blocks += life.probe.count(Point::BlockShown);
    }

    /// The node stops or dies, and another one goes on with the same bucket: a new one, or one that comes back.
    pub(crate) fn change_node(&mut self) -> Result<(), String> {
        if self.dice.random_bool(0.5) {
            self.stop();
        } else {
            self.tell("kill");
            let life = self.life.take().expect("a node runs");
            self.note_blocks(&life);
            self.folders[self.model.node] = Some(life.kill());
        }
        let others = self.folders.len() + usize::from(self.folders.len() < NODES_MAX);
        let next = self.dice.random_range(0..others);
        self.go_on_as(next)
    }

    /// A new node with an empty folder, beyond all limits.
    pub(crate) fn lose_folder(&mut self) -> Result<(), String> {
        self.stop();
        self.go_on_as(self.folders.len())
    }

    fn go_on_as(&mut self, node: usize) -> Result<(), String> {
        if node == self.folders.len() {
            self.folders.push(Some(life::new_folder()));
        }
        self.model.node = node;
        self.tell(format!("go on as node {node}"));
        self.start()
    }

    /// Starts the node that answers. What its last process had sent is done, or will be, or never.
    fn start(&mut self) -> Result<(), String> {
        self.lives += 1;
        self.tally.lives += 1;
        self.appends.clear();
        self.questions.clear();
        let (objects, sent) = self.gate.begin_life(self.lives);
        for request in sent {
            if faults::fate(&mut self.dice) == Fate::Later {
                self.gate.let_straggle(request);
            }
        }
        let folder = self.folders[self.model.node].take().expect("it does not run");
        self.tell(format!("start node {} on {}", self.model.node, folder.path().display()));
        let life = Life::new(folder, self.settings.clone());
        let mut opening = life.open(objects.clone(), Arc::clone(&self.clock));
        self.life = Some(life);
        self.is_blind = false;
        loop {
            let gate = &self.gate;
            self.life().settle(gate, |_| {
                let is_under_way = !opening.is_finished() && !gate.store_waits();
                is_under_way.then_some("a start comes to the object store")
            })?;
            if opening.is_finished() {
                match self.life().runtime.block_on(&mut opening).expect("no panic") {
                    Ok(store) => {
                        let waited = self.life.as_mut().map(|life| {
                            life.opened(store);
                            life.metric("spanhold_store_windows_waiting")
                        });
                        self.recovered = waited.unwrap_or_default();
                        break;
                    }
                    // The threads of the process before are still letting go.
                    Err(Error::Hot(error)) if error.to_string().contains("lock") => {
                        std::thread::sleep(Duration::from_millis(1));
                        opening = self.life().open(objects.clone(), Arc::clone(&self.clock));
                    }
                    Err(error) => return Err(format!("a start succeeds: {error}")),
                }
                continue;
            }
            let faults = self.tally.faults;
            self.release_any()?;
            self.is_blind |= self.tally.faults != faults;
        }
        self.learn_what_it_knows();
        self.after_step_of_start()
    }

    fn after_step_of_start(&mut self) -> Result<(), String> {
        self.settle()?;
        self.hear()
    }

    /// A store that was opened without the bucket reads it before it offloads its first window.
    fn learn_what_it_knows(&mut self) {
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
