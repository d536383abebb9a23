//! How connections end that were not authenticated.

use super::hears;
use crate::{
    check::{Cx, Outcome, alternative},
    checks::queue::{
        peer::{Came, Fate, Subscriber, auth, failure},
        setting::{PUBSUB, Queue},
    },
    run::UNKNOWN_LIMIT_MS,
    wire::Lost,
};
use futures_util::future::{try_join, try_join_all};
use serde_json::json;
use std::time::Duration;
use wireproof_spec::queue::requirements::*;

/// How long the end of a connection may take that is to be closed within the limit.
fn in_time(cx: &Cx) -> Duration {
    let limit = cx.features().limit("auth-timeout-ms").unwrap_or(UNKNOWN_LIMIT_MS);
    Duration::from_millis(limit) + cx.slack()
}

/// A connection whose AuthRequest was answered with a failure, as set-up.
async fn refused(cx: &Cx, queue: &Queue) -> Outcome<Subscriber> {
    let mut subscriber = Subscriber::open(cx, queue).await?;
    let seen = subscriber.asked(&json!({"authorization": cx.token(32)})).await?;
    cx.need(QUEUE_AUTH_7, &seen, &[failure()])?;
    Ok(subscriber)
}

pub(super) async fn closed_by_client(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut twin = Subscriber::join(cx, &queue).await?;
    hears(cx, &queue, &mut twin).await?;
    for reason in ["", "authentication failed"] {
        let mut subscriber = refused(cx, &queue).await?;
        subscriber.peer.close(4001, reason).await;
        let seen = subscriber.next().await?;
        let same =
            alternative("a close frame with the code 4001", |came: &Came| *came == Came::Closed(Some(4001)));
        cx.expect(QUEUE_AUTH_16, &seen, &[same])?;
    }
    Ok(())
}

pub(super) async fn goes_on(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut twin = Subscriber::join(cx, &queue).await?;
    hears(cx, &queue, &mut twin).await?;
    let said = [vec![], vec![auth(cx).to_string()], vec!["ping".into(), "{}".into()]];
    let fates = try_join_all(said.into_iter().map(async |said| {
        let mut subscriber = refused(cx, &queue).await?;
        for text in said {
            subscriber.peer.send_text(&text).await;
        }
        subscriber.peer = subscriber.peer.patient(in_time(cx));
        loop {
            let seen = subscriber.next().await?.or_lost();
            // What else is said on it is looked at elsewhere.
            if !matches!(seen.look(), Ok(Ok(came)) if !matches!(came, Came::Closed(_))) {
                return Ok(seen);
            }
        }
    }))
    .await?;
    for seen in fates {
        let for_good = alternative("a close frame with a code from 4000 to 4999 in time", |fate: &Fate| {
            matches!(fate, Ok(Came::Closed(Some(4000..5000))))
        });
        cx.expect(QUEUE_AUTH_17, &seen, &[for_good])?;
    }
    Ok(())
}

pub(super) async fn silent(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut twin = Subscriber::join(cx, &queue).await?;
    hears(cx, &queue, &mut twin).await?;
    // Who is authenticated stays; it goes on reading, so that it answers pings.
    let stays = async {
        let limit = cx.features().limit("auth-timeout-ms").unwrap_or(UNKNOWN_LIMIT_MS);
        let seen = twin.quiet(Duration::from_millis(limit)).await?;
        let nothing = alternative("nothing", |came: &Option<Came>| came.is_none());
        cx.need(QUEUE_CONNECT_10, &seen, &[nothing])?;
        Ok(())
    };
    let fates = try_join_all((0..3).map(async |pings| {
        let mut subscriber = Subscriber::open(cx, &queue).await?;
        for _ in 0..pings {
            // A ping is no AuthRequest.
            let pong = subscriber.peer.ping(b"here").await?;
            cx.need(QUEUE_CONNECT_9, &pong, &[alternative("a pong", |_: &bytes::Bytes| true)])?;
        }
        subscriber.peer = subscriber.peer.patient(in_time(cx));
        Ok(subscriber.next().await?.or_lost())
    }));
    let (fates, ()) = try_join(fates, stays).await?;
    for seen in fates {
        let over = alternative("the end of the connection in time", |fate: &Fate| {
            matches!(fate, Ok(Came::Closed(_)) | Err(Lost::Closed(_)))
        });
        cx.expect(QUEUE_AUTH_18, &seen, &[over])?;
    }
    hears(cx, &queue, &mut twin).await
}
