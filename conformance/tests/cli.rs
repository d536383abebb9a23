//! The binary as its users see it: helps, errors, files, exit codes, signals.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};
use wireproof::{embed, protocol::Reference, target::Target};

pub(crate) fn wireproof(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wireproof"));
    command.args(arguments).current_dir(workspace()).env("COLUMNS", "100");
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What it printed, what it said beside that, and its exit code.
pub(crate) fn done(arguments: &[&str]) -> (String, String, i32) {
    let Output { status, stdout, stderr } = wireproof(arguments).output().expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (text(stdout), text(stderr), status.code().expect("an exit code"))
}

pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("no JSON: {e}: {text}"))
}

#[test]
fn helps() {
    let verbs = [
        "init",
        "run",
        "list",
        "explain",
        "serve",
        "schema",
        "selftest",
        "report",
        "baseline",
        "completions",
    ];
    let mut all = done(&["--help"]).0;
    for verb in verbs {
        all += &format!("\n$ wireproof {verb} --help\n{}", done(&[verb, "--help"]).0);
    }
    for verb in ["write", "prune"] {
        all += &format!("\n$ wireproof baseline {verb} --help\n{}", done(&["baseline", verb, "--help"]).0);
    }
    insta::assert_snapshot!(all);
}

#[test]
fn usage_errors_help() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_string_lossy().into_owned()
    };
    let malformed = file("malformed.toml", "protocol = \"stream\"\nurl = \n");
    let unknown_key = file("key.toml", "protocol = \"stream\"\nurl = \"http://a/\"\nfeature = 1\n");
    let unknown_protocol = file("protocol.toml", "protocol = \"steam\"\nurl = \"http://a/\"\n");
    let two_ways = file(
        "two.toml",
        "protocol = \"stream\"\nurl = \"http://a/\"\n[hooks]\nkill = \"x\"\n[launch]\ncommand = \"y\"\n",
    );
    file("known.toml", "[[known]]\ncheck = \"stream/nothing\"\nrequirement = \"X\"\nreason = \"y\"\n");
    let baseline =
        file("base.toml", "protocol = \"stream\"\nurl = \"http://a/\"\nbaseline = \"known.toml\"\n");
    let cases: Vec<Vec<&str>> = vec![
        vec!["run"],
        vec!["run", "stream"],
        vec!["run", "steam", "http://localhost/"],
        vec!["run", "stream", "localhost:80"],
        vec!["run", "stream", "http://user:pass@localhost/"],
        vec!["run", "stream", "http://localhost/", "--feature", "stream.fast=on"],
        vec!["run", "stream", "http://localhost/", "--feature", "stream.crash-safe"],
        vec!["run", "stream", "http://localhost/", "--limit", "long-poll-ms=soon"],
        vec!["run", "stream", "http://localhost/", "--only", "a{"],
        vec!["run", "stream", "http://localhost/", "--header", "authorization"],
        vec!["run", "stream", "http://localhost/", "--header", "authorization: env:WIREPROOF_NO_SUCH"],
        vec!["run", "stream", "http://localhost/", "--time-scale", "0"],
        vec!["run", "http://127.0.0.1:4437/v1/stream"],
        vec!["run", "wireproof.toml"],
        vec!["run", "stream", "http://localhost/", "--limit", "long-poll-ms=0"],
        vec!["run", "stream", "http://localhost/", "--limit", "long-poll-ms=99999999999999999999"],
        vec!["run", "stream", "http://localhost/", "--jobs", "0"],
        vec!["run", "stream", "http://localhost/", "--jobs", "99999"],
        vec!["run", "stream", "http://localhost/", "--seed", "-1"],
        vec!["run", "stream", "http://localhost/", "--timeout", "0"],
        vec!["run", "stream", "http://localhost/", "--time-scale", "NaN"],
        vec!["run", "stream", "http://localhost/", "--level", "shall"],
        vec!["run", "stream", "http://localhost/", "--tier", "slow"],
        vec!["run", "stream", "http://localhost/", "--quiet", "--verbose"],
        vec!["run", "stream", "http://localhost/", "--feature", "stream.crash-safe=maybe"],
        vec!["run", "stream", "http://localhost/", "--strictly"],
        vec!["run", "--reference", "--target", "wireproof.toml"],
        vec!["run", "--reference", "--variant", "huge"],
        vec!["run", "--reference", "--defect", "stream/none"],
        vec!["run", "--target", "/nonexistent/wireproof.toml"],
        vec!["run", "--target", &malformed],
        vec!["run", "--target", &unknown_key],
        vec!["run", "--target", &unknown_protocol],
        vec!["run", "--target", &two_ways],
        vec!["run", "--target", &baseline],
        vec!["explain", "STREAM-CRATE-1"],
        vec!["explain", "xyzzy"],
        vec!["serve", "stream", "--variant", "durable"],
        vec!["schema"],
        vec!["report", "/nonexistent"],
        vec!["init"],
        vec!["init", "localhost:80"],
        vec!["init", "http://localhost/", "--protocol", "steam"],
        vec!["baseline"],
        vec!["baseline", "write", "/nonexistent", "--reason", "x", "--target", "/nonexistent/wireproof.toml"],
        vec!["baseline", "prune"],
        vec!["completions", "tcsh"],
        vec!["test"],
        vec!["report", "/nonexistent", "--against", "/nonexistent/result.json"],
        vec!["report", "/nonexistent", "--strict"],
        vec!["report", "/nonexistent", "--format", "pdf"],
        vec!["report", "/nonexistent", "--spec-site", "javascript:alert(1)"],
        vec!["report", &malformed, "--against", &malformed],
    ];
    let mut all = String::new();
    for case in cases {
        let (out, said, code) = done(&case);
        assert_eq!(code, 2, "{case:?}: {said}");
        assert_eq!(out, "", "{case:?}");
        let dir = dir.path().to_string_lossy();
        all += &format!("$ wireproof {}\n{said}\n", case.join(" ")).replace(&*dir, "DIR");
    }
    insta::assert_snapshot!(all);
}

