//! Defects of "Push".

use super::{Ask, Frame, Seams, Table, answers, ask, decide, frames, queue_of, said, through};
use crate::{
    embed::reference::queue::model::{Answer, Effect, Input, Queue, Record, State, Waits},
    protocol::Cut::{Port, Wire},
    selftest::defects::{Breakage, port},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use wireproof_spec::queue::{QueueType, requirements::*};

pub(super) const TABLE: Table = &[
    Breakage::boundary("queue/push/empty-payload-lost", QUEUE_PUSH_1, Wire, || {
        frames(|_, frames| frames.retain(|frame| !message_of(frame).is_some_and(|push| is_empty(&push))))
    }),
    Breakage::second("queue/push/lost-behind-a-silence", QUEUE_PUSH_1, Wire, lost_behind_a_silence),
    Breakage::boundary("queue/push/replay-for-who-is-new", QUEUE_PUSH_2, Port, || {
        decide(|_, input, decision| {
            if let Some((_, Ask::Subscribe { last: None, .. })) = ask(input) {
                for answer in answers(decision) {
                    if let Answer::Subscribed { live, .. } = answer {
                        *live = u64::MAX;
                    }
                }
            }
        })
    }),
    Breakage::always("queue/push/together", QUEUE_PUSH_3, Wire, || frames(|_, frames| together(frames))),
    Breakage::always("queue/push/another-queue-id", QUEUE_PUSH_4, Wire, || {
        said(|_, frame| {
            if frame.get("queue_id").is_some() {
                frame["queue_id"] = json!(ELSEWHERE);
                each_message(frame, |message| message["queue_id"] = json!(ELSEWHERE));
            }
        })
    }),
    Breakage::always("queue/push/another-queue-id-in-messages", QUEUE_PUSH_5, Wire, || {
        said(|_, frame| each_message(frame, |message| message["queue_id"] = json!(ELSEWHERE)))
    }),
    Breakage::second("queue/push/of-the-first-queue-too", QUEUE_PUSH_19, Port, of_the_first_queue_too),
    Breakage::boundary("queue/push/ninth-forgotten", QUEUE_PUSH_6, Port, ninth_forgotten),
    Breakage::second("queue/push/worker-to-two", QUEUE_PUSH_7, Port, to_two),
    Breakage::boundary("queue/push/worker-one-less", QUEUE_PUSH_8, Port, || {
        through(port::rewrite_state(|state: &mut State, input: &Input| {
            if hands_out(input) {
                for queue in state.queues.values_mut() {
                    queue.settings.in_flight = queue.settings.in_flight.saturating_sub(1).max(1);
                }
            }
        }))
    }),
    Breakage::boundary("queue/push/worker-received-counts", QUEUE_PUSH_8, Port, || {
        // What anybody has received counts for each connection.
        through(port::rewrite_state(|state: &mut State, input: &Input| {
            if hands_out(input) {
                for queue in state.queues.values_mut() {
                    let elsewhere = queue.leases.len() as u64;
                    let held: u64 = queue
                        .subscribers
                        .iter()
                        .filter_map(|one| state.subscribers.get(one))
                        .map(|one| one.open)
                        .sum();
                    let others = elsewhere.saturating_sub(held);
                    queue.settings.in_flight = queue.settings.in_flight.saturating_sub(others);
                }
            }
        }))
    }),
    Breakage::second("queue/push/second-pause-pushes", QUEUE_PUSH_10, Port, || {
        let mut pauses: BTreeMap<String, u32> = BTreeMap::new();
        through(port::rewrite_state(move |state: &mut State, input: &Input| {
            if let Some((name, Ask::Pause(true))) = ask(input) {
                *pauses.entry(name.to_owned()).or_default() += 1;
            }
            if hands_out(input) {
                for (name, queue) in &mut state.queues {
                    if pauses.get(name).is_some_and(|count| *count > 1) {
                        queue.paused = None;
                    }
                }
            }
        }))
    }),
    Breakage::boundary("queue/push/replay-in-a-pause", QUEUE_PUSH_10, Port, || {
        through(port::rewrite_state(|state: &mut State, input: &Input| {
            if let Input::Ask { session, name, ask: Ask::Next { from, .. } } = input
                && state.subscribers.get(session).is_some_and(|one| *from < one.live)
                && let Some(queue) = state.queues.get_mut(name)
            {
                queue.paused = None;
            }
        }))
    }),
    Breakage::boundary("queue/push/lost-in-a-pause", QUEUE_PUSH_11, Port, || {
        lost_in_a_pause(QueueType::Pubsub)
    }),
    Breakage::boundary("queue/push/worker-lost-in-a-pause", QUEUE_PUSH_12, Port, || {
        lost_in_a_pause(QueueType::Worker)
    }),
];

/// The id of a queue that is another one.
const ELSEWHERE: &str = "queue_fffff";

/// The Push of the type message that is in a frame.
fn message_of(frame: &Frame) -> Option<Value> {
    let Frame::Text(text) = frame else { return None };
    let push: Value = serde_json::from_str(text).ok()?;
    (push["type"] == "message").then_some(push)
}

/// Whether the payload of its message is what some languages take for nothing.
fn is_empty(push: &Value) -> bool {
    let payload = &push["messages"][0]["payload"];
    *payload == false || *payload == "" || *payload == json!([])
}

/// Each message of a Push, changed.
fn each_message(push: &mut Value, change: impl Fn(&mut Value)) {
    if let Some(messages) = push["messages"].as_array_mut() {
        messages.iter_mut().for_each(change);
    }
}

/// Who was pushed nothing for a moment, and something twice before, misses the next message.
fn lost_behind_a_silence() -> Seams {
    const MOMENT: Duration = Duration::from_millis(400);
    let pushed: Mutex<BTreeMap<u64, (u32, Instant)>> = Mutex::default();
    frames(move |number, frames| {
        if !frames.iter().any(|frame| message_of(frame).is_some()) {
            return;
        }
        let mut pushed = pushed.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, since) = pushed.entry(number).or_insert((0, Instant::now()));
        if *count > 1 && since.elapsed() > MOMENT {
            frames.clear();
        }
        (*count, *since) = (*count + 1, Instant::now());
    })
}

