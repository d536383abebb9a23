//! The end of a WebSocket at a target that does nothing useful.

use futures_util::{SinkExt, StreamExt};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};
use wireproof_spec::http::Response;

/// What it says to a text, if anything.
pub(super) type Talk = fn(&str) -> Option<String>;

/// Takes the handshake in a request, if there is one: the answer to it.
pub(super) fn upgraded(request: &mut hyper::Request<Incoming>, talk: Talk) -> Option<Response> {
    let header = |name: &str| request.headers().get(name)?.to_str().ok().map(str::to_owned);
    header("upgrade").filter(|to| to.eq_ignore_ascii_case("websocket"))?;
    let key = header("sec-websocket-key")?;
    tokio::spawn(serve(hyper::upgrade::on(request), talk));
    Some(
        Response::new(101)
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-accept", derive_accept_key(key.as_bytes())),
    )
}

/// It ends when the client goes away, as with every null target.
async fn serve(connection: OnUpgrade, talk: Talk) {
    let Ok(stream) = connection.await else { return };
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(stream), Role::Server, None).await;
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Text(text) = message
            && let Some(said) = talk(text.as_str())
            && socket.send(Message::text(said)).await.is_err()
        {
            return;
        }
    }
}
