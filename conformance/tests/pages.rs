//! The forms that are pages: what they show, that nothing a target sends becomes part of them, and that they stay small.

use crate::reports::{CHECKS, ONE, TWO, bare, broken, everything, finished, ran, with};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    sync::Arc,
    time::{Duration, Instant},
};
use wireproof::{
    check::{Body, Check},
    event::{Bytes, Event, Expected, Message, Source, What},
    protocol::Protocol,
    report::{Outcome, Report, html, markdown, replay},
    run::Checked,
    target::baseline::Baseline,
};
use wireproof_spec::requirement::RequirementId;

fn page(outcome: &Outcome) -> String {
    html::text(outcome, &html::Links::default())
}

/// The page without its style and script, in lines.
fn body(page: &str) -> String {
    let start = page.find("<body>").expect("a body");
    let end = page.find("<script>").expect("a script");
    page[start..end].replace("><", ">\n<") + "\n"
}

#[test]
fn a_browser_shows_this() {
    let page = page(&Outcome::One(Box::new(everything())));
    assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\">"), "{page}");
    insta::assert_snapshot!(body(&page));
}

#[test]
fn the_summary_of_a_job_is_this() {
    insta::assert_snapshot!(markdown::text(&Outcome::One(Box::new(everything()))));
}

#[test]
fn several_runs_are_one_page() {
    let good = Report::new(&finished(crate::reports::good()), &Baseline::default());
    let mut other = Report::new(&finished(with(0, ran(0, vec![broken(ONE)]))), &Baseline::default());
    other.suite.protocol = "other".into();
    let outcome = Outcome::of(vec![good, other]);
    let page = page(&outcome);
    assert!(page.contains("<h1>2 protocols: not-conformant</h1>"), "{page}");
    assert!(page.contains("<h2>tiny: conformant</h2>") && page.contains("<h2>other: not-conformant</h2>"));
    assert!(page.contains("<h3 id=\"other-failed\">"), "{page}");
    let summary = markdown::text(&outcome);
    assert_eq!(summary.matches("\n## wireproof").count() + 1, 2, "{summary}");
}

#[test]
fn clauses_are_links_where_there_is_something_to_link_to() {
    let links = html::Links { site: Some("https://spec.test/".into()) };
    let page = html::text(&Outcome::One(Box::new(everything())), &links);
    assert!(page.contains("<a href=\"https://spec.test/tiny.html#tiny-say-1\">TINY-SAY-1</a>"), "{page}");
}

/// What somebody sends who wants to be part of the page.
const HOSTILE: &str = "</script></td></pre></details>\"'><img src=x onerror=alert(1)><script>alert(2)</script>\0\u{1b}[31m\
     \u{202e}\u{200b}\r\n```\n</details>\n# a | b `c` [d](javascript:e) @all &lt; ]]>";

/// A check whose every text is hostile, and which fails.
fn attacked() -> Checked {
    let said = || HOSTILE.to_owned();
    let headers = || BTreeMap::from([(said(), said()), ("etag".to_owned(), said())]);
    let bytes = || Bytes::keep(HOSTILE.as_bytes());
    let received = |message| What::Received { conn: 0, message, answers: None };
    let (method, target, name, id) = (said(), said(), said(), said());
    let request = Message::Request { method, target, headers: headers(), body: bytes(), broken: true };
    let response = Message::Response { status: 200, headers: headers(), body: bytes() };
    let requirement = || ONE.to_string();
    let expected = || vec![Expected { name: said(), answer: None }];
    let what = vec![
        What::Opened { conn: 0, peer: said() },
        What::Sent { conn: 0, message: request },
        What::Received { conn: 0, message: response, answers: Some(1) },
        received(Message::Raw { bytes: Bytes::keep(&[HOSTILE.as_bytes(), &[0xff]].concat()) }),
        received(Message::Text { text: bytes() }),
        received(Message::Binary { bytes: bytes() }),
        received(Message::Event { name, id, data: bytes(), size: 9 }),
        received(Message::Line { text: said() }),
        What::Hook { name: said(), ms: 1 },
        What::Stimulus { name: said(), given: [(said(), said())].into(), ms: 1 },
        What::Met { requirement: requirement(), alternative: said(), expected: expected(), on: vec![2] },
        What::Closed { conn: 0, how: said(), code: Some(1) },
        What::Broken { requirement: requirement(), expected: expected(), actual: said(), on: vec![2] },
    ];
    let event =
        |(seq, what)| Arc::new(Event { seq, at_us: seq * 1000, check: Some(CHECKS[0].name.into()), what });
    let events = (0..).zip(what).map(event).collect();
    Checked {
        check: &CHECKS[0],
        verdict: wireproof::verdict::Verdict::Fail,
        reason: Some(HOSTILE.into()),
        took: Duration::from_millis(1),
        events,
        frames: wireproof::frame::Frames::new(),
    }
}

