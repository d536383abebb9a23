//! Checks of "Sse" in spec/stream.md.

mod crowd;
mod end;
mod place;
pub mod reading;
mod text;

use super::setting::{OTHER, Stream, TEXT, holds, next_offset, proven, written};
use crate::{
    check::{Answer, Breaks, Check, Cx, Need, Outcome, Waits, alternative, answer},
    drives, one_of,
    wire::Seen,
};
use reading::{Live, Said, text};
use wireproof_spec::{
    http::Response,
    stream::{
        header::{CONTENT_TYPE, query},
        requirements::*,
        sse::{CONTROL, DATA},
    },
};

/// The limit that says how long the server keeps an event stream open.
const LIMIT: &str = "sse-ms";
const FEATURE: &str = "stream.sse";
const JSON: &str = "application/json";

pub(super) const CHECKS: &[Check] = &[
    Check::new("stream/sse/media-type", &[STREAM_SSE_1], drives!(media_type)),
    Check::new("stream/sse/no-offset", &[STREAM_SSE_2], drives!(no_offset)),
    Check::new("stream/sse/missing-stream", &[STREAM_SSE_3], drives!(missing_stream)),
    Check::new("stream/sse/content", &[STREAM_SSE_4], drives!(content)),
    Check::new("stream/sse/control-behind-data", &[STREAM_SSE_5], drives!(control_behind_data)),
    Check::new("stream/sse/read-on", &[STREAM_SSE_6], drives!(read_on)),
    Check::new("stream/sse/read-on-in-text", &[STREAM_SSE_6], drives!(place::in_text)),
    Check::new("stream/sse/read-on-in-bytes", &[STREAM_SSE_6], drives!(place::in_bytes)),
    Check::new("stream/sse/read-on-in-messages", &[STREAM_SSE_6], drives!(place::in_messages)),
    Check::new("stream/sse/cursor", &[STREAM_SSE_7], drives!(cursor)),
    Check::new("stream/sse/cursor-passes", &[STREAM_SSE_8], drives!(cursor_passes)),
    Check::new("stream/sse/up-to-date", &[STREAM_SSE_9], drives!(up_to_date)),
    Check::new("stream/sse/not-yet-up-to-date", &[STREAM_SSE_10], drives!(not_yet_up_to_date))
        .needs(&[Need::AtLeast("retained-bytes", 250_000), Need::AtLeast("max-body-bytes", 40_960)]),
    Check::new("stream/sse/last-bytes", &[STREAM_SSE_11], drives!(end::last_bytes)),
    Check::new("stream/sse/last-bytes-awaited", &[STREAM_SSE_11], drives!(end::last_bytes_awaited)),
    Check::new("stream/sse/ends-behind-closed", &[STREAM_SSE_12], drives!(end::ends)),
    Check::new("stream/sse/closed-meanwhile", &[STREAM_SSE_13], drives!(end::closed_meanwhile)),
    Check::new("stream/sse/closed-beside", &[STREAM_SSE_13], drives!(crowd::closed_beside)),
    Check::new("stream/sse/closed-tail", &[STREAM_SSE_14], drives!(end::closed_tail)),
    Check::new("stream/sse/now-on-closed", &[STREAM_SSE_15], drives!(end::now_on_closed)),
    Check::new("stream/sse/encoding", &[STREAM_SSE_16], drives!(text::encoding)),
    Check::new("stream/sse/base64", &[STREAM_SSE_17], drives!(text::base64)),
    Check::new("stream/sse/forged-events", &[STREAM_SSE_18], drives!(text::forged_events)),
    Check::new("stream/sse/line-feeds", &[STREAM_SSE_19], drives!(text::line_feeds)),
    Check::new("stream/sse/long-text", &[STREAM_SSE_19], drives!(text::long_text))
        .needs(&[Need::AtLeast("retained-bytes", 400_000)]),
    Check::new("stream/sse/byte-order-mark", &[STREAM_SSE_19], drives!(text::byte_order_mark)),
    Check::new("stream/sse/carriage-returns", &[STREAM_SSE_20], drives!(text::carriage_returns)),
    Check::new("stream/sse/split-character", &[STREAM_SSE_21], drives!(text::split_character)),
    Check::new("stream/sse/no-utf-8", &[STREAM_SSE_22], drives!(text::no_utf_8)),
    Check::new("stream/sse/no-utf-8-last", &[STREAM_SSE_22, STREAM_SSE_9], drives!(text::no_utf_8_last)),
    Check::new("stream/sse/json", &[STREAM_SSE_23], drives!(text::json)),
    Check::new("stream/sse/lifetime", &[STREAM_SSE_24], drives!(end::lifetime))
        .needs(&[Need::Limit(LIMIT)])
        .waits(Waits::Limit(LIMIT, 2)),
    Check::new("stream/sse/append-race", &[STREAM_SSE_25], drives!(crowd::append_race)),
    Check::new("stream/sse/equal-readers", &[STREAM_SSE_26], drives!(crowd::equal_readers)),
    Check::new("stream/sse/now", &[STREAM_SSE_27], drives!(now)),
    Check::new("stream/sse/slow-reader", &[STREAM_SSE_28], drives!(crowd::slow_reader)),
    Check::new("stream/sse/vanished-readers", &[STREAM_SSE_28], drives!(crowd::vanished_readers)),
    Check::new("stream/sse/deleted", &[STREAM_SSE_29], drives!(end::deleted)),
    Check::new("stream/sse/successor", &[STREAM_SSE_4], drives!(end::successor)),
    Check::new("stream/sse/absent", &[STREAM_SSE_30], drives!(absent))
        .needs(&[Need::Feature(FEATURE, "off")]),
];

