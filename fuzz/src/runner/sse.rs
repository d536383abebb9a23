//! Event streams of a hostile target.

use std::collections::VecDeque;
use wireproof::wire::sse::{Event, Parser};

/// Feeds the parser the bytes behind the first in pieces whose size the first tells: what comes out is what a reader of the
/// whole text finds, and does not depend on the pieces.
pub fn run(data: &[u8]) {
    let Some((size, bytes)) = data.split_first() else { return };
    // What is no UTF-8 becomes longer.
    let room = 4 * bytes.len();
    let (mut whole, mut events) = (Parser::new(room), VecDeque::new());
    assert!(whole.feed(bytes, &mut events).is_ok(), "no longer than all of it");
    let (mut pieces, mut again) = (Parser::new(room), VecDeque::new());
    for piece in bytes.chunks(usize::from(*size).max(1)) {
        assert!(pieces.feed(piece, &mut again).is_ok());
    }
    assert_eq!((&whole, &events), (&pieces, &again), "in pieces of {size}");
    let found: Vec<_> =
        events.iter().map(|Event { name, data, id, .. }| [name, data, id].map(String::clone)).collect();
    let (said, retry, is_within) = naive(bytes);
    assert_eq!(found, said);
    assert_eq!(whole.retry(), retry);
    assert_eq!(whole.is_within_event(), is_within, "{bytes:?}");
    assert!(events.iter().map(|event| event.size).sum::<u64>() <= bytes.len() as u64);

    // One that takes less ends in time, and until then finds the same.
    let longest = usize::from(*size);
    let (mut short, mut first) = (Parser::new(longest), VecDeque::new());
    let fits = short.feed(bytes, &mut first).is_ok();
    assert!(events.iter().take(first.len()).eq(first.iter()) && (!fits || first.len() == events.len()));
    assert!(first.iter().all(|event| event.name.len().max(7) + event.data.len() <= 3 * longest + 7));
}

/// Name, data and id of each event, from the whole text; the time to wait; whether it ends within an event.
fn naive(bytes: &[u8]) -> (Vec<[String; 3]>, Option<u64>, bool) {
    let whole = String::from_utf8_lossy(bytes);
    let text = whole.strip_prefix('\u{feff}').unwrap_or(&whole).replace("\r\n", "\n").replace('\r', "\n");
    let (mut found, mut name, mut data, mut id) = (Vec::new(), "", Vec::new(), "");
    let (mut retry, mut is_within) = (None, false);
    // What has no end of line is none.
    let complete = text.rfind('\n').map_or("", |last| &text[..last]);
    let behind = text.rfind('\n').map_or(&whole[..], |last| &text[last + 1..]);
    for line in complete.split('\n').filter(|_| text.contains('\n')) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        is_within = !line.is_empty() && (is_within || !line.starts_with(':'));
        match field {
            "" if line.is_empty() => {
                let named = if name.is_empty() { "message" } else { name };
                if !data.is_empty() {
                    found.push([named.to_owned(), data.join("\n"), id.to_owned()]);
                }
                (name, data) = ("", Vec::new());
            }
            "event" => name = value,
            "data" => data.push(value),
            "retry" if !value.is_empty() && value.chars().all(|c| c.is_ascii_digit()) => {
                retry = Some(value.parse().unwrap_or(u64::MAX));
            }
            "id" if !value.contains('\0') => id = value,
            _ => {}
        }
    }
    (found, retry, is_within || !behind.is_empty())
}
