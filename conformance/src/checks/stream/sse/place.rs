//! Where a reader goes on who leaves an event stream, for content of every kind.

use super::{
    super::{
        json::hold,
        setting::{OTHER, Stream, TEXT},
    },
    JSON,
    reading::{Live, Said},
    text::{decoded_parts, messages_of},
};
use crate::{
    check::{Alternative, Cx, Outcome, alternative, answer},
    one_of,
};
use bytes::Bytes;
use wireproof_spec::stream::{SseControl, requirements::*, sse::CONTROL};

/// The offset in a control event, and the data of all data events before it.
type Place = (String, Vec<String>);

/// How much data events hold, counted in what the stream is made of. What cannot be told is more than anything.
type Size = fn(&Said) -> usize;

/// A stream to which these were appended, each of a size, and what each control event says: to one who was there, and to one
/// who came later.
async fn places(
    cx: &Cx,
    media_type: &'static str,
    parts: &[(Vec<u8>, usize)],
    size: Size,
) -> Outcome<(Stream, Vec<Place>)> {
    let stream = Stream::create(cx, media_type, "").await?;
    let mut live = Live::open(cx, &stream, "-1").await?;
    let mut all = 0;
    let there = move |said: &Said, all: usize| size(said) >= all && said.last().is_some();
    for (part, more) in parts {
        stream.appended(cx, part.clone()).await?;
        all += more;
        let _ = live.until(|said| there(said, all)).await?;
    }
    let mut late = Live::open(cx, &stream, "-1").await?;
    let mut places = Vec::new();
    for reader in [&mut live, &mut late] {
        let said = reader.until(|said| there(said, all)).await?;
        let told =
            alternative("all content, and a control event behind it", move |said: &Said| there(said, all));
        let mut before = Vec::new();
        for event in cx.need(STREAM_SSE_5, &said, &[told])?.known() {
            if event.name != CONTROL {
                before.push(event.data.clone());
            } else if let Ok(control) = serde_json::from_str::<SseControl>(&event.data) {
                places.push((control.stream_next_offset.as_str().to_owned(), before.clone()));
            }
        }
    }
    Ok((stream, places))
}

/// Claims that what a control event told is an offset: that it can be read from.
pub(super) async fn accepted(cx: &Cx, stream: &Stream, offset: &str) -> Outcome {
    let read = cx.send(stream.read_at(offset)).await?;
    cx.expect(STREAM_SSE_6, &read, &one_of![answer(200)])?;
    Ok(())
}

/// Together with what was said before this is all of it.
fn completes(before: Option<Vec<u8>>, all: &[u8]) -> Alternative<Bytes> {
    let all = all.to_vec();
    alternative("what follows the data events before it, without loss or repetition", move |rest: &Bytes| {
        before.as_ref().is_some_and(|before| [&before[..], &rest[..]].concat() == all)
    })
}

pub(super) async fn in_text(cx: &Cx) -> Outcome {
    // Bytes, code units and characters are not the same number.
    let parts = ["\u{e9}", "\u{20ac}uro ", "\u{1f600}", "e\u{301}\n\n", "\u{1f468}\u{200d}\u{1f469}"]
        .map(|text| format!("{text}{}", cx.token(3)).into_bytes());
    let sized = parts.clone().map(|part| (part.clone(), part.len()));
    let (stream, places) = places(cx, TEXT, &sized, |said| said.data.len()).await?;
    for (offset, before) in places {
        accepted(cx, &stream, &offset).await?;
        let read = stream.content_from(cx, &offset).await?;
        let before = Some(before.concat().into_bytes());
        cx.expect(STREAM_SSE_6, &read, &[completes(before, &parts.concat())])?;
    }
    Ok(())
}

pub(super) async fn in_bytes(cx: &Cx) -> Outcome {
    let parts = [&b"\xff"[..], b"\0\xfe\xfd", b"\r\n\r\n", b"\x80"]
        .map(|bytes| [bytes, cx.token(3).as_bytes()].concat());
    let sized = parts.clone().map(|part| (part.clone(), part.len()));
    let size: Size = |said| decoded_parts(said.parts()).map_or(usize::MAX, |bytes| bytes.len());
    let (stream, places) = places(cx, OTHER, &sized, size).await?;
    for (offset, before) in places {
        accepted(cx, &stream, &offset).await?;
        let read = stream.content_from(cx, &offset).await?;
        let before = decoded_parts(before.iter().map(String::as_str));
        cx.expect(STREAM_SSE_6, &read, &[completes(before, &parts.concat())])?;
    }
    Ok(())
}

pub(super) async fn in_messages(cx: &Cx) -> Outcome {
    let token = format!("{:?}", cx.token(8));
    let all = ["1", "[2,[3]]", &token, "null", "{\"a\":[]}", "\"\u{20ac}\\n\""].map(str::to_owned);
    let parts = [&all[..1], &all[1..3], &all[3..]]
        .map(|some| (format!("[{}]", some.join(", ")).into_bytes(), some.len()));
    let size: Size = |said| messages_of(said.parts()).map_or(usize::MAX, |found| found.len());
    let (stream, places) = places(cx, JSON, &parts, size).await?;
    for (offset, before) in places {
        let count = messages_of(before.iter().map(String::as_str)).map_or(usize::MAX, |found| found.len());
        accepted(cx, &stream, &offset).await?;
        let read = stream.walk(cx, &offset).await?;
        match all.get(count..) {
            Some(rest) => cx.expect(STREAM_SSE_6, &read, &[hold(rest)])?,
            // More messages than were written: of those nothing follows.
            None => {
                cx.expect(STREAM_SSE_6, &read, &[alternative("no messages behind too many", |_| false)])?
            }
        };
    }
    Ok(())
}
