//! Defects of "Subscriber".

use super::client::{
    ClientSeams, ClientTable, always, auth, boundary, decide, dial, heard, heard_json, iterators, owner,
    race, said, second, subscription, told,
};
use crate::{
    embed::reference::{
        model::Decision,
        queue::client::{
            Seams,
            model::{Effect, Input, Phase, Record, State, Status, SubscriberModel, What},
            seams::{Dial, Frame, MapSaid},
        },
    },
    protocol::Cut::{Port, Wire},
    selftest::defects::port,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use wireproof_spec::queue::{Push, requirements::*};

const HEADER: &str = "no honest handshake has this header";

pub(super) const TABLE: ClientTable = &[
    always("queue/subscriber/versioned-path", QUEUE_SUBSCRIBER_1, Wire, || {
        dial(|_, dial| dial.url = dial.url.replace("/queue/ws/", "/queue/ws/2026-01-15/"))
    }),
    second("queue/subscriber/redials-with-query", QUEUE_SUBSCRIBER_1, Wire, || {
        dial(|number, dial| {
            if number > 1 {
                dial.url.push_str("?resume=true");
            }
        })
    }),
    boundary("queue/subscriber/two-slashes", QUEUE_SUBSCRIBER_2, Port, || {
        owner(|settings, _| {
            if settings.base_url.ends_with('/') {
                settings.base_url.push('/');
            }
        })
    }),
    // As who joins an absolute path to it.
    boundary("queue/subscriber/root-path-lost", QUEUE_SUBSCRIBER_3, Port, || {
        owner(|settings, _| cut_path(&mut settings.base_url, 0))
    }),
    boundary("queue/subscriber/root-path-cut", QUEUE_SUBSCRIBER_3, Port, || {
        owner(|settings, _| cut_path(&mut settings.base_url, 1))
    }),
    boundary("queue/subscriber/https-in-the-clear", QUEUE_SUBSCRIBER_4, Wire, || {
        dial(|_, dial| dial.url = dial.url.replace("wss://", "ws://"))
    }),
    always("queue/subscriber/key-in-url", QUEUE_SUBSCRIBER_5, Wire, || {
        with_key(|key, _, dial| dial.url.push_str(&format!("?token={key}")))
    }),
    always("queue/subscriber/key-in-header", QUEUE_SUBSCRIBER_5, Wire, || {
        with_key(|key, _, dial| dial.headers.0.push(("x-api-key".into(), key.into())))
    })
    .shape(HEADER),
    second("queue/subscriber/redials-with-authorization", QUEUE_SUBSCRIBER_5, Wire, || {
        with_key(|key, number, dial| {
            if number > 1 {
                dial.headers.0.push(("authorization".into(), format!("Bearer {key}")));
            }
        })
    })
    .shape(HEADER),
    always("queue/subscriber/subprotocol", QUEUE_SUBSCRIBER_6, Wire, || {
        dial(|_, dial| dial.headers.0.push(("sec-websocket-protocol".into(), "queue".into())))
    })
    .shape(HEADER),
    always("queue/subscriber/binary-first-frame", QUEUE_SUBSCRIBER_7, Wire, || {
        said(|_, frames| binary(frames))
    })
    .shape("no honest client sends binary frames"),
    second("queue/subscriber/binary-behind-a-redial", QUEUE_SUBSCRIBER_7, Wire, || {
        said(|number, frames| {
            if number > 1 {
                binary(frames);
            }
        })
    })
    .shape("no honest client sends binary frames"),
    second("queue/subscriber/redialled-waits", QUEUE_SUBSCRIBER_7, Wire, || {
        said(|number, frames| {
            if number > 1 && matches!(frames.first(), Some(Frame::Text(_))) {
                frames.insert(0, Frame::Pause(Duration::from_secs(60)));
            }
        })
    }),
    always("queue/subscriber/bearer-key", QUEUE_SUBSCRIBER_8, Wire, || {
        auth(|_, auth| auth["authorization"] = json!(format!("Bearer {}", text(&auth["authorization"]))))
    }),
    boundary("queue/subscriber/key-cut-at-a-sign", QUEUE_SUBSCRIBER_8, Wire, || {
        auth(|_, auth| {
            let key = text(&auth["authorization"]);
            auth["authorization"] = json!(key.split(['+', '=', '%']).next().unwrap_or_default());
        })
    }),
    always("queue/subscriber/own-client-id", QUEUE_SUBSCRIBER_9, Wire, || {
        auth(|_, auth| {
            if auth.get("client_id").is_none() {
                auth["client_id"] = json!("client_1");
            }
        })
    }),
    always("queue/subscriber/begins-at-zero", QUEUE_SUBSCRIBER_9, Wire, || {
        auth(|_, auth| {
            if auth.get("last_offset").is_none() {
                auth["last_offset"] = json!(0);
            }
        })
    }),
    second("queue/subscriber/second-push-acknowledged", QUEUE_SUBSCRIBER_10, Wire, || says_more(false)),
    second("queue/subscriber/second-push-authenticates", QUEUE_SUBSCRIBER_10, Port, || says_more(true)),
    second("queue/subscriber/acknowledged-in-batches", QUEUE_SUBSCRIBER_10, Port, || {
        let mut pushes = 0_u32;
        says(json!({"ack": "up to here"}), Duration::from_millis(1_500), move |_, _, decision| {
            pushes += u32::from(decision.effects.iter().any(|effect| matches!(effect, Effect::Deliver(..))));
            pushes == 4
        })
    }),
    second("queue/subscriber/says-that-it-resumes", QUEUE_SUBSCRIBER_10, Port, || {
        says(json!({"resume": true}), Duration::ZERO, |state, _, decision| {
            state.dial() > 1 && decision.records.iter().any(|record| matches!(record, Record::LetIn(_)))
        })
    }),
    boundary("queue/subscriber/says-that-its-handler-failed", QUEUE_SUBSCRIBER_10, Port, || {
        says(json!({"nack": 1}), Duration::ZERO, |_, input, _| {
            matches!(input.what, What::Returned(_, _, Err(_)))
        })
    }),
    boundary("queue/subscriber/complains-of-a-push", QUEUE_SUBSCRIBER_10, Port, || {
        says(json!({"error": "no Push"}), Duration::ZERO, |state, input, _| {
            matches!((state.phase(), &input.what), (Phase::Connected, What::Text(_, text))
                if text.contains("\"messages\"") && Push::decode(text.as_bytes()).is_err())
        })
    }),
    boundary("queue/subscriber/organisation-in-other-letters", QUEUE_SUBSCRIBER_11, Wire, || {
        auth(|_, auth| {
            if let Some(id) = auth.as_object_mut().and_then(|members| members.remove("orgId")) {
                auth["org_id"] = id;
            }
        })
    }),
    second("queue/subscriber/redial-forgets-organisation", QUEUE_SUBSCRIBER_11, Wire, || {
        auth(|number, auth| {
            if number > 1 {
                auth.as_object_mut().map(|members| members.remove("orgId"));
            }
        })
    }),
    always("queue/subscriber/iterator-of-nobody", QUEUE_SUBSCRIBER_11, Wire, || {
        iterators(auth(|_, auth| {
            auth.as_object_mut().map(|members| members.remove("orgId"));
        }))
    }),
    always("queue/subscriber/organisation-of-nobody", QUEUE_SUBSCRIBER_11, Wire, || {
        auth(|_, auth| {
            if auth.get("orgId").is_none() {
                auth["orgId"] = json!("");
            }
        })
    }),
    boundary("queue/subscriber/delivers-unasked", QUEUE_SUBSCRIBER_12, Port, || delivers_before(1)),
    second("queue/subscriber/let-in-once-for-all", QUEUE_SUBSCRIBER_12, Port, || delivers_before(2)),
    boundary("queue/subscriber/client-id-required", QUEUE_SUBSCRIBER_13, Wire, || {
        success(|answer| {
            if answer.get("client_id").is_none() {
                *answer = json!({});
            }
        })
    }),
    boundary("queue/subscriber/error-outweighs-success", QUEUE_SUBSCRIBER_13, Wire, || {
        success(|answer| {
            if answer.get("error").is_some() {
                answer["success"] = json!(false);
            }
        })
    }),
    boundary("queue/subscriber/unknown-member-refused", QUEUE_SUBSCRIBER_13, Wire, || {
        success(|answer| {
            if answer.get("region").is_some() {
                *answer = json!({});
            }
        })
    }),
    boundary("queue/subscriber/malformed-is-a-failure", QUEUE_SUBSCRIBER_14, Wire, || {
        closing(|_, code, _| {
            if *code == 4000 {
                *code = 4001;
            }
        })
    }),
    boundary("queue/subscriber/null-is-absent", QUEUE_SUBSCRIBER_14, Wire, || {
        heard_json(|_, frame| {
            if let Some(members) = frame.as_object_mut().filter(|members| members.contains_key("success")) {
                members.retain(|_, value| !value.is_null());
            }
        })
    }),
    second("queue/subscriber/redialled-takes-any-answer", QUEUE_SUBSCRIBER_14, Wire, || {
        let answered = Mutex::new(BTreeSet::new());
        heard(move |number, frame| {
            if let Frame::Text(text) = frame
                && number > 1
                && answered.lock().unwrap_or_else(PoisonError::into_inner).insert(number)
                && !text.contains("\"success\":false")
            {
                *text = json!({"success": true}).to_string();
            }
        })
    }),
    boundary("queue/subscriber/push-before-answer-ignored", QUEUE_SUBSCRIBER_14, Wire, early_push_ignored),
    boundary("queue/subscriber/failure-is-malformed", QUEUE_SUBSCRIBER_15, Wire, || {
        closing(|_, code, _| {
            if *code == 4001 {
                *code = 4000;
            }
        })
    }),
    second("queue/subscriber/second-failure-goes-away", QUEUE_SUBSCRIBER_15, Wire, || {
        closing(|number, code, _| {
            if *code == 4001 && number > 1 {
                *code = 1000;
            }
        })
    }),
    boundary("queue/subscriber/failure-in-other-words", QUEUE_SUBSCRIBER_16, Wire, || {
        told(|event, data| {
            if event == "error" {
                data["message"] = "Authentication failed".into();
            }
            true
        })
    }),
    boundary("queue/subscriber/ends-without-a-word", QUEUE_SUBSCRIBER_17, Wire, || {
        told(|event, data| {
            if event == "ended" {
                *data = json!({});
            }
            true
        })
    }),
    boundary("queue/subscriber/failure-dials-again", QUEUE_SUBSCRIBER_18, Port, || failure_dials_again(1)),
    second("queue/subscriber/failed-redial-dials-again", QUEUE_SUBSCRIBER_18, Port, || {
        failure_dials_again(2)
    }),
    boundary("queue/subscriber/waits-for-ever", QUEUE_SUBSCRIBER_19, Port, || waits_for_ever(1)),
    second("queue/subscriber/redialled-waits-for-ever", QUEUE_SUBSCRIBER_19, Port, || waits_for_ever(2)),
    always("queue/subscriber/stopped-complains", QUEUE_SUBSCRIBER_20, Wire, || {
        closing(|_, code, _| {
            if *code == 1000 {
                *code = 4000;
            }
        })
    }),
    second("queue/subscriber/stopped-redial-gives-no-reason", QUEUE_SUBSCRIBER_20, Wire, || {
        closing(|number, _, reason| {
            if number > 1 {
                reason.clear();
            }
        })
    }),
    boundary("queue/subscriber/stopped-unanswered-drops", QUEUE_SUBSCRIBER_20, Port, || {
        decide(|state, input, decision| {
            if input.what == What::Close && matches!(state.phase(), Phase::Authenticating(_)) {
                drops(&mut decision.effects);
            }
        })
    }),
    second("queue/subscriber/stopped-redial-dials-again", QUEUE_SUBSCRIBER_21, Port, || {
        waits_instead(|number, what, phase| {
            let open = matches!(phase, Phase::Connected | Phase::Authenticating(_));
            number > 1 && *what == What::Close && open
        })
    }),
    race("queue/subscriber/stop-in-handshake-lost", QUEUE_SUBSCRIBER_21, Port, || {
        stop_is_lost(|_, phase| matches!(phase, Phase::Connecting(_)))
    }),
    // It remembers that it is not to dial again, and nothing else.
    race("queue/subscriber/stopped-in-handshake-stays", QUEUE_SUBSCRIBER_30, Port, || stays_to_the_end(1)),
    race("queue/subscriber/stopped-in-second-handshake-stays", QUEUE_SUBSCRIBER_30, Port, || {
        stays_to_the_end(2)
    }),
    race("queue/subscriber/stop-in-between-lost", QUEUE_SUBSCRIBER_22, Port, || {
        stop_is_lost(|_, phase| matches!(phase, Phase::Waiting(_)))
    }),
    second("queue/subscriber/second-stop-in-between-lost", QUEUE_SUBSCRIBER_22, Port, || {
        stop_is_lost(|number, phase| number > 1 && matches!(phase, Phase::Waiting(_)))
    }),
    boundary("queue/subscriber/left-with-a-message-drops", QUEUE_SUBSCRIBER_23, Port, || {
        let mut held = 0_usize;
        decide(move |_, input, decision| {
            held += decision.effects.iter().filter(|e| matches!(e, Effect::Deliver(..))).count();
            match input.what {
                What::Returned(..) => held = held.saturating_sub(1),
                What::Close if held > 0 => drops(&mut decision.effects),
                _ => {}
            }
        })
    }),
    boundary("queue/subscriber/name-in-small-letters", QUEUE_SUBSCRIBER_24, Port, || {
        owner(|_, to| to.queue = to.queue.to_lowercase())
    }),
    // As where an expression takes the end of a line for the end.
    boundary("queue/subscriber/line-feed-behind-a-name", QUEUE_SUBSCRIBER_24, Port, || {
        owner(|_, to| to.queue = to.queue.trim_end_matches('\n').into())
    }),
    boundary("queue/subscriber/long-name-cut", QUEUE_SUBSCRIBER_24, Port, || {
        owner(|_, to| to.queue.truncate(256))
    }),
    boundary("queue/subscriber/no-key-is-anonymous", QUEUE_SUBSCRIBER_25, Port, || {
        owner(|settings, _| {
            if settings.key.is_empty() {
                settings.key = "anonymous".into();
            }
        })
    }),
    boundary("queue/subscriber/pong-without-content", QUEUE_SUBSCRIBER_26, Wire, || pongs(0)),
    boundary("queue/subscriber/long-pong-without-content", QUEUE_SUBSCRIBER_26, Wire, || pongs(124)),
    boundary("queue/subscriber/fragments-refused", QUEUE_SUBSCRIBER_27, Wire, || {
        subscription(Seams { read: Some(Arc::new(whole)), ..Seams::honest() })
    }),
    boundary("queue/subscriber/frames-of-64-kib", QUEUE_SUBSCRIBER_28, Wire, || {
        owner(|settings, _| settings.bounds.max_frame = 65_536)
    }),
    boundary("queue/subscriber/frames-of-1-mib", QUEUE_SUBSCRIBER_28, Wire, || {
        owner(|settings, _| settings.bounds.max_frame = 1_048_576)
    }),
];

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Leaves so many segments of the path of a root.
fn cut_path(root: &mut String, segments: usize) {
    *root = root.split('/').take(3 + segments).collect::<Vec<_>>().join("/");
}

/// Each dial changed by one who has the key.
fn with_key(change: impl Fn(&str, u64, &mut Dial) + Send + Sync + 'static) -> ClientSeams {
    let key = Arc::new(Mutex::new(String::new()));
    let told = key.clone();
    let dials = dial(move |number, dial| {
        change(&key.lock().unwrap_or_else(PoisonError::into_inner), number, dial);
    });
    let asks = owner(move |settings, _| {
        told.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&settings.key);
    });
    ClientSeams { owner: asks.owner, ..dials }
}

