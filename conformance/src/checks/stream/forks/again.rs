//! PUTs on a URL that is taken.

use super::{Source, at, bare, fork, forked, holding, made, sub};
use crate::{
    check::{Cx, Outcome, answer},
    checks::stream::setting::{Stream, TEXT, closing, created, holds, put, written},
    one_of,
};
use wireproof_spec::{
    http::Request,
    requirement::RequirementId,
    stream::{
        header::{CLOSED, EXPIRES_AT, FORK_OFFSET, FORK_SUB_OFFSET, FORKED_FROM, NEXT_OFFSET, TTL},
        requirements::*,
    },
};

/// A fork that says all of itself, and what it holds.
struct Made {
    fork: Stream,
    by: Request,
    content: String,
}

impl Made {
    /// By this PUT of a source, which begins with this content, with something of its own behind.
    async fn new(cx: &Cx, source: &Stream, by: Request, begin: String) -> Outcome<Self> {
        let fork = made(cx, source, by.clone()).await?;
        let own = cx.token(8);
        fork.appended(cx, own.clone()).await?;
        Ok(Self { fork, by, content: begin + &own })
    }

    /// Claims that this PUT conflicts with the fork and leaves it as it was, and that the one that made it still finds it.
    async fn conflicts(&self, cx: &Cx, id: RequirementId, other: Request) -> Outcome {
        let found = one_of![answer(200)];
        cx.need(STREAM_FORKS_16, &cx.send(self.by.clone()).await?, &found)?;
        cx.expect(id, &cx.send(other).await?, &one_of![answer(409)])?;
        holding(cx, id, &self.fork, self.content.as_bytes()).await?;
        cx.expect(id, &cx.send(self.by.clone()).await?, &found)?;
        Ok(())
    }
}

pub(super) async fn taken(cx: &Cx) -> Outcome {
    let source = Source::new(cx, 1).await?;
    let (free, plain) = (Stream::nowhere(cx), cx.token(12));
    let made = made(cx, &source.stream, fork(&source.stream, &free)).await?;
    cx.need(STREAM_READ_1, &made.content(cx).await?, &[holds(source.content())])?;
    // What is there is no fork, although it may hold the same.
    for content in [source.content(), plain] {
        let taken = Stream::create(cx, TEXT, &content).await?;
        for request in [fork(&source.stream, &taken), at(fork(&source.stream, &taken), source.tail())] {
            cx.expect(STREAM_FORKS_15, &cx.send(request).await?, &one_of![answer(409)])?;
            holding(cx, STREAM_FORKS_15, &taken, content.as_bytes()).await?;
        }
    }
    other_fork(cx, &source).await
}

/// Forks that differ in what every stream has too.
async fn other_fork(cx: &Cx, source: &Source) -> Outcome {
    let whole = || at(fork(&source.stream, &Stream::nowhere(cx)), source.tail());
    let mortal = Made::new(cx, &source.stream, whole().header(TTL, "3600"), source.content()).await?;
    let mut other = mortal.by.clone();
    other.headers.set(TTL, "7200");
    mortal.conflicts(cx, STREAM_FORKS_15, other.clone()).await?;
    other.headers.remove(TTL);
    other.headers.set(EXPIRES_AT, "2099-01-01T00:00:00Z");
    mortal.conflicts(cx, STREAM_FORKS_15, other).await?;

    let plain = Made::new(cx, &source.stream, whole(), source.content()).await?;
    plain.conflicts(cx, STREAM_FORKS_15, plain.by.clone().header(TTL, "3600")).await?;
    plain.conflicts(cx, STREAM_FORKS_15, closing(plain.by.clone())).await?;
    plain.conflicts(cx, STREAM_FORKS_15, put(&plain.fork.path, TEXT)).await?;
    let head = cx.send(plain.fork.head()).await?;
    cx.expect(STREAM_FORKS_15, &head, &one_of![answer(200).without(CLOSED)])?;
    Ok(())
}

pub(super) async fn repeated(cx: &Cx) -> Outcome {
    let mut source = Source::new(cx, 2).await?;
    let bare = || fork(&source.stream, &Stream::nowhere(cx));
    let offsets = source.offsets.clone();
    let puts = [
        (at(bare(), &offsets[2]), 24),
        (at(bare(), &offsets[0]), 0),
        (sub(at(bare(), &offsets[1]), 5), 17),
        (at(bare(), &offsets[1]).header(TTL, "3600"), 12),
    ];
    let content = source.content();
    for (by, length) in puts {
        let mut made = Made::new(cx, &source.stream, by, content[..length].to_owned()).await?;
        for _ in 0..2 {
            let tail = made.fork.told_tail(cx).await?;
            let reply = cx.send(made.by.clone()).await?;
            cx.expect(STREAM_FORKS_16, &reply, &one_of![answer(200).with(NEXT_OFFSET, tail)])?;
            holding(cx, STREAM_FORKS_16, &made.fork, made.content.as_bytes()).await?;
            // Neither the fork nor its source stays what it was.
            let own = cx.token(8);
            made.fork.appended(cx, own.clone()).await?;
            made.content.push_str(&own);
            source.grow(cx).await?;
        }
    }
    Ok(())
}

