//! The parser of event streams, and the peer that reads one.

use proptest::{collection::vec, prelude::*};
use std::{
    collections::{BTreeSet, VecDeque},
    sync::OnceLock,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use wireproof::{
    check::{Body, BoxFuture, Check, Cx, Outcome, alternative, answer},
    drives,
    event::{Message, What},
    one_of,
    protocol::{Protocol, Reference, Trial},
    report::replay,
    run::{Checked, Settings, run},
    target::Target,
    verdict::Verdict,
    wire::{
        http,
        sse::{Event, Item, Parser, TooLong},
    },
};
use wireproof_spec::{http::Request, requirement::RequirementId, schema::Schema};

fn parsed(pieces: &[&[u8]], longest: usize) -> (Result<(), TooLong>, Parser, Vec<Event>) {
    let (mut parser, mut events) = (Parser::new(longest), VecDeque::new());
    let result = pieces.iter().try_for_each(|piece| parser.feed(piece, &mut events));
    (result, parser, events.into())
}

fn events(text: &str) -> Vec<(String, String)> {
    let (result, _, events) = parsed(&[text.as_bytes()], 1000);
    assert_eq!(result, Ok(()));
    events.into_iter().map(|e| (e.name, e.data)).collect()
}

fn named(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, data)| ((*name).to_owned(), (*data).to_owned())).collect()
}

#[test]
fn every_rule_of_the_format_is_kept() {
    let table: &[(&str, &[(&str, &str)])] = &[
        ("data: a\n\n", &[("message", "a")]),
        ("event: data\ndata: a\ndata: b\n\n", &[("data", "a\nb")]),
        ("data: a\rdata: b\r\ndata: c\n\r", &[("message", "a\nb\nc")]),
        ("data: a\r\n\r\ndata: b\r\r", &[("message", "a"), ("message", "b")]),
        // One space is taken away, and no more.
        ("data:a\n\ndata:  a \n\ndata:\ta\n\n", &[("message", "a"), ("message", " a "), ("message", "\ta")]),
        // No data is no event, and its name is forgotten; empty data is one.
        ("event: x\n\ndata\n\n", &[("message", "")]),
        ("data:\n\ndata\ndata\n\n", &[("message", ""), ("message", "\n")]),
        (": comment\ndata: a\n:\n\n", &[("message", "a")]),
        ("Data: a\n data: b\ndata : c\nx: y\nevent\ndata: d\n\n", &[("message", "d")]),
        ("event: a\nevent: b\ndata: x: y\n\n", &[("b", "x: y")]),
        ("event:\ndata: a\n\n", &[("message", "a")]),
        ("\u{feff}data: a\n\n\u{feff}data: b\n\n", &[("message", "a")]),
        ("\u{feff}\u{feff}data: a\n\n", &[]),
        // What is not complete is no event.
        ("data: a\n", &[]),
        ("data: a\n\ndata: b", &[("message", "a")]),
        ("\n\n\n", &[]),
    ];
    for (text, expected) in table {
        assert_eq!(events(text), named(expected), "{text:?}");
    }
}

#[test]
fn ids_stay_and_retry_is_told() {
    let text =
        b"id: 1\ndata: a\n\ndata: b\n\nid: x\0y\ndata: c\n\nid\ndata: d\n\nretry: 250\nretry: -1\nretry:\n";
    let (_, parser, events) = parsed(&[text], 1000);
    assert_eq!(events.iter().map(|e| e.id.as_str()).collect::<Vec<_>>(), ["1", "1", "1", ""]);
    assert_eq!(parser.retry(), Some(250));
    assert!(parser.is_within_event());
    let (_, parser, _) = parsed(&[b"retry: 99999999999999999999999\n\n"], 1000);
    assert_eq!((parser.retry(), parser.is_within_event()), (Some(u64::MAX), false));
}

#[test]
fn what_is_no_utf_8_is_replaced_in_its_line() {
    let (_, _, events) = parsed(&[b"data: a\xe2\x82\ndata: \xacb\xff\n\n"], 1000);
    assert_eq!(events[0].data, "a\u{fffd}\n\u{fffd}b\u{fffd}");
}

