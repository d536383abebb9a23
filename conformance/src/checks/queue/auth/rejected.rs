//! First frames that are no AuthRequest with a valid key.

use super::{hears, rejections, told_why};
use crate::{
    check::{Alternative, Cx, Outcome, alternative},
    checks::queue::{
        peer::{Came, Client, Fate, Subscriber, auth, welcome},
        setting::{PUBSUB, Queue, WORKER},
    },
    wire::Seen,
};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use wireproof_spec::{queue::requirements::*, requirement::RequirementId};

/// The first frame of a client.
#[derive(Clone)]
enum First {
    Text(String),
    Binary(Vec<u8>),
}

impl From<Value> for First {
    fn from(value: Value) -> Self {
        Self::Text(value.to_string())
    }
}

/// What comes first behind each of these frames, each on a connection of its own.
async fn answered(cx: &Cx, queue: &Queue, frames: &[First]) -> Outcome<Vec<Seen<Fate>>> {
    try_join_all(frames.iter().map(async |frame| {
        let mut subscriber = Subscriber::open(cx, queue).await?;
        match frame {
            First::Text(text) => subscriber.peer.send_text(text).await,
            First::Binary(bytes) => subscriber.peer.send_binary(bytes.clone()).await,
        }
        Ok(subscriber.next().await?.or_lost())
    }))
    .await
}

/// Claims that each of these frames meets one of these alternatives, where one that is valid, as `twin` makes it, is taken:
/// before them and behind them.
async fn claim(
    cx: &Cx,
    requirement: RequirementId,
    twin: &Value,
    frames: Vec<First>,
    alternatives: &[Alternative<Fate>],
) -> Outcome {
    for kind in [PUBSUB, WORKER] {
        let queue = Queue::create(cx, kind).await?;
        queue.says(cx, &json!(cx.token(8))).await?;
        let mut before = Subscriber::join_as(cx, &queue, twin).await?;
        hears(cx, &queue, &mut before).await?;
        for seen in answered(cx, &queue, &frames).await? {
            cx.expect(requirement, &seen, alternatives)?;
        }
        Client::leaving(before).await?;
        let mut behind = Subscriber::join_as(cx, &queue, twin).await?;
        if kind == PUBSUB {
            hears(cx, &queue, &mut behind).await?;
        }
        Client::leaving(behind).await?;
    }
    Ok(())
}

/// Claims that each of these frames is rejected.
async fn rejects(cx: &Cx, requirement: RequirementId, twin: &Value, frames: Vec<First>) -> Outcome {
    claim(cx, requirement, twin, frames, &rejections()).await
}

/// The AuthRequest with this member.
fn with(cx: &Cx, name: &str, value: Value) -> Value {
    let mut request = auth(cx);
    request[name] = value;
    request
}

/// The AuthRequest with each of these values for a member.
fn each(cx: &Cx, name: &str, values: impl IntoIterator<Item = Value>) -> Vec<First> {
    values.into_iter().map(|value| with(cx, name, value).into()).collect()
}

pub(super) async fn wrong_key(cx: &Cx) -> Outcome {
    let key = cx.key().to_owned();
    let keys = wrong_keys(cx);
    let frames: Vec<First> = each(cx, "authorization", keys.into_iter().map(Value::from));
    claim(cx, QUEUE_AUTH_7, &auth(cx), frames, &[told_why()]).await?;
    // Who is refused is not asked a second time.
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut twin = Subscriber::join(cx, &queue).await?;
    hears(cx, &queue, &mut twin).await?;
    let mut subscriber = Subscriber::open(cx, &queue).await?;
    let seen = subscriber.asked(&json!({"authorization": format!("{key}x")})).await?.or_lost();
    cx.expect(QUEUE_AUTH_7, &seen, &[told_why()])?;
    subscriber.peer.send_text(&auth(cx).to_string()).await;
    let seen = super::overheard(&mut subscriber, super::order::QUIET).await?;
    let no_more = alternative("no second AuthResponse", |all: &Vec<Fate>| {
        !all.iter().any(|fate| matches!(fate, Ok(Came::Auth(_))))
    });
    cx.expect(QUEUE_AUTH_4, &seen, &[no_more])?;
    Ok(())
}

/// Keys that are not the one that the owner of the target gave us.
fn wrong_keys(cx: &Cx) -> Vec<String> {
    let key = cx.key();
    let cut = key.char_indices().next_back().map_or("", |(end, _)| &key[..end]);
    vec![cx.token(32), String::new(), format!("{key}x"), cut.to_owned(), format!("{key}{key}")]
}

pub(super) async fn bearer(cx: &Cx) -> Outcome {
    let frames = each(cx, "authorization", [json!(format!("Bearer {}", cx.key()))]);
    claim(cx, QUEUE_AUTH_9, &auth(cx), frames, &[told_why()]).await
}

pub(super) async fn no_json(cx: &Cx) -> Outcome {
    let (key, valid) = (cx.key(), auth(cx).to_string());
    let texts = [
        String::new(),
        " ".into(),
        key.to_owned(),
        format!("authorization={key}"),
        valid[..valid.len() - 1].to_owned(),
        valid[1..].to_owned(),
        format!("{valid}}}"),
        format!("{valid}{valid}"),
        format!("{valid} and more"),
        valid.replace('"', "'"),
        valid.replace('}', ",}"),
        format!("{{authorization: \"{key}\"}}"),
        format!("{{\"authorization\": \"{key}\", \"x\": NaN}}"),
    ];
    rejects(cx, QUEUE_AUTH_10, &auth(cx), texts.map(First::Text).into()).await
}

