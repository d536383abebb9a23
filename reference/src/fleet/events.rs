//! Event streams: what happens, for every operator that listens, for as long as it takes what it is told.

use super::{
    model::Told,
    seams::Piece,
    server::{Session, Shared},
};
use bytes::Bytes;
use futures_util::{Stream, stream};
use hyper::body::Frame;
use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, Interval, interval_at},
};
use wireproof_spec::{
    fleet::Event,
    http::{Request, Response},
};

/// An event as it is told to everyone.
pub(super) struct Written {
    name: &'static str,
    data: String,
}

impl Written {
    pub(super) fn new(told: &Told) -> Self {
        let (event, data) = match told {
            Told::Join(instance) => (Event::Join, instance.encode()),
            Told::Leave(instance) => (Event::Leave, instance.encode()),
            Told::Stale(instance) => (Event::Stale, instance.encode()),
            Told::Create(room) => (Event::Create, room.encode()),
            Told::Destroy(room) => (Event::Destroy, room.encode()),
            Told::Sync(stats) => (Event::Sync, stats.encode()),
        };
        Self { name: event.name(), data }
    }

    fn weight(&self) -> usize {
        self.name.len() + self.data.len()
    }
}

/// Where a reader is told events.
pub(super) struct Listener {
    events: mpsc::UnboundedSender<Arc<Written>>,
    waiting: Arc<AtomicUsize>,
    /// Since when too much waits, as far as it was looked at.
    over: Option<Instant>,
    /// Ends the connection of the reader.
    cut: Arc<Notify>,
}

impl Listener {
    /// Tells a reader an event; says whether it still listens. One for which more than `most` bytes have waited for longer than
    /// `lag` does not: a reader never misses an event in the middle, and one decision may have events beyond any bound.
    pub(super) fn tell(&mut self, event: &Arc<Written>, most: usize, lag: Duration) -> bool {
        if self.waiting.load(Ordering::Relaxed) <= most {
            self.over = None;
        } else if self.over.get_or_insert_with(Instant::now).elapsed() >= lag {
            tracing::warn!("a reader of events does not keep up: it is cut off");
            self.cut.notify_one();
            return false;
        }
        self.waiting.fetch_add(event.weight(), Ordering::Relaxed);
        // It may go away at this moment.
        self.events.send(Arc::clone(event)).is_ok()
    }
}

/// What waits for a reader.
pub(super) struct Waiting {
    events: mpsc::UnboundedReceiver<Arc<Written>>,
    waiting: Arc<AtomicUsize>,
}

/// Both ends of what waits for a reader, whose connection ends when it is cut.
pub(super) fn waiting(cut: Arc<Notify>) -> (Listener, Waiting) {
    let (sender, events) = mpsc::unbounded_channel();
    let waiting = Arc::<AtomicUsize>::default();
    (Listener { events: sender, waiting: Arc::clone(&waiting), over: None, cut }, Waiting { events, waiting })
}

/// The head of an event stream.
pub(super) fn head() -> Response {
    Response::new(200)
        .header("content-type", "text/event-stream; charset=utf-8")
        .header("cache-control", "no-cache, no-transform")
        .header("connection", "keep-alive")
        .header("x-accel-buffering", "no")
}

/// What an event stream is written from. If the reader goes away hyper drops it, and the session ends.
pub(super) struct Listening {
    pub(super) session: Session,
    pub(super) waiting: Waiting,
}

/// The body of an event stream.
pub(super) type Body = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>;

struct State {
    listening: Listening,
    request: Request,
    pings: Interval,
    /// What a seam has put before what comes next.
    pieces: VecDeque<Piece>,
    begun: bool,
}

/// The event stream that answers a request.
pub(super) fn body(listening: Listening, request: &Request) -> Body {
    let every = Duration::from_millis(listening.session.shared.limits.event_ping_ms.max(1));
    let pings = interval_at(Instant::now() + every, every);
    // Whoever maps events sees what was asked; it has no body.
    let request = request.clone();
    let state = State { listening, request, pings, pieces: VecDeque::new(), begun: false };
    Box::pin(stream::unfold(state, |mut state| async {
        let bytes = state.next().await?;
        Some((Ok(Frame::data(bytes)), state))
    }))
}

impl State {
    /// What is written next; none at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let piece = match self.pieces.pop_front() {
                Some(piece) => piece,
                None => {
                    let piece = self.piece().await?;
                    let shared: &Shared = &self.listening.session.shared;
                    let Some(map) = &shared.events else { return Some(write(piece).into()) };
                    let mut pieces = vec![piece];
                    map(&self.request, &mut pieces);
                    self.pieces = pieces.into();
                    continue;
                }
            };
            match piece {
                Piece::Pause(time) => tokio::time::sleep(time).await,
                Piece::End => return None,
                piece => return Some(write(piece).into()),
            }
        }
    }

    async fn piece(&mut self) -> Option<Piece> {
        if !self.begun {
            self.begun = true;
            return Some(Piece::Comment("connected".into()));
        }
        let waiting = &mut self.listening.waiting;
        tokio::select! {
            event = waiting.events.recv() => {
                let event = event?;
                waiting.waiting.fetch_sub(event.weight(), Ordering::Relaxed);
                Some(Piece::Event { name: event.name.to_owned(), data: event.data.clone() })
            }
            _ = self.pings.tick() => Some(Piece::Comment("ping".into())),
        }
    }
}

/// A piece as it stands on the wire.
fn write(piece: Piece) -> String {
    match piece {
        Piece::Event { name, data } => {
            let mut text = format!("event: {name}\n");
            // JSON has no line ends of its own; what a seam put there must not be taken for a field.
            for line in data.replace("\r\n", "\n").replace('\r', "\n").split('\n') {
                text.push_str("data: ");
                text.push_str(line);
                text.push('\n');
            }
            text.push('\n');
            text
        }
        Piece::Comment(text) => format!(": {text}\n\n"),
        Piece::Raw(text) => text,
        Piece::Pause(_) | Piece::End => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_written_as_lines() {
        let event = Piece::Event { name: "sync".into(), data: "{}".into() };
        assert_eq!(write(event), "event: sync\ndata: {}\n\n");
        let event = Piece::Event { name: "a".into(), data: "1\r\n2\r3".into() };
        assert_eq!(write(event), "event: a\ndata: 1\ndata: 2\ndata: 3\n\n");
        assert_eq!(write(Piece::Comment("ping".into())), ": ping\n\n");
    }

    #[test]
    fn a_reader_that_takes_nothing_is_cut() {
        let cut = Arc::new(Notify::new());
        let (mut listener, mut waiting) = waiting(Arc::clone(&cut));
        let event = Arc::new(Written { name: "sync", data: "x".repeat(60) });
        let (some, none) = (Duration::from_secs(60), Duration::ZERO);
        assert!(listener.tell(&event, 100, none) && listener.tell(&event, 100, none));
        // Not yet for as long as it may.
        assert!(listener.tell(&event, 100, some));
        assert!(!listener.tell(&event, 100, none));
        drop(listener);
        for _ in 0..3 {
            assert!(waiting.events.try_recv().is_ok());
        }
        assert!(waiting.events.try_recv().is_err());
    }
}
