//! What a server can be told about those who use it: who may come in, how many at once, what they may do, and in which hand
//! offsets are written for them.

use super::{message::refuse, sse::Event};
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use wireproof_spec::{
    http::{Request, Response},
    stream::header::{ALLOW, FORK_OFFSET, NEXT_OFFSET, query},
};

/// Who may use a server, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The values of `Authorization` of which every request carries one; none: anybody may come in.
    pub authorization: Vec<String>,
    /// How many requests are taken at once, that is, without a pause of 300 ms; none: all. The others are refused with 429.
    pub burst: Option<u32>,
    /// Whether POST and DELETE are taken.
    pub writes: bool,
    /// Whether offsets are written with letters: another form of the same places.
    pub lettered: bool,
}

impl Default for Access {
    /// Everybody may do everything.
    fn default() -> Self {
        Self { authorization: Vec::new(), burst: None, writes: true, lettered: false }
    }
}

/// So long nothing has to be taken until a burst is over.
const PAUSE: Duration = Duration::from_millis(300);

/// The gate through which every request comes in and every answer goes out.
pub(super) struct Gate {
    access: Access,
    /// When the last request was taken, and how many of this burst there were.
    taken: Mutex<(Instant, u32)>,
}

impl Gate {
    pub(super) fn new(access: Access) -> Self {
        Self { access, taken: Mutex::new((Instant::now(), 0)) }
    }

    /// How a request is refused that may not come in; and one that may is read as if it were in our own hand.
    pub(super) fn enters(&self, request: &mut Request) -> Option<Response> {
        let known = &self.access.authorization;
        let is_known = |given: &str| known.iter().any(|one| one == given);
        if !known.is_empty() && !request.headers.get("authorization").is_some_and(is_known) {
            let refused = refuse(401, "expected the credentials of this server");
            return Some(refused.header("www-authenticate", "Bearer"));
        }
        if self.is_full() {
            return Some(refuse(429, "expected fewer requests at once; try again in a moment"));
        }
        if !self.access.writes && matches!(request.method.as_str(), "POST" | "DELETE") {
            let refused = refuse(405, "expected no write, as this server is read-only");
            return Some(refused.header(ALLOW, "GET, HEAD, PUT"));
        }
        if self.access.lettered {
            let offsets = request.query.0.iter_mut().filter(|(name, _)| name == query::OFFSET);
            let fork = request.headers.0.iter_mut().filter(|(name, _)| name == FORK_OFFSET);
            offsets.chain(fork).for_each(|(_, token)| *token = digits(token));
        }
        None
    }

    /// Whether this burst is at its end; if it is not, one more request is in it.
    fn is_full(&self) -> bool {
        let Some(most) = self.access.burst else { return false };
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.0.elapsed() >= PAUSE {
            taken.1 = 0;
        }
        if taken.1 >= most {
            return true;
        }
        *taken = (Instant::now(), taken.1 + 1);
        false
    }

    /// Writes what an answer says about offsets in the hand of this server.
    pub(super) fn leaves(&self, reply: &mut Response) {
        if self.access.lettered {
            let offsets = reply.headers.0.iter_mut().filter(|(name, _)| name == NEXT_OFFSET);
            offsets.for_each(|(_, token)| *token = letters(token));
        }
    }

    /// Writes what events say about offsets in the hand of this server.
    pub(super) fn leave(&self, events: &mut [Event]) {
        const NEXT: &str = "streamNextOffset";
        for event in events.iter_mut().filter(|event| self.access.lettered && event.name == "control") {
            if let Ok(mut control) = serde_json::from_str::<serde_json::Value>(&event.data)
                && let Some(token) = control.get(NEXT).and_then(|token| token.as_str()).map(letters)
            {
                control[NEXT] = token.into();
                event.data = control.to_string();
            }
        }
    }
}

/// A token of digits in letters: they are ordered as the digits are.
fn letters(token: &str) -> String {
    token.chars().map(|c| c.to_digit(10).map_or(c, |d| char::from(b'a' + d as u8))).collect()
}

/// A token of letters in digits. One of digits is none of this server's, and becomes one that nobody gave out.
fn digits(token: &str) -> String {
    let digit = |c: char| {
        c.to_digit(20).filter(|_| c.is_ascii_lowercase()).map(|d| char::from(b'0' + (d - 10) as u8))
    };
    match token.chars().map(digit).collect::<Option<String>>() {
        Some(digits) => digits,
        None if token == "-1" || !token.bytes().any(|b| b.is_ascii_digit()) => token.into(),
        None => format!("~{token}"),
    }
}
