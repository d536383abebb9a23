//! JSON Schemas (draft 2020-12) of messages: made from the types, written to a directory, compared with it.
//!
//! They use only keywords of the draft, and no `format`, so that validators of every language see every rule.

use crate::decode::{Field, Side};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

/// The JSON Schema of one message.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    /// Protocol and message: `stream/create-request`. The file has this name and the ending `.json`.
    pub name: &'static str,
    /// The schema itself.
    pub document: Value,
}

/// The schemas and OpenAPI documents of every protocol, whether a runner has checks of it or not.
pub fn all() -> Vec<Schema> {
    let mut all = Vec::new();
    for (schemas, openapi) in [
        (crate::stream::schemas as fn() -> Vec<Schema>, crate::stream::openapi as fn() -> Schema),
        (crate::queue::schemas, crate::queue::openapi),
        (crate::fleet::schemas, crate::fleet::openapi),
    ] {
        all.extend(schemas());
        all.push(openapi());
    }
    all
}

/// A message that has a name on disk.
pub trait Message: JsonSchema {
    /// Protocol and message: `stream/create-request`.
    const NAME: &'static str;
}

impl Schema {
    /// The schema of a message.
    pub fn of<M: Message>() -> Self {
        Self::named::<M>(M::NAME)
    }

    /// The schema of a type that is no message and yet has a file of this name.
    pub fn named<T: JsonSchema>(name: &'static str) -> Self {
        let generator = SchemaSettings::draft2020_12().into_generator();
        let mut document = generator.into_root_schema_for::<T>().to_value();
        document["$id"] = format!("{name}.json").into();
        Self { name, document: sorted(without_formats(document)) }
    }

    /// A document that is no schema and yet has a file of this name.
    pub fn sorted(name: &'static str, document: Value) -> Self {
        Self { name, document: sorted(document) }
    }

    /// The text of its file.
    pub fn text(&self) -> String {
        format!("{:#}\n", self.document)
    }
}

