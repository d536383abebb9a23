//! When a call is tried again, as a pure state machine: what became of an exchange, the time and random bits go in, and what
//! to do next comes out.
//!
//! 502, 503 and a connection that failed are tried again for a time, 409, 501 and an answer that broke off so many times; one
//! counter makes the delays of both. Nothing else is tried again.

use super::{model::backoff, settings::Retries};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wireproof_spec::http::Fields;

/// What became of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// An answer came whole.
    Answered(u16, &'a Fields),
    /// There was no connection, or it ended before the head of an answer: as good as a 503.
    Unreached,
    /// It ended within the body of the answer.
    Cut,
    /// Something else went wrong.
    Failed,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try again in so many milliseconds.
    Wait(u64),
    /// What it is now is the result, and it is none that was wanted.
    GiveUp,
    /// The answer is the result.
    Done,
}

/// The patience of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    retries: Retries,
    /// Whether the body can be sent again.
    repeatable: bool,
    attempt: u32,
    /// When the first 502 or 503 came.
    since: Option<u64>,
}

impl Retry {
    /// The patience of a call whose body can be sent again, or not.
    pub fn new(retries: Retries, repeatable: bool) -> Self {
        Self { retries, repeatable, attempt: 0, since: None }
    }

    /// How often it was tried again.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// What follows from what became of the last exchange. Times are milliseconds since 1970.
    pub fn next(&mut self, now: u64, outcome: Outcome<'_>, random: u64) -> Next {
        match outcome {
            Outcome::Answered(200..=299, _) => Next::Done,
            Outcome::Answered(502 | 503, _) | Outcome::Unreached => self.unavailable(now, random),
            Outcome::Answered(409, headers) => self.counted(asked_for(now, headers), random),
            Outcome::Answered(501, _) | Outcome::Cut => self.counted(None, random),
            Outcome::Answered(..) | Outcome::Failed => Next::GiveUp,
        }
    }

    fn unavailable(&mut self, now: u64, random: u64) -> Next {
        let Retries { window_ms, service_delay_ms, service_max_ms, .. } = self.retries;
        let since = *self.since.get_or_insert(now);
        if !self.repeatable || now.saturating_sub(since) >= window_ms {
            return Next::GiveUp;
        }
        self.wait(backoff(service_delay_ms, self.attempt, random).min(service_max_ms))
    }

    fn counted(&mut self, asked: Option<u64>, random: u64) -> Next {
        if !self.repeatable || self.attempt >= self.retries.most {
            return Next::GiveUp;
        }
        self.wait(asked.unwrap_or_else(|| backoff(self.retries.delay_ms, self.attempt, random)))
    }

    fn wait(&mut self, delay: u64) -> Next {
        self.attempt = self.attempt.saturating_add(1);
        Next::Wait(delay)
    }
}

/// The delay that an answer asks for, in milliseconds.
fn asked_for(now: u64, headers: &Fields) -> Option<u64> {
    let number = |text: &str| {
        let text = text.trim();
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // More than fits is for ever.
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    let seconds = |text: &str| Some(number(text)?.saturating_mul(1000));
    let until = |text: &str| Some(seconds(text)?.saturating_sub(now));
    let header = |name: &str| headers.get(name);
    let after = header("retry-after").and_then(|text| seconds(text).or_else(|| until_date(now, text.trim())));
    after
        .or_else(|| header("x-ratelimit-reset").and_then(until))
        .or_else(|| header("x-ratelimit-retry-after").and_then(seconds))
}

/// How long it is until a date of HTTP; nothing if it is past.
fn until_date(now: u64, text: &str) -> Option<u64> {
    let date: SystemTime = httpdate::parse_http_date(text).ok()?;
    let at = date.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis();
    Some(u64::try_from(at).unwrap_or(u64::MAX).saturating_sub(now))
}
