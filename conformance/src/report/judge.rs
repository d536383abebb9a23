//! From what became of checks and requirements to the verdict of the run and its exit code. Pure, and short on purpose: this
//! is where a green comes from.

use crate::{
    exit,
    verdict::{RunVerdict, Status},
};

/// What a verdict is made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Checks that ended in a mistake of ours.
    pub errors: usize,
    /// Checks that ran and said something.
    pub ran: usize,
    /// Checks that passed.
    pub passed: usize,
    /// MUSTs that are violated outside the baseline.
    pub violated: usize,
    /// SHOULDs that are violated outside the baseline.
    pub warned: usize,
    /// Entries of the baseline that no longer fail.
    pub stale: usize,
    /// Each MUST of the core and of every present feature that is neither satisfied nor violated outside the baseline, and
    /// each that was satisfied although the baseline lists that it is broken sometimes.
    pub open: Vec<Open>,
    /// Somebody ended it, or the target could not be reached.
    pub cut_short: bool,
    /// Something on the command line left checks out.
    pub filtered: bool,
    /// Whether a broken SHOULD counts in the exit code.
    pub strict: bool,
}

/// A MUST that was not seen kept, or is known not to be kept always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// What became of it.
    pub status: Status,
    /// The owner gave a reason: in the baseline, or by accepting that it is untestable.
    pub excused: bool,
}

/// The verdict and the exit code.
pub fn judge(facts: &Facts) -> (RunVerdict, u8) {
    let unknown = |open: &Open| open.status == Status::Inconclusive && !open.excused;
    let verdict = if facts.errors > 0 {
        RunVerdict::Error
    } else if facts.violated > 0 {
        RunVerdict::NotConformant
    } else if facts.ran == 0 || facts.passed == 0 || facts.cut_short || facts.open.iter().any(unknown) {
        RunVerdict::Inconclusive
    } else if facts.open.is_empty() {
        RunVerdict::Conformant
    } else {
        RunVerdict::Partial
    };
    let code = match verdict {
        RunVerdict::Error => exit::HARNESS,
        RunVerdict::NotConformant => exit::VIOLATED,
        _ if facts.strict && facts.warned > 0 => exit::VIOLATED,
        _ if facts.stale > 0 => exit::STALE,
        RunVerdict::Inconclusive => exit::UNKNOWN,
        RunVerdict::Partial if facts.filtered || facts.open.iter().all(|open| open.excused) => exit::OK,
        RunVerdict::Partial => exit::UNKNOWN,
        RunVerdict::Conformant => exit::OK,
    };
    (verdict, code)
}

/// Which of two verdicts speaks for both: the greater.
pub fn severity(verdict: RunVerdict) -> u8 {
    match verdict {
        RunVerdict::Conformant => 0,
        RunVerdict::Partial => 1,
        RunVerdict::Inconclusive => 2,
        RunVerdict::NotConformant => 3,
        RunVerdict::Error => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RunVerdict::{Conformant, Error, Inconclusive, NotConformant, Partial};

    fn open(status: Status, excused: bool) -> Vec<Open> {
        vec![Open { status, excused }]
    }

    #[test]
    fn the_table_of_verdicts_and_exit_codes() {
        let ran = || Facts { ran: 3, passed: 1, ..Facts::default() };
        let table = [
            ("everything kept", ran(), (Conformant, 0)),
            ("a MUST broken", Facts { violated: 1, ..ran() }, (NotConformant, 1)),
            ("an error beats a violation", Facts { violated: 1, errors: 1, ..ran() }, (Error, 4)),
            ("a violation beats a stale entry", Facts { violated: 1, stale: 1, ..ran() }, (NotConformant, 1)),
            ("a stale entry", Facts { stale: 1, ..ran() }, (Conformant, 5)),
            (
                "a stale entry beats partial",
                Facts { stale: 1, open: open(Status::Untestable, false), ..ran() },
                (Partial, 5),
            ),
            ("a SHOULD broken", Facts { warned: 1, ..ran() }, (Conformant, 0)),
            ("a SHOULD broken, strictly", Facts { warned: 1, strict: true, ..ran() }, (Conformant, 1)),
            ("strict, nothing broken", Facts { strict: true, ..ran() }, (Conformant, 0)),
            ("untestable", Facts { open: open(Status::Untestable, false), ..ran() }, (Partial, 3)),
            (
                "untestable and accepted",
                Facts { open: open(Status::Untestable, true), ..ran() },
                (Partial, 0),
            ),
            ("violated and known", Facts { open: open(Status::Violated, true), ..ran() }, (Partial, 0)),
            (
                "stopped by something known",
                Facts { open: open(Status::Inconclusive, true), ..ran() },
                (Partial, 0),
            ),
            (
                "core that no check could look at",
                Facts { open: open(Status::NotApplicable, false), ..ran() },
                (Partial, 3),
            ),
            ("no check at all", Facts { open: open(Status::NotSelected, false), ..ran() }, (Partial, 3)),
            (
                "filtered",
                Facts { filtered: true, open: open(Status::NotSelected, false), ..ran() },
                (Partial, 0),
            ),
            ("inconclusive", Facts { open: open(Status::Inconclusive, false), ..ran() }, (Inconclusive, 3)),
            (
                "a filter does not excuse what ran and could not say",
                Facts { filtered: true, open: open(Status::Inconclusive, false), ..ran() },
                (Inconclusive, 3),
            ),
            ("nothing ran", Facts::default(), (Inconclusive, 3)),
            (
                "everything that ran is excused",
                Facts { passed: 0, open: open(Status::Violated, true), ..ran() },
                (Inconclusive, 3),
            ),
            (
                "a filter that matched nothing",
                Facts { filtered: true, ..Facts::default() },
                (Inconclusive, 3),
            ),
            ("interrupted or unreachable", Facts { cut_short: true, ..ran() }, (Inconclusive, 3)),
            (
                "interrupted after a violation",
                Facts { cut_short: true, violated: 1, ..ran() },
                (NotConformant, 1),
            ),
        ];
        for (name, facts, expected) in table {
            assert_eq!(judge(&facts), expected, "{name}");
        }
    }

    #[test]
    fn of_several_runs_the_worst_speaks() {
        assert_eq!(exit::worst([0, 3, 5]), 5);
        assert_eq!(exit::worst([5, 1, 0]), 1);
        assert_eq!(exit::worst([1, 4]), 4);
        assert_eq!(exit::worst([]), 3);
    }
}
