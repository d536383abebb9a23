//! What follows from a Hello, and from one that cannot be taken.

use super::*;
use crate::checks::{
    fleet::{client::talk::unknown_fields, setting::Apart},
    late::beside_timers,
};
use bytes::Bytes;
use futures_util::future::try_join_all;
use serde_json::Value;
use tokio::time::Instant;
use wireproof_spec::{
    fleet::{
        Hello,
        frames::{header, put_bytes, put_varint},
    },
    requirement::RequirementId,
};

/// For three times H nobody asks, and nothing is said; on a later connection too.
pub(super) async fn silent(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    for _ in 0..2 {
        let connection = waits(cx, &mut client, SHORT_HEARTBEAT_MS).await?;
        connection.part(1012).await;
    }
    Ok(())
}

/// Who leaves after a time of its own stays for as long as a short H asks.
pub(super) async fn silent_for_long(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    waits(cx, &mut client, USUAL_HEARTBEAT_MS).await.map(drop)
}

/// The next connection, which was silent for three times this H.
async fn waits(cx: &Cx, client: &mut Client, heartbeat_ms: u32) -> Outcome<Connection> {
    let mut connection = client.open(cx).await?;
    connection.hello(&hello(&cx.token(16), heartbeat_ms)).await;
    let length = Duration::from_millis(heartbeat_ms.into()) * 3;
    let silence = connection.quiet(length).await?;
    cx.expect(FLEET_DIAL_6, &silence, &[nothing()])?;
    let (poll, seen) = connection.ask(None).await?;
    cx.expect(FLEET_DIAL_6, &seen.map(Some), &[stays(&poll)])?;
    Ok(connection)
}

/// That the connection is there behind the silence.
fn stays(poll: &Poll) -> Alternative<Option<Heard>> {
    let answered = state_of(poll, "", |_| true);
    alternative("a State for the Poll behind the silence", move |heard: &Option<Heard>| {
        heard.as_ref().is_some_and(|heard| answered.holds(heard))
    })
}

