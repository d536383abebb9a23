//! Members that the document does not name, in all that operators are shown: whoever reads passes over them.

use super::reference::{
    fleet::{Seams, seams::Piece},
    http::Seams as HttpSeams,
};
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use wireproof_spec::http::Body;

/// Honest seams that show more, some of which is another thing at each look.
pub(super) fn seams() -> Seams {
    let looks = Arc::new(AtomicU64::new(0));
    let of_events = Arc::clone(&looks);
    let reply = HttpSeams {
        reply: Box::new(move |_, response| {
            if let Ok(mut body) = serde_json::from_slice::<Value>(&response.body)
                && body["data"] != Value::Null
            {
                add(&mut body["data"], looks.fetch_add(1, Ordering::Relaxed));
                response.body = Body(body.to_string().into());
            }
        }),
        ..HttpSeams::honest()
    };
    Seams {
        events: Some(Box::new(move |_, pieces| {
            for piece in pieces {
                if let Piece::Event { data, .. } = piece
                    && let Ok(mut told) = serde_json::from_str::<Value>(data)
                {
                    add(&mut told, of_events.fetch_add(1, Ordering::Relaxed));
                    *data = told.to_string();
                }
            }
        })),
        ..reply.into()
    }
}

/// Adds to an instance, a room or the numbers, and to all that is in them.
fn add(value: &mut Value, looks: u64) {
    if let Value::Array(all) = value {
        return all.iter_mut().for_each(|one| add(one, looks));
    }
    let Some(object) = value.as_object_mut() else { return };
    if object.contains_key("processUid") {
        object.insert("connectedForMs".into(), json!(looks));
        if let Some(capacity) = object.get_mut("capacity") {
            capacity["freeRooms"] = json!(looks);
        }
        if let Some(rooms) = object.get_mut("rooms") {
            add(rooms, looks);
        }
    } else if object.contains_key("stateHash") {
        object.insert("uptimeMs".into(), json!(looks));
    } else if object.contains_key("instanceId") {
        object.insert("createdForMs".into(), json!(looks));
    }
}
