//! The servers that are compared, each in a process of its own.

use super::common::{Done, Outcome, Process, say};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{convert::Infallible, net::SocketAddr, path::Path};
use tokio::{net::TcpListener, process::Command};
use wireproof_reference::stream::{Limits, Options, Server as Reference};

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A handler of hyper that reads the body and answers with a constant.
    Bare,
    /// The reference, with everything in memory.
    Memory,
    /// The Node server, with everything in memory.
    NodeMemory,
    /// The reference with data on disk.
    Data,
    /// The Node server with data on disk.
    NodeFile,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] =
        [Self::Bare, Self::Memory, Self::NodeMemory, Self::Data, Self::NodeFile];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare hyper",
            Self::Memory => "reference, memory",
            Self::NodeMemory => "Node, memory",
            Self::Data => "reference, data",
            Self::NodeFile => "Node, file store",
        }
    }
}

/// A server that runs, and ends when this is dropped.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    /// The path below which streams are made.
    pub(crate) root: String,
    pub(crate) process: Process,
    _data: tempfile::TempDir,
}

impl Server {
    /// None if it is not installed.
    pub(crate) async fn start(kind: Kind) -> Outcome<Option<Self>> {
        let data = tempfile::tempdir()?;
        let (process, line) = match kind {
            Kind::NodeMemory | Kind::NodeFile => {
                let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance/interop/stream");
                if !home.join("node_modules").is_dir() {
                    return Ok(None);
                }
                let mut command = Command::new("node");
                command.arg("server.mjs").current_dir(home);
                if kind == Kind::NodeFile {
                    command.env("DATA_DIR", data.path());
                }
                Process::start(command).await?
            }
            Kind::Bare => Process::serve(&["bare"]).await?,
            Kind::Memory => Process::serve(&["reference"]).await?,
            Kind::Data => {
                let path = data.path().to_str().ok_or("a path that is no text")?;
                Process::serve(&["reference", path]).await?
            }
        };
        let url = line.rsplit(' ').next().unwrap_or_default();
        let (host, path) =
            url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).ok_or("no URL")?;
        Ok(Some(Self { addr: host.parse()?, root: format!("/{path}"), process, _data: data }))
    }
}

/// The other side of [`Server::start`]: serves until it is killed.
pub(crate) async fn serve(kind: &str, data: Option<&str>) -> Done {
    let limits = Limits { connections: 20_000, sse_ms: 600_000, ..Limits::default() };
    if kind == "reference" {
        let options = Options { data: data.map(Into::into), limits, ..Options::default() };
        let mut running = Reference::start(options).await?;
        say(&format!("listening {}", running.root));
        return Ok(running.ended().await?);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    say(&format!("listening http://{}/v1/stream", listener.local_addr()?));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(nothing)));
    }
}

/// Reads the body, and answers as the reference would if it kept it.
async fn nothing(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    static CONTENT: [u8; super::READ] = [b'x'; super::READ];
    let is_get = request.method() == "GET";
    // A body that ends early is as good as another here.
    let _ = request.into_body().collect().await;
    let body = if is_get { Bytes::from_static(&CONTENT) } else { Bytes::new() };
    let mut response = Response::new(Full::new(body));
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-type", "application/octet-stream"),
        ("stream-next-offset", "00000000000000001024"),
        ("stream-up-to-date", "true"),
        ("cache-control", "public, max-age=60, stale-while-revalidate=300"),
        ("x-content-type-options", "nosniff"),
        ("cross-origin-resource-policy", "cross-origin"),
    ] {
        headers.insert(name, hyper::header::HeaderValue::from_static(value));
    }
    Ok(response)
}
