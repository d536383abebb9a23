//! The caller of the HTTP API against the reference server, and against one that answers what a test wants.

use crate::client::within;
use bytes::Bytes;
use httpdate::fmt_http_date;
use serde_json::json;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use wireproof_reference::queue::{
    KEY, Options, Server,
    client::{
        ApiError, Caller, Kind, Payload, Settings,
        seams::{CallSeams, Exchanged, Next},
    },
};
use wireproof_spec::{
    http::Response,
    queue::{CreateRequest, PublishRequest},
};

/// What a server does with a request that it has read.
#[derive(Clone)]
enum Act {
    /// Answers with this status and these headers, and the envelope that belongs to it.
    Status(u16, Vec<(&'static str, String)>),
    /// Answers with this head and body.
    Answer(&'static str, String),
    /// Ends the connection without a word, in order or with a reset.
    Reset(bool),
    /// Ends it within the body of an answer.
    Cut,
    /// Answers never.
    Silent,
}

fn status(status: u16) -> Act {
    Act::Status(status, Vec::new())
}

fn asking(code: u16, name: &'static str, value: impl ToString) -> Act {
    Act::Status(code, vec![(name, value.to_string())])
}

/// A server that does one thing after the other, and the last of them again and again.
struct Scripted {
    addr: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Scripted {
    async fn start(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            for number in 0.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = request(&mut stream).await;
                kept.lock().unwrap().push(request);
                act(stream, acts[number.min(acts.len() - 1)].clone()).await;
            }
        });
        Self { addr, requests, task }
    }

    fn settings(&self) -> Settings {
        Settings::new(format!("http://{}/api/", self.addr), KEY)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// A request, read to the end of its body.
async fn request(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split("content-length: ").nth(1);
            let length = length.map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
            let chunked = head.contains("transfer-encoding: chunked");
            if if chunked { body.ends_with("0\r\n\r\n") } else { body.len() >= length } {
                return String::from_utf8(read).unwrap();
            }
        }
        if stream.read_buf(&mut read).await.unwrap() == 0 {
            return String::from_utf8(read).unwrap();
        }
    }
}

async fn act(mut stream: TcpStream, act: Act) {
    let answer = match act {
        Act::Status(status, headers) => {
            let body = match status {
                200 => json!({ "success": true, "data": { "offset": 7 } }),
                _ => json!({ "success": false, "message": format!("as told: {status}") }),
            };
            let headers: String =
                headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            full(&format!("{status} Told\r\n{headers}content-type: application/json"), &body.to_string())
        }
        Act::Answer(head, body) => full(head, &body),
        Act::Cut => {
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{".to_owned()
        }
        Act::Reset(reset) => {
            if reset {
                stream.set_zero_linger().unwrap();
            }
            return;
        }
        Act::Silent => {
            tokio::spawn(async move { stream.read_u8().await });
            return;
        }
    };
    stream.write_all(answer.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    // A connection that is dropped while bytes come would be reset.
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
}

fn full(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// A caller that does not wait, and what it would have waited.
fn hasty(settings: &Settings) -> (Caller, Arc<Mutex<Vec<u64>>>) {
    let waits = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&waits);
    let retry: wireproof_reference::queue::client::seams::MapRetry = Box::new(move |_, _, next| {
        if let Next::Wait(delay) = next {
            kept.lock().unwrap().push(*delay);
            *delay = 0;
        }
    });
    let seams = CallSeams { retry: Some(Arc::new(retry)), ..CallSeams::honest() };
    (Caller::broken(settings, seams).unwrap(), waits)
}

/// What a call of a server that acts like this comes to, how many requests it makes, and how long it would have waited.
async fn called(acts: Vec<Act>) -> (Result<i64, ApiError>, usize, Vec<u64>) {
    let server = Scripted::start(acts).await;
    let (caller, waits) = hasty(&server.settings());
    let result = within(caller.head("one")).await;
    let waits = waits.lock().unwrap().clone();
    (result, server.requests().len(), waits)
}

fn between(waits: &[u64], bounds: &[std::ops::Range<u64>]) {
    assert_eq!(waits.len(), bounds.len(), "{waits:?}");
    for (wait, bounds) in waits.iter().zip(bounds) {
        assert!(bounds.contains(wait), "{waits:?} {bounds:?}");
    }
}

#[tokio::test]
async fn it_speaks_with_the_reference_server() {
    let server = Server::start(Options::default()).await.unwrap();
    for dated_paths in [false, true] {
        let settings = Settings { dated_paths, ..Settings::new(&server.root, KEY) };
        let caller = Caller::new(&settings).unwrap();
        let name = if dated_paths { "dated" } else { "plain" };
        let create = json!({ "name": name, "queue_type": "worker" }).to_string();
        let create = CreateRequest::decode(create.as_bytes()).unwrap();
        let queue = within(caller.create(&create)).await.unwrap();
        assert_eq!(within(caller.get(name)).await.unwrap(), queue);
        let publish = |n: u64| PublishRequest {
            payload: json!(n).into(),
            metadata: None,
            idempotency_key: None,
            partition_key: None,
            ttl_seconds: None,
        };
        for n in 0..3 {
            let message = within(caller.publish(name, &publish(n), true)).await.unwrap();
            assert_eq!(message.offset.get(), i64::try_from(n).unwrap());
        }
        let read = within(caller.consume(name, 1, Some(5))).await.unwrap();
        assert_eq!(read.iter().map(|message| message.offset.get()).collect::<Vec<_>>(), [1, 2]);
        assert_eq!((caller.head(name).await.unwrap(), caller.tail(name).await.unwrap()), (0, 2));
        assert!(caller.pause(name).await.unwrap().paused_at.is_some());
        assert!(caller.resume(name).await.unwrap().paused_at.is_none_or(|at| at.0.is_none()));
        let first = within(caller.receive(name, None)).await.unwrap().unwrap();
        within(caller.ack(name, &first.id)).await.unwrap();
        let second = within(caller.receive(name, Some(1))).await.unwrap().unwrap();
        within(caller.nack(name, &second.id)).await.unwrap();
        let unknown = within(caller.ack(name, "qmsg_unknown")).await.unwrap_err();
        assert!(unknown.is_not_found() && unknown.kind == Kind::Refused, "{unknown:?}");
        within(caller.delete(name)).await.unwrap();
        let gone = within(caller.get(name)).await.unwrap_err();
        assert!(gone.is_not_found() && gone.message.contains("not found"), "{gone}");
    }
    let wrong = Caller::new(&Settings::new(&server.root, "wrong")).unwrap();
    assert_eq!(within(wrong.get("one")).await.unwrap_err().status, 401);
}

#[tokio::test]
async fn unavailable_is_tried_again_for_a_time() {
    let (result, requests, waits) = called(vec![
        status(503),
        status(502),
        status(503),
        Act::Reset(true),
        Act::Reset(false),
        status(503),
        status(200),
    ])
    .await;
    assert_eq!((result.unwrap(), requests), (7, 7));
    between(&waits, &[500..1000, 1000..2000, 2000..4000, 4000..5001, 5000..5001, 5000..5001]);
    // What they ask for does not count here.
    let (_, _, waits) = called(vec![asking(503, "retry-after", 60), status(200)]).await;
    between(&waits, std::slice::from_ref(&(500..1000)));
    // Until the window is over.
    let server = Scripted::start(vec![status(502)]).await;
    let mut settings = server.settings();
    (settings.retries.window_ms, settings.retries.service_delay_ms) = (100, 20);
    settings.retries.service_max_ms = 30;
    let before = Instant::now();
    let error = within(Caller::new(&settings).unwrap().head("one")).await.unwrap_err();
    assert_eq!((error.status, error.kind), (502, Kind::Refused));
    assert!(before.elapsed() >= Duration::from_millis(100));
    assert!((4..=11).contains(&server.requests().len()), "{}", server.requests().len());
    settings.retries.window_ms = 0;
    let before = server.requests().len();
    within(Caller::new(&settings).unwrap().head("one")).await.unwrap_err();
    assert_eq!(server.requests().len(), before + 1);
    // Nobody is there.
    settings.base_url = {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", free.local_addr().unwrap())
    };
    let error = within(Caller::new(&settings).unwrap().head("one")).await.unwrap_err();
    assert_eq!((error.status, error.kind), (503, Kind::Unreached));
}

#[tokio::test]
async fn conflicts_and_answers_that_break_off_are_tried_again_so_often() {
    for code in [409, 501] {
        let (result, requests, waits) = called(vec![status(code)]).await;
        assert_eq!((result.unwrap_err().status, requests), (code, 4));
        between(&waits, &[50..100, 100..200, 200..400]);
    }
    let (result, requests, waits) = called(vec![Act::Cut]).await;
    assert_eq!((result.unwrap_err().kind, requests), (Kind::Cut, 4));
    between(&waits, &[50..100, 100..200, 200..400]);
    let (result, requests, _) = called(vec![Act::Cut, status(409), status(200)]).await;
    assert_eq!((result.unwrap(), requests), (7, 3));
    // One counter for both.
    let (result, requests, _) = called(vec![status(503), status(503), status(503), status(409)]).await;
    assert_eq!((result.unwrap_err().status, requests), (409, 4));
    let (_, _, waits) = called(vec![status(503), status(409), status(200)]).await;
    between(&waits, &[500..1000, 100..200]);
}

#[tokio::test]
async fn a_conflict_may_ask_for_a_delay() {
    let now = std::time::SystemTime::now();
    let unix = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for (acts, bounds) in [
        (vec![("retry-after", "3".to_owned())], 3000..3001),
        (vec![("retry-after", fmt_http_date(now + Duration::from_secs(60)))], 50_000..60_001),
        (vec![("retry-after", fmt_http_date(now - Duration::from_secs(60)))], 0..1),
        (vec![("x-ratelimit-reset", (unix + 60).to_string())], 50_000..60_001),
        (vec![("x-ratelimit-reset", "1".to_owned())], 0..1),
        (vec![("x-ratelimit-retry-after", "2".to_owned())], 2000..2001),
        (vec![("x-ratelimit-retry-after", "2".to_owned()), ("retry-after", "1".to_owned())], 1000..1001),
        (vec![("x-ratelimit-retry-after", "2".to_owned()), ("retry-after", "soon".to_owned())], 2000..2001),
        (vec![("retry-after", "-1".to_owned())], 50..100),
    ] {
        let (_, requests, waits) = called(vec![Act::Status(409, acts), status(200)]).await;
        assert_eq!(requests, 2);
        between(&waits, std::slice::from_ref(&bounds));
    }
    for code in [429, 501] {
        let (_, _, waits) = called(vec![asking(code, "retry-after", 9), status(200)]).await;
        assert!(waits.iter().all(|wait| *wait < 100), "{waits:?}");
    }
}

#[tokio::test]
async fn the_rest_is_not_tried_again() {
    for code in [400, 401, 402, 403, 404, 421, 426, 429, 500, 504] {
        let (result, requests, waits) = called(vec![status(code), status(200)]).await;
        assert_eq!((result.unwrap_err().status, requests, waits.len()), (code, 1, 0));
    }
    let (result, requests, _) = called(vec![Act::Answer("no status", String::new()), status(200)]).await;
    assert_eq!((result.unwrap_err().kind, requests), (Kind::Exchange, 1));
    // Nor a body that cannot be sent again.
    for acts in [vec![status(503)], vec![status(409)], vec![Act::Cut], vec![Act::Reset(true)]] {
        let server = Scripted::start(acts).await;
        let caller = Caller::new(&server.settings()).unwrap();
        let parts = ["{\"payload\"", ":1}"].map(|part| Ok(Bytes::from(part)));
        let body = Payload::Stream(Box::pin(futures_util::stream::iter(parts)));
        within(caller.call("POST", "messages/publish", &["one"], &[], body)).await.unwrap_err();
        let requests = server.requests();
        assert_eq!(requests.len(), 1);
        assert!(requests[0].contains("{\"payload\"") && requests[0].contains(":1}"), "{}", requests[0]);
    }
}

#[tokio::test]
async fn each_request_of_a_call_is_the_same() {
    let server =
        Scripted::start(vec![status(503), status(409), Act::Reset(true), Act::Cut, status(200)]).await;
    for org_id in [None, Some("org_1".to_owned())] {
        let mut settings = Settings { org_id: org_id.clone(), ..server.settings() };
        settings.retries.most = 9;
        let (caller, _) = hasty(&settings);
        let before = server.requests().len();
        let body = Payload::Json("{\"payload\":1}".into());
        let call = caller.call("POST", "messages/publish", &["a/b"], &[("sync", "true")], body);
        within(call).await.unwrap();
        let requests = server.requests().split_off(before);
        assert!(requests.iter().all(|request| *request == requests[0]), "{requests:#?}");
        let request = requests[0].to_ascii_lowercase();
        assert!(request.starts_with("post /api/queue/messages/publish/a%2fb?sync=true http/1.1\r\n"));
        assert!(request.contains(&format!("authorization: bearer {KEY}\r\n")));
        assert!(request.contains("content-type: application/json\r\n"));
        assert!(request.contains("accept: application/json\r\n"));
        assert!(request.ends_with("\r\n\r\n{\"payload\":1}"));
        assert_eq!(request.contains("x-agentuity-orgid: org_1\r\n"), org_id.is_some());
        assert_eq!(request.contains("x-agentuity-orgid"), org_id.is_some());
    }
    assert_eq!(server.requests().len(), 6);
}

#[tokio::test]
async fn refusals_are_understood() {
    const JSON: &str = "content-type: application/json; charset=utf-8";
    const TEXT: &str = "content-type: text/plain";
    for (code, kind, of, message, name) in [
        (400, JSON, "{\"success\":false,\"message\":\"m\"}", "m", Kind::Refused),
        (400, JSON, "{\"success\":false,\"message\":\"m\",\"error\":\"e\"}", "e", Kind::Refused),
        (400, JSON, "{\"success\":false,\"error\":\"e\"}", "the server answered 400", Kind::Status),
        (400, JSON, "{\"message\":\"m\"}", "the server answered 400", Kind::Status),
        (400, JSON, "{\"success\":\"no\",\"message\":\"m\"}", "the server answered 400", Kind::Status),
        (404, TEXT, "{\"success\":false,\"message\":\"m\"}", "the server answered 404", Kind::Status),
        (500, JSON, "<html>", "the server answered 500", Kind::Status),
        (426, TEXT, "", "the server answered 426", Kind::UpgradeRequired),
        (402, JSON, "{\"success\":false,\"message\":\"m\"}", "m", Kind::PaymentRequired),
        (
            400,
            JSON,
            "{\"success\":false,\"message\":\"m\",\"code\":\"UPGRADE_REQUIRED\"}",
            "m",
            Kind::UpgradeRequired,
        ),
        (
            400,
            JSON,
            "{\"success\":false,\"error\":{\"name\":\"ZodError\",\"issues\":[{\"path\":[\"a\"]}]}}",
            "[{\"path\":[\"a\"]}]",
            Kind::Validation,
        ),
        (200, JSON, "{\"success\":false,\"message\":\"m\",\"code\":\"c\"}", "m", Kind::Refused),
        (200, JSON, "{}", "expected a JSON document with success", Kind::Answer),
        (200, TEXT, "{\"success\":true}", "expected a JSON document with success", Kind::Answer),
        (204, TEXT, "", "expected a JSON document with success", Kind::Answer),
    ] {
        let head: &'static str = format!("{code} Told\r\nx-session-id: s_1\r\n{kind}").leak();
        let (result, _, _) = called(vec![Act::Answer(head, of.to_owned())]).await;
        let error = result.unwrap_err();
        assert_eq!((error.status, error.kind), (code, name), "{of}");
        assert!(error.message.starts_with(message), "{of}: {error}");
        assert_eq!(error.session.as_deref(), Some("s_1"));
    }
}

#[tokio::test]
async fn bounds_hold() {
    let server = Scripted::start(vec![Act::Silent]).await;
    let mut settings = server.settings();
    settings.bounds.exchange_ms = 50;
    let error = within(Caller::new(&settings).unwrap().head("one")).await.unwrap_err();
    assert_eq!((error.kind, server.requests().len()), (Kind::Slow, 1));
    let long = Act::Answer("200 OK\r\ncontent-type: application/json", " ".repeat(10_000));
    let server = Scripted::start(vec![long]).await;
    let mut settings = server.settings();
    settings.bounds.max_body = 9_999;
    let error = within(Caller::new(&settings).unwrap().head("one")).await.unwrap_err();
    assert_eq!((error.kind, server.requests().len()), (Kind::TooLong, 1));
    // What is none of the protocol is not sent.
    let caller = Caller::new(&server.settings()).unwrap();
    for error in [
        caller.head("A").await.unwrap_err(),
        caller.ack("one", "msg_1").await.unwrap_err(),
        caller.consume("one", 0, Some(1001)).await.unwrap_err(),
        Caller::new(&Settings::new("https://h", KEY)).err().unwrap(),
        Caller::new(&Settings::new("http://h", "")).err().unwrap(),
    ] {
        assert_eq!((error.kind, error.status), (Kind::Local, 0), "{error}");
    }
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn seams_break_it_where_they_say() {
    let server = Scripted::start(vec![status(500), status(200)]).await;
    let seams = CallSeams {
        request: Some(Arc::new(Box::new(|attempt, request| {
            request.headers.set("authorization", format!("attempt {attempt}"));
        }))),
        exchanged: Some(Arc::new(Box::new(|_, request, got| {
            assert!(request.path.starts_with("/api/queue/head/"));
            if let Exchanged::Answer(Response { status: status @ 500, .. }) = got {
                *status = 501;
            }
        }))),
        retry: Some(Arc::new(Box::new(|_, got, next| {
            assert!(matches!(got, Exchanged::Answer(_)));
            if let Next::Wait(delay) = next {
                *delay = 0;
            }
        }))),
    };
    let caller = Caller::broken(&server.settings(), seams).unwrap();
    assert_eq!(within(caller.head("one")).await.unwrap(), 7);
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    for (attempt, request) in requests.iter().enumerate() {
        assert!(request.contains(&format!("authorization: attempt {attempt}\r\n")), "{request}");
    }
}
