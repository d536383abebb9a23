//! How content becomes the data of events.

use super::{
    super::setting::{OTHER, Stream, TEXT, appended, next_offset},
    JSON, event_stream, proven_of,
    reading::{Live, Said, text},
};
use crate::{
    check::{Alternative, Cx, Outcome, alternative, answer},
    one_of,
    wire::sse::Event,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use wireproof_spec::{
    requirement::RequirementId,
    stream::{header::SSE_DATA_ENCODING, requirements::*, sse::CONTROL},
};

pub(super) async fn encoding(cx: &Cx) -> Outcome {
    let plain =
        [TEXT, "text/csv", "text/html; charset=utf-8", "Text/Plain", JSON, "Application/JSON; charset=utf-8"];
    let encoded =
        [OTHER, "image/png", "application/xml", "application/vnd.test+json", "application/x-ndjson"];
    try_join_all(plain.map(async |media_type| has_encoding(cx, media_type, false).await)).await?;
    try_join_all(encoded.map(async |media_type| has_encoding(cx, media_type, true).await)).await?;
    Ok(())
}

async fn has_encoding(cx: &Cx, media_type: &'static str, encoded: bool) -> Outcome {
    let is_json = media_type.to_ascii_lowercase().starts_with(JSON);
    let stream = match is_json {
        true => Stream::create(cx, media_type, "[1]").await?,
        false => Stream::create(cx, media_type, "[1]\n").await?,
    };
    let expected = match encoded {
        true => event_stream().with(SSE_DATA_ENCODING, "base64"),
        false => event_stream().without(SSE_DATA_ENCODING),
    };
    for offset in ["-1", "now"] {
        let head = cx.sse(stream.sse(offset)).await?.head().await?;
        cx.expect(STREAM_SSE_16, &head, &one_of![expected.clone()])?;
    }
    // What is said of the type holds for a server that keeps what it is given.
    proven_of(cx, if is_json { JSON } else { TEXT }).await.map(|_| ())
}

/// What the data events decode to, if each is base64 by itself.
fn decoded(said: &Said) -> Option<Vec<u8>> {
    decoded_parts(said.parts())
}

pub(super) fn decoded_parts<'a>(parts: impl Iterator<Item = &'a str>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend(STANDARD.decode(part.replace(['\r', '\n'], "")).ok()?);
    }
    Some(bytes)
}

pub(super) async fn base64(cx: &Cx) -> Outcome {
    let all: Vec<u8> = (0..=255).collect();
    // Lengths with and without padding, and bytes of which both alphabets make different digits.
    let contents = [&all[..], b"\xfb\xff", b"\xfb\xef\xbe", b"\0", b"abcd", b"\r\n\r\nevent: control\n"];
    let stream = Stream::create(cx, OTHER, contents[0]).await?;
    let mut live = Live::open(cx, &stream, "-1").await?;
    let mut written = contents[0].to_vec();
    let enough = |said: &Said, length: usize| decoded(said).is_none_or(|bytes| bytes.len() >= length);
    for content in contents[1..].iter().chain(&contents[..1]) {
        let said = live.until(|said| enough(said, written.len())).await?;
        cx.expect(STREAM_SSE_17, &said, &[decodes_to(&written)])?;
        stream.appended(cx, content.to_vec()).await?;
        written.extend_from_slice(content);
    }
    let said = Live::open(cx, &stream, "-1").await?.until(|said| enough(said, written.len())).await?;
    cx.expect(STREAM_SSE_17, &said, &[decodes_to(&written)])?;
    Ok(())
}

fn decodes_to(content: &[u8]) -> Alternative<Said> {
    let content = content.to_vec();
    let name = format!("data events that are base64, each by itself, of the {} bytes written", content.len());
    alternative(name, move |said: &Said| decoded(said).as_deref() == Some(&content))
}

/// Claims what an event stream says of text that is appended in these parts: to one who was there, and to one who comes later.
async fn both_ways(
    cx: &Cx,
    requirement: RequirementId,
    parts: &[&[u8]],
    length: usize,
    alternatives: &[Alternative<Said>],
) -> Outcome {
    let stream = Stream::create(cx, TEXT, "").await?;
    let mut live = Live::open(cx, &stream, "-1").await?;
    let mut tail = stream.start.clone();
    for part in parts {
        tail = stream.appended(cx, part.to_vec()).await?;
    }
    let mut late = Live::open(cx, &stream, "-1").await?;
    for reader in [&mut live, &mut late] {
        cx.expect(requirement, &reader.to(&tail, length).await?, alternatives)?;
    }
    Ok(())
}

