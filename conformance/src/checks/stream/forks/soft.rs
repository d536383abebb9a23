//! Sources that were deleted while they have forks, and what becomes of them.

use super::{Source, at, fork, forked, holding, made, sub};
use crate::{
    check::{Alternative, Cx, Hook, Outcome, answer},
    checks::stream::{
        expiry::life::LATE,
        setting::{OTHER, Stream, TEXT, closing, created, deletable, put, written},
    },
    one_of,
    wire::Seen,
};
use futures_util::future::{join, try_join_all};
use tokio::{
    task::yield_now,
    time::{Instant, sleep},
};
use wireproof_spec::{
    http::{Request, Response},
    requirement::RequirementId,
    stream::{
        header::{CLOSED, CONTENT_TYPE, FORK_SUB_OFFSET, TTL, query},
        requirements::*,
    },
};

/// Deletes a stream with forks, as set-up.
async fn deletes(cx: &Cx, stream: &Stream) -> Outcome {
    cx.need(STREAM_FORKS_29, &cx.send(stream.delete()).await?, &one_of![answer(204)])?;
    Ok(())
}

/// Whatever may ask for a stream, but for event streams.
fn asks(stream: &Stream, tail: &str) -> Vec<Request> {
    vec![
        stream.head(),
        stream.read(),
        stream.read_at(tail),
        stream.read_at("now"),
        stream.long_poll("-1"),
        stream.long_poll(tail),
        stream.append("late"),
        stream.close(),
        closing(stream.append("late")),
        stream.delete(),
    ]
}

/// Claims this of whatever asks for a stream.
async fn all(
    cx: &Cx,
    id: RequirementId,
    stream: &Stream,
    tail: &str,
    alternatives: &[Alternative<Response>],
) -> Outcome {
    for request in asks(stream, tail) {
        cx.expect(id, &cx.send(request).await?, alternatives)?;
    }
    Ok(())
}

/// Claims that a stream is soft-deleted.
async fn is_soft(cx: &Cx, stream: &Stream, tail: &str) -> Outcome {
    all(cx, STREAM_FORKS_29, stream, tail, &one_of![answer(410)]).await
}

pub(super) async fn deleted(cx: &Cx) -> Outcome {
    let closed = written(cx).await?;
    // A closed stream need not take forks (STREAM-FORKS-23): it has one from before.
    forked(cx, &closed).await?;
    closed.closed(cx).await?;
    for source in [Stream::create(cx, TEXT, "").await?, written(cx).await?, closed] {
        let tail = source.told_tail(cx).await?;
        let reply = cx.send(source.head()).await?;
        let is_closed = cx.need(STREAM_HEAD_1, &reply, &one_of![answer(200)])?.headers.get(CLOSED).is_some();
        if !is_closed {
            let forks = [forked(cx, &source).await?, forked(cx, &source).await?];
            forks[1].appended(cx, cx.token(8)).await?;
        }
        let reply = cx.send(source.delete()).await?;
        cx.expect(STREAM_FORKS_29, &reply, &one_of![answer(204)])?;
        for _ in 0..2 {
            is_soft(cx, &source, &tail).await?;
        }
    }
    Ok(())
}

pub(super) async fn chain(cx: &Cx) -> Outcome {
    let source = written(cx).await?;
    let (fork, sibling) = (forked(cx, &source).await?, forked(cx, &source).await?);
    let child = forked(cx, &fork).await?;
    // From the middle, so that a fork is soft-deleted and still holds its source.
    for stream in [&fork, &source] {
        deletes(cx, stream).await?;
        is_soft(cx, stream, &stream.start).await?;
    }
    // One of several forks is not the last.
    cx.need(STREAM_DELETE_1, &cx.send(sibling.delete()).await?, &one_of![answer(204)])?;
    for stream in [&fork, &source] {
        is_soft(cx, stream, &stream.start).await?;
    }
    cx.need(STREAM_HEAD_1, &cx.send(child.head()).await?, &one_of![answer(200)])?;
    Ok(())
}

pub(super) async fn restart(cx: &Cx) -> Outcome {
    // Deleted before the first restart, and between the two.
    let sources = [Source::new(cx, 1).await?, Source::new(cx, 2).await?];
    let mut forks = Vec::new();
    for source in &sources {
        forks.push(forked(cx, &source.stream).await?);
    }
    for (turn, source) in sources.iter().enumerate() {
        deletes(cx, &source.stream).await?;
        cx.hook(Hook::Restart).await?;
        // A server that forgets everything has kept nothing of this.
        let there = cx.http().send(forks[0].head()).await?;
        cx.need(STREAM_CONTENT_1, &there, &one_of![answer(200)])?;
        for source in &sources[..=turn] {
            is_soft(cx, &source.stream, source.tail()).await?;
        }
    }
    Ok(())
}

pub(super) async fn event_stream(cx: &Cx) -> Outcome {
    let source = written(cx).await?;
    forked(cx, &source).await?;
    deletes(cx, &source).await?;
    for offset in ["-1", "now", &source.start] {
        let reply = cx.send(source.read_at(offset).param(query::LIVE, "sse")).await?;
        cx.expect(STREAM_FORKS_29, &reply, &one_of![answer(410)])?;
    }
    Ok(())
}

