//! PUTs that make no fork.

use super::{JSON, Source, at, fork, made, sub};
use crate::{
    check::{Alternative, Breaks, Cx, Outcome, answer},
    checks::stream::setting::{OTHER, Stream, TEXT, created, written},
    one_of,
};
use wireproof_spec::{
    http::{Request, Response},
    requirement::RequirementId,
    stream::{
        header::{CONTENT_TYPE, FORK_OFFSET, FORK_SUB_OFFSET, FORKED_FROM},
        requirements::*,
    },
};

/// What is accepted where nothing is broken.
fn accepted() -> (RequirementId, Vec<Alternative<Response>>) {
    (STREAM_FORKS_1, one_of![created()])
}

/// A source and a free URL.
struct Pair {
    source: Source,
    target: Stream,
}

impl Pair {
    async fn new(cx: &Cx) -> Outcome<Self> {
        Ok(Self { source: Source::new(cx, 2).await?, target: Stream::nowhere(cx) })
    }

    /// A fork at the tail.
    fn fork(&self) -> Request {
        fork(&self.source.stream, &self.target)
    }

    /// A fork at the offset of this number.
    fn at(&self, n: usize) -> Request {
        at(self.fork(), &self.source.offsets[n])
    }
}

/// Claims that breaking this in a valid PUT has it refused with this status.
async fn refused(
    cx: &Cx,
    (id, status): (RequirementId, u16),
    breaks: Breaks,
    valid: impl Fn(&Pair) -> Request,
    broken: impl Fn(&Pair, &mut Request),
) -> Outcome {
    let (stands_on, accepted) = accepted();
    cx.refused(id, breaks, Pair::new, valid, broken, (stands_on, &accepted), &one_of![answer(status)]).await
}

pub(super) async fn missing_source(cx: &Cx) -> Outcome {
    let gone = written(cx).await?;
    cx.need(STREAM_DELETE_1, &cx.send(gone.delete()).await?, &one_of![answer(204)])?;
    for missing in [Stream::nowhere(cx), gone] {
        let breaks = |_: &Pair, request: &mut Request| request.headers.set(FORKED_FROM, &*missing.path);
        refused(cx, (STREAM_FORKS_3, 404), Breaks::Fit, Pair::fork, breaks).await?;
    }
    Ok(())
}

/// A fork that took so many parts of its source, and a free URL.
struct Short {
    source: Source,
    fork: Stream,
    target: Stream,
}

impl Short {
    async fn new(cx: &Cx, parts: usize) -> Outcome<Self> {
        let source = Source::new(cx, 2).await?;
        let request = at(fork(&source.stream, &Stream::nowhere(cx)), &source.offsets[parts]);
        Ok(Self { fork: made(cx, &source.stream, request).await?, source, target: Stream::nowhere(cx) })
    }
}

pub(super) async fn beyond_tail(cx: &Cx) -> Outcome {
    // The one offset that is surely beyond a tail: one of the source, behind the place where a fork left it.
    for parts in [0, 1] {
        let (stands_on, accepted) = accepted();
        cx.refused(
            STREAM_FORKS_5,
            Breaks::Fit,
            move |cx| Short::new(cx, parts),
            |short| at(fork(&short.fork, &short.target), &short.fork.start),
            |short, request| request.headers.set(FORK_OFFSET, short.source.tail()),
            (stands_on, &accepted),
            &one_of![answer(400)],
        )
        .await?;
    }
    // That of a longer stream, where it is beyond this tail too: offsets are ordered as text.
    let longer = Source::new(cx, 6).await?;
    let pair = Pair::new(cx).await?;
    if longer.tail() > pair.source.tail() {
        let reply = cx.send(at(pair.fork(), longer.tail())).await?;
        cx.expect(STREAM_FORKS_5, &reply, &one_of![answer(400)])?;
        cx.need(STREAM_FORKS_2, &cx.send(pair.at(2)).await?, &one_of![created()])?;
    }
    Ok(())
}

pub(super) async fn impossible_offset(cx: &Cx) -> Outcome {
    for character in [',', '&', '=', '?', '/'] {
        let breaks = |pair: &Pair, request: &mut Request| {
            let (mut token, middle) = (pair.source.offsets[1].clone(), pair.source.offsets[1].len() / 2);
            let place = (0..=middle).rev().find(|at| token.is_char_boundary(*at)).unwrap_or(0);
            token.insert(place, character);
            request.headers.set(FORK_OFFSET, token);
        };
        refused(cx, (STREAM_FORKS_6, 400), Breaks::Form, |pair| pair.at(1), breaks).await?;
    }
    Ok(())
}

