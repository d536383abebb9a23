//! Checks of "Forks" in spec/stream.md.

mod again;
mod begin;
mod life;
mod live;
mod long;
mod own;
mod place;
mod refused;
mod soft;

use super::setting::{Stream, TEXT, created, holds, next_offset};
use crate::{
    check::{Check, Cx, Hook, Lane, Need, Outcome, Waits, answer},
    drives, one_of,
};
use bytes::Bytes;
use wireproof_spec::{
    http::Request,
    requirement::RequirementId,
    stream::{
        header::{CONTENT_TYPE, FORK_OFFSET, FORK_SUB_OFFSET, FORKED_FROM},
        requirements::*,
    },
};

pub(super) const CHECKS: &[Check] = &[
    Check::new("stream/forks/at-tail", &[STREAM_FORKS_1], drives!(begin::at_tail)),
    Check::new("stream/forks/odd-content", &[STREAM_FORKS_1, STREAM_FORKS_7], drives!(begin::odd_content)),
    Check::new("stream/forks/at-offset", &[STREAM_FORKS_2], drives!(begin::at_offset)),
    Check::new("stream/forks/long", &[STREAM_FORKS_2], drives!(begin::long))
        .needs(&[Need::AtLeast("retained-bytes", 200_000), Need::AtLeast("max-body-bytes", 49_152)]),
    Check::new("stream/forks/missing-source", &[STREAM_FORKS_3], drives!(refused::missing_source)),
    Check::new("stream/forks/expired-source", &[STREAM_FORKS_4], drives!(life::expired_source))
        .waits(Waits::Millis(5_000)),
    Check::new("stream/forks/beyond-tail", &[STREAM_FORKS_5], drives!(refused::beyond_tail)),
    Check::new("stream/forks/impossible-offset", &[STREAM_FORKS_6], drives!(refused::impossible_offset)),
    Check::new("stream/forks/bytes", &[STREAM_FORKS_7], drives!(begin::bytes)),
    Check::new("stream/forks/messages", &[STREAM_FORKS_8], drives!(begin::messages)),
    Check::new("stream/forks/long-append", &[STREAM_FORKS_7, STREAM_FORKS_10], drives!(long::append)).needs(
        &[
            Need::AtLeast("retained-bytes", 2 * long::BYTES as u64),
            Need::AtLeast("max-body-bytes", long::BYTES as u64),
        ],
    ),
    Check::new("stream/forks/long-array", &[STREAM_FORKS_8, STREAM_FORKS_10], drives!(long::array)).needs(&[
        Need::AtLeast("retained-bytes", 2 * (long::MESSAGES * long::MESSAGE) as u64),
        Need::AtLeast("max-body-bytes", (long::MESSAGES * long::MESSAGE) as u64),
    ]),
    Check::new("stream/forks/no-sub-offset", &[STREAM_FORKS_9], drives!(begin::no_sub_offset)),
    Check::new("stream/forks/beyond-append", &[STREAM_FORKS_10], drives!(refused::beyond_append)),
    Check::new("stream/forks/beyond-messages", &[STREAM_FORKS_10], drives!(refused::beyond_messages)),
    Check::new("stream/forks/impossible-sub-offset", &[STREAM_FORKS_11], drives!(refused::impossible_sub)),
    Check::new("stream/forks/no-source", &[STREAM_FORKS_12], drives!(refused::no_source)),
    Check::new("stream/forks/sub-offset-alone", &[STREAM_FORKS_12], drives!(refused::sub_offset_alone)),
    Check::new("stream/forks/media-type-inherited", &[STREAM_FORKS_13], drives!(begin::media_type)),
    Check::new("stream/forks/other-media-type", &[STREAM_FORKS_14], drives!(refused::other_media_type)),
    Check::new("stream/forks/taken", &[STREAM_FORKS_15], drives!(again::taken)),
    Check::new("stream/forks/repeated", &[STREAM_FORKS_16], drives!(again::repeated)),
    Check::new("stream/forks/repeated-bare", &[STREAM_FORKS_17], drives!(again::repeated_bare)),
    Check::new("stream/forks/other-offset", &[STREAM_FORKS_18], drives!(again::other_offset)),
    Check::new("stream/forks/other-source", &[STREAM_FORKS_19], drives!(again::other_source)),
    Check::new("stream/forks/other-sub-offset", &[STREAM_FORKS_20], drives!(again::other_sub_offset)),
    Check::new("stream/forks/producers", &[STREAM_FORKS_21], drives!(own::producers)),
    Check::new("stream/forks/seq", &[STREAM_FORKS_22], drives!(own::seq)),
    Check::new("stream/forks/of-closed", &[STREAM_FORKS_23], drives!(own::of_closed)),
    Check::new("stream/forks/open", &[STREAM_FORKS_24], drives!(own::open)),
    Check::new("stream/forks/lifetime-inherited", &[STREAM_FORKS_25], drives!(life::inherited))
        .waits(Waits::Millis(6_000)),
    Check::new("stream/forks/lifetime", &[STREAM_FORKS_26], drives!(life::own)).waits(Waits::Millis(5_000)),
    Check::new("stream/forks/outlives", &[STREAM_FORKS_26], drives!(life::outlives))
        .waits(Waits::Millis(5_000)),
    Check::new("stream/forks/own-ways", &[STREAM_FORKS_27], drives!(own::ways)),
    Check::new("stream/forks/source-trimmed", &[STREAM_FORKS_27], drives!(own::source_trimmed))
        .needs(&[Need::Feature("stream.retention", "on"), Need::Limit("retained-bytes")]),
    Check::new("stream/forks/siblings", &[STREAM_FORKS_27], drives!(own::siblings)),
    Check::new("stream/forks/restart", &[STREAM_FORKS_27], drives!(own::restart))
        .needs(&[Need::Hook(Hook::Restart)])
        .lane(Lane::Alone),
    Check::new("stream/forks/offsets", &[STREAM_FORKS_28], drives!(place::offsets)),
    Check::new("stream/forks/offsets-in-chain", &[STREAM_FORKS_28], drives!(place::chain)),
    Check::new("stream/forks/soft-deleted", &[STREAM_FORKS_29], drives!(soft::deleted)),
    Check::new("stream/forks/soft-deleted-chain", &[STREAM_FORKS_29], drives!(soft::chain)),
    Check::new("stream/forks/soft-deleted-restart", &[STREAM_FORKS_29], drives!(soft::restart))
        .needs(&[Need::Hook(Hook::Restart)])
        .lane(Lane::Alone),
    Check::new("stream/forks/soft-deleted-sse", &[STREAM_FORKS_29], drives!(soft::event_stream))
        .needs(&[Need::Feature("stream.sse", "on")]),
    Check::new("stream/forks/soft-deleted-taken", &[STREAM_FORKS_30], drives!(soft::taken)),
    Check::new("stream/forks/of-soft-deleted", &[STREAM_FORKS_31], drives!(soft::source)),
    Check::new("stream/forks/last-gone", &[STREAM_FORKS_32, STREAM_FORKS_33], drives!(soft::last_gone)),
    Check::new("stream/forks/all-gone", &[STREAM_FORKS_41], drives!(soft::all_gone)),
    Check::new("stream/forks/nothing-left", &[STREAM_FORKS_34], drives!(soft::nothing_left)),
    Check::new("stream/forks/race", &[STREAM_FORKS_35], drives!(soft::race)),
    Check::new("stream/forks/long-poll-at-once", &[STREAM_FORKS_36], drives!(live::at_once)),
    Check::new("stream/forks/long-poll-waits", &[STREAM_FORKS_37], drives!(live::waits)),
    Check::new("stream/forks/event-stream", &[STREAM_FORKS_38], drives!(live::event_stream))
        .needs(&[Need::Feature("stream.sse", "on")]),
    Check::new("stream/forks/one-array", &[STREAM_FORKS_39], drives!(begin::one_array)),
    Check::new("stream/forks/none", &[STREAM_FORKS_40], drives!(begin::none))
        .needs(&[Need::Feature("stream.forks", "off")]),
];

