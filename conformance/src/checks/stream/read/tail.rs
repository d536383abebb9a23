//! What answers tell at the tail where it is easily overlooked: of messages, and where an answer is full.

use super::{longer_than_an_answer, reaches_tail};
use crate::{
    check::{Alternative, Cx, Outcome, alternative, answer},
    checks::stream::{
        json::{JSON, hold},
        setting::{Stream, TEXT, next_offset},
    },
    one_of,
};
use bytes::Bytes;
use wireproof_spec::{
    http::Response,
    stream::{
        header::{CLOSED, UP_TO_DATE},
        requirements::*,
    },
};

/// The answers that reach a tail carry this header, and there is one.
fn carried(tail: String, header: &'static str) -> Alternative<Vec<Response>> {
    let name = format!("{header}: true in each answer that ends at the tail");
    alternative(name, move |all: &Vec<Response>| {
        let mut last = all.iter().filter(|r| next_offset(r) == tail).peekable();
        last.peek().is_some() && last.all(|r| r.headers.get(header) == Some("true"))
    })
}

pub(super) async fn of_messages(cx: &Cx) -> Outcome {
    for messages in [vec![], vec!["1".to_owned(), "\"two\"".to_owned()]] {
        let stream = Stream::create(cx, JSON, format!("[{}]", messages.join(","))).await?;
        for closes in [false, true] {
            if closes {
                stream.closed(cx).await?;
            }
            let tail = stream.told_tail(cx).await?;
            for offset in ["-1", &tail] {
                let read = stream.walk(cx, offset).await?;
                let rest = if offset == "-1" { &messages[..] } else { &[] };
                cx.need(STREAM_JSON_2, &read, &[hold(rest)])?;
                cx.expect(STREAM_READ_4, &read, &[carried(tail.clone(), UP_TO_DATE)])?;
                if closes {
                    cx.expect(STREAM_READ_5, &read, &[carried(tail.clone(), CLOSED)])?;
                }
            }
        }
    }
    Ok(())
}

/// A stream with exactly as much content as one answer holds: where the first answer is full and the last one too.
pub(super) async fn full_answer(cx: &Cx) -> Outcome {
    /// If one answer holds a megabyte, its limit is not looked for any more.
    const SHORT: usize = 200;
    let (longer, content) = longer_than_an_answer(cx).await?;
    let first = cx.send(longer.read()).await?;
    let held = cx.need(STREAM_READ_1, &first, &one_of![answer(200)])?.body.len();
    let content = &content[..if held < content.len() { held } else { SHORT.min(held) }];
    let stream = Stream::create(cx, TEXT, "").await?;
    let mut tail = stream.start.clone();
    for part in content.as_bytes().chunks(16 * 1024) {
        tail = stream.appended(cx, Bytes::copy_from_slice(part)).await?;
    }
    reaches_tail(cx, STREAM_READ_4, &stream, &tail, content, UP_TO_DATE).await?;
    stream.closed(cx).await?;
    reaches_tail(cx, STREAM_READ_4, &stream, &tail, content, UP_TO_DATE).await?;
    reaches_tail(cx, STREAM_READ_5, &stream, &tail, content, CLOSED).await
}
