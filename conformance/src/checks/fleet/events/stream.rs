//! The event stream itself: its head, its form, its pings, and that several are alike.

use crate::{
    check::{Cx, Outcome, Shown, alternative, answer},
    checks::fleet::{
        agent::Agent,
        ear::{Ear, Told},
        look::look,
        setting::{Apart, Say, at_most, get, told},
    },
    wire::{
        Seen,
        limit::words,
        sse::{Block, Reader},
    },
};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;
use wireproof_spec::{
    fleet::{ids::public, requirements::*},
    http::Response,
};

/// Whether a header that is a list of words has this one.
fn lists(response: &Response, header: &str, word: &str) -> bool {
    let joined = response.headers.joined().remove(header).unwrap_or_default();
    joined.split(',').any(|part| part.trim().eq_ignore_ascii_case(word))
}

/// What the head of an event stream says.
pub(super) async fn headers(cx: &Cx) -> Outcome {
    let mut reader = cx.sse(get(cx, "v1/events")).await?;
    let head = reader.head().await?;
    let stream = answer(200)
        .and("the media type text/event-stream", |response| {
            let found = response.headers.get("content-type").and_then(|value| value.split(';').next());
            found.is_some_and(|found| found.trim().eq_ignore_ascii_case("text/event-stream"))
        })
        .and("a Cache-Control that has no-cache", |response| lists(response, "cache-control", "no-cache"));
    cx.expect(FLEET_EVENTS_1, &head, &[stream.into()])?;
    let between = answer(200)
        .and("a Cache-Control that has no-transform", |response| {
            lists(response, "cache-control", "no-transform")
        })
        .and("X-Accel-Buffering: no", |response| lists(response, "x-accel-buffering", "no"));
    cx.expect(FLEET_EVENTS_2, &head, &[between.into()])?;
    Ok(())
}

/// The first block comes without anything having happened.
pub(super) async fn connected(cx: &Cx) -> Outcome {
    let mut reader = cx.sse(get(cx, "v1/events")).await?;
    let first = reader.block_by(Instant::now() + cx.answer_time()).await?;
    let comment = alternative("the comment connected", |block: &Block| match block {
        Block::Lines(lines, _) => {
            lines.strip_prefix(':').is_some_and(|rest| rest.trim() == "connected" && rest.ends_with('\n'))
        }
        Block::End => false,
    });
    cx.expect(FLEET_EVENTS_3, &first, &[comment])?;
    Ok(())
}

/// Whether a block is comments alone.
fn is_comment(lines: &str) -> bool {
    lines.lines().all(|line| line.starts_with(':'))
}

/// The name and the data of a block that is an event as the document has it.
fn event(lines: &str) -> Option<(String, Value)> {
    let mut fields = lines.lines().map(|line| line.split_once(':').unwrap_or((line, "")));
    let (one, other) = (fields.next()?, fields.next()?);
    let (name, data) = match (one, other) {
        (("event", name), ("data", data)) | (("data", data), ("event", name)) => (name, data),
        _ => return None,
    };
    let data = serde_json::from_str(data).ok()?;
    fields.next().is_none().then(|| (name.trim_start().to_owned(), data))
}

/// Reads blocks up to an event of this name and id; claims of each that it has the right form.
async fn well_formed(cx: &Cx, reader: &mut Reader, name: &str, id: &str) -> Outcome {
    let until = Instant::now() + cx.answer_time();
    loop {
        let seen = reader.block_by(until).await?;
        let formed = alternative(
            "a comment, or a line with event and one with JSON",
            |block: &Block| matches!(block, Block::Lines(lines, _) if is_comment(lines) || event(lines).is_some()),
        );
        if let Block::Lines(lines, _) = cx.expect(FLEET_EVENTS_4, &seen, &[formed])?
            && event(lines).is_some_and(|(found, data)| found == name && data["id"] == id)
        {
            return Ok(());
        }
    }
}

/// All that is told of an instance whose texts could break a line, from its join to its leave, and of one behind it.
pub(super) async fn form(cx: &Cx) -> Outcome {
    let mut reader = cx.sse(get(cx, "v1/events")).await?;
    for end in ["\r\n\ndata: x\n\nid: 1\n", "\u{2028}\u{85}\"\\"] {
        let id = format!("{}{end}", cx.name());
        let snapshot = cx.snapshot().labelled("k", end).but(|it| it.name.push_str(end));
        let agent = Agent::join(cx, snapshot.with_room(told(&id, "\n: x\r", 1))).await?;
        well_formed(cx, &mut reader, "room:create", &public(&id)).await?;
        agent.close(1000);
        well_formed(cx, &mut reader, "room:destroy", &public(&id)).await?;
    }
    Ok(())
}

