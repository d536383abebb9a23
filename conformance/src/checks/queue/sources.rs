//! Checks of "Sources" in spec/queue.md.

use super::setting::{PUBSUB, Queue, WORKER, data, payloads, succeeded, succeeded_and, text, with_body};
use crate::{
    check::{Check, Cx, Outcome, alternative},
    drives,
    wire::Seen,
};
use serde_json::{Value, json};
use wireproof_spec::{
    http::{Request, Response},
    queue::{Action, requirements::*},
};

pub(super) const CHECKS: &[Check] = &[
    Check::new("queue/sources/create", &[QUEUE_SOURCES_1], drives!(create)),
    Check::new("queue/sources/published", &[QUEUE_SOURCES_2, QUEUE_SOURCES_3], drives!(published)),
    Check::new("queue/sources/closed", &[QUEUE_SOURCES_4], drives!(closed)),
];

/// A source that a check made for itself.
struct Source {
    id: String,
    url: String,
}

/// The request that makes a source that asks for no credentials.
fn creation(cx: &Cx, queue: &Queue, name: &str) -> Request {
    let body = json!({"name": name, "auth_type": "none"});
    with_body(queue.operation(cx, Action::CreateSource, &[]), &body)
}

/// Makes a source, as set-up.
async fn created(cx: &Cx, queue: &Queue) -> Outcome<Source> {
    let seen = cx.send(creation(cx, queue, &cx.token(8))).await?;
    let source = data(cx.need(QUEUE_SOURCES_1, &seen, &[succeeded()])?, "source");
    Ok(Source { id: text(&source, "id").to_owned(), url: text(&source, "url").to_owned() })
}

/// What stands behind scheme, host and port of a URL of this target.
fn path<'a>(cx: &Cx, url: &'a str) -> Outcome<&'a str> {
    let port = |authority: &str| authority.rsplit_once(':').map(|(_, port)| port.to_owned());
    let here = cx.origin();
    let here = here.split_once("://").map_or("", |(_, authority)| authority);
    let Some((_, rest)) = url.split_once("://") else {
        return if url.starts_with('/') { Ok(url) } else { Err(cx.stop("the url of a source is no URL")) };
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    // A server may know itself by another name.
    if authority == here || port(authority) == port(here) {
        Ok(path)
    } else {
        Err(cx.stop("the url of a source leads to another place than the target"))
    }
}

/// Posts JSON to a source, without a key.
async fn posted(cx: &Cx, source: &Source, body: &Value) -> Outcome<Seen<Response>> {
    let mut request = Request::new("POST", "");
    request.set_target(path(cx, &source.url)?);
    cx.stranger().send(with_body(request, body)).await
}

/// That a request was answered with a 2xx.
fn a_2xx() -> crate::check::Alternative<Response> {
    alternative("a 2xx", |r: &Response| (200..300).contains(&r.status))
}

async fn create(cx: &Cx) -> Outcome {
    let queue = super::setting::proven(cx, PUBSUB).await?;
    let longer = |name: &str| {
        let body = json!({"name": name, "description": "of a check", "auth_type": "header", "auth_value": cx.token(12)});
        with_body(queue.operation(cx, Action::CreateSource, &[]), &body)
    };
    let names = [cx.token(8), cx.token(8)];
    for (name, request) in [(&names[0], creation(cx, &queue, &names[0])), (&names[1], longer(&names[1]))] {
        let name = name.clone();
        let seen = cx.send(request).await?;
        let its_name = succeeded_and("the name of the request and a url", move |r| {
            let source = data(r, "source");
            source["name"] == *name && source["url"].as_str().is_some_and(|url| !url.is_empty())
        });
        cx.expect(QUEUE_SOURCES_1, &seen, &[its_name])?;
    }
    Ok(())
}

