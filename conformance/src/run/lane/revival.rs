//! What is done when a target that we launched stops answering in the middle of a run: it is started again, and who can have done
//! that is found by driving the checks that were under way once more, each alone with a process of its own.
//!
//! A server that ends, or hangs, when it gets a request that it has to take is no server that could not be reached. The check
//! under which that happens when nobody else speaks with the target makes its claim about the answer that did not come.

use super::*;

/// How often a target is started again because it stopped answering.
const REVIVALS: usize = 4;
/// Under how many checks, each alone, it stops answering until enough is known.
const ENOUGH: usize = 6;

impl Runner {
    /// Starts the target again and drives the suspects alone; if it cannot be started, or too often has been, it is unreachable.
    pub(super) async fn revive(
        &mut self,
        why: String,
        mut suspects: VecDeque<&'static Check>,
        queue: &mut VecDeque<&'static Check>,
    ) {
        self.revivals += 1;
        let is_launched = self.target.hooks.as_ref().is_some_and(|hooks| hooks.is_launched());
        if !is_launched || self.revivals > REVIVALS {
            self.give_up(why, suspects, queue);
            return;
        }
        let names: Vec<&str> = suspects.iter().map(|check| check.name).collect();
        let together = format!(
            "it stopped answering while {} were under way, and under none of them alone: {why}",
            names.join(", ")
        );
        let mut found = false;
        while let Some(check) = suspects.pop_front() {
            // On what it kept or on nothing: it has to be a new process, no more.
            if let Err(Fault::Failed(e)) = self.act(Hook::Kill).await {
                suspects.push_front(check);
                self.give_up(format!("{why}; and it could not be started again: {e}"), suspects, queue);
                return;
            }
            let log = self.drive_alone(check).await;
            if self.interrupted || self.stopped_at.is_some() {
                suspects.into_iter().rev().for_each(|check| queue.push_front(check));
                return;
            }
            if self.is_there().await {
                continue;
            }
            found = true;
            self.ended_under += 1;
            if self.ended_under >= ENOUGH {
                self.give_up(why, suspects, queue);
                return;
            }
            // What broke as a set-up here is the subject of others, who claim it.
            if let Some(id) = broken_set_up(&log) {
                let (claim, others) =
                    queue.drain(..).partition(|c| c.requirements.iter().any(|own| own.as_str() == id));
                *queue = others;
                let claim: VecDeque<&'static Check> = claim;
                claim.into_iter().rev().for_each(|check| suspects.push_front(check));
            }
        }
        match self.act(Hook::Kill).await {
            Ok(()) | Err(Fault::Refuses(_)) if found => {}
            // Nobody is to blame, and all is not well either.
            Ok(()) | Err(Fault::Refuses(_)) => self.fell = Some(together),
            Err(Fault::Failed(e)) => {
                self.unreachable = Some(format!("{why}; and it could not be started again: {e}"))
            }
        }
    }

    /// Leaves the suspects to be told like all that is not driven any more.
    fn give_up(
        &mut self,
        why: String,
        suspects: VecDeque<&'static Check>,
        queue: &mut VecDeque<&'static Check>,
    ) {
        self.unreachable = Some(why);
        let untold = suspects.into_iter().filter(|check| !self.checked.contains_key(check.name));
        queue.extend(untold.collect::<Vec<_>>());
    }

    /// Drives one check when nobody else speaks with the target.
    async fn drive_alone(&mut self, check: &'static Check) -> Log {
        let budget = self.budget(check);
        let mut cx = self.cx(check, budget);
        cx.alone();
        let (log, since) = (cx.log.clone(), Instant::now());
        let over = budget + self.times.answer + self.times.slack;
        let mut interrupt = self.settings.interrupt.clone();
        let mut running = tokio::spawn(drive(cx, over, self.left.clone()));
        tokio::select! {
            joined = &mut running => {
                if let Err(e) = joined {
                    log.record(What::Harness { message: format!("the check ended with {e}") });
                }
            }
            () = interrupted(&mut interrupt) => {
                running.abort();
                self.interrupted = true;
                log.record(What::Stopped { why: self.cut_short(), unreachable: false });
            }
        }
        self.finish(check, &log, since.elapsed());
        log
    }
}

/// The requirement on which the set-up of a check broke.
fn broken_set_up(log: &Log) -> Option<String> {
    log.events().iter().rev().find_map(|e| match &e.what {
        What::SetUp { requirement, .. } => Some(requirement.clone()),
        _ => None,
    })
}
