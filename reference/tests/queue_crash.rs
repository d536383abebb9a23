//! A server in a process of its own: what survives when it is killed, and what much of everything costs it.

// The process tells its address, and the long tests their figures.
#![allow(clippy::print_stdout)]

use crate::{
    client::within,
    queue_client::{Api, Line},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use wireproof_reference::queue::{Options, Server};

const DATA: &str = "WIREPROOF_TEST_QUEUE_DATA";

/// What the process of the tests below does; without them, a server that starts, answers and stops.
#[tokio::test]
async fn a_server() {
    let Ok(data) = std::env::var(DATA) else {
        let server = Server::start(Options::default()).await.unwrap();
        Api::to(server.addr).await.create("any", "pubsub", Value::Null).await;
        return server.stop().await.unwrap();
    };
    let options = Options { data: Some(data.into()), ..Options::default() };
    let mut server = Server::start(options).await.unwrap();
    println!("\nat {}", server.addr);
    server.ended().await.unwrap();
}

/// How many of them a test has: this many, or what the environment says, for figures.
fn how_many(of: &str, otherwise: u64) -> u64 {
    let name = format!("WIREPROOF_TEST_QUEUE_{of}");
    std::env::var(name).map_or(otherwise, |count| count.parse().unwrap())
}

/// When the server is killed, behind the first message of a round: from at once to 60 ms later, by a seed.
fn moment(seed: u64, round: u64) -> Duration {
    // The mixer of splitmix64.
    let mut mixed =
        seed.wrapping_mul(0x2545_f491_4f6c_dd1d).wrapping_add(round.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    Duration::from_micros((mixed ^ (mixed >> 31)) % 60_000)
}

struct Process {
    child: Child,
    addr: SocketAddr,
    /// What it goes on to print; it would end if nobody took it.
    _printed: BufReader<ChildStdout>,
}

impl Process {
    fn start(data: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["queue_crash::a_server", "--exact", "--nocapture"])
            .env(DATA, data)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut printed = BufReader::new(child.stdout.take().unwrap());
        let addr = loop {
            let mut line = String::new();
            assert_ne!(printed.read_line(&mut line).unwrap(), 0, "it ended without an address");
            if let Some(addr) = line.trim_end().strip_prefix("at ") {
                break addr.parse().unwrap();
            }
        };
        Self { child, addr, _printed: printed }
    }

    /// SIGKILL, and nothing of it is left.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// A figure of the memory of the process, in KiB.
    fn memory(&self, figure: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(figure)).unwrap();
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have been killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_delivered_after_a_kill() {
    let data = tempfile::tempdir().unwrap();
    let acknowledged: Arc<Mutex<BTreeMap<u64, String>>> = Arc::default();
    let mut process = Process::start(data.path());
    let mut api = Api::to(process.addr).await;
    api.create("one", "pubsub", Value::Null).await;
    api.create("jobs", "worker", Value::Null).await;
    let held = {
        api.publish("jobs", json!("held")).await;
        api.publish("jobs", json!("done")).await;
        let held = api.receive("jobs", 0).await;
        let done = api.receive("jobs", 0).await;
        api.done("POST", &format!("ack/jobs/{}", done["id"].as_str().unwrap()), Value::Null).await;
        held
    };
    let (kills, seed) = (how_many("KILLS", 25), how_many("SEED", 1));
    for round in 0..kills {
        let before = acknowledged.lock().unwrap().len();
        let publishers: Vec<_> = (0..4)
            .map(|n| {
                let (addr, acknowledged) = (process.addr, Arc::clone(&acknowledged));
                tokio::spawn(async move {
                    let mut client = crate::client::Client::to(addr).await;
                    for count in 0.. {
                        let payload = format!("{round}-{n}-{count}");
                        let body = json!({ "payload": payload });
                        let request =
                            crate::queue_client::with("POST", "messages/publish/one?sync=true", &body);
                        let Ok(response) = client.try_send(request).await else { return };
                        assert_eq!(response.status, 201);
                        let document: Value = serde_json::from_slice(&response.body).unwrap();
                        let offset = document["data"]["message"]["offset"].as_u64().unwrap();
                        acknowledged.lock().unwrap().insert(offset, payload);
                    }
                })
            })
            .collect();
        within(async {
            while acknowledged.lock().unwrap().len() == before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        tokio::time::sleep(moment(seed, round)).await;
        process.kill();
        for publisher in publishers {
            publisher.await.unwrap();
        }
        process = Process::start(data.path());
        let expected = acknowledged.lock().unwrap().clone();
        let (mut line, answer) = Line::subscribe(process.addr, "one", Some(-1)).await;
        assert_eq!(answer["success"], true);
        let last = *expected.keys().next_back().unwrap();
        let mut next = 0;
        while next <= last {
            let push = line.hear().await;
            assert_eq!(push["type"], "replay");
            for message in push["messages"].as_array().unwrap() {
                assert_eq!(message["offset"], next, "no gap");
                if let Some(payload) = expected.get(&next) {
                    assert_eq!(message["payload"], *payload);
                }
                next += 1;
            }
        }
    }
    // What was hidden still is, and what was acknowledged is done.
    let mut api = Api::to(process.addr).await;
    assert!(api.receive("jobs", 0).await.is_null());
    let path = format!("messages/get/jobs/{}", held["id"].as_str().unwrap());
    let told = api.done("GET", &path, Value::Null).await;
    assert_eq!(
        (&told["message"]["state"], &told["message"]["delivery_attempts"]),
        (&json!("leased"), &json!(1))
    );
    let offsets = api.done("GET", "messages/offset/jobs/1", Value::Null).await;
    assert_eq!(offsets["message"]["state"], "delivered");
}

/// Replays so many messages twice, to a reader at full speed, and says what the server took beyond what it had.
async fn replay(count: u64) -> (u64, Duration) {
    let data = tempfile::tempdir().unwrap();
    let process = Process::start(data.path());
    let mut api = Api::to(process.addr).await;
    api.create("long", "pubsub", Value::Null).await;
    api.numbers("long", 0..count).await;
    drop(process);
    // A new process has nothing in its memory but what it recovers.
    let process = Process::start(data.path());
    let before = process.memory("VmHWM");
    let started = Instant::now();
    let (mut line, _) = Line::subscribe(process.addr, "long", Some(-1)).await;
    // A second reader, who takes nothing, holds up nobody.
    let (_slow, _) = Line::subscribe(process.addr, "long", Some(-1)).await;
    let mut next = 0;
    while next < count {
        let push = line.hear().await;
        for message in push["messages"].as_array().unwrap() {
            assert_eq!(message["offset"], next);
            next += 1;
        }
    }
    (process.memory("VmHWM").saturating_sub(before), started.elapsed())
}

#[tokio::test]
async fn a_replay_needs_no_memory_for_what_is_retained() {
    let count = how_many("MESSAGES", 20_000);
    let (taken, time) = replay(count).await;
    println!("{count} messages were replayed in {time:?}, for which the server took {taken} KiB");
    assert!(taken < 32 * 1024, "{taken} KiB");
}

/// So many subscribers wait; one message reaches them all. Says what each of them costs the server, in KiB.
async fn subscribers(count: u64) -> u64 {
    let data = tempfile::tempdir().unwrap();
    let process = Process::start(data.path());
    let mut api = Api::to(process.addr).await;
    api.create("wide", "pubsub", Value::Null).await;
    let before = process.memory("VmRSS");
    let mut lines = Vec::new();
    for _ in 0..count {
        let (line, answer) = Line::subscribe(process.addr, "wide", None).await;
        assert_eq!(answer["success"], true);
        // Whoever waits answers pings, for as long as it takes.
        lines.push(tokio::spawn(line.text()));
    }
    let after = process.memory("VmRSS");
    // The first connection may have been idle for too long.
    let mut api = Api::to(process.addr).await;
    let started = Instant::now();
    api.numbers("wide", 0..1).await;
    for line in lines {
        let push = line.await.unwrap().expect("a push");
        assert!(push.contains("\"payload\":0,"), "{push}");
    }
    println!("{count} subscribers were pushed a message within {:?}", started.elapsed());
    after.saturating_sub(before) / count
}

#[tokio::test]
async fn subscribers_who_wait_cost_little() {
    // Two files for each: 10,000 of them take `ulimit -n`.
    let count = how_many("SUBSCRIBERS", 500);
    let each = subscribers(count).await;
    println!("{each} KiB for each of {count}");
    assert!(each < 64, "{each} KiB each");
}
