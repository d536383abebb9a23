//! Checks of "Delivery" in spec/queue.md.

mod kept;
mod passed;

use super::client::{Client, Interface, Start, message, offsets, push};
use crate::{
    check::{Alternative, Check, Cx, Need, Outcome, Waits, alternative},
    drives,
};
use passed::{allowed_values, invalid_messages, no_json, no_push, second_auth_response, unknown_members};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;
use wireproof_spec::{queue::requirements::*, requirement::RequirementId};

pub(super) const CHECKS: &[Check] = &[
    Check::new("queue/delivery/one-push", &[QUEUE_DELIVERY_1], drives!(one_push)),
    Check::new("queue/delivery/order-of-the-array", &[QUEUE_DELIVERY_1], drives!(order_of_the_array)),
    Check::new("queue/delivery/push-behind-push", &[QUEUE_DELIVERY_2], drives!(push_behind_push)),
    Check::new("queue/delivery/slow-handler", &[QUEUE_DELIVERY_2], drives!(slow_handler))
        .needs(&[Need::Feature("queue.handler", "on")]),
    Check::new("queue/delivery/types", &[QUEUE_DELIVERY_3], drives!(types)),
    Check::new("queue/delivery/replay-behind-a-redial", &[QUEUE_DELIVERY_3], drives!(replay_behind_a_redial))
        .waits(Waits::Millis(2_000)),
    Check::new("queue/delivery/as-pushed", &[QUEUE_DELIVERY_4], drives!(as_pushed)),
    Check::new("queue/delivery/no-json", &[QUEUE_DELIVERY_5], drives!(no_json)),
    Check::new("queue/delivery/no-push", &[QUEUE_DELIVERY_6], drives!(no_push)),
    Check::new("queue/delivery/second-auth-response", &[QUEUE_DELIVERY_7], drives!(second_auth_response)),
    Check::new("queue/delivery/invalid-messages", &[QUEUE_DELIVERY_8], drives!(invalid_messages)),
    Check::new("queue/delivery/unknown-members", &[QUEUE_DELIVERY_9], drives!(unknown_members)),
    Check::new("queue/delivery/allowed-values", &[QUEUE_DELIVERY_10], drives!(allowed_values)),
    Check::new("queue/delivery/handler-fails", &[QUEUE_DELIVERY_11], drives!(handler_fails)),
    Check::new("queue/delivery/nobody-asks", &[QUEUE_DELIVERY_12], drives!(nobody_asks)),
    Check::new("queue/delivery/kept-behind-an-end", &[QUEUE_DELIVERY_12], drives!(kept::behind_an_end))
        .waits(Waits::Millis(3_000)),
    Check::new("queue/delivery/kept-at-a-final-close", &[QUEUE_DELIVERY_13], drives!(kept::at_a_final_close))
        .needs(&[Need::Feature("queue.final-4xxx", "on")]),
];

/// What the owner is told, in its order: the offset of each message that is delivered, and whatever else happens, by which this
/// ends; a dial too, for the connection before it is not open then.
async fn told_up_to(client: &mut Client, last: i64) -> Outcome<Vec<Value>> {
    let mut all = Vec::new();
    loop {
        let told = tokio::select! {
            biased;
            told = client.app.told() => told?,
            dialled = client.place.next_within(Duration::from_secs(60)) => {
                let _ = dialled?;
                all.push(json!("another dial"));
                return Ok(all);
            }
        };
        let Some(told) = told else { return Ok(all) };
        if told.event != "delivered" {
            all.push(json!({told.event: told.data}));
            return Ok(all);
        }
        let offset = told.data["offset"].clone();
        let is_last = offset == last;
        all.push(offset);
        if is_last {
            return Ok(all);
        }
    }
}

/// That the owner was told of these messages, in this order, and of nothing else.
fn delivered(expected: &[i64]) -> Alternative<Vec<Value>> {
    let name = match expected {
        [first, .., last] if expected.len() > 20 => {
            format!("{} deliveries, from offset {first} to {last}", expected.len())
        }
        _ => format!("deliveries of the offsets {expected:?}"),
    };
    let expected: Vec<Value> = expected.iter().map(|offset| json!(offset)).collect();
    alternative(format!("{name}, and nothing else"), move |told: &Vec<Value>| *told == expected)
}

