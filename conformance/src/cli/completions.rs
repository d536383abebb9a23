//! `wireproof completions`: a script that completes the command line of a shell.

use super::{Cli, Done, Failed, print};
use crate::exit;
use clap::CommandFactory;
use clap_complete::{Shell, generate};

/// Print a script that completes the command line of a shell.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "For bash: wireproof completions bash > ~/.local/share/bash-completion/completions/wireproof"
)]
pub(super) struct Args {
    /// The shell.
    shell: Shell,
}

/// Prints the script.
pub(super) fn completions(args: &Args) -> Done {
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "wireproof", &mut script);
    print(&String::from_utf8(script).map_err(|e| Failed::harness(e.to_string()))?);
    Ok(exit::OK)
}
