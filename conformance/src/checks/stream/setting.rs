//! Fresh settings for the checks of this protocol, and the requests that they are made of.

use crate::{
    check::{Alternative, Answer, Cx, Outcome, alternative, answer},
    one_of,
    wire::{Seen, http::Peer},
};
use bytes::Bytes;
use tokio::time::Instant;
use wireproof_spec::{
    http::{Request, Response},
    stream::{
        MediaType,
        header::{
            CACHE_CONTROL, CLOSED, CONTENT_TYPE, FORKED_FROM, NEXT_OFFSET, PRODUCER_EPOCH, PRODUCER_ID,
            PRODUCER_SEQ, SEQ, UP_TO_DATE, query,
        },
        requirements::*,
    },
};

/// The media type of most settings.
pub const TEXT: &str = "text/plain";
/// Another one.
pub const OTHER: &str = "application/octet-stream";

/// A stream that a check made for itself.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Its path.
    pub path: String,
    /// Its media type.
    pub media_type: &'static str,
    /// Its tail when it was made.
    pub start: String,
}

/// A PUT that creates a stream.
pub fn put(path: &str, media_type: &str) -> Request {
    Request::new("PUT", path).header(CONTENT_TYPE, media_type)
}

/// With closure.
pub fn closing(request: Request) -> Request {
    request.header(CLOSED, "true")
}

/// As the request of this producer, in this epoch and with this number.
pub fn by(request: Request, id: &str, epoch: u64, number: u64) -> Request {
    let request = request.header(PRODUCER_ID, id).header(PRODUCER_EPOCH, epoch.to_string());
    request.header(PRODUCER_SEQ, number.to_string())
}

/// What an append without a producer is answered with.
pub fn appended() -> Answer {
    answer(204).has(NEXT_OFFSET)
}

/// What creating is answered with.
pub fn created() -> Answer {
    answer(201).has(NEXT_OFFSET)
}

/// What closing is answered with.
pub fn closed() -> Answer {
    answer(204).has(NEXT_OFFSET).with(CLOSED, "true")
}

/// The token in `Stream-Next-Offset`.
pub fn next_offset(response: &Response) -> String {
    response.headers.get(NEXT_OFFSET).unwrap_or_default().to_owned()
}

impl Stream {
    /// A path that nothing is at yet.
    pub fn nowhere(cx: &Cx) -> Self {
        let path = cx.path(&cx.name());
        cx.clean_up(Request::new("DELETE", &path));
        Self { path, media_type: TEXT, start: String::new() }
    }

    /// A new open stream with this content.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if it cannot be created.
    pub async fn create(cx: &Cx, media_type: &'static str, content: impl AsRef<[u8]>) -> Outcome<Self> {
        let mut stream = Self { media_type, ..Self::nowhere(cx) };
        let request = put(&stream.path, media_type).body(Bytes::copy_from_slice(content.as_ref()));
        let seen = cx.send(request).await?;
        stream.start = next_offset(cx.need(STREAM_CREATE_1, &seen, &one_of![created()])?);
        Ok(stream)
    }

    /// An append of this content.
    pub fn append(&self, content: impl Into<Bytes>) -> Request {
        Request::new("POST", &self.path).header(CONTENT_TYPE, self.media_type).body(content)
    }

    /// A close without content.
    pub fn close(&self) -> Request {
        closing(Request::new("POST", &self.path))
    }

    /// A deletion.
    pub fn delete(&self) -> Request {
        Request::new("DELETE", &self.path)
    }

    /// A HEAD.
    pub fn head(&self) -> Request {
        Request::new("HEAD", &self.path)
    }

    /// A read from the start.
    pub fn read(&self) -> Request {
        Request::new("GET", &self.path)
    }

    /// A read from an offset.
    pub fn read_at(&self, offset: &str) -> Request {
        self.read().param(query::OFFSET, offset)
    }

