//! What is tested: where it is, what it has, what acts on its process.

pub mod baseline;
pub mod client;
pub(crate) mod command;
pub mod directory;
pub mod file;
pub mod launch;

use crate::{
    check::{BoxFuture, Hook},
    event::Source,
    protocol::Protocol,
    wire::{
        Reach,
        app::{Adapter, Apps},
        dial::Way,
        distance::Distance,
        limit::Times,
        program::{Begun, Ended, Signal},
    },
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{collections::BTreeMap, ops::RangeInclusive, path::PathBuf, sync::Arc, time::Duration};
use wireproof_spec::requirement::Role;

/// The header of handshakes in which some protocols have a key.
const TICKET: &str = "sec-websocket-protocol";

/// A server or a client under test.
#[derive(Clone)]
pub struct Target {
    /// Its URL or command, as shown.
    pub shown: String,
    /// Name and version, where the owner gave them.
    pub implementation: Option<(String, String)>,
    /// Features and limits that the owner declares: name and value.
    pub declared: BTreeMap<String, String>,
    /// Texts that may not stand in any report.
    pub secrets: Vec<String>,
    /// The way to it, as far as the URL does not say it.
    pub via: Via,
    pub(crate) kind: Kind,
    pub(crate) hooks: Option<Arc<dyn Hooks>>,
    pub(crate) stimuli: Option<Arc<dyn Stimuli>>,
}

#[derive(Clone)]
pub(crate) enum Kind {
    Server(Arc<Reach>),
    Client(Arc<Adapter>),
}

/// The way to a target, as far as its URL does not say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Via {
    /// A unix socket at which it listens; host and port of the URL are then only names.
    pub socket: Option<PathBuf>,
    /// How TLS is spoken.
    pub tls: Tls,
}

/// How TLS is spoken with a target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// A file with the certificates, in PEM, of the authorities that may vouch for the target; otherwise those of the system.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

/// As whom a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// With `[headers]`: who sends nearly everything.
    First,
    /// With `[second]`: somebody else whom the target knows.
    Second,
}

/// Acts on the process of a target.
pub trait Hooks: Send + Sync {
    /// Whether this can be done.
    fn offers(&self, hook: Hook) -> bool;
    /// Does it, and returns when the target can be used again.
    fn act(&self, hook: Hook) -> BoxFuture<'_, Result<(), Fault>>;
    /// How long that may take at most, if that is known.
    fn longest(&self) -> Duration {
        Duration::ZERO
    }
    /// Whether a check of the lanes `alone` and `last` gets a process of its own by a restart.
    fn is_launched(&self) -> bool {
        false
    }
    /// Whether it is a program that we start, so that it can be ended and started otherwise.
    fn is_program(&self) -> bool {
        false
    }
    /// Asks it to end within this time, and starts it again. What it printed is searched for these texts.
    fn end<'a>(
        &'a self,
        _signal: Signal,
        _within: Duration,
        _texts: &'a [&'a str],
    ) -> BoxFuture<'a, Result<Ended, Fault>> {
        Box::pin(async { Err(no_program()) })
    }
    /// Ends it, and starts it with these variables in its environment, or without them; the next hook starts it as before. What one
    /// printed that did not begin is searched for these texts.
    fn start_with<'a>(
        &'a self,
        _variables: &'a [(&'a str, Option<&'a str>)],
        _texts: &'a [&'a str],
    ) -> BoxFuture<'a, Result<Begun, Fault>> {
        Box::pin(async { Err(no_program()) })
    }
}

fn no_program() -> Fault {
    Fault::Failed("the target is no program that is started here".into())
}

/// Why a target is not there again, with what it kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It could not be done. Nobody is to blame that we could name.
    Failed(String),
    /// The target does not start on what it kept, and does where nothing is kept. There it can be used now.
    Refuses(String),
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Fault::Failed(why)
    }
}

/// Has a target act on the protocol: publish, enqueue.
pub trait Stimuli: Send + Sync {
    /// Whether there is one of this name.
    fn offers(&self, name: &str) -> bool;
    /// Uses it, with these values and this content, and returns when it is done.
    fn act<'a>(
        &'a self,
        name: &'a str,
        given: &'a [(&'a str, &'a str)],
        content: &'a [u8],
    ) -> BoxFuture<'a, Result<(), String>>;
}

impl Target {
    /// A server at this URL: the protocol's root.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the URL.
    pub fn server(url: &str) -> Result<Self, String> {
        let reach = reach(url)?;
        Ok(Self {
            shown: reach.url(),
            implementation: None,
            declared: BTreeMap::new(),
            secrets: Vec::new(),
            via: Via::default(),
            kind: Kind::Server(Arc::new(reach)),
            hooks: None,
            stimuli: None,
        })
    }

    /// A client whose adapter is started this way.
    pub fn client(shown: &str, apps: Arc<dyn Apps>) -> Self {
        Self {
            shown: shown.into(),
            implementation: None,
            declared: BTreeMap::new(),
            secrets: Vec::new(),
            via: Via::default(),
            kind: Kind::Client(Arc::new(Adapter::new(apps))),
            hooks: None,
            stimuli: None,
        }
    }

