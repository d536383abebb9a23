//! Checks of "Conditional" in spec/fleet.md.

use super::{
    agent::Agent,
    look::{look, settled},
    setting::{Say, get, ok_and, told},
};
use crate::{
    check::{Alternative, Check, Cx, Lane, Outcome, Shown, Waits, alternative, answer},
    drives, one_of,
    wire::{Seen, limit::words},
};
use serde_json::Value;
use std::collections::BTreeSet;
use wireproof_spec::{
    fleet::{conditional::etag, requirements::*},
    http::{Request, Response, percent_encode},
};

pub(super) const CHECKS: &[Check] = &[
    Check::new("fleet/conditional/weak", &[FLEET_CONDITIONAL_1, FLEET_CONDITIONAL_3], drives!(weak)),
    Check::new("fleet/conditional/same-tag", &[FLEET_CONDITIONAL_2], drives!(same_tag)).lane(Lane::Alone),
    Check::new("fleet/conditional/matching", &[FLEET_CONDITIONAL_4, FLEET_CONDITIONAL_7], drives!(matching))
        .lane(Lane::Alone),
    Check::new("fleet/conditional/other-tags", &[FLEET_CONDITIONAL_5], drives!(other_tags))
        .waits(Waits::Limit("heartbeat-ms", 4)),
    Check::new("fleet/conditional/tag-and-hash", &[FLEET_CONDITIONAL_6], drives!(tag_and_hash))
        .lane(Lane::Alone)
        .waits(Waits::Limit("heartbeat-ms", 6)),
];

/// The three routes.
const ROUTES: [&str; 3] = ["v1/stats", "v1/instances", "v1/rooms"];

fn tag(response: &Response) -> String {
    response.headers.get("etag").unwrap_or_default().to_owned()
}

/// A 200 with a weak entity tag that is not empty.
fn weakly() -> Alternative<Response> {
    alternative("200 with a weak ETag", |response: &Response| {
        let tag = tag(response);
        let inner = tag.strip_prefix("W/\"").and_then(|rest| rest.strip_suffix('"'));
        response.status == 200 && inner.is_some_and(|inner| !inner.is_empty() && !inner.contains('"'))
    })
}

/// Each route, with filters too, where there is an instance with a room; and the tag of the numbers is their hash.
async fn weak(cx: &Cx) -> Outcome {
    let snapshot = cx.snapshot().with_room(told(&cx.name(), "any", 0));
    let agent = Agent::join(cx, snapshot).await?;
    let filtered = format!("v1/rooms?instanceId={}", percent_encode(&agent.id));
    for path in ROUTES.iter().copied().chain([filtered.as_str()]) {
        let seen = cx.send(get(cx, path)).await?;
        cx.expect(FLEET_CONDITIONAL_1, &seen, &[weakly()])?;
    }
    let seen = cx.send(get(cx, "v1/stats")).await?;
    let hashed = alternative("an ETag of W/\", the stateHash of the body and \"", |response: &Response| {
        let hash = super::setting::data(response)["stateHash"].take();
        hash.as_str().is_some_and(|hash| !hash.is_empty() && tag(response) == etag(hash))
    });
    cx.expect(FLEET_CONDITIONAL_3, &seen, &[hashed])?;
    Ok(())
}

/// What was answered to several requests between two looks that show the same.
async fn at_rest(cx: &Cx, requests: &[Request]) -> Outcome<Vec<Seen<Response>>> {
    const TRIES: usize = 10;
    for _ in 0..TRIES {
        let before = look(cx).await?;
        let mut all = Vec::new();
        for request in requests {
            all.push(cx.send(request.clone()).await?);
        }
        let behind = look(cx).await?;
        if before.look().ok().map(|look| &look.instances) == behind.look().ok().map(|look| &look.instances) {
            return Ok(all);
        }
    }
    Err(cx.stop("others change the fleet all the time"))
}

/// Entity tags.
#[derive(PartialEq)]
struct Tags(Vec<String>);

impl Shown for Tags {
    fn shown(&self) -> String {
        words(&self.0.join(", "))
    }
}

/// All routes twice, with filters that match and with such that do not.
async fn same_tag(cx: &Cx) -> Outcome {
    let kind = cx.name();
    let snapshot = cx.snapshot().labelled("k", "v").with_room(told(&cx.name(), &kind, 1));
    let agent = Agent::join(cx, snapshot).await?;
    let _ = settled(cx).await?;
    let filters = [
        format!("v1/rooms?type={kind}"),
        format!("v1/rooms?instanceId={}", percent_encode(&agent.id)),
        "v1/rooms?label=k:v".into(),
        "v1/rooms?type=none&instanceId=nobody".into(),
    ];
    let paths = ROUTES.iter().map(|path| (*path).to_owned()).chain(filters);
    let once: Vec<Request> = paths.map(|path| get(cx, &path)).collect();
    let twice = [once.clone(), once].concat();
    let seen = Seen::all(at_rest(cx, &twice).await?).map(|all| Tags(all.iter().map(tag).collect()));
    let same = alternative("the same ETag each time", |tags: &Tags| {
        !tags.0[0].is_empty() && tags.0.iter().all(|tag| *tag == tags.0[0])
    });
    cx.expect(FLEET_CONDITIONAL_2, &seen, &[same])?;
    Ok(())
}

