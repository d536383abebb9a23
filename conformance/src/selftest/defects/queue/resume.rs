//! Defects of "Resume".

use super::client::{
    ClientSeams, ClientTable, always, auth, boundary, decide, owner, race, second, subscription,
};
use crate::{
    embed::reference::queue::client::{
        Seams,
        model::{Effect, Phase, Record, What},
        seams::Frame,
    },
    protocol::Cut::{Port, Wire},
    selftest::defects::port,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};
use wireproof_spec::queue::requirements::*;

pub(super) const TABLE: ClientTable = &[
    second("queue/resume/client-id-once", QUEUE_RESUME_1, Wire, || {
        auth(|number, json| {
            if number > 2 {
                remove(json, "client_id");
            }
        })
    }),
    boundary("queue/resume/client-id-lost-by-a-failed-dial", QUEUE_RESUME_1, Wire, || {
        lost_by_a_failed_dial("client_id")
    }),
    boundary("queue/resume/offset-lost-by-a-failed-dial", QUEUE_RESUME_2, Wire, || {
        lost_by_a_failed_dial("last_offset")
    }),
    second("queue/resume/first-offset-kept", QUEUE_RESUME_2, Wire, || first_kept("last_offset")),
    boundary("queue/resume/first-of-the-push", QUEUE_RESUME_2, Port, first_of_the_push),
    second("queue/resume/offset-of-the-connection", QUEUE_RESUME_2, Wire, offset_of_the_connection),
    second("queue/resume/failed-twice-counts", QUEUE_RESUME_2, Port, || {
        let mut failed = BTreeSet::new();
        decide(move |_, input, decision| {
            if let What::Returned(_, offset, Err(_)) = &input.what
                && !failed.insert(offset.get())
            {
                decision.records = vec![Record::Processed(offset.get())];
            }
        })
    }),
    second("queue/resume/replays-do-not-count", QUEUE_RESUME_2, Wire, || {
        counted(|push, last| {
            if push["type"] == "message" {
                *last = push["messages"].as_array().and_then(|all| all.last()?["offset"].as_i64()).or(*last);
            }
        })
    }),
    boundary("queue/resume/greatest-counts", QUEUE_RESUME_2, Wire, || {
        counted(|push, last| {
            let all = push["messages"].as_array().into_iter().flatten();
            *last = all.filter_map(|message| message["offset"].as_i64()).chain(*last).max();
        })
    }),
    boundary("queue/resume/zero-is-none", QUEUE_RESUME_3, Wire, || {
        auth(|_, json| {
            if json["last_offset"] == 0 {
                remove(json, "last_offset");
            }
        })
    }),
    second("queue/resume/none-is-zero", QUEUE_RESUME_4, Wire, || none_is(0)),
    second("queue/resume/none-is-minus-one", QUEUE_RESUME_4, Wire, || none_is(-1)),
    boundary("queue/resume/client-id-taken-away", QUEUE_RESUME_5, Wire, || {
        forgets(|json| json["success"] == true && json.get("client_id").is_none())
    }),
    boundary("queue/resume/empty-client-id-taken", QUEUE_RESUME_5, Wire, || {
        forgets(|json| json["client_id"] == "")
    }),
    second("queue/resume/first-client-id-kept", QUEUE_RESUME_6, Wire, || first_kept("client_id")),
    boundary("queue/resume/failed-counts", QUEUE_RESUME_7, Port, || {
        decide(|_, input, decision| {
            if let What::Returned(_, offset, Err(_)) = &input.what {
                decision.records = vec![Record::Processed(offset.get())];
            }
        })
    }),
    boundary("queue/resume/failed-less-one", QUEUE_RESUME_7, Port, || {
        decide(|state, input, decision| {
            if let What::Returned(_, offset, Err(_)) = &input.what
                && state.last_offset().is_some()
            {
                decision.records = vec![Record::Processed(offset.get() - 1)];
            }
        })
    }),
    boundary("queue/resume/failed-first-counts", QUEUE_RESUME_4, Port, || {
        decide(|state, input, decision| {
            if let What::Returned(_, offset, Err(_)) = &input.what
                && state.last_offset().is_none()
            {
                decision.records = vec![Record::Processed(offset.get())];
            }
        })
    }),
    race("queue/resume/counts-when-handed-over", QUEUE_RESUME_8, Port, || {
        let port = port::rewrite(|_, _, decision| {
            let handed = decision.effects.iter().filter_map(|effect| match effect {
                Effect::Deliver(_, message) => Some(Record::Processed(message.offset.get())),
                _ => None,
            });
            decision.records.retain(|record| !matches!(record, Record::Processed(_)));
            decision.records.extend(handed.collect::<Vec<Record>>());
        });
        subscription(Seams { hasty: true, port, ..Seams::honest() })
    }),
    boundary("queue/resume/given-zero-is-none", QUEUE_RESUME_9, Port, || {
        owner(|_, subscribe| subscribe.last_offset = subscribe.last_offset.filter(|last| *last != 0))
    }),
    boundary("queue/resume/given-offset-needs-an-id", QUEUE_RESUME_9, Port, || {
        owner(|_, subscribe| {
            if subscribe.client_id.is_none() {
                subscribe.last_offset = None;
            }
        })
    }),
    boundary("queue/resume/given-id-needs-an-offset", QUEUE_RESUME_9, Port, || {
        owner(|_, subscribe| {
            if subscribe.last_offset.is_none() {
                subscribe.client_id = None;
            }
        })
    }),
    always("queue/resume/given-offset-alone", QUEUE_RESUME_9, Port, || {
        owner(|_, subscribe| subscribe.client_id = None)
    }),
    second("queue/resume/second-answer-gives-an-id", QUEUE_RESUME_1, Port, || second_answer_counts(1)),
    second("queue/resume/second-answer-gives-an-id-later", QUEUE_RESUME_6, Port, || second_answer_counts(2)),
    second("queue/resume/given-once", QUEUE_RESUME_12, Wire, given_once),
    boundary("queue/resume/given-offset-goes-with-the-id", QUEUE_RESUME_12, Port, || {
        let given = Mutex::new(None);
        auth(move |number, json| {
            let mut given = given.lock().unwrap_or_else(PoisonError::into_inner);
            if number == 1 {
                *given = json.get("last_offset").map(|last| (last.clone(), json["client_id"].clone()));
            }
            if matches!(&*given, Some((last, id)) if json["last_offset"] == *last && json["client_id"] != *id)
            {
                remove(json, "last_offset");
            }
        })
    }),
    boundary("queue/resume/offset-of-what-is-passed-over", QUEUE_RESUME_11, Port, || {
        decide(|_, input, decision| {
            if let What::Text(_, text) = &input.what
                && decision.effects.is_empty()
                && let Some(last) = offsets(text).last()
            {
                decision.records.push(Record::Processed(*last));
            }
        })
    }),
];

