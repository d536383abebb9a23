//! The shell of a subscription: one task that asks the model, calls the handler, and dials.
//!
//! What comes on a connection is looked at in its order, its end included, and only while no message is with the handler. So a
//! connection that broke is dialled again when what came before was processed, and the offset that is acknowledged then is
//! exact. The end that the user wants does not wait for anything.

use super::{
    error::Error,
    model::{Effect, Input, Plan, Record, State, Status, SubscriberModel, What},
    seams::{Dial, Frame, MapDelay, MapDelivered, MapDial, Seams},
    settings::{Bounds, Settings, Subscribe},
    stream::{self, Messages},
    url,
};
use crate::{
    client::{
        connection::{Command, Event as Came, Happened, Line, Link, Wires},
        place::place,
        random,
    },
    clock::{AGAIN, Clock, sleep_until},
    model::{Decision, Model, Port},
};
use std::{collections::VecDeque, ops::Deref, pin::Pin, sync::Arc};
use tokio::{
    sync::{broadcast, mpsc, watch},
    task::JoinSet,
    time::Instant,
};
use wireproof_spec::{
    http::Fields,
    queue::{Message, Offset, QueueName},
};

/// There is room for all of these events from the beginning, so that there is a limit to what can be set.
const EVENTS: usize = 64 * 1024;

/// What a user may want to know beside the messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Where the subscription is now.
    Status(Status),
    /// What went wrong. If it is the end, the status that follows it says so.
    Error(Error),
}

/// A subscription as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Where it is.
    pub status: Status,
    /// The id under which the server knows it.
    pub client_id: Option<String>,
    /// The offset of the last message that was processed.
    pub last_offset: Option<i64>,
    /// How often it has dialled.
    pub dials: u64,
    /// How it ended, once it has: nothing more is delivered.
    pub end: Option<Result<(), Error>>,
    /// Whether it has heard that its user is done.
    closing: bool,
}

/// Looks at a subscription and can end it. It does not keep it alive.
#[derive(Clone, Debug)]
pub struct Handle {
    close: Arc<watch::Sender<bool>>,
    seen: watch::Receiver<Seen>,
}

impl Handle {
    /// Ends the subscription. When it returns, no message is handed over any more and nothing is dialled; a message that is
    /// with the handler stays with it to its end. The handler may call it.
    pub async fn close(&self) {
        self.close.send_replace(true);
        // Without its task it is closed anyway.
        let _ = self.seen.clone().wait_for(|seen| seen.closing).await;
    }

    /// How the subscription is now.
    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Waits until the subscription is as wanted; none if it ends before.
    pub async fn until(&self, wanted: impl FnMut(&Seen) -> bool) -> Option<Seen> {
        self.seen.clone().wait_for(wanted).await.ok().map(|seen| seen.clone())
    }

    /// Waits until nothing is left of it: the handler has returned, and connections are closed, within their bounds. The
    /// handler cannot wait for that.
    ///
    /// # Errors
    /// What ended it, if that was not its user.
    pub async fn ended(&self) -> Result<(), Error> {
        let mut seen = self.seen.clone();
        while seen.changed().await.is_ok() {}
        seen.borrow().end.clone().unwrap_or(Err(Error::CutOff))
    }

    pub(super) fn is_closing(&self) -> bool {
        *self.close.borrow()
    }

    pub(super) fn closing(&self) -> watch::Receiver<bool> {
        self.close.subscribe()
    }
}

/// A subscription that runs. Dropping it closes it.
#[derive(Debug)]
pub struct Subscription {
    handle: Handle,
    /// What happens. Whoever reads too late misses the oldest.
    pub events: broadcast::Receiver<Event>,
}

impl Subscription {
    /// A handle of it.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Deref for Subscription {
    type Target = Handle;
    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.handle.close.send_replace(true);
    }
}

/// Subscribes with a handler: called with one message after the other, each when it has returned from the one before. It needs
/// a runtime of tokio.
///
/// # Errors
/// What is asked for cannot be: nothing is dialled.
pub fn subscribe<H, F, E>(
    settings: &Settings,
    to: &Subscribe,
    seams: Seams,
    mut handler: H,
) -> Result<Subscription, Error>
where
    H: FnMut(Message) -> F + Send + 'static,
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: std::fmt::Display,
{
    begin(settings, to, seams, |_| {
        Box::new(move |message| {
            let handled = handler(message);
            Box::pin(async move { handled.await.map_err(|error| error.to_string()) })
        })
    })
}

