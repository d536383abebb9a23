//! Checks of "Replay" in spec/queue.md: publishing goes on while clients come back, and connections are cut.

use super::{batch_limit, rise};
use crate::{
    check::{Check, Cx, Outcome, alternative},
    checks::queue::{
        peer::{Came, Client, Push, Subscriber, pushed, told},
        push::payloads_in,
        setting::{PUBSUB, Queue},
    },
    drives,
    wire::Seen,
};
use futures_util::future::{try_join, try_join_all};
use serde_json::{Value, json};
use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};
use tokio::sync::Mutex;
use wireproof_spec::queue::requirements::*;

pub(in crate::checks::queue) const CHECKS: &[Check] = &[
    Check::new("queue/replay/cut", &[QUEUE_REPLAY_7, QUEUE_REPLAY_8, QUEUE_REPLAY_5], drives!(cut)),
    Check::new(
        "queue/replay/while-publishing",
        &[QUEUE_REPLAY_4, QUEUE_REPLAY_8, QUEUE_REPLAY_7],
        drives!(while_publishing),
    ),
    Check::new("queue/replay/many-come-back", &[QUEUE_REPLAY_7, QUEUE_REPLAY_8], drives!(many_come_back)),
];

/// So often a client comes back.
const ROUNDS: u64 = 20;
/// Behind so much time it has come back often enough, on a target that is far away.
const LONG_ENOUGH: Duration = Duration::from_secs(4);
/// Behind so much time a client that was refused comes once more.
const PAUSE: Duration = Duration::from_millis(50);
/// So much is published by each at most, on a target that is faster than those who read.
const MOST: usize = 1_500;

/// So many publish at the same time, so that something comes in at every moment of a client's coming back.
const PUBLISHERS: usize = 3;

/// Publishes until it is over, and then the last one. Tells what was published.
async fn publishes(cx: &Cx, queue: &Queue, over: &AtomicBool, last: &Value) -> Outcome<Vec<Value>> {
    let publishers = (0..PUBLISHERS).map(|_| async {
        let (run, mut all) = (cx.token(12), Vec::new());
        while !over.load(Ordering::Relaxed) && all.len() < MOST {
            let token = json!(format!("{run}-{}", all.len()));
            queue.says(cx, &token).await?;
            all.push(token);
        }
        Ok(all)
    });
    let mut all = try_join_all(publishers).await?.concat();
    queue.says(cx, last).await?;
    all.push(last.clone());
    Ok(all)
}

/// The way in which a connection ends.
#[derive(Clone, Copy)]
enum Way {
    /// Behind so many bytes from the AuthRequest on.
    InTheAnswer(u64),
    /// Behind so many bytes from the AuthResponse on: inside of a frame, but by chance.
    InAFrame(u64),
    /// Behind so many Pushes, between two frames.
    Between(usize),
    /// By a close frame of the client, behind so many Pushes.
    Orderly(usize),
}

impl Way {
    /// Each in its turn, at another place each time.
    fn of(round: u64) -> Self {
        let few = usize::try_from(round % 3).unwrap_or(0) + 1;
        match round % 4 {
            0 => Self::InAFrame(1 + round * 271 % 1_900),
            1 => Self::Orderly(few),
            2 => Self::Between(few),
            _ => Self::InTheAnswer(1 + round * 17 % 60),
        }
    }
}

/// What a client was pushed on one connection, and the offset that it came with.
struct Visit {
    from: i64,
    pushes: Vec<Seen<Push>>,
    /// Whether the connection failed in a way that nobody caused.
    lost: bool,
}

impl Visit {
    /// The offset that the client processed last.
    fn last(&self) -> i64 {
        let offsets = self.pushes.iter().filter_map(|seen| seen.look().ok()).flat_map(|push| &push.messages);
        offsets.filter_map(|message| message["offset"].as_i64()).next_back().unwrap_or(self.from)
    }
}

