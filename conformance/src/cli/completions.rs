//! `wireproof completions`: a script that completes the command line of a shell, the ids of this suite with it.

use super::{Cli, Done, Failed, explain::ids, print};
use crate::{exit, protocol::Protocol};
use clap::{Command, CommandFactory, builder::PossibleValuesParser};
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
pub(super) fn completions(protocols: &[&'static Protocol], args: &Args) -> Done {
    let mut script = Vec::new();
    generate(args.shell, &mut with_ids(protocols), "wireproof", &mut script);
    print(&String::from_utf8(script).map_err(|e| Failed::harness(e.to_string()))?);
    Ok(exit::OK)
}

/// The command line, told which ids and names there are. The parser itself takes more: patterns, and any case.
fn with_ids(protocols: &[&'static Protocol]) -> Command {
    let ids = PossibleValuesParser::new(protocols.iter().flat_map(|p| ids(p)));
    let names = PossibleValuesParser::new(protocols.iter().map(|p| p.name));
    let defects = PossibleValuesParser::new(protocols.iter().flat_map(|p| (p.trial.defects)()).map(|d| d.id));
    Cli::command()
        .mut_subcommand("explain", |verb| verb.mut_arg("id", |arg| arg.value_parser(ids.clone())))
        .mut_subcommand("run", |verb| {
            verb.mut_arg("only", |arg| arg.value_parser(ids.clone()))
                .mut_arg("defect", |arg| arg.value_parser(defects.clone()))
        })
        .mut_subcommand("serve", |verb| {
            verb.mut_arg("protocol", |arg| arg.value_parser(names))
                .mut_arg("defect", |arg| arg.value_parser(defects))
        })
}
