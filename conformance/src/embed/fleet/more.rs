//! Members that the document does not name, in all that operators are shown: whoever reads passes over them.

use super::reference::{
    fleet::{Seams, seams::Piece},
    http,
};
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use wireproof_spec::http::{Body, Request, Response};

/// The member that is added.
const AGE: &str = "ageMs";

/// These seams, and before them more is shown, which is another thing at each look.
pub(super) fn seams(seams: Seams) -> Seams {
    let looks = Arc::new(AtomicU64::new(0));
    let of_events = Arc::clone(&looks);
    let Seams { http, events, .. } = seams;
    let then = http.reply;
    let reply = move |request: &Request, response: &mut Response| {
        if let Ok(mut body) = serde_json::from_slice::<Value>(&response.body)
            && body["data"] != Value::Null
        {
            add(&mut body["data"], looks.fetch_add(1, Ordering::Relaxed));
            response.body = Body(body.to_string().into());
        }
        then(request, response);
    };
    Seams {
        http: http::Seams { reply: Box::new(reply), ..http },
        events: Some(Box::new(move |request, pieces| {
            for piece in &mut *pieces {
                if let Piece::Event { data, .. } = piece
                    && let Ok(mut told) = serde_json::from_str::<Value>(data)
                {
                    add(&mut told, of_events.fetch_add(1, Ordering::Relaxed));
                    *data = told.to_string();
                }
            }
            if let Some(events) = &events {
                events(request, pieces);
            }
        })),
        ..seams
    }
}

/// Adds to an instance, a room or the numbers, and to all that is in them.
fn add(value: &mut Value, looks: u64) {
    if let Value::Array(all) = value {
        return all.iter_mut().for_each(|one| add(one, looks));
    }
    let Some(object) = value.as_object_mut() else { return };
    if !["processUid", "stateHash", "instanceId"].iter().any(|name| object.contains_key(*name)) {
        return;
    }
    object.insert(AGE.into(), json!(looks));
    if let Some(capacity) = object.get_mut("capacity") {
        capacity[AGE] = json!(looks);
    }
    if let Some(rooms) = object.get_mut("rooms") {
        add(rooms, looks);
    }
}
