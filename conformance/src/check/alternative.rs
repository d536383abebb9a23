//! The closed alternatives of a claim. Those about HTTP answers are data, so that a refuser can be built from them.

use crate::{
    event::{Expected, ExpectedAnswer, hex},
    wire::{Lost, limit::words, raw::RawAnswer, ws::Frame},
};
use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use wireproof_spec::http::Response;

type Holds<T> = Arc<dyn Fn(&T) -> bool + Send + Sync>;

/// One way in which an observation may meet a claim.
pub struct Alternative<T> {
    expected: Expected,
    holds: Holds<T>,
}

impl<T> Clone for Alternative<T> {
    fn clone(&self) -> Self {
        Self { expected: self.expected.clone(), holds: self.holds.clone() }
    }
}

/// An alternative by name and condition.
pub fn alternative<T>(
    name: impl Into<String>,
    holds: impl Fn(&T) -> bool + Send + Sync + 'static,
) -> Alternative<T> {
    Alternative { expected: Expected { name: name.into(), answer: None }, holds: Arc::new(holds) }
}

impl<T> Alternative<T> {
    /// That the schema of this name accepts it; whether it does is asked elsewhere.
    pub(crate) fn from_schema(schema: &str) -> Self {
        alternative(format!("an answer that schemas/{schema}.json accepts"), |_| true)
    }

    /// What a report says about it.
    pub fn expected(&self) -> &Expected {
        &self.expected
    }

    pub(crate) fn holds(&self, what: &T) -> bool {
        (self.holds)(what)
    }
}

/// What an HTTP answer has to look like.
#[derive(Clone)]
pub struct Answer {
    shape: ExpectedAnswer,
    absent: Vec<String>,
    more: Vec<(String, Holds<Response>)>,
}

/// An answer with this status.
pub fn answer(status: u16) -> Answer {
    Answer {
        shape: ExpectedAnswer { status, ..ExpectedAnswer::default() },
        absent: Vec::new(),
        more: Vec::new(),
    }
}

impl Answer {
    /// That has this header, with whatever value.
    pub fn has(mut self, header: &str) -> Self {
        self.shape.headers.insert(header.into(), None);
        self
    }

    /// That has this header with this value.
    pub fn with(mut self, header: &str, value: impl Into<String>) -> Self {
        self.shape.headers.insert(header.into(), Some(value.into()));
        self
    }

    /// That does not have this header.
    pub fn without(mut self, header: &str) -> Self {
        self.absent.push(header.into());
        self
    }

    /// That has exactly this body.
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let name = match std::str::from_utf8(&body) {
            _ if body.is_empty() => "an empty body".to_owned(),
            Ok(text) if text.len() <= 40 => format!("the body {text:?}"),
            _ => format!("a body of exactly the {} bytes written", body.len()),
        };
        self.and(name, move |r| *r.body == body[..])
    }

    /// That meets this condition too.
    pub fn and(
        mut self,
        name: impl Into<String>,
        holds: impl Fn(&Response) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.more.push((name.into(), Arc::new(holds)));
        self
    }

    fn name(&self) -> String {
        let mut parts = vec![self.shape.status.to_string()];
        parts.extend(self.shape.headers.iter().map(|(name, value)| match value {
            Some(value) => format!("{name}: {value}"),
            None => format!("{name} present"),
        }));
        parts.extend(self.absent.iter().map(|name| format!("no {name}")));
        parts.extend(self.more.iter().map(|(name, _)| name.clone()));
        parts.join(", ")
    }

    fn holds(&self, response: &Response) -> bool {
        response.status == self.shape.status
            && self.shape.headers.iter().all(|(name, value)| match (response.headers.get(name), value) {
                (Some(found), Some(value)) => found == value,
                (Some(_), None) => true,
                (None, _) => false,
            })
            && self.absent.iter().all(|name| response.headers.get(name).is_none())
            && self.more.iter().all(|(_, holds)| holds(response))
    }
}

impl From<Answer> for Alternative<Response> {
    fn from(answer: Answer) -> Self {
        let expected = Expected { name: answer.name(), answer: Some(answer.shape.clone()) };
        Self { expected, holds: Arc::new(move |response| answer.holds(response)) }
    }
}

/// What a failed claim says about what was seen.
pub trait Shown {
    /// In a line.
    fn shown(&self) -> String;
}

impl Shown for Response {
    fn shown(&self) -> String {
        let mut parts = vec![self.status.to_string()];
        parts.extend(
            self.headers.joined().iter().filter(|(n, _)| is_telling(n)).map(|(n, v)| format!("{n}: {v}")),
        );
        parts.push(match std::str::from_utf8(&self.body) {
            _ if self.body.is_empty() => "an empty body".to_owned(),
            Ok(text) if text.len() <= 80 => format!("the body {text:?}"),
            _ => format!("a body of {} bytes", self.body.len()),
        });
        parts.join(", ")
    }
}

fn is_telling(header: &str) -> bool {
    !matches!(header, "date" | "connection" | "keep-alive" | "server" | "vary" | "transfer-encoding")
        && !header.starts_with("access-control-")
}

impl Shown for RawAnswer {
    fn shown(&self) -> String {
        format!("{}, then {} bytes behind the head", self.head.shown(), self.rest.len())
    }
}

impl Shown for Bytes {
    fn shown(&self) -> String {
        match std::str::from_utf8(self) {
            _ if self.is_empty() => "nothing".into(),
            Ok(text) if text.len() <= 200 => format!("{text:?}"),
            _ => format!("{} bytes", self.len()),
        }
    }
}

impl Shown for Frame {
    fn shown(&self) -> String {
        match self {
            Frame::Text(text) => format!("the text {:?}", words(text)),
            Frame::Binary(bytes) => format!("the bytes {}", hex(&bytes[..bytes.len().min(64)])),
            Frame::Close(None) => "a close without a code".into(),
            Frame::Close(Some((code, reason))) => format!("a close with code {code} {:?}", words(reason)),
        }
    }
}

impl Shown for Duration {
    fn shown(&self) -> String {
        format!("{} ms", self.as_millis())
    }
}

impl Shown for String {
    fn shown(&self) -> String {
        words(self)
    }
}

impl<T: Shown> Shown for Option<T> {
    fn shown(&self) -> String {
        self.as_ref().map_or_else(|| "nothing".into(), Shown::shown)
    }
}

impl<T: Shown> Shown for Result<T, Lost> {
    fn shown(&self) -> String {
        self.as_ref().map_or_else(ToString::to_string, Shown::shown)
    }
}

impl<T: Shown> Shown for Vec<T> {
    fn shown(&self) -> String {
        const MOST: usize = 12;
        let mut parts: Vec<String> = self.iter().take(MOST).map(|one| format!("[{}]", one.shown())).collect();
        if self.len() > MOST {
            parts.push(format!("and {} more", self.len() - MOST));
        }
        parts.join(" ")
    }
}

impl<A: Shown, B: Shown> Shown for (A, B) {
    fn shown(&self) -> String {
        format!("{}; {}", self.0.shown(), self.1.shown())
    }
}