/// A client comes back, is pushed what there is, and leaves in this way.
async fn visit(cx: &Cx, queue: &Queue, client: &Client, from: i64, way: Way) -> Outcome<Visit> {
    let mut visit = Visit { from, pushes: Vec::new(), lost: false };
    let mut one = Subscriber::open(cx, queue).await?;
    if let Way::InTheAnswer(bytes) = way {
        one.peer.cut_after(bytes);
    }
    one.peer.send_text(&client.auth(cx, from).to_string()).await;
    let mut left = false;
    while let Some(seen) = one.next_or_cut().await? {
        match seen.look() {
            Ok(Came::Auth(frame)) if frame["success"] == true => {
                if let Way::InAFrame(bytes) = way {
                    one.peer.cut_after(bytes);
                }
            }
            // A server may not have noticed yet that the connection before is gone.
            Ok(Came::Auth(_)) => {
                tokio::time::sleep(PAUSE).await;
                break;
            }
            // Who has left looks at nothing any more.
            Ok(Came::Push(_)) if left => {}
            Ok(Came::Push(_)) => {
                visit.pushes.push(seen.map(|came| match came {
                    Came::Push(push) => push,
                    _ => Push::nothing(),
                }));
                match way {
                    Way::Between(count) if visit.pushes.len() == count => one.peer.cut_after(0),
                    Way::Orderly(count) if visit.pushes.len() == count => {
                        one.peer.close(1000, "").await;
                        left = true;
                    }
                    _ => {}
                }
            }
            Ok(Came::Closed(_) | Came::Binary(_)) => break,
            // However it ends when the client has left.
            Err(_) if left => break,
            Err(_) => {
                visit.lost = true;
                visit.pushes.push(seen.map(|_| Push::nothing()));
                break;
            }
        }
    }
    Ok(visit)
}

/// Claims about what was pushed to one client over all its connections.
fn nothing_lost(cx: &Cx, published: &[Value], visits: Vec<Visit>) -> Outcome {
    let mut all = Vec::new();
    for Visit { from, pushes, .. } in visits {
        if pushes.is_empty() {
            continue;
        }
        let pushes = Seen::all(pushes);
        cx.expect(QUEUE_REPLAY_8, &pushes, &[rise()])?;
        let not_before =
            alternative(format!("nothing with an offset less than {from}"), move |all: &Vec<Push>| {
                pushed(all).filter_map(|message| message["offset"].as_i64()).all(|at| at >= from)
            });
        cx.expect(QUEUE_REPLAY_5, &pushes, &[not_before])?;
        all.push(pushes);
    }
    whole(cx, published, Seen::all(all).map(|all| all.concat()))
}

/// Claims that nothing of what was published is missing.
fn whole(cx: &Cx, published: &[Value], pushes: Seen<Vec<Push>>) -> Outcome {
    let missing = pushes.map(|pushes| {
        let found: HashSet<String> = payloads_in(&pushes).iter().map(Value::to_string).collect();
        published.iter().filter(|token| !found.contains(&token.to_string())).cloned().collect::<Vec<_>>()
    });
    let count = published.len();
    let none = alternative(format!("nothing missing of the {count} messages that were published"), {
        |missing: &Vec<Value>| missing.is_empty()
    });
    cx.expect(QUEUE_REPLAY_7, &missing, &[none])?;
    Ok(())
}

async fn cut(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    let mut last = told(cx, &queue, &mut subscriber, 1).await?[0].offset;
    let client = Client::leaving(subscriber).await?;
    let (over, end) = (AtomicBool::new(false), json!(cx.token(16)));
    let comes_back = async {
        let (started, mut visits) = (Instant::now(), Vec::new());
        for round in 0..ROUNDS {
            let visit = visit(cx, &queue, &client, last, Way::of(round)).await?;
            last = visit.last();
            let lost = visit.lost;
            visits.push(visit);
            if lost || started.elapsed() > LONG_ENOUGH {
                break;
            }
        }
        over.store(true, Ordering::Relaxed);
        let mut back = client.back(cx, &queue, last).await?;
        let pushes = back.pushes_until(cx, &end).await?;
        Ok((visits, pushes))
    };
    let (published, (visits, rest)) = try_join(publishes(cx, &queue, &over, &end), comes_back).await?;
    let mut all = visits;
    let from = all.last().map_or(-1, Visit::last);
    all.push(Visit { from, pushes: vec![rest.map(joined)], lost: false });
    nothing_lost(cx, &published, all)
}