#[test]
fn a_line_and_an_event_have_a_longest_length() {
    assert_eq!(parsed(&[b"data: 34567890"], 14).0, Ok(()));
    assert_eq!(parsed(&[b"data: 345678901"], 14).0, Err(TooLong { limit: 14 }));
    assert_eq!(parsed(&[b"data: 34567", b"8901"], 14).0, Err(TooLong { limit: 14 }));
    assert_eq!(parsed(&[b"data: 1\ndata: 2\n"], 14).0, Err(TooLong { limit: 14 }));
    assert_eq!(parsed(&[&b": a comment\n".repeat(9)], 14).0, Ok(()));
    assert_eq!(parsed(&[&b"data: 1\n\n".repeat(9)], 14).2.len(), 9);
}

#[test]
fn sizes_say_where_every_byte_went() {
    let (_, _, events) = parsed(&[b": hello\ndata: 1\n\nid: 2\r\ndata: 2\r\n\r\n"], 1000);
    assert_eq!(events.iter().map(|e| e.size).collect::<Vec<_>>(), [17, 17]);
}

/// Bytes of which most mean something to the format.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just(&b"data"[..]),
        Just(&b"event: x"[..]),
        Just(&b"id:"[..]),
        Just(&b"retry: 1"[..]),
        Just(&b":"[..]),
        Just(&b" "[..]),
        Just(&b"\r"[..]),
        Just(&b"\n"[..]),
        Just(&b"\r\n"[..]),
        Just(&b"\n\n"[..]),
        Just(&b"\xef\xbb\xbf"[..]),
        Just(&b"\xe2\x82"[..]),
        Just(&b"\xac"[..]),
        Just(&b"\0"[..]),
    ];
    let any_byte = vec(any::<u8>(), 1..3);
    vec(prop_oneof![4 => part.prop_map(<[u8]>::to_vec), 1 => any_byte], 0..60)
        .prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn it_makes_no_difference_in_which_pieces_bytes_come(
        bytes in stream(),
        cuts in vec(any::<prop::sample::Index>(), 0..12),
        longest in 1_usize..200,
    ) {
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        places.extend([0, bytes.len()]);
        places.sort_unstable();
        let pieces: Vec<&[u8]> = places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        let (result, parser, events) = parsed(&[&bytes], longest);
        let (split_result, split_parser, split_events) = parsed(&pieces, longest);
        prop_assert_eq!(&result, &split_result);
        prop_assert_eq!(&events, &split_events);
        if result.is_ok() {
            prop_assert_eq!(parser, split_parser);
        }
    }
}

const DOCUMENT: &str = "# Tick

## Tell

**TICK-TELL-1** · MUST · server — Ticks come, and then the end.

**TICK-TELL-2** · MUST · server — A tick is a number.
";

const ONE: RequirementId = RequirementId::new("TICK-TELL-1");
const TWO: RequirementId = RequirementId::new("TICK-TELL-2");

static CHECKS: [Check; 9] = [
    Check::new("tick/tell/events", &[ONE], drives!(events_and_end)),
    Check::new("tick/tell/cut", &[ONE], drives!(cut)),
    Check::new("tick/tell/refused", &[ONE], drives!(refused)),
    Check::new("tick/tell/other", &[ONE], drives!(other)),
    Check::new("tick/tell/silent", &[ONE], drives!(silent)),
    Check::new("tick/tell/quiet", &[ONE], drives!(quiet)),
    Check::new("tick/tell/busy", &[ONE], drives!(busy)),
    Check::new("tick/tell/flood", &[ONE], drives!(flood)),
    Check::new("tick/tell/number", &[TWO], Body::Observes(|o| o.shapes(TWO))),
];

