//! Reports of runs that were made by hand: what the verdict, the status of each requirement and the texts have to be.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};
use wireproof::{
    check::{Body, BoxFuture, Check, Need},
    event::{Bytes, Event, Expected, Message, Source, What},
    protocol::{Feature, Protocol, Reference, Trial},
    report::{Frame, KnownFailure, Outcome, Report, html, json, junit, markdown, terminal},
    run::{Checked, Finished, Settings},
    target::{Features, Target, baseline::Baseline},
    verdict::{RunVerdict, Status, Verdict},
};
use wireproof_spec::requirement::RequirementId;

const DOCUMENT: &str = "# Tiny

## Say

**TINY-SAY-1** · MUST · server — A GET is answered with 200.

**TINY-SAY-2** · SHOULD · server — The answer to a GET carries ETag.

**TINY-SAY-3** · MUST · server · tiny.loud — The answer to a GET is in capitals.

**TINY-SAY-4** · MUST · server — What was said is said again after a restart.

**TINY-SAY-5** · MUST · server — Nothing is remembered of whoever asked.
  unobservable: memory is not on the wire.

**TINY-SAY-6** · MUST · client — A GET carries no body.
";

pub(super) const ONE: RequirementId = RequirementId::new("TINY-SAY-1");
pub(super) const TWO: RequirementId = RequirementId::new("TINY-SAY-2");
const THREE: RequirementId = RequirementId::new("TINY-SAY-3");
const FOUR: RequirementId = RequirementId::new("TINY-SAY-4");

pub(super) static CHECKS: [Check; 4] = [
    Check::new("tiny/say/says", &[ONE], Body::Observes(|_| {})),
    Check::new("tiny/say/tagged", &[TWO], Body::Observes(|_| {})),
    Check::new("tiny/say/loud", &[THREE], Body::Observes(|_| {})),
    Check::new("tiny/say/again", &[FOUR], Body::Observes(|_| {})),
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

static TINY: Protocol = bare("tiny", DOCUMENT, &[&CHECKS]);

/// A protocol that nobody speaks.
pub(super) const fn bare(
    name: &'static str,
    document: &'static str,
    checks: &'static [&'static [Check]],
) -> Protocol {
    Protocol {
        name,
        document,
        rows: "",
        features: &[Feature { name: "tiny.loud", default: "off", valued: false, text: "It shouts." }],
        declines: &[],
        stimuli: &[],
        limits: &[],
        checks,
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
    }
}

fn expected(name: &str) -> Vec<Expected> {
    vec![Expected { name: name.into(), answer: None }]
}

/// A request and its answer, and then these: the events 10, 11, 12 and so on.
fn log(check: &str, then: Vec<What>) -> Vec<Arc<Event>> {
    let headers = |list: &[(&str, &str)]| {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
    };
    let request = Message::Request {
        method: "PUT".into(),
        target: "/tiny/it's".into(),
        headers: headers(&[("content-type", "text/plain"), ("host", "tiny.test")]),
        body: Bytes::keep(b"say \x1b[31m"),
        broken: false,
    };
    let response = Message::Response {
        status: 500,
        headers: headers(&[("etag", "\u{7}1"), ("date", "now")]),
        body: Bytes::keep(&[0xff, 0x00]),
    };
    let mut all = vec![
        What::Sent { conn: 0, message: request },
        What::Received { conn: 0, message: response, answers: Some(10) },
    ];
    all.extend(then);
    all.into_iter()
        .zip(10..)
        .map(|(what, seq)| Arc::new(Event { seq, at_us: seq * 1500, check: Some(check.into()), what }))
        .collect()
}

pub(super) fn met(id: RequirementId) -> What {
    let requirement = id.to_string();
    What::Met { requirement, alternative: "200".into(), expected: expected("200"), on: vec![11] }
}

pub(super) fn broken(id: RequirementId) -> What {
    let requirement = id.to_string();
    What::Broken { requirement, expected: expected("200"), actual: "500".into(), on: vec![11] }
}

