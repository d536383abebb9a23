//! Offsets that source and fork share.

use super::{Source, at, fork, made};
use crate::{
    check::{Cx, Outcome, answer},
    checks::stream::setting::{Stream, created, holds, next_offset},
    one_of,
};
use wireproof_spec::stream::{header::NEXT_OFFSET, requirements::*};

/// A fork that begins at the offset of this number, and the PUT's own claim: its tail is that of the source there.
async fn fork_at(cx: &Cx, source: &Source, of: &Stream, n: usize) -> Outcome<Stream> {
    let offset = &source.offsets[n];
    let target = Stream { media_type: of.media_type, start: offset.clone(), ..Stream::nowhere(cx) };
    let reply = cx.send(at(fork(of, &target), offset)).await?;
    cx.expect(STREAM_FORKS_28, &reply, &one_of![created().with(NEXT_OFFSET, offset)])?;
    let reply = cx.send(target.head()).await?;
    cx.expect(STREAM_FORKS_28, &reply, &one_of![answer(200).with(NEXT_OFFSET, offset)])?;
    Ok(target)
}

/// Claims that what the source gave out reads the same on the fork, and what the fork gives out the same on the source.
async fn shared(cx: &Cx, source: &Source, fork: &Stream, n: usize, own: &str) -> Outcome {
    for (k, offset) in source.offsets[..=n].iter().enumerate() {
        let rest = fork.content_from(cx, offset).await?;
        let expected = source.parts[k..n].concat() + own;
        cx.expect(STREAM_FORKS_28, &rest, &[holds(expected)])?;
    }
    let inherited = source.before(n).len();
    let all = source.content();
    let walked = fork.walk(cx, "-1").await?;
    let mut before = 0;
    for reply in cx.need(STREAM_READ_2, &walked, &[super::begin::answers()])? {
        before += reply.body.len();
        if before <= inherited {
            let rest = source.stream.content_from(cx, &next_offset(reply)).await?;
            cx.expect(STREAM_FORKS_28, &rest, &[holds(all[before..].to_owned())])?;
        }
    }
    Ok(())
}

pub(super) async fn offsets(cx: &Cx) -> Outcome {
    let source = Source::new(cx, 3).await?;
    for n in 0..=3 {
        let fork = fork_at(cx, &source, &source.stream, n).await?;
        shared(cx, &source, &fork, n, "").await?;
        let own = cx.token(8);
        fork.appended(cx, own.clone()).await?;
        shared(cx, &source, &fork, n, &own).await?;
    }
    Ok(())
}

pub(super) async fn chain(cx: &Cx) -> Outcome {
    let source = Source::new(cx, 4).await?;
    let mut of = made(cx, &source.stream, fork(&source.stream, &Stream::nowhere(cx))).await?;
    for n in [3, 2, 2] {
        // Each inherits from the one before what that inherited itself, and nothing of its own.
        of.appended(cx, cx.token(8)).await?;
        of = fork_at(cx, &source, &of, n).await?;
        shared(cx, &source, &of, n, "").await?;
    }
    Ok(())
}
