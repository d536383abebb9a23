//! The form that continuous integration reads. One class an area; what did not run is skipped, with the reason. The verdict of
//! the run is a case by itself: skipped checks alone would look like a green.

use super::{
    Check, Outcome, Report,
    terminal::{how_many, told_otherwise},
    transcript::is_obeyed,
};
use crate::{exit, verdict::Verdict};
use quick_junit::{NonSuccessKind, Property, SerializeError, TestCase, TestCaseStatus, TestSuite};
use std::time::Duration;

/// As text.
///
/// # Errors
/// The writer of XML failed; into memory it does not.
pub fn text(outcome: &Outcome) -> Result<String, SerializeError> {
    let mut all = quick_junit::Report::new("wireproof");
    for report in outcome.runs() {
        all.add_test_suite(whole(report));
        all.add_test_suites(suites(report));
    }
    all.to_string()
}

/// The verdict of the run, and what it was found under.
fn whole(report: &Report) -> TestSuite {
    let name = format!("{}.run", report.suite.protocol);
    let mut case = TestCase::new(format!("{}/verdict", report.suite.protocol), whole_status(report));
    case.set_classname(name.as_str());
    case.set_time(Duration::from_millis(report.settings.duration_ms));
    let mut suite = TestSuite::new(name);
    let implementation = report.target.implementation.as_ref();
    let properties = [
        ("target", Some(report.target.url.clone())),
        ("implementation", implementation.map(|i| format!("{} {}", i.name, i.version))),
        ("verdict", Some(report.verdict.name().to_owned())),
        ("exit code", Some(report.exit_code.to_string())),
        ("suite", Some(format!("{} {}", report.suite.name, report.suite.version))),
        ("requirements", Some(report.suite.requirements_digest.clone())),
        ("seed", Some(report.settings.seed.to_string())),
        ("filters", Some(report.settings.filters.join(", ")).filter(|filters| !filters.is_empty())),
    ];
    for (name, value) in properties {
        suite.properties.extend(value.map(|value| Property::new(name, xml(&value))));
    }
    suite.add_test_case(case);
    suite
}

fn whole_status(report: &Report) -> TestCaseStatus {
    let kind = match report.exit_code {
        exit::OK => return TestCaseStatus::success(),
        exit::VIOLATED => NonSuccessKind::Failure,
        _ => NonSuccessKind::Error,
    };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(report.verdict.name());
    status.set_message(xml(&format!("{}: {}", report.verdict.name(), how_many(report))));
    let mut more: Vec<String> = report.unreachable.iter().cloned().collect();
    more.extend(report.interrupted.then(|| "the run was interrupted".to_owned()));
    more.extend(report.baseline.stale.iter().map(|entry| {
        format!("the baseline is stale: {} with {} no longer fails", entry.check, entry.requirement)
    }));
    status.set_description(xml(&more.join("\n")));
    status
}

fn suites(report: &Report) -> Vec<TestSuite> {
    let mut suites: Vec<TestSuite> = Vec::new();
    for check in &report.checks {
        let class = class(&check.id);
        let mut case = TestCase::new(check.id.as_str(), status(check, report.settings.strict));
        case.set_classname(class.as_str());
        case.set_time(Duration::from_millis(check.duration_ms));
        if check.verdict == Verdict::Warn {
            case.set_system_out(xml(&format!("warning: {}", check.message.as_deref().unwrap_or_default())));
        }
        match suites.iter_mut().find(|s| s.name.as_str() == class) {
            Some(suite) => suite.add_test_case(case),
            None => {
                let mut suite = TestSuite::new(class);
                suite.add_test_case(case);
                suites.push(suite);
                continue;
            }
        };
    }
    suites
}

/// `stream.append` of `stream/append/empty-body`.
fn class(check: &str) -> String {
    let area: Vec<&str> = check.split('/').take(2).collect();
    area.join(".")
}

fn status(check: &Check, strict: bool) -> TestCaseStatus {
    let kind = match check.verdict {
        Verdict::Pass => return TestCaseStatus::success(),
        Verdict::Untestable | Verdict::NotApplicable | Verdict::NotSelected => {
            return skipped(check.verdict.name(), check);
        }
        _ if check.baselined => return skipped("baselined", check),
        Verdict::Warn if !strict => return TestCaseStatus::success(),
        Verdict::Fail | Verdict::Warn => NonSuccessKind::Failure,
        // Not seen is not passed: whoever reads only this file has to see it.
        Verdict::Inconclusive | Verdict::Error => NonSuccessKind::Error,
    };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(check.verdict.name());
    status.set_message(xml(check.message.as_deref().unwrap_or_default()));
    let mut text: String =
        check.otherwise.iter().map(|other| format!("{}\n\n", told_otherwise(check, other))).collect();
    text += &check.transcript.join("\n");
    text += &format!("\n\nagain: {}", check.repro.command);
    if let Some(curl) = &check.repro.curl {
        text += &format!("\ncurl:  {curl}");
    }
    status.set_description(xml(&text));
    status
}

fn skipped(word: &str, check: &Check) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_type(word);
    let reason = check.accepted.as_ref().or(check.message.as_ref()).cloned().unwrap_or_default();
    status.set_message(xml(&format!("{word}: {reason}")));
    status
}

/// Text that an XML document may hold (XML 1.0, section 2.2) and that a terminal, where these files end up, does not obey. The
/// writer would leave out some of the rest without a word, and write what remains.
fn xml(text: &str) -> String {
    let harmless = |c: char| c == '\n' || !is_obeyed(c) && !matches!(c, '\u{fffe}' | '\u{ffff}');
    text.chars().map(|c| if harmless(c) { c } else { '\u{fffd}' }).collect()
}

#[cfg(test)]
mod tests {
    use super::xml;

    #[test]
    fn what_xml_forbids_or_a_terminal_obeys_is_replaced() {
        assert_eq!(xml("a\n<é>\u{10000}"), "a\n<é>\u{10000}");
        for c in ['\0', '\t', '\r', '\u{1b}', '\u{7f}', '\u{9b}', '\u{202e}', '\u{fffe}', '\u{ffff}'] {
            assert_eq!(xml(&format!("a{c}b")), "a\u{fffd}b", "{c:?}");
        }
    }
}
