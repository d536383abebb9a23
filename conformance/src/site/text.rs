//! The parts of a normative document, and its text as HTML.

use maud::{Markup, PreEscaped, html};
use pulldown_cmark::{Event, Options, Parser};
use std::collections::BTreeSet;

/// A part of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// A heading of level two.
    Section(String),
    /// The id of a requirement, with all that belongs to its lines.
    Requirement(String),
    /// Markdown.
    Text(String),
}

/// The parts of a document, in order.
pub(super) fn blocks(document: &str) -> Vec<Block> {
    let (mut all, mut text, mut of_requirement) = (Vec::new(), String::new(), false);
    let end = |text: &mut String, all: &mut Vec<Block>| {
        if !text.trim().is_empty() {
            all.push(Block::Text(std::mem::take(text)));
        }
        text.clear();
    };
    for line in document.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            end(&mut text, &mut all);
            all.push(Block::Section(name.trim().to_owned()));
            of_requirement = false;
        } else if let Some((id, _)) = line.strip_prefix("**").and_then(|rest| rest.split_once("** · ")) {
            end(&mut text, &mut all);
            all.push(Block::Requirement(id.to_owned()));
            of_requirement = true;
        } else if !(of_requirement && line.starts_with("  ")) {
            of_requirement = false;
            text.push_str(line);
            text.push('\n');
        }
    }
    end(&mut text, &mut all);
    all
}

/// What stands behind `#` in a link to a section or requirement.
pub(super) fn anchor(name: &str) -> String {
    name.to_lowercase().replace(' ', "-")
}

/// Markdown of a document as HTML, in which ids are links.
pub(super) fn rendered(markdown: &str, ids: &BTreeSet<&str>) -> Markup {
    let events = Parser::new_ext(markdown, Options::ENABLE_TABLES).map(|event| match event {
        Event::Text(text) => Event::Html(linked(&text, ids).into_string().into()),
        other => other,
    });
    let mut page = String::new();
    pulldown_cmark::html::push_html(&mut page, events);
    PreEscaped(page)
}

/// Text in which ids are links.
pub(super) fn linked(text: &str, ids: &BTreeSet<&str>) -> Markup {
    let is_of_id = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-';
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_of_id(c)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        parts.push(match ids.contains(word) {
            true => html! { a href={ "#" (anchor(word)) } { (word) } },
            false => html! { (word) },
        });
        let next = behind.find(is_of_id).unwrap_or(behind.len());
        let (between, after) = behind.split_at(next);
        parts.push(html! { (between) });
        rest = after;
    }
    html! { @for part in &parts { (part) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_comes_apart_into_what_it_is_made_of() {
        let document = "# Title\n\nWords.\n\n## Append\n\n**X-APPEND-1** · MUST · server — A < B.\n  kind: state\n\n**Ruling** (X-APPEND-1). Why.\n";
        let text = |text: &str| Block::Text(text.to_owned());
        assert_eq!(
            blocks(document),
            [
                text("# Title\n\nWords.\n\n"),
                Block::Section("Append".into()),
                Block::Requirement("X-APPEND-1".into()),
                text("\n**Ruling** (X-APPEND-1). Why.\n"),
            ]
        );
    }

    #[test]
    fn ids_are_links_and_nothing_else_is_markup() {
        let ids = BTreeSet::from(["X-APPEND-1"]);
        let shown = linked("as X-APPEND-1, not X-APPEND-10 or <b>X</b>", &ids).into_string();
        assert_eq!(
            shown,
            r##"as <a href="#x-append-1">X-APPEND-1</a>, not X-APPEND-10 or &lt;b&gt;X&lt;/b&gt;"##
        );
        let shown = rendered("A *word* of X-APPEND-1 & `code`.", &ids).into_string();
        assert_eq!(
            shown,
            "<p>A <em>word</em> of <a href=\"#x-append-1\">X-APPEND-1</a> &amp; <code>code</code>.</p>\n"
        );
    }
}
