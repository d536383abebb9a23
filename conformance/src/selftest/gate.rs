//! The gate: what has to be there before a green means something.

use super::{Red, Scope};
use crate::{
    check::{Check, Need, Waits},
    event::What,
    protocol::{Defect, Protocol, Trigger},
    run::Finished,
    wire::http::READER,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};
use wireproof_spec::requirement::{Level, Requirement};

/// The most requirements that one check names.
const MOST_REQUIREMENTS: usize = 3;
/// So many unrelated checks may turn red without a reason.
const MOST_UNRELATED: usize = 5;

/// What is missing: a requirement without check, without a defect that was caught, without one that bites later; a check
/// that names too much; a defect for what nobody requires.
pub fn holes<'a>(
    protocol: &Protocol,
    scope: Scope<'_>,
    caught: impl IntoIterator<Item = &'a Defect>,
) -> Vec<String> {
    let caught: Vec<&Defect> = caught.into_iter().collect();
    let mut holes = Vec::new();
    let asked = |r: &&Requirement| scope.holds(protocol, &r.id) && !protocol.is_awaited(r);
    for requirement in protocol.requirements().iter().filter(asked) {
        let checks: Vec<_> = protocol
            .checks()
            .filter(|c| c.requirements.iter().any(|id| id.as_str() == requirement.id))
            .collect();
        if requirement.unobservable.is_some() {
            if !checks.is_empty() {
                holes.push(format!("{} is unobservable and has a check", requirement.id));
            }
            continue;
        }
        if checks.is_empty() {
            holes.push(format!("{} has no check", requirement.id));
        }
        // Then it does not count where the feature is on, and has to say so.
        let off = |check: &&Check| {
            let mut needs = protocol.needs(check).into_iter().map(|(need, _)| need);
            needs.find_map(|need| if let Need::Feature(name, "off") = need { Some(name) } else { None })
        };
        let features: Option<Vec<&str>> = checks.iter().map(off).collect();
        let speaks = |name: &str| requirement.text.contains(name) || requirement.text.contains(" without ");
        if let Some(name) = features.unwrap_or_default().iter().find(|name| !speaks(name)) {
            holes.push(format!(
                "every check of {} takes {name} as off, and its text does not speak of that",
                requirement.id
            ));
        }
        if requirement.level != Level::May {
            holes.extend(defect_holes(requirement, &caught));
        }
    }
    for check in protocol.checks() {
        if check.requirements.len() > MOST_REQUIREMENTS {
            holes.push(format!("{} names {} requirements", check.name, check.requirements.len()));
        }
        let area = check.name.split('/').nth(1).unwrap_or_default();
        let own = |id: &str| protocol.requirement(id).is_some_and(|r| r.area() == area);
        if area != "observed" && !check.requirements.iter().any(|id| own(id.as_str())) {
            holes.push(format!("{} stands in the area {area} and names no requirement of it", check.name));
        }
    }
    for area in protocol.awaited {
        let prefix = format!("{}/{area}/", protocol.name);
        let has_check =
            |r: &Requirement| protocol.checks().any(|c| c.requirements.iter().any(|id| id.as_str() == r.id));
        // An area may have its checks of one role and wait for those of the other.
        let mut of_area = protocol.requirements().iter().filter(|r| r.area() == *area);
        let is_whole = of_area.all(|r| r.unobservable.is_some() || has_check(r));
        if is_whole && protocol.checks().any(|c| c.name.starts_with(&prefix)) {
            holes.push(format!("the area {area} has checks and is said to have none yet"));
        }
    }
    holes.extend(
        twice(protocol.checks().map(|c| c.name)).map(|name| format!("the check {name} is there twice")),
    );
    holes.extend(
        twice((protocol.trial.defects)().iter().map(|d| d.id))
            .map(|id| format!("the defect {id} is there twice")),
    );
    holes
}

/// Requirements without a kind whose checks all need a second reader, a wait or a hook: they speak of more than one message.
pub fn without_kind(protocol: &Protocol, honest: &[&Finished]) -> Vec<String> {
    let reads = |name: &str| {
        let events =
            honest.iter().flat_map(|f| &f.checks).filter(|c| c.check.name == name).flat_map(|c| &c.events);
        events.into_iter().any(|e| matches!(&e.what, What::Opened { peer, .. } if peer.starts_with(READER)))
    };
    let elaborate = |check: &Check| {
        let hook = protocol.needs(check).iter().any(|(need, _)| matches!(need, Need::Hook(_)));
        hook || check.waits != Waits::Not || reads(check.name)
    };
    let plain = protocol.requirements().iter().filter(|r| r.kind.is_none());
    plain
        .filter(|r| {
            let mut checks =
                protocol.checks().filter(|c| c.requirements.iter().any(|id| id.as_str() == r.id)).peekable();
            checks.peek().is_some() && checks.all(elaborate)
        })
        .map(|r| {
            format!("{} has no kind, and every check of it needs a reader that waits, a wait or a hook", r.id)
        })
        .collect()
}