fn remove(json: &mut Value, member: &str) {
    if let Some(members) = json.as_object_mut() {
        members.remove(member);
    }
}

/// What the first AuthRequest carried, which the owner gave, no other one does.
fn given_once() -> ClientSeams {
    let given = Mutex::new(Value::Null);
    auth(move |number, json| {
        let mut given = given.lock().unwrap_or_else(PoisonError::into_inner);
        if number == 1 {
            *given = json.clone();
            return;
        }
        for member in ["client_id", "last_offset"] {
            if given.get(member).is_some_and(|value| json.get(member) == Some(value)) {
                remove(json, member);
            }
        }
    })
}

/// From this dial on an AuthResponse gives its client_id also where it is not the first.
fn second_answer_counts(from: u64) -> ClientSeams {
    decide(move |state, input, decision| {
        if let (Phase::Connected, What::Text(_, text)) = (state.phase(), &input.what)
            && let Ok(answer) = serde_json::from_str::<Value>(text)
            && answer["success"] == true
            && let Some(id) = answer["client_id"].as_str()
            && state.dial() >= from
        {
            decision.records = vec![Record::LetIn(Some(id.to_owned()))];
        }
    })
}

/// The offsets of what is pushed in a text, be it valid or not.
fn offsets(text: &str) -> Vec<i64> {
    let json: Value = serde_json::from_str(text).unwrap_or_default();
    json["messages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|message| message["offset"].as_i64())
        .collect()
}

/// Each AuthRequest has the first value that one had.
fn first_kept(member: &'static str) -> ClientSeams {
    let first = Mutex::new(None);
    auth(move |_, json| {
        if json.get(member).is_some() {
            let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
            json[member] = first.get_or_insert_with(|| json[member].clone()).clone();
        }
    })
}

/// A redial carries an offset that was counted in another way, from each Push that came.
fn counted(count: fn(&Value, &mut Option<i64>)) -> ClientSeams {
    let counts = Arc::new(Mutex::new(None));
    let last = counts.clone();
    let heard = move |_, frame: &mut Frame| {
        if let Frame::Text(text) = frame
            && let Ok(push) = serde_json::from_str::<Value>(text)
        {
            count(&push, &mut counts.lock().unwrap_or_else(PoisonError::into_inner));
        }
    };
    let said = move |_, frames: &mut Vec<Frame>| {
        for frame in frames {
            let Frame::Text(text) = frame else { continue };
            let Ok(mut auth) = serde_json::from_str::<Value>(text) else { continue };
            let last = *last.lock().unwrap_or_else(PoisonError::into_inner);
            if let (Some(offset), true) = (last, auth.get("last_offset").is_some()) {
                auth["last_offset"] = json!(offset);
                *text = auth.to_string();
            }
        }
    };
    subscription(Seams { heard: Some(Box::new(heard)), said: Some(Box::new(said)), ..Seams::honest() })
}

/// A redial without an offset has this one.
fn none_is(offset: i64) -> ClientSeams {
    auth(move |number, json| {
        if number > 1 && json.get("last_offset").is_none() {
            json["last_offset"] = json!(offset);
        }
    })
}

/// The AuthRequests behind a moment lack a member.
fn lost(moment: &Arc<AtomicBool>, member: &'static str) -> Seams {
    let moment = Arc::clone(moment);
    let seams = auth(move |_, json| {
        if moment.load(Relaxed) {
            remove(json, member);
        }
    });
    seams.subscription
}

/// A dial that failed takes a member away.
fn lost_by_a_failed_dial(member: &'static str) -> ClientSeams {
    let failed = Arc::new(AtomicBool::new(false));
    let said = lost(&failed, member);
    let port = port::rewrite(move |_, input: &crate::embed::reference::queue::client::model::Input, _| {
        if matches!(input.what, What::DialFailed(..)) {
            failed.store(true, Relaxed);
        }
    });
    subscription(Seams { port, ..said })
}

/// An AuthResponse for which this holds takes the client_id away.
fn forgets(holds: fn(&Value) -> bool) -> ClientSeams {
    let forgot = Arc::new(AtomicBool::new(false));
    let said = lost(&forgot, "client_id");
    let heard = move |_, frame: &mut Frame| {
        if let Frame::Text(text) = frame
            && serde_json::from_str(text).is_ok_and(|json| holds(&json))
        {
            forgot.store(true, Relaxed);
        }
    };
    subscription(Seams { heard: Some(Box::new(heard)), ..said })
}

/// A redial has an offset only if something was pushed on the connection before it.
fn offset_of_the_connection() -> ClientSeams {
    let pushed = Arc::new(AtomicBool::new(false));
    let came = Arc::clone(&pushed);
    let seams = auth(move |number, json| {
        if !pushed.swap(false, Relaxed) && number > 1 {
            remove(json, "last_offset");
        }
    });
    let heard = move |_, frame: &mut Frame| {
        if matches!(frame, Frame::Text(text) if !offsets(text).is_empty()) {
            came.store(true, Relaxed);
        }
    };
    subscription(Seams { heard: Some(Box::new(heard)), ..seams.subscription })
}

/// The offset of a Push is that of its first message.
fn first_of_the_push() -> ClientSeams {
    let mut behind = BTreeSet::new();
    decide(move |_, _, decision| {
        let offsets = decision.effects.iter().filter_map(|effect| match effect {
            Effect::Deliver(_, message) => Some(message.offset.get()),
            _ => None,
        });
        behind.extend(offsets.skip(1));
        decision
            .records
            .retain(|record| !matches!(record, Record::Processed(offset) if behind.contains(offset)));
    })
}
