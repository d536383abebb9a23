//! What an agent says, read, and what a check expects of it.

use crate::{
    check::{Alternative, Shown, alternative},
    wire::{limit::words, ws::Frame},
};
use bytes::Bytes;
use tokio::time::Instant;
use wireproof_spec::fleet::{
    Ack, Cmd, Poll, Snapshot, State,
    frames::{Outer, put_bytes, put_varint},
};

/// A frame of an agent, and when it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// When it was read.
    pub at: Instant,
    /// Its bytes, if it is binary.
    pub bytes: Bytes,
    /// What it says.
    pub said: Said,
}

/// What an agent says.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// A State, and how it is not as who writes one has to write it.
    State {
        /// As a reader reads it.
        state: State,
        /// What is wrong with it, if anything is.
        wrong: Option<String>,
    },
    /// An Ack.
    Ack(Ack),
    /// A message that is none of these, in words.
    Strange(String),
    /// The end, with the code and the reason of the close frame if there was one.
    Closed(Option<(u16, String)>),
}

impl Heard {
    /// What a frame says.
    pub fn of(frame: Frame) -> Self {
        let at = Instant::now();
        match frame {
            Frame::Binary(bytes) => Self { at, said: Said::of(&bytes), bytes },
            Frame::Text(text) => {
                Self { at, bytes: Bytes::new(), said: Said::Strange(format!("the text {:?}", words(&text))) }
            }
            Frame::Close(with) => Self { at, bytes: Bytes::new(), said: Said::Closed(with) },
        }
    }

    /// The State that it is.
    pub fn state(&self) -> Option<&State> {
        match &self.said {
            Said::State { state, .. } => Some(state),
            _ => None,
        }
    }

    /// The snapshot that it has.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.state()?.snapshot.as_ref()
    }

    /// The Ack that it is.
    pub fn ack(&self) -> Option<&Ack> {
        match &self.said {
            Said::Ack(ack) => Some(ack),
            _ => None,
        }
    }
}

impl Said {
    fn of(bytes: &[u8]) -> Self {
        let strange = |why: &str| Self::Strange(format!("{} bytes that are no message ({why})", bytes.len()));
        let outer = match Outer::decode(bytes) {
            Ok(outer) => outer,
            Err(why) => return strange(&why.to_string()),
        };
        let inner = outer.payload.unwrap_or_default();
        match outer.topic.as_deref() {
            Some("fleet/state") => match State::receive(inner) {
                Ok(state) => {
                    Self::State { state, wrong: State::decode_frame(inner).err().map(|why| why.to_string()) }
                }
                Err(why) => strange(&why.to_string()),
            },
            Some("fleet/ack") => Ack::receive(inner).map_or_else(|why| strange(&why.to_string()), Self::Ack),
            other => Self::Strange(format!("a frame with the topic {:?}", other.map(words))),
        }
    }
}

impl Shown for Heard {
    fn shown(&self) -> String {
        match &self.said {
            Said::State { state, wrong } => {
                let wrong =
                    wrong.as_ref().map_or_else(String::new, |why| format!(", which is malformed ({why})"));
                format!("{}{wrong}", state.shown())
            }
            Said::Ack(ack) => ack.shown(),
            Said::Strange(what) => what.clone(),
            Said::Closed(None) => "a close frame without a code".into(),
            Said::Closed(Some((code, reason))) => {
                format!("a close frame with the code {code} and the reason {:?}", words(reason))
            }
        }
    }
}

impl Shown for State {
    fn shown(&self) -> String {
        let (id, hash, seq) = (words(&self.req_id), words(&self.hash), self.seq);
        match &self.snapshot {
            None => format!("a hash-only State for {id:?} with the seq {seq} and the hash {hash:?}"),
            Some(snapshot) => format!(
                "a State for {id:?} with the seq {seq}, the hash {hash:?} and the snapshot {}",
                words(&snapshot.content().to_string())
            ),
        }
    }
}

impl Shown for Ack {
    fn shown(&self) -> String {
        words(&format!("the Ack {self:?}"))
    }
}

/// What is looked at of what is said.
pub trait Ask {
    /// In words.
    fn named(&self) -> String;
}

