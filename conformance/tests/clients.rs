//! Clients under test, as their owners start them: adapters that do what none should, target files, what is left behind.

use crate::cli::{done, wireproof};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Output, Stdio},
    time::{Duration, Instant},
};

const WIREPROOF: &str = env!("CARGO_BIN_EXE_wireproof");

/// Runs the suite against the adapter that this script of `sh` is, in a hurry.
fn with_adapter(script: &str) -> (String, i32) {
    let command = ["run", "queue", "--client", "--time-scale", "0.05", "--", "sh", "-c", script];
    let (out, said, code) = done(&command);
    (format!("{out}{said}"), code)
}

#[test]
fn an_adapter_that_is_none_ends_the_run_with_a_sentence() {
    let hello = r#"read line; echo '{"id": 1, "ok": {"operations": {}}}'; cat > /dev/null"#;
    let refuses = r#"read line; echo '{"id": 1, "error": "not today"}'; cat > /dev/null"#;
    let nothing = r#"read line; echo '{"id": 1, "ok": {}}'; cat > /dev/null"#;
    for (script, why) in [
        ("echo no such module >&2; exit 3", "the last that it said: no such module"),
        ("echo Welcome; cat > /dev/null", "it said what is no line of an adapter: Welcome"),
        ("cat > /dev/null", "the adapter did not answer `hello` in time"),
        (r#"yes '{"id": 9, "ok": {}}'"#, "more than 1000 lines that nobody asked for"),
        (r#"yes '{"session": "s", "event": "e"}'"#, "more than 1000 lines that nobody asked for"),
        ("tr '\\0' a < /dev/zero", "a line longer than 1048576 bytes"),
        (hello, "the adapter does not list `subscribe`, which no client of queue can decline"),
        (refuses, "the adapter refuses `hello`: not today"),
        (nothing, "the adapter's answer to `hello` is none: missing field `operations`"),
    ] {
        let (said, code) = with_adapter(script);
        assert!(said.contains(why), "`{script}` is said to be: {said}");
        assert!(said.starts_with("inconclusive"), "`{script}`: {said}");
        assert_eq!(code, 3, "`{script}`: {said}");
    }
}

#[test]
fn a_command_that_is_not_there_is_named() {
    let (out, said, code) = done(&["run", "queue", "--client", "--", "./no-such-adapter"]);
    assert!(out.contains("`./no-such-adapter` cannot be started"), "{out}{said}");
    assert_eq!(code, 3);
    let (_, said, code) = done(&["run", "queue", "--client"]);
    assert!(said.contains("<COMMAND>"), "{said}");
    assert_eq!(code, 2);
}

/// A target file in this directory, with this behind the name of the protocol.
fn target_file(dir: &Path, text: &str) -> String {
    let path = dir.join("client.toml");
    fs::write(&path, format!("protocol = \"queue\"\n{text}")).expect("a file");
    path.to_string_lossy().into_owned()
}

#[test]
fn a_target_file_names_a_server_or_a_client() {
    let dir = tempfile::tempdir().expect("a directory");
    for (text, why) in [
        ("", "what is to be tested? `url` with the protocol's root, or [client]"),
        (
            "url = \"http://127.0.0.1:1\"\n[client]\ncommand = \"true\"",
            "[client] is a client, and `url` speaks of a server",
        ),
        ("[client]\ncommand = \"true\"\n[launch]\ncommand = \"true\"", "and [launch] speaks of a server"),
        ("[client]\ncommand = \"true\"\n[headers]\na = \"b\"", "and [headers] speaks of a server"),
        ("[client]\nurl = \"x\"", "malformed at line 3"),
    ] {
        let (_, said, code) = done(&["run", "--target", &target_file(dir.path(), text)]);
        assert!(said.contains(why), "{text}: {said}");
        assert_eq!(code, 2, "{text}: {said}");
    }
}

#[test]
fn what_an_adapter_gets_is_no_part_of_what_is_said() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("secret"), "open-sesame-4711\n").expect("a file");
    let script =
        "echo with $TOKEN and $WIREPROOF_PROTOCOL >&2; [ -d \\\"$WIREPROOF_STATE\\\" ] && echo kept >&2";
    let text = format!("[client]\ncommand = \"{script}\"\nenv = {{ TOKEN = \"file:secret\" }}");
    let (out, said, code) = done(&["run", "--target", &target_file(dir.path(), &text)]);
    assert!(out.contains("with [redacted] and queue kept"), "{out}{said}");
    assert!(!format!("{out}{said}").contains("sesame"), "{out}{said}");
    assert_eq!(code, 3);
}