/// The head of an event stream.
fn event_stream() -> Answer {
    answer(200).and("Content-Type text/event-stream", |r: &Response| {
        let found = r.headers.get(CONTENT_TYPE).and_then(|t| t.split(';').next());
        found.is_some_and(|t| t.trim().eq_ignore_ascii_case("text/event-stream"))
    })
}

/// A stream of this media type with a random message in it that was read back.
async fn proven_of(cx: &Cx, media_type: &'static str) -> Outcome<Stream> {
    let message = cx.token(32);
    if media_type == JSON {
        let stream = Stream::create(cx, JSON, format!("[{message:?}]")).await?;
        let read = stream.content(cx).await?;
        let same = alternative("the message that was written", move |read: &bytes::Bytes| {
            // A read takes several answers, each an array.
            let arrays = serde_json::Deserializer::from_slice(read).into_iter::<Vec<String>>();
            let found: Result<Vec<_>, _> = arrays.collect();
            found.is_ok_and(|found| found.concat() == [message.as_str()])
        });
        cx.need(STREAM_READ_1, &read, &[same])?;
        return Ok(stream);
    }
    let stream = Stream::create(cx, media_type, &message).await?;
    let read = stream.content(cx).await?;
    cx.need(STREAM_READ_1, &read, &[holds(message)])?;
    Ok(stream)
}

/// A closed stream with a random token in it that was read back: an event stream on it ends by itself.
async fn proven_closed(cx: &Cx) -> Outcome<Stream> {
    let stream = proven(cx).await?;
    stream.closed(cx).await?;
    Ok(stream)
}

async fn media_type(cx: &Cx) -> Outcome {
    for media_type in [TEXT, OTHER, JSON] {
        let stream = proven_of(cx, media_type).await?;
        for offset in ["-1", "now"] {
            let head = cx.sse(stream.sse(offset)).await?.head().await?;
            cx.expect(STREAM_SSE_1, &head, &one_of![event_stream()])?;
        }
    }
    // A server may have nothing to say at the tail, and then not even a head, before something is appended.
    let stream = proven(cx).await?;
    let mut waiting = cx.sse(stream.sse(&stream.start)).await?;
    stream.appended(cx, cx.token(16)).await?;
    cx.expect(STREAM_SSE_1, &waiting.head().await?, &one_of![event_stream()])?;
    let closed = proven_closed(cx).await?;
    let head = cx.sse(closed.sse("-1")).await?.head().await?;
    cx.expect(STREAM_SSE_1, &head, &one_of![event_stream()])?;
    Ok(())
}

async fn no_offset(cx: &Cx) -> Outcome {
    cx.refused(
        STREAM_SSE_2,
        Breaks::Form,
        proven_closed,
        |stream| stream.sse("-1"),
        |_, request| request.query.remove(query::OFFSET),
        (STREAM_SSE_1, &one_of![event_stream()]),
        &one_of![answer(400)],
    )
    .await
}

