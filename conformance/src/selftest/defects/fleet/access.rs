//! Defects of "Access".

use super::{HttpSeams, Seams, Table, frames, is, refusal, reply, request, rewrite};
use crate::{
    embed::{
        fleet::{OPEN, OPERATOR_KEY},
        reference::fleet::seams::Frame,
    },
    protocol::Cut::Wire,
    selftest::defects::{Breakage, wire::Count},
};
use serde_json::json;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use wireproof_spec::{
    fleet::{Action, requirements::*},
    http::{Body, Request, Response},
};

pub(super) const TABLE: Table = &[
    Breakage::always("fleet/access/any-scheme", FLEET_ACCESS_1, Wire, || {
        request(|request| authorization(request, |value| value.replace("Basic ", "Bearer ")))
    }),
    Breakage::always("fleet/access/key-without-scheme", FLEET_ACCESS_1, Wire, || {
        request(|request| {
            authorization(request, |value| match value.contains(' ') {
                true => value.to_owned(),
                false => format!("Bearer {value}"),
            })
        })
    }),
    Breakage::boundary("fleet/access/beginning-of-a-key", FLEET_ACCESS_1, Wire, || {
        // What is longer than a key and begins with it is that key.
        request(|request| {
            authorization(request, |value| match value.find(OPERATOR_KEY) {
                Some(at) => value[..at + OPERATOR_KEY.len()].to_owned(),
                None => value.to_owned(),
            })
        })
    }),
    Breakage::always("fleet/access/room-without-a-key", FLEET_ACCESS_1, Wire, || {
        // Who forgot the key of one route.
        request(|request| {
            if is(request, Action::Room) && value(request).is_empty() {
                request.headers.push("authorization", format!("Bearer {OPERATOR_KEY}"));
            }
        })
    }),
    Breakage::always("fleet/access/a-proxy-vouches", FLEET_ACCESS_1, Wire, || {
        // What comes through the proxy was looked at there.
        request(|request| {
            if request.headers.get("x-forwarded-for").is_some() && value(request).is_empty() {
                request.headers.push("authorization", format!("Bearer {OPERATOR_KEY}"));
            }
        })
    })
    .variant(OPEN),
    Breakage::always("fleet/access/forbidden-to-agents", FLEET_ACCESS_2, Wire, || {
        reply(|request, response| {
            if response.status == 401 && value(request).contains("agent-") {
                *response = refusal(404, "NOT_FOUND");
            }
        })
    }),
    Breakage::second("fleet/access/told-what-was-wrong", FLEET_ACCESS_3, Wire, || {
        reply(|request, response| {
            if response.status == 401 && value(request).starts_with("Basic") {
                rewrite(response, |body| body["message"] = json!("expected the scheme Bearer"));
            }
        })
    }),
    Breakage::second("fleet/access/told-to-agents", FLEET_ACCESS_3, Wire, || {
        reply(|request, response| {
            if response.status == 401 && value(request).contains("agent-") {
                rewrite(response, |body| body["message"] = json!("a key for agents"));
            }
        })
    }),
    Breakage::boundary("fleet/access/drained-by-a-stranger", FLEET_ACCESS_4, Wire, || {
        let drains = Arc::new(AtomicBool::new(false));
        let seen = drains.clone();
        Seams::from(HttpSeams {
            request: Box::new(move |request| {
                if is(request, Action::Drain) && value(request).is_empty() {
                    seen.store(true, Ordering::Relaxed);
                }
            }),
            ..reply(move |request, response| {
                if is(request, Action::CreateRoom) && response.status == 201 && drains.load(Ordering::Relaxed)
                {
                    *response = refusal(409, "NO_CANDIDATE");
                }
            })
        })
    }),
    Breakage::second("fleet/access/first-key-alone", FLEET_ACCESS_5, Wire, || {
        reply(|request, response| {
            if value(request).contains("0004") && response.status == 200 {
                *response = refusal(401, "UNAUTHORIZED");
            }
        })
    }),
    Breakage::boundary("fleet/access/bearer-in-one-spelling", FLEET_ACCESS_6, Wire, || {
        reply(|request, response| {
            let value = value(request);
            if response.status == 200 && !value.is_empty() && !value.starts_with("Bearer ") {
                *response = refusal(401, "UNAUTHORIZED");
            }
        })
    }),
    Breakage::always("fleet/access/key-in-any-query", FLEET_ACCESS_7, Wire, || {
        request(|request| {
            let key = ["key", "token", "access_token"].iter().find_map(|name| request.query.get(name));
            if let Some(key) = key.map(str::to_owned)
                && value(request).is_empty()
            {
                request.headers.push("authorization", format!("Bearer {key}"));
            }
        })
    }),
    Breakage::always("fleet/access/health-wants-a-key", FLEET_ACCESS_8, Wire, || {
        reply(|request, response| keyed(request, response, "/healthz"))
    }),
    Breakage::always("fleet/access/ready-wants-a-key", FLEET_ACCESS_9, Wire, || {
        reply(|request, response| keyed(request, response, "/readyz"))
    }),
    Breakage::boundary("fleet/access/nobody-is-throttled", FLEET_ACCESS_10, Wire, || {
        reply(|_, response| {
            if response.status == 429 {
                *response = refusal(401, "UNAUTHORIZED");
            }
        })
    })
    .wide("what waits for the throttle waits in vain"),
    Breakage::boundary("fleet/access/valid-keys-pass-the-throttle", FLEET_ACCESS_10, Wire, || {
        reply(|request, response| {
            if response.status == 429 && value(request).contains(OPERATOR_KEY) && request.path == "/v1/events"
            {
                *response = refusal(401, "UNAUTHORIZED");
            }
        })
    }),
    Breakage::boundary("fleet/access/throttled-for-good", FLEET_ACCESS_11, Wire, || {
        let throttled = AtomicBool::new(false);
        reply(move |request, response| {
            if response.status == 429 {
                throttled.store(true, Ordering::Relaxed);
            } else if request.path.starts_with("/v1/") && throttled.load(Ordering::Relaxed) {
                *response = refusal(429, "AUTH_THROTTLED");
            }
        })
    })
    .wide("nobody is let in behind the first who was throttled"),
    Breakage::boundary("fleet/access/valid-keys-take-tokens", FLEET_ACCESS_12, Wire, || {
        let count = Count::new();
        reply(move |request, response| {
            if request.path == "/v1/stats" && response.status == 200 && count.up("") >= 15 {
                *response = refusal(429, "AUTH_THROTTLED");
            }
        })
    }),
    Breakage::boundary("fleet/access/ready-is-throttled", FLEET_ACCESS_13, Wire, || {
        behind_the_throttle(|request| request.path == "/readyz")
    }),
    Breakage::boundary("fleet/access/agents-are-cut-off", FLEET_ACCESS_14, Wire, || {
        let throttled = Arc::new(AtomicBool::new(false));
        let seen = throttled.clone();
        Seams {
            http: reply(move |_, response| {
                if response.status == 429 {
                    seen.store(true, Ordering::Relaxed);
                }
            }),
            ..frames(move |_, frames| {
                if throttled.load(Ordering::Relaxed) {
                    *frames = vec![Frame::Cut];
                }
            })
        }
    }),
    Breakage::boundary("fleet/access/handshakes-are-throttled", FLEET_ACCESS_24, Wire, || {
        behind_the_throttle(|request| request.headers.get("upgrade").is_some())
    }),
    Breakage::boundary("fleet/access/proxies-are-believed", FLEET_ACCESS_16, Wire, || {
        reply(|request, response| {
            let last = request.headers.get("x-forwarded-for") == Some("192.0.2.11");
            if last && response.status == 429 {
                *response = refusal(401, "UNAUTHORIZED");
            }
        })
    }),
    Breakage::second("fleet/access/proxies-are-counted", FLEET_ACCESS_17, Wire, || {
        request(|request| request.headers.0.retain(|(name, _)| name != "x-forwarded-for"))
    })
    .variant(OPEN),
    Breakage::always("fleet/access/stats-without-an-api", FLEET_ACCESS_18, Wire, || {
        reply(|request, response| {
            if request.path == "/v1/instances" {
                *response = refusal(401, "UNAUTHORIZED");
            }
        })
    })
    .variant("bare"),
    Breakage::always("fleet/access/every-page", FLEET_ACCESS_19, Wire, || {
        reply(|request, response| {
            if request.headers.get("origin").is_some() && response.status == 200 {
                response.headers.push("access-control-allow-origin", "*");
            }
        })
    })
    .shape("no honest variant has this header where it is not allowed"),
    Breakage::boundary("fleet/access/events-for-every-page", FLEET_ACCESS_19, Wire, || {
        for_every_page(|request, _| request.path == "/v1/events")
    })
    .shape("no honest variant has this header where it is not allowed"),
    Breakage::boundary("fleet/access/refusals-for-every-page", FLEET_ACCESS_19, Wire, || {
        for_every_page(|_, response| response.status == 401)
    })
    .shape("no honest variant has this header where it is not allowed"),
    Breakage::boundary("fleet/access/refusals-tell-no-page", FLEET_ACCESS_20, Wire, || {
        reply(|_, response| {
            if response.status >= 400 {
                response.headers.0.retain(|(name, _)| name != "access-control-allow-origin");
            }
        })
    })
    .variant(OPEN),
    Breakage::boundary("fleet/access/origins-that-begin-alike", FLEET_ACCESS_21, Wire, || {
        reply(|request, response| {
            if let Some(origin) =
                request.headers.get("origin").filter(|origin| origin.ends_with(".evil.example"))
            {
                response.headers.push("access-control-allow-origin", origin);
            }
        })
    })
    .variant(OPEN),
    Breakage::boundary("fleet/access/streams-for-every-page", FLEET_ACCESS_21, Wire, || {
        for_every_page(|request, _| request.path == "/v1/events")
    })
    .variant(OPEN),
    Breakage::boundary("fleet/access/refusals-for-any-page", FLEET_ACCESS_21, Wire, || {
        for_every_page(|_, response| response.status == 401)
    })
    .variant(OPEN),
    Breakage::boundary("fleet/access/preflights-for-every-page", FLEET_ACCESS_21, Wire, || {
        for_every_page(|request, _| request.method == "OPTIONS")
    })
    .variant(OPEN),
    Breakage::boundary("fleet/access/preflight-with-a-fixed-list", FLEET_ACCESS_22, Wire, || {
        reply(|_, response| {
            for (name, value) in &mut response.headers.0 {
                if name == "access-control-allow-headers" {
                    "authorization,content-type".clone_into(value);
                }
            }
        })
    })
    .variant(OPEN),
    Breakage::always("fleet/access/preflight-without-post", FLEET_ACCESS_22, Wire, || {
        methods("GET,HEAD,DELETE")
    })
    .variant(OPEN),
    Breakage::always("fleet/access/preflight-without-delete", FLEET_ACCESS_23, Wire, || {
        methods("GET,HEAD,POST")
    })
    .variant(OPEN),
    Breakage::always("fleet/access/nothing-varies", FLEET_ACCESS_25, Wire, || {
        reply(|_, response| response.headers.0.retain(|(name, _)| name != "vary"))
    })
    .variant(OPEN)
    .shape("no honest variant leaves this header out"),
];

