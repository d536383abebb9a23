//! Secrets in every place where they can be put, a target that repeats them in every form, and nothing of it in what we write.

use crate::front::{command, done};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use std::{fs, path::Path};

/// Answers everything as if it took it, and repeats in each answer every secret that it was told, in every form: in headers and
/// their names, in text, JSON, bytes that are no text, event streams, and in chunks that cut through them.
const ECHO: &str = r#"
import base64, html, http.server, json, os, re, sys, urllib.parse
told = [os.environ['FROM_FILE'], os.environ['FROM_ENVIRONMENT'], open('second').read()]

def forms(s):
    b = s.encode()
    yield from [s, s.upper(), s.lower(), s.swapcase(), urllib.parse.quote(s, safe=''), urllib.parse.quote_plus(s)]
    yield from [json.dumps(s), json.dumps(s).replace('/', '\\/'), html.escape(s), b.hex()]
    yield from [base64.b64encode(p + b + e).decode() for p in [b'', b'x', b'us:'] for e in [b'', b'y', b'zz']]
    yield from [base64.urlsafe_b64encode(b).decode(), base64.urlsafe_b64encode(b'user:' + b).decode()]

class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def answer(self):
        self.rfile.read(int(self.headers.get('content-length') or 0))
        secrets = told + [self.headers.get(n) for n in ('authorization', 'x-key', 'x-file', 'cookie') if self.headers.get(n)]
        said = [f for s in secrets for f in forms(s)] + [f for s in secrets if ' ' in s for f in forms(s.split(' ', 1)[1])]
        status = {'PUT': 201, 'POST': 204, 'DELETE': 204}.get(self.command, 200)
        self.send_response(status, secrets[0])
        self.send_header('stream-next-offset', secrets[0])
        self.send_header('x-' + re.sub('[^a-z0-9]', '', secrets[1]), 'a name')
        for n, f in enumerate(said):
            self.send_header('x-said-%d' % n, f)
            if n > 60: break
        body, kind = '\n'.join(said).encode(), 'text/plain'
        if 'live=sse' in self.path:
            kind = 'text/event-stream'
            body = b''.join(b'event: data\ndata: ' + f.encode() + b'\n\n' for f in said)
        elif len(self.path) % 3 == 0:
            kind, body = 'application/json', json.dumps([json.dumps(said), said]).encode()
        elif len(self.path) % 3 == 1:
            body += b'\xff\xfe'
        self.send_header('content-type', kind)
        if status == 204 or self.command == 'HEAD':
            self.send_header('content-length', '0')
            self.end_headers()
        elif self.command == 'GET':
            self.send_header('transfer-encoding', 'chunked')
            self.end_headers()
            for at in range(0, len(body), 7):
                part = body[at:at + 7]
                self.wfile.write(b'%x\r\n%s\r\n' % (len(part), part))
            self.wfile.write(b'0\r\n\r\n')
        else:
            self.send_header('content-length', str(len(body)))
            self.end_headers()
            self.wfile.write(body)
    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_OPTIONS = answer
    def log_message(self, *_): pass

print('told', told, sys.argv[1:], flush=True)
if 'fail' in sys.argv: sys.exit('no start with ' + repr(list(map(list, map(forms, told + sys.argv[2:])))))
http.server.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), Server).serve_forever()
"#;

const TOKEN: &str = "t0ken/with+odd=characters";
const KEY: &str = "a-Literal-Key";
const IN_FILE: &str = "what Stands in/a File";
const COOKIE: &str = "session=c00kie-jar-5";
const ENV_FILE: &str = "database:Passw0rd";
const ENV_VARIABLE: &str = "variable\"with\\quotes";
const SECOND: &str = "the-0ther/One";
const SECRETS: [&str; 7] = [TOKEN, KEY, IN_FILE, COOKIE, ENV_FILE, ENV_VARIABLE, SECOND];

