//! What follows from a Hello, and from one that cannot be taken.

use super::*;
use crate::checks::fleet::client::talk::unknown_fields;
use bytes::Bytes;
use serde_json::Value;
use wireproof_spec::fleet::{
    Hello,
    frames::{header, put_bytes, put_varint},
};

/// For three times H nobody asks, and nothing is said; on a later connection too.
pub(super) async fn silent(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    for _ in 0..2 {
        let mut connection = client.open(cx).await?;
        connection.hello(&hello(&cx.token(16), SHORT_HEARTBEAT_MS)).await;
        let length = Duration::from_millis(SHORT_HEARTBEAT_MS.into()) * 3;
        let silence = connection.quiet(length).await?;
        cx.expect(FLEET_DIAL_6, &silence, &[nothing()])?;
        let (poll, seen) = connection.ask(None).await?;
        cx.expect(FLEET_DIAL_6, &seen.map(Some), &[stays(&poll)])?;
        connection.part(1012).await;
    }
    Ok(())
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
    // Longer than a first redial may take, and as long again where it counts from the start.
    let length = Duration::from_millis(FIRST_REDIAL_MS + 200);
    let id = cx.token(16);
    let cases = others(&id).into_iter().flat_map(|(_, frame)| [(frame.clone(), false), (frame, true)]);
    let ends = cases.map(async |(frame, is_later)| {
        let (mut client, mut connection) = opened(cx, is_later).await?;
        connection.say("fleet/hello", &frame).await;
        let _ = connection.ended().await?;
        drop(connection);
        client.still(cx, length).await
    });
    for seen in futures_util::future::try_join_all(ends).await? {
        cx.expect(FLEET_DIAL_8, &seen, &[does_not_dial()])?;
    }
    Ok(())
}

/// A Hello of a later minor, with more fields, in another order, and without an id and H.
pub(super) async fn newer(cx: &Cx) -> Outcome {
    let good = hello(&cx.token(16), HEARTBEAT_MS);
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
    let frames = [
        with_minor(1),
        with_minor(255),
        [head, &fields, body].concat(),
        [head, body, &fields].concat(),
        turned,
    ];
    let mut client = Client::begin(cx).await?;
    for frame in frames {
        let mut connection = client.open(cx).await?;
        connection.say("fleet/hello", &frame).await;
        for _ in 0..2 {
            let (poll, seen) = connection.ask(None).await?;
            cx.expect(FLEET_DIAL_9, &seen, &[state_of(&poll, "", |_| true)])?;
        }
        connection.part(1012).await;
    }
    Ok(())
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
        let is_over = match seen.look() {
            Ok(Ok(heard)) => matches!(heard.said, Said::Closed(_)),
            _ => true,
        };
        if is_over {
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
        let told = client.told("connected").await?;
        let told = told.map(|data| data["instance_id"].as_str().unwrap_or_default().to_owned());
        let same = alternative(format!("the owner is told {id:?}"), move |told: &Option<String>| {
            told.as_ref() == Some(&id)
        });
        cx.expect(FLEET_DIAL_13, &seen.map(|_| told), &[same])?;
        connection.part(1012).await;
    }
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
