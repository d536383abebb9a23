//! What a client does whose owner stops it.

use super::{again, hears, restart};
use crate::{
    check::{Alternative, Cx, Outcome, alternative},
    checks::queue::client::{Client, Connection, DEFAULT_BASE_MS, Interface, LATE_MS, Start, silence_before},
    wire::{
        Lost, Seen,
        ws::{Frame, Peer},
    },
};
use futures_util::future::{join, try_join_all};
use serde_json::json;
use std::{pin::pin, time::Duration};
use tokio::time::{Instant, timeout};
use wireproof_spec::{http::Request, queue::requirements::*};

/// By when a client was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Handshake,
    Unanswered,
    Joined,
    Delivered,
    Again,
    AgainUnanswered,
}

const CONNECTED: [Moment; 5] =
    [Moment::Unanswered, Moment::Joined, Moment::Delivered, Moment::Again, Moment::AgainUnanswered];

fn says_goodbye() -> Alternative<Frame> {
    alternative(
        "a close frame with the code 1000 and the reason Client closed",
        |frame: &Frame| matches!(frame, Frame::Close(Some((1000, reason))) if reason == "Client closed"),
    )
}

/// A client that has come so far.
async fn come_to(cx: &Cx, interface: Interface, moment: Moment) -> Outcome<(Client, Connection)> {
    let mut client = Client::start(cx, Start::new(cx, interface)).await?;
    let mut connection = client.connect(cx).await?;
    if matches!(moment, Moment::Handshake | Moment::Unanswered) {
        return Ok((client, connection));
    }
    connection.welcome(&cx.token(8)).await;
    if moment != Moment::Joined {
        hears(cx, &mut client, &mut connection, 0).await?;
    }
    if matches!(moment, Moment::Again | Moment::AgainUnanswered) {
        connection = again(cx, &mut client, connection).await?;
    }
    if moment == Moment::Again {
        connection.welcome(&cx.token(8)).await;
        hears(cx, &mut client, &mut connection, 1).await?;
    }
    Ok((client, connection))
}

/// Has a client stopped, and hears what it says to that on its connection, which ends then, in order or not.
async fn stop(
    client: &mut Client,
    mut connection: Connection,
    in_order: bool,
) -> Outcome<(Seen<Frame>, Outcome)> {
    let heard = async {
        let seen = connection.ended().await;
        if in_order {
            connection.peer.close(1000, "").await;
        }
        connection.peer.leave();
        seen
    };
    let (asked, seen) = join(client.app.ask("close", json!({})), heard).await;
    Ok((seen?, asked.map(drop)))
}

pub(super) async fn says_so(cx: &Cx) -> Outcome {
    for interface in Interface::all(cx) {
        let ends = CONNECTED.into_iter().map(async |moment| {
            let (mut client, connection) = come_to(cx, interface, moment).await?;
            stop(&mut client, connection, true).await
        });
        for (seen, asked) in try_join_all(ends).await? {
            cx.expect(QUEUE_SUBSCRIBER_20, &seen, &[says_goodbye()])?;
            asked?;
        }
    }
    Ok(())
}

fn still() -> Alternative<Option<Request>> {
    alternative("no further dial", |dial: &Option<Request>| dial.is_none())
}

pub(super) async fn for_good(cx: &Cx) -> Outcome {
    let cases = Interface::all(cx).into_iter().flat_map(|interface| {
        let moments = CONNECTED.into_iter().chain([Moment::Handshake]);
        moments.flat_map(move |moment| [true, false].map(|in_order| (interface, moment, in_order)))
    });
    let silences = cases.map(async |(interface, moment, in_order)| {
        let mut client = match moment {
            Moment::Handshake => stopped_in_handshake(cx, interface, in_order, true).await?.0,
            _ => {
                let (mut client, connection) = come_to(cx, interface, moment).await?;
                let _ = stop(&mut client, connection, in_order).await?;
                client
            }
        };
        let n = u32::from(moment == Moment::AgainUnanswered);
        client.still(cx, silence_before(cx, interface, n)).await
    });
    for seen in try_join_all(silences).await? {
        cx.expect(QUEUE_SUBSCRIBER_21, &seen, &[still()])?;
    }
    Ok(())
}

/// That the connection ends, with the code of who is stopped or without a word; an AuthRequest may come before that.
fn ends() -> Alternative<Vec<Result<Frame, Lost>>> {
    alternative(
        "the end of the connection, with the code 1000 if with a close frame, behind an AuthRequest at most",
        |came: &Vec<Result<Frame, Lost>>| {
            let end = match came.as_slice() {
                [end] => end,
                [Ok(Frame::Text(text)), end] if text.contains("\"authorization\"") => end,
                _ => return false,
            };
            matches!(end, Ok(Frame::Close(Some((1000, _)))) | Err(Lost::Closed(_)))
        },
    )
}

pub(super) async fn in_handshake(cx: &Cx) -> Outcome {
    let cases =
        Interface::all(cx).into_iter().flat_map(|interface| [true, false].map(|first| (interface, first)));
    let courses =
        cases.map(async |(interface, first)| Ok(stopped_in_handshake(cx, interface, true, first).await?.1));
    for seen in try_join_all(courses).await? {
        cx.expect(QUEUE_SUBSCRIBER_30, &seen, &[ends()])?;
    }
    Ok(())
}

