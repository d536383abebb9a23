//! Every request of a run against the reference matches an operation of the OpenAPI document, and every answer one of its
//! responses; what is broken on purpose does not have to.

use serde_json::{Map, Value, json, value::RawValue};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    process::Command,
};
use wireproof::{
    PROTOCOLS,
    event::{Bytes, Event, Message, What},
};

const ROOT: &str = "/v1/stream/";

/// The document, and what of it was used.
struct Openapi {
    document: Value,
    used: BTreeSet<String>,
}

impl Openapi {
    fn new() -> Self {
        let document = PROTOCOLS[0].openapi.expect("stream has an OpenAPI document")().document;
        Self { document, used: BTreeSet::new() }
    }

    /// The operation of a request.
    fn operation(&mut self, method: &str, path: &str) -> Result<Value, String> {
        path.strip_prefix(ROOT).filter(|name| !name.is_empty()).ok_or("a path that names no stream")?;
        let method = method.to_lowercase();
        let operation = self.document["paths"]["/{stream}"].get(&method).cloned();
        self.used.insert(method);
        operation.ok_or_else(|| "no operation of this method".into())
    }

    fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &BTreeMap<String, String>,
        body: &Bytes,
    ) -> Result<(), String> {
        let mut parsed = wireproof_spec::http::Request::default();
        parsed.set_target(target);
        let operation = self.operation(method, &parsed.path)?;
        let query = parsed.query.joined();
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = text(&parameter["name"]);
            let value = match text(&parameter["in"]) {
                "query" => query.get(name).map(String::as_str),
                "header" => headers.get(name).map(String::as_str),
                other => return Err(format!("a parameter in {other}")),
            };
            field(name, parameter, value)?;
        }
        content(operation["requestBody"].get("content"), headers, body)
    }

    fn answer(
        &mut self,
        method: &str,
        path: &str,
        status: u16,
        headers: &BTreeMap<String, String>,
        body: &Bytes,
    ) -> Result<(), String> {
        let operation = self.operation(method, path)?;
        let keys = [status.to_string(), format!("{}XX", status / 100)];
        let response = keys.iter().find_map(|key| operation["responses"].get(key));
        let response = response.ok_or_else(|| format!("no response with the status {status}"))?;
        self.used.insert(format!("{} {status}", method.to_lowercase()));
        for (name, header) in response["headers"].as_object().into_iter().flatten() {
            field(name, header, headers.get(name).map(String::as_str))?;
        }
        content(response.get("content"), headers, body)
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

/// A parameter or header: there if it has to be, and of its syntax.
fn field(name: &str, described: &Value, value: Option<&str>) -> Result<(), String> {
    match value {
        None if described["required"] == true => Err(format!("{name} is missing")),
        Some(value) if !valid(&described["schema"], &json!(value)) => {
            Err(format!("{name}: {value:?} is not valid"))
        }
        _ => Ok(()),
    }
}

fn valid(schema: &Value, value: &Value) -> bool {
    // There are few schemas and many values.
    thread_local! {
        static COMPILED: RefCell<BTreeMap<String, jsonschema::Validator>> = RefCell::default();
    }
    COMPILED.with_borrow_mut(|compiled| {
        let compile = || jsonschema::validator_for(schema).expect("a schema");
        compiled.entry(schema.to_string()).or_insert_with(compile).is_valid(value)
    })
}

/// A body: none where none is described, and what is known of its media type.
fn content(
    described: Option<&Value>,
    headers: &BTreeMap<String, String>,
    body: &Bytes,
) -> Result<(), String> {
    if body.length == 0 {
        return Ok(());
    }
    let described = described.and_then(Value::as_object).ok_or("a body, and none is described")?;
    let media_type = headers.get("content-type").map(|value| value.to_lowercase()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let of_type: &Value = described.get(essence).or(described.get("*/*")).ok_or("a body of no known type")?;
    let (Some(schema), Some(text), None) = (of_type.get("schema"), &body.text, &body.sha256) else {
        return Ok(());
    };
    let value = match essence {
        "application/json" => {
            serde_json::from_str::<&RawValue>(text).map_err(|e| format!("no JSON: {e}"))?;
            // A number that no double holds is JSON, and nothing that a schema could look at.
            let Ok(value) = serde_json::from_str(text) else { return Ok(()) };
            value
        }
        _ => json!(text),
    };
    if valid(schema, &value) {
        Ok(())
    } else {
        Err(format!("a body of {essence} that is not valid: {value}"))
    }
}

/// What a run sends and hears, as its log has it.
fn events() -> Vec<Event> {
    let dir = tempfile::tempdir().expect("a directory");
    let out = dir.path().join("out");
    let run = Command::new(env!("CARGO_BIN_EXE_wireproof"))
        .args(["run", "--reference", "stream", "--quiet", "--out"])
        .arg(&out)
        .output()
        .expect("the binary runs");
    let log = std::fs::read_to_string(out.join("events.jsonl"));
    let log = log.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&run.stderr)));
    log.lines().map(|line| serde_json::from_str(line).expect("an event")).collect()
}

