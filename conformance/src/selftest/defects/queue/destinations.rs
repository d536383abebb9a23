//! Defects of "Destinations".

use super::{Ask, Seams, State, Table, ask, decide, input, through, told};
use crate::{
    embed::reference::{
        model::Decision,
        queue::{
            QueueModel,
            model::{Call, Effect, Input, Outcome, Record},
        },
    },
    protocol::Cut::{Port, Wire},
    selftest::defects::{
        Breakage,
        port::{forget, rewrite_state},
    },
};
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use wireproof_spec::{
    http::{Body, Request},
    queue::{Action, requirements::*},
};

pub(super) const TABLE: Table = &[
    Breakage::always("queue/destinations/created-elsewhere", QUEUE_DESTINATIONS_1, Wire, || {
        told(Action::CreateDestination, |_, body| {
            if let Some(url) = body["data"]["destination"]["config"]["url"].as_str() {
                body["data"]["destination"]["config"]["url"] = json!(format!("{url}/"));
            }
        })
    }),
    Breakage::second("queue/destinations/second-change-forgotten", QUEUE_DESTINATIONS_2, Port, || {
        let mut changes = BTreeMap::new();
        through(forget(move |_, input, _| {
            let Some((_, Ask::Redestine { id, .. })) = ask(input) else { return false };
            let count = changes.entry(id.clone()).or_insert(0_u32);
            *count += 1;
            *count > 1
        }))
    }),
    Breakage::boundary("queue/destinations/last-not-listed", QUEUE_DESTINATIONS_2, Wire, || {
        told(Action::ListDestinations, |_, body| {
            if let Value::Array(list) = &mut body["data"]["destinations"]
                && list.len() > 2
            {
                list.pop();
            }
        })
    }),
    Breakage::boundary("queue/destinations/enabled-not-told", QUEUE_DESTINATIONS_2, Wire, || {
        told(Action::ListDestinations, |_, body| {
            if let Value::Array(list) = &mut body["data"]["destinations"] {
                list.iter_mut().for_each(|one| one["enabled"] = json!(true));
            }
        })
    }),
    Breakage::boundary("queue/destinations/sent-where-it-was", QUEUE_DESTINATIONS_3, Port, || {
        let mut first = BTreeMap::new();
        calls(move |call| {
            call.url = first.entry(call.taken.id.clone()).or_insert_with(|| call.url.clone()).clone();
        })
    }),
    Breakage::second("queue/destinations/second-move-passed-over", QUEUE_DESTINATIONS_3, Port, || {
        let mut known: BTreeMap<String, Vec<String>> = BTreeMap::new();
        calls(move |call| {
            let urls = known.entry(call.taken.id.clone()).or_default();
            if !urls.contains(&call.url) {
                urls.push(call.url.clone());
            }
            if let Some(second) = urls.get(1) {
                call.url.clone_from(second);
            }
        })
    }),
    Breakage::boundary("queue/destinations/deletion-forgotten", QUEUE_DESTINATIONS_4, Port, || {
        through(forget(|_, input, _| matches!(ask(input), Some((_, Ask::Undestine { .. })))))
    }),
    Breakage::second("queue/destinations/second-deletion-forgotten", QUEUE_DESTINATIONS_4, Port, || {
        let mut count = 0;
        through(forget(move |_, input, _| {
            let is_it = matches!(ask(input), Some((_, Ask::Undestine { .. })));
            count += u32::from(is_it);
            is_it && count > 1
        }))
    }),
    Breakage::boundary("queue/destinations/url-twice", QUEUE_DESTINATIONS_5, Port, || same_url(|_, _| true)),
    Breakage::second("queue/destinations/only-the-last-url-known", QUEUE_DESTINATIONS_5, Port, || {
        same_url(|created, last| created < last)
    }),
    Breakage::second("queue/destinations/every-second-lost", QUEUE_DESTINATIONS_6, Port, || {
        decide(|_, _, decision| {
            decision
                .effects
                .retain(|effect| !matches!(effect, Effect::Call(call) if call.taken.offset % 2 == 1));
        })
    }),
    Breakage::always("queue/destinations/always-post", QUEUE_DESTINATIONS_6, Wire, || {
        delivering(|request| request.method = "POST".into())
    }),
    Breakage::boundary("queue/destinations/no-more-than-text", QUEUE_DESTINATIONS_6, Wire, || {
        delivering(|request| {
            if !request.body.starts_with(b"\"") {
                request.body = Body(Bytes::from_static(b"{\"payload\":null}"));
            }
        })
    }),
    Breakage::boundary("queue/destinations/query-cut-off", QUEUE_DESTINATIONS_6, Wire, || {
        delivering(|request| {
            let target = request.target();
            request.set_target(target.split('?').next().unwrap_or_default());
        })
    }),
    Breakage::boundary("queue/destinations/headers-once", QUEUE_DESTINATIONS_7, Port, || {
        calls(|call| {
            if call.taken.attempt > 1 {
                call.headers.clear();
            }
        })
    }),
    Breakage::second("queue/destinations/headers-of-the-first-message", QUEUE_DESTINATIONS_7, Port, || {
        calls(|call| {
            if call.taken.offset > 0 {
                call.headers.clear();
            }
        })
    }),
    Breakage::boundary("queue/destinations/never-again", QUEUE_DESTINATIONS_8, Port, || gives_up(|_| true)),
    Breakage::second("queue/destinations/once-again", QUEUE_DESTINATIONS_8, Port, || {
        gives_up(|attempt| attempt > 1)
    }),
    Breakage::boundary("queue/destinations/one-too-many", QUEUE_DESTINATIONS_9, Port, || {
        through(rewrite_state(|state: &mut State, input| {
            let Input::Returned { call, .. } = input else { return };
            let Some(queue) = state.queues.get_mut(&call.name) else { return };
            if let Some(destination) = queue.destinations.get_mut(&call.id)
                && let Some(most) = &mut destination.policy.max_attempts
            {
                *most += 1;
            }
        }))
    }),
    Breakage::boundary("queue/destinations/one-is-two", QUEUE_DESTINATIONS_9, Port, || {
        through(rewrite_state(|state: &mut State, input| {
            let Input::Returned { call, .. } = input else { return };
            let Some(queue) = state.queues.get_mut(&call.name) else { return };
            if let Some(destination) = queue.destinations.get_mut(&call.id)
                && destination.policy.max_attempts == Some(1)
            {
                destination.policy.max_attempts = Some(2);
            }
        }))
    }),
    Breakage::boundary("queue/destinations/arrived-and-again", QUEUE_DESTINATIONS_10, Port, || {
        did_not_arrive(|offset, attempt| offset == 0 && attempt == 1)
    }),
    Breakage::second("queue/destinations/second-arrived-and-again", QUEUE_DESTINATIONS_10, Port, || {
        did_not_arrive(|offset, _| offset > 0)
    }),
    Breakage::boundary("queue/destinations/at-once-again", QUEUE_DESTINATIONS_11, Port, || waits(|_, _| 0)),
    Breakage::boundary("queue/destinations/later-waits-cut-short", QUEUE_DESTINATIONS_11, Port, || {
        waits(|wait, attempt| if attempt > 1 { wait.min(40) } else { wait })
    }),
    Breakage::boundary("queue/destinations/sent-though-off", QUEUE_DESTINATIONS_12, Port, || {
        through(rewrite_state(|state: &mut State, input| {
            if matches!(input, Input::Tick) {
                for queue in state.queues.values_mut() {
                    queue.destinations.values_mut().for_each(|destination| destination.enabled = true);
                }
            }
        }))
    }),
    Breakage::boundary("queue/destinations/disabled-too-late", QUEUE_DESTINATIONS_12, Port, || {
        decide(|_, input, decision| {
            let Some((_, Ask::Redestine { given, .. })) = ask(input) else { return };
            for record in &mut decision.records {
                if let Record::Destined { destination, .. } = record
                    && given.enabled == Some(false)
                {
                    destination.enabled = true;
                }
            }
        })
    }),
];

