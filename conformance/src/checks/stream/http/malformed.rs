//! Requests that break the syntax of HTTP or of URLs, written byte by byte.

use crate::{
    check::{Alternative, Cx, Outcome, alternative, answer},
    checks::stream::setting::{Stream, holds, proven},
    one_of,
    wire::{Lost, Seen, raw::Peer},
};
use bytes::Bytes;
use futures_util::future::try_join_all;
use wireproof_spec::{
    http::{Request, Response},
    stream::requirements::*,
};

/// So many are sent at the same time, each on a connection of its own.
const AT_ONCE: usize = 8;

/// One malformed request.
struct Vector {
    /// What is wrong with it.
    what: &'static str,
    bytes: Vec<u8>,
    /// It promises more than it holds, so that only its end tells that nothing comes.
    cut: bool,
}

impl Vector {
    fn new(what: &'static str, bytes: impl Into<Vec<u8>>) -> Self {
        Self { what, bytes: bytes.into(), cut: false }
    }

    fn cut(what: &'static str, bytes: impl Into<Vec<u8>>) -> Self {
        Self { what, bytes: bytes.into(), cut: true }
    }
}

/// A request by its parts: what stands in its first line, and what behind the headers that every request has.
fn written(peer: &Peer, method: &str, target: &[u8], version: &str, more: &[u8]) -> Vec<u8> {
    let common = peer.head(&Request::new(method, "/"));
    let headers = common.iter().position(|b| *b == b'\n').map_or(&common[..0], |end| &common[end + 1..]);
    let headers = &headers[..headers.len().saturating_sub(2)];
    [method.as_bytes(), b" ", target, b" ", version.as_bytes(), b"\r\n", headers, more, b"\r\n"].concat()
}

