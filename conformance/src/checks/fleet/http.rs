//! Checks of "Http" in spec/fleet.md.

mod bodies;
mod filters;

use super::{
    agent::Agent,
    setting::{Say, ask, cause, create, drain, get, instance, ok, refused, room, rooms_of, told},
};
use crate::{
    check::{Alternative, Check, Cx, Need, Outcome, alternative},
    drives, one_of,
    wire::raw::RawAnswer,
};
use serde_json::{Value, json};
use wireproof_spec::{
    fleet::{Cause, Cmd, requirements::*},
    http::{Request, Response, percent_encode},
    requirement::RequirementId,
};

pub(super) const CHECKS: &[Check] = &[
    Check::new("fleet/http/refusals", &[FLEET_HTTP_1], drives!(refusals)),
    Check::new("fleet/http/refusals-of-operators", &[FLEET_HTTP_1], drives!(refusals_of_operators))
        .needs(API),
    Check::new("fleet/http/media-type", &[FLEET_HTTP_2], drives!(media_type)),
    Check::new("fleet/http/no-route", &[FLEET_HTTP_3], drives!(no_route)),
    Check::new("fleet/http/no-route-of-operators", &[FLEET_HTTP_3], drives!(no_route_of_operators))
        .needs(API),
    Check::new("fleet/http/no-route-for-strangers", &[FLEET_HTTP_4], drives!(no_route_for_strangers)),
    Check::new("fleet/http/head", &[FLEET_HTTP_5], drives!(head)),
    Check::new("fleet/http/head-of-operators", &[FLEET_HTTP_5], drives!(head_of_operators)).needs(API),
    Check::new("fleet/http/not-there", &[FLEET_HTTP_6], drives!(not_there)),
    Check::new("fleet/http/longest-body", &[FLEET_HTTP_7], drives!(bodies::longest)),
    Check::new("fleet/http/no-object", &[FLEET_HTTP_8], drives!(bodies::no_object)),
    Check::new("fleet/http/wrong-members", &[FLEET_HTTP_9], drives!(bodies::wrong_members)),
    Check::new("fleet/http/room-ids", &[FLEET_HTTP_10], drives!(bodies::room_ids)),
    Check::new("fleet/http/unknown-members", &[FLEET_HTTP_11], drives!(bodies::unknown_members)),
    Check::new("fleet/http/other-types", &[FLEET_HTTP_12], drives!(bodies::other_types)),
    Check::new(
        "fleet/http/labels-and-pins",
        &[FLEET_HTTP_13, FLEET_HTTP_14],
        drives!(bodies::labels_and_pins),
    ),
    Check::new("fleet/http/media-type-of-a-body", &[FLEET_HTTP_15], drives!(bodies::media_types)),
    Check::new("fleet/http/no-body", &[FLEET_HTTP_16, FLEET_HTTP_17], drives!(no_body)),
    Check::new("fleet/http/odd-paths", &[FLEET_HTTP_18], drives!(odd_paths)),
    Check::new("fleet/http/one-filter", &[FLEET_HTTP_19], drives!(filters::one)),
    Check::new("fleet/http/labels", &[FLEET_HTTP_20], drives!(filters::labels)),
    Check::new("fleet/http/several-filters", &[FLEET_HTTP_21], drives!(filters::several)),
    Check::new("fleet/http/unknown-parameters", &[FLEET_HTTP_22], drives!(filters::unknown)),
    Check::new("fleet/http/odd-filters", &[FLEET_HTTP_23], drives!(filters::odd)),
    Check::new("fleet/http/proto", &[FLEET_HTTP_24], drives!(bodies::proto)),
];

/// What speaks of routes for operators.
const API: &[Need] = &[Need::Feature("fleet.api", "on")];

/// An agent that does all that it is told, and makes rooms of a type of its own.
struct Host {
    agent: Agent,
    kind: String,
}

impl Host {
    async fn new(cx: &Cx) -> Outcome<Self> {
        let kind = cx.name();
        let agent = Agent::obedient(cx, cx.snapshot().hosting(&[&kind])).await?;
        Ok(Self { agent, kind })
    }

