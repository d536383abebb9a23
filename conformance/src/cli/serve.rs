//! `wireproof serve`: a protocol served by the reference, honestly or with a defect.

use super::{Done, Failed, print, protocol};
use crate::{
    embed::{self, Serve},
    exit,
    protocol::Protocol,
    wire::program::Signal,
};
use std::{net::SocketAddr, path::PathBuf, sync::Arc};
use tokio::signal::unix::{self, SignalKind};

/// Serve a protocol with the reference.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The protocol.
    // Where they stand is said, for whoever changes one of them moves it behind the other.
    #[arg(index = 1)]
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
    /// Serve fleet as the program of its document instead, with these flags and the variables of this environment.
    #[arg(index = 2, last = true, value_name = "FLAG", conflicts_with_all = ["addr", "data", "variant", "long_poll_ms"])]
    flags: Vec<String>,
}

/// Serves until somebody asks the process to end.
pub(super) async fn serve(protocols: &[&'static Protocol], args: Args) -> Done {
    let protocol = protocol(protocols, &args.protocol)?;
    if !args.flags.is_empty() {
        return program(protocol, args).await;
    }
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
        asked = asked_to_end() => asked.map_err(no_signals)?,
        ended = running.ended() => {
            let why = ended.err().map_or_else(|| "it ended by itself".to_owned(), |e| e.to_string());
            return Err(Failed::harness(why));
        }
    }
    running.stop().await.map_err(|e| Failed::harness(e.to_string()))?;
    Ok(exit::OK)
}

/// Is the program of a protocol until it ends.
async fn program(protocol: &Protocol, args: Args) -> Done {
    if protocol.name != "fleet" {
        let name = protocol.name;
        return Err(Failed::usage(format!(
            "{name} has no program with flags of its own; leave out what stands behind --"
        )));
    }
    let mut signals = Signals::new().map_err(no_signals)?;
    let print = Arc::new(|line: &str| print(&format!("{line}\n")));
    let next = async || signals.next().await;
    let code = embed::fleet::program(args.flags, args.defect.as_deref(), print, next).await;
    code.map_err(Failed::usage)
}

fn no_signals(error: std::io::Error) -> Failed {
    Failed::harness(format!("signals cannot be had: {error}"))
}

/// What asks this process to end.
struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let (interrupt, terminate) = (SignalKind::interrupt(), SignalKind::terminate());
        Ok(Self { interrupt: unix::signal(interrupt)?, terminate: unix::signal(terminate)? })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Int,
            _ = self.terminate.recv() => Signal::Term,
        }
    }
}

/// Waits until somebody asks the process to end.
pub(super) async fn asked_to_end() -> std::io::Result<()> {
    Signals::new()?.next().await;
    Ok(())
}
