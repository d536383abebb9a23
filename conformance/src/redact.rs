//! Takes secrets out before an event exists.

use crate::event::{What, hex};
use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use serde_json::Value;
use std::collections::HashMap;

/// What stands where a secret stood.
const MARK: &str = "[redacted]";

/// A part of a secret that is shorter than this is none by itself: it would be found everywhere.
const SHORTEST_PART: usize = 6;
/// A text that was cut may end in the beginning of a secret; of so many bytes or more it is taken out too.
const SHORTEST_START: usize = 4;
/// Texts shorter than this were not cut.
const CUT: usize = 400;

/// Names of fields that hold words of ours, never of a target: what a secret may look like and still be no secret there.
const OURS: [&str; 10] = [
    "kind",
    "form",
    "requirement",
    "requirements",
    "protocol",
    "verdict",
    "source",
    "method",
    "status",
    "alive",
];

/// Headers whose values are no secrets even if they were given as one of the target's own.
const PLAIN: [&str; 6] =
    ["accept", "accept-encoding", "accept-language", "cache-control", "content-type", "user-agent"];

/// A key has a half that is one to hide from this length on, in bytes.
const HALVED: usize = 20;

/// Whether the value of a header that the owner gives is to be kept secret.
pub fn is_secret(header: &str) -> bool {
    !PLAIN.contains(&header.to_ascii_lowercase().as_str())
}

/// What stands behind the scheme of an `Authorization`; all of a value that has none.
pub fn token(value: &str) -> &str {
    value.split_once(' ').map_or(value, |(_, token)| token.trim())
}

/// A key without its last character, which is almost the key, and no secret less: [`Redaction`] knows it too. None of a short
/// one.
pub fn cut(key: &str) -> Option<&str> {
    beginning_of(key, key.chars().count().saturating_sub(1))
}

/// The first half of a key, as [`cut`]. That of a shorter one than `HALVED` may be a word.
pub fn half(key: &str) -> Option<&str> {
    beginning_of(key, key.chars().count() / 2).filter(|_| key.len() >= HALVED)
}

fn beginning_of(key: &str, count: usize) -> Option<&str> {
    let end = key.char_indices().nth(count)?.0;
    Some(&key[..end]).filter(|part| part.len() >= SHORTEST_PART)
}

/// The texts that may not stand in any report, in every form in which an event could hold them.
#[derive(Clone, Debug, Default)]
pub struct Redaction {
    /// The longest first: a secret may be part of another.
    forms: Vec<String>,
    finder: Option<AhoCorasick>,
    /// Which of the forms begin so, whatever the case.
    starts: HashMap<[u8; SHORTEST_START], Vec<usize>>,
}

