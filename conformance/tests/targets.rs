//! Target files, and targets that are started by the runner: a small server in Python stands for any in any language.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use wireproof::{
    check::Hook,
    event::Source,
    run::{Settings, run},
    target::{
        Target,
        file::{self, Failed},
    },
};

/// Tells its process id to every GET.
const SERVER: &str = "import http.server, os, sys
class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = str(os.getpid()).encode()
        self.send_response(200)
        self.send_header('content-length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
print('starting on', os.environ['PORT'], os.environ.get('TOKEN'), flush=True)
if 'fail' in sys.argv: sys.exit('no database')
http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), Server).serve_forever()
";

fn written(dir: &Path, rest: &str) -> file::Read {
    fs::write(dir.join("server.py"), SERVER).expect("a file");
    let path = dir.join("wireproof.toml");
    let head = "protocol = \"stream\"\nurl = \"http://127.0.0.1:{port}/root\"\n";
    fs::write(&path, format!("{head}{rest}")).expect("a file");
    file::read(&path).unwrap_or_else(|e| panic!("{e}"))
}

async fn target(read: &file::Read) -> Result<Target, Failed> {
    read.target(wireproof::PROTOCOLS[0], None).await
}

/// The process that answers at this URL, if one does.
async fn answering(target: &str) -> Option<String> {
    let authority = target.strip_prefix("http://")?.split('/').next()?;
    let mut stream = TcpStream::connect(authority).await.ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer.rsplit("\r\n").next()?.to_owned())
}

#[tokio::test]
async fn a_launched_target_is_restarted_killed_and_taken_down() {
    let dir = tempfile::tempdir().expect("a directory");
    // A shell that stays in between: the whole group has to go.
    let read = written(dir.path(), "[launch]\ncommand = \"python3 server.py; true\"\n");
    let target = target(&read).await.expect("it starts");
    let first = answering(&target.shown).await.expect("it answers");
    let hooks = target.process().expect("hooks");
    assert!(hooks.is_launched() && hooks.offers(Hook::Restart) && hooks.offers(Hook::Kill));
    hooks.act(Hook::Restart).await.expect("a restart");
    let second = answering(&target.shown).await.expect("it answers");
    hooks.act(Hook::Kill).await.expect("a kill");
    let third = answering(&target.shown).await.expect("it answers");
    assert!(first != second && second != third, "{first} {second} {third}");
    let url = target.shown.clone();
    drop((hooks, target));
    for _ in 0..100 {
        if answering(&url).await.is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it still answers at {url}");
}

#[tokio::test]
async fn a_launched_target_has_a_directory_of_its_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let count = "echo x >> '{data}'/starts; cp '{data}'/starts starts; echo '{data}' > where";
    let read = written(dir.path(), &format!("[launch]\ncommand = \"{count}; exec python3 server.py\"\n"));
    let seen = || {
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).expect("a file");
        (read("starts"), read("where").trim_end().to_owned())
    };
    let first = target(&read).await.expect("it starts");
    let (starts, place) = seen();
    assert_eq!(starts, "x\n", "it is empty at first");
    first.process().expect("hooks").act(Hook::Kill).await.expect("a kill");
    assert_eq!(seen(), ("x\nx\n".into(), place.clone()), "it is the same after a kill, with all in it");
    let second = target(&read).await.expect("it starts");
    let (starts, other) = seen();
    assert!(starts == "x\n" && other != place, "each run has its own: {starts:?} {other} {place}");
    drop((first, second));
    assert!(!Path::new(&place).exists() && !Path::new(&other).exists(), "they are gone with their targets");
}

#[tokio::test]
async fn a_target_that_does_not_start_says_why_and_keeps_secrets() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("token"), "very-secret\n").expect("a file");
    let read = written(
        dir.path(),
        "[launch]\ncommand = \"python3 server.py fail\"\nenv = { TOKEN = \"file:token\" }\n",
    );
    let Err(Failed::Start(why)) = target(&read).await else { panic!("it does not start") };
    assert!(why.contains("no database") && why.contains("exit status: 1"), "{why}");
    assert!(why.contains("[redacted]") && !why.contains("very-secret"), "{why}");

    let silent = written(dir.path(), "[launch]\ncommand = \"sleep 60\"\nready_timeout_ms = 100\n");
    let Err(Failed::Start(why)) = target(&silent).await else { panic!("it never answers") };
    assert!(why.contains("did not answer HTTP within 100 ms") && why.contains("(nothing)"), "{why}");
}

