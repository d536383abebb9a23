//! What every server does whatever it speaks: it listens, accepts connections within its bounds, and ends in order or without.

use crate::log;
use std::{io, net::SocketAddr, time::Duration};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// How many connections wait for the listener.
const BACKLOG: u32 = 1024;
/// How long requests in flight may take at an orderly stop.
const GRACE: Duration = Duration::from_secs(5);

/// Why a server did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be had.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, #[source] io::Error),
    /// The log failed. What was not acknowledged then never is.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// A part of the server was cut off: its runtime ended or it panicked.
    #[error("the server was cut off")]
    CutOff,
}

/// A server that runs. Dropping it ends it without order: requests in flight are cut off.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    /// The root: the URL below which everything stands, without a slash at the end.
    pub root: String,
    pub(crate) stop: watch::Sender<Ending>,
    pub(crate) task: JoinHandle<Result<(), Error>>,
}

/// How a server is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Not,
    Orderly,
    CutOff,
}

impl Running {
    /// Ends it in order: what waits is answered, requests in flight finish, commits are done, everything is
    /// closed. The address and the data directory are free at once.
    ///
    /// # Errors
    /// The log failed, now or before.
    pub async fn stop(mut self) -> Result<(), Error> {
        self.stop.send_replace(Ending::Orderly);
        self.ended().await
    }

    /// Ends it at once and without order: requests in flight are cut off, what waits for its commit is not answered. The
    /// address and the data directory are free when it returns.
    pub async fn kill(mut self) {
        self.stop.send_replace(Ending::CutOff);
        // It says that it was cut off, or what failed before.
        let _ = self.ended().await;
    }

    /// Waits until it has ended by itself, which only a failure makes it do.
    ///
    /// # Errors
    /// What ended it.
    pub async fn ended(&mut self) -> Result<(), Error> {
        (&mut self.task).await.unwrap_or(Err(Error::CutOff))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A server that starts again takes over an address whose old connections are still fading.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

/// What a server is to [`supervise`].
pub(crate) trait Serving: Send {
    /// Serves one connection to its end.
    fn connection(
        &self,
        stream: TcpStream,
        stop: watch::Receiver<Ending>,
    ) -> impl Future<Output = ()> + Send + 'static;
    /// Tells the core that it is about to stop.
    fn stopping(&self) -> impl Future<Output = ()> + Send;
}

/// Accepts connections until it is told to stop or the core fails, then ends everything in order.
pub(crate) async fn supervise(
    listener: TcpListener,
    most: usize,
    serving: impl Serving,
    mut core: JoinSet<Result<(), log::Error>>,
    mut stop: watch::Receiver<Ending>,
) -> Result<(), Error> {
    let mut connections = JoinSet::new();
    // After a failure to accept, the end of a connection may free what was missing.
    let mut short = false;
    loop {
        let room = connections.len() < most && (!short || connections.is_empty());
        tokio::select! {
            // The sender is gone only if the handle is, and then this task is cut off.
            _ = stop.changed() => break,
            ended = core.join_next() => return finished(ended),
            Some(_) = connections.join_next() => short = false,
            accepted = listener.accept(), if room => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serving.connection(stream, stop.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    short = true;
                }
            }
        }
    }
    drop(listener);
    if *stop.borrow() == Ending::CutOff {
        connections.shutdown().await;
        core.shutdown().await;
        return Err(Error::CutOff);
    }
    serving.stopping().await;
    let orderly = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(GRACE, orderly).await;
    connections.shutdown().await;
    // The last sender of inputs: the core finishes what it has and closes the log.
    drop(serving);
    finished(core.join_next().await)
}

fn finished(ended: Option<Result<Result<(), log::Error>, tokio::task::JoinError>>) -> Result<(), Error> {
    match ended {
        Some(Ok(result)) => Ok(result?),
        Some(Err(_)) | None => Err(Error::CutOff),
    }
}
