//! Defects of "Http".

use super::{HttpSeams, Seams, Table, is, refusal, reply, request, success};
use crate::{
    embed::reference::queue::KEY,
    protocol::Cut::Wire,
    selftest::defects::{Breakage, wire::Count},
};
use serde_json::{Value, json};
use wireproof_spec::{
    http::{Body, Request, Response},
    queue::{Action, Route, http::DATE, requirements::*},
};

const MEDIA: &str = "the media type is the requirement";
const EMPTY: &str = "an answer without an envelope is what the requirement forbids";
/// What a request carries that is served although nobody may know.
const SMUGGLED: &str = "x-smuggled";

pub(super) const TABLE: Table = &[
    Breakage::always("queue/http/refusals-are-text", QUEUE_HTTP_1, Wire, || {
        reply(|_, response| {
            if response.status == 404 {
                response.headers.set("content-type", "text/plain");
            }
        })
    })
    .shape(MEDIA),
    Breakage::always("queue/http/done-without-type", QUEUE_HTTP_1, Wire, || {
        reply(|request, response| {
            if is(request, Action::Nack) {
                response.headers.remove("content-type");
            }
        })
    })
    .shape(MEDIA),
    Breakage::always("queue/http/tail-for-everybody", QUEUE_HTTP_2, Wire, || {
        request(|request| {
            if is(request, Action::Tail) && request.headers.get("authorization").is_none() {
                sign(request);
            }
        })
    }),
    Breakage::boundary("queue/http/unknown-queue-before-no-key", QUEUE_HTTP_2, Wire, || {
        Seams::from(HttpSeams {
            reply: Box::new(|request, response| {
                if request.headers.get(SMUGGLED).is_some() && response.status != 404 {
                    *response = unknown();
                }
            }),
            ..smuggles(Action::Get)
        })
    }),
    Breakage::boundary("queue/http/body-before-no-key", QUEUE_HTTP_2, Wire, || {
        instead(|request| request.headers.get("authorization").is_none() && is_no_json(request), 400)
    }),
    Breakage::always("queue/http/any-key-for-lists", QUEUE_HTTP_3, Wire, || {
        request(|request| {
            if is(request, Action::ListDeadLetters) && request.headers.get("authorization").is_some() {
                sign(request);
            }
        })
    }),
    Breakage::boundary("queue/http/keys-by-their-beginning", QUEUE_HTTP_3, Wire, || {
        request(|request| {
            if key(request).is_some_and(|key| key.starts_with(KEY)) {
                sign(request);
            }
        })
    }),
    Breakage::boundary("queue/http/keys-in-any-case", QUEUE_HTTP_3, Wire, || {
        request(|request| {
            if key(request).is_some_and(|key| key.eq_ignore_ascii_case(KEY)) {
                sign(request);
            }
        })
    }),
    Breakage::boundary("queue/http/body-before-wrong-key", QUEUE_HTTP_3, Wire, || {
        instead(|request| key(request).is_some_and(|key| key != KEY) && is_no_json(request), 400)
    }),
    Breakage::boundary("queue/http/unknown-acknowledges", QUEUE_HTTP_4, Wire, || smuggles(Action::Ack)),
    Breakage::boundary("queue/http/unknown-receives", QUEUE_HTTP_4, Wire, || smuggles(Action::Receive)),
    Breakage::boundary("queue/http/unknown-purges", QUEUE_HTTP_4, Wire, || {
        smuggles(Action::PurgeDeadLetters)
    }),
    Breakage::second("queue/http/second-unknown-publishes", QUEUE_HTTP_4, Wire, || {
        let count = Count::new();
        smuggled(move |request| is(request, Action::Publish) && count.up(&request.path) > 0)
    }),
    Breakage::always("queue/http/no-such-queue-in-other-words", QUEUE_HTTP_5, Wire, || {
        rewords(|request| is(request, Action::Get), "there is no such queue")
    }),
    Breakage::boundary("queue/http/no-such-queue-in-capitals", QUEUE_HTTP_5, Wire, || {
        rewords(|request| is(request, Action::Receive), "Queue Not Found")
    }),
    Breakage::boundary("queue/http/no-such-queue-for-a-batch", QUEUE_HTTP_5, Wire, || {
        rewords(|request| is(request, Action::Batch), "unknown queue")
    }),
    Breakage::always("queue/http/deleted-queue-empty", QUEUE_HTTP_6, Wire, || empty(Action::Delete))
        .wide("every check that deletes a queue and looks at the answer")
        .shape(EMPTY),
    Breakage::always("queue/http/deleted-message-empty", QUEUE_HTTP_6, Wire, || empty(Action::DeleteMessage))
        .shape(EMPTY),
    Breakage::boundary("queue/http/deleted-letter-empty", QUEUE_HTTP_6, Wire, || {
        empty(Action::DeleteDeadLetter)
    })
    .shape(EMPTY),
    Breakage::boundary("queue/http/deleted-destination-empty", QUEUE_HTTP_6, Wire, || {
        empty(Action::DeleteDestination)
    })
    .shape(EMPTY),
    Breakage::boundary("queue/http/deleted-source-without-body", QUEUE_HTTP_6, Wire, || {
        reply(|request, response| {
            if is(request, Action::DeleteSource) && response.status == 200 {
                response.body = Body::default();
            }
        })
    })
    .shape(EMPTY),
    Breakage::always("queue/http/ack-empty", QUEUE_HTTP_12, Wire, || empty(Action::Ack)).shape(EMPTY),
    Breakage::always("queue/http/nack-empty", QUEUE_HTTP_13, Wire, || empty(Action::Nack)).shape(EMPTY),
    Breakage::always("queue/http/purge-empty", QUEUE_HTTP_14, Wire, || empty(Action::PurgeDeadLetters))
        .wide("every check that purges dead letters and looks at the answer")
        .shape(EMPTY),
    Breakage::boundary("queue/http/any-text-is-a-payload", QUEUE_HTTP_7, Wire, || {
        mends(
            |request| is(request, Action::Publish) && is_no_json(request),
            || json!({"payload": "text"}),
            None,
        )
    }),
    Breakage::boundary("queue/http/what-is-no-json-counts", QUEUE_HTTP_7, Wire, || {
        mends(
            |request| is(request, Action::Update) && is_no_json(request),
            || json!({"description": "changed"}),
            Some(400),
        )
    }),
    Breakage::boundary("queue/http/no-json-is-no-queue", QUEUE_HTTP_7, Wire, || {
        reply(|request, response| {
            if is(request, Action::Create) && is_no_json(request) && response.status == 400 {
                *response = refusal(409);
            }
        })
    }),
    Breakage::boundary("queue/http/settings-of-any-type", QUEUE_HTTP_8, Wire, || {
        request(|request| {
            if is(request, Action::Create)
                && let Ok(mut body) = serde_json::from_slice::<Value>(&request.body)
                && body["settings"]["default_max_retries"].is_string()
            {
                body["settings"]["default_max_retries"] = json!(5);
                request.body = Body(body.to_string().into());
            }
        })
    }),
    Breakage::boundary("queue/http/misshapen-batch-is-empty", QUEUE_HTTP_8, Wire, || {
        reply(|request, response| {
            let misshapen =
                || serde_json::from_slice::<Value>(&request.body).is_ok_and(|b| b["messages"].is_object());
            if is(request, Action::Batch) && response.status == 400 && misshapen() {
                *response = success(&json!({"messages": []}));
            }
        })
    }),
    Breakage::boundary("queue/http/misshapen-counts", QUEUE_HTTP_8, Wire, || {
        mends(
            |request| {
                let read = serde_json::from_slice::<Value>(&request.body);
                is(request, Action::Publish) && read.is_ok_and(|body| body["ttl_seconds"].is_string())
            },
            || json!({"payload": "counted"}),
            Some(400),
        )
    }),
    Breakage::always("queue/http/names-as-they-are-written", QUEUE_HTTP_9, Wire, || {
        request(|request| request.path = request.path.replace('%', "%25"))
    }),
    Breakage::boundary("queue/http/small-letters-are-no-escape", QUEUE_HTTP_9, Wire, || {
        request(|request| {
            request.path =
                request.path.replace("%6a", "%256a").replace("%2d", "%252d").replace("%5f", "%255f");
        })
    }),
    Breakage::always("queue/http/dated-publish-not-found", QUEUE_HTTP_11, Wire, || dateless(Action::Publish)),
    Breakage::boundary("queue/http/dated-ack-not-found", QUEUE_HTTP_11, Wire, || dateless(Action::Ack)),
    Breakage::boundary("queue/http/dated-sources-not-found", QUEUE_HTTP_11, Wire, || {
        dateless(Action::GetSource)
    }),
];

