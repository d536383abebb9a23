//! A protocol as a value: all that the runner knows of one. The binary passes its protocols, a test passes a dummy.

use crate::{
    check::{BoxFuture, Check, Cx, Need},
    event,
    run::schemas::Schemas,
    target::Target,
    wire::{
        Alive,
        app::{Hello, Operation},
        ws::Frame,
    },
};
use serde_json::Value;
use std::{collections::BTreeSet, sync::OnceLock};
use wireproof_spec::{
    http::{Request, Response},
    requirement::{Level, Requirement, RequirementId, Role, requirements},
    schema::Schema,
};

/// All that the runner knows of a protocol.
pub struct Protocol {
    /// `stream`.
    pub name: &'static str,
    /// The normative document.
    pub document: &'static str,
    /// What became of each row of the facts that the document rests on: key, level, disposition.
    pub rows: &'static str,
    /// The optional parts.
    pub features: &'static [Feature],
    /// What a target may refuse for good that has a certain feature.
    pub declines: &'static [Declined],
    /// What an owner may supply so that the target acts.
    pub stimuli: &'static [Stimulus],
    /// What a target may declare about itself, in numbers.
    pub limits: &'static [Limit],
    /// The check tables, one an area.
    pub checks: &'static [&'static [Check]],
    /// The areas that have no checks yet: what they require stays open in every run, which then ends as partial at best.
    pub awaited: &'static [&'static str],
    /// The schemas of the messages.
    pub schemas: fn() -> Vec<Schema>,
    /// The OpenAPI document of the messages, if they are HTTP.
    pub openapi: Option<fn() -> Schema>,
    /// Which message an answer is: the requirement for its shape and the name of its schema.
    pub shape: fn(&Request, &Response) -> Option<(RequirementId, &'static str)>,
    /// Which message an event of this name is, in the event stream that answers a request: the requirement for its shape and
    /// the name of the schema of its data, which is then JSON.
    pub event_shape: fn(&Request, &str) -> Option<(RequirementId, &'static str)>,
    /// Which message a frame of a WebSocket is.
    pub frame_shape: fn(Payload<'_>) -> Option<Framed>,
    /// Whether the schemas of answers speak of their bodies alone, which are JSON.
    pub bodies: bool,
    /// What stands within messages and has a requirement for its own shape.
    pub parts: &'static [Part],
    /// Whether our own decoder accepts a request.
    pub accepts_request: fn(&Request) -> Result<(), String>,
    /// Whether an answer says that the target has too much to do, so that it is asked again: not if the protocol means something
    /// else by it.
    pub overloaded: fn(&Response) -> bool,
    /// Asks a target whether it is alive.
    pub alive: Alive,
    /// The features and limits that [`probe`](Self::probe) asks for.
    pub asks: &'static [&'static str],
    /// Asks a target for what was not declared: names and values.
    pub probe: for<'a> fn(&'a Cx) -> BoxFuture<'a, Probed>,
    /// What a client of it can do, as its adapter lists it.
    pub operations: &'static [Operation],
    /// What the self-test needs.
    pub trial: Trial,
    /// The requirements, read once.
    pub registry: OnceLock<Vec<Requirement>>,
    /// The validators of the schemas, compiled once.
    pub validators: OnceLock<Result<Schemas, String>>,
}

/// What a message of a WebSocket holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
}

impl Payload<'_> {
    /// The payload as an event kept it; none if that is not the whole.
    pub(crate) fn kept<T>(
        binary: bool,
        bytes: &event::Bytes,
        read: impl FnOnce(Payload<'_>) -> Option<T>,
    ) -> Option<T> {
        if !binary {
            return read(Payload::Text(bytes.text.as_deref()?));
        }
        read(Payload::Binary(&bytes.whole()?))
    }
}

/// The message that a frame of a WebSocket is.
#[derive(Clone, Debug, PartialEq)]
pub struct Framed {
    /// The requirement for its shape.
    pub requirement: RequirementId,
    /// The name of its schema.
    pub schema: &'static str,
    /// What the schema speaks of, or why the frame is no such message; none if the frame is text, which is JSON then.
    pub document: Option<Result<Value, String>>,
}

impl Framed {
    /// A frame of text whose JSON this schema speaks of.
    pub fn text(requirement: RequirementId, schema: &'static str) -> Self {
        Self { requirement, schema, document: None }
    }
}

/// A part of messages that has a requirement for its own shape: what is wrong with it is not wrong with what is around it.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// The schema of the message.
    pub of: &'static str,
    /// The members that lead to it; `*` stands for each element of an array. What is `null` is no part.
    pub at: &'static [&'static str],
    /// The requirement for its shape.
    pub requirement: RequirementId,
    /// Its schema.
    pub schema: &'static str,
}

