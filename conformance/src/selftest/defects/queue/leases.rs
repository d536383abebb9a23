//! Defects of "Leases".

use super::{
    Answer, Ask, Input, Queue, Record, Seams, State, Table, answers, ask, ask_mut, decide, input, is, named,
    queue_of, racing, refusal, reply, success, through, told,
};
use crate::{
    embed::reference::{
        model::Decision,
        queue::{QueueModel, model::Refusal},
    },
    protocol::Cut::{Port, Wire},
    selftest::defects::{Breakage, port, wire::Count},
};
use serde_json::{Value, json};
use wireproof_spec::queue::{Action, requirements::*};

/// Longer than anybody waits, in milliseconds.
const LONG: u64 = 600_000;

pub(super) const TABLE: Table = &[
    Breakage::always("queue/leases/received-and-pending", QUEUE_LEASES_1, Wire, || {
        told(Action::Receive, |_, body| state(body, "pending", 1))
    }),
    Breakage::boundary("queue/leases/received-again-and-failed", QUEUE_LEASES_1, Wire, || {
        told(Action::Receive, |_, body| state(body, "failed", 2))
    }),
    Breakage::boundary("queue/leases/waits-beside-a-lease", QUEUE_LEASES_2, Port, || {
        patience(|queue, patience| if patience == 0 && !queue.open.is_empty() { LONG } else { patience })
    }),
    Breakage::boundary("queue/leases/empty-is-not-found", QUEUE_LEASES_2, Wire, || {
        reply(|request, response| {
            let null = |body: Value| body["data"]["message"].is_null();
            if is(request, Action::Receive)
                && response.status == 200
                && serde_json::from_slice(&response.body).is_ok_and(null)
            {
                *response = refusal(404);
            }
        })
    })
    .wide("a queue without messages is how checks of leases see that one is hidden"),
    Breakage::boundary("queue/leases/waits-a-second-unasked", QUEUE_LEASES_2, Port, || {
        patience(|_, patience| patience.max(1_000))
    }),
    Breakage::second("queue/leases/second-is-not-hidden", QUEUE_LEASES_3, Port, || {
        decide(|state, input, decision| {
            if is_receive(input) && queue_of(state, input).is_some_and(|queue| !queue.open.is_empty()) {
                decision.records.retain(|record| !matches!(record, Record::Leased { .. }));
            }
        })
    })
    .wide("checks that receive several messages receive the same one"),
    Breakage::boundary("queue/leases/hidden-too-short", QUEUE_LEASES_3, Port, || {
        leases(|_, until| until.saturating_sub(600))
    }),
    Breakage::race("queue/leases/received-at-once-by-two", QUEUE_LEASES_4, Port, || {
        racing(
            |request| named(request, Action::Receive),
            |flying| {
                port::stale(move |_, input| {
                    is_receive(input) && ask(input).is_some_and(|(name, _)| flying.several(name))
                })
            },
        )
    }),
    Breakage::race("queue/leases/same-for-all-who-wait", QUEUE_LEASES_4, Port, || {
        decide(|_, input, decision| {
            if matches!(input, Input::Tick) {
                let mut first = None;
                for answer in answers(decision) {
                    if let Answer::Received { place: place @ Some(_), .. } = answer {
                        first = first.or(*place);
                        *place = first;
                    }
                }
            }
        })
    }),
    Breakage::boundary("queue/leases/never-waits", QUEUE_LEASES_5, Port, || patience(|_, _| 0)),
    Breakage::second("queue/leases/woken-once", QUEUE_LEASES_5, Port, || {
        decide(|state, input, decision| {
            if matches!(input, Input::Tick) {
                not_woken(state, decision);
            }
        })
    }),
    Breakage::boundary("queue/leases/waits-a-second-at-most", QUEUE_LEASES_6, Port, || {
        patience(|_, patience| patience.min(1_000))
    }),
    Breakage::boundary("queue/leases/waits-for-what-is-open-only", QUEUE_LEASES_6, Port, || {
        patience(|queue, patience| if queue.fresh > 0 && queue.open.is_empty() { 0 } else { patience })
    }),
    Breakage::boundary("queue/leases/in-vain-is-not-found", QUEUE_LEASES_6, Port, || {
        decide(|_, input, decision| {
            if matches!(input, Input::Tick) {
                for answer in answers(decision) {
                    if matches!(answer, Answer::Received { place: None, .. }) {
                        *answer = Answer::Refused(Refusal::NoMessage);
                    }
                }
            }
        })
    }),
    Breakage::boundary("queue/leases/acknowledged-until-visible", QUEUE_LEASES_7, Port, || {
        through(port::forget(|_, input, _| matches!(ask(input), Some((_, Ask::Ack(_))))))
    }),
    Breakage::second("queue/leases/second-acknowledged-comes-back", QUEUE_LEASES_7, Port, || {
        decide(|state, input, decision| {
            let earlier = queue_of(state, input).map_or(0, |queue| queue.open.len());
            for record in &mut decision.records {
                if let Record::Acknowledged { name, offset } = record
                    && earlier == 2
                {
                    *record = Record::Failed { name: name.clone(), offset: *offset, again: 0 };
                }
            }
        })
    }),
    Breakage::always("queue/leases/acknowledged-and-leased", QUEUE_LEASES_8, Wire, || {
        told(Action::GetMessage, |_, body| {
            let state = &mut body["data"]["message"]["state"];
            if state == "delivered" {
                *state = json!("leased");
            }
        })
    }),
    Breakage::second("queue/leases/second-delivered-is-pending", QUEUE_LEASES_8, Wire, || {
        let count = Count::new();
        told(Action::GetMessage, move |request, body| {
            let state = &mut body["data"]["message"]["state"];
            let queue = request.path.rsplit('/').nth(1).unwrap_or_default();
            if state == "delivered" && count.up(queue) > 0 {
                *state = json!("pending");
            }
        })
    }),
    Breakage::always("queue/leases/given-back-when-visible", QUEUE_LEASES_9, Port, || {
        through(port::forget(|_, input, _| matches!(ask(input), Some((_, Ask::Nack(_))))))
    }),
    Breakage::second("queue/leases/second-nack-for-long", QUEUE_LEASES_9, Port, || {
        failures(|input| !matches!(input, Input::Tick), |_, attempts, again| late(attempts, again))
    }),
    Breakage::boundary("queue/leases/backoff-without-end", QUEUE_LEASES_9, Port, || {
        failures(
            |input| !matches!(input, Input::Tick),
            |queue, attempts, again| {
                let free = crate::embed::reference::queue::model::Settings {
                    max_backoff_ms: f64::MAX,
                    ..queue.settings.clone()
                };
                again.saturating_add(free.backoff(attempts) - queue.settings.backoff(attempts))
            },
        )
    }),
    Breakage::second("queue/leases/attempts-stand-still", QUEUE_LEASES_9, Wire, || {
        told(Action::Receive, |_, body| {
            let message = &mut body["data"]["message"];
            if message["delivery_attempts"].as_u64().is_some_and(|attempts| attempts > 2) {
                message["delivery_attempts"] = json!(2);
            }
        })
    }),
    Breakage::boundary("queue/leases/hidden-as-by-default", QUEUE_LEASES_10, Port, || {
        leases(|queue, until| {
            until.saturating_add(30_000).saturating_sub(queue.settings.visibility_s.saturating_mul(1_000))
        })
    }),
    Breakage::second("queue/leases/second-timeout-for-long", QUEUE_LEASES_10, Port, || {
        failures(|input| matches!(input, Input::Tick), |_, attempts, again| late(attempts, again))
    }),
    Breakage::boundary("queue/leases/timeouts-do-not-count", QUEUE_LEASES_10, Port, || {
        decide(|_, input, decision| {
            for record in &mut decision.records {
                if let (Input::Tick, Record::Failed { name, offset, .. }) = (input, &*record) {
                    *record = Record::Revived { name: name.clone(), offset: *offset };
                }
            }
        })
    }),
    Breakage::always("queue/leases/unknown-acknowledged", QUEUE_LEASES_11, Wire, || {
        reply(|request, response| {
            if is(request, Action::Ack) && response.status == 404 {
                *response = success(&Value::Null);
            }
        })
    }),
    Breakage::second("queue/leases/second-ack-invalid", QUEUE_LEASES_12, Wire, || {
        let count = Count::new();
        reply(move |request, response| {
            if is(request, Action::Ack) && response.status == 200 && count.up(&request.path) > 0 {
                *response = refusal(400);
            }
        })
    })
    .shape("a status by which no ack is refused"),
    Breakage::always("queue/leases/nowhere-is-empty", QUEUE_LEASES_13, Wire, || {
        reply(|request, response| {
            if is(request, Action::Receive) && response.status == 404 {
                *response = success(&json!({"message": null}));
            }
        })
    }),
    Breakage::boundary("queue/leases/nowhere-is-waited-for", QUEUE_LEASES_13, Wire, || {
        reply(|request, response| {
            let waits = request.query.get("timeout").is_some();
            if is(request, Action::Receive) && response.status == 404 && waits {
                *response = success(&json!({"message": null}));
            }
        })
    }),
    Breakage::boundary("queue/leases/later-ones-never-expire", QUEUE_LEASES_14, Port, || {
        lives_on(|own, offset| own && offset > 1)
    }),
    Breakage::boundary("queue/leases/never-expires-by-default", QUEUE_LEASES_16, Port, || {
        lives_on(|own, _| !own)
    }),
];

