//! What became of one check that did not pass: the requirement, what was expected and what came, the picture of what went over
//! the wire, and how to see it again.

use super::{Links, clause, heading, told::Told, verdict};
use crate::{
    event::{Bytes, Message, What},
    report::{
        Check, Report, Requirement,
        terminal::told_otherwise,
        timeline::{Lane, Row, Shown, Timeline},
        transcript::is_noise,
    },
    verdict::Verdict,
};
use maud::{Markup, html};
use std::collections::BTreeMap;

/// How much of a check the page has room for.
#[derive(Clone, Copy)]
pub(super) struct Degree {
    /// In bytes.
    pub(super) room: usize,
    /// Whether its timeline is unfolded.
    pub(super) open: bool,
}

/// How long the parts of a picture may be.
#[derive(Clone, Copy)]
struct Lengths {
    /// Events at the start, at the end and among those that decided.
    rows: usize,
    /// Characters of a body.
    body: usize,
    /// Characters of a body that decided.
    deciding: usize,
    /// Characters of any other text.
    text: usize,
}

/// From much to little. The first that fits is taken.
const LENGTHS: [Lengths; 4] = [
    Lengths { rows: 20, body: 400, deciding: 2_000, text: 2_000 },
    Lengths { rows: 10, body: 160, deciding: 480, text: 1_000 },
    Lengths { rows: 4, body: 80, deciding: 160, text: 400 },
    Lengths { rows: 0, body: 0, deciding: 0, text: 160 },
];

/// The bytes in a line of a dump.
const DUMPED: usize = 16;

/// Whether the page tells of a check by itself.
pub(super) fn is_shown(check: &Check, report: &Report) -> bool {
    match check.verdict {
        Verdict::Fail | Verdict::Warn | Verdict::Error => true,
        Verdict::Inconclusive => check.baselined || report.unreachable.is_none(),
        _ => false,
    }
}

pub(super) fn article(check: &Check, report: &Report, links: &Links, level: u8, degree: Degree) -> Markup {
    let named = |inner: Markup| {
        html! {
            article.check #(check.id) data-verdict=(check.verdict.name()) data-name=(check.id) {
                (heading(level, None, &check.id))
                (inner)
            }
        }
    };
    let fitting = LENGTHS.iter().find_map(|lengths| {
        let article = named(told(check, report, links, *lengths, degree.open));
        (article.0.len() <= degree.room).then_some(article)
    });
    fitting.unwrap_or_else(|| {
        named(html! { p { (verdict(check)) " There is no room for more here; result.json has it." } })
    })
}

fn told(check: &Check, report: &Report, links: &Links, lengths: Lengths, open: bool) -> Markup {
    let text = |said: &str| html! { (Told::upto(said, lengths.text)) };
    let decided = check.decided_by.as_ref().and_then(|id| report.requirements.iter().find(|r| r.id == *id));
    html! {
        p { (verdict(check)) " " (check.duration_ms) " ms" }
        @if let Some(r) = decided { (sentence(report, r, links)) }
        @else { p { "About " (check.requirements.join(", ")) } }
        @if check.actual.is_none() && let Some(message) = &check.message { p { (text(message)) } }
        @if check.verdict == Verdict::Inconclusive && decided.is_some() {
            p { "The set-up of this check stands on that requirement; it did not come to its own claim." }
        }
        @if let Some(reason) = &check.accepted { p { b { "Known: " } (text(reason)) } }
        @if let Some(excused) = report.excused_before(check) { p { b { "Known: " } (text(&excused)) } }
        @for other in &check.otherwise { p { b { "Not as known: " } (text(&told_otherwise(check, other))) } }
        @if !check.expected.is_empty() || check.actual.is_some() {
            dl.claim {
                dt { "Expected" }
                dd { @for (index, expected) in check.expected.iter().enumerate() {
                    @if index > 0 { i.or { " or " } }
                    code { (text(expected)) }
                } }
                @if let Some(actual) = &check.actual { dt { "Came" } dd.came tabindex="0" { code { (text(actual)) } } }
            }
        }
        @if lengths.rows > 0 && !check.events.is_empty() {
            details open[open] {
                summary { "On the wire" }
                (picture(check, lengths))
            }
        } @else if !check.events.is_empty() {
            p { "There is no room here for what went over the wire; events.jsonl has it." }
        }
        dl.again {
            dt { "Run it again" }
            dd { pre tabindex="0" { (Told::upto(&check.repro.command, 4 * lengths.text)) } }
            @if let Some(curl) = check.repro.curl.as_ref().filter(|_| lengths.rows > 0) {
                dt { "The deciding request" }
                dd { pre tabindex="0" { (Told::upto(curl, 12_000)) } }
            }
        }
    }
}

