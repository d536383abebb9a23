//! Checks of the shapes of what clients send.

use crate::{
    check::{Body, Check, Cx, Outcome, alternative},
    drives,
    wire::{Seen, listen::Listener},
};
use futures_util::future::try_join;
use serde_json::json;
use wireproof_spec::{
    http::{Request, Response},
    queue::{PublishRequest, requirements::*},
};

pub(in crate::checks::queue) const CHECKS: &[Check] = &[
    Check::new(
        "queue/observed/auth-request",
        &[QUEUE_MESSAGE_24],
        Body::Observes(|o| o.shapes(QUEUE_MESSAGE_24)),
    ),
    Check::new("queue/message/publish-request", &[QUEUE_MESSAGE_25], drives!(publish_request)),
];

async fn publish_request(cx: &Cx) -> Outcome {
    let mut place = cx.listen()?;
    let mut app = cx.app().await?;
    let url = place.url("http");
    for payload in [json!({"of": ["a client", null]}), json!("{\"a text\": 1}"), json!(0)] {
        let args = json!({
            "url": url, "key": cx.token(24), "queue": cx.name(), "action": "publish", "payload": payload,
            "idempotency_key": cx.token(8),
        });
        let (seen, _) = try_join(refused(&mut place), app.attempt("call", args)).await?;
        let publish = alternative("a POST with a publish-request", |request: &Request| {
            request.method == "POST" && PublishRequest::decode(&request.body).is_ok()
        });
        cx.expect(QUEUE_MESSAGE_25, &seen, &[publish])?;
    }
    Ok(())
}

/// What is asked for next, which is refused, so that the call ends with it.
async fn refused(place: &mut Listener) -> Outcome<Seen<Request>> {
    let (seen, call) = place.next().await?;
    if let Some(call) = call {
        let body = json!({"success": false, "message": "not now"}).to_string();
        call.answer(&Response::new(400).header("content-type", "application/json").body(body)).await;
    }
    Ok(seen)
}
