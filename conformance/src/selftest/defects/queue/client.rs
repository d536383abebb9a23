//! How the client of the queue protocol is broken.

pub(super) use crate::selftest::defects::client::{always, boundary, race, second};

use crate::{
    embed::{
        adapter::Tells,
        reference::{
            model::{Decision, Port},
            queue::client::{
                Seams, Settings, Subscribe,
                model::{Input, State, SubscriberModel},
                retry::Next,
                seams::{CallSeams, Dial, Exchanged, Frame},
            },
        },
    },
    selftest::defects::{Breakage, port},
};
use serde_json::Value;
use std::sync::Arc;
use wireproof_spec::{
    http::{Request, Response},
    queue::Message,
};

/// Changes what the owner of a client asks for.
pub type Asks = Box<dyn Fn(&mut Settings, &mut Subscribe) + Send + Sync>;

/// The places at which a client and its adapter can be broken. They are made afresh for each subscription and each call.
pub struct ClientSeams {
    /// A subscription.
    pub subscription: Seams,
    /// Calls of the HTTP API.
    pub calls: CallSeams,
    /// What the owner asks for; none: as it is.
    pub owner: Option<Asks>,
    /// What the owner is told; none: as it is.
    pub told: Option<Tells>,
    /// Whether subscriptions with a handler are left as they are.
    pub iterators_alone: bool,
}

impl ClientSeams {
    /// Changes nothing.
    pub fn honest() -> Self {
        Self {
            subscription: Seams::honest(),
            calls: CallSeams::honest(),
            owner: None,
            told: None,
            iterators_alone: false,
        }
    }
}

/// The defects of clients of one area.
pub(super) type ClientTable = &'static [Breakage<ClientSeams>];

/// A subscription broken so.
pub(super) fn subscription(seams: Seams) -> ClientSeams {
    ClientSeams { subscription: seams, ..ClientSeams::honest() }
}

/// Iterators broken so, and no handlers: as where each has code of its own.
pub(super) fn iterators(seams: ClientSeams) -> ClientSeams {
    ClientSeams { iterators_alone: true, ..seams }
}

/// Each dial changed. The number is that of the connection, from 1.
pub(super) fn dial(change: impl Fn(u64, &mut Dial) + Send + Sync + 'static) -> ClientSeams {
    subscription(Seams { dial: Some(Box::new(change)), ..Seams::honest() })
}

/// Each frame that comes, changed.
pub(super) fn heard(change: impl Fn(u64, &mut Frame) + Send + Sync + 'static) -> ClientSeams {
    subscription(Seams { heard: Some(Box::new(change)), ..Seams::honest() })
}

/// The JSON of each text that comes, changed.
pub(super) fn heard_json(change: impl Fn(u64, &mut Value) + Send + Sync + 'static) -> ClientSeams {
    heard(move |number, frame| {
        // What is no object has no members to be changed.
        if let Frame::Text(text) = frame
            && let Ok(mut value @ Value::Object(_)) = serde_json::from_str(text)
        {
            change(number, &mut value);
            *text = value.to_string();
        }
    })
}

/// The frames that are about to be sent, changed.
pub(super) fn said(change: impl Fn(u64, &mut Vec<Frame>) + Send + Sync + 'static) -> ClientSeams {
    subscription(Seams { said: Some(Box::new(change)), ..Seams::honest() })
}

/// The JSON of each AuthRequest, changed.
pub(super) fn auth(change: impl Fn(u64, &mut Value) + Send + Sync + 'static) -> ClientSeams {
    said(move |number, frames| {
        for frame in frames {
            if let Frame::Text(text) = frame
                && let Ok(mut value) = serde_json::from_str(text)
            {
                change(number, &mut value);
                *text = value.to_string();
            }
        }
    })
}

/// The messages of each frame before they are delivered, changed.
pub(super) fn delivered(change: impl Fn(&mut Vec<Message>) + Send + Sync + 'static) -> ClientSeams {
    subscription(Seams { delivered: Some(Box::new(change)), ..Seams::honest() })
}

/// Another port.
pub(super) fn through(port: Port<SubscriberModel>) -> ClientSeams {
    subscription(Seams { port, ..Seams::honest() })
}

/// Each decision changed.
pub(super) fn decide(
    change: impl FnMut(&State, &Input, &mut Decision<SubscriberModel>) + Send + 'static,
) -> ClientSeams {
    through(port::rewrite(change))
}

/// Each input changed.
pub(super) fn input(change: impl FnMut(&State, &mut Input) + Send + 'static) -> ClientSeams {
    through(port::rewrite_input(change))
}

/// What the owner asks for, changed.
pub(super) fn owner(change: impl Fn(&mut Settings, &mut Subscribe) + Send + Sync + 'static) -> ClientSeams {
    ClientSeams { owner: Some(Box::new(change)), ..ClientSeams::honest() }
}

/// What the owner is told, changed; false: it is not told.
pub(super) fn told(change: impl Fn(&str, &mut Value) -> bool + Send + Sync + 'static) -> ClientSeams {
    ClientSeams { told: Some(Box::new(change)), ..ClientSeams::honest() }
}

/// Each request over HTTP changed. The number is that of the attempt, from 0.
pub(super) fn request(change: impl Fn(u32, &mut Request) + Send + Sync + 'static) -> ClientSeams {
    let calls = CallSeams { request: Some(Arc::new(Box::new(change))), ..CallSeams::honest() };
    ClientSeams { calls, ..ClientSeams::honest() }
}

/// What became of each request, changed before it is judged.
pub(super) fn exchanged(
    change: impl Fn(u32, &Request, &mut Exchanged) + Send + Sync + 'static,
) -> ClientSeams {
    let calls = CallSeams { exchanged: Some(Arc::new(Box::new(change))), ..CallSeams::honest() };
    ClientSeams { calls, ..ClientSeams::honest() }
}

/// Each answer over HTTP, changed before it is judged.
pub(super) fn answered(change: impl Fn(u32, &mut Response) + Send + Sync + 'static) -> ClientSeams {
    exchanged(move |attempt, _, exchanged| {
        if let Exchanged::Answer(response) = exchanged {
            change(attempt, response);
        }
    })
}

/// What is done next behind each exchange, changed.
pub(super) fn retry(change: impl Fn(u32, &Exchanged, &mut Next) + Send + Sync + 'static) -> ClientSeams {
    let calls = CallSeams { retry: Some(Arc::new(Box::new(change))), ..CallSeams::honest() };
    ClientSeams { calls, ..ClientSeams::honest() }
}
