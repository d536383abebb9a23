//! Targets that have too much to do, and runs that give them less.

use crate::front::{Origin, done, listen, verdicts};
use serde_json::Value;
use std::{
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The reference behind what answers so many requests with this, whose first line holds these words, and then lets them through.
async fn busy(words: &'static str, times: u32, answer: &'static str) -> String {
    let origin = Origin::start("full", None).await;
    let answered = Arc::new(AtomicU32::new(0));
    let port = listen("127.0.0.1", move |mut stream| {
        let (origin, answered) = (origin.clone(), answered.clone());
        async move {
            let mut start = [0; 1024];
            let read = stream.peek(&mut start).await.unwrap_or_default();
            let head = String::from_utf8_lossy(&start[..read]);
            let is_it = head.lines().next().is_some_and(|line| line.contains(words));
            if is_it && answered.fetch_add(1, Ordering::Relaxed) < times {
                // A part of the request is enough to refuse it.
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            } else {
                origin.pass(stream).await;
            }
        }
    })
    .await;
    format!("http://127.0.0.1:{port}/v1/stream")
}

const ONE: [&str; 2] = ["--only", "stream/create/free-url"];

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_target_is_asked_again_when_it_said() {
    let answer =
        "HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let url = busy("PUT ", 2, answer).await;
    let started = Instant::now();
    let done = done(&[&["run", "stream", &url, "--json"], &ONE[..]].concat()).await;
    assert_eq!(verdicts(&done.json()), [(ONE[1], "pass")], "{}", done.out);
    assert!(started.elapsed() >= Duration::from_secs(2), "it was not given the time it asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_stays_busy_is_inconclusive() {
    let long = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 3600\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let short = "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    for (answer, told) in [(long, "503 and asks to wait 3600 s"), (short, "it answers 429; let it have less")]
    {
        let url = busy("PUT ", u32::MAX, answer).await;
        let started = Instant::now();
        let done = done(&[&["run", "stream", &url, "--json"], &ONE[..]].concat()).await;
        assert_eq!(done.code, Some(3), "{}", done.out);
        let result = done.json();
        assert_eq!(verdicts(&result), [(ONE[1], "inconclusive")]);
        assert!(done.out.contains(told) && done.out.contains("--rate or --jobs"), "{}", done.out);
        assert!(started.elapsed() < Duration::from_secs(10), "nobody waits for an hour");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_refused_before_something_else_was_done_is_not_asked_again_behind_it() {
    let answer = "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    // Both of its readers, and not who asks whether the target is there: asked again behind the DELETE they would hear of another stream.
    let url = busy("live=sse", 2, answer).await;
    let done = done(&["run", "stream", &url, "--json", "--only", "stream/sse/successor"]).await;
    assert_eq!(verdicts(&done.json()), [("stream/sse/successor", "inconclusive")], "{}", done.out);
    assert!(done.out.contains("it answers 429"), "{}", done.out);
}

/// The reference behind what stands still for this long at the second PUT, with everything that it is asked meanwhile. The first
/// one asks it how long its long-polls are.
async fn stalling(length: Duration) -> String {
    let origin = Origin::start("full", None).await;
    let (until, count) = (Arc::new(OnceLock::new()), Arc::new(AtomicU32::new(0)));
    let port = listen("127.0.0.1", move |stream| {
        let (origin, until, count) = (origin.clone(), until.clone(), count.clone());
        async move {
            let mut start = [0; 3];
            let puts = stream.peek(&mut start).await.is_ok_and(|n| start[..n] == *b"PUT");
            let now = tokio::time::Instant::now();
            if puts && count.fetch_add(1, Ordering::Relaxed) == 1 {
                until.get_or_init(|| now + length);
            }
            tokio::time::sleep_until(until.get().copied().unwrap_or(now)).await;
            origin.pass(stream).await;
        }
    })
    .await;
    format!("http://127.0.0.1:{port}/v1/stream")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_stood_still_is_not_blamed_for_what_it_answers_late() {
    let url = stalling(Duration::from_millis(800)).await;
    let done = done(&[&["run", "stream", &url, "--json", "--timeout", "500"], &ONE[..]].concat()).await;
    assert_eq!(verdicts(&done.json()), [(ONE[1], "pass")], "{}", done.out);
}

/// When requests left, in microseconds since the start of the run.
fn times(dir: &Path) -> Vec<u64> {
    let log = std::fs::read_to_string(dir.join("events.jsonl")).unwrap_or_else(|e| panic!("{e}"));
    let events = log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}")));
    let sent = events.filter(|event: &Value| event["what"]["kind"] == "sent");
    sent.map(|event| event["at_us"].as_u64().unwrap_or_else(|| panic!("{event}"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_leave_no_faster_than_they_may() {
    const RATE: usize = 40;
    let origin = Origin::start("full", None).await;
    let dir = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let file = dir.path().join("wireproof.toml");
    let content = format!("protocol = \"stream\"\nurl = \"{}\"\n[pace]\nrate = {RATE}\n", origin.url());
    std::fs::write(&file, content).unwrap_or_else(|e| panic!("{e}"));
    let (file, out) = (file.to_string_lossy(), dir.path().to_string_lossy());
    let only = ["--only", "stream/create/*", "--tier", "fast", "--json", "--out", &out];
    let done = done(&[&["run", "--target", &file], &only[..]].concat()).await;
    let result = done.json();
    let bad: Vec<_> =
        verdicts(&result).into_iter().filter(|(_, v)| !matches!(*v, "pass" | "untestable")).collect();
    assert!(bad.is_empty() && done.code == Some(0), "{bad:?} {}", done.said);
    assert_eq!(result["settings"]["rate"], RATE);
    let mut sent = times(dir.path());
    sent.sort_unstable();
    assert!(sent.len() > 2 * RATE, "too few to tell: {}", sent.len());
    // What did not wait for its turn, because an answer was waited for, was made good afterwards.
    let length = sent[sent.len() - 1] - sent[0];
    assert!(
        length >= (sent.len() * 1_000_000 / RATE) as u64 * 9 / 10,
        "{} requests in {length} µs",
        sent.len()
    );
    for window in sent.windows(2 * RATE) {
        let length = window[window.len() - 1] - window[0];
        assert!(length >= 1_000_000, "{} requests in {length} µs", window.len());
    }
}
