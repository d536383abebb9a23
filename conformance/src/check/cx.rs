//! What a check has in its hands: peers of any kind and number, claims, names of its own, hooks.

use super::{Alternative, Check, Hook, Outcome, Shown, Stop};
use crate::{
    event::{Expected, Log, What},
    protocol::Protocol,
    redact,
    target::{Fault, Features, Target},
    wire::{
        Link, Seen,
        app::App,
        http, http2,
        limit::{self, words},
        listen::{Listener, Port},
        program::{self, Begun, Ended, Signal},
        raw,
        sink::Sink,
        sse,
        sweep::Made,
        ws,
    },
};
use sha2::{Digest, Sha256};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::timeout;
use wireproof_spec::{
    http::{Request, Response},
    requirement::{Level, RequirementId},
};

/// What is expected of a target behind a hook.
pub(crate) const THERE_AGAIN: &str = "the target to start again on what it kept";

/// The hands of one check.
pub struct Cx {
    pub(crate) check: &'static Check,
    pub(crate) protocol: &'static Protocol,
    pub(crate) target: Arc<Target>,
    pub(crate) features: Arc<Features>,
    pub(crate) link: Link,
    pub(crate) log: Log,
    pub(crate) seed: u64,
    pub(crate) run: u64,
    pub(crate) names: AtomicU64,
    pub(crate) made: Made,
    pub(crate) kept: tokio::sync::Mutex<http::Peer>,
}