/// The current tag alone, in lists, and any; without its W/ either answer is right.
async fn matching(cx: &Cx) -> Outcome {
    let snapshot = cx.snapshot().with_room(told(&cx.name(), "any", 1));
    let agent = Agent::join(cx, snapshot).await?;
    let _ = settled(cx).await?;
    let filtered = format!("v1/rooms?instanceId={}", percent_encode(&agent.id));
    for path in ROUTES.iter().copied().chain([filtered.as_str()]) {
        let seen = cx.send(get(cx, path)).await?;
        let now = tag(cx.need(FLEET_CONDITIONAL_1, &seen, &[weakly()])?);
        let known = |value: String| get(cx, path).header("if-none-match", value);
        let requests = [
            known("*".into()),
            known(now.clone()),
            known(format!("W/\"other\", {now}")),
            known(format!("{now},\"another\"")),
            known(now.trim_start_matches("W/").to_owned()),
            // What is current behind the others was so all the time, or the tags of the others are not.
            get(cx, path),
        ];
        let mut all = at_rest(cx, &requests).await?;
        let last = all.pop().map(|seen| seen.map(|response| tag(&response)));
        if last.and_then(|seen| seen.look().ok().cloned()) != Some(now.clone()) {
            return Err(cx.stop("the ETag has changed meanwhile"));
        }
        let strong = all.pop();
        for seen in &all {
            let unchanged = answer(304).with("etag", &now).body("");
            cx.expect(FLEET_CONDITIONAL_4, seen, &[unchanged.into()])?;
        }
        if let Some(strong) = strong {
            let alternatives = one_of![answer(304).with("etag", &now), answer(200).with("etag", &now)];
            cx.expect(FLEET_CONDITIONAL_7, &strong, &alternatives)?;
        }
    }
    Ok(())
}

/// The tag before a change, tags that nobody gave, and parts of the current one.
async fn other_tags(cx: &Cx) -> Outcome {
    let mut agent = Agent::join(cx, cx.snapshot().with_room(told(&cx.name(), "any", 1))).await?;
    for path in ROUTES {
        let seen = cx.send(get(cx, path)).await?;
        let old = tag(cx.need(FLEET_CONDITIONAL_1, &seen, &[weakly()])?);
        agent.becomes(cx, |it| it.but(|it| it.rooms[0].connections += 1)).await?;
        let inner = old.trim_start_matches("W/").trim_matches('"').to_owned();
        for known in [
            old.clone(),
            "W/\"0000000000000000\"".into(),
            format!("{old}, \"x\", W/\"y\""),
            "\"\"".into(),
            format!("W/\"{inner}x\""),
            format!("W/\"{}\"", &inner.chars().skip(1).collect::<String>()),
        ] {
            let seen = cx.send(get(cx, path).header("if-none-match", known)).await?;
            let id = agent.id.clone();
            let whole = ok_and(200, "the body", move |data| match data {
                Value::Array(all) => all.iter().any(|one| one["id"] == *id || one["instanceId"] == *id),
                data => data["stateHash"].is_string(),
            });
            cx.expect(FLEET_CONDITIONAL_5, &seen, &[whole])?;
        }
    }
    Ok(())
}

/// What a route and the numbers told at one moment.
struct Pair {
    tags: Vec<String>,
    hash: String,
}

impl Shown for Pair {
    fn shown(&self) -> String {
        words(&format!("{} with the stateHash {}", self.tags.join(", "), self.hash))
    }
}

/// Before and behind hash-only States, a change of connections, one of labels, a room more, and an instance more.
async fn tag_and_hash(cx: &Cx) -> Outcome {
    let snapshot = cx.snapshot().with_room(told(&cx.name(), "any", 1));
    let mut agent = Agent::join(cx, snapshot).await?;
    let _ = settled(cx).await?;
    let mut pairs = vec![pair(cx).await?];
    // The first one came before, and when the third comes the second was answered.
    for _ in 0..3 {
        let _ = agent.poll(cx).await?;
    }
    pairs.push(pair(cx).await?);
    let id = cx.name();
    agent.becomes(cx, |it| it.but(|it| it.rooms[0].connections += 1)).await?;
    pairs.push(pair(cx).await?);
    agent.becomes(cx, |it| it.labelled("k", "v")).await?;
    pairs.push(pair(cx).await?);
    agent.becomes(cx, |it| it.with_room(told(&id, "any", 0))).await?;
    pairs.push(pair(cx).await?);
    let _other = Agent::join(cx, cx.snapshot()).await?;
    pairs.push(pair(cx).await?);
    let all = Seen::all(pairs);
    if let Ok(pairs) = all.look() {
        let hashes: BTreeSet<&str> = pairs.iter().map(|pair| pair.hash.as_str()).collect();
        if hashes.len() + 1 != pairs.len() {
            return Err(cx.stop("the stateHash did not change with each change, and with none but these"));
        }
    }
    let together = alternative("the ETag of each route changes with the stateHash and never else", {
        |pairs: &Vec<Pair>| {
            pairs.iter().all(|one| {
                pairs.iter().all(|other| {
                    let same = one.hash == other.hash;
                    one.tags
                        .iter()
                        .zip(&other.tags)
                        .all(|(one, other)| !one.is_empty() && (one == other) == same)
                })
            })
        }
    });
    cx.expect(FLEET_CONDITIONAL_6, &all, &[together])?;
    Ok(())
}

/// The ETag of each route, and the hash, at a moment at which nothing changes.
async fn pair(cx: &Cx) -> Outcome<Seen<Pair>> {
    let requests = ROUTES.map(|path| get(cx, path));
    let seen = Seen::all(at_rest(cx, &requests).await?);
    Ok(seen.map(|all| Pair {
        hash: super::setting::data(&all[0])["stateHash"].as_str().unwrap_or_default().to_owned(),
        tags: all.iter().map(tag).collect(),
    }))
}
