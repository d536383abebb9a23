//! Clients of a queue that cost little beside the server.

use super::{common::Outcome, wire::Wire};
use std::{fmt::Write, net::SocketAddr};
use wireproof_reference::queue::KEY;

/// The HTTP side.
pub(crate) struct Api(Wire);

impl Api {
    pub(crate) async fn connect(addr: SocketAddr) -> Outcome<Self> {
        Ok(Self(Wire::connect(addr).await?))
    }

    /// Makes a queue in which each message is for everyone.
    pub(crate) async fn create(&mut self, name: &str) -> Outcome<()> {
        self.ask("POST", "create", &format!(r#"{{"name":"{name}","queue_type":"pubsub"}}"#)).await
    }

    /// Publishes so many messages.
    pub(crate) async fn publish(&mut self, name: &str, messages: usize) -> Outcome<()> {
        let mut left = messages;
        while left > 0 {
            let now = left.min(super::BATCH);
            let mut body = String::from(r#"{"messages":["#);
            for n in 0..now {
                let comma = if n == 0 { "" } else { "," };
                write!(
                    body,
                    r#"{comma}{{"payload":{{"n":{},"text":"what somebody wanted to say"}}}}"#,
                    left - n
                )?;
            }
            body.push_str("]}");
            self.ask("POST", &format!("messages/batch/{name}"), &body).await?;
            left -= now;
        }
        Ok(())
    }

    pub(crate) async fn ask(&mut self, method: &str, path: &str, body: &str) -> Outcome<()> {
        let key = format!("authorization: Bearer {KEY}\r\n");
        let (head, answer) = self.0.ask(method, &format!("/queue/{path}"), &key, body).await?;
        match head.status()? {
            200..300 => Ok(()),
            status => Err(format!("{method} {path}: {status} {}", String::from_utf8_lossy(answer)).into()),
        }
    }
}

/// A subscriber.
pub(crate) struct Subscriber(Wire);

impl Subscriber {
    /// A connection behind its handshake.
    pub(crate) async fn open(addr: SocketAddr, queue: &str) -> Outcome<Self> {
        Ok(Self(Wire::upgrade(addr, &format!("/queue/ws/{queue}"), "").await?))
    }

    /// Says who it is, and where it was.
    pub(crate) async fn join(&mut self, last_offset: Option<i64>) -> Outcome<()> {
        let last = last_offset.map_or_else(String::new, |last| format!(r#","last_offset":{last}"#));
        self.send(&format!(r#"{{"authorization":"{KEY}"{last}}}"#)).await?;
        self.frame().await?;
        self.0.shrink();
        Ok(())
    }

    /// Sends a text.
    pub(crate) async fn send(&mut self, text: &str) -> Outcome<()> {
        self.0.send(1, text.as_bytes()).await
    }

    /// Reads the next frame with data; tells how long it is.
    pub(crate) async fn frame(&mut self) -> Outcome<usize> {
        self.0.payload().await.map(<[u8]>::len)
    }

    /// Reads the next Push; tells how many messages are in it.
    pub(crate) async fn messages(&mut self) -> Outcome<usize> {
        let payload = self.0.payload().await?;
        // Nothing else has this member.
        Ok(payload.windows(10).filter(|w| *w == br#""payload":"#).count())
    }
}