/// Subscribes to a stream of messages. It needs a runtime of tokio.
///
/// # Errors
/// What is asked for cannot be: nothing is dialled.
pub fn stream(settings: &Settings, to: &Subscribe, seams: Seams) -> Result<Messages, Error> {
    let (messages, received) = mpsc::channel(1);
    let handler = |handle: &Handle| stream::handler(handle.closing(), messages);
    Ok(Messages::new(begin(settings, to, seams, handler)?, received))
}

/// What a handler makes of a message, or why it failed.
pub(super) type Handled = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
/// Handles messages.
pub(super) type Handler = Box<dyn FnMut(Message) -> Handled + Send>;

fn begin(
    settings: &Settings,
    to: &Subscribe,
    seams: Seams,
    handler: impl FnOnce(&Handle) -> Handler,
) -> Result<Subscription, Error> {
    let queue = QueueName::new(to.queue.as_str()).map_err(Error::Name)?;
    if settings.key.is_empty() {
        return Err(Error::NoKey);
    }
    let url = url::subscription(&settings.base_url, &queue);
    place(&url, "ws").map_err(|why| Error::Url(settings.base_url.clone(), why))?;
    let plan = Plan { key: settings.key.clone(), org_id: settings.org_id.clone(), redial: settings.redial };
    let state = State::new(plan, to)?;
    let Seams { dial, heard, said, written, read, delay, delivered, hasty, port } = seams;
    let (events, reports) = broadcast::channel(settings.bounds.events.clamp(1, EVENTS));
    let (close, closing) = watch::channel(false);
    let (seen, seeing) = watch::channel(Seen::default());
    let handle = Handle { close: Arc::new(close), seen: seeing };
    let driver = Driver {
        state,
        port,
        clock: Clock::start(),
        url,
        bounds: settings.bounds,
        dial,
        delay,
        delivered,
        hasty,
        wires: Arc::new(Wires { heard, said, written, read, takes: None, pings: false }),
        link: None,
        lines: JoinSet::new(),
        handler: handler(&handle),
        deliveries: VecDeque::new(),
        with_handler: None,
        events,
        seen,
        closing,
        heard_close: false,
        end: None,
    };
    tokio::spawn(driver.run());
    Ok(Subscription { handle, events: reports })
}

/// The task of a subscription.
struct Driver {
    state: State,
    port: Port<SubscriberModel>,
    clock: Clock,
    url: String,
    bounds: Bounds,
    dial: Option<MapDial>,
    delay: Option<MapDelay>,
    delivered: Option<MapDelivered>,
    hasty: bool,
    wires: Arc<Wires>,
    /// The connection that counts.
    link: Option<Link>,
    /// The tasks of this connection, and of those before it that are not quite gone.
    lines: JoinSet<()>,
    handler: Handler,
    /// What is left of the frame that is being delivered.
    deliveries: VecDeque<(u64, Message)>,
    with_handler: Option<(u64, Offset, Handled)>,
    events: broadcast::Sender<Event>,
    seen: watch::Sender<Seen>,
    closing: watch::Receiver<bool>,
    /// Whether the model was told that the user is done.
    heard_close: bool,
    end: Option<Result<(), Error>>,
}

impl Driver {
    async fn run(mut self) {
        self.decide(What::Started);
        let mut ticked: Option<Instant> = None;
        loop {
            if self.with_handler.is_none() {
                if self.end.is_some() {
                    break;
                }
                if let Some((dial, message)) = self.deliveries.pop_front() {
                    let offset = message.offset;
                    self.with_handler = Some((dial, offset, (self.handler)(message)));
                }
            }
            let idle = self.with_handler.is_none();
            let wake = SubscriberModel::wake_at(&self.state).filter(|_| self.end.is_none()).map(|at| {
                let due = self.clock.instant(at);
                ticked.map_or(due, |last| due.max(last + AGAIN))
            });
            let what = tokio::select! {
                biased;
                // The sender is gone if every handle is: nobody can want more.
                _ = self.closing.wait_for(|closing| *closing), if !self.heard_close => What::Close,
                returned = returned(&mut self.with_handler), if !idle => returned,
                came = came(&mut self.link), if (idle || self.hasty) && self.link.is_some() => came,
                () = sleep_until(wake) => What::Tick,
            };
            self.heard_close |= what == What::Close;
            let is_tick = what == What::Tick;
            let acted = self.decide(what);
            if is_tick {
                ticked = (!acted).then(Instant::now);
            }
        }
        self.finish().await;
    }

