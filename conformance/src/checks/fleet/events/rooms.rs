//! What is told of rooms.

use super::{first, has, place, times};
use crate::{
    check::{Alternative, Cx, Outcome, alternative},
    checks::fleet::{
        agent::Agent,
        ear::{Ear, Told},
        setting::{Say, told},
    },
    wire::Seen,
};
use serde_json::{Value, json};
use wireproof_spec::fleet::{Origin, SyncRoom, ids::public, requirements::*};

/// A room as it is told when it comes.
fn info(agent: &Agent, room: &SyncRoom, id: &str) -> Value {
    json!({
        "id": id,
        "type": room.kind,
        "connections": room.connections,
        "instanceId": agent.id,
        "endpointUrl": agent.snapshot().endpoint_url,
        "local": room.origin == Origin::Local,
    })
}

/// That an event of this name was told once of a room, with these members.
fn once(name: &'static str, id: &str, members: Value) -> Alternative<Vec<Told>> {
    let id = id.to_owned();
    alternative(format!("{name} told once with {members}"), move |all: &Vec<Told>| {
        times(all, name, &id) == 1 && first(all, name, &id).is_some_and(|told| has(&told.data, &members))
    })
}

/// Rooms that come with their instance, behind it, change, go before it, and go with it.
pub(super) async fn come_and_go(cx: &Cx) -> Outcome {
    let mut ear = Ear::open(cx).await?;
    let local = SyncRoom { origin: Origin::Local, ..told(&format!("{} /", cx.name()), "b", 2) };
    let rooms = [told(&cx.name(), "a", 1), local, told(&cx.name(), "c", 0)];
    let ids = rooms.each_ref().map(|room| public(&room.id));
    let mut agent = Agent::join(cx, cx.snapshot().having(rooms[..2].to_vec())).await?;
    agent.becomes(cx, |it| it.having(rooms.to_vec())).await?;
    let mut changed = rooms.clone();
    changed[0].connections += 5;
    agent.becomes(cx, |it| it.having(changed[..2].to_vec())).await?;
    let last = ids[2].clone();
    let come = ear.hears(cx, |told| told.is("room:destroy", &last)).await?;
    for (room, id) in rooms.iter().zip(&ids) {
        cx.expect(FLEET_EVENTS_10, &come, &[once("room:create", id, info(&agent, room, id))])?;
    }
    let of_last = json!({"id": ids[2], "type": rooms[2].kind});
    cx.expect(FLEET_EVENTS_11, &come, &[once("room:destroy", &ids[2], of_last)])?;
    agent.close(1000);
    let left = agent.id.clone();
    let gone = ear.hears(cx, |told| told.is("instance:leave", &left)).await?;
    let gone = gone.and(ear.rest(cx).await?).map(|(before, behind)| [before, behind].concat());
    for (room, id) in rooms[..2].iter().zip(&ids) {
        let members = json!({"id": id, "type": room.kind});
        cx.expect(FLEET_EVENTS_11, &gone, &[once("room:destroy", id, members)])?;
    }
    let all = come.and(gone).map(|(before, behind)| [before, behind].concat());
    let no_more = alternative("each room:create and each room:destroy once", {
        move |all: &Vec<Told>| {
            let once = |name, id: &String| times(all, name, id) == 1;
            ids.iter().all(|id| once("room:create", id) && once("room:destroy", id))
        }
    });
    cx.expect(FLEET_EVENTS_10, &all, &[no_more])?;
    Ok(())
}

/// Two instances with two rooms each.
pub(super) async fn behind_the_join(cx: &Cx) -> Outcome {
    let mut ear = Ear::open(cx).await?;
    for _ in 0..2 {
        let names = [cx.name(), cx.name()];
        let rooms = names.iter().map(|name| told(name, "any", 1)).collect();
        let agent = Agent::join(cx, cx.snapshot().having(rooms)).await?;
        let seen = ear.rest(cx).await?;
        let behind = alternative("instance:join, and the room:create of its rooms behind it", {
            move |all: &Vec<Told>| {
                let join = place(all, "instance:join", &agent.id);
                let creates = names.each_ref().map(|name| place(all, "room:create", name));
                join.is_some() && creates.iter().all(|create| *create > join)
            }
        });
        cx.expect(FLEET_EVENTS_15, &seen, &[behind])?;
    }
    Ok(())
}

/// Which of these ids came and went.
fn moves(creates: &[&str], destroys: &[&str], of: &[&str]) -> Alternative<Vec<Told>> {
    let own = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    let (creates, destroys, of) = (own(creates), own(destroys), own(of));
    let name = format!(
        "the room:create of {creates:?} and the room:destroy of {destroys:?}, and no others of these ids"
    );
    alternative(name, move |all: &Vec<Told>| {
        of.iter().all(|id| {
            times(all, "room:create", id) == usize::from(creates.contains(id))
                && times(all, "room:destroy", id) == usize::from(destroys.contains(id))
        })
    })
}

/// A room of a host; one of a command that takes its id over; a third one beside them; and the second one goes.
pub(super) async fn renamed(cx: &Cx) -> Outcome {
    let mut ear = Ear::open(cx).await?;
    let raw = format!("{}+", cx.name());
    let base = public(&raw);
    let host = SyncRoom { origin: Origin::Local, ..told(&raw, "any", 0) };
    let beside = |agent: &Agent| format!("{}~{base}", agent.snapshot().process_uid);
    let first = Agent::join(cx, cx.snapshot().with_room(host)).await?;
    let of_first = beside(&first);
    let seen = ear.rest(cx).await?;
    cx.expect(FLEET_EVENTS_18, &seen, &[moves(&[&base], &[], &[&base, &of_first])])?;
    let second = Agent::join(cx, cx.snapshot().with_room(told(&raw, "any", 0))).await?;
    let of_second = beside(&second);
    let seen = ear.rest(cx).await?;
    cx.expect(FLEET_EVENTS_18, &seen, &[moves(&[&of_first], &[], &[&base, &of_first, &of_second])])?;
    let third = Agent::join(cx, cx.snapshot().with_room(told(&raw, "any", 0))).await?;
    let of_third = beside(&third);
    let all = [&*base, &*of_first, &*of_second, &*of_third];
    let seen = ear.rest(cx).await?;
    cx.expect(FLEET_EVENTS_18, &seen, &[moves(&[&of_third], &[], &all)])?;
    // The third one keeps the base from now on, and the first one is what it was.
    let seen = ends(cx, &mut ear, &second).await?;
    cx.expect(FLEET_EVENTS_18, &seen, &[moves(&[], &[&of_third], &all)])?;
    let seen = ends(cx, &mut ear, &third).await?;
    cx.expect(FLEET_EVENTS_18, &seen, &[moves(&[], &[&of_first], &all)])?;
    let seen = ends(cx, &mut ear, &first).await?;
    cx.expect(FLEET_EVENTS_18, &seen, &[moves(&[], &[&base], &all)])?;
    Ok(())
}

/// What is told when a connection ends.
async fn ends(cx: &Cx, ear: &mut Ear, agent: &Agent) -> Outcome<Seen<Vec<Told>>> {
    agent.close(1000);
    let seen = ear.hears(cx, |told| told.is("instance:leave", &agent.id)).await?;
    let left = alternative("an instance:leave", |all: &Vec<Told>| !all.is_empty());
    cx.need(FLEET_EVENTS_7, &seen, &[left])?;
    Ok(seen.and(ear.rest(cx).await?).map(|(before, behind)| [before, behind].concat()))
}
