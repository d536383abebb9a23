//! The stream server over the wire: every operation of spec/stream.md.

use crate::client::{Client, close, get, poll, post, put, send, server, tail, url, within};
use wireproof_reference::stream::{Limits, Options, Server};
use wireproof_spec::http::{Request, Response};

const ZERO: &str = "00000000000000000000";

fn flag(response: &Response, name: &str) -> bool {
    response.headers.get(name) == Some("true")
}

#[tokio::test]
async fn create_append_read() {
    let server = server(1000).await;
    let mut client = Client::to(server.addr).await;
    let created = client.send(put("a/b")).await;
    assert_eq!(created.status, 201);
    assert_eq!(created.headers.get("location"), Some("http://test.example/v1/stream/a/b"));
    assert_eq!(created.headers.get("content-type"), Some("text/plain"));
    assert_eq!(created.headers.get("x-content-type-options"), Some("nosniff"));
    assert_eq!(created.headers.get("cross-origin-resource-policy"), Some("cross-origin"));
    assert_eq!(tail(&created), ZERO);

    let mut request = post("a/b", "hello ");
    request.headers.set("content-type", "TEXT/plain");
    let appended = client.send(request).await;
    assert_eq!(appended.status, 204);
    let middle = tail(&appended).to_owned();
    let appended = client.send(post("a/b", "world")).await;
    assert!(*middle < *tail(&appended));

    let all = client.send(Request::new("GET", &url("a/b"))).await;
    assert_eq!((all.status, &*all.body.0), (200, &b"hello world"[..]));
    assert!(flag(&all, "stream-up-to-date") && !flag(&all, "stream-closed"));
    assert_eq!(tail(&all), tail(&appended));
    assert_eq!(&*client.send(get("a/b", &middle)).await.body, b"world");
    let none = client.send(get("a/b", tail(&appended))).await;
    assert_eq!((none.status, none.body.len(), tail(&none)), (200, 0, tail(&appended)));
    let now = client.send(get("a/b", "now")).await;
    assert_eq!((now.status, now.body.len(), tail(&now)), (200, 0, tail(&appended)));
    assert_eq!(now.headers.get("cache-control"), Some("no-store"));

    let head = client.send(Request::new("HEAD", &url("a/b"))).await;
    assert_eq!((head.status, tail(&head)), (200, tail(&appended)));
    assert_eq!(head.headers.get("cache-control"), Some("no-store"));
    assert_eq!(head.headers.get("content-length"), None);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn create_again() {
    let server = server(1000).await;
    let closed = || put("c").header("stream-closed", "TRUE").body("first");
    let created = send(&server, closed()).await;
    assert!(created.status == 201 && flag(&created, "stream-closed"));
    assert_eq!(send(&server, closed().body("second")).await.status, 200);
    assert_eq!(send(&server, put("c")).await.status, 409);
    assert_eq!(&*send(&server, get("c", "-1")).await.body, b"first");
    assert_eq!(send(&server, put("o").header("stream-closed", "yes")).await.status, 201);
    assert_eq!(send(&server, put("o").header("stream-closed", "true")).await.status, 409);
    assert_eq!(send(&server, put("o")).await.status, 200);
    assert_eq!(send(&server, Request::new("PUT", &url("o"))).await.status, 409);
    let bare = send(&server, Request::new("PUT", &url("bare"))).await;
    assert_eq!(bare.headers.get("content-type"), Some("application/octet-stream"));
    let racing: Vec<_> = (0..16).map(|_| send(&server, put("race"))).collect();
    let mut fresh = 0;
    for status in futures(racing).await.iter().map(|r| r.status) {
        assert!(status == 200 || status == 201);
        fresh += usize::from(status == 201);
    }
    assert_eq!(fresh, 1);
}

/// Runs futures at once; their results in order.
async fn futures<T>(all: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut all: Vec<_> = all.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<T>> = all.iter().map(|_| None).collect();
    within(std::future::poll_fn(move |cx| {
        for (future, slot) in all.iter_mut().zip(&mut done).filter(|(_, slot)| slot.is_none()) {
            if let std::task::Poll::Ready(value) = future.as_mut().poll(cx) {
                *slot = Some(value);
            }
        }
        match done.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(done.drain(..).flatten().collect()),
            false => std::task::Poll::Pending,
        }
    }))
    .await
}