#[test]
fn nothing_of_an_adapter_is_left() {
    let dir = tempfile::tempdir().expect("a directory");
    let pid = dir.path().join("pid");
    let script = format!("sleep 600 & echo $! > {}; cat > /dev/null", pid.display());
    let (_, code) = with_adapter(&script);
    assert_eq!(code, 3);
    let pid: i32 = fs::read_to_string(&pid).expect("a number").trim().parse().expect("a number");
    let gone = (0..250).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        kill(Pid::from_raw(pid), None).is_err() || status.contains(") Z ")
    });
    assert!(gone, "{pid} goes on when the run is over");
}

#[test]
fn a_failure_can_be_made_again() {
    let broken = "queue/subscriber/versioned-path";
    let adapter = ["--", WIREPROOF, "client", "queue", "--defect", broken];
    let command = [&["run", "queue", "--client", "--only", "queue/subscriber/path"][..], &adapter].concat();
    let (out, _, code) = done(&command);
    assert_eq!(code, 1, "{out}");
    let again =
        out.lines().find_map(|line| line.trim().strip_prefix("again: wireproof ")).expect("a command");
    assert!(again.ends_with(&adapter.join(" ")), "{again}");
    let words: Vec<&str> = again.split(' ').collect();
    let (second, _, code) = done(&words);
    assert_eq!(code, 1, "{second}");
    assert!(second.contains("QUEUE-SUBSCRIBER-1"), "{second}");
}

