//! Where the fuzzer begins: the fixtures, and the documents and files of this workspace, in the form that each target reads.

use serde_json::{Value, from_str};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};
use wireproof::event::{Bytes, Event, Expected, Message, What};
use wireproof_spec::http::{Fields, Request, Response};

/// Answers with what fixtures do not have: interim ones, extensions, trailers, and an end that is that of the connection.
const ANSWERS: [&str; 5] = [
    "HTTP/1.1 100 \r\n\r\nHTTP/1.1 103 Early\r\nlink: a\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nx: y\r\n\r\n",
    "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nto the end",
    "HTTP/1.0 404 Not Found\nx: 1\nx: 2\n\nold",
    "HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\ncontent-length: 7\r\n\r\n",
];

/// Event streams with what fixtures do not have, behind the byte that says how many come at once.
const EVENTS: [&str; 3] = [
    "\u{4}\u{feff}data: a\r\rid: a\0b\nretry: 250\nevent: x\ndata\ndata:  b\r\n\r\n",
    "\u{1}id: 1\nid\nretry: -1\nretry:99999999999999999999\nother: c\n\ndata:\n\n: end\ndata: cut",
    "\u{10}event: a\nevent:\ndata: one\nid:2\n\n\n\ndata:two\u{85}\u{2028}\n\n",
];

/// The inputs to begin with, by target.
pub type Seeds = BTreeMap<&'static str, BTreeSet<Vec<u8>>>;

/// The seeds that the workspace in this directory gives.
///
/// # Errors
/// A file of it cannot be read.
pub fn of(workspace: &Path) -> io::Result<Seeds> {
    let mut seeds = Seeds::new();
    let mut add = |target, seed: Vec<u8>| {
        seeds.entry(target).or_default().insert(seed);
    };
    for file in files(&workspace.join("fixtures"), "json")? {
        let text = fs::read_to_string(&file)?;
        if let Ok(request) = from_str::<Request>(&text) {
            let values = request.headers.0.iter().chain(&request.query.0).map(|(_, value)| value);
            values.for_each(|value| add("texts", value.as_bytes().to_vec()));
            add("texts", request.target().into_bytes());
            add("texts", request.body.to_vec());
            let line = format!("{} {} HTTP/1.1", request.method, request.target());
            add("raw", on_the_wire(&line, &request.headers, &request.body));
        }
        if let Ok(response) = from_str::<Response>(&text) {
            response.headers.0.iter().for_each(|(_, value)| add("texts", value.as_bytes().to_vec()));
            let line = format!("HTTP/1.1 {} ", response.status);
            let wire = on_the_wire(&line, &response.headers, &response.body);
            add("answer", [&[255], &wire[..]].concat());
            add("raw", wire);
        }
        if let Ok(document) = from_str::<Value>(&text) {
            add("websocket", frame(&document.to_string()));
            add("sse", event(&document).into_bytes());
            add("adapter", adapter_lines(&document).into_bytes());
        }
        for frame in binary(&text) {
            // Behind its topic, and what stands within, too.
            (0..frame.len().min(24)).step_by(2).for_each(|from| add("frames", frame[from..].to_vec()));
        }
        add("documents", text.into_bytes());
    }
    for file in files(&workspace.join("spec"), "md")? {
        let text = fs::read_to_string(&file)?;
        text.split("\n## ").for_each(|section| add("requirements", format!("## {section}").into_bytes()));
        text.split("```").for_each(|block| add("files", tiny(block.trim_start_matches("toml"))));
    }
    for file in files(&workspace.join("conformance/interop/stream"), "toml")? {
        let text = fs::read_to_string(&file)?;
        text.split("[[known]]").for_each(|entry| add("files", tiny(&format!("[[known]]{entry}"))));
        add("files", tiny(&text));
    }
    for answer in ANSWERS {
        add("answer", [&[255], answer.as_bytes()].concat());
        add("raw", answer.as_bytes().to_vec());
    }
    for events in EVENTS {
        add("sse", events.as_bytes().to_vec());
    }
    logs().into_iter().for_each(|log| add("log", log));
    Ok(seeds)
}

/// Every file with this ending under a directory.
fn files(dir: &Path, ending: &str) -> io::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("node_modules") {
            found.extend(files(&path, ending)?);
        } else if path.extension().is_some_and(|own| own == ending) {
            found.insert(path);
        }
    }
    Ok(found)
}

/// The binary frames of a file of such.
fn binary(text: &str) -> Vec<Vec<u8>> {
    let read = |digits: &str| {
        let pairs = digits.as_bytes().chunks(2).filter_map(|pair| std::str::from_utf8(pair).ok());
        pairs.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
    };
    let Ok(Value::Array(vectors)) = from_str(text) else { return Vec::new() };
    vectors.iter().filter_map(|vector| vector["frame"].as_str()).map(read).collect()
}

