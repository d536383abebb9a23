//! Defects of "Replay".

use super::{Ask, Frame, Input, Seams, Table, answers, ask, decide, heard, input, queue_of, said};
use crate::{
    embed::reference::queue::model::{Answer, Effect, Kind, Place, Queue, Record, Refusal},
    protocol::Cut::{Port, Wire},
    selftest::defects::Breakage,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use wireproof_spec::queue::{QueueType, requirements::*};

pub(super) const TABLE: Table = &[
    Breakage::second("queue/replay/second-return-short", QUEUE_REPLAY_1, Port, second_return_short),
    Breakage::boundary("queue/replay/paused-forgotten", QUEUE_REPLAY_1, Port, || {
        subscribed(|queue, _, from, live| {
            if queue.paused.is_some() {
                *from = live;
            }
        })
    }),
    Breakage::boundary("queue/replay/ends-at-a-gap", QUEUE_REPLAY_1, Port, || {
        decide(|_, _, decision| {
            for answer in answers(decision) {
                if let Answer::Push { places, .. } = answer {
                    let gap = places.windows(2).position(|two| two[0].offset + 1 != two[1].offset);
                    places.truncate(gap.map_or(places.len(), |at| at + 1));
                }
            }
        })
    }),
    Breakage::boundary("queue/replay/last-as-message", QUEUE_REPLAY_2, Port, last_as_message),
    Breakage::boundary("queue/replay/out-of-order", QUEUE_REPLAY_3, Wire, || {
        said(|_, frame| {
            if frame["type"] == "replay"
                && let Some(messages) = frame["messages"].as_array_mut()
                && let count @ 4.. = messages.len()
            {
                messages.swap(count - 1, count - 2);
            }
        })
    }),
    Breakage::second("queue/replay/behind-a-message", QUEUE_REPLAY_4, Wire, behind_a_message),
    Breakage::boundary("queue/replay/whole-pages", QUEUE_REPLAY_5, Port, || {
        // Four messages a page, and a replay begins with one.
        subscribed(|_, last, from, _| {
            if last > 2 {
                *from = *from / 4 * 4;
            }
        })
    }),
    Breakage::boundary("queue/replay/once-more", QUEUE_REPLAY_6, Port, || {
        subscribed(|_, last, from, _| {
            if last > 0 {
                *from -= 1;
            }
        })
    }),
    Breakage::race("queue/replay/burst-overflows", QUEUE_REPLAY_7, Port, burst_overflows),
    Breakage::race("queue/replay/lost-at-the-switch", QUEUE_REPLAY_7, Port, lost_at_the_switch)
        .wide("many checks publish something when a client has just come back"),
    Breakage::race("queue/replay/live-into-it", QUEUE_REPLAY_8, Port, live_into_it).variant("small-batches"),
    Breakage::boundary("queue/replay/zero-as-none", QUEUE_REPLAY_9, Port, || {
        input(|_, input| {
            if let Input::Ask { ask: Ask::Subscribe { last, .. }, .. } = input
                && *last == Some(0)
            {
                *last = None;
            }
        })
    })
    .wide("the offset 0 is where many checks come back from"),
    Breakage::boundary("queue/replay/last-gone-starts-over", QUEUE_REPLAY_10, Port, || {
        subscribed(|queue, last, from, live| {
            if *from == live && u64::try_from(last).is_ok_and(|last| last < live && is_gone(queue, last)) {
                *from = queue.start;
            }
        })
    }),
    Breakage::boundary("queue/replay/too-old-refused", QUEUE_REPLAY_11, Port, || {
        decide(|state, input, decision| {
            let Some((_, Ask::Subscribe { last: Some(last), .. })) = ask(input) else { return };
            let start = queue_of(state, input).map_or(0, |queue| queue.start);
            if last.saturating_add(1) < i64::try_from(start).unwrap_or(i64::MAX) {
                decision.records.clear();
                answers(decision).for_each(|answer| *answer = Answer::Refused(Refusal::NoQueue));
            }
        })
    }),
    Breakage::boundary("queue/replay/too-old-as-none", QUEUE_REPLAY_11, Port, || {
        subscribed(|queue, last, from, live| {
            if last.saturating_add(1) < i64::try_from(queue.start).unwrap_or(i64::MAX) {
                *from = live;
            }
        })
    }),
    Breakage::boundary("queue/replay/not-without-client-id", QUEUE_REPLAY_13, Wire, || {
        heard(|_, frame| {
            let Frame::Text(text) = frame else { return };
            let Ok(Value::Object(mut request)) = serde_json::from_str::<Value>(text) else { return };
            let last = request.get("last_offset").and_then(Value::as_i64);
            if !request.contains_key("client_id") && last.is_some_and(|last| last >= 0) {
                request.remove("last_offset");
                *text = Value::Object(request).to_string();
            }
        })
    }),
    Breakage::boundary("queue/replay/big-batches", QUEUE_REPLAY_14, Port, || {
        input(|_, input| {
            if let Input::Ask { ask: Ask::Next { most, .. }, .. } = input {
                *most = most.saturating_mul(2);
            }
        })
    }),
    Breakage::second("queue/replay/of-the-first-queue", QUEUE_REPLAY_15, Port, of_the_first_queue),
    Breakage::boundary("queue/replay/expires-later", QUEUE_REPLAY_18, Port, || {
        // All but the first of a queue live longer than they should.
        const LONGER_MS: u64 = 3_000;
        decide(|state, input, decision| {
            let first = queue_of(state, input).is_none_or(|queue| queue.ends.is_empty());
            if first || queue_of(state, input).is_some_and(|queue| queue.kind == QueueType::Worker) {
                return;
            }
            for record in &mut decision.records {
                if let Record::Published { expires: Some(end), .. } = record {
                    *end += LONGER_MS;
                }
            }
        })
    }),
    Breakage::boundary("queue/replay/acknowledged-again", QUEUE_REPLAY_19, Port, acknowledged_again),
];

/// Where the replay of a client begins that names its last offset: from the queue, that offset, and where the queue is live.
fn subscribed(mut change: impl FnMut(&Queue, i64, &mut u64, u64) + Send + 'static) -> Seams {
    decide(move |state, input, decision| {
        let Some((_, Ask::Subscribe { last: Some(last), .. })) = ask(input) else { return };
        let Some(queue) = queue_of(state, input) else { return };
        for answer in answers(decision) {
            if let Answer::Subscribed { from, live, .. } = answer {
                change(queue, *last, from, *live);
            }
        }
    })
}

/// Whether there was a message with this offset, and is none any more.
fn is_gone(queue: &Queue, offset: u64) -> bool {
    offset < queue.start || queue.gone.range(..=offset).next_back().is_some_and(|(_, to)| offset < *to)
}

/// When a client comes back once more the first message that it missed is left out.
fn second_return_short() -> Seams {
    let mut returns: BTreeMap<String, u32> = BTreeMap::new();
    decide(move |_, input, decision| {
        let Some((_, Ask::Subscribe { last: Some(_), who })) = ask(input) else { return };
        let count = returns.entry(who.client_id.clone()).or_default();
        *count += 1;
        for answer in answers(decision).filter(|_| *count > 1) {
            if let Answer::Subscribed { from, live, .. } = answer
                && *from < *live
            {
                *from += 1;
            }
        }
    })
}

/// Of several messages that were missed the last is taken for one that was just published.
fn last_as_message() -> Seams {
    decide(|_, input, decision| {
        let Some((_, Ask::Subscribe { last: Some(_), .. })) = ask(input) else { return };
        let mut several = false;
        for answer in answers(decision) {
            if let Answer::Subscribed { from, live, .. } = answer
                && *from + 1 < *live
            {
                *live -= 1;
                several = true;
            }
        }
        for record in decision.records.iter_mut().filter(|_| several) {
            if let Record::Subscribed { live, .. } = record {
                *live -= 1;
            }
        }
    })
}

/// Behind a replay of several frames the second live message has the type replay.
fn behind_a_message() -> Seams {
    let counts: Mutex<BTreeMap<u64, (u32, u32)>> = Mutex::default();
    said(move |number, frame| {
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        let (replays, live) = counts.entry(number).or_default();
        if frame["type"] == "replay" {
            *replays += 1;
        } else if frame["type"] == "message" {
            *live += 1;
            if *replays > 1 && *live == 2 {
                frame["type"] = "replay".into();
            }
        }
    })
}

/// A client that comes back has room for two messages that are published at once; the third is lost on it.
fn burst_overflows() -> Seams {
    const MOMENT: Duration = Duration::from_millis(100);
    let mut came: BTreeMap<u64, Instant> = BTreeMap::new();
    let mut lost: BTreeMap<u64, u64> = BTreeMap::new();
    decide(move |state, input, decision| {
        match input {
            Input::Ask { session, ask: Ask::Subscribe { last: Some(_), .. }, .. } => {
                came.insert(*session, Instant::now());
            }
            Input::Ask { name, ask: Ask::Publish { .. }, .. } => {
                let Some(queue) = state.queues.get(name) else { return };
                for session in &queue.subscribers {
                    let third = state.subscribers.get(session).is_some_and(|one| one.live + 2 == queue.next);
                    if third && came.get(session).is_some_and(|since| since.elapsed() < MOMENT) {
                        lost.insert(*session, queue.next);
                    }
                }
            }
            _ => {}
        }
        for effect in &mut decision.effects {
            if let Effect::Answer { session, answer: Answer::Push { places, .. } } = effect
                && let Some(offset) = lost.get(session)
            {
                places.retain(|place| place.offset != *offset);
            }
        }
    })
}

/// What is published while a replay is sent is in neither: what is live begins when the replay is over.
fn lost_at_the_switch() -> Seams {
    let mut replayed = BTreeSet::new();
    decide(move |state, input, decision| {
        let Input::Ask { session, ask: Ask::Next { from, .. }, .. } = input else { return };
        let Some(live) = state.subscribers.get(session).map(|one| one.live) else { return };
        if *from < live {
            replayed.insert(*session);
        } else if replayed.remove(session) {
            for answer in answers(decision) {
                if let Answer::Push { places, .. } = answer {
                    places.clear();
                }
            }
        }
    })
}

/// What is published while a replay is under way is pushed at once, in the middle of it.
fn live_into_it() -> Seams {
    let mut done = BTreeSet::new();
    decide(move |state, input, decision| {
        let Input::Ask { session, ask: Ask::Next { from, .. }, .. } = input else { return };
        let Some(live) = state.subscribers.get(session).map(|one| one.live) else { return };
        let published = queue_of(state, input).is_some_and(|queue| queue.next > live);
        if *from >= live || !published || !done.insert(*session) {
            return;
        }
        for answer in answers(decision) {
            if let Answer::Push { places, to, .. } = answer {
                *places = vec![place(live, Kind::Pending)];
                *to = *from;
            }
        }
    })
}

fn place(offset: u64, kind: Kind) -> Place {
    Place { offset, kind, attempts: None, max_retries: 5 }
}

/// A client is replayed what is in the queue to which it was subscribed first.
fn of_the_first_queue() -> Seams {
    let mut homes: BTreeMap<String, u64> = BTreeMap::new();
    let mut astray: BTreeMap<u64, u64> = BTreeMap::new();
    decide(move |state, input, decision| {
        let (Input::Ask { session, ask, .. }, Some(queue)) = (input, queue_of(state, input)) else { return };
        match ask {
            Ask::Subscribe { last, who } => {
                let home = *homes.entry(who.client_id.clone()).or_insert(queue.incarnation);
                if last.is_some() && home != queue.incarnation {
                    astray.insert(*session, home);
                }
            }
            Ask::Next { from, .. } => {
                let live = state.subscribers.get(session).map_or(0, |one| one.live);
                for answer in answers(decision).filter(|_| *from < live) {
                    if let (Answer::Push { incarnation, .. }, Some(home)) = (answer, astray.get(session)) {
                        *incarnation = *home;
                    }
                }
            }
            _ => {}
        }
    })
}

/// Who subscribes to a worker queue with a last offset is pushed what comes behind it and is done.
fn acknowledged_again() -> Seams {
    let mut behind: BTreeMap<u64, u64> = BTreeMap::new();
    decide(move |state, input, decision| {
        let (Input::Ask { session, ask, .. }, Some(queue)) = (input, queue_of(state, input)) else { return };
        match ask {
            Ask::Subscribe { last: Some(last), .. } if queue.kind == QueueType::Worker => {
                behind.insert(*session, u64::try_from(last.saturating_add(1)).unwrap_or(0));
            }
            Ask::Work => {
                let Some(from) = behind.remove(session) else { return };
                let is_open = |offset: &u64| {
                    queue.open.contains_key(offset)
                        || queue.ready.contains(offset)
                        || queue.behind.contains(offset)
                        || queue.dead.contains_key(offset)
                };
                let done = (from..queue.fresh).filter(|offset| !is_open(offset) && !is_gone(queue, *offset));
                let places: Vec<Place> = done.map(|offset| place(offset, Kind::Delivered)).collect();
                if !places.is_empty() {
                    let answer = Answer::Push { incarnation: queue.incarnation, places, to: 0 };
                    decision.records.clear();
                    decision.effects = vec![Effect::Answer { session: *session, answer }];
                }
            }
            _ => {}
        }
    })
}