async fn missing_stream(cx: &Cx) -> Outcome {
    let nowhere = Stream::nowhere(cx);
    for offset in ["-1", "now"] {
        cx.refused(
            STREAM_SSE_3,
            Breaks::Fit,
            proven_closed,
            |stream| stream.sse(offset),
            |_, request| request.path = nowhere.path.clone(),
            (STREAM_SSE_1, &one_of![event_stream()]),
            &one_of![answer(404)],
        )
        .await?;
    }
    Ok(())
}

/// An event stream from every place of a stream holds what is behind it, and goes on with what is appended.
async fn content(cx: &Cx) -> Outcome {
    let mut content = cx.token(24);
    let stream = Stream::create(cx, TEXT, &content).await?;
    let mut places = vec![("-1".to_owned(), 0), (stream.start.clone(), content.len())];
    let mut tail = stream.start.clone();
    for _ in 0..2 {
        let more = cx.token(24);
        tail = stream.appended(cx, more.clone()).await?;
        content.push_str(&more);
        places.push((tail.clone(), content.len()));
    }
    let mut readers = Vec::new();
    for (offset, before) in places {
        readers.push((Live::open(cx, &stream, &offset).await?, before));
    }
    for turn in 0..4 {
        for (reader, before) in &mut readers {
            let rest = &content[*before..];
            if turn > 0 || !rest.is_empty() {
                let said = reader.to(&tail, rest.len()).await?;
                cx.expect(STREAM_SSE_4, &said, &[text(rest)])?;
            }
        }
        let more = cx.token(24);
        tail = stream.appended(cx, more.clone()).await?;
        content.push_str(&more);
    }
    // To the end: what would come twice comes before it.
    stream.closed(cx).await?;
    for (reader, before) in &mut readers {
        let said = reader.end().await?;
        cx.expect(STREAM_SSE_4, &said, &[text(&content[*before..])])?;
    }
    Ok(())
}

async fn control_behind_data(cx: &Cx) -> Outcome {
    let stream = written(cx).await?;
    for _ in 0..4 {
        stream.appended(cx, cx.token(24)).await?;
    }
    let mut reader = Live::open(cx, &stream, "-1").await?;
    for turn in 0..4 {
        reader.needed(16 + 24 * (4 + turn)).await?;
        stream.appended(cx, cx.token(24)).await?;
    }
    stream.closed(cx).await?;
    let mut all = vec![reader.end().await?];
    // Several messages at once, each of which may come by itself.
    for media_type in [JSON, OTHER] {
        let stream = Stream::create(cx, media_type, "[1, \"two\", [3]]").await?;
        stream.appended(cx, "[{\"four\": 4}, 5]").await?;
        stream.closed(cx).await?;
        all.push(Live::open(cx, &stream, "-1").await?.end().await?);
    }
    for said in all {
        let each = alternative("data events, and a control event behind each of them", |said: &Said| {
            let names: Vec<&str> = said.known().map(|e| e.name.as_str()).collect();
            let followed = |(at, name): (usize, &&str)| *name != DATA || names.get(at + 1) == Some(&CONTROL);
            names.contains(&DATA) && names.iter().enumerate().all(followed)
        });
        cx.expect(STREAM_SSE_5, &said, &[each])?;
    }
    Ok(())
}

