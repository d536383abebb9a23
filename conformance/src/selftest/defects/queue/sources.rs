//! Defects of "Sources".

use super::{Ask, Seams, State, Table, ask, ask_mut, input, through, told};
use crate::{
    protocol::Cut::{Port, Wire},
    selftest::defects::{
        Breakage,
        port::{forget, rewrite_state},
    },
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use wireproof_spec::queue::{Action, requirements::*};

pub(super) const TABLE: Table = &[
    Breakage::always("queue/sources/named-anew", QUEUE_SOURCES_1, Wire, || {
        told(Action::CreateSource, |_, body| {
            if let Some(name) = body["data"]["source"]["name"].as_str() {
                body["data"]["source"]["name"] = json!(format!("{name}-1"));
            }
        })
    }),
    Breakage::always("queue/sources/without-a-place", QUEUE_SOURCES_1, Wire, || {
        told(Action::CreateSource, |_, body| body["data"]["source"]["url"] = json!(""))
    }),
    Breakage::second("queue/sources/second-forgotten", QUEUE_SOURCES_2, Port, || {
        let mut posts = BTreeMap::new();
        through(forget(move |_, input, _| {
            let Some((_, Ask::Post(posted))) = ask(input) else { return false };
            let count = posts.entry(posted.id.clone()).or_insert(0_u32);
            *count += 1;
            *count == 2
        }))
    }),
    // As if it were the body of a publish.
    Breakage::boundary("queue/sources/payload-in-a-payload", QUEUE_SOURCES_2, Port, || unwrapping("payload")),
    Breakage::boundary("queue/sources/all-by-the-first", QUEUE_SOURCES_3, Wire, || {
        by(|list| {
            let first = list.first().map(|message| message["source_id"].clone()).unwrap_or_default();
            list.iter_mut().for_each(|message| message["source_id"] = first.clone());
        })
    }),
    Breakage::boundary("queue/sources/by-name", QUEUE_SOURCES_3, Wire, || {
        by(|list| {
            for message in list {
                message["source_id"] = message["source_name"].clone();
            }
        })
    }),
    Breakage::boundary("queue/sources/open-though-off", QUEUE_SOURCES_4, Port, || {
        through(rewrite_state(|state: &mut State, input| {
            if matches!(ask(input), Some((_, Ask::Post(_)))) {
                for queue in state.queues.values_mut() {
                    queue.sources.values_mut().for_each(|source| source.enabled = true);
                }
            }
        }))
    }),
    Breakage::boundary("queue/sources/deletion-forgotten", QUEUE_SOURCES_4, Port, || {
        through(forget(|_, input, _| matches!(ask(input), Some((_, Ask::RemoveSource { .. })))))
    }),
];

/// The messages that consume tells and that came by a source, changed.
fn by(change: fn(&mut Vec<Value>)) -> Seams {
    told(Action::Consume, move |_, body| {
        if let Value::Array(list) = &mut body["data"]["messages"]
            && list.iter().all(|message| message["source_id"].is_string())
        {
            change(list);
        }
    })
}

/// Of what is posted only this member is published, if it has it.
fn unwrapping(name: &'static str) -> Seams {
    input(move |_, input| {
        let Some(Ask::Post(posted)) = ask_mut(input) else { return };
        if let Some(draft) = &mut posted.draft
            && let Ok(Value::Object(mut members)) = serde_json::from_slice(&draft.payload)
            && let Some(inner) = members.remove(name)
        {
            let text = inner.to_string();
            draft.size = text.len() as u64;
            draft.payload = text.into();
        }
    })
}
