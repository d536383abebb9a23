//! Whether what a broken reference says is plausible: valid by the schemas, and of a shape that an honest one shows too.

use crate::{
    event::{Bytes, Event, Message, What},
    observers::check_data,
    protocol::{Payload, Protocol},
    run::{Settings, drive_alone, schemas::Schemas},
    target::Target,
    wire::http::ALIVE,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use wireproof_spec::http::{Body, Fields, Request, Response};

/// Headers that say nothing about the protocol.
const TRANSPORT: [&str; 8] = [
    "date",
    "connection",
    "content-length",
    "transfer-encoding",
    "keep-alive",
    "server",
    "upgrade",
    "sec-websocket-accept",
];

/// The shapes of everything that honest variants say.
pub struct Known {
    shapes: BTreeSet<String>,
    schemas: Schemas,
}

impl Known {
    /// From the events of honest runs.
    ///
    /// # Panics
    /// If a schema of the protocol is none; the runs that these events come from compiled them.
    pub fn of<'a>(protocol: &Protocol, events: impl IntoIterator<Item = &'a Arc<Event>>) -> Self {
        let schemas = match Schemas::compile(&(protocol.schemas)()) {
            Ok(schemas) => schemas,
            Err(why) => panic!("{why}"),
        };
        let events: Vec<_> = events.into_iter().cloned().collect();
        let shapes = said(protocol, &events).iter().map(Said::shape).collect();
        Self { shapes, schemas }
    }

    /// The first thing among these events that no honest variant says, or that no schema accepts.
    pub fn implausible(&self, protocol: &Protocol, events: &[Arc<Event>]) -> Option<String> {
        said(protocol, events).iter().find_map(|said| {
            let shape = said.shape();
            if !self.shapes.contains(&shape) {
                return Some(format!("no honest variant says `{shape}`"));
            }
            let (schema, checked) = match said {
                Said::Answer(request, response, body) => {
                    let (_, schema) = (protocol.shape)(request, response)?;
                    let checked = match protocol.bodies {
                        // Of a long one not all is kept.
                        true => check_data(&self.schemas, schema, body),
                        false => self.schemas.check(schema, response),
                    };
                    (schema, checked)
                }
                Said::Event { schema: Some(schema), data, .. } => {
                    (*schema, check_data(&self.schemas, schema, data))
                }
                Said::Frame { binary, data } => {
                    let framed = Payload::kept(*binary, data, protocol.frame_shape)?;
                    let checked = match &framed.document {
                        Some(document) => document
                            .as_ref()
                            .map_err(Clone::clone)
                            .and_then(|document| self.schemas.check(framed.schema, document)),
                        None => check_data(&self.schemas, framed.schema, data),
                    };
                    (framed.schema, checked)
                }
                _ => return None,
            };
            checked.err().map(|why| format!("{schema}: {why}"))
        })
    }
}

enum Said {
    Answer(Request, Response, Bytes),
    Event {
        name: String,
        schema: Option<&'static str>,
        data: Bytes,
    },
    Frame {
        binary: bool,
        data: Bytes,
    },
    Closed(Option<u16>),
    /// What a client asks of a server that we play.
    Request(String, Vec<String>, Bytes),
}

impl Said {
    /// Operation, status and protocol headers; the name of an event, and the fields of one that has a schema; the form of a
    /// frame; the code of a close; method and headers of what a client asks.
    fn shape(&self) -> String {
        match self {
            Said::Answer(request, response, _) => {
                let mode = request.query.get("live").unwrap_or_default();
                let names: BTreeSet<&str> = response
                    .headers
                    .0
                    .iter()
                    .map(|(n, _)| n.as_str())
                    .filter(|n| !TRANSPORT.contains(n))
                    .collect();
                let names: Vec<&str> = names.into_iter().collect();
                format!("{} {mode} {} {}", request.method, response.status, names.join(" "))
            }
            Said::Event { name, schema: None, .. } => format!("event {name}"),
            Said::Event { name, data, .. } => {
                let fields: Option<BTreeMap<String, Value>> =
                    data.text.as_deref().and_then(|text| serde_json::from_str(text).ok());
                let names: Vec<String> = fields.into_iter().flatten().map(|(name, _)| name).collect();
                format!("event {name} {}", names.join(" "))
            }
            Said::Frame { binary, .. } => if *binary { "binary" } else { "text" }.to_owned(),
            Said::Closed(code) => format!("close {code:?}"),
            Said::Request(method, headers, _) => format!("asks {method} {}", headers.join(" ")),
        }
    }
}

