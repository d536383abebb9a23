//! `wireproof list`: what the suite has.

use super::{Done, Failed, json, print, protocol};
use crate::{
    check::{Body, Check, Lane, Need, Waits},
    exit,
    protocol::{Defect, Protocol},
};
use clap::ValueEnum;
use serde::Serialize;
use std::{collections::BTreeMap, fmt::Write};
use wireproof_spec::requirement::Level;

/// List what the suite has.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// What to list.
    what: Listed,
    /// Only of this protocol.
    protocol: Option<String>,
    /// Print an array, for programs.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Listed {
    Requirements,
    Checks,
    Defects,
    Features,
}

/// A requirement, as listed.
#[derive(Serialize)]
pub(super) struct RequirementRow {
    pub(super) id: String,
    pub(super) level: &'static str,
    pub(super) role: &'static str,
    pub(super) feature: Option<String>,
    pub(super) kind: Option<&'static str>,
    pub(super) section: String,
    pub(super) text: String,
    pub(super) unobservable: Option<String>,
    pub(super) checks: Vec<&'static str>,
    pub(super) defects: Vec<&'static str>,
}

/// A check, as listed.
#[derive(Serialize)]
pub(super) struct CheckRow {
    pub(super) id: &'static str,
    pub(super) requirements: Vec<&'static str>,
    pub(super) needs: Vec<String>,
    pub(super) lane: &'static str,
    pub(super) waits: Option<String>,
    pub(super) observes: bool,
}

/// A defect, as listed.
#[derive(Serialize)]
pub(super) struct DefectRow {
    pub(super) id: &'static str,
    pub(super) requirement: &'static str,
    pub(super) cut: &'static str,
    pub(super) trigger: &'static str,
    pub(super) shape: Option<&'static str>,
    pub(super) wide: Option<&'static str>,
}

/// A feature or a limit, as listed.
#[derive(Serialize)]
pub(super) struct FeatureRow {
    pub(super) id: &'static str,
    pub(super) kind: &'static str,
    pub(super) default: Option<&'static str>,
    pub(super) text: &'static str,
    pub(super) requirements: Vec<String>,
}

pub(super) fn requirements(protocol: &Protocol) -> Vec<RequirementRow> {
    let defects = (protocol.trial.defects)();
    let rows = protocol.requirements().iter().map(|r| RequirementRow {
        id: r.id.clone(),
        level: r.level.name(),
        role: r.role.name(),
        feature: r.feature.clone(),
        kind: r.kind.map(|k| k.name()),
        section: r.section.clone(),
        text: r.text.clone(),
        unobservable: r.unobservable.clone(),
        checks: protocol
            .checks()
            .filter(|c| c.requirements.iter().any(|id| id.as_str() == r.id))
            .map(|c| c.name)
            .collect(),
        defects: defects.iter().filter(|d| d.requirement.as_str() == r.id).map(|d| d.id).collect(),
    });
    rows.collect()
}

pub(super) fn check(protocol: &Protocol, check: &'static Check) -> CheckRow {
    let needs = protocol.needs(check).into_iter().map(|(need, _)| match need {
        Need::Feature(name, value) => format!("feature {name}={value}"),
        Need::Hook(hook) => format!("hook {}", hook.name()),
        Need::Limit(name) => format!("limit {name}"),
        Need::AtLeast(name, least) => format!("limit {name} of {least} or more"),
        Need::Second => "second identity".into(),
        Need::Address => "address of its own".into(),
        Need::Program => "a program that is started".into(),
        Need::Stimulus(name) => format!("stimulus {name}"),
    });
    CheckRow {
        id: check.name,
        requirements: check.requirements.iter().map(|id| id.as_str()).collect(),
        needs: needs.collect(),
        lane: match check.lane {
            Lane::Shared => "shared",
            Lane::Alone => "alone",
            Lane::Last => "last",
        },
        waits: match check.waits {
            Waits::Not => None,
            Waits::Limit(name, times) => Some(format!("{times} x {name}")),
            Waits::Millis(ms) => Some(format!("{ms} ms")),
        },
        observes: matches!(check.body, Body::Observes(_)),
    }
}

pub(super) fn defect(defect: &Defect) -> DefectRow {
    DefectRow {
        id: defect.id,
        requirement: defect.requirement.as_str(),
        cut: defect.cut.name(),
        trigger: defect.trigger.name(),
        shape: defect.shape,
        wide: defect.wide,
    }
}

pub(super) fn features(protocol: &Protocol) -> Vec<FeatureRow> {
    let of = |name: &str| {
        let all = protocol.requirements().iter().filter(|r| r.feature.as_deref() == Some(name));
        all.map(|r| r.id.clone()).collect()
    };
    let features = protocol.features.iter().map(|f| FeatureRow {
        id: f.name,
        kind: "feature",
        default: Some(f.default),
        text: f.text,
        requirements: of(f.name),
    });
    let limits = protocol.limits.iter().map(|l| FeatureRow {
        id: l.name,
        kind: "limit",
        default: None,
        text: l.text,
        requirements: Vec::new(),
    });
    features.chain(limits).collect()
}

