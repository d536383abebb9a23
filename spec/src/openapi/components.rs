//! The schemas that the operations of an OpenAPI document name: each message once, by reference where others hold it.

use crate::schema::Schema;
use serde_json::{Map, Value, json};

/// The answer of this schema.
pub(crate) fn answer(description: &str, schema: &str) -> Value {
    json!({ "description": description, "content": json_body(schema) })
}

/// A JSON body of this schema.
pub(crate) fn json_body(schema: &str) -> Value {
    let name = short(schema);
    json!({ "application/json": { "schema": { "$ref": format!("#/components/schemas/{name}") } } })
}

/// The name of a schema without its protocol.
fn short(schema: &str) -> &str {
    schema.split_once('/').map_or(schema, |(_, name)| name)
}

/// The messages of these names, and what they hold: the schemas of `held` are described once.
pub(crate) fn components(schemas: Vec<Schema>, names: &[&str], held: &[&str]) -> Map<String, Value> {
    let parts: Vec<(&str, Value)> = schemas
        .iter()
        .filter(|schema| held.contains(&schema.name))
        .map(|schema| (schema.name, bare(&schema.document)))
        .collect();
    let component = |schema: Schema| {
        let mut document = schema.document;
        if let Some(members) = document.as_object_mut() {
            members.retain(|key, _| !key.starts_with('$'));
            members.values_mut().for_each(|value| refer(value, &parts));
        }
        (short(schema.name).to_owned(), document)
    };
    let named = |schema: &Schema| names.contains(&schema.name) || held.contains(&schema.name);
    schemas.into_iter().filter(named).map(component).collect()
}

/// A schema without what says which file it is and what it means where it stands.
fn bare(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(members) = schema.as_object_mut() {
        members.retain(|key, _| !key.starts_with('$') && key != "title" && key != "description");
    }
    schema
}

/// Puts a reference in the place of everything that is held.
fn refer(value: &mut Value, held: &[(&str, Value)]) {
    if value["type"] == "object"
        && let Some((name, _)) = held.iter().find(|(_, schema)| bare(value) == *schema)
    {
        let mut reference = json!({ "$ref": format!("#/components/schemas/{}", short(name)) });
        if value["description"].is_string() {
            reference["description"] = value["description"].take();
        }
        *value = reference;
        return;
    }
    match value {
        Value::Object(members) => members.values_mut().for_each(|value| refer(value, held)),
        Value::Array(items) => items.iter_mut().for_each(|value| refer(value, held)),
        _ => {}
    }
}
