//! Content that does not come through.

use super::{
    Breakage, DATA, Event, STREAM_SSE_16, STREAM_SSE_17, STREAM_SSE_18, STREAM_SSE_19, STREAM_SSE_20,
    STREAM_SSE_21, STREAM_SSE_22, STREAM_SSE_23, Seams, Table, Wire, change, data, events, is_sse, offset,
};
use crate::{
    selftest::defects::stream::{is_append, reply, request},
    wire::sse::Parser,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::value::RawValue;
use std::collections::VecDeque;
use wireproof_spec::stream::header::{CONTENT_TYPE, SSE_DATA_ENCODING};

pub(in super::super) const TABLE: Table = &[
    Breakage::always("stream/sse/base64-not-told", STREAM_SSE_16, Wire, || {
        reply(|request, response| {
            if is_sse(request) {
                response.headers.remove(SSE_DATA_ENCODING);
            }
        })
    }),
    Breakage::always("stream/sse/base64-told-of-text", STREAM_SSE_16, Wire, || {
        reply(|request, response| {
            if is_sse(request) && response.status == 200 {
                response.headers.set(SSE_DATA_ENCODING, "base64");
            }
        })
    }),
    Breakage::always("stream/sse/alphabet-for-urls", STREAM_SSE_17, Wire, || {
        base64(|text| text.replace('+', "-").replace('/', "_"))
    }),
    Breakage::always("stream/sse/no-padding", STREAM_SSE_17, Wire, || {
        base64(|text| text.trim_end_matches('=').to_owned())
    }),
    Breakage::always("stream/sse/content-written-as-it-is", STREAM_SSE_18, Wire, || {
        written(|content| format!("data: {content}\n"))
    })
    .shape("which events content forms is the requirement"),
    Breakage::always("stream/sse/lines-end-in-lf-alone", STREAM_SSE_18, Wire, || {
        written(|content| content.split('\n').map(|line| format!("data: {line}\n")).collect())
    })
    .shape("which events content forms is the requirement"),
    Breakage::always("stream/sse/last-line-feed-lost", STREAM_SSE_19, Wire, || {
        data(|content| {
            if content.ends_with('\n') {
                content.pop();
            }
        })
    }),
    Breakage::always("stream/sse/empty-lines-lost", STREAM_SSE_19, Wire, || {
        data(|content| {
            if content.contains("\n\n") {
                let lines: Vec<&str> = content.split('\n').filter(|line| !line.is_empty()).collect();
                *content = lines.join("\n");
            }
        })
    }),
    Breakage::always("stream/sse/space-at-the-start-of-a-line-lost", STREAM_SSE_19, Wire, || {
        written(|content| content.split(['\n', '\r']).map(|line| format!("data:{line}\n")).collect())
    }),
    Breakage::always("stream/sse/byte-order-mark-lost", STREAM_SSE_19, Wire, || {
        data(|content| {
            if let Some(rest) = content.strip_prefix('\u{feff}') {
                *content = rest.to_owned();
            }
        })
    }),
    Breakage::boundary("stream/sse/cut-characters-replaced", STREAM_SSE_19, Wire, || {
        events(|_, events| {
            // So much that it may go on in another event.
            for event in events.iter_mut().filter(|event| event.name == DATA && event.data.len() > 1_000) {
                if event.data.pop().is_some_and(|last| !last.is_ascii()) {
                    event.data.push('\u{fffd}');
                }
            }
        })
    }),
    Breakage::always("stream/sse/carriage-return-lost", STREAM_SSE_20, Wire, || {
        data(|content| *content = content.replace('\r', ""))
    }),
    Breakage::always("stream/sse/pair-is-two-line-feeds", STREAM_SSE_20, Wire, || {
        data(|content| *content = content.replace("\r\n", "\n\n"))
    }),
    Breakage::boundary("stream/sse/halves-of-a-character-replaced", STREAM_SSE_21, Wire, || {
        request(|request| {
            let text = request.headers.get(CONTENT_TYPE).is_some_and(|t| t.starts_with("text/"));
            if text && is_append(request) && is_cut(&request.body) {
                request.body.0 = String::from_utf8_lossy(&request.body).into_owned().into();
            }
        })
    }),
    Breakage::always("stream/sse/no-utf-8-becomes-question-marks", STREAM_SSE_22, Wire, || {
        data(|content| *content = content.replace('\u{fffd}', "?"))
    }),
    Breakage::always("stream/sse/no-utf-8-cuts-the-rest", STREAM_SSE_22, Wire, || {
        data(|content| content.truncate(content.find('\u{fffd}').unwrap_or(content.len())))
    }),
    Breakage::boundary("stream/sse/no-utf-8-awaited", STREAM_SSE_22, Wire, || {
        events(|_, events| awaited(events))
    }),
    Breakage::always("stream/sse/messages-in-lines", STREAM_SSE_23, Wire, || {
        json(|messages| messages.iter().map(|message| message.get()).collect::<Vec<_>>().join("\n"))
    }),
    Breakage::boundary("stream/sse/single-message-bare", STREAM_SSE_23, Wire, || {
        json(|messages| match messages {
            [single] => single.get().to_owned(),
            several => serde_json::to_string(several).unwrap_or_default(),
        })
    }),
];

/// Whether a text begins or ends within a character.
fn is_cut(body: &[u8]) -> bool {
    match std::str::from_utf8(body) {
        Ok(_) => false,
        Err(error) if error.valid_up_to() == 0 => {
            (0x80..0xc0).contains(&body[0]) || error.error_len().is_none()
        }
        Err(error) => error.error_len().is_none(),
    }
}

/// What is no text at the end is taken for the beginning of a character, of which the rest is still to come.
fn awaited(events: &mut Vec<Event>) {
    let is_closed = |event: &Event| event.data.contains("\"streamClosed\":true");
    if events.iter().any(is_closed) {
        return;
    }
    let Some(last) = events.iter_mut().rfind(|event| event.name == DATA) else { return };
    let Some(text) = last.data.strip_suffix('\u{fffd}') else { return };
    last.data = text.to_owned();
    if last.data.is_empty() {
        return events.clear();
    }
    change(events, |control| {
        let place: Option<u64> = control.stream_next_offset.as_str().parse().ok();
        if let Some(before) = place.and_then(|place| offset(place.saturating_sub(1))) {
            control.stream_next_offset = before;
        }
        control.up_to_date = false;
    });
}

/// Data in base64 changed.
fn base64(how: fn(&str) -> String) -> Seams {
    events(move |_, events| {
        for event in events.iter_mut().filter(|event| event.name == DATA) {
            if STANDARD.decode(&event.data).is_ok() {
                event.data = how(&event.data);
            }
        }
    })
}

/// Data of JSON messages written in another way.
fn json(how: fn(&[Box<RawValue>]) -> String) -> Seams {
    data(move |text| {
        if let Ok(messages) = serde_json::from_str::<Vec<Box<RawValue>>>(text) {
            *text = how(&messages);
        }
    })
}

/// Content written in another way: these are the fields behind the name of the event.
fn written(fields: fn(&str) -> String) -> Seams {
    events(move |_, events| {
        *events = events
            .drain(..)
            .flat_map(|event| {
                if event.name != DATA {
                    return vec![event];
                }
                let text = format!("event: data\n{}\n", fields(&event.data));
                let mut found = VecDeque::new();
                // What a reader makes of it; it is no longer than what it comes from.
                let _ = Parser::new(usize::MAX).feed(text.as_bytes(), &mut found);
                found.into_iter().map(|e| Event { name: e.name, data: e.data }).collect()
            })
            .collect();
    })
}
