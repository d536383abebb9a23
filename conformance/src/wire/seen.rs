//! Observations: what came over the wire, with the events that recorded it.

use std::fmt;

/// What was seen, and the events that say so. Only the wire layer makes one from nothing.
#[must_use = "an observation that no claim is made about proves nothing"]
#[derive(Clone, Debug)]
pub struct Seen<T> {
    on: Vec<u64>,
    what: Result<T, Lost>,
}

/// Why there is no answer to look at, although the target was there, or had been there for this check alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Nothing came in this many milliseconds; the target was alive behind it.
    Silence(u64),
    /// The connection ended before the answer was complete.
    Closed(String),
    /// The connection ended before the answer was complete, when the target was asked to end.
    AtItsEnd(String),
    /// Nothing came, and the target, which this check alone spoke with, was gone behind it.
    Gone(String),
    /// What came is no message of the transport.
    Malformed(String),
    /// What came is longer than the limit, in bytes.
    TooLong(u64),
    /// An event stream was asked for, and this came.
    NoEvents(String),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lost::Silence(ms) => write!(f, "no complete answer in {ms} ms; the target was alive"),
            Lost::Closed(how) => {
                write!(f, "the connection ended without a complete answer ({how}); the target was alive")
            }
            Lost::AtItsEnd(how) => {
                write!(
                    f,
                    "the connection ended without a complete answer ({how}) when the target was asked to end"
                )
            }
            Lost::Gone(how) => write!(
                f,
                "no complete answer ({how}), and then none to anything: the target was started for this check alone, and \
                 stopped answering under it"
            ),
            Lost::Malformed(why) => write!(f, "an answer that is no message: {why}"),
            Lost::TooLong(limit) => write!(f, "an answer longer than {limit} bytes"),
            Lost::NoEvents(shown) => write!(f, "no event stream, but {shown}"),
        }
    }
}

impl<T> Seen<T> {
    pub(in crate::wire) fn new(on: u64, what: T) -> Self {
        Self { on: vec![on], what: Ok(what) }
    }

    pub(in crate::wire) fn lost(on: u64, why: Lost) -> Self {
        Self { on: vec![on], what: Err(why) }
    }

    /// The same observations, in which what was to be seen is not.
    pub(in crate::wire) fn instead<U>(self, why: Lost) -> Seen<U> {
        Seen { on: self.on, what: Err(why) }
    }

    /// The events that recorded it.
    pub fn on(&self) -> &[u64] {
        &self.on
    }

    /// What was seen, or why there is nothing to see.
    pub(crate) fn look(&self) -> Result<&T, &Lost> {
        self.what.as_ref()
    }

    /// The same observations, looked at in another way.
    pub fn map<U>(self, view: impl FnOnce(T) -> U) -> Seen<U> {
        Seen { on: self.on, what: self.what.map(view) }
    }

    /// The same, where it counts as an outcome that there is nothing to see.
    pub fn or_lost(self) -> Seen<Result<T, Lost>> {
        Seen { on: self.on, what: Ok(self.what) }
    }

    /// This and another, for a claim about both.
    pub fn and<U>(self, other: Seen<U>) -> Seen<(T, U)> {
        let what = self.what.and_then(|first| other.what.map(|second| (first, second)));
        Seen { on: [self.on, other.on].concat(), what }
    }

    /// Many of a kind, for one claim over all of them. None of nothing: an empty list has no observation.
    pub fn all(many: impl IntoIterator<Item = Seen<T>>) -> Seen<Vec<T>> {
        let mut on = Vec::new();
        let mut what = Ok(Vec::new());
        for seen in many {
            on.extend(seen.on);
            what = match (what, seen.what) {
                (Ok(mut list), Ok(value)) => {
                    list.push(value);
                    Ok(list)
                }
                (Err(why), _) | (_, Err(why)) => Err(why),
            };
        }
        Seen { on, what }
    }
}
