//! `--dry-run`: which checks would run, and why the others would not. Nothing is started and nothing is sent.

use crate::{
    check::{BoxFuture, Hook},
    protocol::Protocol,
    report::{terminal::Paint, transcript::clean},
    run::{
        Settings,
        select::{Choice, choose},
    },
    target::{Fault, Features, Hooks, Target, file::TargetFile},
    verdict::Verdict,
};
use serde::Serialize;
use std::fmt::Write;

/// What a run would do.
#[derive(Serialize)]
pub(super) struct Plan {
    protocol: &'static str,
    target: String,
    /// The checks that would run.
    runs: Vec<&'static str>,
    /// Those that would run or not, as the target answers when it is asked what it has.
    depends: Vec<Left>,
    /// Those that would not.
    left_out: Vec<Left>,
}

/// A check that does not run for certain.
#[derive(Serialize)]
struct Left {
    check: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<&'static str>,
    why: String,
}

/// What a target may tell of a limit or feature when it is asked: little, much; on, off.
const ANSWERS: [&str; 4] = ["1", "600000", "on", "off"];

impl Plan {
    /// Decides as a run does, for every answer that the target may give when it is asked what it has.
    pub(super) fn of(protocol: &'static Protocol, target: &Target, settings: &Settings) -> Self {
        let open: Vec<&'static str> =
            protocol.asks.iter().copied().filter(|name| !target.declared.contains_key(*name)).collect();
        let nothing_told = Features::gather(protocol, target, Vec::new());
        let mut plan = Self {
            protocol: protocol.name,
            target: target.shown.clone(),
            runs: Vec::new(),
            depends: Vec::new(),
            left_out: Vec::new(),
        };
        for check in protocol.checks() {
            let decide = |features: &Features| choose(protocol, check, target, features, settings);
            let first = decide(&nothing_told);
            let matters = |name: &&&'static str| {
                let answers = ANSWERS.into_iter().filter(|answer| possible(protocol, name, answer));
                let told =
                    |answer: &str| Features::gather(protocol, target, vec![(**name, answer.to_owned())]);
                answers.map(|answer| decide(&told(answer))).any(|choice| runs(&choice) != runs(&first))
            };
            let on: Vec<&str> = open.iter().filter(matters).copied().collect();
            match first {
                _ if !on.is_empty() => plan.depends.push(Left {
                    check: check.name,
                    verdict: None,
                    why: format!("on what the target answers when it is asked for {}", on.join(", ")),
                }),
                Choice::Runs => plan.runs.push(check.name),
                Choice::Not(verdict, why) => {
                    plan.left_out.push(Left { check: check.name, verdict: Some(verdict.name()), why });
                }
            }
        }
        plan
    }

    /// Whether no check would run, whatever the target answers.
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.depends.is_empty()
    }

    /// For people; `brief`: the first line alone.
    pub(super) fn text(&self, brief: bool, paint: Paint) -> String {
        let (runs, depends, left_out) = (self.runs.len(), self.depends.len(), self.left_out.len());
        let mut out = format!("{runs} checks would run");
        if depends > 0 {
            let _ = write!(out, ", {depends} depend on what the target answers");
        }
        let _ = writeln!(out, ", {left_out} would be left out; nothing was sent to {}", clean(&self.target));
        if brief {
            return out;
        }
        if runs > 0 {
            let _ = writeln!(out, "\n{}", paint.bold("would run"));
        }
        for check in &self.runs {
            let _ = writeln!(out, "  {check}");
        }
        by_reason(&mut out, &paint.bold("depend"), &self.depends);
        for verdict in Verdict::ALL {
            let of_it = self.left_out.iter().filter(|left| left.verdict == Some(verdict.name()));
            by_reason(&mut out, &paint.bold(&format!("left out: {verdict}")), of_it);
        }
        out
    }
}

fn runs(choice: &Choice) -> bool {
    *choice == Choice::Runs
}

/// Whether a target can answer so: a limit with a number, a feature with a word.
fn possible(protocol: &Protocol, name: &str, answer: &str) -> bool {
    protocol.limits.iter().any(|limit| limit.name == name) == answer.parse::<u64>().is_ok()
}

fn by_reason<'a>(out: &mut String, title: &str, all: impl IntoIterator<Item = &'a Left>) {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for left in all {
        match reasons.iter_mut().find(|(why, _)| *why == left.why) {
            Some((_, checks)) => checks.push(left.check),
            None => reasons.push((&left.why, vec![left.check])),
        }
    }
    if !reasons.is_empty() {
        let _ = writeln!(out, "\n{title}");
    }
    for (why, checks) in reasons {
        let _ = writeln!(out, "  {}", clean(why));
        for check in checks {
            let _ = writeln!(out, "    {check}");
        }
    }
}

/// Takes out how a target is launched, so that nothing is started. Whether there was anything to take out.
pub(super) fn unlaunch(file: &mut TargetFile) -> bool {
    // The port that it would be given is not known before.
    let is_launched = file.launch.is_some() && file.hooks.is_none();
    if is_launched {
        file.launch = None;
        file.url = file.url.as_ref().map(|url| url.replace("{port}", "0"));
    }
    is_launched
}

/// What a launched target offers before it is launched.
pub(super) struct Promised;

impl Hooks for Promised {
    fn offers(&self, _: Hook) -> bool {
        true
    }

    fn act(&self, _: Hook) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async { Err(Fault::Failed("it was not started".into())) })
    }

    fn is_launched(&self) -> bool {
        true
    }

    fn is_program(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_depends_on_an_answer_is_not_promised() {
        let target = Target::server("http://127.0.0.1:1/v1/stream").expect("a target");
        let settings = Settings::default();
        let protocol = crate::PROTOCOLS[0];
        let open = Plan::of(protocol, &target, &settings);
        assert!(!open.runs.is_empty() && !open.depends.is_empty() && !open.left_out.is_empty());
        let sure = target.clone().declare("long-poll-ms", "500").declare("stream.http2", "off");
        let sure = Plan::of(protocol, &sure, &settings);
        assert!(sure.depends.is_empty(), "nothing is open");
        let with = target.clone().declare("long-poll-ms", "500").declare("stream.http2", "on");
        let with = Plan::of(protocol, &with, &settings);
        assert_eq!(
            with.runs.len(),
            open.runs.len() + open.depends.len(),
            "what depended on the answer runs with it"
        );
        let total = |plan: &Plan| plan.runs.len() + plan.depends.len() + plan.left_out.len();
        assert_eq!(total(&open), total(&sure));
        let fast = Settings { fast: true, ..settings };
        let slow = target.declare("long-poll-ms", "30000").declare("stream.http2", "off");
        assert!(Plan::of(protocol, &slow, &fast).runs.len() < sure.runs.len());
    }
}
