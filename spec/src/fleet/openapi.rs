//! The OpenAPI document of the routes for operators. What agents say over WebSocket is no part of it.

use super::{
    http::{OPERATIONS, Operation},
    schemas,
};
use crate::{
    openapi::{answer, components, json_body},
    schema::Schema,
};
use serde_json::{Map, Value, json};

/// What other messages hold; it is described once.
const HELD: [&str; 3] = ["fleet/instance-info", "fleet/room-info", "fleet/fleet-stats"];

/// The OpenAPI document of the messages.
pub fn openapi() -> Schema {
    let mut paths: Map<String, Value> = Map::new();
    for operation in OPERATIONS {
        let item = paths.entry(operation.path).or_insert_with(|| json!({}));
        item[operation.method.to_lowercase()] = described(operation);
    }
    let of = |operation: &Operation| [operation.reply, operation.request];
    let named: Vec<_> = OPERATIONS.iter().flat_map(of).flatten().chain(["fleet/rejected"]).collect();
    Schema::sorted(
        "fleet/openapi",
        json!({
            "openapi": "3.1.0",
            "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
            "info": {
                "title": "Fleet",
                "description": "The control plane of a fleet, for operators. spec/fleet.md says what an orchestrator has to do; this \
                    document says what its messages look like. What agents and orchestrators say to each other over WebSocket is no \
                    part of it.",
                "version": env!("CARGO_PKG_VERSION"),
            },
            "servers": [{
                "url": "{root}",
                "variables": { "root": { "default": "http://127.0.0.1:7350", "description": "The root of the orchestrator." } },
            }],
            "paths": paths,
            "components": {
                "securitySchemes": { "key": { "type": "http", "scheme": "bearer" } },
                "schemas": components(schemas(), &named, &HELD),
            },
        }),
    )
}

fn described(operation: &Operation) -> Value {
    let mut parameters = Vec::new();
    if operation.path.contains("{id}") {
        parameters.push(json!({
            "name": "id", "in": "path", "required": true, "schema": { "type": "string" },
            "description": "The id, as the orchestrator tells it: no percent-encoding of it is undone.",
        }));
    }
    if operation.path == "/v1/rooms" && operation.method == "GET" {
        for (name, meaning) in [
            ("type", "Rooms of this type alone."),
            ("instanceId", "Rooms on this instance alone."),
            ("label", "Rooms on instances with this label alone, as key:value; several may be given."),
        ] {
            parameters.push(json!({ "name": name, "in": "query", "schema": { "type": "string" }, "description": meaning }));
        }
    }
    let failure = answer("A refusal.", "fleet/rejected");
    let success = match operation.reply {
        Some(schema) => answer("It succeeded.", schema),
        None => json!({
            "description": "The events from now on; the data of each is described under \"Events\".",
            "content": { "text/event-stream": { "schema": { "type": "string" } } },
        }),
    };
    let mut item = json!({
        "operationId": format!("{:?}", operation.action),
        "description": operation.text,
        "parameters": parameters,
        "responses": { operation.status.to_string(): success, "4XX": failure, "5XX": failure },
    });
    if operation.keyed {
        item["security"] = json!([{ "key": [] }]);
    }
    if let Some(request) = operation.request {
        item["requestBody"] = json!({ "required": true, "content": json_body(request) });
    }
    item
}
