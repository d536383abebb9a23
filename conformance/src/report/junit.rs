//! The form that continuous integration reads. One class an area; what did not run is skipped, with the reason.

use super::{Check, Outcome, Report, transcript::is_obeyed};
use crate::verdict::Verdict;
use quick_junit::{NonSuccessKind, SerializeError, TestCase, TestCaseStatus, TestSuite};
use std::time::Duration;

/// As text.
///
/// # Errors
/// The writer of XML failed; into memory it does not.
pub fn text(outcome: &Outcome) -> Result<String, SerializeError> {
    let mut all = quick_junit::Report::new("wireproof");
    for report in outcome.runs() {
        all.add_test_suites(suites(report));
    }
    all.to_string()
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
    let mut text = check.transcript.join("\n");
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
