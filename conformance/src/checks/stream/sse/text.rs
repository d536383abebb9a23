//! How content becomes the data of events.

use super::{
    super::setting::{OTHER, Stream, TEXT, appended},
    JSON, event_stream, proven_of,
    reading::{Live, Said, text},
};
use crate::{
    check::{Cx, Outcome, alternative, answer},
    one_of,
    wire::Seen,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use wireproof_spec::stream::{header::SSE_DATA_ENCODING, requirements::*};

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
    let mut bytes = Vec::new();
    for part in said.parts() {
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
    for content in contents[1..].iter().chain(&contents[..1]) {
        let length = written.len();
        let enough = |said: &Said| said.last().is_some() && decoded(said).is_none_or(|d| d.len() >= length);
        let said = live.until(enough).await?;
        cx.expect(STREAM_SSE_17, &said, &[decodes_to(&written)])?;
        stream.appended(cx, content.to_vec()).await?;
        written.extend_from_slice(content);
    }
    let length = written.len();
    let enough = |said: &Said| said.last().is_some() && decoded(said).is_none_or(|d| d.len() >= length);
    let said = Live::open(cx, &stream, "-1").await?.until(enough).await?;
    cx.expect(STREAM_SSE_17, &said, &[decodes_to(&written)])?;
    Ok(())
}

fn decodes_to(content: &[u8]) -> crate::check::Alternative<Said> {
    let content = content.to_vec();
    let name = format!("data events that are base64, each by itself, of the {} bytes written", content.len());
    alternative(name, move |said: &Said| decoded(said).as_deref() == Some(&content))
}

/// What an event stream says of this text: to one who was there when it was appended, and to one who comes later.
async fn both_ways(cx: &Cx, parts: &[&str], length: usize) -> Outcome<Vec<Seen<Said>>> {
    let stream = Stream::create(cx, TEXT, "").await?;
    let mut live = Live::open(cx, &stream, "-1").await?;
    for part in parts {
        stream.appended(cx, part.as_bytes().to_vec()).await?;
    }
    let mut late = Live::open(cx, &stream, "-1").await?;
    Ok(vec![live.data(length).await?, late.data(length).await?])
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
        for said in both_ways(cx, &[&content], whole.len()).await? {
            let forged = forged.clone();
            let mark = format!("event: {forged}");
            let honest =
                alternative("data events that hold the text, and no event that it forms", move |s: &Said| {
                    let formed = |name: &str, data: &str| {
                        name == forged || name == "message" || (name == "control" && data.contains(&forged))
                    };
                    s.data.contains(&mark) && !s.events.iter().any(|e| formed(&e.name, &e.data))
                });
            cx.expect(STREAM_SSE_18, &said, &[honest])?;
        }
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
        for said in both_ways(cx, &[content], content.len()).await? {
            cx.expect(STREAM_SSE_19, &said, &[text(content)])?;
        }
    }
    // Several appends one behind the other, none of which may lose the ends of its lines.
    let all = texts.concat();
    for said in both_ways(cx, &texts, all.len()).await? {
        cx.expect(STREAM_SSE_19, &said, &[text(all.clone())])?;
    }
    Ok(())
}

pub(super) async fn byte_order_mark(cx: &Cx) -> Outcome {
    let parts = ["\u{feff}first", "\u{feff}second\u{feff}", "third \u{2028}\u{2029}\u{85}"];
    let all = parts.concat();
    for said in both_ways(cx, &parts, all.len()).await? {
        cx.expect(STREAM_SSE_19, &said, &[text(all.clone())])?;
    }
    Ok(())
}

pub(super) async fn carriage_returns(cx: &Cx) -> Outcome {
    for content in ["a\r\nb", "a\rb", "\r\na\r\n", "\ra\r", "a\r\rb", "a\r\n\r\nb", "a\n\rb", " a\r b\r\n c"]
    {
        let whole = content.replace("\r\n", "\n").replace('\r', "\n");
        // Of a pair that two data events share each half may be an end of its own.
        let longest = content.replace('\r', "\n");
        for said in both_ways(cx, &[content], whole.len()).await? {
            let several = |said: &Said| said.parts().count() > 1;
            let (whole, longest) = (whole.clone(), longest.clone());
            let shared = alternative(
                "the same in several data events, with one LF for each half of a pair",
                move |s: &Said| several(s) && longest.starts_with(&s.data) && s.data.len() >= whole.len(),
            );
            let alone = text(content.replace("\r\n", "\n").replace('\r', "\n"));
            cx.expect(STREAM_SSE_20, &said, &[alone, shared])?;
        }
    }
    Ok(())
}

pub(super) async fn split_character(cx: &Cx) -> Outcome {
    for character in ["\u{e9}", "\u{20ac}", "\u{1f600}"] {
        for place in 1..character.len() {
            let (first, second) = character.as_bytes().split_at(place);
            let halves = [[b"a", first].concat(), [second, b"z"].concat()];
            let whole = format!("a{character}z");
            let stream = Stream::create(cx, TEXT, "").await?;
            let mut live = Live::open(cx, &stream, "-1").await?;
            for half in halves {
                stream.appended(cx, half).await?;
                stream.settled(cx).await?;
            }
            let mut late = Live::open(cx, &stream, "-1").await?;
            for reader in [&mut live, &mut late] {
                let said = reader.data(whole.len()).await?;
                cx.expect(STREAM_SSE_21, &said, &[text(whole.clone())])?;
            }
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
            let said = reader.until(|s| s.data.ends_with("behind") && s.last().is_some()).await?;
            let replaced =
                alternative("what is text, and U+FFFD in the place of what is none", move |s: &Said| {
                    is_replaced(&s.data, &parts)
                });
            cx.expect(STREAM_SSE_22, &said, &[replaced])?;
        }
    }
    Ok(())
}

/// The messages of data events: each is an array of messages, or one message.
fn messages(said: &Said) -> Option<Vec<Value>> {
    let mut all = Vec::new();
    for part in said.parts() {
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
    // One message each, indented, and then all in one batch. In an array none is taken for several.
    for message in &written {
        let text = serde_json::to_string_pretty(&json!([message])).unwrap_or_default();
        stream.appended(cx, text).await?;
    }
    stream.appended(cx, json!(written).to_string()).await?;
    let all = [&written[..], &written].concat();
    let enough = |said: &Said| said.last().is_some() && messages(said).is_none_or(|m| m.len() >= all.len());
    let mut late = Live::open(cx, &stream, "-1").await?;
    for reader in [&mut live, &mut late] {
        let said = reader.until(enough).await?;
        let all = all.clone();
        let same = alternative("data events with exactly the messages that were written", move |s: &Said| {
            messages(s).as_ref() == Some(&all)
        });
        cx.expect(STREAM_SSE_23, &said, &[same])?;
    }
    Ok(())
}
