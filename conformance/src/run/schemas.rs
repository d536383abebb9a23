//! The schemas of a protocol, compiled once.

use jsonschema::Validator;
use serde::Serialize;
use std::collections::BTreeMap;
use wireproof_spec::schema::Schema;

/// Validators by the name of their schema.
pub struct Schemas(BTreeMap<&'static str, Validator>);

impl Schemas {
    /// Compiles them.
    ///
    /// # Errors
    /// A schema that is none.
    pub fn compile(schemas: &[Schema]) -> Result<Self, String> {
        let compiled = schemas.iter().map(|schema| {
            let validator =
                jsonschema::validator_for(&schema.document).map_err(|e| format!("{}: {e}", schema.name))?;
            Ok((schema.name, validator))
        });
        Ok(Self(compiled.collect::<Result<_, String>>()?))
    }

    /// Whether a message is valid by this schema.
    ///
    /// # Errors
    /// Where it is not, and why.
    pub fn check(&self, name: &str, message: &impl Serialize) -> Result<(), String> {
        let validator = self.0.get(name).ok_or_else(|| format!("there is no schema {name}"))?;
        let document = serde_json::to_value(message).map_err(|e| e.to_string())?;
        match validator.iter_errors(&document).next() {
            None => Ok(()),
            Some(e) => Err(format!("{}: {e}", e.instance_path())),
        }
    }
}
