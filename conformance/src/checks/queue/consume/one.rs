//! One message: by its id, by its offset, and gone.

use super::{filled, of, removed, told};
use crate::{
    check::{Alternative, Breaks, Cx, Outcome, alternative},
    checks::queue::setting::{
        PUBSUB, Queue, WORKER, data, invalid, not_found, succeeded, succeeded_and, text,
    },
};
use serde_json::Value;
use wireproof_spec::{
    http::Response,
    queue::{Action, requirements::*},
    requirement::RequirementId,
};

/// That an answer tells this message: its id, offset and payload.
fn it(message: &Value) -> Alternative<Response> {
    let message = message.clone();
    succeeded_and(&format!("the message of the offset {}", message["offset"]), move |r| {
        let told = data(r, "message");
        ["id", "offset", "payload"].iter().all(|name| told[*name] == message[*name])
    })
}

pub(super) async fn by_id(cx: &Cx) -> Outcome {
    for kind in [PUBSUB, WORKER] {
        let (queue, messages) = filled(cx, kind, 4).await?;
        for message in messages.iter().rev().chain(&messages) {
            let reply = cx.send(of(cx, &queue, Action::GetMessage, text(message, "id"))).await?;
            cx.expect(QUEUE_CONSUME_10, &reply, &[it(message)])?;
        }
    }
    Ok(())
}

pub(super) async fn by_offset(cx: &Cx) -> Outcome {
    for kind in [PUBSUB, WORKER] {
        let (queue, messages) = filled(cx, kind, 12).await?;
        // Behind a gap too.
        removed(cx, &queue, &messages[1]).await?;
        let there = || messages.iter().filter(|message| message["offset"] != messages[1]["offset"]);
        for message in there().rev().chain(there()) {
            let reply = cx.send(of(cx, &queue, Action::MessageAt, &message["offset"].to_string())).await?;
            cx.expect(QUEUE_CONSUME_14, &reply, &[it(message)])?;
        }
    }
    Ok(())
}

/// A queue with messages, and the ids of messages that it does not have: of another queue, of one that is gone, and of its own
/// that were deleted.
struct Strange {
    queue: Queue,
    own: Vec<Value>,
    ids: Vec<String>,
}

async fn strange(cx: &Cx, kind: &str) -> Outcome<Strange> {
    let (other, others) = filled(cx, kind, 3).await?;
    let (gone, of_gone) = filled(cx, kind, 2).await?;
    let reply = cx.send(gone.operation(cx, Action::Delete, &[])).await?;
    cx.need(QUEUE_QUEUES_15, &reply, &[succeeded()])?;
    let (queue, mut own) = filled(cx, kind, 3).await?;
    let (first, last) = (own.remove(0), own.pop().unwrap_or_default());
    removed(cx, &queue, &first).await?;
    removed(cx, &queue, &last).await?;
    // That of the other queue is there.
    let reply = cx.send(of(cx, &other, Action::GetMessage, text(&others[1], "id"))).await?;
    cx.need(QUEUE_CONSUME_10, &reply, &[it(&others[1])])?;
    let ids =
        [&others[0], &others[1], &of_gone[1], &first, &last].map(|message| text(message, "id").to_owned());
    Ok(Strange { queue, own, ids: ids.to_vec() })
}

/// Claims that an operation on a message is refused with 404 for ids that no message of the queue has, and that it succeeds
/// for the one that is there, once.
async fn unknown(
    cx: &Cx,
    requirement: RequirementId,
    kind: &str,
    (stands_on, action): (RequirementId, Action),
) -> Outcome {
    let Strange { queue, own, mut ids } = strange(cx, kind).await?;
    ids.push(format!("qmsg_{}", cx.token(20)));
    for id in ids {
        let reply = cx.send(of(cx, &queue, action, &id)).await?;
        cx.expect(requirement, &reply, &not_found())?;
    }
    let reply = cx.send(of(cx, &queue, action, text(&own[0], "id"))).await?;
    cx.need(stands_on, &reply, &[succeeded()])?;
    Ok(())
}

pub(super) async fn other_id(cx: &Cx) -> Outcome {
    for kind in [PUBSUB, WORKER] {
        unknown(cx, QUEUE_CONSUME_11, kind, (QUEUE_CONSUME_10, Action::GetMessage)).await?;
    }
    Ok(())
}

