//! A lane: checks one after the other, or so many at once, until all are done or something ends the run.

mod revival;

use super::*;
use crate::check::THERE_AGAIN;

impl Runner {
    /// One of those that wait, the longest first, and one of those that do not, by turns: the longest wait does not begin last,
    /// and the first verdict does not come last.
    pub(super) fn in_turn(&self, queue: VecDeque<&'static Check>) -> VecDeque<&'static Check> {
        let (mut waiting, quick): (Vec<&'static Check>, Vec<&'static Check>) =
            queue.into_iter().partition(|check| !self.waits(check).is_zero());
        waiting.sort_by_key(|check| Reverse(self.waits(check)));
        by_turns(quick, waiting).into()
    }

    pub(super) async fn lane(&mut self, lane: Lane, mut queue: VecDeque<&'static Check>, jobs: usize) {
        let mut running: JoinSet<()> = JoinSet::new();
        let mut flying: BTreeMap<Id, Flying> = BTreeMap::new();
        let mut interrupt = self.settings.interrupt.clone();
        loop {
            while running.len() < jobs && self.goes_on() {
                let Some(check) = queue.pop_front() else { break };
                if lane != Lane::Shared
                    && self.target.hooks.as_ref().is_some_and(|h| h.is_launched())
                    && let Err(fault) = self.act(Hook::Restart).await
                {
                    match fault {
                        Fault::Failed(why) => {
                            self.unreachable = Some(format!("it could not be restarted: {why}"));
                            queue.push_front(check);
                            break;
                        }
                        // There is a process for this check. A check that asks for a restart has to say what this means.
                        Fault::Refuses(why) => self.refuses = self.refuses.take().or(Some(why)),
                    }
                }
                let budget = self.budget(check);
                let cx = self.cx(check, budget);
                let (log, link, made) = (cx.log.clone(), cx.link.clone(), cx.made.clone());
                let over = budget + self.times.answer + self.times.slack;
                let id = running.spawn(drive(cx, over, self.left.clone())).id();
                flying.insert(id, Flying { check, log, link, made, since: Instant::now() });
            }
            if running.is_empty() {
                break;
            }
            let joined = tokio::select! {
                joined = running.join_next_with_id() => joined,
                () = interrupted(&mut interrupt) => {
                    self.interrupted = true;
                    running.shutdown().await;
                    break;
                }
            };
            let Some(joined) = joined else { break };
            let id = joined.as_ref().map_or_else(tokio::task::JoinError::id, |(id, _)| *id);
            let Some(Flying { check, log, link, made, since }) = flying.remove(&id) else { continue };
            if let Err(e) = joined {
                log.record(What::Harness { message: format!("the check ended with {e}") });
                self.left.sweep(&made, &link, self.times.alive).await;
            }
            self.finish(check, &log, since.elapsed());
            if self.stopped_at.is_some() {
                running.shutdown().await;
                break;
            }
            if let Some(why) = self.look_after(&log).await {
                let mut suspects = VecDeque::from([check]);
                suspects.extend(flying.values().map(|f| f.check));
                running.shutdown().await;
                for Flying { log, .. } in flying.values() {
                    log.record(What::Stopped { why: why.clone(), unreachable: true });
                }
                let put_off = std::mem::take(&mut flying);
                self.revive(why, suspects, &mut queue).await;
                let within = self.times.alive;
                let last = Flying { check, log, link, made, since };
                let all = put_off.values().chain([&last]);
                join_all(all.map(|f| self.left.sweep(&f.made, &f.link, within))).await;
            }
        }
        // Whoever interrupts does not want to wait: all at once, and not for long.
        let (left, within) = (&self.left, self.times.alive.min(Duration::from_secs(1)));
        join_all(flying.values().map(|f| left.sweep(&f.made, &f.link, within))).await;
        let selected = self.stopped_at.is_none();
        for Flying { check, log, since, .. } in flying.into_values() {
            if selected {
                log.record(What::Stopped { why: self.cut_short(), unreachable: false });
                self.finish(check, &log, since.elapsed());
            } else {
                queue.push_back(check);
            }
        }
        // Who asks for no more than the first failure leaves out what comes behind it; nobody looked for it in vain.
        let verdict = if selected { Verdict::Inconclusive } else { Verdict::NotSelected };
        for check in queue {
            self.leave_out(check, verdict, self.cut_short());
        }
    }

    pub(super) fn goes_on(&self) -> bool {
        self.unreachable.is_none() && !self.interrupted && self.stopped_at.is_none()
    }

    /// That the target did not start on what it kept, if no check was there to say so.
    pub(super) fn untold(&self) -> Option<String> {
        let told = |c: &Checked| {
            let mut events = c.events.iter();
            events.any(|e| matches!(&e.what, What::Broken { expected, .. } if expected.iter().any(|e| e.name == THERE_AGAIN)))
        };
        let why = self.refuses.as_ref().filter(|_| !self.checked.values().any(told))?;
        Some(format!("it does not start again on what it kept: {why}"))
    }

    /// Why a check did not come to its end, or not to its beginning.
    fn cut_short(&self) -> String {
        match &self.unreachable {
            Some(why) => format!("the target is unreachable: {why}"),
            None if self.stopped_at.is_some() => STOPPED.into(),
            None => INTERRUPTED.into(),
        }
    }

    /// Whether a run that stops at the first failure stops at this one.
    pub(super) fn is_first_failure(&self, checked: &Checked) -> bool {
        self.settings.fail_fast.as_ref().is_some_and(|known| match checked.verdict {
            Verdict::Error => true,
            Verdict::Fail => !known.excuses(checked),
            Verdict::Warn => self.settings.strict && !known.excuses(checked),
            _ => false,
        })
    }

    /// Acts on the process of the target for the sake of no check in particular.
    async fn act(&self, hook: Hook) -> Result<(), Fault> {
        let since = Instant::now();
        self.target.hook(hook).await?;
        let ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.sink.record(What::Hook { name: hook.name().into(), ms });
        Ok(())
    }

    /// After a check that could not reach the target: why it could not, if nobody else can.
    async fn look_after(&mut self, log: &Log) -> Option<String> {
        if self.settings.bare || self.unreachable.is_some() || matches!(self.target.kind, Kind::Client(_)) {
            return None;
        }
        let why = first_unreachable(log)?;
        (!self.is_there().await).then_some(why)
    }

    /// Whether the target answers.
    async fn is_there(&self) -> bool {
        let cx = self.cx(&GREETING, self.times.check);
        matches!(timeout(self.times.alive, (self.protocol.alive)(&cx.link)).await, Ok(Some(_)))
    }
}

/// A check that is on its way.
struct Flying {
    check: &'static Check,
    log: Log,
    link: Link,
    made: Made,
    since: Instant,
}

/// Drives one check and then removes what it made.
async fn drive(cx: Cx, over: Duration, left: Left) {
    if let Body::Drives(function) = cx.check.body
        && timeout(over, function(&cx)).await.is_err()
    {
        cx.log.record(What::Harness {
            message: format!("the check did not end within {} ms", over.as_millis()),
        });
    }
    left.sweep(&cx.made, &cx.link, cx.link.times.check).await;
}

/// Ends when somebody interrupts the run.
pub(super) async fn interrupted(interrupt: &mut Option<watch::Receiver<bool>>) {
    match interrupt {
        // Whoever could interrupt is gone: nobody will.
        Some(watch) => {
            if watch.wait_for(|stop| *stop).await.is_err() {
                std::future::pending().await
            }
        }
        None => std::future::pending().await,
    }
}

fn first_unreachable(log: &Log) -> Option<String> {
    log.events().iter().find_map(|e| match &e.what {
        What::Stopped { why, unreachable: true } => Some(why.clone()),
        _ => None,
    })
}
