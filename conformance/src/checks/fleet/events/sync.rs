//! What is told of the fleet as a whole, and in which order. Nobody else changes it, or what is claimed does not hold for long
//! enough to be looked at.

use super::place;
use crate::{
    check::{Cx, Hook, Outcome, Shown, alternative},
    checks::fleet::{
        agent::{Agent, over},
        ear::{Ear, Told},
        look::{Look, look, settled},
        setting::{Say, told},
    },
    one_of,
    wire::{Seen, limit::words},
};
use std::time::Duration;
use tokio::time::Instant;
use wireproof_spec::fleet::{Snapshot, Status, requirements::*};

/// What was told up to a look.
struct Upto(Vec<Told>, Look);

impl Shown for Upto {
    fn shown(&self) -> String {
        format!("{} before {}", words(&self.0.shown()), self.1.shown())
    }
}

/// A join, a room, and changes of connections, labels and status alone.
pub(super) async fn changes(cx: &Cx) -> Outcome {
    let _ = settled(cx).await?;
    let mut ear = Ear::open(cx).await?;
    let names = [cx.name(), cx.name()];
    let mut agent = Agent::join(cx, cx.snapshot().with_room(told(&names[0], "any", 1))).await?;
    let _ = synced(cx, &mut ear).await?;
    agent.becomes(cx, |it| it.with_room(told(&names[1], "any", 1))).await?;
    let _ = synced(cx, &mut ear).await?;
    let alone: [fn(&mut Snapshot); 3] = [
        |it| it.rooms[0].connections += 1,
        |it| it.labels.push(wireproof_spec::fleet::Label { key: "k".into(), value: "v".into() }),
        |it| it.status = Status::Draining,
    ];
    for change in alone {
        agent.becomes(cx, |it| it.but(change)).await?;
        let told = synced(cx, &mut ear).await?;
        let ids = [agent.id.clone(), names[0].clone(), names[1].clone()];
        let by_sync = alternative("a sync, and no other event of it", move |told: &Vec<Told>| {
            let ids = ids.each_ref().map(String::as_str);
            told.iter().any(|told| told.name == "sync") && !told.iter().any(|told| told.is_about(&ids))
        });
        cx.expect(FLEET_EVENTS_14, &told, &[by_sync])?;
    }
    // What else there was to be told of the last of them would have come by now.
    let rest = ear.rest(cx).await?;
    let ids = [agent.id.clone(), names[0].clone(), names[1].clone()];
    let none = alternative("no other event of it", move |told: &Vec<Told>| {
        let ids = ids.each_ref().map(String::as_str);
        !told.iter().any(|told| told.is_about(&ids))
    });
    cx.expect(FLEET_EVENTS_14, &rest, &[none])?;
    Ok(())
}

/// Claims that what changed is told by a sync with the numbers of now; what was told up to it.
async fn synced(cx: &Cx, ear: &mut Ear) -> Outcome<Seen<Vec<Told>>> {
    let now = look(cx).await?;
    let hash = now.look().map(|look| look.hash().to_owned()).unwrap_or_default();
    let seen = ear.hears(cx, |told| told.name == "sync" && told.data["stateHash"] == *hash).await?;
    let both = seen.clone().and(now).map(|(told, look)| Upto(told, look));
    let with_it = alternative("a sync with the numbers of now", |upto: &Upto| {
        upto.0.last().is_some_and(|told| told.name == "sync" && told.data == upto.1.stats)
    });
    cx.expect(FLEET_EVENTS_12, &both, &[with_it])?;
    Ok(seen)
}

/// Hash-only States, and a stale instance.
pub(super) async fn none(cx: &Cx) -> Outcome {
    let mut agent = Agent::join(cx, cx.snapshot().with_room(told(&cx.name(), "any", 1))).await?;
    let before = settled(cx).await?;
    let hash = before.look().map(|look| look.hash().to_owned()).unwrap_or_default();
    let mut ear = Ear::open(cx).await?;
    // The first one came before, and when the third comes the second was answered.
    for _ in 0..3 {
        let _ = agent.poll(cx).await?;
    }
    agent.is_silent();
    let id = agent.id.clone();
    let until = Instant::now() + agent.heartbeat * 4 + cx.answer_time();
    let stale = ear.until(until, |told| told.is("instance:stale", &id)).await?;
    cx.need(FLEET_EVENTS_8, &stale, &[alternative("an instance:stale", |_| true)])?;
    let told = stale.and(ear.rest(cx).await?).map(|(before, behind)| [before, behind].concat());
    let none = alternative("no sync with the stateHash that was there before", move |told: &Vec<Told>| {
        !told.iter().any(|told| told.name == "sync" && told.data["stateHash"] == *hash)
    });
    cx.expect(FLEET_EVENTS_13, &before.and(told).map(|(_, told)| told), &[none])?;
    Ok(())
}

