//! Which rooms a query asks for.

use crate::{
    check::{Alternative, Cx, Outcome},
    checks::fleet::{
        agent::Agent,
        setting::{Say, get, ok_and, refused, told},
    },
    one_of,
};
use serde_json::Value;
use std::collections::BTreeSet;
use wireproof_spec::{
    fleet::{Cause, requirements::*},
    http::{Request, Response},
    requirement::RequirementId,
};

/// Two instances, each with two rooms of two types, and a value of a label that both have, beside one that differs.
struct Two {
    agents: [Agent; 2],
    kinds: [String; 2],
    /// The ids of the rooms, by instance and type.
    rooms: [[String; 2]; 2],
    shared: String,
    own: [String; 2],
}

/// Behind its first colon there are more.
fn colons(of: &str) -> String {
    format!("{of}:b:c")
}

impl Two {
    async fn new(cx: &Cx) -> Outcome<Self> {
        let kinds = [cx.name(), cx.name()];
        let rooms = [[cx.name(), cx.name()], [cx.name(), cx.name()]];
        let (shared, own) = (cx.token(8), [colons(&cx.token(8)), colons(&cx.token(8))]);
        let say = |of: usize| {
            let told = rooms[of].iter().zip(&kinds).map(|(id, kind)| told(id, kind, 0)).collect();
            cx.snapshot().labelled("shared", &shared).labelled("own", &own[of]).having(told)
        };
        let agents = tokio::try_join!(Agent::join(cx, say(0)), Agent::join(cx, say(1)))?;
        Ok(Self { agents: [agents.0, agents.1], kinds, rooms, shared, own })
    }

    /// Claims that this query shows these rooms, by instance and type, and no others.
    async fn shows(
        &self,
        cx: &Cx,
        requirement: RequirementId,
        query: &[(&str, &str)],
        which: &[(usize, usize)],
    ) -> Outcome {
        let rooms = which.iter().map(|(instance, kind)| self.rooms[*instance][*kind].clone()).collect();
        let seen = cx.send(asked(cx, query)).await?;
        cx.expect(requirement, &seen, &[exactly(rooms)])?;
        Ok(())
    }
}

fn asked(cx: &Cx, query: &[(&str, &str)]) -> Request {
    query.iter().fold(get(cx, "v1/rooms"), |request, (name, value)| request.param(name, *value))
}

/// The ids in a list, in their order: one that is there twice is twice among them.
fn ids(data: &Value) -> Vec<&str> {
    let mut ids: Vec<&str> =
        data.as_array().into_iter().flatten().map(|room| room["id"].as_str().unwrap_or_default()).collect();
    ids.sort_unstable();
    ids
}

/// That a list has these rooms and no others.
fn exactly(rooms: BTreeSet<String>) -> Alternative<Response> {
    let name = match rooms.len() {
        0 => "no room".to_owned(),
        count => format!("exactly {count} rooms: {}", rooms.iter().cloned().collect::<Vec<_>>().join(", ")),
    };
    ok_and(200, &name, move |data| data.is_array() && ids(data).into_iter().eq(&rooms))
}

pub(super) async fn one(cx: &Cx) -> Outcome {
    let two = Two::new(cx).await?;
    two.shows(cx, FLEET_HTTP_19, &[("type", &two.kinds[0])], &[(0, 0), (1, 0)]).await?;
    two.shows(cx, FLEET_HTTP_19, &[("type", &two.kinds[1])], &[(0, 1), (1, 1)]).await?;
    for of in 0..2 {
        let id = &two.agents[of].id;
        two.shows(cx, FLEET_HTTP_19, &[("instanceId", id)], &[(of, 0), (of, 1)]).await?;
    }
    let (nothing, part) = (cx.name(), &two.kinds[0][..two.kinds[0].len() - 1]);
    for query in [("type", nothing.as_str()), ("type", part), ("instanceId", &nothing)] {
        two.shows(cx, FLEET_HTTP_19, &[query], &[]).await?;
    }
    Ok(())
}

pub(super) async fn labels(cx: &Cx) -> Outcome {
    let two = Two::new(cx).await?;
    let label = |key: &str, value: &str| format!("{key}:{value}");
    let all = [(0, 0), (0, 1), (1, 0), (1, 1)];
    two.shows(cx, FLEET_HTTP_20, &[("label", &label("shared", &two.shared))], &all).await?;
    for of in 0..2 {
        let own = label("own", &two.own[of]);
        two.shows(cx, FLEET_HTTP_20, &[("label", &own)], &[(of, 0), (of, 1)]).await?;
    }
    let (first, _) = two.own[0].split_once(':').unwrap_or_default();
    for none in [label("own", first), label("shared", &two.own[0]), label(&cx.name(), &two.shared)] {
        two.shows(cx, FLEET_HTTP_20, &[("label", &none)], &[]).await?;
    }
    Ok(())
}

pub(super) async fn several(cx: &Cx) -> Outcome {
    let two = Two::new(cx).await?;
    let shared = format!("shared:{}", two.shared);
    let own = two.own.clone().map(|own| format!("own:{own}"));
    let [first, second] = [0, 1].map(|of| two.agents[of].id.as_str());
    let kind = two.kinds[0].as_str();
    for (query, which) in [
        (vec![("type", kind), ("instanceId", first)], vec![(0, 0)]),
        (vec![("type", kind), ("label", &own[1])], vec![(1, 0)]),
        (vec![("label", &shared), ("label", &own[0])], vec![(0, 0), (0, 1)]),
        (vec![("label", &own[0]), ("label", &shared)], vec![(0, 0), (0, 1)]),
        (vec![("label", &own[0]), ("instanceId", second)], vec![]),
        (vec![("type", kind), ("instanceId", second), ("label", &shared), ("label", &own[1])], vec![(1, 0)]),
    ] {
        two.shows(cx, FLEET_HTTP_21, &query, &which).await?;
    }
    Ok(())
}

pub(super) async fn unknown(cx: &Cx) -> Outcome {
    let two = Two::new(cx).await?;
    let kind = two.kinds[0].as_str();
    let (page, other) = (cx.token(4), cx.name());
    for more in [("limit", "1"), ("Type", other.as_str()), ("page", &page), ("labels", "a:b"), ("", "x")] {
        two.shows(cx, FLEET_HTTP_22, &[("type", kind), more], &[(0, 0), (1, 0)]).await?;
    }
    Ok(())
}

/// What nobody gains anything by asking.
pub(super) async fn odd(cx: &Cx) -> Outcome {
    let two = Two::new(cx).await?;
    let kind = two.kinds[0].as_str();
    let id = two.agents[0].id.as_str();
    let (own, other) = (format!("own:{}", two.own[0]), format!("own:{}", two.own[1]));
    for query in [
        vec![("type", kind), ("type", &two.kinds[1])],
        vec![("instanceId", id), ("instanceId", &two.agents[1].id)],
        vec![("type", kind), ("label", "nothing")],
        vec![("type", kind), ("label", ":nothing")],
        vec![("type", kind), ("label", &own), ("label", &other)],
    ] {
        let shown = ok_and(200, "rooms", Value::is_array);
        let seen = cx.send(asked(cx, &query)).await?;
        cx.expect(FLEET_HTTP_23, &seen, &one_of![shown, refused(Cause::Validation)])?;
    }
    Ok(())
}