static TICK: Protocol = Protocol {
    name: "tick",
    document: DOCUMENT,
    rows: "",
    features: &[],
    declines: &[],
    stimuli: &[],
    limits: &[],
    checks: &[&CHECKS],
    awaited: &[],
    schemas: || {
        let document = serde_json::json!({ "type": "integer" });
        vec![Schema { name: "tick/number", document }]
    },
    openapi: None,
    shape: |_, _| None,
    event_shape: |_, name| (name == "tick").then_some((TWO, "tick/number")),
    frame_shape: |_| None,
    bodies: false,
    parts: &[],
    accepts_request: |_| Ok(()),
    overloaded: wireproof::wire::overload::by_status,
    alive: |link| Box::pin(http::alive(link)),
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

struct Nobody;

impl Reference for Nobody {
    fn variants(&self) -> &'static [&'static str] {
        &[]
    }

    fn start<'a>(&'a self, _: &'a str, _: Option<&'a str>) -> BoxFuture<'a, Result<Target, String>> {
        Box::pin(async { Err("there is none".into()) })
    }
}

fn tick(number: u32) -> wireproof::check::Alternative<Item> {
    alternative(
        format!("tick {number}"),
        move |item: &Item| matches!(item, Item::Event(e) if e.name == "tick" && e.data == number.to_string()),
    )
}

fn end() -> wireproof::check::Alternative<Item> {
    alternative("the end", |item: &Item| *item == Item::End)
}

async fn events_and_end(cx: &Cx) -> Outcome {
    let mut reader = cx.sse(Request::new("GET", &cx.path("events"))).await?;
    cx.expect(ONE, &reader.head().await?, &one_of![answer(200).body("")])?;
    cx.expect(ONE, &reader.next().await?, &[tick(1)])?;
    cx.expect(ONE, &reader.next().await?, &[tick(2)])?;
    // The end stays the end.
    for _ in 0..2 {
        cx.expect(ONE, &reader.next().await?, &[end()])?;
    }
    Ok(())
}

async fn cut(cx: &Cx) -> Outcome {
    let mut reader = cx.sse(Request::new("GET", &cx.path("cut"))).await?;
    cx.expect(ONE, &reader.next().await?, &[tick(1)])?;
    cx.expect(ONE, &reader.next().await?, &[end()])?;
    Ok(())
}

async fn refused(cx: &Cx) -> Outcome {
    let mut reader = cx.sse(Request::new("GET", &cx.path("refused"))).await?;
    cx.expect(ONE, &reader.head().await?, &one_of![answer(404).body("nothing")])?;
    cx.expect(ONE, &reader.next().await?, &[tick(1)])?;
    Ok(())
}

async fn other(cx: &Cx) -> Outcome {
    let mut reader = cx.sse(Request::new("GET", &cx.path("other"))).await?;
    cx.expect(ONE, &reader.next().await?, &[tick(1)])?;
    Ok(())
}

async fn silent(cx: &Cx) -> Outcome {
    let mut reader = cx.sse(Request::new("GET", &cx.path("silent"))).await?;
    cx.expect(ONE, &reader.next().await?, &[tick(1)])?;
    cx.expect(ONE, &reader.next().await?, &[tick(2)])?;
    Ok(())
}

async fn quiet(cx: &Cx) -> Outcome {
    let mut reader = cx.sse(Request::new("GET", &cx.path("silent"))).await?;
    cx.expect(ONE, &reader.next().await?, &[tick(1)])?;
    let nothing = alternative("nothing", Option::<Item>::is_none);
    cx.expect(ONE, &reader.quiet(Duration::from_millis(100)).await?, &[nothing])?;
    reader.leave();
    Ok(())
}

async fn busy(cx: &Cx) -> Outcome {
    let mut reader = cx.sse(Request::new("GET", &cx.path("busy"))).await?;
    cx.expect(ONE, &reader.next().await?, &[tick(1)])?;
    Ok(())
}

async fn flood(cx: &Cx) -> Outcome {
    let mut reader = cx.sse(Request::new("GET", &cx.path("flood"))).await?;
    cx.expect(ONE, &reader.next().await?, &[tick(1)])?;
    Ok(())
}

/// A server that answers each path in its own way.
async fn server() -> Target {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let url = format!("http://{}/root", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A reader that goes away ends it.
            tokio::spawn(async move { drop(serve(stream).await) });
        }
    });
    Target::server(&url).expect("a URL")
}

