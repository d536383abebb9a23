//! Requests of one producer that leave before the one ahead of them was answered: a server that holds a producer while it looks
//! after one of its requests meets the next one then.

use super::or_closed;
use crate::{
    check::{Answer, Cx, Outcome, alternative, answer},
    checks::stream::setting::{Stream, by, holds, written},
    one_of,
};
use wireproof_spec::{
    http::{Request, Response},
    stream::{header::CLOSED, requirements::*},
};

/// What is sent: the first two numbers of a producer, the second of them twice.
#[derive(Clone, Copy)]
enum Sends {
    Appends,
    /// The second is a close without content.
    Closes,
}

impl Sends {
    /// In a fresh stream of a producer that nobody knows.
    fn to(self, stream: &Stream, id: &str, content: &[String; 2]) -> Vec<Request> {
        let first = by(stream.append(content[0].clone()), id, 0, 0);
        let second = match self {
            Sends::Appends => stream.append(content[1].clone()),
            Sends::Closes => stream.close().header("content-length", "0"),
        };
        let second = by(second, id, 0, 1);
        vec![first, second.clone(), second]
    }

    fn content(self, content: &[String; 2]) -> String {
        match self {
            Sends::Appends => content.concat(),
            Sends::Closes => content[0].clone(),
        }
    }
}

/// An answer as this one, in what counts here.
fn like(reply: &Response) -> Answer {
    match reply.headers.get(CLOSED) {
        Some(closed) => answer(reply.status).with(CLOSED, closed),
        None => answer(reply.status).without(CLOSED),
    }
}

pub(super) async fn of_a_producer(cx: &Cx) -> Outcome {
    for sends in [Sends::Closes, Sends::Appends] {
        let content = [cx.token(12), cx.token(12)];
        // The twin: one behind the answer to the other.
        let twin = written(cx).await?;
        let before = twin.content(cx).await?;
        let some = alternative("content", |read: &bytes::Bytes| !read.is_empty());
        let before = cx.need(STREAM_READ_1, &before, std::slice::from_ref(&some))?.clone();
        let (id, mut expected) = (cx.name(), Vec::new());
        for request in sends.to(&twin, &id, &content) {
            let reply = cx.send(request).await?;
            // How a close is repeated is asked elsewhere; here it is repeated in the same way.
            let answers = one_of![answer(200), answer(204), answer(409)];
            expected.push(like(cx.need(STREAM_PRODUCERS_5, &reply, &answers)?));
        }
        let read = twin.content(cx).await?;
        let whole = [&before[..], sends.content(&content).as_bytes()].concat();
        cx.need(STREAM_PRODUCERS_5, &read, &[holds(whole)])?;

        let stream = written(cx).await?;
        let before = stream.content(cx).await?;
        let before = cx.need(STREAM_READ_1, &before, &[some])?.clone();
        let requests = sends.to(&stream, &cx.name(), &content);
        let mut peer = cx.raw().await?;
        let sent = peer.send_together(&requests).await;
        let mut is_whole = true;
        for (index, ((request, sent), expected)) in requests.iter().zip(sent).zip(expected).enumerate() {
            let reply = peer.reply(sent, &request.method).await?;
            if index == 0 {
                cx.expect(STREAM_HTTP_16, &reply, &one_of![expected])?;
            } else if cx.expect(STREAM_HTTP_16, &reply.or_lost(), &or_closed(vec![expected]))?.is_err() {
                is_whole = false;
                break;
            }
        }
        let head = cx.http().send(stream.head()).await?;
        cx.expect(STREAM_HTTP_16, &head, &one_of![answer(200)])?;
        if is_whole {
            let read = stream.content(cx).await?;
            let whole = [&before[..], sends.content(&content).as_bytes()].concat();
            cx.expect(STREAM_HTTP_16, &read, &[holds(whole)])?;
        }
    }
    Ok(())
}
