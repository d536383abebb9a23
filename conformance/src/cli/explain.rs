//! `wireproof explain`: one requirement, check, defect or feature, and what belongs to it.

use super::{Done, Failed, list, nearest, print};
use crate::{exit, protocol::Protocol};
use std::fmt::Write;

/// Explain a requirement, check, defect or feature.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// STREAM-APPEND-4, stream/append/empty-body, stream.crash-safe, ...
    id: String,
}

/// Explains.
pub(super) fn explain(protocols: &[&'static Protocol], args: &Args) -> Done {
    let found: Vec<String> = protocols.iter().filter_map(|p| about(p, &args.id)).collect();
    if !found.is_empty() {
        print(&found.join("\n"));
        return Ok(exit::OK);
    }
    let near = nearest(&args.id, protocols.iter().flat_map(|p| ids(p)));
    let hint = if near.is_empty() {
        "`wireproof list requirements|checks|defects|features` shows what there is".to_owned()
    } else {
        format!("did you mean {}?", near.join(", "))
    };
    Err(Failed::usage(format!("nothing has the id `{}`; {hint}", args.id)))
}

/// Everything that can be explained.
pub(super) fn ids(protocol: &'static Protocol) -> Vec<&'static str> {
    let requirements = protocol.requirements().iter().map(|r| r.id.as_str());
    let checks = protocol.checks().map(|c| c.name);
    let defects = (protocol.trial.defects)().into_iter().map(|d| d.id);
    let features = list::features(protocol).into_iter().map(|f| f.id);
    requirements.chain(checks).chain(defects).chain(features).collect()
}

/// Everything of this protocol that has the id: a check and a defect may share one.
fn about(protocol: &Protocol, id: &str) -> Option<String> {
    let requirement = list::requirements(protocol)
        .into_iter()
        .find(|r| r.id.eq_ignore_ascii_case(id))
        .map(|r| requirement(protocol, &r));
    let check = protocol.checks().find(|c| c.name == id).map(|c| check(protocol, &list::check(protocol, c)));
    let defect = (protocol.trial.defects)()
        .into_iter()
        .find(|d| d.id == id)
        .map(|d| defect(protocol, &list::defect(d)));
    let feature = list::features(protocol).into_iter().find(|f| f.id == id).map(|f| feature(&f));
    let parts: Vec<String> = [requirement, check, defect, feature].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("\n"))
}

fn sentence(out: &mut String, protocol: &Protocol, id: &str) {
    if let Some(r) = protocol.requirement(id) {
        let _ = writeln!(out, "  {} {}: {}", r.id, r.level.name().to_uppercase(), r.text);
    }
}

fn listed(out: &mut String, title: &str, ids: &[impl AsRef<str>]) {
    if !ids.is_empty() {
        let _ = writeln!(out, "{title}");
    }
    for id in ids {
        let _ = writeln!(out, "  {}", id.as_ref());
    }
}

fn requirement(protocol: &Protocol, row: &list::RequirementRow) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "requirement {}", row.id);
    let _ = writeln!(out, "  {}", row.text);
    let feature = row.feature.as_ref().map_or_else(|| "the core".to_owned(), |f| format!("the feature {f}"));
    let level = row.level.to_uppercase();
    let _ = writeln!(out, "  {level}, binds the {}, belongs to {feature}", row.role);
    let _ = writeln!(out, "  {}.md, section {}", protocol.name, row.section);
    if let Some(kind) = row.kind {
        let _ = writeln!(out, "  about {kind}, so more than one message");
    }
    if let Some(reason) = &row.unobservable {
        let _ = writeln!(out, "  no peer can see it: {reason}");
    }
    listed(&mut out, "checks", &row.checks);
    listed(&mut out, "defects", &row.defects);
    out
}

fn check(protocol: &Protocol, row: &list::CheckRow) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "check {}", row.id);
    for id in &row.requirements {
        sentence(&mut out, protocol, id);
    }
    listed(&mut out, "needs", &row.needs);
    let _ = writeln!(out, "lane {}", row.lane);
    if let Some(waits) = &row.waits {
        let _ = writeln!(out, "waits {waits}");
    }
    if row.observes {
        let _ = writeln!(out, "looks at what the whole run saw, and sends nothing");
    }
    let _ = writeln!(out, "run it alone\n  wireproof run {} URL --only {}", protocol.name, row.id);
    out
}

fn defect(protocol: &Protocol, row: &list::DefectRow) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "defect {}", row.id);
    let _ = writeln!(out, "breaks");
    sentence(&mut out, protocol, row.requirement);
    let _ = writeln!(out, "at the {} cut, trigger {}", row.cut, row.trigger);
    if let Some(reason) = row.shape {
        let _ = writeln!(out, "about form itself: {reason}");
    }
    if let Some(reason) = row.wide {
        let _ = writeln!(out, "turns many checks red: {reason}");
    }
    let _ = writeln!(out, "serve it\n  wireproof serve {} --defect {}", protocol.name, row.id);
    out
}

fn feature(row: &list::FeatureRow) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{} {}", row.kind, row.id);
    let _ = writeln!(out, "  {}", row.text);
    if let Some(default) = row.default {
        let _ = writeln!(out, "  {default}, unless it is declared or probed");
    }
    let option = if row.kind == "limit" { "--limit" } else { "--feature" };
    let _ = writeln!(out, "  declare it with {option} {}=VALUE, or in the target file", row.id);
    listed(&mut out, "requirements", &row.requirements);
    out
}