pub(super) async fn forged_events(cx: &Cx) -> Outcome {
    for end in ["\n", "\r\n", "\r"] {
        let forged = cx.token(16);
        let control = json!({"streamNextOffset": forged, "upToDate": true, "streamClosed": true});
        let lines = [
            "before",
            "",
            "event: control",
            &format!("data: {control}"),
            "",
            &format!("event: {forged}"),
            "data: x",
            "",
            &format!("data: {forged}"),
            "",
            "id: 1",
            "retry: 1",
            ": x",
            "",
            "",
            "behind",
        ];
        let content = lines.join(end);
        let whole = content.replace("\r\n", "\n").replace('\r', "\n");
        let mark = format!("event: {forged}");
        let honest =
            alternative("data events that hold the text, and no event that it forms", move |said: &Said| {
                let formed = |e: &Event| {
                    e.name == forged || e.name == "message" || (e.name == CONTROL && e.data.contains(&forged))
                };
                said.data.contains(&mark) && !said.events.iter().any(formed)
            });
        both_ways(cx, STREAM_SSE_18, &[content.as_bytes()], whole.len(), &[honest]).await?;
    }
    Ok(())
}

pub(super) async fn line_feeds(cx: &Cx) -> Outcome {
    let texts = [
        "a\nb",
        "\na",
        "a\n",
        "\n",
        "\n\n\n",
        "\n\na\n\n\nb\n\n",
        " a\n  b \n\tc\t\n ",
        ": a\n:b\ndata: c\n",
    ];
    for content in texts {
        both_ways(cx, STREAM_SSE_19, &[content.as_bytes()], content.len(), &[text(content)]).await?;
    }
    // Several appends one behind the other, none of which may lose the ends of its lines.
    let all = texts.concat();
    both_ways(cx, STREAM_SSE_19, &texts.map(str::as_bytes), all.len(), &[text(all.clone())]).await
}

/// Text that a server takes apart: the place of a cut may lie within a character.
pub(super) async fn long_text(cx: &Cx) -> Outcome {
    /// Characters of one to four bytes, ten together: few of the usual sizes of a buffer are a multiple of that.
    const TEN: &str = "\u{e9}\u{20ac}\u{1f600}x";
    /// Longer appends some servers may not want.
    const PIECE: usize = 1_600;
    // Until it comes in several events, if ever.
    for tens in [40_usize, 1_600, 32_000] {
        let stream = Stream::create(cx, TEXT, "").await?;
        let mut tail = stream.start.clone();
        for piece in 0..tens.div_ceil(PIECE) {
            tail = stream.appended(cx, TEN.repeat(PIECE.min(tens - piece * PIECE))).await?;
        }
        let said = Live::open(cx, &stream, "-1").await?.to(&tail, tens * TEN.len()).await?;
        let said = cx.expect(STREAM_SSE_19, &said, &[text(TEN.repeat(tens))])?;
        if said.parts().count() > 1 && said.parts().count() != tens.div_ceil(PIECE) {
            return Ok(());
        }
    }
    Ok(())
}

pub(super) async fn byte_order_mark(cx: &Cx) -> Outcome {
    let parts = ["\u{feff}first", "\u{feff}second\u{feff}", "third \u{2028}\u{2029}\u{85}"];
    let all = parts.concat();
    both_ways(cx, STREAM_SSE_19, &parts.map(str::as_bytes), all.len(), &[text(all.clone())]).await
}

pub(super) async fn carriage_returns(cx: &Cx) -> Outcome {
    for content in ["a\r\nb", "a\rb", "\r\na\r\n", "\ra\r", "a\r\rb", "a\r\n\r\nb", "a\n\rb", " a\r b\r\n c"]
    {
        let whole = content.replace("\r\n", "\n").replace('\r', "\n");
        // Of a pair that two data events share each half may be an end of its own.
        let longest = content.replace('\r', "\n");
        let least = whole.len();
        let shared = alternative(
            "the same in several data events, with one LF for each half of a pair between two",
            move |said: &Said| {
                said.parts().count() > 1 && longest.starts_with(&said.data) && said.data.len() >= least
            },
        );
        let alternatives = [text(whole), shared];
        both_ways(cx, STREAM_SSE_20, &[content.as_bytes()], least, &alternatives).await?;
    }
    Ok(())
}

pub(super) async fn split_character(cx: &Cx) -> Outcome {
    for character in ["\u{e9}", "\u{20ac}", "\u{1f600}"] {
        for place in 1..character.len() {
            let (first, second) = character.as_bytes().split_at(place);
            let (first, second) = ([b"a", first].concat(), [second, b"z"].concat());
            let whole = format!("a{character}z");
            let parts = [&first[..], &second];
            both_ways(cx, STREAM_SSE_21, &parts, whole.len(), &[text(whole.clone())]).await?;
            // One byte after the other.
            let bytes: Vec<&[u8]> = whole.as_bytes().chunks(1).collect();
            both_ways(cx, STREAM_SSE_21, &bytes, whole.len(), &[text(whole.clone())]).await?;
        }
    }
    Ok(())
}

/// Whether a text is these parts with one or more U+FFFD between each two.
fn is_replaced(found: &str, parts: &[&str]) -> bool {
    let mut rest = found;
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            let Some(behind) = rest.strip_prefix('\u{fffd}') else { return false };
            rest = behind.trim_start_matches('\u{fffd}');
        }
        let Some(behind) = rest.strip_prefix(part) else { return false };
        rest = behind;
    }
    rest.is_empty()
}

