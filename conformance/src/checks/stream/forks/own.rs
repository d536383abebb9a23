//! What a fork has for itself: its state begins anew, and it goes its own way.

use super::{Source, at, fork, forked, holding, made, sub};
use crate::{
    check::{Cx, Hook, Outcome, alternative, answer},
    checks::stream::setting::{
        Stream, TEXT, appended, by, closed, closing, created, holds, next_offset, shut_in_every_way, written,
    },
    one_of,
};
use bytes::Bytes;
use wireproof_spec::{
    requirement::RequirementId,
    stream::{
        header::{CLOSED, NEXT_OFFSET, SEQ},
        requirements::*,
    },
};

pub(super) async fn producers(cx: &Cx) -> Outcome {
    let mut content = cx.token(12);
    let mut of = Stream::create(cx, TEXT, &content).await?;
    // One that was fenced, one in its first life; and on a fork, of which there is another.
    for is_fork in [false, true] {
        for (id, epoch, seq) in [("old", 0, 0), ("old", 3, 0), ("old", 3, 1), ("new", 0, 0)] {
            let token = cx.token(8);
            let reply = cx.send(by(of.append(token.clone()), id, epoch, seq)).await?;
            let accepted = one_of![answer(200).has(NEXT_OFFSET)];
            if is_fork {
                cx.expect(STREAM_FORKS_21, &reply, &accepted)?;
            } else {
                cx.need(STREAM_PRODUCERS_5, &reply, &accepted)?;
            }
            content.push_str(&token);
        }
        of = forked(cx, &of).await?;
    }
    for id in ["old", "new"] {
        for seq in [0, 1] {
            let token = cx.token(8);
            let reply = cx.send(by(of.append(token.clone()), id, 0, seq)).await?;
            cx.expect(STREAM_FORKS_21, &reply, &one_of![answer(200).has(NEXT_OFFSET)])?;
            content.push_str(&token);
            holding(cx, STREAM_FORKS_21, &of, content.as_bytes()).await?;
        }
    }
    Ok(())
}

pub(super) async fn seq(cx: &Cx) -> Outcome {
    let mut content = cx.token(12);
    let mut of = Stream::create(cx, TEXT, &content).await?;
    for later in ["5", "9"] {
        let token = cx.token(8);
        let reply = cx.send(of.append(token.clone()).header(SEQ, later)).await?;
        cx.need(STREAM_APPEND_1, &reply, &one_of![appended()])?;
        content.push_str(&token);
    }
    // Less than the last, the last itself; and of a fork that had one of its own.
    for first in ["1", "9", "0"] {
        let fork = forked(cx, &of).await?;
        let token = cx.token(8);
        let reply = cx.send(fork.append(token.clone()).header(SEQ, first)).await?;
        cx.expect(STREAM_FORKS_22, &reply, &one_of![appended()])?;
        content.push_str(&token);
        holding(cx, STREAM_FORKS_22, &fork, content.as_bytes()).await?;
        of = fork;
    }
    Ok(())
}

pub(super) async fn of_closed(cx: &Cx) -> Outcome {
    for source in shut_in_every_way(cx).await? {
        let reply = cx.send(fork(&source, &Stream::nowhere(cx))).await?;
        cx.expect(STREAM_FORKS_23, &reply, &one_of![created(), answer(409)])?;
    }
    Ok(())
}

pub(super) async fn open(cx: &Cx) -> Outcome {
    let mut sources = vec![written(cx).await?];
    sources.extend(shut_in_every_way(cx).await?);
    for (n, source) in sources.iter().enumerate() {
        let target = Stream::nowhere(cx);
        let reply = cx.send(fork(source, &target)).await?;
        // Whether a closed stream can be forked is the server's choice: STREAM-FORKS-23.
        if n > 0 && reply.look().is_ok_and(|r| r.status == 409) {
            continue;
        }
        let made = created().without(CLOSED);
        let target =
            Stream { start: next_offset(cx.expect(STREAM_FORKS_24, &reply, &one_of![made])?), ..target };
        is_open(cx, STREAM_FORKS_24, &target).await?;
        let inherited = source.content(cx).await?;
        let mut content = cx.need(STREAM_READ_1, &inherited, &[super::begin::any()])?.to_vec();
        for _ in 0..2 {
            let token = cx.token(8);
            let reply = cx.send(target.append(token.clone())).await?;
            cx.expect(STREAM_FORKS_24, &reply, &one_of![appended()])?;
            content.extend_from_slice(token.as_bytes());
            holding(cx, STREAM_FORKS_24, &target, &content).await?;
            is_open(cx, STREAM_FORKS_24, &target).await?;
        }
    }
    Ok(())
}

