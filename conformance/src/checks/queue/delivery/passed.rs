//! What is passed over behind the AuthResponse, and what is not although it looks like it.

use super::{
    super::client::{Client, Interface, Start, message, push},
    delivered, told_up_to,
};
use crate::check::{Cx, Outcome};
use serde_json::{Value, json};
use wireproof_spec::{queue::requirements::*, requirement::RequirementId};

/// Sends each of these frames and a Push behind it, and claims that nothing but the latter is delivered and told, with each
/// interface. Another Push behind all that shows that the connection is still open.
async fn passed_over(cx: &Cx, requirement: RequirementId, frames: &[String]) -> Outcome {
    for interface in Interface::all(cx) {
        let mut client = Client::start(cx, Start::new(cx, interface)).await?;
        let mut connection = client.join(cx).await?;
        let mut good: Vec<i64> = Vec::new();
        for (offset, frame) in (1..).zip(frames) {
            connection.peer.send_text(frame).await;
            connection.push([offset]).await;
            good.push(offset);
        }
        let last = good.len() as i64;
        let mut told = told_up_to(&mut client, last).await?;
        if told.last() == Some(&json!(last)) {
            connection.push([last + 1]).await;
            told.extend(told_up_to(&mut client, last + 1).await?);
        }
        good.push(last + 1);
        cx.expect(requirement, &connection.told(told), &[delivered(&good)])?;
    }
    Ok(())
}

fn texts(frames: &[Value]) -> Vec<String> {
    frames.iter().map(Value::to_string).collect()
}

/// A Push that would be delivered, with an offset that no other has.
fn complete() -> Value {
    push("message", &[message(900_000)])
}

/// A value with other members.
fn with(value: &Value, members: Value) -> Value {
    let mut value = value.clone();
    if let (Some(object), Value::Object(members)) = (value.as_object_mut(), members) {
        object.extend(members);
    }
    value
}

/// A value without a member.
fn without(value: &Value, member: &str) -> Value {
    let mut value = value.clone();
    if let Some(object) = value.as_object_mut() {
        object.remove(member);
    }
    value
}

pub(super) async fn no_json(cx: &Cx) -> Outcome {
    let whole = complete().to_string();
    let frames = [
        String::new(),
        " ".into(),
        "ping".into(),
        "{".into(),
        whole[..whole.len() - 1].into(),
        format!("{whole}{whole}"),
        format!("{whole} behind it"),
        whole.replace("}]", "},]"),
        whole.replace('"', "'"),
        "undefined".into(),
    ];
    passed_over(cx, QUEUE_DELIVERY_5, &frames).await
}

pub(super) async fn no_push(cx: &Cx) -> Outcome {
    let push = complete();
    let one = push["messages"][0].clone();
    let frames = [
        json!({}),
        json!([]),
        json!(null),
        json!(17),
        json!("message"),
        json!([push]),
        json!({"data": push}),
        one.clone(),
        json!({"type": "ping"}),
        json!({"type": "error", "error": "nothing to see", "queue_id": "queue_1"}),
        with(&push, json!({"type": "batch"})),
        with(&push, json!({"type": "Message"})),
        with(&push, json!({"type": null})),
        without(&push, "type"),
        without(&push, "queue_id"),
        with(&push, json!({"queue_id": null})),
        with(&push, json!({"queue_id": 1})),
        without(&push, "messages"),
        with(&push, json!({"messages": null})),
        with(&push, json!({"messages": "none"})),
        with(&push, json!({"messages": {"0": one}})),
        with(&push, json!({"messages": one})),
        with(&push, json!({"messages": [one, null]})),
        with(&push, json!({"messages": [one, "another"]})),
        with(&push, json!({"messages": []})),
        json!({"type": "replay", "queue_id": "queue_1", "messages": []}),
    ];
    passed_over(cx, QUEUE_DELIVERY_6, &texts(&frames)).await
}

pub(super) async fn second_auth_response(cx: &Cx) -> Outcome {
    let frames = [
        json!({"success": true, "client_id": format!("qcid_{}", cx.token(8))}),
        json!({"success": true}),
        json!({"success": false, "error": "for another connection"}),
        json!({"success": false}),
    ];
    passed_over(cx, QUEUE_DELIVERY_7, &texts(&frames)).await
}

