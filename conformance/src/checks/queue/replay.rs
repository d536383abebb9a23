//! Checks of "Replay" in spec/queue.md: what a client that comes back is pushed.

mod cuts;
mod open;

pub(super) use cuts::CHECKS as CUTS_CHECKS;
pub(super) use open::CHECKS as OPEN_CHECKS;

use super::{
    peer::{Came, Client, Push, Subscriber, Told, auth_from, pushed, told, welcome},
    push::{SILENCE, each, nothing, payloads_in, tokens},
    setting::{PUBSUB, Queue, WORKER, text},
};
use crate::{
    check::{Alternative, Check, Cx, Outcome, Waits, alternative},
    drives,
    wire::Seen,
};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use std::{collections::HashSet, time::Duration};
use wireproof_spec::{
    queue::{Action, requirements::*},
    requirement::RequirementId,
};

pub(super) const CHECKS: &[Check] = &[
    Check::new("queue/replay/missed", &[QUEUE_REPLAY_1, QUEUE_REPLAY_2, QUEUE_REPLAY_3], drives!(missed)),
    Check::new(
        "queue/replay/from-each",
        &[QUEUE_REPLAY_1, QUEUE_REPLAY_5, QUEUE_REPLAY_6],
        drives!(from_each),
    ),
    Check::new("queue/replay/around-deleted", &[QUEUE_REPLAY_1, QUEUE_REPLAY_3], drives!(around_deleted)),
    Check::new("queue/replay/paused", &[QUEUE_REPLAY_1, QUEUE_PUSH_10], drives!(paused)),
    Check::new("queue/replay/from-zero", &[QUEUE_REPLAY_9], drives!(from_zero)),
    Check::new("queue/replay/from-the-last", &[QUEUE_REPLAY_10], drives!(from_the_last)),
    Check::new("queue/replay/from-before-the-oldest", &[QUEUE_REPLAY_11], drives!(from_before_the_oldest)),
    Check::new("queue/replay/without-client-id", &[QUEUE_REPLAY_13], drives!(without_client_id)),
    Check::new("queue/replay/long", &[QUEUE_REPLAY_1, QUEUE_REPLAY_3, QUEUE_REPLAY_14], drives!(long)),
    Check::new("queue/replay/of-this-queue", &[QUEUE_REPLAY_15], drives!(of_this_queue)),
    Check::new("queue/replay/expired", &[QUEUE_REPLAY_18], drives!(expired)).waits(Waits::Millis(1_600)),
    Check::new("queue/replay/acknowledged", &[QUEUE_REPLAY_19], drives!(acknowledged)),
];

/// The payloads of what was told behind an offset.
fn behind(all: &[Told], last: i64) -> Vec<Value> {
    all.iter().filter(|told| told.offset > last).map(|told| told.payload.clone()).collect()
}

/// Everything that is pushed on this connection up to a message that is published now, which is the last of it.
///
/// Who is pushed less than it should be is found out without a wait.
async fn up_to_now(cx: &Cx, queue: &Queue, subscriber: &mut Subscriber) -> Outcome<Seen<Vec<Push>>> {
    let end = json!(cx.token(16));
    queue.says(cx, &end).await?;
    let pushes = subscriber.pushes_until(cx, &end).await?;
    Ok(pushes.map(move |mut pushes| {
        for push in &mut pushes {
            push.messages.retain(|message| message["payload"] != end);
        }
        pushes
    }))
}

/// That Pushes bring exactly these payloads behind an offset, in whatever order.
fn brings(payloads: &[Value], last: i64) -> Alternative<Vec<Push>> {
    let wanted = payloads.to_vec();
    let name = format!("each of the {} messages behind the offset {last}", wanted.len());
    alternative(name, move |pushes: &Vec<Push>| {
        let greater = pushed(pushes).filter(|message| message["offset"].as_i64().is_none_or(|at| at > last));
        let found: Vec<&Value> = greater.map(|message| &message["payload"]).collect();
        found.len() == wanted.len() && wanted.iter().all(|payload| found.contains(&payload))
    })
}

