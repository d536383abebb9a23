//! Ways to a target: TLS with a given authority, a unix socket, IPv6. And what is said when there is none.

use crate::front::{Done, Origin, at_socket, done, listen, verdicts};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::{fs, path::Path, sync::Arc};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

/// What speaks through every kind of peer: requests, event streams, raw bytes, HTTP/2.
const SOME: [&str; 10] = [
    "--only",
    "stream/create/*",
    "--only",
    "stream/http/*",
    "--only",
    "stream/sse/*",
    "--tier",
    "fast",
    "--feature",
    "stream.http2=on",
];

/// An authority, and how a server with a certificate of it for these names speaks TLS.
fn authority(names: &[&str]) -> (String, ServerConfig) {
    let key = || KeyPair::generate().expect("a key");
    let mut own = CertificateParams::new(Vec::new()).expect("parameters");
    own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let own_key = key();
    let certificate = own.self_signed(&own_key).expect("a certificate").pem();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let (server_key, params) = (key(), CertificateParams::new(names).expect("names"));
    let signed = params.signed_by(&server_key, &Issuer::new(own, own_key)).expect("a certificate");
    let secret = PrivateKeyDer::try_from(server_key.serialize_der()).expect("a key");
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![signed.der().clone()], secret)
        .expect("a configuration");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    (certificate, config)
}

/// The reference behind TLS, with a certificate for these names: the port, and the certificate of the authority.
async fn behind_tls(names: &[&str], defect: Option<&str>) -> (u16, String) {
    let origin = Origin::start("full", defect).await;
    let (certificate, config) = authority(names);
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let port = listen("127.0.0.1", move |stream| {
        let (acceptor, origin) = (acceptor.clone(), origin.clone());
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                origin.pass(stream).await;
            }
        }
    })
    .await;
    (port, certificate)
}

/// A run by a target file of this content.
async fn run(dir: &Path, content: &str, options: &[&str]) -> Done {
    let file = dir.join("wireproof.toml");
    fs::write(&file, format!("protocol = \"stream\"\n{content}")).expect("a file");
    done(&[&["run", "--target", &file.to_string_lossy()], options].concat()).await
}

/// All that ran has passed, and enough of it.
fn is_good(done: &Done) {
    let result = done.json();
    let all = verdicts(&result);
    let bad: Vec<_> = all.iter().filter(|(_, verdict)| !matches!(*verdict, "pass" | "untestable")).collect();
    assert!(bad.is_empty(), "{bad:?} {}", done.said);
    let passed = |name: &str| all.iter().filter(|(id, v)| id.starts_with(name) && *v == "pass").count();
    for area in ["stream/create/", "stream/http/http2-in-frames", "stream/http/malformed", "stream/sse/"] {
        assert!(passed(area) > 0, "nothing of {area} passed: {all:?}");
    }
    assert_eq!(done.code, Some(0), "{}", done.said);
}

/// The command that shows the failure of a run of a broken reference again.
async fn curl(dir: &Path, content: &str) -> String {
    let done = run(dir, content, &["--only", "STREAM-CREATE-1", "--json"]).await;
    assert_eq!(done.code, Some(1), "{} {}", done.out, done.said);
    let at = done.out.find("curl -i -X PUT").unwrap_or_else(|| panic!("{}", done.out));
    done.out[at..].lines().next().unwrap_or_default().to_owned()
}

const BROKEN: Option<&str> = Some("stream/create/answered-200");

