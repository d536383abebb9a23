//! Defects of "Delivery".

use super::client::{
    ClientSeams, ClientTable, always, boundary, decide, delivered, heard, heard_json, iterators, race,
    second, subscription, through,
};
use crate::{
    embed::reference::{
        model::{Decision, Model},
        queue::client::{
            Seams,
            model::{Effect, Input, Phase, Record, State as SubscriberState, SubscriberModel, What},
            seams::Frame,
        },
    },
    protocol::Cut::{Port, Wire},
    selftest::defects::port,
};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    mem::take,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};
use wireproof_spec::{
    json::Any,
    queue::{Message, message::State, requirements::*},
};

pub(super) const TABLE: ClientTable = &[
    boundary("queue/delivery/sorted", QUEUE_DELIVERY_1, Port, || {
        delivered(|messages| messages.sort_by_key(|message| message.offset.get()))
    }),
    boundary("queue/delivery/first-hundred", QUEUE_DELIVERY_1, Port, || {
        delivered(|messages| messages.truncate(100))
    }),
    second("queue/delivery/second-push-twice", QUEUE_DELIVERY_1, Port, || {
        let pushes = AtomicU64::new(0);
        delivered(move |messages| {
            if !messages.is_empty() && pushes.fetch_add(1, Relaxed) == 1 {
                messages.extend(messages.clone());
            }
        })
    }),
    second("queue/delivery/overtaken", QUEUE_DELIVERY_2, Port, overtaken)
        .wide("every check that pushes twice waits for the second Push behind the first"),
    race("queue/delivery/push-beside-push", QUEUE_DELIVERY_2, Port, || {
        subscription(Seams { hasty: true, port: port::rewrite(one_by_one(false)), ..Seams::honest() })
    })
    .wide("most checks of delivery push several times and look at the order"),
    always("queue/delivery/replay-passed-over", QUEUE_DELIVERY_3, Wire, || {
        heard_json(|_, json| {
            if json["type"] == "replay" {
                json["messages"] = json!([]);
            }
        })
    }),
    boundary("queue/delivery/replay-of-one", QUEUE_DELIVERY_3, Wire, || {
        heard_json(|_, json| {
            if let (true, Some(messages)) = (json["type"] == "replay", json["messages"].as_array_mut()) {
                messages.truncate(1);
            }
        })
    }),
    second("queue/delivery/replay-behind-a-redial-passed-over", QUEUE_DELIVERY_3, Wire, || {
        heard_json(|number, json| {
            if number > 1 && json["type"] == "replay" {
                json["messages"] = json!([]);
            }
        })
    }),
    boundary("queue/delivery/text-read-as-json", QUEUE_DELIVERY_4, Port, || {
        each(|message| {
            if let Ok(text) = serde_json::from_str::<String>(message.payload.get())
                && let Ok(inner) = serde_json::from_str::<Value>(&text)
            {
                message.payload = Any::from(inner);
            }
        })
    }),
    boundary("queue/delivery/null-as-an-object", QUEUE_DELIVERY_4, Port, || {
        each(|message| {
            if message.payload.get() == "null" {
                message.payload = Any::from(json!({}));
            }
        })
    }),
    always("queue/delivery/id-without-prefix", QUEUE_DELIVERY_4, Port, || {
        each(|message| {
            if let Some(rest) = message.id.strip_prefix("qmsg_") {
                message.id = rest.to_owned();
            }
        })
    }),
    // Everything behind the AuthResponse that cannot be read is an error of the connection.
    boundary("queue/delivery/no-json-ends-it", QUEUE_DELIVERY_5, Wire, || {
        ends_at(|text| serde_json::from_str::<Value>(text).is_err())
    }),
    boundary("queue/delivery/trailing-comma-read", QUEUE_DELIVERY_5, Wire, || {
        heard(|_, frame| {
            if let Frame::Text(text) = frame {
                *text = text.replace(",]", "]");
            }
        })
    }),
    boundary("queue/delivery/unknown-type-delivered", QUEUE_DELIVERY_6, Wire, || {
        heard_json(|_, json| {
            if json["type"].is_string() {
                json["type"] = "message".into();
            }
        })
    }),
    boundary("queue/delivery/without-queue-id-delivered", QUEUE_DELIVERY_6, Wire, || {
        heard_json(|_, json| {
            if json["messages"].is_array() && !json["queue_id"].is_string() {
                json["queue_id"] = "".into();
            }
        })
    }),
    boundary("queue/delivery/empty-push-ends-it", QUEUE_DELIVERY_6, Wire, || {
        ends_at(|text| serde_json::from_str::<Value>(text).is_ok_and(|json| json["messages"] == json!([])))
    }),
    second("queue/delivery/second-failure-taken", QUEUE_DELIVERY_7, Port, || {
        answered_again(|json| json["success"] == false)
    }),
    second("queue/delivery/second-success-ends-it", QUEUE_DELIVERY_7, Wire, || {
        let answered = AtomicBool::new(false);
        ends_at(move |text| {
            serde_json::from_str::<Value>(text)
                .is_ok_and(|json| json["success"] == true && answered.swap(true, Relaxed))
        })
    }),
    boundary("queue/delivery/valid-ones-delivered", QUEUE_DELIVERY_8, Wire, || {
        heard_json(|_, json| {
            if let Some(messages) = json["messages"].as_array_mut() {
                messages.retain(|message| Message::decode(message.to_string().as_bytes()).is_ok());
            }
        })
    }),
    boundary("queue/delivery/offset-as-text-read", QUEUE_DELIVERY_8, Wire, || {
        in_json(|message| {
            if let Some(offset) = message["offset"].as_str().and_then(|text| text.parse::<i64>().ok()) {
                message["offset"] = offset.into();
            }
        })
    }),
    boundary("queue/delivery/null-taken-for-absent", QUEUE_DELIVERY_8, Wire, || {
        in_json(|message| {
            if let Some(members) = message.as_object_mut() {
                members.retain(|name, value| name == "payload" || !value.is_null());
            }
        })
    }),
    boundary("queue/delivery/unknown-state-delivered", QUEUE_DELIVERY_8, Wire, || {
        in_json(|message| {
            const KNOWN: [&str; 6] = ["pending", "leased", "processing", "delivered", "failed", "dead"];
            if message["state"].as_str().is_some_and(|state| !KNOWN.contains(&state)) {
                message["state"] = "pending".into();
            }
        })
    }),
    boundary("queue/delivery/metadata-in-a-list-read", QUEUE_DELIVERY_8, Wire, || {
        in_json(|message| {
            if message["metadata"].is_array() {
                message["metadata"] = json!({});
            }
        })
    }),
    boundary("queue/delivery/unknown-members-refused", QUEUE_DELIVERY_9, Wire, || {
        heard_json(|_, json| {
            let known = |value: &Value, names: &[&str]| {
                value
                    .as_object()
                    .is_none_or(|members| members.keys().all(|name| names.contains(&name.as_str())))
            };
            if json["messages"].is_array() && !known(json, &["type", "queue_id", "messages"]) {
                json["messages"] = json!([]);
            }
        })
    }),
    boundary("queue/delivery/sourced-passed-over", QUEUE_DELIVERY_9, Port, || {
        delivered(|messages| messages.retain(|message| !message.encode().contains("source_id")))
    }),
    boundary("queue/delivery/dead-passed-over", QUEUE_DELIVERY_10, Port, || {
        delivered(|messages| messages.retain(|message| message.state != Some(State::Dead)))
    }),
    boundary("queue/delivery/null-payload-passed-over", QUEUE_DELIVERY_10, Port, || {
        delivered(|messages| messages.retain(|message| message.payload.get() != "null"))
    }),
    boundary("queue/delivery/null-member-refused", QUEUE_DELIVERY_10, Wire, || {
        heard_json(|_, json| {
            let messages = json["messages"].as_array();
            if messages
                .is_some_and(|all| all.iter().any(|message| message.get("expires_at") == Some(&Value::Null)))
            {
                json["messages"] = json!([]);
            }
        })
    }),
    boundary("queue/delivery/rest-dropped", QUEUE_DELIVERY_11, Port, || decide(one_by_one(true))),
    race("queue/delivery/bounded-buffer", QUEUE_DELIVERY_12, Wire, || buffered(50)),
    race("queue/delivery/buffer-of-the-connection", QUEUE_DELIVERY_12, Port, buffer_of_the_connection),
    // Who sees the end before its owner has asked for what came before it.
    race("queue/delivery/final-close-at-once", QUEUE_DELIVERY_13, Port, || {
        iterators(subscription(Seams { hasty: true, ..Seams::honest() }))
    }),
];

