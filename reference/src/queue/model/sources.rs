//! Sources: what is posted to their URLs is published.

use super::{
    Answer, Case, Queue, QueueModel, Record, Refusal, State,
    input::{Given, Posted},
};
use crate::model::Decision;
use serde::{Deserialize, Serialize};

/// A URL at which a queue takes messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Which credentials it asks for.
    pub auth: Auth,
    /// What `Authorization` has to be, if it asks for credentials.
    pub secret: Option<String>,
    /// Whether it takes anything.
    pub enabled: bool,
    /// What became of what was posted.
    pub tally: SourceTally,
    /// When it was made: milliseconds since 1970.
    pub created: u64,
    /// When it was changed last.
    pub updated: u64,
}

/// Which credentials a source asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Auth {
    /// None.
    None,
    /// A user and a password.
    Basic,
    /// A header.
    Header,
}

/// What became of what was posted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceTally {
    /// How much was taken.
    pub taken: u64,
    /// How much was refused.
    pub refused: u64,
    /// When something was taken last: milliseconds since 1970.
    pub last_taken: Option<u64>,
    /// When something was refused last.
    pub last_refused: Option<u64>,
    /// And why.
    pub why: Option<String>,
}

impl SourceTally {
    pub(super) fn took(&mut self, at: u64) {
        self.taken += 1;
        self.last_taken = Some(at);
    }
}

/// What is to change about a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alter {
    /// Its name.
    pub name: Option<String>,
    /// What it is for; `Some(None)` removes it.
    pub description: Option<Option<String>>,
    /// Which credentials it asks for.
    pub auth: Option<Auth>,
    /// What they are.
    pub secret: Option<String>,
    /// Whether it takes anything.
    pub enabled: Option<bool>,
}

impl Source {
    /// Whether it takes something with these credentials.
    fn knows(&self, credentials: Option<&str>) -> bool {
        match self.auth {
            Auth::None => true,
            Auth::Basic | Auth::Header => self.secret.as_deref().is_some_and(|s| credentials == Some(s)),
        }
    }
}

impl Case<'_> {
    pub(super) fn add_source(
        &self,
        queue: &Queue,
        given: &Given<Source>,
        decision: &mut Decision<QueueModel>,
    ) -> Answer {
        let source = Source { created: self.now, updated: self.now, ..given.what.clone() };
        self.keep_source(queue, &given.id, source, decision)
    }

    pub(super) fn sources(&self, queue: &Queue) -> Answer {
        let all = queue.sources.iter().map(|(id, one)| (id.clone(), one.clone())).collect();
        Answer::Sources { incarnation: queue.incarnation, all }
    }

    pub(super) fn source(&self, queue: &Queue, id: &str) -> Answer {
        let Some(source) = queue.sources.get(id) else { return Answer::Refused(Refusal::NoSource) };
        Answer::Sources { incarnation: queue.incarnation, all: vec![(id.to_owned(), source.clone())] }
    }

    pub(super) fn change_source(
        &self,
        queue: &Queue,
        id: &str,
        given: &Alter,
        decision: &mut Decision<QueueModel>,
    ) -> Answer {
        let Some(before) = queue.sources.get(id).cloned() else {
            return Answer::Refused(Refusal::NoSource);
        };
        let Alter { name, description, auth, secret, enabled } = given.clone();
        let source = Source {
            name: name.unwrap_or(before.name),
            description: description.unwrap_or(before.description),
            auth: auth.unwrap_or(before.auth),
            secret: secret.or(before.secret),
            enabled: enabled.unwrap_or(before.enabled),
            updated: self.now,
            ..before
        };
        self.keep_source(queue, id, source, decision)
    }

    fn keep_source(
        &self,
        queue: &Queue,
        id: &str,
        source: Source,
        decision: &mut Decision<QueueModel>,
    ) -> Answer {
        let (name, id) = (self.name.to_owned(), id.to_owned());
        let all = vec![(id.clone(), source.clone())];
        decision.records.push(Record::Sourced { name, id, source });
        Answer::Sources { incarnation: queue.incarnation, all }
    }

    pub(super) fn remove_source(
        &self,
        queue: &Queue,
        id: &str,
        decision: &mut Decision<QueueModel>,
    ) -> Answer {
        if !queue.sources.contains_key(id) {
            return Answer::Refused(Refusal::NoSource);
        }
        decision.records.push(Record::Unsourced { name: self.name.into(), id: id.into() });
        Answer::Done
    }

    pub(super) fn post(&self, posted: &Posted, decision: &mut Decision<QueueModel>) -> Answer {
        let known = self.state.sources.get(&posted.id);
        let queue = known.and_then(|name| Some((name, self.state.queues.get(name)?)));
        let found = queue.and_then(|(name, queue)| Some((name, queue, queue.sources.get(&posted.id)?)));
        let Some((name, queue, source)) = found else { return Answer::Refused(Refusal::NoSource) };
        let turned = |refusal, why: &str, decision: &mut Decision<QueueModel>| {
            let (name, id) = (name.clone(), posted.id.clone());
            decision.records.push(Record::Turned { name, id, why: why.into(), at: self.now });
            Answer::Refused(refusal)
        };
        if !source.enabled {
            return turned(Refusal::Disabled, "the source is not enabled", decision);
        }
        if !source.knows(posted.credentials.as_deref()) {
            return turned(Refusal::Unknown, "the source asks for other credentials", decision);
        }
        let Some(draft) = &posted.draft else {
            return turned(Refusal::NoPayload, "what was posted cannot be published", decision);
        };
        let case = Case { name, ..*self };
        let by = Some((posted.id.as_str(), source.name.as_str()));
        case.publish(queue, std::slice::from_ref(draft), by, decision)
    }
}

pub(super) fn apply(state: &mut State, record: &Record) {
    match record {
        Record::Sourced { name, id, source } => {
            state.sources.insert(id.clone(), name.clone());
            state.change(name, |queue| {
                queue.sources.insert(id.clone(), source.clone());
            });
        }
        Record::Unsourced { name, id } => {
            state.sources.remove(id);
            state.change(name, |queue| {
                queue.sources.remove(id);
            });
        }
        Record::Turned { name, id, why, at } => state.change(name, |queue| {
            if let Some(source) = queue.sources.get_mut(id) {
                source.tally.refused += 1;
                source.tally.last_refused = Some(*at);
                source.tally.why = Some(why.clone());
            }
        }),
        _ => {}
    }
}
