//! What checks of calls start from: a call of the client under test, answered as the check likes, and its whole course.

use super::super::client::{RUNS, TRIES, beside_timers, cannot, in_each, is_calm, restless};
use crate::{
    check::{Alternative, Cx, Outcome, Shown, alternative},
    wire::{
        Seen,
        listen::{Call, Fault, Listener},
    },
};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeSet,
    pin::pin,
    time::{Duration, SystemTime},
};
use tokio::time::Instant;
use wireproof_spec::{
    http::{Request, Response},
    queue::requirements::*,
};

/// How late a request may be, in milliseconds.
pub(super) const LATE_MS: u64 = 150;
/// Times are whole seconds.
pub(super) const SECOND_MS: u64 = 1_000;
/// By how much timers round, in milliseconds.
const ROUND_MS: u64 = 1;
/// The longest delay after 502 and 503, in milliseconds.
pub(super) const LONGEST_MS: u64 = 5_000;
/// How long a call may take: the time of the check bounds it before.
const LONG: Duration = Duration::from_secs(120);

/// What the owner asks the client for.
#[derive(Clone, Debug)]
pub(super) struct Ask(Map<String, Value>);

/// How a request is answered.
#[derive(Clone)]
pub(super) enum Reply {
    /// By what the operation promises.
    Success,
    /// By this.
    Says(Response),
    /// By a success that breaks off: its connection is reset in its body.
    Broken,
    /// Not at all: its connection is reset.
    Reset,
}

/// The course of a call from its first request to what its owner was told.
#[derive(Clone, Debug)]
pub(super) struct Course {
    /// Its requests, in turn.
    pub(super) requests: Vec<Request>,
    /// The delays before all of them but the first.
    pub(super) delays: Vec<Delay>,
    /// What came of it.
    pub(super) end: End,
    /// How long it was from its first answer until its owner was told: never less than it was to the client.
    pub(super) lasted: Duration,
}

/// A delay from the end of an answer to the next request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delay {
    /// It was no longer: measured from before the answer.
    pub(super) longest: Duration,
    /// It was no shorter: measured from behind the answer.
    pub(super) shortest: Duration,
    /// The time since the end of the first answer was no shorter.
    pub(super) since_first: Duration,
    /// The request had come by then.
    pub(super) at: SystemTime,
}

/// When a request that is sent again is due, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// So long behind the answer at least, and so long at most.
    Between(u64, u64),
    /// At this time since 1970, or in the second behind it; at once, if it was past when the answer came.
    At(u64),
}

/// A course whose requests were due, and how it went.
#[derive(Clone, Debug)]
pub(super) struct Timed {
    /// What was seen.
    pub(super) course: Course,
    /// When each request but the first was due.
    due: Vec<Due>,
    /// What the machine may have held up.
    stall: Duration,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The owner was told that it succeeded.
    Success,
    /// The owner was told an error.
    Refused(Refusal),
    /// There were more requests than answers.
    TooMany,
}

/// The error that an owner is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Its text.
    pub(super) message: String,
    /// The status of the last answer, if the client tells it.
    pub(super) status: Option<u64>,
    /// What it is, if the client has a name for it.
    pub(super) kind: Option<String>,
}

impl Shown for Course {
    fn shown(&self) -> String {
        let delays: Vec<String> = self
            .delays
            .iter()
            .map(|delay| format!(", another after {} ms", delay.longest.as_millis()))
            .collect();
        let first = if self.requests.is_empty() { "no request" } else { "a request" };
        let end = match &self.end {
            End::Success => "a success".into(),
            End::Refused(Refusal { message, status, kind }) => {
                let status = status.map_or_else(|| "without a status".into(), |status| status.to_string());
                let kind = kind.as_deref().unwrap_or("without a kind");
                format!("the error {message:?}, {status}, {kind}")
            }
            End::TooMany => "no end at the last of the answers".into(),
        };
        format!("{first}{}, and then {end}", delays.concat())
    }
}

