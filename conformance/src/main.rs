//! The binary: the protocols of this suite, and the verbs of the command line.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    wireproof::cli::main(wireproof::PROTOCOLS).await
}
