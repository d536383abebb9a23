//! The form that people open in a browser: one page that needs no network. What failed comes first, each with a picture of what
//! went over the wire.
//!
//! Everything that a target said goes through `Told`, and no script but our own may run. The page is bounded: the more
//! failures there are, the less of each transcript it shows.

mod failure;
mod told;

use super::{
    Check, Outcome, Report, Requirement,
    terminal::{by_verdict, counted, explained, how_many, notices, unknown},
};
use crate::verdict::{RunVerdict, Status, Verdict};
use base64::{Engine, engine::general_purpose::STANDARD};
use failure::Degree;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};
use told::Told;

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");

/// What the pictures and transcripts of all failures may take together, in bytes.
const ROOM: usize = 3_000_000;
/// The most that one may take.
const ROOM_OF_ONE: usize = 200_000;
/// How many failures show their timeline without being asked.
const OPEN: usize = 5;

/// Where the sentences of the specification can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// A site with a page for each protocol, `stream.html`, on which the ids of requirements in lower case are anchors. Otherwise
    /// the repository of this suite, if its packages name one; otherwise nothing is linked.
    pub site: Option<String>,
}

impl Links {
    fn clause(&self, protocol: &str, requirement: &Requirement) -> Option<String> {
        if let Some(site) = &self.site {
            let (site, id) = (site.trim_end_matches('/'), requirement.id.to_lowercase());
            return Some(format!("{site}/{protocol}.html#{id}"));
        }
        let repository = Some(env!("CARGO_PKG_REPOSITORY")).filter(|url| !url.is_empty())?;
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let section = requirement.section.to_lowercase().chars().filter(kept).collect::<String>();
        Some(format!("{repository}/blob/main/spec/{protocol}.md#{}", section.replace(' ', "-")))
    }
}

/// The whole page.
pub fn text(outcome: &Outcome, links: &Links) -> String {
    let runs = outcome.runs();
    let title = title(outcome);
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        STANDARD.encode(Sha256::digest(SCRIPT))
    );
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { "Skip to the results" }
                header {
                    p.brand { "wireproof" }
                    h1 { (title) }
                    @match runs {
                        [one] => (head(one)),
                        many => ul.runs {
                            @for run in many {
                                li { a href={ "#" (run.suite.protocol) } { (run.suite.protocol) } ": "
                                    (badge(run.verdict)) " " (how_many(run)) }
                            }
                        },
                    }
                }
                main #main {
                    (filter(outcome))
                    @match runs {
                        [one] => (run(one, links, 2)),
                        many => @for one in many {
                            section.run id=(one.suite.protocol) {
                                h2 { (one.suite.protocol) ": " (one.verdict.name()) }
                                (head(one))
                                (run(one, links, 3))
                            }
                        },
                    }
                }
                footer { p {
                    "Made by wireproof " (runs.first().map_or("", |r| r.suite.version.as_str()))
                    ". The whole of what went over the wire is in events.jsonl, the machine form in result.json."
                } }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

fn title(outcome: &Outcome) -> String {
    match outcome {
        Outcome::One(one) => format!("{}: {}", one.suite.protocol, one.verdict.name()),
        Outcome::Many(many) => format!("{} protocols: {}", many.runs.len(), many.verdict.name()),
    }
}

fn badge(verdict: RunVerdict) -> Markup {
    html! { span.badge data-run=(verdict.name()) { (verdict.name()) } }
}

/// A heading of this level.
fn heading(level: u8, id: Option<&str>, text: &str) -> Markup {
    let id = id.map(|id| format!(" id=\"{id}\"")).unwrap_or_default();
    PreEscaped(format!("<h{level}{id}>{}</h{level}>", html! { (text) }.into_string()))
}