fn set_up(id: RequirementId) -> What {
    let requirement = id.to_string();
    What::SetUp { requirement, expected: expected("200"), actual: "500".into(), on: vec![11] }
}

pub(super) fn ran(index: usize, then: Vec<What>) -> Checked {
    let check = &CHECKS[index];
    let events = log(check.name, then);
    let observations = wireproof::verdict::observations(&events);
    let names = check.requirements.iter().map(|id| id.as_str());
    let verdict = wireproof::verdict::fold(names, |id| TINY.level(id), &events, &observations);
    let frames = wireproof::frame::frames(TINY.name, &events, &events);
    Checked { check, verdict, reason: None, took: Duration::from_millis(3), events, frames }
}

pub(super) fn left_out(index: usize, verdict: Verdict) -> Checked {
    let check = &CHECKS[index];
    Checked::left_out(check, verdict, "a reason".into())
}

pub(super) fn finished(checks: Vec<Checked>) -> Finished {
    let loud = ("tiny.loud".to_owned(), "off".to_owned(), Source::Default);
    Finished {
        protocol: &TINY,
        target: Target::server("http://tiny.test:80/tiny").expect("a URL"),
        features: Features::from_iter([loud]),
        settings: Settings::default(),
        round_trip: Some(Duration::from_micros(250)),
        checks,
        events: Vec::new(),
        interrupted: false,
        unreachable: None,
        left: Vec::new(),
        stopped_at: None,
        took: Duration::from_millis(40),
    }
}

/// All is well: what runs passes, the feature is absent.
pub(super) fn good() -> Vec<Checked> {
    vec![
        ran(0, vec![met(ONE)]),
        ran(1, vec![met(TWO)]),
        left_out(2, Verdict::NotApplicable),
        ran(3, vec![met(FOUR)]),
    ]
}

pub(super) fn with(index: usize, checked: Checked) -> Vec<Checked> {
    let mut all = good();
    all[index] = checked;
    all
}

pub(super) fn known(index: usize, requirement: RequirementId) -> Baseline {
    let known = KnownFailure {
        check: CHECKS[index].name.into(),
        requirement: requirement.to_string(),
        reason: "it is older than the protocol".into(),
        sometimes: None,
        expires: None,
        clause: None,
        frame: Some(Frame::One("PUT: 500; expected 200".into())),
        any_frame: false,
    };
    Baseline { known: vec![known], ..Baseline::default() }
}

fn known_sometimes(index: usize, requirement: RequirementId) -> Baseline {
    let mut baseline = known(index, requirement);
    baseline.known[0].sometimes = Some("two writers have to meet".into());
    baseline
}

/// As known, but in these ways.
fn known_so(frames: &[&str]) -> Baseline {
    let mut baseline = known(0, ONE);
    baseline.known[0].frame = Frame::of(frames.iter().map(|frame| (*frame).to_owned()));
    baseline
}

fn accepting(index: usize) -> Baseline {
    let accepted = BTreeMap::from([(CHECKS[index].name.to_owned(), "nobody restarts it".to_owned())]);
    Baseline { accepted, ..Baseline::default() }
}

