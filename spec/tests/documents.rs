//! The normative documents: they can be read, their ids and areas hold, and bad lines are refused where they stand.

use crate::protocols::{PROTOCOLS, Protocol};
use std::collections::BTreeSet;
use wireproof_spec::{
    requirement::{Kind, Level, Requirement, Role, constants::constants, requirements},
    stream,
};

fn registry(protocol: &Protocol) -> Vec<Requirement> {
    requirements(protocol.document).unwrap_or_else(|why| panic!("{}.md:{why}", protocol.name))
}

#[test]
fn the_constants_are_the_registry() {
    for protocol in PROTOCOLS {
        let registry = registry(protocol);
        let ids: Vec<_> = registry.iter().map(|r| r.id.as_str()).collect();
        let constants: Vec<_> = protocol.constants.iter().map(|id| id.as_str()).collect();
        assert_eq!(constants, ids, "{}", protocol.name);
    }
    assert_eq!(stream::requirements::STREAM_APPEND_4.to_string(), "STREAM-APPEND-4");
}

#[test]
fn ids_are_unique_and_of_their_protocol() {
    for protocol in PROTOCOLS {
        let registry = registry(protocol);
        let ids: BTreeSet<_> = registry.iter().map(|r| &r.id).collect();
        assert_eq!(ids.len(), registry.len());
        let prefix = format!("{}-", protocol.name.to_uppercase());
        assert!(ids.iter().all(|id| id.starts_with(&prefix)), "{}", protocol.name);
    }
}

#[test]
fn every_area_with_messages_has_its_file() {
    for Protocol { name, schemas, area, files_only, of_others, .. } in PROTOCOLS {
        let areas: BTreeSet<_> = registry(crate::protocols::of(name)).iter().map(|r| r.area()).collect();
        let schemas = schemas();
        let with_messages: BTreeSet<_> =
            schemas.iter().filter_map(|schema| Some(area(schema.name.split_once('/')?.1))).collect();
        for area in &with_messages {
            assert!(
                areas.contains(*area) || files_only.contains(area),
                "{name}.md has no requirement in the area {area}"
            );
            assert!(
                crate::workspace(&format!("spec/src/{name}/{area}.rs")).is_file(),
                "no file for the area {area} of {name}"
            );
        }
        for area in areas.iter().filter(|area| !of_others.contains(&area.as_str())) {
            assert!(with_messages.contains(area.as_str()), "the area {area} of {name} has no message");
        }
    }
}

/// A table of features is part of a document that has features, and no name in it is spelled in two ways.
#[test]
fn features_are_named_in_the_table_of_their_document() {
    let document = crate::protocols::of("queue").document;
    let listed: BTreeSet<_> =
        document.lines().filter_map(|line| line.strip_prefix("| `queue.")?.split('`').next()).collect();
    let registry = requirements(document).expect("queue.md");
    let used = registry.iter().filter_map(|r| r.feature.as_deref()?.strip_prefix("queue."));
    // What an owner can set changes how something is seen, and not what is required.
    let used: BTreeSet<_> = used.chain(["delay-settings", "retry-settings"]).collect();
    assert_eq!(used, listed);
}

const GOOD: &str =
    "## Append\n\n**X-APPEND-1** · MUST · server · x.fast — A sentence.\n  kind: race\n  unobservable: no.\n";

#[test]
fn a_requirement_is_read() {
    let read = requirements(GOOD).expect("a good document");
    let [r] = read.as_slice() else { panic!("{read:?}") };
    assert_eq!(
        (r.id.as_str(), r.level, r.role, r.kind),
        ("X-APPEND-1", Level::Must, Role::Server, Some(Kind::Race))
    );
    assert_eq!((r.feature.as_deref(), r.section.as_str()), (Some("x.fast"), "Append"));
    assert_eq!((r.text.as_str(), r.unobservable.as_deref()), ("A sentence.", Some("no.")));
    assert_eq!(r.area(), "append");
}

#[test]
fn what_only_looks_like_a_requirement_is_prose() {
    let prose = "## Append\n\n**Ruling** (X-APPEND-1). Because.\n**bold** · MUST\n  indented prose\n";
    assert_eq!(requirements(prose), Ok(vec![]));
}

#[test]
fn bad_lines_are_refused_where_they_stand() {
    let table: &[(&str, usize, &str)] = &[
        ("**X-APPEND-1** · MUST · server - A sentence.", 3, "there is no ` — ` before the sentence"),
        ("**X-APPEND-1** · must · server — A sentence.", 3, "X-APPEND-1 has no level MUST, SHOULD or MAY"),
        (
            "**X-APPEND-1** · MUST NOT · server — A sentence.",
            3,
            "X-APPEND-1 has no level MUST, SHOULD or MAY",
        ),
        ("**X-APPEND-1** · MUST · proxy — A sentence.", 3, "X-APPEND-1 has no role server or client"),
        ("**X-APPEND-1** · MUST — A sentence.", 3, "X-APPEND-1 has no role server or client"),
        (
            "**X-APPEND-1** · MUST · server · a · b — A sentence.",
            3,
            "X-APPEND-1 has more than level, role and feature before its sentence",
        ),
        (
            "**X-APPEND-1** · MUST · server — A sentence",
            3,
            "the sentence of X-APPEND-1 does not end with a full stop",
        ),
        ("**X-CLOSE-1** · MUST · server — A sentence.", 3, "X-CLOSE-1 stands under the heading `Append`"),
        (
            "**X-APPEND-0** · MUST · server — A.",
            3,
            "X-APPEND-0 does not end in one number that counts from 1",
        ),
        (
            "**X-APPEND-01** · MUST · server — A.",
            3,
            "X-APPEND-01 does not end in one number that counts from 1",
        ),
        (
            "**X-APPEND-1-2** · MUST · server — A.",
            3,
            "X-APPEND-1-2 does not end in one number that counts from 1",
        ),
        ("**X-APPEND** · MUST · server — A.", 3, "X-APPEND does not end in one number that counts from 1"),
        (
            "**X-APPEND-1** · MUST · server — A.\n**X-APPEND-1** · MUST · server — B.",
            4,
            "X-APPEND-1 is used twice",
        ),
        ("**X-APPEND-1** · MUST · server — A.\n  kind: often", 4, "X-APPEND-1 has the unknown kind `often`"),
        (
            "**X-APPEND-1** · MUST · server — A.\n  since: 1",
            4,
            "`since: 1` is no fact about X-APPEND-1, or one that it has already",
        ),
        (
            "**X-APPEND-1** · MUST · server — A.\n  kind: race\n  kind: time",
            5,
            "`kind: time` is no fact about X-APPEND-1, or one that it has already",
        ),
    ];
    for (lines, line, why) in table {
        let error = requirements(&format!("## Append\n\n{lines}\n")).expect_err(lines);
        assert_eq!((error.line, error.why.as_str()), (*line, *why), "{lines}");
    }
}

#[test]
fn constants_carry_level_and_sentence() {
    let read = requirements(&GOOD.replace("A sentence.", "See [RFC].")).expect("a good document");
    let code = constants(&read, "Id");
    assert!(
        code.contains("/// **must**: See \\[RFC\\].\npub const X_APPEND_1: Id = Id::new(\"X-APPEND-1\");\n")
    );
    assert!(code.ends_with("pub const ALL: &[Id] = &[\n    X_APPEND_1,\n];\n"));
}
