//! Normative documents and the constants that come of them.

use wireproof_spec::requirement::{constants::constants, requirements};

/// Reads the bytes as a document.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match requirements(text) {
        Ok(found) => {
            let code = constants(&found, "Id");
            for requirement in &found {
                let number = requirement.id.rsplit('-').next().and_then(|n| n.parse::<u32>().ok());
                assert!(number.is_some_and(|n| n > 0), "{} has no number", requirement.id);
                assert!(requirement.section.to_lowercase().starts_with(&requirement.area()));
                assert!(code.contains(&requirement.id.replace('-', "_")));
            }
        }
        Err(e) => assert!(e.line >= 1 && e.line <= text.lines().count(), "{e}"),
    }
}