/// The verdict and what it was found under.
fn head(report: &Report) -> Markup {
    let settings = &report.settings;
    html! {
        p.verdict { (badge(report.verdict)) " " (how_many(report)) }
        @for notice in notices(report) {
            p.notice { (Told::line(&notice)) }
        }
        dl.facts {
            dt { "Target" }
            dd { code { (Told::line(&report.target.url)) } " (" (report.target.role) " of " (report.suite.protocol) ")" }
            @if let Some(implementation) = &report.target.implementation {
                dt { "Implementation" }
                dd { (Told::line(&implementation.name)) " " (Told::line(&implementation.version)) }
            }
            dt { "Checks" } dd { (by_verdict(report.counts)) }
            dt { "Exit code" } dd { (report.exit_code) }
            @if !settings.filters.is_empty() {
                dt { "Filters" } dd { (Told::line(&settings.filters.join(", "))) }
            }
        }
        details {
            summary { "Features and settings" }
            dl.facts {
                @for feature in &report.features {
                    dt { (Told::line(&feature.name)) }
                    dd { (Told::line(&feature.value)) " (" (format!("{:?}", feature.source).to_lowercase()) ")" }
                }
            }
            dl.facts {
                dt { "Seed" } dd { (settings.seed) }
                dt { "Checks at once" } dd { (settings.jobs) }
                @if let Some(rate) = settings.rate { dt { "Requests a second" } dd { "at most " (rate) } }
                dt { "Time scale" } dd { (settings.time_scale) }
                @if let Some(ms) = settings.round_trip_ms { dt { "Round trip" } dd { (ms) " ms" } }
                dt { "Duration" } dd { (settings.duration_ms) " ms" }
                @if settings.restarts > 0 {
                    dt { "Restarts" } dd { (settings.restarts) ", " (settings.restarts_ms) " ms of it" }
                }
                dt { "Strict" } dd { @if settings.strict { "yes: a broken SHOULD counts" } @else { "no" } }
                @for (name, ms) in &settings.waits_ms { dt { "Wait: " (name) } dd { (ms) " ms" } }
                dt { "Suite" } dd { (report.suite.name) " " (report.suite.version) }
                dt { "Requirements" } dd { code { (report.suite.requirements_digest) } }
            }
        }
    }
}

/// Hidden until the script is there: without it everything is shown.
fn filter(outcome: &Outcome) -> Markup {
    let count = |v: Verdict| outcome.runs().iter().map(|run| run.counts.of(v)).sum::<usize>();
    html! {
        form #filter role="search" hidden {
            fieldset {
                legend { "Show checks that" }
                @for verdict in Verdict::ALL.into_iter().filter(|v| count(*v) > 0) {
                    label { input type="checkbox" name="verdict" value=(verdict.name()) checked; " "
                        (verdict.name()) " (" (count(verdict)) ")" }
                }
            }
            label for="find" { "Name contains" }
            input #find type="search" autocomplete="off";
            p #found role="status" {}
        }
    }
}

fn run(report: &Report, links: &Links, level: u8) -> Markup {
    let of = |verdict: Verdict| -> Vec<&Check> {
        report.checks.iter().filter(|c| c.verdict == verdict && !c.baselined).collect()
    };
    let known: Vec<&Check> = report.checks.iter().filter(|c| c.baselined).collect();
    let told = [
        ("failed", "Failed: a MUST is broken", of(Verdict::Fail)),
        ("errors", "Errors: mistakes of this suite, please report them", of(Verdict::Error)),
        ("warned", "Warned: a SHOULD is broken", of(Verdict::Warn)),
        ("inconclusive", "Inconclusive: nobody knows", unknown(report).collect()),
    ];
    let untestable = of(Verdict::Untestable);
    let listed = !report.baseline.listed.is_empty();
    let shown = told.iter().map(|(_, _, checks)| checks.len()).sum::<usize>() + known.len();
    let room = (ROOM / shown.max(1)).min(ROOM_OF_ONE);
    let id = |name: &str| format!("{}-{name}", report.suite.protocol);
    let mut open = OPEN;
    let mut one = |check: &Check, level: u8| {
        open = open.saturating_sub(1);
        failure::article(check, report, links, level, Degree { room, open: open > 0 && !check.baselined })
    };
    html! {
        nav aria-label={ "Parts of the report on " (report.suite.protocol) } { ul {
            @for (name, title, checks) in told.iter().filter(|(_, _, checks)| !checks.is_empty()) {
                li { a href={ "#" (id(name)) } { (short(title)) " (" (checks.len()) ")" } }
            }
            @if !untestable.is_empty() { li { a href={ "#" (id("untestable")) } { "Untestable (" (untestable.len()) ")" } } }
            @if listed { li { a href={ "#" (id("baseline")) } { "Baseline (" (report.baseline.listed.len()) ")" } } }
            li { a href={ "#" (id("requirements")) } { "Requirements (" (report.requirements.len()) ")" } }
            li { a href={ "#" (id("checks")) } { "All checks (" (report.checks.len()) ")" } }
        } }
        @for (name, title, checks) in told.iter().filter(|(_, _, checks)| !checks.is_empty()) {
            section aria-labelledby=(id(name)) {
                (heading(level, Some(&id(name)), title))
                @for check in checks { (one(check, level + 1)) }
            }
        }
        @if !untestable.is_empty() {
            section aria-labelledby=(id("untestable")) {
                (heading(level, Some(&id("untestable")), "Untestable: the target offers no way to drive it"))
                @for (why, ids) in explained(untestable.into_iter()) {
                    p { (Told::line(&why)) }
                    ul { @for id in ids { li.check data-verdict="untestable" data-name=(id) { code { (id) } } } }
                }
            }
        }
        @if listed { (baseline(report, &known, level, &mut one)) }
        (requirements(report, links, level))
        (checks(report, level))
    }
}

