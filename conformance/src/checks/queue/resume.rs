//! Checks of "Resume" in spec/queue.md.

use super::client::{Client, Connection, Interface, Start, message, push, silence};
use crate::{
    check::{Alternative, Check, Cx, Need, Outcome, Waits, alternative},
    drives,
};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;
use wireproof_spec::queue::requirements::*;

pub(super) const CHECKS: &[Check] = &[
    Check::new("queue/resume/client-id", &[QUEUE_RESUME_1], drives!(client_id)).waits(Waits::Millis(3_000)),
    Check::new("queue/resume/behind-a-failed-dial", &[QUEUE_RESUME_1, QUEUE_RESUME_2], drives!(failed_dial))
        .needs(&[Need::Feature("queue.handler", "on")])
        .waits(Waits::Millis(3_000)),
    Check::new("queue/resume/last-offset", &[QUEUE_RESUME_2], drives!(last_offset))
        .waits(Waits::Millis(4_000)),
    Check::new("queue/resume/replayed", &[QUEUE_RESUME_2], drives!(replayed)).waits(Waits::Millis(3_000)),
    Check::new("queue/resume/offset-0", &[QUEUE_RESUME_3], drives!(offset_0)).waits(Waits::Millis(3_000)),
    Check::new("queue/resume/nothing-processed", &[QUEUE_RESUME_4], drives!(nothing_processed))
        .waits(Waits::Millis(3_000)),
    Check::new("queue/resume/first-failed", &[QUEUE_RESUME_4], drives!(first_failed))
        .needs(&[Need::Feature("queue.handler", "on")]),
    Check::new("queue/resume/no-client-id", &[QUEUE_RESUME_5], drives!(no_client_id))
        .waits(Waits::Millis(4_000)),
    Check::new("queue/resume/another-client-id", &[QUEUE_RESUME_6], drives!(another_client_id))
        .waits(Waits::Millis(3_000)),
    Check::new("queue/resume/handler-failed", &[QUEUE_RESUME_7], drives!(handler_failed)),
    Check::new("queue/resume/handler-failed-again", &[QUEUE_RESUME_2], drives!(handler_failed_again))
        .needs(&[Need::Feature("queue.handler", "on")])
        .waits(Waits::Millis(3_000)),
    Check::new("queue/resume/handler-works", &[QUEUE_RESUME_8], drives!(handler_works))
        .waits(Waits::Millis(3_000)),
    Check::new("queue/resume/given", &[QUEUE_RESUME_9], drives!(given)),
    Check::new("queue/resume/owner-behind", &[QUEUE_RESUME_10], drives!(owner_behind))
        .waits(Waits::Millis(3_000)),
    Check::new("queue/resume/invalid-message", &[QUEUE_RESUME_11], drives!(invalid_message)),
    Check::new("queue/resume/given-again", &[QUEUE_RESUME_12], drives!(given_again))
        .waits(Waits::Millis(3_000)),
    Check::new("queue/resume/second-answer", &[QUEUE_RESUME_1, QUEUE_RESUME_6], drives!(second_answer))
        .waits(Waits::Millis(4_000)),
];

/// That an AuthRequest has a member with this value.
fn carries(member: &'static str, value: impl Into<Value>) -> Alternative<Value> {
    let value = value.into();
    alternative(format!("an AuthRequest with the {member} {value}"), move |auth: &Value| {
        auth[member] == value
    })
}

/// That an AuthRequest has both of these.
fn carries_both(client_id: &str, last: i64) -> Alternative<Value> {
    let id = client_id.to_owned();
    alternative(
        format!("an AuthRequest with the client_id {id:?} and the last_offset {last}"),
        move |auth: &Value| auth["client_id"] == id.as_str() && auth["last_offset"] == last,
    )
}

/// That an AuthRequest has no such member.
fn lacks(member: &'static str) -> Alternative<Value> {
    alternative(format!("an AuthRequest without {member}"), move |auth: &Value| {
        auth.is_object() && auth.get(member).is_none()
    })
}

