//! Checks of who is a candidate. Each has agents with a type of their own.

use crate::{
    check::{Cx, Outcome},
    checks::fleet::{
        agent::Agent,
        orders::{asked, kind, nobody, obedient, went},
        setting::{Say, create, told},
    },
};
use serde_json::json;
use wireproof_spec::{
    fleet::{Cause, Origin, Status, SyncRoom, requirements::*},
    requirement::RequirementId,
};

/// How often a room is asked for, where one of several instances must never get it.
const OFTEN: usize = 4;

/// Rooms of a type that nobody takes, wherever and in each way.
pub(super) async fn nobody_takes_it(cx: &Cx) -> Outcome {
    let mut agents = obedient(cx, [cx.snapshot(), cx.snapshot()]).await?;
    for placement in [
        None,
        Some(json!({})),
        Some(json!({"strategy": "most-loaded"})),
        Some(json!({"strategy": "random"})),
        Some(json!({"force": true})),
    ] {
        let mut body = json!({"type": cx.name(), "roomId": cx.name()});
        if let Some(placement) = placement {
            body["placement"] = placement;
        }
        let seen = asked(cx, &mut agents, create(cx, &body)).await?;
        cx.expect(FLEET_PLACEMENT_1, &seen, &[nobody(Cause::NoCandidate)])?;
    }
    Ok(())
}

/// A type that one of several agents takes, among others; and types that nobody does: the beginning of one, one in capitals,
/// and that of a room that is there.
pub(super) async fn types(cx: &Cx) -> Outcome {
    let [kind, other, hosted] = [cx.name(), cx.name(), cx.name()];
    let mut agents = obedient(
        cx,
        [
            cx.snapshot().hosting(&[&other]),
            cx.snapshot().hosting(&[&other, &kind]),
            cx.snapshot().hosting(&[]),
            cx.snapshot().hosting(&[&format!("{kind}-and-more")]).with_room(told(&cx.name(), &hosted, 0)),
        ],
    )
    .await?;
    for strategy in ["least-loaded", "most-loaded", "random", "random"] {
        let body = json!({"type": kind, "placement": {"strategy": strategy}});
        let seen = asked(cx, &mut agents, create(cx, &body)).await?;
        cx.expect(FLEET_PLACEMENT_2, &seen, &[went(&agents, 1)])?;
    }
    for kind in [kind[..kind.len() - 1].to_owned(), kind.to_uppercase(), hosted] {
        let seen = asked(cx, &mut agents, create(cx, &json!({"type": kind}))).await?;
        cx.expect(FLEET_PLACEMENT_2, &seen, &[nobody(Cause::NoCandidate)])?;
    }
    Ok(())
}

/// One label, two, none, a value that another label has, and a label that nobody has.
pub(super) async fn labels(cx: &Cx) -> Outcome {
    let kind = cx.name();
    let of_kind = || cx.snapshot().hosting(&[&kind]);
    let mut agents = obedient(
        cx,
        [
            of_kind().labelled("zone", "a").labelled("tier", "one:1"),
            of_kind().labelled("zone", "b").labelled("tier", "one:1"),
            of_kind().labelled("zone", "a"),
        ],
    )
    .await?;
    for (labels, to) in [
        (json!({"zone": "a", "tier": "one:1"}), Some(0)),
        (json!({"zone": "b"}), Some(1)),
        (json!({"tier": "one:1", "zone": "b"}), Some(1)),
        (json!({"zone": "c"}), None),
        (json!({"tier": "one:1", "zone": "c"}), None),
        (json!({"zone": "a", "tier": "one"}), None),
        (json!({"zone": "b", "other": ""}), None),
        (json!({"zone": "A"}), None),
        (json!({"Zone": "a"}), None),
        (json!({"zone": ""}), None),
    ] {
        for strategy in ["least-loaded", "random"] {
            let placement = json!({"strategy": strategy, "labels": labels});
            let seen =
                asked(cx, &mut agents, create(cx, &json!({"type": kind, "placement": placement}))).await?;
            let right = to.map_or_else(|| nobody(Cause::NoCandidate), |to| went(&agents, to));
            cx.expect(FLEET_PLACEMENT_3, &seen, &[right])?;
        }
    }
    Ok(())
}

/// Asks for rooms of a type, often, in each way: they go to the second of two agents.
async fn never_the_first(cx: &Cx, requirement: RequirementId, agents: &mut [Agent], kind: &str) -> Outcome {
    for n in 0..OFTEN {
        let strategy = ["least-loaded", "most-loaded", "random", "random"][n % OFTEN];
        let body = json!({"type": kind, "placement": {"strategy": strategy, "force": true}});
        let seen = asked(cx, agents, create(cx, &body)).await?;
        cx.expect(requirement, &seen, &[went(agents, 1)])?;
    }
    Ok(())
}

