//! The OpenAPI document of the HTTP API. What comes over WebSocket is no part of it.

use super::{
    http::{OPERATIONS, Operation},
    schemas,
};
use crate::{
    openapi::{answer, components, json_body},
    schema::Schema,
};
use serde_json::{Map, Value, json};

/// The OpenAPI document of the messages.
pub fn openapi() -> Schema {
    let mut paths: Map<String, Value> = Map::new();
    for operation in OPERATIONS {
        let arguments: String = operation.arguments.iter().map(|name| format!("/{{{name}}}")).collect();
        let path = format!("/queue/{}{arguments}", operation.name);
        let item = paths.entry(path).or_insert_with(|| json!({}));
        item[operation.method.to_lowercase()] = described(operation);
    }
    Schema::sorted(
        "queue/openapi",
        json!({
            "openapi": "3.1.0",
            "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
            "info": {
                "title": "Queues",
                "description": "Queues over HTTP. spec/queue.md says what a server has to do; this document says what its messages \
                    look like. Servers may have the segment 2026-01-15 behind the action of a path. Subscriptions over WebSocket \
                    are no part of it.",
                "version": env!("CARGO_PKG_VERSION"),
            },
            "servers": [{
                "url": "{root}",
                "variables": { "root": { "default": "http://127.0.0.1:8080", "description": "The root that the server names." } },
            }],
            "security": [{ "key": [] }],
            "paths": paths,
            "components": {
                "securitySchemes": { "key": { "type": "http", "scheme": "bearer" } },
                "schemas": components(schemas(), &named(), &HELD),
            },
        }),
    )
}

fn described(operation: &Operation) -> Value {
    let argument = |name: &&str| {
        let description = match *name {
            "name" => "The name of the queue, percent-encoded.",
            "offset" => "The offset of the message.",
            _ => "The id.",
        };
        json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" }, "description": description })
    };
    let asked = |name: &&str| {
        let required = operation.name == "consume" && *name == "offset";
        let (schema, description) = match *name {
            "limit" => (json!({ "type": "integer", "minimum": 1, "maximum": 1000 }), "How many at most."),
            "offset" if required => {
                (json!({ "type": "integer", "minimum": 0 }), "The offset of the first message.")
            }
            "offset" => (json!({ "type": "integer", "minimum": 0 }), "How many to skip."),
            "timeout" => {
                (json!({ "type": "number", "minimum": 0, "maximum": 30 }), "How many seconds to wait.")
            }
            "sync" => (json!({ "enum": ["true", "false"] }), "Whether to answer when the message is stored."),
            _ => (json!({ "type": "string" }), "The state of messages to show."),
        };
        json!({ "name": name, "in": "query", "required": required, "schema": schema, "description": description })
    };
    let parameters: Vec<Value> =
        operation.arguments.iter().map(argument).chain(operation.query.iter().map(asked)).collect();
    let failure = answer("A refusal.", "queue/failure");
    let mut item = json!({
        "operationId": operation.name.replace('/', "-"),
        "description": operation.text,
        "parameters": parameters,
        "responses": { "2XX": answer("It succeeded.", operation.reply), "4XX": failure, "5XX": failure },
    });
    if let Some(request) = operation.request {
        item["requestBody"] = json!({ "required": true, "content": json_body(request) });
    }
    item
}

/// What other messages hold; it is described once.
const HELD: [&str; 6] = [
    "queue/message",
    "queue/queue",
    "queue/dead-letter-message",
    "queue/destination",
    "queue/source",
    "queue/consumer",
];

/// The schemas that the operations name.
fn named() -> Vec<&'static str> {
    let of = |operation: &Operation| [Some(operation.reply), operation.request];
    OPERATIONS.iter().flat_map(of).flatten().chain(["queue/failure"]).collect()
}