/// Claims that nothing says that this stream is closed.
async fn is_open(cx: &Cx, id: RequirementId, stream: &Stream) -> Outcome {
    let tail = stream.told_tail(cx).await?;
    for request in [stream.head(), stream.read(), stream.read_at(&tail)] {
        let reply = cx.send(request).await?;
        cx.expect(id, &reply, &one_of![answer(200).without(CLOSED)])?;
    }
    Ok(())
}

/// A fork, and what it has to hold.
struct Way {
    stream: Stream,
    content: String,
}

impl Way {
    /// Claims that it holds what it should, that its tail is where it was, and that it is open.
    async fn goes_on(&mut self, cx: &Cx) -> Outcome {
        holding(cx, STREAM_FORKS_27, &self.stream, self.content.as_bytes()).await?;
        is_open(cx, STREAM_FORKS_27, &self.stream).await?;
        let tail = std::mem::take(&mut self.stream.start);
        let head = cx.send(self.stream.head()).await?;
        cx.expect(STREAM_FORKS_27, &head, &one_of![answer(200).with(NEXT_OFFSET, tail)])?;
        let token = cx.token(8);
        let reply = cx.send(self.stream.append(token.clone())).await?;
        self.stream.start = next_offset(cx.expect(STREAM_FORKS_27, &reply, &one_of![appended()])?);
        self.content.push_str(&token);
        holding(cx, STREAM_FORKS_27, &self.stream, self.content.as_bytes()).await
    }
}

pub(super) async fn ways(cx: &Cx) -> Outcome {
    let mut source = Source::new(cx, 3).await?;
    let early = at(fork(&source.stream, &Stream::nowhere(cx)), &source.offsets[1]);
    let bare = || fork(&source.stream, &Stream::nowhere(cx));
    let mut ways = vec![
        Way { stream: made(cx, &source.stream, early).await?, content: source.before(1) },
        Way { stream: made(cx, &source.stream, bare()).await?, content: source.content() },
        Way { stream: made(cx, &source.stream, bare()).await?, content: source.content() },
    ];
    // One of them has content of its own before anything happens.
    ways[2].goes_on(cx).await?;
    let child = Way { stream: forked(cx, &ways[2].stream).await?, content: ways[2].content.clone() };
    ways.push(child);
    for step in 0..4 {
        let reply = match step {
            0 => {
                source.grow(cx).await?;
                cx.send(source.stream.append(cx.token(8))).await?
            }
            1 => cx.send(closing(source.stream.append(cx.token(8)))).await?,
            2 => cx.send(source.stream.delete()).await?,
            _ => cx.send(ways[2].stream.delete()).await?,
        };
        match step {
            0 => cx.need(STREAM_APPEND_1, &reply, &one_of![appended()])?,
            1 => cx.need(STREAM_APPEND_12, &reply, &one_of![closed()])?,
            _ => cx.need(STREAM_FORKS_29, &reply, &one_of![answer(204)])?,
        };
        for (n, way) in ways.iter_mut().enumerate() {
            if step < 3 || n != 2 {
                way.goes_on(cx).await?;
            }
        }
    }
    Ok(())
}

pub(super) async fn siblings(cx: &Cx) -> Outcome {
    let mut source = Source::new(cx, 1).await?;
    for step in 0..3 {
        let forks = [forked(cx, &source.stream).await?, forked(cx, &source.stream).await?];
        let reply = match step {
            0 => cx.send(forks[0].append(cx.token(8))).await?,
            1 => cx.send(closing(forks[0].append(cx.token(8)))).await?,
            _ => cx.send(forks[0].delete()).await?,
        };
        match step {
            0 => cx.need(STREAM_APPEND_1, &reply, &one_of![appended()])?,
            1 => cx.need(STREAM_APPEND_12, &reply, &one_of![closed()])?,
            _ => cx.need(STREAM_DELETE_1, &reply, &one_of![answer(204)])?,
        };
        for stream in [&source.stream, &forks[1]] {
            holding(cx, STREAM_FORKS_27, stream, source.content().as_bytes()).await?;
            is_open(cx, STREAM_FORKS_27, stream).await?;
        }
        source.grow(cx).await?;
        holding(cx, STREAM_FORKS_27, &source.stream, source.content().as_bytes()).await?;
    }
    Ok(())
}

