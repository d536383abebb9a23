//! A request that comes bit by bit.

use super::HELLO;
use crate::wire::{Lost, framing::Chunks, limit};
use wireproof_spec::http::{Body, Fields, Request};

/// So many headers of a request are read.
const HEADERS: usize = 128;

/// What is known of a request of which a part has come. It is asked again with each part that comes, and reads none twice behind
/// the head.
#[derive(Default)]
pub(super) struct Coming {
    /// The request without its body, and how many bytes its head takes.
    head: Option<(Request, usize)>,
    chunks: Chunks,
}

impl Coming {
    /// Looks at all that has come: the request, and how many bytes it takes, once it is whole.
    pub(super) fn look(&mut self, bytes: &[u8]) -> Result<Option<(Request, usize)>, Lost> {
        if self.head.is_none() {
            self.head = head(bytes)?;
        }
        let Some((request, end)) = &self.head else { return Ok(None) };
        let rest = bytes.get(*end..).unwrap_or_default();
        let body = if request.headers.get("transfer-encoding").is_some() {
            self.chunks.go_on(rest)?
        } else if let Some(length) = request.headers.get("content-length") {
            let length: usize =
                length.parse().map_err(|_| Lost::Malformed("Content-Length is no number".into()))?;
            if length > limit::BODY {
                return Err(Lost::TooLong(limit::BODY as u64));
            }
            rest.get(..length).map(|body| (body.to_vec(), length))
        } else {
            Some((Vec::new(), 0))
        };
        Ok(body.map(|(body, length)| (Request { body: Body(body.into()), ..request.clone() }, end + length)))
    }

    /// Whether what was looked at is a head alone that waits to be told to go on.
    pub(super) fn waits(&self, bytes: &[u8]) -> bool {
        self.head.as_ref().is_some_and(|(request, end)| {
            let expect = request.headers.get("expect");
            *end == bytes.len() && expect.is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
        })
    }
}

/// The request at the start of these bytes, and how many of them it takes; none as long as it is not complete.
pub(crate) fn request(bytes: &[u8]) -> Result<Option<(Request, usize)>, Lost> {
    Coming::default().look(bytes)
}

/// The head at the start of these bytes, and how many of them it takes.
fn head(bytes: &[u8]) -> Result<Option<(Request, usize)>, Lost> {
    match bytes {
        // A record of a handshake, version, length, and the first message of a client.
        [0x16, 3, _, _, _, 1, ..] => return Err(Lost::Malformed(HELLO.into())),
        [0x16] | [0x16, 3] | [0x16, 3, _] | [0x16, 3, _, _] | [0x16, 3, _, _, _] => return Ok(None),
        _ => {}
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let end = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(end)) => end,
        Ok(httparse::Status::Partial) if bytes.len() > limit::HEAD => {
            return Err(Lost::TooLong(limit::HEAD as u64));
        }
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(e) => return Err(Lost::Malformed(format!("the head of a request: {e}"))),
    };
    let mut request = Request::new(parsed.method.unwrap_or_default(), "");
    request.set_target(parsed.path.unwrap_or_default());
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    request.headers =
        Fields(parsed.headers.iter().map(|h| (h.name.to_ascii_lowercase(), text(h.value))).collect());
    Ok(Some((request, end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_ends_where_it_ends() {
        let whole = |bytes: &[u8]| request(bytes).expect("a request");
        let post = b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET";
        for end in 0..post.len() - 3 {
            assert_eq!(whole(&post[..end]), None, "{end} bytes are none");
        }
        let (found, length) = whole(post).expect("a whole one");
        assert_eq!((found.method.as_str(), found.path.as_str(), length), ("POST", "/a", post.len() - 3));
        assert_eq!((&found.body[..], found.headers.get("host")), (&b"abc"[..], Some("x")));
        let chunked = b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
        assert_eq!(whole(chunked).map(|(r, n)| (r.body.to_vec(), n)), Some((b"ab".to_vec(), chunked.len())));
        let expects = |bytes: &[u8]| {
            let mut coming = Coming::default();
            coming.look(bytes).expect("a request");
            coming.waits(bytes)
        };
        let put = b"PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc";
        for end in 0..put.len() {
            assert_eq!(expects(&put[..end]), end == put.len() - 3, "{end} bytes wait");
        }
    }

    #[test]
    fn what_is_no_request_is_lost() {
        let lost = |bytes: &[u8]| request(bytes).expect_err("no request");
        assert_eq!(lost(b"\x16\x03\x01\0\xa5\x01"), Lost::Malformed(HELLO.into()));
        assert!(matches!(lost(b"\x16\x03\x01\0\xa5\x02"), Lost::Malformed(why) if why != HELLO));
        assert_eq!(request(b"\x16\x03\x01\0\xa5"), Ok(None));
        assert!(matches!(lost(b"GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n"), Lost::Malformed(_)));
        assert!(matches!(lost(b"GET / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n"), Lost::TooLong(_)));
        let endless = [b"GET /".as_slice(), &vec![b'a'; limit::HEAD]].concat();
        assert!(matches!(lost(&endless), Lost::TooLong(_)));
    }

    #[test]
    fn a_body_in_the_smallest_chunks_is_read_once() {
        const LENGTH: usize = 200_000;
        let head = b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let bytes = [head.as_slice(), &b"1\r\na\r\n".repeat(LENGTH), b"0\r\nx: y\r\n\r\n"].concat();
        // If each part had all before it read again, this would not end.
        let mut coming = Coming::default();
        let mut ends = (1..bytes.len()).step_by(7).chain([bytes.len()]);
        let found = ends.find_map(|end| coming.look(&bytes[..end]).expect("a request"));
        let (request, length) = found.expect("a whole one");
        assert_eq!((request.body.to_vec(), length), (vec![b'a'; LENGTH], bytes.len()));
    }
}
