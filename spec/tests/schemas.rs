//! The committed schemas: what the types give, valid, and free of what foreign validators refuse.

use serde_json::Value;
use std::{env, fs, process};
use wireproof_spec::{schema, stream};

#[test]
fn the_committed_schemas_are_those_of_the_types() {
    let drift = schema::drift(&crate::workspace("schemas"), &stream::schemas());
    assert!(drift.is_empty(), "{}", drift.join("\n"));
}

#[test]
fn drift_is_found_and_writing_ends_it() {
    let dir = env::temp_dir().join(format!("wireproof-schemas-{}", process::id()));
    let all = stream::schemas();
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
    for schema in stream::schemas() {
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
    const KNOWN: [&str; 23] = [
        "$id",
        "$schema",
        "additionalProperties",
        "anyOf",
        "const",
        "dependentRequired",
        "description",
        "enum",
        "if",
        "items",
        "maximum",
        "maxLength",
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
                ("anyOf" | "oneOf", Value::Array(branches)) => branches.iter().for_each(|s| check(s, &at)),
                ("additionalProperties" | "if" | "items" | "not" | "then", s) => check(s, &at),
                _ => {}
            }
        }
    }
    for schema in stream::schemas() {
        check(&schema.document, schema.name);
    }
}