/// Lists.
pub(super) fn list(protocols: &[&'static Protocol], args: &Args) -> Done {
    let chosen = match &args.protocol {
        Some(name) => vec![protocol(protocols, name)?],
        None => protocols.to_vec(),
    };
    let text = match args.what {
        Listed::Requirements => {
            let rows: Vec<RequirementRow> = chosen.iter().flat_map(|p| requirements(p)).collect();
            shown(args, &rows, || requirements_text(&chosen, &rows))?
        }
        Listed::Checks => {
            let rows: Vec<CheckRow> =
                chosen.iter().flat_map(|p| p.checks().map(|c| check(p, c)).collect::<Vec<_>>()).collect();
            shown(args, &rows, || checks_text(&rows))?
        }
        Listed::Defects => {
            let rows: Vec<DefectRow> = chosen.iter().flat_map(|p| (p.trial.defects)()).map(defect).collect();
            shown(args, &rows, || defects_text(&rows))?
        }
        Listed::Features => {
            let rows: Vec<FeatureRow> = chosen.iter().flat_map(|p| features(p)).collect();
            shown(args, &rows, || features_text(&rows))?
        }
    };
    print(&text);
    Ok(exit::OK)
}

fn shown<T: Serialize>(args: &Args, rows: &[T], text: impl FnOnce() -> String) -> Result<String, Failed> {
    if args.json { json(&rows) } else { Ok(text()) }
}

fn requirements_text(protocols: &[&'static Protocol], rows: &[RequirementRow]) -> String {
    let mut out = String::new();
    let mut section = "";
    for row in rows {
        if row.section != section {
            section = &row.section;
            let _ = writeln!(out, "{section}");
        }
        let level = row.level.to_uppercase();
        let feature = row.feature.as_ref().map(|f| format!(" [{f}]")).unwrap_or_default();
        let _ = writeln!(out, "  {:<20} {level:<6} {}{feature}  {}", row.id, row.role, row.text);
    }
    let _ = writeln!(out);
    for level in [Level::Must, Level::Should, Level::May] {
        let of: Vec<&RequirementRow> = rows.iter().filter(|r| r.level == level.name()).collect();
        let with = |has: fn(&RequirementRow) -> bool| of.iter().filter(|r| has(r)).count();
        let _ = writeln!(
            out,
            "{:<6} {:>4}: {} unobservable, {} with a check, {} with a defect",
            level.name().to_uppercase(),
            of.len(),
            with(|r| r.unobservable.is_some()),
            with(|r| !r.checks.is_empty()),
            with(|r| !r.defects.is_empty()),
        );
    }
    for protocol in protocols {
        let _ = writeln!(out, "{}", dispositions(protocol));
    }
    out
}

/// What became of the rows of the facts, of which the requirements were made.
fn dispositions(protocol: &Protocol) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut total = 0;
    for row in protocol.rows.lines().skip(1) {
        let disposition = row.rsplit('\t').next().unwrap_or_default();
        let kind = match disposition.split_once(": ") {
            Some((kind, _)) => kind,
            None if disposition == "not yet" => "not yet",
            None => "by id",
        };
        *counts.entry(kind).or_default() += 1;
        total += 1;
    }
    let parts: Vec<String> = counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    format!("{}: {total} rows of the facts: {}", protocol.name, parts.join(", "))
}

fn checks_text(rows: &[CheckRow]) -> String {
    let mut out = String::new();
    for row in rows {
        let _ = write!(out, "{:<44} {}", row.id, row.requirements.join(" "));
        if row.lane != "shared" {
            let _ = write!(out, "  lane {}", row.lane);
        }
        if !row.needs.is_empty() {
            let _ = write!(out, "  needs {}", row.needs.join(", "));
        }
        if let Some(waits) = &row.waits {
            let _ = write!(out, "  waits {waits}");
        }
        out.push('\n');
    }
    let _ = writeln!(out, "\n{} checks", rows.len());
    out
}

fn defects_text(rows: &[DefectRow]) -> String {
    let mut out = String::new();
    for row in rows {
        let _ = writeln!(out, "{:<52} {:<20} {}, {}", row.id, row.requirement, row.cut, row.trigger);
    }
    let _ = writeln!(out, "\n{} defects", rows.len());
    out
}

fn features_text(rows: &[FeatureRow]) -> String {
    let mut out = String::new();
    for row in rows {
        let default = row.default.map(|d| format!(", otherwise {d}")).unwrap_or_default();
        let _ = writeln!(out, "{:<24} {}{default}  {}", row.id, row.kind, row.text);
    }
    out
}
