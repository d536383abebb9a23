//! Everything that happens in a run, as one stream of events. Each report is a view of it.
//!
//! Events are written once and never changed; secrets are taken out before one exists ([`crate::redact`]).

use crate::redact::Redaction;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};
use tokio::sync::mpsc;

/// The bytes of a body that an event keeps; length and digest speak of the whole.
pub const BODY_KEPT: usize = 64 * 1024;

/// The bytes of bodies that all events of one check keep together; of what comes later only length and digest.
pub const CHECK_KEPT: u64 = 8 * 1024 * 1024;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Its place in the run, counted from 0.
    pub seq: u64,
    /// Microseconds since the start of the run.
    pub at_us: u64,
    /// The check in which it happened; absent where it belongs to the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "snake_case")]
pub enum What {
    /// A run began.
    RunStarted {
        /// The protocol.
        protocol: String,
        /// The URL or command of the target, without secrets.
        target: String,
        /// Seed, time scale and the like, as shown to people.
        settings: BTreeMap<String, String>,
    },
    /// A feature or limit of the target is known.
    Feature {
        /// `stream.crash-safe`.
        name: String,
        /// `on`, `off` or a value.
        value: String,
        /// Who says so.
        source: Source,
    },
    /// A check began.
    CheckStarted {
        /// The requirements that it names.
        requirements: Vec<String>,
    },
    /// A connection was opened.
    Opened {
        /// Its number within the check.
        conn: u32,
        /// Which peer, and where to.
        peer: String,
    },
    /// We sent a message.
    Sent {
        /// The connection.
        conn: u32,
        /// What was sent.
        message: Message,
    },
    /// The target sent a message: an observation.
    Received {
        /// The connection.
        conn: u32,
        /// What came.
        message: Message,
        /// The event that it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answers: Option<u64>,
    },
    /// We ended the connection in the middle of a message.
    Cut {
        /// The connection.
        conn: u32,
    },
    /// The connection ended: an observation.
    Closed {
        /// The connection.
        conn: u32,
        /// How it ended, in words.
        how: String,
        /// The close code, where the protocol has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<u16>,
    },
    /// Nothing came for this long, although the target was alive: an observation.
    Silence {
        /// The connection.
        conn: u32,
        /// For how long, in milliseconds.
        ms: u64,
        /// The events that prove that the target was alive behind the silence.
        alive: Vec<u64>,
    },
    /// The owner's way to have the target act was used.
    Stimulus {
        /// Its name.
        name: String,
        /// What it was told: names and values.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        given: BTreeMap<String, String>,
        /// How long it took, in milliseconds.
        ms: u64,
    },
    /// A hook was carried out.
    Hook {
        /// Its name.
        name: String,
        /// How long it took, in milliseconds.
        ms: u64,
    },
    /// The target, a program that we start, was acted on, and this was seen of it.
    Program {
        /// The signal that it got, or `start`.
        act: String,
        /// The variables with which it was started, where they are not the usual ones.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        given: BTreeMap<String, String>,
        /// What became of it.
        seen: String,
        /// How long it took, in milliseconds.
        ms: u64,
    },
    /// A claim that held.
    Met {
        /// The requirement.
        requirement: String,
        /// Which of the alternatives was seen.
        alternative: String,
        /// Every alternative.
        expected: Vec<Expected>,
        /// The observations that it is about.
        on: Vec<u64>,
    },
    /// A claim that did not hold.
    Broken {
        /// The requirement.
        requirement: String,
        /// Every alternative.
        expected: Vec<Expected>,
        /// What was seen instead.
        actual: String,
        /// The observations that it is about.
        on: Vec<u64>,
    },
    /// Set-up that the check stands on did not work.
    SetUp {
        /// The requirement that broke it.
        requirement: String,
        /// What was needed.
        expected: Vec<Expected>,
        /// What came.
        actual: String,
        /// The observations that it is about.
        on: Vec<u64>,
    },
    /// The check could not go on, and nobody is to blame for it that the check could name.
    Stopped {
        /// Why.
        why: String,
        /// The target could not be reached at all.
        unreachable: bool,
    },
    /// Something that the target does not offer.
    Missing {
        /// What would supply it.
        what: String,
    },
    /// A mistake of ours.
    Harness {
        /// What went wrong.
        message: String,
    },
    /// A check ended.
    CheckFinished {
        /// Its verdict: the fold of its events.
        verdict: String,
        /// How long it took, in milliseconds.
        ms: u64,
    },
    /// A check did not run.
    LeftOut {
        /// Its verdict.
        verdict: String,
        /// Why.
        why: String,
    },
    /// The run ended, or was interrupted.
    RunFinished {
        /// Whether it was interrupted.
        interrupted: bool,
        /// Why the target could not be reached, where it could not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unreachable: Option<String>,
        /// The paths of what checks made and nobody could remove.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left: Vec<String>,
        /// The check at whose failure it stopped, if it was to stop at the first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stopped_at: Option<String>,
        /// The round trip to the target in microseconds, where it was measured.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        round_trip_us: Option<u64>,
    },
}