#[test]
fn features_are_listed_and_explained() {
    let mut all = done(&["list", "features"]).0;
    for id in ["stream.crash-safe", "long-poll-ms", "stream/create/answered-200"] {
        let (text, said, code) = done(&["explain", id]);
        assert_eq!(code, 0, "{said}");
        all += &format!("\n$ wireproof explain {id}\n{text}");
    }
    insta::assert_snapshot!(all);
}

#[test]
fn lists_for_programs_are_complete() {
    let keys = |what: &str| -> Vec<String> {
        let (text, _, code) = done(&["list", what, "--json"]);
        assert_eq!(code, 0);
        let rows = json(&text);
        let first = rows[0].as_object().unwrap_or_else(|| panic!("no {what}: {text}"));
        first.keys().cloned().collect()
    };
    let mut requirement = keys("requirements");
    requirement.sort();
    let mut wanted =
        ["id", "level", "role", "feature", "kind", "section", "text", "unobservable", "checks", "defects"];
    wanted.sort_unstable();
    assert_eq!(requirement, wanted);
    for what in ["checks", "defects", "features"] {
        assert!(keys(what).contains(&"id".to_owned()), "{what}");
    }
    let (text, _, _) = done(&["list", "requirements"]);
    assert!(text.contains("MUST ") && text.contains("rows of the facts"), "{text}");
    let (text, _, code) = done(&["explain", "STREAM-CREATE-1"]);
    assert!(code == 0 && text.contains("stream.md, section Create"), "{text}");
}

#[test]
fn the_committed_schemas_are_those_of_the_types() {
    let (said, _, code) = done(&["schema", "--check"]);
    assert_eq!(code, 0, "{said}");
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().to_string_lossy().into_owned();
    assert_eq!(done(&["schema", "--out", &path]).2, 0);
    assert_eq!(done(&["schema", "--check", &path]).2, 0);
    std::fs::write(dir.path().join("report/event.json"), "{}").expect("a file");
    let (said, _, code) = done(&["schema", "--check", &path]);
    assert!(code == 1 && said.contains("report/event.json is stale"), "{said}");
}

#[test]
fn committed_target_files_and_baselines_are_what_their_schemas_say() {
    let (target, baseline) = (validator("target.json"), validator("baseline.json"));
    let mut seen = (0, 0);
    for entry in std::fs::read_dir(workspace().join("conformance/interop/stream")).expect("the servers") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a file");
        let value: Value = toml::from_str(&text).expect("TOML");
        let is_baseline = path.to_string_lossy().ends_with(".baseline.toml");
        let schema = if is_baseline { &baseline } else { &target };
        let errors: Vec<String> = schema.iter_errors(&value).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
        if is_baseline { seen.1 += 1 } else { seen.0 += 1 }
    }
    assert!(seen.0 > 0 && seen.1 > 0, "{seen:?}");
    assert!(!baseline.is_valid(&serde_json::json!({"known": [{"check": "a", "requirement": "B"}]})));
    assert!(!target.is_valid(&serde_json::json!({"protocol": "stream", "uri": "http://a/"})));
}