    /// A long-poll from an offset.
    pub fn long_poll(&self, offset: &str) -> Request {
        self.read_at(offset).param(query::LIVE, "long-poll")
    }

    /// An event stream from an offset.
    pub fn sse(&self, offset: &str) -> Request {
        self.read_at(offset).param(query::LIVE, "sse")
    }

    /// Appends, as set-up, and tells the new tail.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if the append is not accepted.
    pub async fn appended(&self, cx: &Cx, content: impl Into<Bytes>) -> Outcome<String> {
        let seen = cx.send(self.append(content)).await?;
        Ok(next_offset(cx.need(STREAM_APPEND_1, &seen, &one_of![appended()])?))
    }

    /// Closes, as set-up, and tells the tail.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if the close is not accepted.
    pub async fn closed(&self, cx: &Cx) -> Outcome<String> {
        let seen = cx.send(self.close()).await?;
        Ok(next_offset(cx.need(STREAM_CLOSE_1, &seen, &one_of![closed()])?))
    }

    /// Reads everything there is, from the start to the tail, however many answers that takes.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if a read is not answered with content.
    pub async fn content(&self, cx: &Cx) -> Outcome<Seen<Bytes>> {
        self.content_from(cx, "-1").await
    }

    /// Reads everything there is behind an offset.
    ///
    /// # Errors
    /// As [`Stream::content`].
    pub async fn content_from(&self, cx: &Cx, offset: &str) -> Outcome<Seen<Bytes>> {
        let replies = self.walk(cx, offset).await?;
        Ok(replies.map(|replies| bodies(&replies)))
    }

    /// Gives the server time to take what was sent before: connections that were opened later are taken later.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if a HEAD is not answered.
    pub async fn settled(&self, cx: &Cx) -> Outcome {
        for _ in 0..2 {
            let seen = cx.http().send(self.head()).await?;
            cx.need(STREAM_HEAD_1, &seen, &one_of![answer(200)])?;
        }
        Ok(())
    }

    /// The answers of reading from an offset to the tail.
    ///
    /// # Errors
    /// As [`Stream::walk_by`].
    pub async fn walk(&self, cx: &Cx, offset: &str) -> Outcome<Seen<Vec<Response>>> {
        self.walk_by(cx, &mut cx.http(), offset).await
    }

    /// The answers of reading from an offset to the tail by this peer.
    ///
    /// `Stream-Up-To-Date` is no sure sign of the tail: a server is only advised not to send it earlier. How the answer
    /// there looks is advice too (STREAM-READ-3), so that behind this header anything but content is the end.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if a read is not answered with content, or if there is no end of it.
    pub async fn walk_by(&self, cx: &Cx, peer: &mut Peer, offset: &str) -> Outcome<Seen<Vec<Response>>> {
        let walked = self.walk_until(cx, peer, offset, None).await?;
        walked.ok_or_else(|| cx.stop("reading takes too long"))
    }

    /// As [`Stream::walk_by`]; nothing if an answer comes later than this, whatever it is.
    ///
    /// # Errors
    /// As [`Stream::walk_by`].
    pub async fn walk_until(
        &self,
        cx: &Cx,
        peer: &mut Peer,
        offset: &str,
        until: Option<Instant>,
    ) -> Outcome<Option<Seen<Vec<Response>>>> {
        /// So many answers for the few megabytes that a check writes are no reading any more.
        const MOST: usize = 10_000;
        let mut offset = offset.to_owned();
        let mut replies = Vec::new();
        let mut may_end = false;
        for _ in 0..MOST {
            let seen = peer.send(self.read_at(&offset)).await?;
            if until.is_some_and(|until| Instant::now() > until) {
                return Ok(None);
            }
            if may_end && seen.look().is_ok_and(|reply| reply.status != 200) {
                return Ok(Some(Seen::all(replies)));
            }
            let reply = cx.need(STREAM_READ_2, &seen, &one_of![answer(200).has(NEXT_OFFSET)])?;
            let (next, end) = (next_offset(reply), is_end(&offset, reply));
            may_end = reply.headers.get(UP_TO_DATE).is_some();
            replies.push(seen);
            if end {
                return Ok(Some(Seen::all(replies)));
            }
            offset = next;
        }
        Err(cx.stop("reading does not come to an end: every answer promises more"))
    }
}