/// What a title says before its explanation.
fn short(title: &str) -> &str {
    title.split(':').next().unwrap_or(title)
}

fn baseline(
    report: &Report,
    known: &[&Check],
    level: u8,
    one: &mut dyn FnMut(&Check, u8) -> Markup,
) -> Markup {
    let baseline = &report.baseline;
    let id = format!("{}-baseline", report.suite.protocol);
    html! {
        section aria-labelledby=(id) {
            (heading(level, Some(&id), &format!("Baseline: {}", counted(baseline))))
            @if !baseline.stale.is_empty() {
                p { "These no longer fail; remove their entries:" }
                ul { @for entry in &baseline.stale {
                    li { code { (Told::line(&entry.check)) } " with " code { (Told::line(&entry.requirement)) } }
                } }
            }
            @if !baseline.expired.is_empty() {
                p { "These were excused until a day that is over; mend them, or give their entries a new day:" }
                ul { @for entry in &baseline.expired {
                    li { code { (Told::line(&entry.check)) } " with " code { (Told::line(&entry.requirement)) } ", until "
                        (Told::line(entry.expires.as_deref().unwrap_or_default())) }
                } }
            }
            @if !baseline.unseen.is_empty() {
                p { "These fail sometimes, and did not this time:" }
                ul { @for entry in &baseline.unseen {
                    li { code { (Told::line(&entry.check)) } " with " code { (Told::line(&entry.requirement)) } ": "
                        (Told::line(entry.sometimes.as_deref().unwrap_or_default())) }
                } }
            }
            @if !baseline.listed.is_empty() {
                details { summary { "All that is listed" } ul { @for entry in &baseline.listed {
                    li { code { (Told::line(&entry.check)) } " with " code { (Told::line(&entry.requirement)) } ": "
                        (Told::line(&entry.reason)) }
                } } }
            }
            @for check in known { (one(check, level + 1)) }
        }
    }
}

fn requirements(report: &Report, links: &Links, level: u8) -> Markup {
    let id = format!("{}-requirements", report.suite.protocol);
    html! {
        section aria-labelledby=(id) {
            (heading(level, Some(&id), "Requirements"))
            details {
                summary { "All " (report.requirements.len()) " requirements and what became of them" }
                div.scroll role="region" tabindex="0" aria-label={ "Table of the requirements of " (report.suite.protocol) } { table {
                    thead { tr { th scope="col" { "Requirement" } th scope="col" { "Level" } th scope="col" { "Status" }
                        th scope="col" { "Sentence" } } }
                    tbody { @for r in &report.requirements { tr {
                        th scope="row" { (clause(report, r, links)) }
                        td { (r.level.to_uppercase()) }
                        td { (status(r)) }
                        td { (r.text)
                            @if !r.observed.is_empty() { span.seen { "seen: " (Told::line(&r.observed.join(", "))) } } }
                    } } }
                } }
            }
        }
    }
}

fn status(requirement: &Requirement) -> Markup {
    let known = match requirement.status {
        Status::Satisfied => ", broken at other times",
        _ => ", known",
    };
    html! {
        span.badge data-status=(requirement.status.name()) { (requirement.status.name()) }
        @if requirement.baselined { (known) }
    }
}

/// The id of a requirement, as a link where it can be one.
fn clause(report: &Report, requirement: &Requirement, links: &Links) -> Markup {
    html! {
        @match links.clause(&report.suite.protocol, requirement) {
            Some(url) => a href=(url) { (requirement.id) },
            None => (requirement.id),
        }
    }
}

fn checks(report: &Report, level: u8) -> Markup {
    let id = format!("{}-checks", report.suite.protocol);
    html! {
        section aria-labelledby=(id) {
            (heading(level, Some(&id), "All checks"))
            details {
                summary { "All " (report.checks.len()) " checks and how they ended" }
                div.scroll role="region" tabindex="0" aria-labelledby=(id) { table {
                    thead { tr { th scope="col" { "Check" } th scope="col" { "Verdict" } th scope="col" { "Time" }
                        th scope="col" { "Requirements" } } }
                    tbody { @for check in &report.checks {
                        tr.check data-verdict=(check.verdict.name()) data-name=(check.id) {
                            th scope="row" {
                                @if failure::is_shown(check, report) { a href={ "#" (check.id) } { (check.id) } }
                                @else { (check.id) }
                            }
                            td { (verdict(check)) }
                            td.number { (check.duration_ms) " ms" }
                            td { (check.requirements.join(", ")) }
                        }
                    } }
                } }
            }
        }
    }
}

fn verdict(check: &Check) -> Markup {
    html! {
        span.badge data-verdict=(check.verdict.name()) { (check.verdict.name()) }
        @if check.baselined { " known" }
        @else if check.accepted.is_some() { " accepted" }
    }
}
