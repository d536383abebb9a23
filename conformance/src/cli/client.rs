//! `wireproof client`: the adapter of the reference client of a protocol, honest or with a defect.

use super::{Done, Failed, protocol};
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
    embed::client(protocol.name, variant, defect).await.map_err(Failed::usage)?;
    Ok(exit::OK)
}