async fn published(cx: &Cx) -> Outcome {
    for kind in [PUBSUB, WORKER] {
        let (queue, other) = (Queue::create(cx, kind).await?, Queue::create(cx, kind).await?);
        let (one, two) = (created(cx, &queue).await?, created(cx, &queue).await?);
        let elsewhere = created(cx, &other).await?;
        let mut expected: Vec<(Value, String)> = Vec::new();
        for (source, payload) in [
            (&one, json!({"token": cx.token(16), "list": [1, null, {"ä": "€\n"}]})),
            (&two, json!(cx.token(16))),
            (&one, json!([cx.token(16), 0.5, true])),
            (&one, json!({"payload": cx.token(16)})),
            (&two, json!(17)),
        ] {
            let seen = posted(cx, source, &payload).await?;
            cx.expect(QUEUE_SOURCES_2, &seen, &[a_2xx()])?;
            expected.push((payload, source.id.clone()));
        }
        let beside = json!(cx.token(16));
        cx.expect(QUEUE_SOURCES_2, &posted(cx, &elsewhere, &beside).await?, &[a_2xx()])?;
        for (queue, expected) in [(&queue, expected), (&other, vec![(beside, elsewhere.id.clone())])] {
            // An offset is given when a message is in its queue, and not every answer waits for that.
            let content = settled(cx, queue, expected.len()).await?;
            let all = sorted(expected.iter().map(|(payload, _)| payload.clone()).collect());
            let same = alternative("what was posted, and nothing else", move |content: &Vec<Value>| {
                sorted(payloads(content)) == all
            });
            cx.expect(QUEUE_SOURCES_2, &content, &[same])?;
            let by = alternative("the id of its source in source_id of each", move |content: &Vec<Value>| {
                content.iter().all(|message| {
                    let posted = expected.iter().find(|(payload, _)| message["payload"] == *payload);
                    posted.is_some_and(|(_, id)| message["source_id"] == **id)
                })
            });
            cx.expect(QUEUE_SOURCES_3, &content, &[by])?;
        }
    }
    Ok(())
}

/// Values in an order of their own: in which order what is posted gets its offset, is left open.
fn sorted(mut values: Vec<Value>) -> Vec<Value> {
    values.sort_by_key(ToString::to_string);
    values
}

/// The content of a queue, as soon as it has so many messages, or after some time.
async fn settled(cx: &Cx, queue: &Queue, messages: usize) -> Outcome<Seen<Vec<Value>>> {
    let until = tokio::time::Instant::now() + cx.answer_time() / 2;
    loop {
        let content = queue.content(cx).await?;
        let enough = content.look().is_ok_and(|content| content.len() >= messages);
        if enough || tokio::time::Instant::now() >= until {
            return Ok(content);
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

async fn closed(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let (open, off, gone) =
        (created(cx, &queue).await?, created(cx, &queue).await?, created(cx, &queue).await?);
    let mut kept = Vec::new();
    for source in [&off, &gone, &open] {
        let token = json!(cx.token(16));
        cx.need(QUEUE_SOURCES_2, &posted(cx, source, &token).await?, &[a_2xx()])?;
        kept.push(token);
    }
    let disable =
        with_body(queue.operation(cx, Action::UpdateSource, &[&off.id]), &json!({"enabled": false}));
    cx.need(QUEUE_SOURCES_1, &cx.send(disable).await?, &[succeeded()])?;
    let delete = queue.operation(cx, Action::DeleteSource, &[&gone.id]);
    cx.need(QUEUE_SOURCES_1, &cx.send(delete).await?, &[succeeded()])?;
    for _ in 0..2 {
        for source in [&off, &gone] {
            // However it is answered.
            let _ = posted(cx, source, &json!(cx.token(16))).await?;
        }
        // What comes behind it shows that it was not merely late.
        let token = json!(cx.token(16));
        cx.need(QUEUE_SOURCES_2, &posted(cx, &open, &token).await?, &[a_2xx()])?;
        kept.push(token);
    }
    let content = settled(cx, &queue, kept.len()).await?;
    let kept = sorted(kept);
    let only =
        alternative("what was posted to open sources, and nothing else", move |content: &Vec<Value>| {
            sorted(payloads(content)) == kept
        });
    cx.expect(QUEUE_SOURCES_4, &content, &[only])?;
    Ok(())
}
