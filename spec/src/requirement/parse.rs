//! The line grammar of requirements in a normative document.
//!
//! `**ID** · LEVEL · role[ · feature] — sentence.`, then indented `kind:` and `unobservable:` lines. The section is the
//! heading of level two above; the middle part of the id is that heading in capitals.

use std::{collections::BTreeSet, fmt};

/// How binding a requirement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Has to be kept.
    Must,
    /// Is to be kept unless there is a good reason.
    Should,
    /// Allows; cannot be broken.
    May,
}

/// The side of the wire that a requirement binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The side that answers, whoever dials.
    Server,
    /// The side that asks, whoever dials.
    Client,
}

/// What a requirement about more than one message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// What an earlier message left behind.
    State,
    /// Which of several comes first.
    Order,
    /// When something happens.
    Time,
    /// What happens at once.
    Race,
}

/// One normative sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// `STREAM-APPEND-4`.
    pub id: String,
    /// How binding it is.
    pub level: Level,
    /// Whom it binds.
    pub role: Role,
    /// The feature that it belongs to; none is the core.
    pub feature: Option<String>,
    /// What it is about, if about more than one message.
    pub kind: Option<Kind>,
    /// The heading that it stands under.
    pub section: String,
    /// The sentence.
    pub text: String,
    /// Why no peer can see whether it is kept.
    pub unobservable: Option<String>,
}

impl Level {
    /// The key word, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Level::Must => "must",
            Level::Should => "should",
            Level::May => "may",
        }
    }

    /// Reads the key word, in whatever case.
    pub fn parse(word: &str) -> Option<Self> {
        [Level::Must, Level::Should, Level::May].into_iter().find(|l| l.name().eq_ignore_ascii_case(word))
    }
}

impl Role {
    /// `server` or `client`.
    pub fn name(self) -> &'static str {
        match self {
            Role::Server => "server",
            Role::Client => "client",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Role::Server, Role::Client].into_iter().find(|r| r.name() == word)
    }
}

impl Kind {
    /// `state`, `order`, `time` or `race`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::State => "state",
            Kind::Order => "order",
            Kind::Time => "time",
            Kind::Race => "race",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Kind::State, Kind::Order, Kind::Time, Kind::Race].into_iter().find(|k| k.name() == word)
    }
}

impl Requirement {
    /// The area: the middle of the id in lower case, which names the files of the area in every crate.
    pub fn area(&self) -> String {
        self.id.split('-').nth(1).unwrap_or_default().to_ascii_lowercase()
    }
}

/// A line of a document that breaks the grammar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.why)
    }
}

impl std::error::Error for ParseError {}

/// Reads every requirement of a document, in its order.
///
/// # Errors
/// The first line that looks like a requirement, or like a fact about one, and breaks the grammar; an id that stands under
/// the heading of another area or was used before.
pub fn requirements(document: &str) -> Result<Vec<Requirement>, ParseError> {
    let mut found: Vec<Requirement> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut section = String::new();
    let mut open = false;
    for (index, line) in document.lines().enumerate() {
        let fail = |why: String| ParseError { line: index + 1, why };
        if let Some(heading) = line.strip_prefix("## ") {
            section = heading.trim().to_owned();
            open = false;
        } else if let Some(rest) = line.strip_prefix("**").filter(|r| looks_like_id(r)) {
            let requirement = head(rest, &section).map_err(fail)?;
            if !seen.insert(requirement.id.clone()) {
                return Err(fail(format!("{} is used twice", requirement.id)));
            }
            found.push(requirement);
            open = true;
        } else if open && line.starts_with("  ") {
            let last = found.last_mut().ok_or_else(|| fail("a fact about no requirement".into()))?;
            fact(line.trim(), last).map_err(fail)?;
        } else {
            open = false;
        }
    }
    Ok(found)
}

fn looks_like_id(rest: &str) -> bool {
    rest.split("**").next().is_some_and(|id| {
        id.contains('-') && id.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-')
    })
}

fn head(rest: &str, section: &str) -> Result<Requirement, String> {
    let (id, rest) = rest.split_once("**").ok_or("the id has no closing **")?;
    let (facts, text) = rest.split_once(" — ").ok_or("there is no ` — ` before the sentence")?;
    let mut facts = facts.split('·').map(str::trim).filter(|f| !f.is_empty());
    let level = facts.next().and_then(|w| (w == w.to_uppercase()).then(|| Level::parse(w)).flatten());
    let role = facts.next().and_then(Role::parse);
    let feature = facts.next().map(str::to_owned);
    if facts.next().is_some() {
        return Err(format!("{id} has more than level, role and feature before its sentence"));
    }
    let area = section.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    let mut parts = id.split('-').skip(1);
    if parts.next() != Some(area.as_str()) {
        return Err(format!("{id} stands under the heading `{section}`"));
    }
    if !parts.next().is_some_and(|n| n.parse::<u32>().is_ok_and(|v| v > 0 && n == v.to_string()))
        || parts.next().is_some()
    {
        return Err(format!("{id} does not end in one number that counts from 1"));
    }
    if !text.ends_with('.') {
        return Err(format!("the sentence of {id} does not end with a full stop"));
    }
    Ok(Requirement {
        id: id.to_owned(),
        level: level.ok_or_else(|| format!("{id} has no level MUST, SHOULD or MAY"))?,
        role: role.ok_or_else(|| format!("{id} has no role server or client"))?,
        feature,
        kind: None,
        section: section.to_owned(),
        text: text.to_owned(),
        unobservable: None,
    })
}

fn fact(line: &str, about: &mut Requirement) -> Result<(), String> {
    let id = &about.id;
    match line.split_once(": ") {
        Some(("kind", word)) if about.kind.is_none() => {
            about.kind =
                Some(Kind::parse(word).ok_or_else(|| format!("{id} has the unknown kind `{word}`"))?);
        }
        Some(("unobservable", reason)) if about.unobservable.is_none() => {
            about.unobservable = Some(reason.to_owned())
        }
        _ => return Err(format!("`{line}` is no fact about {id}, or one that it has already")),
    }
    Ok(())
}