impl Ask {
    /// A call with this action, and a queue and a key of its own.
    pub(super) fn new(cx: &Cx, action: &str) -> Self {
        let mut args = Map::new();
        args.insert("key".into(), cx.token(24).into());
        args.insert("queue".into(), cx.name().into());
        args.insert("action".into(), action.into());
        Self(args)
    }

    /// With this argument (spec/adapter.md).
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    /// With this setting, if the client can be told.
    pub(super) fn setting(self, cx: &Cx, name: &str, value: u64) -> Self {
        if can_be_set(cx) { self.with(name, value) } else { self }
    }

    /// The key that it names.
    pub(super) fn key(&self) -> String {
        self.0["key"].as_str().unwrap_or_default().to_owned()
    }

    /// Has the client call, at a place of its own, and answers in turn. One request more than there are answers ends the course.
    ///
    /// # Errors
    /// Stops the check if the client cannot, or says nothing.
    pub(super) async fn call(&self, cx: &Cx, replies: &[Reply]) -> Outcome<Seen<Course>> {
        self.call_at(cx, &mut cx.listen()?, replies).await
    }

    /// As [`Ask::call`], at this place.
    ///
    /// # Errors
    /// As [`Ask::call`].
    pub(super) async fn call_at(
        &self,
        cx: &Cx,
        place: &mut Listener,
        replies: &[Reply],
    ) -> Outcome<Seen<Course>> {
        let mut app = cx.app().await?;
        let asked = app.attempt_within(LONG, "call", self.at(&place.url("http")));
        self.follow(cx, place, asked, replies).await
    }

    /// As [`Ask::call`], where nobody listens at first.
    ///
    /// # Errors
    /// As [`Ask::call`].
    pub(super) async fn call_refused(
        &self,
        cx: &Cx,
        length: Duration,
        replies: &[Reply],
    ) -> Outcome<Seen<Course>> {
        let port = cx.port()?;
        let url = port.url("http");
        let mut app = cx.app().await?;
        let mut asked = pin!(app.attempt_within(LONG, "call", self.at(&url)));
        // Nobody tells us of a connection that was refused.
        let early = tokio::time::timeout(length, &mut asked).await;
        let mut place = port.listen()?;
        match early {
            Ok(said) => self.follow(cx, &mut place, std::future::ready(said), replies).await,
            Err(_) => self.follow(cx, &mut place, asked, replies).await,
        }
    }

    fn at(&self, url: &str) -> Value {
        Value::Object(self.clone().with("url", url).0)
    }

    async fn follow(
        &self,
        cx: &Cx,
        place: &mut Listener,
        asked: impl Future<Output = Outcome<Result<Value, String>>>,
        replies: &[Reply],
    ) -> Outcome<Seen<Course>> {
        let mut asked = pin!(asked);
        let patience = Duration::from_millis(LONGEST_MS + LATE_MS) + cx.answer_time();
        let (mut seen, mut delays) = (Vec::new(), Vec::new());
        // From before the first answer, and the last one; and from behind them.
        let (mut before, mut behind) = (None, None);
        let end = loop {
            if seen.len() > replies.len() {
                break End::TooMany;
            }
            let (request, call) = tokio::select! {
                biased;
                next = place.next_within(patience) => next?,
                said = &mut asked => break end(cx, said?)?,
            };
            let now = Instant::now();
            let reply = replies.get(seen.len()).or(replies.last());
            seen.push(request);
            // Neither a request nor a word in time: that is what is seen.
            let (Some(call), Some(reply)) = (call, reply) else { break End::TooMany };
            if let (Some((_, last)), Some((first, end))) = (before, behind) {
                let longest = now.saturating_duration_since(last);
                let shortest = call.at.saturating_duration_since(end);
                let since_first = call.at.saturating_duration_since(first);
                delays.push(Delay { longest, shortest, since_first, at: SystemTime::now() });
            }
            let now = Instant::now();
            before = Some((before.map_or(now, |(first, _)| first), now));
            answer(call, reply).await;
            let now = Instant::now();
            behind = Some((behind.map_or(now, |(first, _)| first), now));
        };
        let lasted = before.map(|(first, _)| first.elapsed()).unwrap_or_default();
        let course = |requests| Course { requests, delays, end, lasted };
        if seen.is_empty() {
            let none = place.quiet(Duration::ZERO, another(cx)).await?;
            return Ok(none.map(|request| course(request.into_iter().collect())));
        }
        Ok(Seen::all(seen).map(course))
    }

