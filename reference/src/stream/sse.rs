//! An event stream: the answers to a reader that stays, as events, for as long as the reader takes them.

use super::{
    content,
    message::{offset, random},
    model::{Answer, Ask, Poll},
    server::{Reader, Reply},
};
use crate::log::Range;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hyper::body::{Body, Frame};
use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll as Polled, ready},
};
use wireproof_spec::stream::{Cursor, MediaType, SseControl};

/// The longest character in bytes: an answer that holds less might never get behind one.
pub(super) const LONGEST: u64 = 4;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its name.
    pub name: String,
    /// Its data; each line of it is a line of the event.
    pub data: String,
}

impl Event {
    /// As it stands on the wire.
    fn write(&self, out: &mut String) {
        out.push_str("event: ");
        out.push_str(&self.name);
        out.push('\n');
        // To a reader CR, LF and CRLF are one end of a line each, so nothing in the data can be taken for a field.
        let lines = self.data.replace("\r\n", "\n").replace('\r', "\n");
        for line in lines.split('\n') {
            out.push_str("data: ");
            out.push_str(line);
            out.push('\n');
        }
        out.push('\n');
    }
}

/// Whether data of this type is encoded in base64.
pub(super) fn is_encoded(media_type: &MediaType) -> bool {
    !media_type.is_json() && !media_type.essence().starts_with("text/")
}

/// What came of an answer: its events, and how the reader goes on; not at all behind the last.
struct Step {
    events: Vec<Event>,
    next: Option<Next>,
}

/// Where a reader goes on.
#[derive(Clone, Copy)]
struct Next {
    from: u64,
    seen: u64,
}

/// The body of an event stream.
pub(super) struct Events(Option<Pin<Box<Stepping>>>);

type Stepping = dyn Future<Output = Option<(Bytes, State)>> + Send;

/// Between two answers.
struct State {
    reader: Reader,
    next: Option<Next>,
    cursor: u64,
    ready: Option<Reply>,
}

impl Events {
    /// Begins with the first answer.
    pub(super) fn new(reader: Reader, first: Reply) -> Self {
        let state = State { reader, next: None, cursor: 0, ready: Some(first) };
        Self(Some(Box::pin(step(state))))
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Polled<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(stepping) = &mut self.0 else { return Polled::Ready(None) };
        let stepped = ready!(stepping.as_mut().poll(cx));
        self.0 = None;
        Polled::Ready(stepped.map(|(bytes, state)| {
            self.0 = Some(Box::pin(step(state)));
            Ok(Frame::data(bytes))
        }))
    }
}

/// The events of the next answer that has any; none at the end.
async fn step(mut state: State) -> Option<(Bytes, State)> {
    loop {
        let reply = match (state.ready.take(), state.next.take()) {
            (Some(first), _) => first,
            (None, Some(Next { from, seen })) => {
                let limits = state.reader.limits();
                let poll =
                    Poll { chunk: limits.chunk.max(LONGEST), patience: 0, cursor: None, random: random() };
                state.reader.ask(Ask::Next { from, seen, poll }).await?
            }
            (None, None) => return None,
        };
        let Step { mut events, next } = state.answered(reply).await?;
        state.next = next;
        if events.is_empty() {
            continue;
        }
        state.reader.map(&mut events);
        let mut text = String::new();
        events.iter().for_each(|event| event.write(&mut text));
        return Some((text.into(), state));
    }
}

impl State {
    /// None if the reader cannot go on: its time is over, or the stream is gone.
    async fn answered(&mut self, reply: Reply) -> Option<Step> {
        match reply.answer() {
            Answer::Nothing { tail, closed, cursor, .. } => {
                let control = self.control(*tail, *cursor, true, *closed)?;
                let next = (!closed).then_some(Next { from: *tail, seen: *tail });
                Some(Step { events: vec![control], next })
            }
            Answer::Content { range, inherited, media_type, up_to_date, closed, cursor } => {
                let (data, to) = self.data(*range, inherited, media_type, *closed).await?;
                let whole = to == range.to;
                let control = self.control(to, *cursor, *up_to_date && whole, *closed && whole)?;
                let seen = if *up_to_date { range.to } else { to };
                // A JSON answer is cut, and what it left is there already. Of a character only the rest will come.
                let seen = if media_type.is_json() { to } else { seen };
                let next = (!(*closed && whole)).then_some(Next { from: to, seen });
                let events = match data {
                    Some(data) => vec![Event { name: "data".into(), data }, control],
                    None => Vec::new(),
                };
                Some(Step { events, next })
            }
            _ => None,
        }
    }

    /// The data of an answer and the position behind it; none if there is only the beginning of a character.
    async fn data(
        &self,
        range: Range,
        inherited: &[Range],
        media_type: &MediaType,
        last: bool,
    ) -> Option<(Option<String>, u64)> {
        let store = self.reader.content();
        let failed = |error| tracing::error!(%error, "content was not read");
        if media_type.is_json() {
            let chunk = self.reader.limits().chunk;
            let messages = content::messages(store, range, inherited, chunk).await.map_err(failed).ok()??;
            return Some((Some(String::from_utf8_lossy(&messages.array).into_owned()), messages.to));
        }
        let bytes = content::read(store, range, inherited).await.map_err(failed).ok()?;
        if is_encoded(media_type) {
            return Some((Some(STANDARD.encode(&bytes)), range.to));
        }
        let cut = if last { 0 } else { unfinished(&bytes) };
        let whole = &bytes[..bytes.len() - cut];
        let text = (!whole.is_empty()).then(|| String::from_utf8_lossy(whole).into_owned());
        Some((text, range.to - cut as u64))
    }

    fn control(&mut self, at: u64, cursor: Option<u64>, up_to_date: bool, closed: bool) -> Option<Event> {
        // A cursor that had to pass the client's is not taken back.
        self.cursor = self.cursor.max(cursor.unwrap_or_default());
        let control = SseControl {
            stream_next_offset: offset(at).ok()?,
            stream_cursor: (!closed).then(|| Cursor::from(self.cursor)),
            up_to_date,
            stream_closed: closed,
        };
        let data = serde_json::to_string(&control).ok()?;
        Some(Event { name: "control".into(), data })
    }
}

/// How many bytes at the end are the beginning of a character.
fn unfinished(bytes: &[u8]) -> usize {
    let last = bytes.utf8_chunks().last().map_or(&[][..], |chunk| chunk.invalid());
    match std::str::from_utf8(last) {
        Err(error) if error.error_len().is_none() => last.len(),
        _ => 0,
    }
}
