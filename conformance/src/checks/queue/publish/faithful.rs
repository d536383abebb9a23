//! What was published comes back as it was, wherever it is given out.

use super::{publish_text, soon};
use crate::{
    check::{Alternative, Cx, Outcome, alternative},
    checks::queue::{
        peer::{Client, Subscriber},
        setting::{PUBSUB, Queue, WORKER, data, invalid, list, offsets, succeeded, succeeded_and, text},
    },
    wire::Seen,
};
use futures_util::future::try_join;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use wireproof_spec::{
    http::Response,
    queue::{Action, requirements::*},
    requirement::RequirementId,
};

/// Where messages are given out, and what was there, in the order in which it was published.
struct Place {
    name: &'static str,
    messages: Seen<Vec<Value>>,
    /// The ids that the answers to the publishes told.
    ids: Vec<String>,
}

/// Publishes with these bodies, one after the other and as a batch, and looks wherever messages are given out.
async fn everywhere(cx: &Cx, bodies: &[String]) -> Outcome<Vec<Place>> {
    let mut places = Vec::new();
    let mut put = |name, messages, ids: &Vec<String>| {
        places.push(Place { name, messages: Seen::map(messages, in_order), ids: ids.clone() });
    };
    let count = bodies.len();

    let shared = Queue::create(cx, PUBSUB).await?;
    let mut live = Subscriber::join(cx, &shared).await?;
    // At once: who does not read answers no ping, and may be cut off.
    let ((told, ids), pushed) = try_join(published(cx, &shared, bodies), live.gather(cx, count)).await?;
    put("the answer to a publish", told, &ids);
    put("a Push of the type message", pushed, &ids);
    put("a consume", shared.content(cx).await?, &ids);
    let mut got = Vec::new();
    for id in &ids {
        let seen = cx.send(shared.operation(cx, Action::GetMessage, &[id])).await?;
        cx.need(QUEUE_CONSUME_10, &seen, &[succeeded()])?;
        got.push(seen.map(|reply| data(&reply, "message")));
    }
    put("messages/get", Seen::all(got), &ids);
    let mut got = Vec::new();
    for offset in 0..count {
        let seen = cx.send(shared.operation(cx, Action::MessageAt, &[&offset.to_string()])).await?;
        cx.need(QUEUE_CONSUME_14, &seen, &[succeeded()])?;
        got.push(seen.map(|reply| data(&reply, "message")));
    }
    put("messages/offset", Seen::all(got), &ids);
    let listed = cx.send(shared.operation(cx, Action::ListMessages, &[]).param("limit", "1000")).await?;
    cx.need(QUEUE_MESSAGE_12, &listed, &[succeeded()])?;
    put("messages/list", listed.map(|reply| list(&reply, "messages")), &ids);
    // Its first connection is closed before: what becomes of a second one beside it is left open (QUEUE-AUTH-23).
    let mut back = Client::leaving(live).await?.back(cx, &shared, -1).await?;
    put("a Push of the type replay", back.gather(cx, count).await?, &ids);

    let work = Queue::create_with(cx, WORKER, &json!({"max_in_flight_per_client": 1000})).await?;
    let request = work.operation(cx, Action::Batch, &[]).header("content-type", "application/json");
    let request = request.body(format!("{{\"messages\": [{}]}}", bodies.join(", ")));
    let reply = cx.send(request).await?;
    let told = list(cx.need(QUEUE_PUBLISH_30, &reply, &[succeeded()])?, "messages");
    let ids: Vec<String> = told.iter().map(|message| text(message, "id").to_owned()).collect();
    // The answer has its messages in the order of the request, with or without their offsets.
    let told = reply.map(|reply| list(&reply, "messages"));
    places.push(Place { name: "the answer to a batch", messages: told, ids: ids.clone() });
    let mut put = |name, messages: Seen<Vec<Value>>| {
        places.push(Place { name, messages: messages.map(in_order), ids: ids.clone() });
    };
    put("a consume from a worker queue", soon(cx, &work, count).await?);
    let mut received = Vec::new();
    for _ in 0..count {
        let seen = cx.send(work.receive(cx)).await?;
        let a_message = succeeded_and("a message", |r| data(r, "message").is_object());
        cx.need(QUEUE_LEASES_1, &seen, &[a_message])?;
        received.push(seen.map(|reply| data(&reply, "message")));
    }
    put("a receive", Seen::all(received));

    Ok(places)
}