#[tokio::test]
async fn refusals() {
    let server = server(1000).await;
    let mut client = Client::to(server.addr).await;
    client.send(put("r")).await;
    let json = |body: &'static str| {
        Request::new("POST", &url("r")).header("content-type", "application/json").body(body)
    };
    let nobody = Request::new("POST", &url("r"));
    for (request, status) in [
        (post("none", "x"), 404),
        (close("none"), 404),
        (get("none", "-1"), 404),
        (poll("none", "-1"), 404),
        (Request::new("HEAD", &url("none")), 404),
        (Request::new("DELETE", &url("none")), 404),
        (Request::new("GET", "/elsewhere"), 404),
        (Request::new("PUT", "/v1/stream/"), 404),
        (Request::new("PUT", "/v1/stream"), 404),
        (json("{}"), 409),
        (nobody.clone().body("x"), 400),
        (nobody.clone().header("content-type", "text/plain"), 400),
        (nobody.clone().header("stream-closed", "yes"), 400),
        (get("r", "a,b"), 400),
        (get("r", "nonsense"), 400),
        (get("r", "00000000000000000001"), 400),
        (get("r", "99999999999999999999"), 400),
        (get("r", "").param("offset", ""), 400),
        (get("r", ZERO).param("live", "bogus"), 400),
        (Request::new("GET", &url("r")).param("live", "long-poll"), 400),
        (Request::new("PATCH", &url("r")), 405),
    ] {
        let refused = client.send(request.clone()).await;
        assert_eq!(refused.status, status, "{request:?}");
        assert_eq!(refused.headers.get("cache-control"), Some("no-store"));
        assert_eq!(refused.headers.get("allow").is_some(), status == 405);
        assert!(
            refused.body.starts_with(b"STREAM-") || refused.body.is_empty() == (request.method == "HEAD")
        );
    }
    assert_eq!(client.send(get("r", "-1")).await.body.len(), 0);
}

#[tokio::test]
async fn closing() {
    let server = server(60_000).await;
    let mut client = Client::to(server.addr).await;
    client.send(put("c").body("abc")).await;
    let end = client.send(close("c").header("content-type", "!!")).await;
    assert_eq!((end.status, tail(&end)), (204, "00000000000000000003"));
    assert!(flag(&end, "stream-closed"));
    assert_eq!(
        client.send(close("c")).await,
        Response { headers: same_date(&client.send(close("c")).await, &end), ..end.clone() }
    );
    for request in [
        post("c", "x"),
        post("c", "x").header("stream-closed", "true"),
        Request::new("POST", &url("c")).header("content-type", "image/png").body("x"),
    ] {
        let refused = client.send(request).await;
        assert!(refused.status == 409 && flag(&refused, "stream-closed"));
        assert_eq!(tail(&refused), tail(&end));
    }
    let read = client.send(get("c", "-1")).await;
    assert!(flag(&read, "stream-closed") && flag(&read, "stream-up-to-date"));
    for offset in ["now", tail(&end)] {
        let polled = client.send(poll("c", offset)).await;
        assert_eq!((polled.status, tail(&polled)), (204, tail(&end)));
        assert!(flag(&polled, "stream-closed") && flag(&polled, "stream-up-to-date"));
        assert_eq!(polled.headers.get("cache-control"), Some("no-store"));
    }
    let last = client.send(poll("c", "-1")).await;
    assert_eq!((last.status, &*last.body.0), (200, &b"abc"[..]));
    assert!(flag(&last, "stream-closed"));
    assert!(flag(&client.send(Request::new("HEAD", &url("c"))).await, "stream-closed"));
    client.send(put("both")).await;
    let both = client.send(post("both", "end").header("stream-closed", "true")).await;
    assert!(both.status == 204 && flag(&both, "stream-closed"));
}

fn same_date(one: &Response, other: &Response) -> wireproof_spec::http::Fields {
    let mut headers = one.headers.clone();
    headers.set("date", other.headers.get("date").unwrap_or_default());
    headers
}

#[tokio::test]
async fn long_polls_are_woken() {
    let server = server(60_000).await;
    let mut writer = Client::to(server.addr).await;
    writer.send(put("w")).await;
    let waiting = |offset: &'static str| {
        let addr = server.addr;
        tokio::spawn(async move { Client::to(addr).await.send(poll("w", offset)).await })
    };
    // Races with the append below on purpose: whichever comes first, -1 must not be lost (STREAM-LONGPOLL-15).
    let readers: Vec<_> = (0..8).map(|_| waiting("-1")).collect();
    writer.send(post("w", "one")).await;
    for reader in readers {
        let answer = reader.await.unwrap();
        assert_eq!((answer.status, &*answer.body.0), (200, &b"one"[..]));
        assert!(answer.headers.get("stream-cursor").unwrap().parse::<u64>().is_ok());
    }
    let reader = waiting("00000000000000000003");
    writer.send(close("w")).await;
    let answer = reader.await.unwrap();
    assert!(answer.status == 204 && flag(&answer, "stream-closed"));
    writer.send(put("gone")).await;
    let reader = tokio::spawn({
        let addr = server.addr;
        async move { Client::to(addr).await.send(poll("gone", "now")).await }
    });
    writer.send(Request::new("DELETE", &url("gone"))).await;
    assert_eq!(reader.await.unwrap().status, 404);
}

