//! What a client does that is not let in.

use super::{again, frames::is_silent, hears};
use crate::{
    check::{Alternative, Cx, Outcome, alternative},
    checks::queue::client::{Client, Connection, Interface, Start, silence_before},
    run::UNKNOWN_LIMIT_MS,
    wire::{Lost, Seen, ws::Frame},
};
use futures_util::future::{try_join, try_join_all};
use serde_json::{Value, json};
use std::time::Duration;
use wireproof_spec::{http::Request, queue::requirements::*};

fn failure(why: &str) -> Value {
    json!({"success": false, "error": why})
}

pub(super) fn closes_with_4001() -> Alternative<Frame> {
    alternative("a close frame with the code 4001", |frame: &Frame| {
        matches!(frame, Frame::Close(Some((4001, _))))
    })
}

/// A connection of a fresh client, its first one, or the one behind a restart of the server.
async fn connection(cx: &Cx, interface: Interface, redial: bool) -> Outcome<(Client, Connection)> {
    let mut client = Client::start(cx, Start::new(cx, interface)).await?;
    let mut connection = client.connect(cx).await?;
    if redial {
        connection.welcome(&cx.token(8)).await;
        hears(cx, &mut client, &mut connection, 0).await?;
        connection = again(cx, &mut client, connection).await?;
    }
    Ok((client, connection))
}

pub(super) async fn closes(cx: &Cx) -> Outcome {
    for interface in Interface::all(cx) {
        let cases = [
            (failure("no such key"), false),
            (failure(""), false),
            (json!({"success": false}), false),
            (json!({"success": false, "client_id": cx.token(8), "retry": true}), false),
            (failure("the key was revoked"), true),
        ];
        for (answer, redial) in cases {
            let (_client, mut connection) = connection(cx, interface, redial).await?;
            connection.send(&answer).await;
            let closed = connection.ended().await?;
            cx.expect(QUEUE_SUBSCRIBER_15, &closed, &[closes_with_4001()])?;
        }
    }
    Ok(())
}

/// Fails a client, and finds what it told of that: the error whose text contains that of the failure, or the last one.
async fn failed(cx: &Cx, interface: Interface, redial: bool) -> Outcome<(String, Seen<Option<String>>)> {
    let why = format!("no key {} is known \"here\"", cx.token(12));
    let (mut client, mut connection) = connection(cx, interface, redial).await?;
    connection.send(&failure(&why)).await;
    let closed = connection.ended().await?;
    cx.need(QUEUE_SUBSCRIBER_15, &closed, &[closes_with_4001()])?;
    drop(connection);
    let mut last = None;
    if interface == Interface::Iterator {
        let ended = client.told("ended").await?.unwrap_or_default();
        last = ended["error"].as_str().map(str::to_owned);
    } else {
        // Of a connection that ended before it may have been told too.
        while let Some(error) = client.complaint().await? {
            let found = error.contains(&why);
            last = Some(error);
            if found {
                break;
            }
        }
    }
    Ok((why, closed.map(|_| last)))
}

/// That what was told contains the text.
fn says(why: String) -> Alternative<Option<String>> {
    alternative(format!("an error that contains {why:?}"), move |told: &Option<String>| {
        told.as_ref().is_some_and(|told| told.contains(&why))
    })
}

pub(super) async fn is_told(cx: &Cx) -> Outcome {
    for redial in [false, true] {
        let (why, told) = failed(cx, Interface::Handler, redial).await?;
        cx.expect(QUEUE_SUBSCRIBER_16, &told, &[says(why)])?;
    }
    Ok(())
}

pub(super) async fn ends(cx: &Cx) -> Outcome {
    for redial in [false, true] {
        let (why, told) = failed(cx, Interface::Iterator, redial).await?;
        cx.expect(QUEUE_SUBSCRIBER_17, &told, &[says(why)])?;
    }
    Ok(())
}

/// What the server does behind a failure.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Behind {
    Answers,
    LeavesTheCloseUnanswered,
    Resets,
    LeavesAtOnce,
}

pub(super) async fn is_final(cx: &Cx) -> Outcome {
    let ends = [Behind::Answers, Behind::LeavesTheCloseUnanswered, Behind::Resets, Behind::LeavesAtOnce];
    let cases = Interface::all(cx).into_iter().flat_map(|interface| {
        [false, true].into_iter().flat_map(move |redial| ends.map(|behind| (interface, redial, behind)))
    });
    let silences = cases.map(|(interface, redial, behind)| refused(cx, interface, redial, behind));
    for seen in try_join_all(silences).await? {
        let still = alternative("no further dial", |dial: &Option<Request>| dial.is_none());
        cx.expect(QUEUE_SUBSCRIBER_18, &seen, &[still])?;
    }
    Ok(())
}

/// Whether a client dials again behind a failure.
async fn refused(
    cx: &Cx,
    interface: Interface,
    redial: bool,
    behind: Behind,
) -> Outcome<Seen<Option<Request>>> {
    let (mut client, mut connection) = connection(cx, interface, redial).await?;
    connection.send(&failure("no such key")).await;
    if behind != Behind::LeavesAtOnce {
        let closed = connection.ended().await?;
        cx.need(QUEUE_SUBSCRIBER_15, &closed, &[closes_with_4001()])?;
    }
    match behind {
        Behind::Answers => connection.peer.close(4001, "").await,
        Behind::Resets => connection.peer.reset(),
        Behind::LeavesTheCloseUnanswered | Behind::LeavesAtOnce => connection.peer.leave(),
    }
    // A redial that was not let in counts: the next one is redial 1.
    client.still(cx, silence_before(cx, interface, u32::from(redial))).await
}

pub(super) async fn unanswered(cx: &Cx) -> Outcome {
    let limit = Duration::from_millis(cx.features().limit("answer-timeout-ms").unwrap_or(UNKNOWN_LIMIT_MS));
    // Who is answered stays.
    let stays = async {
        let (mut client, mut connection) = connection(cx, Interface::any(cx), false).await?;
        connection.welcome(&cx.token(8)).await;
        is_silent(cx, &mut connection, limit).await?;
        hears(cx, &mut client, &mut connection, 0).await
    };
    let cases = Interface::all(cx).into_iter().flat_map(|interface| [(interface, false), (interface, true)]);
    let ends = try_join_all(cases.map(async |(interface, redial)| {
        let (_client, mut connection) = connection(cx, interface, redial).await?;
        connection.peer = connection.peer.patient(limit + cx.slack());
        Ok(connection.ended().await?.or_lost())
    }));
    let (ends, ()) = try_join(ends, stays).await?;
    for seen in ends {
        let over = alternative("the end of the connection in time", |end: &Result<Frame, Lost>| {
            matches!(end, Ok(Frame::Close(_)) | Err(Lost::Closed(_)))
        });
        cx.expect(QUEUE_SUBSCRIBER_19, &seen, &[over])?;
    }
    Ok(())
}
