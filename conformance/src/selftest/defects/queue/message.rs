//! Defects of "Message": each changes the form of one answer.

use super::{
    Seams, Table,
    client::{self, ClientTable},
    reply, rewrite, said, told,
};
use crate::{protocol::Cut::Wire, selftest::defects::Breakage};
use serde_json::{Value, json};
use wireproof_spec::{
    http::Body,
    queue::{Action, requirements::*},
};

const FORM: &str = "the form of the answer is the requirement";

pub(super) const TABLE: Table = &[
    Breakage::always("queue/message/error-null", QUEUE_MESSAGE_1, Wire, || {
        said(|_, frame| {
            if frame["success"] == true {
                frame["error"] = Value::Null;
            }
        })
    })
    .shape(FORM),
    Breakage::always("queue/message/failure-with-null-id", QUEUE_MESSAGE_1, Wire, || {
        said(|_, frame| {
            if frame["success"] == false {
                frame["client_id"] = Value::Null;
            }
        })
    })
    .shape(FORM),
    Breakage::always("queue/message/push-of-another-type", QUEUE_MESSAGE_2, Wire, || {
        said(|_, frame| {
            if frame["type"] == "replay" {
                frame["type"] = json!("replayed");
            }
        })
    })
    .wide("replays are known by their type")
    .shape(FORM),
    Breakage::always("queue/message/push-of-a-number", QUEUE_MESSAGE_2, Wire, || {
        said(|_, frame| {
            if frame.get("queue_id").is_some() {
                frame["queue_id"] = json!(1);
            }
        })
    })
    .shape(FORM),
    Breakage::always("queue/message/size-as-text", QUEUE_MESSAGE_3, Wire, || {
        said(|_, frame| {
            if frame.get("messages").is_some() {
                each(&mut frame["messages"], |message| message["size"] = json!("12"));
            }
        })
    })
    .shape(FORM),
    Breakage::always("queue/message/created-null", QUEUE_MESSAGE_3, Wire, || {
        in_list(Action::Consume, "messages", |message| message["created_at"] = Value::Null)
    })
    .shape(FORM),
    Breakage::always("queue/message/state-of-another-name", QUEUE_MESSAGE_3, Wire, || {
        in_list(Action::ListMessages, "messages", |message| message["state"] = json!("completed"))
    })
    .shape(FORM),
    Breakage::always("queue/message/negative-retries", QUEUE_MESSAGE_3, Wire, || {
        in_list(Action::Batch, "messages", |message| message["max_retries"] = json!(-1))
    })
    .shape(FORM),
    Breakage::always("queue/message/metadata-as-list", QUEUE_MESSAGE_3, Wire, || {
        in_data(Action::Receive, |data| {
            if data["message"].is_object() {
                data["message"]["metadata"] = json!([]);
            }
        })
    })
    .shape(FORM),
    Breakage::always("queue/message/time-as-number", QUEUE_MESSAGE_3, Wire, || {
        in_data(Action::GetMessage, |data| data["message"]["published_at"] = json!(1_767_225_600))
    })
    .shape(FORM),
    Breakage::always("queue/message/retention-null", QUEUE_MESSAGE_4, Wire, || {
        in_data(Action::Pause, |data| data["queue"]["retention_seconds"] = Value::Null)
    })
    .shape(FORM),
    Breakage::always("queue/message/internal-as-text", QUEUE_MESSAGE_4, Wire, || {
        in_list(Action::List, "queues", |queue| queue["internal"] = json!("false"))
    })
    .shape(FORM),
    Breakage::always("queue/message/dead-since-never", QUEUE_MESSAGE_5, Wire, || {
        in_list(Action::ListDeadLetters, "messages", |letter| without(letter, "created_at"))
    })
    .shape(FORM),
    Breakage::always("queue/message/reason-as-object", QUEUE_MESSAGE_5, Wire, || {
        in_list(Action::ListDeadLetters, "messages", |letter| letter["failure_reason"] = json!({"code": 7}))
    })
    .shape(FORM),
    Breakage::always("queue/message/updated-never", QUEUE_MESSAGE_6, Wire, || {
        in_data(Action::CreateDestination, |data| without(&mut data["destination"], "updated_at"))
    })
    .shape(FORM),
    Breakage::always("queue/message/stats-as-list", QUEUE_MESSAGE_6, Wire, || {
        in_list(Action::ListDestinations, "destinations", |one| one["stats"] = json!([]))
    })
    .shape(FORM),
    Breakage::always("queue/message/counts-absent", QUEUE_MESSAGE_7, Wire, || {
        in_data(Action::GetSource, |data| without(&mut data["source"], "failure_count"))
    })
    .shape(FORM),
    Breakage::always("queue/message/counts-as-text", QUEUE_MESSAGE_7, Wire, || {
        in_list(Action::ListSources, "sources", |one| one["request_count"] = json!("0"))
    })
    .shape(FORM),
    Breakage::always("queue/message/durable-absent", QUEUE_MESSAGE_8, Wire, || {
        in_list(Action::ListConsumers, "consumers", |one| without(one, "durable"))
    })
    .shape(FORM),
    Breakage::always("queue/message/resumed-without-queue", QUEUE_MESSAGE_9, Wire, || {
        told(Action::Resume, |_, body| without(body, "data"))
    })
    .shape(FORM),
    Breakage::always("queue/message/queues-counted-in-text", QUEUE_MESSAGE_10, Wire, || {
        in_data(Action::List, |data| data["total"] = json!("all"))
    })
    .shape(FORM),
    Breakage::always("queue/message/replayed-without-message", QUEUE_MESSAGE_11, Wire, || {
        told(Action::ReplayMessage, |_, body| without(body, "data"))
    })
    .shape(FORM),
    Breakage::always("queue/message/dead-replayed-without-message", QUEUE_MESSAGE_11, Wire, || {
        told(Action::ReplayDeadLetter, |_, body| without(body, "data"))
    })
    .shape(FORM),
    Breakage::always("queue/message/messages-counted-below-zero", QUEUE_MESSAGE_12, Wire, || {
        in_data(Action::ListMessages, |data| data["total"] = json!(-1))
    })
    .shape(FORM),
    Breakage::always("queue/message/none-failed-null", QUEUE_MESSAGE_13, Wire, || {
        in_data(Action::Batch, |data| data["failed"] = Value::Null)
    })
    .shape(FORM),
    Breakage::always("queue/message/nothing-for-null", QUEUE_MESSAGE_14, Wire, || {
        in_data(Action::Receive, |data| {
            if data["message"].is_null() {
                without(data, "message");
            }
        })
    })
    .shape(FORM),
    Breakage::always("queue/message/offset-null", QUEUE_MESSAGE_15, Wire, || {
        in_data(Action::Tail, |data| {
            if data["offset"] == -1 {
                data["offset"] = Value::Null;
            }
        })
    })
    .shape(FORM),
    Breakage::always("queue/message/no-letters-null", QUEUE_MESSAGE_16, Wire, || {
        in_data(Action::ListDeadLetters, |data| empty_is_null(data, "messages"))
    })
    .shape(FORM),
    Breakage::always("queue/message/destination-without-data", QUEUE_MESSAGE_17, Wire, || {
        told(Action::UpdateDestination, |_, body| without(body, "data"))
    })
    .shape(FORM),
    Breakage::always("queue/message/no-destinations-null", QUEUE_MESSAGE_18, Wire, || {
        in_data(Action::ListDestinations, |data| empty_is_null(data, "destinations"))
    })
    .shape(FORM),
    Breakage::always("queue/message/source-without-data", QUEUE_MESSAGE_19, Wire, || {
        told(Action::UpdateSource, |_, body| without(body, "data"))
    })
    .shape(FORM),
    Breakage::always("queue/message/no-sources-null", QUEUE_MESSAGE_20, Wire, || {
        in_data(Action::ListSources, |data| empty_is_null(data, "sources"))
    })
    .shape(FORM),
    Breakage::always("queue/message/consumers-uncounted", QUEUE_MESSAGE_21, Wire, || {
        in_data(Action::ListConsumers, |data| without(data, "total"))
    })
    .shape(FORM),
    Breakage::always("queue/message/purged-in-silence", QUEUE_MESSAGE_22, Wire, || {
        told(Action::PurgeDeadLetters, |_, body| *body = json!({}))
    })
    .shape(FORM),
    Breakage::always("queue/message/deleted-as-text", QUEUE_MESSAGE_22, Wire, || {
        told(Action::DeleteMessage, |_, body| body["success"] = json!("true"))
    })
    .shape(FORM),
    Breakage::always("queue/message/code-as-number", QUEUE_MESSAGE_23, Wire, || {
        reply(|_, response| {
            if response.status >= 400 {
                let status = response.status;
                rewrite(response, |body| body["code"] = json!(status));
            }
        })
    })
    .shape(FORM),
    Breakage::always("queue/message/refusal-without-success", QUEUE_MESSAGE_23, Wire, || {
        reply(|_, response| {
            if response.status == 401 {
                rewrite(response, |body| without(body, "success"));
            }
        })
    })
    .shape(FORM),
];

