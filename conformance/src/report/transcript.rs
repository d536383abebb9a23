//! What went over the wire in one check, in short lines for people, and the commands that show it again.

use crate::{
    event::{Bytes, Event, Message, What, hex},
    protocol::Protocol,
    redact::Redaction,
    run::Finished,
    target::Via,
};
use std::{collections::BTreeMap, sync::Arc};

/// How many lines of a transcript are kept at its start, and as many at its end.
const KEPT: usize = 20;
/// How many characters of a body a line shows.
const BODY: usize = 120;
/// How many bytes of what is no text a line shows.
const HEX: usize = 48;
/// The longest body that a command carries, in bytes.
const CARRIED: usize = 4 * 1024;

/// What a check did and saw, each with the milliseconds since the check began. The middle of a long one is left out, and
/// says so.
pub fn lines(events: &[Arc<Event>]) -> Vec<String> {
    let start = events.first().map_or(0, |e| e.at_us);
    let all: Vec<String> = events
        .iter()
        .filter_map(|e| {
            let after = e.at_us.saturating_sub(start) as f64 / 1e3;
            Some(format!("{after:>9.1} ms  {}", line(&e.what)?))
        })
        .collect();
    if all.len() <= 2 * KEPT + 1 {
        return all;
    }
    let left_out = all.len() - 2 * KEPT;
    let mut kept = all[..KEPT].to_vec();
    kept.push(format!("... {left_out} more lines, in events.jsonl ..."));
    kept.extend_from_slice(&all[all.len() - KEPT..]);
    kept
}

fn line(what: &What) -> Option<String> {
    Some(match what {
        What::Opened { conn, peer } => format!("#{conn} opened {}", clean(peer)),
        What::Sent { conn, message } => format!("#{conn} > {}", shown(message)),
        What::Received { conn, message, .. } => format!("#{conn} < {}", shown(message)),
        What::Cut { conn } => format!("#{conn} cut by us"),
        What::Closed { conn, how, code } => {
            let code = code.map(|code| format!(" (code {code})")).unwrap_or_default();
            format!("#{conn} ended{code}: {}", clean(how))
        }
        What::Silence { conn, ms, .. } => format!("#{conn} silent for {ms} ms, while the target was alive"),
        What::Stimulus { name, given, ms } => {
            let given: String =
                given.iter().map(|(name, value)| format!(" {}={}", clean(name), clean(value))).collect();
            format!("stimulus {}{given}, {ms} ms", clean(name))
        }
        What::Hook { name, ms } => format!("hook {}, {ms} ms", clean(name)),
        What::Program { act, given, seen, ms } => {
            let given: String =
                given.iter().map(|(name, value)| format!(" {}={}", clean(name), clean(value))).collect();
            format!("the program got {}{given}: {}, {ms} ms", clean(act), clean(seen))
        }
        What::Met { requirement, alternative, .. } => {
            format!("= {}: {}", clean(requirement), clean(alternative))
        }
        What::Broken { requirement, .. } => format!("! {} is broken", clean(requirement)),
        What::SetUp { requirement, .. } => format!("! the set-up broke on {}", clean(requirement)),
        What::Stopped { why, .. } => format!("! {}", clean(why)),
        What::Harness { message } => format!("! our mistake: {}", clean(message)),
        What::Missing { what } => format!("! it takes {}", clean(what)),
        What::RunStarted { .. }
        | What::Feature { .. }
        | What::CheckStarted { .. }
        | What::CheckFinished { .. }
        | What::LeftOut { .. }
        | What::RunFinished { .. } => return None,
    })
}

fn shown(message: &Message) -> String {
    match message {
        Message::Request { method, target, headers, body, broken } => {
            let broken = if *broken { " (broken on purpose)" } else { "" };
            format!("{} {}{}{}{broken}", clean(method), clean(target), fields(headers), content(body))
        }
        Message::Response { status, headers, body } => {
            format!("{status}{}{}", fields(headers), content(body))
        }
        Message::Raw { bytes } => format!("raw{}", content(bytes)),
        Message::Text { text } => format!("text{}", content(text)),
        Message::Binary { bytes } => format!("binary{}", content(bytes)),
        Message::Event { name, data, .. } => format!("event {}{}", clean(&cut(name)), content(data)),
        Message::Line { text } => format!("line {:?}", cut(text)),
    }
}

/// The headers that tell something about the protocol.
fn fields(headers: &BTreeMap<String, String>) -> String {
    let telling = headers.iter().filter(|(name, _)| !is_noise(name));
    telling.map(|(name, value)| format!(" | {}: {}", clean(name), clean(&cut(value)))).collect()
}

/// Whether a header says nothing about the protocol.
pub(super) fn is_noise(header: &str) -> bool {
    const NOISE: [&str; 11] = [
        "accept",
        "connection",
        "content-length",
        "date",
        "host",
        "keep-alive",
        "server",
        "transfer-encoding",
        "user-agent",
        "vary",
        "x-content-type-options",
    ];
    NOISE.contains(&header) || header.starts_with("access-control-") || header.starts_with("cross-origin-")
}

fn content(body: &Bytes) -> String {
    match (&body.text, &body.hex) {
        (Some(text), _) => format!(" | {:?}{}", cut(text), size(body, text.chars().count() > BODY)),
        (None, Some(digits)) => {
            let end = digits.len().min(2 * HEX);
            let part = digits.get(..end).unwrap_or(digits);
            format!(" | 0x{part}{}", size(body, digits.len() > end))
        }
        (None, None) => String::new(),
    }
}

fn size(body: &Bytes, is_cut: bool) -> String {
    if is_cut || body.sha256.is_some() { format!("... ({} bytes)", body.length) } else { String::new() }
}