    /// The end is told before the connections are waited for, and before a stream that is fed by the handler finds out.
    async fn finish(self) {
        let Self { handler, link, mut lines, seen, end, .. } = self;
        seen.send_modify(|seen| {
            seen.closing = true;
            seen.end = end;
        });
        drop((handler, link));
        while lines.join_next().await.is_some() {}
    }

    /// Asks the model, and does what it says. Tells whether anything changed.
    fn decide(&mut self, what: What) -> bool {
        let now = self.clock.now();
        let input = Input { random: random(), what };
        let Decision { mut records, effects } = (self.port)(&self.state, now, &input);
        for record in &mut records {
            if let (Record::Waiting { delay, until }, Some(map)) = (&mut *record, &self.delay) {
                map(self.state.attempts(), delay);
                *until = now.saturating_add(*delay);
            }
            SubscriberModel::apply(&mut self.state, record);
        }
        // Before its effects: whoever is told of a status finds it here. No message is handed over in between.
        self.seen.send_if_modified(|seen| {
            let before = seen.clone();
            seen.status = self.state.status();
            seen.client_id = self.state.client_id().map(str::to_owned);
            seen.last_offset = self.state.last_offset();
            seen.dials = self.state.dial();
            seen.closing |= self.heard_close;
            *seen != before
        });
        let mut delivered = Vec::new();
        for effect in effects {
            match effect {
                Effect::Deliver(dial, message) => delivered.push((dial, *message)),
                effect => self.perform(effect),
            }
        }
        self.deliver(delivered);
        !records.is_empty()
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Dial(number) => self.connect(number),
            Effect::Authenticate(request) => self.command(Command::Say(Frame::Text(request.encode()))),
            Effect::Close(code, reason) => {
                self.command(Command::Close(code, reason));
                self.link = None;
            }
            Effect::Drop => self.link = None,
            Effect::Report(error) => self.tell(Event::Error(error)),
            Effect::Now(status) => self.tell(Event::Status(status)),
            Effect::End(error) => {
                if let Some(error) = &error {
                    self.tell(Event::Error(error.clone()));
                }
                self.deliveries.clear();
                self.end = Some(error.map_or(Ok(()), Err));
            }
            // They were taken out before.
            Effect::Deliver(..) => {}
        }
    }

    fn connect(&mut self, number: u64) {
        let mut dial = Dial { url: self.url.clone(), headers: Fields::default() };
        if let Some(map) = &self.dial {
            map(number, &mut dial);
        }
        let to = place(&dial.url, "ws");
        let (line, link) = Line::new(number, to, dial.headers, Arc::clone(&self.wires), self.bounds.line());
        self.link = Some(link);
        // Those that are gone make room.
        while self.lines.try_join_next().is_some() {}
        self.lines.spawn(line.run());
    }

    fn command(&self, command: Command) {
        if let Some(link) = &self.link {
            // There is room: it is a text and a close in the life of a connection.
            link.command(command);
        }
    }

    fn deliver(&mut self, delivered: Vec<(u64, Message)>) {
        let Some((dial, _)) = delivered.first() else { return };
        let dial = *dial;
        let mut messages: Vec<Message> = delivered.into_iter().map(|(_, message)| message).collect();
        if let Some(map) = &self.delivered {
            map(&mut messages);
        }
        self.deliveries.extend(messages.into_iter().map(|message| (dial, message)));
    }

    fn tell(&self, event: Event) {
        // Nobody may listen.
        let _ = self.events.send(event);
    }
}

async fn returned(with_handler: &mut Option<(u64, Offset, Handled)>) -> What {
    let Some((dial, offset, handled)) = with_handler else { return std::future::pending().await };
    let result = handled.await;
    let returned = What::Returned(*dial, *offset, result);
    *with_handler = None;
    returned
}

async fn came(link: &mut Option<Link>) -> What {
    let Some(line) = link else { return std::future::pending().await };
    let dial = line.number;
    loop {
        return match line.next().await.map(|Came { what, .. }| what) {
            Some(Happened::Opened) => What::Opened(dial),
            Some(Happened::Failed(why)) => What::DialFailed(dial, why),
            Some(Happened::Text(text)) => What::Text(dial, text),
            Some(Happened::Binary(_)) => What::Binary(dial),
            Some(Happened::Ping) => continue,
            Some(Happened::Closed(code, reason)) => What::Closed(dial, code, reason),
            None => {
                // Its task has ended, and said so before if all is well.
                *link = None;
                What::Closed(dial, 1006, String::new())
            }
        };
    }
}
