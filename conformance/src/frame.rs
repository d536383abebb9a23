//! What decided in a failure, without what differs from run to run: the operation, the status and the protocol's own headers of
//! what was seen, and what was expected there. By it a failure that is known is told from another one of the same check.

use crate::{
    event::{Bytes, Event, Expected, Message, What},
    report::transcript::clean,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// By requirement, each way in which a check found it broken.
pub type Frames = BTreeMap<String, BTreeSet<String>>;

/// What stands before the name of an event, and behind that the names of its fields.
const EVENT: &str = "event ";
const END: &str = "the end of the connection";
/// How many characters a frame has at most.
const LONGEST: usize = 400;
/// How many characters of a name that the target chose.
const NAME: usize = 40;
/// How many fields of an object are named.
const FIELDS: usize = 12;

/// The frames of all that is broken among the events of a check of this protocol. Among `all` is what the claims are about.
pub fn frames(protocol: &str, events: &[Arc<Event>], all: &[Arc<Event>]) -> Frames {
    let mut frames = Frames::new();
    let mut by_number: Option<BTreeMap<u64, &Event>> = None;
    for event in events {
        let What::Broken { requirement, expected, on, .. } = &event.what else { continue };
        let by_number =
            by_number.get_or_insert_with(|| all.iter().map(|event| (event.seq, &**event)).collect());
        let frame = frame(protocol, expected, on, by_number);
        frames.entry(requirement.clone()).or_default().insert(frame);
    }
    frames
}

fn frame(protocol: &str, expected: &[Expected], on: &[u64], events: &BTreeMap<u64, &Event>) -> String {
    let named: BTreeSet<&str> = expected
        .iter()
        .filter_map(|one| one.answer.as_ref())
        .flat_map(|answer| answer.headers.keys().map(String::as_str))
        .collect();
    let own = format!("{protocol}-");
    let is_telling = |header: &str| header.starts_with(&own) || named.contains(header);
    // How often the same was seen, and in which order, is a matter of luck where several speak at once.
    let seen: BTreeSet<String> =
        on.iter().filter_map(|seq| shape(&events.get(seq)?.what, events, &is_telling, &own)).collect();
    let seen: Vec<String> = settled(seen).into_iter().collect();
    let mut alternatives: Vec<String> = Vec::new();
    for alternative in expected.iter().map(|one| steady(&one.name)) {
        if !alternatives.contains(&alternative) {
            alternatives.push(alternative);
        }
    }
    let text = clean(&format!("{}; expected {}", seen.join(" and "), alternatives.join(", or ")));
    let short: String = text.chars().take(LONGEST).collect();
    if short.len() < text.len() { format!("{short}...") } else { short }
}

/// Where an event stream brought content, how far a reader had come when the claim was made is a matter of luck: which control
/// events stood between, and whether the end was seen.
fn settled(seen: BTreeSet<String>) -> BTreeSet<String> {
    let asked = |one: &str| one.split_once(EVENT).map(|(asked, _)| asked.to_owned());
    let is_content = |one: &&String| one.split_once(EVENT).is_some_and(|(_, event)| !event.contains(' '));
    let Some(asked) = seen.iter().find(is_content).and_then(|one| asked(one)) else { return seen };
    let stays = |one: &String| !one.contains(EVENT) && one != END;
    seen.into_iter().filter(stays).chain([format!("{asked}events")]).collect()
}

/// An observation, without what differs from run to run.
fn shape(
    what: &What,
    events: &BTreeMap<u64, &Event>,
    is_telling: &dyn Fn(&str) -> bool,
    own: &str,
) -> Option<String> {
    Some(match what {
        What::Received { message, answers, .. } => {
            let asked = answers.and_then(|seq| operation(&events.get(&seq)?.what, own));
            let asked = asked.map(|asked| format!("{asked}: ")).unwrap_or_default();
            match message {
                Message::Response { status, headers, .. } => {
                    let headers = headers.iter().filter(|(name, _)| is_telling(name));
                    let headers: String = headers.map(|(name, value)| header(name, value)).collect();
                    format!("{asked}{status}{headers}")
                }
                Message::Event { name, data, .. } => format!("{asked}{EVENT}{}{}", cut(name), fields(data)),
                Message::Raw { bytes } => format!("{asked}{}", raw(bytes)),
                Message::Text { .. } => "a text frame".into(),
                Message::Binary { .. } => "a binary frame".into(),
                Message::Request { method, .. } => cut(method),
                Message::Line { .. } => return None,
            }
        }
        What::Closed { code: Some(code), .. } => format!("a close with {code}"),
        What::Closed { .. } => END.into(),
        What::Silence { .. } => "silence".into(),
        What::Program { seen, .. } => seen.split(" after ").next().unwrap_or(seen).to_owned(),
        _ => return None,
    })
}

/// The method, the names of the protocol's own headers, and what is asked for in the query: names, and such values as are words.
fn operation(what: &What, own: &str) -> Option<String> {
    let What::Sent { message: Message::Request { method, target, headers, .. }, .. } = what else {
        return None;
    };
    let query = target.split_once('?').map(|(_, query)| query).unwrap_or_default();
    let is_word = |value: &str| value.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    let mut asked = cut(method);
    for name in headers.keys().filter(|name| name.starts_with(own)) {
        asked += &format!(" {}", cut(name));
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = if value.is_empty() || !is_word(value) { String::new() } else { format!("={value}") };
        asked += &format!(" {}", cut(&format!("{}{value}", steady(name))));
    }
    Some(asked)
}

fn header(name: &str, value: &str) -> String {
    match value {
        "true" | "false" => format!(", {name}: {value}"),
        _ => format!(", {}", cut(name)),
    }
}

/// The names of the fields of data that is an object.
fn fields(data: &Bytes) -> String {
    let object: Option<serde_json::Map<String, serde_json::Value>> =
        data.text.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let names: BTreeSet<String> = object.into_iter().flatten().map(|(name, _)| steady(&cut(&name))).collect();
    names.iter().take(FIELDS).map(|name| format!(" {name}")).collect()
}

/// Bytes that nobody decoded: the status, if an answer begins with them.
fn raw(bytes: &Bytes) -> String {
    let first = bytes.text.as_deref().and_then(|text| text.strip_prefix("HTTP/"));
    let status = first.and_then(|line| line.split(' ').nth(1)).filter(|word| is_status(word));
    status.map_or_else(|| "bytes".into(), |status| format!("bytes with {status}"))
}

fn cut(name: &str) -> String {
    name.chars().take(NAME).collect()
}

/// Whether this is a status, or a class of them: 404, 4xx.
fn is_status(word: &str) -> bool {
    let word = word.replace("xx", "00");
    word.len() == 3 && word.parse().is_ok_and(|status: u16| (100..600).contains(&status))
}

/// A text of ours without what it quotes, and without numbers, offsets and names made of digits; a status stays.
fn steady(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == '"' {
            rest = behind_quoted(rest);
            out += "\"…\"";
            continue;
        }
        let end = word_end(rest).max(c.len_utf8());
        let (word, behind) = rest.split_at(end);
        let counts = [" ms", " bytes", " s,"].iter().any(|unit| behind.starts_with(unit));
        if word.bytes().any(|b| b.is_ascii_digit()) && (!is_status(word) || counts) {
            out.push('#');
        } else {
            out += word;
        }
        rest = behind;
    }
    out
}

