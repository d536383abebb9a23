//! Live reading of a fork.

use super::{Source, at, fork, forked, made, sub};
use crate::{
    check::{Cx, Outcome},
    checks::stream::{
        longpoll::{TRIES, before_timeout, bytes_of, limit, prompt, soon, waiting, within},
        read::grow,
        setting::{Stream, appended, closed, closing},
    },
    one_of,
};
use std::time::Instant;
use wireproof_spec::stream::requirements::*;

pub(super) async fn at_once(cx: &Cx) -> Outcome {
    let source = Source::new(cx, 3).await?;
    let content = source.content();
    let bare = || fork(&source.stream, &Stream::nowhere(cx));
    let early = at(bare(), &source.offsets[2]);
    for (request, length) in [(bare(), 36), (early, 24), (sub(at(bare(), &source.offsets[1]), 5), 17)] {
        let fork = made(cx, &source.stream, request).await?;
        let inside = source.offsets.iter().enumerate().map(|(n, offset)| (&**offset, 12 * n));
        for (offset, before) in inside.chain([("-1", 0)]).filter(|(_, before)| *before < length) {
            let (reply, took) = prompt(cx, &fork, fork.long_poll(offset)).await?;
            cx.expect(STREAM_FORKS_36, &reply, &one_of![bytes_of(&content[before..length])])?;
            cx.expect(STREAM_FORKS_36, &took, &[within(soon(cx))])?;
        }
    }
    Ok(())
}

pub(super) async fn waits(cx: &Cx) -> Outcome {
    const PROVEN: usize = 3;
    let mut proven = 0;
    for turn in 0..TRIES {
        let source = Source::new(cx, 1).await?.stream;
        let fork = forked(cx, &source).await?;
        let since = Instant::now();
        let waiting = waiting(cx, &fork, &fork.start).await?;
        let later = source.append(cx.token(16));
        if turn % 2 == 0 {
            cx.need(STREAM_APPEND_1, &cx.send(later).await?, &one_of![appended()])?;
        } else {
            cx.need(STREAM_APPEND_12, &cx.send(closing(later)).await?, &one_of![closed()])?;
        }
        fork.settled(cx).await?;
        let own = cx.token(16);
        grow(cx, &fork, &own).await?;
        let early = since.elapsed() < soon(cx);
        let seen = waiting.timed().await?;
        // Who may have been answered by the timeout proves nothing.
        if early || seen.look().is_ok_and(|(_, took)| before_timeout(limit(cx), *took)) {
            cx.expect(STREAM_FORKS_37, &seen.map(|(reply, _)| reply), &one_of![bytes_of(&own)])?;
            proven += 1;
        }
        if proven == PROVEN {
            return Ok(());
        }
    }
    Err(cx.stop("the target answers too slowly to tell what ends a wait"))
}