pub(super) async fn invalid_messages(cx: &Cx) -> Outcome {
    let valid = |offset: i64| message(900_000 + offset);
    let bad = valid(1);
    let mut broken: Vec<Value> = ["id", "queue_id", "offset"].map(|member| without(&bad, member)).into();
    let other = [
        ("id", vec![json!(7), json!(null)]),
        ("queue_id", vec![json!(["queue_1"]), json!(null)]),
        ("offset", vec![json!("900001"), json!(null), json!(true)]),
        ("state", vec![json!("acknowledged"), json!("Pending"), json!(1), json!(null)]),
        ("metadata", vec![json!("{}"), json!(1), json!([]), json!([{"a": 1}])]),
        ("size", vec![json!("12"), json!(null)]),
        ("delivery_attempts", vec![json!("1"), json!(null)]),
        ("max_retries", vec![json!([3]), json!(null)]),
        ("ttl_seconds", vec![json!("60")]),
        ("idempotency_key", vec![json!(5)]),
        ("partition_key", vec![json!({})]),
        ("published_at", vec![json!(1_700_000_000), json!(null)]),
        ("created_at", vec![json!(null)]),
        ("updated_at", vec![json!(null)]),
        ("expires_at", vec![json!(1_700_000_000)]),
        ("delivered_at", vec![json!(false)]),
        ("acknowledged_at", vec![json!({})]),
    ];
    for (member, values) in other {
        broken.extend(values.into_iter().map(|value| with(&bad, json!({member: value}))));
    }
    let pushes: Vec<Value> = (0..)
        .zip(broken)
        .map(|(n, bad)| {
            // In the middle, at the end, in front, and alone.
            let messages: &[Value] = match n % 4 {
                0 => &[valid(0), bad, valid(2)],
                1 => &[valid(0), bad],
                2 => &[bad, valid(2)],
                _ => &[bad],
            };
            push(if n % 2 == 0 { "message" } else { "replay" }, messages)
        })
        .collect();
    passed_over(cx, QUEUE_DELIVERY_8, &texts(&pushes)).await
}

pub(super) async fn unknown_members(cx: &Cx) -> Outcome {
    let unknown = json!({"x": 1, "later": {"type": 7, "messages": null}, "cursor": null, "Offset": "none"});
    let pushes = [
        with(&push("message", &[message(1)]), unknown.clone()),
        push("message", &[with(&message(2), unknown.clone())]),
        with(&push("replay", &[message(3), with(&message(4), json!({"type": "ping"}))]), json!({"id": null})),
        push("replay", &[with(&message(5), json!({"source_id": "src_1", "source_name": "a source"}))]),
    ];
    super::delivers(cx, QUEUE_DELIVERY_9, &pushes).await
}

pub(super) async fn allowed_values(cx: &Cx) -> Outcome {
    let time = "2026-01-15T10:00:00.123Z";
    let values = [
        ("payload", vec![json!(null), json!(false), json!(0), json!(""), json!([])]),
        ("metadata", vec![json!(null), json!({}), json!({"a": {"b": [null]}})]),
        ("state", ["pending", "leased", "processing", "delivered", "failed", "dead"].map(Value::from).into()),
        ("idempotency_key", vec![json!(null), json!(""), json!("key")]),
        ("partition_key", vec![json!(null), json!("a")]),
        ("source_id", vec![json!(null)]),
        ("source_name", vec![json!(null)]),
        ("ttl_seconds", vec![json!(null), json!(0), json!(0.5), json!(86_400)]),
        ("size", vec![json!(0), json!(1_048_576)]),
        ("delivery_attempts", vec![json!(0), json!(3)]),
        ("max_retries", vec![json!(0), json!(5)]),
        ("published_at", vec![json!(time), json!("2026-01-15T10:00:00+01:00")]),
        ("created_at", vec![json!(time)]),
        ("updated_at", vec![json!(time)]),
        ("expires_at", vec![json!(null), json!(time)]),
        ("delivered_at", vec![json!(null), json!(time)]),
        ("acknowledged_at", vec![json!(null), json!(time)]),
    ];
    let one_each =
        values.iter().flat_map(|(member, values)| values.iter().map(move |value| json!({*member: value})));
    let pushes: Vec<Value> = (0..)
        .zip(one_each)
        .map(|(offset, members)| push("message", &[with(&message(offset), members)]))
        .collect();
    super::delivers(cx, QUEUE_DELIVERY_10, &pushes).await
}
