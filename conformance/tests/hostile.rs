//! Targets that turn bad at every point: each run ends in a verdict, in time, in bounded memory, and with a readable report.

use std::{
    path::Path,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    process::Command,
    task::JoinSet,
};
use wireproof::{PROTOCOLS, target::Target};

/// How a target turns bad.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// Says nothing any more, and keeps the connection.
    Silent,
    /// Sends without end.
    Floods,
    /// Resets the connection.
    Resets,
    /// Ends the connection as if all were said.
    Ends,
}

/// After how many bytes of answers on each connection: before the first, in a status line, in a head, in a body, and after
/// some whole answers.
const POINTS: [usize; 7] = [0, 1, 9, 60, 200, 700, 2_500];

/// What an answer may take in these runs, in milliseconds.
const TIMEOUT: u64 = 200;
/// The memory that a run may take, in KiB.
const MEMORY: u64 = 200 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn every_run_against_a_hostile_target_ends_in_a_verdict() {
    let honest = PROTOCOLS[0].trial.reference.start("full", None).await.unwrap_or_else(|e| panic!("{e}"));
    let mut runs = JoinSet::new();
    for manner in [Manner::Silent, Manner::Floods, Manner::Resets, Manner::Ends] {
        for point in POINTS {
            let honest = honest.clone();
            runs.spawn(async move { trial(manner, point, &honest).await });
            // Two cores carry two runs.
            if runs.len() >= 2 {
                runs.join_next().await.unwrap_or(Ok(())).unwrap_or_else(|e| panic!("{e}"));
            }
        }
    }
    while let Some(joined) = runs.join_next().await {
        joined.unwrap_or_else(|e| panic!("{e}"));
    }
}

async fn trial(manner: Manner, point: usize, honest: &Target) {
    let url = hostile(manner, point, honest).await;
    let out = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let started = Instant::now();
    let mut ended =
        wireproof(&["run", "stream", &url, "--timeout", &TIMEOUT.to_string(), "--tier", "fast"], out.path());
    let child = ended.spawn().unwrap_or_else(|e| panic!("{e}"));
    let peak = tokio::spawn(peak_memory(child.id().unwrap_or_default()));
    let output = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output()).await;
    let output = output
        .unwrap_or_else(|_| panic!("{manner:?} after {point}: no end"))
        .unwrap_or_else(|e| panic!("{e}"));
    let memory = peak.await.unwrap_or_else(|e| panic!("{e}"));
    assert!(memory > 0 && memory < MEMORY, "{manner:?} after {point}: the run took {memory} KiB");
    let what = format!(
        "{manner:?} after {point} bytes, {:?}: {}",
        started.elapsed(),
        String::from_utf8_lossy(&output.stderr)
    );
    let result = result(out.path());
    // Not conformant or inconclusive, never a mistake of ours and never content with it.
    assert!(matches!(output.status.code(), Some(1 | 3)), "{:?} {what}", output.status);
    assert!(
        matches!(result["verdict"].as_str(), Some("not-conformant" | "inconclusive")),
        "{} {what}",
        result["verdict"]
    );
    for check in result["checks"].as_array().unwrap_or(&Vec::new()) {
        assert_ne!(check["verdict"], "error", "{check} {what}");
        let took = check["duration_ms"].as_u64().unwrap_or_default();
        assert!(took <= 10_000 + 2_000, "{} took {took} ms; {what}", check["id"]);
    }
}