/// Whether an answer tells this media type.
pub fn is_of(response: &Response, media_type: &str) -> bool {
    let found = response.headers.get(CONTENT_TYPE).and_then(|t| MediaType::parse(t).ok());
    found.is_some_and(|t| t.essence() == media_type)
}

/// The directives in `Cache-Control`, in lower case, each with its value if it has one. All lines of the header count as one.
pub fn directives(response: &Response) -> Vec<(String, Option<String>)> {
    let all = response.headers.joined();
    let directives = all.get(CACHE_CONTROL).into_iter().flat_map(|all| all.split(','));
    directives
        .map(|one| one.split_once('=').map_or((one, None), |(name, value)| (name, Some(value))))
        .map(|(name, value)| {
            let value = value.map(|v| v.trim().trim_matches('"').to_ascii_lowercase());
            (name.trim().to_ascii_lowercase(), value)
        })
        .collect()
}

/// Whether an answer has no content: no bytes, or no message.
fn holds_nothing(reply: &Response) -> bool {
    let no_message = || reply.body.iter().filter(|b| !b.is_ascii_whitespace()).eq(b"[]");
    reply.body.is_empty() || (is_of(reply, "application/json") && no_message())
}

/// Whether a read at this offset was answered from the tail. An answer without content need not be: a server may hold
/// nothing yet and tell where to go on.
pub fn is_end(offset: &str, reply: &Response) -> bool {
    next_offset(reply) == offset || (holds_nothing(reply) && reply.headers.get(UP_TO_DATE).is_some())
}

/// The bytes of all these answers.
pub fn bodies(replies: &[Response]) -> Bytes {
    replies.iter().flat_map(|r| r.body.to_vec()).collect::<Vec<u8>>().into()
}

/// Content that was read is exactly this.
pub fn holds(content: impl Into<Bytes>) -> Alternative<Bytes> {
    let content = content.into();
    let name = match std::str::from_utf8(&content) {
        _ if content.is_empty() => "no content".to_owned(),
        Ok(text) if text.len() <= 60 => format!("the content {text:?}"),
        _ => format!("exactly the {} bytes that were written", content.len()),
    };
    alternative(name, move |read: &Bytes| *read == content)
}

/// An open stream with something in it.
///
/// # Errors
/// As [`Stream::create`].
pub async fn written(cx: &Cx) -> Outcome<Stream> {
    Stream::create(cx, TEXT, &cx.token(16)).await
}

/// An open stream with a random token in it that was read back: proof of a server that keeps what it is given, for checks
/// that are about one message alone.
///
/// # Errors
/// As [`written`]; also if something else is read.
pub async fn proven(cx: &Cx) -> Outcome<Stream> {
    let content = cx.token(32);
    let stream = Stream::create(cx, TEXT, &content).await?;
    let read = stream.content(cx).await?;
    cx.need(STREAM_READ_1, &read, &[holds(content)])?;
    Ok(stream)
}

/// Deletes a plain stream: the twin of a check in which a DELETE tells something else than STREAM-DELETE-1.
///
/// # Errors
/// As [`written`]; also if it cannot be deleted.
pub async fn deletable(cx: &Cx) -> Outcome {
    let stream = written(cx).await?;
    cx.need(STREAM_DELETE_1, &cx.send(stream.delete()).await?, &one_of![answer(204)])?;
    Ok(())
}