/// Malformed requests that change nothing, whatever they are taken for.
fn reads(peer: &Peer, path: &str) -> Vec<Vector> {
    let plain = |more: &[u8]| written(peer, "GET", path.as_bytes(), "HTTP/1.1", more);
    let to = |target: &[u8]| written(peer, "GET", target, "HTTP/1.1", b"");
    let at = |behind: &[u8]| to(&[path.as_bytes(), behind].concat());
    let version = |version: &str| written(peer, "GET", path.as_bytes(), version, b"");
    let method = |method: &str| written(peer, method, path.as_bytes(), "HTTP/1.1", b"");
    let unix_lines = String::from_utf8_lossy(&plain(b"")).replace("\r\n", "\n");
    vec![
        Vector::new("a method with a character that none has", method("G@T(")),
        Vector::new("a method with a control character", method("G\u{1}T")),
        Vector::new("a version that there is not", version("HTTP/9.9")),
        Vector::new("a version that is none", version("HTTP/1.1.1")),
        Vector::new("another protocol", version("HTP/1.1")),
        Vector::new("lines that end with LF alone", unix_lines),
        Vector::new("a header without a colon", plain(b"no colon\r\n")),
        Vector::new("a header without a name", plain(b": value\r\n")),
        Vector::new("a space before the colon", plain(b"x-a : b\r\n")),
        Vector::new("a header that goes on in the next line", plain(b"x-a: b\r\n c\r\n")),
        Vector::new("NUL in a header", plain(b"x-a: b\0c\r\n")),
        Vector::new("CR in a header", plain(b"x-a: b\rc\r\n")),
        Vector::new("a header in Latin-1", plain(b"x-a: \xe9\xff\r\nif-none-match: \xfe\r\n")),
        Vector::new("a second Host", plain(b"host: elsewhere\r\n")),
        Vector::new("a long header", plain(&[b"x-a: ", &[b'a'; 100_000][..], b"\r\n"].concat())),
        Vector::new("many headers", plain(&b"x-a: b\r\n".repeat(2_000))),
        Vector::new("a long URL", at(&[b'a'; 100_000])),
        Vector::new("an escape without digits", at(b"%")),
        Vector::new("an escape of no digits", at(b"%zz")),
        Vector::new("an escape cut off", at(b"%2")),
        Vector::new("escapes that are no UTF-8", at(b"%c3%28%ff")),
        Vector::new("bytes that are no ASCII", at(b"\xff\xc3\x28")),
        Vector::new("NUL in the URL", at(b"\0")),
        Vector::new("a space in the URL", at(b" x")),
        Vector::new("a URL without a path", to(b"http://")),
        Vector::new("a URL that is a star", to(b"*")),
        Vector::new("a port for a GET", to(b":99999")),
        Vector::new("an offset with a broken escape", at(b"?offset=%zz")),
        Vector::new("an offset that is no UTF-8", at(b"?offset=%ff%fe")),
        Vector::new("an offset of NUL", at(b"?offset=%00")),
        Vector::new("an offset twice", at(b"?offset=-1&offset=now")),
        Vector::new("a query of separators", at(b"?&&&===&offset")),
        Vector::new("a long offset", at(&[b"?offset=", &[b'9'; 6_000][..]].concat())),
        Vector::new("a cursor that is no number", at(b"?offset=-1&live=long-poll&cursor=%ff%00")),
        Vector::new("a mode that is no UTF-8", at(b"?offset=-1&live=%ff")),
        Vector::cut("the start of TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
        Vector::cut("zeros", vec![0; 64]),
        Vector::cut("a head that ends early", &plain(b"")[..20]),
    ]
}

/// Malformed writes to a stream. None of them holds anything that a server could keep before it finds out.
fn writes(peer: &Peer, stream: &Stream) -> Vec<Vector> {
    let post = |more: &[u8], body: &[u8]| {
        let typed = [format!("content-type: {}\r\n", stream.media_type).as_bytes(), more].concat();
        [&written(peer, "POST", stream.path.as_bytes(), "HTTP/1.1", &typed), body].concat()
    };
    let chunked = |body: &[u8]| post(b"transfer-encoding: chunked\r\n", body);
    let long = |length: &str| post(format!("content-length: {length}\r\n").as_bytes(), b"hello");
    vec![
        Vector::cut("a chunk whose size is no number", chunked(b"zz\r\nhello\r\n0\r\n\r\n")),
        Vector::cut("a chunk of negative size", chunked(b"-5\r\nhello\r\n0\r\n\r\n")),
        Vector::cut("a chunk of endless size", chunked(b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n")),
        Vector::cut("a chunk without a size", chunked(b"\r\nhello\r\n0\r\n\r\n")),
        Vector::cut("two lengths", post(b"content-length: 5\r\ncontent-length: 4\r\n", b"hello")),
        Vector::cut("a list of lengths", long("5, 4")),
        Vector::cut("a negative length", long("-5")),
        Vector::cut("a length with a sign", long("+5")),
        Vector::cut("a length in hexadecimal digits", long("0x5")),
        Vector::cut("a length that is no number", long("five")),
        Vector::cut("a length of many digits", long("99999999999999999999999")),
        // What such a request holds is in chunks: there is nothing in them.
        Vector::cut(
            "chunks and a length",
            post(b"transfer-encoding: chunked\r\ncontent-length: 5\r\n", b"0\r\n\r\n"),
        ),
        Vector::cut("an unknown coding", post(b"transfer-encoding: wireproof\r\n", b"hello")),
        Vector::cut(
            "a NUL in the type",
            post(b"content-type: text/pl\0in\r\ncontent-length: 5\r\n", b"hello"),
        ),
    ]
}

/// What a malformed request may come to: anything but an error that the server calls its own.
fn survived(what: &str) -> Vec<Alternative<Result<Response, Lost>>> {
    let status = |name: String, holds: fn(u16) -> bool| {
        alternative(name, move |r: &Result<Response, Lost>| r.as_ref().is_ok_and(|r| holds(r.status)))
    };
    vec![
        status(format!("to {what}: a refusal with 4xx"), |s| (400..500).contains(&s)),
        status("501 or 505".into(), |s| matches!(s, 501 | 505)),
        status("an answer as if it were well-formed".into(), |s| s < 400),
        alternative("the end of the connection, or silence", |r: &Result<Response, Lost>| {
            matches!(r, Err(Lost::Closed(_) | Lost::Silence(_)))
        }),
    ]
}

/// What came of one vector.
async fn came_of(cx: &Cx, vector: &Vector) -> Outcome<Seen<Result<Response, Lost>>> {
    let mut peer = cx.raw().await?;
    let sent = peer.write(&vector.bytes).await;
    if vector.cut {
        peer.finish().await;
    }
    Ok(peer.reply(sent, "GET").await?.or_lost())
}

pub(super) async fn answered(cx: &Cx) -> Outcome {
    let stream = proven(cx).await?;
    let vectors = reads(&cx.raw().await?, &stream.path);
    for some in vectors.chunks(AT_ONCE) {
        let all = try_join_all(some.iter().map(|vector| came_of(cx, vector))).await?;
        for (vector, came) in some.iter().zip(&all) {
            cx.expect(STREAM_HTTP_3, came, &survived(vector.what))?;
        }
    }
    Ok(())
}

pub(super) async fn written_to(cx: &Cx, stream: &Stream, content: &Bytes) -> Outcome {
    for vector in writes(&cx.raw().await?, stream) {
        let came = came_of(cx, &vector).await?;
        cx.expect(STREAM_HTTP_3, &came, &survived(vector.what))?;
        let read = stream.content(cx).await?;
        cx.expect(STREAM_HTTP_4, &read, &[holds(content.clone())])?;
    }
    Ok(())
}

pub(super) async fn writes_nothing(cx: &Cx) -> Outcome {
    let stream = proven(cx).await?;
    let content = stream.content(cx).await?;
    let content = cx.need(STREAM_READ_1, &content, &[alternative("content", |_: &Bytes| true)])?.clone();
    written_to(cx, &stream, &content).await?;
    // It lives on.
    let more = cx.token(8);
    let reply = cx.send(stream.append(more.clone())).await?;
    cx.expect(STREAM_HTTP_4, &reply, &one_of![answer(204)])?;
    let read = stream.content(cx).await?;
    cx.expect(STREAM_HTTP_4, &read, &[holds([&content[..], more.as_bytes()].concat())])?;
    Ok(())
}
