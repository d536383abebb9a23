//! The verbs around a run as their users see them: init, baseline, dry runs, settings, completions, stopping early.

use crate::cli::{Killed, done, json, wireproof};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Stdio,
};

/// A reference that is served by a process of its own, and its URL.
fn served(arguments: &[&str]) -> (Killed, String) {
    let all = [&["serve", "stream", "--long-poll-ms", "300"], arguments].concat();
    let child = wireproof(&all).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut serving = Killed(child);
    let mut line = String::new();
    BufReader::new(serving.0.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let url = line.trim().strip_prefix("listening ").unwrap_or_else(|| panic!("{line}")).to_owned();
    (serving, url)
}

/// A web server that answers everything alike.
fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/v1/stream", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream: TcpStream = stream.expect("a connection");
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while stream.read(&mut bytes).is_ok_and(|read| read > 0) {
                    if stream.write_all(answer.as_bytes()).is_err() {
                        break;
                    }
                }
            });
        }
    });
    url
}

fn path(dir: &Path, name: &str) -> String {
    dir.join(name).to_string_lossy().into_owned()
}

fn without(text: &str, what: &[(&str, &str)]) -> String {
    what.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[test]
fn init_writes_a_file_that_a_run_works_with() {
    let (_serving, url) = served(&[]);
    let dir = tempfile::tempdir().expect("a directory");
    let file = path(dir.path(), "wireproof.toml");
    let (said, err, code) = done(&["init", &url, "--out", &file]);
    assert_eq!(code, 0, "{said}{err}");
    assert!(said.contains("quick checks passed: it speaks stream"), "{said}");

    let text = fs::read_to_string(&file).expect("a file");
    let limit = text.lines().find_map(|line| line.strip_prefix("long-poll-ms = ")).expect("a limit");
    let measured: u64 = limit.parse().expect("a number");
    assert!((300..2_500).contains(&measured), "{measured}");
    let port = url.rsplit_once(':').and_then(|(_, rest)| rest.split('/').next()).expect("a port");
    let stable = text.replace(&format!("long-poll-ms = {limit}"), "long-poll-ms = MS");
    insta::assert_snapshot!(stable.replace(port, "PORT"));

    let (said, err, code) = done(&["run", "--target", &file, "--only", "stream/create/*"]);
    assert_eq!(code, 0, "{said}{err}");
    assert!(said.contains("long-poll-ms") && said.starts_with("partial:"), "{said}");

    // What is commented can be said: every example is one that the file may hold, once it has a value.
    let said: String = text
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.contains(" = ") && !rest.contains(". ") => rest.replace("NUMBER", "5000"),
            Some(rest) if rest.starts_with('[') && rest.ends_with(']') => rest.to_owned(),
            _ => line.to_owned(),
        })
        .map(|line| line + "\n")
        .collect();
    let keys: toml_edit::DocumentMut = said.parse().unwrap_or_else(|e| panic!("{e}: {said}"));
    for key in ["baseline", "implementation", "headers", "limits", "features", "launch", "hooks", "pace"] {
        assert!(keys.contains_key(key), "{key}: {said}");
    }

    let (_, err, code) = done(&["init", &url, "--out", &file]);
    assert!(code == 2 && err.contains("is there already"), "{err}");
    let (_, err, code) = done(&["init", &url, "--out", &file, "--force"]);
    assert_eq!(code, 0, "{err}");
}

#[test]
fn init_keeps_secrets_out_of_the_file() {
    let (_serving, url) = served(&["--variant", "authenticated"]);
    let dir = tempfile::tempdir().expect("a directory");
    let file = path(dir.path(), "wireproof.toml");
    let (_, err, code) = done(&["init", &url, "--out", &file]);
    assert!(code == 1 && err.contains("give --header 'authorization: env:VARIABLE'"), "{err}");
    let literal = format!("authorization: {}", wireproof::embed::stream::AUTHORIZATION);
    let (_, err, code) = done(&["init", &url, "--out", &file, "--header", &literal]);
    assert!(code == 2 && err.contains("put it into a variable"), "{err}");
    assert!(!err.contains(wireproof::embed::stream::AUTHORIZATION) && !Path::new(&file).exists());
    let out =
        wireproof(&["init", &url, "--out", &file, "--header", "authorization: env:WIREPROOF_TEST_AUTH"])
            .env("WIREPROOF_TEST_AUTH", wireproof::embed::stream::AUTHORIZATION)
            .output()
            .expect("it runs");
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    let text = fs::read_to_string(&file).expect("a file");
    assert!(text.contains("[headers]\nauthorization = \"env:WIREPROOF_TEST_AUTH\"\n"), "{text}");
    assert!(!text.contains(wireproof::embed::stream::AUTHORIZATION));
}

