//! Pages of other origins.

use crate::{
    check::{Alternative, Cx, Outcome, alternative, answer},
    checks::fleet::setting::{Caller, ask, get, room},
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

/// What a page of this origin gets from whoever has a key: answers of several kinds, and the head of an event stream.
async fn answers(cx: &Cx, origin: &str) -> Outcome<Vec<Seen<Response>>> {
    let mut seen = Vec::new();
    for request in several(cx) {
        seen.push(cx.send(request.header("origin", origin)).await?);
    }
    let mut events = cx.sse(get(cx, "v1/events").header("origin", origin)).await?;
    seen.push(events.head().await?);
    Ok(seen)
}

/// What a page of this origin gets that has no key.
async fn stranger(cx: &Cx, origin: &str) -> Outcome<Seen<Response>> {
    cx.stranger().send(Caller::new(cx).asks(get(cx, "v1/stats").header("origin", origin))).await
}

/// Asks whether a page of this origin may send a request.
fn asks(cx: &Cx, origin: &str, method: &str, path: &str, headers: &str) -> Request {
    ask(cx, "OPTIONS", path)
        .header("origin", origin)
        .header("access-control-request-method", method)
        .header("access-control-request-headers", headers)
}

/// An origin where no page of another one may use the API.
const PAGE: &str = "https://page.example";

pub(super) async fn none(cx: &Cx) -> Outcome {
    let mut all = answers(cx, PAGE).await?;
    all.push(cx.send(asks(cx, PAGE, "POST", "v1/rooms", "authorization")).await?);
    for seen in all {
        cx.expect(FLEET_ACCESS_19, &seen, &[no_origin()])?;
    }
    Ok(())
}

pub(super) async fn none_refused(cx: &Cx) -> Outcome {
    cx.expect(FLEET_ACCESS_19, &stranger(cx, PAGE).await?, &[no_origin()])?;
    Ok(())
}

pub(super) async fn allowed(cx: &Cx) -> Outcome {
    let (origin, _) = both(cx);
    let mut all = answers(cx, &origin).await?;
    all.push(stranger(cx, &origin).await?);
    for seen in all {
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

/// Origins whose pages may not use the API.
fn others(cx: &Cx) -> Outcome<Vec<String>> {
    let (origin, other) = both(cx);
    let Some(other) = other else { return Err(cx.stop("pages of all origins may use the API")) };
    let all = [other, format!("{origin}.evil.example"), "null".into(), origin.replace("https", "http")];
    Ok(all.into_iter().filter(|other| *other != origin).collect())
}

pub(super) async fn other(cx: &Cx) -> Outcome {
    for other in others(cx)? {
        let mut all = answers(cx, &other).await?;
        all.push(cx.send(asks(cx, &other, "POST", "v1/rooms", "authorization")).await?);
        for seen in all {
            cx.expect(FLEET_ACCESS_21, &seen, &[no_origin()])?;
        }
    }
    Ok(())
}

pub(super) async fn other_refused(cx: &Cx) -> Outcome {
    for other in others(cx)? {
        cx.expect(FLEET_ACCESS_21, &stranger(cx, &other).await?, &[no_origin()])?;
    }
    Ok(())
}

/// That a header of an answer lists all of these.
fn lists(name: &'static str, words: &str) -> impl Fn(&Response) -> bool + Send + Sync + 'static {
    let words: Vec<String> = words.split(',').map(str::to_owned).collect();
    move |response| {
        let found = response.headers.joined().remove(name).unwrap_or_default().to_ascii_lowercase();
        let listed: Vec<&str> = found.split(',').map(str::trim).collect();
        words.iter().all(|word| listed.contains(&word.as_str()))
    }
}

/// Headers that every page needs, those with which lists are asked for again, and one that nobody has heard of.
pub(super) async fn preflight(cx: &Cx) -> Outcome {
    const METHODS: &str = "access-control-allow-methods";
    let (origin, _) = both(cx);
    let mut stranger = cx.stranger();
    let own = format!("authorization,x-{}", cx.token(8));
    for (method, path, headers) in [
        ("GET", "v1/stats", "authorization,if-none-match"),
        ("POST", "v1/rooms", "authorization,content-type"),
        ("DELETE", "v1/rooms/x", own.as_str()),
    ] {
        let seen = stranger.send(asks(cx, &origin, method, path, headers)).await?;
        let told = answer(204)
            .and("GET and POST", lists(METHODS, "get,post"))
            .and("the headers", lists("access-control-allow-headers", headers));
        cx.expect(FLEET_ACCESS_22, &seen, &[told.into()])?;
        cx.expect(FLEET_ACCESS_23, &seen, &[alternative("DELETE", lists(METHODS, "delete"))])?;
    }
    Ok(())
}