#[test]
fn a_run_speaks_as_the_openapi_document_says() {
    let events = events();
    let mut openapi = Openapi::new();
    let mut sent = BTreeMap::new();
    let (mut requests, mut answers, mut wrong) = (0, 0, Vec::new());
    for event in &events {
        let check = event.check.as_deref().unwrap_or_default();
        match &event.what {
            What::Sent {
                message: Message::Request { method, target, headers, body, broken: false }, ..
            } => {
                requests += 1;
                if let Err(why) = openapi.request(method, target, headers, body) {
                    wrong.push(format!("{check}: {method} {target}: {why}"));
                }
                let path = target.split('?').next().unwrap_or_default();
                sent.insert(event.seq, (method.as_str(), path));
            }
            What::Received {
                message: Message::Response { status, headers, body },
                answers: Some(to),
                ..
            } => {
                let Some((method, path)) = sent.get(to) else { continue };
                answers += 1;
                if let Err(why) = openapi.answer(method, path, *status, headers, body) {
                    wrong.push(format!("{check}: {method} {path}: {status}: {why}"));
                }
            }
            _ => {}
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{} of {requests} and {answers}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(requests > 500 && answers > 500, "only {requests} requests and {answers} answers");
    // Every operation and every status of success was there: the document says no more than a server does.
    for (method, operation) in openapi.document["paths"]["/{stream}"].as_object().into_iter().flatten() {
        for status in operation["responses"].as_object().into_iter().flat_map(Map::keys) {
            let used = format!("{method} {status}");
            assert!(status.ends_with("XX") || openapi.used.contains(&used), "{used} never came");
        }
    }
}

/// The proof above can fail.
#[test]
fn what_the_openapi_document_does_not_say_is_found() {
    let mut openapi = Openapi::new();
    let headers = |list: &[(&str, &str)]| -> BTreeMap<String, String> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let (none, some) = (Bytes::default(), Bytes::keep(b"a"));
    let full = headers(&[("content-type", "text/plain"), ("stream-next-offset", "1")]);
    assert_eq!(openapi.request("GET", "/v1/stream/a?offset=-1&live=sse", &headers(&[]), &none), Ok(()));
    assert_eq!(openapi.answer("GET", "/v1/stream/a", 200, &full, &some), Ok(()));
    for (why, found) in [
        ("a method", openapi.request("PATCH", "/v1/stream/a", &full, &none)),
        ("the root", openapi.request("GET", ROOT, &full, &none)),
        ("an offset", openapi.request("GET", "/v1/stream/a?offset=a/b", &full, &none)),
        ("a kind of live read", openapi.request("GET", "/v1/stream/a?live=poll", &full, &none)),
        ("a body", openapi.request("DELETE", "/v1/stream/a", &full, &some)),
        (
            "no JSON",
            openapi.request("POST", "/v1/stream/a", &headers(&[("content-type", "application/json")]), &some),
        ),
        ("a status", openapi.answer("PUT", "/v1/stream/a", 202, &full, &none)),
        ("no offset", openapi.answer("PUT", "/v1/stream/a", 201, &headers(&[]), &none)),
        (
            "an offset of the start",
            openapi.answer("HEAD", "/v1/stream/a", 200, &headers(&[("stream-next-offset", "-1")]), &none),
        ),
        ("a body behind a HEAD", openapi.answer("HEAD", "/v1/stream/a", 200, &full, &some)),
        ("a body behind 204", openapi.answer("POST", "/v1/stream/a", 204, &full, &some)),
    ] {
        assert!(found.is_err(), "{why} was not found");
    }
}