/// Forks of a source that stays and is deleted later, over two restarts.
pub(super) async fn restart(cx: &Cx) -> Outcome {
    let source = Source::new(cx, 2).await?;
    let (middle, plain) = (&source.offsets[1], |cx: &Cx| fork(&source.stream, &Stream::nowhere(cx)));
    let mut forks = Vec::new();
    // Those with nothing of their own have only the fork offset to tell how much they hold.
    for (request, begins, grows) in [
        (plain(cx), STREAM_FORKS_1, false),
        (at(plain(cx), middle), STREAM_FORKS_2, false),
        (sub(at(plain(cx), middle), 5), STREAM_FORKS_2, true),
        (plain(cx), STREAM_FORKS_1, true),
    ] {
        let fork = made(cx, &source.stream, request).await?;
        if grows {
            fork.appended(cx, cx.token(8)).await?;
        }
        // Where the cut is, others check: what is there now has to stay.
        let something = alternative("something", |read: &Bytes| !read.is_empty());
        let content = cx.need(begins, &fork.content(cx).await?, &[something])?.clone();
        forks.push((fork, content));
    }
    for turn in 0..2 {
        cx.hook(Hook::Restart).await?;
        // A server that forgets everything has kept nothing of this.
        let there = cx.http().send(forks[0].0.head()).await?;
        cx.need(STREAM_CONTENT_1, &there, &one_of![answer(200)])?;
        for (fork, content) in &mut forks {
            holding(cx, STREAM_FORKS_27, fork, content).await?;
            let tail = fork.told_tail(cx).await?;
            let rest = fork.content_from(cx, &tail).await?;
            cx.expect(STREAM_FORKS_27, &rest, &[holds(Bytes::new())])?;
            let more = cx.token(8);
            fork.appended(cx, more.clone()).await?;
            *content = [content.as_ref(), more.as_bytes()].concat().into();
            holding(cx, STREAM_FORKS_27, fork, content).await?;
        }
        if turn == 0 {
            let reply = cx.send(source.stream.delete()).await?;
            cx.need(STREAM_FORKS_29, &reply, &one_of![answer(204)])?;
        }
    }
    Ok(())
}

/// A source that is given more than it has to keep, and again and again as much.
pub(super) async fn source_trimmed(cx: &Cx) -> Outcome {
    /// More no check writes.
    const MOST: u64 = 1024 * 1024;
    const PIECE: u64 = 16 * 1024;
    /// What is inherited, in bytes, unless the server keeps less.
    const INHERITED: u64 = 100;
    let retained = cx.features().limit("retained-bytes").filter(|bytes| (1..=MOST).contains(bytes));
    let Some(retained) = retained else {
        return Err(cx.stop(
            "retained-bytes is 0, or so much that it takes too many appends to have something dropped",
        ));
    };
    let half = usize::try_from(INHERITED.min(retained).div_ceil(2)).unwrap_or(1);
    let parts = ["a", "b"].map(|letter| format!("{letter:.<half$}"));
    let source = Stream::create(cx, TEXT, &parts[0]).await?;
    let middle = source.start.clone();
    source.appended(cx, parts[1].clone()).await?;
    let whole = parts.concat();
    let bare = || fork(&source, &Stream::nowhere(cx));
    let mut forks = Vec::new();
    for (request, content) in [(bare(), &whole), (at(bare(), &middle), &parts[0])] {
        let fork = made(cx, &source, request).await?;
        cx.need(STREAM_FORKS_1, &fork.content(cx).await?, &[holds(content.clone())])?;
        forks.push((fork, content));
    }
    let piece = usize::try_from(retained.min(PIECE)).unwrap_or(1);
    for _ in 0..3 {
        for _ in 0..=retained / piece as u64 {
            source.appended(cx, "-".repeat(piece)).await?;
        }
        for (fork, content) in &forks {
            holding(cx, STREAM_FORKS_27, fork, content.as_bytes()).await?;
        }
    }
    Ok(())
}