fn on_the_wire(line: &str, headers: &Fields, body: &[u8]) -> Vec<u8> {
    let mut head = format!("{line}\r\n");
    for (name, value) in &headers.0 {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    // Every second one in a chunk, so that there are both.
    if body.len().is_multiple_of(2) {
        head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        [head.as_bytes(), body].concat()
    } else {
        head.push_str(&format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n", body.len()));
        [head.as_bytes(), body, b"\r\n0\r\n\r\n"].concat()
    }
}

/// A text frame and a close frame, behind the byte that says how many come at once.
fn frame(text: &str) -> Vec<u8> {
    let length = text.len().min(usize::from(u16::MAX));
    let head = match u8::try_from(length) {
        Ok(short @ ..126) => vec![0x81, short],
        _ => {
            vec![0x81, 126, u8::try_from(length >> 8).unwrap_or(0), u8::try_from(length & 0xff).unwrap_or(0)]
        }
    };
    [&[255], &head[..], &text.as_bytes()[..length], b"\x88\x05\x03\xe8bye"].concat()
}

/// The text of a file with what the protocol of the targets has for names, where it has any.
fn tiny(text: &str) -> Vec<u8> {
    let names = text.replace("stream/content/restart", "tiny/say/says").replace("stream.sse", "tiny.loud");
    names.replace("STREAM-CONTENT-", "TINY-SAY-").into_bytes()
}

/// A data event and a control event, in pieces of 32 bytes.
fn event(document: &Value) -> String {
    let data = format!("{document:#}").replace('\n', "\ndata: ");
    format!("\u{20}id: 1\r\ndata: {data}\n\n: a comment\revent: control\nretry: 5\ndata:{document}\n\n")
}

fn adapter_lines(document: &Value) -> String {
    let line = |value: Value| format!("{value}\n");
    let told = line(serde_json::json!({"session": "s", "event": "delivered", "data": document}));
    format!("\u{20}{told}{}", line(serde_json::json!({"id": 7, "ok": document})))
}

/// Logs of one run each: one that ended well, one with a failure of every kind, one that was cut off.
fn logs() -> Vec<Vec<u8>> {
    let expected = || vec![Expected { name: "200".into(), answer: None }];
    let requirement = || "TINY-SAY-1".to_owned();
    let started = What::RunStarted {
        protocol: "tiny".into(),
        target: "http://tiny.test/tiny".into(),
        settings: BTreeMap::from(
            [("seed", "7"), ("time scale", "1"), ("only", "tiny/*")].map(|(n, v)| (n.into(), v.into())),
        ),
    };
    let message = Message::Request {
        method: "GET".into(),
        target: "/tiny/a?offset=-1".into(),
        headers: BTreeMap::from([("x".into(), "y".into())]),
        body: Bytes::keep(b"\xff\x00"),
        broken: false,
    };
    let came =
        Message::Response { status: 500, headers: BTreeMap::new(), body: Bytes::keep(b"say \x1b[31m") };
    let met = What::Met {
        requirement: requirement(),
        alternative: "200".into(),
        expected: expected(),
        on: vec![3],
    };
    let broken =
        What::Broken { requirement: requirement(), expected: expected(), actual: "500".into(), on: vec![3] };
    let set_up =
        What::SetUp { requirement: requirement(), expected: expected(), actual: "500".into(), on: vec![3] };
    let ended = What::RunFinished {
        interrupted: false,
        unreachable: None,
        left: vec!["/v1/stream/wp-1".into()],
        stopped_at: None,
        round_trip_us: Some(90),
    };
    let others = [
        What::Stopped { why: "no answer".into(), unreachable: true },
        What::Harness { message: "we slipped".into() },
        What::Missing { what: "[launch]".into() },
        What::LeftOut { verdict: "untestable".into(), why: "no hook".into() },
    ];
    let log = |claims: Vec<What>, end: Option<What>| {
        let own = [
            What::CheckStarted { requirements: vec![requirement()] },
            What::Sent { conn: 0, message: message.clone() },
            What::Received { conn: 0, message: came.clone(), answers: Some(2) },
            What::Silence { conn: 0, ms: 400, alive: vec![3] },
            What::Closed { conn: 0, how: "reset".into(), code: Some(1006) },
        ];
        let check = own.into_iter().chain(claims).map(|what| (Some("tiny/say/says".to_owned()), what));
        let all = [(None, started.clone())].into_iter().chain(check).chain(end.map(|end| (None, end)));
        let lines = all.zip(0..).map(|((check, what), seq)| Event { seq, at_us: seq * 1_500, check, what });
        lines.map(|event| format!("{}\n", serde_json::json!(event))).collect::<String>().into_bytes()
    };
    let verdict = What::CheckFinished { verdict: "pass".into(), ms: 3 };
    let mut all = vec![log(vec![met, verdict.clone()], Some(ended.clone())), log(vec![set_up], None)];
    all.extend([vec![broken]].into_iter().chain(others.map(|other| vec![other])).map(|mut claims| {
        claims.push(verdict.clone());
        log(claims, Some(ended.clone()))
    }));
    all
}