/// Pushes these, and claims that they are delivered so, with each interface. One more shows that nothing comes late.
async fn delivers(cx: &Cx, requirement: RequirementId, pushes: &[Value]) -> Outcome {
    /// Behind all that checks push.
    const LAST: i64 = 1_000_000;
    let pushed = pushes.iter().flat_map(|push| push["messages"].as_array().cloned().unwrap_or_default());
    let mut expected = offsets(&pushed.collect::<Vec<Value>>());
    expected.push(LAST);
    for interface in Interface::all(cx) {
        let mut client = Client::start(cx, Start::new(cx, interface)).await?;
        let mut connection = client.join(cx).await?;
        for push in pushes {
            connection.send(push).await;
        }
        connection.push([LAST]).await;
        let told = told_up_to(&mut client, LAST).await?;
        cx.expect(requirement, &connection.told(told), &[delivered(&expected)])?;
    }
    Ok(())
}

/// A Push of the type message with these offsets.
fn of(offsets: impl IntoIterator<Item = i64>) -> Value {
    typed("message", offsets)
}

fn typed(kind: &str, offsets: impl IntoIterator<Item = i64>) -> Value {
    push(kind, &offsets.into_iter().map(message).collect::<Vec<Value>>())
}

async fn one_push(cx: &Cx) -> Outcome {
    delivers(cx, QUEUE_DELIVERY_1, &[of([1]), of([2, 3, 4]), of([20, 40, 41, 99]), of(100..400)]).await
}

/// A queue of the type worker pushes again what was not acknowledged, behind or beside what came later.
async fn order_of_the_array(cx: &Cx) -> Outcome {
    delivers(cx, QUEUE_DELIVERY_1, &[of([3, 1, 2]), of([9, 8, 7, 20, 12])]).await
}

async fn push_behind_push(cx: &Cx) -> Outcome {
    let pushes: Vec<Value> = (0..30).map(|n| of(n * 10..=n * 10 + n % 4)).collect();
    delivers(cx, QUEUE_DELIVERY_2, &pushes).await
}

async fn slow_handler(cx: &Cx) -> Outcome {
    let start = Start::new(cx, Interface::Handler).with("works_at", 1).with("works_ms", 200);
    let mut client = Client::start_alone(cx, start).await?;
    let mut connection = client.join(cx).await?;
    connection.push([1, 2, 3]).await;
    connection.push([4, 5]).await;
    connection.push([6]).await;
    let told = offsets(&client.delivered(6).await?).iter().map(|offset| json!(offset)).collect();
    cx.expect(QUEUE_DELIVERY_2, &connection.told(told), &[delivered(&[1, 2, 3, 4, 5, 6])])?;
    Ok(())
}

async fn types(cx: &Cx) -> Outcome {
    let pushes = [
        typed("replay", [1]),
        typed("replay", [2, 3, 4]),
        typed("message", [5]),
        typed("message", [6, 7, 8]),
    ];
    delivers(cx, QUEUE_DELIVERY_3, &pushes).await
}

/// Where a server has it come.
async fn replay_behind_a_redial(cx: &Cx) -> Outcome {
    for interface in Interface::all(cx) {
        let mut client = Client::start(cx, Start::new(cx, interface)).await?;
        let mut connection = client.join(cx).await?;
        connection.push([1]).await;
        let told = told_up_to(&mut client, 1).await?;
        cx.expect(QUEUE_DELIVERY_3, &connection.told(told), &[delivered(&[1])])?;
        let mut connection = client.again(cx, connection).await?;
        connection.welcome(&format!("qcid_{}", cx.token(8))).await;
        for push in [typed("replay", [2, 3]), typed("replay", [4]), of([5, 6])] {
            connection.send(&push).await;
        }
        let told = client.delivered_up_to(6).await?.iter().map(|offset| json!(offset)).collect();
        cx.expect(QUEUE_DELIVERY_3, &connection.told(told), &[delivered(&[2, 3, 4, 5, 6])])?;
    }
    Ok(())
}

/// Payloads of every kind, some of them texts that look like another.
fn payloads() -> Vec<Value> {
    vec![
        json!({"a": {"b": [1, {"c": null}]}, "": "", "ä": "\u{1f980}"}),
        json!([]),
        json!({}),
        json!([[1, "1"], [true, "true"], [null, "null"]]),
        json!("{\"a\": 1}"),
        json!("[1, 2]"),
        json!("\"quoted\""),
        json!("17"),
        json!("null"),
        json!("true"),
        json!(""),
        json!("two\nlines \u{2028} and a \u{0} and eyJhIjoxfQ=="),
        json!(0),
        json!(-1.5),
        json!(9_007_199_254_740_991_i64),
        json!(false),
        json!(null),
        json!({"id": "another", "offset": 0, "payload": "inner", "type": "message"}),
    ]
}

