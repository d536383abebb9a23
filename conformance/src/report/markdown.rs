//! The form for the summary of a CI job, in Markdown as GitHub and GitLab read it. Bounded: a summary may have a mebibyte.

use super::{
    Check, Outcome, Report,
    terminal::{counted, explained, how_many, notices, told_otherwise, unknown},
    transcript::{clean, is_obeyed},
};
use crate::verdict::Verdict;
use std::fmt::Write;

/// What the whole may take, in bytes, a little less than what GitHub takes.
const ROOM: usize = 900_000;
/// Which part of it the tables may take: one line each is worth more than the details of a few.
const TABLES: usize = ROOM / 3;
/// Of how many checks it tells what went over the wire: whoever has more to look at takes the page.
const DETAILED: usize = 8;
/// The longest text in a cell, in characters.
const CELL: usize = 300;
/// The longest line in a block of code, in characters.
const LINE: usize = 2_000;

/// The whole summary.
pub fn text(outcome: &Outcome) -> String {
    let runs = outcome.runs();
    let share = |room: usize| room / runs.len().max(1);
    let mut page = String::new();
    for report in runs {
        let mut out = Summary { text: String::new(), tables: share(TABLES), room: share(ROOM) };
        out.report(report);
        page += &out.text;
    }
    page
}

struct Summary {
    text: String,
    /// Up to how many bytes tables and lists may grow.
    tables: usize,
    /// Up to how many bytes it may grow.
    room: usize,
}

impl Summary {
    fn report(&mut self, report: &Report) {
        self.head(report);
        let of = |verdict: Verdict| -> Vec<&Check> {
            report.checks.iter().filter(|c| c.verdict == verdict && !c.baselined).collect()
        };
        let told = [
            ("Failed: a MUST is broken", of(Verdict::Fail)),
            ("Errors: mistakes of this suite, please report them", of(Verdict::Error)),
            ("Warned: a SHOULD is broken", of(Verdict::Warn)),
            ("Inconclusive: nobody knows", unknown(report).collect()),
        ];
        for (title, checks) in told.iter().filter(|(_, checks)| !checks.is_empty()) {
            self.add(&format!("### {title}\n\n"));
            self.table(report, checks);
        }
        self.untestable(of(Verdict::Untestable));
        self.baseline(report);
        let all: Vec<&Check> = told.into_iter().flat_map(|(_, checks)| checks).collect();
        if !all.is_empty() {
            self.add("### What went over the wire\n\n");
            let (told, others) = all.split_at(all.len().min(DETAILED));
            self.listed(self.room, told, |check| details(report, check));
            if !others.is_empty() {
                self.add(&format!("{} more in report.html, and in the output of the run.\n\n", others.len()));
            }
        }
    }

    fn add(&mut self, text: &str) {
        self.text += text;
    }

    /// As many of these as there is room for, and how many more there are.
    fn listed<T>(&mut self, room: usize, all: &[T], shown: impl Fn(&T) -> String) {
        /// For what says that something is left out.
        const SAID: usize = 200;
        for (index, one) in all.iter().enumerate() {
            let text = shown(one);
            if self.text.len() + text.len() + SAID > room {
                let more = all.len() - index;
                self.add(&format!("\n{more} more: there is no room for them here, report.html has them.\n"));
                break;
            }
            self.add(&text);
        }
        self.add("\n");
    }

    fn head(&mut self, report: &Report) {
        let (protocol, verdict) = (&report.suite.protocol, report.verdict.name());
        let mut head = format!("## wireproof, {protocol}: {verdict}\n\n{}.\n\n", how_many(report));
        for notice in notices(report) {
            head += &format!("**{}**\n\n", told(&notice));
        }
        let counts = report.counts;
        head += &format!("Target {} ({} of {protocol})", told(&report.target.url), report.target.role);
        if let Some(implementation) = &report.target.implementation {
            head += &format!(", {} {}", told(&implementation.name), told(&implementation.version));
        }
        head += &format!("; exit code {}.\n\n", report.exit_code);
        if !report.settings.filters.is_empty() {
            head += &format!("Only {}.\n\n", told(&report.settings.filters.join(", ")));
        }
        head += "| checks | |\n|---|---:|\n";
        for verdict in Verdict::ALL.into_iter().filter(|v| counts.of(*v) > 0) {
            head += &format!("| {verdict} | {} |\n", counts.of(verdict));
        }
        if counts.baselined > 0 {
            head += &format!("| of them known in the baseline | {} |\n", counts.baselined);
        }
        self.add(&(head + "\n"));
    }