#[test]
fn init_tells_what_it_came_upon() {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let dead = format!("http://127.0.0.1:{port}/v1/stream");
    let fine = answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let nowhere = answering("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    let locked = answering("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n");
    let dir = tempfile::tempdir().expect("a directory");
    let file = path(dir.path(), "wireproof.toml");
    let mut all = String::new();
    for (name, url, wanted) in
        [("DEAD", &dead, 3), ("FINE", &fine, 1), ("NOWHERE", &nowhere, 1), ("LOCKED", &locked, 1)]
    {
        let (out, err, code) = done(&["init", url, "--out", &file]);
        assert_eq!((code, out.as_str()), (wanted, ""), "{err}");
        assert!(!Path::new(&file).exists(), "nothing is written for {name}");
        let stable = without(&err, &[(url, name), (&format!("127.0.0.1:{port}"), "HOST:PORT")]);
        all += &format!("$ wireproof init {name}\n{stable}\n");
    }
    let elsewhere = path(dir.path(), "no/such/wireproof.toml");
    let (_serving, url) = served(&[]);
    let (_, err, code) = done(&["init", &url, "--out", &elsewhere]);
    assert!(code == 2 && err.contains("there is no directory"), "{err}");
    insta::assert_snapshot!(all);
    let (_, err, code) = done(&["init", &dead, "--out", &file, "--force", "--protocol", "stream"]);
    assert_eq!(code, 0, "{err}");
    let (said, _, code) = done(&["run", "--target", &file]);
    assert!(code == 3 && said.starts_with("inconclusive:"), "{said}");
}

const DEFECT: &str = "stream/append/missing-stream-conflicts";

/// A recorded run of a broken reference, and a target file beside it.
fn broken(dir: &Path) -> (Killed, String, String) {
    let (serving, url) = served(&["--defect", DEFECT]);
    let file = path(dir, "wireproof.toml");
    let text = format!(
        "# Ours.\nprotocol = \"stream\"\nurl = \"{url}\" # here\n\n# How long.\n[limits]\nlong-poll-ms = 300\n"
    );
    fs::write(&file, text).expect("a file");
    let out = path(dir, "report");
    let (said, _, code) =
        done(&["run", "--target", &file, "--only", "stream/append/*", "--tier", "fast", "--out", &out]);
    assert_eq!(code, 1, "{said}");
    (serving, file, out)
}

#[test]
fn a_baseline_is_written_excuses_expires_and_is_pruned() {
    let dir = tempfile::tempdir().expect("a directory");
    let (serving, file, out) = broken(dir.path());
    let rerun = |file: &str| done(&["run", "--target", file, "--only", "stream/append/*", "--tier", "fast"]);

    let (_, err, code) = done(&["baseline", "write", &out, "--target", &file]);
    assert!(code == 2 && err.contains("--reason"), "{err}");
    let (_, err, code) = done(&["baseline", "write", &out, "--target", &file, "--reason", "  "]);
    assert!(code == 2 && err.contains("say why"), "{err}");
    let (_, err, code) =
        done(&["baseline", "write", &out, "--target", &file, "--reason", "x", "--expires", "31.12.2026"]);
    assert!(code == 2 && err.contains("is no day"), "{err}");
    let (said, _, code) =
        done(&["baseline", "write", &out, "--target", &file, "--reason", "x", "--only", "stream/sse/*"]);
    assert!(code == 0 && said.contains("matches --only"), "{said}");

    let (said, err, code) =
        done(&["baseline", "write", &out, "--target", &file, "--reason", "clients depend on 409"]);
    assert_eq!(code, 0, "{err}");
    assert!(said.contains("added: stream/append/") && said.contains("names it now"), "{said}");
    let named = fs::read_to_string(&file).expect("a file");
    assert!(
        named.starts_with("# Ours.\nprotocol")
            && named.contains("# here\nbaseline = \"wireproof.baseline.toml\"\n\n# How long.\n"),
        "{named}"
    );
    let list = path(dir.path(), "wireproof.baseline.toml");
    let written = fs::read_to_string(&list).expect("a baseline");
    let (said, _, code) = rerun(&file);
    assert!(code == 0 && said.starts_with("partial:") && said.contains("clients depend on 409"), "{said}");

    // The same failure with other names, tokens and times is no other one.
    let seeded = ["run", "--target", &file, "--only", "stream/append/*", "--tier", "fast", "--seed", "77"];
    let (said, _, code) = done(&seeded);
    assert_eq!(code, 0, "{said}");
    // The same check with another status is.
    let status = written.find(": 409").or_else(|| written.find(": 20")).expect("a status");
    let mut otherwise = written.clone();
    otherwise.replace_range(status..status + 5, ": 418");
    fs::write(&list, &otherwise).expect("a baseline");
    let (said, _, code) = rerun(&file);
    assert!(code == 1 && said.contains("fails otherwise than the baseline says: was "), "{said}");
    let (said, _, code) = done(&["baseline", "write", &out, "--target", &file, "--reason", "other"]);
    assert!(code == 0 && said.contains("also fails so, for the same reason"), "{said}");
    let both = fs::read_to_string(&list).expect("a baseline");
    assert!(
        both.contains(": 418") && both.contains("clients depend on 409") && !both.contains("other"),
        "{both}"
    );
    let (said, _, code) = rerun(&file);
    assert_eq!(code, 0, "{said}");
    let silent = written.lines().filter(|line| !line.starts_with("frame")).collect::<Vec<_>>().join("\n");
    fs::write(&list, &silent).expect("a baseline");
    let (_, err, code) = rerun(&file);
    assert!(code == 2 && err.contains("does not say in `frame` how it fails"), "{err}");

    // What somebody wrote is kept.
    let commented = format!("# Of the team.\n\n# First.\n{written}");
    fs::write(&list, &commented).expect("a baseline");
    let (said, _, code) = done(&["baseline", "write", &out, "--target", &file, "--reason", "other"]);
    assert!(code == 0 && said.contains("nothing to add"), "{said}");
    assert_eq!(fs::read_to_string(&list).expect("a baseline"), commented);

    // An entry whose day is over excuses nothing.
    let reason = "reason = \"clients depend on 409\"\n";
    let expired = commented.replacen(reason, &format!("{reason}expires = \"2020-02-29\"\n"), 1);
    assert_ne!(expired, commented);
    fs::write(&list, &expired).expect("a baseline");
    let (said, _, code) = rerun(&file);
    assert!(code == 1 && said.starts_with("not-conformant:"), "{said}");
    assert!(said.contains("it was excused until 2020-02-29"), "{said}");
    assert!(said.contains("the baseline excused it until 2020-02-29: clients depend on 409"), "{said}");
    fs::write(&list, expired.replace("2020-02-29", "2020-02-30")).expect("a baseline");
    let (_, err, code) = rerun(&file);
    assert!(code == 2 && err.contains("is no day"), "{err}");
    fs::write(&list, &commented).expect("a baseline");

    // A server that was mended makes it stale, until it is pruned.
    let (said, _, code) = done(&["baseline", "prune", &out, "--target", &file]);
    assert!(code == 0 && said.contains("nothing is stale"), "{said}");
    drop(serving);
    let before = path(dir.path(), "before.jsonl");
    fs::copy(Path::new(&out).join("events.jsonl"), &before).expect("a copy");
    let (_mended, url) = served(&[]);
    let (said, _, code) = done(&[
        "run",
        "stream",
        &url,
        "--target",
        &file,
        "--only",
        "stream/append/*",
        "--tier",
        "fast",
        "--out",
        &out,
    ]);
    assert!(code == 5 && said.contains("stale stream/append/"), "{said}");
    let (said, err, code) = done(&["baseline", "prune", &out, "--target", &file]);
    assert!(code == 0 && said.contains("removed: stream/append/"), "{said}{err}");
    let left = fs::read_to_string(&list).expect("a baseline");
    assert!(
        left.starts_with("# Of the team.\n") && !left.contains("First") && !left.contains("[[known]]"),
        "{left}"
    );

    // Of two runs only one saw the failure.
    let other = path(dir.path(), "other.toml");
    fs::write(&other, "protocol = \"stream\"\nurl = \"http://127.0.0.1:1/v1/stream\"\n").expect("a file");
    let (said, err, code) =
        done(&["baseline", "write", &before, &out, "--target", &other, "--reason", "a race"]);
    assert!(code == 0 && said.contains("added: stream/append/"), "{said}{err}");
    let written = fs::read_to_string(path(dir.path(), "other.baseline.toml")).expect("a baseline");
    assert!(written.contains("sometimes = \"seen in 1 of 2 runs"), "{written}");
}

#[test]
fn a_run_that_stops_early_says_so_and_is_never_conformant() {
    let dir = tempfile::tempdir().expect("a directory");
    let (_serving, file, _) = broken(dir.path());
    let out = path(dir.path(), "early");
    let stops = [
        "run",
        "--target",
        &file,
        "--only",
        "stream/append/*",
        "--tier",
        "fast",
        "--jobs",
        "1",
        "--fail-fast",
        "--out",
        &out,
    ];
    let (said, _, code) = done(&stops);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.starts_with("not-conformant:") && said.contains("stopped at the first failure, stream/"),
        "{said}"
    );
    let result = json(&fs::read_to_string(path(Path::new(&out), "result.json")).expect("a result"));
    assert!(result["stopped_at"].as_str().is_some_and(|check| check.starts_with("stream/")), "{result}");
    assert_eq!(result["counts"]["fail"], 1);
    let counts = &result["counts"];
    let is_left_out = counts["not-selected"].as_u64().is_some_and(|many| many > 0);
    assert!(is_left_out && counts["inconclusive"] == 0, "{counts}");
    let (again, _, code) = done(&["report", &out]);
    assert!(code == 1 && again.contains("stopped at the first failure"), "{again}");

    // What the baseline excuses does not stop it.
    let all = path(dir.path(), "all");
    done(&["run", "--target", &file, "--only", "stream/append/*", "--tier", "fast", "--out", &all]);
    let (said, err, code) = done(&["baseline", "write", &all, "--target", &file, "--reason", "known"]);
    assert_eq!(code, 0, "{said}{err}");
    let (said, _, code) = done(&stops[..stops.len() - 2]);
    assert!(code == 0 && said.starts_with("partial:") && !said.contains("first failure"), "{said}");
}