/// Texts as bytes.
fn binary(frames: &mut [Frame]) {
    for frame in frames {
        if let Frame::Text(text) = frame {
            *frame = Frame::Binary(std::mem::take(text).into());
        }
    }
}

/// Code and reason of each close that is sent, changed.
fn closing(change: impl Fn(u64, &mut u16, &mut String) + Send + Sync + 'static) -> ClientSeams {
    said(move |number, frames| {
        for frame in frames {
            if let Frame::Close(code, reason) = frame {
                change(number, code, reason);
            }
        }
    })
}

/// Each AuthResponse with success true, changed.
fn success(change: impl Fn(&mut Value) + Send + Sync + 'static) -> ClientSeams {
    heard_json(move |_, frame| {
        if frame["success"] == true {
            change(frame);
        }
    })
}

/// Says something on its connection behind the second push on it: its AuthRequest once more, or an acknowledgement.
fn says_more(again: bool) -> ClientSeams {
    let (mut request, mut pushes) = (None, 0);
    let port = port::rewrite(move |_, _, decision: &mut Decision<SubscriberModel>| {
        let effects: &mut Vec<Effect> = &mut decision.effects;
        for effect in effects.iter() {
            if let Effect::Authenticate(first) = effect {
                (request, pushes) = (Some(first.clone()), 0);
            }
        }
        pushes += u32::from(effects.iter().any(|effect| matches!(effect, Effect::Deliver(..))));
        if pushes == 2
            && let Some(request) = request.take()
        {
            effects.push(Effect::Authenticate(request));
        }
    });
    let seen = Mutex::new(BTreeSet::new());
    let acknowledges = move |number: u64, frames: &mut Vec<Frame>| {
        for frame in frames {
            if let Frame::Text(text) = frame
                && !seen.lock().unwrap_or_else(PoisonError::into_inner).insert(number)
            {
                *text = json!({"ack": 1}).to_string();
            }
        }
    };
    let said: Option<MapSaid> = if again { None } else { Some(Box::new(acknowledges)) };
    subscription(Seams { port, said, ..Seams::honest() })
}