    /// As [`Ask::call`], up to three times as long as one and the same delay is late: a busy machine is no sign, and one that
    /// stands still says nothing at all. Each time anew it
    /// is said how the call is answered, and when it is due again.
    ///
    /// # Errors
    /// As [`Ask::call`].
    pub(super) async fn in_time(
        &self,
        cx: &Cx,
        plan: impl Fn() -> (Vec<Reply>, Vec<Due>),
    ) -> Outcome<Seen<Vec<Timed>>> {
        let run = async || {
            let (replies, due) = plan();
            let (seen, stall) = beside_timers(self.call(cx, &replies)).await?;
            Ok(seen.map(|course| Timed { course, due, stall }))
        };
        // One behind the other: what holds up the client for a moment holds up all that runs at that moment.
        let mut runs: Vec<Seen<Timed>> = Vec::new();
        let mut late: Vec<BTreeSet<usize>> = Vec::new();
        for _ in 0..TRIES {
            let seen = run().await?;
            if seen.look().is_ok_and(Timed::is_unclear) {
                continue;
            }
            late.push(seen.look().map(Timed::late).unwrap_or_default());
            runs.push(seen);
            if runs.len() == RUNS || in_each(late.clone()).is_empty() {
                return Ok(Seen::all(runs));
            }
        }
        Err(restless(cx))
    }
}

/// Whether the owner of the client under test may say how it sends requests again.
pub(super) fn can_be_set(cx: &Cx) -> bool {
    cx.features().is("queue.retry-settings", "on")
}

/// A request of another call of the same client: it goes on.
pub(super) async fn another(cx: &Cx) -> Outcome<Seen<Request>> {
    let mut place = cx.listen()?;
    let mut app = cx.app().await?;
    let asked = Ask::new(cx, "get").at(&place.url("http"));
    let mut asked = pin!(app.attempt_within(LONG, "call", asked));
    let next = tokio::select! {
        biased;
        next = place.next() => next?,
        said = &mut asked => {
            said?.map_err(|why| cannot(cx, &format!("cannot call: {why}")))?;
            place.next().await?
        }
    };
    let (seen, call) = next;
    cx.need(QUEUE_RETRY_18, &seen, &[alternative("a request", |_: &Request| true)])?;
    if let Some(call) = call {
        answer(call, &Reply::Success).await;
    }
    Ok(seen)
}

async fn answer(call: Call, reply: &Reply) {
    let success = success(&call.request);
    match reply {
        Reply::Success => call.answer(&success).await,
        Reply::Says(response) => call.answer(response).await,
        Reply::Broken => {
            let head = head_length(&success);
            call.answer_with(&success, Fault::Reset(head + success.body.len() / 2)).await;
        }
        Reply::Reset => call.reset(),
    }
}

/// At least as long as the head of an answer: the status line, the fields, and the length of the body.
fn head_length(response: &Response) -> usize {
    let fields: usize = response.headers.0.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    "HTTP/1.1 200 OK\r\n\r\n".len() + fields + format!("content-length: {}\r\n", response.body.len()).len()
}