async fn read_on(cx: &Cx) -> Outcome {
    let mut content = cx.token(24);
    let stream = Stream::create(cx, TEXT, &content).await?;
    let mut first = Live::open(cx, &stream, "-1").await?;
    for _ in 0..3 {
        let more = cx.token(24);
        stream.appended(cx, more.clone()).await?;
        content.push_str(&more);
        let said = first.data(content.len()).await?;
        cx.need(STREAM_SSE_4, &said, &[text(content.clone())])?;
    }
    let said = first.controlled(content.len()).await?;
    let shaped = alternative("control events with streamNextOffset", |said: &Said| {
        said.places().iter().all(|p| p.control.is_some())
    });
    let places = cx.need(STREAM_MESSAGE_11, &said, &[shaped])?.places();
    // The first ones, the last ones, and some between.
    let step = (places.len() / 4).max(1);
    let chosen = places.iter().take(2).chain(places.iter().step_by(step)).chain(places.last());
    let more = cx.token(24);
    let mut readers = Vec::new();
    for place in chosen {
        let Some(control) = &place.control else { continue };
        let offset = control.stream_next_offset.as_str();
        let rest = content[place.behind..].to_owned();
        place::accepted(cx, &stream, offset).await?;
        let read = stream.content_from(cx, offset).await?;
        cx.expect(STREAM_SSE_6, &read, &[holds(rest.clone())])?;
        readers.push((Live::open(cx, &stream, offset).await?, format!("{rest}{more}")));
    }
    let tail = stream.appended(cx, more).await?;
    for (mut reader, rest) in readers {
        let said = reader.to(&tail, rest.len()).await?;
        cx.expect(STREAM_SSE_6, &said, &[text(rest)])?;
    }
    Ok(())
}

/// What event streams of every kind on an open stream say: at the start, at now, and at the tail as it grows.
async fn open_kinds(
    cx: &Cx,
    ask: impl Fn(&Stream, &str) -> wireproof_spec::http::Request,
) -> Outcome<Vec<Seen<Said>>> {
    let stream = proven(cx).await?;
    let mut readers = Vec::new();
    for (offset, before) in [("-1", 32), ("now", 0)] {
        let mut reader = Live::of(cx, cx.sse(ask(&stream, offset)).await?);
        let _ = reader.controlled(before).await?;
        readers.push((reader, before));
    }
    readers.push((Live::of(cx, cx.sse(ask(&stream, &stream.start)).await?), 0));
    let mut all = Vec::new();
    for turn in 1..=3 {
        stream.appended(cx, cx.token(16)).await?;
        for (reader, before) in &mut readers {
            all.push(reader.controlled(*before + 16 * turn).await?);
        }
    }
    Ok(all)
}

async fn cursor(cx: &Cx) -> Outcome {
    for said in open_kinds(cx, Stream::sse).await? {
        let each = alternative("control events, each with a streamCursor", |said: &Said| {
            let with = |p: &reading::Place| p.control.as_ref().is_some_and(|c| c.stream_cursor.is_some());
            !said.places().is_empty() && said.places().iter().all(with)
        });
        cx.expect(STREAM_SSE_7, &said, &[each])?;
    }
    Ok(())
}

async fn cursor_passes(cx: &Cx) -> Outcome {
    /// Two months, in intervals of 20 seconds: no server comes there by itself, also one that counts its answers.
    const AHEAD: u64 = 262_144;
    /// More than 32 bits.
    const LARGE: u64 = 5_000_000_000;
    let stream = proven(cx).await?;
    let said = Live::open(cx, &stream, "-1").await?.controlled(32).await?;
    let told = |said: &Said| said.last()?.stream_cursor?.as_str().parse::<u64>().ok();
    let has_cursor = alternative("a control event with a streamCursor", move |s: &Said| told(s).is_some());
    let Some(current) = told(cx.need(STREAM_SSE_7, &said, &[has_cursor])?) else { return Ok(()) };
    // At the server's own, a little and far ahead of it. Where the server's own has passed it meanwhile, that is greater.
    for theirs in [current, current.saturating_add(1), current.saturating_add(AHEAD), current.max(LARGE)] {
        for said in open_kinds(cx, |s, offset| s.sse(offset).param(query::CURSOR, theirs.to_string())).await?
        {
            let name = format!("control events, each with a streamCursor beyond {theirs}");
            let beyond = alternative(name, move |said: &Said| {
                let passes = |p: &reading::Place| {
                    let cursor = p.control.as_ref().and_then(|c| c.stream_cursor.as_ref());
                    // More digits than a number of ours has are more.
                    cursor.is_some_and(|c| c.as_str().parse().map_or(true, |n: u64| n > theirs))
                };
                !said.places().is_empty() && said.places().iter().all(passes)
            });
            cx.expect(STREAM_SSE_8, &said, &[beyond])?;
        }
    }
    Ok(())
}

