//! The test binary of this crate: linking many is what makes test runs slow. Only the gate has one of its own, which runs
//! alone: what keeps to the second of an end wants the machine to itself.

mod cleanup;
mod cli;
mod clients;
mod comparisons;
mod crash;
mod dummy;
mod front;
mod hostile;
mod openapi;
mod overload;
mod pages;
mod programs;
mod reports;
mod revival;
mod secrets;
mod site;
mod sse;
mod targets;
mod transport;
mod verbs;

use std::{collections::BTreeSet, path::Path};

#[test]
fn no_test_file_is_forgotten() {
    let mut listed: BTreeSet<String> = include_str!("runner.rs")
        .lines()
        .filter_map(|line| Some(line.strip_prefix("mod ")?.strip_suffix(';')?.to_owned()))
        .collect();
    listed.extend(["runner".into(), "gate".into(), "snapshots".into()]);
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let entries = std::fs::read_dir(&tests).expect("the directory of the tests");
    let found: BTreeSet<String> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .collect();
    assert_eq!(found, listed, "a file under tests/ that runner.rs does not name, or the reverse");
}
