//! What a client says first, and how it takes the answer.

use super::{again, delivers, hears, restart};
use crate::{
    check::{Alternative, Cx, Outcome, alternative},
    checks::queue::client::{Client, Connection, Interface, Start, message, push},
    wire::ws::Frame,
};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use wireproof_spec::queue::requirements::*;

/// That an AuthRequest has this key, as it is.
pub(super) fn has_key(key: &str) -> Alternative<Value> {
    let key = key.to_owned();
    alternative("the key as it was given", move |auth: &Value| auth["authorization"] == *key)
}

/// That an AuthRequest has none of these members.
fn lacks(members: &'static [&'static str]) -> Alternative<Value> {
    alternative(format!("an AuthRequest without {}", members.join(" and ")), move |auth: &Value| {
        auth["authorization"].is_string() && members.iter().all(|name| auth.get(*name).is_none())
    })
}

pub(super) async fn first_frame(cx: &Cx) -> Outcome {
    Interface::each(cx, |interface| says_first(cx, interface)).await
}

async fn says_first(cx: &Cx, interface: Interface) -> Outcome {
    let mut client = Client::start(cx, Start::new(cx, interface)).await?;
    for _ in 0..2 {
        let (_, call) = client.dial(cx).await?;
        let mut peer = call.upgrade().await?;
        let frame = peer.next().await?;
        let auth = alternative("an AuthRequest as text, unasked", |frame: &Frame| match frame {
            Frame::Text(text) => {
                serde_json::from_str::<Value>(text).is_ok_and(|auth| auth["authorization"].is_string())
            }
            _ => false,
        });
        cx.expect(QUEUE_SUBSCRIBER_7, &frame, &[auth])?;
        peer.send_text(&json!({"success": true}).to_string()).await;
        peer.close(1012, "restart").await;
        let _ = peer.next().await?;
    }
    Ok(())
}

pub(super) async fn raw_key(cx: &Cx) -> Outcome {
    Interface::each(cx, async |interface| {
        for key in [cx.token(24), format!("sk_{}+/=.~%2F:\"\\{{}}", cx.token(24))] {
            let start = Start::new(cx, interface).with("key", key);
            let mut client = Client::start(cx, start).await?;
            let mut connection = client.connect(cx).await?;
            cx.expect(QUEUE_SUBSCRIBER_8, &connection.auth, &[has_key(&client.key)])?;
            connection.welcome(&cx.token(8)).await;
            let connection = again(cx, &mut client, connection).await?;
            cx.expect(QUEUE_SUBSCRIBER_8, &connection.auth, &[has_key(&client.key)])?;
        }
        Ok(())
    })
    .await
}

pub(super) async fn fresh(cx: &Cx) -> Outcome {
    Interface::each(cx, async |interface| {
        // Another client of the same process, which has both, is no reason to send them.
        let mut other = Client::start(cx, Start::new(cx, interface)).await?;
        let mut known = other.join(cx).await?;
        hears(cx, &mut other, &mut known, 3).await?;
        let start = Start::new(cx, interface).with("queue", other.queue.clone());
        let mut client = Client::start(cx, start).await?;
        let connection = client.connect(cx).await?;
        cx.expect(QUEUE_SUBSCRIBER_9, &connection.auth, &[lacks(&["client_id", "last_offset"])])?;
        Ok(())
    })
    .await
}

/// That an AuthRequest is of this organisation.
fn belongs_to(organisation: String) -> Alternative<Value> {
    alternative("orgId with the organisation", move |auth: &Value| auth["orgId"] == *organisation)
}

pub(super) async fn organisation(cx: &Cx) -> Outcome {
    Interface::each(cx, async |interface| {
        for named in [true, false] {
            let organisation = format!("org_{}", cx.token(8));
            let start = Start::new(cx, interface);
            let start = if named { start.with("organisation", organisation.clone()) } else { start };
            let told = if named { belongs_to(organisation) } else { lacks(&["orgId"]) };
            let mut client = Client::start(cx, start).await?;
            let mut connection = client.connect(cx).await?;
            cx.expect(QUEUE_SUBSCRIBER_11, &connection.auth, std::slice::from_ref(&told))?;
            connection.welcome(&cx.token(8)).await;
            let connection = again(cx, &mut client, connection).await?;
            cx.expect(QUEUE_SUBSCRIBER_11, &connection.auth, &[told])?;
        }
        Ok(())
    })
    .await
}

pub(super) async fn success(cx: &Cx) -> Outcome {
    let answers = [
        json!({"success": true}),
        json!({"success": true, "client_id": cx.token(8), "error": "none"}),
        json!({"success": true, "error": ""}),
        json!({"success": true, "client_id": cx.token(8), "region": {"of": ["the", 1, null]}, "type": "auth"}),
    ];
    Interface::each(cx, async |interface| {
        for answer in &answers {
            let mut client = Client::start(cx, Start::new(cx, interface)).await?;
            let mut connection = client.connect(cx).await?;
            connection.send(answer).await;
            connection.push([0, 1]).await;
            let told = client.delivered(2).await?;
            cx.expect(QUEUE_SUBSCRIBER_13, &connection.told(told), &[delivers(vec![0, 1])])?;
        }
        Ok(())
    })
    .await
}

pub(super) async fn malformed(cx: &Cx) -> Outcome {
    Interface::each(cx, |interface| malformed_answers(cx, interface)).await
}

async fn malformed_answers(cx: &Cx, interface: Interface) -> Outcome {
    // Who is answered as it should be stays and is pushed to.
    let mut twin = Client::start(cx, Start::new(cx, interface)).await?;
    let mut joined = twin.join(cx).await?;
    hears(cx, &mut twin, &mut joined, 0).await?;
    let answers = [
        "welcome".to_owned(),
        "{\"success\":true".into(),
        "null".into(),
        "true".into(),
        "[]".into(),
        "[{\"success\":true}]".into(),
        "{}".into(),
        "{\"ok\":true}".into(),
        "{\"success\":\"true\"}".into(),
        "{\"success\":1}".into(),
        "{\"success\":true,\"client_id\":null}".into(),
        "{\"success\":true,\"client_id\":7}".into(),
        "{\"success\":true,\"error\":null}".into(),
        "{\"success\":false,\"error\":null}".into(),
        push("message", &[message(0)]).to_string(),
    ];
    // Behind a redial a client that was let in before is not let in either.
    let redials = ["{\"success\":\"true\"}", "{}", "welcome"].map(|answer| (answer.to_owned(), true));
    let redials = redials.into_iter().chain([(push("message", &[message(1)]).to_string(), true)]);
    let cases = answers.into_iter().map(|answer| (answer, false)).chain(redials);
    let closes = cases.map(async |(answer, is_redial)| {
        let mut client = Client::start(cx, Start::new(cx, interface)).await?;
        let mut connection: Connection = client.connect(cx).await?;
        if is_redial {
            connection.welcome(&cx.token(8)).await;
            connection = again(cx, &mut client, connection).await?;
        }
        connection.peer.send_text(&answer).await;
        connection.ended().await
    });
    for seen in try_join_all(closes).await? {
        let closes = alternative("a close frame with the code 4000", |frame: &Frame| {
            matches!(frame, Frame::Close(Some((4000, _))))
        });
        cx.expect(QUEUE_SUBSCRIBER_14, &seen, &[closes])?;
    }
    restart(joined).await
}