fn is_receive(input: &Input) -> bool {
    matches!(ask(input), Some((_, Ask::Receive { .. })))
}

/// What was received so often at least is told to have this state.
fn state(body: &mut Value, state: &str, attempts: u64) {
    let message = &mut body["data"]["message"];
    if message["delivery_attempts"].as_u64().is_some_and(|told| told >= attempts) {
        message["state"] = json!(state);
    }
}

/// Another time for which a receive waits, in milliseconds.
fn patience(change: fn(&Queue, u64) -> u64) -> Seams {
    input(move |state, input| {
        let Some(queue) = queue_of(state, input) else { return };
        let queue = queue.clone();
        if let Some(Ask::Receive { patience }) = ask_mut(input) {
            *patience = change(&queue, *patience);
        }
    })
}

/// Another end of each lease.
fn leases(change: fn(&Queue, u64) -> u64) -> Seams {
    decide(move |state, _, decision| {
        for record in &mut decision.records {
            if let Record::Leased { name, until, .. } = record
                && let Some(queue) = state.queues.get(name)
            {
                *until = change(queue, *until);
            }
        }
    })
}

/// Another time at which what failed can be received again: from the number of the failure and the honest time.
fn failures(when: fn(&Input) -> bool, change: fn(&Queue, u64, u64) -> u64) -> Seams {
    decide(move |state, input, decision| {
        for record in &mut decision.records {
            if let Record::Failed { name, offset, again } = record
                && when(input)
                && let Some(queue) = state.queues.get(name)
                && let Some(open) = queue.open.get(offset)
            {
                *again = change(queue, open.attempts, *again);
            }
        }
    })
}

