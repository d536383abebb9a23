//! How requests and replies are broken, and what such breakages wait for, written once for all protocols over HTTP.

pub use crate::embed::reference::http::Seams as HttpSeams;

use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use wireproof_spec::http::{Body, Request, Response};

/// Counts by name: of a stream, say, so that a breakage bites the second time in each.
#[derive(Clone, Default)]
pub struct Count(Arc<Mutex<BTreeMap<String, u32>>>);

impl Count {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts one more and tells how many there were before.
    pub fn up(&self, name: &str) -> u32 {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(name.to_owned()).or_default();
        *count += 1;
        *count - 1
    }
}

/// Requests that are under way at the same time for one thing: what a race waits for.
///
/// A request counts for [`HOLD`]. Its answer is held for longer, so that requests of one client after the other never overlap.
#[derive(Clone, Default)]
pub struct Flying(Arc<Mutex<BTreeMap<String, Vec<Instant>>>>);

/// How long a request counts as under way.
pub const HOLD: Duration = Duration::from_millis(25);

impl Flying {
    /// For the map over requests.
    pub fn takes_off(&self, request: &Request) {
        self.takes_off_as(&request.path);
    }

    /// For what is not named by the end of a path.
    pub fn takes_off_as(&self, name: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let times = all.entry(last_segment(name).to_owned()).or_default();
        times.retain(|time| time.elapsed() < HOLD);
        times.push(Instant::now());
    }

    /// Whether several are under way for the thing of this name.
    pub fn several(&self, name: &str) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(last_segment(name))
            .is_some_and(|times| times.iter().filter(|time| time.elapsed() < HOLD).count() > 1)
    }
}

/// What has requests of several clients overlap, and never those of one client after the other: the requests for which `which`
/// has the name of the thing that they are about. Those that are under way, for a port to ask, and the seams that hold their
/// answers for a moment.
pub fn overlap(
    which: impl Fn(&Request) -> Option<String> + Clone + Send + Sync + 'static,
) -> (Flying, HttpSeams) {
    let flying = Flying::default();
    let (up, held) = (flying.clone(), which.clone());
    let seams = HttpSeams {
        request: Box::new(move |request| {
            if let Some(name) = which(request) {
                up.takes_off_as(&name);
            }
        }),
        delay: Some(Box::new(move |request, _| held(request).map(|_| HOLD * 2))),
        ..HttpSeams::honest()
    };
    (flying, seams)
}

/// Each answer changed.
pub fn reply<S: From<HttpSeams>>(change: impl Fn(&Request, &mut Response) + Send + Sync + 'static) -> S {
    HttpSeams { reply: Box::new(change), ..HttpSeams::honest() }.into()
}

/// Each request changed.
pub fn request<S: From<HttpSeams>>(change: impl Fn(&mut Request) + Send + Sync + 'static) -> S {
    HttpSeams { request: Box::new(change), ..HttpSeams::honest() }.into()
}

/// Answers held back.
pub fn delay<S: From<HttpSeams>>(
    time: impl Fn(&Request, &Response) -> Option<Duration> + Send + Sync + 'static,
) -> S {
    HttpSeams { delay: Some(Box::new(time)), ..HttpSeams::honest() }.into()
}

/// Of what is read at once, so many bytes taken.
pub fn received<S: From<HttpSeams>>(taken: impl Fn(&[u8]) -> usize + Send + Sync + 'static) -> S {
    HttpSeams { received: Some(Arc::new(Box::new(taken))), ..HttpSeams::honest() }.into()
}

/// The JSON of each answer to one of these requests that succeeded, changed.
pub fn told<S: From<HttpSeams>>(
    which: impl Fn(&Request) -> bool + Send + Sync + 'static,
    change: impl Fn(&Request, &mut Value) + Send + Sync + 'static,
) -> S {
    reply(move |request, response| {
        if which(request) && (200..300).contains(&response.status) {
            rewrite(response, |body| change(request, body));
        }
    })
}

/// The JSON of an answer, changed.
pub fn rewrite(response: &mut Response, change: impl FnOnce(&mut Value)) {
    let Ok(mut body) = serde_json::from_slice::<Value>(&response.body) else { return };
    change(&mut body);
    response.body = Body(body.to_string().into());
}

fn last_segment(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
