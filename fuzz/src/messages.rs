//! Messages whose parts are those of the protocol, in any number and order, with likely and unlikely values.

use crate::documents;
use arbitrary::{Result, Unstructured};
use wireproof_spec::{
    http::{Fields, Request, Response},
    stream::header::{self, query},
};

const METHODS: &[&str] = &["PUT", "POST", "GET", "HEAD", "DELETE", "PATCH", "get", ""];
const PATHS: &[&str] = &["/v1/stream/a", "/", "", "a", "/a?b", "/%zz"];
const PARAMETERS: &[&str] = &[query::OFFSET, query::LIVE, query::CURSOR, "x"];
const HEADERS: &[&str] = &[
    header::CONTENT_TYPE,
    header::NEXT_OFFSET,
    header::UP_TO_DATE,
    header::CLOSED,
    header::CURSOR,
    header::LOCATION,
    header::CACHE_CONTROL,
    header::ALLOW,
    header::TTL,
    header::EXPIRES_AT,
    header::FORKED_FROM,
    header::FORK_OFFSET,
    header::FORK_SUB_OFFSET,
    header::SEQ,
    header::PRODUCER_ID,
    header::PRODUCER_EPOCH,
    header::PRODUCER_SEQ,
    header::PRODUCER_EXPECTED_SEQ,
    header::PRODUCER_RECEIVED_SEQ,
    header::SSE_DATA_ENCODING,
    header::ETAG,
    header::IF_NONE_MATCH,
    "x",
];
const VALUES: &[&str] = &[
    "true",
    "TRUE",
    "",
    "0",
    "1",
    "00",
    "-1",
    "now",
    "long-poll",
    "sse",
    "base64",
    "text/plain",
    "application/json",
    "text/event-stream",
    "a/b; c=\"d\"",
    "9007199254740991",
    "9007199254740992",
    "99999999999999999999",
    "2026-11-21T10:00:00Z",
    "2026-11-21T10:00:00.5+01:00",
    "\"etag\"",
    "/v1/stream/b",
    "0_7",
];
const STATUSES: &[u16] = &[200, 201, 204, 304, 400, 404, 409, 599];
const BODIES: &[&str] = &["", "[]", "[1,[2]]", "{\"a\":1}", "[1", "a"];

/// Builds a request or an answer from the bytes and decodes it.
pub fn run(data: &[u8]) {
    // What the bytes do not suffice for is no message.
    let _ = message(&mut Unstructured::new(data));
}

fn message(u: &mut Unstructured<'_>) -> Result<()> {
    if u.arbitrary()? {
        let method = u.choose(METHODS)?;
        let mut request = Request::new(method, u.choose(PATHS)?);
        request.query = fields(u, PARAMETERS)?;
        request.headers = fields(u, HEADERS)?;
        documents::request(&request.body(body(u)?));
    } else {
        let status = if u.ratio(7, 8)? { *u.choose(STATUSES)? } else { u.arbitrary()? };
        let mut response = Response::new(status);
        response.headers = fields(u, HEADERS)?;
        documents::answer(&response.body(body(u)?));
    }
    Ok(())
}

fn fields(u: &mut Unstructured<'_>, names: &[&str]) -> Result<Fields> {
    let mut fields = Fields::default();
    for _ in 0..u.int_in_range(0..=8)? {
        let name = u.choose(names)?;
        let value = if u.ratio(3, 4)? { (*u.choose(VALUES)?).to_owned() } else { u.arbitrary()? };
        fields.push(name, value);
    }
    Ok(fields)
}

fn body(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    if u.arbitrary()? { Ok(u.choose(BODIES)?.as_bytes().to_vec()) } else { u.arbitrary() }
}
