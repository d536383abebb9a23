//! Decoders never panic, say where and why they refuse, and give back what was encoded.

use crate::messages::fixtures;
use proptest::prelude::*;
use wireproof_spec::{
    http::{Body, Fields, Request, Response},
    stream::{
        AppendRequest, CloseRequest, CreateResponse, HeadResponse, LongpollRequest, LongpollResponse,
        MediaType, Offset, Operation, ReadOffset, ReadRequest, Refusal, True,
        requirements::{
            STREAM_APPEND_6, STREAM_APPEND_7, STREAM_LONGPOLL_1, STREAM_MESSAGE_1, STREAM_MESSAGE_7,
            STREAM_READ_7, STREAM_READ_8, STREAM_SSE_2,
        },
    },
};

const PATH: &str = "/v1/stream/a";

fn refusal(request: Request) -> String {
    Operation::decode(&request).expect_err("a violation").to_string()
}

#[test]
fn errors_say_where_and_why() {
    let post = || Request::new("POST", PATH);
    let get = || Request::new("GET", PATH);
    let table: Vec<(Request, String)> = vec![
        (post(), "STREAM-APPEND-7: at /body: expected content or closure, found neither".into()),
        (
            post().header("stream-closed", "yes"),
            "STREAM-APPEND-7: at /body: expected content or closure, found neither".into(),
        ),
        (
            post().body("a"),
            "STREAM-APPEND-6: at /headers/content-type: expected a media type, found nothing".into(),
        ),
        (
            post().header("content-type", "text").body("a"),
            r#"at /headers/content-type: expected a media type, found "text""#.into(),
        ),
        (
            get().param("offset", "a,b"),
            r#"STREAM-READ-7: at /query/offset: expected an offset without control characters and , & = ? /, found "a,b""#
                .into(),
        ),
        (
            get().param("offset", "1").param("offset", "2"),
            r#"STREAM-READ-7: at /query/offset: expected an offset without control characters and , & = ? /, found "1, 2""#
                .into(),
        ),
        (
            get().param("offset", ""),
            r#"at /query/offset: expected an offset of at least one character, found """#.into(),
        ),
        (
            get().param("live", "bogus"),
            r#"STREAM-READ-8: at /query/live: expected long-poll or sse, found "bogus""#.into(),
        ),
        (
            get().param("live", "long-poll"),
            "STREAM-LONGPOLL-1: at /query/offset: expected an offset, found nothing".into(),
        ),
        (get().param("live", "sse"), "STREAM-SSE-2: at /query/offset: expected an offset, found nothing".into()),
        (
            Request::new("PATCH", PATH),
            r#"at /method: expected PUT, POST, DELETE, HEAD or GET, found "PATCH""#.into(),
        ),
        (Request::new("PUT", "a"), r#"at /path: expected a path that begins with /, found "a""#.into()),
    ];
    for (request, why) in table {
        assert_eq!(refusal(request), why);
    }
    let of = |request: Request| Operation::decode(&request).expect_err("a violation").requirement;
    assert_eq!(of(post()), Some(STREAM_APPEND_7));
    assert_eq!(of(post().body("a")), Some(STREAM_APPEND_6));
    assert_eq!(of(get().param("offset", "a/b")), Some(STREAM_READ_7));
    assert_eq!(of(get().param("live", "x")), Some(STREAM_READ_8));
    assert_eq!(of(get().param("live", "long-poll")), Some(STREAM_LONGPOLL_1));
    assert_eq!(of(get().param("live", "sse")), Some(STREAM_SSE_2));
}

#[test]
fn only_an_unknown_method_is_a_violation_of_the_method() {
    let of = |request: Request| Operation::decode(&request).expect_err("a violation").is_method();
    assert!(of(Request::new("PATCH", PATH)));
    assert!(of(Request::new("get", PATH)));
    assert!(!of(Request::new("POST", PATH)));
    assert!(!of(Request::new("GET", "")));
}

#[test]
fn answers_name_the_requirement_of_their_shape() {
    let create = CreateResponse::decode(&Response::new(201).header("content-type", "text/plain"));
    let create = create.expect_err("a violation");
    assert_eq!(create.requirement, Some(STREAM_MESSAGE_1));
    assert_eq!(
        create.to_string(),
        "STREAM-MESSAGE-1: at /headers/stream-next-offset: expected an offset, found nothing"
    );

    let reserved =
        Response::new(200).header("content-type", "text/plain").header("stream-next-offset", "now");
    assert_eq!(
        HeadResponse::decode(&reserved).expect_err("a violation").to_string(),
        r#"STREAM-MESSAGE-5: at /headers/stream-next-offset: expected an offset other than the reserved -1 and now, found "now""#
    );

    let capitals = reserved.header("stream-closed", "TRUE");
    let capitals = Response { headers: Fields(capitals.headers.0[..1].to_vec()), ..capitals }
        .header("stream-next-offset", "0")
        .header("stream-closed", "TRUE");
    assert_eq!(
        HeadResponse::decode(&capitals).expect_err("a violation").to_string(),
        r#"STREAM-MESSAGE-5: at /headers/stream-closed: expected the value true, found "TRUE""#
    );

    let timeout = LongpollResponse::decode(&Response::new(204).header("stream-next-offset", "0"));
    let timeout = timeout.expect_err("a violation");
    assert_eq!(timeout.requirement, Some(STREAM_MESSAGE_7));
    assert_eq!(timeout.at, "/headers/stream-up-to-date");

    assert_eq!(
        Refusal::decode(&Response::new(302)).expect_err("a violation").to_string(),
        "STREAM-MESSAGE-8: at /status: expected a status from 400 to 599, found 302"
    );
}

#[test]
fn a_post_is_a_close_only_without_content_and_with_closure() {
    let close = Request::new("POST", PATH).header("stream-closed", "tRuE").header("content-type", "?");
    let expected = CloseRequest {
        path: PATH.into(),
        content_type: Some("?".into()),
        closed: True,
        producer_id: None,
        producer_epoch: None,
        producer_seq: None,
    };
    assert_eq!(Operation::decode(&close), Ok(Operation::Close(expected)));

    let both =
        Request::new("POST", PATH).header("stream-closed", "TRUE").header("content-type", "a/b").body("x");
    let Ok(Operation::Append(append)) = Operation::decode(&both) else { panic!("an append") };
    assert!(append.closes());
    assert_eq!(Operation::Append(append).path(), PATH);

    let other =
        Request::new("POST", PATH).header("stream-closed", "1").header("content-type", "a/b").body("x");
    assert!(AppendRequest::decode(&other).is_ok_and(|append| !append.closes()));
}

#[test]
fn a_get_reads_or_waits() {
    let get = || Request::new("GET", PATH);
    let read = |offset| Ok(Operation::Read(ReadRequest { path: PATH.into(), offset, if_none_match: None }));
    let token = Offset::parse("0_5").expect("an offset");
    assert_eq!(Operation::decode(&get()), read(None));
    assert_eq!(Operation::decode(&get().param("offset", "-1")), read(Some(ReadOffset::Start)));
    assert_eq!(Operation::decode(&get().param("offset", "now")), read(Some(ReadOffset::Now)));
    assert_eq!(Operation::decode(&get().param("offset", "0_5")), read(Some(ReadOffset::At(token))));
    let wait = LongpollRequest::decode(
        &get().param("offset", "now").param("live", "long-poll").param("cursor", "x"),
    );
    assert!(wait.is_ok_and(|wait| wait.offset == ReadOffset::Now && wait.cursor.as_deref() == Some("x")));
}

#[test]
fn offsets_have_their_syntax() {
    for good in ["0", "-2", "NOW", "a.b_c~d", "a b", "é", &"9".repeat(300)] {
        assert_eq!(Offset::parse(good).as_ref().map(Offset::as_str), Ok(good));
    }
    for bad in ["", "-1", "now", "a,b", "a&b", "a=b", "a?b", "a/b", "a\n"] {
        assert!(Offset::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn media_types_are_compared_without_case() {
    let parse = |text: &str| MediaType::parse(text).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(parse("Text/Plain ; Charset=UTF-8").essence(), "text/plain");
    assert_eq!(parse("Text/Plain").as_str(), "Text/Plain");
    for (one, other, same) in [
        ("text/plain", "TEXT/PLAIN", true),
        ("text/plain; charset=utf-8", "text/plain;CHARSET=UTF-8", true),
        ("text/plain", "text/plain;", true),
        ("text/plain", "text/html", false),
        ("text/plain", "text/plain; charset=utf-8", false),
    ] {
        assert_eq!(parse(one).same(&parse(other)), same, "{one} and {other}");
    }
    for bad in [
        "",
        "text",
        "text/",
        "/plain",
        "a/b/c",
        "text/plain charset",
        "a/b; c",
        "a/b; c=",
        "a/b;c=\"d",
        "a /b",
    ] {
        assert!(MediaType::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn valid_fixtures_round_trip() {
    for fixture in fixtures().iter().filter(|f| f.breaks.is_none()) {
        assert!((fixture.message.round_trips)(&fixture.text), "{}", fixture.file);
        let rewritten = (fixture.message.rewritten)(&fixture.text);
        assert!(fixture.message.schema.is_valid(&rewritten), "{}: {rewritten:#}", fixture.file);
    }
}

fn fields() -> impl Strategy<Value = Fields> {
    let name = prop_oneof![
        proptest::sample::select(vec![
            "content-type",
            "stream-closed",
            "offset",
            "live",
            "cursor",
            "stream-next-offset"
        ])
        .prop_map(str::to_owned),
        "\\PC{0,4}",
    ];
    let value = prop_oneof![
        proptest::sample::select(vec!["true", "TRUE", "text/plain", "-1", "now", "0", "long-poll", "sse"])
            .prop_map(str::to_owned),
        any::<String>(),
    ];
    prop::collection::vec((name, value), 0..5).prop_map(Fields)
}

fn requests() -> impl Strategy<Value = Request> {
    let method = prop_oneof![
        proptest::sample::select(vec!["PUT", "POST", "DELETE", "HEAD", "GET"]).prop_map(str::to_owned),
        any::<String>(),
    ];
    let path = prop_oneof![Just(PATH.to_owned()), any::<String>()];
    let body = prop::collection::vec(any::<u8>(), 0..4);
    (method, path, fields(), fields(), body).prop_map(|(method, path, query, headers, body)| Request {
        method,
        path,
        query,
        headers,
        body: Body(body.into()),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_request_is_decoded_or_refused(request in requests()) {
        match Operation::decode(&request) {
            Ok(operation) => {
                let again = Operation::decode(&operation.clone().encode());
                prop_assert_eq!(again, Ok(operation));
            }
            Err(violation) => {
                prop_assert!(violation.at.starts_with('/'));
                prop_assert!(!violation.to_string().is_empty());
            }
        }
    }

    #[test]
    fn any_answer_is_decoded_or_refused(status in any::<u16>(), headers in fields(), body in any::<Vec<u8>>()) {
        let response = Response { status, headers, body: Body(body.into()) };
        if let Ok(answer) = LongpollResponse::decode(&response) {
            prop_assert_eq!(LongpollResponse::decode(&answer.clone().encode()), Ok(answer));
        }
        if let Ok(answer) = Refusal::decode(&response) {
            prop_assert_eq!(Refusal::decode(&answer.clone().encode()), Ok(answer));
        }
    }

    #[test]
    fn any_target_survives_its_line(query in fields(), body in any::<Vec<u8>>()) {
        let sent = Request { query, body: Body(body.into()), ..Request::new("GET", PATH) };
        let mut read = Request { query: Fields::default(), ..sent.clone() };
        read.set_target(&sent.target());
        prop_assert_eq!(&read, &sent);
        let document = serde_json::to_string(&sent.body).expect("a document");
        prop_assert_eq!(serde_json::from_str::<Body>(&document).expect("a body"), sent.body);
    }
}