fn defect_holes(requirement: &Requirement, caught: &[&Defect]) -> Vec<String> {
    let mut holes = Vec::new();
    let mine: Vec<_> = caught.iter().filter(|d| d.requirement.as_str() == requirement.id).collect();
    if mine.is_empty() {
        holes.push(format!("{} has no defect that is caught", requirement.id));
    }
    if let Some(kind) = requirement.kind
        && mine.iter().all(|d| d.trigger == Trigger::Always)
    {
        let kind = kind.name();
        holes.push(format!("{} is about {kind} and has no caught defect that bites later", requirement.id));
    }
    holes
}

fn twice<'a>(names: impl Iterator<Item = &'a str>) -> impl Iterator<Item = &'a str> {
    let mut seen = BTreeSet::new();
    names.filter(move |name| !seen.insert(*name))
}

/// What the committed matrix of all defects against all checks lacks, and which defect it shows to be wide without a reason.
pub fn matrix_holes(protocol: &Protocol, matrix: &Matrix) -> Vec<String> {
    let mut holes = Vec::new();
    for check in protocol.checks().filter(|c| !matrix.checks.contains(c.name)) {
        holes.push(format!(
            "the check {} is not in the matrix; `wireproof selftest --full` writes it",
            check.name
        ));
    }
    for defect in (protocol.trial.defects)() {
        let Some(red) = matrix.defects.get(defect.id) else {
            holes.push(format!(
                "the defect {} is not in the matrix; `wireproof selftest --full` writes it",
                defect.id
            ));
            continue;
        };
        let related = |name: &str| {
            protocol.checks().any(|c| c.name == name && c.requirements.contains(&defect.requirement))
        };
        let unrelated = red.iter().filter(|name| !related(name)).count();
        if unrelated > MOST_UNRELATED && defect.wide.is_none() {
            holes.push(format!("{} turns {unrelated} unrelated checks red and does not say why", defect.id));
        }
    }
    let known: BTreeSet<&str> = (protocol.trial.defects)().iter().map(|d| d.id).collect();
    let ours = |id: &&String| id.starts_with(&format!("{}/", protocol.name));
    holes.extend(
        matrix
            .defects
            .keys()
            .filter(ours)
            .filter(|id| !known.contains(id.as_str()))
            .map(|id| format!("the matrix speaks of {id}, which is no defect")),
    );
    holes
}

/// Which checks each defect turns red, for all checks: `selftest/matrix.json`.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Matrix {
    /// The checks that were driven.
    pub checks: BTreeSet<String>,
    /// By defect, the checks that ended in fail or warn.
    pub defects: BTreeMap<String, BTreeSet<String>>,
}

impl Matrix {
    /// The one in this file; an empty one if there is no such file.
    ///
    /// # Errors
    /// It cannot be read, or is no matrix.
    pub fn read(path: &Path) -> Result<Self, String> {
        let failed = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
        match std::fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text).map_err(|e| failed(&e)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(failed(&e)),
        }
    }

    /// Takes in a self-test with all checks. What it does not speak of stays, if it is still there.
    pub fn add(&mut self, protocol: &Protocol, red: &BTreeMap<&'static str, Red>) {
        let known: BTreeSet<&str> = (protocol.trial.defects)().iter().map(|d| d.id).collect();
        let is_ours = |id: &str| id.starts_with(&format!("{}/", protocol.name));
        self.defects.retain(|id, _| !is_ours(id) || known.contains(id.as_str()));
        self.checks.retain(|name| !is_ours(name));
        self.checks.extend(protocol.checks().map(|c| c.name.to_owned()));
        self.defects.extend(
            red.iter()
                .map(|(id, red)| ((*id).to_owned(), red.keys().map(|name| (*name).to_owned()).collect())),
        );
    }

    /// The committed one.
    ///
    /// # Errors
    /// It is no such matrix.
    pub fn committed() -> Result<Self, String> {
        serde_json::from_str(include_str!("matrix.json")).map_err(|e| format!("selftest/matrix.json: {e}"))
    }
}