/// The media type of streams of messages.
const JSON: &str = "application/json";

/// A PUT that forks this source at its tail. It tells the media type, so that inheriting it is a matter of those checks alone
/// that are about it.
pub(super) fn fork(source: &Stream, target: &Stream) -> Request {
    bare(source, target).header(CONTENT_TYPE, source.media_type)
}

/// The same, with everything left to be inherited.
fn bare(source: &Stream, target: &Stream) -> Request {
    Request::new("PUT", &target.path).header(FORKED_FROM, &source.path)
}

/// At this offset of the source.
fn at(request: Request, offset: &str) -> Request {
    request.header(FORK_OFFSET, offset)
}

/// So far behind that.
fn sub(request: Request, by: usize) -> Request {
    request.header(FORK_SUB_OFFSET, by.to_string())
}

/// A stream that was written in several appends.
struct Source {
    stream: Stream,
    /// What each append wrote.
    parts: Vec<String>,
    /// The offset before each of them, and the tail.
    offsets: Vec<String>,
}

impl Source {
    /// Of so many appends of 12 bytes each, that were read back.
    async fn new(cx: &Cx, appends: usize) -> Outcome<Self> {
        let stream = Stream::create(cx, TEXT, "").await?;
        let mut source = Self { offsets: vec![stream.start.clone()], stream, parts: Vec::new() };
        for _ in 0..appends {
            source.grow(cx).await?;
        }
        let read = source.stream.content(cx).await?;
        cx.need(STREAM_READ_1, &read, &[holds(source.content())])?;
        Ok(source)
    }