/// Each delivery that is about to be made, changed.
fn calls(mut change: impl FnMut(&mut Call) + Send + 'static) -> Seams {
    decide(move |_, _, decision| {
        for effect in &mut decision.effects {
            if let Effect::Call(call) = effect {
                change(call);
            }
        }
    })
}

/// Each delivery as it is sent, changed.
fn delivering(change: fn(&mut Request)) -> Seams {
    Seams { delivery: Some(Box::new(change)), ..Seams::honest() }
}

/// Who makes a destination is not told of those of which this holds: when each was made, and when the last one.
fn same_url(unknown: fn(u64, u64) -> bool) -> Seams {
    through(rewrite_state(move |state: &mut State, input| {
        let Some((name, Ask::Destine(_))) = ask(input) else { return };
        let Some(queue) = state.queues.get_mut(name) else { return };
        let last = queue.destinations.values().map(|one| one.created).max().unwrap_or_default();
        queue.destinations.retain(|_, one| !unknown(one.created, last));
    }))
}

/// The records of deliveries that came to their end, changed.
fn returns(decision: &mut Decision<QueueModel>) -> impl Iterator<Item = (&mut Option<u64>, u64)> {
    decision.records.iter_mut().filter_map(|record| match record {
        Record::Returned { again, at, .. } => Some((again, *at)),
        _ => None,
    })
}

/// Behind such an attempt a delivery that failed is given up.
fn gives_up(behind: fn(u64) -> bool) -> Seams {
    decide(move |_, input, decision| {
        if let Input::Returned { call, .. } = input
            && behind(call.attempt)
        {
            returns(decision).for_each(|(again, _)| *again = None);
        }
    })
}

/// Another wait, from that which it is to be and the number of the attempt.
fn waits(change: fn(u64, u64) -> u64) -> Seams {
    decide(move |_, input, decision| {
        if let Input::Returned { call, .. } = input {
            for (again, at) in returns(decision) {
                *again = again.map(|again| at + change(again.saturating_sub(at), call.attempt));
            }
        }
    })
}

/// What arrived is taken for what did not, where this holds of its offset and of the attempt.
fn did_not_arrive(which: fn(u64, u64) -> bool) -> Seams {
    input(move |_, input| {
        if let Input::Returned { call, outcome } = input
            && which(call.offset, call.attempt)
        {
            *outcome = Outcome::Failed;
        }
    })
}