#[test]
fn a_run_is_reported_again_with_the_baseline_that_it_had() {
    let dir = tempfile::tempdir().expect("a directory");
    let out = dir.path().to_string_lossy().into_owned();
    let defect = ["--variant", "full", "--defect", "stream/create/answered-200"];
    let run = ["run", "--reference", "stream", "--only", "stream/create/free-url", "--quiet", "--out", &out];
    assert_eq!(done(&[run.as_slice(), &defect].concat()).2, 1);
    let path = dir.path().join("result.json");
    let mut result = json(&std::fs::read_to_string(&path).expect("a result"));
    let entry = serde_json::json!({"check": "stream/create/free-url", "requirement": "STREAM-CREATE-1", "reason": "old", "any-frame": true});
    result["baseline"]["listed"] = Value::Array(vec![entry]);
    std::fs::write(&path, result.to_string()).expect("a result");
    let (text, said, _) = done(&["report", &out]);
    assert!(text.contains("fail stream/create/free-url: old"), "{text}{said}");
    // The log alone knows of no baseline.
    assert_eq!(done(&["report", &dir.path().join("events.jsonl").to_string_lossy()]).2, 1);
}

#[test]
fn what_changed_since_another_run_is_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let run = |name: &str, more: &[&str]| -> String {
        let out = dir.path().join(name).to_string_lossy().into_owned();
        let run =
            ["run", "--reference", "stream", "--only", "stream/create/free-url", "--quiet", "--out", &out];
        done(&[run.as_slice(), more].concat());
        out
    };
    let good = run("good", &[]);
    let bad = run("bad", &["--variant", "full", "--defect", "stream/create/answered-200"]);
    let (text, said, code) = done(&["report", &bad, "--against", &good, "--json"]);
    assert_eq!(code, 1, "{said}");
    let comparison = json(&text);
    let errors: Vec<String> =
        validator("comparison.json").iter_errors(&comparison).map(|e| e.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(comparison["regressions"], 1, "{text}");
    assert_eq!(comparison["protocols"][0]["checks"][0]["id"], "stream/create/free-url", "{text}");
    // Back again, and from the events alone.
    let events = dir.path().join("good/events.jsonl");
    let (text, said, code) = done(&["report", &events.to_string_lossy(), "--against", &bad]);
    assert_eq!(code, 0, "{said}");
    assert!(
        text.starts_with("no worse: 0 regressions; 1 check said") && text.contains("\nfixed\n"),
        "{text}"
    );
    let result = dir.path().join("good/result.json").to_string_lossy().into_owned();
    assert_eq!(done(&["report", &good, "--against", &result, "--strict", "--quiet"]).2, 0);
}

fn validator(name: &str) -> jsonschema::Validator {
    let text = std::fs::read_to_string(workspace().join("schemas/report").join(name)).expect("a schema");
    jsonschema::validator_for(&json(&text)).expect("a valid schema")
}

/// The log ends before the run does.
fn without_length(mut result: Value) -> Value {
    result["settings"]["duration_ms"] = Value::Null;
    result
}

#[test]
fn a_run_writes_what_its_schemas_say_and_can_be_reported_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let out = dir.path().to_string_lossy().into_owned();
    let arguments = ["run", "--reference", "stream", "--only", "stream/create/*", "--json", "--out", &out];
    let (text, said, code) = done(&arguments);
    assert_eq!((code, said.as_str()), (0, ""), "{text}");
    let result = json(&text);
    assert_eq!(result["verdict"], "partial");
    assert!(result["counts"]["pass"].as_u64().is_some_and(|pass| pass > 0), "{text}");
    let errors: Vec<String> = validator("result.json").iter_errors(&result).map(|e| e.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let file = |name: &str| std::fs::read_to_string(dir.path().join(name)).expect("an output");
    assert_eq!(file("result.json"), text);
    assert!(file("junit.xml").contains("<testcase name=\"stream/create/"));
    for (format, name) in
        [("json", "result.json"), ("junit", "junit.xml"), ("html", "report.html"), ("markdown", "summary.md")]
    {
        let (again, said, code) = done(&["report", &out, "--format", format]);
        assert_eq!((code, said.as_str()), (0, ""), "{format}");
        assert_eq!(again.lines().next(), file(name).lines().next(), "{format}");
    }
    let event = validator("event.json");
    for line in file("events.jsonl").lines() {
        assert!(event.is_valid(&json(line)), "{line}");
    }

    let (again, said, code) = done(&["report", &out, "--json"]);
    assert_eq!(code, 0, "{said}");
    let (again, result) = (without_length(json(&again)), without_length(result));
    for key in result.as_object().expect("an object").keys() {
        assert_eq!(again[key], result[key], "{key}");
    }
}

#[test]
fn a_log_that_was_cut_off_is_reported_as_interrupted() {
    let dir = tempfile::tempdir().expect("a directory");
    let out = dir.path().to_string_lossy().into_owned();
    done(&["run", "--reference", "stream", "--quiet", "--out", &out]);
    let log = dir.path().join("events.jsonl");
    let text = std::fs::read_to_string(&log).expect("a log");
    std::fs::write(&log, &text[..text.len() / 2]).expect("a log");
    let (said, _, code) = done(&["report", &log.to_string_lossy()]);
    assert_eq!(code, 3, "{said}");
    assert!(said.starts_with("inconclusive:") && said.contains("The run was interrupted"), "{said}");
}

