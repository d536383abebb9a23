//! The specification as pages that any web server can serve: the document of each protocol with every requirement where it
//! states it, the checks that look at it, the defects that they were proven with, and an exchange from a run that kept it.

mod example;
mod text;

pub use example::{Example, examples};

use crate::protocol::{Defect, Protocol};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::collections::{BTreeMap, BTreeSet};
use text::{Block, blocks};
use wireproof_spec::requirement::{CONVENTIONS, Requirement};

/// How every page looks.
const STYLE: &str = include_str!("site/page.css");

/// A page: the name of its file and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// `stream.html`.
    pub file: String,
    /// HTML.
    pub text: String,
}

/// All pages. The examples are by requirement.
pub fn pages(protocols: &[(&'static Protocol, BTreeMap<String, Example>)]) -> Vec<Page> {
    let names: Vec<&str> = protocols.iter().map(|(protocol, _)| protocol.name).collect();
    let index = Page { file: "index.html".into(), text: index(protocols, &names) };
    let conventions = Page { file: "conventions.html".into(), text: conventions(&names) };
    let documents = protocols.iter().map(|(protocol, examples)| Page {
        file: format!("{}.html", protocol.name),
        text: document(protocol, examples, &names),
    });
    [index, conventions].into_iter().chain(documents).collect()
}

/// A whole page around its main part.
fn page(title: &str, names: &[&str], contents: &[(String, String)], main: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · wireproof" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { "Skip to the text" }
                header {
                    nav aria-label="Pages" { ul {
                        li { a href="index.html" { "wireproof" } }
                        @for name in names { li { a href={ (name) ".html" } { (name) } } }
                        li { a href="conventions.html" { "conventions" } }
                    } }
                }
                main #main {
                    (main)
                }
                @if !contents.is_empty() {
                    nav.contents aria-label="Sections of this page" { ul {
                        @for (id, name) in contents { li { a href={ "#" (id) } { (name) } } }
                    } }
                }
                footer { p { "Made by wireproof " (env!("CARGO_PKG_VERSION")) "." } }
            }
        }
    };
    page.into_string()
}

fn index(protocols: &[(&'static Protocol, BTreeMap<String, Example>)], names: &[&str]) -> String {
    let main = html! {
        h1 { "wireproof" }
        p {
            "What each protocol requires, and what looks at it. A requirement that a peer can see has a check, and each check was "
            "proven with a defect that it catches. The words are explained under " a href="conventions.html" { "Conventions" } "."
        }
        table {
            thead { tr {
                th scope="col" { "Protocol" } th scope="col" { "Requirements" } th scope="col" { "Checks" }
                th scope="col" { "Defects" }
            } }
            tbody {
                @for (protocol, _) in protocols {
                    tr {
                        th scope="row" { a href={ (protocol.name) ".html" } { (protocol.name) } }
                        td { (protocol.requirements().len()) }
                        td { (protocol.checks().count()) }
                        td { ((protocol.trial.defects)().len()) }
                    }
                }
            }
        }
    };
    page("Specifications", names, &[], &main)
}

fn conventions(names: &[&str]) -> String {
    let nothing = BTreeSet::new();
    let (mut main, mut contents) = (Vec::new(), Vec::new());
    for block in blocks(CONVENTIONS) {
        main.push(match block {
            Block::Section(name) => section(&name, &mut contents),
            Block::Requirement(_) => html! {},
            Block::Text(text) => text::rendered(&text, &nothing),
        });
    }
    page("Conventions", names, &contents, &html! { @for part in &main { (part) } })
}

fn section(name: &str, contents: &mut Vec<(String, String)>) -> Markup {
    let id = text::anchor(name);
    contents.push((id.clone(), name.to_owned()));
    html! { h2 id=(id) { (name) } }
}

fn document(protocol: &'static Protocol, examples: &BTreeMap<String, Example>, names: &[&str]) -> String {
    let ids: BTreeSet<&str> = protocol.requirements().iter().map(|r| r.id.as_str()).collect();
    let defects = (protocol.trial.defects)();
    let (mut main, mut contents) = (Vec::new(), Vec::new());
    for block in blocks(protocol.document) {
        main.push(match block {
            Block::Section(name) => section(&name, &mut contents),
            Block::Requirement(id) => match protocol.requirement(&id) {
                Some(found) => requirement(protocol, found, &defects, examples.get(&id), &ids),
                None => html! {},
            },
            Block::Text(text) => text::rendered(&text, &ids),
        });
    }
    page(protocol.name, names, &contents, &html! { @for part in &main { (part) } })
}

fn requirement(
    protocol: &'static Protocol,
    requirement: &Requirement,
    defects: &[&'static Defect],
    example: Option<&Example>,
    ids: &BTreeSet<&str>,
) -> Markup {
    let Requirement { id, level, role, feature, kind, text, unobservable, .. } = requirement;
    let checks: Vec<&str> = protocol
        .checks()
        .filter(|check| check.requirements.iter().any(|named| named.as_str() == id))
        .map(|check| check.name)
        .collect();
    let defects: Vec<_> = defects.iter().filter(|defect| defect.requirement.as_str() == id).collect();
    html! {
        article.requirement id=(text::anchor(id)) data-level=(level.name()) {
            h3 {
                a href={ "#" (text::anchor(id)) } { (id) }
                " " span.level { (level.name().to_uppercase()) }
            }
            p { (text::linked(text, ids)) }
            p.facts {
                "binds the " (role.name())
                @if let Some(feature) = feature { " · feature " code { (feature) } }
                @if let Some(kind) = kind { " · about " (kind.name()) ", so more than one message" }
            }
            @if let Some(reason) = unobservable { p { "No peer can see it: " (reason) "." } }
            @if !checks.is_empty() {
                details {
                    summary { (counted(checks.len(), "check")) ", " (counted(defects.len(), "defect")) }
                    ul {
                        @for check in &checks { li { code { (check) } } }
                    }
                    @if !defects.is_empty() {
                        p { "Proven with the reference, broken so:" }
                        ul { @for defect in &defects {
                            li { code { (defect.id) } ", at the " (defect.cut.name()) ", " (defect.trigger.name()) }
                        } }
                    }
                }
            }
            @if let Some(example) = example {
                details {
                    summary { "an exchange that keeps it" }
                    p { "From " code { (example.check) } ", against the reference:" }
                    pre tabindex="0" { @for line in &example.lines { (line) "\n" } }
                }
            }
        }
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