/// Each message changed before it is delivered.
fn each(change: impl Fn(&mut Message) + Send + Sync + 'static) -> ClientSeams {
    delivered(move |messages| messages.iter_mut().for_each(&change))
}

/// The JSON of each message that is pushed, changed.
fn in_json(change: impl Fn(&mut Value) + Send + Sync + 'static) -> ClientSeams {
    heard_json(move |_, json| {
        for message in json["messages"].as_array_mut().into_iter().flatten() {
            change(message);
        }
    })
}

/// A text behind the AuthResponse for which this holds is taken for the end of the connection.
fn ends_at(holds: impl Fn(&str) -> bool + Send + Sync + 'static) -> ClientSeams {
    heard(move |_, frame| {
        if matches!(frame, Frame::Text(text) if holds(text)) {
            *frame = Frame::Cut;
        }
    })
}

/// Each second Push comes behind the one that follows it.
fn overtaken() -> ClientSeams {
    let (mut pushes, mut held) = (0_u32, Vec::new());
    decide(move |_, _, decision| {
        if !decision.effects.iter().any(|effect| matches!(effect, Effect::Deliver(..))) {
            return;
        }
        pushes += 1;
        if pushes.is_multiple_of(2) {
            held = take(&mut decision.effects);
        } else {
            decision.effects.append(&mut held);
        }
    })
}

