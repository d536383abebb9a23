//! A client that costs little beside the server: one connection, one request at a time.

use super::common::Outcome;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(addr: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    pub(crate) async fn put(&mut self, path: &str, media_type: &str, body: &[u8]) -> Outcome<String> {
        self.ask("PUT", path, media_type, body).await
    }

    pub(crate) async fn post(&mut self, path: &str, media_type: &str, body: &[u8]) -> Outcome<String> {
        self.ask("POST", path, media_type, body).await
    }

    pub(crate) async fn get(&mut self, target: &str) -> Outcome<String> {
        self.ask("GET", target, "", b"").await
    }

    /// Reads an event stream to the end of its first control event.
    pub(crate) async fn follow(&mut self, target: &str) -> Outcome<()> {
        self.write("GET", target, "", b"").await?;
        while !self.buffer.windows(14).any(|w| w == b"event: control") || !self.buffer.ends_with(b"\n\n\r\n")
        {
            self.fill().await?;
        }
        // What waits holds nothing of it.
        self.buffer = Vec::new();
        Ok(())
    }

    /// Sends a request and reads its answer; tells `Stream-Next-Offset`.
    async fn ask(&mut self, method: &str, target: &str, media_type: &str, body: &[u8]) -> Outcome<String> {
        self.write(method, target, media_type, body).await?;
        loop {
            let mut headers = [httparse::EMPTY_HEADER; 32];
            let mut head = httparse::Response::new(&mut headers);
            if let httparse::Status::Complete(length) = head.parse(&self.buffer)? {
                let value = |name: &str| {
                    let found = head.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name));
                    found.and_then(|h| std::str::from_utf8(h.value).ok()).unwrap_or_default().to_owned()
                };
                let status = head.code.unwrap_or_default();
                let (next, body) = (value("stream-next-offset"), value("content-length"));
                let chunked = value("transfer-encoding") == "chunked";
                if status >= 400 {
                    return Err(format!("{method} {target} was answered with {status}").into());
                }
                if chunked {
                    while !self.buffer.ends_with(b"\r\n0\r\n\r\n")
                        && !self.buffer[length..].starts_with(b"0\r\n\r\n")
                    {
                        self.fill().await?;
                    }
                    self.buffer.clear();
                    return Ok(next);
                }
                let end = length + body.parse::<usize>().unwrap_or_default();
                while self.buffer.len() < end {
                    self.fill().await?;
                }
                self.buffer.drain(..end);
                return Ok(next);
            }
            self.fill().await?;
        }
    }

    async fn write(&mut self, method: &str, target: &str, media_type: &str, body: &[u8]) -> Outcome<()> {
        let mut head = format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\n");
        if method != "GET" {
            head.push_str(&format!("content-type: {media_type}\r\ncontent-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        Ok(self.stream.write_all(&bytes).await?)
    }

    async fn fill(&mut self) -> Outcome<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err("the server closed the connection".into()),
            _ => Ok(()),
        }
    }
}
