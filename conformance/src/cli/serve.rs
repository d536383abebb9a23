//! `wireproof serve`: a protocol served by the reference, honestly or with a defect.

use super::{Done, Failed, print, protocol};
use crate::{
    embed::{
        self,
        reference::stream::{Limits, Options, Parts, Server},
    },
    exit,
    protocol::Protocol,
    selftest::defects,
};
use std::{net::SocketAddr, path::PathBuf};
use tokio::signal::unix::{SignalKind, signal};

/// Serve a protocol with the reference.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The protocol.
    protocol: String,
    /// Where to listen; port 0 for any.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    addr: SocketAddr,
    /// The directory in which state survives; without it state is in memory.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Break it in this way.
    #[arg(long, value_name = "ID")]
    defect: Option<String>,
    /// Which variant.
    #[arg(long)]
    variant: Option<String>,
    /// How long its long-polls wait, in milliseconds.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=600_000))]
    long_poll_ms: Option<u64>,
}

/// Serves until somebody asks the process to end.
pub(super) async fn serve(protocols: &[&'static Protocol], args: Args) -> Done {
    let protocol = protocol(protocols, &args.protocol)?;
    let breakage = match args.defect.as_deref() {
        Some(id) => Some(defects::stream::find(id).ok_or_else(|| {
            Failed::usage(format!("there is no defect `{id}`; `wireproof list defects` shows all"))
        })?),
        None => None,
    };
    // A defect bites in the variant that it was made for, unless that one needs a directory that nobody gave.
    let defect = breakage.map(|b| b.defect.variant).filter(|v| *v != embed::DURABLE || args.data.is_some());
    let (limits, parts) =
        variant(protocol, &args, args.variant.as_deref().or(defect).unwrap_or(embed::FULL))?;
    let seams = embed::seams(breakage);
    let options = Options { addr: args.addr, data: args.data, limits, parts, seams };
    let mut running = Server::start(options).await.map_err(|e| Failed::usage(e.to_string()))?;
    print(&format!("listening {}\n", running.root));
    tokio::select! {
        asked = asked_to_end() => asked.map_err(|e| Failed::harness(format!("signals cannot be had: {e}")))?,
        ended = running.ended() => {
            let why = ended.err().map_or_else(|| "it ended by itself".to_owned(), |e| e.to_string());
            return Err(Failed::harness(why));
        }
    }
    running.stop().await.map_err(|e| Failed::harness(e.to_string()))?;
    Ok(exit::OK)
}

fn variant(protocol: &Protocol, args: &Args, name: &str) -> Result<(Limits, Parts), Failed> {
    if name == embed::DURABLE && args.data.is_none() {
        return Err(Failed::usage("the variant durable keeps its state: give --data DIR"));
    }
    let default = Limits::default();
    let limits = Limits { long_poll_ms: args.long_poll_ms.unwrap_or(default.long_poll_ms), ..default };
    embed::variant(name, limits).ok_or_else(|| {
        Failed::usage(format!(
            "the reference of {} has no variant `{name}`; it has {}",
            protocol.name,
            protocol.trial.reference.variants().join(", ")
        ))
    })
}

/// Waits until somebody asks the process to end.
pub(super) async fn asked_to_end() -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
