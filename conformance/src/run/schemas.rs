//! The schemas of a protocol, compiled once.

use jsonschema::Validator;
use serde::Serialize;
use serde_json::Value;
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
        let document = serde_json::to_value(message).map_err(|e| e.to_string())?;
        self.check_but(name, &document, |_| false)
    }

    /// As [`Schemas::check`], but for what is wrong at pointers (RFC 6901) that `elsewhere` says are looked at elsewhere.
    ///
    /// # Errors
    /// As [`Schemas::check`].
    pub fn check_but(
        &self,
        name: &str,
        document: &Value,
        elsewhere: impl Fn(&str) -> bool,
    ) -> Result<(), String> {
        let validator = self.0.get(name).ok_or_else(|| format!("there is no schema {name}"))?;
        match validator.iter_errors(document).find(|e| !elsewhere(e.instance_path().as_str())) {
            None => Ok(()),
            Some(e) => Err(format!("{}: {e}", e.instance_path())),
        }
    }
}