/// How far apart the pings are; two of them, where nothing else comes.
pub(super) async fn pings(cx: &Cx) -> Outcome {
    const APART: Duration = Duration::from_secs(15);
    /// So many blocks of others may come between.
    const MOST: usize = 10_000;
    let mut reader = cx.sse(get(cx, "v1/events")).await?;
    let mut since = Instant::now();
    let mut comments = 0;
    for _ in 0..MOST {
        let seen = reader.block_by(since + at_most(APART)).await?;
        let begun = since;
        let apart = seen.map(|block| match block {
            Block::Lines(lines, at) => {
                (is_comment(&lines), at, Apart(vec![at.saturating_duration_since(begun)]))
            }
            Block::End => (false, begun, Apart(Vec::new())),
        });
        let next = apart.look().ok().map(|(comment, at, _)| (*comment, *at));
        let apart = apart.map(|(_, _, apart)| apart);
        let in_time = alternative("another block within about 15 s", |apart: &Apart| {
            apart.0.first().is_some_and(|length| *length <= at_most(APART))
        });
        cx.expect(FLEET_EVENTS_5, &apart, &[in_time])?;
        if let Some((comment, at)) = next {
            since = at;
            comments += usize::from(comment);
        }
        // That it is connected, and two pings.
        if comments == 3 {
            return Ok(());
        }
    }
    Err(cx.stop("so much happens that pings cannot be told from events"))
}

/// What several streams told.
struct Streams(Vec<Vec<Told>>);

impl Shown for Streams {
    fn shown(&self) -> String {
        let all: Vec<String> = self.0.iter().map(|told| words(&told.shown())).collect();
        all.join(" | ")
    }
}

/// Three streams, from the join of one instance to that of another; between them rooms come and go, and an instance leaves.
pub(super) async fn several(cx: &Cx) -> Outcome {
    let mut ears = [Ear::open(cx).await?, Ear::open(cx).await?, Ear::open(cx).await?];
    let names = [cx.name(), cx.name(), cx.name()];
    let first = Agent::join(cx, cx.snapshot()).await?;
    let both = cx.snapshot().with_room(told(&names[0], "any", 1)).with_room(told(&names[1], "any", 1));
    let mut second = Agent::join(cx, both).await?;
    second.becomes(cx, |it| it.having(vec![told(&names[2], "any", 2)])).await?;
    second.close(1000);
    let until = Instant::now() + cx.answer_time();
    let mut all = Vec::new();
    for ear in &mut ears {
        let seen = ear.until(until, |told| told.is("room:destroy", &names[2])).await?;
        all.push(seen.map(|all| {
            let begin = super::place(&all, "instance:join", &first.id).unwrap_or_default();
            all[begin..].to_vec()
        }));
    }
    let seen = Seen::all(all).map(Streams);
    let alike = alternative("the same events in the same order", |streams: &Streams| {
        streams.0.iter().all(|told| *told == streams.0[0])
    });
    cx.expect(FLEET_EVENTS_20, &seen, &[alike])?;
    Ok(())
}

/// Neither what was there before is told, nor what happened while nobody listened, whatever the reader says that it knows.
pub(super) async fn from_now_on(cx: &Cx) -> Outcome {
    let names = [cx.name(), cx.name()];
    let mut witness = Ear::open(cx).await?;
    let before = Agent::join(cx, cx.snapshot().with_room(told(&names[0], "any", 1))).await?;
    let gone = Agent::join(cx, cx.snapshot().with_room(told(&names[1], "any", 1))).await?;
    let left = gone.id.clone();
    gone.close(1000);
    let seen = witness.hears(cx, |told| told.is("instance:leave", &left)).await?;
    let told = alternative("an instance:leave", |all: &Vec<Told>| !all.is_empty());
    cx.need(FLEET_EVENTS_7, &seen, &[told])?;
    for known in [None, Some("0"), Some("1"), Some("nonsense")] {
        let now = look(cx).await?;
        let Ok(hash) = now.look().map(|look| look.hash().to_owned()) else { continue };
        let mut request = get(cx, "v1/events");
        if let Some(known) = known {
            request = request.header("last-event-id", known);
        }
        let mut ear = Ear::to(cx, request).await?;
        let ids = [before.id.clone(), left.clone(), names[0].clone(), names[1].clone()];
        let nothing = alternative("nothing of what was there before", move |all: &Vec<Told>| {
            let ids = ids.each_ref().map(String::as_str);
            all.iter()
                .all(|told| !told.is_about(&ids) && (told.name != "sync" || told.data["stateHash"] != hash))
        });
        let rest = ear.rest(cx).await?;
        cx.expect(FLEET_EVENTS_21, &now.and(rest).map(|(_, rest)| rest), &[nothing])?;
    }
    Ok(())
}
