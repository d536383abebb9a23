//! When a request comes again whose connection was refused. Nobody sees a refusal; but who was refused comes again behind the
//! first delay, and a port that opens before that is over hears nobody until then.

use super::call::{LATE_MS, backoff};
use crate::{
    check::{Alternative, Cx, Outcome, Shown, alternative},
    wire::{Seen, listen::Listener},
};
use futures_util::future::{try_join, try_join3};
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use wireproof_spec::{http::Response, queue::requirements::*};

/// When the port opens, in milliseconds from the moment at which the client is asked.
const OPENS_MS: u64 = 300;
/// A client that takes longer than this to its first request, in milliseconds, may not have been refused at all.
const PROMPT_MS: u64 = 150;
/// How much longer the rest of what we do may take, in milliseconds, so that it can be told who came too soon.
const ROOM_MS: u64 = 50;
/// What did not come so often in the time that the document gives it never does.
const TIMES: usize = 3;
/// So often it is tried, on a machine that is so busy that nothing can be told.
const TRIES: usize = 5;

/// A call whose connection was refused, beside one that was not. All times are from before the client was asked.
#[derive(Clone, Debug)]
struct Refused {
    /// When the port opened.
    opened: Duration,
    /// When a request came there.
    came: Duration,
    /// When the request of the other call came.
    prompt: Duration,
}

impl Shown for Refused {
    fn shown(&self) -> String {
        format!(
            "a request {} ms behind the call, at a port that opened {} ms behind it; another call's came in {} ms",
            self.came.as_millis(),
            self.opened.as_millis(),
            self.prompt.as_millis()
        )
    }
}

impl Refused {
    /// Whether it tells anything: the client was there before the port opened, and that was before it could come again.
    fn is_clear(&self) -> bool {
        let least = Duration::from_millis(backoff(0).0);
        self.prompt < Duration::from_millis(PROMPT_MS) && self.opened + Duration::from_millis(ROOM_MS) < least
    }

    /// Whether it came behind delay 0, and no later than a client that was refused just before the port opened.
    fn is_in_time(&self) -> bool {
        let (least, most) = backoff(0);
        // Timers round by a millisecond.
        self.came + Duration::from_millis(1) >= Duration::from_millis(least)
            && self.came <= self.opened + Duration::from_millis(most + LATE_MS)
    }
}

pub(super) async fn in_time(cx: &Cx) -> Outcome {
    let mut clear: Vec<Seen<Refused>> = Vec::new();
    for _ in 0..TRIES {
        let seen = refused(cx).await?;
        match seen.look() {
            Ok(refused) if !refused.is_clear() => continue,
            Ok(refused) if refused.is_in_time() => {
                cx.expect(QUEUE_RETRY_2, &seen, &[delayed()])?;
                return Ok(());
            }
            _ => clear.push(seen),
        }
        if let (TIMES, Some(last)) = (clear.len(), clear.last()) {
            cx.expect(QUEUE_RETRY_2, last, &[delayed()])?;
            return Ok(());
        }
    }
    Err(cx.stop("the client, or this machine, is too slow to tell when a refused request comes again"))
}

fn delayed() -> Alternative<Refused> {
    let (least, most) = backoff(0);
    alternative(
        format!("a request again {least} to {most} ms behind the refusal, and {LATE_MS} ms late at most"),
        Refused::is_in_time,
    )
}

/// Has the client call at a port that is closed at first, and at one that is open, at the same moment.
async fn refused(cx: &Cx) -> Outcome<Seen<Refused>> {
    let (port, mut open) = (cx.port()?, cx.listen()?);
    let (mut one, mut other) = (cx.app().await?, cx.app().await?);
    let get = |url: String| json!({"url": url, "key": cx.token(24), "queue": cx.name(), "action": "get"});
    let (at_port, at_open) = (get(port.url("http")), get(open.url("http")));
    let wait = Duration::from_millis(OPENS_MS + backoff(0).1 + LATE_MS) + cx.answer_time();
    let begin = Instant::now();
    let behind = async {
        sleep_until(begin + Duration::from_millis(OPENS_MS)).await;
        let mut place = port.listen()?;
        let opened = begin.elapsed();
        Ok((opened, comes(&mut place, begin, wait).await?))
    };
    let served = try_join(behind, comes(&mut open, begin, wait));
    // What becomes of the calls nobody has to know.
    let calls = (one.attempt_within(wait, "call", at_port), other.attempt_within(wait, "call", at_open));
    let (((opened, came), prompt), _, _) = try_join3(served, calls.0, calls.1).await?;
    let prompt = *cx.need(QUEUE_RETRY_18, &prompt, &[alternative("a request", |_: &Duration| true)])?;
    Ok(came.map(|came| Refused { opened, came, prompt }))
}

/// How long behind this moment a request comes, which is answered with what ends the call.
async fn comes(place: &mut Listener, begin: Instant, wait: Duration) -> Outcome<Seen<Duration>> {
    let (seen, call) = place.next_within(wait).await?;
    let at = call.as_ref().map_or(begin, |call| call.at);
    if let Some(call) = call {
        let body = json!({"success": false, "message": "not now"}).to_string();
        call.answer(&Response::new(400).header("content-type", "application/json").body(body)).await;
    }
    Ok(seen.map(|_| at.saturating_duration_since(begin)))
}
