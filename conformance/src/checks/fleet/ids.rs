//! Checks of "Ids" in spec/fleet.md.

use super::{
    agent::Agent,
    look::{GONE, due, soon},
    setting::{Say, data, destroy, get, ok, ok_and, refused, room, rooms_of, rooms_on, told},
};
use crate::{
    check::{Alternative, Check, Cx, Outcome, Shown, Waits, alternative},
    drives,
    wire::{Seen, limit::words},
};
use serde_json::Value;
use std::collections::BTreeSet;
use wireproof_spec::{
    fleet::{Cause, Cmd, Op, Origin, SyncRoom, ids::public, requirements::*},
    http::Response,
};

pub(super) const CHECKS: &[Check] = &[
    Check::new("fleet/ids/base", &[FLEET_IDS_1], drives!(base)),
    Check::new("fleet/ids/every-byte", &[FLEET_IDS_2], drives!(every_byte)),
    Check::new("fleet/ids/one-base", &[FLEET_IDS_3], drives!(one_base)),
    Check::new("fleet/ids/fleet-before-local", &[FLEET_IDS_4], drives!(fleet_before_local))
        .waits(Waits::Limit("heartbeat-ms", 2)),
    Check::new("fleet/ids/first-keeps", &[FLEET_IDS_5], drives!(first_keeps))
        .waits(Waits::Limit("heartbeat-ms", 2)),
    Check::new("fleet/ids/taken-over", &[FLEET_IDS_6], drives!(taken_over))
        .waits(Waits::Limit("heartbeat-ms", 4)),
    Check::new("fleet/ids/one-process", &[FLEET_IDS_7], drives!(one_process)),
    Check::new("fleet/ids/raw-id-in-cmd", &[FLEET_IDS_8], drives!(raw_id_in_cmd)),
    Check::new("fleet/ids/no-other-cmd", &[FLEET_IDS_8], drives!(no_other_cmd))
        .waits(Waits::Limit("heartbeat-ms", 2)),
    Check::new("fleet/ids/into-the-path", &[FLEET_IDS_9], drives!(into_the_path)),
    Check::new("fleet/ids/as-it-stands", &[FLEET_IDS_10], drives!(as_it_stands)),
];

fn local(id: &str) -> SyncRoom {
    SyncRoom { origin: Origin::Local, ..told(id, "any", 0) }
}

/// An agent with these rooms, whose ids are not looked at.
async fn with(cx: &Cx, rooms: Vec<SyncRoom>) -> Outcome<Agent> {
    Agent::join(cx, cx.snapshot().having(rooms)).await
}

/// The rooms of an instance, in an answer.
fn listed(cx: &Cx, agent: &Agent) -> wireproof_spec::http::Request {
    rooms_of(cx, &agent.id)
}

/// That an instance is shown with rooms of exactly these public ids.
fn exactly(ids: &[String]) -> Alternative<Response> {
    let ids: BTreeSet<String> = ids.iter().cloned().collect();
    let name = format!("rooms with the ids {}", shortened(&ids));
    ok_and(200, &name, move |data| ids_of(data) == ids && data.as_array().map(Vec::len) == Some(ids.len()))
}

fn shortened(ids: &BTreeSet<String>) -> String {
    let all: Vec<&str> = ids.iter().map(String::as_str).collect();
    words(&all.join(", "))
}

fn ids_of(rooms: &Value) -> BTreeSet<String> {
    let all = rooms.as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().filter_map(|room| room["id"].as_str().map(str::to_owned)).collect()
}

/// The public id of a room of this agent that does not keep its base.
fn beside(agent: &Agent, raw: &str) -> String {
    format!("{}~{}", agent.snapshot().process_uid, public(raw))
}

