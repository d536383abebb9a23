//! Streams with a lifetime, and what a client can know about their ends.
//!
//! A window starts somewhere between the departure of a request and the arrival of its answer, so two moments bound what may
//! be claimed: up to the first nobody may find the stream gone, from the second on everybody has to. Between them, and
//! whenever an answer took too long to stand on one side, nothing is claimed.

use crate::{
    check::{Alternative, Cx, Outcome, Stop},
    checks::stream::setting::{Stream, bodies, created, holds, next_offset, put},
    one_of,
    wire::Seen,
};
use chrono::{DateTime, FixedOffset, SecondsFormat};
use futures_util::future::try_join_all;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, sleep_until};
use wireproof_spec::{
    http::{Request, Response},
    requirement::RequirementId,
    stream::{
        header::{EXPIRES_AT, TTL},
        requirements::*,
    },
};

/// How soon behind it a server has noticed an end, and how far its clock may be from ours: "Expiry".
pub(in crate::checks::stream) const LATE: Duration = Duration::from_secs(1);

/// Why a check about ends of streams ends without a verdict.
const TOO_SLOW: &str = "the target answers too slowly to tell when its streams end";

/// So often a busy machine may keep a check from measuring anything.
const TRIES: usize = 3;

/// A whole second, since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::checks::stream) struct Moment(i64);

impl Moment {
    /// The first one that is at least this far away.
    pub(in crate::checks::stream) fn after(wait: Duration) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from((now + wait).as_secs()).unwrap_or(i64::MAX).saturating_add(1))
    }

    /// So many seconds later.
    pub(in crate::checks::stream) fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Since 1970.
    pub(in crate::checks::stream) fn seconds(self) -> i64 {
        self.0
    }

    /// In the form of RFC 3339, with the letter Z.
    pub(in crate::checks::stream) fn utc(self) -> String {
        self.at_offset(0).replace("+00:00", "Z")
    }

    /// In the form of RFC 3339, with a numeric offset of so many minutes.
    pub(in crate::checks::stream) fn at_offset(self, minutes: i32) -> String {
        let offset = FixedOffset::east_opt(minutes.saturating_mul(60));
        let utc = DateTime::from_timestamp(self.0, 0).unwrap_or_default();
        match offset {
            Some(offset) => utc.with_timezone(&offset).to_rfc3339_opts(SecondsFormat::Secs, false),
            None => utc.to_rfc3339_opts(SecondsFormat::Secs, false),
        }
    }

    /// By the clock of this machine.
    fn instant(self) -> Instant {
        let at = UNIX_EPOCH + Duration::from_secs(u64::try_from(self.0).unwrap_or_default());
        Instant::now() + at.duration_since(SystemTime::now()).unwrap_or_default()
    }
}

/// A lifetime that a stream is to be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::checks::stream) enum Life {
    /// `Stream-TTL`, in seconds.
    Window(u64),
    /// `Stream-Expires-At`, written with an offset of so many minutes, or with Z.
    Until(Moment, Option<i32>),
}

impl Life {
    /// `Stream-Expires-At`, at least this far away and at most a second further.
    pub(in crate::checks::stream) fn until(wait: Duration) -> Self {
        Self::Until(Moment::after(wait), None)
    }

    /// A request that gives this lifetime.
    pub(in crate::checks::stream) fn given_by(self, request: Request) -> Request {
        match self {
            Self::Window(seconds) => request.header(TTL, seconds.to_string()),
            Self::Until(moment, None) => request.header(EXPIRES_AT, moment.utc()),
            Self::Until(moment, Some(minutes)) => request.header(EXPIRES_AT, moment.at_offset(minutes)),
        }
    }
}

/// What is known about the end of a stream.
#[derive(Clone, Copy, Debug)]
pub(in crate::checks::stream) struct End {
    /// What is answered up to this moment found the stream there: STREAM-EXPIRY-1.
    pub(in crate::checks::stream) there: Instant,
    /// What leaves from this moment on finds it gone: STREAM-EXPIRY-2.
    pub(in crate::checks::stream) gone: Instant,
}

impl End {
    /// Of a window of so many seconds that started between these two moments.
    pub(in crate::checks::stream) fn of_window(seconds: u64, sent: Instant, answered: Instant) -> Self {
        let window = Duration::from_secs(seconds);
        Self { there: sent + window * 95 / 100, gone: answered + window + LATE }
    }

    /// Of a stream that ends at a moment by the clock of its server.
    pub(in crate::checks::stream) fn at(moment: Moment) -> Self {
        let end = moment.instant();
        Self { there: end - LATE, gone: end + LATE + LATE }
    }
}

/// An answer, and when its request left and it was here.
pub(in crate::checks::stream) struct Timed {
    pub(in crate::checks::stream) reply: Seen<Response>,
    pub(in crate::checks::stream) sent: Instant,
    pub(in crate::checks::stream) answered: Instant,
}

/// Sends a request and looks at the clock.
///
/// # Errors
/// As [`Cx::send`].
pub(in crate::checks::stream) async fn timed(cx: &Cx, request: Request) -> Outcome<Timed> {
    let sent = Instant::now();
    let reply = cx.send(request).await?;
    Ok(Timed { reply, sent, answered: Instant::now() })
}