/// The key of a request.
fn key(request: &Request) -> Option<&str> {
    request.headers.get("authorization").and_then(|value| value.strip_prefix("Bearer "))
}

/// Gives a request the right key.
fn sign(request: &mut Request) {
    request.headers.set("authorization", format!("Bearer {KEY}"));
}

fn is_no_json(request: &Request) -> bool {
    !request.body.is_empty() && serde_json::from_slice::<serde::de::IgnoredAny>(&request.body).is_err()
}

/// What is refused with 401 is refused with another status.
fn instead(when: fn(&Request) -> bool, status: u16) -> Seams {
    reply(move |request, response| {
        if response.status == 401 && when(request) {
            *response = refusal(status);
        }
    })
}

/// Does what somebody without a key asks, and refuses it all the same.
fn smuggles<S: From<HttpSeams>>(action: Action) -> S {
    smuggled(move |request| is(request, action))
}

fn smuggled<S: From<HttpSeams>>(which: impl Fn(&Request) -> bool + Send + Sync + 'static) -> S {
    HttpSeams {
        request: Box::new(move |request| {
            if key(request) != Some(KEY) && which(request) {
                sign(request);
                request.headers.set(SMUGGLED, "yes");
            }
        }),
        reply: Box::new(|request, response| {
            if request.headers.get(SMUGGLED).is_some() {
                *response = unknown();
            }
        }),
        ..HttpSeams::honest()
    }
    .into()
}

