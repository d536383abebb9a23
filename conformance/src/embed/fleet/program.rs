//! The embedded orchestrator as a program: it is called with variables, gets signals and prints, all within this process.

use super::{options, seams};
use crate::{
    check::{BoxFuture, Hook},
    embed::reference::fleet::{
        ADMIN_KEY, AGENT_KEY, Options, Program, Seams,
        program::{Call, Exit, Occasion},
        settings::Print,
    },
    selftest::defects::Breakage,
    target::{Fault, Hooks, launch::Tail},
    wire::{
        Reach,
        program::{Begun, Ended, How, Signal, begun},
    },
};
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

/// How long a program may take until it listens or has ended.
const READY: Duration = Duration::from_secs(5);

/// An orchestrator, and how to start it again.
pub(super) struct Embedded {
    variant: String,
    breakage: Option<&'static Breakage<Seams>>,
    addr: SocketAddr,
    printed: Tail,
    running: Mutex<Option<Program>>,
}

/// An orchestrator that others reach so.
pub(super) struct Reached {
    embedded: Embedded,
    reach: Arc<Reach>,
}

impl Embedded {
    /// Starts it at a free port, and tells its root.
    pub(super) async fn begin(
        variant: &str,
        breakage: Option<&'static Breakage<Seams>>,
    ) -> Result<(Self, String), String> {
        let mut embedded = Self {
            variant: variant.to_owned(),
            breakage,
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            printed: Tail::default(),
            running: Mutex::default(),
        };
        let mut program = embedded.started().await?;
        let (addr, root) = (program.running().addr, program.running().root.clone());
        embedded.addr = addr;
        embedded.running = Mutex::new(Some(program));
        Ok((embedded, root))
    }

    pub(super) fn reached(self, reach: Arc<Reach>) -> Reached {
        Reached { embedded: self, reach }
    }

    fn print(&self) -> Print {
        let printed = self.printed.clone();
        Arc::new(move |line| printed.add(format!("{line}\n").as_bytes()))
    }

    async fn started(&self) -> Result<Program, String> {
        self.printed.clear();
        let print = self.print();
        let mut seams = seams(&self.variant, self.breakage);
        let exit = seams.exit.take();
        let options =
            Options { addr: self.addr, print: Some(Arc::clone(&print)), seams, ..options(&self.variant)? };
        Program::with(options, exit, &print).await.map_err(|e| e.to_string())
    }

    /// What it is called with unless something else is said.
    fn variables(&self) -> BTreeMap<String, String> {
        let all = [
            ("FLEET_HOST", self.addr.ip().to_string()),
            ("FLEET_PORT", self.addr.port().to_string()),
            ("FLEET_AGENT_KEY", AGENT_KEY.to_owned()),
            ("FLEET_ADMIN_KEY", ADMIN_KEY.to_owned()),
        ];
        all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

impl Hooks for Reached {
    fn offers(&self, _: Hook) -> bool {
        true
    }

    fn act(&self, hook: Hook) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            let mut running = self.embedded.running.lock().await;
            match (running.take(), hook) {
                (Some(program), Hook::Restart) => match program.ends(Occasion::Terminated) {
                    // How long it takes, and its exit code, are for who asks for them.
                    Some(exit) => drop(program.end(Exit { after: Duration::ZERO, ..exit }).await),
                    None => program.kill().await,
                },
                (Some(program), Hook::Kill) => program.kill().await,
                // A start failed before.
                (None, _) => {}
            }
            *running = Some(self.embedded.started().await?);
            Ok(())
        })
    }

    fn is_program(&self) -> bool {
        true
    }

    fn end<'a>(
        &'a self,
        signal: Signal,
        within: Duration,
        texts: &'a [&'a str],
    ) -> BoxFuture<'a, Result<Ended, Fault>> {
        Box::pin(async move {
            let mut running = self.embedded.running.lock().await;
            let Some(program) = running.take() else { return Err(Fault::Failed("it does not run".into())) };
            let since = Instant::now();
            let exit = program.ends(match signal {
                Signal::Term => Occasion::Terminated,
                Signal::Int => Occasion::Interrupted,
            });
            let how = match exit {
                Some(exit) if exit.after < within => {
                    timeout(within, program.end(exit)).await.map_or(How::Late, |code| How::Code(code.into()))
                }
                _ => {
                    tokio::time::sleep(within).await;
                    program.kill().await;
                    How::Late
                }
            };
            let ended = Ended { how, after: since.elapsed(), printed: self.embedded.printed.search(texts) };
            *running = Some(self.embedded.started().await?);
            Ok(ended)
        })
    }

    fn start_with<'a>(
        &'a self,
        variables: &'a [(&'a str, Option<&'a str>)],
        texts: &'a [&'a str],
    ) -> BoxFuture<'a, Result<Begun, Fault>> {
        Box::pin(async move {
            let mut running = self.embedded.running.lock().await;
            if let Some(program) = running.take() {
                program.kill().await;
            }
            let mut call = Call { flags: Vec::new(), variables: self.embedded.variables() };
            for (name, value) in variables {
                call.variables.remove(*name);
                if let Some(value) = value {
                    call.variables.insert((*name).to_owned(), (*value).to_owned());
                }
            }
            self.embedded.printed.clear();
            let start = Program::begin(
                &call,
                seams(&self.embedded.variant, self.embedded.breakage),
                self.embedded.print(),
            );
            let ended = async {
                match start.await {
                    Ok(program) => {
                        *running = Some(program);
                        // It listens: that is what is waited for.
                        std::future::pending().await
                    }
                    Err(code) => How::Code(code.into()),
                }
            };
            Ok(match begun(&self.reach, ended, READY).await {
                Begun::Ended(how, _) => Begun::Ended(how, self.embedded.printed.search(texts)),
                other => other,
            })
        })
    }
}
