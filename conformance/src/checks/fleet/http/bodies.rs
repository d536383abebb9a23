//! What a POST /v1/rooms may have as its body.

use super::Host;
use crate::{
    check::{Cx, Outcome, alternative},
    checks::fleet::{
        agent::Agent,
        setting::{Say, create, ok, ok_and, refused},
    },
    one_of,
};
use serde_json::{Value, json};
use wireproof_spec::{
    fleet::{Cause, Cmd, requirements::*},
    http::Request,
};

/// The longest body, in bytes.
const LONGEST: usize = 65_536;

/// A POST /v1/rooms with this text.
fn with(cx: &Cx, text: impl Into<Vec<u8>>) -> Request {
    let text: Vec<u8> = text.into();
    create(cx, &Value::Null).body(text)
}

/// This document, with white space behind it up to a length.
fn filled(document: &Value, length: usize) -> String {
    let text = document.to_string();
    let fill = " ".repeat(length.saturating_sub(text.len()));
    text + &fill
}

pub(super) async fn longest(cx: &Cx) -> Outcome {
    let mut host = Host::new(cx).await?;
    let document = |cx: &Cx, kind: &str| json!({"type": kind, "roomId": cx.name()});
    let taken = with(cx, filled(&document(cx, &host.kind), LONGEST));
    cx.expect(FLEET_HTTP_7, &cx.send(taken).await?, &[ok(201)])?;
    let _ = host.agent.cmd(cx).await?;
    let longer =
        [LONGEST + 1, 4 * LONGEST].map(|length| with(cx, filled(&document(cx, &host.kind), length))).to_vec();
    host.refuses(cx, FLEET_HTTP_7, longer, &[refused(Cause::PayloadTooLarge)]).await
}

pub(super) async fn no_object(cx: &Cx) -> Outcome {
    let mut host = Host::new(cx).await?;
    let cut = format!("{{\"type\": \"{}\"", host.kind);
    let name = format!("\"{}\"", host.kind);
    let list = format!("[{{\"type\": \"{}\"}}]", host.kind);
    let twice = format!("{{\"type\": \"{0}\"}} {{\"type\": \"{0}\"}}", host.kind);
    let bad = ["", " ", "null", "1", "true", "[]", "{", "type=match", &cut, &name, &list, &twice];
    let bad = bad.into_iter().map(|text| with(cx, text)).collect();
    host.refuses(cx, FLEET_HTTP_8, bad, &[refused(Cause::Validation)]).await
}

pub(super) async fn wrong_members(cx: &Cx) -> Outcome {
    let mut host = Host::new(cx).await?;
    let (kind, id) = (host.kind.clone(), cx.name());
    let bad = [
        json!({}),
        json!({"roomId": id}),
        json!({"type": "", "roomId": id}),
        json!({"type": null, "roomId": id}),
        json!({"type": {"name": kind}, "roomId": id}),
        json!({"type": {}, "roomId": id}),
        json!({"type": kind, "roomId": null}),
        json!({"type": kind, "roomId": id, "placement": null}),
        json!({"type": kind, "roomId": id, "placement": "least-loaded"}),
        json!({"type": kind, "roomId": id, "placement": []}),
        json!({"type": kind, "roomId": id, "placement": 1}),
        json!({"type": kind, "roomId": id, "placement": true}),
    ];
    let bad = bad.iter().map(|body| create(cx, body)).collect();
    host.refuses(cx, FLEET_HTTP_9, bad, &[refused(Cause::Validation)]).await
}

pub(super) async fn room_ids(cx: &Cx) -> Outcome {
    let mut host = Host::new(cx).await?;
    let every = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    let name = cx.name();
    let (short, long) = (cx.token(1), format!("{name}{}", cx.token(64 - name.len())));
    for id in [every, &short, &long] {
        let told = id.to_owned();
        let made = ok_and(201, "the room of this id", move |data| data["id"] == told.as_str());
        let seen = cx.send(create(cx, &json!({"type": host.kind, "roomId": id}))).await?;
        // Somebody else may have made one that is not of this run alone.
        match *id == long {
            true => cx.expect(FLEET_HTTP_10, &seen, &[made])?,
            false => cx.expect(FLEET_HTTP_10, &seen, &one_of![made, refused(Cause::RoomExists)])?,
        };
        if seen.look().is_ok_and(|response| response.status == 201) {
            let told = id.to_owned();
            let cmd = host.agent.cmd(cx).await?;
            let same = alternative("a Cmd for the room of this id", move |cmd: &Cmd| {
                cmd.room_id.as_deref() == Some(told.as_str())
            });
            cx.expect(FLEET_HTTP_10, &cmd, &[same])?;
        }
    }
    let most = cx.token(65 - 16) + &cx.token(16);
    let some = cx.token(8);
    let odd = [" ", ".", "/", "~", "%41", "%", ":", "\u{e4}", "\u{1f600}", "\n", "\0", "+", "@"];
    let odd = odd.map(|c| format!("{some}{c}{some}"));
    let more = [String::new(), most, format!("{some}\n"), format!(" {some}"), "..".into()];
    let bad =
        odd.iter().chain(&more).map(|id| create(cx, &json!({"type": host.kind, "roomId": id}))).collect();
    host.refuses(cx, FLEET_HTTP_10, bad, &[refused(Cause::Validation)]).await
}