    /// A POST /v1/rooms that is in order.
    fn good(&self, cx: &Cx) -> Request {
        create(cx, &json!({"type": self.kind, "roomId": cx.name()}))
    }

    /// Claims that each of these is refused so and sends no Cmd, and sees that one in order is taken.
    async fn refuses(
        &mut self,
        cx: &Cx,
        requirement: RequirementId,
        bad: Vec<Request>,
        how: &[Alternative<Response>],
    ) -> Outcome {
        cx.need(FLEET_COMMANDS_3, &cx.send(self.good(cx)).await?, &[ok(201)])?;
        let _ = self.agent.cmd(cx).await?;
        for request in bad {
            cx.expect(requirement, &cx.send_broken(request).await?, how)?;
        }
        // What comes next is for this one, if nothing else was sent.
        let good = self.good(cx);
        let body: Value = serde_json::from_slice(&good.body).unwrap_or_default();
        let id = body["roomId"].as_str().unwrap_or_default().to_owned();
        cx.need(FLEET_COMMANDS_3, &cx.send(good).await?, &[ok(201)])?;
        let next = alternative("no Cmd before that for the next request", move |cmd: &Cmd| {
            cmd.room_id.as_deref() == Some(id.as_str())
        });
        cx.expect(requirement, &self.agent.cmd(cx).await?, &[next])?;
        Ok(())
    }
}

/// That a request was refused, with a cause and the status that belongs to it.
fn refused_somehow() -> Alternative<Response> {
    alternative("a refusal with a cause and a status of the document", |response: &Response| {
        cause(response).is_some()
    })
}

/// What every orchestrator refuses.
async fn refusals(cx: &Cx) -> Outcome {
    for request in [get(cx, "nothing"), get(cx, "v1/nothing"), ask(cx, "POST", "healthz")] {
        cx.expect(FLEET_HTTP_1, &cx.send(request).await?, &[refused_somehow()])?;
    }
    Ok(())
}

/// Refusals with several statuses.
async fn refusals_of_operators(cx: &Cx) -> Outcome {
    let mut host = Host::new(cx).await?;
    let taken = cx.name();
    let kind = host.kind.clone();
    let with = taken.clone();
    host.agent.becomes(cx, move |snapshot| snapshot.with_room(told(&with, &kind, 0))).await?;
    let nobody = cx.token(16);
    for request in [
        instance(cx, &nobody),
        room(cx, &nobody),
        drain(cx, &nobody, true),
        create(cx, &json!({"type": cx.name()})),
        create(cx, &json!({"type": host.kind, "roomId": taken})),
        create(cx, &json!({"type": host.kind, "placement": {"instanceId": nobody}})),
    ] {
        cx.expect(FLEET_HTTP_1, &cx.send(request).await?, &[refused_somehow()])?;
    }
    let long = format!("{{\"type\": \"{}\"}}{}", host.kind, " ".repeat(70_000));
    for request in [create(cx, &json!({})), create(cx, &json!([])).body(long)] {
        cx.expect(FLEET_HTTP_1, &cx.send_broken(request).await?, &[refused_somehow()])?;
    }
    Ok(())
}

/// That an answer is JSON by its media type.
fn json_type() -> Alternative<Response> {
    alternative("the media type application/json", |response: &Response| {
        let found = response.headers.get("content-type").unwrap_or_default();
        found.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    })
}