#[tokio::test]
async fn a_target_file_says_everything() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("server.py"), SERVER).expect("a file");
    let check = wireproof::PROTOCOLS[0].checks().next().expect("a check");
    let requirement = check.requirements[0];
    let known = format!(
        "[[known]]\ncheck = \"{}\"\nrequirement = \"{requirement}\"\nreason = \"old\"\nany-frame = true\n",
        check.name
    );
    fs::write(dir.path().join("known.toml"), known).expect("a file");
    fs::write(
        dir.path().join("wireproof.toml"),
        format!(
            "protocol = \"stream\"
url = \"http://127.0.0.1:1/v1/stream\"
baseline = \"known.toml\"
implementation = {{ name = \"streamd\", version = \"3\" }}
headers = {{ Authorization = \"Bearer very-secret\", accept = \"a/b\" }}
second = {{ Authorization = \"Bearer other-secret\" }}
hooks = {{ kill = \"true\" }}
[features]
\"stream.crash-safe\" = true
[limits]
long-poll-ms = 700
[pace]
jobs = 3
time_scale = 2.5
[accepted]
\"{}\" = \"nobody restarts it\"
",
            check.name
        ),
    )
    .expect("a file");
    let read = file::read(&dir.path().join("wireproof.toml")).unwrap_or_else(|e| panic!("{e}"));
    let baseline = read.baseline(wireproof::PROTOCOLS[0]).unwrap_or_else(|e| panic!("{e}"));
    assert!(baseline.entry(check.name, requirement.as_str()).is_some());
    assert_eq!(baseline.accepted[check.name], "nobody restarts it");
    assert_eq!((read.file.pace.jobs, read.file.pace.time_scale), (Some(3), Some(2.5)));
    let target = target(&read).await.expect("a target");
    assert_eq!(target.implementation, Some(("streamd".into(), "3".into())));
    assert_eq!(target.declared["stream.crash-safe"], "on");
    assert_eq!(target.declared["long-poll-ms"], "700");
    assert_eq!(target.secrets, ["Bearer very-secret", "Bearer other-secret"]);
    let hooks = target.process().expect("hooks");
    assert!(hooks.offers(Hook::Kill) && !hooks.offers(Hook::Restart) && !hooks.is_launched());
}

#[tokio::test]
async fn a_pace_has_bounds() {
    let dir = tempfile::tempdir().expect("a directory");
    for (pace, told) in [("jobs = 0", "from 1 to 1024"), ("time_scale = 1000.0", "from 0.01 to 100")] {
        let read = written(dir.path(), &format!("[pace]\n{pace}\n"));
        let Err(Failed::File(why)) = target(&read).await else { panic!("{pace} is out of bounds") };
        assert!(why.contains(told), "{why}");
    }
}

#[test]
fn checks_are_accepted_by_a_pattern() {
    let dir = tempfile::tempdir().expect("a directory");
    let read = |pattern: &str| {
        let read = written(dir.path(), &format!("[accepted]\n\"{pattern}\" = \"nobody restarts it\"\n"));
        read.baseline(wireproof::PROTOCOLS[0])
    };
    let accepted = read("stream/*/restart").unwrap_or_else(|e| panic!("{e}")).accepted;
    assert!(accepted.len() > 3 && accepted.contains_key("stream/content/restart"), "{accepted:?}");
    let why = read("stream/*/rest").err().unwrap_or_default();
    assert!(why.contains("names `stream/*/rest`, which is no check"), "{why}");
}

#[test]
fn the_examples_in_the_documentation_can_be_read() {
    let text = include_str!("../../spec/target.md");
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("wireproof.toml");
    let examples: Vec<&str> = text
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .filter(|example| example.contains("protocol = "))
        .collect();
    assert!(!examples.is_empty());
    for example in examples {
        fs::write(&path, example).expect("a file");
        file::read(&path).unwrap_or_else(|e| panic!("{e}"));
    }
}

/// HEAD over HTTP/2 is what the question is asked with.
#[tokio::test]
async fn the_reference_tells_that_it_speaks_http2() {
    let protocol = wireproof::PROTOCOLS[0];
    let reference = protocol.trial.reference;
    let mut target = reference.start(reference.variants()[0], None).await.expect("the reference starts");
    target.declared.remove("stream.http2");
    let settings = Settings { names: Some(BTreeSet::new()), ..Settings::default() };
    let finished = run(protocol, target, settings, |_| {}).await.expect("it runs");
    let found = finished.features.iter().find(|(name, ..)| *name == "stream.http2");
    assert!(matches!(found, Some((_, "on", Source::Probed))), "{found:?}");
}
