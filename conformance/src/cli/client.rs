//! `wireproof client`: the adapter of the reference client of a protocol, honest or with a defect.

use super::{Done, Failed, protocol, say};
use crate::{embed, exit, protocol::Protocol};

/// Be the adapter of the reference client of a protocol.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The protocol.
    protocol: String,
    /// Break it in this way.
    #[arg(long, value_name = "ID")]
    defect: Option<String>,
    /// Which variant.
    #[arg(long)]
    variant: Option<String>,
}

/// Answers lines until there are no more.
pub(super) async fn client(protocols: &[&'static Protocol], args: Args) -> Done {
    let protocol = protocol(protocols, &args.protocol)?;
    let (variant, defect) = (args.variant.as_deref(), args.defect.as_deref());
    let served = embed::client(protocol.name, variant, defect).map_err(Failed::usage)?;
    if let Err(why) = served.await {
        say(&why);
        // Nobody waits for what still reads: that ends with the input, and the input may stay open.
        std::process::exit(exit::UNKNOWN.into());
    }
    Ok(exit::OK)
}