async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = [0; 4096];
    let length = stream.read(&mut request).await?;
    let request = String::from_utf8_lossy(&request[..length]).into_owned();
    let path = request.split(' ').nth(1).and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";
    let whole =
        |text: &str| format!("HTTP/1.1 {text}\r\ncontent-length: 7\r\nconnection: close\r\n\r\nnothing");
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let one = chunk("event: tick\ndata: 1\n\n");
    match path {
        "events" => {
            let rest =
                [chunk(":x\nevent: ti"), chunk("ck\ndata: 2\r"), chunk("\n\r\nevent: tick\ndata: 3\n")];
            stream.write_all(format!("{head}{one}{}0\r\n\r\n", rest.concat()).as_bytes()).await
        }
        "cut" => stream.write_all(format!("{head}{one}5\r\nev").as_bytes()).await,
        "refused" => stream.write_all(whole("404 Not Found").as_bytes()).await,
        "other" => stream.write_all(whole("200 OK").as_bytes()).await,
        "busy" => stream.write_all(whole("503 Service Unavailable").as_bytes()).await,
        "silent" => {
            stream.write_all(format!("{head}{one}").as_bytes()).await?;
            stream.read(&mut [0]).await.map(|_| ())
        }
        "flood" => {
            stream.write_all(head.as_bytes()).await?;
            let flood = chunk(&"data: and more\n".repeat(4096));
            loop {
                stream.write_all(flood.as_bytes()).await?;
            }
        }
        _ => {
            stream
                .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .await
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_stream_is_observed_event_by_event_to_its_end() {
    let settings = Settings { timeout: Duration::from_millis(300), ..Settings::default() };
    let finished = run(&TICK, server().await, settings, |_| {}).await.expect("a run");
    let of = |name: &str| finished.checks.iter().find(|c| c.check.name.ends_with(name)).expect("a check");
    let last = |checked: &Checked| {
        checked.events.iter().rev().find_map(|e| match &e.what {
            What::Broken { actual, .. } => Some(actual.clone()),
            What::Stopped { why, .. } => Some(why.clone()),
            _ => None,
        })
    };
    for (name, verdict, why) in [
        ("/events", Verdict::Pass, None),
        ("/cut", Verdict::Pass, None),
        ("/quiet", Verdict::Pass, None),
        ("/number", Verdict::Pass, None),
        ("/refused", Verdict::Fail, Some("no event stream, but 404")),
        ("/other", Verdict::Fail, Some("no event stream, but 200")),
        ("/silent", Verdict::Fail, Some("no complete answer in 3")),
        ("/busy", Verdict::Inconclusive, Some("the target is overloaded")),
        ("/flood", Verdict::Fail, Some("an answer longer than")),
    ] {
        let found = last(of(name));
        assert_eq!(of(name).verdict, verdict, "{name}: {found:?}");
        let fits = match (&found, why) {
            (Some(found), Some(why)) => found.starts_with(why),
            (found, why) => found.is_none() && why.is_none(),
        };
        assert!(fits, "{name}: {found:?}");
    }
    // What was recorded: events with what they answer, the end, and what was cut by us.
    let recorded: Vec<_> = of("/events")
        .events
        .iter()
        .filter_map(|e| match &e.what {
            What::Received { message: Message::Event { name, data, .. }, answers: Some(_), .. } => {
                Some(format!("{name} {}", data.text.as_deref().unwrap_or_default()))
            }
            What::Closed { how, .. } => Some(how.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(recorded, ["tick 1", "tick 2", "the target ended the event stream within an event"]);
    assert!(of("/quiet").events.iter().any(|e| matches!(e.what, What::Cut { .. })));
    // And the report of the log is the report of the run.
    let log: Vec<_> = finished.events.iter().map(|event| (**event).clone()).collect();
    let again = replay::runs(&[&TICK], log).expect("a log").pop().expect("one run");
    let verdicts = |checks: &[Checked]| -> BTreeSet<(&str, &str)> {
        checks.iter().map(|c| (c.check.name, c.verdict.name())).collect()
    };
    assert_eq!(verdicts(&again.checks), verdicts(&finished.checks));
}
