//! Clients that cost little beside the server: they look at the heads of frames and pass over the rest.

use std::{fmt::Write, net::SocketAddr};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use wireproof_reference::queue::KEY;

pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// A connection, and what was read of it.
struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// What lies before this was looked at.
    at: usize,
}

impl Wire {
    async fn connect(addr: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new(), at: 0 })
    }

    /// The next so many bytes.
    async fn take(&mut self, count: usize) -> Outcome<&[u8]> {
        while self.buffer.len() - self.at < count {
            self.fill().await?;
        }
        self.at += count;
        Ok(&self.buffer[self.at - count..self.at])
    }

    /// The head of an HTTP answer.
    async fn head(&mut self) -> Outcome<String> {
        loop {
            let rest = &self.buffer[self.at..];
            if let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") {
                return Ok(String::from_utf8_lossy(self.take(end + 4).await?).to_ascii_lowercase());
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Outcome<()> {
        if self.at == self.buffer.len() {
            self.buffer.clear();
            self.at = 0;
        } else if self.at > 64 * 1024 {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err("the server closed the connection".into()),
            _ => Ok(()),
        }
    }
}

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
        let head = format!(
            "{method} /queue/{path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.0.stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await?;
        let head = self.0.head().await?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length = length.ok_or("no content-length")?.trim().parse()?;
        let answer = self.0.take(length).await?;
        if !head.starts_with("http/1.1 2") {
            return Err(format!("{method} {path}: {head}{}", String::from_utf8_lossy(answer)).into());
        }
        Ok(())
    }
}

/// A subscriber.
pub(crate) struct Subscriber(Wire);

impl Subscriber {
    /// A connection behind its handshake.
    pub(crate) async fn open(addr: SocketAddr, queue: &str) -> Outcome<Self> {
        let mut wire = Wire::connect(addr).await?;
        let ask = format!(
            "GET /queue/ws/{queue} HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        wire.stream.write_all(ask.as_bytes()).await?;
        let head = wire.head().await?;
        if !head.starts_with("http/1.1 101") {
            return Err(head.into());
        }
        Ok(Self(wire))
    }

    /// Says who it is, and where it was.
    pub(crate) async fn join(&mut self, last_offset: Option<i64>) -> Outcome<()> {
        let last = last_offset.map_or_else(String::new, |last| format!(r#","last_offset":{last}"#));
        self.send(&format!(r#"{{"authorization":"{KEY}"{last}}}"#)).await?;
        self.frame().await?;
        // What waits holds nothing of it.
        self.0.buffer = self.0.buffer.split_off(self.0.at);
        self.0.at = 0;
        Ok(())
    }

    /// Sends a text of less than 126 bytes; the mask is nothing.
    pub(crate) async fn send(&mut self, text: &str) -> Outcome<()> {
        let length = u8::try_from(text.len())?;
        let head = [0x81, 0x80 | length, 0, 0, 0, 0];
        Ok(self.0.stream.write_all(&[&head[..], text.as_bytes()].concat()).await?)
    }

    /// Reads the next frame with data; tells how long it is.
    pub(crate) async fn frame(&mut self) -> Outcome<usize> {
        self.payload().await.map(<[u8]>::len)
    }

    /// Reads the next Push; tells how many messages are in it.
    pub(crate) async fn messages(&mut self) -> Outcome<usize> {
        let payload = self.payload().await?;
        // Nothing else has this member.
        Ok(payload.windows(10).filter(|w| *w == br#""payload":"#).count())
    }

    async fn payload(&mut self) -> Outcome<&[u8]> {
        loop {
            let head = self.0.take(2).await?;
            let (code, short) = (head[0] & 0x0f, head[1] & 0x7f);
            let length = match short {
                126 => usize::from(u16::from_be_bytes(self.0.take(2).await?.try_into()?)),
                127 => usize::try_from(u64::from_be_bytes(self.0.take(8).await?.try_into()?))?,
                length => usize::from(length),
            };
            self.0.take(length).await?;
            if code <= 2 {
                return Ok(&self.0.buffer[self.0.at - length..self.0.at]);
            }
        }
    }
}
