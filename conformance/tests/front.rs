//! The embedded reference behind something else: TLS, a unix socket, another address, a server with a will of its own. And the
//! binary, run against it.

use serde_json::Value;
use std::{future::Future, path::Path, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite, copy_bidirectional},
    net::{TcpListener, TcpStream, UnixListener},
    process::Command,
};
use wireproof::{PROTOCOLS, target::Target};

/// The reference, as what stands before it sees it. It ends when the last of them does.
pub(crate) struct Origin {
    target: Target,
}

impl Origin {
    pub(crate) async fn start(variant: &str, defect: Option<&str>) -> Arc<Self> {
        let target = PROTOCOLS[0].trial.reference.start(variant, defect).await;
        Arc::new(Self { target: target.unwrap_or_else(|e| panic!("{e}")) })
    }

    /// Its URL.
    pub(crate) fn url(&self) -> &str {
        &self.target.shown
    }

    /// `127.0.0.1:port`.
    pub(crate) fn address(&self) -> &str {
        self.url().trim_start_matches("http://").split('/').next().unwrap_or_default()
    }

    /// Passes everything on in both directions, until one side ends.
    pub(crate) async fn pass(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let Ok(mut to) = TcpStream::connect(self.address()).await else { return };
        let _ = to.set_nodelay(true);
        // Whoever goes away in the middle may do so.
        let _ = copy_bidirectional(&mut stream, &mut to).await;
    }
}

/// A port of this address at which each connection is handled so.
pub(crate) async fn listen<F: Future<Output = ()> + Send + 'static>(
    address: &str,
    handle: impl Fn(TcpStream) -> F + Send + 'static,
) -> u16 {
    let listener = TcpListener::bind((address, 0)).await.unwrap_or_else(|e| panic!("{address}: {e}"));
    let port = listener.local_addr().unwrap_or_else(|e| panic!("{e}")).port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            tokio::spawn(handle(stream));
        }
    });
    port
}

/// The reference at a unix socket.
pub(crate) fn at_socket(origin: Arc<Origin>, path: &Path) {
    let listener = UnixListener::bind(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let origin = origin.clone();
            tokio::spawn(async move { origin.pass(stream).await });
        }
    });
}

/// What the binary printed, what it said beside that, and its exit code.
pub(crate) struct Done {
    pub(crate) out: String,
    pub(crate) said: String,
    pub(crate) code: Option<i32>,
}

impl Done {
    /// What it printed, read as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {} {}", self.out, self.said))
    }
}

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wireproof"));
    command.args(arguments).env_remove("NO_COLOR").kill_on_drop(true);
    command
}

pub(crate) async fn done(arguments: &[&str]) -> Done {
    let output = command(arguments).output().await.unwrap_or_else(|e| panic!("{e}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Done { out: text(&output.stdout), said: text(&output.stderr), code: output.status.code() }
}

/// The verdicts of the checks that ran: the name and the verdict of each.
pub(crate) fn verdicts(result: &Value) -> Vec<(&str, &str)> {
    let checks = result["checks"].as_array().unwrap_or_else(|| panic!("{result}"));
    let each = checks.iter().filter_map(|c| Some((c["id"].as_str()?, c["verdict"].as_str()?)));
    each.filter(|(_, verdict)| !matches!(*verdict, "not-selected" | "not-applicable")).collect()
}
