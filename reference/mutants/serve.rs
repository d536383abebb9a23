//! Serves the stream protocol with what its arguments say, and nothing else: what is rebuilt for each mutant of the model
//! and the server, so it knows neither the suite nor its command line. README.md beside it says what drives it.
//!
//! Each argument is `name=value`. It prints its root when it listens, and ends in order at SIGTERM.

use std::{env, error::Error, process::ExitCode, str::FromStr};
use tokio::signal::unix::{SignalKind, signal};
use wireproof_reference::stream::{Options, Server};

type Failed = Box<dyn Error>;

#[tokio::main]
async fn main() -> ExitCode {
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), Failed> {
    let mut options = Options::default();
    for argument in env::args().skip(1) {
        let (name, value) =
            argument.split_once('=').ok_or_else(|| format!("{argument}: expected name=value"))?;
        set(&mut options, name, value).map_err(|error| format!("{argument}: {error}"))?;
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut running = Server::start(options).await?;
    tell(&format!("listening {}", running.root));
    tokio::select! {
        _ = terminate.recv() => Ok(running.stop().await?),
        // It ends by itself only when something is broken, and whoever started it should see that.
        ended = running.ended() => Err(ended.err().map_or_else(|| "it ended by itself".into(), Into::into)),
    }
}

fn set(options: &mut Options, name: &str, value: &str) -> Result<(), Failed> {
    let Options { addr, data, limits, parts, access, .. } = options;
    match name {
        "addr" => *addr = value.parse()?,
        "data" => *data = Some(value.into()),
        "chunk" => limits.chunk = value.parse()?,
        "long-poll-ms" => limits.long_poll_ms = value.parse()?,
        "sse-ms" => limits.sse_ms = value.parse()?,
        "max-body" => limits.max_body = value.parse()?,
        "retain" => limits.retain = some(value)?,
        "sse" => parts.sse = value.parse()?,
        "forks" => parts.forks = value.parse()?,
        "writes" => access.writes = value.parse()?,
        "lettered" => access.lettered = value.parse()?,
        "burst" => access.burst = some(value)?,
        "authorization" => access.authorization.push(value.into()),
        _ => return Err("there is no such argument".into()),
    }
    Ok(())
}

fn some<T: FromStr>(value: &str) -> Result<Option<T>, T::Err> {
    value.parse().map(Some)
}

// The lint is about libraries; this is a program, and stderr is what the one who starts it reads.
#[expect(clippy::print_stderr)]
fn tell(line: &str) {
    eprintln!("{line}");
}
