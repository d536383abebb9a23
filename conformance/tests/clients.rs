//! Clients under test, as their owners start them: adapters that do what none should, target files, what is left behind.

use crate::cli::done;
use nix::{sys::signal::kill, unistd::Pid};
use std::{fs, path::Path};

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
        std::thread::sleep(std::time::Duration::from_millis(20));
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