pub(super) async fn beyond_append(cx: &Cx) -> Outcome {
    // By one byte, with another append behind and without; far beyond everything; where a counter may overflow.
    for (n, by) in [(0, "13"), (1, "13"), (0, "25"), (0, "4294967297"), (1, "18446744073709551615")] {
        let breaks = |_: &Pair, request: &mut Request| request.headers.set(FORK_SUB_OFFSET, by);
        refused(cx, (STREAM_FORKS_10, 400), Breaks::Fit, |pair| sub(pair.at(n), 12), breaks).await?;
    }
    // At the tail, given and by default, there is nothing behind.
    let breaks = |_: &Pair, request: &mut Request| request.headers.set(FORK_SUB_OFFSET, "1");
    refused(cx, (STREAM_FORKS_10, 400), Breaks::Fit, |pair| pair.at(2), breaks).await?;
    refused(cx, (STREAM_FORKS_10, 400), Breaks::Fit, Pair::fork, breaks).await?;
    within_fork(cx).await
}

/// A fork that took a part of an append ends there, whatever its source holds.
async fn within_fork(cx: &Cx) -> Outcome {
    let source = Source::new(cx, 2).await?;
    let request = sub(at(fork(&source.stream, &Stream::nowhere(cx)), &source.offsets[1]), 5);
    let of = made(cx, &source.stream, request).await?;
    let request = at(fork(&of, &Stream::nowhere(cx)), &source.offsets[1]);
    let reply = cx.send(sub(request.clone(), 6)).await?;
    cx.expect(STREAM_FORKS_10, &reply, &one_of![answer(400)])?;
    cx.need(STREAM_FORKS_7, &cx.send(sub(request, 5)).await?, &one_of![created()])?;
    Ok(())
}

pub(super) async fn beyond_messages(cx: &Cx) -> Outcome {
    let token = cx.token(8);
    let batches = async |cx: &Cx| {
        let source = Stream::create(cx, JSON, "").await?;
        source.appended(cx, format!(r#"["{token}",[1,2],3]"#)).await?;
        source.appended(cx, "[4,5]").await?;
        Ok((source, Stream::nowhere(cx)))
    };
    for by in ["4", "5", "6"] {
        let (stands_on, accepted) = accepted();
        cx.refused(
            STREAM_FORKS_10,
            Breaks::Fit,
            &batches,
            |(source, target)| sub(at(fork(source, target), &source.start), 3),
            |_, request| request.headers.set(FORK_SUB_OFFSET, by),
            (stands_on, &accepted),
            &one_of![answer(400)],
        )
        .await?;
    }
    Ok(())
}

pub(super) async fn impossible_sub(cx: &Cx) -> Outcome {
    for by in ["-1", "1.5", "1x", "one", "1 2"] {
        let breaks = |_: &Pair, request: &mut Request| request.headers.set(FORK_SUB_OFFSET, by);
        refused(cx, (STREAM_FORKS_11, 400), Breaks::Form, |pair| sub(pair.at(0), 1), breaks).await?;
    }
    Ok(())
}

pub(super) async fn no_source(cx: &Cx) -> Outcome {
    let both = |pair: &Pair| sub(pair.at(0), 1);
    let whole = |pair: &Pair| pair.at(1);
    let pair = Pair::new(cx).await?;
    nothing_comes(cx, &pair, whole(&pair)).await?;
    let breaks = |_: &Pair, request: &mut Request| request.headers.remove(FORKED_FROM);
    refused(cx, (STREAM_FORKS_12, 400), Breaks::Form, both, breaks).await?;
    refused(cx, (STREAM_FORKS_12, 400), Breaks::Form, whole, breaks).await?;
    Ok(())
}

/// Apart from the others: who passes over a fork offset need not pass over this.
pub(super) async fn sub_offset_alone(cx: &Cx) -> Outcome {
    // That forks are made where a sub-offset has its source.
    let twin = Pair::new(cx).await?;
    cx.need(STREAM_FORKS_7, &cx.send(sub(twin.at(0), 1)).await?, &one_of![created()])?;
    let pair = Pair::new(cx).await?;
    for by in [1, 5] {
        nothing_comes(cx, &pair, sub(pair.fork(), by)).await?;
        nothing_comes(cx, &pair, sub(pair.fork(), by).body("content")).await?;
    }
    Ok(())
}

/// Claims that this, without its source, is refused and makes nothing.
async fn nothing_comes(cx: &Cx, pair: &Pair, mut request: Request) -> Outcome {
    request.headers.remove(FORKED_FROM);
    cx.expect(STREAM_FORKS_12, &cx.send_broken(request).await?, &one_of![answer(400)])?;
    cx.expect(STREAM_FORKS_12, &cx.send(pair.target.head()).await?, &one_of![answer(404)])?;
    Ok(())
}

pub(super) async fn other_media_type(cx: &Cx) -> Outcome {
    // The same type in other letters is no other type.
    for (same, other) in [("TEXT/Plain", OTHER), (TEXT, "text/csv"), (TEXT, "image/plain"), (TEXT, JSON)] {
        let valid = |pair: &Pair| {
            let mut request = pair.fork();
            request.headers.set(CONTENT_TYPE, same);
            request
        };
        let breaks = |_: &Pair, request: &mut Request| request.headers.set(CONTENT_TYPE, other);
        refused(cx, (STREAM_FORKS_14, 409), Breaks::Fit, valid, breaks).await?;
    }
    Ok(())
}
