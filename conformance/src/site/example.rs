//! Exchanges from runs that kept a requirement.

use crate::{
    event::{Event, What},
    report::transcript,
    run::Finished,
    verdict::Verdict,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The messages that an example shows, at most: the last ones.
const SHOWN: usize = 8;

/// What went over the wire where a requirement was seen kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The check that saw it.
    pub check: &'static str,
    /// The messages, as in a transcript.
    pub lines: Vec<String>,
}

/// An example for each requirement that a check which sends something saw kept: the shortest.
pub fn examples<'a>(runs: impl IntoIterator<Item = &'a Finished>) -> BTreeMap<String, Example> {
    let mut all: BTreeMap<String, (usize, Example)> = BTreeMap::new();
    let passed = runs.into_iter().flat_map(|run| &run.checks).filter(|c| c.verdict == Verdict::Pass);
    for checked in passed {
        for event in &checked.events {
            let What::Met { requirement, on, .. } = &event.what else { continue };
            let messages = messages(&checked.events, on);
            let longer = all.get(requirement).is_some_and(|(length, _)| *length <= messages.len());
            if messages.is_empty() || longer {
                continue;
            }
            let last = &messages[messages.len().saturating_sub(SHOWN)..];
            let example = Example { check: checked.check.name, lines: transcript::lines(last) };
            all.insert(requirement.clone(), (messages.len(), example));
        }
    }
    all.into_iter().map(|(id, (_, example))| (id, example)).collect()
}

/// What was sent and received on the connections of these observations, up to the last of them.
fn messages(events: &[Arc<Event>], on: &[u64]) -> Vec<Arc<Event>> {
    let conns: BTreeSet<u32> =
        events.iter().filter(|e| on.contains(&e.seq)).filter_map(|e| connection(&e.what)).collect();
    let last = on.iter().max().copied().unwrap_or(0);
    events
        .iter()
        .filter(|e| e.seq <= last && connection(&e.what).is_some_and(|conn| conns.contains(&conn)))
        .cloned()
        .collect()
}

fn connection(what: &What) -> Option<u32> {
    match what {
        What::Sent { conn, .. }
        | What::Received { conn, .. }
        | What::Closed { conn, .. }
        | What::Silence { conn, .. } => Some(*conn),
        _ => None,
    }
}