/// The most memory that a process had, in KiB, as far as could be seen before it ended. What a process took at most is kept by
/// the kernel, so that looking now and then misses nothing but the last moment.
async fn peak_memory(pid: u32) -> u64 {
    let mut peak = 0;
    while let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) {
        let Some(line) = status.lines().find_map(|l| l.strip_prefix("VmHWM:")) else { break };
        peak = line.trim().trim_end_matches(" kB").parse().unwrap_or(peak);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    peak
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_leaves_a_readable_report() {
    let honest = PROTOCOLS[0].trial.reference.start("full", None).await.unwrap_or_else(|e| panic!("{e}"));
    // Whole answers first, so that the run begins, and then silence for longer than the test waits.
    let url = hostile(Manner::Silent, 700, &honest).await;
    let out = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let mut child = wireproof(
        &[
            "run",
            "stream",
            &url,
            "--timeout",
            "30000",
            "--feature",
            "stream.crash-safe=off",
            "--limit",
            "long-poll-ms=400",
        ],
        out.path(),
    )
    // Nobody reads it, and it is longer than a pipe holds.
    .stdout(Stdio::null())
    .spawn()
    .unwrap_or_else(|e| panic!("{e}"));
    let events = out.path().join("events.jsonl");
    while !std::fs::read_to_string(&events).is_ok_and(|text| text.contains("check-started")) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let pid = nix::unistd::Pid::from_raw(
        child.id().and_then(|id| i32::try_from(id).ok()).unwrap_or_else(|| panic!("it ended")),
    );
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap_or_else(|e| panic!("{e}"));
    let status = tokio::time::timeout(Duration::from_secs(5), child.wait()).await;
    let status =
        status.unwrap_or_else(|_| panic!("no end after the interrupt")).unwrap_or_else(|e| panic!("{e}"));
    assert!(matches!(status.code(), Some(1 | 3)), "{status:?}");
    let result = result(out.path());
    assert!(result["checks"].as_array().is_some_and(|checks| !checks.is_empty()), "{result}");
    assert!(out.path().join("junit.xml").is_file());
}

fn wireproof(args: &[&str], out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wireproof"));
    command
        .args(args)
        .arg("--out")
        .arg(out)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

fn result(out: &Path) -> serde_json::Value {
    let path = out.join("result.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The URL of a target that passes answers on until so many bytes of a connection, and then turns bad.
async fn hostile(manner: Manner, point: usize, honest: &Target) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap_or_else(|e| panic!("{e}"));
    let own = listener.local_addr().unwrap_or_else(|e| panic!("{e}"));
    let (address, root) = honest
        .shown
        .trim_start_matches("http://")
        .split_once('/')
        .unwrap_or_else(|| panic!("{}", honest.shown));
    let url = format!("http://{own}/{root}");
    let (address, keep) = (address.to_owned(), Arc::new(honest.clone()));
    tokio::spawn(async move {
        let _keep = keep;
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(pass(stream, address.clone(), manner, point));
        }
    });
    url
}

async fn pass(client: TcpStream, address: String, manner: Manner, point: usize) {
    let Ok(server) = TcpStream::connect(address).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let upward = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
        from_client
    });
    let mut left = point;
    let mut buffer = [0; 4096];
    loop {
        let room = left.min(buffer.len());
        if left == 0 {
            break;
        }
        match from_server.read(&mut buffer[..room]).await {
            Ok(0) | Err(_) => return,
            Ok(n) => {
                if to_client.write_all(&buffer[..n]).await.is_err() {
                    return;
                }
                left -= n;
            }
        }
    }
    match manner {
        Manner::Silent => drop(upward.await),
        Manner::Floods => while to_client.write_all(&[b'x'; 4096]).await.is_ok() {},
        Manner::Ends => drop(to_client.shutdown().await),
        Manner::Resets => {
            upward.abort();
            if let Ok(from_client) = upward.await
                && let Ok(stream) = from_client.reunite(to_client)
            {
                let _ = stream.set_zero_linger();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_the_target_repeats_stays_out_of_everything() {
    const SECRET: &str = "s3cret/with+odd=characters";
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap_or_else(|e| panic!("{e}"));
    let url = format!("http://{}/v1/stream", listener.local_addr().unwrap_or_else(|e| panic!("{e}")));
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(repeat(stream));
        }
    });
    let out = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let header = "Authorization: env:WIREPROOF_TEST_TOKEN";
    let mut run = wireproof(
        &["run", "stream", &url, "--timeout", "300", "--tier", "fast", "--header", header],
        out.path(),
    );
    let output = run
        .env("WIREPROOF_TEST_TOKEN", format!("Bearer {SECRET}"))
        .output()
        .await
        .unwrap_or_else(|e| panic!("{e}"));
    let mut artefacts = vec![output.stdout, output.stderr];
    for entry in std::fs::read_dir(out.path()).unwrap_or_else(|e| panic!("{e}")).flatten() {
        artefacts.push(std::fs::read(entry.path()).unwrap_or_else(|e| panic!("{e}")));
    }
    assert!(
        artefacts.iter().any(|a| String::from_utf8_lossy(a).contains("[redacted]")),
        "nothing was redacted"
    );
    for artefact in &artefacts {
        let text = String::from_utf8_lossy(artefact);
        for form in [
            SECRET.to_owned(),
            wireproof_spec::http::percent_encode(SECRET),
            wireproof::event::hex(SECRET.as_bytes()),
        ] {
            assert!(!text.contains(&form), "an artefact holds {form}: {}", &text[..text.len().min(2_000)]);
        }
    }
}

/// Answers each request with all that it said: in a header, in text and in bytes that are no text.
async fn repeat(mut stream: TcpStream) {
    let mut buffer = [0; 8192];
    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
        let said = String::from_utf8_lossy(&buffer[..n]).replace("\r\n", " ");
        let token = said
            .split("authorization: ")
            .nth(1)
            .unwrap_or_default()
            .split(" host")
            .next()
            .unwrap_or_default()
            .trim();
        let body = [said.as_bytes(), &[0xff, 0xfe]].concat();
        let head = format!(
            "HTTP/1.1 200 {token}\r\nx-repeated: {token}\r\nstream-next-offset: {token}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if stream.write_all(&[head.as_bytes(), &body].concat()).await.is_err() {
            return;
        }
    }
}
