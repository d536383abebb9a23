//! The end of a WebSocket at a target that does nothing useful.

use crate::{protocol::Talk, wire::ws::Frame};
use futures_util::{SinkExt, StreamExt};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};
use wireproof_spec::http::Response;

/// Takes the handshake in a request, if there is one: the answer to it. Of several subprotocols it takes the last.
pub(super) fn upgraded(request: &mut hyper::Request<Incoming>, talk: Talk) -> Option<Response> {
    let header = |name: &str| request.headers().get(name)?.to_str().ok().map(str::to_owned);
    header("upgrade").filter(|to| to.eq_ignore_ascii_case("websocket"))?;
    let key = header("sec-websocket-key")?;
    let protocol = header("sec-websocket-protocol");
    tokio::spawn(serve(hyper::upgrade::on(request), talk));
    let answer = Response::new(101)
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-accept", derive_accept_key(key.as_bytes()));
    Some(match protocol.as_deref().and_then(|offered| offered.rsplit(',').next()) {
        Some(last) => answer.header("sec-websocket-protocol", last.trim()),
        None => answer,
    })
}

/// It ends when the client goes away, as with every null target.
async fn serve(connection: OnUpgrade, talk: Talk) {
    let Ok(stream) = connection.await else { return };
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(stream), Role::Server, None).await;
    for frame in (talk.greeting)() {
        if socket.send(message(frame)).await.is_err() {
            return;
        }
    }
    while let Some(Ok(heard)) = socket.next().await {
        let frame = match heard {
            Message::Text(text) => Frame::Text(text.to_string()),
            Message::Binary(bytes) => Frame::Binary(bytes),
            _ => continue,
        };
        if let Some(said) = (talk.reply)(&frame)
            && socket.send(message(said)).await.is_err()
        {
            return;
        }
    }
}

fn message(frame: Frame) -> Message {
    match frame {
        Frame::Text(text) => Message::text(text),
        Frame::Binary(bytes) => Message::Binary(bytes),
        Frame::Close(_) => Message::Close(None),
    }
}