/// Hellos of other versions.
fn others(id: &str) -> Vec<(&'static str, Vec<u8>)> {
    let good = hello(id, HEARTBEAT_MS);
    let with_major = |major| {
        let mut frame = good.encode_frame();
        frame[0] = major;
        frame
    };
    let with_version = |version| Hello { protocol_version: version, ..good.clone() }.encode_frame();
    let json = format!(r#"{{"instanceId":"{id}","protocolVersion":2,"heartbeatMs":{HEARTBEAT_MS}}}"#);
    vec![
        ("the major 2", with_major(2)),
        ("the major 4", with_major(4)),
        ("JSON", json.into_bytes()),
        ("the protocolVersion 2", with_version(2)),
        ("the protocolVersion 4", with_version(4)),
    ]
}

/// An agent and a connection of it on which nothing was said: its first, or a later one.
async fn opened(cx: &Cx, is_later: bool) -> Outcome<(Client, Connection)> {
    let mut client = Client::begin(cx).await?;
    if is_later {
        client.connect(cx).await?.part(1012).await;
    }
    let connection = client.open(cx).await?;
    Ok((client, connection))
}

pub(super) async fn other_version(cx: &Cx) -> Outcome {
    for (what, frame) in others(&cx.token(16)) {
        for is_later in [false, true] {
            let (mut client, mut connection) = opened(cx, is_later).await?;
            // What it tells of the connection before is not the error that is awaited.
            let _ = client.told_so_far("error").await?;
            connection.say("fleet/hello", &frame).await;
            let ended = connection.ended().await?;
            cx.expect(FLEET_DIAL_7, &ended, &[over()])?;
            drop(connection);
            let told = client.told("error").await?;
            let error = alternative(
                format!("an error that is told behind a Hello with {what}"),
                Option::<Value>::is_some,
            );
            cx.expect(FLEET_DIAL_7, &ended.map(|_| told), &[error])?;
        }
    }
    Ok(())
}

pub(super) async fn for_good(cx: &Cx) -> Outcome {
    /// Longer than somebody waits for whom another version is a reason to wait.
    const LENGTH: Duration = Duration::from_secs(10);
    let id = cx.token(16);
    let cases = others(&id).into_iter().flat_map(|(_, frame)| [(frame.clone(), false), (frame, true)]);
    let ends = cases.map(async |(frame, is_later)| {
        let (mut client, mut connection) = opened(cx, is_later).await?;
        connection.say("fleet/hello", &frame).await;
        let _ = connection.ended().await?;
        drop(connection);
        client.still(cx, LENGTH).await
    });
    for seen in try_join_all(ends).await? {
        cx.expect(FLEET_DIAL_8, &seen, &[does_not_dial()])?;
    }
    Ok(())
}

/// Hellos with this id of a later minor, with more fields, and in another order.
fn newer_hellos(id: &str) -> [Vec<u8>; 5] {
    let good = hello(id, HEARTBEAT_MS);
    let with_minor = |minor| {
        let mut frame = good.encode_frame();
        frame[1] = minor;
        frame
    };
    let fields = unknown_fields();
    let frame = good.encode_frame();
    let (head, body) = frame.split_at(2);
    let mut turned = header();
    put_varint(&mut turned, 3 << 3);
    put_varint(&mut turned, HEARTBEAT_MS.into());
    put_varint(&mut turned, 2 << 3);
    put_varint(&mut turned, 3);
    put_bytes(&mut turned, 1, good.instance_id.as_bytes());
    [with_minor(1), with_minor(255), [head, &fields, body].concat(), [head, body, &fields].concat(), turned]
}

/// Behind it Polls are answered. They may be without a Hello, so that the id is looked for too, where the owner is told it.
pub(super) async fn newer(cx: &Cx) -> Outcome {
    let tells = cx.features().is("fleet.instance-ids", "on");
    let mut start = Start::new(cx);
    if tells {
        start = start.with("instance_ids", true);
    }
    let mut client = Client::start(cx, start).await?;
    for n in 0..5 {
        let id = cx.token(16);
        let mut connection = client.open(cx).await?;
        connection.say("fleet/hello", &newer_hellos(&id)[n]).await;
        for is_last in [false, true] {
            let (poll, seen) = connection.ask(None).await?;
            cx.expect(FLEET_DIAL_9, &seen, &[state_of(&poll, "", |_| true)])?;
            if tells && is_last {
                is_told(cx, FLEET_DIAL_9, &mut client, seen, &id).await?;
            }
        }
        connection.part(1012).await;
    }
    Ok(())
}

/// Behind each of them the redials are counted anew.
pub(super) async fn newer_counts(cx: &Cx) -> Outcome {
    /// Eight redials that go on counting are as short as this once in a hundred thousand sessions.
    const MOST: Duration = Duration::from_millis(FIRST_REDIAL_MS * 2);
    let cases = newer_hellos(&cx.token(16)).map(async |frame| {
        let mut client = Client::begin(cx).await?;
        let mut connection = client.open(cx).await?;
        let mut delays = Vec::new();
        for _ in 0..8 {
            connection.say("fleet/hello", &frame).await;
            let (poll, seen) = connection.ask(None).await?;
            cx.expect(FLEET_DIAL_9, &seen, &[state_of(&poll, "", |_| true)])?;
            connection.part(1012).await;
            let ended = Instant::now();
            let (dialled, stall) = beside_timers(client.place.next_within(MOST + cx.answer_time())).await?;
            let (seen, call) = dialled;
            let took =
                call.as_ref().map(|call| call.at.saturating_duration_since(ended).saturating_sub(stall));
            delays.push(took.unwrap_or(Duration::MAX));
            // One alone may be the machine.
            let soon = alternative(
                format!("no more than one dial later than {} ms behind this Hello", MOST.as_millis()),
                |took: &Apart| {
                    took.0.iter().filter(|took| **took > MOST).count() <= 1
                        && !took.0.contains(&Duration::MAX)
                },
            );
            cx.expect(FLEET_DIAL_9, &seen.clone().map(|_| Apart(delays.clone())), &[soon])?;
            let call = call.ok_or_else(|| cx.stop("the agent did not dial again"))?;
            connection = Connection::of(seen, call).await?;
        }
        Ok(())
    });
    try_join_all(cases).await.map(drop)
}

/// Behind it a Hello that is whole: it is taken on this connection, or on the next.
pub(super) async fn cut(cx: &Cx) -> Outcome {
    let whole = hello(&cx.token(16), HEARTBEAT_MS).encode_frame();
    for frame in [Vec::new(), vec![3], whole[..6].to_vec(), whole[..whole.len() - 1].to_vec()] {
        let mut client = Client::begin(cx).await?;
        let mut connection = client.open(cx).await?;
        connection.say("fleet/hello", &frame).await;
        connection.greet(cx).await;
        let poll = connection.poll(None, Status::Active).await;
        let seen = connection.next().await?.or_lost();
        if is_over(&seen) {
            drop(connection);
            let (seen, call) = client.place.next().await?;
            cx.expect(FLEET_DIAL_10, &seen, &[dials()])?;
            let call = call.ok_or_else(|| cx.stop("the agent did not dial again"))?;
            connection = Connection::of(seen, call).await?;
            connection.greet(cx).await;
            let (poll, seen) = connection.ask(None).await?;
            cx.expect(FLEET_DIAL_10, &seen, &[state_of(&poll, "on the next connection", |_| true)])?;
        } else {
            let answered = state_of(&poll, "", |_| true);
            let goes_on = alternative("the State for the Poll behind it", move |heard: &Result<_, _>| {
                heard.as_ref().is_ok_and(|heard| answered.holds(heard))
            });
            cx.expect(FLEET_DIAL_10, &seen, &[goes_on])?;
        }
    }
    Ok(())
}

/// What the owner is told stands on a State of that connection.
pub(super) async fn instance_ids(cx: &Cx) -> Outcome {
    let mut client = Client::start(cx, Start::new(cx).with("instance_ids", true)).await?;
    for id in [cx.token(16), cx.token(16), "i-1/ü".to_owned()] {
        let mut connection = client.open(cx).await?;
        connection.hello(&hello(&id, HEARTBEAT_MS)).await;
        let (poll, seen) = connection.ask(None).await?;
        cx.need(FLEET_DIAL_4, &seen, &[state_of(&poll, "", |_| true)])?;
        is_told(cx, FLEET_DIAL_13, &mut client, seen, &id).await?;
        connection.part(1012).await;
    }
    Ok(())
}

/// Claims on a State that was seen that the owner is told this id.
async fn is_told(
    cx: &Cx,
    requirement: RequirementId,
    client: &mut Client,
    seen: Seen<Heard>,
    id: &str,
) -> Outcome {
    let told = client.told("connected").await?;
    let told = told.map(|data| data["instance_id"].as_str().unwrap_or_default().to_owned());
    let (name, id) = (format!("the owner is told {id:?}"), id.to_owned());
    let same = alternative(name, move |told: &Option<String>| told.as_ref() == Some(&id));
    cx.expect(requirement, &seen.map(|_| told), &[same])?;
    Ok(())
}

pub(super) async fn pings(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    for _ in 0..2 {
        let mut connection = client.join(cx).await?;
        for content in [&b"ping"[..], b"", &[0xff; 125], b"ping"] {
            let seen = connection.peer.ping(content).await?;
            let content = Bytes::copy_from_slice(content);
            let same =
                alternative("a pong with the content of the ping", move |pong: &Bytes| *pong == content);
            cx.expect(FLEET_DIAL_15, &seen, &[same])?;
        }
        connection.part(1012).await;
    }
    Ok(())
}

/// A Poll comes first. Behind the Hello another one is answered in any case.
pub(super) async fn poll_before(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.open(cx).await?;
    let early = connection.poll(None, Status::Active).await;
    connection.greet(cx).await;
    let late = connection.poll(None, Status::Active).await;
    let seen = connection.next().await?;
    let answered = state_of(&early, "before the Hello", |_| true);
    let passed_over = state_of(&late, "and none before it", |_| true);
    let heard = cx.expect(FLEET_DIAL_16, &seen, &[answered, passed_over])?;
    if heard.state().is_some_and(|state| state.req_id == early.req_id) {
        let seen = connection.next().await?;
        cx.need(FLEET_REPORT_1, &seen, &[state_of(&late, "", |_| true)])?;
    }
    Ok(())
}
