//! The parser of event streams, and the peer that reads one.

use proptest::{collection::vec, prelude::*};
use std::collections::VecDeque;
use wireproof::wire::sse::{Event, Parser, TooLong};

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
