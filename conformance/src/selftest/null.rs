//! Targets that do nothing useful. No check may pass against one.

mod client;
mod socket;

use super::{NULL_TIMEOUT, Nulls, settings};
use crate::{
    event::{ExpectedAnswer, What},
    protocol::{Protocol, Talk},
    run::{Finished, Settings, run},
    target::Target,
    verdict::Verdict,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    io,
    sync::Arc,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use wireproof_spec::{
    http::{Body, Fields, Request, Response},
    requirement::Role,
};

/// How many null targets run at the same time.
const AT_ONCE: usize = 8;

/// What a null target does with a connection.
#[derive(Clone)]
enum Manner {
    /// Accepts and says nothing.
    Silent,
    /// Closes at once.
    Closing,
    /// Bytes that are no message.
    Garbage,
    /// A body without end.
    Endless,
    /// This answer to every request.
    Same(Response),
    /// The body of the request.
    Echo,
    /// The minimal success of each operation.
    Agreeable(fn(&Request) -> Response),
    /// The same, and WebSockets on which this is said.
    Sockets(fn(&Request) -> Response, Talk),
}

/// A null server, or a null client.
enum Trial {
    Server(Manner),
    Client(Target),
}

/// A null target that runs until it is dropped.
struct Null {
    target: Target,
    task: JoinHandle<()>,
}

impl Drop for Null {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What came of null targets.
pub(super) struct Driven {
    /// Which checks passed against which.
    pub(super) passed: Vec<String>,
    /// How many there were of both.
    pub(super) score: Nulls,
}

impl Driven {
    /// Both together.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.passed.extend(other.passed);
        self.passed.sort();
        let score = Nulls {
            targets: self.score.targets + other.score.targets,
            driven: self.score.driven + other.score.driven,
        };
        Self { passed: self.passed, score }
    }
}

/// The name of a null target, what it is, and the checks to drive against it; none for all.
type Planned = (String, Trial, Option<BTreeSet<&'static str>>);

/// Drives every check, or those of these names, against every null target that needs to know nothing of the checks.
pub(super) async fn passes(
    protocol: &'static Protocol,
    chosen: Option<BTreeSet<&'static str>>,
) -> Result<Driven, String> {
    let mut manners = vec![
        ("null/silent", Manner::Silent),
        ("null/closing", Manner::Closing),
        ("null/garbage", Manner::Garbage),
        ("null/endless", Manner::Endless),
        ("null/empty-200", Manner::Same(Response::new(200))),
        ("null/404", Manner::Same(Response::new(404))),
        ("null/500", Manner::Same(Response::new(500))),
        ("null/echo", Manner::Echo),
        (
            "null/never-upgrading",
            Manner::Same(Response::new(400).header("content-type", "text/plain").body("no upgrade")),
        ),
    ];
    if let Some(agreeable) = protocol.trial.agreeable {
        manners.push(("null/agreeable", Manner::Agreeable(agreeable)));
        if let Some(talk) = protocol.trial.socket {
            let socket = |talk| Manner::Sockets(agreeable, talk);
            manners.push(("null/agreeable-socket", socket(talk)));
            manners.push(("null/greeting-socket", socket(Talk { reply: Talk::SILENT.reply, ..talk })));
            manners.push(("null/silent-socket", socket(Talk::SILENT)));
            manners.push(("null/echo-socket", socket(Talk { reply: |frame| Some(frame.clone()), ..talk })));
        }
    }
    let mut trials: Vec<Planned> = manners
        .into_iter()
        .map(|(name, manner)| (name.to_owned(), Trial::Server(manner), chosen.clone()))
        .collect();
    if protocol.checks().any(|check| protocol.role(check) == Role::Client) {
        trials.extend(
            client::all(protocol.operations)
                .into_iter()
                .map(|(name, target)| (name, Trial::Client(target), chosen.clone())),
        );
    }
    let kinds = trials.len();
    all(protocol, trials, kinds).await
}

/// Drives each check against those that refuse with what it takes for an answer. They are one kind, built anew for each check and
/// alternative.
pub(super) async fn refusers<'a>(
    protocol: &'static Protocol,
    honest: impl Iterator<Item = &'a Finished>,
) -> Result<Driven, String> {
    let mut trials = Vec::new();
    for (check, answers) in refusals(honest) {
        for (index, answer) in answers.into_iter().enumerate() {
            let name = format!("null/refuser-{index}");
            trials.push((name, Trial::Server(Manner::Same(refusal(&answer))), Some(BTreeSet::from([check]))));
        }
    }
    all(protocol, trials, 1).await
}

async fn all(protocol: &'static Protocol, trials: Vec<Planned>, kinds: usize) -> Result<Driven, String> {
    let results: Vec<Result<(Vec<String>, usize), String>> = stream::iter(trials)
        .map(|(name, manner, names)| {
            super::apart(async move {
                let finished = match manner {
                    Trial::Server(manner) => drive(protocol, manner, names).await?,
                    Trial::Client(target) => {
                        run(protocol, target, Settings { names, jobs: 64, ..settings(NULL_TIMEOUT) }, |_| {})
                            .await?
                    }
                };
                let driven = finished.checks.iter().filter(|c| c.verdict.ran()).count();
                let wrong = |verdict| matches!(verdict, Verdict::Pass | Verdict::Error);
                let passed = finished.checks.iter().filter(|c| wrong(c.verdict));
                let passed =
                    passed.map(|c| format!("{name}: {} ends in {}", c.check.name, c.verdict)).collect();
                Ok((passed, driven))
            })
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let (mut passed, mut driven) = (Vec::new(), 0);
    for result in results {
        let (more, count) = result?;
        passed.extend(more);
        driven += count;
    }
    Ok(Driven { passed, score: Nulls { targets: kinds, driven } })
}

/// The alternatives about answers that each check claimed in honest runs.
fn refusals<'a>(honest: impl Iterator<Item = &'a Finished>) -> BTreeMap<&'static str, Vec<ExpectedAnswer>> {
    let mut all: BTreeMap<&'static str, Vec<ExpectedAnswer>> = BTreeMap::new();
    for checked in honest.flat_map(|f| &f.checks) {
        let mine = all.entry(checked.check.name).or_default();
        for event in &checked.events {
            let What::Met { expected, .. } = &event.what else { continue };
            for answer in expected.iter().filter_map(|e| e.answer.as_ref()) {
                // Values differ from run to run and variant to variant; what is refused does not.
                let plain = ExpectedAnswer { headers: answer.headers.clone(), ..*answer };
                if !mine.iter().any(|m| m.status == plain.status && m.headers.keys().eq(plain.headers.keys()))
                {
                    mine.push(plain);
                }
            }
        }
    }
    all
}

fn refusal(answer: &ExpectedAnswer) -> Response {
    let headers = answer
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), value.clone().unwrap_or_else(|| "1".into())));
    Response { status: answer.status, headers: Fields(headers.collect()), body: Body::default() }
}