#[tokio::test]
async fn long_polls_time_out_and_cursors_advance() {
    let server = server(20).await;
    let mut client = Client::to(server.addr).await;
    client.send(put("t").body("x")).await;
    let first = client.send(poll("t", "now").param("cursor", "no number")).await;
    assert_eq!((first.status, tail(&first)), (204, "00000000000000000001"));
    assert!(flag(&first, "stream-up-to-date") && !flag(&first, "stream-closed"));
    let cursor = |r: &Response| r.headers.get("stream-cursor").unwrap().parse::<u64>().unwrap();
    let far = cursor(&first) + 1_000_000;
    for theirs in [cursor(&first), far] {
        let next = client.send(poll("t", "-1").param("cursor", theirs.to_string())).await;
        assert!(next.status == 200 && cursor(&next) > theirs && cursor(&next) <= theirs + 180);
    }
}

#[tokio::test]
async fn delete_and_create_anew() {
    let server = server(1000).await;
    let mut client = Client::to(server.addr).await;
    client.send(put("d").body("old")).await;
    assert_eq!(client.send(Request::new("DELETE", &url("d"))).await.status, 204);
    for request in
        [get("d", "-1"), Request::new("HEAD", &url("d")), post("d", "x"), Request::new("DELETE", &url("d"))]
    {
        assert_eq!(client.send(request).await.status, 404);
    }
    assert_eq!(client.send(put("d")).await.status, 201);
    assert_eq!(client.send(get("d", "-1")).await.body.len(), 0);
}

#[tokio::test]
async fn a_long_stream_is_read_in_chunks() {
    let data = tempfile::tempdir().unwrap();
    for data in [None, Some(data.path().to_owned())] {
        let limits = Limits { chunk: 1000, ..Limits::default() };
        let server = Server::start(Options { limits, data, ..Options::default() }).await.unwrap();
        let mut client = Client::to(server.addr).await;
        let body: Vec<u8> = (0..200_123_u32).map(|i| (i % 251) as u8).collect();
        client.send(put("l")).await;
        let request = Request { body: wireproof_spec::http::Body(body.clone().into()), ..post("l", "") };
        assert_eq!(client.send(request).await.status, 204);
        assert_eq!(client.send(post("l", "end")).await.status, 204);
        let (mut read, mut offset) = (Vec::new(), "-1".to_owned());
        loop {
            let part = client.send(get("l", &offset)).await;
            assert!(part.status == 200 && part.body.len() <= 1000);
            read.extend_from_slice(&part.body);
            offset = tail(&part).to_owned();
            if flag(&part, "stream-up-to-date") {
                break;
            }
        }
        assert!(read == [&body[..], b"end"].concat());
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_restart_keeps_what_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let options = || Options { data: Some(directory.path().to_owned()), ..Options::default() };
    let server = Server::start(options()).await.unwrap();
    let addr = server.addr;
    let mut client = Client::to(addr).await;
    for name in ["open", "closed", "deleted"] {
        assert_eq!(client.send(put(name).body("kept ")).await.status, 201);
        assert_eq!(client.send(post(name, "all")).await.status, 204);
    }
    client.send(close("closed")).await;
    client.send(Request::new("DELETE", &url("deleted"))).await;
    within(server.stop()).await.unwrap();

    // The same address at once, too.
    let server = Server::start(Options { addr, ..options() }).await.unwrap();
    let mut client = Client::to(addr).await;
    for (name, closed) in [("open", false), ("closed", true)] {
        let read = client.send(get(name, "-1")).await;
        assert_eq!(&*read.body, b"kept all");
        assert_eq!(flag(&read, "stream-closed"), closed);
    }
    assert_eq!(client.send(get("deleted", "-1")).await.status, 404);
    assert_eq!(client.send(post("open", "!")).await.status, 204);
    within(server.stop()).await.unwrap();

    let server = Server::start(options()).await.unwrap();
    assert_eq!(&*send(&server, get("open", "-1")).await.body, b"kept all!");
    // Dropped without order: what was acknowledged is there all the same.
    assert_eq!(send(&server, post("open", "?")).await.status, 204);
    drop(server);
    let server = Server::start(options()).await.unwrap();
    assert_eq!(&*send(&server, get("open", "-1")).await.body, b"kept all!?");
}
