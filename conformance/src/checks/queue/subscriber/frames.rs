//! What comes on the connections of a client, and what it says to that.

use super::{delivers, hears, restart};
use crate::{
    check::{Cx, Outcome, alternative},
    checks::queue::client::{Client, Interface, Start, message, offsets, push},
    wire::ws::Frame,
};
use bytes::Bytes;
use serde_json::{Value, json};
use std::time::Duration;
use wireproof_spec::queue::requirements::*;

/// How long a client has to say what it should not.
const QUIET: Duration = Duration::from_millis(250);

pub(super) async fn no_more_data(cx: &Cx) -> Outcome {
    for interface in Interface::all(cx) {
        let mut client = Client::start(cx, Start::new(cx, interface)).await?;
        let mut connection = client.join(cx).await?;
        connection.push([0]).await;
        connection.push([1, 2]).await;
        connection.send(&push("replay", &[message(3)])).await;
        connection.send(&push("message", &[])).await;
        connection.send(&json!({"type": "ping"})).await;
        connection.peer.send_text("ping").await;
        connection.send(&json!({"success": true, "client_id": cx.token(8)})).await;
        connection.push([4]).await;
        let told = client.delivered(5).await?;
        cx.need(QUEUE_DELIVERY_1, &connection.told(told), &[delivers((0..5).collect())])?;
        let quiet = connection.peer.quiet(QUIET).await?;
        let nothing = alternative("no data frame", |frame: &Option<Frame>| {
            !matches!(frame, Some(Frame::Text(_) | Frame::Binary(_)))
        });
        cx.expect(QUEUE_SUBSCRIBER_10, &quiet, &[nothing])?;
    }
    Ok(())
}

pub(super) async fn pushed_before_success(cx: &Cx) -> Outcome {
    for interface in Interface::all(cx) {
        for (redial, answer) in
            [(false, None), (false, Some("no such key")), (true, None), (true, Some("no such key"))]
        {
            let mut client = Client::start(cx, Start::new(cx, interface)).await?;
            let mut connection = client.connect(cx).await?;
            if redial {
                connection.welcome(&cx.token(8)).await;
                hears(cx, &mut client, &mut connection, 0).await?;
                restart(connection).await?;
                connection = client.connect(cx).await?;
            }
            if let Some(why) = answer {
                connection.send(&json!({"success": false, "error": why})).await;
            }
            connection.push([7]).await;
            connection.send(&push("replay", &[message(8)])).await;
            // Whether it closes, and with which code, is looked at elsewhere.
            let seen = connection.peer.quiet(QUIET).await?.or_lost();
            // Another one that is let in behind that is delivered what was pushed.
            let mut twin = Client::start(cx, Start::new(cx, interface)).await?;
            let mut joined = twin.join(cx).await?;
            hears(cx, &mut twin, &mut joined, 7).await?;
            let told = client.delivered_so_far().await?;
            let none = alternative("nothing of it is delivered", |told: &Vec<Value>| {
                !offsets(told).iter().any(|offset| [7, 8].contains(offset))
            });
            cx.expect(QUEUE_SUBSCRIBER_12, &seen.map(|_| told), &[none])?;
        }
    }
    Ok(())
}

pub(super) async fn ping(cx: &Cx) -> Outcome {
    Interface::each(cx, async |interface| {
        let mut client = Client::start(cx, Start::new(cx, interface)).await?;
        let mut connection = client.join(cx).await?;
        hears(cx, &mut client, &mut connection, 0).await?;
        let longest = cx.token(64).repeat(2);
        for content in ["here", "", &longest[..125], "here again"] {
            let pong = connection.peer.ping(content.as_bytes()).await?;
            let same = content.to_owned();
            let same =
                alternative("a pong with the same content", move |pong: &Bytes| *pong == same.as_bytes());
            cx.expect(QUEUE_SUBSCRIBER_26, &pong, &[same])?;
        }
        Ok(())
    })
    .await
}