async fn drive(
    protocol: &'static Protocol,
    manner: Manner,
    names: Option<BTreeSet<&'static str>>,
) -> Result<Finished, String> {
    let null = start(manner).await.map_err(|e| format!("a null target did not start: {e}"))?;
    // It promises everything, so that no check is spared.
    let mut target = null.target.clone().hooks(Arc::new(Willing));
    for feature in protocol.features {
        target = target.declare(feature.name, "on");
    }
    for limit in protocol.limits {
        target = target.declare(limit.name, NULL_TIMEOUT.as_millis().to_string());
    }
    run(protocol, target, Settings { names, jobs: 64, ..settings(NULL_TIMEOUT) }, |_| {}).await
}

/// Hooks that do nothing.
struct Willing;

impl crate::target::Hooks for Willing {
    fn offers(&self, _: crate::check::Hook) -> bool {
        true
    }

    fn act(&self, _: crate::check::Hook) -> crate::check::BoxFuture<'_, Result<(), crate::target::Fault>> {
        Box::pin(async { Ok(()) })
    }
}

async fn start(manner: Manner) -> io::Result<Null> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}/root", listener.local_addr()?);
    let task = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            connections.spawn(serve(stream, manner.clone()));
        }
    });
    let target = Target::server(&url).map_err(io::Error::other)?;
    Ok(Null { target, task })
}

async fn serve(mut stream: TcpStream, manner: Manner) {
    let result = match manner {
        Manner::Closing => Ok(()),
        Manner::Silent => drain(&mut stream).await,
        Manner::Garbage => say(&mut stream, &[0x00, 0xff, 0x13, 0x37].repeat(64), false).await,
        Manner::Endless => {
            say(&mut stream, b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n", true).await
        }
        Manner::Same(response) => answer(stream, move |_| response.clone(), None).await,
        Manner::Echo => answer(stream, |request| Response::new(200).body(request.body.0.clone()), None).await,
        Manner::Agreeable(agree) => answer(stream, agree, None).await,
        Manner::Sockets(agree, talk) => answer(stream, agree, Some(talk)).await,
    };
    // A client that goes away is what every null target sees in the end.
    drop(result);
}

async fn drain(stream: &mut TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// Says this as soon as the client has said something; without end, if so.
async fn say(stream: &mut TcpStream, bytes: &[u8], forever: bool) -> io::Result<()> {
    let heard = stream.read(&mut [0; 4096]).await?;
    if heard > 0 {
        stream.write_all(bytes).await?;
    }
    if forever {
        loop {
            stream.write_all(&[b'x'; 4096]).await?;
        }
    }
    Ok(())
}

async fn answer(
    stream: TcpStream,
    how: impl Fn(&Request) -> Response + Send + Sync + 'static,
    talk: Option<Talk>,
) -> io::Result<()> {
    /// The longest body that a null target reads, in bytes.
    const MOST: usize = 1024 * 1024;
    let how = Arc::new(how);
    let service = service_fn(move |mut incoming: hyper::Request<Incoming>| {
        let how = how.clone();
        async move {
            let shaken = talk.and_then(|talk| socket::upgraded(&mut incoming, talk));
            let (head, body) = incoming.into_parts();
            let mut request = Request::new(head.method.as_str(), "");
            request.set_target(&head.uri.to_string());
            for (name, value) in &head.headers {
                request.headers.push(name.as_str(), String::from_utf8_lossy(value.as_bytes()));
            }
            request.body =
                Body(Limited::new(body, MOST).collect().await.map(|b| b.to_bytes()).unwrap_or_default());
            let response = shaken.unwrap_or_else(|| how(&request));
            let mut built = hyper::Response::builder().status(response.status);
            for (name, value) in &response.headers.0 {
                built = built.header(name, value);
            }
            let body = Full::new(response.body.0);
            Ok::<_, Infallible>(
                built.body(body).unwrap_or_else(|_| hyper::Response::new(Full::new(Bytes::new()))),
            )
        }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    connection.with_upgrades().await.map_err(io::Error::other)
}