/// Several Pushes as if they were one: for claims about offsets and payloads.
fn joined(pushes: Vec<Push>) -> Push {
    Push { messages: pushes.into_iter().flat_map(|push| push.messages).collect(), ..Push::nothing() }
}

async fn while_publishing(cx: &Cx) -> Outcome {
    // More than one batch has to be replayed.
    let behind = batch_limit(cx).saturating_mul(3).div_euclid(2).clamp(300, 1_500);
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    let last = told(cx, &queue, &mut subscriber, 1).await?[0].offset;
    let clients = [Client::leaving(subscriber).await?, Client::of(cx, &queue).await?];
    let run = cx.token(8);
    let missed: Vec<Value> = (0..behind).map(|number| json!(format!("{run}-{number}"))).collect();
    for part in missed.chunks(750) {
        queue.published_at_once(cx, part).await?;
    }
    let (over, end, newest) = (AtomicBool::new(false), json!(cx.token(16)), &missed[behind - 1]);
    let come_back = try_join_all(clients.iter().map(|client| async {
        let mut back = client.back(cx, &queue, last).await?;
        let replayed = back.pushes_until(cx, newest).await?;
        over.store(true, Ordering::Relaxed);
        let rest = back.pushes_until(cx, &end).await?;
        Ok(replayed.and(rest).map(|(first, second)| [first, second].concat()))
    }));
    let (published, found) = try_join(publishes(cx, &queue, &over, &end), come_back).await?;
    let all: Vec<Value> = missed.iter().chain(&published).cloned().collect();
    for pushes in found {
        let replay_first = alternative("no Push of the type replay behind one of the type message", {
            |pushes: &Vec<Push>| {
                let live = pushes.iter().position(|push| push.kind == "message").unwrap_or(pushes.len());
                pushes[live..].iter().all(|push| push.kind != "replay")
            }
        });
        cx.expect(QUEUE_REPLAY_4, &pushes, &[replay_first])?;
        cx.expect(QUEUE_REPLAY_8, &pushes, &[rise()])?;
        whole(cx, &all, pushes)?;
    }
    Ok(())
}

async fn many_come_back(cx: &Cx) -> Outcome {
    const CLIENTS: usize = 16;
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    let last = told(cx, &queue, &mut subscriber, 1).await?[0].offset;
    let clients = try_join_all((0..CLIENTS).map(|_| Client::of(cx, &queue))).await?;
    let (over, end) = (AtomicBool::new(false), json!(cx.token(16)));
    // Each at another moment, and none of them leaves: what is lost between the replay and what is live stays lost. Who is back
    // reads: a server may ping, and give up who does not answer.
    let (turn, left) = (Mutex::new(()), AtomicUsize::new(CLIENTS));
    let come_back = try_join_all(clients.iter().map(async |client| {
        let mut back = {
            let _its_turn = turn.lock().await;
            client.back(cx, &queue, last).await?
        };
        if left.fetch_sub(1, Ordering::Relaxed) == 1 {
            over.store(true, Ordering::Relaxed);
        }
        back.pushes_until(cx, &end).await
    }));
    let (published, found) = try_join(publishes(cx, &queue, &over, &end), come_back).await?;
    for pushes in found {
        cx.expect(QUEUE_REPLAY_8, &pushes, &[rise()])?;
        whole(cx, &published, pushes)?;
    }
    Ok(())
}