/// Rooms of both origins, with ids that stay as they are and with others.
async fn base(cx: &Cx) -> Outcome {
    let name = cx.name();
    let raws = ["", "_A-z0", " b", "/~c"].map(|end| format!("{name}{end}"));
    for room in [local, |id: &str| told(id, "any", 0)] {
        let agent = with(cx, raws.iter().map(|raw| room(raw)).collect()).await?;
        let bases: Vec<String> = raws.iter().map(|raw| public(raw)).collect();
        let seen = cx.send(listed(cx, &agent)).await?;
        cx.expect(FLEET_IDS_1, &seen, &[exactly(&bases)])?;
        agent.close(1000);
        let absent = refused(Cause::InstanceNotFound);
        let seen = soon(cx, GONE, &listed(cx, &agent), &absent).await?;
        cx.need(FLEET_INSTANCES_3, &seen, &[absent])?;
    }
    Ok(())
}

/// Each character of ASCII in an id of its own, and characters of two, three and four bytes at their edges.
async fn every_byte(cx: &Cx) -> Outcome {
    let name = cx.name();
    let beyond =
        ['\u{80}', '\u{e9}', '\u{7ff}', '\u{800}', '\u{2028}', '\u{ffff}', '\u{10000}', '\u{10ffff}'];
    let ascii = (0..=127_u8).map(char::from);
    let mut raws: Vec<String> = ascii.chain(beyond).map(|c| format!("{name}{c}x")).collect();
    // What looks as if it were encoded is encoded too.
    raws.extend(["%41", "%2f", "%7E", "/../", "a+b c", "\u{65}\u{301}"].map(|end| format!("{name}-{end}")));
    let agent = with(cx, raws.iter().map(|raw| told(raw, "any", 0)).collect()).await?;
    let encoded: Vec<String> = raws.iter().map(|raw| encoded(raw)).collect();
    let seen = cx.send(listed(cx, &agent)).await?;
    let all = seen.map(|response| Missing::of(&encoded, &ids_of(&data(&response))));
    cx.expect(FLEET_IDS_2, &all, &[alternative("each raw id, encoded", Missing::is_none)])?;
    Ok(())
}

/// The base of a raw id, written down once more from the document.
fn encoded(raw: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    raw.bytes().map(byte).collect()
}

/// Which ids are missing in a list, and which are there in their place.
struct Missing(BTreeSet<String>, BTreeSet<String>);

impl Missing {
    fn of(expected: &[String], found: &BTreeSet<String>) -> Self {
        let expected: BTreeSet<String> = expected.iter().cloned().collect();
        Self(expected.difference(found).cloned().collect(), found.difference(&expected).cloned().collect())
    }

    fn is_none(&self) -> bool {
        self.0.is_empty() && self.1.is_empty()
    }
}

impl Shown for Missing {
    fn shown(&self) -> String {
        format!("missing: {}; in their place: {}", shortened(&self.0), shortened(&self.1))
    }
}

/// Three instances with one raw id each: one shows the base, the others have their processUid before it.
async fn one_base(cx: &Cx) -> Outcome {
    let name = cx.name();
    for raw in [name.clone(), format!("{name} ~/\u{e9}")] {
        let mut agents = Vec::new();
        for _ in 0..3 {
            agents.push(with(cx, vec![told(&raw, "any", 0)]).await?);
        }
        let seen = cx.send(get(cx, "v1/rooms")).await?;
        let base = public(&raw);
        let forms: Vec<(String, String)> =
            agents.iter().map(|agent| (agent.id.clone(), beside(agent, &raw))).collect();
        let one = ok_and(200, "one room with the base and two with processUid, ~ and the base", {
            move |data| {
                let all = data.as_array().map(Vec::as_slice).unwrap_or_default();
                let shown: Vec<(&str, &str)> = forms
                    .iter()
                    .filter_map(|(id, form)| {
                        let room = all.iter().find(|room| room["instanceId"] == **id)?;
                        Some((room["id"].as_str()?, form.as_str()))
                    })
                    .collect();
                let keepers = shown.iter().filter(|(id, _)| *id == base).count();
                let others = shown.iter().filter(|(id, form)| id == form).count();
                keepers == 1 && others == 2
            }
        });
        cx.expect(FLEET_IDS_3, &seen, &[one])?;
    }
    Ok(())
}

