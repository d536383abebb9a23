//! `wireproof schema`: write the JSON Schemas, or check that the files are those of the types.

use super::{Done, Failed, print};
use crate::{exit, protocol::Protocol, report};
use std::path::PathBuf;
use wireproof_spec::schema;

/// Write the JSON Schemas, or check them.
#[derive(Clone, Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub(super) struct Args {
    /// Write every schema under this directory.
    #[arg(long, value_name = "DIR", group = "what")]
    out: Option<PathBuf>,
    /// Compare the files under this directory with the types; exit 1 if they differ.
    #[arg(long, value_name = "DIR", group = "what", num_args = 0..=1, default_missing_value = "schemas")]
    check: Option<PathBuf>,
}

/// Writes or checks.
pub(super) fn schema(protocols: &[&'static Protocol], args: &Args) -> Done {
    let mut all = report::schemas();
    for protocol in protocols {
        all.extend((protocol.schemas)());
        all.extend(protocol.openapi.map(|openapi| openapi()));
    }
    // A protocol has messages before it has checks.
    all.extend(schema::all());
    all.sort_by_key(|schema| schema.name);
    all.dedup_by_key(|schema| schema.name);
    if let Some(dir) = &args.out {
        schema::write(dir, &all).map_err(|e| Failed::usage(format!("{}: {e}", dir.display())))?;
        print(&format!("{} schemas written under {}\n", all.len(), dir.display()));
    }
    if let Some(dir) = &args.check {
        let drift = schema::drift(dir, &all);
        if !drift.is_empty() {
            print(&(drift.join("\n") + "\n"));
            return Ok(exit::VIOLATED);
        }
        print(&format!("{} schemas under {} are those of the types\n", all.len(), dir.display()));
    }
    Ok(exit::OK)
}
