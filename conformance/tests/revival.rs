//! Targets that stop answering when they get what they have to take, and targets that are not the one that was launched.

use std::{fs, net::TcpListener, path::Path};
use wireproof::{
    event::What,
    run::{Settings, run, select},
    target::file::{self, Failed},
    verdict::Verdict,
};

/// Answers every request with 404, and ends, or never answers again, when it gets a PUT.
const SERVER: &str = r"
import http.server, os, sys, time
class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def answer(self):
        if self.command == 'PUT':
            os._exit(1) if 'ends' in sys.argv else time.sleep(1000)
        self.send_response(404)
        self.send_header('content-length', '0')
        self.end_headers()
    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer
    def log_message(self, *_): pass
http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), Server).serve_forever()
";

fn written(dir: &Path, url: &str, command: &str) -> file::Read {
    fs::write(dir.join("server.py"), SERVER).expect("a file");
    let text = format!("protocol = \"stream\"\nurl = \"{url}\"\n[launch]\ncommand = \"{command}\"\n");
    fs::write(dir.join("wireproof.toml"), text).expect("a file");
    file::read(&dir.join("wireproof.toml")).unwrap_or_else(|e| panic!("{e}"))
}

/// What came of the check of a PUT on a free URL, in a run of several that begin with a PUT.
async fn put_on_a_free_url(how: &str) -> (Verdict, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let command = format!("exec python3 server.py {how}");
    let read = written(dir.path(), "http://127.0.0.1:{port}/v1/stream", &command);
    let protocol = wireproof::PROTOCOLS[0];
    let target = read.target(protocol, None).await.unwrap_or_else(|e| panic!("{e}"));
    let only = select::globs(&["stream/append/closed".into(), "stream/create/free-url".into()]);
    let settings = Settings {
        only: only.unwrap_or_else(|e| panic!("{e}")),
        timeout: std::time::Duration::from_millis(500),
        ..Settings::default()
    };
    let finished = run(protocol, target, settings, |_| {}).await.unwrap_or_else(|e| panic!("{e}"));
    let checked = finished.checks.iter().find(|c| c.check.name == "stream/create/free-url");
    let checked = checked.expect("the check");
    let why = checked.events.iter().find_map(|e| match &e.what {
        What::Broken { requirement, actual, .. } => Some(format!("{requirement}: {actual}")),
        _ => None,
    });
    (checked.verdict, why.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_ends_or_hangs_under_what_it_has_to_take_is_blamed_for_it() {
    for how in ["ends", "hangs"] {
        let (verdict, why) = put_on_a_free_url(how).await;
        assert_eq!(verdict, Verdict::Fail, "{how}: {why}");
        assert!(why.starts_with("STREAM-CREATE-1: ") && why.contains("stopped answering under it"), "{why}");
    }
}

#[tokio::test]
async fn a_target_that_is_not_the_one_that_was_launched_is_not_tested() {
    let dir = tempfile::tempdir().expect("a directory");
    // Somebody else is there.
    let other = wireproof::PROTOCOLS[0].trial.reference.start("full", None).await.expect("a reference");
    let read = written(dir.path(), &other.shown, "sleep 60");
    let Err(Failed::Start(why)) = read.target(wireproof::PROTOCOLS[0], None).await else {
        panic!("it is somebody else")
    };
    assert!(why.contains("something answers at") && why.contains("{port}"), "{why}");
    // Nobody is there, and what was started ends.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let read = written(dir.path(), &format!("http://127.0.0.1:{port}/v1/stream"), "true");
    let Err(Failed::Start(why)) = read.target(wireproof::PROTOCOLS[0], None).await else {
        panic!("it ended")
    };
    assert!(why.contains("exit status: 0"), "{why}");
}

/// What came of this check of a reference that is started so: `$1` is its data, `$PROGRAM` what serves.
async fn of_a_start(how: &str, check: &str) -> (Verdict, String, Option<String>) {
    let dir = tempfile::tempdir().expect("a directory");
    let serve = "exec \"$PROGRAM\" serve stream --addr 127.0.0.1:$PORT --data \"$1\"";
    fs::write(dir.path().join("start.sh"), format!("{how}\n{serve}\n")).expect("a file");
    let text = format!(
        "protocol = \"stream\"\nurl = \"http://127.0.0.1:{{port}}/v1/stream\"\n[launch]\n\
         command = \"exec sh start.sh '{{data}}'\"\nenv = {{ PROGRAM = \"{}\" }}\n",
        env!("CARGO_BIN_EXE_wireproof")
    );
    fs::write(dir.path().join("wireproof.toml"), text).expect("a file");
    let read = file::read(&dir.path().join("wireproof.toml")).unwrap_or_else(|e| panic!("{e}"));
    let protocol = wireproof::PROTOCOLS[0];
    let target = read.target(protocol, None).await.unwrap_or_else(|e| panic!("{e}"));
    let only = select::globs(&[check.to_owned()]).unwrap_or_else(|e| panic!("{e}"));
    let settings = Settings { only, ..Settings::default() };
    let finished = run(protocol, target, settings, |_| {}).await.unwrap_or_else(|e| panic!("{e}"));
    let checked = finished.checks.iter().find(|c| c.check.name == check).expect("the check");
    let why = checked.events.iter().find_map(|e| match &e.what {
        What::Broken { requirement, actual, .. } => Some(format!("{requirement}: {actual}")),
        _ => None,
    });
    (checked.verdict, why.unwrap_or_default(), finished.unreachable)
}

/// Ends where it finds what it kept.
const REFUSES: &str = "[ -e \"$1/was\" ] && { echo my data are broken; exit 3; }\ntouch \"$1/was\"";

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_start_on_its_own_data_is_blamed_for_it() {
    let (verdict, why, unreachable) = of_a_start(REFUSES, "stream/content/restart").await;
    assert_eq!(verdict, Verdict::Fail, "{why} {unreachable:?}");
    assert!(why.starts_with("STREAM-CONTENT-1: it does not start on its own data"), "{why}");
    assert!(why.contains("exit status: 3") && why.contains("my data are broken"), "{why}");
    assert_eq!(unreachable, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_starts_nowhere_or_at_the_second_attempt_is_not_blamed() {
    let nowhere = "[ -e was ] && exit 3\ntouch was";
    let (verdict, why, unreachable) = of_a_start(nowhere, "stream/content/restart").await;
    assert_eq!((verdict, why.as_str()), (Verdict::Inconclusive, ""));
    assert!(unreachable.is_some_and(|why| why.contains("could not be restarted")));
    let every_other = "n=$(cat n || echo 0)\necho $((n + 1)) > n\n[ $((n % 2)) = 1 ] && exit 3";
    let (verdict, why, unreachable) = of_a_start(every_other, "stream/content/restart").await;
    assert_eq!((verdict, unreachable), (Verdict::Pass, None), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn that_a_target_does_not_start_on_its_own_data_is_told_where_no_check_asked_for_it() {
    let (verdict, why, unreachable) = of_a_start(REFUSES, "stream/json/deep").await;
    assert_eq!(verdict, Verdict::Pass, "{why}");
    let why = unreachable.unwrap_or_default();
    assert!(
        why.contains("does not start again on what it kept") && why.contains("my data are broken"),
        "{why}"
    );
}
