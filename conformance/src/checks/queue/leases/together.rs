//! Receives at the same time.

use super::{message, none};
use crate::{
    check::{Alternative, Cx, Outcome, alternative},
    checks::queue::setting::{Queue, WORKER, succeeded, with_body},
    wire::Seen,
};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::sleep;
use wireproof_spec::{
    http::Response,
    queue::{Action, requirements::*},
};

/// So many messages there are for so many more receives.
const MESSAGES: usize = 8;
const RECEIVES: usize = 12;
/// A race that is lost only now and then is run more than once.
const ROUNDS: usize = 4;

/// What each of several receives was answered with.
type Answers = Vec<Response>;

/// The payloads of what was received.
fn taken(answers: &Answers) -> Vec<String> {
    answers.iter().map(message).filter(Value::is_object).map(|m| m["payload"].to_string()).collect()
}

/// That no message was received twice, and nothing that was not published.
fn different(published: &[Value]) -> Alternative<Answers> {
    let published: BTreeSet<String> = published.iter().map(ToString::to_string).collect();
    alternative("a different message of the queue in each answer that has one", move |answers: &Answers| {
        let taken = taken(answers);
        let distinct: BTreeSet<&String> = taken.iter().collect();
        distinct.len() == taken.len() && distinct.into_iter().all(|one| published.contains(one))
    })
}

/// That somebody received something.
fn something() -> Alternative<Answers> {
    alternative("a message in some of the answers", |answers: &Answers| !taken(answers).is_empty())
}

pub(super) async fn at_once(cx: &Cx) -> Outcome {
    for _ in 0..ROUNDS {
        let queue = Queue::create(cx, WORKER).await?;
        let all = queue.published_many(cx, MESSAGES).await?;
        let all: Vec<Value> = all.into_iter().map(|one| one.payload).collect();
        let mut peers: Vec<_> = (0..RECEIVES).map(|_| cx.http()).collect();
        let answers = try_join_all(peers.iter_mut().map(|peer| peer.send(queue.receive(cx)))).await?;
        let answers = Seen::all(answers);
        cx.need(QUEUE_LEASES_1, &answers, &[something()])?;
        cx.expect(QUEUE_LEASES_4, &answers, &[different(&all)])?;
        // What these did not get, nobody got before: and it is handed out once.
        let mut rest = Vec::new();
        loop {
            let seen = cx.send(queue.receive(cx)).await?;
            let over = !seen.look().is_ok_and(|r| message(r).is_object());
            rest.push(seen);
            if over || rest.len() > MESSAGES {
                break;
            }
        }
        let both = answers.and(Seen::all(rest)).map(|(first, rest)| [first, rest].concat());
        cx.expect(QUEUE_LEASES_4, &both, &[different(&all)])?;
    }
    Ok(())
}

pub(super) async fn waiting(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, WORKER).await?;
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let request = queue.receive(cx).param("timeout", "1");
        waiting.push(cx.begin(request, Duration::from_secs(1) + cx.slack()).await?);
    }
    sleep(Duration::from_millis(50)).await;
    // All at once, so that several are answered at the same moment.
    let all: Vec<Value> = (0..3).map(|_| json!(cx.token(16))).collect();
    let messages: Vec<Value> = all.iter().map(|payload| json!({"payload": payload})).collect();
    let batch = with_body(queue.operation(cx, Action::Batch, &[]), &json!({"messages": messages}));
    let seen = cx.send(batch).await?;
    cx.need(QUEUE_PUBLISH_27, &seen, &[succeeded()])?;
    let answers = try_join_all(waiting.into_iter().map(|one| one.answer())).await?;
    let mut rest = Vec::new();
    for _ in 0..=all.len() {
        let seen = cx.send(queue.receive(cx)).await?;
        let over = seen.look().is_ok_and(|r| none().holds(r));
        rest.push(seen);
        if over {
            break;
        }
    }
    let answers = Seen::all(answers.into_iter().chain(rest));
    cx.need(QUEUE_LEASES_1, &answers, &[something()])?;
    cx.expect(QUEUE_LEASES_4, &answers, &[different(&all)])?;
    Ok(())
}