pub(super) async fn taken(cx: &Cx) -> Outcome {
    for source in [written(cx).await?, Stream::create(cx, TEXT, "").await?] {
        let other = written(cx).await?;
        let puts = [
            put(&source.path, TEXT),
            put(&source.path, OTHER).body("anew"),
            closing(put(&source.path, TEXT)),
            fork(&other, &source),
        ];
        let kept = forked(cx, &source).await?;
        let content = source.content(cx).await?;
        let content = cx.need(STREAM_READ_1, &content, &[super::begin::any()])?.clone();
        cx.need(STREAM_CREATE_2, &cx.send(puts[0].clone()).await?, &one_of![answer(200)])?;
        deletes(cx, &source).await?;
        for _ in 0..2 {
            for request in &puts {
                let reply = cx.send(request.clone()).await?;
                cx.expect(STREAM_FORKS_30, &reply, &one_of![answer(409)])?;
            }
        }
        holding(cx, STREAM_FORKS_30, &kept, &content).await?;
    }
    Ok(())
}

pub(super) async fn source(cx: &Cx) -> Outcome {
    let source = Source::new(cx, 2).await?;
    let puts = |target: &Stream| {
        let whole = fork(&source.stream, target);
        let early = at(whole.clone(), &source.offsets[1]);
        [whole, sub(early.clone(), 5), early]
    };
    for request in puts(&Stream::nowhere(cx)) {
        made(cx, &source.stream, Request { path: Stream::nowhere(cx).path, ..request }).await?;
    }
    let kept = forked(cx, &source.stream).await?;
    deletes(cx, &source.stream).await?;
    let target = Stream::nowhere(cx);
    for _ in 0..2 {
        for request in puts(&target) {
            cx.expect(STREAM_FORKS_31, &cx.send(request).await?, &one_of![answer(409)])?;
        }
        cx.expect(STREAM_FORKS_31, &cx.send(target.head()).await?, &one_of![answer(404)])?;
    }
    // What it gave its forks can still be forked, from them.
    made(cx, &kept, fork(&kept, &target)).await?;
    holding(cx, STREAM_FORKS_31, &target, source.content().as_bytes()).await
}

pub(super) async fn last_gone(cx: &Cx) -> Outcome {
    let source = written(cx).await?;
    let forks = [forked(cx, &source).await?, forked(cx, &source).await?];
    let child = forked(cx, &forks[0]).await?;
    for stream in [&source, &forks[0], &forks[1]] {
        cx.need(STREAM_FORKS_29, &cx.send(stream.delete()).await?, &one_of![answer(204)])?;
    }
    cx.need(STREAM_FORKS_29, &cx.send(source.head()).await?, &one_of![answer(410)])?;
    cx.need(STREAM_FORKS_29, &cx.send(forks[0].head()).await?, &one_of![answer(410)])?;
    // With it goes everything that was kept for it.
    cx.need(STREAM_DELETE_1, &cx.send(child.delete()).await?, &one_of![answer(204)])?;
    let removed = one_of![answer(404), answer(410)];
    for stream in [&forks[0], &source] {
        cx.expect(STREAM_FORKS_32, &cx.send(stream.head()).await?, &removed)?;
        for _ in 0..2 {
            all(cx, STREAM_FORKS_33, stream, &stream.start, &removed).await?;
        }
    }
    Ok(())
}

pub(super) async fn all_gone(cx: &Cx) -> Outcome {
    for number in 0..4 {
        let source = written(cx).await?;
        let mut forks = Vec::new();
        for n in 0..number.min(2) {
            let fork = forked(cx, &source).await?;
            if n > 0 {
                fork.appended(cx, cx.token(8)).await?;
            }
            forks.push(fork);
        }
        // The third time one of them is a source too, and held until its own fork is gone.
        if number > 2 {
            forks.push(forked(cx, &forks[0]).await?);
        }
        for fork in &forks {
            cx.need(STREAM_DELETE_1, &cx.send(fork.delete()).await?, &one_of![answer(204)])?;
        }
        let reply = cx.send(source.delete()).await?;
        cx.expect(STREAM_FORKS_41, &reply, &one_of![answer(204)])?;
        // A server may look after forks that are gone in the background.
        let late = Instant::now() + LATE;
        let mut head = cx.send(source.head()).await?;
        while head.look().is_ok_and(|head| head.status == 410) && Instant::now() < late {
            sleep(LATE / 20).await;
            head = cx.send(source.head()).await?;
        }
        cx.expect(STREAM_FORKS_41, &head, &one_of![answer(404)])?;
        all(cx, STREAM_FORKS_41, &source, &source.start, &one_of![answer(404)]).await?;
    }
    Ok(())
}