/// The ids of the rooms of some agents with one room each, soon.
async fn shows(cx: &Cx, agent: &Agent, id: &str) -> Outcome<(Seen<Response>, Alternative<Response>)> {
    let there = exactly(&[id.to_owned()]);
    let seen = soon(cx, due(agent), &listed(cx, agent), &there).await?;
    Ok((seen, there))
}

/// A room of the host before one of a command, behind it, and one that appears later on an older instance.
async fn fleet_before_local(cx: &Cx) -> Outcome {
    for order in [[Origin::Local, Origin::Fleet], [Origin::Fleet, Origin::Local]] {
        let raw = format!("{} x", cx.name());
        let mut agents = Vec::new();
        for origin in &order {
            let snapshot =
                cx.snapshot().with_room(SyncRoom { origin: origin.clone(), ..told(&raw, "any", 0) });
            agents.push(Agent::join(cx, snapshot).await?);
        }
        for (agent, origin) in agents.iter().zip(&order) {
            let id = if *origin == Origin::Fleet { public(&raw) } else { beside(agent, &raw) };
            let (seen, there) = shows(cx, agent, &id).await?;
            cx.expect(FLEET_IDS_4, &seen, &[there])?;
        }
    }
    let raw = cx.name();
    let older = with(cx, Vec::new()).await?;
    let newer = with(cx, vec![told(&raw, "any", 0)]).await?;
    older.says(older.snapshot().with_room(local(&raw)));
    for (agent, id) in [(&older, beside(&older, &raw)), (&newer, public(&raw))] {
        let (seen, there) = shows(cx, agent, &id).await?;
        cx.expect(FLEET_IDS_4, &seen, &[there])?;
    }
    Ok(())
}

/// Among rooms of each origin; also if the instance that joined first gets the room last.
async fn first_keeps(cx: &Cx) -> Outcome {
    let commanded: fn(&str) -> SyncRoom = |id| told(id, "any", 0);
    for make in [local, commanded] {
        let raw = format!("{}.", cx.name());
        let first = with(cx, Vec::new()).await?;
        let second = with(cx, vec![make(&raw)]).await?;
        let third = with(cx, vec![make(&raw)]).await?;
        for (agent, id) in [(&second, public(&raw)), (&third, beside(&third, &raw))] {
            let (seen, there) = shows(cx, agent, &id).await?;
            cx.expect(FLEET_IDS_5, &seen, &[there])?;
        }
        first.says(first.snapshot().with_room(make(&raw)));
        for (agent, id) in
            [(&first, public(&raw)), (&second, beside(&second, &raw)), (&third, beside(&third, &raw))]
        {
            let (seen, there) = shows(cx, agent, &id).await?;
            cx.expect(FLEET_IDS_5, &seen, &[there])?;
        }
    }
    Ok(())
}

/// The keeper's room goes with a snapshot, and with its connection.
async fn taken_over(cx: &Cx) -> Outcome {
    let raw = format!("{}%", cx.name());
    let mut agents = Vec::new();
    for _ in 0..3 {
        agents.push(with(cx, vec![told(&raw, "any", 0)]).await?);
    }
    let keeper = agents.remove(0);
    let (seen, there) = shows(cx, &keeper, &public(&raw)).await?;
    cx.need(FLEET_IDS_5, &seen, &[there])?;
    keeper.says(keeper.snapshot().having(Vec::new()));
    let (seen, there) = (soon(cx, due(&keeper), &listed(cx, &keeper), &exactly(&[])).await?, exactly(&[]));
    cx.need(FLEET_INSTANCES_4, &seen, &[there])?;
    kept_by_one(cx, &agents, &raw).await?;
    // Whoever keeps it now goes.
    let seen = cx.send(room(cx, &public(&raw))).await?;
    let owner = data(cx.need(FLEET_IDS_6, &seen, &[ok(200)])?)["instanceId"].clone();
    let (gone, left): (Vec<Agent>, Vec<Agent>) = agents.into_iter().partition(|agent| owner == *agent.id);
    for agent in &gone {
        agent.leave();
        let absent = refused(Cause::InstanceNotFound);
        let seen = soon(cx, GONE, &listed(cx, agent), &absent).await?;
        cx.need(FLEET_INSTANCES_3, &seen, &[absent])?;
    }
    kept_by_one(cx, &left, &raw).await
}

