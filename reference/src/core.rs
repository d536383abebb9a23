//! The driver of a model: decides one input at a time and holds every effect until the log is durable up to it.
//!
//! Reads are no exception, so nobody sees bytes that a crash could take back, and a read that follows an acknowledgement
//! sees what was acknowledged. The memory log is durable at once, so there effects are released at once.

use crate::{
    clock::{AGAIN, Clock, sleep_until},
    log::{Content, Error, Item, Log, Recovery},
    model::{Decision, Model, Port},
};
use std::{collections::VecDeque, path::Path};
use tokio::{sync::mpsc, time::Instant};

/// How many inputs are taken from the queue at once.
const BATCH: usize = 256;
/// How many records may be appended and not yet durable before inputs have to wait.
const IN_FLIGHT: u64 = 8192;
/// Where effects go, in the order in which they are released.
pub type Sink<M> = Box<dyn FnMut(<M as Model>::Effect) + Send>;

/// A model with its port and its log.
pub struct Core<M: Model> {
    state: M::State,
    port: Port<M>,
    log: Log,
    held: VecDeque<(u64, M::Effect)>,
    clock: Clock,
}

impl<M: Model> Core<M> {
    /// Without `data` the state is empty and in memory; with it, the state is what the log in this directory says.
    pub fn open(data: Option<&Path>, recovery: Option<Recovery>, port: Port<M>) -> Result<Self, Error> {
        let mut state = M::State::default();
        let log = match data {
            None => Log::memory(),
            Some(data) => Log::open(data, recovery, |record| {
                M::apply(&mut state, &serde_json::from_slice(record)?);
                Ok(())
            })?,
        };
        Ok(Self { state, port, log, held: VecDeque::new(), clock: Clock::start() })
    }

    /// The reading side of the log.
    pub fn content(&self) -> Content {
        self.log.content()
    }

    /// Runs until every sender of `inputs` is gone, everything is durable and every effect released; or until the log
    /// fails: then what is held is dropped unreleased.
    pub async fn run(mut self, mut inputs: mpsc::Receiver<M::Input>, mut sink: Sink<M>) -> Result<(), Error> {
        let mut batch = Vec::with_capacity(BATCH);
        let mut ticked: Option<Instant> = None;
        let mut open = true;
        self.decide(&[M::started()])?;
        loop {
            self.release(&mut sink);
            if !open && self.held.is_empty() {
                return self.log.close().await;
            }
            let room = self.log.position() - self.log.durable() < IN_FLIGHT;
            let wake = M::wake_at(&self.state).map(|at| {
                let due = self.clock.instant(at);
                ticked.map_or(due, |last| due.max(last + AGAIN))
            });
            tokio::select! {
                taken = inputs.recv_many(&mut batch, BATCH), if open && room => {
                    open = taken > 0;
                    self.decide(&batch)?;
                    batch.clear();
                }
                progress = self.log.progress() => progress?,
                () = sleep_until(wake) => {
                    let acted = self.decide(&[M::tick()])?;
                    ticked = (!acted).then(Instant::now);
                }
            }
        }
    }

    /// Decides and applies inputs one after the other; their records go to the log together, each decision's whole.
    /// Says whether anything changed.
    fn decide(&mut self, inputs: &[M::Input]) -> Result<bool, Error> {
        let mut items = Vec::new();
        let mut acted = false;
        for input in inputs {
            let Decision { records, effects } = (self.port)(&self.state, self.clock.now(), input);
            acted |= !records.is_empty();
            for record in &records {
                M::apply(&mut self.state, record);
                if M::durable(record) {
                    let json =
                        if self.log.keeps_records() { serde_json::to_vec(record)? } else { Vec::new() };
                    items.push(Item { record: json, block: M::block(record) });
                }
            }
            let position = self.log.position() + items.len() as u64;
            self.held.extend(effects.into_iter().map(|effect| (position, effect)));
        }
        if !items.is_empty() {
            self.log.append(items)?;
        }
        Ok(acted)
    }

    fn release(&mut self, sink: &mut Sink<M>) {
        let durable = self.log.durable();
        while self.held.front().is_some_and(|(position, _)| *position <= durable) {
            if let Some((_, effect)) = self.held.pop_front() {
                sink(effect);
            }
        }
    }
}