#[test]
fn a_filter_that_matches_nothing_is_no_green() {
    let (said, _, code) = done(&["run", "--reference", "stream", "--only", "stream/nope/*"]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("Nothing ran: no check is left by --only stream/nope/*"), "{said}");
}

#[test]
fn a_defect_is_found_and_shown_with_the_way_back_to_it() {
    let defect = "stream/create/answered-200";
    let (said, _, code) =
        done(&["run", "--reference", "stream", "--defect", defect, "--only", "STREAM-CREATE-1"]);
    assert_eq!(code, 1, "{said}");
    for part in [
        "not-conformant:",
        "STREAM-CREATE-1 (MUST",
        "expected  201",
        "curl -i -X PUT",
        "again: wireproof run",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_dead_target_is_inconclusive_and_said_once() {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let url = format!("http://127.0.0.1:{port}/v1/stream");
    let (said, _, code) = done(&["run", "stream", &url]);
    assert_eq!(code, 3, "{said}");
    assert_eq!(said.matches("could not be reached").count(), 1, "{said}");
}

pub(crate) struct Killed(pub(crate) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn serve_says_where_and_stops_in_order_and_secrets_stay_out() {
    let child = wireproof(&["serve", "stream"]).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut serving = Killed(child);
    let mut line = String::new();
    BufReader::new(serving.0.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let url = line.trim().strip_prefix("listening ").unwrap_or_else(|| panic!("{line}")).to_owned();

    let dir = tempfile::tempdir().expect("a directory");
    let run = wireproof(&["run", "stream", &url, "--only", "stream/create/*", "--out"])
        .arg(dir.path())
        .args(["--header", "authorization: env:WIREPROOF_TEST_TOKEN"])
        .env("WIREPROOF_TEST_TOKEN", "Bearer very-secret-token")
        .output()
        .expect("it runs");
    assert_eq!(run.status.code(), Some(0), "{}", String::from_utf8_lossy(&run.stdout));
    let mut seen = [run.stdout, run.stderr].concat();
    for name in ["events.jsonl", "result.json", "junit.xml", "report.html", "summary.md"] {
        seen.extend(std::fs::read(dir.path().join(name)).expect("an output"));
    }
    let seen = String::from_utf8_lossy(&seen);
    assert!(!seen.contains("very-secret"), "a secret is in a report");
    assert!(seen.contains("--header 'authorization: env:WIREPROOF_TEST_TOKEN'"), "the way back is not shown");

    let id = i32::try_from(serving.0.id()).expect("an id");
    kill(Pid::from_raw(id), Signal::SIGTERM).expect("a signal");
    assert!(serving.0.wait().expect("it ends").success());
}

/// Answers a HEAD, and nothing else.
fn answers_heads_only() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/v1/stream", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        let mut open: Vec<TcpStream> = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut start = [0; 4];
            if stream.read_exact(&mut start).is_ok() && start == *b"HEAD" {
                let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
            }
            open.push(stream);
        }
    });
    url
}

#[test]
fn an_interrupted_run_says_what_it_knows() {
    let url = answers_heads_only();
    let dir = tempfile::tempdir().expect("a directory");
    let arguments = ["run", "stream", &url, "--limit", "long-poll-ms=500", "--timeout", "60000", "--out"];
    let child = wireproof(&arguments).arg(dir.path()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut running = Killed(child);
    let log = dir.path().join("events.jsonl");
    let until = Instant::now() + Duration::from_secs(20);
    while !std::fs::read_to_string(&log).unwrap_or_default().contains("\"PUT\"") {
        assert!(Instant::now() < until, "no check began");
        std::thread::sleep(Duration::from_millis(20));
    }
    kill(Pid::from_raw(i32::try_from(running.0.id()).expect("an id")), Signal::SIGINT).expect("a signal");
    let mut said = String::new();
    running.0.stdout.take().expect("a pipe").read_to_string(&mut said).expect("text");
    assert_eq!(running.0.wait().expect("it ends").code(), Some(3), "{said}");
    assert!(said.starts_with("inconclusive:") && said.contains("The run was interrupted"), "{said}");
    let result = json(&std::fs::read_to_string(dir.path().join("result.json")).expect("a result"));
    assert_eq!(result["interrupted"], true);
}

async fn reference(defect: Option<&str>) -> Target {
    embed::STREAM.start(embed::DURABLE, defect).await.expect("the reference starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reference_is_conformant() {
    wireproof::assert_conformant("stream", reference(None).await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[should_panic(expected = "STREAM-CREATE-1 (MUST")]
async fn a_broken_reference_is_not() {
    wireproof::assert_conformant("stream", reference(Some("stream/create/answered-200")).await).await;
}
