//! What a check is: a function that provokes, observes and claims, and an entry that says what it is about.
//!
//! A check never returns a verdict. It claims through [`Cx`]; the verdict is folded from the claims ([`crate::verdict`]).

mod alternative;
mod cx;
mod twin;

pub use alternative::{Alternative, Answer, Shown, alternative, answer};
pub use cx::Cx;
pub(crate) use cx::THERE_AGAIN;
pub use twin::Breaks;

use crate::observers::Observed;
use std::{future::Future, pin::Pin};
use wireproof_spec::requirement::RequirementId;

/// Ends a check early. Only claims and the wire make one, and record why.
#[must_use]
#[derive(Debug)]
pub struct Stop(());

impl Stop {
    pub(crate) fn new() -> Self {
        Self(())
    }
}

/// What a check returns: never a verdict.
pub type Outcome<T = ()> = Result<T, Stop>;

/// A future of a check.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An entry in a check table.
#[derive(Clone, Copy)]
pub struct Check {
    /// `stream/append/empty-body`.
    pub name: &'static str,
    /// What it is about: at most three requirements, all of which it has to meet to pass.
    pub requirements: &'static [RequirementId],
    /// What the target has to offer for it.
    pub needs: &'static [Need],
    /// What it may run beside.
    pub lane: Lane,
    /// How long it has to wait on a target.
    pub waits: Waits,
    /// The function.
    pub body: Body,
}

/// What a check does.
#[derive(Clone, Copy)]
pub enum Body {
    /// Drives the target.
    Drives(for<'a> fn(&'a Cx) -> BoxFuture<'a, Outcome>),
    /// Looks at what the whole run saw.
    Observes(fn(&Observed)),
}

/// Something that the target has to offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A feature with this value.
    Feature(&'static str, &'static str),
    /// A hook on its process.
    Hook(Hook),
    /// A limit of this name, declared or probed.
    Limit(&'static str),
    /// That the limit of this name is at least this, if it is known: a target that has none is held to nothing.
    AtLeast(&'static str, u64),
    /// A second identity: other credentials that the target knows.
    Second,
    /// The stimulus of this name.
    Stimulus(&'static str),
    /// That it can be reached from an address that nobody else comes from: what it counts by address is then not spent by others.
    Address,
    /// That it is a program which the runner starts: its exit code, what it prints and what it makes of other variables are seen.
    Program,
}

impl Need {
    /// What it takes, and how the target file supplies it, in words; none where nothing does: a feature is there or it is not.
    pub fn supplied_by(self) -> Option<String> {
        Some(match self {
            Need::Feature(..) => return None,
            Need::Hook(hook) => {
                let name = hook.name();
                format!(
                    "the hook {name}: `[hooks]` with `{name} = \"COMMAND\"`, or `[launch]`, in the target file"
                )
            }
            Need::Limit(name) => {
                format!("the limit {name}: `{name} = NUMBER` under `[limits]` in the target file")
            }
            Need::AtLeast(name, least) => format!("the limit {name} to be at least {least}"),
            Need::Address => "a target at a loopback address such as 127.0.0.1, on Linux, so that the check can come from an \
                 address of its own"
                .into(),
            Need::Program => "a target that is started for the run: `[launch]` in the target file".into(),
            Need::Second => "a second identity: its headers under `[second]` in the target file".into(),
            Need::Stimulus(name) => {
                format!("the stimulus {name}: `{name} = \"COMMAND\"` under `[stimuli]` in the target file")
            }
        })
    }
}

/// What acts on the process of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    /// An orderly end and a new start.
    Restart,
    /// A sudden end and a new start.
    Kill,
}

impl Hook {
    /// Its name in the target file.
    pub fn name(self) -> &'static str {
        match self {
            Hook::Restart => "restart",
            Hook::Kill => "kill",
        }
    }
}

/// What a check may run beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Anything.
    Shared,
    /// Nothing: it touches what is global in the target, or times precisely.
    Alone,
    /// Nothing, and after all others: it may harm the target.
    Last,
}

/// How long a check has to wait on a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// Round trips only.
    Not,
    /// So many times the limit of this name, in milliseconds.
    Limit(&'static str, u32),
    /// So many milliseconds, on whatever target.
    Millis(u32),
}

impl Check {
    /// An entry for the shared lane that needs nothing.
    pub const fn new(name: &'static str, requirements: &'static [RequirementId], body: Body) -> Self {
        Self { name, requirements, needs: &[], lane: Lane::Shared, waits: Waits::Not, body }
    }

    /// With these needs.
    pub const fn needs(mut self, needs: &'static [Need]) -> Self {
        self.needs = needs;
        self
    }

    /// In this lane.
    pub const fn lane(mut self, lane: Lane) -> Self {
        self.lane = lane;
        self
    }

    /// With these waits.
    pub const fn waits(mut self, waits: Waits) -> Self {
        self.waits = waits;
        self
    }
}

/// The body of a check from the name of an `async fn(&Cx) -> Outcome`.
#[macro_export]
macro_rules! drives {
    ($function:path) => {
        $crate::check::Body::Drives(|cx| ::std::boxed::Box::pin($function(cx)))
    };
}

/// The closed alternatives of a claim.
#[macro_export]
macro_rules! one_of {
    ($($alternative:expr),+ $(,)?) => {
        ::std::vec![$($crate::check::Alternative::from($alternative)),+]
    };
}
