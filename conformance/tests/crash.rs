//! `kill -9` at random moments under 8 writers: what was acknowledged is there after the restart, once and in order.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use std::{
    collections::BTreeMap,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
    task::JoinSet,
};

const ROUNDS: u64 = 100;
const WRITERS: u64 = 8;

/// One append: who, which, when it was sent, and when its answer came if it did.
struct Sent {
    text: String,
    writer: u64,
    sent: Instant,
    acknowledged: Option<Instant>,
}

#[tokio::test(flavor = "multi_thread")]
#[expect(
    clippy::print_stdout,
    reason = "the seeds and the figure belong to the proof; libtest shows them on request"
)]
async fn what_was_acknowledged_survives_a_kill() {
    let data = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let (mut server, mut address) = serve(data.path()).await;
    let mut acknowledged = 0;
    for seed in 1..=ROUNDS {
        let path = format!("/v1/stream/round-{seed}");
        assert_eq!(request(&address, "PUT", &path, "").await.map(|r| r.0), Some(201), "seed {seed}");
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            writers.spawn(write(address.clone(), path.clone(), seed, writer));
        }
        tokio::time::sleep(Duration::from_micros(2_000 + random(seed, 0) % 60_000)).await;
        server.kill().await.unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        let history: Vec<Sent> = writers.join_all().await.into_iter().flatten().collect();
        (server, address) = serve(data.path()).await;
        let content = read(&address, &path).await;
        judge(seed, &history, &content);
        acknowledged += history.iter().filter(|s| s.acknowledged.is_some()).count();
    }
    println!("seeds 1 to {ROUNDS}: {acknowledged} acknowledged appends, none lost, doubled or out of order");
    assert!(acknowledged > 1_000, "too few appends ({acknowledged}) to say anything");
}

/// Every acknowledged append once and in acknowledged order; besides them only whole ones that were in flight, at most one a
/// writer.
fn judge(seed: u64, history: &[Sent], content: &str) {
    let known: BTreeMap<&str, &Sent> = history.iter().map(|s| (s.text.as_str(), s)).collect();
    let mut found: BTreeMap<&str, u32> = BTreeMap::new();
    let mut latest_start: Option<Instant> = None;
    let mut in_flight: BTreeMap<u64, u32> = BTreeMap::new();
    for text in content.split_inclusive('>') {
        let sent = known
            .get(text)
            .unwrap_or_else(|| panic!("seed {seed}: {text:?} is no whole append that was sent"));
        *found.entry(text).or_default() += 1;
        match sent.acknowledged {
            Some(at) => {
                let before = latest_start.is_none_or(|start| at >= start);
                assert!(
                    before,
                    "seed {seed}: {text:?} was acknowledged before one that stands before it was sent"
                );
            }
            None => *in_flight.entry(sent.writer).or_default() += 1,
        }
        latest_start = latest_start.max(Some(sent.sent));
    }
    assert!(found.values().all(|n| *n == 1), "seed {seed}: an append is there twice");
    assert!(
        in_flight.values().all(|n| *n == 1),
        "seed {seed}: more than one unacknowledged append of a writer"
    );
    for sent in history.iter().filter(|s| s.acknowledged.is_some()) {
        assert!(
            found.contains_key(sent.text.as_str()),
            "seed {seed}: {:?} was acknowledged and is lost",
            sent.text
        );
    }
}

/// Appends one after the other until the server is gone.
async fn write(address: String, path: String, seed: u64, writer: u64) -> Vec<Sent> {
    let mut history = Vec::new();
    let Some(mut sender) = connect(&address).await else { return history };
    for n in 0.. {
        let padding = "x".repeat(usize::try_from(random(seed, writer * 10_000 + n) % 300).unwrap_or(0));
        let text = format!("<{writer}:{n}:{padding}>");
        let sent = Instant::now();
        let answer = async {
            sender.ready().await.ok()?;
            exchange(&mut sender, "POST", &path, &text).await
        };
        let answer = tokio::time::timeout(Duration::from_secs(10), answer).await.ok().flatten();
        let acknowledged = matches!(answer, Some((204, _))).then(Instant::now);
        history.push(Sent { text, writer, sent, acknowledged });
        if acknowledged.is_none() {
            break;
        }
    }
    history
}

async fn read(address: &str, path: &str) -> String {
    let (mut content, mut offset) = (String::new(), "-1".to_owned());
    loop {
        let target = format!("{path}?offset={offset}");
        let (status, (next, body)) =
            request(address, "GET", &target, "").await.unwrap_or_else(|| panic!("no answer to {target}"));
        assert_eq!(status, 200, "{target}");
        content.push_str(&String::from_utf8_lossy(&body));
        if body.is_empty() || next == offset {
            return content;
        }
        offset = next;
    }
}

type Answer = (u16, (String, Bytes));

async fn request(address: &str, method: &str, target: &str, body: &str) -> Option<Answer> {
    let mut sender = connect(address).await?;
    exchange(&mut sender, method, target, body).await
}

async fn connect(address: &str) -> Option<http1::SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await.ok()?;
    stream.set_nodelay(true).ok()?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    Some(sender)
}

async fn exchange(
    sender: &mut http1::SendRequest<Full<Bytes>>,
    method: &str,
    target: &str,
    body: &str,
) -> Option<Answer> {
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", "localhost")
        .header("content-type", "text/plain")
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .ok()?;
    let response = sender.send_request(request).await.ok()?;
    let status = response.status().as_u16();
    let next = response
        .headers()
        .get("stream-next-offset")
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    Some((status, (next, response.into_body().collect().await.ok()?.to_bytes())))
}

async fn serve(data: &Path) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_wireproof"))
        .args(["serve", "stream", "--addr", "127.0.0.1:0", "--data"])
        .arg(data)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|e| panic!("{e}"));
    let out = child.stdout.take().unwrap_or_else(|| panic!("no output"));
    let line = BufReader::new(out).lines().next_line().await.ok().flatten().unwrap_or_default();
    let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next());
    (child, address.unwrap_or_else(|| panic!("no address in {line:?}")).to_owned())
}

/// A number that depends on the seed and nothing else (splitmix64).
fn random(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(n.wrapping_mul(0xbf58_476d_1ce4_e5b9));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
