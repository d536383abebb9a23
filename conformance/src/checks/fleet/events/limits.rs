//! How many streams there may be, who may have one, and how all of them end.

use crate::{
    check::{Cx, Hook, Outcome, alternative, answer},
    checks::fleet::{
        agent::Agent,
        ear::Ear,
        setting::{Caller, ask, cause, get, ok, refused},
    },
    wire::{Seen, sse::Reader},
};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use wireproof_spec::{
    fleet::{Cause, requirements::*},
    http::{Request, Response},
};

/// How many streams there may be.
const MOST: usize = 100;

/// Another stream: its head, and the reader.
async fn stream(cx: &Cx) -> Outcome<(Seen<Response>, Reader)> {
    let mut reader = cx.sse(get(cx, "v1/events")).await?;
    Ok((reader.head().await?, reader))
}

/// Another stream, which gets the place of one that ended a moment ago.
async fn soon(cx: &Cx) -> Outcome<(Seen<Response>, Reader)> {
    const PAUSE: Duration = Duration::from_millis(20);
    let until = Instant::now() + cx.answer_time();
    loop {
        let late = Instant::now() > until;
        let (head, reader) = stream(cx).await?;
        match head.look() {
            Ok(response) if !late && cause(response) == Some(Cause::SseLimit) => sleep(PAUSE).await,
            _ => return Ok((head, reader)),
        }
    }
}

/// A hundred, one more, and what comes when two of them end; requests with HEAD between.
pub(super) async fn hundred(cx: &Cx) -> Outcome {
    let mut readers = Vec::new();
    for _ in 0..MOST {
        let (head, reader) = soon(cx).await?;
        cx.expect(FLEET_EVENTS_22, &head, &[answer(200).into()])?;
        readers.push(reader);
    }
    let (head, _) = stream(cx).await?;
    cx.expect(FLEET_EVENTS_22, &head, &[refused(Cause::SseLimit)])?;
    for reader in readers.drain(..2) {
        reader.leave();
    }
    for _ in 0..2 {
        let (head, reader) = soon(cx).await?;
        cx.expect(FLEET_EVENTS_23, &head, &[answer(200).into()])?;
        readers.push(reader);
    }
    let (head, _) = stream(cx).await?;
    cx.expect(FLEET_EVENTS_22, &head, &[refused(Cause::SseLimit)])?;
    readers.truncate(MOST - 5);
    let (head, reader) = soon(cx).await?;
    cx.expect(FLEET_EVENTS_23, &head, &[answer(200).into()])?;
    readers.push(reader);
    for _ in 0..MOST {
        let head = cx.http().once(ask(cx, "HEAD", "v1/events")).await?;
        cx.need(FLEET_HTTP_5, &head, &[answer(200).into()])?;
    }
    let (head, reader) = soon(cx).await?;
    cx.expect(FLEET_EVENTS_23, &head, &[answer(200).into()])?;
    drop(reader);
    readers.into_iter().for_each(Reader::leave);
    Ok(())
}

/// A request for events with this key in its query; where addresses are told by a proxy it comes from one of its own.
fn queried(cx: &Cx, key: &str) -> Request {
    Caller::new(cx).asks(get(cx, "v1/events").param("key", key))
}

/// The key of an operator in the query, and what follows is told.
pub(super) async fn key_in_query(cx: &Cx) -> Outcome {
    let mut reader = cx.sse_stranger(queried(cx, cx.key())).await?;
    let head = reader.head().await?;
    let stream = answer(200).and("the media type text/event-stream", |response| {
        response.headers.get("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"))
    });
    cx.expect(FLEET_EVENTS_24, &head, &[stream.into()])?;
    let agent = Agent::join(cx, cx.snapshot()).await?;
    let mut ear = Ear::on(reader);
    let seen = ear.hears(cx, |told| told.is("instance:join", &agent.id)).await?;
    cx.expect(FLEET_EVENTS_24, &seen, &[alternative("events", |_| true)])?;
    Ok(())
}

/// What is answered to who is nobody but for this request, when there is a token left for it.
async fn unthrottled(cx: &Cx, request: Request) -> Outcome<Seen<Response>> {
    /// In seven seconds there is a token again.
    const TOKEN: Duration = Duration::from_secs(7);
    let seen = cx.stranger().once(request.clone()).await?;
    match seen.look() {
        Ok(response) if cause(response) == Some(Cause::AuthThrottled) => {
            sleep(TOKEN).await;
            cx.stranger().once(request).await
        }
        _ => Ok(seen),
    }
}

/// A key for agents, and one that nobody was given.
pub(super) async fn wrong_key_in_query(cx: &Cx) -> Outcome {
    for key in [cx.tickets()[0].clone(), cx.token(32)] {
        if key.is_empty() {
            return Err(cx.stop("there is no key for agents"));
        }
        let seen = unthrottled(cx, queried(cx, &key)).await?;
        cx.expect(FLEET_EVENTS_25, &seen, &[refused(Cause::Unauthorized)])?;
    }
    let good = cx.sse_stranger(queried(cx, cx.key())).await?.head().await?;
    cx.need(FLEET_EVENTS_24, &good, &[answer(200).into()])?;
    Ok(())
}

/// A right key of an operator, in the query alone.
pub(super) async fn query_not_looked_at(cx: &Cx) -> Outcome {
    let (good, _reader) = stream(cx).await?;
    cx.need(FLEET_EVENTS_1, &good, &[answer(200).into()])?;
    let seen = unthrottled(cx, queried(cx, cx.key())).await?;
    cx.expect(FLEET_EVENTS_26, &seen, &[refused(Cause::Unauthorized)])?;
    Ok(())
}

/// Two streams, while an agent is connected.
pub(super) async fn end(cx: &Cx) -> Outcome {
    let _agent = Agent::join(cx, cx.snapshot()).await?;
    let (one, mut first) = stream(cx).await?;
    let (other, mut second) = stream(cx).await?;
    for head in [&one, &other] {
        cx.need(FLEET_EVENTS_1, head, &[answer(200).into()])?;
    }
    let limit =
        Duration::from_millis(cx.features().limit("shutdown-ms").unwrap_or_default()) + cx.slack() / 4;
    let until = Instant::now() + limit * 2 + cx.answer_time();
    let (hooked, first, second) =
        tokio::join!(cx.hook(Hook::Restart), first.ends_by(until), second.ends_by(until));
    hooked?;
    let both = Seen::all([first?, second?]);
    let ended = alternative(format!("the end of both within {} ms", limit.as_millis()), {
        move |ends: &Vec<Option<Duration>>| ends.iter().all(|end| end.is_some_and(|took| took <= limit))
    });
    cx.expect(FLEET_EVENTS_27, &both, &[ended])?;
    let alive = cx.send(get(cx, "healthz")).await?;
    cx.need(FLEET_ACCESS_8, &alive, &[ok(200)])?;
    Ok(())
}
