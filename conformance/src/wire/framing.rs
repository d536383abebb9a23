//! Where an HTTP/1.1 answer ends, found in bytes as they came: for peers that read a connection by themselves.

use super::{Lost, limit, raw};
use wireproof_spec::http::{Body, Response};

/// The first answer in these bytes, and how many of them it takes; none as long as it is not complete.
///
/// `method` is that of the request: the answer to a HEAD has no body. `ended`: nothing comes behind these bytes. Interim
/// answers, which a client has to pass over (RFC 9110, section 15.2), belong to the one behind them.
pub(crate) fn answer(bytes: &[u8], method: &str, ended: bool) -> Result<Option<(Response, usize)>, Lost> {
    let mut at = 0;
    loop {
        let Some((head, end)) = raw::head(&bytes[at..])? else {
            return if ended { Err(cut(bytes)) } else { Ok(None) };
        };
        at += end;
        if !(100..200).contains(&head.status) || head.status == 101 {
            return body(head, &bytes[at..], method, ended)
                .map(|found| found.map(|(response, length)| (response, at + length)));
        }
    }
}

fn cut(bytes: &[u8]) -> Lost {
    Lost::Closed(if bytes.is_empty() { "nothing was sent" } else { "in the middle of an answer" }.into())
}

fn body(head: Response, rest: &[u8], method: &str, ended: bool) -> Result<Option<(Response, usize)>, Lost> {
    let framed = if method == "HEAD" || matches!(head.status, 101 | 204 | 304) {
        Some((Vec::new(), 0))
    } else if head.headers.get("transfer-encoding").is_some() {
        chunked(rest)?
    } else if let Some(length) = head.headers.get("content-length") {
        let length =
            number(length.trim(), 10).ok_or_else(|| Lost::Malformed("Content-Length is no number".into()))?;
        if length > limit::BODY {
            return Err(Lost::TooLong(limit::BODY as u64));
        }
        rest.get(..length).map(|body| (body.to_vec(), length))
    } else {
        ended.then(|| (rest.to_vec(), rest.len()))
    };
    match framed {
        Some((body, length)) => Ok(Some((Response { body: Body(body.into()), ..head }, length))),
        None if ended => Err(cut(b"head")),
        None => Ok(None),
    }
}