/// That the offsets in Pushes rise, within each and from one to the next.
fn rise() -> Alternative<Vec<Push>> {
    alternative("offsets that rise", |pushes: &Vec<Push>| {
        let offsets: Vec<Option<i64>> = pushed(pushes).map(|message| message["offset"].as_i64()).collect();
        offsets.is_sorted_by(|one, next| one.is_some() && one < next)
    })
}

/// That whatever was published before has come with the type replay.
fn as_replay() -> Alternative<Vec<Push>> {
    alternative("Pushes of the type replay", |pushes: &Vec<Push>| {
        pushes.iter().all(|push| push.kind == "replay" || push.messages.is_empty())
    })
}

async fn missed(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    let mut last = told(cx, &queue, &mut subscriber, 2).await?[1].offset;
    let mut client = Client::leaving(subscriber).await?;
    // Each time it comes back, and with one message missed or several.
    for count in [5, 1, 3] {
        let missed = tokens(cx, count);
        for token in &missed {
            queue.says(cx, token).await?;
        }
        let mut back = client.back(cx, &queue, last).await?;
        let pushes = up_to_now(cx, &queue, &mut back).await?;
        let pushes = cx.expect(QUEUE_REPLAY_1, &pushes, &[brings(&missed, last)]).map(|_| pushes.clone())?;
        cx.expect(QUEUE_REPLAY_2, &pushes, &[as_replay()])?;
        cx.expect(QUEUE_REPLAY_3, &pushes, &[rise()])?;
        last = told(cx, &queue, &mut back, 1).await?[0].offset;
        client = Client::leaving(back).await?;
    }
    Ok(())
}

async fn from_each(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut witness = Subscriber::join(cx, &queue).await?;
    let all = told(cx, &queue, &mut witness, 6).await?;
    let clients = try_join_all(all.iter().map(|_| Client::of(cx, &queue))).await?;
    let mut backs =
        try_join_all(clients.iter().zip(&all).map(|(client, told)| client.back(cx, &queue, told.offset)))
            .await?;
    let end = json!(cx.token(16));
    queue.says(cx, &end).await?;
    let found = try_join_all(backs.iter_mut().map(|back| back.pushes_until(cx, &end))).await?;
    for (pushes, Told { offset, .. }) in found.iter().zip(&all) {
        let (last, mut wanted) = (*offset, behind(&all, *offset));
        wanted.push(end.clone());
        cx.expect(QUEUE_REPLAY_1, pushes, &[brings(&wanted, last)])?;
        let none = |name: String, bad: fn(i64, i64) -> bool| {
            alternative(name, move |pushes: &Vec<Push>| {
                !pushed(pushes).filter_map(|message| message["offset"].as_i64()).any(|at| bad(at, last))
            })
        };
        let nothing_less = none(format!("nothing with an offset less than {last}"), |at, last| at < last);
        cx.expect(QUEUE_REPLAY_5, pushes, &[nothing_less])?;
        let not_itself = none(format!("no message with the offset {last}"), |at, last| at == last);
        cx.expect(QUEUE_REPLAY_6, pushes, &[not_itself])?;
    }
    Ok(())
}

async fn around_deleted(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    let all = told(cx, &queue, &mut subscriber, 8).await?;
    let client = Client::leaving(subscriber).await?;
    // Neighbours and single ones, also the one that it processed last.
    let deleted = [0, 2, 3, 5];
    for index in deleted {
        queue.done(cx, Action::DeleteMessage, &[&all[index].id]).await?;
    }
    let kept: Vec<Told> = (0..8).filter(|index| !deleted.contains(index)).map(|i| all[i].clone()).collect();
    for last in [all[0].offset, all[2].offset] {
        let mut back = client.back(cx, &queue, last).await?;
        let pushes = up_to_now(cx, &queue, &mut back).await?;
        // What was deleted a moment ago may still be on its way: that it is gone, "Consume" says.
        let wanted = behind(&kept, last);
        let name = format!("each of the {} retained messages behind the offset {last}", wanted.len());
        let all_kept = alternative(name, move |pushes: &Vec<Push>| {
            let found = payloads_in(pushes);
            wanted.iter().all(|payload| found.contains(payload))
        });
        cx.expect(QUEUE_REPLAY_1, &pushes, &[all_kept])?;
        cx.expect(QUEUE_REPLAY_3, &pushes, &[rise()])?;
        Client::leaving(back).await?;
    }
    Ok(())
}

