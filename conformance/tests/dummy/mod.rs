//! A dummy protocol, whole in the test tree: fleet in miniature. It proves that the frame knows no protocol.
//!
//! Binary WebSocket; the server speaks first; the runner plays two roles at once (agents and operator); what is counted is
//! global in the server (lane `alone`); both the server and the client can be under test.

mod checks;
mod client;
mod reference;
#[expect(unreachable_pub, dead_code, reason = "the file is generated as for a crate")]
mod requirements {
    include!("requirements.rs");
}

use std::sync::OnceLock;
use wireproof::{
    protocol::{Protocol, Trial},
    selftest::selftest,
    wire::ws,
};

const DOCUMENT: &str = include_str!("bell.md");

static BELL: Protocol = Protocol {
    name: "bell",
    document: DOCUMENT,
    rows: "",
    features: &[],
    declines: &[],
    limits: &[],
    checks: &[checks::CHECKS],
    schemas: Vec::new,
    openapi: None,
    shape: |_, _| None,
    event_shape: |_, _| None,
    accepts_request: |_| Ok(()),
    alive: |link| Box::pin(ws::alive(link, "/agent")),
    asks: &[],
    probe: |_| Box::pin(async { Vec::new() }),
    trial: Trial {
        reference: &reference::BELL,
        defects: reference::defects,
        agreeable: None,
        ordinary: None,
    },
    registry: OnceLock::new(),
    validators: OnceLock::new(),
};

#[test]
fn the_committed_constants_are_those_of_the_document() {
    use wireproof_spec::requirement::{constants::constants, requirements};
    let found = requirements(DOCUMENT).unwrap_or_else(|e| panic!("bell.md:{e}"));
    let generated = constants(&found, "wireproof_spec::requirement::RequirementId");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dummy/requirements.rs");
    if std::env::var_os("WIREPROOF_BLESS").is_some() {
        std::fs::write(path, &generated).unwrap_or_else(|e| panic!("{path}: {e}"));
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(committed, generated, "run the tests with WIREPROOF_BLESS=1 to write {path}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_frame_serves_a_protocol_that_it_does_not_know() {
    let score = selftest(&BELL, true).await.unwrap_or_else(|e| panic!("{e}"));
    assert!(score.is_clean(), "{score:#?}");
    assert!(score.defects.total >= 3 && score.nulls.driven > 0, "{score:#?}");
}