/// Publishes with these bodies: the messages of the answers, and their ids.
async fn published(cx: &Cx, queue: &Queue, bodies: &[String]) -> Outcome<(Seen<Vec<Value>>, Vec<String>)> {
    let (mut told, mut ids) = (Vec::new(), Vec::new());
    for body in bodies {
        let seen = cx.send(publish_text(cx, queue, body.clone(), true)).await?;
        let message = data(cx.need(QUEUE_PUBLISH_1, &seen, &[succeeded()])?, "message");
        ids.push(text(&message, "id").to_owned());
        told.push(seen.map(|_| message));
    }
    Ok((Seen::all(told), ids))
}

fn in_order(mut messages: Vec<Value>) -> Vec<Value> {
    let mut places: Vec<(i64, Value)> = offsets(&messages).into_iter().zip(messages.drain(..)).collect();
    places.sort_by_key(|(offset, _)| *offset);
    places.into_iter().map(|(_, message)| message).collect()
}

/// Claims of every place that each message there is as it should be, given its number.
fn claim(
    cx: &Cx,
    requirement: RequirementId,
    places: &[Place],
    what: &str,
    holds: impl Fn(usize, &Value) -> bool + Clone + Send + Sync + 'static,
) -> Outcome {
    for Place { name, messages, ids } in places {
        let (holds, count) = (holds.clone(), ids.len());
        let as_it_was = alternative(format!("in {name} {what}"), move |messages: &Vec<Value>| {
            messages.len() == count && messages.iter().enumerate().all(|(at, message)| holds(at, message))
        });
        cx.expect(requirement, messages, &[as_it_was])?;
    }
    Ok(())
}

/// Whether two values are the same JSON; numbers are, if they have the same value.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (a, b) => a == b,
    }
}

/// Publishes these payloads, each of which is JSON, and claims that each comes back.
async fn comes_back(cx: &Cx, requirement: RequirementId, payloads: &[String]) -> Outcome {
    // Of two servers one may answer everything with what it was sent first: a token is among them.
    let token = format!("\"{}\"", cx.token(24));
    let texts: Vec<&String> = payloads.iter().chain([&token]).collect();
    let bodies: Vec<String> = texts.iter().map(|payload| format!("{{\"payload\":{payload}}}")).collect();
    let sent: Vec<Value> = texts.iter().map(|text| serde_json::from_str(text).unwrap_or_default()).collect();
    let places = everywhere(cx, &bodies).await?;
    claim(cx, requirement, &places, "each payload as it was", move |at, message| {
        sent.get(at).is_some_and(|sent| same(sent, &message["payload"]))
    })
}

fn written(payloads: &[Value]) -> Vec<String> {
    payloads.iter().map(Value::to_string).collect()
}

pub(super) async fn ids(cx: &Cx) -> Outcome {
    let bodies =
        [cx.token(16), cx.token(16), cx.token(16)].map(|token| json!({"payload": token}).to_string());
    let places = everywhere(cx, &bodies).await?;
    claim(cx, QUEUE_PUBLISH_2, &places, "ids of letters and digits behind qmsg_", |_, message| {
        let rest = text(message, "id").strip_prefix("qmsg_");
        rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_alphanumeric()))
    })?;
    for place in &places {
        let expected = place.ids.clone();
        let same: Alternative<Vec<Value>> = alternative(
            format!("in {} the ids that the answers to the publishes told", place.name),
            move |messages: &Vec<Value>| {
                expected.len() == messages.len()
                    && messages.iter().zip(&expected).all(|(message, id)| text(message, "id") == id)
            },
        );
        cx.expect(QUEUE_PUBLISH_6, &place.messages, &[same])?;
    }
    Ok(())
}

