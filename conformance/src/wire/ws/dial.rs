//! The opening handshake, as an exchange that a check can make claims about (RFC 6455, section 4).

use super::{Peer, Watched, config};
use crate::{
    check::Stop,
    wire::{
        Link, Lost, Seen,
        http::{self, build, finish, open, record_received, record_sent},
        overload::{BackOff, is_overload},
    },
};
use hyper_util::rt::TokioIo;
use std::collections::VecDeque;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::{client::generate_key, derive_accept_key},
        protocol::Role,
    },
};
use wireproof_spec::http::{Request, Response};

/// How the connection of a WebSocket is called in events.
const PEER: &str = "websocket";

/// Asks for a WebSocket: what was answered, and the peer if that was 101. 429 and 503 are tried again, after the pause that the
/// target asks for.
///
/// # Errors
/// Stops the check if the target cannot be reached or stays overloaded.
pub(crate) async fn upgrade(
    link: &Link,
    request: Request,
    room: Option<u32>,
) -> Result<(Seen<Response>, Option<Peer>), Stop> {
    let mut pauses = BackOff::new(link);
    loop {
        link.turn().await;
        let key = generate_key();
        let (seen, peer) = shake(link, &handshake(request.clone(), &key), &key, room).await?;
        match seen.look() {
            Ok(response) if is_overload(link, response) => pauses.wait(link, response).await?,
            _ => return Ok((seen, peer)),
        }
    }
}

/// Asks for a WebSocket to see whether anything at all is answered, on a fresh connection: the event of the answer. Nothing is
/// done about an answer that does not come, for this is what is done about one.
pub(super) async fn answered(link: &Link, request: Request) -> Option<u64> {
    let request = handshake(request, &generate_key());
    let built = build(link, &request).ok()?;
    let mut conn = open(link, PEER, None).await.ok()?;
    let sent = record_sent(link, conn.number, &request, false);
    let started = Instant::now();
    let until = started + link.times.alive;
    let response = http::read(conn.sender.send_request(built), until, started).await.ok()?;
    Some(record_received(link, conn.number, sent, &response))
}

/// The GET with what a handshake takes.
fn handshake(request: Request, key: &str) -> Request {
    request
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", key)
}

async fn shake(
    link: &Link,
    request: &Request,
    key: &str,
    room: Option<u32>,
) -> Result<(Seen<Response>, Option<Peer>), Stop> {
    let mut conn = open(link, PEER, room).await?;
    let built = build(link, request)?;
    let sent = record_sent(link, conn.number, request, false);
    let started = Instant::now();
    let until = link.until(link.times.answer);
    let mut upgraded = None;
    let answer = async {
        let mut answer = conn.sender.send_request(built).await?;
        if answer.status() == 101 {
            upgraded = Some(hyper::upgrade::on(&mut answer));
        }
        Ok(answer)
    };
    let result = http::read(answer, until, started).await.and_then(|response| accepted(response, key));
    let seen = finish(link, conn.number, sent, started, result).await?;
    let Some(upgraded) = upgraded.filter(|_| seen.look().is_ok()) else { return Ok((seen, None)) };
    let stream = match timeout_at(until, upgraded).await {
        Ok(Ok(stream)) => TokioIo::new(stream),
        Ok(Err(e)) => return Err(link.harness(&format!("the connection was not handed over: {e}"))),
        Err(_) => return Err(link.harness("the connection was not handed over in time")),
    };
    let watched = Watched::without_handshake(Box::new(stream) as Box<_>);
    let socket = WebSocketStream::from_raw_socket(watched, Role::Client, Some(config())).await;
    let passed = conn.passed.clone();
    let peer = Peer {
        link: link.clone(),
        conn: conn.number,
        socket,
        early: VecDeque::new(),
        wait: link.times.answer,
        passed,
        cut: false,
        below: None,
    };
    Ok((seen, Some(peer)))
}

/// An answer that takes the handshake proves that it was read.
fn accepted(response: Response, key: &str) -> Result<Response, Lost> {
    let expected = derive_accept_key(key.as_bytes());
    match response.headers.get("sec-websocket-accept") {
        Some(found) if response.status == 101 && found.trim() != expected => {
            Err(Lost::Malformed(format!("Sec-WebSocket-Accept is not {expected}, as RFC 6455 has it")))
        }
        None if response.status == 101 => Err(Lost::Malformed("101 without Sec-WebSocket-Accept".into())),
        _ => Ok(response),
    }
}
