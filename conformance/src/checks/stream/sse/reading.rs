//! What an event stream says, gathered for one claim over many events.

use super::super::setting::Stream;
use crate::{
    check::{Alternative, Cx, Outcome, Shown, alternative},
    wire::{
        Seen,
        sse::{Event, Item, Reader},
    },
};
use std::time::Duration;
use tokio::time::Instant;
use wireproof_spec::stream::{
    SseControl,
    requirements::{STREAM_SSE_4, STREAM_SSE_5},
    sse::{CONTROL, DATA},
};

/// What an event stream said so far.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// Its events, of whatever name.
    pub events: Vec<Event>,
    /// The data of all data events together, as it came.
    pub data: String,
    /// Whether the server has ended it.
    pub ended: bool,
}

/// A control event and what came before it.
#[derive(Clone, Debug)]
pub struct Place {
    /// How many bytes of data came before.
    pub behind: usize,
    /// What it says; none if it is no control event of the protocol.
    pub control: Option<SseControl>,
}

/// Someone who reads an event stream.
pub struct Live<'a> {
    cx: &'a Cx,
    reader: Reader,
    seen: Vec<Seen<Item>>,
    said: Said,
}

impl Said {
    fn hear(&mut self, event: &Event) {
        if event.name == DATA {
            self.data.push_str(&event.data);
        }
        self.events.push(event.clone());
    }

    /// The data of each data event.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.events.iter().filter(|e| e.name == DATA).map(|e| e.data.as_str())
    }

    /// The data and control events: events of other names say nothing.
    pub fn known(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(|e| matches!(e.name.as_str(), DATA | CONTROL))
    }

    /// Every control event.
    pub fn places(&self) -> Vec<Place> {
        let (mut behind, mut places) = (0, Vec::new());
        for event in self.known() {
            if event.name == DATA {
                behind += event.data.len();
            } else {
                places.push(Place { behind, control: serde_json::from_str(&event.data).ok() });
            }
        }
        places
    }

    /// The last data or control event, if it is a control event.
    pub fn last(&self) -> Option<SseControl> {
        self.known().last().filter(|e| e.name == CONTROL).and_then(|e| serde_json::from_str(&e.data).ok())
    }
}

impl Shown for Said {
    fn shown(&self) -> String {
        const MOST: usize = 8;
        let mut parts: Vec<String> = Vec::new();
        if self.events.len() > MOST {
            parts.push(format!(
                "{} events with {} bytes of data, at last",
                self.events.len(),
                self.data.len()
            ));
        }
        let last = self.events.len().saturating_sub(MOST);
        parts.extend(self.events[last..].iter().map(|event| format!("[{}]", event.shown())));
        parts.push(if self.ended { "and the end" } else { "and no end yet" }.into());
        parts.join(" ")
    }
}

impl<'a> Live<'a> {
    /// Asks for an event stream, and returns when the request has left.
    ///
    /// # Errors
    /// Stops the check if the target cannot be reached.
    pub async fn open(cx: &'a Cx, stream: &Stream, offset: &str) -> Outcome<Self> {
        Ok(Self::of(cx, cx.sse(stream.sse(offset)).await?))
    }

    /// Someone who reads this one.
    pub fn of(cx: &'a Cx, reader: Reader) -> Self {
        Self { cx, reader, seen: Vec::new(), said: Said::default() }
    }

    /// The reader, where nothing is gathered any more.
    pub fn into_reader(self) -> Reader {
        self.reader
    }

    /// Reads until this is so, or the event stream ends; tells all that was said from its start.
    ///
    /// Data has to come within the time for an answer, and so has what is awaited behind the last data.
    ///
    /// # Errors
    /// Stops the check if nothing more comes and the target is not alive.
    pub async fn until(&mut self, done: impl Fn(&Said) -> bool) -> Outcome<Seen<Said>> {
        self.within(self.cx.answer_time(), done).await
    }