/// Features and limits that a target told: name and value.
pub type Probed = Vec<(&'static str, String)>;

/// What the self-test needs of a protocol.
pub struct Trial {
    /// A working implementation.
    pub reference: &'static dyn Reference,
    /// Every way to break it.
    pub defects: fn() -> Vec<&'static Defect>,
    /// The minimal success of its operation for every request; nothing is kept.
    pub agreeable: Option<fn(&Request) -> Response>,
    /// What a target says over a WebSocket that agrees to everything and keeps nothing; only for protocols that have one.
    pub socket: Option<Talk>,
    /// Every operation once, in the ordinary way: what a defect that bites later does not disturb.
    pub ordinary: Option<for<'a> fn(&'a Cx) -> BoxFuture<'a, crate::check::Outcome>>,
    /// The members of JSON messages whose values differ from run to run.
    pub volatile: &'static [&'static str],
    /// The schemas of messages that come by a clock, as often as a run takes.
    pub timed: &'static [&'static str],
}

/// What a target says over a WebSocket.
#[derive(Clone, Copy, Debug)]
pub struct Talk {
    /// First, without being asked.
    pub greeting: fn() -> Vec<Frame>,
    /// To each message, if anything.
    pub reply: fn(&Frame) -> Option<Frame>,
}

impl Talk {
    /// Nothing.
    pub const SILENT: Self = Self { greeting: Vec::new, reply: |_| None };
}

/// An optional part of a protocol, or a variant with a value.
#[derive(Clone, Copy, Debug)]
pub struct Feature {
    /// `stream.crash-safe`.
    pub name: &'static str,
    /// What a target has that neither declares it nor was probed for it.
    pub default: &'static str,
    /// Whether it may have a value beside `on` and `off`, which its text explains.
    pub valued: bool,
    /// In a sentence.
    pub text: &'static str,
}

/// What a target with a certain feature may refuse for good. A check that comes upon such a refusal, and is not about this
/// feature, cannot be driven to its end: it is untestable.
#[derive(Clone, Copy, Debug)]
pub struct Declined {
    /// The feature, and its value.
    pub feature: (&'static str, &'static str),
    /// What it would take, as in "it takes …".
    pub what: &'static str,
    /// Whether an answer of this status to this method is such a refusal.
    pub refuses: fn(&str, u16) -> bool,
}

/// What the owner of a target may supply so that it acts on the protocol.
#[derive(Clone, Copy)]
pub struct Stimulus {
    /// `publish`.
    pub name: &'static str,
    /// In a sentence.
    pub text: &'static str,
    /// What it is told beside its content, by name.
    pub given: &'static [&'static str],
    /// Uses it once and sees on the wire that it works: a flow that is no check and stops if it does not.
    pub proof: for<'a> fn(&'a Cx) -> BoxFuture<'a, crate::check::Outcome>,
}

/// A number that a target may declare.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// `long-poll-ms`.
    pub name: &'static str,
    /// In a sentence.
    pub text: &'static str,
}

/// Where a defect cuts into the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Headers, status, frames, bytes, timing.
    Wire,
    /// The inputs, outputs, clock or state of the model.
    Port,
    /// Records lost, torn or old at restart.
    Log,
}

impl Cut {
    /// `wire`, `port` or `log`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wire => "wire",
            Self::Port => "port",
            Self::Log => "log",
        }
    }
}

/// When a defect bites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// At once.
    Always,
    /// The second time.
    Second,
    /// At the edge of something.
    Boundary,
    /// When things happen at once.
    Race,
    /// At a restart.
    Restart,
}

impl Trigger {
    /// `always`, `second`, `boundary`, `race` or `restart`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Second => "second",
            Self::Boundary => "boundary",
            Self::Race => "race",
            Self::Restart => "restart",
        }
    }
}

/// A way to break exactly one requirement.
#[derive(Clone, Copy, Debug)]
pub struct Defect {
    /// `stream/append/empty-body-accepted`.
    pub id: &'static str,
    /// What it breaks.
    pub requirement: RequirementId,
    /// Where it cuts.
    pub cut: Cut,
    /// When it bites.
    pub trigger: Trigger,
    /// The variant of the reference that it breaks.
    pub variant: &'static str,
    /// Why what it says need not be valid and plausible: the requirement is about form itself.
    pub shape: Option<&'static str>,
    /// Why it turns many unrelated checks red.
    pub wide: Option<&'static str>,
}

/// A working implementation that can be started in variants and with a defect.
pub trait Reference: Sync {
    /// The names of its variants; the first is the full one.
    fn variants(&self) -> &'static [&'static str];

    /// What a variant is there for alone: no other check than those that need it is driven against it.
    fn about(&self, _variant: &str) -> Option<Need> {
        None
    }

    /// Starts it. It ends when the target is dropped.
    fn start<'a>(
        &'a self,
        variant: &'a str,
        defect: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Target, String>>;
}

