//! Defects of "Http".

use super::{Seams, Table, is, refusal, reply, request, rewrite, told};
use crate::{
    protocol::Cut::Wire,
    selftest::defects::{
        Breakage,
        wire::{Count, HttpSeams},
    },
};
use serde_json::{Value, json};
use wireproof_spec::{
    fleet::{Action, requirements::*},
    http::{Body, Request, Response},
};

pub(super) const TABLE: Table = &[
    Breakage::always("fleet/http/cause-of-another-status", FLEET_HTTP_1, Wire, || {
        reply(|_, response| {
            if response.status == 404 {
                rewrite(response, |body| body["cause"] = json!("NO_CANDIDATE"));
            }
        })
    })
    .wide("what is not found is refused so everywhere"),
    Breakage::boundary("fleet/http/too-large-without-envelope", FLEET_HTTP_1, Wire, || {
        reply(|_, response| {
            if response.status == 413 {
                response.body = Body(r#"{"error": "payload too large"}"#.into());
            }
        })
    })
    .shape("an answer without an envelope is what breaks it"),
    Breakage::always("fleet/http/plain-text", FLEET_HTTP_2, Wire, || {
        reply(|_, response| typed(response, 200, "text/plain"))
    }),
    Breakage::always("fleet/http/html-where-there-is-nothing", FLEET_HTTP_2, Wire, || {
        reply(|_, response| typed(response, 404, "text/html"))
    }),
    Breakage::boundary("fleet/http/slash-at-the-end", FLEET_HTTP_3, Wire, || {
        request(|request| {
            if let Some(path) = request.path.strip_suffix('/').filter(|path| path.len() > 3) {
                request.path = path.to_owned();
            }
        })
    }),
    Breakage::boundary("fleet/http/paths-in-capitals", FLEET_HTTP_3, Wire, || {
        request(|request| {
            let small = request.path.to_ascii_lowercase();
            if ["/healthz", "/readyz", "/v1/stats"].contains(&small.as_str()) {
                request.path = small;
            }
        })
    }),
    Breakage::always("fleet/http/method-not-allowed", FLEET_HTTP_3, Wire, || {
        reply(|request, response| {
            if response.status == 404
                && request.method != "GET"
                && request.method != "HEAD"
                && !has_id(request)
            {
                rewrite(response, |body| body["cause"] = json!("ROOM_NOT_FOUND"));
            }
        })
    }),
    Breakage::always("fleet/http/head-of-rooms-is-no-route", FLEET_HTTP_5, Wire, || {
        reply(|request, response| {
            if request.method == "HEAD" && request.path == "/v1/rooms" {
                *response = refusal(404, "NOT_FOUND");
            }
        })
    }),
    Breakage::boundary("fleet/http/head-finds-everything", FLEET_HTTP_5, Wire, || {
        reply(|request, response| {
            if request.method == "HEAD" && response.status == 404 && has_id(request) {
                response.status = 200;
            }
        })
    }),
    Breakage::boundary("fleet/http/head-with-a-body", FLEET_HTTP_5, Wire, || {
        let bytes = |request: &Request, response: &Response| {
            let whole = request.method == "HEAD" && request.path == "/v1/stats" && response.status == 200;
            let body = r#"{"status":"OK"}"#;
            whole.then(|| {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
                format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
            })
        };
        HttpSeams { bytes: Some(Box::new(bytes)), ..HttpSeams::honest() }.into()
    }),
    Breakage::always("fleet/http/no-rooms-of-nobody", FLEET_HTTP_6, Wire, || {
        reply(|request, response| {
            if is(request, Action::InstanceRooms) && response.status == 404 {
                *response = success(&json!([]));
            }
        })
    }),
    Breakage::always("fleet/http/room-not-found-as-instance", FLEET_HTTP_6, Wire, || {
        reply(|request, response| {
            if is(request, Action::Room) && response.status == 404 {
                *response = refusal(404, "INSTANCE_NOT_FOUND");
            }
        })
    }),
    Breakage::boundary("fleet/http/longest-is-too-long", FLEET_HTTP_7, Wire, || {
        reply(|request, response| {
            if is(request, Action::CreateRoom) && request.body.len() == 65_536 {
                *response = refusal(413, "PAYLOAD_TOO_LARGE");
            }
        })
    }),
    Breakage::boundary("fleet/http/too-long-is-invalid", FLEET_HTTP_7, Wire, || {
        reply(|request, response| {
            if is(request, Action::CreateRoom) && response.status == 413 {
                *response = refusal(400, "VALIDATION");
            }
        })
    }),
    Breakage::boundary("fleet/http/list-of-one", FLEET_HTTP_8, Wire, || {
        body(|text, value| match value {
            Some(Value::Array(mut list)) if list.len() == 1 => list.pop(),
            _ if text.trim().is_empty() => None,
            other => other,
        })
    }),
    Breakage::boundary("fleet/http/empty-body-for-any", FLEET_HTTP_8, Wire, || {
        body(|text, value| match text.trim() {
            "" => Some(json!({"type": "any"})),
            _ => value,
        })
    }),
    Breakage::boundary("fleet/http/null-id-is-none", FLEET_HTTP_9, Wire, || {
        each_body(|body| {
            if body["roomId"].is_null() {
                without(body, "roomId");
            }
        })
    }),
    Breakage::boundary("fleet/http/null-placement-is-none", FLEET_HTTP_9, Wire, || {
        each_body(|body| {
            if body["placement"].is_null() || body["placement"].is_array() {
                without(body, "placement");
            }
        })
    }),
    Breakage::boundary("fleet/http/type-of-any-object", FLEET_HTTP_9, Wire, || {
        each_body(|body| {
            if let Some(name) = body["type"]["name"].as_str() {
                body["type"] = name.to_owned().into();
            }
        })
    }),
    Breakage::boundary("fleet/http/ids-are-trimmed", FLEET_HTTP_10, Wire, || {
        each_body(|body| {
            if let Some(id) = body["roomId"].as_str() {
                body["roomId"] = id.trim().to_owned().into();
            }
        })
    }),
    Breakage::boundary("fleet/http/long-ids-are-cut", FLEET_HTTP_10, Wire, || {
        each_body(|body| {
            if let Some(id) = body["roomId"].as_str().filter(|id| id.len() > 64 && id.is_ascii()) {
                body["roomId"] = id[..64].to_owned().into();
            }
        })
    }),
    Breakage::boundary("fleet/http/id-of-64-is-too-long", FLEET_HTTP_10, Wire, || {
        reply(|request, response| {
            let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            if is(request, Action::CreateRoom) && body["roomId"].as_str().is_some_and(|id| id.len() == 64) {
                *response = refusal(400, "VALIDATION");
            }
        })
    }),
    Breakage::boundary("fleet/http/dots-are-well", FLEET_HTTP_10, Wire, || {
        each_body(|body| {
            if let Some(id) = body["roomId"].as_str().filter(|id| id.contains('.') && id.len() > 2) {
                body["roomId"] = id.replace('.', "-").into();
            }
        })
    }),
    Breakage::always("fleet/http/unknown-members-are-refused", FLEET_HTTP_11, Wire, || {
        reply(|request, response| {
            let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            let known = ["type", "roomId", "placement"];
            if is(request, Action::CreateRoom)
                && body.as_object().is_some_and(|body| body.keys().any(|key| !known.contains(&key.as_str())))
            {
                *response = refusal(400, "VALIDATION");
            }
        })
    }),
    Breakage::boundary("fleet/http/type-of-the-placement", FLEET_HTTP_11, Wire, || {
        each_body(|body| {
            let kind = body["placement"]["type"].clone();
            if kind.is_string() {
                body["type"] = kind;
            }
        })
    }),
    Breakage::always("fleet/http/any-media-type", FLEET_HTTP_15, Wire, || {
        request(|request| {
            if is(request, Action::CreateRoom) {
                request.headers.0.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
                request.headers.push("content-type", "application/json");
            }
        })
    }),
    Breakage::always("fleet/http/drain-wants-a-type", FLEET_HTTP_16, Wire, || {
        reply(|request, response| {
            if is(request, Action::Undrain) && request.headers.get("content-type").is_none() {
                *response = refusal(415, "VALIDATION");
            }
        })
    })
    .wide("nobody says what no body is"),
    Breakage::second("fleet/http/parts-of-types", FLEET_HTTP_19, Wire, || {
        let count = Count::new();
        filtered(move |request, rooms| {
            if request.query.get("type").is_some() && count.up("type") > 0 {
                rooms.clear();
            }
        })
    }),
    Breakage::boundary("fleet/http/all-where-none-is", FLEET_HTTP_19, Wire, || {
        request(|request| {
            if is(request, Action::Rooms) {
                request.query.0.retain(|(name, _)| name != "instanceId");
            }
        })
    }),
    Breakage::boundary("fleet/http/values-end-at-a-colon", FLEET_HTTP_20, Wire, || {
        request(|request| {
            for (name, value) in &mut request.query.0 {
                if name == "label" {
                    let parts: Vec<&str> = value.split(':').take(2).collect();
                    *value = parts.join(":");
                }
            }
        })
    }),
    Breakage::boundary("fleet/http/once-for-each-label", FLEET_HTTP_21, Wire, || {
        filtered(|request, rooms| {
            if request.query.0.iter().filter(|(name, _)| name == "label").count() > 1 {
                rooms.extend(rooms.clone());
            }
        })
    }),
    Breakage::boundary("fleet/http/first-filter-alone", FLEET_HTTP_21, Wire, || {
        request(|request| {
            if is(request, Action::Rooms) {
                let mut first = true;
                request.query.0.retain(|(name, _)| {
                    !["type", "instanceId", "label"].contains(&name.as_str()) || std::mem::take(&mut first)
                });
            }
        })
    }),
    Breakage::boundary("fleet/http/last-label-alone", FLEET_HTTP_21, Wire, || {
        request(|request| {
            if is(request, Action::Rooms) {
                let labels = request.query.0.iter().filter(|(name, _)| name == "label").count();
                let mut seen = 0;
                request.query.0.retain(|(name, _)| {
                    seen += usize::from(name == "label");
                    name != "label" || seen == labels
                });
            }
        })
    }),
    Breakage::always("fleet/http/pages", FLEET_HTTP_22, Wire, || {
        filtered(|request, rooms| {
            if let Some(limit) = request.query.get("limit").and_then(|limit| limit.parse().ok()) {
                rooms.truncate(limit);
            }
        })
    }),
];

/// Whether a path has an id in it.
fn has_id(request: &Request) -> bool {
    ["/v1/rooms/", "/v1/instances/"].iter().any(|start| request.path.starts_with(start))
}

/// An answer with this status, as of another media type.
fn typed(response: &mut Response, status: u16, kind: &str) {
    if response.status == status
        && let Some((_, value)) = response
            .headers
            .0
            .iter_mut()
            .find(|(name, value)| name == "content-type" && value.contains("json"))
    {
        kind.clone_into(value);
    }
}

/// A success.
fn success(data: &Value) -> Response {
    let body = json!({"status": "OK", "data": data});
    Response::new(200).header("content-type", "application/json; charset=utf-8").body(body.to_string())
}

/// Without this member.
fn without(object: &mut Value, member: &str) {
    if let Some(members) = object.as_object_mut() {
        members.remove(member);
    }
}

/// The body of each request for a room, by its text and what it is as JSON; none: as it is.
fn body(change: impl Fn(&str, Option<Value>) -> Option<Value> + Send + Sync + 'static) -> Seams {
    request(move |request| {
        if is(request, Action::CreateRoom) {
            let text = String::from_utf8_lossy(&request.body).into_owned();
            if let Some(value) = change(&text, serde_json::from_str(&text).ok()) {
                request.body = Body(value.to_string().into());
            }
        }
    })
}

/// The object in the body of each request for a room, changed.
fn each_body(change: impl Fn(&mut Value) + Send + Sync + 'static) -> Seams {
    body(move |_, value| {
        let mut value = value.filter(Value::is_object)?;
        change(&mut value);
        Some(value)
    })
}

/// The rooms that a query shows, changed.
fn filtered(change: impl Fn(&Request, &mut Vec<Value>) + Send + Sync + 'static) -> Seams {
    told(Action::Rooms, move |request, body| {
        if let Some(rooms) = body["data"].as_array_mut() {
            change(request, rooms);
        }
    })
}
