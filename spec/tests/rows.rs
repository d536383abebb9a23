//! Every row of the facts has a disposition: ids, another id that covers it, or the reason why it has none.

use crate::protocols::PROTOCOLS;
use std::collections::{BTreeMap, BTreeSet};
use wireproof_spec::requirement::{Level, Requirement, requirements};

/// What became of a row of the facts.
#[derive(Debug, PartialEq)]
enum Disposition<'a> {
    /// These requirements say it.
    Ids(Vec<&'a str>),
    /// This requirement says it among other things.
    Merged(&'a str),
    /// No peer can see it, for this reason.
    Unobservable(&'a str),
    /// The ruling under this requirement decides otherwise.
    Superseded(&'a str),
    /// Its section is still to be written.
    NotYet,
}

fn disposition(text: &str) -> Result<Disposition<'_>, String> {
    let is_id = |id: &str| id.split('-').count() == 3 && id.chars().all(|c| !c.is_lowercase());
    match text.split_once(": ") {
        _ if text == "not yet" => Ok(Disposition::NotYet),
        Some(("merged", id)) if is_id(id) => Ok(Disposition::Merged(id)),
        Some(("unobservable", reason)) if !reason.trim().is_empty() => Ok(Disposition::Unobservable(reason)),
        Some(("superseded", ruling)) => match ruling.strip_prefix("ruling ").filter(|id| is_id(id)) {
            Some(id) => Ok(Disposition::Superseded(id)),
            None => Err(format!("`{text}` names no ruling")),
        },
        None if text.split(' ').all(is_id) => Ok(Disposition::Ids(text.split(' ').collect())),
        _ => Err(format!("`{text}` is no disposition")),
    }
}

/// The ids that have a Ruling paragraph.
fn rulings(document: &str) -> BTreeSet<&str> {
    let ids = document.lines().filter_map(|line| Some(line.strip_prefix("**Ruling** (")?.split_once(')')?.0));
    ids.flat_map(|ids| ids.split(", ")).collect()
}

/// Why this map and this document do not fit; keys have to be these, each once and in order.
fn misfits(map: &str, document: &str, keys: impl Iterator<Item = String>) -> Vec<String> {
    let registry: Vec<Requirement> = requirements(document).expect("a document");
    let levels: BTreeMap<&str, Level> = registry.iter().map(|r| (r.id.as_str(), r.level)).collect();
    let rulings = rulings(document);
    let mut wrong = Vec::new();
    let mut named = BTreeSet::new();
    let mut lines = map.lines();
    if lines.next() != Some("row\tlevel\tdisposition") {
        wrong.push("the first line is not `row, level, disposition`".to_owned());
    }
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split('\t').collect()).collect();
    let found: Vec<&str> = rows.iter().filter_map(|row| row.first().copied()).collect();
    if found != keys.collect::<Vec<_>>() {
        wrong.push("the rows are not every key once, in order".to_owned());
    }
    for row in &rows {
        let [key, level, text] = row[..] else {
            wrong.push(format!("row {row:?}: not three columns"));
            continue;
        };
        let weakest = match level {
            "MUST" | "MUST NOT" => Some(Level::Must),
            "SHOULD" | "SHOULD NOT" => Some(Level::Should),
            "MAY" | "RULE" => None,
            _ => {
                wrong.push(format!("row {key}: unknown level {level}"));
                continue;
            }
        };
        let ids = match disposition(text) {
            Ok(Disposition::Ids(ids)) => ids,
            Ok(Disposition::Merged(id)) => vec![id],
            Ok(Disposition::Superseded(id)) => {
                // The requirement may be there for nothing but this ruling.
                named.insert(id.to_owned());
                if !rulings.contains(id) {
                    wrong.push(format!("row {key}: {id} has no ruling"));
                }
                continue;
            }
            Ok(Disposition::Unobservable(_) | Disposition::NotYet) => continue,
            Err(why) => {
                wrong.push(format!("row {key}: {why}"));
                continue;
            }
        };
        for id in ids {
            named.insert(id.to_owned());
            match levels.get(id) {
                None => wrong.push(format!("row {key}: no requirement {id}")),
                // The first level is the strongest.
                Some(level) if weakest.is_some_and(|weakest| *level > weakest) && !rulings.contains(id) => {
                    wrong.push(format!("row {key}: {id} is weaker than the row"));
                }
                Some(_) if level == "RULE" && !rulings.contains(id) => {
                    wrong.push(format!("row {key}: {id} has no ruling"));
                }
                Some(_) => {}
            }
        }
    }
    // The shapes are ours: no row of the facts speaks of them.
    for r in registry.iter().filter(|r| r.area() != "message" && !named.contains(&r.id)) {
        wrong.push(format!("{} is named by no row", r.id));
    }
    wrong
}

#[test]
fn every_row_has_its_place() {
    for protocol in PROTOCOLS {
        let wrong = misfits(protocol.rows, protocol.document, (protocol.keys)().into_iter());
        assert!(wrong.is_empty(), "spec/rows/{}.tsv:\n{}", protocol.name, wrong.join("\n"));
    }
}

const DOCUMENT: &str = "## A\n**X-A-1** · MUST · server — One.\n**X-A-2** · MAY · server — Two.\n**Ruling** (X-A-2). So.\n**X-A-4** · MAY · server — Four.\n";

#[test]
fn every_kind_of_misfit_is_found() {
    let good = [("MUST", "X-A-1"), ("RULE", "X-A-2"), ("MAY", "X-A-4")];
    let map = |rows: &[(&str, &str)]| {
        let lines = rows.iter().enumerate().map(|(i, (level, text))| format!("{}\t{level}\t{text}\n", i + 1));
        format!("row\tlevel\tdisposition\n{}", lines.collect::<String>())
    };
    let keys = |n: usize| (1..=n).map(|k| k.to_string());
    assert_eq!(misfits(&map(&good), DOCUMENT, keys(3)), Vec::<String>::new());

    let table: &[(&str, &str, &str)] = &[
        ("MUST", "X-A-1 X-A-4", "row 4: X-A-4 is weaker than the row"),
        ("SHOULD NOT", "merged: X-A-4", "row 4: X-A-4 is weaker than the row"),
        ("MUST", "X-A-3", "row 4: no requirement X-A-3"),
        ("RULE", "X-A-1", "row 4: X-A-1 has no ruling"),
        ("MUST", "superseded: ruling X-A-1", "row 4: X-A-1 has no ruling"),
        ("MUST", "superseded: X-A-2", "row 4: `superseded: X-A-2` names no ruling"),
        ("MUST", "unobservable: ", "row 4: `unobservable: ` is no disposition"),
        ("MUST", "later", "row 4: `later` is no disposition"),
        ("MAYBE", "X-A-1", "row 4: unknown level MAYBE"),
    ];
    for (level, text, why) in table {
        let rows = [&good[..], &[(*level, *text)]].concat();
        assert_eq!(misfits(&map(&rows), DOCUMENT, keys(4)), [*why], "{text}");
    }
    for fine in [
        "not yet",
        "X-A-1 X-A-2",
        "merged: X-A-1",
        "unobservable: inside the server",
        "superseded: ruling X-A-2",
    ] {
        let rows = [&good[..], &[("MUST", fine)]].concat();
        assert_eq!(misfits(&map(&rows), DOCUMENT, keys(4)), Vec::<String>::new(), "{fine}");
    }
    assert_eq!(misfits(&map(&good[1..]), DOCUMENT, keys(2)), ["X-A-1 is named by no row"]);
    assert_eq!(misfits(&map(&good), DOCUMENT, keys(4)), ["the rows are not every key once, in order"]);
    let bare = map(&good).replace("row\tlevel\tdisposition", "row");
    assert_eq!(misfits(&bare, DOCUMENT, keys(3)), ["the first line is not `row, level, disposition`"]);
}