pub(super) async fn no_object(cx: &Cx) -> Outcome {
    let (key, valid) = (json!(cx.key()), auth(cx));
    let values = [
        json!([valid]),
        json!(valid.to_string()),
        key.clone(),
        json!([key]),
        json!([]),
        json!(null),
        json!(true),
        json!(7),
    ];
    rejects(cx, QUEUE_AUTH_24, &valid, values.map(First::from).into()).await
}

pub(super) async fn no_authorization(cx: &Cx) -> Outcome {
    let key = cx.key();
    let values = [
        json!({}),
        json!({"client_id": cx.token(12)}),
        json!({"last_offset": -1}),
        json!({"Authorization": key}),
        json!({"token": key, "key": key, "api_key": key}),
        json!({"auth": {"authorization": key}}),
    ];
    rejects(cx, QUEUE_AUTH_11, &auth(cx), values.map(First::from).into()).await
}

pub(super) async fn authorization_type(cx: &Cx) -> Outcome {
    let key = json!(cx.key());
    let values =
        [json!(null), json!(true), json!(7), json!([key]), json!({"key": key}), json!([]), json!({})];
    rejects(cx, QUEUE_AUTH_12, &auth(cx), each(cx, "authorization", values)).await
}

pub(super) async fn binary(cx: &Cx) -> Outcome {
    let valid = auth(cx).to_string().into_bytes();
    let random = (0..32).map(|n| 0x80 | (n * 7)).collect();
    let frames = [valid, cx.key().as_bytes().to_vec(), random, Vec::new()];
    rejects(cx, QUEUE_AUTH_13, &auth(cx), frames.map(First::Binary).into()).await
}

pub(super) async fn last_offset_type(cx: &Cx) -> Outcome {
    let values =
        [json!("0"), json!("-1"), json!(""), json!(true), json!(false), json!([0]), json!({}), json!([])];
    let twin = with(cx, "last_offset", json!(0));
    rejects(cx, QUEUE_AUTH_14, &twin, each(cx, "last_offset", values)).await
}

pub(super) async fn client_id_type(cx: &Cx) -> Outcome {
    let id = given(cx).await?;
    let values = [json!(7), json!(true), json!(false), json!([id]), json!({"id": id}), json!([])];
    let twin = with(cx, "client_id", json!(id));
    rejects(cx, QUEUE_AUTH_25, &twin, each(cx, "client_id", values)).await
}

pub(super) async fn client_id_length(cx: &Cx) -> Outcome {
    let id = given(cx).await?;
    let values = ["".to_owned(), "a".repeat(257), "ä".repeat(257), "a".repeat(4096)];
    let twin = with(cx, "client_id", json!(id));
    rejects(cx, QUEUE_AUTH_27, &twin, each(cx, "client_id", values.map(Value::from))).await
}

pub(super) async fn last_offset_value(cx: &Cx) -> Outcome {
    let twin = with(cx, "last_offset", json!(0));
    let mut frames =
        each(cx, "last_offset", [json!(-2), json!(0.5), json!(-0.5), json!(-9_007_199_254_740_991_i64)]);
    for number in ["9007199254740992", "18446744073709551616", "1e300", "-1e300"] {
        let text = with(cx, "last_offset", json!(0)).to_string();
        frames.push(First::Text(text.replace("\"last_offset\":0", &format!("\"last_offset\":{number}"))));
    }
    rejects(cx, QUEUE_AUTH_28, &twin, frames).await
}

pub(super) async fn null(cx: &Cx) -> Outcome {
    let id = given(cx).await?;
    let frames: Vec<First> = [
        json!({"authorization": cx.key(), "client_id": null}),
        json!({"authorization": cx.key(), "last_offset": null}),
        json!({"authorization": cx.key(), "client_id": null, "last_offset": null}),
        json!({"authorization": cx.key(), "client_id": id, "last_offset": null}),
    ]
    .map(First::from)
    .into();
    let mut ways = rejections();
    ways.push(alternative(
        "an AuthResponse with success true",
        |fate: &Fate| matches!(fate, Ok(Came::Auth(frame)) if frame["success"] == true),
    ));
    claim(cx, QUEUE_AUTH_15, &auth(cx), frames, &ways).await
}

/// A client_id that the target gave out, as set-up.
async fn given(cx: &Cx) -> Outcome<String> {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut subscriber = Subscriber::open(cx, &queue).await?;
    let seen = subscriber.asked(&auth(cx)).await?;
    if let Came::Auth(frame) = cx.need(QUEUE_AUTH_3, &seen, &[welcome()])?
        && let Some(id) = frame["client_id"].as_str()
    {
        let id = id.to_owned();
        hears(cx, &queue, &mut subscriber).await?;
        // Whoever presents it next is the only one that has it (QUEUE-AUTH-23).
        Client::leaving(subscriber).await?;
        return Ok(id);
    }
    Err(cx.stop("no client_id is given out (QUEUE-AUTH-5)"))
}