pub(super) async fn delete_other_id(cx: &Cx) -> Outcome {
    for kind in [PUBSUB, WORKER] {
        unknown(cx, QUEUE_CONSUME_21, kind, (QUEUE_CONSUME_12, Action::DeleteMessage)).await?;
    }
    Ok(())
}

pub(super) async fn replay_other_id(cx: &Cx) -> Outcome {
    // A pending message need not be replayed, so that what is there shows itself in another way.
    for kind in [PUBSUB, WORKER] {
        let Strange { queue, own, mut ids } = strange(cx, kind).await?;
        ids.push(format!("qmsg_{}", cx.token(20)));
        for id in ids {
            let reply = cx.send(of(cx, &queue, Action::ReplayMessage, &id)).await?;
            cx.expect(QUEUE_CONSUME_22, &reply, &not_found())?;
        }
        let reply = cx.send(of(cx, &queue, Action::GetMessage, text(&own[0], "id"))).await?;
        cx.need(QUEUE_CONSUME_10, &reply, &[it(&own[0])])?;
    }
    Ok(())
}

pub(super) async fn other_offset(cx: &Cx) -> Outcome {
    let cases = [(PUBSUB, false, 4), (WORKER, false, 1_000_000), (PUBSUB, true, 3), (WORKER, true, 0)];
    for (kind, gone, offset) in cases {
        cx.refused(
            QUEUE_CONSUME_20,
            Breaks::Fit,
            async |cx| {
                let (queue, messages) = filled(cx, kind, 4).await?;
                if gone {
                    removed(cx, &queue, &messages[0]).await?;
                    removed(cx, &queue, &messages[3]).await?;
                }
                Ok(queue)
            },
            |queue| of(cx, queue, Action::MessageAt, "1"),
            |queue, request| *request = of(cx, queue, Action::MessageAt, &i64::to_string(&offset)),
            (QUEUE_CONSUME_14, &[succeeded()]),
            &not_found(),
        )
        .await?;
    }
    Ok(())
}

pub(super) async fn deleted(cx: &Cx) -> Outcome {
    for kind in [PUBSUB, WORKER] {
        let (queue, mut messages) = filled(cx, kind, 6).await?;
        // From within, the newest, the oldest, and then again.
        for at in [2, 4, 0, 1, 1, 0] {
            let gone = messages.remove(at);
            let reply = cx.send(of(cx, &queue, Action::DeleteMessage, text(&gone, "id"))).await?;
            cx.expect(QUEUE_CONSUME_12, &reply, &[succeeded()])?;
            let reply = cx.send(of(cx, &queue, Action::GetMessage, text(&gone, "id"))).await?;
            cx.expect(QUEUE_CONSUME_12, &reply, &not_found())?;
            let others = told(&messages);
            let read = queue.content(cx).await?;
            let kept =
                alternative("the others with their offsets", move |read: &Vec<Value>| told(read) == others);
            cx.expect(QUEUE_CONSUME_12, &read, &[kept])?;
            let from = gone["offset"].as_i64().unwrap_or_default();
            let behind: Vec<(i64, Value)> =
                told(&messages).into_iter().filter(|(at, _)| *at > from).collect();
            let read = queue.content_from(cx, from).await?;
            let kept = alternative("what is behind it", move |read: &Vec<Value>| told(read) == behind);
            cx.expect(QUEUE_CONSUME_12, &read, &[kept])?;
        }
    }
    Ok(())
}

pub(super) async fn odd_ids(cx: &Cx) -> Outcome {
    let (queue, messages) = filled(cx, PUBSUB, 2).await?;
    let mut outcomes = not_found();
    outcomes.extend(invalid());
    let id = text(&messages[0], "id");
    let odd = ["nonsense".to_owned(), "qmsg_".into(), format!("{id}-"), format!(" {id}"), "0".into()];
    for action in [Action::GetMessage, Action::DeleteMessage, Action::ReplayMessage] {
        for id in &odd {
            cx.expect(QUEUE_CONSUME_23, &cx.send(of(cx, &queue, action, id)).await?, &outcomes)?;
        }
    }
    for offset in ["one", "1.5", "-1", "0x1", "99999999999999999999999", "qmsg_1"] {
        let reply = cx.send(of(cx, &queue, Action::MessageAt, offset)).await?;
        cx.expect(QUEUE_CONSUME_23, &reply, &outcomes)?;
    }
    // What has the form is found.
    let reply = cx.send(of(cx, &queue, Action::GetMessage, id)).await?;
    cx.need(QUEUE_CONSUME_10, &reply, &[it(&messages[0])])?;
    Ok(())
}