/// Where the word ends with which this begins: letters and digits, with the signs that stand in numbers and names.
fn word_end(text: &str) -> usize {
    let mut end = 0;
    for (at, c) in text.char_indices() {
        let next = text[at + c.len_utf8()..].chars().next();
        let goes_on = |next: char| if at == 0 { next.is_ascii_digit() } else { next.is_alphanumeric() };
        let is_part = c.is_alphanumeric() || c == '_' || "+-.".contains(c) && next.is_some_and(goes_on);
        if !is_part {
            break;
        }
        end = at + c.len_utf8();
    }
    end
}

/// What stands behind the text in quotes with which this begins.
fn behind_quoted(text: &str) -> &str {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '\\' if !is_escaped => is_escaped = true,
            '"' if !is_escaped => return &text[at + 1..],
            _ => is_escaped = false,
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ExpectedAnswer;

    #[test]
    fn what_differs_from_run_to_run_is_taken_out_and_a_status_is_not() {
        for (text, expected) in [
            ("404, or 410", "404, or 410"),
            ("a refusal with 4xx", "a refusal with 4xx"),
            ("201, stream-next-offset present", "201, stream-next-offset present"),
            ("the body \"a \\\" 200\" again", "the body \"…\" again"),
            ("200, stream-next-offset: 0000_0029", "200, stream-next-offset: #"),
            ("an end within 500 ms, of wp-83ef2e", "an end within # ms, of #"),
            ("the number -1.5e-400, to the last digit", "the number #, to the last digit"),
            ("cache-control: no-store, max-age=60.", "cache-control: no-store, max-age=#."),
            ("exactly the 404 bytes written", "exactly the # bytes written"),
            ("no end \"", "no end \"…\""),
            ("é 9007199254740993é", "é #"),
        ] {
            assert_eq!(steady(text), expected);
        }
    }

    /// A POST to a port and a name of this run, and how it was answered.
    fn answered(run: u16, status: u16, headers: &[(&str, &str)], expected: &str) -> String {
        let fields = |list: &[(&str, &str)]| -> BTreeMap<String, String> {
            list.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
        };
        let request = Message::Request {
            method: "GET".into(),
            target: format!("/v1/wp-{run}?live=sse&offset={run}_{run}"),
            headers: fields(&[("host", &format!("127.0.0.1:{run}")), ("stream-seq", &run.to_string())]),
            body: Bytes::default(),
            broken: false,
        };
        let body = Bytes::keep(run.to_string().as_bytes());
        let response = Message::Response { status, headers: fields(headers), body };
        let answer = ExpectedAnswer { status: 200, headers: [("etag".to_owned(), None)].into() };
        let broken = What::Broken {
            requirement: "A-1".into(),
            expected: vec![Expected { name: expected.into(), answer: Some(answer) }],
            actual: format!("{status} at {run}"),
            on: vec![2],
        };
        let what = [
            What::Sent { conn: 0, message: request },
            What::Received { conn: 0, message: response, answers: Some(1) },
            broken,
        ];
        let event = |(seq, what)| Arc::new(Event { seq, at_us: u64::from(run), check: None, what });
        let events: Vec<_> = (1..).zip(what).map(event).collect();
        let found = frames("stream", &events, &events);
        found["A-1"].first().cloned().unwrap_or_default()
    }

    #[test]
    fn how_far_somebody_read_is_no_other_failure() {
        let all = |list: &[&str]| -> BTreeSet<String> { list.iter().map(|one| (*one).to_owned()).collect() };
        let head = "GET live=sse: 200";
        let (data, control) = ("GET live=sse: event data", "GET live=sse: event control streamClosed");
        let settled_so = all(&[head, "GET live=sse: events"]);
        for seen in [all(&[head, data]), all(&[head, data, control]), all(&[head, control, data, END])] {
            assert_eq!(settled(seen), settled_so);
        }
        // Without content, what the control event says may be what is wrong.
        assert_eq!(settled(all(&[head, control, END])), all(&[head, control, END]));
    }

    #[test]
    fn the_same_failure_has_one_frame_and_another_has_another() {
        let usual = |run: u16| {
            let (offset, tag) = (format!("0_{run}"), format!("\"{run}\""));
            let headers = [
                ("stream-next-offset", offset.as_str()),
                ("stream-closed", "true"),
                ("etag", &tag),
                ("date", &offset),
            ];
            answered(run, 409, &headers, &format!("200, the body \"{run}\" within {run} ms"))
        };
        assert_eq!(
            usual(4437),
            "GET stream-seq live=sse offset: 409, etag, stream-closed: true, stream-next-offset; expected 200, the body \"…\" within # ms"
        );
        assert_eq!(usual(4437), usual(51234));
        let all = [("stream-closed", "true")];
        let others = [
            answered(1, 400, &all, "200"),
            answered(1, 409, &[], "200"),
            answered(1, 409, &[("stream-closed", "false")], "200"),
            answered(1, 409, &all, "404"),
        ];
        for other in others {
            assert_ne!(other, answered(1, 409, &all, "200"));
        }
        // What a machine on the way adds is nobody's failure.
        assert_eq!(answered(1, 409, &[("via", "1.1 a")], "200"), answered(1, 409, &[], "200"));
    }
}