/// A stream that was closed after it was made.
///
/// # Errors
/// As [`Stream::create`] and [`Stream::closed`].
pub async fn shut(cx: &Cx) -> Outcome<Stream> {
    let stream = written(cx).await?;
    stream.closed(cx).await?;
    Ok(stream)
}

/// A stream that was closed together with its last content.
///
/// # Errors
/// Stops the check, inconclusive, if it cannot be made so.
pub async fn shut_with_content(cx: &Cx) -> Outcome<Stream> {
    let stream = written(cx).await?;
    let reply = cx.send(closing(stream.append(cx.token(16)))).await?;
    cx.need(STREAM_APPEND_12, &reply, &one_of![closed()])?;
    Ok(stream)
}

/// Content that comes out changed where it is taken for anything but bytes: what is no text, and text with the ends of lines
/// of all kinds and with white space around it.
pub fn odd_contents() -> [(&'static str, Vec<u8>); 3] {
    let all: Vec<u8> = (0..=255).collect();
    [
        (OTHER, [b" \r\n\0\xff\xfe\xc3 \r\n", &all[..], b" \r\n"].concat()),
        (TEXT, "\u{feff} \ta\r\nline\n\re\u{301}\u{e9}\0 \r\n\n \t".into()),
        (TEXT, b" \r\n ".to_vec()),
    ]
}

/// Every operation once, in the ordinary way.
///
/// # Errors
/// Stops where an operation does not answer as it should.
pub async fn ordinary(cx: &Cx) -> Outcome {
    let stream = Stream::create(cx, TEXT, "one").await?;
    let tail = stream.appended(cx, "two").await?;
    let (produced, sequenced) = (written(cx).await?, written(cx).await?);
    let mut peer = cx.http();
    if cx.features().is("stream.sse", "on") {
        let mut reader = cx.sse(stream.sse("-1")).await?;
        for _ in ["data", "control"] {
            let _ = reader.next().await?;
        }
    }
    let fork = Stream::nowhere(cx);
    for request in [
        by(produced.append("x"), &cx.name(), 0, 0),
        produced.read(),
        sequenced.append("x").header(SEQ, "1"),
        sequenced.read(),
        put(&fork.path, TEXT).header(FORKED_FROM, &stream.path),
        fork.read_at(&stream.start),
        fork.append("three"),
        fork.delete(),
        put(&stream.path, TEXT),
        stream.head(),
        stream.read(),
        stream.read_at(&tail),
        stream.long_poll("-1"),
        stream.append(""),
        stream.close(),
        stream.head(),
        stream.delete(),
        stream.head(),
    ] {
        let broken =
            request.method == "POST" && request.body.is_empty() && request.headers.get(CLOSED).is_none();
        let _ = if broken { peer.send_broken(request).await? } else { peer.send(request).await? };
    }
    Ok(())
}

impl Stream {
    /// The tail as a HEAD tells it.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if a HEAD does not tell it.
    pub async fn told_tail(&self, cx: &Cx) -> Outcome<String> {
        let seen = cx.send(self.head()).await?;
        Ok(next_offset(cx.need(STREAM_HEAD_1, &seen, &one_of![answer(200).has(NEXT_OFFSET)])?))
    }
}

/// Streams that were closed: empty, with content, together with the last content, and when they were made.
///
/// # Errors
/// Stops the check, inconclusive, if one of them cannot be closed.
pub async fn shut_in_every_way(cx: &Cx) -> Outcome<Vec<Stream>> {
    let empty = Stream::create(cx, TEXT, "").await?;
    empty.closed(cx).await?;
    let full = shut(cx).await?;
    let with_body = shut_with_content(cx).await?;
    let born = Stream::nowhere(cx);
    let reply = cx.send(closing(put(&born.path, TEXT)).body(cx.token(16))).await?;
    cx.need(STREAM_CREATE_11, &reply, &one_of![created().with(CLOSED, "true")])?;
    Ok(vec![empty, full, with_body, born])
}
