//! OpenAPI 3.1 documents of HTTP protocols, made from the schemas of their messages.
//!
//! OpenAPI has one operation for a method and a path, and describes each part of a message alone. So an operation takes what
//! any message of its method takes, and an answer holds what any answer of its status holds. What the parts of one message
//! have to do with each other is said by the schema of the message, which the operation names.

mod components;

pub(crate) use components::{answer, components, json_body};

use crate::schema::Schema;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// An HTTP protocol all of whose messages are about one path.
pub struct Api<'a> {
    /// Protocol and document: `stream/openapi`. The file has this name and the ending `.json`.
    pub name: &'static str,
    /// Its title.
    pub title: &'static str,
    /// What it is, in a sentence or two.
    pub description: &'static str,
    /// The URL below which the path stands, with a port that people use.
    pub root: &'static str,
    /// What the path names, and how it is called.
    pub path: (&'static str, &'static str),
    /// The schemas of its messages.
    pub messages: &'a [Schema],
    /// Its requests with their answers.
    pub exchanges: &'a [Exchange],
    /// The message that refuses any of them.
    pub refusal: &'static str,
}

/// A request and the answers of its success, by the names of their schemas.
pub struct Exchange {
    /// The request.
    pub request: &'static str,
    /// Its answers.
    pub answers: &'static [&'static str],
    /// Bodies of which more is known than that they are bytes: message, media type, schema.
    pub bodies: &'static [Body],
}

/// What is known of a body: message, media type, schema.
pub type Body = (&'static str, &'static str, fn() -> Value);

/// Parameters and headers of these names are described by other means; OpenAPI ignores them.
const ELSEWHERE: [&str; 3] = ["accept", "authorization", "content-type"];

/// The document.
pub fn document(api: &Api<'_>) -> Schema {
    let mut methods: BTreeMap<&str, Vec<&Exchange>> = BTreeMap::new();
    for exchange in api.exchanges {
        let method = api.message(exchange.request)["properties"]["method"]["const"].as_str();
        methods.entry(method.unwrap_or_default()).or_default().push(exchange);
    }
    let (path, meaning) = api.path;
    let parameter = json!({
        "name": path, "in": "path", "required": true, "schema": { "type": "string" }, "description": meaning,
    });
    let mut item = Map::from_iter([("parameters".to_owned(), json!([parameter]))]);
    item.extend(methods.iter().map(|(method, all)| (method.to_lowercase(), api.operation(method, all))));
    let mut paths = Map::new();
    paths.insert(format!("/{{{path}}}"), item.into());
    Schema::sorted(
        api.name,
        json!({
            "openapi": "3.1.0",
            "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
            "info": { "title": api.title, "description": api.description, "version": env!("CARGO_PKG_VERSION") },
            "servers": [{
                "url": "{root}",
                "variables": { "root": { "default": api.root, "description": "The root that the server names." } },
            }],
            "paths": paths,
        }),
    )
}

impl Api<'_> {
    /// The schema of a message; of an unknown one nothing is known.
    fn message(&self, name: &str) -> &Value {
        self.messages
            .iter()
            .find(|schema| schema.name == name)
            .map_or(&Value::Null, |schema| &schema.document)
    }

    fn operation(&self, method: &str, exchanges: &[&Exchange]) -> Value {
        let requests: Vec<&Value> = exchanges.iter().map(|exchange| self.message(exchange.request)).collect();
        let parts = |part: &str, place: &str| -> Vec<Value> {
            let described = |(name, mut parameter): (String, Value)| {
                parameter["name"] = name.into();
                parameter["in"] = place.into();
                parameter
            };
            fields(&requests.iter().map(|message| Part::of(message, part, None)).collect::<Vec<_>>())
                .into_iter()
                .map(described)
                .collect()
        };
        let words: Vec<String> = exchanges
            .iter()
            .map(|exchange| {
                let message = self.message(exchange.request);
                let text = |key: &str| message[key].as_str().unwrap_or_default();
                format!("{}: {} Its schema is {}.json.", text("title"), text("description"), exchange.request)
            })
            .collect();
        let ids: Vec<&str> = exchanges
            .iter()
            .filter_map(|exchange| exchange.request.split('/').next_back()?.strip_suffix("-request"))
            .collect();
        let parameters = [parts("query", "query"), parts("headers", "header")].concat();
        let mut operation = json!({
            "operationId": ids.join("-or-"),
            "description": words.join("\n\n"),
            "parameters": parameters,
            "responses": self.answers(method, exchanges),
        });
        let has_body = |message: &&Value| message["properties"]["body"]["description"].is_string();
        if let Some(message) = requests.iter().find(|message| has_body(message)) {
            let names: Vec<&str> = exchanges.iter().map(|exchange| exchange.request).collect();
            let bodies = exchanges.iter().flat_map(|exchange| exchange.bodies);
            operation["requestBody"] = json!({
                "description": message["properties"]["body"]["description"],
                "content": content(bodies.filter(|(message, ..)| names.contains(message))),
            });
        }
        operation
    }

    fn answers(&self, method: &str, exchanges: &[&Exchange]) -> Value {
        let mut by_status: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for name in exchanges.iter().flat_map(|exchange| exchange.answers).copied().chain([self.refusal]) {
            for status in statuses(self.message(name)) {
                by_status.entry(status).or_default().insert(name);
            }
        }
        let answers = by_status.into_iter().map(|(status, names)| {
            let messages: Vec<&Value> = names.iter().map(|name| self.message(name)).collect();
            let words: Vec<&str> =
                messages.iter().filter_map(|message| message["description"].as_str()).collect();
            let parts: Vec<Part<'_>> =
                messages.iter().map(|message| Part::of(message, "headers", Some(&status))).collect();
            let mut answer = json!({ "description": words.join(" ") });
            let headers = fields(&parts);
            if !headers.is_empty() {
                answer["headers"] = headers.into_iter().collect::<Map<_, _>>().into();
            }
            if method != "HEAD" && status != "204" && status != "304" {
                let bodies = exchanges.iter().flat_map(|exchange| exchange.bodies);
                answer["content"] = content(bodies.filter(|(message, ..)| names.contains(message)));
            }
            (status, answer)
        });
        answers.collect::<Map<_, _>>().into()
    }
}

