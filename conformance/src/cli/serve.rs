//! `wireproof serve`: a protocol served by the reference, honestly or with a defect.

use super::{Done, Failed, print, protocol};
use crate::{
    embed::{self, Serve},
    exit,
    protocol::Protocol,
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
    let asked = Serve {
        addr: args.addr,
        data: args.data.as_deref(),
        defect: args.defect.as_deref(),
        variant: args.variant.as_deref(),
        long_poll_ms: args.long_poll_ms,
    };
    let mut running = embed::serve(protocol.name, asked).await.map_err(Failed::usage)?;
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
