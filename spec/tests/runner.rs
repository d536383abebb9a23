//! The one test binary of this crate: linking many is what makes test runs slow.

mod agree;
mod decode;
mod documents;
mod fleet;
mod json;
mod messages;
mod protocols;
mod queue;
mod rows;
mod schemas;

use std::{collections::BTreeSet, fs, path::PathBuf};

/// A path of the workspace.
fn workspace(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The text of a file of the workspace.
fn text(path: &str) -> String {
    let file = workspace(path);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The names of what is in a directory of the workspace, in order; none if there is no such directory.
fn names(path: &str) -> Vec<String> {
    let entries = fs::read_dir(workspace(path)).into_iter().flatten().flatten();
    let sorted: BTreeSet<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    sorted.into_iter().collect()
}

#[test]
fn no_test_file_is_forgotten() {
    let listed: BTreeSet<_> = include_str!("runner.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'))
        .map(|name| format!("{name}.rs"))
        .chain(["runner.rs".to_owned()])
        .collect();
    assert_eq!(names("spec/tests").into_iter().collect::<BTreeSet<_>>(), listed);
}