/// What came of a call, as the adapter says it.
fn end(cx: &Cx, said: Result<Value, String>) -> Outcome<End> {
    let said = said.map_err(|why| cannot(cx, &format!("cannot call: {why}")))?;
    if said.get("data").is_some() {
        return Ok(End::Success);
    }
    let Some(failed) = said.get("failed").and_then(Value::as_object) else {
        return Err(cannot(cx, "told neither what a call returned nor why it failed"));
    };
    let text = |name: &str| failed.get(name).and_then(Value::as_str).map(str::to_owned);
    let status = failed.get("status").and_then(Value::as_u64);
    Ok(End::Refused(Refusal { message: text("message").unwrap_or_default(), status, kind: text("kind") }))
}

/// An answer in JSON with this status.
pub(super) fn says(status: u16, body: &Value) -> Reply {
    Reply::Says(response(status, body))
}

/// A refusal with this status.
pub(super) fn refuses(status: u16) -> Reply {
    says(status, &json!({"success": false, "message": format!("refused with {status}")}))
}

/// A 409 with these headers.
pub(super) fn conflict(headers: &[(&str, String)]) -> Reply {
    let refusal = response(409, &json!({"success": false, "message": "a conflict"}));
    Reply::Says(headers.iter().fold(refusal, |refusal, (name, value)| refusal.header(name, value.as_str())))
}

fn response(status: u16, body: &Value) -> Response {
    Response::new(status).header("content-type", "application/json").body(body.to_string())
}

/// What the operation of a request promises.
fn success(request: &Request) -> Response {
    const AT: &str = "2026-11-21T08:00:00.000Z";
    let name = request.path.rsplit('/').next().unwrap_or_default();
    let data = if request.path.contains("/messages/publish/") {
        json!({"message": {
            "id": "qmsg_1", "queue_id": "queue_1", "offset": 1, "payload": {"n": 1}, "size": 7, "metadata": null,
            "state": "pending", "idempotency_key": null, "partition_key": null, "ttl_seconds": null,
            "delivery_attempts": 0, "max_retries": 5, "published_at": AT, "expires_at": null, "delivered_at": null,
            "acknowledged_at": null, "created_at": AT, "updated_at": AT,
        }})
    } else {
        json!({"queue": {
            "id": "queue_1", "name": name, "description": null, "queue_type": "worker", "default_ttl_seconds": null,
            "default_visibility_timeout_seconds": 30, "default_max_retries": 5, "default_retry_backoff_ms": 1000,
            "default_retry_max_backoff_ms": 60000, "default_retry_multiplier": 2, "max_in_flight_per_client": 10,
            "retention_seconds": 2592000, "next_offset": 1, "message_count": 0, "dlq_count": 0, "paused_at": null,
            "created_at": AT, "updated_at": AT,
        }})
    };
    response(200, &json!({"success": true, "data": data}))
}

/// The least and the greatest delay k, after 502, 503, and connections that fail, in milliseconds.
pub(super) fn backoff(k: u32) -> (u64, u64) {
    let whole = 1_000 << k;
    ((whole / 2).min(LONGEST_MS), whole.min(LONGEST_MS))
}

/// When a request is due behind delay k, after 502, 503, and connections that fail.
pub(super) fn unavailable(k: u32) -> Due {
    let (least, most) = backoff(k);
    Due::Between(least, most)
}

/// When a request is due behind delay k, after 501, and 409 that names none.
pub(super) fn counted(base: u64, k: u32) -> Due {
    let whole = base << k;
    Due::Between(whole / 2, whole)
}

/// When a request is due so many seconds behind the answer.
pub(super) fn in_seconds(seconds: u64) -> Due {
    Due::Between(seconds * SECOND_MS, (seconds + 1) * SECOND_MS)
}

impl Course {
    /// Whether it made so many requests and succeeded.
    pub(super) fn succeeds_with(&self, requests: usize) -> bool {
        self.requests.len() == requests && self.end == End::Success
    }

