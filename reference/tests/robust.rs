//! What a server survives, and the seams at which it is broken on purpose.

use crate::client::{Client, get, poll, post, put, raw, send, server, url, within};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
};
use wireproof_reference::{
    http,
    model::{Decision, Model},
    stream::{
        Limits, Options, Running, Seams, Server, StreamModel,
        model::{Ask, Input},
    },
};
use wireproof_spec::http::Request;

fn status(answer: &[u8]) -> &str {
    std::str::from_utf8(answer.get(9..12).unwrap_or_default()).unwrap()
}

fn started(seams: Seams) -> impl Future<Output = Result<Running, impl std::error::Error>> {
    Server::start(Options { seams, ..Options::default() })
}

#[tokio::test]
async fn chunked_bodies() {
    let server = server(1000).await;
    send(&server, put("k").body("a")).await;
    let head = "POST /v1/stream/k HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\n\
                transfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    let whole = format!("{head}2\r\nbc\r\n1;ext=1\r\nd\r\n0\r\n\r\n");
    assert_eq!(status(&raw(server.addr, whole.as_bytes(), false).await), "204");
    // The end is missing, or the body is no chunk: nothing is appended (STREAM-APPEND-9).
    for cut in
        [format!("{head}5\r\nlost!\r\n"), format!("{head}5\r\nlo"), format!("{head}zz\r\nlost\r\n0\r\n\r\n")]
    {
        assert_ne!(status(&raw(server.addr, cut.as_bytes(), true).await), "204");
    }
    let short =
        "POST /v1/stream/k HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: 9\r\n\r\nlost";
    assert_ne!(status(&raw(server.addr, short.as_bytes(), true).await), "204");
    assert_eq!(&*send(&server, get("k", "-1")).await.body, b"abcd");
}