pub(super) async fn fragments(cx: &Cx) -> Outcome {
    Interface::each(cx, |interface| takes_fragments(cx, interface)).await
}

async fn takes_fragments(cx: &Cx, interface: Interface) -> Outcome {
    let mut client = Client::start(cx, Start::new(cx, interface)).await?;
    let mut connection = client.connect(cx).await?;
    let answer = json!({"success": true, "client_id": cx.token(8)}).to_string();
    connection.peer.send_in_frames(&answer, &[9, 1, 5]).await;
    // Frames may end within a character.
    for (offset, sizes) in [(0, &[1][..]), (1, &[40, 1]), (2, &[100_000, 7, 100_000])] {
        let text = "ü€𝄞".repeat(if offset == 2 { 25_000 } else { 20 });
        let mut sent = message(offset);
        sent["payload"] = json!(text);
        connection
            .peer
            .send_in_frames(&push("message", std::slice::from_ref(&sent)).to_string(), sizes)
            .await;
        let told = client.delivered(1).await?;
        let whole = alternative(
            "the message is delivered",
            move |told: &Vec<Value>| matches!(&told[..], [one] if one["offset"] == offset && one["payload"] == sent["payload"]),
        );
        cx.expect(QUEUE_SUBSCRIBER_27, &connection.told(told), &[whole])?;
    }
    Ok(())
}

pub(super) async fn long_push(cx: &Cx) -> Outcome {
    Interface::each(cx, |interface| takes_long_pushes(cx, interface)).await
}

async fn takes_long_pushes(cx: &Cx, interface: Interface) -> Outcome {
    /// So many messages share the length, so that each fits into a line of an adapter.
    const MESSAGES: i64 = 4;
    let mut client = Client::start(cx, Start::new(cx, interface)).await?;
    let mut connection = client.join(cx).await?;
    for (n, length) in [65_537, 1_048_577, 2_097_152].into_iter().enumerate() {
        let first = i64::try_from(n).unwrap_or_default() * MESSAGES;
        let of = |payload: usize, last: usize| {
            let messages: Vec<Value> = (first..first + MESSAGES)
                .map(|offset| {
                    let mut message = message(offset);
                    let more = if offset == first { last } else { 0 };
                    message["payload"] = json!("x".repeat(payload + more));
                    message
                })
                .collect();
            push("message", &messages)
        };
        let room = length - of(0, 0).to_string().len();
        let parts = usize::try_from(MESSAGES).unwrap_or(1);
        let frame = of(room / parts, room % parts);
        connection.send(&frame).await;
        let told = client.delivered(parts).await?;
        let whole =
            alternative(format!("a Push of {length} bytes is delivered"), move |told: &Vec<Value>| {
                let pushed = frame["messages"].as_array();
                pushed.is_some_and(|pushed| {
                    pushed.len() == told.len()
                        && pushed.iter().zip(told).all(|(pushed, told)| {
                            pushed["offset"] == told["offset"] && pushed["payload"] == told["payload"]
                        })
                })
            });
        cx.expect(QUEUE_SUBSCRIBER_28, &connection.told(told), &[whole])?;
    }
    Ok(())
}

pub(super) async fn binary_push(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    hears(cx, &mut client, &mut connection, 0).await?;
    connection.peer.send_binary(push("message", &[message(1)]).to_string()).await;
    connection.push([2]).await;
    let mut told = Vec::new();
    while offsets(&told).last() != Some(&2) {
        let next = client.delivered(1).await?;
        if next.is_empty() {
            break;
        }
        told.extend(next);
    }
    let delivered =
        alternative("it is delivered like a text frame", |told: &Vec<Value>| offsets(told) == [1, 2]);
    let passed = alternative("it is passed over", |told: &Vec<Value>| offsets(told) == [2]);
    cx.expect(QUEUE_SUBSCRIBER_29, &connection.told(told), &[delivered, passed])?;
    Ok(())
}
