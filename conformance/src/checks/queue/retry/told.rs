//! What the owner is told when a call is refused.

use super::super::client::cannot;
use super::call::{Ask, Course, Refusal, Reply, says};
use crate::check::{Cx, Outcome, alternative};
use futures_util::future::{try_join_all, try_join4};
use serde_json::{Value, json};
use wireproof_spec::{http::Response, queue::requirements::*};

pub(super) async fn text(cx: &Cx) -> Outcome {
    let envelope = |status: u16, error: bool| {
        let (message, text) = (format!("the message {}", cx.token(8)), format!("the text {}", cx.token(8)));
        let mut envelope = json!({"success": false, "message": message, "code": "SOME_CODE"});
        if error {
            envelope["error"] = text.clone().into();
        }
        (status, envelope, if error { text } else { message })
    };
    let vectors = [400, 401, 403, 422, 429, 500, 504].iter();
    let vectors = vectors.flat_map(|&status| [envelope(status, true), envelope(status, false)]);
    let vectors: Vec<_> = vectors.chain([envelope(200, false)]).collect();
    let asks = vectors.into_iter().map(|(status, envelope, text)| async move {
        Ok((status, text, Ask::new(cx, "get").call(cx, &[says(status, &envelope)]).await?))
    });
    for (status, text, seen) in try_join_all(asks).await? {
        let name = format!("an error behind {status} whose text contains {text:?}");
        let contains = alternative(name, move |course: &Course| {
            course.refusal().is_some_and(|refusal| refusal.message.contains(&text))
        });
        cx.expect(QUEUE_RETRY_14, &seen, &[contains])?;
    }
    Ok(())
}

/// An answer of this media type.
fn of_type(status: u16, media_type: &str, body: &'static str) -> Reply {
    Reply::Says(Response::new(status).header("content-type", media_type).body(body))
}

pub(super) async fn no_success(cx: &Cx) -> Outcome {
    let succeeds = json!({"success": true, "data": {}});
    let vectors = vec![
        ("an envelope", says(400, &json!({"success": false, "message": "no"}))),
        ("an envelope", says(404, &json!({"success": false, "message": "not found"}))),
        ("an envelope that succeeds", says(404, &succeeds)),
        ("an envelope that succeeds", says(500, &succeeds)),
        ("other JSON", says(403, &json!({"reason": "no"}))),
        ("other JSON", says(500, &json!([1, 2, 3]))),
        ("no JSON", of_type(400, "application/json", "{\"success\":")),
        ("no JSON", of_type(504, "text/html", "<h1>Gateway Timeout</h1>")),
        ("nothing", Reply::Says(Response::new(401))),
        ("nothing", Reply::Says(Response::new(500).header("content-type", "application/json"))),
        ("success false", says(200, &json!({"success": false, "message": "no"}))),
        ("success false", says(201, &json!({"success": false, "message": "no", "code": "NO"}))),
    ];
    let asks = vectors.into_iter().flat_map(|(name, reply)| {
        ["get", "publish"].map(|action| {
            let (ask, reply) = (Ask::new(cx, action).with("payload", 1), reply.clone());
            async move { Ok((name, ask.call(cx, &[reply]).await?)) }
        })
    });
    for (name, seen) in try_join_all(asks).await? {
        let refused = alternative(format!("an error behind {name}"), |course: &Course| {
            !course.requests.is_empty() && course.refusal().is_some()
        });
        cx.expect(QUEUE_RETRY_15, &seen, &[refused])?;
    }
    Ok(())
}

/// Four kinds: of a status, a code, issues, and a message alone.
type Kinds = ((Course, Course), (Course, Course));

fn kind(course: &Course) -> Option<&str> {
    course.refusal().and_then(|refusal: &Refusal| refusal.kind.as_deref())
}

pub(super) async fn kinds(cx: &Cx) -> Outcome {
    let issues: Value = json!([{"code": "invalid_type", "path": ["name"], "message": "Required"}]);
    let message = json!({"success": false, "message": "no"});
    let code = json!({"success": false, "message": "too old", "code": "UPGRADE_REQUIRED"});
    let zod = json!({
        "success": false, "message": "not valid", "error": {"name": "ZodError", "issues": issues},
    });
    let replies = [says(426, &message), says(403, &code), says(422, &zod), says(400, &message)];
    let ask = |reply: &Reply| {
        let (ask, reply) = (Ask::new(cx, "get"), reply.clone());
        async move { ask.call(cx, &[reply]).await }
    };
    let [status, code, issues, alone] = &replies;
    let (status, code, issues, alone) = try_join4(ask(status), ask(code), ask(issues), ask(alone)).await?;
    let seen = status.and(code).and(issues.and(alone));
    let tells = |kinds: &Kinds| {
        let ((status, code), (issues, alone)) = kinds;
        [status, code, issues, alone].iter().any(|course| kind(course).is_some())
    };
    if seen.look().is_ok_and(|kinds| !tells(kinds)) {
        // Whether it has none, or its adapter does not say them, nobody knows.
        return Err(cannot(
            cx,
            "tells no kinds of errors; where it has them, its adapter names the class or the code of what is thrown",
        ));
    }
    let two = alternative(
        "one kind of 426 and UPGRADE_REQUIRED, another of issues, and neither of them of a message alone",
        |kinds: &Kinds| {
            let ((status, code), (issues, alone)) = kinds;
            let [status, code, issues, alone] = [status, code, issues, alone].map(kind);
            let named = status.is_some() && issues.is_some();
            named && status == code && status != issues && status != alone && issues != alone
        },
    );
    cx.expect(QUEUE_RETRY_16, &seen, &[two])?;
    Ok(())
}