async fn media_type(cx: &Cx) -> Outcome {
    let mut requests = vec![get(cx, "healthz"), get(cx, "readyz"), get(cx, "nothing")];
    if cx.features().is("fleet.api", "on") {
        let host = Host::new(cx).await?;
        let made = cx.send(host.good(cx)).await?;
        cx.expect(FLEET_HTTP_2, &made, &[json_type()])?;
        for request in [
            get(cx, "v1/stats"),
            get(cx, "v1/instances"),
            instance(cx, &host.agent.id),
            rooms_of(cx, &host.agent.id),
            get(cx, "v1/rooms"),
            drain(cx, &host.agent.id, true),
            drain(cx, &host.agent.id, false),
        ] {
            cx.expect(FLEET_HTTP_2, &cx.send(request).await?, &[json_type()])?;
        }
        requests.extend([room(cx, &cx.token(16)), create(cx, &json!({"type": cx.name()}))]);
    }
    for request in requests {
        cx.expect(FLEET_HTTP_2, &cx.send(request).await?, &[json_type()])?;
    }
    Ok(())
}

/// Paths and methods that no orchestrator has.
async fn no_route(cx: &Cx) -> Outcome {
    cx.need(FLEET_ACCESS_8, &cx.send(get(cx, "healthz")).await?, &[ok(200)])?;
    for (method, path) in [
        ("GET", "nothing"),
        ("GET", "healthz/"),
        ("GET", "HEALTHZ"),
        ("GET", "Readyz"),
        ("GET", "healthz/nothing"),
        ("POST", "healthz"),
        ("DELETE", "readyz"),
        ("PATCH", "nothing"),
    ] {
        cx.expect(FLEET_HTTP_3, &cx.send(ask(cx, method, path)).await?, &[refused(Cause::NotFound)])?;
    }
    Ok(())
}

/// Paths and methods that the API does not have.
async fn no_route_of_operators(cx: &Cx) -> Outcome {
    let host = Host::new(cx).await?;
    let id = percent_encode(&host.agent.id);
    for (method, path) in [
        ("GET", "v1".to_owned()),
        ("GET", "v1/nothing".into()),
        ("GET", "v1/Stats".into()),
        ("GET", "V1/stats".into()),
        ("GET", "v1/stats/".into()),
        ("GET", "v1/rooms/".into()),
        ("GET", "v1/instances/".into()),
        ("GET", format!("v1/instances/{id}/")),
        ("GET", format!("v1/instances/{id}/nothing")),
        ("GET", format!("v1/instances/{id}/drain")),
        ("PUT", "v1/rooms".into()),
        ("DELETE", "v1/rooms".into()),
        ("POST", "v1/instances".into()),
        ("DELETE", format!("v1/instances/{id}")),
        ("PATCH", format!("v1/instances/{id}/undrain")),
        ("POST", "v1/stats".into()),
        ("POST", "v1/events".into()),
    ] {
        let seen = cx.send(ask(cx, method, &path)).await?;
        cx.expect(FLEET_HTTP_3, &seen, &[refused(Cause::NotFound)])?;
    }
    Ok(())
}

async fn no_route_for_strangers(cx: &Cx) -> Outcome {
    let seen = cx.stranger().send(get(cx, "v1/nothing")).await?;
    let both = one_of![refused(Cause::NotFound), refused(Cause::Unauthorized)];
    cx.expect(FLEET_HTTP_4, &seen, &both)?;
    Ok(())
}

/// That the answer to a HEAD has the status of the GET, and no body.
fn like(get: &Response) -> Alternative<Response> {
    let status = get.status;
    alternative(format!("{status} without a body, as the GET has {status}"), move |head: &Response| {
        head.status == status && head.body.is_empty()
    })
}

/// Claims that the HEAD of each of these is like its GET.
async fn heads(cx: &Cx, paths: &[String]) -> Outcome {
    for path in paths {
        let got = cx.send(get(cx, path)).await?;
        let answered = alternative("an answer with a body", |response: &Response| !response.body.is_empty());
        let got = cx.need(FLEET_HTTP_1, &got, &[answered])?;
        let seen = cx.send(ask(cx, "HEAD", path)).await?;
        cx.expect(FLEET_HTTP_5, &seen, &[like(got)])?;
        // No library reads on behind such a head.
        let mut peer = cx.raw().await?;
        let sent = peer.send(&ask(cx, "HEAD", path).header("connection", "close")).await;
        let nothing = alternative("no byte behind the head", |raw: &RawAnswer| raw.rest.is_empty());
        cx.expect(FLEET_HTTP_5, &peer.answer(sent).await?, &[nothing])?;
    }
    Ok(())
}

