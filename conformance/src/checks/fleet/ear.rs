//! A check that listens to events: what is told up to a moment, and whether it was told once.

use super::{
    agent::Agent,
    setting::{Say, get, named},
};
use crate::{
    check::{Cx, Outcome, Shown, alternative, answer},
    wire::{
        Seen,
        limit::words,
        sse::{Item, Reader},
    },
};
use serde_json::Value;
use tokio::time::Instant;
use wireproof_spec::{
    fleet::requirements::{FLEET_EVENTS_1, FLEET_EVENTS_6},
    http::Request,
};

/// An event stream that is open.
pub struct Ear {
    reader: Reader,
}

/// An event.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Its name.
    pub name: String,
    /// Its data, or null if it is no JSON.
    pub data: Value,
}

impl Told {
    /// Whether it is this, about an instance or a room of this id.
    pub fn is(&self, name: &str, id: &str) -> bool {
        self.name == name && self.data["id"] == id
    }

    /// Whether it is about one of these instances or their rooms, or about a room of one of these public ids.
    pub fn is_about(&self, ids: &[&str]) -> bool {
        ids.iter().any(|id| self.data["id"] == *id || self.data["instanceId"] == *id)
    }
}

impl Shown for Told {
    fn shown(&self) -> String {
        let what = match self.name.as_str() {
            "sync" => &self.data["stateHash"],
            _ => &self.data["id"],
        };
        format!("{} {}", words(&self.name), words(&what.to_string()))
    }
}

impl Ear {
    /// Listens from now on.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if there is no event stream.
    pub async fn open(cx: &Cx) -> Outcome<Self> {
        Self::to(cx, get(cx, "v1/events")).await
    }

    /// Listens to the stream that this asks for.
    ///
    /// # Errors
    /// As [`Ear::open`].
    pub async fn to(cx: &Cx, request: Request) -> Outcome<Self> {
        let mut reader = cx.sse(request).await?;
        let head = reader.head().await?;
        cx.need(FLEET_EVENTS_1, &head, &[answer(200).into()])?;
        Ok(Self::on(reader))
    }

    /// Listens to a stream that is open.
    pub fn on(reader: Reader) -> Self {
        Self { reader }
    }

    /// What is told up to this event, with it; lost if it is not told by this moment.
    ///
    /// # Errors
    /// As [`Reader::next_by`].
    pub async fn until(&mut self, by: Instant, what: impl Fn(&Told) -> bool) -> Outcome<Seen<Vec<Told>>> {
        let mut all = Vec::new();
        loop {
            let seen = self.reader.next_by(by).await?;
            let told = match seen.look() {
                Ok(Item::Event(event)) => Told {
                    name: event.name.clone(),
                    data: named(serde_json::from_str(&event.data).unwrap_or_default()),
                },
                // An end is told like an event of no name, which nobody awaits.
                Ok(Item::End) => Told { name: String::new(), data: Value::Null },
                Err(_) => return Ok(seen.map(|_| Vec::new())),
            };
            let (found, over) = (what(&told), told.name.is_empty());
            all.push(seen.map(|_| told));
            if found || over {
                return Ok(Seen::all(all));
            }
        }
    }

    /// As [`Ear::until`], by the time at which an answer is due.
    ///
    /// # Errors
    /// As [`Ear::until`].
    pub async fn hears(&mut self, cx: &Cx, what: impl Fn(&Told) -> bool) -> Outcome<Seen<Vec<Told>>> {
        self.until(Instant::now() + cx.answer_time(), what).await
    }

    /// What was told of all that happened up to now: another instance joins, and what is told before it is complete.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if it is not told that this instance joins.
    pub async fn rest(&mut self, cx: &Cx) -> Outcome<Seen<Vec<Told>>> {
        let fence = Agent::connect(cx).await?;
        fence.says(cx.snapshot().hosting(&[]));
        let id = fence.id.clone();
        let seen = self.hears(cx, |told| told.is("instance:join", &id)).await?;
        let joins = alternative("the instance:join of an instance that joined", {
            move |all: &Vec<Told>| all.last().is_some_and(|told| told.is("instance:join", &id))
        });
        cx.need(FLEET_EVENTS_6, &seen, &[joins])?;
        Ok(seen.map(|mut all| {
            all.pop();
            all
        }))
    }
}
