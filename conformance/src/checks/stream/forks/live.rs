//! Live reading of a fork.

use super::{Source, at, fork, forked, made};
use crate::{
    check::{Cx, Outcome, alternative},
    checks::stream::{
        longpoll::{TRIES, bytes_of, in_time, prompt, soon, waiting, within},
        read::grow,
        setting::{Stream, appended, closed, closing},
        sse::reading::{Live, Said},
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
    for (request, length) in [(bare(), 36), (early, 24)] {
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
        if let Some(reply) = in_time(cx, &fork, since, waiting).await? {
            cx.expect(STREAM_FORKS_37, &reply, &one_of![bytes_of(&own)])?;
            proven += 1;
        }
        if proven == PROVEN {
            return Ok(());
        }
    }
    Err(cx.stop("the target answers too slowly to tell what ends a wait"))
}

pub(super) async fn event_stream(cx: &Cx) -> Outcome {
    for (n, offset) in [(2, "-1"), (1, "-1"), (2, "now")] {
        let mut told = false;
        for _ in 0..TRIES {
            told = hears_itself(cx, n, offset).await?;
            if told {
                break;
            }
        }
        if !told {
            return Err(cx.stop("the event streams of the target end before anything can be told from them"));
        }
    }
    Ok(())
}

/// Claims that who reads a fork live hears nothing of its source; not told if the server ended the event stream meanwhile.
async fn hears_itself(cx: &Cx, n: usize, offset: &str) -> Outcome<bool> {
    let source = Source::new(cx, 2).await?;
    let request = at(fork(&source.stream, &Stream::nowhere(cx)), &source.offsets[n]);
    let fork = made(cx, &source.stream, request).await?;
    let mut expected = if offset == "now" { String::new() } else { source.before(n) };
    let mut live = Live::open(cx, &fork, offset).await?;
    // It has begun when it has said where it is.
    let inherited = expected.len();
    let begun = live.until(move |said| said.data.len() >= inherited && said.last().is_some()).await?;
    let at_tail = alternative("all that was there", move |said: &Said| said.data.len() >= inherited);
    cx.need(STREAM_SSE_4, &begun, &[at_tail])?;
    for closes in [false, true] {
        let later = source.stream.append(cx.token(16));
        if closes {
            cx.need(STREAM_APPEND_12, &cx.send(closing(later)).await?, &one_of![closed()])?;
        } else {
            cx.need(STREAM_APPEND_1, &cx.send(later).await?, &one_of![appended()])?;
        }
        fork.settled(cx).await?;
        let own = cx.token(12);
        fork.appended(cx, own.clone()).await?;
        let so_far = expected.clone();
        expected.push_str(&own);
        let heard = live.until(move |said| said.data.contains(&own)).await?;
        if heard.look().is_ok_and(|said| said.ended && !says_closed(said) && so_far.starts_with(&said.data)) {
            return Ok(false);
        }
        let whole = expected.clone();
        let name = format!("the data {whole:?}, and no word of closure");
        let holds = alternative(name, move |said: &Said| said.data == whole && !says_closed(said));
        cx.expect(STREAM_FORKS_38, &heard, &[holds])?;
    }
    Ok(true)
}

fn says_closed(said: &Said) -> bool {
    said.places().iter().filter_map(|place| place.control.as_ref()).any(|control| control.stream_closed)
}