#[test]
fn the_table_of_runs() {
    use RunVerdict::{Conformant, Error, Inconclusive, NotConformant, Partial};
    let none = Baseline::default;
    let ours = || What::Harness { message: "we slipped".into() };
    let table = [
        ("all is well", good(), none(), Conformant, 0),
        ("a MUST is broken", with(0, ran(0, vec![broken(ONE)])), none(), NotConformant, 1),
        ("a SHOULD is broken", with(1, ran(1, vec![broken(TWO)])), none(), Conformant, 0),
        ("we slipped", with(0, ran(0, vec![ours()])), none(), Error, 4),
        ("the set-up broke", with(3, ran(3, vec![set_up(ONE)])), none(), Inconclusive, 3),
        ("a claim about nothing", with(0, ran(0, Vec::new())), none(), Inconclusive, 3),
        ("untestable", with(3, left_out(3, Verdict::Untestable)), none(), Partial, 3),
        ("untestable and accepted", with(3, left_out(3, Verdict::Untestable)), accepting(3), Partial, 0),
        ("broken and known", with(0, ran(0, vec![broken(ONE)])), known(0, ONE), Partial, 0),
        (
            "broken, and known in another way",
            with(0, ran(0, vec![broken(ONE)])),
            known_so(&["PUT: 409; expected 200"]),
            NotConformant,
            1,
        ),
        (
            "broken, and known in several ways",
            with(0, ran(0, vec![broken(ONE)])),
            known_so(&["PUT: 409; expected 200", "PUT: 500; expected 200"]),
            Partial,
            0,
        ),
        ("known in no way", with(0, ran(0, vec![broken(ONE)])), known_so(&[]), NotConformant, 1),
        (
            "known in any way",
            with(0, ran(0, vec![broken(ONE)])),
            {
                let mut any = known_so(&["PUT: 409; expected 200"]);
                any.known[0].any_frame = true;
                any
            },
            Partial,
            0,
        ),
        (
            "known to break sometimes, and broken in another way",
            with(0, ran(0, vec![broken(ONE)])),
            {
                let mut other = known_sometimes(0, ONE);
                other.known[0].frame = known_so(&["PUT: 409; expected 200"]).known[0].frame.clone();
                other
            },
            NotConformant,
            1,
        ),
        (
            "the set-up broke on what is broken in another way than is known",
            vec![
                ran(0, vec![broken(ONE)]),
                ran(1, vec![met(TWO)]),
                left_out(2, Verdict::NotApplicable),
                ran(3, vec![set_up(ONE)]),
            ],
            known_so(&["PUT: 409; expected 200"]),
            NotConformant,
            1,
        ),
        ("known for another check", with(0, ran(0, vec![broken(ONE)])), known(3, ONE), NotConformant, 1),
        ("known and no longer broken", good(), known(0, ONE), Conformant, 5),
        (
            "known to break sometimes, and broken",
            with(0, ran(0, vec![broken(ONE)])),
            known_sometimes(0, ONE),
            Partial,
            0,
        ),
        ("known to break sometimes, and not this time", good(), known_sometimes(0, ONE), Partial, 0),
        (
            "a SHOULD known to break sometimes, and not this time",
            good(),
            known_sometimes(1, TWO),
            Conformant,
            0,
        ),
        (
            "known to break sometimes, and its check did not come to it",
            with(0, ran(0, vec![set_up(FOUR)])),
            known_sometimes(0, ONE),
            Inconclusive,
            3,
        ),
        (
            "the set-up broke on something known",
            with(3, ran(3, vec![set_up(ONE)])),
            known(0, ONE),
            Partial,
            5,
        ),
        ("core that was not applicable", with(3, left_out(3, Verdict::NotApplicable)), none(), Partial, 3),
        ("no check at all", Vec::new(), none(), Inconclusive, 3),
    ];
    for (name, checks, baseline, verdict, code) in table {
        let report = Report::new(&finished(checks), &baseline);
        assert_eq!((report.verdict, report.exit_code), (verdict, code), "{name}");
    }
}

#[test]
fn the_status_of_each_requirement() {
    let report = Report::new(&finished(with(0, ran(0, vec![broken(ONE)]))), &known(0, ONE));
    let said: Vec<_> =
        report.requirements.iter().map(|r| (r.status, r.baselined, r.observed.len())).collect();
    assert_eq!(
        said,
        [
            (Status::Violated, true, 0),
            (Status::Satisfied, false, 1),
            (Status::NotApplicable, false, 0),
            (Status::Satisfied, false, 1),
            (Status::Unobservable, false, 0),
            (Status::NotApplicable, false, 0),
        ]
    );
    assert_eq!((report.counts.musts, report.counts.musts_satisfied, report.counts.baselined), (2, 1, 1));
}

