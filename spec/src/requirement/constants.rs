//! The generator of requirement constants: the one function that the build script and test protocols use.

use super::parse::Requirement;
use std::fmt::Write;

/// Writes one constant for each requirement, its sentence as documentation, and `ALL` with every id in document order.
///
/// `id_type` is the path of [`RequirementId`](crate::requirement::RequirementId) as the generated file has to say it.
pub fn constants(requirements: &[Requirement], id_type: &str) -> String {
    let mut code = String::from("// Generated from the normative document. Do not edit.\n");
    for r in requirements {
        let name = r.id.replace('-', "_");
        let text = r.text.replace('[', "\\[").replace(']', "\\]");
        let _ = write!(
            code,
            "/// **{}**: {text}\npub const {name}: {id_type} = {id_type}::new(\"{}\");\n",
            r.level.name(),
            r.id
        );
    }
    let _ = writeln!(
        code,
        "/// Every requirement, in the order of the document.\npub const ALL: &[{id_type}] = &["
    );
    for r in requirements {
        let _ = writeln!(code, "    {},", r.id.replace('-', "_"));
    }
    code.push_str("];\n");
    code
}
