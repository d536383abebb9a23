//! Which checks run, and why the others do not.

use super::Settings;
use crate::{
    check::{Check, Need, Waits},
    protocol::Protocol,
    target::{Features, Target},
    verdict::Verdict,
};
use globset::{Glob, GlobSet, GlobSetBuilder};
use wireproof_spec::requirement::Level;

/// What is to become of a check before it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// It runs.
    Runs,
    /// It does not, with this verdict and the reason.
    Not(Verdict, String),
}

/// Decides for one check.
pub fn choose(
    protocol: &Protocol,
    check: &Check,
    target: &Target,
    features: &Features,
    settings: &Settings,
) -> Choice {
    let role = target.role();
    if protocol.role(check) != role {
        return Choice::Not(Verdict::NotApplicable, format!("the target is a {}", role.name()));
    }
    if let Some(why) = filtered(protocol, check, features, settings) {
        return Choice::Not(Verdict::NotSelected, why);
    }
    for (need, _) in protocol.needs(check) {
        let is_there = match need {
            Need::Feature(name, value) if !features.is(name, value) => {
                return Choice::Not(Verdict::NotApplicable, format!("{name} is not {value}"));
            }
            Need::Feature(..) => true,
            Need::Hook(hook) => target.offers(hook),
            Need::Limit(name) => features.limit(name).is_some(),
            Need::AtLeast(name, least) => features.limit(name).is_none_or(|limit| limit >= least),
            Need::Second => !target.reach().second.is_empty(),
            Need::Stimulus(name) => target.stimulates(name),
            Need::Program => target.is_program(),
            Need::Address => target.reach().way.is_loopback(),
        };
        if !is_there && let Some(what) = need.supplied_by() {
            return Choice::Not(Verdict::Untestable, format!("it takes {what}"));
        }
    }
    Choice::Runs
}

fn filtered(protocol: &Protocol, check: &Check, features: &Features, settings: &Settings) -> Option<String> {
    if let Some(names) = &settings.names
        && !names.contains(check.name)
    {
        return Some("not asked for".into());
    }
    if let Some(only) = &settings.only {
        let by_requirement = |id: &str| {
            let feature = protocol.requirement(id).and_then(|r| r.feature.clone());
            only.is_match(id) || feature.is_some_and(|f| only.is_match(f))
        };
        if !only.is_match(check.name) && !check.requirements.iter().any(|id| by_requirement(id.as_str())) {
            return Some("not matched by --only".into());
        }
    }
    if let Some(level) = settings.level {
        let levels = check.requirements.iter().filter_map(|id| protocol.level(id.as_str()));
        if levels.min().unwrap_or(Level::May) > level {
            return Some(format!("below --level {}", level.name()));
        }
    }
    let length = match check.waits {
        Waits::Limit(name, times) => match features.limit(name).map(|ms| ms.saturating_mul(times.into())) {
            Some(ms) if ms <= FAST_MS => None,
            Some(ms) => Some(format!("about {ms} ms")),
            None => Some(format!("{name}, which is not known")),
        },
        Waits::Millis(ms) if u64::from(ms) > FAST_MS => Some(format!("about {ms} ms")),
        Waits::Millis(_) | Waits::Not => None,
    };
    length.filter(|_| settings.fast).map(|length| format!("--tier fast: it waits for {length}"))
}

/// How long a check of the fast tier may have to wait, in milliseconds.
pub const FAST_MS: u64 = 1_200;

/// Patterns as one set; none if there is no pattern. `*` does not stop at a slash: `stream/*` is every check of stream.
///
/// # Errors
/// A pattern that is none.
pub fn globs(patterns: &[String]) -> Result<Option<GlobSet>, String> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = Glob::new(pattern).map_err(|e| {
            format!("`{pattern}` is no pattern ({}); give one as in 'stream/append/*'", e.kind())
        })?;
        set.add(glob);
    }
    set.build().map(Some).map_err(|e| e.to_string())
}