#[test]
fn a_dry_run_sends_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/v1/stream", listener.local_addr().expect("an address"));
    let arguments =
        ["run", "stream", &url, "--dry-run", "--only", "stream/create/*", "--only", "stream.http2"];
    let (said, err, code) = done(&arguments);
    assert_eq!(code, 0, "{said}{err}");
    listener.set_nonblocking(true).expect("a listener");
    assert!(listener.accept().is_err(), "nobody came");
    insta::assert_snapshot!(said.replace(&url, "URL"));

    let (text, _, _) = done(&["run", "stream", &url, "--dry-run", "--json"]);
    let plan = json(&text);
    let many = |key: &str| plan[0][key].as_array().map_or(0, Vec::len);
    let total = many("runs") + many("depends") + many("left_out");
    let listed = json(&done(&["list", "checks", "--json"]).0);
    let of_stream =
        |check: &&serde_json::Value| check["id"].as_str().is_some_and(|id| id.starts_with("stream/"));
    assert_eq!(total, listed.as_array().map_or(0, |checks| checks.iter().filter(of_stream).count()));
    let (said, _, code) = done(&["run", "stream", &url, "--dry-run", "--only", "stream/nope"]);
    assert!(code == 3 && said.starts_with("0 checks would run"), "{said}");
}