/// The messages of a Push one by one, each when the handler has returned for the one before it. If it failed, the rest is
/// dropped where this says so, and the offset of what comes behind it counts.
fn one_by_one(
    drops: bool,
) -> impl FnMut(&SubscriberState, &Input, &mut Decision<SubscriberModel>) + Send + 'static {
    let mut rest = VecDeque::new();
    move |_, input, decision| match &input.what {
        What::Text(..) => {
            let (mut messages, mut others): (Vec<Effect>, Vec<Effect>) = take(&mut decision.effects)
                .into_iter()
                .partition(|effect| matches!(effect, Effect::Deliver(..)));
            rest.extend(messages.drain(1.min(messages.len())..));
            decision.effects.append(&mut others);
            decision.effects.append(&mut messages);
        }
        What::Returned(_, _, Err(_)) if drops => {
            rest.clear();
            decision.records.clear();
        }
        What::Returned(..) => decision.effects.extend(rest.pop_front()),
        _ => {}
    }
}

/// What waits for the owner goes with the connection on which it came, and its offset is sent all the same.
fn buffer_of_the_connection() -> ClientSeams {
    let (mut waiting, mut is_asked) = (VecDeque::new(), true);
    let port = port::rewrite(move |_, input: &Input, decision: &mut Decision<SubscriberModel>| {
        let (messages, others): (Vec<Effect>, Vec<Effect>) =
            take(&mut decision.effects).into_iter().partition(|effect| matches!(effect, Effect::Deliver(..)));
        decision.effects = others;
        waiting.extend(messages);
        match input.what {
            What::Returned(..) => is_asked = true,
            What::Closed(..) => {
                if let Some(Effect::Deliver(_, last)) = waiting.back() {
                    decision.records.push(Record::Processed(last.offset.get()));
                }
                waiting.clear();
            }
            _ => {}
        }
        if is_asked && let Some(next) = waiting.pop_front() {
            is_asked = false;
            decision.effects.push(next);
        }
    });
    iterators(subscription(Seams { hasty: true, port, ..Seams::honest() }))
}

/// An AuthResponse behind the first one for which this holds is an answer like that.
fn answered_again(holds: fn(&Value) -> bool) -> ClientSeams {
    through(port::rewrite_state(move |state: &mut SubscriberState, input: &Input| {
        if let (Phase::Connected, What::Text(_, text)) = (state.phase(), &input.what)
            && serde_json::from_str(text).is_ok_and(|json| holds(&json))
        {
            SubscriberModel::apply(state, &Record::Opened(u64::MAX));
        }
    }))
}

/// Of the Pushes that come while the owner has one message so many are kept.
fn buffered(most: u64) -> ClientSeams {
    let kept = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&kept);
    let heard = move |_, frame: &mut Frame| {
        if let Frame::Text(text) = frame
            && counted.fetch_add(1, Relaxed) >= most
        {
            *text = "{}".into();
        }
    };
    let port = port::rewrite(move |_, input: &Input, _| {
        if matches!(input.what, What::Returned(..)) {
            kept.store(0, Relaxed);
        }
    });
    subscription(Seams { heard: Some(Box::new(heard)), port, ..Seams::honest() })
}