    /// Whether it made so many requests and was refused.
    pub(super) fn is_refused_with(&self, requests: usize) -> bool {
        self.requests.len() == requests && self.refusal().is_some()
    }

    /// The error that its owner was told.
    pub(super) fn refusal(&self) -> Option<&Refusal> {
        if let End::Refused(refusal) = &self.end { Some(refusal) } else { None }
    }
}

impl Due {
    /// Whether a request came sooner, but for the millisecond by which timers round.
    fn is_soon(self, delay: &Delay) -> bool {
        match self {
            Due::Between(least, _) => {
                delay.longest + Duration::from_millis(ROUND_MS) < Duration::from_millis(least)
            }
            Due::At(time) => ms_of(delay.at) + ROUND_MS < time,
        }
    }

    /// Whether a request came later, by more than it may be late and the machine held it up. A run of ours that takes longer, as a
    /// target may be given more time, leaves that as it is.
    fn is_late(self, delay: &Delay, stall: Duration) -> bool {
        let late = Duration::from_millis(LATE_MS) + stall;
        let is_long = |most: u64| delay.shortest > Duration::from_millis(most) + late;
        match self {
            Due::Between(_, most) => is_long(most),
            // Whose answer came behind that time asks at once.
            Due::At(time) => {
                let last = SystemTime::UNIX_EPOCH + Duration::from_millis(time + SECOND_MS);
                delay.at > last + late && is_long(SECOND_MS)
            }
        }
    }
}

impl Shown for Due {
    fn shown(&self) -> String {
        match self {
            Due::Between(least, most) => format!("{least} to {most} ms"),
            Due::At(time) => format!("the time {}, and a second", time / SECOND_MS),
        }
    }
}

impl Timed {
    /// When its requests were due.
    pub(super) fn due(&self) -> Vec<Due> {
        self.due.clone()
    }

    /// The delays that were too long.
    fn late(&self) -> BTreeSet<usize> {
        self.later_than(self.stall)
    }

    /// The delays that were too long, with so much allowed for.
    fn later_than(&self, stall: Duration) -> BTreeSet<usize> {
        let all = self.due.iter().zip(&self.course.delays).enumerate();
        all.filter(|(_, (due, delay))| due.is_late(delay, stall)).map(|(k, _)| k).collect()
    }

    /// Whether nothing can be told of it: something is late, and the machine held up too much.
    fn is_unclear(&self) -> bool {
        !is_calm(self.stall) && self.is_not_soon() && !self.later_than(Duration::ZERO).is_empty()
    }

    /// Whether every request came that was due, and none too soon.
    fn is_not_soon(&self) -> bool {
        let delays = &self.course.delays;
        delays.len() >= self.due.len() && self.due.iter().zip(delays).all(|(due, delay)| !due.is_soon(delay))
    }
}

impl Shown for Timed {
    fn shown(&self) -> String {
        self.course.shown()
    }
}

/// Milliseconds since 1970.
pub(super) fn ms_of(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// That requests came when they were due: none too soon in any of the runs, and none too late in each of three.
pub(super) fn delays(due: &[Due]) -> Alternative<Vec<Timed>> {
    let due: Vec<String> = due.iter().map(Shown::shown).collect();
    let name = format!(
        "a request again after each of {}, and {LATE_MS} ms late at most in one of {RUNS} runs",
        due.join(", ")
    );
    alternative(name, |runs: &Vec<Timed>| {
        runs.iter().all(Timed::is_not_soon) && in_each(runs.iter().map(Timed::late)).is_empty()
    })
}

/// As [`delays`], and a success behind so many requests.
pub(super) fn delays_and_success(due: &[Due], count: usize) -> Alternative<Vec<Timed>> {
    let when = delays(due);
    alternative(
        format!("{}, and a success at request {count}", when.expected().name),
        move |runs: &Vec<Timed>| {
            when.holds(runs) && runs.iter().all(|timed| timed.course.succeeds_with(count))
        },
    )
}
