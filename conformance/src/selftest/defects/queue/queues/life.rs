//! A queue is made a second time, or does not end.

use super::{
    Action, Answer, Ask, Breakage, Count, Port, QUEUE_QUEUES_10, QUEUE_QUEUES_11, QUEUE_QUEUES_12,
    QUEUE_QUEUES_15, QUEUE_QUEUES_16, Record, Request, Seams, Settings, Table, Value, Wire, ask, decide, is,
    port, racing, refusal, reply, success,
};
use crate::embed::reference::queue::QueueModel;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};
use wireproof_spec::queue::Route;

pub(in super::super) const TABLE: Table = &[
    Breakage::boundary("queue/queues/same-again-accepted", QUEUE_QUEUES_10, Port, || {
        decide(|state, input, decision| {
            if let Some((name, Ask::Create(create))) = ask(input)
                && let Some(queue) = state.queues.get(name).filter(|queue| queue.kind == create.kind)
            {
                for answer in super::super::answers(decision) {
                    *answer = Answer::Queue(queue.facts(name));
                }
            }
        })
    }),
    Breakage::second("queue/queues/second-time-taken", QUEUE_QUEUES_10, Port, || {
        let refused = Count::new();
        decide(move |state, input, decision| {
            if let Some((name, Ask::Create(_))) = ask(input)
                && let Some(queue) = state.queues.get(name)
                && refused.up(name) > 0
            {
                for answer in super::super::answers(decision) {
                    *answer = Answer::Queue(queue.facts(name));
                }
            }
        })
    }),
    Breakage::boundary("queue/queues/refused-and-changed", QUEUE_QUEUES_11, Port, || {
        decide(|state, input, decision| {
            if let Some((name, Ask::Create(create))) = ask(input)
                && let Some(queue) = state.queues.get(name)
            {
                let (description, settings) = (queue.description.clone(), create.settings.clone());
                let (name, at) = (name.to_owned(), queue.updated);
                decision.records.push(Record::Changed { name, description, settings, at });
            }
        })
    }),
    Breakage::boundary("queue/queues/refused-and-emptied", QUEUE_QUEUES_11, Port, || {
        decide(|state, input, decision| {
            if let Some((name, Ask::Create(_))) = ask(input)
                && let Some(queue) = state.queues.get(name)
            {
                decision.records.push(Record::Dropped { name: name.into(), from: 0, to: queue.next });
            }
        })
    }),
    Breakage::race("queue/queues/two-winners", QUEUE_QUEUES_12, Port, || {
        racing(name_of, |flying| {
            port::rewrite_state::<QueueModel>(move |state, input| {
                if let Some((name, Ask::Create(_))) = ask(input)
                    && flying.several(name)
                {
                    let name = name.to_owned();
                    state.queues.remove(&name);
                }
            })
        })
    }),
    Breakage::always("queue/queues/delete-does-nothing", QUEUE_QUEUES_15, Port, || kept(|_, _| true))
        .wide("what is to be gone is there"),
    Breakage::boundary("queue/queues/paused-is-kept", QUEUE_QUEUES_15, Port, || kept(|paused, _| paused)),
    Breakage::second("queue/queues/second-life-is-kept", QUEUE_QUEUES_15, Port, || {
        kept(|_, times| times > 0)
    }),
    Breakage::boundary("queue/queues/publish-behind-the-end", QUEUE_QUEUES_15, Wire, || {
        let gone: Mutex<BTreeSet<String>> = Mutex::default();
        reply(move |request, response| {
            let Ok(route) = Route::decode(request) else { return };
            let (Some(name), Ok(mut gone)) = (route.queue(), gone.lock()) else { return };
            if route.action == Action::Delete && response.status == 200 {
                gone.insert(name.to_owned());
            }
            if route.action == Action::Publish && response.status == 404 && gone.contains(name) {
                let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
                *response = success(&json!({"message": {
                    "id": "qmsg_1", "queue_id": "queue_0", "offset": -1, "payload": asked["payload"],
                }}));
                response.status = 201;
            }
        })
    }),
    Breakage::boundary("queue/queues/settings-outlive", QUEUE_QUEUES_16, Port, || {
        let mut before: BTreeMap<String, Settings> = BTreeMap::new();
        decide(move |state, input, decision| match ask(input) {
            Some((name, Ask::Delete)) => {
                let settings = state.queues.get(name).map(|queue| queue.settings.clone());
                before.extend(settings.map(|settings| (name.to_owned(), settings)));
            }
            Some((name, Ask::Create(_))) => {
                let Some(old) = before.get(name) else { return };
                for record in &mut decision.records {
                    if let Record::Created { settings, .. } = record {
                        *settings = old.clone();
                    }
                }
            }
            _ => {}
        })
    }),
    Breakage::boundary("queue/queues/last-message-outlives", QUEUE_QUEUES_16, Port, || {
        let mut before: BTreeMap<String, Record> = BTreeMap::new();
        decide(move |_, input, decision| {
            for record in &decision.records {
                if let Record::Published { name, .. } = record {
                    before.insert(name.clone(), record.clone());
                }
            }
            if let Some((name, Ask::Create(_))) = ask(input)
                && let Some(Record::Created { incarnation: new, .. }) = decision.records.first()
                && let Some(mut old) = before.remove(name)
            {
                if let Record::Published { incarnation, offset, .. } = &mut old {
                    (*incarnation, *offset) = (*new, 0);
                }
                decision.records.push(old);
            }
        })
    }),
    Breakage::always("queue/queues/refused-otherwise", QUEUE_QUEUES_10, Wire, || {
        reply(|request, response| {
            if is(request, Action::Create) && response.status == 409 {
                *response = refusal(400);
            }
        })
    }),
];

/// The queue that a create is about.
fn name_of(request: &Request) -> Option<String> {
    let asked: Value = serde_json::from_slice(&request.body).ok().filter(|_| is(request, Action::Create))?;
    asked["name"].as_str().map(str::to_owned)
}

/// A delete of which this is said is answered and forgotten: whether the queue was paused, and how many deletes of this name
/// there were before.
fn kept(which: fn(bool, u32) -> bool) -> Seams {
    let deletes = Count::new();
    decide(move |state, input, decision| {
        if let Some((name, Ask::Delete)) = ask(input)
            && let Some(queue) = state.queues.get(name)
            && which(queue.paused.is_some(), deletes.up(name))
        {
            decision.records.clear();
        }
    })
}