/// Says this on its connection, so long behind each decision for which that holds. It reads nothing meanwhile.
fn says(
    words: Value,
    behind: Duration,
    mut when: impl FnMut(&State, &Input, &Decision<SubscriberModel>) -> bool + Send + 'static,
) -> ClientSeams {
    let mut request = None;
    let port = port::rewrite(move |state, input, decision: &mut Decision<SubscriberModel>| {
        for effect in &decision.effects {
            if let Effect::Authenticate(first) = effect {
                request = Some(first.clone());
            }
        }
        if when(state, input, decision)
            && let Some(request) = &request
        {
            // The model has a word for one text alone; which text it is, is said below.
            decision.effects.push(Effect::Authenticate(request.clone()));
        }
    });
    let seen = Mutex::new(BTreeSet::new());
    let said: MapSaid = Box::new(move |number: u64, frames: &mut Vec<Frame>| {
        if let Some(Frame::Text(text)) = frames.first_mut()
            && !seen.lock().unwrap_or_else(PoisonError::into_inner).insert(number)
        {
            *text = words.to_string();
            frames.insert(0, Frame::Pause(behind));
        }
    });
    subscription(Seams { port, said: Some(said), ..Seams::honest() })
}

/// Delivers a Push on connections from this one on before they are authenticated.
fn delivers_before(from: u64) -> ClientSeams {
    decide(move |state, input, decision| {
        if let What::Text(number, text) = &input.what
            && *number >= from
            && *number == state.dial()
            && matches!(state.phase(), Phase::Authenticating(_))
            && let Ok(push) = Push::decode(text.as_bytes())
        {
            decision.records.clear();
            let messages = push.messages.into_iter();
            decision.effects = messages.map(|message| Effect::Deliver(*number, Box::new(message))).collect();
        }
    })
}

