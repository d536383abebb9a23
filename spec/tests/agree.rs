//! What the type accepts the schema accepts, and the reverse: over fixtures, over fixtures with one thing changed, and over
//! generated documents. The blind rules are the only exceptions.

use crate::messages::{MESSAGES, Message, fixtures};
use proptest::{prelude::*, sample::select};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// A rule that JSON Schema cannot express: the schema accepts the document and the type refuses it. The table is
/// fixtures/blind.tsv, for every language.
struct Blind {
    message: String,
    rule: String,
    document: String,
}

fn blind() -> Vec<Blind> {
    let text = crate::text("fixtures/blind.tsv");
    let (head, rows) = text.split_once('\n').expect("a line that names the columns");
    assert_eq!(head, "message\trule\tdocument\treason");
    let read = |row: &str| {
        let cells: Vec<_> = row.split('\t').collect();
        let [message, rule, document, reason] = cells[..] else { panic!("not four columns: {row}") };
        assert!(!rule.is_empty() && !reason.is_empty(), "a rule and a reason: {row}");
        Blind { message: message.into(), rule: rule.into(), document: document.into() }
    };
    rows.lines().map(read).collect()
}

fn message(name: &str) -> &'static Message {
    MESSAGES.iter().find(|m| m.name == name).unwrap_or_else(|| panic!("no message {name}"))
}

/// Why type and schema disagree about this document, if they do.
fn disagreement(message: &Message, text: &str) -> Option<String> {
    let document: Value = serde_json::from_str(text).expect("JSON");
    let by_type = (message.accepts)(text);
    let by_schema = message.schema.validate(&document).map_err(|e| format!("{} at {}", e, e.instance_path()));
    (by_type.is_ok() != by_schema.is_ok()).then(|| {
        format!("{}: the type says {by_type:?}, the schema {by_schema:?}, to {document:#}", message.name)
    })
}

#[test]
fn every_blind_rule_is_blind() {
    let table = blind();
    assert!(!table.is_empty());
    for Blind { message: name, rule, document } in &table {
        let message = message(name);
        let value = serde_json::from_str(document).expect("JSON");
        assert!(message.schema.is_valid(&value), "the schema sees: {rule}");
        assert!((message.accepts)(document).is_err(), "the type does not see: {rule}");
    }
}

