//! Defects of "Message".

use super::{Seams, Table, reply};
use crate::{embed::reference::stream::sse::Event, protocol::Cut::Wire, selftest::defects::Breakage};
use wireproof_spec::{
    http::{Request, Response},
    stream::{
        Operation,
        header::{CLOSED, CONTENT_TYPE, CURSOR, NEXT_OFFSET, SSE_DATA_ENCODING, UP_TO_DATE},
        requirements::*,
    },
};

const FORM: &str = "the form of the answer is the requirement";

pub(super) const TABLE: Table = &[
    Breakage::always("stream/message/create-says-not-closed", STREAM_MESSAGE_1, Wire, || {
        succeeded(|o| matches!(o, Operation::Create(_)), not_closed)
    })
    .shape(FORM),
    Breakage::always("stream/message/append-says-not-closed", STREAM_MESSAGE_2, Wire, || {
        succeeded(|o| matches!(o, Operation::Append(_)), not_closed)
    })
    .shape(FORM),
    Breakage::always("stream/message/close-says-yes", STREAM_MESSAGE_3, Wire, || {
        succeeded(|o| matches!(o, Operation::Close(_)), |r| r.headers.set(CLOSED, "yes"))
    })
    .shape(FORM),
    Breakage::always("stream/message/delete-answered-200", STREAM_MESSAGE_4, Wire, || {
        succeeded(|o| matches!(o, Operation::Delete(_)), |r| r.status = 200)
    })
    .wide("by 204 all checks know that a stream was deleted")
    .shape(FORM),
    Breakage::always("stream/message/head-says-not-closed", STREAM_MESSAGE_5, Wire, || {
        succeeded(|o| matches!(o, Operation::Head(_)), not_closed)
    })
    .wide("HEAD is how checks see that a stream is open")
    .shape(FORM),
    Breakage::always("stream/message/read-says-not-up-to-date", STREAM_MESSAGE_6, Wire, || {
        succeeded(
            |o| matches!(o, Operation::Read(_)),
            |r| {
                if r.headers.get(UP_TO_DATE).is_none() {
                    r.headers.set(UP_TO_DATE, "false");
                }
            },
        )
    })
    .shape(FORM),
    Breakage::always("stream/message/long-poll-cursor-in-hex", STREAM_MESSAGE_7, Wire, || {
        succeeded(
            |o| matches!(o, Operation::Longpoll(_)),
            |r| {
                if let Some(cursor) = r.headers.get(CURSOR).and_then(|c| c.parse::<u64>().ok()) {
                    r.headers.set(CURSOR, format!("0x{cursor:x}"));
                }
            },
        )
    })
    .wide("all checks of cursors read the cursor as a number")
    .shape(FORM),
    Breakage::always("stream/message/refusal-of-no-type", STREAM_MESSAGE_8, Wire, || {
        reply(|_, response| {
            if response.status >= 400 && response.headers.get(CONTENT_TYPE).is_some() {
                response.headers.set(CONTENT_TYPE, "text");
            }
        })
    })
    .shape(FORM),
    Breakage::always("stream/message/not-modified-at-now", STREAM_MESSAGE_9, Wire, || {
        reply(|_, response| {
            if response.status == 304 {
                response.headers.set(NEXT_OFFSET, "now");
            }
        })
    })
    .shape(FORM),
    Breakage::always("stream/message/event-stream-in-hex", STREAM_MESSAGE_10, Wire, || {
        succeeded(
            |o| matches!(o, Operation::Sse(_)),
            |r| {
                if r.headers.get(SSE_DATA_ENCODING).is_some() {
                    r.headers.set(SSE_DATA_ENCODING, "hex");
                }
            },
        )
    })
    .shape(FORM),
    Breakage::always("stream/message/control-cursor-as-number", STREAM_MESSAGE_11, Wire, || {
        let as_number = |event: &mut Event| {
            let Ok(mut control) = serde_json::from_str::<serde_json::Value>(&event.data) else { return };
            let cursor = control["streamCursor"].as_str().and_then(|cursor| cursor.parse::<u64>().ok());
            if let Some(cursor) = cursor {
                control["streamCursor"] = cursor.into();
                event.data = control.to_string();
            }
        };
        Seams {
            events: Some(Box::new(move |_, events| {
                events.iter_mut().filter(|event| event.name == "control").for_each(as_number);
            })),
            ..Seams::honest()
        }
    })
    .shape(FORM),
];

fn succeeded(which: fn(&Operation) -> bool, change: fn(&mut Response)) -> Seams {
    reply(move |request: &Request, response| {
        if response.status < 300 && super::is(request, which) {
            change(response);
        }
    })
}

fn not_closed(response: &mut Response) {
    if response.headers.get(CLOSED).is_none() {
        response.headers.set(CLOSED, "false");
    }
}
