//! Removes what a check made, whatever became of the check.

use super::{
    Link,
    dial::Speaks,
    http::{build, read},
    limit,
    overload::{is_overload, retry_after},
};
use crate::event::{Message, What};
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::time::{Instant, sleep, timeout_at};
use wireproof_spec::http::{Request, Response};

/// How often a removal is tried that the target has no time for.
const TRIES: u32 = 4;

/// The paths of what the checks of a run made and nobody could remove.
#[derive(Clone, Debug, Default)]
pub(crate) struct Left(Arc<Mutex<BTreeSet<String>>>);

impl Left {
    /// Removes what a check made, within this time.
    pub(crate) async fn sweep(&self, made: &Made, link: &Link, within: Duration) {
        let left = made.sweep(link, within).await;
        self.list().extend(left);
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.list()).into_iter().collect()
    }

    fn list(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The requests that remove what a check made. It outlives the check.
#[derive(Clone, Debug, Default)]
pub(crate) struct Made(Arc<Mutex<Vec<Request>>>);

impl Made {
    pub(crate) fn add(&self, removal: Request) {
        self.list().push(removal);
    }

    fn list(&self) -> MutexGuard<'_, Vec<Request>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the requests, within this time, and tells the paths of what is still there.
    ///
    /// A request is forgotten when it was answered: who is interrupted here goes on where it was.
    async fn sweep(&self, link: &Link, within: Duration) -> Vec<String> {
        let until = Instant::now() + within;
        let mut left = Vec::new();
        let mut client = Client { link, until, sender: None };
        while let Some(removal) = self.next() {
            let is_gone = match client.send(&removal).await {
                // The target does not answer: the others need not be tried.
                None => break,
                Some(200..300 | 404 | 410) => true,
                // Refused: perhaps nothing was there to be removed.
                Some(_) => {
                    matches!(client.send(&Request::new("HEAD", &removal.path)).await, Some(404 | 410))
                }
            };
            self.list().retain(|other| *other != removal);
            if !is_gone && was_made(link, &removal.path) {
                left.push(removal.path);
            }
        }
        let rest = std::mem::take(&mut *self.list());
        left.extend(rest.into_iter().map(|removal| removal.path).filter(|path| was_made(link, path)));
        left
    }

    fn next(&self) -> Option<Request> {
        self.list().first().cloned()
    }
}

/// Whether a request of this check to this path, other than to look or to remove, succeeded.
fn was_made(link: &Link, path: &str) -> bool {
    let events = link.log.events();
    let sent = events.iter().filter_map(|event| match &event.what {
        What::Sent { message: Message::Request { method, target, .. }, .. } => {
            let changes = !matches!(method.as_str(), "GET" | "HEAD" | "DELETE" | "OPTIONS");
            (changes && target.split('?').next() == Some(path)).then_some(event.seq)
        }
        _ => None,
    });
    let succeeded = |seq: u64| {
        events.iter().any(|event| match &event.what {
            What::Received { message: Message::Response { status, .. }, answers, .. } => {
                *answers == Some(seq) && (200..300).contains(status)
            }
            _ => false,
        })
    };
    sent.into_iter().any(succeeded)
}

/// A client whose requests stand in no event: the check is over.
struct Client<'a> {
    link: &'a Link,
    until: Instant,
    sender: Option<http1::SendRequest<Full<Bytes>>>,
}

impl Client<'_> {
    /// The status of the answer, if one comes in time; 429 and 503 are none as long as there is time to try again.
    async fn send(&mut self, request: &Request) -> Option<u16> {
        let mut answer = self.exchange(request).await?;
        for _ in 1..TRIES {
            if !is_overload(self.link, &answer) {
                break;
            }
            let pause = retry_after(&answer, SystemTime::now().into()).unwrap_or_default();
            let pause = pause.max(self.link.times.back_off);
            if Instant::now() + pause >= self.until {
                break;
            }
            sleep(pause).await;
            answer = self.exchange(request).await?;
        }
        Some(answer.status)
    }

    async fn exchange(&mut self, request: &Request) -> Option<Response> {
        self.link.turn_by(self.until).await;
        // A connection that was kept may be closing: then another one has to do.
        let kept = self.sender.take().filter(http1::SendRequest::is_ready);
        if let Some(sender) = kept
            && let Some(answer) = self.on(sender, request).await
        {
            return Some(answer);
        }
        let dialled = timeout_at(self.until, self.link.reach.way.dial(None, Speaks::Http1));
        let stream = dialled.await.ok()?.ok()?;
        let handshake = http1::Builder::new().max_buf_size(limit::HEAD).handshake(TokioIo::new(stream));
        let (sender, connection) = handshake.await.ok()?;
        tokio::spawn(connection);
        self.on(sender, request).await
    }

    async fn on(
        &mut self,
        mut sender: http1::SendRequest<Full<Bytes>>,
        request: &Request,
    ) -> Option<Response> {
        let built = build(self.link, request).ok()?;
        let now = Instant::now();
        let until = self.until.min(now + self.link.times.alive);
        let answer = read(sender.send_request(built), until, now).await.ok()?;
        if timeout_at(until, sender.ready()).await.is_ok_and(|ready| ready.is_ok()) {
            self.sender = Some(sender);
        }
        Some(answer)
    }
}