#[tokio::test]
async fn bounds() {
    let limits = Limits { max_body: 1000, head_ms: 50, body_ms: 50, connections: 4, ..Limits::default() };
    let server = Server::start(Options { limits, ..Options::default() }).await.unwrap();
    send(&server, put("b")).await;
    let post = "POST /v1/stream/b HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\n";
    let mut long = format!("{post}content-length: 2000\r\nconnection: close\r\n\r\n").into_bytes();
    long.extend([b'x'; 2000]);
    assert_eq!(status(&raw(server.addr, &long, false).await), "413");
    let mut chunked =
        format!("{post}transfer-encoding: chunked\r\nconnection: close\r\n\r\n3e9\r\n").into_bytes();
    chunked.extend([b'x'; 1001]);
    chunked.extend(b"\r\n0\r\n\r\n");
    assert_eq!(status(&raw(server.addr, &chunked, false).await), "413");
    let slow = format!("{post}content-length: 10\r\n\r\nx");
    assert_eq!(status(&raw(server.addr, slow.as_bytes(), false).await), "408");
    let wide = format!("GET /v1/stream/b HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(40_000));
    assert_eq!(status(&raw(server.addr, wide.as_bytes(), false).await), "431");
    let many = format!("GET /v1/stream/b HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(200));
    assert_eq!(status(&raw(server.addr, many.as_bytes(), false).await), "431");
    for garbage in [&b"\0\0\0\0\r\n\r\n"[..], b"GET /v1/stream/b HTTP/9.9\r\n\r\n", b"GET\r\n\r\n"] {
        assert_eq!(status(&raw(server.addr, garbage, true).await), "400");
    }
    // Cut off are connections on which nothing comes, first or next.
    assert!(raw(server.addr, b"", false).await.is_empty());
    assert_eq!(status(&raw(server.addr, b"GET /v1/stream/b HTTP/1.1\r\n\r\n", false).await), "200");
    // And heads that never end; more of them than there is room for hold up others only until then.
    let stuck: Vec<_> = (0..8).map(|_| tokio::spawn(raw(server.addr, b"GET /v1", false))).collect();
    assert_eq!(send(&server, get("b", "-1")).await.status, 200);
    for connection in stuck {
        connection.await.unwrap();
    }
    assert_eq!(send(&server, get("b", "-1")).await.body.len(), 0);
}

#[tokio::test]
async fn a_head_has_no_body_and_pipelined_requests_are_answered_in_order() {
    let server = server(1000).await;
    send(&server, put("p").body("body!")).await;
    let two = "HEAD /v1/stream/p HTTP/1.1\r\nhost: x\r\n\r\nGET /v1/stream/p HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = String::from_utf8(raw(server.addr, two.as_bytes(), false).await).unwrap();
    let (head, get) = answer.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("HTTP/1.1 200") && get.starts_with("HTTP/1.1 200") && get.ends_with("\r\n\r\nbody!")
    );
}

/// A server that tells how many records came of each long-poll and of each client that went away.
async fn watched() -> (Running, UnboundedReceiver<usize>) {
    let (seen, told) = unbounded_channel();
    let port = Box::new(move |state: &_, now, input: &Input| {
        let decision = StreamModel::decide(state, now, input);
        if matches!(input, Input::Gone { .. } | Input::Ask { ask: Ask::LongPoll { .. }, .. }) {
            seen.send(decision.records.len()).unwrap();
        }
        decision
    });
    (started(Seams { port, ..Seams::honest() }).await.unwrap(), told)
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_no_wait() {
    let (server, mut told) = watched().await;
    send(&server, put("g")).await;
    let mut stream = tokio::net::TcpStream::connect(server.addr).await.unwrap();
    let request = b"GET /v1/stream/g?offset=-1&live=long-poll HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(request).await.unwrap();
    assert_eq!(within(told.recv()).await, Some(1));
    drop(stream);
    // One record: the wait is left.
    assert_eq!(within(told.recv()).await, Some(1));
}

#[tokio::test]
async fn an_orderly_stop_answers_who_waits() {
    let (server, mut told) = watched().await;
    send(&server, put("s")).await;
    let mut client = Client::to(server.addr).await;
    let waiting = tokio::spawn(async move { client.send(poll("s", "-1")).await });
    assert_eq!(within(told.recv()).await, Some(1));
    within(server.stop()).await.unwrap();
    assert_eq!(waiting.await.unwrap().status, 204);
}

#[tokio::test]
async fn seams_of_the_wire() {
    let seams = http::Seams {
        request: Box::new(|request| request.headers.remove("stream-closed")),
        reply: Box::new(|request, reply| {
            if request.method == "GET" {
                reply.headers.remove("stream-up-to-date");
            }
        }),
        delay: Some(Box::new(|request, _| (request.method == "DELETE").then_some(Duration::from_millis(30)))),
        bytes: Some(Box::new(|request, _| {
            (request.method == "HEAD").then(|| b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\ncut".to_vec())
        })),
        ..http::Seams::honest()
    }
    .into();
    let server = started(seams).await.unwrap();
    let mut client = Client::to(server.addr).await;
    let created = client.send(put("s").header("stream-closed", "true").body("x")).await;
    assert_eq!((created.status, created.headers.get("stream-closed")), (201, None));
    assert_eq!(client.send(get("s", "-1")).await.headers.get("stream-up-to-date"), None);
    let before = std::time::Instant::now();
    client.send(Request::new("DELETE", &url("s"))).await;
    assert!(before.elapsed() >= Duration::from_millis(30));
    let bytes = raw(server.addr, b"HEAD /v1/stream/s HTTP/1.1\r\nhost: x\r\n\r\n", false).await;
    assert!(bytes.ends_with(b"cut"));
}

#[tokio::test]
async fn the_port_forgets_and_answers_on() {
    let port = Box::new(|state: &_, now, input: &Input| {
        let decision = StreamModel::decide(state, now, input);
        match input {
            Input::Ask { ask: Ask::Append(_), .. } => {
                Decision { records: Vec::new(), effects: decision.effects }
            }
            _ => decision,
        }
    });
    let server = started(Seams { port, ..Seams::honest() }).await.unwrap();
    send(&server, put("f")).await;
    assert_eq!(send(&server, post("f", "gone")).await.status, 204);
    assert_eq!(send(&server, get("f", "-1")).await.body.len(), 0);
}

#[tokio::test]
async fn a_port_on_an_old_state_overwrites() {
    let mut old = None;
    let port = Box::new(move |state: &<StreamModel as Model>::State, now, input: &Input| {
        let stale = match input {
            Input::Ask { ask: Ask::Append(_), .. } => old.get_or_insert_with(|| state.clone()),
            _ => state,
        };
        StreamModel::decide(stale, now, input)
    });
    let data = tempfile::tempdir().unwrap();
    let seams = Seams { port, ..Seams::honest() };
    let server =
        Server::start(Options { data: Some(data.path().into()), seams, ..Options::default() }).await.unwrap();
    send(&server, put("o").body("base ")).await;
    assert_eq!(send(&server, post("o", "first")).await.status, 204);
    assert_eq!(send(&server, post("o", "2nd")).await.status, 204);
    assert_eq!(&*send(&server, get("o", "-1")).await.body, b"base 2nd");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_clock_that_runs_late_does_not_spin() {
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&asked);
    let port = Box::new(move |state: &_, now: u64, input: &Input| {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        StreamModel::decide(state, now - now % 1000, input)
    });
    let limits = Limits { long_poll_ms: 20, ..Limits::default() };
    let seams = Seams { port, ..Seams::honest() };
    let server = Server::start(Options { limits, seams, ..Options::default() }).await.unwrap();
    send(&server, put("c")).await;
    assert_eq!(send(&server, poll("c", "-1")).await.status, 204);
    assert!(asked.load(std::sync::atomic::Ordering::Relaxed) < 500);
}

#[tokio::test]
async fn many_writers_and_readers() {
    let data = tempfile::tempdir().unwrap();
    let server =
        Server::start(Options { data: Some(data.path().into()), ..Options::default() }).await.unwrap();
    send(&server, put("m")).await;
    let addr = server.addr;
    let writers: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn(async move {
                let mut client = Client::to(addr).await;
                for _ in 0..25 {
                    assert_eq!(client.send(post("m", "0123456789")).await.status, 204);
                }
            })
        })
        .collect();
    let mut reader = Client::to(addr).await;
    let (mut read, mut offset) = (Vec::new(), "-1".to_owned());
    while read.len() < 8 * 25 * 10 {
        let part = reader.send(poll("m", &offset)).await;
        read.extend_from_slice(&part.body);
        offset = crate::client::tail(&part).to_owned();
    }
    assert!(read.chunks(10).all(|message| message == b"0123456789"));
    for writer in writers {
        writer.await.unwrap();
    }
    let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
    within(server.stop()).await.unwrap();
    // An idle connection is closed by an orderly stop.
    let _ = within(stream.read(&mut [0])).await;
}

#[tokio::test]
async fn a_failed_commit_ends_the_server_unanswered() {
    let data = tempfile::tempdir().unwrap();
    let options = Options { data: Some(data.path().into()), ..Options::default() };
    let mut server = Server::start(options).await.unwrap();
    assert_eq!(send(&server, put("x")).await.status, 201);
    // Someone else takes the next position of the log.
    let other = rusqlite::Connection::open(data.path().join("log.sqlite")).unwrap();
    other.execute("INSERT INTO log (position, record) VALUES (2, x'00')", []).unwrap();
    let mut client = Client::to(server.addr).await;
    assert!(within(client.try_send(post("x", "never"))).await.is_err());
    assert!(within(server.ended()).await.is_err());
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_cut_off() {
    let limits = Limits { write_ms: 50, connections: 1, chunk: u64::MAX, ..Limits::default() };
    let server = Server::start(Options { limits, ..Options::default() }).await.unwrap();
    let large = put("l").body(vec![b'x'; limits.max_body]);
    assert_eq!(send(&server, large).await.status, 201);
    let mut stuck = tokio::net::TcpStream::connect(server.addr).await.unwrap();
    stuck.write_all(b"GET /v1/stream/l HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    // There is room for one connection only.
    assert_eq!(send(&server, get("l", "now")).await.status, 200);
    let mut part = Vec::new();
    let _ = within(stuck.read_to_end(&mut part)).await;
    assert!(part.starts_with(b"HTTP/1.1 200") && part.len() < limits.max_body);
}