/// A stream with a lifetime.
#[derive(Clone, Debug)]
pub(in crate::checks::stream) struct Mortal {
    /// The stream.
    pub(in crate::checks::stream) stream: Stream,
    /// What it was created with.
    pub(in crate::checks::stream) life: Life,
    /// What is known about its end, if it is only touched by the check from here on.
    pub(in crate::checks::stream) end: End,
}

impl Mortal {
    /// A new one with a random token in it that was read back.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if it cannot be made, does not hold what it was given, or ends before it was read.
    pub(in crate::checks::stream) async fn new(cx: &Cx, life: Life) -> Outcome<Self> {
        for _ in 0..TRIES {
            let (mut mortal, token) = Self::made(cx, life).await?;
            if mortal.proven(cx, token).await? {
                return Ok(mortal);
            }
        }
        Err(cx.stop(TOO_SLOW))
    }

    /// A new one, and the random token that it is to hold.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if it cannot be made.
    pub(in crate::checks::stream) async fn made(cx: &Cx, life: Life) -> Outcome<(Self, String)> {
        let token = cx.token(24);
        let mut stream = Stream::nowhere(cx);
        let request = life.given_by(put(&stream.path, stream.media_type).body(token.clone()));
        let Timed { reply, sent, answered } = timed(cx, request).await?;
        let response = cx.need(STREAM_CREATE_1, &reply, &one_of![created()])?;
        stream.start = next_offset(response);
        clocks_agree(cx, response, sent, answered)?;
        let end = match life {
            Life::Window(seconds) => End::of_window(seconds, sent, answered),
            Life::Until(moment, _) => End::at(moment),
        };
        Ok((Self { stream, life, end }, token))
    }

    /// Reads the token back; whether that was done before the stream can have ended.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if something else is read.
    pub(in crate::checks::stream) async fn proven(&mut self, cx: &Cx, token: String) -> Outcome<bool> {
        let replies = self.stream.walk_until(cx, &mut cx.http(), "-1", Some(self.end.there)).await?;
        let Some(replies) = replies else { return Ok(false) };
        let read = replies.map(|replies| bodies(&replies));
        cx.need(STREAM_READ_1, &read, &[holds(token)])?;
        // There for as long as if the reading had not started the window anew, and gone as late as if it had.
        if let Life::Window(seconds) = self.life {
            self.end.gone = Instant::now() + Duration::from_secs(seconds) + LATE;
        }
        Ok(true)
    }

    /// Claims this of an answer that came before the stream can have ended; tells whether it did.
    ///
    /// # Errors
    /// As [`Cx::expect`].
    pub(in crate::checks::stream) async fn alive(
        &self,
        cx: &Cx,
        requirement: RequirementId,
        request: Request,
        alternatives: &[Alternative<Response>],
    ) -> Outcome<Option<Timed>> {
        let timed = timed(cx, request).await?;
        if timed.answered > self.end.there {
            return Ok(None);
        }
        cx.expect(requirement, &timed.reply, alternatives)?;
        Ok(Some(timed))
    }

    /// Takes note of something that starts a window anew.
    pub(in crate::checks::stream) fn touched(&mut self, by: &Timed) {
        if let Life::Window(seconds) = self.life {
            self.end = End::of_window(seconds, by.sent, by.answered);
        }
    }

    /// Waits until so long before the last moment at which it has to be there.
    pub(in crate::checks::stream) async fn close_to_end(&self, margin: Duration) {
        sleep_until(self.end.there.checked_sub(margin).unwrap_or(self.end.there)).await;
    }

    /// Waits until everybody has to find it gone.
    pub(in crate::checks::stream) async fn gone(&self) {
        sleep_until(self.end.gone).await;
    }
}

/// A target whose clock is far from ours cannot be held to our moments.
fn clocks_agree(cx: &Cx, response: &Response, sent: Instant, answered: Instant) -> Result<(), Stop> {
    /// `Date` has whole seconds, and servers write the same one for a while.
    const COARSE: Duration = Duration::from_secs(2);
    let date = response.headers.get("date").and_then(|date| DateTime::parse_from_rfc2822(date).ok());
    let Some(date) = date.and_then(|date| u64::try_from(date.timestamp()).ok()) else { return Ok(()) };
    let theirs = Duration::from_secs(date);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (left, came) = (now.saturating_sub(sent.elapsed()), now.saturating_sub(answered.elapsed()));
    if theirs > came + LATE || theirs + COARSE + LATE < left {
        return Err(cx.stop("the clock of the target and that of this machine are too far apart"));
    }
    Ok(())
}

/// Does something until what it measures can be told from the slowness of the machine.
///
/// # Errors
/// As what is done; stops the check, inconclusive, if it never tells anything.
pub(in crate::checks::stream) async fn measured<'a, F>(cx: &'a Cx, what: impl Fn(&'a Cx) -> F) -> Outcome
where
    F: Future<Output = Outcome<bool>>,
{
    for _ in 0..TRIES {
        if what(cx).await? {
            return Ok(());
        }
    }
    Err(cx.stop(TOO_SLOW))
}

/// Whether each of these was measured.
///
/// # Errors
/// As the first of them.
pub(in crate::checks::stream) async fn each(
    all: impl IntoIterator<Item = impl Future<Output = Outcome<bool>>>,
) -> Outcome<bool> {
    Ok(try_join_all(all).await?.into_iter().all(|told| told))
}