pub(super) async fn unknown_members(cx: &Cx) -> Outcome {
    let mut host = Host::new(cx).await?;
    let (kind, id) = (host.kind.clone(), cx.name());
    let body = json!({
        "type": kind,
        "roomId": id,
        "status": "draining",
        "id": cx.name(),
        "force": false,
        "labels": {"region": cx.token(8)},
        "instanceId": cx.token(16),
        "_": [null, {"type": "other"}],
        "placement": {"type": cx.name(), "roomId": cx.name(), "region": 7, "max": {}},
    });
    let told = (kind.clone(), id.clone());
    let made = ok_and(201, "the room that was asked for", move |data| {
        data["id"] == told.1.as_str() && data["type"] == told.0.as_str()
    });
    cx.expect(FLEET_HTTP_11, &cx.send(create(cx, &body)).await?, &[made])?;
    let same = alternative("a Cmd for the room that was asked for", move |cmd: &Cmd| {
        cmd.room_id.as_deref() == Some(id.as_str()) && cmd.room_type.as_deref() == Some(kind.as_str())
    });
    cx.expect(FLEET_HTTP_11, &host.agent.cmd(cx).await?, &[same])?;
    Ok(())
}

/// A number, a boolean or an array in place of a text: it is read as what it spells, or refused.
pub(super) async fn other_types(cx: &Cx) -> Outcome {
    let kind = cx.name();
    let number = 1_000_000 + cx.token(4).bytes().map(u64::from).sum::<u64>();
    let spelled = number.to_string();
    let snapshot = cx.snapshot().hosting(&[&kind, &spelled, "true"]);
    let agent = Agent::obedient(cx, snapshot).await?;
    let pin = json!({"instanceId": agent.id});
    for (body, read) in [
        (json!({"type": number, "placement": pin}), spelled),
        (json!({"type": true, "placement": pin}), "true".into()),
        (json!({"type": [kind], "placement": pin}), kind.clone()),
        (json!({"type": kind, "roomId": [cx.name()], "placement": pin}), kind.clone()),
        (json!({"type": kind, "roomId": number + 1, "placement": pin}), kind.clone()),
    ] {
        let seen = cx.send_broken(create(cx, &body)).await?;
        let made =
            ok_and(201, "the room of the type that it spells", move |data| data["type"] == read.as_str());
        cx.expect(FLEET_HTTP_12, &seen, &one_of![refused(Cause::Validation), made])?;
    }
    Ok(())
}

/// Labels that are null or a text, and a pin that is no text.
pub(super) async fn labels_and_pins(cx: &Cx) -> Outcome {
    let host = Host::new(cx).await?;
    let body = json!({"type": host.kind, "placement": {"labels": null}});
    let seen = cx.send_broken(create(cx, &body)).await?;
    cx.expect(FLEET_HTTP_13, &seen, &one_of![ok(201), refused(Cause::Validation)])?;
    for (placement, as_if) in [
        (json!({"labels": "region:eu"}), Cause::NoCandidate),
        (json!({"instanceId": 7}), Cause::InstanceNotFound),
        (json!({"processUid": {}}), Cause::InstanceNotFound),
    ] {
        let seen = cx.send_broken(create(cx, &json!({"type": host.kind, "placement": placement}))).await?;
        cx.expect(FLEET_HTTP_14, &seen, &one_of![refused(Cause::Validation), refused(as_if)])?;
    }
    Ok(())
}

/// A body that is in order but for what it is said to be.
pub(super) async fn media_types(cx: &Cx) -> Outcome {
    let mut host = Host::new(cx).await?;
    let bad = [Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/xml"), None];
    let bad = bad.map(|kind| {
        let mut request = host.good(cx);
        request.headers.0.retain(|(name, _)| name != "content-type");
        match kind {
            Some(kind) => request.header("content-type", kind),
            None => request,
        }
    });
    host.refuses(cx, FLEET_HTTP_15, bad.to_vec(), &[refused(Cause::Validation)]).await
}

/// A member that is a danger in one language.
pub(super) async fn proto(cx: &Cx) -> Outcome {
    let host = Host::new(cx).await?;
    let text = format!("{{\"type\": \"{}\", \"__proto__\": {{\"roomId\": \"evil\"}}}}", host.kind);
    let seen = cx.send_broken(with(cx, text)).await?;
    let made = ok_and(201, "a room whose id does not come from it", |data| data["id"] != "evil");
    cx.expect(FLEET_HTTP_24, &seen, &one_of![made, refused(Cause::Validation)])?;
    Ok(())
}
