//! What comes on the connections of a client, and what it says to that.

use super::{again, delivers, hears, restart};
use crate::{
    check::{Alternative, Cx, Outcome, alternative},
    checks::queue::client::{Client, Connection, Interface, Start, message, offsets, push},
    wire::{Lost, ws::Frame},
};
use bytes::Bytes;
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use std::time::Duration;
use wireproof_spec::queue::requirements::*;

/// How long a client has to say what it should not.
const QUIET: Duration = Duration::from_millis(250);
/// As [`QUIET`], for what says something each second or two.
const LONG_QUIET: Duration = Duration::from_millis(2_100);

/// That no data frame came; nothing, or the end of the connection.
fn says_nothing() -> Alternative<Result<Option<Frame>, Lost>> {
    alternative("no data frame", |came: &Result<Option<Frame>, Lost>| {
        matches!(came, Ok(None | Some(Frame::Close(_))) | Err(Lost::Closed(_)))
    })
}

/// Claims that a client which is pushed to says nothing for so long.
pub(super) async fn is_silent(cx: &Cx, connection: &mut Connection, length: Duration) -> Outcome {
    let quiet = connection.peer.quiet(length).await?.or_lost();
    cx.expect(QUEUE_SUBSCRIBER_10, &quiet, &[says_nothing()])?;
    Ok(())
}

/// Pushes what a client delivers, five messages from this offset on, and what it passes over.
async fn push_all(cx: &Cx, client: &mut Client, connection: &mut Connection, from: i64) -> Outcome {
    connection.push([from]).await;
    connection.push([from + 1, from + 2]).await;
    connection.send(&push("replay", &[message(from + 3)])).await;
    connection.send(&push("message", &[])).await;
    connection.send(&push("message", &[json!({"id": "qmsg_1", "offset": 9})])).await;
    connection.send(&json!({"type": "ping"})).await;
    connection.peer.send_text("ping").await;
    connection.send(&json!({"success": true, "client_id": cx.token(8)})).await;
    connection.push([from + 4]).await;
    let told = client.delivered(5).await?;
    cx.need(QUEUE_DELIVERY_1, &connection.told(told), &[delivers((from..from + 5).collect())])?;
    Ok(())
}

pub(super) async fn no_more_data(cx: &Cx) -> Outcome {
    Interface::each(cx, async |interface| {
        let mut client = Client::start(cx, Start::new(cx, interface)).await?;
        let mut connection = client.join(cx).await?;
        push_all(cx, &mut client, &mut connection, 0).await?;
        is_silent(cx, &mut connection, LONG_QUIET).await
    })
    .await
}

/// As on the first connection; who resumes could say so, or tell what it has.
pub(super) async fn no_more_data_again(cx: &Cx) -> Outcome {
    Interface::each(cx, async |interface| {
        let mut client = Client::start(cx, Start::new(cx, interface)).await?;
        let mut connection = client.join(cx).await?;
        hears(cx, &mut client, &mut connection, 0).await?;
        connection = again(cx, &mut client, connection).await?;
        is_silent(cx, &mut connection, QUIET).await?;
        connection.welcome(&cx.token(8)).await;
        push_all(cx, &mut client, &mut connection, 10).await?;
        is_silent(cx, &mut connection, LONG_QUIET).await
    })
    .await
}

/// The handler fails, for a message alone in its Push, and for the first and the last of three. Who ends the connection for that
/// has said nothing either.
pub(super) async fn no_refusal(cx: &Cx) -> Outcome {
    let cases = [(1..=1, 1), (1..=3, 1), (1..=3, 3)];
    let courses = cases.map(async |(offsets, failing)| {
        let start = Start::new(cx, Interface::Handler).with("fails_at", json!([failing]));
        let mut client = Client::start(cx, start).await?;
        let mut connection = client.join(cx).await?;
        connection.push([0]).await;
        connection.push(offsets).await;
        let told = client.delivered_up_to(failing).await?;
        let told = connection.told(told.last().map(|offset| json!(offset)));
        let is_there = alternative("the message is delivered", Option::<Value>::is_some);
        cx.need(QUEUE_DELIVERY_1, &told, &[is_there])?;
        is_silent(cx, &mut connection, QUIET).await
    });
    try_join_all(courses).await?;
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