impl Cx {
    /// Claims that an observation meets one of these alternatives, and hands out what was seen.
    ///
    /// # Errors
    /// Stops the check if a MUST is broken, or if there is nothing to hand out.
    pub fn expect<'a, T: Shown>(
        &self,
        requirement: RequirementId,
        seen: &'a Seen<T>,
        alternatives: &[Alternative<T>],
    ) -> Outcome<&'a T> {
        if !self.check.requirements.contains(&requirement) {
            return Err(self
                .link
                .harness(&format!("{} claims {requirement} and does not name it", self.check.name)));
        }
        let expected = listed(alternatives);
        let on = seen.on().to_vec();
        let requirement = requirement.as_str().to_owned();
        match seen.look() {
            Ok(what) => match alternatives.iter().find(|a| a.holds(what)) {
                Some(hit) => {
                    let alternative = hit.expected().name.clone();
                    self.log.record(What::Met { requirement, alternative, expected, on });
                    Ok(what)
                }
                None => {
                    let must = self.protocol.level(&requirement) == Some(Level::Must);
                    self.log.record(What::Broken { requirement, expected, actual: what.shown(), on });
                    if must { Err(Stop::new()) } else { Ok(what) }
                }
            },
            Err(lost) => {
                self.log.record(What::Broken { requirement, expected, actual: lost.to_string(), on });
                Err(Stop::new())
            }
        }
    }

    /// Needs that set-up worked: that an observation meets one of these alternatives, for this requirement to be kept.
    ///
    /// # Errors
    /// Stops the check, inconclusive, naming the requirement.
    pub fn need<'a, T: Shown>(
        &self,
        requirement: RequirementId,
        seen: &'a Seen<T>,
        alternatives: &[Alternative<T>],
    ) -> Outcome<&'a T> {
        let actual = match seen.look() {
            Ok(what) if alternatives.iter().any(|a| a.holds(what)) => return Ok(what),
            Ok(what) => what.shown(),
            Err(lost) => lost.to_string(),
        };
        let on = seen.on().to_vec();
        let requirement = requirement.as_str().to_owned();
        self.log.record(What::SetUp { requirement, expected: listed(alternatives), actual, on });
        Err(Stop::new())
    }

    /// Stops the check for a reason that blames nobody.
    pub fn stop(&self, why: &str) -> Stop {
        self.link.stop(why)
    }

    /// For a target that was started for this check, and with which nobody else speaks.
    pub(crate) fn alone(&mut self) {
        self.link = self.link.clone().alone(true);
        self.kept = tokio::sync::Mutex::new(http::Peer::new(self.link.clone()));
    }

    /// Another HTTP client.
    pub fn http(&self) -> http::Peer {
        http::Peer::new(self.link.clone())
    }

    /// An HTTP client that has none of the headers which the owner of the target gave us, its credentials among them.
    pub fn stranger(&self) -> http::Peer {
        http::Peer::new(self.link.without_headers())
    }

    /// An HTTP client that has the headers of the second identity, in place of the first one's.
    pub fn second(&self) -> http::Peer {
        http::Peer::new(self.link.with_second_headers())
    }

    /// An HTTP client that has other values in the headers which the owner of the target gave us: credentials that nobody
    /// was given.
    pub fn impostor(&self) -> http::Peer {
        http::Peer::new(self.link.with_wrong_headers())
    }

    /// Sends one request over HTTP/2, its body in frames of this size and without a length.
    ///
    /// # Errors
    /// As [`http::Peer::send`].
    pub async fn http2(&self, request: Request, size: usize) -> Outcome<Seen<Response>> {
        http2::send(&self.link, &request, size).await
    }

    /// Sends one request over HTTP/2 in pieces of these sizes, from the first byte of its connection on, the last of them as
    /// often as it takes. Each leaves when `between` has ended once more.
    ///
    /// # Errors
    /// As [`http::Peer::send`], and as `between`.
    pub async fn http2_in_pieces<F: Future<Output = Outcome>>(
        &self,
        request: Request,
        sizes: &[usize],
        between: impl Fn() -> F,
    ) -> Outcome<Seen<Response>> {
        http2::send_in_pieces(&self.link, &request, sizes, between).await
    }

    /// Sends one request: on the connection that this check keeps for that, or on another if it is in use.
    ///
    /// # Errors
    /// As [`http::Peer::send`].
    pub async fn send(&self, request: Request) -> Outcome<Seen<Response>> {
        match self.kept.try_lock() {
            Ok(mut peer) => peer.send(request).await,
            Err(_) => self.http().send(request).await,
        }
    }

    /// Sends one request that was broken on purpose, as [`Cx::send`] does.
    pub(crate) async fn send_broken(&self, request: Request) -> Outcome<Seen<Response>> {
        match self.kept.try_lock() {
            Ok(mut peer) => peer.send_broken(request).await,
            Err(_) => self.http().send_broken(request).await,
        }
    }

    /// Sends one request from a client of its own and returns when it has left; its answer may take `wait`.
    ///
    /// # Errors
    /// As [`http::Peer::begin`].
    pub async fn begin(&self, request: Request, wait: Duration) -> Outcome<http::Pending> {
        self.http().patient(wait).begin(request).await
    }

    /// Asks for an event stream, on a connection of its own, and returns when the request has left.
    ///
    /// # Errors
    /// Stops the check if the target cannot be reached.
    pub async fn sse(&self, request: Request) -> Outcome<sse::Reader> {
        sse::Reader::open(&self.link, request).await
    }

    /// As [`Cx::sse`], with little room for what came and was not read: a target soon feels that nobody reads.
    ///
    /// # Errors
    /// As [`Cx::sse`].
    pub async fn sse_narrow(&self, request: Request) -> Outcome<sse::Reader> {
        sse::Reader::open_narrow(&self.link, request).await
    }

    /// As [`Cx::sse`], without the headers which the owner of the target gave us, its credentials among them.
    ///
    /// # Errors
    /// As [`Cx::sse`].
    pub async fn sse_stranger(&self, request: Request) -> Outcome<sse::Reader> {
        sse::Reader::open(&self.link.without_headers(), request).await
    }

    /// Another TCP connection, for bytes that no library would send.
    ///
    /// # Errors
    /// Stops the check if there is no connection.
    pub async fn raw(&self) -> Outcome<raw::Peer> {
        raw::Peer::open(&self.link).await
    }

    /// Another WebSocket, dialled at this path below the root.
    ///
    /// # Errors
    /// Stops the check if the handshake fails.
    pub async fn ws(&self, path: &str, protocols: &[&str]) -> Outcome<ws::Peer> {
        ws::Peer::dial(&self.link, path, protocols).await
    }

    /// Asks for a WebSocket by this GET, which gets what the handshake takes: what was answered, and the peer if that was 101.
    /// The `Authorization` of the target is left out: a protocol over WebSocket has another place for it.
    ///
    /// # Errors
    /// Stops the check if the target cannot be reached or stays overloaded.
    pub async fn upgrade(&self, request: Request) -> Outcome<(Seen<Response>, Option<ws::Peer>)> {
        ws::upgrade(&self.link.without_header("authorization"), request, None).await
    }

    /// As [`Cx::upgrade`], with little room for what came and was not read: a target soon feels that nobody reads.
    ///
    /// # Errors
    /// As [`Cx::upgrade`].
    pub async fn upgrade_narrow(&self, request: Request) -> Outcome<(Seen<Response>, Option<ws::Peer>)> {
        ws::upgrade(&self.link.without_header("authorization"), request, Some(limit::NARROW)).await
    }

    /// The key in the `Authorization` that the owner of the target gave us, without its scheme; empty if there is none.
    pub fn key(&self) -> &str {
        self.keys()[0]
    }

    /// The same of the first identity and of the second.
    pub fn keys(&self) -> [&str; 2] {
        [&self.link.reach.headers, &self.link.reach.second].map(|headers| {
            let found = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
            redact::token(found.map_or("", |(_, value)| value.as_str()))
        })
    }

    /// The keys that the owner of the target gave us for `Sec-WebSocket-Protocol`: that of the first identity and that of the
    /// second. Empty ones were not given.
    pub fn tickets(&self) -> &[String; 2] {
        &self.link.reach.tickets
    }

    /// A place at which the client under test can find us.
    ///
    /// # Errors
    /// Stops the check if there is no port.
    pub fn listen(&self) -> Outcome<Listener> {
        Port::take(&self.link)?.listen()
    }

    /// A port that refuses the client under test, until somebody listens at it.
    ///
    /// # Errors
    /// Stops the check if there is none.
    pub fn port(&self) -> Outcome<Port> {
        Port::take(&self.link)
    }

    /// A place to which the target can send HTTP requests, each answered with the status that this finds for it; the number says
    /// how many came before for its path.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if the target cannot reach us.
    pub async fn sink(
        &self,
        answers: impl Fn(&Request, usize) -> u16 + Send + Sync + 'static,
    ) -> Outcome<Sink> {
        Sink::open(&self.link, answers).await
    }

    /// The client under test: another session, in the process that serves all checks.
    ///
    /// # Errors
    /// Stops the check if it does not start.
    pub async fn app(&self) -> Outcome<App> {
        match self.target.adapter() {
            Some(adapter) => adapter.session(&self.link).await,
            None => Err(self.no_client()),
        }
    }

    /// The client under test in a process of its own, which ends with the session.
    ///
    /// # Errors
    /// Stops the check if it does not start.
    pub async fn app_alone(&self) -> Outcome<App> {
        match self.target.adapter() {
            Some(adapter) => adapter.alone(&self.link).await,
            None => Err(self.no_client()),
        }
    }

    /// Whether a client is under test.
    pub fn is_client(&self) -> bool {
        self.target.adapter().is_some()
    }

    fn no_client(&self) -> Stop {
        self.link.harness("a check of a client runs against a server")
    }

    /// A name that nothing else in this target has, nor in any other run: for what the check makes.
    pub fn name(&self) -> String {
        format!("wp-{}", self.digits(&format!("{}/{}", self.run, self.seed), 12))
    }

    /// So many characters that cannot be guessed, different at each call, equal in each run of one seed.
    pub fn token(&self, length: usize) -> String {
        self.digits(&self.seed.to_string(), length)
    }

    fn digits(&self, of: &str, length: usize) -> String {
        let n = self.names.fetch_add(1, Ordering::Relaxed);
        let digest = Sha256::digest(format!("{of}/{}/{n}", self.check.name));
        let mut text = crate::event::hex(&digest);
        text.truncate(length);
        text
    }

    /// The path of something below the protocol's root.
    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.link.reach.root)
    }

    /// The origin of the target: `http://host:port`, or with `https`.
    pub fn origin(&self) -> String {
        format!("{}://{}", self.link.reach.scheme(), self.link.reach.authority)
    }

    /// What is known of the target.
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// How long an answer may take that has no reason to wait.
    pub fn answer_time(&self) -> Duration {
        self.link.times.answer
    }

    /// What a wait for a declared limit may take on top of the limit.
    pub fn slack(&self) -> Duration {
        self.link.times.slack
    }

    /// Has this request sent when the check is over, so that nothing of it stays behind.
    pub fn clean_up(&self, request: Request) {
        self.made.add(request);
    }

    /// Acts on the process of the target.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if the hook fails; and failed, if the target is to blame for it: it does not start on what
    /// it kept.
    pub async fn hook(&self, hook: Hook) -> Outcome {
        let started = std::time::Instant::now();
        let mut before = self.link.idle().await;
        let result = timeout(self.target.hook_time(self.link.times), self.target.hook(hook)).await;
        let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        match result {
            Ok(Ok(())) if before.is_open().await => Err(self.link.stop(&format!(
                "the hook {} restarted nothing: a connection from before it is still open",
                hook.name()
            ))),
            Ok(Ok(())) => {
                self.log.record(What::Hook { name: hook.name().into(), ms });
                Ok(())
            }
            Ok(Err(Fault::Failed(why))) => {
                Err(self.link.stop(&format!("the hook {} failed: {why}", hook.name())))
            }
            Ok(Err(Fault::Refuses(why))) => Err(self.not_there_again(hook, &why)),
            Err(_) => Err(self.link.stop(&format!("the hook {} took longer than {ms} ms", hook.name()))),
        }
    }

    /// Asks the target, a program, to end, looks at how it does, and starts it again. In what it printed these texts are looked for.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if it cannot be done.
    pub async fn end(&self, signal: Signal, within: Duration, texts: &[&str]) -> Outcome<Seen<Ended>> {
        program::end(&self.link, &self.target, signal, within, texts).await
    }

    /// Starts the target, a program, with these variables in its environment, or without them, in place of the one that runs.
    /// The next hook starts it as before. In what one prints that ends instead these texts are looked for.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if it cannot be done.
    pub async fn start_with(
        &self,
        variables: &[(&str, Option<&str>)],
        texts: &[&str],
    ) -> Outcome<Seen<Begun>> {
        program::start(&self.link, &self.target, variables, texts).await
    }

    /// The target ended in this check and does not start on what it kept: whatever this check claims of what is there again is
    /// not kept.
    fn not_there_again(&self, hook: Hook, why: &str) -> Stop {
        let name = hook.name();
        let how = format!("the hook {name} ended the target, and it does not start on what it kept");
        let ended = self.log.record(What::Closed { conn: self.link.number(), how, code: None });
        let is_must = |id: &&RequirementId| self.protocol.level(id.as_str()) == Some(Level::Must);
        let claimed = self.check.requirements.iter().find(is_must).or(self.check.requirements.first());
        if let Some(requirement) = claimed {
            self.log.record(What::Broken {
                requirement: requirement.to_string(),
                expected: vec![Expected { name: THERE_AGAIN.into(), answer: None }],
                actual: words(&format!(
                    "it does not start on its own data, twice, and does on an empty directory: {why}"
                )),
                on: vec![ended],
            });
        }
        Stop::new()
    }

    /// Has the target act on the protocol, in the way that its owner supplied: with these values, by the names that the
    /// protocol gives them, and this content.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if it cannot be done.
    pub async fn stimulus(&self, name: &str, given: &[(&str, &str)], content: &[u8]) -> Outcome {
        let started = std::time::Instant::now();
        let act = timeout(self.link.times.hook, self.target.stimulate(name, given, content)).await;
        let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        match act {
            Ok(Ok(())) => {
                let given = given.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
                self.log.record(What::Stimulus { name: name.into(), given, ms });
                Ok(())
            }
            Ok(Err(why)) => Err(self.stop(&format!("the stimulus {name} failed: {why}"))),
            Err(_) => Err(self.stop(&format!("the stimulus {name} took longer than {ms} ms"))),
        }
    }
}

fn listed<T>(alternatives: &[Alternative<T>]) -> Vec<Expected> {
    alternatives.iter().map(|a| a.expected().clone()).collect()
}