#[test]
fn a_target_that_is_launched_is_not_started_to_look() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = path(dir.path(), "wireproof.toml");
    fs::write(
        &file,
        "protocol = \"stream\"
url = \"http://127.0.0.1:{port}/v1/stream\"
[launch]
command = \"touch started\"
[headers]
Authorization = \"Bearer very-secret-token\"
[features]
\"stream.crash-safe\" = true
[limits]
long-poll-ms = 500
[pace]
jobs = 3
[accepted]
\"stream/content/restart\" = \"not yet\"
",
    )
    .expect("a file");
    let (said, err, code) = done(&["run", "--target", &file, "--dry-run"]);
    assert!(code == 0 && !said.contains("it takes the hook"), "{said}{err}");
    let (said, err, code) = done(&[
        "run",
        "--target",
        &file,
        "--show-config",
        "--seed",
        "7",
        "--limit",
        "sse-ms=900",
        "--tier",
        "fast",
    ]);
    assert_eq!(code, 0, "{said}{err}");
    assert!(!dir.path().join("started").exists(), "it was started");
    assert!(!said.contains("very-secret"), "{said}");
    insta::assert_snapshot!(said.replace(&file, "wireproof.toml"));
}

#[test]
fn settings_are_shown_with_what_the_target_told() {
    let (_serving, url) = served(&[]);
    let (text, err, code) = done(&["run", "stream", &url, "--show-config", "--json"]);
    assert_eq!(code, 0, "{err}");
    let shown = json(&text);
    let source = |name: &str| {
        let rows = shown[0]["settings"].as_array().expect("settings");
        let row = rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name}: {text}"));
        row["source"].as_str().expect("a source").to_owned()
    };
    assert_eq!(source("limit long-poll-ms"), "asked of the target");
    assert_eq!(source("feature stream.sse"), "default");
    assert_eq!(source("url"), "command line");
    let (text, _, _) = done(&["run", "stream", &url, "--show-config", "--dry-run"]);
    assert!(text.contains("a run asks the target") && !text.contains("asked of the target"), "{text}");
}