fn attacked_report() -> Report {
    let mut run = finished(with(0, attacked()));
    run.target.implementation = Some((HOSTILE.into(), HOSTILE.into()));
    run.features = [("tiny.loud".to_owned(), HOSTILE.to_owned(), Source::Declared)].into_iter().collect();
    run.unreachable = Some(HOSTILE.into());
    let mut report = Report::new(&run, &Baseline::default());
    report.settings.filters = vec![HOSTILE.into()];
    report
}

/// The name and the attributes of each tag of a page.
fn tags(page: &str) -> Vec<(&str, &str)> {
    page.split('<')
        .skip(1)
        .map(|rest| {
            let tag = rest.split('>').next().unwrap_or_default();
            let end = tag.find(char::is_whitespace).unwrap_or(tag.len());
            (tag[..end].trim_start_matches('/'), &tag[end..])
        })
        .collect()
}

#[test]
fn nothing_that_a_target_sends_becomes_part_of_the_page() {
    let page = page(&Outcome::One(Box::new(attacked_report())));
    assert!(page.contains("onerror=alert(1)"), "the text is shown");
    let honest = self::page(&Outcome::One(Box::new(everything())));
    let names =
        |page: &str| -> BTreeSet<String> { tags(&body(page)).iter().map(|t| t.0.to_owned()).collect() };
    let allowed = &names(&honest) | &BTreeSet::from(["i".to_owned(), "br".to_owned()]);
    let extra: Vec<String> = names(&page).difference(&allowed).cloned().collect();
    assert!(extra.is_empty(), "{extra:?}");
    for (name, attributes) in tags(&body(&page)) {
        assert!(!attributes.contains("onerror") && !attributes.contains("alert"), "<{name}{attributes}>");
    }
    assert_eq!(page.matches("<script").count(), 1);
    let odd = |c: char| c != '\n' && (c.is_control() || matches!(c, '\u{200b}' | '\u{202e}'));
    assert!(!page.contains(odd), "{page:?}");
    // Every element ends where it began: nothing was closed from inside.
    let mut open = Vec::new();
    for part in body(&page).split('<').skip(1) {
        let tag = part.split('>').next().unwrap_or_default();
        let name = tag.split_whitespace().next().unwrap_or_default();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name.to_owned()), "{part}"),
            None if matches!(name, "input" | "br") => {}
            None => open.push(name.to_owned()),
        }
    }
    assert_eq!(open, ["body"], "the script stands behind");
}

#[test]
fn nothing_that_a_target_sends_becomes_part_of_the_summary() {
    let summary = markdown::text(&Outcome::One(Box::new(attacked_report())));
    let mut fence: Option<String> = None;
    let mut outside = String::new();
    for line in summary.lines() {
        match &fence {
            Some(end) if line == end => fence = None,
            Some(_) => {}
            None if line.starts_with("```") => {
                fence = Some(line.chars().take_while(|c| *c == '`').collect());
            }
            None => {
                outside += line;
                outside.push('\n');
            }
        }
    }
    assert_eq!(fence, None, "a block of code does not end");
    let allowed = ["code", "details", "summary"];
    for (name, attributes) in tags(&outside) {
        assert!(allowed.contains(&name) && attributes.is_empty(), "<{name}{attributes}>");
    }
    assert_eq!(outside.matches("<details>").count(), outside.matches("</details>").count());
    assert!(!outside.contains("javascript:") && !outside.contains("@all"), "{outside}");
    for row in outside.lines().filter(|line| line.starts_with("| ") && line.contains("TINY-SAY")) {
        assert_eq!(row.matches('|').count(), 5, "{row}");
    }
    assert!(!summary.contains(|c: char| c != '\n' && (c.is_control() || c == '\u{202e}')), "{summary:?}");
}

/// A protocol with so many checks, each about a requirement of its own.
fn big(checks: usize) -> &'static Protocol {
    let mut document = "# Big\n\n## All\n\n".to_owned();
    let mut table = Vec::new();
    for n in 1..=checks {
        let _ = writeln!(
            document,
            "**BIG-ALL-{n}** · MUST · server — What was asked for the time number {n} is answered.\n"
        );
        let id = RequirementId::new(Box::leak(format!("BIG-ALL-{n}").into_boxed_str()));
        let name: &'static str =
            Box::leak(format!("big/all/answered-for-the-time-number-{n}").into_boxed_str());
        table.push(Check::new(name, Box::leak(Box::new([id])), Body::Drives(|_| Box::pin(async { Ok(()) }))));
    }
    let table: &'static [Check] = Box::leak(table.into_boxed_slice());
    Box::leak(Box::new(bare("big", Box::leak(document.into_boxed_str()), Box::leak(Box::new([table])))))
}

