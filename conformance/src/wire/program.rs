//! A target as a program: how it ends on a signal, whether it printed what it may not, and how it starts with other variables.

use super::{Link, Seen};
use crate::{
    check::{Outcome, Shown},
    event::What,
    target::{Fault, Target},
};
use std::{collections::BTreeMap, future::Future, pin::pin, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// The pause between two looks at a port: nobody tells when it is open.
const PAUSE: Duration = Duration::from_millis(5);

/// What asks a program to end in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM.
    Term,
    /// SIGINT.
    Int,
}

impl Signal {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Signal::Term => "SIGTERM",
            Signal::Int => "SIGINT",
        }
    }
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// With this exit code.
    Code(i32),
    /// By a signal, which it did not handle.
    Signal(i32),
    /// Not in time: it was killed.
    Late,
}

impl Shown for How {
    fn shown(&self) -> String {
        match self {
            How::Code(code) => format!("the exit code {code}"),
            How::Signal(signal) => format!("an end by the signal {signal}"),
            How::Late => "no end; it was killed".into(),
        }
    }
}

/// What is known of a program that was asked to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How it ended.
    pub how: How,
    /// How long it took from the signal on.
    pub after: Duration,
    /// What it printed since it was started.
    pub printed: Printed,
}

impl Shown for Ended {
    fn shown(&self) -> String {
        format!("{} after {} ms, {}", self.how.shown(), self.after.as_millis(), self.printed.shown())
    }
}

/// What a program printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Printed {
    /// How many bytes.
    pub bytes: u64,
    /// How many of the texts that were looked for are in it.
    pub found: usize,
    /// Whether only its end was looked at.
    pub cut: bool,
}

impl Shown for Printed {
    fn shown(&self) -> String {
        let found = match self.found {
            0 => "no key in it".into(),
            found => format!("{found} of the keys in it"),
        };
        match self.bytes {
            0 => "nothing printed".into(),
            bytes => format!("{bytes} bytes printed, {found}"),
        }
    }
}

/// What came of a program that was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It listens.
    Listens,
    /// It ended so, had not listened, and printed this.
    Ended(How, Printed),
    /// Neither, for as long as a start may take.
    Neither,
}

impl Shown for Begun {
    fn shown(&self) -> String {
        match self {
            Begun::Listens => "that it listens".into(),
            Begun::Ended(how, printed) => {
                format!("{}, and nothing listened before, {}", how.shown(), printed.shown())
            }
            Begun::Neither => "neither its end nor anybody who listens".into(),
        }
    }
}

/// Watches a program that was just started until it listens or has ended; what it printed is for who sees that.
pub(crate) async fn begun(reach: &super::Reach, ended: impl Future<Output = How>, within: Duration) -> Begun {
    let listens = async {
        while !reach.way.is_open(within).await {
            sleep(PAUSE).await;
        }
    };
    let (mut listens, mut ended) = (pin!(listens), pin!(ended));
    let first = timeout(within, async {
        tokio::select! {
            biased;
            () = &mut listens => Begun::Listens,
            how = &mut ended => Begun::Ended(how, Printed::default()),
        }
    });
    first.await.unwrap_or(Begun::Neither)
}

/// Asks the target to end, and looks at how it does; then it is started again. In what it printed these texts are looked for.
///
/// # Errors
/// Stops the check, inconclusive, if it cannot be done.
pub(crate) async fn end(
    link: &Link,
    target: &Target,
    signal: Signal,
    within: Duration,
    texts: &[&str],
) -> Outcome<Seen<Ended>> {
    let name = signal.name();
    link.ending(true);
    let ended = target.end(signal, within, texts).await;
    link.ending(false);
    match ended {
        Ok(ended) => {
            let on = link.log.record(What::Program {
                act: name.into(),
                given: BTreeMap::new(),
                seen: ended.shown(),
                ms: ms(ended.after),
            });
            Ok(Seen::new(on, ended))
        }
        Err(Fault::Failed(why)) => Err(link.stop(&format!("{name} could not be looked at: {why}"))),
        Err(Fault::Refuses(why)) => {
            Err(link.stop(&format!("after {name} the target does not start again on what it kept: {why}")))
        }
    }
}

/// Ends the target and starts it with these variables in its environment, or without them; then it runs on so. In what one prints
/// that ends instead these texts are looked for.
///
/// # Errors
/// Stops the check, inconclusive, if it cannot be done.
pub(crate) async fn start(
    link: &Link,
    target: &Target,
    variables: &[(&str, Option<&str>)],
    texts: &[&str],
) -> Outcome<Seen<Begun>> {
    let since = Instant::now();
    match target.start_with(variables, texts).await {
        Ok(begun) => {
            let shown = |(name, value): &(&str, Option<&str>)| {
                ((*name).to_owned(), value.unwrap_or("(not set)").to_owned())
            };
            let on = link.log.record(What::Program {
                act: "start".into(),
                given: variables.iter().map(shown).collect(),
                seen: begun.shown(),
                ms: ms(since.elapsed()),
            });
            Ok(Seen::new(on, begun))
        }
        Err(Fault::Failed(why) | Fault::Refuses(why)) => {
            Err(link.stop(&format!("the target could not be started with other variables: {why}")))
        }
    }
}

fn ms(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}
