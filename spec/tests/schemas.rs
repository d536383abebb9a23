//! The committed schemas: what the types give, valid, and free of what foreign validators refuse.

use crate::protocols::PROTOCOLS;
use serde_json::{Value, json};
use std::{env, fs, process};
use wireproof_spec::{
    queue::{self, http::OPERATIONS},
    schema::{self, Schema},
    stream,
};

/// The schema of every message.
fn messages() -> Vec<Schema> {
    PROTOCOLS.iter().flat_map(|protocol| (protocol.schemas)()).collect()
}

/// Every schema, and the OpenAPI documents.
fn all() -> Vec<Schema> {
    let all = schema::all();
    let openapi = PROTOCOLS.iter().map(|protocol| (protocol.openapi)());
    for schema in messages().into_iter().chain(openapi) {
        assert!(all.contains(&schema), "{} is left out", schema.name);
    }
    all
}

#[test]
fn the_committed_schemas_are_those_of_the_types() {
    let drift = schema::drift(&crate::workspace("schemas"), &all());
    assert!(drift.is_empty(), "{}", drift.join("\n"));
}

#[test]
fn drift_is_found_and_writing_ends_it() {
    let dir = env::temp_dir().join(format!("wireproof-schemas-{}", process::id()));
    let all = all();
    let (first, second) = (dir.join("stream/create-request.json"), dir.join("stream/refusal.json"));
    schema::write(&dir, &all).expect("schemas are written");
    assert_eq!(schema::drift(&dir, &all), Vec::<String>::new());

    fs::write(&first, "{}").expect("a file is written");
    fs::remove_file(&second).expect("a file is removed");
    fs::write(dir.join("stream/gone.json"), "{}").expect("a file is written");
    let found = schema::drift(&dir, &all);
    fs::remove_dir_all(&dir).expect("the directory is removed");
    let dir = dir.display();
    assert_eq!(
        found,
        [
            format!("{dir}/stream/create-request.json is stale: run `cargo run -- schema --out schemas`"),
            format!("{dir}/stream/refusal.json is missing: run `cargo run -- schema --out schemas`"),
            format!("{dir}/stream/gone.json is the schema of no message: remove it"),
        ]
    );
}

#[test]
fn schemas_are_of_the_draft_and_say_what_they_are() {
    for schema in messages() {
        let name = schema.name;
        assert!(jsonschema::meta::is_valid(&schema.document), "{name}");
        assert_eq!(schema.document["$schema"], "https://json-schema.org/draft/2020-12/schema", "{name}");
        assert_eq!(schema.document["$id"], format!("{name}.json"));
        for key in ["title", "description"] {
            assert!(
                schema.document[key].as_str().is_some_and(|text| !text.is_empty()),
                "{name} has no {key}"
            );
        }
    }
}

/// ajv in strict mode refuses keywords and formats that it does not know; pydantic warns of them.
#[test]
fn schemas_use_only_what_every_validator_knows() {
    const KNOWN: [&str; 27] = [
        "$id",
        "$schema",
        "additionalProperties",
        "allOf",
        "anyOf",
        "const",
        "dependentRequired",
        "description",
        "else",
        "enum",
        "if",
        "items",
        "maximum",
        "maxItems",
        "maxLength",
        "minItems",
        "minLength",
        "minimum",
        "not",
        "oneOf",
        "pattern",
        "properties",
        "required",
        "then",
        "title",
        "type",
        "$ref",
    ];
    fn check(schema: &Value, at: &str) {
        for (key, value) in schema.as_object().into_iter().flatten() {
            assert!(KNOWN.contains(&key.as_str()), "{at}: {key}");
            let at = format!("{at}/{key}");
            match (key.as_str(), value) {
                ("properties", Value::Object(members)) => {
                    members.iter().for_each(|(name, s)| check(s, &format!("{at}/{name}")))
                }
                ("allOf" | "anyOf" | "oneOf", Value::Array(branches)) => {
                    branches.iter().for_each(|s| check(s, &at))
                }
                ("additionalProperties" | "else" | "if" | "items" | "not" | "then", s) => check(s, &at),
                _ => {}
            }
        }
    }
    for schema in messages() {
        check(&schema.document, schema.name);
    }
}

#[test]
fn the_openapi_document_of_streams_has_every_message() {
    let document = stream::openapi().document;
    let text = document.to_string();
    for schema in stream::schemas() {
        let description = schema.document["description"].as_str().unwrap_or_default();
        // A control event is a part of a body.
        let within = schema.name == "stream/sse-control";
        assert!(within || text.contains(description), "{} is not in it", schema.name);
    }
    for (method, statuses) in [
        ("put", &["200", "201", "4XX", "5XX"][..]),
        ("post", &["200", "204", "4XX", "5XX"]),
        ("delete", &["204", "4XX", "5XX"]),
        ("head", &["200", "4XX", "5XX"]),
        ("get", &["200", "204", "304", "4XX", "5XX"]),
    ] {
        let answers = document["paths"]["/{stream}"][method]["responses"].as_object();
        assert!(answers.is_some_and(|answers| answers.keys().eq(statuses)), "{method}: {answers:?}");
    }
    let get = &document["paths"]["/{stream}"]["get"];
    let named = |name: &str| get["parameters"].as_array().into_iter().flatten().find(|p| p["name"] == name);
    assert_eq!(named("live").map(|live| &live["schema"]), Some(&json!({ "enum": ["long-poll", "sse"] })));
    assert_eq!(named("offset").map(|offset| &offset["required"]), Some(&json!(false)));
    let headers = |status: &str| &get["responses"][status]["headers"];
    assert_eq!(headers("204")["stream-up-to-date"]["required"], true, "a condition on the status holds");
    assert_eq!(headers("200")["stream-up-to-date"]["required"], false);
}

#[test]
fn the_openapi_document_of_queues_has_every_operation() {
    let document = queue::openapi().document;
    for operation in OPERATIONS {
        let arguments: String = operation.arguments.iter().map(|name| format!("/{{{name}}}")).collect();
        let path = format!("/queue/{}{arguments}", operation.name);
        let item = &document["paths"][&path][operation.method.to_lowercase()];
        let of = |schema: &str| format!("#/components/schemas/{}", schema.trim_start_matches("queue/"));
        let content = |part: &Value| part["content"]["application/json"]["schema"]["$ref"].clone();
        assert_eq!(content(&item["responses"]["2XX"]), of(operation.reply), "{path}");
        assert_eq!(content(&item["responses"]["4XX"]), of("queue/failure"), "{path}");
        assert_eq!(content(&item["requestBody"]).as_str(), operation.request.map(of).as_deref(), "{path}");
    }
    assert_eq!(document["paths"].as_object().map(serde_json::Map::len), Some(OPERATIONS.len()));
}

#[test]
fn the_openapi_document_of_queues_refers_to_what_is_there() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = queue::openapi().document;
    let mut found = Vec::new();
    references(&document, &mut found);
    for reference in &found {
        assert!(document.pointer(&reference[1..]).is_some_and(Value::is_object), "{reference}");
    }
    // What a reply holds is one of the components and not a copy of it.
    let held =
        &document["components"]["schemas"]["queues-reply"]["properties"]["data"]["properties"]["queues"];
    assert_eq!(held["items"]["$ref"], "#/components/schemas/queue");
}