/// Claims that one of these keeps the base.
async fn kept_by_one(cx: &Cx, agents: &[Agent], raw: &str) -> Outcome {
    let ids: Vec<String> = agents.iter().map(|agent| agent.id.clone()).collect();
    let seen = cx.send(room(cx, &public(raw))).await?;
    let kept = ok_and(200, "a room of another instance under the base", move |data| {
        ids.iter().any(|id| data["instanceId"] == **id)
    });
    cx.expect(FLEET_IDS_6, &seen, &[kept])?;
    Ok(())
}

/// Three connections of one process, and one of another, with two raw ids.
async fn one_process(cx: &Cx) -> Outcome {
    let (name, one) = (cx.name(), cx.snapshot());
    let raws = [name.clone(), format!("{name}~")];
    let rooms = || raws.iter().map(|raw| told(raw, "any", 0)).collect::<Vec<_>>();
    let mut agents = Vec::new();
    for uid in [Some(&one.process_uid), Some(&one.process_uid), Some(&one.process_uid), None] {
        let mut snapshot = cx.snapshot().having(rooms());
        if let Some(uid) = uid {
            snapshot.process_uid.clone_from(uid);
        }
        agents.push(Agent::join(cx, snapshot).await?);
    }
    let ids: Vec<String> = agents.iter().map(|agent| agent.id.clone()).collect();
    let seen = cx.send(get(cx, "v1/rooms")).await?;
    let bases = raws.each_ref().map(|raw| public(raw));
    let different = ok_and(200, "eight rooms with eight ids, the two bases among them", move |data| {
        let all = data.as_array().map(Vec::as_slice).unwrap_or_default();
        let mine: Vec<&Value> =
            all.iter().filter(|room| ids.iter().any(|id| room["instanceId"] == **id)).collect();
        let found: BTreeSet<&str> = mine.iter().filter_map(|room| room["id"].as_str()).collect();
        mine.len() == 8 && found.len() == 8 && bases.iter().all(|base| found.contains(base.as_str()))
    });
    cx.expect(FLEET_IDS_7, &seen, &[different])?;
    Ok(())
}

/// Two agents that do what they are told and have a room of one raw id, and the public ids of these.
async fn two_obedient(cx: &Cx, raw: &str) -> Outcome<[(Agent, String); 2]> {
    let first = Agent::obedient(cx, cx.snapshot().with_room(told(raw, "any", 0))).await?;
    let second = Agent::obedient(cx, cx.snapshot().with_room(told(raw, "any", 0))).await?;
    let ids = [public(raw), beside(&second, raw)];
    for (agent, id) in [&first, &second].into_iter().zip(&ids) {
        let owner = agent.id.clone();
        let seen = cx.send(room(cx, id)).await?;
        cx.need(FLEET_IDS_5, &seen, &[ok_and(200, "its room", move |data| data["instanceId"] == *owner)])?;
    }
    let [base, other] = ids;
    Ok([(first, base), (second, other)])
}

/// A DELETE of a room that is encoded, and of one that has a processUid before its base, reach their agents.
async fn raw_id_in_cmd(cx: &Cx) -> Outcome {
    let raw = format!("{} /~%41\u{1f600}", cx.name());
    let [first, second] = two_obedient(cx, &raw).await?;
    for (mut agent, id) in [second, first] {
        let _ = cx.send(destroy(cx, &id)).await?;
        let seen = agent.cmd(cx).await?;
        cx.expect(FLEET_IDS_8, &seen, &[destroys(&raw)])?;
    }
    Ok(())
}

