//! What the owner of a target knows and accepts: failures that are known, each with a reason, and checks that cannot be
//! driven, each with a reason.

mod document;

pub use document::Document;

use crate::{
    protocol::Protocol,
    report::{KnownFailure, Otherwise},
    run::Checked,
};
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::Deserialize;
use std::{collections::BTreeMap, path::Path};

/// What the owner knows and accepts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Baseline {
    /// Failures that are known.
    pub known: Vec<KnownFailure>,
    /// Those whose day is over: they excuse nothing. [`Baseline::on`] sorts them out.
    pub expired: Vec<KnownFailure>,
    /// Untestable checks, and why that is accepted.
    pub accepted: BTreeMap<String, String>,
}

/// The last day of an entry, if it has one and it is a day.
fn expiry(entry: &KnownFailure) -> Option<NaiveDate> {
    let day = entry.expires.as_deref()?;
    NaiveDate::parse_from_str(day, "%Y-%m-%d").ok().filter(|found| found.to_string() == day)
}

/// The ways in which a check found broken what this entry lists, and which the entry does not know.
fn unlisted(entry: &KnownFailure, checked: &Checked) -> Vec<String> {
    let seen = checked.frames.get(&entry.requirement).filter(|_| !entry.any_frame);
    let is_new = |frame: &&String| !entry.frames().contains(frame);
    seen.into_iter().flatten().filter(is_new).cloned().collect()
}

/// The file of a baseline.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// Failures that are known.
    #[serde(default)]
    known: Vec<KnownFailure>,
}

impl Baseline {
    /// Reads the known failures from a file.
    ///
    /// # Errors
    /// A sentence with the file, the line and what to do.
    pub fn read(path: &Path, protocol: &Protocol) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| {
                let file = path.display();
                format!("the baseline {file} cannot be read: {e}; `wireproof baseline write` makes one, once no file names it")
            })?;
        Self::parse(&text, path, protocol)
    }

    /// Reads the text of a baseline that is at this path.
    pub(crate) fn parse(text: &str, path: &Path, protocol: &Protocol) -> Result<Self, String> {
        let file = path.display();
        let read: File = toml::from_str(text).map_err(|e| format!("the baseline {file}: {e}"))?;
        for entry in &read.known {
            let (check, requirement) = (&entry.check, &entry.requirement);
            let said =
                |what: &str| format!("the baseline {file} lists {check} with {requirement}, but {what}");
            if entry.reason.trim().is_empty() {
                return Err(said("gives no reason; say in `reason` why the failure is known and left so"));
            }
            if entry.sometimes.as_ref().is_some_and(|s| s.trim().is_empty()) {
                return Err(said(
                    "gives no reason in `sometimes`; say what it depends on, or take the key out",
                ));
            }
            if let Some(day) = entry.expires.as_deref()
                && expiry(entry).is_none()
            {
                return Err(said(&format!("`expires` is no day: `{day}`; write one as in \"2026-12-31\"")));
            }
            let Some(found) = protocol.checks().find(|c| c.name == check) else {
                return Err(said("the suite has no such check; `wireproof list checks` shows what it has"));
            };
            if !found.requirements.iter().any(|id| id.as_str() == requirement) {
                let names: Vec<&str> = found.requirements.iter().map(|id| id.as_str()).collect();
                return Err(said(&format!("that check is about {}", names.join(", "))));
            }
            if !entry.any_frame && entry.frames().iter().all(|frame| frame.trim().is_empty()) {
                return Err(said(
                    "does not say in `frame` how it fails: take the entry out and let `wireproof baseline write` add it, or \
                     write `any-frame = true` if it fails otherwise each time",
                ));
            }
        }
        Ok(Self { known: read.known, ..Self::default() })
    }

    /// The entry for this check and requirement.
    pub fn entry(&self, check: &str, requirement: &str) -> Option<&KnownFailure> {
        self.known.iter().find(|k| k.check == check && k.requirement == requirement)
    }

    /// As it is on this day: what has expired excuses nothing. Without a day nothing expires.
    #[must_use]
    pub fn on(mut self, day: Option<NaiveDate>) -> Self {
        let is_over =
            |entry: &KnownFailure| day.is_some_and(|day| expiry(entry).is_some_and(|end| day > end));
        self.expired.extend(self.known.extract_if(.., |entry| is_over(entry)));
        self
    }

    /// Every entry, expired or not.
    pub fn entries(&self) -> impl Iterator<Item = &KnownFailure> {
        self.known.iter().chain(&self.expired)
    }

    /// The entry that excuses that this check found this requirement broken: it fails in no other way than is listed.
    pub fn excused(&self, checked: &Checked, requirement: &str) -> Option<&KnownFailure> {
        let entry = self.entry(checked.check.name, requirement)?;
        unlisted(entry, checked).is_empty().then_some(entry)
    }

    /// Whether everything that a check found broken is listed: then what it did not come to is explained by that.
    pub fn excuses(&self, checked: &Checked) -> bool {
        let broken = checked.broken();
        !broken.is_empty() && broken.iter().all(|id| self.excused(checked, id).is_some())
    }

    /// What a check found broken that is listed, but in another way.
    pub fn otherwise(&self, checked: &Checked) -> Vec<Otherwise> {
        let broken = checked.broken();
        let listed = broken.iter().filter_map(|id| self.entry(checked.check.name, id));
        listed
            .map(|entry| Otherwise {
                requirement: entry.requirement.clone(),
                reason: entry.reason.clone(),
                was: entry.frames().to_vec(),
                is: unlisted(entry, checked),
            })
            .filter(|other| !other.is.is_empty())
            .collect()
    }

    /// The entry of any of these checks for this requirement: whoever stands on it stands on something known to be broken. One
    /// whose own check fails otherwise says nothing about others.
    pub fn about(&self, requirement: &str, checks: &[Checked]) -> Option<&KnownFailure> {
        self.known.iter().filter(|entry| entry.requirement == requirement).find(|entry| {
            let own = checks.iter().find(|c| c.check.name == entry.check);
            own.is_none_or(|own| {
                !own.broken().contains(requirement) || self.excused(own, requirement).is_some()
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(expires: &str) -> Result<Baseline, String> {
        let protocol = crate::PROTOCOLS[0];
        let check = protocol.checks().next().ok_or("no check")?;
        let (name, requirement) = (check.name, check.requirements[0]);
        let text = format!(
            "[[known]]\ncheck = \"{name}\"\nrequirement = \"{requirement}\"\nreason = \"old\"\nframe = \"f\"\nexpires = {expires}\n"
        );
        Baseline::parse(&text, Path::new("known.toml"), protocol)
    }

    #[test]
    fn an_entry_excuses_to_the_end_of_its_last_day() {
        let baseline = read("\"2026-12-31\"").unwrap_or_else(|e| panic!("{e}"));
        let day = |text: &str| text.parse::<NaiveDate>().ok();
        for (on, known) in [(None, 1), (day("2026-12-30"), 1), (day("2026-12-31"), 1), (day("2027-01-01"), 0)]
        {
            let then = baseline.clone().on(on);
            assert_eq!((then.known.len(), then.expired.len()), (known, 1 - known), "{on:?}");
            assert_eq!(then.entries().count(), 1);
        }
    }

    #[test]
    fn a_day_is_written_in_one_way() {
        for wrong in ["\"2026-2-3\"", "\"2026-02-30\"", "\"31.12.2026\"", "\"soon\"", "\"\"", "2026-12-31"] {
            let Err(why) = read(wrong) else { panic!("{wrong} is no day") };
            assert!(why.contains("expires"), "{why}");
        }
    }
}