fn files(dir: &Path, more: &str) -> String {
    let written = |name: &str, text: &str| fs::write(dir.join(name), text).unwrap_or_else(|e| panic!("{e}"));
    written("echo.py", ECHO);
    written("key", &format!("{IN_FILE}\n"));
    written("password", ENV_FILE);
    written("second", SECOND);
    let content = format!(
        "protocol = \"stream\"
url = \"http://127.0.0.1:{{port}}/v1/stream\"
[headers]
authorization = \"env:WIREPROOF_TEST_TOKEN\"
x-key = \"{KEY}\"
x-file = \"file:key\"
[second]
x-key = \"{SECOND}\"
[launch]
command = \"exec python3 echo.py {more}\"
env = {{ FROM_FILE = \"file:password\", FROM_ENVIRONMENT = \"env:WIREPROOF_TEST_VARIABLE\" }}
"
    );
    written("wireproof.toml", &content);
    dir.join("wireproof.toml").to_string_lossy().into_owned()
}

/// Each form of a secret that a text must not hold, in lower case.
fn forms(secret: &str) -> Vec<String> {
    let json = serde_json::Value::from(secret).to_string();
    let mut forms = vec![
        secret.to_owned(),
        wireproof_spec::http::percent_encode(secret),
        wireproof_spec::http::percent_encode(secret).replace("%20", "+"),
        json.trim_matches('"').to_owned(),
        json.trim_matches('"').replace('/', "\\/"),
        wireproof::event::hex(secret.as_bytes()),
        wireproof::event::hex(secret.to_uppercase().as_bytes()),
    ];
    // Of the digits at either end some belong to what stands beside it.
    for before in ["", "x", "us:", "user:"] {
        for digits in [STANDARD, URL_SAFE] {
            let all = digits.encode(format!("{before}{secret}"));
            forms.push(all[(before.len() * 8).div_ceil(6)..all.trim_end_matches('=').len() - 3].to_owned());
        }
    }
    forms.iter().map(|form| form.to_lowercase()).collect()
}

fn is_clean(what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    // As it is, and as JSON, XML and HTML write it.
    let plain =
        text.replace("&quot;", "\"").replace("&amp;", "&").replace("\\\"", "\"").replace("\\\\", "\\");
    for secret in SECRETS {
        for form in forms(secret) {
            for text in [&text, &plain] {
                if let Some(at) = text.find(&form) {
                    let around: String = text[..at + form.len()].chars().rev().take(300).collect();
                    let around: String = around.chars().rev().collect();
                    panic!("{what} holds {form}: …{around}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_that_a_target_repeats_stand_nowhere() {
    let dir = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let out = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let file = files(dir.path(), "");
    let cookie = format!("cookie: {COOKIE}");
    let arguments =
        ["run", "--target", &file, "--header", &cookie, "--tier", "fast", "--timeout", "2000", "--out"];
    let output = command(&arguments)
        .arg(out.path())
        .env("WIREPROOF_TEST_TOKEN", format!("Bearer {TOKEN}"))
        .env("WIREPROOF_TEST_VARIABLE", ENV_VARIABLE)
        .output()
        .await
        .unwrap_or_else(|e| panic!("{e}"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(matches!(output.status.code(), Some(1)), "{said} {}", String::from_utf8_lossy(&output.stderr));
    is_clean("what it printed", &output.stdout);
    is_clean("what it said", &output.stderr);
    let mut names = Vec::new();
    for entry in fs::read_dir(out.path()).unwrap_or_else(|e| panic!("{e}")).flatten() {
        let bytes = fs::read(entry.path()).unwrap_or_else(|e| panic!("{e}"));
        names.push(entry.file_name().to_string_lossy().into_owned());
        is_clean(&entry.path().to_string_lossy(), &bytes);
    }
    names.sort();
    assert!(
        ["events.jsonl", "junit.xml", "result.json"].iter().all(|n| names.contains(&(*n).into())),
        "{names:?}"
    );
    let events = fs::read_to_string(out.path().join("events.jsonl")).unwrap_or_else(|e| panic!("{e}"));
    // It was said, in each of the ways, and taken out.
    for form in ["text/event-stream", "application/json", "\"hex\":", "x-said-9", "[redacted]"] {
        assert!(events.contains(form), "{form} was never said");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_does_not_start_gives_no_secret_away() {
    let dir = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let file = files(dir.path(), &format!("fail {KEY} {TOKEN}"));
    let output = command(&["run", "--target", &file])
        .env("WIREPROOF_TEST_TOKEN", format!("Bearer {TOKEN}"))
        .env("WIREPROOF_TEST_VARIABLE", ENV_VARIABLE)
        .output()
        .await
        .unwrap_or_else(|e| panic!("{e}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(3) && said.contains("no start with"), "{said}");
    is_clean("the error", &output.stderr);
    is_clean("what it printed", &output.stdout);
}

#[tokio::test]
async fn a_target_file_that_is_malformed_gives_no_secret_away() {
    let dir = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let file = dir.path().join("wireproof.toml");
    for headers in [
        format!("authorization = \"{TOKEN}\" and more"),
        format!("authorization = \"{TOKEN}"),
        format!("[headers.authorization]\nvalue = \"{TOKEN}\""),
        format!("authorization = [\"{TOKEN}\"]"),
        format!("authorization = \"{TOKEN}\\n\""),
        format!("authorization = \"file:{TOKEN}\"\n\"x {KEY}\" = 1"),
    ] {
        let content = format!("protocol = \"stream\"\nurl = \"http://localhost/\"\n[headers]\n{headers}\n");
        fs::write(&file, content).unwrap_or_else(|e| panic!("{e}"));
        let done = done(&["run", "--target", &file.to_string_lossy()]).await;
        assert_eq!(done.code, Some(2), "{headers}: {}", done.said);
        is_clean(&format!("the error of {headers}"), done.said.as_bytes());
    }
}
