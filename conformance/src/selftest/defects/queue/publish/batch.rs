//! A batch is not taken as it should be.

use super::{
    Action, Ask, Breakage, HttpSeams, Input, Port, Seams, Table, Value, Wire, ask_mut, change_body, drafting,
    input, is, json, refusal, reply, request, success, told, vanishing,
};
use std::collections::BTreeSet;
use wireproof_spec::queue::requirements::*;

/// The greatest number of messages that a batch may have.
const MOST: usize = 1000;
/// Tells the map over answers what the map over requests did.
const CUT: &str = "x-cut-off";

pub(in super::super) const TABLE: Table = &[
    Breakage::always("queue/publish/batch-of-one-refused", QUEUE_PUBLISH_27, Wire, || {
        messages(|messages| {
            if messages.len() == 1 {
                messages.clear();
            }
        })
    }),
    Breakage::boundary("queue/publish/last-of-a-batch-lost", QUEUE_PUBLISH_35, Port, || {
        vanishing(|_, _, drafts| drafts.len() == MOST)
    }),
    Breakage::boundary("queue/publish/large-batch-refused", QUEUE_PUBLISH_35, Wire, || {
        request(|request| {
            if is(request, Action::Batch) && request.body.len() > 1_900_000 {
                change_body(request, |body| body["messages"] = json!([]));
            }
        })
    }),
    Breakage::always("queue/publish/batch-of-none-taken", QUEUE_PUBLISH_28, Wire, || {
        reply(|request, response| {
            let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            if is(request, Action::Batch) && response.status == 400 && asked["messages"] == json!([]) {
                *response = success(&json!({"messages": []}));
                response.status = 201;
            }
        })
    }),
    Breakage::boundary("queue/publish/too-many-cut-off", QUEUE_PUBLISH_29, Wire, || {
        messages(|messages| messages.truncate(MOST))
    }),
    Breakage::boundary("queue/publish/too-many-refused-and-published", QUEUE_PUBLISH_29, Wire, || {
        refused_and_published(|messages| messages.truncate(MOST))
    }),
    Breakage::boundary("queue/publish/end-of-a-batch-swapped", QUEUE_PUBLISH_30, Port, || {
        drafting(|drafts| {
            if let [.., one, other] = drafts.as_mut_slice() {
                std::mem::swap(one, other);
            }
        })
    })
    .wide("what many payloads are compared with is published as a batch"),
    Breakage::boundary("queue/publish/answered-backwards", QUEUE_PUBLISH_30, Wire, || {
        told(Action::Batch, |_, body| {
            if let Some(messages) = body["data"]["messages"].as_array_mut().filter(|all| all.len() > 2) {
                messages.reverse();
            }
        })
    })
    .wide("what many payloads are compared with is published as a batch"),
    Breakage::boundary("queue/publish/published-up-to-the-refused", QUEUE_PUBLISH_31, Wire, || {
        refused_and_published(|messages| {
            let good = messages.iter().take_while(|message| !is_bad(message)).count();
            messages.truncate(good);
        })
    }),
    Breakage::boundary("queue/publish/refused-left-out-silently", QUEUE_PUBLISH_31, Wire, || {
        messages(|messages| {
            if messages.len() > 1 {
                messages.retain(|message| !is_bad(message));
            }
        })
    }),
    Breakage::boundary("queue/publish/same-key-twice-in-a-batch", QUEUE_PUBLISH_37, Port, || {
        drafting(|drafts| {
            let mut seen = BTreeSet::new();
            for draft in drafts {
                if draft.key.as_ref().is_some_and(|key| !seen.insert(key.clone())) {
                    draft.key = None;
                }
            }
        })
    }),
    Breakage::boundary("queue/publish/known-key-in-a-batch-adds", QUEUE_PUBLISH_37, Port, || {
        input(|state, input| {
            let Input::Ask { name, .. } = &*input else { return };
            let Some(queue) = state.queues.get(name) else { return };
            let known: BTreeSet<String> = queue.keys.keys().cloned().collect();
            if let Some(Ask::Publish { drafts }) = ask_mut(input)
                && drafts.len() > 1
            {
                let mut changed = drafts.to_vec();
                for draft in &mut changed {
                    draft.key = draft.key.take().filter(|key| !known.contains(key));
                }
                *drafts = changed.into();
            }
        })
    }),
];

/// Whether publish would refuse a message for its time to live or its key.
fn is_bad(message: &Value) -> bool {
    message["ttl_seconds"].as_f64().is_some_and(|ttl| ttl < 0.0)
        || message["idempotency_key"].as_str().is_some_and(|key| key.len() > 256)
}

/// The messages of each batch, changed before they are read.
fn messages(change: fn(&mut Vec<Value>)) -> Seams {
    request(move |request| {
        if is(request, Action::Batch) {
            change_body(request, |body| {
                if let Some(messages) = body["messages"].as_array_mut() {
                    change(messages);
                }
            });
        }
    })
}

/// Of each batch what is left of it is published. If that is not all, it is refused all the same.
fn refused_and_published(leave: fn(&mut Vec<Value>)) -> Seams {
    Seams::from(HttpSeams {
        request: Box::new(move |request| {
            if !is(request, Action::Batch) {
                return;
            }
            let mut cut = false;
            change_body(request, |body| {
                if let Some(messages) = body["messages"].as_array_mut() {
                    let before = messages.len();
                    leave(messages);
                    cut = messages.len() != before;
                }
            });
            if cut {
                request.headers.set(CUT, "yes");
            }
        }),
        reply: Box::new(|request, response| {
            if request.headers.get(CUT).is_some() {
                *response = refusal(400);
            }
        }),
        ..HttpSeams::honest()
    })
}