    /// Reached this way.
    ///
    /// # Errors
    /// A sentence that says what cannot be.
    pub fn via(mut self, via: Via) -> Result<Self, String> {
        if let Kind::Server(reach) = &mut self.kind {
            let reach = Arc::make_mut(reach);
            if let Some(ca) = &via.tls.ca {
                if !reach.way.is_secure() {
                    let shown = &self.shown;
                    return Err(format!(
                        "[tls] is for https://, and the URL is {shown}; leave out one of them"
                    ));
                }
                reach.way = reach.way.clone().ca(ca.clone());
            }
            if let Some(socket) = &via.socket {
                reach.way = reach.way.clone().socket(socket.clone());
            }
        }
        self.via = via;
        Ok(self)
    }

    /// As if it were that far away.
    #[must_use]
    pub fn distance(mut self, distance: Distance) -> Self {
        if let Kind::Server(reach) = &mut self.kind {
            let reach = Arc::make_mut(reach);
            reach.way = reach.way.clone().distance(distance);
        }
        self
    }

    /// With this feature or limit declared.
    #[must_use]
    pub fn declare(mut self, name: &str, value: impl Into<String>) -> Self {
        self.declared.insert(name.into(), value.into());
        self
    }

    /// With these hooks on its process.
    #[must_use]
    pub fn hooks(mut self, hooks: Arc<dyn Hooks>) -> Self {
        self.hooks = Some(hooks);
        self
    }

    /// With these ways to have it act.
    #[must_use]
    pub fn stimuli(mut self, stimuli: Arc<dyn Stimuli>) -> Self {
        self.stimuli = Some(stimuli);
        self
    }

    /// With a header that goes with every request of this identity and whose value is a secret; a `Sec-WebSocket-Protocol` goes
    /// with handshakes alone.
    #[must_use]
    pub fn header(mut self, who: Identity, name: &str, value: &str) -> Self {
        if let Kind::Server(reach) = &mut self.kind {
            let reach = Arc::make_mut(reach);
            let [first, second] = &mut reach.tickets;
            let (headers, ticket) = match who {
                Identity::First => (&mut reach.headers, first),
                Identity::Second => (&mut reach.second, second),
            };
            if name.eq_ignore_ascii_case(TICKET) {
                value.clone_into(ticket);
            } else {
                headers.push((name.to_ascii_lowercase(), value.into()));
            }
        }
        if crate::redact::is_secret(name) {
            self.secrets.push(value.into());
        }
        self
    }

    /// What acts on its process, if anything does.
    pub fn process(&self) -> Option<Arc<dyn Hooks>> {
        self.hooks.clone()
    }

    pub(crate) fn reach(&self) -> Arc<Reach> {
        match &self.kind {
            Kind::Server(reach) => reach.clone(),
            Kind::Client(_) => Arc::new(Reach {
                authority: String::new(),
                way: Way::tcp("", 0, false),
                root: String::new(),
                headers: Vec::new(),
                second: Vec::new(),
                tickets: Default::default(),
            }),
        }
    }

    /// Whether it is a server or a client.
    pub fn role(&self) -> Role {
        match self.kind {
            Kind::Server(_) => Role::Server,
            Kind::Client(_) => Role::Client,
        }
    }

    /// The adapter, if it is a client.
    pub(crate) fn adapter(&self) -> Option<Arc<Adapter>> {
        match &self.kind {
            Kind::Client(adapter) => Some(adapter.clone()),
            Kind::Server(_) => None,
        }
    }

    pub(crate) fn offers(&self, hook: Hook) -> bool {
        self.hooks.as_ref().is_some_and(|h| h.offers(hook))
    }

    pub(crate) fn stimulates(&self, name: &str) -> bool {
        self.stimuli.as_ref().is_some_and(|stimuli| stimuli.offers(name))
    }

    pub(crate) async fn stimulate(
        &self,
        name: &str,
        given: &[(&str, &str)],
        content: &[u8],
    ) -> Result<(), String> {
        match &self.stimuli {
            Some(stimuli) => stimuli.act(name, given, content).await,
            None => Err("the target offers no stimuli".into()),
        }
    }

    /// How long a hook may take.
    pub(crate) fn hook_time(&self, times: Times) -> Duration {
        times.hook.max(self.hooks.as_ref().map_or(Duration::ZERO, |hooks| hooks.longest()))
    }

    pub(crate) fn is_program(&self) -> bool {
        self.hooks.as_ref().is_some_and(|hooks| hooks.is_program())
    }

    pub(crate) async fn end(&self, signal: Signal, within: Duration, texts: &[&str]) -> Result<Ended, Fault> {
        match &self.hooks {
            Some(hooks) => hooks.end(signal, within, texts).await,
            None => Err(no_program()),
        }
    }

    pub(crate) async fn start_with(
        &self,
        variables: &[(&str, Option<&str>)],
        texts: &[&str],
    ) -> Result<Begun, Fault> {
        match &self.hooks {
            Some(hooks) => hooks.start_with(variables, texts).await,
            None => Err(no_program()),
        }
    }

