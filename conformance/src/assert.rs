//! The suite as a library: for the tests of a server that is written in Rust.

use crate::{
    report::{Report, terminal},
    run::{self, Settings},
    target::{Target, baseline::Baseline},
    verdict::RunVerdict,
};

/// Runs the suite of a protocol against a target, as `wireproof run` would, and panics with the report unless the target
/// is conformant, or partial: nothing is violated, but something could not be seen (a hook that the target does not
/// offer, say). A check that is inconclusive fails the assertion too, because nobody knows what it hides.
///
/// ```ignore
/// #[tokio::test]
/// async fn it_speaks_the_protocol() {
///     let server = my_server::start().await;
///     wireproof::assert_conformant("stream", Target::server(&server.url).unwrap()).await;
/// }
/// ```
///
/// # Panics
/// As said; also if there is no such protocol.
pub async fn assert_conformant(protocol: &str, target: Target) {
    let Some(protocol) = crate::PROTOCOLS.iter().find(|p| p.name == protocol) else {
        let names: Vec<&str> = crate::PROTOCOLS.iter().map(|p| p.name).collect();
        panic!("there is no protocol `{protocol}`; there is {}", names.join(", "));
    };
    let finished = match run::run(protocol, target, Settings::default(), |_| {}).await {
        Ok(finished) => finished,
        Err(why) => panic!("the suite could not run: {why}"),
    };
    let report = Report::new(&finished, &Baseline::default());
    if !matches!(report.verdict, RunVerdict::Conformant | RunVerdict::Partial) {
        panic!("{}", terminal::text(&report, terminal::Paint::PLAIN));
    }
}
