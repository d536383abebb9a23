//! What is not sent again, and what every request of a call has.

use super::call::{Ask, Course, Reply, refuses, says};
use crate::check::{Alternative, Cx, Outcome, alternative};
use futures_util::future::{try_join, try_join_all};
use serde_json::json;
use wireproof_spec::{http::Request, queue::requirements::*};

/// Statuses behind which nothing is sent again.
const FINAL: &[u16] = &[500, 504, 400, 401, 402, 403, 404, 405, 410, 413, 422, 426, 429];

/// That it makes so many requests, the last of them answered with this status, and is refused.
fn refused_at(status: u16, count: usize) -> Alternative<Course> {
    let name = format!("{count} requests, the last answered with {status}, and an error");
    alternative(name, move |course: &Course| course.is_refused_with(count))
}

/// An answer with a final status, and what tempts a client to send again.
fn tempting(status: u16) -> Reply {
    match refuses(status) {
        Reply::Says(response) => Reply::Says(response.header("retry-after", "0")),
        reply => reply,
    }
}

pub(super) async fn finals(cx: &Cx) -> Outcome {
    let asks = FINAL.iter().map(|&status| async move {
        let seen = Ask::new(cx, "get").call(cx, &[tempting(status)]).await?;
        Ok((status, seen))
    });
    for (status, seen) in try_join_all(asks).await? {
        cx.expect(QUEUE_RETRY_11, &seen, &[refused_at(status, 1)])?;
    }
    Ok(())
}

pub(super) async fn finals_later(cx: &Cx) -> Outcome {
    let asks = FINAL.iter().map(|&status| async move {
        let ask = Ask::new(cx, "publish").with("payload", 1);
        Ok((status, ask.call(cx, &[refuses(409), tempting(status)]).await?))
    });
    for (status, seen) in try_join_all(asks).await? {
        cx.expect(QUEUE_RETRY_11, &seen, &[refused_at(status, 2)])?;
    }
    Ok(())
}

pub(super) async fn stream(cx: &Cx) -> Outcome {
    let replies = [409, 501, 502, 503].map(|status| (format!("answered with {status}"), refuses(status)));
    let reset = [("whose connection is reset".to_owned(), Reply::Reset)];
    let asks = replies.into_iter().chain(reset).map(|(how, reply)| async move {
        let payload = json!({"payload": cx.token(8)}).to_string();
        let ask = Ask::new(cx, "stream").with("payload", payload);
        Ok((how, ask.call(cx, &[reply]).await?))
    });
    for (how, seen) in try_join_all(asks).await? {
        let once = format!("one request, {how}, and an error");
        let once = alternative(once, |course: &Course| course.is_refused_with(1));
        let never = alternative("no request and an error", |course: &Course| course.is_refused_with(0));
        cx.expect(QUEUE_RETRY_12, &seen, &[once, never])?;
    }
    Ok(())
}

/// A header that belongs to a connection and not to a request.
fn is_of_connection(name: &str) -> bool {
    matches!(name, "connection" | "keep-alive" | "transfer-encoding" | "te" | "upgrade")
}

/// Method, path and query, headers in any order, and body.
fn parts(request: &Request) -> (&str, String, Vec<(String, &str)>, &[u8]) {
    let headers = request.headers.0.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()));
    let mut headers: Vec<_> = headers.filter(|(name, _)| !is_of_connection(name)).collect();
    headers.sort();
    (&request.method, request.target(), headers, &request.body)
}

pub(super) async fn same(cx: &Cx) -> Outcome {
    let publish = Ask::new(cx, "publish")
        .with("payload", json!({"text": cx.token(8), "numbers": [1, 2.5], "nothing": null}))
        .with("idempotency_key", cx.token(12));
    let replies = [refuses(503), refuses(409), refuses(501), Reply::Success];
    let get = [refuses(409), Reply::Reset, Reply::Success];
    let get_ask = Ask::new(cx, "get");
    let (published, got) = try_join(publish.call(cx, &replies), get_ask.call(cx, &get)).await?;
    let same = |count: usize| {
        let name = format!("{count} requests with the same method, path, query, headers and body at least");
        alternative(name, move |course: &Course| {
            course.requests.len() >= count
                && course.requests.iter().all(|request| parts(request) == parts(&course.requests[0]))
        })
    };
    // The fourth is for clients that count each reason by itself.
    cx.expect(QUEUE_RETRY_13, &published, &[same(3)])?;
    cx.expect(QUEUE_RETRY_13, &got, &[same(3)])?;
    Ok(())
}

/// That each of so many requests has this value in this header, or none.
fn each_has(count: usize, header: &'static str, value: Option<String>) -> Alternative<Course> {
    let shown = value.as_deref().map_or_else(|| "no value".into(), |value| format!("the value {value:?}"));
    let name = format!("{count} requests at least, each with {shown} in the header {header}");
    alternative(name, move |course: &Course| {
        let mut requests = course.requests.iter();
        course.requests.len() >= count && requests.all(|r| r.headers.get(header) == value.as_deref())
    })
}

pub(super) async fn key(cx: &Cx) -> Outcome {
    for ask in [Ask::new(cx, "get"), Ask::new(cx, "publish").with("payload", 1)] {
        let seen = ask.call(cx, &[refuses(409), refuses(501), Reply::Success]).await?;
        let bearer = Some(format!("Bearer {}", ask.key()));
        cx.expect(QUEUE_RETRY_18, &seen, &[each_has(3, "authorization", bearer)])?;
    }
    Ok(())
}

pub(super) async fn organisation(cx: &Cx) -> Outcome {
    const HEADER: &str = "x-agentuity-orgid";
    let organisation = format!("org_{}", cx.token(12));
    for ask in [Ask::new(cx, "get"), Ask::new(cx, "publish").with("payload", 1)] {
        let replies = [says(409, &json!({"success": false, "message": "again"})), Reply::Success];
        let without = ask.call(cx, &replies).await?;
        cx.expect(QUEUE_RETRY_19, &without, &[each_has(2, HEADER, None)])?;
        let with = ask.with("organisation", organisation.clone()).call(cx, &replies).await?;
        cx.expect(QUEUE_RETRY_19, &with, &[each_has(2, HEADER, Some(organisation.clone()))])?;
    }
    Ok(())
}
