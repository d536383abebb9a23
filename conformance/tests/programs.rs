//! Targets that are looked at as programs: a real process, its exit code, what it prints, its variables.

use crate::cli::done;
use std::fs;

const AGENT_KEY: &str = "agent-0123456789abcdef0123456789abcdef";
const ADMIN_KEY: &str = "admin-0123456789abcdef0123456789abcdef";

/// What is said of a reference orchestrator that this starts, `$PROGRAM` being the binary, by the checks of programs.
fn of(command: &str) -> (String, i32) {
    let dir = tempfile::tempdir().expect("a directory");
    let text = format!(
        "protocol = \"fleet\"\nurl = \"http://127.0.0.1:{{port}}\"\n[launch]\ncommand = '''{command}'''\n\
         env = {{ PROGRAM = \"{}\", FLEET_AGENT_KEY = \"{AGENT_KEY}\", FLEET_ADMIN_KEY = \"{ADMIN_KEY}\", FLEET_HOST = \
         \"127.0.0.1\" }}\n[headers]\nauthorization = \"Bearer {ADMIN_KEY}\"\nsec-websocket-protocol = \"{AGENT_KEY}\"\n\
         [features]\n\"fleet.command-line\" = \"on\"\n[limits]\nshutdown-ms = 3000\n",
        env!("CARGO_BIN_EXE_wireproof")
    );
    let file = dir.path().join("wireproof.toml");
    fs::write(&file, text).expect("a file");
    let file = file.to_str().expect("a path");
    let (out, said, code) = done(&["run", "--target", file, "--only", "fleet/startup/*", "--verbose"]);
    (format!("{out}{said}"), code)
}

#[test]
fn a_program_is_seen_to_begin_and_to_end() {
    let (said, code) = of("exec \"$PROGRAM\" serve fleet -- --port {port} --heartbeat 300");
    assert!(said.contains("8 pass"), "{said}");
    assert_eq!(code, 0, "{said}");
}

#[test]
fn a_program_that_prints_its_keys_is_found_out() {
    let (said, code) =
        of("echo \"keys: $FLEET_ADMIN_KEY\"; exec \"$PROGRAM\" serve fleet -- -p {port} --heartbeat 300");
    assert!(said.contains("FLEET-STARTUP-4") && said.contains("1 of the keys in it"), "{said}");
    assert!(!said.contains(ADMIN_KEY) && !said.contains(AGENT_KEY), "{said}");
    assert_eq!(code, 1, "{said}");
}

#[test]
fn of_a_shell_in_between_and_of_keys_in_the_command_nobody_is_to_blame() {
    let keys = format!("--agent-key {AGENT_KEY} --admin-key {ADMIN_KEY}");
    for (command, why) in [
        ("\"$PROGRAM\" serve fleet -- --port {port} --heartbeat 300; true", "be `exec` and the target"),
        (
            "exec env NODE_ENV=test \"$PROGRAM\" serve fleet -- --port {port} --heartbeat 300",
            "does not have NODE_ENV",
        ),
        (
            &format!("exec \"$PROGRAM\" serve fleet -- --port {{port}} --heartbeat 300 {keys}"),
            "out of its command, or it cannot be given others",
        ),
    ] {
        let (said, code) = of(command);
        assert!(said.contains(why), "`{command}`: {said}");
        assert!(!said.contains(" fail") && code == 3, "`{command}`: {code}: {said}");
    }
}
