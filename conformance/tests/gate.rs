//! The gate of the suite, and the rules about where things stand.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};
use wireproof::{
    PROTOCOLS,
    selftest::{
        Scope,
        gate::{Matrix, matrix_holes},
        selftest,
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn the_gate_is_closed() {
    for protocol in PROTOCOLS {
        let score = selftest(protocol, false, Scope::default()).await.unwrap_or_else(|e| panic!("{e}"));
        assert!(score.is_clean(), "{score:#?}");
    }
}

#[test]
fn every_defect_and_check_is_in_the_matrix() {
    let matrix = Matrix::committed().unwrap_or_else(|e| panic!("{e}"));
    for protocol in PROTOCOLS {
        assert_eq!(matrix_holes(protocol, &matrix), Vec::<String>::new());
    }
}

#[test]
fn only_embed_names_the_reference_and_no_check_comes_near_it() {
    for file in sources(Path::new("src")) {
        let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let name = file.display().to_string();
        assert!(
            !text.contains("wireproof_reference") || name == "src/embed.rs",
            "{name} names the reference"
        );
        let names_embed = text.contains("embed::");
        // The protocol as a value names its reference; the checks in its folder never do.
        let may = [
            "src/cli",
            "src/selftest",
            "src/embed",
            "src/checks/stream.rs",
            "src/checks/queue.rs",
            "src/checks/fleet.rs",
        ];
        let may = may.iter().any(|at| name.starts_with(at));
        assert!(!names_embed || may, "{name} comes to the reference through embed");
    }
}

#[test]
fn one_area_has_one_name_everywhere() {
    for protocol in PROTOCOLS {
        let there = protocol.requirements().iter().filter(|r| !protocol.is_awaited(r));
        let areas: BTreeSet<String> = there.map(|r| r.area()).collect();
        for room in ["src/checks", "src/selftest/defects"] {
            for area in &areas {
                let file = format!("{room}/{}/{area}.rs", protocol.name);
                assert!(Path::new(&file).is_file(), "the area {area} has no {file}");
            }
        }
        for defect in (protocol.trial.defects)() {
            let area = defect.id.split('/').nth(1).unwrap_or_default();
            let own = protocol.requirement(defect.requirement.as_str()).map(|r| r.area());
            assert_eq!(own.as_deref(), Some(area), "{} breaks {}", defect.id, defect.requirement);
        }
    }
}

#[test]
fn features_and_limits_are_those_of_the_documents() {
    for protocol in PROTOCOLS {
        // The rows of the tables behind "Features", up to the next heading: a name, and for a feature its default.
        let section = protocol.document.split("\n## ").find_map(|section| section.strip_prefix("Features\n"));
        let Some(section) = section else { continue };
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
        let told: BTreeSet<(String, Option<String>)> = rows
            .map(|row| {
                let (name, rest) = row.split_once("` |").unwrap_or_else(|| panic!("no row: {row}"));
                let default =
                    name.contains('.').then(|| rest.split('|').next().unwrap_or_default().trim().into());
                (name.to_owned(), default)
            })
            .collect();
        let features = protocol.features.iter().map(|f| (f.name.to_owned(), Some(f.default.to_owned())));
        let limits = protocol.limits.iter().map(|l| (l.name.to_owned(), None));
        assert_eq!(
            told,
            features.chain(limits).collect(),
            "what {} says, and what the runner knows",
            protocol.name
        );
    }
}

#[test]
fn no_file_is_two_ideas() {
    for file in sources(Path::new("src")) {
        let lines = fs::read_to_string(&file).map_or(0, |text| text.lines().count());
        assert!(lines <= 600, "{} has {lines} lines", file.display());
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    entries
        .flatten()
        .flat_map(|entry| match entry.path() {
            path if path.is_dir() => sources(&path),
            path if path.extension().is_some_and(|e| e == "rs") => vec![path],
            _ => Vec::new(),
        })
        .collect()
}
