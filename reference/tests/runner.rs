//! The one test binary of the crate.

mod client;
mod fleet_agent;
mod fleet_line;
mod fleet_log;
mod fleet_model;
mod fleet_server;
mod log;
mod queue_caller;
mod queue_client;
mod queue_client_model;
mod queue_crash;
mod queue_model;
mod queue_robust;
mod queue_script;
mod queue_subscriber;
mod queue_subscriber_bounds;
mod queue_wire;
mod robust;
mod stream_caching;
mod stream_expiry;
mod stream_forks;
mod stream_json;
mod stream_model;
mod stream_producers;
mod stream_wire;

#[test]
fn no_file_is_forgotten() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
    let listed = include_str!("runner.rs");
    for file in std::fs::read_dir(directory).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|e| e == "rs") {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            assert!(
                name == "runner" || listed.contains(&format!("mod {name};")),
                "{name}.rs is no mod of the runner"
            );
        }
    }
}