    /// Appends once more.
    async fn grow(&mut self, cx: &Cx) -> Outcome {
        let part = cx.token(12);
        self.offsets.push(self.stream.appended(cx, part.clone()).await?);
        self.parts.push(part);
        Ok(())
    }

    /// Everything before the offset of this number.
    fn before(&self, n: usize) -> String {
        self.parts[..n.min(self.parts.len())].concat()
    }

    /// Everything.
    fn content(&self) -> String {
        self.parts.concat()
    }

    /// The offset behind everything.
    fn tail(&self) -> &str {
        self.offsets.last().map_or("", String::as_str)
    }
}

/// A fork that this PUT makes of a source, as set-up.
async fn made(cx: &Cx, source: &Stream, request: Request) -> Outcome<Stream> {
    let path = request.path.clone();
    let reply = cx.send(request).await?;
    let start = next_offset(cx.need(STREAM_FORKS_1, &reply, &one_of![created()])?);
    Ok(Stream { path, media_type: source.media_type, start })
}

/// A fork of a source at its tail, as set-up.
async fn forked(cx: &Cx, source: &Stream) -> Outcome<Stream> {
    made(cx, source, fork(source, &Stream::nowhere(cx))).await
}

/// Claims that this PUT makes a fork that begins with this content, and goes on behind it as any stream does.
async fn begins(
    cx: &Cx,
    id: RequirementId,
    source: &Stream,
    request: Request,
    content: &[u8],
) -> Outcome<Stream> {
    let path = request.path.clone();
    let reply = cx.send(request).await?;
    let start = next_offset(cx.expect(id, &reply, &one_of![created()])?);
    let fork = Stream { path, media_type: source.media_type, start };
    holding(cx, id, &fork, content).await?;
    let more = cx.token(8);
    fork.appended(cx, more.clone()).await?;
    holding(cx, id, &fork, &[content, more.as_bytes()].concat()).await?;
    Ok(fork)
}

/// Claims that a stream can be read, and holds exactly this.
async fn holding(cx: &Cx, id: RequirementId, stream: &Stream, content: &[u8]) -> Outcome {
    cx.expect(id, &cx.send(stream.read()).await?, &one_of![answer(200)])?;
    let read = stream.content(cx).await?;
    cx.expect(id, &read, &[holds(Bytes::copy_from_slice(content))])?;
    Ok(())
}