    /// As [`Live::until`], for what may take so long.
    ///
    /// # Errors
    /// As [`Live::until`].
    pub async fn within(&mut self, time: Duration, done: impl Fn(&Said) -> bool) -> Outcome<Seen<Said>> {
        /// So many events for the few megabytes that a check writes are no reading any more.
        const MOST: usize = 20_000;
        let head = self.reader.head().await?;
        if head.look().is_err() {
            return Ok(head.map(|_| Said::default()));
        }
        let mut until = Instant::now() + time;
        while !done(&self.said) && !self.said.ended {
            if self.seen.len() == MOST {
                return Err(self.cx.stop("reading does not come to an end: there are ever more events"));
            }
            let seen = self.reader.next_by(until).await?;
            match seen.look() {
                Ok(Item::End) => self.said.ended = true,
                Ok(Item::Event(event)) => {
                    if event.name == DATA {
                        until = Instant::now() + time;
                    }
                    self.said.hear(event);
                }
                Err(_) => return Ok(seen.map(|_| Said::default())),
            }
            self.seen.push(seen);
        }
        let said = self.said.clone();
        Ok(head.and(Seen::all(self.seen.iter().cloned())).map(|_| said))
    }

    /// Reads for so long, or until the event stream ends, and tells all that was said from its start.
    ///
    /// # Errors
    /// Stops the check if the target is not alive behind a silence.
    pub async fn for_a_while(&mut self, time: Duration) -> Outcome<Seen<Said>> {
        self.for_up_to(time, |_| false).await
    }

    /// Reads until this is so, for so long at most, or until the event stream ends, and tells all that was said from its start.
    ///
    /// # Errors
    /// Stops the check if the target is not alive behind a silence.
    pub async fn for_up_to(&mut self, time: Duration, done: impl Fn(&Said) -> bool) -> Outcome<Seen<Said>> {
        let head = self.reader.head().await?;
        let until = Instant::now() + time;
        let mut quiet = None;
        while !done(&self.said) && !self.said.ended && quiet.is_none() && head.look().is_ok() {
            let seen = self.reader.quiet(until.saturating_duration_since(Instant::now())).await?;
            match seen.look() {
                Ok(Some(Item::Event(event))) => self.said.hear(&event.clone()),
                Ok(Some(Item::End)) => self.said.ended = true,
                Ok(None) => quiet = Some(seen.clone()),
                Err(_) => return Ok(seen.map(|_| Said::default())),
            }
            self.seen.push(seen.map(|item| item.unwrap_or(Item::End)));
        }
        let said = self.said.clone();
        Ok(head.and(Seen::all(self.seen.iter().cloned())).map(|_| said))
    }

    /// Reads until the server ends it.
    ///
    /// # Errors
    /// As [`Live::until`].
    pub async fn end(&mut self) -> Outcome<Seen<Said>> {
        self.until(|_| false).await
    }

    /// Reads until so many bytes of data came.
    ///
    /// # Errors
    /// As [`Live::until`].
    pub async fn data(&mut self, length: usize) -> Outcome<Seen<Said>> {
        self.until(|said| said.data.len() >= length).await
    }

    /// Reads until so many bytes of data came, or a control event says that this is the tail: then no more will come.
    ///
    /// # Errors
    /// As [`Live::until`].
    pub async fn to(&mut self, tail: &str, length: usize) -> Outcome<Seen<Said>> {
        let is_there = |said: &Said| said.last().is_some_and(|c| c.stream_next_offset.as_str() == tail);
        self.until(|said| said.data.len() >= length || is_there(said)).await
    }

    /// Reads until so many bytes of data came, and needs that they come.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if they do not come.
    pub async fn needed(&mut self, length: usize) -> Outcome {
        let said = self.data(length).await?;
        let name = format!("data events with {length} bytes");
        self.cx.need(STREAM_SSE_4, &said, &[alternative(name, move |s: &Said| s.data.len() == length)])?;
        Ok(())
    }

    /// Reads until so many bytes of data came, and needs a control event behind them.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if they do not come.
    pub async fn controlled(&mut self, length: usize) -> Outcome<Seen<Said>> {
        let behind = |said: &Said| said.data.len() >= length && said.last().is_some();
        let said = self.until(behind).await?;
        let name = format!("a control event behind {length} bytes of data");
        let has = alternative(name, move |s: &Said| s.data.len() >= length && s.last().is_some());
        self.cx.need(STREAM_SSE_5, &said, &[has])?;
        Ok(said)
    }
}

/// The data events hold exactly this text.
pub fn text(content: impl Into<String>) -> Alternative<Said> {
    let content = content.into();
    let name = match content.len() {
        0 => "no data".to_owned(),
        1..=60 => format!("data events with {content:?}"),
        length => format!("data events with exactly the {length} bytes that were written"),
    };
    alternative(name, move |said: &Said| said.data == content)
}