/// The data of each answer to this operation that succeeded, changed.
fn in_data(action: Action, change: fn(&mut Value)) -> Seams {
    told(action, move |_, body| {
        if body["data"].is_object() {
            change(&mut body["data"]);
        }
    })
}

/// Each element of a list in these data, changed.
fn in_list(action: Action, name: &'static str, change: fn(&mut Value)) -> Seams {
    told(action, move |_, body| each(&mut body["data"][name], change))
}

fn each(list: &mut Value, change: fn(&mut Value)) {
    if let Value::Array(list) = list {
        list.iter_mut().for_each(change);
    }
}

fn without(object: &mut Value, name: &str) {
    if let Value::Object(members) = object {
        members.remove(name);
    }
}

/// As some write a list that has no element.
fn empty_is_null(data: &mut Value, name: &str) {
    if data[name].as_array().is_some_and(Vec::is_empty) {
        data[name] = Value::Null;
    }
}

/// What clients send.
pub(super) const CLIENTS: ClientTable = &[
    client::always("queue/message/id-of-nobody", QUEUE_MESSAGE_24, Wire, || {
        client::auth(|_, auth| {
            if auth.get("client_id").is_none() {
                auth["client_id"] = Value::Null;
            }
        })
    })
    .shape(FORM),
    // What looks like a Push to whoever looks at the type alone.
    client::second("queue/message/typed-with-null", QUEUE_MESSAGE_24, Wire, || {
        client::auth(|number, auth| {
            if number > 1 && auth.get("last_offset").is_none() {
                auth["last_offset"] = Value::Null;
                auth["type"] = json!("resume");
            }
        })
    })
    .shape(FORM),
    client::second("queue/message/offset-as-text", QUEUE_MESSAGE_24, Wire, || {
        client::auth(|_, auth| {
            if let Some(offset) = auth["last_offset"].as_i64() {
                auth["last_offset"] = json!(offset.to_string());
            }
        })
    })
    .shape(FORM),
    client::always("queue/message/data-for-payload", QUEUE_MESSAGE_25, Wire, || {
        client::request(|_, request| {
            let Ok(mut body) = serde_json::from_slice::<Value>(&request.body) else { return };
            if let Some(members) = body.as_object_mut()
                && let Some(payload) = members.remove("payload")
            {
                members.insert("data".into(), payload);
                request.body = Body(body.to_string().into());
            }
        })
    })
    .shape(FORM),
];