#[test]
fn what_is_said_of_who_has_not_a_part_binds_nobody_who_has_it() {
    static QUIET: Check = Check::new("tiny/say/again", &[FOUR], Body::Observes(|_| {}))
        .needs(&[Need::Feature("tiny.loud", "off")]);
    let of = |loud: &str| {
        let quiet = Checked { check: &QUIET, ..left_out(3, Verdict::NotApplicable) };
        let checks = vec![ran(0, vec![met(ONE)]), ran(1, vec![met(TWO)]), ran(2, vec![met(THREE)]), quiet];
        let loud = ("tiny.loud".to_owned(), loud.to_owned(), Source::Declared);
        let run = Finished { features: Features::from_iter([loud]), ..finished(checks) };
        let report = Report::new(&run, &Baseline::default());
        (report.verdict, report.exit_code, report.counts.musts)
    };
    assert_eq!(of("on"), (RunVerdict::Conformant, 0, 2));
    // Who has not the part has to do it, and nobody has seen that he does.
    assert_eq!(of("off"), (RunVerdict::Partial, 3, 2));
}

#[test]
fn what_breaks_sometimes_is_never_stale_and_never_all_well() {
    let report = Report::new(&finished(good()), &known_sometimes(0, ONE));
    assert!(report.baseline.stale.is_empty() && report.baseline.unseen == report.baseline.listed);
    assert_eq!((report.requirements[0].status, report.requirements[0].baselined), (Status::Satisfied, true));
    let seen = Report::new(&finished(with(0, ran(0, vec![broken(ONE)]))), &known_sometimes(0, ONE));
    assert!(seen.baseline.stale.is_empty() && seen.baseline.unseen.is_empty());
    assert_eq!((seen.requirements[0].status, seen.requirements[0].baselined), (Status::Violated, true));
}

#[test]
fn a_filter_turns_partial_into_0_and_nothing_into_3() {
    let filtered = |checks: Vec<Checked>| {
        let mut run = finished(checks);
        run.settings.patterns = vec!["tiny/say/says".into()];
        Report::new(&run, &Baseline::default())
    };
    let report = filtered(with(3, left_out(3, Verdict::NotSelected)));
    assert_eq!((report.verdict, report.exit_code), (RunVerdict::Partial, 0));
    assert_eq!(report.settings.filters, ["--only tiny/say/says"]);
    let nothing = filtered((0..4).map(|i| left_out(i, Verdict::NotSelected)).collect());
    assert_eq!((nothing.verdict, nothing.exit_code), (RunVerdict::Inconclusive, 3));
    assert!(
        terminal::text(&nothing, terminal::Paint::PLAIN).contains("Nothing ran: no check is left by --only")
    );
}

#[test]
fn strict_counts_a_broken_should() {
    let mut run = finished(with(1, ran(1, vec![broken(TWO)])));
    run.settings.strict = true;
    assert_eq!(Report::new(&run, &Baseline::default()).exit_code, 1);
    assert_eq!(Report::new(&run, &known(1, TWO)).exit_code, 0, "what is known does not count");
}

#[test]
fn an_unreachable_or_interrupted_run_is_inconclusive() {
    let mut run = finished(good());
    run.unreachable = Some("the target could not be reached: cannot connect".into());
    let report = Report::new(&run, &Baseline::default());
    assert_eq!((report.verdict, report.exit_code), (RunVerdict::Inconclusive, 3));
    let text = terminal::text(&report, terminal::Paint::PLAIN);
    assert_eq!(text.matches("could not be reached").count(), 1, "{text}");
    run.unreachable = None;
    run.interrupted = true;
    let report = Report::new(&run, &Baseline::default());
    assert_eq!((report.verdict, report.exit_code), (RunVerdict::Inconclusive, 3));
    assert!(terminal::text(&report, terminal::Paint::PLAIN).contains("interrupted"));
}