#[tokio::test(flavor = "multi_thread")]
async fn a_target_is_tested_over_tls() {
    let dir = tempfile::tempdir().expect("a directory");
    let (port, certificate) = behind_tls(&["localhost"], None).await;
    fs::write(dir.path().join("ca.pem"), certificate).expect("a file");
    let content = format!("url = \"https://localhost:{port}/v1/stream/\"\n[tls]\nca = \"ca.pem\"\n");
    is_good(&run(dir.path(), &content, &[&SOME[..], &["--json"]].concat()).await);

    let (port, certificate) = behind_tls(&["127.0.0.1"], BROKEN).await;
    fs::write(dir.path().join("ca.pem"), certificate).expect("a file");
    let content = format!("url = \"https://127.0.0.1:{port}/v1/stream\"\n[tls]\nca = \"ca.pem\"\n");
    let curl = curl(dir.path(), &content).await;
    let ca = format!("--cacert {}", dir.path().join("ca.pem").display());
    assert!(curl.contains(&ca) && curl.contains(&format!(" https://127.0.0.1:{port}/v1/stream/")), "{curl}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_accepted_is_explained() {
    let dir = tempfile::tempdir().expect("a directory");
    let (port, certificate) = behind_tls(&["localhost"], None).await;
    fs::write(dir.path().join("own.pem"), certificate).expect("a file");
    fs::write(dir.path().join("other.pem"), authority(&["localhost"]).0).expect("a file");
    fs::write(dir.path().join("empty.pem"), "nothing").expect("a file");
    let plain = Origin::start("full", None).await;
    let plain = plain.address().rsplit(':').next().unwrap_or_default();
    let by_port = port.to_string();
    for (host, port, ca, code, told) in [
        ("localhost", &*by_port, Some("other.pem"), 3, "signed by none of the certificates in"),
        ("localhost", &by_port, None, 3, "as `ca = \"PATH\"` under [tls] in the target file"),
        ("127.0.0.1", &by_port, Some("own.pem"), 3, "is not for 127.0.0.1 but for localhost"),
        ("localhost", plain, Some("own.pem"), 3, "is it a target for http:// ?"),
        ("localhost", &by_port, Some("none.pem"), 2, "No such file"),
        ("localhost", &by_port, Some("empty.pem"), 2, "has no certificate in PEM"),
    ] {
        let tls = ca.map(|ca| format!("[tls]\nca = \"{ca}\"\n")).unwrap_or_default();
        let content = format!("url = \"https://{host}:{port}/v1/stream\"\n{tls}");
        let done = run(dir.path(), &content, &[]).await;
        let all = format!("{}{}", done.out, done.said);
        assert!(done.code == Some(code) && all.contains(told), "{host} {ca:?}: {:?} {all}", done.code);
    }
    let done = run(dir.path(), "url = \"http://localhost/\"\n[tls]\nca = \"own.pem\"\n", &[]).await;
    assert!(done.code == Some(2) && done.said.contains("[tls] is for https://"), "{}", done.said);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_is_tested_at_a_unix_socket() {
    let dir = tempfile::tempdir().expect("a directory");
    at_socket(Origin::start("full", None).await, &dir.path().join("good"));
    at_socket(Origin::start("full", BROKEN).await, &dir.path().join("broken"));
    let content = |name: &str| format!("url = \"http://streams/v1/stream\"\nsocket = \"{name}\"\n");
    is_good(&run(dir.path(), &content("good"), &[&SOME[..], &["--json"]].concat()).await);

    let curl = curl(dir.path(), &content("broken")).await;
    let socket = format!("--unix-socket {}", dir.path().join("broken").display());
    assert!(curl.contains(&socket) && curl.contains(" http://streams/v1/stream/"), "{curl}");

    let done = run(dir.path(), &content("none"), &[]).await;
    assert!(done.code == Some(3) && done.out.contains("cannot connect to the unix socket"), "{}", done.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_is_tested_over_ipv6() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut contents = Vec::new();
    for defect in [None, BROKEN] {
        let origin = Origin::start("full", defect).await;
        let port = listen("::1", move |stream| {
            let origin = origin.clone();
            async move { origin.pass(stream).await }
        })
        .await;
        contents.push(format!("url = \"http://[::1]:{port}/v1/stream\"\n"));
    }
    is_good(&run(dir.path(), &contents[0], &[&SOME[..], &["--json"]].concat()).await);
    let curl = curl(dir.path(), &contents[1]).await;
    assert!(curl.contains(" --globoff 'http://[::1]:"), "{curl}");
}

#[test]
fn a_url_that_is_no_root_is_refused_and_shows_no_secret() {
    for (url, told) in [
        ("http://user:hunter22@host/", "credentials do not belong into the URL"),
        ("http://user:hunter22 and more@host/", "credentials do not belong into the URL"),
        ("http://host/v1/stream?token=hunter22", "followed by a query"),
        ("http://host/v1/stream#hunter22", "followed by a fragment"),
        ("http://host:66000/", "66000 is no port"),
        ("http://host:port/", "port is no port"),
        ("ftp://host/", "does not begin with http:// or https://"),
    ] {
        let Err(why) = wireproof::target::Target::server(url) else { panic!("{url} is no root") };
        assert!(why.contains(told) && !why.contains("hunter22"), "{url}: {why}");
    }
    for (url, shown) in [
        ("http://[::1]:4437/v1/stream/", "http://[::1]:4437/v1/stream"),
        ("https://host", "https://host"),
        ("ws://host:80/a//", "http://host:80/a"),
    ] {
        let target = wireproof::target::Target::server(url).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(target.shown, shown);
    }
}