impl Protocol {
    /// Its requirements, in the order of the document.
    ///
    /// # Panics
    /// If the document breaks the grammar of requirements. The documents of this suite are read by its build.
    pub fn requirements(&self) -> &[Requirement] {
        self.registry.get_or_init(|| match requirements(self.document) {
            Ok(list) => list,
            Err(e) => panic!("{}.md:{e}", self.name),
        })
    }

    /// The validators of its schemas.
    ///
    /// # Errors
    /// A schema that is none.
    pub fn validators(&self) -> Result<&Schemas, String> {
        let compiled = self.validators.get_or_init(|| Schemas::compile(&(self.schemas)()));
        compiled.as_ref().map_err(Clone::clone)
    }

    /// A requirement by its id.
    pub fn requirement(&self, id: &str) -> Option<&Requirement> {
        self.requirements().iter().find(|r| r.id == id)
    }

    /// How binding a requirement is.
    pub fn level(&self, id: &str) -> Option<Level> {
        self.requirement(id).map(|r| r.level)
    }

    /// Every check, in the order of the tables.
    pub fn checks(&self) -> impl Iterator<Item = &'static Check> + use<> {
        self.checks.iter().flat_map(|area| area.iter())
    }

    /// Whether a requirement stands in an area that has no checks yet.
    pub fn is_awaited(&self, requirement: &Requirement) -> bool {
        self.awaited.contains(&requirement.area().as_str())
    }

    /// The features of servers, or of clients.
    pub fn features_of(&self, role: Role) -> impl Iterator<Item = &'static Feature> {
        self.features.iter().filter(move |feature| self.concerns(feature.name, role))
    }

    /// Whether a feature or limit says something about targets of this role: unless only others are asked for it.
    pub(crate) fn concerns(&self, name: &str, role: Role) -> bool {
        let required =
            self.requirements().iter().filter(|r| r.feature.as_deref() == Some(name)).map(|r| r.role);
        let is_named = |need: &Need| match need {
            Need::Feature(feature, _) => *feature == name,
            Need::Limit(limit) | Need::AtLeast(limit, _) => *limit == name,
            Need::Hook(_) | Need::Second | Need::Stimulus(_) | Need::Address | Need::Program => false,
        };
        let needed =
            self.checks().filter(|check| check.needs.iter().any(is_named)).map(|check| self.role(check));
        let mut roles = required.chain(needed).peekable();
        roles.peek().is_none() || roles.any(|of| of == role)
    }

    /// A stimulus by its name.
    ///
    /// # Errors
    /// There is none: a sentence that lists what there is.
    pub fn stimulus(&self, name: &str) -> Result<&'static Stimulus, String> {
        self.stimuli.iter().find(|s| s.name == name).ok_or_else(|| {
            let all: Vec<&str> = self.stimuli.iter().map(|s| s.name).collect();
            match all.is_empty() {
                true => format!("{} has no stimuli; `{name}` under [stimuli] says nothing", self.name),
                false => format!("{} has no stimulus `{name}`; it has {}", self.name, all.join(", ")),
            }
        })
    }

    /// The role that a check tests.
    pub fn role(&self, check: &Check) -> Role {
        let first = check.requirements.first().and_then(|id| self.requirement(id.as_str()));
        first.map_or(Role::Server, |r| r.role)
    }

    /// What a client has, by what its adapter lists.
    ///
    /// # Errors
    /// It does not list what no client can do without: a sentence.
    pub(crate) fn told_by(&self, hello: &Hello) -> Result<Probed, String> {
        if let Some(core) = self.operations.iter().find(|o| o.feature.is_none() && !o.is_listed(hello)) {
            let shown = core.shown();
            return Err(format!(
                "the adapter does not list {shown}, which no client of {} can decline",
                self.name
            ));
        }
        let features: BTreeSet<&'static str> = self.operations.iter().filter_map(|o| o.feature).collect();
        // A feature of several is there if all of them are.
        let is_on = |feature| {
            let mut all = self.operations.iter().filter(|o| o.feature == Some(feature));
            all.all(|operation| operation.is_listed(hello))
        };
        let told = |feature| (feature, if is_on(feature) { "on" } else { "off" }.to_owned());
        Ok(features.into_iter().map(told).collect())
    }

    /// What a check needs: its own needs, and the features of its requirements.
    pub fn needs(&self, check: &Check) -> Vec<(Need, Option<&str>)> {
        let own = check.needs.iter().map(|need| (*need, None));
        let features =
            check.requirements.iter().filter_map(|id| self.requirement(id.as_str())?.feature.as_deref());
        own.chain(features.filter_map(|name| {
            let feature = self.features.iter().find(|f| f.name == name)?;
            Some((Need::Feature(feature.name, "on"), Some(name)))
        }))
        .collect()
    }
}
