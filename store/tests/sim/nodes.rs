//! Starts, stops, kills, and nodes that take over from each other with the same bucket.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use store::{Error, Point};

use crate::faults;
use crate::life::{self, Life};
use crate::world::World;

/// Nodes of one bucket: more would add nothing but time.
const NODES_MAX: usize = 3;

impl World {
    pub(crate) fn crash(&mut self) -> Result<(), String> {
        self.tell("kill");
        let life = self.life.take().expect("a node runs");
        self.note_blocks(&life);
        let folder = life.kill();
        self.folders[self.model.node] = Some(folder);
        self.start()
    }

    pub(crate) fn stop_and_start(&mut self) -> Result<(), String> {
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
    pub(crate) fn start(&mut self) -> Result<(), String> {
        self.lives += 1;
        self.tally.lives += 1;
        self.appends.clear();
        self.questions.clear();
        let (objects, sent) = self.gate.begin_life(self.lives);
        for request in sent {
            if faults::is_carried_out(&mut self.dice) {
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
}