async fn head(cx: &Cx) -> Outcome {
    cx.need(FLEET_HTTP_3, &cx.send(get(cx, "nothing")).await?, &[refused(Cause::NotFound)])?;
    heads(cx, &["healthz".into(), "readyz".into(), "nothing".into()]).await
}

async fn head_of_operators(cx: &Cx) -> Outcome {
    let mut host = Host::new(cx).await?;
    let (kind, id) = (host.kind.clone(), cx.name());
    let with = id.clone();
    host.agent.becomes(cx, move |snapshot| snapshot.with_room(told(&with, &kind, 0))).await?;
    let (instance, nobody) = (percent_encode(&host.agent.id), cx.token(16));
    heads(
        cx,
        &[
            "v1/stats".into(),
            "v1/instances".into(),
            format!("v1/instances/{instance}"),
            format!("v1/instances/{instance}/rooms"),
            "v1/rooms".into(),
            format!("v1/rooms/{id}"),
            format!("v1/rooms/{nobody}"),
            format!("v1/instances/{nobody}"),
        ],
    )
    .await?;
    let seen = cx.send(ask(cx, "HEAD", "v1/events")).await?;
    let open =
        alternative("200 without a body", |head: &Response| head.status == 200 && head.body.is_empty());
    cx.expect(FLEET_HTTP_5, &seen, &[open])?;
    Ok(())
}

/// What is not in the read model; what is there is found.
async fn not_there(cx: &Cx) -> Outcome {
    let mut host = Host::new(cx).await?;
    let (kind, id) = (host.kind.clone(), cx.name());
    let with = id.clone();
    host.agent.becomes(cx, move |snapshot| snapshot.with_room(told(&with, &kind, 0))).await?;
    cx.need(FLEET_INSTANCES_2, &cx.send(room(cx, &id)).await?, &[ok(200)])?;
    let nobody = cx.token(16);
    for (request, as_what) in [
        (instance(cx, &nobody), Cause::InstanceNotFound),
        (get(cx, &format!("v1/instances/{nobody}/rooms")), Cause::InstanceNotFound),
        (room(cx, &nobody), Cause::RoomNotFound),
        // An id of the other kind is none of this one.
        (instance(cx, &id), Cause::InstanceNotFound),
        (room(cx, &percent_encode(&host.agent.id)), Cause::RoomNotFound),
    ] {
        cx.expect(FLEET_HTTP_6, &cx.send(request).await?, &[refused(as_what)])?;
    }
    Ok(())
}

/// A drain and an undrain that say nothing but what they are.
async fn no_body(cx: &Cx) -> Outcome {
    let host = Host::new(cx).await?;
    for what in [true, false] {
        let seen = cx.send(drain(cx, &host.agent.id, what)).await?;
        cx.expect(FLEET_HTTP_16, &seen, &[ok(200)])?;
    }
    for what in [true, false] {
        let request = drain(cx, &host.agent.id, what).header("content-type", "application/json");
        let seen = cx.send(request).await?;
        cx.expect(FLEET_HTTP_17, &seen, &one_of![ok(200), refused(Cause::Validation)])?;
    }
    Ok(())
}

/// Paths that are no text, and one that is long.
async fn odd_paths(cx: &Cx) -> Outcome {
    let status = |status: u16| alternative(format!("{status}"), move |r: &Response| r.status == status);
    let long = format!("v1/rooms/{}", "a".repeat(40_000));
    for path in ["v1/rooms/%zz", "v1/rooms/%", "v1/rooms/a%2", "v1/instances/%ff", &long] {
        let seen = cx.send(get(cx, path)).await?;
        cx.expect(FLEET_HTTP_18, &seen, &one_of![status(400), status(404), status(414), status(431)])?;
    }
    cx.need(FLEET_ACCESS_8, &cx.send(get(cx, "healthz")).await?, &[ok(200)])?;
    Ok(())
}