async fn paused(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    let last = told(cx, &queue, &mut subscriber, 1).await?[0].offset;
    let client = Client::leaving(subscriber).await?;
    let missed = tokens(cx, 4);
    for token in &missed[..2] {
        queue.says(cx, token).await?;
    }
    queue.done(cx, Action::Pause, &[]).await?;
    queue.says(cx, &missed[2]).await?;
    let mut back = client.back(cx, &queue, last).await?;
    queue.says(cx, &missed[3]).await?;
    // A replay is a push too.
    let came = back.quiet(SILENCE).await?;
    cx.expect(QUEUE_PUSH_10, &came, &[nothing()])?;
    queue.done(cx, Action::Resume, &[]).await?;
    let pushes = up_to_now(cx, &queue, &mut back).await?;
    // What came too early has come.
    let early = came.map(|came| match came {
        Some(Came::Push(push)) => vec![push],
        _ => Vec::new(),
    });
    let pushes = early.and(pushes).map(|(early, rest)| [early, rest].concat());
    cx.expect(QUEUE_REPLAY_1, &pushes, &[brings(&missed, last)])?;
    Ok(())
}

/// Claims that a client is taken that comes back with this offset.
async fn taken(
    cx: &Cx,
    requirement: RequirementId,
    queue: &Queue,
    client: &Client,
    last: i64,
) -> Outcome<Subscriber> {
    let (back, seen) = Subscriber::answered(cx, queue, &client.auth(cx, last)).await?;
    cx.expect(requirement, &seen, &[welcome()])?;
    Ok(back)
}

/// Claims what a client is pushed that comes back with this offset.
async fn replays(
    cx: &Cx,
    requirement: RequirementId,
    queue: &Queue,
    client: &Client,
    last: i64,
    wanted: &[Value],
) -> Outcome {
    let mut back = taken(cx, requirement, queue, client, last).await?;
    let pushes = up_to_now(cx, queue, &mut back).await?;
    cx.expect(requirement, &pushes, &[brings(wanted, last)])?;
    Client::leaving(back).await?;
    Ok(())
}

async fn from_zero(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    let all = told(cx, &queue, &mut subscriber, 4).await?;
    let client = Client::leaving(subscriber).await?;
    replays(cx, QUEUE_REPLAY_9, &queue, &client, 0, &behind(&all, 0)).await?;
    // Also when that message is gone, and by a client that was never pushed anything.
    queue.done(cx, Action::DeleteMessage, &[&all[0].id]).await?;
    let other = Client::of(cx, &queue).await?;
    let mut back = taken(cx, QUEUE_REPLAY_9, &queue, &other, 0).await?;
    let found = up_to_now(cx, &queue, &mut back).await?.map(|pushes| payloads_in(&pushes));
    cx.expect(QUEUE_REPLAY_9, &found, &[each(&behind(&all, 0))])?;
    Ok(())
}

async fn from_the_last(cx: &Cx) -> Outcome {
    for deletes in [false, true] {
        let queue = Queue::create(cx, PUBSUB).await?;
        let mut subscriber = Subscriber::join(cx, &queue).await?;
        let all = told(cx, &queue, &mut subscriber, 3).await?;
        let client = Client::leaving(subscriber).await?;
        let last = all[2].offset;
        if deletes {
            queue.done(cx, Action::DeleteMessage, &[&all[2].id]).await?;
        }
        let mut back = taken(cx, QUEUE_REPLAY_10, &queue, &client, last).await?;
        let later = tokens(cx, 2);
        for token in &later {
            queue.says(cx, token).await?;
        }
        let pushes = back.pushes_until(cx, &later[1]).await?;
        let these = alternative(
            format!("nothing with an offset less than {last}, and what was published then"),
            move |pushes: &Vec<Push>| {
                let found = payloads_in(pushes);
                pushed(pushes).filter_map(|message| message["offset"].as_i64()).all(|at| at >= last)
                    && later.iter().all(|token| found.contains(token))
            },
        );
        cx.expect(QUEUE_REPLAY_10, &pushes, &[these])?;
    }
    Ok(())
}