impl Redaction {
    /// For these secrets. An empty one is none; the part of an `Authorization` behind its scheme is one by itself, and so
    /// is what it holds in base64, and the password in that; and so are the beginnings that checks make of a key.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a String>) -> Self {
        let mut forms: Vec<String> = Vec::new();
        for secret in secrets {
            let token = Some(token(secret)).filter(|token| token.len() >= SHORTEST_PART);
            let held =
                STANDARD.decode(token.unwrap_or(secret)).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let held = held.filter(|text| text.len() >= SHORTEST_PART);
            let password =
                held.as_deref().and_then(|held| held.split_once(':')).map(|(_, password)| password);
            let password = password.filter(|text| text.len() >= SHORTEST_PART);
            let key = token.unwrap_or(secret);
            let whole = [Some(secret.as_str()), token, held.as_deref(), password];
            for part in whole.into_iter().chain([cut(key), half(key)]).flatten() {
                if !part.trim().is_empty() {
                    forms.extend(written(part));
                }
            }
        }
        forms.sort_unstable();
        forms.dedup();
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        let finder = AhoCorasickBuilder::new()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::LeftmostLongest)
            .build(&forms);
        let mut starts: HashMap<_, Vec<usize>> = HashMap::new();
        for (at, form) in forms.iter().enumerate() {
            if let Some(start) = beginning(form.as_bytes()) {
                starts.entry(start).or_default().push(at);
            }
        }
        // The finder fails for more than can be counted: then nothing is shown at all.
        Self { finder: finder.ok(), forms, starts }
    }

    /// A text without the secrets.
    pub fn text(&self, text: &str) -> String {
        if self.forms.is_empty() {
            return text.to_owned();
        }
        let Some(finder) = &self.finder else { return MARK.into() };
        let cut = if text.len() >= CUT { self.start(text.as_bytes()) } else { None };
        let mut clean = String::with_capacity(text.len());
        let mut shown = 0;
        for found in finder.find_iter(text) {
            if let Some(cut) = cut
                && cut < found.end()
            {
                // This is a part of what goes on to the end, or that begins within this.
                return clean + &text[shown..cut.min(found.start())] + MARK;
            }
            clean.push_str(&text[shown..found.start()]);
            clean.push_str(MARK);
            shown = found.end();
        }
        clean.push_str(&text[shown..cut.unwrap_or(text.len())]);
        clean.push_str(if cut.is_some() { MARK } else { "" });
        clean
    }

    /// Where the beginning of a secret stands that goes on to the end of a text.
    fn start(&self, text: &[u8]) -> Option<usize> {
        let longest = self.forms.first().map_or(0, String::len);
        let ends = text.len().saturating_sub(longest - 1)..=text.len().checked_sub(SHORTEST_START)?;
        ends.into_iter().find(|at| {
            let end = &text[*at..];
            let begins = |form: &usize| {
                let form = self.forms[*form].as_bytes();
                form.len() > end.len() && form[..end.len()].eq_ignore_ascii_case(end)
            };
            let forms = beginning(end).and_then(|start| self.starts.get(&start));
            forms.is_some_and(|forms| forms.iter().any(begins))
        })
    }

    /// An event without the secrets.
    pub(crate) fn take_out(&self, what: What) -> What {
        let ours = matches!(
            what,
            What::Feature { .. } | What::Hook { .. } | What::CheckStarted { .. } | What::CheckFinished { .. }
        );
        if ours || self.forms.is_empty() {
            return what;
        }
        let clean = serde_json::to_value(&what).and_then(|mut value| {
            self.walk(&mut value);
            serde_json::from_value(value)
        });
        // Rather an event that says nothing than one that says too much.
        clean.unwrap_or_else(|e| What::Harness {
            message: format!("an event could not be cleaned of secrets: {e}"),
        })
    }

    fn walk(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(list) => list.iter_mut().for_each(|v| self.walk(v)),
            Value::Object(map) => {
                // A target can call a header by a secret too.
                if let Some(Value::Object(headers)) = map.get_mut("headers") {
                    let all = std::mem::take(headers).into_iter();
                    headers.extend(all.map(|(name, value)| (self.text(&name), value)));
                }
                let theirs = map.iter_mut().filter(|(name, _)| !OURS.contains(&name.as_str()));
                theirs.for_each(|(_, v)| self.walk(v));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// The first bytes of a text, if it has so many, in lower case.
fn beginning(text: &[u8]) -> Option<[u8; SHORTEST_START]> {
    text.first_chunk().map(|start: &[u8; SHORTEST_START]| start.map(|byte| byte.to_ascii_lowercase()))
}

/// Whether a text stands somewhere in bytes, in whatever form. An empty one stands nowhere.
pub fn is_in(text: &str, bytes: &[u8]) -> bool {
    let forms = if text.is_empty() { Vec::new() } else { written(text) };
    let finder = AhoCorasickBuilder::new().ascii_case_insensitive(true).build(forms);
    // The finder fails for more than can be counted.
    finder.map_or(true, |finder| finder.is_match(bytes))
}

/// Every way in which a text may be written, whatever stands around it. Case is left to who looks for them.
fn written(text: &str) -> Vec<String> {
    let escaped = |text: &str| {
        let quoted = Value::from(text).to_string();
        quoted[1..quoted.len() - 1].to_owned()
    };
    let json = escaped(text);
    let slashed = json.replace('/', "\\/");
    let percent = wireproof_spec::http::percent_encode(text);
    let mut forms = vec![
        text.to_owned(),
        percent.replace("%20", "+"),
        percent,
        // JSON may stand in JSON.
        escaped(&json),
        escaped(&slashed),
        json,
        slashed,
        text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;"),
    ];
    // As logs quote what has backslashes.
    let quoted: Vec<String> = forms.iter().map(|form| form.replace('\\', "\\\\")).collect();
    forms.extend(quoted);
    // Three places at which it may begin in a longer text: what its own bytes decide of the digits stands there in any case.
    for before in 0..3 {
        let longer = [&vec![0; before][..], text.as_bytes()].concat();
        let own = (before * 8).div_ceil(6)..longer.len() * 8 / 6;
        if own.len() >= SHORTEST_PART {
            forms.extend([STANDARD, URL_SAFE].map(|digits| digits.encode(&longer)[own.clone()].to_owned()));
        }
    }
    // Bytes that are no text are shown in digits, in whatever case they came.
    let cases = |form: &String| [form.clone(), form.to_ascii_lowercase(), form.to_ascii_uppercase()];
    let digits: Vec<String> = forms.iter().flat_map(cases).map(|form| hex(form.as_bytes())).collect();
    forms.extend(digits);
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "s3cret/with+\"odd\"=characters & <more>";

    #[test]
    fn a_secret_is_found_however_it_is_written() {
        let redaction =
            Redaction::new([&format!("Bearer {SECRET}"), &"Basic dXNlcjpodW50ZXIyMg==".to_owned()]);
        let percent = wireproof_spec::http::percent_encode(SECRET);
        let json = Value::from(SECRET).to_string();
        for text in [
            SECRET.to_owned(),
            SECRET.to_uppercase(),
            "S3cRET/With+\"odd\"=Characters & <More>".to_owned(),
            percent.clone(),
            percent.to_lowercase(),
            percent.replace("%20", "+"),
            json.clone(),
            json.replace('/', "\\/"),
            Value::from(json.clone()).to_string(),
            "s3cret/with+&quot;odd&quot;=characters &amp; &lt;more&gt;".to_owned(),
            hex(SECRET.as_bytes()),
            hex(SECRET.to_uppercase().as_bytes()),
            hex(percent.as_bytes()),
            STANDARD.encode(SECRET),
            STANDARD.encode(format!("Bearer {SECRET}")),
            STANDARD.encode(format!("a user:{SECRET}")),
            URL_SAFE.encode(format!("a longer user:{SECRET} and more")),
            "dXNlcjpodW50ZXIyMg==".to_owned(),
            "user:hunter22".to_owned(),
            "the password is HUNTER22".to_owned(),
        ] {
            let clean = redaction.text(&format!("before {text} behind"));
            assert!(clean.starts_with("before ") && clean.ends_with(" behind"), "{text}: {clean}");
            assert!(clean.contains(MARK), "{text}");
            // Beside the mark stands what was beside the secret, and at most three digits of it.
            assert!(clean.len() < "before  behind".len() + MARK.len() + 40, "{text}: {clean}");
        }
        assert_eq!(redaction.text("nothing of it"), "nothing of it");
    }

    #[test]
    fn what_checks_send_that_is_almost_a_key_is_taken_out_with_it() {
        const KEY: &str = "admin-0123456789abcdef";
        let redaction = Redaction::new([&format!("Bearer {KEY}"), &"Bearer short".to_owned()]);
        for near in [cut(KEY), half(KEY)] {
            assert_eq!(
                redaction.text(&format!("Bearer {}, x", near.unwrap_or("none"))),
                format!("Bearer {MARK}, x")
            );
        }
        assert_eq!((cut("short"), half("shortest")), (None, None));
        // However the scheme is written, what is sent is what is taken out.
        for value in
            [format!("bearer {KEY}"), format!("Bearer  {KEY}"), KEY.to_owned(), format!("Key {KEY} {KEY}")]
        {
            let redaction = Redaction::new([&value]);
            for near in [cut(token(&value)), half(token(&value))] {
                let near = near.unwrap_or("none");
                assert_eq!(redaction.text(&format!("({near})")), format!("({MARK})"), "{value}");
            }
        }
    }

    #[test]
    fn a_text_that_was_cut_within_a_secret_shows_nothing_of_it() {
        let redaction = Redaction::new([&SECRET.to_owned()]);
        for length in SHORTEST_START..SECRET.len() {
            let text = format!("{}{}", "x".repeat(CUT), SECRET[..length].to_uppercase());
            assert_eq!(redaction.text(&text), format!("{}{MARK}", "x".repeat(CUT)), "{length}");
        }
    }

    #[test]
    fn a_cut_secret_goes_whatever_its_characters_and_the_longest_end_of_a_text_that_may_be_one() {
        let redaction = Redaction::new([
            &"gehe\u{ef}m-\u{1f511}-schl\u{fc}ssel".to_owned(),
            &"m-\u{1f511}-other".to_owned(),
        ]);
        let text = format!("{}GEHE\u{ef}m-\u{1f511}", "\u{e9}".repeat(CUT));
        assert_eq!(redaction.text(&text), format!("{}{MARK}", "\u{e9}".repeat(CUT)));
        let text = format!("{}m-\u{1f511}-", "\u{e9}".repeat(CUT));
        assert_eq!(redaction.text(&text), format!("{}{MARK}", "\u{e9}".repeat(CUT)));
        // Short of what could be one, and something else behind it.
        for text in ["x".repeat(CUT) + "geh", "x".repeat(CUT) + "gehe\u{ef}m-?"] {
            assert_eq!(redaction.text(&text), text);
        }
    }

    #[test]
    fn what_cannot_be_looked_for_is_not_shown() {
        let blind = Redaction { forms: vec!["very-secret".into()], finder: None, ..Redaction::default() };
        assert_eq!(blind.text("a very-secret word"), MARK);
        let none = Redaction::new([]);
        assert_eq!(none.text("a word"), "a word");
    }

    #[test]
    fn the_names_of_headers_are_cleaned_too() {
        let redaction = Redaction::new([&"very-secret".to_owned()]);
        let headers = [("x-very-secret".to_owned(), "Very-Secret".to_owned())].into();
        let body = crate::event::Bytes::default();
        let message = crate::event::Message::Response { status: 200, headers, body };
        let clean = redaction.take_out(What::Received { conn: 0, message, answers: None });
        assert!(!format!("{clean:?}").to_lowercase().contains("very-secret"), "{clean:?}");
    }
}
