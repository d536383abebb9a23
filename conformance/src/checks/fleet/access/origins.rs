//! Pages of other origins.

use crate::{
    check::{Alternative, Cx, Outcome, alternative, answer},
    checks::fleet::setting::{ask, get, room},
    wire::Seen,
};
use wireproof_spec::{
    fleet::requirements::*,
    http::{Request, Response},
};

/// The header that lets a page read an answer.
const ALLOWED: &str = "access-control-allow-origin";

/// An origin whose pages may use the API, and one whose pages may not; none if all may.
fn both(cx: &Cx) -> (String, Option<String>) {
    let told = cx.features().iter().find(|(name, _, _)| *name == "fleet.cors").map(|(_, value, _)| value);
    match told {
        Some("*" | "on") | None => ("https://page.example".into(), None),
        Some(origin) => (origin.to_owned(), Some(format!("https://{}.example", cx.name()))),
    }
}

/// Requests that are answered in several ways.
fn several(cx: &Cx) -> Vec<Request> {
    vec![
        get(cx, "v1/stats"),
        get(cx, "v1/rooms"),
        get(cx, "healthz"),
        get(cx, "v1/nothing"),
        room(cx, &cx.token(16)),
    ]
}

fn no_origin() -> Alternative<Response> {
    alternative("no Access-Control-Allow-Origin", |response: &Response| {
        response.headers.get(ALLOWED).is_none()
    })
}

pub(super) async fn none(cx: &Cx) -> Outcome {
    let origin = "https://page.example";
    for request in several(cx) {
        let seen = cx.send(request.header("origin", origin)).await?;
        cx.expect(FLEET_ACCESS_19, &seen, &[no_origin()])?;
    }
    let preflight = ask(cx, "OPTIONS", "v1/rooms")
        .header("origin", origin)
        .header("access-control-request-method", "POST");
    cx.expect(FLEET_ACCESS_19, &cx.send(preflight).await?, &[no_origin()])?;
    Ok(())
}

pub(super) async fn allowed(cx: &Cx) -> Outcome {
    let (origin, _) = both(cx);
    let mut seen = Vec::new();
    for request in several(cx) {
        seen.push(cx.send(request.header("origin", &origin)).await?);
    }
    let mut stranger = cx.stranger();
    seen.push(stranger.send(get(cx, "v1/stats").header("origin", &origin)).await?);
    let mut events = cx.sse(get(cx, "v1/events").header("origin", &origin)).await?;
    seen.push(events.head().await?);
    for seen in seen {
        is_allowed(cx, &origin, &seen)?;
    }
    Ok(())
}

fn is_allowed(cx: &Cx, origin: &str, seen: &Seen<Response>) -> Outcome {
    let own = origin.to_owned();
    let let_in = alternative(format!("{ALLOWED}: {origin}, or *"), move |response: &Response| {
        response.headers.get(ALLOWED).is_some_and(|found| found == own || found == "*")
    });
    cx.expect(FLEET_ACCESS_20, seen, &[let_in])?;
    let varies = alternative("Vary: Origin where one origin is let in", |response: &Response| {
        let vary = response.headers.joined().remove("vary").unwrap_or_default().to_ascii_lowercase();
        response.headers.get(ALLOWED) == Some("*")
            || vary.split(',').any(|name| matches!(name.trim(), "origin" | "*"))
    });
    cx.expect(FLEET_ACCESS_25, seen, &[varies])?;
    Ok(())
}

pub(super) async fn other(cx: &Cx) -> Outcome {
    let (origin, other) = both(cx);
    let Some(other) = other else { return Err(cx.stop("pages of all origins may use the API")) };
    for other in [other, format!("{origin}.evil.example"), "null".into(), origin.replace("https", "http")] {
        if other == origin {
            continue;
        }
        for request in several(cx) {
            let seen = cx.send(request.header("origin", &other)).await?;
            cx.expect(FLEET_ACCESS_21, &seen, &[no_origin()])?;
        }
    }
    Ok(())
}

pub(super) async fn preflight(cx: &Cx) -> Outcome {
    let (origin, _) = both(cx);
    let mut stranger = cx.stranger();
    for (method, path) in [("GET", "v1/stats"), ("POST", "v1/rooms"), ("DELETE", "v1/rooms/x")] {
        let request = ask(cx, "OPTIONS", path)
            .header("origin", &origin)
            .header("access-control-request-method", method)
            .header("access-control-request-headers", "authorization,content-type");
        let seen = stranger.send(request).await?;
        let has = |name: &'static str, words: &'static [&'static str]| {
            move |response: &Response| {
                let found = response.headers.joined().remove(name).unwrap_or_default().to_ascii_lowercase();
                let listed: Vec<&str> = found.split(',').map(str::trim).collect();
                words.iter().all(|word| listed.contains(word))
            }
        };
        let told = answer(204)
            .and("GET and POST", has("access-control-allow-methods", &["get", "post"]))
            .and("the headers", has("access-control-allow-headers", &["authorization", "content-type"]));
        cx.expect(FLEET_ACCESS_22, &seen, &[told.into()])?;
        let deletes = alternative("DELETE", has("access-control-allow-methods", &["delete"]));
        cx.expect(FLEET_ACCESS_23, &seen, &[deletes])?;
    }
    Ok(())
}