async fn from_before_the_oldest(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    let all = told(cx, &queue, &mut subscriber, 6).await?;
    let mut client = Client::leaving(subscriber).await?;
    for told in &all[..3] {
        queue.done(cx, Action::DeleteMessage, &[&told.id]).await?;
    }
    let mut kept: Vec<Value> = all[3..].iter().map(|told| told.payload.clone()).collect();
    for last in [all[0].offset, all[1].offset, -1] {
        let mut back = taken(cx, QUEUE_REPLAY_11, &queue, &client, last).await?;
        let end = json!(cx.token(16));
        queue.says(cx, &end).await?;
        kept.push(end.clone());
        let found = back.pushes_until(cx, &end).await?.map(|pushes| payloads_in(&pushes));
        cx.expect(QUEUE_REPLAY_11, &found, &[each(&kept)])?;
        Client::leaving(back).await?;
        // Whoever it is.
        client = Client::of(cx, &queue).await?;
    }
    Ok(())
}

async fn without_client_id(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    let all = told(cx, &queue, &mut subscriber, 4).await?;
    Client::leaving(subscriber).await?;
    for Told { offset, .. } in &all[..2] {
        let mut back = Subscriber::open(cx, &queue).await?;
        let seen = back.asked(&auth_from(cx, *offset)).await?;
        let taken = cx.expect(QUEUE_REPLAY_13, &seen, &[welcome()])?;
        if !matches!(taken, Came::Auth(frame) if frame["success"] == true) {
            return Ok(());
        }
        let pushes = up_to_now(cx, &queue, &mut back).await?;
        let all_behind = each(&behind(&all, *offset));
        let found = pushes.clone().map(|pushes| payloads_in(&pushes));
        cx.expect(QUEUE_REPLAY_13, &found, &[all_behind])?;
        let offset = *offset;
        let less =
            alternative(format!("nothing with an offset less than {offset}"), move |all: &Vec<Push>| {
                pushed(all).filter_map(|message| message["offset"].as_i64()).all(|at| at >= offset)
            });
        cx.expect(QUEUE_REPLAY_13, &pushes, &[less])?;
        Client::leaving(back).await?;
    }
    Ok(())
}

/// How many messages a Push of the type replay may hold.
fn batch_limit(cx: &Cx) -> usize {
    /// If nothing is said of it.
    const BATCH: u64 = 1_000;
    usize::try_from(cx.features().limit("replay-batch").unwrap_or(BATCH)).unwrap_or(usize::MAX)
}

async fn long(cx: &Cx) -> Outcome {
    const AT_ONCE: usize = 1_000;
    // More than two batches, and enough to be a long one where they are small.
    let most = batch_limit(cx);
    let count = most.saturating_mul(2).saturating_add(1).clamp(500, 3_000);
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    let last = told(cx, &queue, &mut subscriber, 1).await?[0].offset;
    let client = Client::leaving(subscriber).await?;
    let run = cx.token(8);
    let all: Vec<Value> = (0..count).map(|number| json!(format!("{run}-{number}"))).collect();
    for part in all.chunks(AT_ONCE) {
        queue.published_at_once(cx, part).await?;
    }
    let mut back = client.back(cx, &queue, last).await?;
    let pushes = back.pushes_until(cx, &all[count - 1]).await?;
    let wanted: Vec<String> = all.iter().map(Value::to_string).collect();
    let every_one = alternative(format!("all {count} messages"), move |pushes: &Vec<Push>| {
        let found: HashSet<String> = pushed(pushes).map(|message| message["payload"].to_string()).collect();
        wanted.iter().all(|payload| found.contains(payload))
    });
    cx.expect(QUEUE_REPLAY_1, &pushes, &[every_one])?;
    cx.expect(QUEUE_REPLAY_3, &pushes, &[rise()])?;
    let small = alternative(format!("at most {most} messages in each Push of the type replay"), {
        move |pushes: &Vec<Push>| {
            pushes.iter().all(|push| push.kind != "replay" || push.messages.len() <= most)
        }
    });
    cx.expect(QUEUE_REPLAY_14, &pushes, &[small])?;
    Ok(())
}

