//! The targets themselves: every seed passes, reaches what the target is about, and so does every input that once broke one.

use std::{fs, path::Path};
use wireproof::fuzzing::reports;
use wireproof_fuzz::{
    adapter, answer, documents, files, frames, log, messages, model, queue, raw, requirements, seeds, sse,
    texts, websocket,
};

type Target = (&'static str, fn(&[u8]));

const TARGETS: &[Target] = &[
    ("documents", documents::run),
    ("frames", frames::run),
    ("messages", messages::run),
    ("texts", texts::run),
    ("requirements", requirements::run),
    ("files", files::run),
    ("raw", raw::run),
    ("answer", answer::run),
    ("websocket", websocket::run),
    ("adapter", adapter::run),
    ("log", log::run),
    ("model", model::run),
    ("queue", queue::run),
    ("sse", sse::run),
];

/// Targets that build their input from bytes of any kind.
const WITHOUT_SEEDS: &[&str] = &["messages", "model", "queue"];

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_seed_passes() {
    let seeds = seeds::of(&here().join("..")).expect("the files of the workspace");
    for (name, run) in TARGETS {
        let own = seeds.get(name).map(|own| own.len()).unwrap_or_default();
        assert!(own > 5 || WITHOUT_SEEDS.contains(name), "{name} has {own} seeds");
        seeds.get(name).into_iter().flatten().for_each(|seed| run(seed));
    }
}

#[test]
fn every_log_among_the_seeds_can_be_reported() {
    let seeds = seeds::of(&here().join("..")).expect("the files of the workspace");
    for seed in &seeds["log"] {
        let reports = reports(&[&log::TINY], std::str::from_utf8(seed).expect("text"));
        assert!(reports.is_ok_and(|[shown, ..]| shown.contains("TINY-SAY-1")));
    }
}

/// regressions/TARGET/WHAT: an input that broke the target once.
#[test]
fn what_once_broke_a_target_passes() {
    for dir in fs::read_dir(here().join("regressions")).expect("the regressions") {
        let dir = dir.expect("an entry").path();
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (_, run) =
            TARGETS.iter().find(|(known, _)| *known == name).expect("a directory has the name of a target");
        for input in fs::read_dir(dir).expect("a directory") {
            run(&fs::read(input.expect("an entry").path()).expect("a file"));
        }
    }
}

#[test]
fn every_target_is_run() {
    let script = include_str!("../run");
    let manifest = include_str!("../Cargo.toml");
    for (name, _) in TARGETS {
        let binary = format!("targets/{name}.rs");
        assert!(manifest.contains(&format!("path = \"{binary}\"")), "{name} has no binary");
        assert!(here().join(binary).exists(), "{name} has no file");
        let listed = script.lines().find(|line| line.starts_with("all=(")).unwrap_or_default();
        assert!(listed.split(['(', ')', ' ']).any(|word| word == *name), "fuzz/run leaves out {name}");
    }
}

/// What the fuzzer does for long, for a moment and without its guidance.
#[test]
fn any_bytes_pass() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for length in (0..2_048).step_by(16) {
        let mut bytes = vec![0; length];
        for eight in bytes.chunks_mut(8) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            eight.copy_from_slice(&random.to_le_bytes()[..eight.len()]);
        }
        TARGETS.iter().for_each(|(_, run)| run(&bytes));
    }
}
