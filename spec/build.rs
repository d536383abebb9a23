//! Generates the requirement constants of every protocol from its document.
//!
//! The parser and the generator are the ones of the library, taken in by path: there is one of each.

// What the build does not call, the library does.
#[allow(dead_code, unreachable_pub)]
#[path = "src/requirement/parse.rs"]
mod parse;

#[path = "src/requirement/constants.rs"]
#[allow(unreachable_pub)]
mod constants;

use std::{env, fs, path::Path, process::exit};

const PROTOCOLS: [&str; 3] = ["stream", "queue", "fleet"];

fn main() {
    println!("cargo::rerun-if-changed=src/requirement");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    for protocol in PROTOCOLS {
        let document = format!("{protocol}.md");
        println!("cargo::rerun-if-changed={document}");
        let text = fs::read_to_string(&document).unwrap_or_else(|e| refuse(&format!("{document}: {e}")));
        let requirements = parse::requirements(&text).unwrap_or_else(|e| refuse(&format!("{document}:{e}")));
        let file = Path::new(&out).join(format!("{protocol}_requirements.rs"));
        let code = constants::constants(&requirements, "crate::requirement::RequirementId");
        fs::write(&file, code).unwrap_or_else(|e| refuse(&format!("{}: {e}", file.display())));
    }
}

fn refuse(why: &str) -> ! {
    println!("cargo::error={why}");
    exit(1)
}