/// Up to its next Poll the other agent is told nothing.
async fn no_other_cmd(cx: &Cx) -> Outcome {
    let [(mut first, _), (mut second, id)] = two_obedient(cx, &cx.name()).await?;
    let _ = cx.send(destroy(cx, &id)).await?;
    let seen = second.cmd(cx).await?.and(first.cmds(cx).await?).map(|(_, cmds)| cmds);
    let none = alternative("no Cmd to the other agent", |cmds: &Vec<Cmd>| cmds.is_empty());
    cx.expect(FLEET_IDS_8, &seen, &[none])?;
    Ok(())
}

/// That a Cmd ends the room with this raw id.
fn destroys(raw: &str) -> Alternative<Cmd> {
    let raw = raw.to_owned();
    alternative("a Cmd with the op destroy and the raw id", move |cmd: &Cmd| {
        cmd.op == Op::Destroy && cmd.room_id.as_deref() == Some(&*raw)
    })
}

/// The longest ids, and those with what means something in a path, each as the list shows it.
async fn into_the_path(cx: &Cx) -> Outcome {
    /// The units that an id has at most.
    const UNITS: usize = 256;
    let name = cx.name();
    let filled = |with: &str| {
        let units = with.encode_utf16().count();
        format!("{name}{}", with.repeat((UNITS - name.len()) / units))
    };
    let mut raws: Vec<String> = ["~", "a", "\u{20ac}", "\u{1f600}"].map(filled).into();
    raws.extend(
        ["\0", "/", "?a=b", "#a", "%2F", "%", "+ ;,:@&=", "/../..", "\\", "\n"]
            .map(|end| format!("{name}{end}x")),
    );
    let rooms: Vec<SyncRoom> = raws.iter().map(|raw| told(raw, "any", 0)).collect();
    // The second one has its processUid before each.
    let mut older = Vec::new();
    for _ in 0..2 {
        let mut agent = Agent::obedient(cx, cx.snapshot().having(rooms.clone())).await?;
        let seen = cx.send(rooms_on(cx, &agent.id)).await?;
        let list = data(cx.need(FLEET_HTTP_19, &seen, &[ok_and(200, "rooms", Value::is_array)])?);
        let shown: Vec<Value> = list.as_array().cloned().unwrap_or_default();
        if shown.len() != raws.len() {
            return Err(cx.stop("not every room is shown"));
        }
        for told in &shown {
            let Some(id) = told["id"].as_str() else { continue };
            let seen = cx.send(room(cx, id)).await?;
            let (same, name) = (told.clone(), words(id));
            let this = ok_and(200, &format!("the room {name}"), move |data| *data == same);
            cx.expect(FLEET_IDS_9, &seen, &[this])?;
            let Some(raw) = raws.iter().find(|raw| id.split('~').next_back() == Some(&*public(raw))) else {
                return Err(cx.stop("an id is shown that is the base of no room"));
            };
            let seen = cx.send(destroy(cx, id)).await?;
            cx.expect(FLEET_IDS_9, &seen, &[ok(200)])?;
            let seen = agent.cmd(cx).await?;
            cx.expect(FLEET_IDS_9, &seen, &[destroys(raw)])?;
        }
        older.push(agent);
    }
    Ok(())
}

/// A tilde that was encoded without need.
async fn as_it_stands(cx: &Cx) -> Outcome {
    let raw = cx.name();
    let _keeper = with(cx, vec![told(&raw, "any", 0)]).await?;
    let agent = with(cx, vec![told(&raw, "any", 0)]).await?;
    let id = beside(&agent, &raw);
    let seen = cx.send(room(cx, &id)).await?;
    cx.need(FLEET_IDS_3, &seen, &[ok(200)])?;
    let seen = cx.send(room(cx, &id.replace('~', "%7E"))).await?;
    cx.expect(FLEET_IDS_10, &seen, &[refused(Cause::RoomNotFound)])?;
    Ok(())
}