fn said(protocol: &Protocol, events: &[Arc<Event>]) -> Vec<Said> {
    let mut sent: BTreeMap<u64, Request> = BTreeMap::new();
    let mut all = Vec::new();
    for event in events {
        match &event.what {
            What::Sent { message: Message::Request { method, target, headers, body, .. }, .. } => {
                let mut request = Request {
                    method: method.clone(),
                    headers: Fields(headers.clone().into_iter().collect()),
                    body: Body(body.text.clone().unwrap_or_default().into()),
                    ..Request::default()
                };
                request.set_target(target);
                sent.insert(event.seq, request);
            }
            What::Received { message, answers, .. } => {
                match (message, answers.and_then(|to| sent.get(&to))) {
                    // What shows only that a target is alive is no part of a protocol.
                    (Message::Response { .. }, Some(request)) if request.path.ends_with(ALIVE) => {}
                    (Message::Response { status, headers, body }, Some(request)) => {
                        let response = Response {
                            status: *status,
                            headers: Fields(headers.clone().into_iter().collect()),
                            body: Body(body.text.clone().unwrap_or_default().into()),
                        };
                        all.push(Said::Answer(request.clone(), response, body.clone()));
                    }
                    (Message::Event { name, data, .. }, Some(request)) => {
                        let schema = (protocol.event_shape)(request, name).map(|(_, schema)| schema);
                        all.push(Said::Event { name: name.clone(), schema, data: data.clone() });
                    }
                    (Message::Request { method, headers, body, .. }, _) => {
                        let names = headers.keys().filter(|name| !TRANSPORT.contains(&name.as_str()));
                        all.push(Said::Request(method.clone(), names.cloned().collect(), body.clone()));
                    }
                    (Message::Text { text }, _) => {
                        all.push(Said::Frame { binary: false, data: text.clone() });
                    }
                    (Message::Binary { bytes }, _) => {
                        all.push(Said::Frame { binary: true, data: bytes.clone() });
                    }
                    _ => {}
                }
            }
            What::Closed { code: Some(code), .. } => all.push(Said::Closed(Some(*code))),
            _ => {}
        }
    }
    all
}

/// The transcript of every operation once, in the ordinary way, without what differs from run to run.
pub(super) async fn ordinary(protocol: &'static Protocol, target: Target) -> Result<Vec<String>, String> {
    let Some(flow) = protocol.trial.ordinary else { return Ok(Vec::new()) };
    // Nothing is claimed here, and much else runs beside: on a busy machine it may take its time.
    let settings = Settings { bare: true, time_scale: 10.0, ..Settings::default() };
    let finished = drive_alone(protocol, target, settings, flow).await?;
    // What is no frame of the protocol comes when it likes: a keep-alive. So does what comes by a clock.
    let timed = |said: &&Said| match said {
        Said::Frame { binary, data } => Payload::kept(*binary, data, protocol.frame_shape)
            .is_some_and(|framed| !protocol.trial.timed.contains(&framed.schema)),
        _ => true,
    };
    Ok(said(protocol, &finished)
        .iter()
        .filter(timed)
        .map(|said| match said {
            Said::Answer(request, response, _) => {
                let telling = |name: &str| {
                    !TRANSPORT.contains(&name) && !["stream-cursor", "location", "etag"].contains(&name)
                };
                let headers: Vec<String> = response
                    .headers
                    .0
                    .iter()
                    .filter(|(name, _)| telling(name))
                    .map(|(name, value)| format!("{name}: {value}"))
                    .collect();
                let body = steady(protocol, &String::from_utf8_lossy(&response.body));
                format!("{} {} [{}] {body}", request.method, response.status, headers.join(", "))
            }
            Said::Event { name, data, .. } => {
                let text = data.text.as_deref().unwrap_or_default();
                // Of an object all but the cursor, as of an answer.
                match serde_json::from_str::<serde_json::Map<String, Value>>(text) {
                    Ok(mut fields) => {
                        fields.remove("streamCursor");
                        format!("event {name} {}", Value::Object(fields))
                    }
                    Err(_) => format!("event {name} {text}"),
                }
            }
            Said::Frame { binary, data } => {
                let framed = Payload::kept(*binary, data, protocol.frame_shape);
                let document = framed.and_then(|framed| framed.document).and_then(Result::ok);
                let text = document
                    .map_or_else(|| data.text.clone().unwrap_or_default(), |document| document.to_string());
                format!("{} {}", said.shape(), steady(protocol, &text))
            }
            Said::Request(_, _, body) => {
                format!("{} {}", said.shape(), steady(protocol, body.text.as_deref().unwrap_or_default()))
            }
            other => other.shape(),
        })
        .collect())
}

/// A message without the values that differ from run to run.
fn steady(protocol: &Protocol, message: &str) -> String {
    fn blank(value: &mut Value, volatile: &[&str]) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    match volatile.contains(&name.as_str()) {
                        true => *value = Value::Null,
                        false => blank(value, volatile),
                    }
                }
            }
            Value::Array(list) => list.iter_mut().for_each(|value| blank(value, volatile)),
            _ => {}
        }
    }
    if protocol.trial.volatile.is_empty() {
        return message.to_owned();
    }
    serde_json::from_str(message).map_or_else(
        |_| message.to_owned(),
        |mut value| {
            blank(&mut value, protocol.trial.volatile);
            value.to_string()
        },
    )
}
