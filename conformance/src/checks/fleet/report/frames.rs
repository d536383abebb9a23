//! The form of frames: that of what an agent says, and of what it has to read.

use super::*;
use crate::checks::fleet::client::{
    KINDS, create, dials, hello, is_over,
    talk::{broken, unknown_fields},
};
use wireproof_spec::fleet::frames::{Outer, header, put_bytes};

/// States and Acks, byte by byte.
pub(super) async fn form(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    let hash = connection.hash(cx)?;
    let is = |topic: &'static str| {
        alternative(
            format!("a frame with the topic {topic} and a payload that begins with 03 00"),
            move |heard: &Heard| {
                Outer::decode(&heard.bytes).is_ok_and(|outer| {
                    outer.topic.as_deref() == Some(topic)
                        && outer.payload.is_some_and(|payload| payload.starts_with(&[3, 0]))
                })
            },
        )
    };
    for known in [None, Some(hash.as_str())] {
        let (_, seen) = connection.ask(known).await?;
        cx.expect(FLEET_REPORT_3, &seen, &[is("fleet/state")])?;
    }
    for cmd in [create("a", KINDS[0]), create("a", KINDS[0])] {
        let (_, seen) = connection.tell(cmd).await?;
        cx.expect(FLEET_REPORT_3, &seen, &[is("fleet/ack")])?;
    }
    Ok(())
}

/// Polls of a later version.
pub(super) async fn newer(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    let hash = connection.hash(cx)?;
    let poll = |n: usize| Poll {
        req_id: format!("newer_{n}"),
        known_hash: Some(hash.clone()),
        status: Status::Active,
    };
    let with_minor = |poll: &Poll, minor| {
        let mut frame = poll.encode_frame();
        frame[1] = minor;
        frame
    };
    let with_fields = |poll: &Poll, first: bool| {
        let frame = poll.encode_frame();
        let (head, body) = frame.split_at(2);
        let fields = unknown_fields();
        if first { [head, &fields, body].concat() } else { [head, body, &fields].concat() }
    };
    let turned = |poll: &Poll| {
        let mut frame = header();
        put_bytes(&mut frame, 3, poll.status.word().as_bytes());
        put_bytes(&mut frame, 2, hash.as_bytes());
        put_bytes(&mut frame, 1, poll.req_id.as_bytes());
        frame
    };
    let frames = [
        with_minor(&poll(0), 1),
        with_minor(&poll(1), 255),
        with_fields(&poll(2), true),
        with_fields(&poll(3), false),
        turned(&poll(4)),
    ];
    for (n, frame) in frames.into_iter().enumerate() {
        connection.say("fleet/poll", &frame).await;
        let seen = connection.next().await?;
        cx.expect(FLEET_REPORT_13, &seen, &[hash_only(&poll(n), &hash)])?;
    }
    Ok(())
}

/// The answer that comes next is that to the Poll behind one that cannot be read.
pub(super) async fn malformed(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    let poll = Poll { req_id: "poll_0".into(), known_hash: None, status: Status::Active };
    for (what, frame) in broken(&poll.encode_frame()) {
        connection.say("fleet/poll", &frame).await;
        let (next, seen) = connection.ask(None).await?;
        let name = format!("behind a Poll that is malformed ({what})");
        cx.expect(FLEET_REPORT_14, &seen, &[state_of(&next, &name, |_| true)])?;
    }
    let silence = connection.quiet(MOMENT).await?;
    cx.expect(FLEET_REPORT_14, &silence, &[nothing()])?;
    Ok(())
}

pub(super) async fn other_topics(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    let poll = Poll { req_id: "poll_0".into(), known_hash: None, status: Status::Active }.encode_frame();
    for topic in ["fleet/state", "fleet/ack", "fleet/polls", "fleet", "Fleet/Poll", "poll", "x"] {
        connection.say(topic, &poll).await;
        let (next, seen) = connection.ask(None).await?;
        let name = format!("behind a frame with the topic {topic:?}");
        cx.expect(FLEET_REPORT_15, &seen, &[state_of(&next, &name, |_| true)])?;
    }
    let silence = connection.quiet(MOMENT).await?;
    cx.expect(FLEET_REPORT_15, &silence, &[nothing()])?;
    Ok(())
}

/// What comes that is no frame of the protocol.
enum Mess {
    Binary(Vec<u8>),
    Text(String),
}

pub(super) async fn malformed_outer(cx: &Cx) -> Outcome {
    let poll = Poll { req_id: "poll_0".into(), known_hash: None, status: Status::Active }.encode_frame();
    let outer = Outer::encode("fleet/poll", &poll);
    let and = |more: &[u8]| [&outer[..], more].concat();
    let messes = [
        Mess::Binary(and(&[0x1d, 1, 2, 3, 4])),
        Mess::Binary(and(&[0x19, 1, 2, 3, 4, 5, 6, 7, 8])),
        Mess::Binary(and(&[0x80])),
        Mess::Binary(and(&[0x18, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01])),
        Mess::Binary(outer[..outer.len() - 1].to_vec()),
        Mess::Binary([&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f], &outer[2..]].concat()),
        Mess::Text("{}".into()),
        Mess::Text(r#"{"topic":"fleet/poll","reqId":"poll_0"}"#.into()),
    ];
    for mess in messes {
        survives(cx, mess).await?;
    }
    Ok(())
}

/// Behind that a Poll is answered, on this connection or on the next one.
async fn survives(cx: &Cx, mess: Mess) -> Outcome {
    /// What is said on this connection before it ends.
    const MOST: usize = 3;
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    match mess {
        Mess::Binary(bytes) => connection.peer.send_binary(bytes).await,
        Mess::Text(text) => connection.peer.send_text(&text).await,
    }
    let poll = connection.poll(None, Status::Active).await;
    for _ in 0..MOST {
        let seen = connection.next().await?.or_lost();
        match seen.look() {
            Ok(Ok(heard)) if heard.state().is_some_and(|state| state.req_id == poll.req_id) => {
                let goes_on = alternative("the State for the Poll behind it", |_: &Result<_, _>| true);
                cx.expect(FLEET_REPORT_16, &seen, &[goes_on])?;
                return Ok(());
            }
            Ok(_) if is_over(&seen) => {
                drop(connection);
                let (seen, call) = client.place.next().await?;
                cx.expect(FLEET_REPORT_16, &seen, &[dials()])?;
                let call = call.ok_or_else(|| cx.stop("the agent did not dial again"))?;
                let mut next = Connection::of(seen, call).await?;
                next.hello(&hello(&cx.token(16), HEARTBEAT_MS)).await;
                let (poll, seen) = next.ask(None).await?;
                cx.expect(FLEET_REPORT_16, &seen, &[state_of(&poll, "on the next connection", |_| true)])?;
                return Ok(());
            }
            Ok(Ok(_)) => {}
            // It is there, and says nothing any more.
            _ => {
                let name = "the State for the Poll behind it, or the end of the connection";
                cx.expect(FLEET_REPORT_16, &seen, &[alternative(name, |_: &Result<_, _>| false)])?;
            }
        }
    }
    Err(cx.stop("the Poll behind it is not answered"))
}
