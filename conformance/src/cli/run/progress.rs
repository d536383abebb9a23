//! What is told on stderr while a run goes on: a line that moves, and with `--verbose` a line for each check.

use crate::{
    event::{Event, What},
    report::transcript::clean,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{IsTerminal, Write},
};

/// Tells of a run as it goes on.
pub(super) struct Progress {
    bar: ProgressBar,
    verbose: bool,
    /// Which alternatives each check that is running has seen.
    seen: BTreeMap<String, BTreeSet<String>>,
}

impl Progress {
    /// With a line that moves, where somebody can see it.
    pub(super) fn new(moves: bool, verbose: bool) -> Self {
        let bar = if moves && std::io::stderr().is_terminal() {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
        } else {
            ProgressBar::hidden()
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} checks, {elapsed}: {msg}") {
            bar.set_style(style);
        }
        Self { bar, verbose, seen: BTreeMap::new() }
    }

    /// The line that moves.
    pub(super) fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }

    /// Takes notice of an event.
    pub(super) fn see(&mut self, event: &Event) {
        let Some(check) = &event.check else { return };
        match &event.what {
            What::CheckStarted { .. } => self.bar.set_message(check.clone()),
            What::CheckFinished { verdict, ms } => {
                self.bar.inc(1);
                let seen = self.seen.remove(check).unwrap_or_default();
                let seen: Vec<String> = seen.iter().map(|seen| clean(seen)).collect();
                self.line(&format!("{verdict:<13}{ms:>7} ms  {check}  {}", seen.join("; ")));
            }
            // What nobody asked for nobody wants to be told of.
            What::LeftOut { verdict, .. } if verdict == "not-selected" => {}
            What::LeftOut { verdict, why } => {
                self.line(&format!("{verdict:<13}         -  {check}  {}", clean(why)));
            }
            What::Met { alternative, .. } if self.verbose => {
                self.seen.entry(check.clone()).or_default().insert(alternative.clone());
            }
            _ => {}
        }
    }

    fn line(&self, line: &str) {
        if self.verbose {
            // Nobody is there to be told that nobody listens.
            self.bar.suspend(|| {
                let _ = writeln!(std::io::stderr().lock(), "{}", line.trim_end());
            });
        }
    }
}