/// What goes out at the same time goes out in one Push.
fn together(frames: &mut Vec<Frame>) {
    let mut all: Option<Value> = None;
    frames.retain(|frame| match (message_of(frame), &mut all) {
        (Some(mut push), Some(Value::Object(first))) => {
            if let (Some(Value::Array(list)), Some(more)) =
                (first.get_mut("messages"), push["messages"].as_array_mut())
            {
                list.append(more);
            }
            false
        }
        (Some(push), _) => {
            all = Some(push);
            false
        }
        (None, _) => true,
    });
    frames.extend(all.map(|push| Frame::Text(push.to_string())));
}

/// Whether an input may have messages handed out.
fn hands_out(input: &Input) -> bool {
    matches!(input, Input::Tick) || matches!(ask(input), Some((_, Ask::Next { .. } | Ask::Work)))
}

/// The queue to which a session is subscribed.
fn queue_of_session(state: &State, session: u64) -> Option<&Queue> {
    state.subscribers.get(&session).and_then(|one| state.queues.get(&one.name))
}

/// What is published to the queue to which somebody was subscribed first is pushed to those of the second one too, from its
/// second message on.
fn of_the_first_queue_too() -> Seams {
    let mut pair: Vec<u64> = Vec::new();
    decide(move |state, input, decision| {
        if let (Some((_, Ask::Subscribe { .. })), Some(queue)) = (ask(input), queue_of(state, input))
            && pair.len() < 2
            && !pair.contains(&queue.incarnation)
        {
            pair.push(queue.incarnation);
        }
        let [first, second] = pair[..] else { return };
        let of_the_first = |effect: &Effect| match effect {
            Effect::Answer { answer: Answer::Push { incarnation, places, .. }, .. } => {
                let later = *incarnation == first && places.iter().any(|place| place.offset > 0);
                later.then(|| places.clone())
            }
            _ => None,
        };
        let Some(places) = decision.effects.iter().find_map(of_the_first) else { return };
        let Some(queue) = state.queues.values().find(|queue| queue.incarnation == second) else { return };
        for session in queue.idle.iter().copied() {
            let busy =
                |effect: &Effect| matches!(effect, Effect::Answer { session: one, .. } if *one == session);
            if decision.effects.iter().any(busy) {
                continue;
            }
            // Where its own queue goes on for it, it goes on.
            if let Some(Waits::Next(from, _)) = state.waits.get(&session).map(|wait| wait.what) {
                let answer = Answer::Push { incarnation: first, places: places.clone(), to: from };
                decision.records.push(Record::Woken { session });
                decision.effects.push(Effect::Answer { session, answer });
            }
        }
    })
}

/// Of the subscribers of a queue those behind the eighth are pushed nothing.
fn ninth_forgotten() -> Seams {
    decide(|state, _, decision| {
        for effect in &mut decision.effects {
            if let Effect::Answer { session, answer: Answer::Push { places, .. } } = effect
                && let Some(queue) = queue_of_session(state, *session)
                && queue.subscribers.iter().skip(8).any(|one| one == session)
            {
                places.clear();
            }
        }
    })
}

/// From the second message of a queue on each is for two.
fn to_two() -> Seams {
    decide(|state, _, decision| {
        let mut twice = Vec::new();
        for effect in &decision.effects {
            let Effect::Answer { session, answer } = effect else { continue };
            let Answer::Push { places, .. } = answer else { continue };
            let Some(queue) = queue_of_session(state, *session) else { continue };
            if queue.kind != QueueType::Worker || places.iter().all(|place| place.offset == 0) {
                continue;
            }
            let other = queue.idle.iter().find(|one| {
                *one != session && state.waits.get(one).is_some_and(|wait| wait.what == Waits::Work)
            });
            twice.extend(other.map(|other| (*other, answer.clone())));
        }
        for (session, answer) in twice {
            // One that is given another message now has its hands full.
            let busy =
                |effect: &Effect| matches!(effect, Effect::Answer { session: one, .. } if *one == session);
            if !decision.effects.iter().any(busy) {
                decision.records.push(Record::Woken { session });
                decision.effects.push(Effect::Answer { session, answer });
            }
        }
    })
}

/// Of what is published while a queue is paused the first is lost to those who wait, if there is more.
fn lost_in_a_pause(kind: QueueType) -> Seams {
    let (mut since, mut lost) = (BTreeMap::new(), BTreeMap::new());
    decide(move |state, input, decision| {
        if let (Some(queue), Some((_, Ask::Pause(pause)))) = (queue_of(state, input), ask(input))
            && queue.kind == kind
        {
            if *pause {
                since.insert(queue.incarnation, queue.next);
            } else if let Some(from) = since.remove(&queue.incarnation)
                && queue.next > from + 1
            {
                lost.insert(queue.incarnation, from);
            }
        }
        if matches!(input, Input::Tick) {
            for answer in answers(decision) {
                if let Answer::Push { incarnation, places, .. } = answer
                    && let Some(one) = lost.get(incarnation)
                {
                    places.retain(|place| place.offset != *one);
                }
            }
        }
    })
}