    fn table(&mut self, report: &Report, checks: &[&Check]) {
        self.add("| requirement | check | expected | came |\n|---|---|---|---|\n");
        let row = |check: &&Check| {
            let decided = check.decided_by.clone().unwrap_or_else(|| check.requirements.join(", "));
            let level = report.requirements.iter().find(|r| r.id == decided).map(|r| r.level.to_uppercase());
            let level = level.map(|level| format!(" ({level})")).unwrap_or_default();
            let came = check.actual.as_ref().or(check.message.as_ref()).map(|text| told(text));
            let expected: Vec<String> = check.expected.iter().map(|text| told(text)).collect();
            format!(
                "| {decided}{level} | {} | {} | {} |\n",
                told(&check.id),
                expected.join(" or "),
                came.unwrap_or_default()
            )
        };
        self.listed(self.tables, checks, row);
    }

    fn untestable(&mut self, checks: Vec<&Check>) {
        if checks.is_empty() {
            return;
        }
        self.add("### Untestable: the target offers no way to drive it\n\n");
        let reasons = explained(checks.into_iter());
        self.listed(self.tables, &reasons, |(why, ids)| {
            let ids: Vec<String> = ids.iter().map(|id| told(id)).collect();
            format!("- {}: {}\n", told(why), ids.join(", "))
        });
    }

    fn baseline(&mut self, report: &Report) {
        let known = &report.baseline;
        if known.listed.is_empty() {
            return;
        }
        self.add(&format!("### Baseline: {}\n\n", counted(known)));
        self.listed(self.tables, &known.stale, |entry| {
            let (check, requirement) = (told(&entry.check), told(&entry.requirement));
            format!("- stale: {check} with {requirement} no longer fails; remove the entry\n")
        });
        self.listed(self.tables, &known.expired, |entry| {
            let (check, requirement) = (told(&entry.check), told(&entry.requirement));
            let until = told(entry.expires.as_deref().unwrap_or_default());
            format!("- expired: {check} with {requirement} was excused until {until}\n")
        });
        let seen: Vec<&Check> = report.checks.iter().filter(|c| c.baselined).collect();
        self.listed(self.tables, &seen, |check| {
            let reason = told(check.accepted.as_deref().unwrap_or_default());
            format!("- {}: {}: {reason}\n", check.verdict, told(&check.id))
        });
    }
}

/// A block that is folded until somebody opens it.
fn details(report: &Report, check: &Check) -> String {
    let mut out = format!("<details><summary>{} {}</summary>\n\n", check.verdict, told(&check.id));
    let decided = check.decided_by.as_ref().and_then(|id| report.requirements.iter().find(|r| r.id == *id));
    if let Some(r) = decided {
        let level = r.level.to_uppercase();
        out += &format!("**{}** ({level}, {}.md, section {})\n\n", r.id, report.suite.protocol, r.section);
        out += &format!("> {}\n\n", escaped(&r.text, LINE));
    }
    if let Some(message) = &check.message {
        out += &format!("{}\n\n", told(message));
    }
    if let Some(excused) = report.excused_before(check) {
        out += &format!("{}\n\n", told(&excused));
    }
    for other in &check.otherwise {
        out += &format!("{}\n\n", told(&told_otherwise(check, other)));
    }
    out += &fenced("text", &check.transcript);
    let mut again = vec![check.repro.command.clone()];
    again.extend(check.repro.curl.clone());
    out += "Again, and the deciding request:\n\n";
    out += &fenced("sh", &again);
    out + "</details>\n\n"
}

/// A block of code that nothing in it can end.
fn fenced(language: &str, lines: &[String]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| clean(&cut(line))).collect();
    let (mut longest, mut run) = (0, 0);
    for c in lines.iter().flat_map(|line| line.chars()) {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{language}\n{}\n{fence}\n\n", lines.join("\n"))
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(LINE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// What somebody else said, as code: nobody is called by their name in it.
fn told(text: &str) -> String {
    format!("<code>{}</code>", escaped(text, CELL))
}

/// Text in which nothing is markup: a character reference never is.
fn escaped(text: &str, most: usize) -> String {
    const PLAIN: &str = " /,-()=;";
    let mut out = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == most {
            out.push('…');
            break;
        }
        if is_obeyed(c) {
            out += &escaped(&c.escape_default().to_string(), usize::MAX);
        } else if c.is_ascii_punctuation() && !PLAIN.contains(c) {
            // Writing to a string does not fail.
            let _ = write!(out, "&#{};", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{fenced, told};

    #[test]
    fn nothing_that_was_said_is_markup() {
        let said = "</code>|`[x](y)`\n# @all www.a.b \u{202e}<img>";
        let expected = "<code>&#60;/code&#62;&#124;&#96;&#91;x&#93;(y)&#96;&#92;n&#35; &#64;all www&#46;a&#46;b \
                        &#92;u&#123;202e&#125;&#60;img&#62;</code>";
        assert_eq!(told(said), expected);
        let lines = ["a\n```\n</details>".to_owned(), "````".to_owned()];
        assert_eq!(fenced("text", &lines), "`````text\na\u{fffd}```\u{fffd}</details>\n````\n`````\n\n");
    }
}
