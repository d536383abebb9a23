//! The lines between the runner and an adapter, and how they are read: bounded, and one by one.

use super::Told;
use crate::wire::{limit, plain};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{collections::BTreeMap, io};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// A line to an adapter.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(title = "Request")]
pub struct Request {
    /// A number that no other request to this process has.
    pub id: u64,
    /// The session that it is for; absent where it is for the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The operation: `hello`, `end`, or one of the protocol's own.
    pub op: String,
    /// What it takes, as the protocol says.
    pub args: Value,
}

/// A line of an adapter. Members that are not named here are ignored.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(title = "Said")]
pub enum Said {
    /// It was done.
    Ok {
        /// The number of the request.
        id: u64,
        /// What came of it.
        ok: Value,
    },
    /// The client refused it, or failed.
    Error {
        /// The number of the request.
        id: u64,
        /// What the client says about it.
        error: String,
    },
    /// Something happened that nobody asked for at this moment.
    Told {
        /// In which session.
        session: String,
        /// What: as the protocol says.
        event: String,
        /// More about it.
        #[serde(default)]
        data: Value,
    },
}

/// The answer to `hello`: what the client can do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hello {
    /// Every operation of the protocol that it can do, with the options that it can be given.
    pub operations: BTreeMap<String, Vec<String>>,
}

/// What a protocol asks of clients under test: an operation, or an option of one.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// `subscribe`.
    pub name: &'static str,
    /// An option of it; none: the operation itself.
    pub option: Option<&'static str>,
    /// The feature that a client does not have that does not list it, and all others of this feature; none: it cannot be declined.
    pub feature: Option<&'static str>,
}

impl Operation {
    /// Whether a client lists it.
    pub(crate) fn is_listed(&self, hello: &Hello) -> bool {
        let options = hello.operations.get(self.name);
        options.is_some_and(|options| self.option.is_none_or(|option| options.iter().any(|o| o == option)))
    }

    /// As a report names it: `subscribe`, or `subscribe` with `organisation`.
    pub(crate) fn shown(&self) -> String {
        match self.option {
            None => format!("`{}`", self.name),
            Some(option) => format!("`{}` with `{option}`", self.name),
        }
    }
}

/// A line as it is handed on.
pub(crate) enum Line {
    Answer(u64, Words),
    Told(String, Told),
}

/// What an answer says.
pub(crate) enum Words {
    Ok(Value),
    Error(String),
}

/// A request as a line, without its end.
pub(super) fn request(id: u64, session: Option<&str>, op: &str, args: Value) -> String {
    let request = Request { id, session: session.map(str::to_owned), op: op.into(), args };
    // A value of ours has no keys that are no text.
    serde_json::to_string(&request).unwrap_or_default()
}

/// The lines of an adapter.
pub(crate) struct Lines<R> {
    read: R,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    pub(crate) fn new(read: R) -> Self {
        Self { read }
    }

    /// The next line, and its text.
    pub(crate) async fn next(&mut self) -> io::Result<(Line, String)> {
        let text = self.text().await?;
        let said: Said = serde_json::from_str(&text).map_err(|_| {
            io::Error::other(format!("it said what is no line of an adapter: {}", limit::words(&text)))
        })?;
        let line = match said {
            Said::Ok { id, ok } => Line::Answer(id, Words::Ok(plain(ok))),
            Said::Error { id, error } => Line::Answer(id, Words::Error(limit::words(&error))),
            Said::Told { session, event, data } => Line::Told(session, Told { event, data: plain(data) }),
        };
        Ok((line, text))
    }

    /// The text of the next line.
    pub(crate) async fn text(&mut self) -> io::Result<String> {
        let mut bytes = Vec::new();
        let bound = (limit::LINE + 1) as u64;
        let read = (&mut self.read).take(bound).read_until(b'\n', &mut bytes).await?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed its output"));
        }
        if read > limit::LINE {
            return Err(io::Error::other(format!("a line longer than {} bytes", limit::LINE)));
        }
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    }
}