/// From the second failure on it takes long.
fn late(attempts: u64, again: u64) -> u64 {
    if attempts > 1 { again.saturating_add(LONG) } else { again }
}

/// Whoever waits is given nothing but the first message of a queue: the others stay pending.
fn not_woken(state: &State, decision: &mut Decision<QueueModel>) {
    let later = |record: &Record| matches!(record, Record::Leased { offset: 1.., .. });
    let waits = |session: &u64| state.queues.values().any(|queue| queue.receivers.contains(session));
    if decision.records.iter().any(later) {
        decision.records.retain(|record| match record {
            Record::Woken { session } => !waits(session),
            record => !later(record),
        });
        decision.effects.retain(|effect| {
            !matches!(effect, super::Effect::Answer { answer: Answer::Received { place: Some(_), .. }, .. })
        });
    }
}

/// Messages never expire if this holds: whether the publish says how long they live, and the offset.
fn lives_on(which: fn(bool, u64) -> bool) -> Seams {
    decide(move |_, input, decision| {
        let Some((_, Ask::Publish { drafts })) = ask(input) else { return };
        let own = drafts.iter().any(|draft| draft.ttl.is_some());
        for record in &mut decision.records {
            if let Record::Published { offset, expires, .. } = record
                && which(own, *offset)
            {
                *expires = None;
            }
        }
    })
}