async fn as_pushed(cx: &Cx) -> Outcome {
    let mut messages: Vec<Value> = (0..)
        .zip(payloads())
        .map(|(n, payload)| {
            let mut message = message(n * 3);
            message["payload"] = payload;
            message
        })
        .collect();
    // An id is any text.
    messages[1]["id"] = json!("7");
    messages[2]["id"] = json!(format!("Message-{}", cx.token(40)));
    if let Some(last) = messages.last_mut() {
        last["offset"] = json!(9_007_199_254_740_991_i64);
    }
    let seen = |message: &Value| json!([message["id"], message["offset"], message["payload"]]);
    let expected: Vec<Value> = messages.iter().map(seen).collect();
    for interface in Interface::all(cx) {
        let mut client = Client::start(cx, Start::new(cx, interface)).await?;
        let mut connection = client.join(cx).await?;
        let (several, single) = messages.split_at(8);
        connection.send(&push("message", several)).await;
        for message in single {
            connection.send(&push("message", std::slice::from_ref(message))).await;
        }
        let told: Vec<Value> = client.delivered(messages.len()).await?.iter().map(seen).collect();
        let expected = expected.clone();
        let same = alternative("ids, offsets and payloads as they were pushed", move |told: &Vec<Value>| {
            *told == expected
        });
        cx.expect(QUEUE_DELIVERY_4, &connection.told(told), &[same])?;
    }
    Ok(())
}

/// The handler fails for one message of four, and one more is pushed. Unless all others are delivered, the connection ends, and
/// behind a redial comes what a server has behind the last offset, each message in a Push of its own.
async fn handler_fails(cx: &Cx) -> Outcome {
    let start = Start::new(cx, Interface::Handler).with("fails_at", json!([2]));
    let mut client = Client::start(cx, start).await?;
    let mut connection = client.join(cx).await?;
    connection.push(1..=4).await;
    connection.push([5]).await;
    let mut told = Vec::new();
    // One that goes on only behind a redial need not come to the last.
    while let Some(next) = client.app.told_within(Duration::from_millis(500)).await? {
        if next.event == "delivered" {
            told.push(next.data["offset"].clone());
            if told.last() == Some(&json!(5)) {
                break;
            }
        }
    }
    let are_there = |told: &Vec<Value>| [1, 3, 4].iter().all(|offset| told.contains(&json!(offset)));
    let mut where_to = "the offsets 1, 3 and 4, on the connection on which they were pushed";
    if !are_there(&told) {
        where_to = "the offsets 1, 3 and 4, some of them behind a redial";
        connection = client.again(cx, connection).await?;
        connection.welcome(&format!("qcid_{}", cx.token(8))).await;
        let last = connection.auth.look().ok().and_then(|auth| auth["last_offset"].as_i64());
        for offset in last.map_or(6, |last| last + 1)..=6 {
            connection.push([offset]).await;
        }
        let more = client.delivered_up_to(6).await?;
        told.extend(more.into_iter().map(|offset| json!(offset)));
    }
    cx.expect(QUEUE_DELIVERY_11, &connection.told(told), &[alternative(where_to, are_there)])?;
    Ok(())
}

/// More than a few messages come, in more than one Push, while the owner has one and asks for no other.
async fn nobody_asks(cx: &Cx) -> Outcome {
    let start = Start::new(cx, Interface::Iterator).with("takes", 1);
    let mut client = Client::start(cx, start).await?;
    let mut connection = client.join(cx).await?;
    connection.push([1, 2, 3]).await;
    let taken = told_up_to(&mut client, 1).await?;
    let taken = connection.told(taken);
    cx.need(QUEUE_DELIVERY_1, &taken, &[delivered(&[1])])?;
    for offset in 4..68 {
        connection.push([offset]).await;
    }
    connection.push(68..200).await;
    for offset in 200..600 {
        connection.push([offset]).await;
    }
    connection.push(600..700).await;
    // The pong comes when all was read; from a client that reads no further before it is asked, none comes.
    let _ = timeout(Duration::from_millis(300), connection.peer.ping(b"read")).await;
    client.app.ask("take", json!({})).await?;
    let told = told_up_to(&mut client, 699).await?;
    let expected: Vec<i64> = (2..700).collect();
    cx.expect(QUEUE_DELIVERY_12, &connection.told(told), &[delivered(&expected)])?;
    Ok(())
}
