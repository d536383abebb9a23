//! Checks of which candidate gets a room.

use crate::{
    check::{Cx, Outcome, Shown, alternative},
    checks::fleet::{
        agent::Agent,
        orders::{Asked, asked, came, is_on, nobody, obedient, went},
        setting::{Say, create, ok, told},
    },
    one_of,
    wire::Seen,
};
use serde_json::{Value, json};
use wireproof_spec::{
    fleet::{Cause, Snapshot, requirements::*},
    requirement::RequirementId,
};

/// How often a room is asked for. What is held does not count for the load, so that they all go to one instance.
const OFTEN: usize = 3;

/// What an agent says that takes this type, has these connections in one room, and this bound.
fn loaded(cx: &Cx, kind: &str, connections: u32, most: Option<i32>) -> Snapshot {
    cx.snapshot().hosting(&[kind]).bounded(most, None).with_room(told(&cx.name(), "any", connections))
}

/// The load of instances, and which of them gets the rooms.
type Case<'a> = (&'a [(u32, Option<i32>)], usize);

/// Claims for each of these cases, with agents of their own, that rooms which are asked for so go where they belong. Beside the
/// candidates there is an instance without bounds that takes no room: it does not count.
async fn go_to(
    cx: &Cx,
    requirement: RequirementId,
    placements: &[Option<Value>],
    cases: &[Case<'_>],
) -> Outcome {
    for (loads, to) in cases {
        let kind = cx.name();
        let full = loaded(cx, &kind, 0, None).bounded(None, Some(0));
        let mut agents = Vec::new();
        let candidates = loads.iter().map(|(connections, most)| loaded(cx, &kind, *connections, *most));
        for snapshot in candidates.chain([full]) {
            agents.extend(obedient(cx, [snapshot]).await?);
        }
        for placement in placements.iter().flat_map(|placement| vec![placement; OFTEN]) {
            let mut body = json!({"type": kind});
            if let Some(placement) = placement {
                body["placement"] = placement.clone();
            }
            let seen = asked(cx, &mut agents, create(cx, &body)).await?;
            cx.expect(requirement, &seen, &[went(&agents, *to)])?;
        }
    }
    Ok(())
}

fn strategy(word: &str) -> Option<Value> {
    Some(json!({"strategy": word}))
}

/// More connections and a lesser quotient; quotients that whole percents do not tell apart; one that has nothing.
const BY_QUOTIENT: &[Case<'_>] = &[
    (&[(3, Some(10)), (10, Some(100)), (4, Some(8))], 1),
    (&[(1, Some(3)), (333, Some(1000))], 1),
    (&[(1, Some(1000)), (0, Some(1)), (1, Some(2))], 1),
];

/// One without a bound: its connections count as those of the others.
const BY_NUMBER: &[Case<'_>] =
    &[(&[(10, None), (3, Some(4)), (5, Some(100))], 1), (&[(5, Some(1000)), (6, Some(100)), (2, None)], 2)];

pub(super) async fn least_quotient(cx: &Cx) -> Outcome {
    go_to(cx, FLEET_PLACEMENT_10, &[strategy("least-loaded")], BY_QUOTIENT).await
}

pub(super) async fn fewest(cx: &Cx) -> Outcome {
    go_to(cx, FLEET_PLACEMENT_11, &[strategy("least-loaded")], BY_NUMBER).await
}

/// By quotients, and by connections where one has no bound.
pub(super) async fn most(cx: &Cx) -> Outcome {
    let cases: &[Case<'_>] = &[
        (&[(10, Some(100)), (3, Some(10)), (20, Some(100))], 1),
        (&[(333, Some(1000)), (1, Some(3))], 1),
        (&[(3, Some(4)), (12, Some(100)), (10, None)], 1),
        (&[(3, Some(4)), (5, None), (4, Some(100))], 1),
    ];
    go_to(cx, FLEET_PLACEMENT_12, &[strategy("most-loaded")], cases).await
}

/// Without a strategy, without a placement, and with another member of it.
pub(super) async fn none(cx: &Cx) -> Outcome {
    let placements = [None, Some(json!({})), Some(json!({"force": false, "labels": {}}))];
    go_to(cx, FLEET_PLACEMENT_14, &placements, &[BY_QUOTIENT[0], BY_NUMBER[0]]).await
}

/// How many of forty rooms each of two agents got.
struct Draws([usize; 2]);

impl Shown for Draws {
    fn shown(&self) -> String {
        format!("{} rooms at one agent and {} at the other", self.0[0], self.0[1])
    }
}

pub(super) async fn random(cx: &Cx) -> Outcome {
    const DRAWS: usize = 40;
    let kind = cx.name();
    let loads = [loaded(cx, &kind, 1, Some(100)), loaded(cx, &kind, 50, Some(100))];
    let mut agents = obedient(cx, loads).await?;
    let mut seen = Vec::new();
    for _ in 0..DRAWS {
        let body = json!({"type": kind, "placement": {"strategy": "random"}});
        let answer = cx.send(create(cx, &body)).await?;
        cx.need(FLEET_COMMANDS_3, &answer, &[ok(201)])?;
        seen.push(answer);
    }
    let [first, second] = agents.as_mut_slice() else { return Ok(()) };
    let draws = Draws([came(first).await.len(), came(second).await.len()]);
    let each = alternative("at least one room at each of two agents", |Draws(draws): &Draws| {
        draws.iter().all(|count| *count > 0) && draws.iter().sum::<usize>() == DRAWS
    });
    cx.expect(FLEET_PLACEMENT_13, &Seen::all(seen).map(|_| draws), &[each])?;
    Ok(())
}

/// A strategy that is none of those of the document; what comes of it is told.
pub(super) async fn unknown(cx: &Cx) -> Outcome {
    let kind = cx.name();
    let mut agents = obedient(cx, [loaded(cx, &kind, 1, None), loaded(cx, &kind, 2, None)]).await?;
    let body = json!({"type": kind, "placement": {"strategy": "round-robin"}});
    let ids: Vec<String> = agents.iter().map(|agent: &Agent| agent.id.clone()).collect();
    let sent = cx.send_broken(create(cx, &body)).await?;
    let mut cmds = Vec::new();
    for agent in &mut agents {
        cmds.push(came(agent).await);
    }
    let some = alternative("201 for a room on a candidate", move |asked: &Asked| {
        ids.iter().enumerate().any(|(to, id)| is_on(asked, to, id))
    });
    let seen = sent.map(|answer| Asked { answer, cmds });
    cx.expect(FLEET_PLACEMENT_15, &seen, &one_of![some, nobody(Cause::Validation)])?;
    Ok(())
}