/// Starts the client with this interface, and lets it in.
async fn begin(cx: &Cx, interface: Interface) -> Outcome<(Client, Connection)> {
    let mut client = Client::start(cx, Start::new(cx, interface)).await?;
    let connection = client.join(cx).await?;
    Ok((client, connection))
}

/// Pushes messages, and waits until they are delivered.
async fn pushed(
    cx: &Cx,
    client: &mut Client,
    connection: &mut Connection,
    offsets: impl IntoIterator<Item = i64>,
) -> Outcome {
    let offsets: Vec<i64> = offsets.into_iter().collect();
    connection.push(offsets.iter().copied()).await;
    let last = offsets.last().copied().unwrap_or_default();
    let all = client.delivered_up_to(last).await?;
    let told = connection.told(all.last().map(|offset| json!(offset)));
    let is_there = alternative(format!("the offset {last} delivered"), move |told: &Option<Value>| {
        *told == Some(json!(last))
    });
    cx.need(QUEUE_DELIVERY_1, &told, &[is_there])?;
    Ok(())
}

async fn client_id(cx: &Cx) -> Outcome {
    for interface in Interface::all(cx) {
        let id = format!("qcid_{}", cx.token(8));
        let mut client = Client::start(cx, Start::new(cx, interface)).await?;
        let mut connection = client.connect(cx).await?;
        for _ in 0..2 {
            connection.welcome(&id).await;
            connection = client.again(cx, connection).await?;
            cx.expect(QUEUE_RESUME_1, &connection.auth, &[carries("client_id", id.clone())])?;
        }
    }
    Ok(())
}