/// A Push before the AuthResponse is passed over.
fn early_push_ignored() -> ClientSeams {
    let answered = Mutex::new(BTreeSet::new());
    heard(move |number, frame| {
        if let Frame::Text(text) = frame {
            let mut answered = answered.lock().unwrap_or_else(PoisonError::into_inner);
            if !answered.contains(&number) && Push::decode(text.as_bytes()).is_ok() {
                *frame = Frame::Pause(Duration::ZERO);
            } else {
                answered.insert(number);
            }
        }
    })
}

/// Waits for the next dial where it would have ended.
fn waits_instead(when: impl Fn(u64, &What, Phase) -> bool + Send + 'static) -> ClientSeams {
    let port =
        port::rewrite(move |state: &State, input: &Input, decision: &mut Decision<SubscriberModel>| {
            if decision.records.contains(&Record::Ended) && when(state.dial(), &input.what, state.phase()) {
                decision.records = vec![Record::Waiting { delay: 60, until: 0 }];
                decision.effects.retain(|effect| !matches!(effect, Effect::End(_) | Effect::Now(_)));
            }
        });
    // With a map of delays the time is set by them.
    subscription(Seams { port, delay: Some(Box::new(|_, _| {})), ..Seams::honest() })
}

/// Dials again behind a failure on connections from this one on.
fn failure_dials_again(from: u64) -> ClientSeams {
    waits_instead(move |number, what, _| {
        number >= from && matches!(what, What::Text(_, text) if text.contains("\"success\":false"))
    })
}

