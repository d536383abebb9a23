//! A small client: requests and answers as values, one connection each, and raw bytes where they matter.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use wireproof_reference::stream::{Limits, Options, Running, Server};
use wireproof_spec::http::{Body, Request, Response};

/// Everything in these tests happens well within this time.
pub(crate) const SOON: Duration = Duration::from_secs(10);

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future).await.expect("an answer in time")
}

/// A server in memory whose long-polls wait for this many milliseconds.
pub(crate) async fn server(long_poll_ms: u64) -> Running {
    let limits = Limits { long_poll_ms, ..Limits::default() };
    Server::start(Options { limits, ..Options::default() }).await.unwrap()
}

pub(crate) struct Client(SendRequest<Full<Bytes>>);

impl Client {
    pub(crate) async fn to(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    pub(crate) async fn send(&mut self, request: Request) -> Response {
        within(self.try_send(request)).await.unwrap()
    }

    pub(crate) async fn try_send(&mut self, request: Request) -> hyper::Result<Response> {
        let mut sent = hyper::Request::builder().method(request.method.as_str()).uri(request.target());
        for (name, value) in request.headers.0.iter().chain([&("host".into(), "test.example".into())]) {
            sent = sent.header(name, value);
        }
        self.0.ready().await?;
        let (parts, body) =
            self.0.send_request(sent.body(Full::new(request.body.0)).unwrap()).await?.into_parts();
        let mut response = Response::new(parts.status.as_u16());
        for (name, value) in &parts.headers {
            response.headers.push(name.as_str(), value.to_str().unwrap());
        }
        response.body = Body(body.collect().await?.to_bytes());
        Ok(response)
    }
}

/// The answer to one request on its own connection.
pub(crate) async fn send(server: &Running, request: Request) -> Response {
    Client::to(server.addr).await.send(request).await
}

/// Sends bytes, ends the sending half if asked to, and returns all that comes until the server closes.
pub(crate) async fn raw(addr: SocketAddr, bytes: &[u8], end: bool) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    if end {
        stream.shutdown().await.unwrap();
    }
    let mut answer = Vec::new();
    // A reset ends an answer as well as an orderly end does.
    let _ = within(stream.read_to_end(&mut answer)).await;
    answer
}

pub(crate) fn url(name: &str) -> String {
    format!("/v1/stream/{name}")
}

pub(crate) fn put(name: &str) -> Request {
    Request::new("PUT", &url(name)).header("content-type", "text/plain")
}

pub(crate) fn post(name: &str, body: &'static str) -> Request {
    Request::new("POST", &url(name)).header("content-type", "text/plain").body(body)
}

pub(crate) fn close(name: &str) -> Request {
    Request::new("POST", &url(name)).header("stream-closed", "true")
}

pub(crate) fn get(name: &str, offset: &str) -> Request {
    Request::new("GET", &url(name)).param("offset", offset)
}

pub(crate) fn poll(name: &str, offset: &str) -> Request {
    get(name, offset).param("live", "long-poll")
}

pub(crate) fn tail(response: &Response) -> &str {
    response.headers.get("stream-next-offset").expect("an offset")
}