/// One of everything.
pub(super) fn everything() -> Report {
    let silent = What::Silence { conn: 0, ms: 400, alive: vec![3] };
    let mut run = finished(vec![
        ran(0, vec![silent, broken(ONE)]),
        ran(1, vec![broken(TWO)]),
        left_out(2, Verdict::NotApplicable),
        ran(3, vec![set_up(ONE)]),
    ]);
    run.target = run.target.header(wireproof::target::Identity::First, "authorization", "Bearer sekret");
    run.target.implementation = Some(("tinyd".into(), "2.0".into()));
    run.settings.again =
        Some("run tiny http://tiny.test/tiny --header 'authorization: Bearer sekret'".into());
    Report::new(&run, &Baseline::default())
}

#[test]
fn people_read_this() {
    insta::assert_snapshot!(terminal::text(&everything(), terminal::Paint::PLAIN));
}

#[test]
fn people_read_this_of_a_baseline() {
    let checks = vec![
        ran(0, vec![broken(ONE)]),
        ran(1, vec![met(TWO)]),
        left_out(2, Verdict::NotApplicable),
        left_out(3, Verdict::Untestable),
    ];
    let mut baseline = known(0, ONE);
    baseline.known.extend(known(1, TWO).known);
    let report = Report::new(&finished(checks), &baseline);
    insta::assert_snapshot!(terminal::text(&report, terminal::Paint::PLAIN));
}

#[test]
fn every_form_tells_what_fails_otherwise_than_is_known() {
    let run = finished(with(0, ran(0, vec![broken(ONE)])));
    let report = Report::new(&run, &known_so(&["PUT: 409; expected 200", "PUT: 404; expected 200"]));
    assert!(!report.checks[0].baselined && report.checks[0].accepted.is_none());
    let said = "fails otherwise than the baseline says: was PUT: 409; expected 200 | PUT: 404; expected 200, is PUT: 500; expected 200";
    assert_eq!(report.checks[0].otherwise[0].to_string(), said);
    let outcome = Outcome::One(Box::new(report.clone()));
    for text in [
        terminal::text(&report, terminal::Paint::PLAIN),
        junit::text(&outcome).expect("XML"),
        html::text(&outcome, &html::Links::default()),
        markdown::text(&outcome).replace("&#58;", ":").replace("&#124;", "|"),
    ] {
        assert!(text.contains(said), "{text}");
    }
    let json: serde_json::Value = serde_json::from_str(&json::text(&outcome).expect("JSON")).expect("JSON");
    assert_eq!(json["checks"][0]["otherwise"][0]["is"][0], "PUT: 500; expected 200");
    assert_eq!(json["checks"][0]["otherwise"][0]["was"][1], "PUT: 404; expected 200");
}

#[test]
fn people_read_this_of_what_breaks_sometimes() {
    let report = Report::new(&finished(good()), &known_sometimes(0, ONE));
    insta::assert_snapshot!(terminal::text(&report, terminal::Paint::PLAIN));
}

#[test]
fn continuous_integration_reads_this() {
    let text = junit::text(&Outcome::One(Box::new(everything()))).expect("XML");
    insta::assert_snapshot!(text);
}

#[test]
fn no_form_holds_a_secret_or_what_a_terminal_would_obey() {
    let report = everything();
    let outcome = Outcome::One(Box::new(report.clone()));
    let forms = [
        terminal::text(&report, terminal::Paint::PLAIN),
        json::text(&outcome).expect("JSON"),
        junit::text(&outcome).expect("XML"),
        html::text(&outcome, &html::Links::default()),
        markdown::text(&outcome),
    ];
    for text in forms {
        assert!(!text.contains("sekret"), "{text}");
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }
}

#[test]
fn several_runs_are_one_result() {
    let good = Report::new(&finished(good()), &Baseline::default());
    let bad = Report::new(&finished(with(0, ran(0, vec![broken(ONE)]))), &Baseline::default());
    let Outcome::Many(runs) = Outcome::of(vec![good, bad]) else { panic!("two runs are many") };
    assert_eq!((runs.verdict, runs.exit_code), (RunVerdict::NotConformant, 1));
    assert_eq!((runs.counts.total, runs.counts.fail, runs.counts.musts), (8, 1, 4));
}