#[test]
fn a_run_is_reported_again_as_it_was() {
    let dir = tempfile::tempdir().expect("a directory");
    let out = dir.path().join("report").to_string_lossy().into_owned();
    let run = ["run", "queue", "--client", "--only", "queue/subscriber/*path", "--out", &out];
    let adapter = ["--", WIREPROOF, "client", "queue", "--defect", "queue/subscriber/versioned-path"];
    let (first, said, code) = done(&[&run[..], &adapter].concat());
    assert_eq!(code, 1, "{first}{said}");
    let (again, said, code) = done(&["report", &out]);
    // How long it took is told by its last event, which came before its end.
    let told = |text: &str| {
        text.lines().filter(|line| !line.starts_with("run ")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!((told(&again), code), (told(&first), 1), "{said}");
}

#[test]
fn options_for_servers_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = target_file(dir.path(), "[client]\ncommand = \"true\"");
    for (options, why) in [
        (&["--header", "a: b"][..], "--header goes with requests to a server"),
        (&["--tap", "latency=10"], "--tap stands between us and a server"),
    ] {
        for target in [&["--client", "--", "true"][..], &["--target", &file]] {
            let (_, said, code) = done(&[&["run", "queue"], options, target].concat());
            assert!(said.contains(why) && said.contains("leave it out"), "{options:?}: {said}");
            assert_eq!(code, 2, "{options:?} {target:?}: {said}");
        }
    }
    let (_, said, code) = done(&["run", "queue", "http://127.0.0.1:1", "--target", &file]);
    assert!(said.contains("leave out the URL, or [client]"), "{said}");
    assert_eq!(code, 2, "{said}");
}

#[test]
fn an_adapter_that_does_not_begin_can_be_interrupted() {
    let dir = tempfile::tempdir().expect("a directory");
    let begun = dir.path().join("begun");
    let script = format!("touch {}; exec sleep 600", begun.display());
    let started = Instant::now();
    let mut run = wireproof(&["run", "queue", "--client", "--", "sh", "-c", &script]);
    let run = run.stdout(Stdio::piped()).spawn().expect("it starts");
    while !begun.exists() {
        assert!(started.elapsed() < Duration::from_secs(15), "it does not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
    kill(Pid::from_raw(i32::try_from(run.id()).expect("an id")), Signal::SIGINT).expect("a signal");
    let Output { status, stdout, .. } = run.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&stdout);
    assert_eq!(status.code(), Some(3), "{said}");
    assert!(said.contains("The run was interrupted"), "{said}");
    // It was not waited for as long as an adapter has to answer.
    assert!(started.elapsed() < Duration::from_secs(18), "{:?}", started.elapsed());
}

#[test]
fn an_adapter_that_begins_slowly_has_the_time_it_takes() {
    let script = format!("sleep 3; exec {WIREPROOF} client queue");
    // A check has two seconds, and the process that is its own begins behind three.
    let run = ["run", "queue", "--client", "--only", "queue/delivery/slow-handler", "--time-scale", "0.2"];
    let (out, said, code) = done(&[&run[..], &["--", "sh", "-c", &script]].concat());
    assert_eq!(code, 0, "{out}{said}");
}

#[test]
fn a_place_has_room_for_so_many_connections() {
    // It opens a hundred where it is to subscribe, and says nothing on any of them.
    let script = r#"
        read -r line; echo '{"id": 1, "ok": {"operations": {"subscribe": ["handler"], "close": []}}}'
        while read -r line; do
            [[ $line =~ \"id\":([0-9]+) ]] && id=${BASH_REMATCH[1]}
            if [[ $line =~ http://127.0.0.1:([0-9]+) ]]; then
                for n in {1..100}; do exec {fd}<> /dev/tcp/127.0.0.1/${BASH_REMATCH[1]}; done
            fi
            echo "{\"id\": $id, \"ok\": {}}"
        done"#;
    let run = ["run", "queue", "--client", "--only", "queue/subscriber/path", "--time-scale", "0.3"];
    let (out, said, code) = done(&[&run[..], &["--", "bash", "-c", script]].concat());
    assert!(out.contains("more than 64 connections open at one place"), "{out}{said}");
    assert_eq!(code, 3, "{out}{said}");
}

#[test]
fn the_words_of_one_process_are_not_those_of_another() {
    let script = r#"
        if [ -e "$WIREPROOF_STATE/once" ]; then exit 3; fi
        touch "$WIREPROOF_STATE/once"; echo words-$((40 + 2)) >&2
        read line; echo '{"id": 1, "ok": {"operations": {"subscribe": ["handler"], "close": []}}}'"#;
    let (said, code) = with_adapter(script);
    assert!(said.contains("it closed its output"), "{said}");
    assert!(!said.contains("words-42"), "{said}");
    assert_eq!(code, 3, "{said}");
}

#[test]
fn what_is_no_request_ends_the_adapter_of_the_reference() {
    let mut adapter = wireproof(&["client", "queue"]);
    let adapter = adapter.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut adapter = adapter.spawn().expect("it starts");
    let mut input = adapter.stdin.take().expect("a pipe");
    let mut output = BufReader::new(adapter.stdout.take().expect("a pipe"));
    input.write_all(b"{\"id\": 1, \"op\": \"hello\", \"args\": {}}\n").expect("it reads");
    let mut answer = String::new();
    output.read_line(&mut answer).expect("an answer");
    assert!(answer.contains("\"id\":1"), "{answer}");
    input.write_all(b"subscribe!\n").expect("it reads");
    // Its input stays open: it ends for what it read.
    let Output { status, stderr, .. } = adapter.wait_with_output().expect("it ends");
    drop(input);
    let said = String::from_utf8_lossy(&stderr);
    assert!(said.contains("no request of a runner") && said.contains("subscribe!"), "{said}");
    assert_eq!(status.code(), Some(3), "{said}");
    let (_, said, code) = done(&["client", "queue", "--variant", "another"]);
    assert!(said.contains("has no client `another`"), "{said}");
    assert_eq!(code, 2);
}
