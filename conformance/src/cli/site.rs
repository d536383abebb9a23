//! `wireproof site`: the specification as pages.

use super::{Done, Failed, directory, print};
use crate::{exit, protocol::Protocol, selftest, site};
use std::path::PathBuf;

/// Write the specification as a site: a page for each protocol.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Where the pages go.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Runs the references for examples, and writes the pages.
pub(super) async fn site(protocols: &[&'static Protocol], args: &Args) -> Done {
    let mut with_examples = Vec::new();
    for protocol in protocols {
        let honest = selftest::honest(protocol, selftest::Scope::default()).await.map_err(Failed::harness)?;
        with_examples.push((*protocol, site::examples(honest.iter().map(|(_, finished)| finished))));
    }
    let failed = |what: &std::path::Path, e| Failed::usage(format!("{}: {e}", what.display()));
    directory(&args.out)?;
    let pages = site::pages(&with_examples);
    for page in &pages {
        let path = args.out.join(&page.file);
        std::fs::write(&path, &page.text).map_err(|e| failed(&path, e))?;
    }
    print(&format!("{} pages written under {}\n", pages.len(), args.out.display()));
    Ok(exit::OK)
}