async fn of_this_queue(cx: &Cx) -> Outcome {
    let (queue, other) = (Queue::create(cx, PUBSUB).await?, Queue::create(cx, PUBSUB).await?);
    // One client of both, so that it has one client_id.
    let client = Client::of(cx, &other).await?;
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        mine.push(json!(cx.token(16)));
        queue.says(cx, &mine[mine.len() - 1]).await?;
        theirs.push(json!(cx.token(16)));
        other.says(cx, &theirs[theirs.len() - 1]).await?;
    }
    for (queue, mine, theirs) in [(&other, &theirs, &mine), (&queue, &mine, &theirs)] {
        let mut back = client.back(cx, queue, -1).await?;
        let found = up_to_now(cx, queue, &mut back).await?.map(|pushes| payloads_in(&pushes));
        let (mine, theirs) = (mine.clone(), theirs.clone());
        let own = alternative("the messages of this queue only", move |found: &Vec<Value>| {
            mine.iter().all(|token| found.contains(token))
                && !theirs.iter().any(|token| found.contains(token))
        });
        cx.expect(QUEUE_REPLAY_15, &found, &[own])?;
        Client::leaving(back).await?;
    }
    Ok(())
}

async fn expired(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    let last = told(cx, &queue, &mut subscriber, 1).await?[0].offset;
    let client = Client::leaving(subscriber).await?;
    let (short, long) = (tokens(cx, 3), tokens(cx, 2));
    // Between others, and two of them at the end.
    for (token, ttl) in [(&short[0], 1), (&long[0], 600), (&long[1], 600), (&short[1], 1), (&short[2], 1)] {
        queue.published_with(cx, json!({"payload": token, "ttl_seconds": ttl})).await?;
    }
    // The twin: it is the time that takes them away.
    let mut twin = Client::of(cx, &queue).await?.back(cx, &queue, last).await?;
    let found = up_to_now(cx, &queue, &mut twin).await?.map(|pushes| payloads_in(&pushes));
    cx.need(QUEUE_REPLAY_1, &found, &[each(&long)])?;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let mut back = client.back(cx, &queue, last).await?;
    let found = up_to_now(cx, &queue, &mut back).await?.map(|pushes| payloads_in(&pushes));
    let living = alternative("what has not expired, and nothing that has", move |found: &Vec<Value>| {
        long.iter().all(|token| found.contains(token)) && !short.iter().any(|token| found.contains(token))
    });
    cx.expect(QUEUE_REPLAY_18, &found, &[living])?;
    Ok(())
}

async fn acknowledged(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, WORKER).await?;
    let client = Client::of(cx, &queue).await?;
    let mut done = Vec::new();
    for _ in 0..2 {
        queue.published(cx, json!(cx.token(16))).await?;
        let message = queue.received(cx).await?;
        queue.done(cx, Action::Ack, &[text(&message, "id")]).await?;
        done.push(message["payload"].clone());
    }
    // Alone on the queue one after the other, so that it is to whom the next message goes.
    let requests = [client.auth(cx, -1), client.auth(cx, 0), super::peer::auth(cx)];
    for request in requests {
        let mut back = Subscriber::open(cx, &queue).await?;
        back.welcomed(cx, &request).await?;
        let came = back.quiet(SILENCE / 2).await?;
        cx.expect(QUEUE_REPLAY_19, &came, &[nothing()])?;
        let token = json!(cx.token(16));
        queue.says(cx, &token).await?;
        let pushes = back.pushes_until(cx, &token).await?;
        let found = pushes.clone().map(|pushes| payloads_in(&pushes));
        let gone = done.clone();
        let nothing_done = alternative("what is published now, and nothing that is done", {
            move |found: &Vec<Value>| found.contains(&token) && !gone.iter().any(|one| found.contains(one))
        });
        cx.expect(QUEUE_REPLAY_19, &found, &[nothing_done])?;
        // It is done too, if it can be acknowledged.
        let pushes = pushes.look().map_err(|_| cx.stop("there is no Push"))?;
        for message in pushed(pushes) {
            let seen = cx.send(queue.operation(cx, Action::Ack, &[text(message, "id")])).await?;
            if seen.look().is_ok_and(|reply| (200..300).contains(&reply.status)) {
                done.push(message["payload"].clone());
            } else {
                return Ok(());
            }
        }
        Client::leaving(back).await?;
    }
    Ok(())
}
