//! Nothing that a run made is left behind, whatever became of its checks.

use crate::front::{Origin, command, done, listen};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use std::{collections::BTreeSet, path::Path, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The paths to which the requests of a run went that can make something.
fn paths(dir: &Path) -> BTreeSet<String> {
    let log = std::fs::read_to_string(dir.join("events.jsonl")).unwrap_or_else(|e| panic!("{e}"));
    let events = log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}")));
    let made = events.filter_map(|event: Value| {
        let message = &event["what"]["message"];
        let target = message["target"].as_str().filter(|_| message["method"] == "PUT")?;
        Some(target.split('?').next().unwrap_or_default().to_owned())
    });
    made.collect()
}

async fn status(origin: &Origin, path: &str) -> u16 {
    let mut stream = TcpStream::connect(origin.address()).await.unwrap_or_else(|e| panic!("{e}"));
    let head = format!("HEAD {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", origin.address());
    stream.write_all(head.as_bytes()).await.unwrap_or_else(|e| panic!("{e}"));
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap_or_else(|e| panic!("{e}"));
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{answer}"))
}

/// What is still there of all that a run made.
async fn left(origin: &Origin, dir: &Path) -> Vec<String> {
    let mut left = Vec::new();
    let all = paths(dir);
    assert!(!all.is_empty(), "the run made nothing");
    for path in all {
        if status(origin, &path).await == 200 {
            left.push(path);
        }
    }
    left
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_leaves_nothing_behind() {
    // Honest; broken so that nearly every check stops early; broken so that some fail late.
    for defect in [None, Some("stream/create/answered-200"), Some("stream/append/empty-body-accepted")] {
        let origin = Origin::start("full", defect).await;
        let dir = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
        let out = dir.path().to_string_lossy();
        let done = done(&["run", "stream", origin.url(), "--tier", "fast", "--json", "--out", &out]).await;
        let result = done.json();
        assert_eq!(done.code == Some(1), defect.is_some(), "{}", done.said);
        assert!(result.get("left").is_none(), "{}", result["left"]);
        assert_eq!(left(&origin, dir.path()).await, Vec::<String>::new(), "{defect:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_leaves_nothing_behind() {
    let origin = Origin::start("full", None).await;
    let dir = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let out = dir.path().to_string_lossy();
    // Long-polls take their time: the interrupt comes while streams are there.
    let only = ["--only", "stream/longpoll/*", "--only", "stream/long-poll/*"];
    let arguments = [&["run", "stream", origin.url(), "--out", &out], &only[..]].concat();
    let mut child = command(&arguments).spawn().unwrap_or_else(|e| panic!("{e}"));
    let events = dir.path().join("events.jsonl");
    let is_waiting = || std::fs::read_to_string(&events).is_ok_and(|text| text.contains("live=long-poll"));
    while !is_waiting() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).unwrap_or_else(|| panic!("it ended"));
    kill(Pid::from_raw(pid), Signal::SIGINT).unwrap_or_else(|e| panic!("{e}"));
    let status = child.wait().await.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(status.code(), Some(3));
    assert_eq!(left(&origin, dir.path()).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_removed_is_told_once() {
    let origin = Origin::start("full", None).await;
    let behind = origin.clone();
    let port = listen("127.0.0.1", move |mut stream| {
        let origin = behind.clone();
        async move {
            let mut start = [0; 6];
            if stream.peek(&mut start).await.is_ok_and(|n| start[..n] == *b"DELETE") {
                let refusal = b"HTTP/1.1 405 Method Not Allowed\r\nallow: GET, HEAD, POST, PUT\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(refusal).await;
            } else {
                origin.pass(stream).await;
            }
        }
    })
    .await;
    let dir = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let (url, out) = (format!("http://127.0.0.1:{port}/v1/stream"), dir.path().to_string_lossy());
    let done = done(&["run", "stream", &url, "--only", "stream/create/*", "--out", &out]).await;
    assert_eq!(done.out.matches("Left behind").count(), 1, "{}", done.out);
    let result = std::fs::read_to_string(dir.path().join("result.json")).unwrap_or_else(|e| panic!("{e}"));
    let result: Value = serde_json::from_str(&result).unwrap_or_else(|e| panic!("{e}"));
    let told: BTreeSet<&str> =
        result["left"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let there = left(&origin, dir.path()).await;
    assert_eq!(told, there.iter().map(String::as_str).collect(), "told, and there");
}
