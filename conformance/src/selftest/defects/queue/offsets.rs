//! Defects of "Offsets".

use super::{
    Ask, Count, HttpSeams, Seams, Table, answers, ask, decide, is, queue_of, refusal, reply, rewrite, said,
    told,
};
use crate::{
    embed::reference::queue::model::{Answer, Effect, Record, Waits},
    protocol::Cut::{Port, Wire},
    selftest::defects::{
        Breakage,
        wire::{Flying, HOLD},
    },
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};
use wireproof_spec::{
    http::{Body, Request},
    queue::{Action, QueueType, requirements::*},
};

pub(super) const TABLE: Table = &[
    Breakage::boundary("queue/offsets/batch-skips-one", QUEUE_OFFSETS_1, Port, || {
        later(|_, drafts| drafts > 1)
    }),
    Breakage::always("queue/offsets/from-one", QUEUE_OFFSETS_2, Port, || {
        later(|queue, _| queue.next == 0 && queue.kind == QueueType::Worker)
    })
    .wide("many checks count the offsets of a queue from 0"),
    Breakage::race("queue/offsets/twice-at-once", QUEUE_OFFSETS_3, Wire, twice_at_once),
    Breakage::boundary("queue/offsets/replayed-is-pushed", QUEUE_OFFSETS_4, Port, replayed_is_pushed),
    Breakage::always("queue/offsets/of-the-partition", QUEUE_OFFSETS_5, Wire, || {
        said(|_, frame| {
            for message in frame["messages"].as_array_mut().into_iter().flatten() {
                if message["partition_key"].is_string() {
                    message["offset"] = json!(0);
                }
            }
        })
    }),
    Breakage::second("queue/offsets/second-refused-takes-one", QUEUE_OFFSETS_6, Wire, refused_takes_one),
    Breakage::boundary("queue/offsets/of-the-deleted", QUEUE_OFFSETS_7, Wire, of_the_deleted),
    Breakage::always("queue/offsets/half", QUEUE_OFFSETS_8, Wire, || {
        told(Action::Head, |_, body| body["data"]["offset"] = json!(0.5))
    })
    .shape("an offset that is no whole number is in no schema"),
];

/// What is published at such a moment leaves an offset out before it; told the queue and how many messages there are.
fn later(when: fn(&super::Queue, usize) -> bool) -> Seams {
    decide(move |state, input, decision| {
        let Some((_, Ask::Publish { drafts })) = ask(input) else { return };
        if !queue_of(state, input).is_some_and(|queue| when(queue, drafts.len())) {
            return;
        }
        for record in &mut decision.records {
            if let Record::Published { offset, .. } = record {
                *offset += 1;
            }
        }
        for answer in answers(decision) {
            if let Answer::Messages { places, .. } = answer {
                places.iter_mut().for_each(|place| place.offset += 1);
            }
        }
    })
}

/// Of publishes at the same time each is told the offset before its own.
fn twice_at_once() -> Seams {
    let flying = Flying::default();
    let up = flying.clone();
    Seams::from(HttpSeams {
        request: Box::new(move |request| {
            if is(request, Action::Publish) {
                up.takes_off(request);
            }
        }),
        delay: Some(Box::new(|request, _| is(request, Action::Publish).then_some(HOLD * 2))),
        ..told(Action::Publish, move |request, body| {
            let offset = &mut body["data"]["message"]["offset"];
            if flying.several(&request.path)
                && let Some(before @ 0..) = offset.as_i64().map(|offset| offset - 1)
            {
                *offset = json!(before);
            }
        })
    })
}

/// A message that is made pending again is pushed again.
fn replayed_is_pushed() -> Seams {
    decide(|state, input, decision| {
        let (Some((_, Ask::ReplayMessage(_))), Some(queue)) = (ask(input), queue_of(state, input)) else {
            return;
        };
        let places = answers(decision).find_map(|answer| match answer {
            Answer::Messages { places, .. } => Some(places.clone()),
            _ => None,
        });
        let Some(places) = places.filter(|_| queue.kind == QueueType::Pubsub) else { return };
        for session in &queue.idle {
            if let Some(Waits::Next(to, _)) = state.waits.get(session).map(|wait| wait.what) {
                let answer = Answer::Push { incarnation: queue.incarnation, places: places.clone(), to };
                decision.records.push(Record::Woken { session: *session });
                decision.effects.push(Effect::Answer { session: *session, answer });
            }
        }
    })
}

/// From the second on, a publish that is refused for its size has taken an offset.
fn refused_takes_one() -> Seams {
    /// The greatest size of a body that may pass, in about.
    const MOST: usize = 1_048_576;
    const MARK: &str = "x-refused";
    let count = Count::new();
    Seams::from(HttpSeams {
        request: Box::new(move |request: &mut Request| {
            if is(request, Action::Publish) && request.body.0.len() > MOST && count.up(&request.path) > 0 {
                request.body = Body(json!({"payload": "x"}).to_string().into());
                request.headers.set(MARK, "yes");
            }
        }),
        ..reply(|request, response| {
            if request.headers.get(MARK).is_some() {
                *response = refusal(413);
            }
        })
    })
}

/// When the newest message is deleted the next is told its offset.
fn of_the_deleted() -> Seams {
    /// The id of the newest message of each queue, and whether it was deleted.
    type Newest = BTreeMap<String, (String, bool)>;
    let newest: Mutex<Newest> = Mutex::default();
    reply(move |request, response| {
        if !(200..300).contains(&response.status) {
            return;
        }
        let mut newest = newest.lock().unwrap_or_else(PoisonError::into_inner);
        let mut segments = request.path.rsplit('/');
        let last = segments.next().unwrap_or_default().to_owned();
        if is(request, Action::DeleteMessage) {
            let name = segments.next().unwrap_or_default();
            if let Some((id, deleted)) = newest.get_mut(name) {
                *deleted = *deleted || *id == last;
            }
        } else if is(request, Action::Publish) {
            let was_deleted = newest.get(&last).is_some_and(|(_, deleted)| *deleted);
            rewrite(response, |body| {
                let message = &mut body["data"]["message"];
                newest.insert(last, (message["id"].as_str().unwrap_or_default().to_owned(), false));
                if let (true, Some(offset)) = (was_deleted, message["offset"].as_i64()) {
                    message["offset"] = Value::from(offset - 1);
                }
            });
        }
    })
}
