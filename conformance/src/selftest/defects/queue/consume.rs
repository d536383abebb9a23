//! Defects of "Consume".

use super::{
    Answer, Ask, Effect, Record, Seams, Table, Value, answers, ask, ask_mut, decide, input, is, queue_of,
    refusal, reply, request, success, told,
};
use crate::{
    protocol::Cut::{Port, Wire},
    selftest::defects::{Breakage, wire::Count},
};
use serde_json::json;
use wireproof_spec::queue::{Action, QueueType, requirements::*};

pub(super) const TABLE: Table = &[
    Breakage::always("queue/consume/exclusive", QUEUE_CONSUME_1, Port, || {
        consuming(|from, _| {
            if *from > 0 {
                *from += 1;
            }
        })
    })
    .wide("who reads on from where it was misses a message"),
    Breakage::boundary("queue/consume/behind-a-gap-exclusive", QUEUE_CONSUME_1, Port, || {
        input(|state, input| {
            let behind_a_gap = queue_of(state, input)
                .is_some_and(|queue| matches!(ask(input), Some((_, Ask::Consume { from, .. })) if queue.gone.values().any(|to| to == from)));
            if let Some(Ask::Consume { from, .. }) = ask_mut(input)
                && behind_a_gap
            {
                *from += 1;
            }
        })
    }),
    Breakage::boundary("queue/consume/second-left-out", QUEUE_CONSUME_2, Port, || {
        places(|places| {
            if places.len() > 2 {
                places.remove(1);
            }
        })
    })
    .wide("what was published is read again by consuming it"),
    Breakage::boundary("queue/consume/end-swapped", QUEUE_CONSUME_2, Port, || {
        places(|places| {
            if let [_, .., one, other] = places.as_mut_slice() {
                std::mem::swap(one, other);
            }
        })
    })
    .wide("what was published is read again by consuming it"),
    Breakage::always("queue/consume/one-more", QUEUE_CONSUME_3, Port, || consuming(|_, limit| *limit += 1)),
    Breakage::boundary("queue/consume/limit-of-a-hundred-exceeded", QUEUE_CONSUME_3, Port, || {
        consuming(|_, limit| {
            if *limit > 63 {
                *limit = 1000;
            }
        })
    }),
    Breakage::boundary("queue/consume/fifty-at-most", QUEUE_CONSUME_17, Port, || {
        consuming(|_, limit| *limit = (*limit).min(50))
    }),
    Breakage::boundary("queue/consume/ninety-nine-at-most", QUEUE_CONSUME_17, Port, || {
        consuming(|_, limit| *limit = (*limit).min(99))
    }),
    Breakage::boundary("queue/consume/short-answers", QUEUE_CONSUME_17, Wire, || {
        told(Action::Consume, |_, body| {
            let Some(messages) = body["data"]["messages"].as_array_mut() else { return };
            let mut room = 512 * 1024;
            let fits = messages.iter().take_while(|message| {
                let size = message["size"].as_u64().unwrap_or_default();
                let fits = size <= room;
                room = room.saturating_sub(size);
                fits
            });
            let fits = fits.count().max(1);
            messages.truncate(fits);
        })
    }),
    Breakage::boundary("queue/consume/consume-leases", QUEUE_CONSUME_4, Port, || {
        decide(|state, input, decision| {
            let Some(queue) = queue_of(state, input).filter(|queue| queue.kind == QueueType::Worker) else {
                return;
            };
            if let Some((name, Ask::Consume { from: 0, .. })) = ask(input)
                && queue.fresh == 0
                && queue.next > 0
            {
                let until = queue.created + 86_400_000;
                decision.records.push(Record::Leased { name: name.into(), offset: 0, until });
            }
        })
    })
    .wide("what is read from the beginning cannot be received"),
    Breakage::second("queue/consume/once-only", QUEUE_CONSUME_4, Wire, || {
        let times = Count::new();
        told(Action::Consume, move |request, body| {
            let from = request.query.get("offset").unwrap_or_default();
            let limit = request.query.get("limit").unwrap_or_default();
            if times.up(&format!("{}?{from}&{limit}", request.path)) > 0 && !limit.is_empty() {
                body["data"]["messages"] = json!([]);
            }
        })
    }),
    Breakage::boundary("queue/consume/nothing-behind-refused", QUEUE_CONSUME_5, Wire, || {
        reply(|request, response| {
            if is(request, Action::Consume) && response.status == 200 && is_empty(&response.body) {
                *response = refusal(404);
            }
        })
    })
    .wide("who reads to the end asks for what is behind it"),
    Breakage::boundary("queue/consume/empty-queue-refused", QUEUE_CONSUME_5, Wire, || {
        reply(|request, response| {
            let from_the_first = request.query.get("offset") == Some("0");
            if is(request, Action::Consume)
                && from_the_first
                && response.status == 200
                && is_empty(&response.body)
            {
                *response = refusal(404);
            }
        })
    }),
    Breakage::boundary("queue/consume/head-stays", QUEUE_CONSUME_6, Port, || {
        decide(|state, input, decision| {
            let moved =
                queue_of(state, input).is_some_and(|queue| queue.start > 0 && queue.start < queue.next);
            if moved && matches!(ask(input), Some((_, Ask::Head))) {
                answers(decision).for_each(|answer| *answer = Answer::Offset(Some(0)));
            }
        })
    }),
    Breakage::boundary("queue/consume/head-without-gaps", QUEUE_CONSUME_6, Port, || {
        decide(|state, input, decision| {
            let behind = queue_of(state, input).map(|queue| queue.next - queue.retained());
            if let Some(behind) = behind
                && matches!(ask(input), Some((_, Ask::Head)))
            {
                for answer in answers(decision) {
                    if let Answer::Offset(Some(head)) = answer {
                        *head = behind;
                    }
                }
            }
        })
    }),
    Breakage::boundary("queue/consume/tail-stays", QUEUE_CONSUME_7, Port, || {
        decide(|state, input, decision| {
            let newest = queue_of(state, input).and_then(|queue| queue.next.checked_sub(1));
            if matches!(ask(input), Some((_, Ask::Tail))) {
                for answer in answers(decision) {
                    if let Answer::Offset(tail @ Some(_)) = answer {
                        *tail = newest;
                    }
                }
            }
        })
    }),
    Breakage::always("queue/consume/consume-of-nothing", QUEUE_CONSUME_9, Wire, || {
        found(Action::Consume, || json!({"messages": []}))
    }),
    Breakage::always("queue/consume/head-of-nothing", QUEUE_CONSUME_13, Wire, || {
        found(Action::Head, || json!({"offset": -1}))
    }),
    Breakage::always("queue/consume/tail-of-nothing", QUEUE_CONSUME_13, Wire, || {
        found(Action::Tail, || json!({"offset": -1}))
    }),
    Breakage::always("queue/consume/first-by-every-id", QUEUE_CONSUME_10, Port, || {
        input(|state, input| {
            let start = queue_of(state, input).map(|queue| queue.start);
            if let Some(Ask::Message(at)) = ask_mut(input)
                && at.incarnation.is_some()
                && at.offset > start
            {
                at.offset = start;
            }
        })
    })
    .wide("what was published is read again by its id"),
    Breakage::boundary("queue/consume/by-place", QUEUE_CONSUME_14, Port, || {
        input(|state, input| {
            let first_gap = queue_of(state, input)
                .and_then(|queue| queue.gone.iter().next().map(|(from, to)| (*from, to - from, queue.next)));
            if let Some(Ask::Message(at)) = ask_mut(input)
                && at.incarnation.is_none()
                && let (Some((from, gap, next)), Some(offset)) = (first_gap, at.offset)
                && (from..next - gap).contains(&offset)
            {
                // The place in what is left is taken for the offset.
                at.offset = Some(offset + gap);
            }
        })
    }),
    Breakage::always("queue/consume/offsets-from-one", QUEUE_CONSUME_14, Port, || {
        input(|_, input| {
            if let Some(Ask::Message(at)) = ask_mut(input)
                && at.incarnation.is_none()
            {
                at.offset = at.offset.map(|offset| offset.saturating_sub(1));
            }
        })
    })
    .wide("what was published is read again by its offset"),
    Breakage::always("queue/consume/ids-of-all-queues", QUEUE_CONSUME_11, Port, || {
        input(|_, input| {
            if let Some(Ask::Message(at)) = ask_mut(input) {
                at.incarnation = None;
            }
        })
    }),
    Breakage::boundary("queue/consume/newest-stays", QUEUE_CONSUME_12, Port, || {
        undeleted(|newest, _| newest)
    })
    .wide("what is to be gone is there"),
    Breakage::second("queue/consume/second-stays", QUEUE_CONSUME_12, Port, || {
        undeleted(|_, times| times > 0)
    })
    .wide("what is to be gone is there"),
    Breakage::second("queue/consume/second-replay-forgotten", QUEUE_CONSUME_16, Port, || {
        let times = Count::new();
        decide(move |_, input, decision| {
            if let Some((name, Ask::ReplayMessage(_))) = ask(input)
                && times.up(name) > 0
            {
                decision.records.clear();
            }
        })
    }),
    Breakage::boundary("queue/consume/old-name-unknown", QUEUE_CONSUME_18, Wire, || {
        listing(|state| if state == "processing" { "dead" } else { state })
    }),
    Breakage::boundary("queue/consume/leased-counts-as-pending", QUEUE_CONSUME_18, Wire, || {
        listing(|state| if state == "leased" { "pending" } else { state })
    }),
    Breakage::boundary("queue/consume/dead-unlisted", QUEUE_CONSUME_18, Wire, || {
        told(Action::ListMessages, |request, body| {
            if request.query.get("state") == Some("delivered") {
                body["data"]["messages"] = json!([]);
            }
        })
    }),
    Breakage::boundary("queue/consume/states-passed-over", QUEUE_CONSUME_18, Wire, || {
        request(|request| {
            if is(request, Action::ListMessages) && request.query.get("state") != Some("completed") {
                request.query.remove("state");
            }
        })
    }),
    Breakage::boundary("queue/consume/offset-counts-pages", QUEUE_CONSUME_24, Wire, || {
        request(|request| {
            let number = |name: &str| request.query.get(name).and_then(|text| text.parse::<u64>().ok());
            if is(request, Action::ListMessages)
                && let (Some(limit), Some(offset)) = (number("limit"), number("offset"))
            {
                request.query.set("offset", limit.saturating_mul(offset).to_string());
            }
        })
    }),
    Breakage::boundary("queue/consume/total-of-the-page", QUEUE_CONSUME_25, Wire, || {
        told(Action::ListMessages, |_, body| {
            let count = body["data"]["messages"].as_array().map_or(0, Vec::len);
            body["data"]["total"] = json!(count);
        })
    }),
    Breakage::always("queue/consume/unknown-offset-invalid", QUEUE_CONSUME_20, Wire, || {
        reply(|request, response| {
            if is(request, Action::MessageAt) && response.status == 404 {
                *response = refusal(400);
            }
        })
    }),
    Breakage::always("queue/consume/delete-of-no-message", QUEUE_CONSUME_21, Wire, || {
        reply(|request, response| {
            if is(request, Action::DeleteMessage) && response.status == 404 {
                *response = success(&Value::Null);
            }
        })
    }),
    Breakage::always("queue/consume/replay-of-no-message", QUEUE_CONSUME_22, Wire, || {
        reply(|request, response| {
            if is(request, Action::ReplayMessage) && response.status == 404 {
                *response = refusal(409);
            }
        })
    }),
];