/// A body in chunks, whole, and how many bytes it takes with its framing.
pub(super) fn chunked(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, Lost> {
    Chunks::default().go_on(bytes)
}

/// A body in chunks that comes bit by bit. What was read once is not read again: chunks may be as small as a byte, and a body of
/// them as long as any.
#[derive(Default)]
pub(super) struct Chunks {
    body: Vec<u8>,
    /// So many bytes were read.
    at: usize,
    /// Whether what follows are the fields behind the last chunk.
    is_last: bool,
}

impl Chunks {
    /// Goes on in these bytes, which begin with those that it was given before: the body, and how many bytes it takes with its
    /// framing, once it is whole.
    pub(super) fn go_on(&mut self, bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, Lost> {
        let malformed = |what: &str| Lost::Malformed(what.into());
        while let Some((text, length)) = line(bytes.get(self.at..).unwrap_or_default())? {
            if self.is_last {
                // Fields that nobody asked for, and an empty line.
                self.at += length;
                if text.is_empty() {
                    return Ok(Some((std::mem::take(&mut self.body), self.at)));
                }
                continue;
            }
            let size = text.split(';').next().unwrap_or_default().trim();
            let size = number(size, 16).ok_or_else(|| malformed("the size of a chunk is no number"))?;
            if self.body.len().saturating_add(size) > limit::BODY {
                return Err(Lost::TooLong(limit::BODY as u64));
            }
            let begin = self.at + length;
            if size == 0 {
                self.is_last = true;
                self.at = begin;
                continue;
            }
            let Some(chunk) = bytes.get(begin..begin + size + 2) else { return Ok(None) };
            if &chunk[size..] != b"\r\n" {
                return Err(malformed("a chunk is longer than its size"));
            }
            self.body.extend_from_slice(&chunk[..size]);
            self.at = begin + size + 2;
        }
        Ok(None)
    }
}

/// A number of digits alone: no sign, which the library takes.
fn number(text: &str, radix: u32) -> Option<usize> {
    let digits = text.chars().all(|c| c.is_digit(radix));
    usize::from_str_radix(text, radix).ok().filter(|_| digits)
}

/// The line at the start of these bytes, and its length with its end; none if it is not complete.
fn line(bytes: &[u8]) -> Result<Option<(&str, usize)>, Lost> {
    /// Longer is no line of chunks.
    const LONGEST: usize = 4096;
    let Some(end) = bytes.iter().take(LONGEST).position(|b| *b == b'\n') else {
        return if bytes.len() < LONGEST {
            Ok(None)
        } else {
            Err(Lost::Malformed("a chunk without a size".into()))
        };
    };
    let text =
        std::str::from_utf8(&bytes[..end]).map_err(|_| Lost::Malformed("a size that is no text".into()))?;
    Ok(Some((text.trim_end_matches('\r'), end + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every answer in these bytes, when they come one by one.
    fn answers(bytes: &[u8], methods: &[&str]) -> Vec<(u16, Vec<u8>)> {
        let (mut held, mut found) = (Vec::new(), Vec::new());
        for (index, byte) in bytes.iter().enumerate() {
            held.push(*byte);
            let Some(method) = methods.get(found.len()) else { break };
            if let Some((response, length)) =
                answer(&held, method, index + 1 == bytes.len()).expect("an answer")
            {
                assert_eq!(length, held.len(), "an answer ends with its last byte");
                found.push((response.status, response.body.to_vec()));
                held.clear();
            }
        }
        assert!(held.is_empty(), "nothing is left: {held:?}");
        found
    }

    #[test]
    fn answers_end_where_they_end() {
        let bytes = b"HTTP/1.1 204 No Content\r\n\r\n\
            HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc\
            HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n\
            HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nx: y\r\n\r\n\
            HTTP/1.1 200 OK\r\n\r\nto the end";
        let expected = [
            (204, b"".to_vec()),
            (200, b"abc".to_vec()),
            (200, b"".to_vec()),
            (200, b"abc0123456789".to_vec()),
            (200, b"to the end".to_vec()),
        ];
        assert_eq!(answers(bytes, &["POST", "GET", "HEAD", "GET", "GET"]), expected);
    }

    #[test]
    fn what_is_no_answer_is_lost() {
        let lost = |bytes: &[u8]| answer(bytes, "GET", true).expect_err("no answer");
        assert!(matches!(lost(b""), Lost::Closed(_)));
        assert!(matches!(lost(b"HTTP/1.1 200 O"), Lost::Closed(_)));
        assert!(matches!(lost(b"HTTP/1.1 000 OK\r\n\r\n"), Lost::Malformed(_)));
        assert!(matches!(lost(b"HTTP/1.1 99 OK\r\n\r\n"), Lost::Malformed(_)));
        assert!(matches!(lost(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nabc"), Lost::Closed(_)));
        assert!(matches!(lost(b"\0\0\0\0"), Lost::Malformed(_)));
        assert!(matches!(
            lost(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
            Lost::Malformed(_)
        ));
        assert!(matches!(
            lost(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc"),
            Lost::Malformed(_)
        ));
        assert!(matches!(lost(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n"), Lost::TooLong(_)));
        assert!(matches!(lost(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"), Lost::Malformed(_)));
        assert!(matches!(lost(b"HTTP/1.1 200 OK\r\ncontent-length: +0\r\n\r\n"), Lost::Malformed(_)));
        assert!(matches!(
            lost(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n"),
            Lost::Malformed(_)
        ));
        let long =
            [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".as_slice(), &[b'1'; 5000]].concat();
        assert!(matches!(lost(&long), Lost::Malformed(_)));
    }
}