fn sentence(report: &Report, requirement: &Requirement, links: &Links) -> Markup {
    html! {
        p { b { (clause(report, requirement, links)) } " (" (requirement.level.to_uppercase()) ", "
            (report.suite.protocol) ".md, section " (requirement.section) ")" }
        blockquote { p { (requirement.text) } }
    }
}

/// A table: a row an event, a column a connection. A table is what a screen reader can walk through.
fn picture(check: &Check, lengths: Lengths) -> Markup {
    let timeline = Timeline::new(&check.events, lengths.rows);
    let columns = timeline.lanes.len().max(1);
    html! {
        div.scroll role="region" tabindex="0" aria-label={ "Wire timeline of " (check.id) } {
            table.wire style={ "--lanes:" (columns) } {
                thead { tr {
                    th.time scope="col" { "Time" }
                    @if timeline.lanes.is_empty() { th scope="col" { "What happened" } }
                    @for lane in &timeline.lanes { th scope="col" { (lane_name(lane)) } }
                } }
                tbody { @for row in &timeline.rows { @match row {
                    Row::LeftOut(count) => tr.gap { td.time {} td colspan=(columns) { (count) " more, in events.jsonl" } },
                    Row::Shown(shown) => (line(shown, timeline.span_us, columns, lengths)),
                } } }
            }
        }
    }
}

fn lane_name(lane: &Lane<'_>) -> Markup {
    html! {
        @match lane.connections.as_slice() {
            [(conn, peer)] => { "#" (conn) " " (Told::upto(peer.unwrap_or_default(), 80)) },
            [(first, peer), .., (last, _)] => {
                "#" (first) " … #" (last) ", " (lane.connections.len()) " connections "
                (Told::upto(peer.unwrap_or_default(), 80))
            },
            [] => {},
        }
    }
}

fn line(shown: &Shown<'_>, span_us: u64, columns: usize, lengths: Lengths) -> Markup {
    let (class, sign, words) = kind(&shown.event.what);
    let part = |us: u64| us.saturating_mul(100).checked_div(span_us).unwrap_or(0);
    let at = part(shown.after_us);
    let width = shown.took_us.map(part);
    let what = html! {
        span.sign aria-hidden="true" { (sign) } " " span.vh { (words) " " }
        (content(&shown.event.what, lengths, shown.decides))
        @if shown.decides { " " b.mark { "this decided" } }
    };
    html! {
        tr class=(class) data-decides[shown.decides] {
            td.time { (ms(shown.after_us))
                span.bar style={ "--at:" (at) "%" @if let Some(width) = width { ";--long:" (width) "%" } } {} }
            @match shown.lane {
                Some(lane) => {
                    @for _ in 0..lane { td.empty {} }
                    td { (what) }
                    @for _ in lane + 1..columns { td.empty {} }
                },
                None => td colspan=(columns) { div.across { (what) } },
            }
        }
    }
}

/// Milliseconds, to a tenth.
fn ms(us: u64) -> String {
    format!("{:.1} ms", us as f64 / 1e3)
}

/// How a row looks, its sign, and what a screen reader says instead of the sign.
fn kind(what: &What) -> (&'static str, &'static str, &'static str) {
    match what {
        What::Sent { .. } => ("out", "→", "sent"),
        What::Received { .. } => ("in", "←", "received"),
        What::Met { .. } => ("met", "✓", "held"),
        What::Broken { .. } => ("broken", "✗", "broken"),
        What::SetUp { .. } | What::Stopped { .. } | What::Harness { .. } | What::Missing { .. } => {
            ("broken", "✗", "stopped")
        }
        _ => ("other", "·", ""),
    }
}

fn content(what: &What, lengths: Lengths, decides: bool) -> Markup {
    let text = |said: &str| html! { (Told::upto(said, lengths.text)) };
    html! {
        @match what {
            // Whom it leads to stands above its lane.
            What::Opened { conn, .. } => { "#" (conn) " opened" },
            What::Sent { conn, message: said } | What::Received { conn, message: said, .. } => {
                (message(*conn, said, lengths, decides))
            },
            What::Cut { conn } => { "#" (conn) " cut by us" },
            What::Closed { conn, how, code } => {
                "#" (conn) " ended" @if let Some(code) = code { " (code " (code) ")" } ": " (text(how))
            },
            What::Silence { conn, ms, .. } => { "#" (conn) " silent for " (ms) " ms, while the target was alive" },
            What::Stimulus { name, given, ms } => {
                "stimulus " (text(name))
                @for (name, value) in given { " " (text(name)) "=" (text(value)) }
                ", " (ms) " ms"
            },
            What::Hook { name, ms } => { "hook " (text(name)) ", " (ms) " ms" },
            What::Program { act, given, seen, ms } => {
                "the program got " (text(act))
                @for (name, value) in given { " " (text(name)) "=" (text(value)) }
                ": " (text(seen)) ", " (ms) " ms"
            },
            What::Met { requirement, alternative, .. } => { (text(requirement)) ": " (text(alternative)) },
            What::Broken { requirement, expected, actual, .. } => {
                b { (text(requirement)) " is broken" } ": expected " (alternatives(expected, lengths)) "; came "
                code { (text(actual)) }
            },
            What::SetUp { requirement, expected, actual, .. } => {
                b { "the set-up broke on " (text(requirement)) } ": needed " (alternatives(expected, lengths)) "; came "
                code { (text(actual)) }
            },
            What::Stopped { why, .. } => (text(why)),
            What::Missing { what } => { "it takes " (text(what)) },
            What::Harness { message } => { "our mistake: " (text(message)) },
            What::RunStarted { .. } | What::Feature { .. } | What::CheckStarted { .. } | What::CheckFinished { .. }
                | What::LeftOut { .. } | What::RunFinished { .. } => {},
        }
    }
}

