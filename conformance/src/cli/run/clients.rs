//! What of the command line is for servers alone.

use super::{Args, Failed};

/// Refuses what would do nothing where a client is tested: it finds us, and sends by itself.
pub(super) fn fits(args: &Args) -> Result<(), Failed> {
    let said = [
        (
            !args.header.is_empty(),
            "--header goes with requests to a server, and here a client is tested, which sends its own; leave it out, and have \
             the adapter give it to the client",
        ),
        (
            !args.tap.is_empty(),
            "--tap stands between us and a server, and here a client is tested, which dials us itself; leave it out, and have \
             the adapter put something between them",
        ),
        (
            args.url.is_some(),
            "the target file has [client], and a client is told where we are; leave out the URL, or [client]",
        ),
    ];
    match said.into_iter().find(|(is_there, _)| *is_there) {
        Some((_, why)) => Err(Failed::usage(why)),
        None => Ok(()),
    }
}