/// The value of `Authorization`, or nothing.
fn value(request: &Request) -> &str {
    request.headers.get("authorization").unwrap_or_default()
}

/// The value of `Authorization`, changed.
fn authorization(request: &mut Request, change: impl Fn(&str) -> String) {
    for (name, value) in &mut request.headers.0 {
        if name.eq_ignore_ascii_case("authorization") {
            *value = change(value);
        }
    }
}

/// Refuses a request for this path that has no key.
fn keyed(request: &Request, response: &mut Response, path: &str) {
    if request.path == path && value(request).is_empty() {
        *response = refusal(401, "UNAUTHORIZED");
    }
}

/// Once somebody was throttled these are throttled as well.
fn behind_the_throttle(which: fn(&Request) -> bool) -> Seams {
    let throttled = AtomicBool::new(false);
    reply(move |request, response| {
        if response.status == 429 {
            throttled.store(true, Ordering::Relaxed);
        } else if which(request) && throttled.load(Ordering::Relaxed) {
            *response = refusal(429, "AUTH_THROTTLED");
        }
    })
}

/// Some answers let pages of every origin in.
fn for_every_page(which: fn(&Request, &Response) -> bool) -> Seams {
    reply(move |request, response| {
        if let Some(origin) = request.headers.get("origin")
            && response.headers.get("access-control-allow-origin").is_none()
            && which(request, response)
        {
            response.headers.push("access-control-allow-origin", origin);
        }
    })
}

/// Preflights that tell these methods.
fn methods(all: &'static str) -> Seams {
    reply(move |request, response| {
        if request.method == "OPTIONS" {
            for (name, value) in &mut response.headers.0 {
                if name == "access-control-allow-methods" {
                    all.clone_into(value);
                }
            }
            response.body = Body::default();
        }
    })
}