fn alternatives(expected: &[crate::event::Expected], lengths: Lengths) -> Markup {
    html! {
        @for (index, one) in expected.iter().enumerate() {
            @if index > 0 { ", or " }
            (Told::upto(&one.name, lengths.text))
        }
    }
}

fn message(conn: u32, message: &Message, lengths: Lengths, decides: bool) -> Markup {
    let body = |bytes: &Bytes| content_of(bytes, if decides { lengths.deciding } else { lengths.body });
    html! {
        span.conn { "#" (conn) } " "
        @match message {
            Message::Request { method, target, headers, body: bytes, broken } => {
                b { (Told::upto(method, 40)) " " (Told::upto(target, 300)) }
                @if *broken { " (broken on purpose)" }
                (fields(headers, decides)) (body(bytes))
            },
            Message::Response { status, headers, body: bytes } => {
                b { (status) } (fields(headers, decides)) (body(bytes))
            },
            Message::Raw { bytes } => { b { "raw bytes" } (body(bytes)) },
            Message::Text { text } => { b { "text frame" } (body(text)) },
            Message::Binary { bytes } => { b { "binary frame" } (body(bytes)) },
            Message::Event { name, id, data, .. } => {
                b { "event " (Told::upto(name, 80)) }
                @if !id.is_empty() { " id " (Told::upto(id, 80)) }
                (body(data))
            },
            Message::Line { text } => { b { "line" } pre { (Told::block(text, lengths.body)) } },
        }
    }
}

/// The headers: all of those that decided, and those that say something about the protocol of the rest.
fn fields(headers: &BTreeMap<String, String>, decides: bool) -> Markup {
    /// Of one message.
    const MOST: usize = 40;
    let shown: Vec<_> = headers.iter().filter(|(name, _)| decides || !is_noise(name)).collect();
    html! {
        @if !shown.is_empty() {
            span.fields { @for (name, value) in shown.iter().take(MOST) {
                span { (Told::upto(name, 80)) ": " (Told::upto(value, 240)) } " "
            } }
            @if shown.len() > MOST { " and " (shown.len() - MOST) " more" }
        }
    }
}

fn content_of(bytes: &Bytes, most: usize) -> Markup {
    html! {
        @match (&bytes.text, &bytes.hex) {
            (Some(text), _) => {
                pre { (Told::block(text, most)) }
                @if bytes.sha256.is_some() || text.chars().nth(most).is_some() { span.size { (bytes.length) " bytes" } }
            },
            (None, Some(digits)) => {
                pre.hex { (dump(digits, most / 2)) }
                @if digits.len() / 2 > most / 2 { span.size { (bytes.length) " bytes" } }
            },
            (None, None) => { @if bytes.length > 0 { span.size { (bytes.length) " bytes, not kept" } } },
        }
    }
}

/// Bytes as digits and, where they are letters, as letters; whole lines of them, and at least one.
fn dump(digits: &str, most: usize) -> String {
    let pairs = digits.as_bytes().chunks_exact(2).take(most.max(DUMPED));
    let bytes: Vec<u8> =
        pairs.filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect();
    let mut lines = String::new();
    for (index, line) in bytes.chunks(DUMPED).enumerate() {
        let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let letter =
            |byte: &u8| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' };
        let letters: String = line.iter().map(letter).collect();
        lines += &format!("{:04x}  {:<47}  {letters}\n", index * DUMPED, hex.join(" "));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::dump;

    #[test]
    fn bytes_are_dumped_in_lines() {
        let digits = "00414243ff".to_owned() + &"20".repeat(12);
        let expected = "0000  00 41 42 43 ff 20 20 20 20 20 20 20 20 20 20 20  .ABC.           \n\
                        0010  20                                                \u{20}\n";
        assert_eq!(
            dump(&digits, 100).replace("   \n", "\n").trim_end(),
            expected.replace("   \n", "\n").trim_end()
        );
        assert_eq!(dump("zz", 10), "", "what is no digits is nothing");
        assert_eq!(dump(&"00".repeat(40), 20).lines().count(), 2);
    }
}