pub(super) async fn strings(cx: &Cx) -> Outcome {
    let payloads = [
        json!(""),
        json!(r#"{"a": [1, 2.50, null]}"#),
        json!("[1,2]"),
        json!("null"),
        json!("12"),
        json!("\"quoted\""),
        json!(" spaces and\ta tab "),
        json!("true"),
    ];
    comes_back(cx, QUEUE_PUBLISH_7, &written(&payloads)).await
}

pub(super) async fn structures(cx: &Cx) -> Outcome {
    let deep = (0..40).fold(json!("bottom"), |inner, at| match at % 2 {
        0 => json!([inner]),
        _ => json!({"in": inner}),
    });
    let payloads = [
        json!({}),
        json!([]),
        json!({"empty": {}, "none": [], "": "no name", "a b": "spaces", "a.b/c~d": "signs"}),
        json!([[], {}, [[]], [{}], ""]),
        json!({"payload": {"payload": "inner"}, "offset": 7, "id": "other", "data": {"message": 1}}),
        deep,
        json!((0..200).collect::<Vec<_>>()),
        json!([{"B": 1, "b": 2}, {"b": 1, "a": 2}]),
    ];
    comes_back(cx, QUEUE_PUBLISH_8, &written(&payloads)).await
}

pub(super) async fn constants(cx: &Cx) -> Outcome {
    let payloads = [
        json!({"nothing": null, "yes": true, "no": false}),
        json!([null, true, false, null]),
        json!({"deep": {"nothing": null, "list": [null, [null], {"no": false}]}}),
        json!({"nothing": null}),
        json!([null]),
        json!(true),
        json!(false),
    ];
    comes_back(cx, QUEUE_PUBLISH_32, &written(&payloads)).await
}

pub(super) async fn characters(cx: &Cx) -> Outcome {
    let payloads = [
        "\"\u{e9}\u{fc}\u{df} \u{430}\u{3b1} \u{65e5}\u{672c} \u{1f600} e\u{301}\"",
        r#""\u00e9 \u65e5 \ud83d\ude00 \u0041 \u00E9""#,
        r#""\" \\ \/ \b \f \n \r \t \u0000 \u001f \u007f""#,
        "\"\u{2028}\u{2029} \u{feff} \u{200b} \u{fffd}\"",
        r#"{"\u00e9 \n \ud83d\ude00": "name"}"#,
        "[\"<&>'\", \"\u{10ffff}\u{e000}\"]",
    ];
    comes_back(cx, QUEUE_PUBLISH_9, &payloads.map(str::to_owned)).await
}

pub(super) async fn numbers(cx: &Cx) -> Outcome {
    // A double holds each of them exactly.
    let payloads = [
        "[0, -0, 0.0, -1, 1e0]",
        "[0.5, -0.125, 2.50, 0.0009765625, 1234.5678710937500]",
        "[100, 1e2, 100.0, 1E+2, 10000e-2]",
        "[2147483648, -2147483649, 4294967296]",
        "[9007199254740991, -9007199254740991, 9007199254740992]",
        "[1e21, 1e22, -1e22, 9223372036854775808, 18446744073709551616]",
        "0.25",
        "4294967297",
    ];
    comes_back(cx, QUEUE_PUBLISH_10, &payloads.map(str::to_owned)).await
}

/// Whole numbers that no double holds.
const GREAT: [&str; 7] = [
    "9007199254740993",
    "-9007199254740993",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551617",
    "-9223372036854775809",
    "123456789012345678901234567890",
];

pub(super) async fn great_numbers(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let token = json!(cx.token(24));
    queue.published(cx, token.clone()).await?;
    let mut taken = Vec::new();
    for number in GREAT {
        let reply = cx.send(publish_text(cx, &queue, format!("{{\"payload\":{number}}}"), true)).await?;
        let mut outcomes = vec![succeeded()];
        outcomes.extend(invalid());
        if succeeded().holds(cx.expect(QUEUE_PUBLISH_11, &reply, &outcomes)?) {
            taken.push(number);
        }
    }
    let read = cx.send(queue.consume(cx, 0)).await?;
    cx.need(QUEUE_CONSUME_1, &read, &[succeeded()])?;
    let expected: Vec<String> =
        [token.to_string()].into_iter().chain(taken.iter().map(|number| (*number).to_owned())).collect();
    let told = read.map(|reply| raw_payloads(&reply));
    let as_it_was =
        alternative(format!("the payloads {}", expected.join(", ")), move |told: &Vec<String>| {
            told.len() == expected.len()
                && told.iter().zip(&expected).all(|(told, sent)| exact(told) == exact(sent))
        });
    cx.expect(QUEUE_PUBLISH_11, &told, &[as_it_was])?;
    // What a decoder for 64 bits can tell apart, wherever it is given out.
    let small: Vec<String> =
        taken.into_iter().filter(|text| text.parse::<i64>().is_ok()).map(str::to_owned).collect();
    if small.is_empty() {
        return Ok(());
    }
    let bodies: Vec<String> = small.iter().map(|number| format!("{{\"payload\":[{number}]}}")).collect();
    let places = everywhere(cx, &bodies).await?;
    claim(cx, QUEUE_PUBLISH_11, &places, "each number as it was", move |at, message| {
        small.get(at).is_some_and(|number| message["payload"][0].as_i64() == number.parse().ok())
    })
}

/// The payloads of an answer as they were written.
fn raw_payloads(reply: &Response) -> Vec<String> {
    #[derive(Deserialize)]
    struct Reply {
        data: Data,
    }
    #[derive(Deserialize)]
    struct Data {
        messages: Vec<One>,
    }
    #[derive(Deserialize)]
    struct One {
        payload: Box<RawValue>,
    }
    let reply: Option<Reply> = serde_json::from_slice(&reply.body).ok();
    let messages = reply.map(|reply| reply.data.messages).unwrap_or_default();
    messages.into_iter().map(|message| message.payload.get().to_owned()).collect()
}

/// A number in a way in which each value is written once: its digits without the zeros around them, and the power of ten.
/// What is no number stays as it is.
fn exact(text: &str) -> (String, i64) {
    let (mantissa, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let sign = if whole.starts_with('-') { "-" } else { "" };
    let digits = format!("{}{part}", whole.trim_start_matches('-'));
    if !digits.bytes().all(|b| b.is_ascii_digit()) || digits.is_empty() {
        return (text.to_owned(), 0);
    }
    let Ok(power) = power.parse::<i64>() else { return (text.to_owned(), 0) };
    let kept = digits.trim_end_matches('0');
    let dropped = i64::try_from(digits.len() - kept.len()).unwrap_or_default();
    let power = power - i64::try_from(part.len()).unwrap_or_default() + dropped;
    (format!("{sign}{}", kept.trim_start_matches('0')), power)
}

pub(super) async fn metadata(cx: &Cx) -> Outcome {
    let token = cx.token(16);
    let all = [
        json!({"token": token}),
        json!({"text": "\u{e9}", "number": 12, "yes": true, "deep": {"list": [1, {"a": []}]}}),
        json!({"payload": "not this", "": "no name"}),
    ];
    let bodies: Vec<String> =
        all.iter().map(|metadata| json!({"payload": "same", "metadata": metadata}).to_string()).collect();
    let places = everywhere(cx, &bodies).await?;
    claim(cx, QUEUE_PUBLISH_13, &places, "each metadata as it was", move |at, message| {
        all.get(at).is_some_and(|metadata| same(metadata, &message["metadata"]))
    })
}

pub(super) async fn size(cx: &Cx) -> Outcome {
    let token = cx.token(16);
    let payloads: [(String, u64); 9] = [
        (format!("\"{token}\""), 18),
        ("{ \"test\" :\ttrue }".into(), 13),
        (r#""\u00e9""#.into(), 4),
        ("\"\u{e9}\"".into(), 4),
        (r#""\ud83d\ude00\/\u0041""#.into(), 8),
        (r#""\n\u000a\"\u0022\u0001""#.into(), 16),
        ("[ \"a b\" , null ]".into(), 12),
        ("{}".into(), 2),
        ("\"\"".into(), 2),
    ];
    let bodies: Vec<String> = payloads
        .iter()
        .map(|(payload, _)| format!(r#"{{"payload": {payload}, "metadata": {{"more": "than nothing"}}}}"#))
        .collect();
    let places = everywhere(cx, &bodies).await?;
    // The payloads are there: a size of what was lost would say nothing.
    let sent: Vec<Value> =
        payloads.iter().map(|(text, _)| serde_json::from_str(text).unwrap_or_default()).collect();
    let sizes = payloads.map(|(_, size)| size);
    claim(cx, QUEUE_PUBLISH_14, &places, "each payload, with its size or none", move |at, message| {
        let told = &message["size"];
        sent.get(at).is_some_and(|sent| same(sent, &message["payload"]))
            && (told.is_null() || told.as_u64() == sizes.get(at).copied())
    })
}

#[cfg(test)]
mod tests {
    use super::exact;

    #[test]
    fn each_value_is_written_once() {
        for (a, b) in [("100", "1e2"), ("100.0", "1E+2"), ("-12.50", "-125e-1"), ("0", "0.0")] {
            assert_eq!(exact(a).0, exact(b).0, "{a} {b}");
        }
        assert_eq!(exact("100"), exact("1e2"));
        assert_eq!(exact("-12.50"), exact("-125e-1"));
        assert_ne!(exact("9007199254740993"), exact("9007199254740992"));
        assert_ne!(exact("10"), exact("1"));
        assert_eq!(exact("\"text\"").0, "\"text\"");
    }
}