/// Does not look at the time on connections from this one on that are not answered.
fn waits_for_ever(from: u64) -> ClientSeams {
    decide(move |state, input, decision| {
        if input.what == What::Tick
            && state.dial() >= from
            && matches!(state.phase(), Phase::Authenticating(_))
        {
            decision.records.clear();
            decision.effects.clear();
        }
    })
}

/// Does not hear that it is stopped, on these connections and then.
fn stop_is_lost(when: impl Fn(u64, Phase) -> bool + Send + 'static) -> ClientSeams {
    decide(move |state, input, decision| {
        if input.what == What::Close && when(state.dial(), state.phase()) {
            decision.records.clear();
            decision.effects.clear();
        }
    })
}

/// Who is stopped during a handshake, of this dial or a later one, does not dial again, and stays where it is until then.
fn stays_to_the_end(from: u64) -> ClientSeams {
    let mut is_stopped = false;
    decide(move |state, input, decision| {
        if input.what == What::Close && state.dial() >= from && matches!(state.phase(), Phase::Connecting(_))
        {
            is_stopped = true;
            decision.records.clear();
            decision.effects.clear();
        }
        if is_stopped && decision.records.iter().any(|record| matches!(record, Record::Waiting { .. })) {
            decision.records = vec![Record::Ended];
            decision.effects = vec![Effect::Drop, Effect::Now(Status::Closed), Effect::End(None)];
        }
    })
}

/// Drops the connection in place of a close frame.
fn drops(effects: &mut [Effect]) {
    for effect in effects {
        if matches!(effect, Effect::Close(..)) {
            *effect = Effect::Drop;
        }
    }
}

/// Answers pings of more than so many bytes with pongs without content.
fn pongs(longest: u8) -> ClientSeams {
    let cut = move |bytes: &mut Vec<u8>| {
        if let [0x8a, length, ..] = bytes[..]
            && length & 0x7f > longest
        {
            bytes[1] = 0x80;
            bytes.truncate(6);
        }
    };
    subscription(Seams { written: Some(Arc::new(cut)), ..Seams::honest() })
}

/// The first frame of a text in several as if it were all of it: what comes behind it continues nothing.
fn whole(bytes: &mut [u8]) {
    if let Some(first @ 0x01) = bytes.first_mut() {
        *first = 0x81;
    }
}