#[test]
fn a_verbose_run_tells_of_each_check() {
    let (out, err, code) = done(&["run", "--reference", "stream", "--only", "STREAM-CREATE-1", "--verbose"]);
    assert_eq!(code, 0, "{out}{err}");
    let line = err.lines().find(|line| line.starts_with("pass ")).unwrap_or_else(|| panic!("{err}"));
    assert!(line.contains(" ms  stream/create/") && line.contains("201"), "{line}");
    assert!(out.starts_with("partial:") && !out.contains(" ms  stream/"), "the report is by itself: {out}");
}

#[test]
fn colour_is_as_the_environment_says() {
    let run = ["run", "stream", "http://127.0.0.1:1/v1/stream"];
    let first = |settings: &[(&str, &str)]| {
        let mut command = wireproof(&run);
        command.envs(settings.iter().copied());
        String::from_utf8(command.output().expect("it runs").stdout).expect("UTF-8")
    };
    assert!(first(&[]).starts_with("inconclusive"), "no colour into a pipe");
    assert!(first(&[("CLICOLOR_FORCE", "1")]).starts_with("\x1b[1;33minconclusive"));
    assert!(first(&[("CLICOLOR_FORCE", "0")]).starts_with("inconclusive"));
    assert!(first(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]).starts_with("inconclusive"));
}

#[test]
fn shells_complete_every_verb() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (script, err, code) = done(&["completions", shell]);
        assert_eq!(code, 0, "{err}");
        for word in ["init", "baseline", "selftest", "fail-fast"] {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
        // The other two complete no values.
        let completes_values = ["bash", "zsh", "fish"].contains(&shell);
        for id in
            ["STREAM-APPEND-4", "stream/append/empty-body", "stream/create/answered-200", "stream.forks"]
        {
            assert_eq!(script.contains(id), completes_values, "{shell}: {id}");
        }
    }
}