/// Who says what a feature is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The owner, on the command line or in the target file.
    Declared,
    /// The runner asked the target.
    Probed,
    /// The document.
    Default,
}

/// A message on the wire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "form", rename_all = "kebab-case")]
pub enum Message {
    /// An HTTP request.
    Request {
        /// The method.
        method: String,
        /// Path and query.
        target: String,
        /// The headers, secrets taken out.
        headers: BTreeMap<String, String>,
        /// The body.
        body: Bytes,
        /// Broken on purpose, by breaking a valid one.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        broken: bool,
    },
    /// An HTTP answer.
    Response {
        /// The status.
        status: u16,
        /// The headers.
        headers: BTreeMap<String, String>,
        /// The body.
        body: Bytes,
    },
    /// Bytes that were not decoded.
    Raw {
        /// The bytes.
        bytes: Bytes,
    },
    /// A text frame.
    Text {
        /// The text.
        text: Bytes,
    },
    /// A binary frame.
    Binary {
        /// The bytes.
        bytes: Bytes,
    },
    /// An event of an event stream.
    Event {
        /// Its name.
        name: String,
        /// The last id that came with it or before it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        id: String,
        /// Its data.
        data: Bytes,
        /// How many bytes came since the event before it.
        size: u64,
    },
    /// A line of the adapter of a client under test.
    Line {
        /// The line.
        text: String,
    },
}

/// Bytes as an event keeps them: at most [`BODY_KEPT`], with the length and digest of the whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bytes {
    /// The length of the whole.
    pub length: u64,
    /// SHA-256 of the whole in hexadecimal digits; absent where it is kept whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// What is kept, if it is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What is kept, in hexadecimal digits, if it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hex: Option<String>,
}

impl Bytes {
    /// Keeps what an event may keep of these bytes.
    pub fn keep(bytes: &[u8]) -> Self {
        let kept = &bytes[..bytes.len().min(BODY_KEPT)];
        let whole = kept.len() == bytes.len();
        let (text, digits) = match std::str::from_utf8(kept) {
            _ if kept.is_empty() => (None, None),
            Ok(text) => (Some(text.to_owned()), None),
            // A cut may split a character: the part before it is still text.
            Err(e) if !whole && e.valid_up_to() + 4 > kept.len() => {
                (Some(String::from_utf8_lossy(&kept[..e.valid_up_to()]).into_owned()), None)
            }
            Err(_) => (None, Some(hex(kept))),
        };
        Self {
            length: bytes.len() as u64,
            sha256: (!whole).then(|| {
                use sha2::Digest;
                hex(&sha2::Sha256::digest(bytes))
            }),
            text,
            hex: digits,
        }
    }
}

impl Bytes {
    /// The whole, if it is kept.
    pub(crate) fn whole(&self) -> Option<Vec<u8>> {
        if self.length == 0 {
            return Some(Vec::new());
        }
        self.sha256.is_none().then(|| self.kept()).flatten()
    }

    /// What is kept.
    fn kept(&self) -> Option<Vec<u8>> {
        let digits = |hex: &String| {
            let pairs = hex.as_bytes().chunks(2).filter_map(|pair| std::str::from_utf8(pair).ok());
            pairs.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
        };
        self.text.as_ref().map(|text| text.clone().into_bytes()).or_else(|| self.hex.as_ref().map(digits))
    }