    pub(crate) async fn hook(&self, hook: Hook) -> Result<(), Fault> {
        match &self.hooks {
            Some(hooks) => hooks.act(hook).await,
            None => Err(Fault::Failed("the target offers no hooks".into())),
        }
    }
}

/// What a URL says. What is wrong with it is told without what may be a secret: what stands before an @, or behind a ?.
fn reach(url: &str) -> Result<Reach, String> {
    let example = "give the protocol's root as in http://127.0.0.1:4437/v1/stream";
    let (shown, rest) = url.split_at(url.find(['?', '#']).unwrap_or(url.len()));
    if shown.contains('@') {
        return Err(
            "credentials do not belong into the URL, where reports would show them; use --header".into()
        );
    }
    if let Some(sign) = rest.chars().next() {
        let what = if sign == '?' { "a query" } else { "a fragment" };
        return Err(format!("`{shown}` is followed by {what}, and a root has none; {example}"));
    }
    let uri: hyper::Uri = shown.parse().map_err(|e| format!("`{shown}` is no URL ({e}); {example}"))?;
    let secure = match uri.scheme_str() {
        Some("http" | "ws") => false,
        Some("https" | "wss") => true,
        _ => return Err(format!("`{shown}` does not begin with http:// or https://; {example}")),
    };
    let authority = uri.authority().ok_or_else(|| format!("`{shown}` has no host; {example}"))?;
    let host = authority.host();
    let port = match authority.as_str()[host.len()..].strip_prefix(':') {
        None | Some("") if secure => 443,
        None | Some("") => 80,
        Some(port) => port.parse().map_err(|_| format!("`{shown}`: {port} is no port; {example}"))?,
    };
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Ok(Reach {
        authority: authority.to_string(),
        way: Way::tcp(address, port, secure),
        root: uri.path().trim_end_matches('/').to_owned(),
        headers: Vec::new(),
        second: Vec::new(),
        tickets: Default::default(),
    })
}

/// What is known of a target.
#[derive(Clone, Debug, Default)]
pub struct Features {
    known: BTreeMap<String, (String, Source)>,
}

impl FromIterator<(String, String, Source)> for Features {
    fn from_iter<I: IntoIterator<Item = (String, String, Source)>>(all: I) -> Self {
        Self { known: all.into_iter().map(|(name, value, source)| (name, (value, source))).collect() }
    }
}

impl Features {
    /// From the declarations of the owner, then the answers of the target, then the defaults of the document.
    pub fn gather(protocol: &Protocol, target: &Target, probed: Vec<(&'static str, String)>) -> Self {
        let mut known: BTreeMap<String, (String, Source)> = protocol
            .features_of(target.role())
            .map(|f| (f.name.to_owned(), (f.default.to_owned(), Source::Default)))
            .collect();
        known.extend(probed.into_iter().map(|(name, value)| (name.to_owned(), (value, Source::Probed))));
        known.extend(target.declared.iter().map(|(n, v)| (n.clone(), (v.clone(), Source::Declared))));
        Self { known }
    }

    /// Whether a feature has this value; one that is not off is on, whatever its value.
    pub fn is(&self, name: &str, value: &str) -> bool {
        self.known.get(name).is_some_and(|(v, _)| v == value || value == "on" && v != "off")
    }

    /// A limit, if it is known.
    pub fn limit(&self, name: &str) -> Option<u64> {
        self.known.get(name).and_then(|(v, _)| v.parse().ok())
    }

    /// All of it: name, value, source.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, Source)> {
        self.known.iter().map(|(name, (value, source))| (name.as_str(), value.as_str(), *source))
    }
}

/// What a limit can be: nobody waits for longer than a month, and no body is longer than this in bytes.
pub const LIMITS: RangeInclusive<u64> = 1..=2_678_400_000;

/// Whether a declaration speaks of a feature or limit that the protocol has, and with a value that it can have.
///
/// # Errors
/// A sentence that lists what there is.
pub fn proper(protocol: &Protocol, name: &str, value: &str) -> Result<(), String> {
    if protocol.limits.iter().any(|l| l.name == name) {
        return match value.parse::<u64>() {
            Ok(number) if LIMITS.contains(&number) => Ok(()),
            _ => Err(format!(
                "the limit {name} is a whole number from {} to {}, not `{value}`",
                LIMITS.start(),
                LIMITS.end()
            )),
        };
    }
    if let Some(feature) = protocol.features.iter().find(|f| f.name == name) {
        let is_switch = matches!(feature.default, "on" | "off") && !feature.valued;
        return match value {
            _ if is_switch && !matches!(value, "on" | "off") => {
                Err(format!("the feature {name} is on or off, not `{value}`"))
            }
            _ => Ok(()),
        };
    }
    let features = protocol.features.iter().map(|f| f.name);
    let all: Vec<&str> = features.chain(protocol.limits.iter().map(|l| l.name)).collect();
    Err(format!("{} has no feature or limit `{name}`; it has {}", protocol.name, all.join(", ")))
}
