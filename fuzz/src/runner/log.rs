//! Logs of runs, from which `wireproof report` makes its reports.

use std::sync::OnceLock;
use wireproof::{
    check::{Body, BoxFuture, Check},
    fuzzing::reports,
    protocol::{Feature, Protocol, Reference, Trial},
    target::Target,
};
use wireproof_spec::requirement::RequirementId;

const DOCUMENT: &str = "## Say

**TINY-SAY-1** · MUST · server — A GET is answered with 200.

**TINY-SAY-2** · SHOULD · server · tiny.loud — The answer to a GET carries ETag.
";

const ONE: RequirementId = RequirementId::new("TINY-SAY-1");
const TWO: RequirementId = RequirementId::new("TINY-SAY-2");

static CHECKS: [Check; 2] = [
    Check::new("tiny/say/says", &[ONE], Body::Observes(|_| {})),
    Check::new("tiny/say/loud", &[ONE, TWO], Body::Observes(|_| {})),
];

struct Nobody;

impl Reference for Nobody {
    fn variants(&self) -> &'static [&'static str] {
        &[]
    }

    fn start<'a>(&'a self, _: &'a str, _: Option<&'a str>) -> BoxFuture<'a, Result<Target, String>> {
        Box::pin(async { Err("there is none".into()) })
    }
}

/// A protocol with two checks, so that a report is small.
pub static TINY: Protocol = Protocol {
    name: "tiny",
    document: DOCUMENT,
    rows: "",
    features: &[Feature { name: "tiny.loud", default: "off", valued: false, text: "It shouts." }],
    declines: &[],
    stimuli: &[],
    limits: &[],
    checks: &[&CHECKS],
    awaited: &[],
    schemas: Vec::new,
    shape: |_, _| None,
    event_shape: |_, _| None,
    frame_shape: |_| None,
    bodies: false,
    parts: &[],
    openapi: None,
    accepts_request: |_| Ok(()),
    overloaded: wireproof::wire::overload::by_status,
    alive: |_| Box::pin(async { None }),
    asks: &[],
    operations: &[],
    probe: |_| Box::pin(async { Vec::new() }),
    trial: Trial {
        reference: &Nobody,
        defects: Vec::new,
        agreeable: None,
        socket: None,
        ordinary: None,
        volatile: &[],
        timed: &[],
    },
    registry: OnceLock::new(),
    validators: OnceLock::new(),
};

/// Reports the bytes as the log of runs.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok([shown, json, junit]) = reports(&[&TINY], text) else { return };
    let control = |c: char| c.is_control() && c != '\n';
    assert!(!shown.contains(control), "what a target sent reaches the terminal as it is: {shown:?}");
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
    let forbidden = |c: char| control(c) || matches!(c, '\u{fffe}' | '\u{ffff}');
    assert!(!junit.contains(forbidden), "what a target sent is no XML, or reaches a terminal: {junit:?}");
}