/// The log of a run in which the first of the checks fail, each after a talk of some length.
fn log(protocol: &Protocol, failing: usize, exchanges: u64, text: &str) -> Vec<Event> {
    let mut events = Vec::new();
    let mut add = |check: Option<&str>, what: What| -> u64 {
        let seq = events.len() as u64;
        events.push(Event { seq, at_us: seq * 100, check: check.map(str::to_owned), what });
        seq
    };
    let (name, target) = (protocol.name.to_owned(), "http://big.test/big".to_owned());
    add(None, What::RunStarted { protocol: name, target, settings: BTreeMap::new() });
    let headers = || BTreeMap::from([("etag".to_owned(), text.chars().take(40).collect::<String>())]);
    for (index, check) in protocol.checks().enumerate() {
        let of = Some(check.name);
        let requirement = check.requirements[0].to_string();
        add(of, What::CheckStarted { requirements: vec![requirement.clone()] });
        let exchanges = if index < failing { exchanges } else { 1 };
        let mut last = 0;
        for n in 0..exchanges {
            let request = Message::Request {
                method: "POST".into(),
                target: format!("/big/{n}"),
                headers: headers(),
                body: Bytes::keep(text.as_bytes()),
                broken: false,
            };
            let asked = add(of, What::Sent { conn: 0, message: request });
            let message =
                Message::Response { status: 500, headers: headers(), body: Bytes::keep(text.as_bytes()) };
            last = add(of, What::Received { conn: 0, message, answers: Some(asked) });
        }
        let (expected, on) = (vec![Expected { name: "200".into(), answer: None }], vec![last]);
        let actual = format!("500 {text}");
        add(
            of,
            if index < failing {
                What::Broken { requirement, expected, actual, on }
            } else {
                What::Met { requirement, expected, alternative: "200".into(), on }
            },
        );
        add(of, What::CheckFinished { verdict: "pass".into(), ms: 3 });
    }
    let (left, stopped_at) = (Vec::new(), None);
    add(
        None,
        What::RunFinished {
            interrupted: false,
            unreachable: None,
            left,
            stopped_at,
            round_trip_us: Some(100),
        },
    );
    events
}

fn reported(checks: usize, failing: usize, exchanges: u64, text: &str) -> Outcome {
    let protocol = big(checks);
    let runs = replay::runs(&[protocol], log(protocol, failing, exchanges, text)).expect("a log");
    Outcome::of(runs.iter().map(|run| Report::new(run, &Baseline::default())).collect())
}

/// In bytes: of the page, and of what a CI summary may hold.
const PAGE: usize = 5_000_000;
const SUMMARY: usize = 1 << 20;

#[test]
fn two_thousand_checks_make_a_small_page_quickly() {
    let outcome = reported(2_000, 200, 60, &"a line of ordinary text; ".repeat(20));
    assert_eq!(outcome.runs()[0].counts.fail, 200);
    let since = Instant::now();
    let page = page(&outcome);
    let took = since.elapsed();
    assert!(page.len() < PAGE, "{} bytes", page.len());
    // Without optimisation, and on a busy machine, it may take longer.
    let most = if cfg!(debug_assertions) { 10 } else { 1 };
    assert!(took < Duration::from_secs(most), "{took:?}");
    assert_eq!(page.matches("<article").count(), 200);
    assert_eq!(page.matches("<table class=\"wire\"").count(), 200, "each has its picture");
    assert_eq!(page.matches("<tr class=\"check\"").count(), 2_000);
    let summary = markdown::text(&outcome);
    assert!(summary.len() < SUMMARY, "{} bytes", summary.len());
    assert!(summary.contains("BIG-ALL-200 (MUST)"), "each failure has its line");
}

#[test]
fn even_if_everything_fails_with_text_that_swells() {
    let outcome = reported(2_000, 2_000, 10, &"\0<\"".repeat(200));
    let page = page(&outcome);
    assert!(page.len() < PAGE, "{} bytes", page.len());
    assert_eq!(page.matches("<article").count(), 2_000);
    let summary = markdown::text(&outcome);
    assert!(summary.len() < SUMMARY, "{} bytes", summary.len());
    assert!(summary.contains("more: there is no room for them here"), "what is left out is told");
}

#[test]
fn a_report_tells_of_what_a_broken_should_shows() {
    let outcome = Outcome::One(Box::new(Report::new(
        &finished(with(1, ran(1, vec![broken(TWO)]))),
        &Baseline::default(),
    )));
    let page = page(&outcome);
    assert!(page.contains("<h1>tiny: conformant</h1>") && page.contains("id=\"tiny-warned\""), "{page}");
}