#[test]
fn fixtures_agree() {
    let wrong: Vec<_> = fixtures().iter().filter_map(|f| disagreement(f.message, &f.text)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What stands in the place of a member, and at the end of headers and queries.
fn odd_values() -> Vec<Value> {
    let texts = [
        "",
        " ",
        "true",
        "TRUE",
        "false",
        "-1",
        "now",
        "0",
        "a/b",
        "a,b",
        "a b",
        "é",
        "\n",
        "true\n",
        "text/plain",
        "text/plain;",
        "text/plain ;\tq=1",
        "text/plain; a=\"\\\"\u{1}\"",
        "a/b; c=\"\t\"",
        "a/b; c=\"\\\t\"",
        "a/b; c=\"\u{7f}\"",
        "a/b; c=\"\\\n\"",
        "a/b;;",
        "text/plain; a=\"é\\é\"",
        "text/",
        "long-poll",
        "sse",
        "PUT",
        "POST",
        "GET",
        "HEAD",
        "DELETE",
        "/",
        "aGk=",
        "/x==",
        "/w==",
        "AP+=",
        "é=",
        "qmsg_1",
        "pending",
        "pubsub",
        "message",
        "http",
        "https://a",
        "Https://a",
        "_a-1",
        "A",
        "1a",
    ];
    let others = [
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(200),
        json!(201),
        json!(204),
        json!(399),
        json!(400),
        json!(599),
        json!(600),
        json!(70_000),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1.0),
        json!(-0.0),
        json!(-1.0),
        json!(1e300),
        json!(9_007_199_254_740_991_i64),
        json!(9_007_199_254_740_992_i64),
        json!("é".repeat(256)),
        json!("é".repeat(257)),
        json!("a".repeat(257)),
        json!([]),
        json!(["a"]),
        json!(["aGk="]),
        json!([204]),
        json!([200, { "stream-next-offset": "0", "content-type": "a/b" }]),
        json!(["PUT", "/a"]),
        json!({}),
        json!({ "base64": "" }),
        json!({ "base64": "aGk=" }),
        json!({ "base64": "aGl=" }),
        json!({ "base64": "aGk" }),
        json!({ "base64": "a", "b": 1 }),
        json!({ "base64": "aGk=", "b": 1 }),
        json!({ "base64": null }),
        json!({ "other": "a" }),
    ];
    texts.into_iter().map(Value::from).chain(others).collect()
}

/// The document with each member in turn removed and replaced by each odd value, and with an unknown member everywhere.
fn mutations(document: &Value) -> Vec<Value> {
    let mut all = odd_values();
    if let Value::Array(items) = document {
        // One element is like another; there may be a thousand.
        for (at, item) in items.iter().enumerate().take(2) {
            let with = |mutated: Value| {
                let mut changed = items.clone();
                changed[at] = mutated;
                Value::Array(changed)
            };
            all.extend(mutations(item).into_iter().map(with));
        }
    }
    let Value::Object(members) = document else { return all };
    let with = |name: &str, value: Option<Value>| {
        let mut changed = members.clone();
        match value {
            Some(value) => changed.insert(name.into(), value),
            None => changed.remove(name),
        };
        Value::Object(changed)
    };
    for (name, member) in members {
        all.push(with(name, None));
        all.extend(mutations(member).into_iter().map(|mutated| with(name, Some(mutated))));
    }
    all.extend(odd_values().into_iter().map(|value| with("x-unknown", Some(value))));
    all
}

#[test]
fn mutated_fixtures_agree() {
    let mut tried = 0;
    for fixture in fixtures().iter().filter(|f| f.breaks.is_none()) {
        let document = serde_json::from_str(&fixture.text).expect("JSON");
        for mutated in mutations(&document) {
            tried += 1;
            if let Some(why) = disagreement(fixture.message, &mutated.to_string()) {
                panic!("{}: {why}", fixture.file);
            }
        }
    }
    assert!(tried > 5_000, "only {tried} documents were tried");
}

/// Documents that are near to messages: every member is there or not, and likely to be good.
fn documents() -> impl Strategy<Value = Value> {
    let word = || {
        prop_oneof![
            select(vec!["true", "-1", "now", "text/plain", "a/b; c=d", "long-poll", "7", "", "a,b"])
                .prop_map(str::to_owned),
            "[ -~]{0,6}",
            "[a-z]{1,3}/[a-z]{1,3}[;= \\t\"\\\\a-c\u{7f}é]{0,8}",
            "\\PC{0,4}",
        ]
    };
    let value = move || prop_oneof![9 => word().prop_map(Value::from), 1 => select(odd_values())];
    let names = vec![
        "content-type",
        "stream-next-offset",
        "stream-closed",
        "stream-up-to-date",
        "stream-cursor",
        "location",
        "cache-control",
        "allow",
        "offset",
        "live",
        "cursor",
        "x-unknown",
    ];
    let fields = move || {
        let members = prop::collection::vec((select(names.clone()), value()), 0..6);
        members.prop_map(|members| {
            members.into_iter().map(|(name, v)| (name.to_owned(), v)).collect::<Map<_, _>>()
        })
    };
    let status = prop_oneof![select(vec![200, 201, 204, 400, 404, 409, 599]), 0..1000i32];
    let method = select(vec!["PUT", "POST", "DELETE", "HEAD", "GET", "PATCH"]);
    let body = prop_oneof![
        Just(json!("")),
        Just(json!("a")),
        select(odd_values()),
        "[A-Za-z+/=]{0,8}".prop_map(|b| json!({ "base64": b }))
    ];
    (method, status, fields(), fields(), prop::option::of(body), prop::bits::u8::ANY).prop_map(
        |(method, status, query, headers, body, without)| {
            let mut document = json!({
                "method": method, "path": "/a", "status": status, "query": query, "headers": headers,
            });
            if let Some(body) = body {
                document["body"] = body;
            }
            if let Value::Object(members) = &mut document {
                let rare = |bits: u8| without & bits == bits;
                for (bits, name) in
                    [(0b111, "method"), (0b1110, "path"), (0b1_1100, "query"), (0b11_1000, "headers")]
                {
                    if rare(bits) {
                        members.remove(name);
                    }
                }
            }
            document
        },
    )
}

/// Where a document holds something: the pointers of all that is in it, in order.
fn places(document: &Value, at: &str, found: &mut Vec<String>) {
    let named = |name: &str| format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
    let inner: Vec<(String, &Value)> = match document {
        Value::Object(members) => members.iter().map(|(name, value)| (named(name), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(i, v)| (format!("{at}/{i}"), v)).collect(),
        _ => Vec::new(),
    };
    for (place, value) in inner {
        places(value, &place, found);
        found.push(place);
    }
}

/// The document with one thing changed: which one and what to, numbers of whatever size say.
fn changed(document: &Value, which: usize, what: usize) -> Value {
    let mut all = Vec::new();
    places(document, "", &mut all);
    let mut document = document.clone();
    let odd = odd_values();
    if let Some(place) = which.checked_rem(all.len()).map(|at| &all[at]) {
        let (holder, name) = place.rsplit_once('/').expect("a pointer");
        match (document.pointer_mut(holder), odd.get(what % (odd.len() + odd.len() / 4))) {
            (Some(Value::Object(members)), None) => drop(members.remove(name)),
            (_, Some(value)) => *document.pointer_mut(place).expect("a place") = value.clone(),
            _ => {}
        }
    }
    document
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn fixtures_with_several_things_changed_agree(
        fixture in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<usize>(), any::<usize>()), 1..4),
    ) {
        static VALID: LazyLock<Vec<(&Message, Value)>> = LazyLock::new(|| {
            let all = fixtures().into_iter().filter(|f| f.breaks.is_none() && f.text.len() < 10_000);
            all.map(|f| (f.message, serde_json::from_str(&f.text).expect("JSON"))).collect()
        });
        let (message, document) = fixture.get(&VALID);
        let document = changes.iter().fold(document.clone(), |d, (which, what)| changed(&d, *which, *what));
        prop_assert_eq!(disagreement(message, &document.to_string()), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn generated_documents_agree(document in documents()) {
        let text = document.to_string();
        for message in MESSAGES.iter() {
            prop_assert_eq!(disagreement(message, &text), None);
        }
    }
}