/// Asks for a room of a type that one agent alone takes, which it must not get.
async fn never(cx: &Cx, requirement: RequirementId, agents: &mut [Agent], kind: &str) -> Outcome {
    for placement in [json!({}), json!({"strategy": "random"}), json!({"force": true})] {
        let body = json!({"type": kind, "placement": placement});
        let seen = asked(cx, agents, create(cx, &body)).await?;
        cx.expect(requirement, &seen, &[nobody(Cause::NoCandidate)])?;
    }
    Ok(())
}

/// One that says it is draining, alone and beside another one.
pub(super) async fn draining(cx: &Cx) -> Outcome {
    let [kind, alone] = [cx.name(), cx.name()];
    let drained = cx.snapshot().hosting(&[&kind, &alone]).in_status(Status::Draining);
    let mut agents = obedient(cx, [drained, cx.snapshot().hosting(&[&kind])]).await?;
    never_the_first(cx, FLEET_PLACEMENT_4, &mut agents, &kind).await?;
    never(cx, FLEET_PLACEMENT_4, &mut agents, &alone).await
}

/// One without autoCreate, alone and beside another one, and pinned.
pub(super) async fn no_auto_create(cx: &Cx) -> Outcome {
    let [kind, alone] = [cx.name(), cx.name()];
    let without = cx.snapshot().hosting(&[&kind, &alone]).but(|snapshot| snapshot.auto_create = false);
    let mut agents = obedient(cx, [without, cx.snapshot().hosting(&[&kind])]).await?;
    never_the_first(cx, FLEET_PLACEMENT_6, &mut agents, &kind).await?;
    never(cx, FLEET_PLACEMENT_6, &mut agents, &alone).await
}

/// Rooms with these connections, the first of them of the host's own.
fn with(cx: &Cx, connections: &[u32]) -> Vec<SyncRoom> {
    let rooms = connections.iter().enumerate().map(|(n, count)| {
        let origin = if n == 0 { Origin::Local } else { Origin::Fleet };
        SyncRoom { origin, ..told(&cx.name(), "any", *count) }
    });
    rooms.collect()
}

/// maxConnections, maxRooms, the connections of the rooms that are there, and whether there is a place left.
type Bounded<'a> = (Option<i32>, Option<i32>, &'a [u32], bool);

/// Agents with these bounds and rooms, each with a type of its own: those that have a place left get a room, and the others none.
async fn bounded(cx: &Cx, requirement: RequirementId, cases: &[Bounded<'_>]) -> Outcome {
    for (connections, rooms, there, has_place) in cases {
        let snapshot = cx.snapshot().bounded(*connections, *rooms).having(with(cx, there));
        let mut agents = obedient(cx, [snapshot]).await?;
        let body = json!({"type": kind(&agents[0])});
        let seen = asked(cx, &mut agents, create(cx, &body)).await?;
        if *has_place {
            cx.expect(FLEET_PLACEMENT_9, &seen, &[went(&agents, 0)])?;
        } else {
            cx.expect(requirement, &seen, &[nobody(Cause::NoCandidate)])?;
        }
    }
    Ok(())
}

/// One below maxRooms, as many, and more; and no bound.
pub(super) async fn rooms(cx: &Cx) -> Outcome {
    let cases: &[Bounded<'_>] = &[
        (None, Some(3), &[0, 0], true),
        (None, Some(2), &[0, 0], false),
        (None, Some(1), &[0, 0, 0], false),
        (None, Some(1), &[], true),
        (None, Some(0), &[], false),
        (None, None, &[0, 1, 2, 3, 4, 5], true),
        (Some(1), None, &[0, 0, 0, 0], true),
    ];
    bounded(cx, FLEET_PLACEMENT_7, cases).await
}

/// One below maxConnections, as many, and more, of several rooms; and no bound.
pub(super) async fn connections(cx: &Cx) -> Outcome {
    let cases: &[Bounded<'_>] = &[
        (Some(6), None, &[3, 2], true),
        (Some(5), None, &[3, 2], false),
        (Some(4), None, &[3, 2], false),
        (Some(1), None, &[], true),
        (Some(0), None, &[], false),
        (None, None, &[1_000_000, 1_000_000], true),
        (None, Some(3), &[7, 7], true),
    ];
    bounded(cx, FLEET_PLACEMENT_8, cases).await
}