/// Without what other tools invent for the sizes of numbers: validators and generators of types refuse or warn of a format
/// that the draft does not know. The bounds say the same.
fn without_formats(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let is_format = |name: &str, value: &Value| name == "format" && value.is_string();
            let kept = map.into_iter().filter(|(name, value)| !is_format(name, value));
            kept.map(|(name, value)| (name, without_formats(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(without_formats).collect(),
        other => other,
    }
}

/// The members of every object in alphabetical order, whatever features other crates give to serde_json.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut members: Vec<_> = map.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(Map::from_iter(members))
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}

/// A header or a parameter in a schema.
pub(crate) struct Part {
    name: &'static str,
    required: bool,
    schema: Value,
}

impl Part {
    pub(crate) fn new<F: Field>(name: &'static str, docs: &[&str], from: Side) -> Self {
        let mut schema = F::schema(from);
        schema["description"] = words(docs).into();
        Self { name, required: F::REQUIRED, schema }
    }
}

/// Lines of documentation as one paragraph.
pub(crate) fn words(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

/// Named values: those of the protocol, and any others, which are text as well.
fn fields(parts: &[Part]) -> Value {
    let properties: Map<_, _> = parts.iter().map(|part| (part.name.into(), part.schema.clone())).collect();
    let required: Vec<_> = parts.iter().filter(|part| part.required).map(|part| part.name).collect();
    let mut schema = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    if !properties.is_empty() {
        schema["properties"] = properties.into();
    }
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema
}

/// Bytes: text, or base64 of what is no UTF-8.
fn body() -> Value {
    // Behind an incomplete group the unused bits are zero, as RFC 4648 lets decoders demand.
    const BASE64: &str = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$";
    json!({ "anyOf": [
        { "type": "string" },
        {
            "type": "object",
            "properties": { "base64": { "type": "string", "pattern": BASE64 } },
            "required": ["base64"],
        },
    ] })
}

fn message(description: &str, members: &[(&str, Value, bool)], content: Option<&String>) -> Value {
    let mut properties: Map<_, _> =
        members.iter().map(|(name, schema, _)| ((*name).into(), schema.clone())).collect();
    let mut body = body();
    if let Some(content) = content {
        body["description"] = content.as_str().into();
    }
    properties.insert("body".into(), body);
    let required: Vec<_> =
        members.iter().filter(|(.., required)| *required).map(|(name, ..)| *name).collect();
    json!({ "type": "object", "description": description, "properties": properties, "required": required })
}

fn needed(parts: &[Part]) -> bool {
    parts.iter().any(|part| part.required)
}

pub(crate) fn request(
    description: &str,
    method: &str,
    query: &[Part],
    headers: &[Part],
    content: Option<&String>,
) -> Value {
    let path = json!({ "type": "string", "pattern": "^/", "description": "The path of the stream, percent-encoded." });
    message(
        description,
        &[
            ("method", json!({ "const": method }), true),
            ("path", path, true),
            ("query", fields(query), needed(query)),
            ("headers", fields(headers), needed(headers)),
        ],
        content,
    )
}

pub(crate) fn response(
    description: &str,
    mut status: Value,
    meaning: &str,
    headers: &[Part],
    content: Option<&String>,
) -> Value {
    if !meaning.is_empty() {
        status["description"] = meaning.into();
    }
    let members = [("status", status, true), ("headers", fields(headers), needed(headers))];
    message(description, &members, content)
}

/// The pattern of decimal digits that are at most this number, which has no leading zero; before them zeros may stand.
pub(crate) fn at_most(number: &str) -> String {
    let shorter = format!("[0-9]{{1,{}}}", number.len() - 1);
    let smaller =
        number.bytes().enumerate().filter(|(at, digit)| *digit > if *at == 0 { b'1' } else { b'0' }).map(
            |(at, digit)| {
                let least = if at == 0 { '1' } else { '0' };
                let most = char::from(digit - 1);
                format!("{}[{least}-{most}][0-9]{{{}}}", &number[..at], number.len() - at - 1)
            },
        );
    let all: Vec<_> = std::iter::once(shorter).chain(smaller).chain([number.to_owned()]).collect();
    format!("^0*({})$", all.join("|"))
}

/// Demands a body that is not empty.
pub(crate) fn body_with_content(schema: &mut Value) {
    if let Some(required) = schema["required"].as_array_mut() {
        required.push("body".into());
    }
    let body = &mut schema["properties"]["body"]["anyOf"];
    body[0]["minLength"] = 1.into();
    body[1]["properties"]["base64"]["minLength"] = 1.into();
}

/// Demands a body that is absent or empty.
pub(crate) fn body_without_content(schema: &mut Value) {
    let body = &mut schema["properties"]["body"]["anyOf"];
    body[0] = json!({ "const": "" });
    body[1]["properties"]["base64"] = json!({ "const": "" });
}

/// The value as a schema; what is built here is always an object.
pub(crate) fn finish(schema: Value) -> schemars::Schema {
    schema.try_into().unwrap_or_default()
}

/// Writes the file of every schema under `dir`.
///
/// # Errors
/// A file cannot be written.
pub fn write(dir: &Path, schemas: &[Schema]) -> io::Result<()> {
    for schema in schemas {
        let file = dir.join(format!("{}.json", schema.name));
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(file, schema.text())?;
    }
    Ok(())
}

/// How the files under `dir` differ from the schemas: one line for each that is missing, stale or left over, with what to
/// run. None means that they agree. Files in directories of which no schema is given are others' business.
pub fn drift(dir: &Path, schemas: &[Schema]) -> Vec<String> {
    let shown = |file: &Path| file.display().to_string();
    let run = "run `cargo run -- schema --out schemas`";
    let folders: BTreeSet<_> = schemas.iter().filter_map(|s| s.name.split('/').next()).collect();
    let mut leftover: BTreeSet<PathBuf> = folders.iter().flat_map(|name| files(&dir.join(name))).collect();
    let mut found = Vec::new();
    for schema in schemas {
        let file = dir.join(format!("{}.json", schema.name));
        leftover.remove(&file);
        match fs::read_to_string(&file) {
            Ok(text) if text == schema.text() => {}
            Ok(_) => found.push(format!("{} is stale: {run}", shown(&file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                found.push(format!("{} is missing: {run}", shown(&file)));
            }
            Err(error) => found.push(format!("{} cannot be read: {error}", shown(&file))),
        }
    }
    found.extend(
        leftover.iter().map(|file| format!("{} is the schema of no message: remove it", shown(file))),
    );
    found
}

/// Every `.json` file under `dir`; what cannot be listed has none.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|ending| ending == "json") {
            found.push(path);
        }
    }
    found
}
