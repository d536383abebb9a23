//! A subscription as a stream of messages.

use super::{
    error::Error,
    subscription::{Handler, Subscription},
};
use futures_util::{Stream, StreamExt};
use std::{
    ops::{Deref, DerefMut},
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::sync::{mpsc, oneshot, watch};
use wireproof_spec::queue::Message;

/// A message on its way, and where to say what became of it.
type Passed = (Message, oneshot::Sender<Result<(), String>>);

/// The messages of a subscription, until it ends; an error that ends it comes last. Dropping it closes the subscription.
///
/// A message counts as processed when the next one is asked for, or when [`Messages::processed`] says so; if the stream is
/// dropped before, it does not.
#[derive(Debug)]
pub struct Messages {
    subscription: Subscription,
    received: mpsc::Receiver<Passed>,
    /// The message that the user has.
    held: Option<oneshot::Sender<Result<(), String>>>,
    over: bool,
}

impl Messages {
    pub(super) fn new(subscription: Subscription, received: mpsc::Receiver<Passed>) -> Self {
        Self { subscription, received, held: None, over: false }
    }

    /// The next message; none behind the end. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Result<Message, Error>> {
        StreamExt::next(self).await
    }

    /// The last message was processed.
    pub fn processed(&mut self) {
        self.settle(Ok(()));
    }

    /// The last message was not processed: it comes again when the connection does.
    pub fn failed(&mut self, why: impl Into<String>) {
        self.settle(Err(why.into()));
    }

    fn settle(&mut self, result: Result<(), String>) {
        if let Some(held) = self.held.take() {
            // The subscription may have ended.
            let _ = held.send(result);
        }
    }
}

impl Stream for Messages {
    type Item = Result<Message, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        this.processed();
        if this.over {
            return Poll::Ready(None);
        }
        // Nothing comes behind a close, not even what was on its way.
        let next = match this.subscription.is_closing() {
            true => None,
            false => ready!(this.received.poll_recv(cx)).filter(|_| !this.subscription.is_closing()),
        };
        if let Some((message, held)) = next {
            this.held = Some(held);
            return Poll::Ready(Some(Ok(message)));
        }
        this.over = true;
        Poll::Ready(match this.subscription.seen().end {
            Some(Err(error)) => Some(Err(error)),
            Some(Ok(())) => None,
            None if this.subscription.is_closing() => None,
            None => Some(Err(Error::CutOff)),
        })
    }
}

impl Deref for Messages {
    type Target = Subscription;
    fn deref(&self) -> &Subscription {
        &self.subscription
    }
}

impl DerefMut for Messages {
    fn deref_mut(&mut self) -> &mut Subscription {
        &mut self.subscription
    }
}

/// The handler that passes messages on and waits for what becomes of each. It does not wait behind the end.
pub(super) fn handler(closing: watch::Receiver<bool>, messages: mpsc::Sender<Passed>) -> Handler {
    Box::new(move |message| {
        let mut closing = closing.clone();
        let messages = messages.clone();
        Box::pin(async move {
            let passed = async {
                let (held, settled) = oneshot::channel();
                messages.send((message, held)).await.map_err(|_| "nobody takes it")?;
                settled.await.unwrap_or_else(|_| Err("it was dropped".into()))
            };
            tokio::select! {
                biased;
                result = passed => result,
                _ = closing.wait_for(|closing| *closing) => Err("the subscription was closed".into()),
            }
        })
    })
}