async fn up_to_date(cx: &Cx) -> Outcome {
    let up_to_date = || {
        alternative("upToDate in a control event behind the last bytes", |said: &Said| {
            said.last().is_some_and(|c| c.up_to_date)
        })
    };
    let mut content = cx.token(40);
    let stream = Stream::create(cx, TEXT, &content).await?;
    let mut reader = Live::open(cx, &stream, "-1").await?;
    for _ in 0..4 {
        let said = reader.data(content.len()).await?;
        cx.need(STREAM_SSE_4, &said, &[text(content.clone())])?;
        let said = reader.until(|said| said.last().is_some_and(|c| c.up_to_date)).await?;
        cx.expect(STREAM_SSE_9, &said, &[up_to_date()])?;
        let more = cx.token(40);
        stream.appended(cx, more.clone()).await?;
        content.push_str(&more);
    }
    for media_type in [JSON, OTHER] {
        let stream = Stream::create(cx, media_type, "[1, 2]").await?;
        let mut reader = Live::open(cx, &stream, "-1").await?;
        for data in 1..=3 {
            let here =
                |said: &Said| said.parts().count() >= data && said.last().is_some_and(|c| c.up_to_date);
            let said = reader.until(here).await?;
            cx.expect(STREAM_SSE_9, &said, &[up_to_date()])?;
            stream.appended(cx, "[3, [4]]").await?;
        }
    }
    Ok(())
}

async fn not_yet_up_to_date(cx: &Cx) -> Outcome {
    for (appends, length) in [(8, 40), (6, 40 * 1024)] {
        let part = cx.token(40).repeat(length / 40);
        let stream = Stream::create(cx, TEXT, &part).await?;
        for _ in 1..appends {
            stream.appended(cx, part.clone()).await?;
        }
        let all = appends * length;
        let said = Live::open(cx, &stream, "-1").await?.controlled(all).await?;
        cx.need(STREAM_SSE_4, &said, &[text(part.repeat(appends))])?;
        let none_early = alternative("upToDate behind all content and not before", move |said: &Said| {
            let early =
                |p: &reading::Place| p.behind < all && p.control.as_ref().is_some_and(|c| c.up_to_date);
            !said.places().iter().any(early)
        });
        let said = cx.expect(STREAM_SSE_10, &said, &[none_early])?;
        // Where little is already too much for one event, more shows nothing new.
        if said.parts().count() > 1 && said.parts().count() != appends {
            return Ok(());
        }
    }
    Ok(())
}

async fn now(cx: &Cx) -> Outcome {
    for content in ["", "something"] {
        let stream = Stream::create(cx, TEXT, content).await?;
        let mut tail = stream.start.clone();
        for _ in 0..3 {
            let mut reader = Live::open(cx, &stream, "now").await?;
            let said = reader.until(|said| said.known().next().is_some()).await?;
            let expected = tail.clone();
            let at_tail = alternative(
                format!("first a control event with upToDate and streamNextOffset {tail:?}"),
                move |said: &Said| {
                    let first = said.last().filter(|_| said.data.is_empty());
                    first.is_some_and(|c| c.up_to_date && c.stream_next_offset.as_str() == expected)
                },
            );
            cx.expect(STREAM_SSE_27, &said, &[at_tail])?;
            let mut later = String::new();
            for _ in 0..2 {
                let more = cx.token(16);
                tail = stream.appended(cx, more.clone()).await?;
                later.push_str(&more);
                let said = reader.to(&tail, later.len()).await?;
                cx.expect(STREAM_SSE_27, &said, &[text(later.clone())])?;
            }
        }
    }
    Ok(())
}

async fn absent(cx: &Cx) -> Outcome {
    let stream = proven(cx).await?;
    for offset in ["-1", "now"] {
        let head = cx.sse(stream.sse(offset)).await?.head().await?;
        let refused = one_of![answer(400), answer(405), answer(501)];
        cx.expect(STREAM_SSE_30, &head, &refused)?;
    }
    Ok(())
}

/// The tail as a HEAD tells it, and that the stream is closed.
async fn closed_at(cx: &Cx, stream: &Stream) -> Outcome<String> {
    let head = cx.send(stream.head()).await?;
    let closed = answer(200).with(wireproof_spec::stream::header::CLOSED, "true");
    Ok(next_offset(cx.need(STREAM_HEAD_3, &head, &one_of![closed])?))
}