/// PUTs that are refused: by which requirement, with which status, and whether they are broken in form.
fn refusals(source: &Source, taken: &[Stream]) -> Vec<(RequirementId, u16, bool, Request)> {
    let bare = |target: &Stream| fork(&source.stream, target);
    let free = Stream { path: format!("{}-fork", source.stream.path), ..source.stream.clone() };
    let mut other = bare(&free);
    other.headers.set(CONTENT_TYPE, OTHER);
    let mut all = vec![
        (STREAM_FORKS_14, 409, false, other),
        (STREAM_CREATE_19, 400, true, bare(&free).header(TTL, "+60")),
        (STREAM_FORKS_6, 400, true, at(bare(&free), "a/b")),
        (STREAM_FORKS_11, 400, true, bare(&free).header(FORK_SUB_OFFSET, "-1")),
        (STREAM_FORKS_10, 400, false, sub(at(bare(&free), &source.offsets[0]), 13)),
        (STREAM_FORKS_10, 400, false, sub(bare(&free), 1)),
    ];
    all.extend(taken.iter().map(|taken| (STREAM_FORKS_15, 409, false, bare(taken))));
    all
}

/// Claims that a stream can be deleted as one without forks.
async fn has_no_fork(cx: &Cx, stream: &Stream) -> Outcome {
    let reply = cx.send(stream.delete()).await?;
    cx.expect(STREAM_FORKS_34, &reply, &one_of![answer(204)])?;
    for request in asks(stream, &stream.start) {
        cx.expect(STREAM_FORKS_34, &cx.send(request).await?, &one_of![answer(404)])?;
    }
    Ok(())
}

/// The answer to a PUT that should be refused.
async fn refused(cx: &Cx, broken: bool, request: &Request) -> Outcome<Seen<Response>> {
    if broken { cx.send_broken(request.clone()).await } else { cx.send(request.clone()).await }
}

pub(super) async fn nothing_left(cx: &Cx) -> Outcome {
    let taken = [written(cx).await?, forked(cx, &written(cx).await?).await?];
    deletable(cx).await?;
    let number = refusals(&Source::new(cx, 1).await?, &taken).len();
    for n in 0..number {
        let source = Source::new(cx, 2).await?;
        let (id, status, broken, request) = refusals(&source, &taken).swap_remove(n);
        let reply = refused(cx, broken, &request).await?;
        // Who accepts it breaks another requirement, and has nothing to leave behind.
        if reply.look().is_ok_and(|reply| reply.status < 300) {
            continue;
        }
        for reply in [reply, refused(cx, broken, &request).await?] {
            cx.need(id, &reply, &one_of![answer(status)])?;
        }
        has_no_fork(cx, &source.stream).await?;
    }
    // Beyond its tail; and the twin, a fork that was made holds its source.
    let source = Source::new(cx, 2).await?;
    let early = at(fork(&source.stream, &Stream::nowhere(cx)), &source.offsets[1]);
    let early = made(cx, &source.stream, early).await?;
    let reply = cx.send(at(fork(&early, &Stream::nowhere(cx)), source.tail())).await?;
    cx.need(STREAM_FORKS_5, &reply, &one_of![answer(400)])?;
    deletes(cx, &source.stream).await?;
    let reply = cx.send(source.stream.head()).await?;
    cx.need(STREAM_FORKS_29, &reply, &one_of![answer(410)])?;
    has_no_fork(cx, &early).await
}

pub(super) async fn race(cx: &Cx) -> Outcome {
    const LANES: usize = 3;
    deletable(cx).await?;
    try_join_all((0..LANES).map(|_| races(cx))).await?;
    Ok(())
}

/// Lets PUTs of a fork and DELETEs of its source race, each on a connection of its own.
async fn races(cx: &Cx) -> Outcome {
    const RACES: usize = 8;
    let (mut forker, mut deleter) = (cx.http(), cx.http());
    for turn in 0..RACES {
        let (content, target) = (cx.token(16), Stream::nowhere(cx));
        let source = Stream::create(cx, TEXT, &content).await?;
        // Either of them a little later than the other.
        let (gap, fork_first) = (turn / 2, turn % 2 == 0);
        let put = async {
            pause(if fork_first { 0 } else { gap }).await;
            forker.send(fork(&source, &target)).await
        };
        let delete = async {
            pause(if fork_first { gap } else { 0 }).await;
            deleter.send(source.delete()).await
        };
        let (put, delete) = join(put, delete).await;
        let outcomes = one_of![created(), answer(404), answer(409)];
        let is_made = cx.expect(STREAM_FORKS_35, &put?, &outcomes)?.status == 201;
        cx.expect(STREAM_FORKS_35, &delete?, &one_of![answer(204)])?;
        let left = cx.send(source.head()).await?;
        if is_made {
            holding(cx, STREAM_FORKS_35, &target, content.as_bytes()).await?;
            cx.expect(STREAM_FORKS_35, &left, &one_of![answer(410)])?;
        } else {
            cx.expect(STREAM_FORKS_35, &left, &one_of![answer(404)])?;
            cx.expect(STREAM_FORKS_35, &cx.send(target.head()).await?, &one_of![answer(404)])?;
        }
    }
    Ok(())
}

/// Lets others go first so many times.
async fn pause(times: usize) {
    for _ in 0..times {
        yield_now().await;
    }
}
