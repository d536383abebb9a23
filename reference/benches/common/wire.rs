//! A connection that costs little beside the server: HTTP as far as the servers speak it, and frames of a WebSocket, of which
//! it looks at the heads.

use super::common::Outcome;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A connection, and what was read of it.
pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// What lies before this was looked at.
    at: usize,
}

/// The head of an answer.
pub(crate) struct Head(String);

impl Head {
    pub(crate) fn status(&self) -> Outcome<u16> {
        Ok(self.0.split(' ').nth(1).ok_or("no status")?.parse()?)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.0.lines().filter_map(|line| line.split_once(':'));
        headers.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

impl Wire {
    pub(crate) async fn connect(addr: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new(), at: 0 })
    }

    /// A WebSocket behind its handshake; `headers` are lines of the request.
    pub(crate) async fn upgrade(addr: SocketAddr, path: &str, headers: &str) -> Outcome<Self> {
        let mut wire = Self::connect(addr).await?;
        let ask = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        wire.stream.write_all(ask.as_bytes()).await?;
        let head = wire.head().await?;
        if head.status()? != 101 {
            return Err(head.0.into());
        }
        Ok(wire)
    }

    /// Sends a request with these lines as headers, and reads its answer.
    pub(crate) async fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> Outcome<(Head, &[u8])> {
        let length = match body.len() {
            0 => String::new(),
            length => format!("content-type: application/json\r\ncontent-length: {length}\r\n"),
        };
        let head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{headers}{length}\r\n");
        self.stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await?;
        let head = self.head().await?;
        let length = match head.header("content-length") {
            Some(length) => length.parse()?,
            // It never has a body.
            None if head.status()? == 304 => 0,
            None => return Err("no content-length".into()),
        };
        Ok((head, self.take(length).await?))
    }

    /// The head of an answer.
    pub(crate) async fn head(&mut self) -> Outcome<Head> {
        loop {
            let rest = &self.buffer[self.at..];
            if let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") {
                return Ok(Head(String::from_utf8_lossy(self.take(end + 4).await?).into_owned()));
            }
            self.fill().await?;
        }
    }

    /// Sends a frame of this kind: 1 is a text, 2 is bytes. The mask is nothing.
    pub(crate) async fn send(&mut self, kind: u8, payload: &[u8]) -> Outcome<()> {
        let mut frame = Vec::with_capacity(payload.len() + 14);
        frame.push(0x80 | kind);
        match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
            (Ok(length @ ..126), _) => frame.push(0x80 | length),
            (_, Ok(length)) => {
                frame.push(0x80 | 126);
                frame.extend(length.to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend((payload.len() as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend_from_slice(payload);
        Ok(self.stream.write_all(&frame).await?)
    }

    /// Reads the next frame with data.
    pub(crate) async fn payload(&mut self) -> Outcome<&[u8]> {
        loop {
            let head = self.take(2).await?;
            let (code, short) = (head[0] & 0x0f, head[1] & 0x7f);
            let length = match short {
                126 => usize::from(u16::from_be_bytes(self.take(2).await?.try_into()?)),
                127 => usize::try_from(u64::from_be_bytes(self.take(8).await?.try_into()?))?,
                length => usize::from(length),
            };
            self.take(length).await?;
            if code <= 2 {
                return Ok(&self.buffer[self.at - length..self.at]);
            }
        }
    }

    /// Gives back the memory of what was read: what waits holds nothing of it.
    pub(crate) fn shrink(&mut self) {
        self.buffer = self.buffer.split_off(self.at);
        self.at = 0;
    }

    /// The next so many bytes.
    async fn take(&mut self, count: usize) -> Outcome<&[u8]> {
        while self.buffer.len() - self.at < count {
            self.fill().await?;
        }
        self.at += count;
        Ok(&self.buffer[self.at - count..self.at])
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