impl Ask for Poll {
    fn named(&self) -> String {
        format!("the Poll {:?}", words(&self.req_id))
    }
}

impl Ask for Cmd {
    fn named(&self) -> String {
        format!("the Cmd {:?}", words(&self.cmd_id))
    }
}

/// That a Poll is answered, with a State that meets this condition.
pub fn state_of(
    poll: &Poll,
    name: &str,
    holds: impl Fn(&State) -> bool + Send + Sync + 'static,
) -> Alternative<Heard> {
    let beside = if name.is_empty() { String::new() } else { format!(", {name}") };
    let req_id = poll.req_id.clone();
    alternative(format!("the State for {}{beside}", poll.named()), move |heard: &Heard| {
        heard.state().is_some_and(|state| state.req_id == req_id && holds(state))
    })
}

/// That a Poll is answered with a snapshot.
pub fn snapshot(poll: &Poll) -> Alternative<Heard> {
    poll_of(poll, "a snapshot", |_| true)
}

/// That a Poll is answered with a snapshot that meets this condition.
pub fn poll_of(
    poll: &Poll,
    name: &str,
    holds: impl Fn(&Snapshot) -> bool + Send + Sync + 'static,
) -> Alternative<Heard> {
    state_of(poll, name, move |state| state.snapshot.as_ref().is_some_and(&holds))
}

/// That a Poll is answered with this hash and nothing else.
pub fn hash_only(poll: &Poll, hash: &str) -> Alternative<Heard> {
    let (req_id, hash) = (poll.req_id.clone(), hash.to_owned());
    let name = format!("the State for {}, hash-only, with the hash {:?}", poll.named(), words(&hash));
    alternative(name, move |heard: &Heard| {
        matches!(&heard.said, Said::State { state, wrong: None }
            if state.req_id == req_id && state.hash == hash && state.snapshot.is_none())
    })
}

/// That a Cmd is acknowledged, with an Ack that meets this condition.
pub fn acked(
    cmd: &Cmd,
    name: &str,
    holds: impl Fn(&Ack) -> bool + Send + Sync + 'static,
) -> Alternative<Heard> {
    let beside = if name.is_empty() { String::new() } else { format!(", {name}") };
    let cmd_id = cmd.cmd_id.clone();
    alternative(format!("the Ack for {}{beside}", cmd.named()), move |heard: &Heard| {
        heard.ack().is_some_and(|ack| ack.cmd_id == cmd_id && holds(ack))
    })
}

/// Fields with numbers that no message has, one of each wire type that a reader passes over.
pub(in crate::checks::fleet) fn unknown_fields() -> Vec<u8> {
    let mut out = Vec::new();
    // 0, 1, 2 and 5.
    put_varint(&mut out, 1_000 << 3);
    put_varint(&mut out, 300);
    put_varint(&mut out, 1_001 << 3 | 1);
    out.extend([1, 2, 3, 4, 5, 6, 7, 8]);
    put_bytes(&mut out, 1_002, b"unknown");
    put_varint(&mut out, 1_003 << 3 | 5);
    out.extend([1, 2, 3, 4]);
    // A number that is next to those of the messages.
    put_bytes(&mut out, 16, b"next");
    out
}

/// Inner frames that cannot be read, made of one that can: what is wrong, and the bytes.
pub(in crate::checks::fleet) fn broken(frame: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let with_major = |major: u8| {
        let mut frame = frame.to_vec();
        frame[0] = major;
        frame
    };
    let and = |more: &[u8]| [frame, more].concat();
    vec![
        ("empty", Vec::new()),
        ("one byte", vec![3]),
        ("the major 2", with_major(2)),
        ("the major 4", with_major(4)),
        ("JSON", br#"{"reqId":"poll_0","cmdId":"cmd_0","op":"drain","status":"active"}"#.to_vec()),
        ("the field 0", and(&[0x00, 0x00])),
        ("a varint cut off", and(&[0x80])),
        ("a string cut off", and(&[0xba, 0x3e, 9, b'x'])),
        ("its own string cut off", frame[..frame.len() - 1].to_vec()),
    ]
}