/// The places of some events, and of each sync.
fn places(all: &[Told], name: &str, ids: &[String]) -> Vec<Option<usize>> {
    ids.iter().map(|id| place(all, name, id)).collect()
}

/// Whether there is a sync behind this place, and none between the other one and it.
fn sync_behind(all: &[Told], from: usize, to: usize) -> bool {
    let is_sync = |told: &Told| told.name == "sync";
    !all[from..to].iter().any(is_sync) && all[to..].iter().any(is_sync)
}

/// A snapshot that ends two rooms and makes two, twice; and two instances that leave.
pub(super) async fn order(cx: &Cx) -> Outcome {
    let _ = settled(cx).await?;
    let names: Vec<String> = (0..6).map(|_| cx.name()).collect();
    let rooms = |at: usize| names[at..at + 2].iter().map(|name| told(name, "any", 1)).collect::<Vec<_>>();
    let mut agent = Agent::join(cx, cx.snapshot().having(rooms(0))).await?;
    let other = cx.name();
    let second = Agent::join(cx, cx.snapshot().having(vec![told(&other, "any", 1)])).await?;
    let mut ear = Ear::open(cx).await?;
    for at in [2, 4] {
        agent.becomes(cx, |it| it.having(rooms(at))).await?;
        let seen = ear.rest(cx).await?;
        let (come, gone) = (names[at..at + 2].to_vec(), names[at - 2..at].to_vec());
        let ordered = alternative("room:create before room:destroy before sync", move |all: &Vec<Told>| {
            let (creates, destroys) = (places(all, "room:create", &come), places(all, "room:destroy", &gone));
            let (Some(first), Some(last)) =
                (creates.iter().min().copied().flatten(), destroys.iter().max().copied().flatten())
            else {
                return false;
            };
            creates.iter().max() < destroys.iter().min() && sync_behind(all, first, last)
        });
        cx.expect(FLEET_EVENTS_16, &seen, &[ordered])?;
    }
    for (agent, gone) in [(&agent, names[4..].to_vec()), (&second, vec![other])] {
        agent.close(1000);
        let id = agent.id.clone();
        let last = gone.clone();
        let mut seen = ear
            .hears(cx, |told| {
                told.is("instance:leave", &id) || last.iter().any(|room| told.is("room:destroy", room))
            })
            .await?;
        seen = seen.and(ear.rest(cx).await?).map(|(before, behind)| [before, behind].concat());
        let ordered =
            alternative("instance:leave before room:destroy before sync", move |all: &Vec<Told>| {
                let (leave, destroys) =
                    (place(all, "instance:leave", &id), places(all, "room:destroy", &gone));
                let (Some(first), Some(last)) = (leave, destroys.iter().max().copied().flatten()) else {
                    return false;
                };
                destroys.iter().all(|destroy| *destroy > leave) && sync_behind(all, first, last)
            });
        cx.expect(FLEET_EVENTS_17, &seen, &[ordered])?;
    }
    Ok(())
}

/// The first connection behind a start, which ends without a snapshot.
pub(super) async fn first_connection(cx: &Cx) -> Outcome {
    cx.hook(Hook::Restart).await?;
    let mut ear = Ear::open(cx).await?;
    let mut agent = Agent::connect(cx).await?;
    agent.close(1000);
    let fate = agent.fate(cx, Duration::from_secs(2)).await?;
    cx.need(FLEET_CONNECT_1, &fate, &[over()])?;
    let seen = ear.rest(cx).await?;
    let of =
        |name: &'static str, told: fn(&[Told]) -> bool| alternative(name, move |all: &Vec<Told>| told(all));
    let sync = of("a sync", |all| !all.is_empty() && all.iter().all(|told| told.name == "sync"));
    let nothing = of("nothing", <[Told]>::is_empty);
    cx.expect(FLEET_EVENTS_19, &seen, &one_of![nothing, sync])?;
    Ok(())
}