/// A dial that fails takes nothing away.
async fn failed_dial(cx: &Cx) -> Outcome {
    let id = format!("qcid_{}", cx.token(8));
    let mut client = Client::start(cx, Start::new(cx, Interface::Handler)).await?;
    let mut connection = client.connect(cx).await?;
    connection.welcome(&id).await;
    pushed(cx, &mut client, &mut connection, [4, 5]).await?;
    connection.part().await;
    let call = client.redial(cx, QUEUE_REDIAL_1).await?;
    call.answer_raw(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        .await;
    let connection = Connection::of(cx, client.redial(cx, QUEUE_REDIAL_3).await?).await?;
    cx.expect(QUEUE_RESUME_1, &connection.auth, &[carries("client_id", id)])?;
    cx.expect(QUEUE_RESUME_2, &connection.auth, &[carries("last_offset", 5)])?;
    Ok(())
}

async fn last_offset(cx: &Cx) -> Outcome {
    for interface in Interface::all(cx) {
        let (mut client, mut connection) = begin(cx, interface).await?;
        // On the second connection nothing comes, and the offset stays.
        for (offsets, last) in [(vec![1, 2, 3], 3), (vec![], 3), (vec![7, 8], 8)] {
            if !offsets.is_empty() {
                pushed(cx, &mut client, &mut connection, offsets).await?;
            }
            connection = client.again(cx, connection).await?;
            cx.expect(QUEUE_RESUME_2, &connection.auth, &[carries("last_offset", last)])?;
            connection.welcome(&format!("qcid_{}", cx.token(8))).await;
        }
    }
    Ok(())
}

/// What was processed last has not the greatest offset, and came in a replay.
async fn replayed(cx: &Cx) -> Outcome {
    for interface in Interface::all(cx) {
        let (mut client, mut connection) = begin(cx, interface).await?;
        pushed(cx, &mut client, &mut connection, [1]).await?;
        connection = client.again(cx, connection).await?;
        connection.welcome(&format!("qcid_{}", cx.token(8))).await;
        connection.send(&push("replay", &[5, 2, 3].map(message))).await;
        let all = client.delivered_up_to(3).await?;
        let last = connection.told(all.last().map(|offset| json!(offset)));
        let is_there = alternative("the offset 3 delivered", |last: &Option<Value>| *last == Some(json!(3)));
        cx.need(QUEUE_DELIVERY_3, &last, &[is_there])?;
        connection = client.again(cx, connection).await?;
        cx.expect(QUEUE_RESUME_2, &connection.auth, &[carries("last_offset", 3)])?;
    }
    Ok(())
}

async fn offset_0(cx: &Cx) -> Outcome {
    for interface in Interface::all(cx) {
        let (mut client, mut connection) = begin(cx, interface).await?;
        pushed(cx, &mut client, &mut connection, [0]).await?;
        for _ in 0..2 {
            connection = client.again(cx, connection).await?;
            cx.expect(QUEUE_RESUME_3, &connection.auth, &[carries("last_offset", 0)])?;
            connection.welcome(&format!("qcid_{}", cx.token(8))).await;
        }
    }
    Ok(())
}

async fn nothing_processed(cx: &Cx) -> Outcome {
    for interface in Interface::all(cx) {
        let (mut client, mut connection) = begin(cx, interface).await?;
        for _ in 0..2 {
            connection.send(&push("replay", &[])).await;
            connection = client.again(cx, connection).await?;
            cx.expect(QUEUE_RESUME_4, &connection.auth, &[lacks("last_offset")])?;
            connection.welcome(&format!("qcid_{}", cx.token(8))).await;
        }
    }
    Ok(())
}

async fn no_client_id(cx: &Cx) -> Outcome {
    for interface in Interface::all(cx) {
        let id = format!("qcid_{}", cx.token(8));
        let mut client = Client::start(cx, Start::new(cx, interface)).await?;
        let mut connection = client.connect(cx).await?;
        connection.welcome(&id).await;
        connection = client.again(cx, connection).await?;
        cx.need(QUEUE_RESUME_1, &connection.auth, &[carries("client_id", id.clone())])?;
        for answer in [json!({"success": true}), json!({"success": true, "client_id": ""})] {
            connection.send(&answer).await;
            connection = client.again(cx, connection).await?;
            cx.expect(QUEUE_RESUME_5, &connection.auth, &[carries("client_id", id.clone())])?;
        }
    }
    Ok(())
}

async fn another_client_id(cx: &Cx) -> Outcome {
    for interface in Interface::all(cx) {
        let (mut client, mut connection) = begin(cx, interface).await?;
        connection = client.again(cx, connection).await?;
        for _ in 0..2 {
            let id = format!("qcid_{}", cx.token(8));
            connection.welcome(&id).await;
            connection = client.again(cx, connection).await?;
            cx.expect(QUEUE_RESUME_6, &connection.auth, &[carries("client_id", id)])?;
        }
    }
    Ok(())
}

async fn handler_failed(cx: &Cx) -> Outcome {
    // In the Push of the one before it, and in one of its own; and where offsets lie apart.
    let courses: [(&[&[i64]], i64, i64); 4] = [
        (&[&[1, 2, 3], &[4]], 3, 4),
        (&[&[1, 2], &[3, 4]], 3, 4),
        (&[&[5], &[9, 20]], 9, 20),
        (&[&[5, 9], &[20]], 9, 20),
    ];
    for (pushes, last, failing) in courses {
        let start = Start::new(cx, Interface::Handler).with("fails_at", json!([failing]));
        let mut client = Client::start(cx, start).await?;
        let mut connection = client.join(cx).await?;
        for offsets in pushes {
            pushed(cx, &mut client, &mut connection, offsets.iter().copied()).await?;
        }
        let connection = client.again(cx, connection).await?;
        cx.expect(QUEUE_RESUME_7, &connection.auth, &[carries("last_offset", last)])?;
    }
    Ok(())
}

/// The handler has failed for the first message that came: none was processed.
async fn first_failed(cx: &Cx) -> Outcome {
    for offset in [0, 7] {
        let start = Start::new(cx, Interface::Handler).with("fails_at", json!([offset]));
        let mut client = Client::start(cx, start).await?;
        let mut connection = client.join(cx).await?;
        pushed(cx, &mut client, &mut connection, [offset]).await?;
        let connection = client.again(cx, connection).await?;
        cx.expect(QUEUE_RESUME_4, &connection.auth, &[lacks("last_offset")])?;
    }
    Ok(())
}

/// What was processed last is what it was, also when the handler has failed for the same message twice.
async fn handler_failed_again(cx: &Cx) -> Outcome {
    let start = Start::new(cx, Interface::Handler).with("fails_at", json!([3]));
    let mut client = Client::start(cx, start).await?;
    let mut connection = client.join(cx).await?;
    pushed(cx, &mut client, &mut connection, 1..=3).await?;
    connection = client.again(cx, connection).await?;
    cx.need(QUEUE_RESUME_7, &connection.auth, &[carries("last_offset", 2)])?;
    connection.welcome(&format!("qcid_{}", cx.token(8))).await;
    connection.send(&push("replay", &[message(3)])).await;
    let told = client.delivered_up_to(3).await?;
    let again = alternative("the offset 3 delivered again", |told: &Value| *told == json!([3]));
    cx.need(QUEUE_DELIVERY_3, &connection.told(json!(told)), &[again])?;
    let connection = client.again(cx, connection).await?;
    cx.expect(QUEUE_RESUME_2, &connection.auth, &[carries("last_offset", 2)])?;
    Ok(())
}

/// The connection ends while the handler works on a message. Whether the client dials before it returns is left to it.
async fn handler_works(cx: &Cx) -> Outcome {
    let works = silence(cx, Interface::Handler) + Duration::from_millis(300);
    let ms = u64::try_from(works.as_millis()).unwrap_or(u64::MAX);
    let start = Start::new(cx, Interface::Handler).with("works_at", 2).with("works_ms", ms);
    let mut client = Client::start_alone(cx, start).await?;
    let mut connection = client.join(cx).await?;
    // It returns later than so long behind the push.
    let returns = Instant::now() + works;
    pushed(cx, &mut client, &mut connection, [1, 2]).await?;
    connection.peer.close(1012, "").await;
    drop(connection);
    let connection = Connection::of(cx, client.redial(cx, QUEUE_REDIAL_1).await?).await?;
    let alternatives = if Instant::now() < returns {
        vec![carries("last_offset", 1)]
    } else {
        vec![alternative("an AuthRequest behind the end of the work", |auth: &Value| auth.is_object())]
    };
    cx.expect(QUEUE_RESUME_8, &connection.auth, &alternatives)?;
    Ok(())
}

async fn given(cx: &Cx) -> Outcome {
    for interface in Interface::all(cx) {
        for last in [17, 0] {
            let id = format!("mine-{}", cx.token(8));
            let start = Start::new(cx, interface).with("client_id", id.clone()).with("last_offset", last);
            let connection = Client::start(cx, start).await?.connect(cx).await?;
            cx.expect(QUEUE_RESUME_9, &connection.auth, &[carries_both(&id, last)])?;
        }
        // Each without the other.
        let mine = format!("mine-{}", cx.token(8));
        for (member, value) in
            [("client_id", json!(mine)), ("last_offset", json!(17)), ("last_offset", json!(0))]
        {
            let start = Start::new(cx, interface).with(member, value.clone());
            let connection = Client::start(cx, start).await?.connect(cx).await?;
            cx.expect(QUEUE_RESUME_9, &connection.auth, &[carries(member, value)])?;
        }
    }
    Ok(())
}

/// The owner has taken two of four messages and asks for no other. A client that dials again only when it is asked, is asked.
async fn owner_behind(cx: &Cx) -> Outcome {
    let start = Start::new(cx, Interface::Iterator).with("takes", 2);
    let mut client = Client::start(cx, start).await?;
    let mut connection = client.join(cx).await?;
    connection.push(1..=4).await;
    let taken = client.delivered_up_to(2).await?;
    let taken = connection.told(json!(taken));
    let two = alternative("the offsets 1 and 2 delivered", |taken: &Value| *taken == json!([1, 2]));
    cx.need(QUEUE_DELIVERY_12, &taken, &[two])?;
    connection.part().await;
    let call = match client.place.next_within(silence(cx, Interface::Iterator)).await? {
        (_, Some(call)) => call,
        (_, None) => {
            client.app.ask("take", json!({})).await?;
            client.redial(cx, QUEUE_REDIAL_1).await?
        }
    };
    let connection = Connection::of(cx, call).await?;
    let is = |last: i64, what: &str| {
        alternative(format!("a last_offset of {last}: {what}"), move |auth: &Value| {
            auth["last_offset"] == last
        })
    };
    let all = [
        is(1, "what was processed"),
        is(2, "what the owner has taken"),
        is(4, "what has come, or what was processed by then"),
    ];
    cx.expect(QUEUE_RESUME_10, &connection.auth, &all)?;
    Ok(())
}

async fn invalid_message(cx: &Cx) -> Outcome {
    let mut without_id = message(9);
    without_id.as_object_mut().map(|message| message.remove("id"));
    for messages in [[message(8), without_id.clone()], [without_id, message(10)]] {
        for interface in Interface::all(cx) {
            let (mut client, mut connection) = begin(cx, interface).await?;
            pushed(cx, &mut client, &mut connection, [6, 7]).await?;
            connection.send(&push("message", &messages)).await;
            let connection = client.again(cx, connection).await?;
            cx.expect(QUEUE_RESUME_11, &connection.auth, &[carries("last_offset", 7)])?;
        }
    }
    Ok(())
}

/// What the owner gave stays until something else takes its place: behind a connection that nobody answered, behind an answer
/// without a client_id, and, of the two, the offset behind an answer with another one.
async fn given_again(cx: &Cx) -> Outcome {
    let ways = Interface::all(cx).into_iter().flat_map(|interface| [(interface, 17), (interface, 0)]);
    let courses = ways.map(async |(interface, last)| {
        let [mine, other] = ["mine", "other"].map(|whose| format!("{whose}-{}", cx.token(8)));
        let start = Start::new(cx, interface).with("client_id", mine.clone()).with("last_offset", last);
        let mut client = Client::start(cx, start).await?;
        let mut connection = client.connect(cx).await?;
        cx.need(QUEUE_RESUME_9, &connection.auth, &[carries_both(&mine, last)])?;
        let answers = [
            (None, &mine),
            (Some(json!({"success": true})), &mine),
            (Some(json!({"success": true, "client_id": other})), &other),
        ];
        for (answer, id) in answers {
            if let Some(answer) = answer {
                connection.send(&answer).await;
            }
            connection = client.again(cx, connection).await?;
            cx.expect(QUEUE_RESUME_12, &connection.auth, &[carries_both(id, last)])?;
        }
        Ok(())
    });
    try_join_all(courses).await?;
    Ok(())
}

/// An AuthResponse that is not the first frame on its connection gives no client_id: neither in place of the first that came, nor
/// of a later one.
async fn second_answer(cx: &Cx) -> Outcome {
    let courses = Interface::all(cx).into_iter().map(async |interface| {
        let mut client = Client::start(cx, Start::new(cx, interface)).await?;
        let mut connection = client.connect(cx).await?;
        for (offset, requirement) in [(1, QUEUE_RESUME_1), (2, QUEUE_RESUME_6)] {
            let [first, second] = ["first", "second"].map(|which| format!("{which}-{}", cx.token(8)));
            connection.welcome(&first).await;
            connection.welcome(&second).await;
            // When this was delivered, what came before it has been read.
            pushed(cx, &mut client, &mut connection, [offset]).await?;
            connection = client.again(cx, connection).await?;
            cx.expect(requirement, &connection.auth, &[carries("client_id", first)])?;
        }
        Ok(())
    });
    try_join_all(courses).await?;
    Ok(())
}
