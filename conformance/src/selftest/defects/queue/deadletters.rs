//! Defects of "DeadLetters".

use super::{
    Answer, Ask, Decision, Input, Queue, QueueModel, Record, Seams, State, Table, answers, ask, decide, is,
    queue_of, refusal, reply, request, success, told,
};
use crate::{
    embed::reference::queue::model::{Kind, Letter, Place, Stage},
    protocol::Cut::{Port, Wire},
    selftest::defects::{Breakage, wire::Count},
};
use serde_json::Value;
use std::collections::BTreeMap;
use wireproof_spec::{
    http::Request,
    queue::{Action, Route, requirements::*},
};

pub(super) const TABLE: Table = &[
    Breakage::boundary("queue/deadletters/no-retries-are-five", QUEUE_DEADLETTERS_1, Port, || {
        deaths(|queue, attempts, _| {
            if queue.settings.max_retries == 0 && attempts < 6 { Instead::Failed } else { Instead::Honest }
        })
    }),
    Breakage::boundary("queue/deadletters/one-retry-more", QUEUE_DEADLETTERS_1, Port, || {
        deaths(|queue, attempts, _| {
            let more = queue.settings.max_retries > 1 && attempts < queue.settings.max_retries + 2;
            if more { Instead::Failed } else { Instead::Honest }
        })
    }),
    Breakage::boundary("queue/deadletters/retries-cut-short", QUEUE_DEADLETTERS_1, Port, || {
        decide(|state, _, decision| {
            for record in &mut decision.records {
                if let Record::Failed { name, offset, .. } = record
                    && let Some(queue) = state.queues.get(name)
                    && let Some(open) = queue.open.get(offset)
                    && open.attempts + 1 == queue.settings.max_retries
                {
                    let reason = "it was given back".into();
                    *record = Record::Died { name: name.clone(), offset: *offset, reason, at: 0 };
                }
            }
        })
    }),
    Breakage::second("queue/deadletters/second-is-lost", QUEUE_DEADLETTERS_2, Port, || {
        deaths(|queue, _, input| {
            let lost = !queue.dead.is_empty() && !matches!(input, Input::Tick);
            if lost { Instead::Dropped } else { Instead::Honest }
        })
    }),
    Breakage::boundary("queue/deadletters/timed-out-is-lost", QUEUE_DEADLETTERS_3, Port, || {
        deaths(|_, _, input| if matches!(input, Input::Tick) { Instead::Dropped } else { Instead::Honest })
    }),
    Breakage::second("queue/deadletters/received-when-dead", QUEUE_DEADLETTERS_4, Port, || {
        decide(|state, input, decision| {
            if let (Some((name, Ask::Receive { .. })), Some(queue)) = (ask(input), queue_of(state, input))
                && queue.dead.len() > 1
            {
                receives_dead(name, queue, decision);
            }
        })
    }),
    Breakage::boundary("queue/deadletters/text-is-read", QUEUE_DEADLETTERS_5, Wire, || {
        told(Action::ListDeadLetters, |_, body| {
            each(body, |letter| {
                let read =
                    letter["payload"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
                if let Some(read @ Value::Object(_)) = read {
                    letter["payload"] = read;
                }
            })
        })
    }),
    Breakage::second("queue/deadletters/queue-by-its-name", QUEUE_DEADLETTERS_5, Wire, || {
        told(Action::ListDeadLetters, |request, body| {
            let name = name(request);
            if let Some(letter) = body["data"]["messages"].get_mut(1) {
                letter["queue_id"] = name.into();
            }
        })
    }),
    Breakage::second("queue/deadletters/second-replay-is-lost", QUEUE_DEADLETTERS_6, Port, || {
        let count = Count::new();
        decide(move |_, input, decision| {
            if let Some((name, Ask::ReplayDead(_))) = ask(input) {
                for record in &mut decision.records {
                    if let Record::Revived { offset, .. } = record
                        && count.up(&format!("{name} {offset}")) > 0
                    {
                        *record = dropped(name, *offset);
                    }
                }
            }
        })
    }),
    Breakage::second("queue/deadletters/second-replayed-is-listed", QUEUE_DEADLETTERS_7, Port, || {
        let mut replayed: Vec<(String, u64)> = Vec::new();
        decide(move |_, input, decision| {
            let Some((name, asked)) = ask(input) else { return };
            match asked {
                Ask::ReplayDead(_) => replayed.extend(revived(decision)),
                Ask::DeadLetters { .. } => {
                    let again = replayed.iter().filter(|(queue, _)| queue == name).skip(1);
                    let again: Vec<u64> = again.map(|(_, offset)| *offset).collect();
                    for answer in answers(decision) {
                        let Answer::Dead { letters, .. } = answer else { continue };
                        for offset in &again {
                            if letters.iter().all(|letter| letter.offset != *offset) {
                                let reason = "it was given back".into();
                                letters.push(Letter { offset: *offset, attempts: 1, reason, at: 0 });
                            }
                        }
                    }
                }
                _ => {}
            }
        })
    }),
    Breakage::boundary("queue/deadletters/offset-passed-over", QUEUE_DEADLETTERS_15, Wire, || {
        request(|request| {
            if is(request, Action::ListDeadLetters) {
                request.query.remove("offset");
            }
        })
    }),
    Breakage::boundary("queue/deadletters/total-of-the-page", QUEUE_DEADLETTERS_16, Wire, || {
        told(Action::ListDeadLetters, |_, body| {
            let count = body["data"]["messages"].as_array().map_or(0, Vec::len);
            body["data"]["total"] = count.into();
        })
    }),
    Breakage::boundary("queue/deadletters/total-with-expired", QUEUE_DEADLETTERS_16, Port, || {
        let mut most: BTreeMap<String, u64> = BTreeMap::new();
        decide(move |_, input, decision| {
            let Some((name, Ask::DeadLetters { .. })) = ask(input) else { return };
            for answer in answers(decision) {
                if let Answer::Dead { total, .. } = answer {
                    let most = most.entry(name.to_owned()).or_default();
                    *most = (*most).max(*total);
                    *total = *most;
                }
            }
        })
    }),
    Breakage::boundary("queue/deadletters/first-is-deleted", QUEUE_DEADLETTERS_8, Port, || {
        deletes(|name, queue, offset| dropped(name, queue.dead.keys().next().copied().unwrap_or(offset)))
    }),
    Breakage::boundary("queue/deadletters/deleted-is-replayed", QUEUE_DEADLETTERS_8, Port, || {
        deletes(|name, queue, offset| {
            if queue.dead.len() > 1 {
                Record::Revived { name: name.into(), offset }
            } else {
                dropped(name, offset)
            }
        })
    }),
    Breakage::boundary("queue/deadletters/purge-keeps-the-last", QUEUE_DEADLETTERS_9, Port, || {
        purges(|_, _, _, decision| {
            if decision.records.len() > 1 {
                decision.records.pop();
            }
        })
    }),
    Breakage::boundary("queue/deadletters/purge-takes-what-failed", QUEUE_DEADLETTERS_10, Port, || {
        purges(|_, name, queue, decision| {
            let failed = queue.open.iter().filter(|(_, open)| matches!(open.stage, Stage::Failed(_)));
            decision.records.extend(failed.map(|(offset, _)| dropped(name, *offset)));
        })
    }),
    Breakage::boundary("queue/deadletters/purge-takes-what-is-pending", QUEUE_DEADLETTERS_10, Port, || {
        purges(|_, name, queue, decision| {
            if !queue.dead.is_empty() {
                let (from, to) = (queue.fresh, queue.next);
                decision.records.push(Record::Dropped { name: name.into(), from, to });
            }
        })
    }),
    Breakage::boundary("queue/deadletters/purge-of-all-queues", QUEUE_DEADLETTERS_10, Port, || {
        purges(|state, name, _, decision| {
            for (other, queue) in state.queues.iter().filter(|(other, _)| *other != name) {
                decision.records.extend(queue.dead.keys().map(|offset| dropped(other, *offset)));
            }
        })
    })
    .wide("the queues of all checks lose their dead letters"),
    Breakage::always("queue/deadletters/unknown-replayed-too-late", QUEUE_DEADLETTERS_13, Wire, || {
        reply(|request, response| {
            if is(request, Action::ReplayDeadLetter) && response.status == 404 {
                *response = refusal(409);
            }
        })
    })
    .shape("a status by which nothing that is not there is refused"),
    Breakage::always("queue/deadletters/unknown-deleted", QUEUE_DEADLETTERS_14, Wire, || {
        reply(|request, response| {
            if is(request, Action::DeleteDeadLetter) && response.status == 404 {
                *response = success(&Value::Null);
            }
        })
    }),
];

/// What becomes of a message instead of its death.
enum Instead {
    Honest,
    Failed,
    Dropped,
}

/// Another end of what dies: by its queue, and how often it was received.
fn deaths(which: fn(&Queue, u64, &Input) -> Instead) -> Seams {
    decide(move |state, input, decision| {
        for record in &mut decision.records {
            if let Record::Died { name, offset, .. } = record
                && let Some(queue) = state.queues.get(name)
                && let Some(open) = queue.open.get(offset)
            {
                let (name, offset) = (name.clone(), *offset);
                match which(queue, open.attempts, input) {
                    Instead::Honest => {}
                    Instead::Failed => *record = Record::Failed { name, offset, again: 0 },
                    Instead::Dropped => *record = dropped(&name, offset),
                }
            }
        }
    })
}

fn dropped(name: &str, offset: u64) -> Record {
    Record::Dropped { name: name.into(), from: offset, to: offset + 1 }
}

/// Where nothing else is received, the first of the dead is.
fn receives_dead(name: &str, queue: &Queue, decision: &mut Decision<QueueModel>) {
    let Some((offset, death)) = queue.dead.iter().next().map(|(offset, death)| (*offset, death.clone()))
    else {
        return;
    };
    let mut received = false;
    for answer in answers(decision) {
        if let Answer::Received { place: place @ None, .. } = answer {
            let attempts = Some(death.attempts + 1);
            let max_retries = queue.settings.max_retries;
            *place = Some(Place { offset, kind: Kind::Leased, attempts, max_retries });
            received = true;
        }
    }
    if received {
        decision.records.push(Record::Leased { name: name.into(), offset, until: u64::MAX });
    }
}

/// Every dead letter of a list.
fn each(body: &mut Value, change: impl Fn(&mut Value)) {
    if let Some(letters) = body["data"]["messages"].as_array_mut() {
        letters.iter_mut().for_each(change);
    }
}

/// The name of the queue of a request.
fn name(request: &Request) -> String {
    Route::decode(request).ok().and_then(|route| route.queue().map(str::to_owned)).unwrap_or_default()
}

/// What is made pending again.
fn revived(decision: &Decision<QueueModel>) -> Vec<(String, u64)> {
    let revived = decision.records.iter().filter_map(|record| match record {
        Record::Revived { name, offset } => Some((name.clone(), *offset)),
        _ => None,
    });
    revived.collect()
}

/// Something else for the delete of a dead letter.
fn deletes(instead: fn(&str, &Queue, u64) -> Record) -> Seams {
    decide(move |state, input, decision| {
        if let (Some((name, Ask::DeleteDead(_))), Some(queue)) = (ask(input), queue_of(state, input)) {
            for record in &mut decision.records {
                if let Record::Dropped { from, .. } = record {
                    *record = instead(name, queue, *from);
                }
            }
        }
    })
}

/// Something more for a purge, or less.
fn purges(change: fn(&State, &str, &Queue, &mut Decision<QueueModel>)) -> Seams {
    decide(move |state, input, decision| {
        if let (Some((name, Ask::PurgeDead)), Some(queue)) = (ask(input), queue_of(state, input)) {
            change(state, name, queue, decision);
        }
    })
}