/// The values of one part of a message, and which of them it has to have.
struct Part<'a> {
    values: Option<&'a Map<String, Value>>,
    required: BTreeSet<&'a str>,
}

impl<'a> Part<'a> {
    /// With a status, what its answer has to have beyond what every answer of the message has to have.
    fn of(message: &'a Value, part: &str, status: Option<&str>) -> Self {
        fn names(schema: &Value) -> impl Iterator<Item = &str> {
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str)
        }
        let of_message = &message["properties"][part];
        let condition = &message["if"]["properties"]["status"]["const"];
        let holds = status.is_some_and(|status| *condition == status.parse::<u64>().unwrap_or_default());
        let of_status = if holds { &message["then"]["properties"][part] } else { &Value::Null };
        Self {
            values: of_message["properties"].as_object(),
            required: names(of_message).chain(names(of_status)).collect(),
        }
    }
}

/// What several messages have in one part: each value with its description, whether all of them have it, and its syntax.
fn fields(messages: &[Part<'_>]) -> BTreeMap<String, Value> {
    let mut found: BTreeMap<&String, Vec<&Value>> = BTreeMap::new();
    for (name, schema) in messages.iter().filter_map(|part| part.values).flatten() {
        // What a message cannot have, another may.
        if schema["not"] != json!({}) && !ELSEWHERE.contains(&name.as_str()) {
            found.entry(name).or_default().push(schema);
        }
    }
    let described = |(name, schemas): (&String, Vec<&Value>)| {
        let mut words: Vec<&str> = Vec::new();
        for text in schemas.iter().filter_map(|schema| schema["description"].as_str()) {
            if !words.contains(&text) {
                words.push(text);
            }
        }
        let required = messages.iter().all(|part| part.required.contains(name.as_str()));
        let field =
            json!({ "description": words.join(" "), "required": required, "schema": any_of(&schemas) });
        (name.clone(), field)
    };
    found.into_iter().map(described).collect()
}

/// The schema of what one of these takes.
fn any_of(schemas: &[&Value]) -> Value {
    let mut all: Vec<Value> = Vec::new();
    for schema in schemas {
        let mut schema = (*schema).clone();
        if let Some(members) = schema.as_object_mut() {
            members.remove("description");
        }
        if schema == json!({ "type": "string" }) {
            return schema;
        }
        if !all.contains(&schema) {
            all.push(schema);
        }
    }
    let constants: Option<Vec<Value>> = all.iter().map(|schema| schema.get("const").cloned()).collect();
    match (all.len(), constants) {
        (1, _) => all.remove(0),
        (_, Some(constants)) => json!({ "enum": constants }),
        _ => json!({ "anyOf": all }),
    }
}

/// Bytes of any media type, and those of which more is known.
fn content<'a>(known: impl Iterator<Item = &'a (&'static str, &'static str, fn() -> Value)>) -> Value {
    let known =
        known.map(|(_, media_type, schema)| ((*media_type).to_owned(), json!({ "schema": schema() })));
    known.chain([("*/*".to_owned(), json!({}))]).collect::<Map<_, _>>().into()
}

/// The statuses of an answer: one, several, or whole classes.
fn statuses(message: &Value) -> Vec<String> {
    let status = &message["properties"]["status"];
    let number = |key: &str| status[key].as_u64();
    match (number("const"), status["enum"].as_array(), number("minimum").zip(number("maximum"))) {
        (Some(one), ..) => vec![one.to_string()],
        (_, Some(several), _) => several.iter().map(Value::to_string).collect(),
        (.., Some((least, most))) => (least / 100..=most / 100).map(|class| format!("{class}XX")).collect(),
        _ => Vec::new(),
    }
}