/// The refusal of who has no key.
fn unknown() -> Response {
    refusal(401).header("www-authenticate", "Bearer")
}

/// Other words for a queue that is not found.
fn rewords(when: fn(&Request) -> bool, words: &'static str) -> Seams {
    reply(move |request, response| {
        if response.status == 404 && when(request) {
            super::rewrite(response, |body| body["message"] = words.into());
        }
    })
}

/// The success of an operation is told without a body.
fn empty(action: Action) -> Seams {
    reply(move |request, response| {
        if is(request, action) && response.status == 200 {
            *response = Response::new(204);
        }
    })
}

/// Requests that are wrong are taken as if they had this body; and are refused with a status all the same, if there is one.
fn mends(when: fn(&Request) -> bool, body: fn() -> Value, status: Option<u16>) -> Seams {
    Seams::from(HttpSeams {
        request: Box::new(move |request| {
            if when(request) {
                request.body = Body(body().to_string().into());
                request.headers.set(SMUGGLED, "yes");
            }
        }),
        reply: Box::new(move |request, response| {
            if let (Some(_), Some(status)) = (request.headers.get(SMUGGLED), status) {
                *response = refusal(status);
            }
        }),
        ..HttpSeams::honest()
    })
}

/// One operation is not found where its path has a date.
fn dateless(action: Action) -> Seams {
    reply(move |request, response| {
        let dated = Route::decode(request).is_ok_and(|route| route.dated);
        if is(request, action) && dated && request.path.contains(DATE) {
            *response = refusal(404);
        }
    })
}