pub(super) async fn repeated_bare(cx: &Cx) -> Outcome {
    let mut source = Source::new(cx, 1).await?;
    let mortal = Stream::nowhere(cx);
    let content = cx.token(12);
    let reply = cx.send(put(&mortal.path, TEXT).header(TTL, "3600").body(content.clone())).await?;
    cx.need(STREAM_CREATE_1, &reply, &one_of![created()])?;
    for (of, content) in [(source.stream.clone(), source.content()), (mortal, content)] {
        let target = Stream::nowhere(cx);
        let bare = bare(&of, &target);
        cx.need(STREAM_FORKS_13, &cx.send(bare.clone()).await?, &one_of![created()])?;
        for grows in [true, false] {
            let reply = cx.send(bare.clone()).await?;
            cx.expect(STREAM_FORKS_17, &reply, &one_of![answer(200)])?;
            holding(cx, STREAM_FORKS_17, &target, content.as_bytes()).await?;
            if grows {
                of.appended(cx, cx.token(12)).await?;
            }
        }
    }
    // With each of them left out alone.
    source.grow(cx).await?;
    let all = at(bare(&source.stream, &Stream::nowhere(cx)), &source.offsets[1]);
    for by in [all.clone(), all.header(TTL, "3600")] {
        let by = Request { path: Stream::nowhere(cx).path, ..by };
        cx.need(STREAM_FORKS_13, &cx.send(by.clone()).await?, &one_of![created()])?;
        cx.expect(STREAM_FORKS_17, &cx.send(by).await?, &one_of![answer(200)])?;
    }
    Ok(())
}

pub(super) async fn other_offset(cx: &Cx) -> Outcome {
    let source = Source::new(cx, 3).await?;
    for n in [1, 2] {
        let by = at(fork(&source.stream, &Stream::nowhere(cx)), &source.offsets[n]);
        let fork = Made::new(cx, &source.stream, by, source.before(n)).await?;
        for other in (0..=3).filter(|other| *other != n) {
            let mut request = fork.by.clone();
            request.headers.set(FORK_OFFSET, &*source.offsets[other]);
            fork.conflicts(cx, STREAM_FORKS_18, request).await?;
        }
    }
    // By default it was the tail.
    let fork = forked(cx, &source.stream).await?;
    let request = at(super::fork(&source.stream, &fork), &source.offsets[1]);
    cx.expect(STREAM_FORKS_18, &cx.send(request).await?, &one_of![answer(409)])?;
    holding(cx, STREAM_FORKS_18, &fork, source.content().as_bytes()).await
}

pub(super) async fn other_source(cx: &Cx) -> Outcome {
    let content = cx.token(16);
    let source = Stream::create(cx, TEXT, &content).await?;
    // Another of equal content, and the fork's own sibling and child.
    let by = fork(&source, &Stream::nowhere(cx));
    let fork = Made::new(cx, &source, by, content.clone()).await?;
    let others = [
        Stream::create(cx, TEXT, &content).await?,
        forked(cx, &source).await?,
        forked(cx, &fork.fork).await?,
        written(cx).await?,
    ];
    for other in others {
        let mut request = fork.by.clone();
        request.headers.set(FORKED_FROM, &*other.path);
        fork.conflicts(cx, STREAM_FORKS_19, request).await?;
    }
    Ok(())
}

pub(super) async fn other_sub_offset(cx: &Cx) -> Outcome {
    let source = Source::new(cx, 2).await?;
    for (by, others) in [("5", ["4", "6", "0"]), ("0", ["1", "5", "12"])] {
        let request = at(fork(&source.stream, &Stream::nowhere(cx)), &source.offsets[1]);
        let request = request.header(FORK_SUB_OFFSET, by);
        let length = 12 + by.parse().unwrap_or(0);
        let fork = Made::new(cx, &source.stream, request, source.content()[..length].to_owned()).await?;
        for other in others {
            let mut request = fork.by.clone();
            request.headers.set(FORK_SUB_OFFSET, other);
            fork.conflicts(cx, STREAM_FORKS_20, request.clone()).await?;
        }
        if by != "0" {
            let mut request = fork.by.clone();
            request.headers.remove(FORK_SUB_OFFSET);
            fork.conflicts(cx, STREAM_FORKS_20, request).await?;
        }
    }
    Ok(())
}
