//! Defects of "Publish".

mod batch;
mod content;

use super::{
    Ask, Frame, HttpSeams, Input, QueueModel, Seams, Table, ask, ask_mut, decide, input, is, racing, refusal,
    reply, request, said, success, told,
};
use crate::{
    embed::reference::{
        model::Model,
        queue::model::{Draft, Record, State},
    },
    protocol::Cut::{Port, Wire},
    selftest::defects::{Breakage, port, wire::Count},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use wireproof_spec::{
    http::{Body, Request},
    queue::{Action, requirements::*},
};

pub(super) use batch::TABLE as BATCH;
pub(super) use content::TABLE as CONTENT;

pub(super) const TABLE: Table = &[
    Breakage::boundary("queue/publish/lost-while-paused", QUEUE_PUBLISH_1, Port, || {
        vanishing(|state, name, _| state.queues.get(name).is_some_and(|queue| queue.paused.is_some()))
    }),
    Breakage::boundary("queue/publish/second-of-a-partition-lost", QUEUE_PUBLISH_1, Port, || {
        let mut seen: BTreeMap<(String, String), u32> = BTreeMap::new();
        vanishing(move |_, name, drafts| {
            let Some(partition) = drafts.first().and_then(|draft| draft.partition.clone()) else {
                return false;
            };
            let count = seen.entry((name.to_owned(), partition)).or_default();
            *count += 1;
            *count > 1
        })
    }),
    Breakage::boundary("queue/publish/long-keys-cut-off", QUEUE_PUBLISH_1, Port, || {
        drafting(|drafts| {
            for draft in drafts {
                draft.key = draft.key.as_ref().map(|key| key.chars().take(255).collect());
            }
        })
    }),
    Breakage::second("queue/publish/second-without-sync-lost", QUEUE_PUBLISH_36, Wire, || {
        let times = Count::new();
        request(move |request| {
            if is_publish(request, false) && times.up(&request.path) > 0 {
                // It is over before anybody sees it.
                change_body(request, |body| body["ttl_seconds"] = json!(0));
            }
        })
    }),
    Breakage::always("queue/publish/id-with-a-hyphen", QUEUE_PUBLISH_2, Wire, || {
        let other = |text: &str| text.replace("\"qmsg_", "\"qmsg_x-");
        Seams {
            http: HttpSeams {
                request: Box::new(|request| request.path = request.path.replace("/qmsg_x-", "/qmsg_")),
                reply: Box::new(move |_, response| {
                    let text = String::from_utf8_lossy(&response.body).into_owned();
                    response.body = Body(other(&text).into());
                }),
                ..HttpSeams::honest()
            },
            frames: Some(Box::new(move |_, _, frames| {
                for frame in frames {
                    if let Frame::Text(text) = frame {
                        *text = other(text);
                    }
                }
            })),
            ..Seams::honest()
        }
    }),
    Breakage::always("queue/publish/another-queue-told", QUEUE_PUBLISH_3, Wire, || {
        told(Action::Publish, |_, body| body["data"]["message"]["queue_id"] = json!("queue_0"))
    }),
    Breakage::always("queue/publish/not-yet-assigned", QUEUE_PUBLISH_4, Wire, || {
        told(Action::Publish, |request, body| {
            if is_publish(request, true) {
                body["data"]["message"]["offset"] = json!(-1);
            }
        })
    })
    .wide("offsets of publishes are what many checks compare with"),
    Breakage::boundary("queue/publish/offset-behind-one-without-sync", QUEUE_PUBLISH_4, Wire, || {
        let without = Count::new();
        told(Action::Publish, move |request, body| {
            if is_publish(request, false) {
                without.up(&request.path);
            } else if without.up(&request.path) > 0
                && let Some(offset) = body["data"]["message"]["offset"].as_i64().filter(|offset| *offset > 2)
            {
                body["data"]["message"]["offset"] = json!(offset - 1);
            }
        })
    })
    .wide("offsets of publishes are what many checks compare with"),
    Breakage::always("queue/publish/next-offset-told", QUEUE_PUBLISH_5, Wire, || {
        told(Action::Publish, |request, body| {
            if let Some(offset) =
                body["data"]["message"]["offset"].as_i64().filter(|_| is_publish(request, false))
            {
                body["data"]["message"]["offset"] = json!(offset + 1);
            }
        })
    }),
    Breakage::always("queue/publish/another-id-listed", QUEUE_PUBLISH_6, Wire, || {
        told(Action::ListMessages, |_, body| each(&mut body["data"]["messages"], another_id))
    }),
    Breakage::always("queue/publish/another-id-received", QUEUE_PUBLISH_6, Wire, || {
        told(Action::Receive, |_, body| another_id(&mut body["data"]["message"]))
    }),
    Breakage::always("queue/publish/another-id-pushed", QUEUE_PUBLISH_6, Wire, || {
        said(|_, body| {
            if body["type"] == "message" {
                each(&mut body["messages"], another_id);
            }
        })
    }),
    Breakage::always("queue/publish/another-id-replayed", QUEUE_PUBLISH_6, Wire, || {
        said(|_, body| {
            if body["type"] == "replay" {
                each(&mut body["messages"], another_id);
            }
        })
    }),
    Breakage::boundary("queue/publish/another-id-for-a-known-key", QUEUE_PUBLISH_21, Wire, || {
        let times = Count::new();
        told(Action::Publish, move |request, body| {
            let key = key_of(request);
            if key.is_some_and(|key| times.up(&format!("{} {key}", request.path)) > 0) {
                another_id(&mut body["data"]["message"]);
            }
        })
    }),
    Breakage::second("queue/publish/known-key-refused", QUEUE_PUBLISH_21, Wire, || {
        let times = Count::new();
        reply(move |request, response| {
            let key = key_of(request).filter(|_| is(request, Action::Publish));
            if key.is_some_and(|key| times.up(&format!("{} {key}", request.path)) > 1) {
                *response = refusal(400);
            }
        })
    }),
    Breakage::boundary("queue/publish/known-key-adds", QUEUE_PUBLISH_22, Port, || adding(0, false)),
    Breakage::second("queue/publish/third-of-a-key-adds", QUEUE_PUBLISH_22, Port, || adding(1, false)),
    Breakage::boundary("queue/publish/known-key-takes-an-offset", QUEUE_PUBLISH_22, Port, || adding(0, true)),
    Breakage::race("queue/publish/racing-keys-add", QUEUE_PUBLISH_23, Port, || {
        racing(
            |request| super::named(request, Action::Publish),
            |flying| {
                port::rewrite_state::<QueueModel>(move |state, input| {
                    if let Some((name, Ask::Publish { .. })) = ask(input)
                        && flying.several(name)
                        && let Some(queue) = state.queues.get_mut(name)
                    {
                        queue.keys.clear();
                    }
                })
            },
        )
    }),
    Breakage::boundary("queue/publish/keys-of-all-queues", QUEUE_PUBLISH_24, Wire, || {
        let keys: Mutex<BTreeMap<String, String>> = Mutex::default();
        request(move |request| {
            if !is(request, Action::Publish) {
                return;
            }
            if let (Some(key), Ok(mut keys)) = (key_of(request), keys.lock()) {
                // It goes to the queue that saw it first, which knows it.
                request.path.clone_from(keys.entry(key).or_insert_with(|| request.path.clone()));
            }
        })
    })
    .wide("a key of one check is known to others, where they use the same"),
    Breakage::always("queue/publish/publish-to-nothing", QUEUE_PUBLISH_25, Wire, || {
        reply(|request, response| {
            if is(request, Action::Publish) && response.status == 404 {
                let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
                *response = success(&json!({"message": {
                    "id": "qmsg_1", "queue_id": "queue_0", "offset": -1, "payload": asked["payload"],
                }}));
                response.status = 201;
            }
        })
    }),
    Breakage::always("queue/publish/batch-to-nothing", QUEUE_PUBLISH_34, Wire, || {
        reply(|request, response| {
            if is(request, Action::Batch) && response.status == 404 {
                *response = success(&json!({"messages": []}));
                response.status = 201;
            }
        })
    }),
    Breakage::always("queue/publish/unknown-member-refused", QUEUE_PUBLISH_26, Wire, || {
        request(|request| {
            if is(request, Action::Publish) {
                change_body(request, |body| {
                    if body.get("project_id").is_some() {
                        body["ttl_seconds"] = json!(-1);
                    }
                });
            }
        })
    }),
    Breakage::boundary("queue/publish/unknown-member-taken-for-null", QUEUE_PUBLISH_26, Wire, || {
        request(|request| {
            if is(request, Action::Publish) {
                change_body(request, |body| {
                    if body.get("offset").is_some() {
                        body["ttl_seconds"] = json!(-1);
                    }
                });
            }
        })
    }),
];

/// Whether a request is a publish that asks for sync, or one that does not.
fn is_publish(request: &Request, sync: bool) -> bool {
    is(request, Action::Publish) && (request.query.get("sync") == Some("true")) == sync
}

/// The JSON of the body of a request, changed.
fn change_body(request: &mut Request, change: impl FnOnce(&mut Value)) {
    if let Ok(mut body @ Value::Object(_)) = serde_json::from_slice::<Value>(&request.body) {
        change(&mut body);
        request.body = Body(body.to_string().into());
    }
}

/// The key under which a message is to be published.
fn key_of(request: &Request) -> Option<String> {
    let asked: Value = serde_json::from_slice(&request.body).ok()?;
    asked["idempotency_key"].as_str().map(str::to_owned)
}

/// Each element of an array, changed.
fn each(list: &mut Value, change: impl FnMut(&mut Value)) {
    list.as_array_mut().into_iter().flatten().for_each(change);
}

fn another_id(message: &mut Value) {
    if let Some(id) = message["id"].as_str() {
        message["id"] = json!(format!("{id}9"));
    }
}

/// What is to be published, changed.
fn drafting(change: impl Fn(&mut Vec<Draft>) + Send + 'static) -> Seams {
    input(move |_, input| {
        if let Some(Ask::Publish { drafts }) = ask_mut(input) {
            let mut changed = drafts.to_vec();
            change(&mut changed);
            *drafts = changed.into();
        }
    })
}

/// What such a request publishes is gone at once.
fn vanishing(mut which: impl FnMut(&State, &str, &Arc<[Draft]>) -> bool + Send + 'static) -> Seams {
    decide(move |state, input, decision| {
        if let Some((name, Ask::Publish { drafts })) = ask(input)
            && which(state, name, drafts)
            && let Some(Record::Published { offset, .. }) = decision.records.last()
        {
            let (from, to) = (*offset, *offset + 1);
            decision.records.push(Record::Dropped { name: name.into(), from, to });
        }
    })
}

/// A publish with a known key adds a message, when there were so many of this key before, or only takes an offset. It is
/// answered as if it did not.
fn adding(before: u32, nothing: bool) -> Seams {
    let times = Count::new();
    super::through(Box::new(move |state, now, asked| {
        let mut decision = QueueModel::decide(state, now, asked);
        if let Input::Ask { session, name, ask: Ask::Publish { drafts } } = asked
            && drafts.len() == 1
            && decision.records.is_empty()
            && let Some(key) = &drafts[0].key
            && state.queues.contains_key(name)
            && times.up(&format!("{name} {key}")) >= before
        {
            let draft = Draft { key: None, ..drafts[0].clone() };
            let ask = Ask::Publish { drafts: Arc::new([draft]) };
            let keyless = Input::Ask { session: *session, name: name.clone(), ask };
            decision.records = QueueModel::decide(state, now, &keyless).records;
            if nothing && let Some(Record::Published { offset, .. }) = decision.records.last() {
                let (from, to) = (*offset, *offset + 1);
                decision.records.push(Record::Dropped { name: name.clone(), from, to });
            }
        }
        decision
    }))
}