    /// Keeps length and digest alone.
    fn forget(&mut self) {
        let kept = self.kept();
        (self.text, self.hex) = (None, None);
        if let (None, Some(kept)) = (&self.sha256, kept) {
            use sha2::Digest;
            self.sha256 = Some(hex(&sha2::Sha256::digest(kept)));
        }
    }
}

impl Message {
    fn bytes_mut(&mut self) -> Option<&mut Bytes> {
        match self {
            Message::Request { body: bytes, .. }
            | Message::Response { body: bytes, .. }
            | Message::Raw { bytes }
            | Message::Binary { bytes }
            | Message::Text { text: bytes }
            | Message::Event { data: bytes, .. } => Some(bytes),
            Message::Line { .. } => None,
        }
    }
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// One alternative of a claim, as data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Expected {
    /// In words.
    pub name: String,
    /// What an HTTP answer has to look like, where the alternative is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<ExpectedAnswer>,
}

/// What an HTTP answer has to look like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExpectedAnswer {
    /// The status.
    pub status: u16,
    /// Headers that have to be there, with their value if it matters.
    pub headers: BTreeMap<String, Option<String>>,
}

/// Where events of a run go: a number and a time for each, then to whoever listens.
#[derive(Clone)]
pub struct Sink(Arc<SinkInner>);

struct SinkInner {
    start: Instant,
    next: AtomicU64,
    out: mpsc::UnboundedSender<Arc<Event>>,
    secrets: Redaction,
}

impl Sink {
    /// A sink and the end at which events come out, in the order of their time within a check.
    pub fn new(secrets: Redaction) -> (Self, mpsc::UnboundedReceiver<Arc<Event>>) {
        let (out, events) = mpsc::unbounded_channel();
        (Self(Arc::new(SinkInner { start: Instant::now(), next: AtomicU64::new(0), out, secrets })), events)
    }

    /// Records an event of the run.
    pub fn record(&self, what: What) -> u64 {
        self.emit(None, what).seq
    }

    fn emit(&self, check: Option<&str>, what: What) -> Arc<Event> {
        let what = self.0.secrets.take_out(what);
        let seq = self.0.next.fetch_add(1, Ordering::Relaxed);
        let at_us = u64::try_from(self.0.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        let event = Arc::new(Event { seq, at_us, check: check.map(str::to_owned), what });
        // Nobody listening means that the run is over.
        let _ = self.0.out.send(event.clone());
        event
    }

    /// The log of one check in this run.
    pub fn log(&self, check: &'static str) -> Log {
        Log { sink: self.clone(), check, events: Arc::default(), kept: Arc::default() }
    }
}

/// The events of one check. Verdicts are folded from it.
#[derive(Clone)]
pub struct Log {
    sink: Sink,
    check: &'static str,
    events: Arc<Mutex<Vec<Arc<Event>>>>,
    kept: Arc<AtomicU64>,
}

impl Log {
    /// Records an event of this check and tells its number.
    pub fn record(&self, mut what: What) -> u64 {
        if let What::Sent { message, .. } | What::Received { message, .. } = &mut what
            && let Some(bytes) = message.bytes_mut()
        {
            let size = bytes.text.as_ref().or(bytes.hex.as_ref()).map_or(0, String::len) as u64;
            if self.kept.fetch_add(size, Ordering::Relaxed) + size > CHECK_KEPT {
                bytes.forget();
            }
        }
        // The lock is held over the numbering, so that the log is in the order of its numbers.
        let mut events = self.events.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let event = self.sink.emit(Some(self.check), what);
        let seq = event.seq;
        events.push(event);
        seq
    }

    /// What was recorded so far.
    pub fn events(&self) -> Vec<Arc<Event>> {
        self.events.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

impl What {
    /// Whether it is an observation: something that the target did on the wire.
    pub fn is_observation(&self) -> bool {
        match self {
            // The word of an adapter is no observation on the wire.
            What::Received { message, .. } => !matches!(message, Message::Line { .. }),
            What::Closed { .. } | What::Silence { .. } | What::Program { .. } => true,
            _ => false,
        }
    }
}