/// What comes up to the end of a connection, an AuthRequest in front of it, which is let in.
async fn up_to_the_end(cx: &Cx, peer: &mut Peer) -> Outcome<Seen<Vec<Result<Frame, Lost>>>> {
    let first = peer.next().await?.or_lost();
    if !matches!(first.look(), Ok(Ok(Frame::Text(_)))) {
        return Ok(first.map(|came| vec![came]));
    }
    peer.send_text(&json!({"success": true, "client_id": cx.token(8)}).to_string()).await;
    Ok(first.and(peer.next().await?.or_lost()).map(|(first, second)| vec![first, second]))
}

/// A client that was stopped while its handshake was not answered; it is answered then, which a client may wait for, and what
/// it says to that is answered or not. Its first dial, or one behind a restart. What came behind the handshake.
async fn stopped_in_handshake(
    cx: &Cx,
    interface: Interface,
    in_order: bool,
    first: bool,
) -> Outcome<(Client, Seen<Vec<Result<Frame, Lost>>>)> {
    /// How long an adapter may take to hand on an order.
    const HEARD: Duration = Duration::from_millis(200);
    let mut client = Client::start(cx, Start::new(cx, interface)).await?;
    if !first {
        let mut connection = client.join(cx).await?;
        hears(cx, &mut client, &mut connection, 0).await?;
        restart(connection).await?;
    }
    let (_, call) = client.dial(cx).await?;
    let seen = {
        let mut asked = pin!(client.app.ask("close", json!({})));
        let early = timeout(HEARD, &mut asked).await;
        let mut peer = call.upgrade().await?;
        // A close frame, or the end of the connection.
        let ended = async {
            let seen = up_to_the_end(cx, &mut peer).await?;
            if in_order {
                peer.close(1000, "").await;
            }
            peer.leave();
            Ok(seen)
        };
        match early {
            Ok(asked) => {
                asked?;
                ended.await?
            }
            Err(_) => {
                let (asked, ended) = join(asked, ended).await;
                asked?;
                ended?
            }
        }
    };
    Ok((client, seen))
}

pub(super) async fn in_between(cx: &Cx) -> Outcome {
    let cases = Interface::all(cx)
        .into_iter()
        .flat_map(|interface| [Moment::Delivered, Moment::Again].map(|moment| (interface, moment)));
    let silences = cases.map(|(interface, moment)| stopped_in_between(cx, interface, moment));
    for seen in try_join_all(silences).await? {
        cx.expect(QUEUE_SUBSCRIBER_22, &seen, &[still()])?;
    }
    Ok(())
}

/// Whether a client dials again that was stopped behind the end of its connection, and before it could dial.
async fn stopped_in_between(cx: &Cx, interface: Interface, moment: Moment) -> Outcome<Seen<Option<Request>>> {
    /// The shortest delay before a redial.
    const LEAST: Duration = Duration::from_millis(DEFAULT_BASE_MS / 2);
    const MOST: Duration = Duration::from_millis(DEFAULT_BASE_MS + LATE_MS);
    let start = Start::new(cx, interface).with("delay_ms", DEFAULT_BASE_MS);
    let mut client = Client::start(cx, start).await?;
    let mut connection = client.join(cx).await?;
    hears(cx, &mut client, &mut connection, 0).await?;
    if moment == Moment::Again {
        connection = again(cx, &mut client, connection).await?;
        connection.welcome(&cx.token(8)).await;
        hears(cx, &mut client, &mut connection, 1).await?;
    }
    let since = Instant::now();
    restart(connection).await?;
    client.app.ask("close", json!({})).await?;
    if since.elapsed() >= LEAST {
        return Err(cx.stop("the client was not stopped before it could dial again: the machine is too busy"));
    }
    client.still(cx, MOST).await
}

pub(super) async fn iterator_left(cx: &Cx) -> Outcome {
    // It is aborted while it waits, or left with a message that is the last or not.
    for (takes, pushed) in [(None, 0..0), (None, 0..2), (Some(1), 0..1), (Some(1), 0..3)] {
        let start = Start::new(cx, Interface::Iterator);
        let start = takes.map_or(start.clone(), |takes: usize| start.with("takes", takes));
        let mut client = Client::start(cx, start).await?;
        let mut connection = client.join(cx).await?;
        let count = pushed.clone().count();
        connection.push(pushed).await;
        let told = client.delivered(takes.unwrap_or(count)).await?;
        let taken = alternative("what was taken is delivered", move |told: &Vec<serde_json::Value>| {
            told.len() == takes.unwrap_or(count)
        });
        cx.need(QUEUE_DELIVERY_1, &connection.told(told), &[taken])?;
        let (seen, asked) = stop(&mut client, connection, true).await?;
        cx.expect(QUEUE_SUBSCRIBER_23, &seen, &[says_goodbye()])?;
        asked?;
    }
    Ok(())
}