fn cut(text: &str) -> String {
    text.chars().take(BODY).collect()
}

/// Without anything that a terminal would obey: no control characters, and none that turn the direction of writing around.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if is_obeyed(c) { '\u{fffd}' } else { c }).collect()
}

pub(super) fn is_obeyed(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns
}

/// The command that runs a check of this run again.
pub fn command(run: &Finished, check: &str) -> String {
    let again = run.settings.again.clone().unwrap_or_else(|| chosen(run));
    let mut line = format!("wireproof {again} --only {}", word(check));
    if run.settings.seed != 1 {
        line += &format!(" --seed {}", run.settings.seed);
    }
    line.extend(run.settings.behind.iter().map(|behind| format!(" -- {behind}")));
    Redaction::new(&run.target.secrets).text(&line)
}

fn chosen(run: &Finished) -> String {
    let declared = run.target.declared.iter().map(|(name, value)| declaration(run.protocol, name, value));
    let mut line = format!("run {} {}", run.protocol.name, word(&run.target.shown));
    line.extend(declared);
    line
}

/// ` --feature NAME=VALUE`, or the same for a limit.
pub fn declaration(protocol: &Protocol, name: &str, value: &str) -> String {
    let option = if protocol.limits.iter().any(|l| l.name == name) { "--limit" } else { "--feature" };
    format!(" {option} {}", word(&format!("{name}={value}")))
}

/// The request that one of these observations answers, as a command.
pub fn curl(run: &Finished, events: &[Arc<Event>], on: &[u64]) -> Option<String> {
    let answered = events.iter().rev().find_map(|e| match &e.what {
        What::Received { answers, .. } if on.contains(&e.seq) => *answers,
        _ => None,
    });
    // A silence, or an end without an answer, is that of a connection.
    let silent = events.iter().rev().find_map(|e| match &e.what {
        What::Silence { conn, .. } | What::Closed { conn, .. } if on.contains(&e.seq) => Some(*conn),
        _ => None,
    });
    let last = |e: &&Arc<Event>| match &e.what {
        What::Sent { conn, message: Message::Request { .. } } => silent.is_none_or(|silent| silent == *conn),
        _ => false,
    };
    let sent = match answered {
        Some(seq) => events.iter().find(|e| e.seq == seq)?,
        // Nothing answered it: the last request before what was seen.
        None => events.iter().rev().filter(|e| on.iter().any(|seen| e.seq < *seen)).find(last)?,
    };
    let What::Sent { message: Message::Request { method, target: path, headers, body, .. }, .. } = &sent.what
    else {
        return None;
    };
    let (scheme, rest) = run.target.shown.split_once("://")?;
    let authority = rest.split('/').next()?;
    let mut line = match method.as_str() {
        "HEAD" => "curl --head".to_owned(),
        method => format!("curl -i -X {}", word(method)),
    };
    let Via { socket, tls } = &run.target.via;
    line.extend(socket.iter().map(|path| format!(" --unix-socket {}", word(&path.to_string_lossy()))));
    line.extend(tls.ca.iter().map(|path| format!(" --cacert {}", word(&path.to_string_lossy()))));
    if authority.contains('[') {
        // Or curl takes the address for a pattern.
        line += " --globoff";
    }
    line += &format!(" {}", word(&format!("{scheme}://{authority}{path}")));
    for (name, value) in headers.iter().filter(|(name, _)| !is_noise(name)) {
        line += &format!(" -H {}", word(&format!("{name}: {value}")));
    }
    for (name, _) in &run.target.reach().headers {
        line += &format!(" -H {}", word(&format!("{name}: [redacted]")));
    }
    if body.length > 0 {
        if !headers.contains_key("content-type") {
            line += " -H 'content-type:'";
        }
        return Some(with_body(line, body));
    }
    Some(line)
}

fn with_body(line: String, body: &Bytes) -> String {
    match (&body.text, &body.hex) {
        _ if body.length > CARRIED as u64 => {
            format!("{line} --data-binary @BODY  # BODY: the {} bytes that events.jsonl shows", body.length)
        }
        // An @ at the start would name a file, and a terminal would obey control characters.
        (Some(text), _) if !text.starts_with('@') && !text.chars().any(is_obeyed) => {
            format!("{line} --data-binary {}", word(text))
        }
        (Some(text), _) => piped(&line, &hex(text.as_bytes())),
        (None, Some(digits)) => piped(&line, digits),
        (None, None) => line,
    }
}

fn piped(line: &str, digits: &str) -> String {
    format!("printf %s {digits} | xxd -r -p | {line} --data-binary @-")
}

/// A word of a shell's command line. What a terminal would obey is written as digits, as bash, zsh and ksh read them.
pub fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    if !text.chars().any(is_obeyed) {
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    let mut quoted = "$'".to_owned();
    for c in text.chars() {
        match c {
            '\'' | '\\' => quoted.extend(['\\', c]),
            // Always three digits, so that a digit behind them is none of them.
            c if is_obeyed(c) => {
                c.encode_utf8(&mut [0; 4]).bytes().for_each(|b| quoted += &format!("\\{b:03o}"))
            }
            c => quoted.push(c),
        }
    }
    quoted + "'"
}

#[cfg(test)]
mod tests {
    use super::word;

    #[test]
    fn a_shell_reads_a_word_as_it_was() {
        assert_eq!(word("a/b"), "a/b");
        assert_eq!(word(""), "''");
        assert_eq!(word("it's 5"), r"'it'\''s 5'");
        assert_eq!(word("\u{1b}[31m\n7'\\é"), r"$'\033[31m\0127\'\\é'");
        assert_eq!(word("a\u{202e}b\u{9b}"), r"$'a\342\200\256b\302\233'");
    }
}