pub(super) async fn no_utf_8(cx: &Cx) -> Outcome {
    let parts = ["before", "between", "\u{20ac}", "behind"];
    for wrong in [&b"\xff"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"\xe2\x82", b"\x80"] {
        let stream = Stream::create(cx, TEXT, "").await?;
        let mut live = Live::open(cx, &stream, "-1").await?;
        let content = parts.map(str::as_bytes).join(wrong);
        let reply = cx.send(stream.append(content)).await?;
        if cx.expect(STREAM_SSE_22, &reply, &one_of![appended(), answer(400)])?.status == 400 {
            continue;
        }
        let mut late = Live::open(cx, &stream, "-1").await?;
        for reader in [&mut live, &mut late] {
            let said = reader.until(|said| said.data.ends_with("behind")).await?;
            let replaced =
                alternative("what is text, and U+FFFD in the place of what is none", move |s: &Said| {
                    is_replaced(&s.data, &parts)
                });
            cx.expect(STREAM_SSE_22, &said, &[replaced])?;
        }
    }
    Ok(())
}

/// Bytes at the very end that begin no character, so that there is nothing to wait for.
pub(super) async fn no_utf_8_last(cx: &Cx) -> Outcome {
    for wrong in [&b"\xff"[..], b"\xc0", b"\x80", b"\xed\xa0", b"\xf5"] {
        let before = cx.token(8);
        let stream = Stream::create(cx, TEXT, &before).await?;
        let mut live = Live::open(cx, &stream, "-1").await?;
        live.needed(before.len()).await?;
        let reply = cx.send(stream.append([b"ab", wrong].concat())).await?;
        let accepted = cx.expect(STREAM_SSE_22, &reply, &one_of![appended(), answer(400)])?;
        if accepted.status == 400 {
            continue;
        }
        let tail = next_offset(accepted);
        let mut late = Live::open(cx, &stream, "-1").await?;
        let text = format!("{before}ab");
        for reader in [&mut live, &mut late] {
            let (text, tail) = (text.clone(), tail.clone());
            let said = reader.until(|said| said.data.ends_with('\u{fffd}')).await?;
            let replaced =
                alternative("the text, and U+FFFD in the place of what is none", move |s: &Said| {
                    is_replaced(&s.data, &[&text, ""])
                });
            cx.expect(STREAM_SSE_22, &said, &[replaced])?;
            let is_there = move |said: &Said| {
                said.last().is_some_and(|c| c.up_to_date && c.stream_next_offset.as_str() == tail)
            };
            let said = reader.until(is_there.clone()).await?;
            let told = alternative("a control event with upToDate and the offset of the tail", is_there);
            cx.expect(STREAM_SSE_9, &said, &[told])?;
        }
    }
    Ok(())
}

/// The messages of data events: each is an array of messages, or one message.
fn messages(said: &Said) -> Option<Vec<Value>> {
    messages_of(said.parts())
}

pub(super) fn messages_of<'a>(parts: impl Iterator<Item = &'a str>) -> Option<Vec<Value>> {
    let mut all = Vec::new();
    for part in parts {
        match serde_json::from_str(part).ok()? {
            Value::Array(messages) => all.extend(messages),
            message => all.push(message),
        }
    }
    Some(all)
}

pub(super) async fn json(cx: &Cx) -> Outcome {
    let token = cx.token(8);
    let written = [
        json!({"id": 1, "token": token}),
        json!("a\nb\r\n\n\revent: control\n\n"),
        json!([1, [2, 3]]),
        json!([]),
        json!(null),
        json!(7),
        json!({"list": [{}], "text": "\u{e9}\u{20ac}\u{1f600}"}),
    ];
    let stream = Stream::create(cx, JSON, "").await?;
    let mut live = Live::open(cx, &stream, "-1").await?;
    let enough = |said: &Said, count: usize| messages(said).is_none_or(|found| found.len() >= count);
    // One message each, indented, and then all in one batch. In an array none is taken for several.
    for (count, message) in written.iter().enumerate() {
        let text = serde_json::to_string_pretty(&json!([message])).unwrap_or_default();
        stream.appended(cx, text).await?;
        let _ = live.until(|said| enough(said, count + 1)).await?;
    }
    stream.appended(cx, json!(written).to_string()).await?;
    let all = [&written[..], &written].concat();
    let mut late = Live::open(cx, &stream, "-1").await?;
    for reader in [&mut live, &mut late] {
        let said = reader.until(|said| enough(said, all.len())).await?;
        let all = all.clone();
        let same = alternative("data events with exactly the messages that were written", move |s: &Said| {
            messages(s).as_ref() == Some(&all)
        });
        cx.expect(STREAM_SSE_23, &said, &[same])?;
    }
    Ok(())
}
