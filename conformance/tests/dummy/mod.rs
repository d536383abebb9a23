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
    run::{Settings, run},
    selftest::{Scope, selftest},
    target::file,
    verdict::Verdict,
    wire::{app::Operation, ws},
};

const DOCUMENT: &str = include_str!("bell.md");

static BELL: Protocol = Protocol {
    name: "bell",
    document: DOCUMENT,
    rows: "",
    features: &[],
    declines: &[],
    stimuli: checks::STIMULI,
    limits: &[],
    checks: &[checks::CHECKS],
    awaited: &[],
    schemas: Vec::new,
    openapi: None,
    shape: |_, _| None,
    event_shape: |_, _| None,
    frame_shape: |_| None,
    bodies: false,
    parts: &[],
    accepts_request: |_| Ok(()),
    overloaded: wireproof::wire::overload::by_status,
    alive: |link| Box::pin(ws::alive(link, "/agent")),
    asks: &[],
    operations: &[Operation { name: "connect", option: None, feature: None }],
    probe: |_| Box::pin(async { Vec::new() }),
    trial: Trial {
        reference: &reference::BELL,
        defects: reference::defects,
        agreeable: None,
        socket: None,
        ordinary: None,
        volatile: &[],
        timed: &[],
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

/// What came of the check that takes the stimulus, on a target that is the reference but for its stimuli.
async fn rung_by_owner(stimuli: Option<&str>) -> (Verdict, String) {
    let reference = BELL.trial.reference.start("server", None).await.unwrap_or_else(|e| panic!("{e}"));
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("wireproof.toml");
    let url = reference.shown.clone();
    let stimuli = stimuli.map(|command| format!("[stimuli]\nring = '{command}'\n")).unwrap_or_default();
    std::fs::write(&path, format!("protocol = \"bell\"\nurl = \"{url}\"\n{stimuli}")).expect("a file");
    let read = file::read(&path).unwrap_or_else(|e| panic!("{e}"));
    let target = read.target(&BELL, None).await.unwrap_or_else(|e| panic!("{e}"));
    let settings =
        Settings { names: Some(["bell/ring/by-its-owner"].into()), bare: true, ..Settings::default() };
    let finished = run(&BELL, target, settings, |_| {}).await.unwrap_or_else(|e| panic!("{e}"));
    drop(reference);
    let told = std::fs::read_to_string(dir.path().join("told")).unwrap_or_default();
    let checked =
        finished.checks.iter().find(|c| c.check.name == "bell/ring/by-its-owner").expect("the check");
    (checked.verdict, format!("{}|{told}", checked.reason.clone().unwrap_or_default()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stimulus_is_proven_before_anything_relies_on_it() {
    let (verdict, why) = rung_by_owner(None).await;
    assert_eq!(verdict, Verdict::Untestable);
    assert!(why.contains("`ring = \"COMMAND\"` under `[stimuli]` in the target file"), "{why}");

    let (verdict, why) = rung_by_owner(Some("exit 7")).await;
    assert_eq!(verdict, Verdict::Inconclusive);
    assert!(why.contains("the stimulus ring does not work") && why.contains("exit status: 7"), "{why}");

    // It says that it is done, and nothing is seen of it: once, with what it was given.
    let (verdict, why) = rung_by_owner(Some("echo \"$WIREPROOF_TIMES $(cat)\" >> told")).await;
    assert_eq!(verdict, Verdict::Inconclusive);
    assert!(why.contains("the stimulus ring does not work") && why.ends_with("|1 ding\n"), "{why}");
}

#[test]
fn a_stimulus_that_the_protocol_does_not_have_is_refused() {
    let why = BELL.stimulus("toll").err().unwrap_or_default();
    assert_eq!(why, "bell has no stimulus `toll`; it has ring");
    let why = wireproof::PROTOCOLS[0].stimulus("toll").err().unwrap_or_default();
    assert_eq!(why, "stream has no stimuli; `toll` under [stimuli] says nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_frame_serves_a_protocol_that_it_does_not_know() {
    let score = selftest(&BELL, true, Scope::default()).await.unwrap_or_else(|e| panic!("{e}"));
    assert!(score.is_clean(), "{score:#?}");
    assert!(score.defects.total >= 3 && score.nulls.driven > 0, "{score:#?}");
}