/// Each consume, changed: its offset and its limit.
fn consuming(change: fn(&mut u64, &mut u64)) -> Seams {
    input(move |_, input| {
        if let Some(Ask::Consume { from, limit }) = ask_mut(input) {
            change(from, limit);
        }
    })
}

/// The messages of each answer to a consume, changed.
fn places(change: fn(&mut Vec<crate::embed::reference::queue::model::Place>)) -> Seams {
    decide(move |_, input, decision| {
        if matches!(ask(input), Some((_, Ask::Consume { .. }))) {
            for answer in answers(decision) {
                if let Answer::Messages { places, .. } = answer {
                    change(places);
                }
            }
        }
    })
}

fn is_empty(body: &[u8]) -> bool {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    body["data"]["messages"] == json!([])
}

/// A success where there is no queue.
fn found(action: Action, data: fn() -> Value) -> Seams {
    reply(move |request, response| {
        if is(request, action) && response.status == 404 {
            *response = success(&data());
        }
    })
}

/// A delete of which this is said is answered and forgotten: whether the message is the newest, and how many deletes of the
/// queue there were before.
fn undeleted(which: fn(bool, u32) -> bool) -> Seams {
    let times = Count::new();
    decide(move |state, input, decision| {
        if let Some((name, Ask::DeleteMessage(at))) = ask(input)
            && let Some(queue) = state.queues.get(name)
            && !decision.records.is_empty()
            && which(at.offset.is_some_and(|offset| offset + 1 == queue.next), times.up(name))
        {
            decision.records.clear();
            decision.effects.retain(|effect| !matches!(effect, Effect::Trim { .. }));
        }
    })
}

/// The state by which each list is filtered, changed.
fn listing(change: fn(&str) -> &str) -> Seams {
    request(move |request| {
        if is(request, Action::ListMessages)
            && let Some(state) = request.query.get("state").map(|state| change(state).to_owned())
        {
            request.query.set("state", state);
        }
    })
}
