//! What the document leaves open: every outcome that it allows passes.

use super::{asks, has};
use crate::{
    check::{Alternative, Cx, Outcome},
    checks::queue::setting::{
        PUBSUB, Queue, WORKER, invalid, operation, proven, refused, succeeded, with_body,
    },
    one_of,
};
use serde_json::{Value, json};
use wireproof_spec::{
    http::{Request, Response},
    queue::{Action, http::OPERATIONS, requirements::*},
};

/// The longest body of which requirements speak.
const LONGEST: usize = 2_097_152;

/// That it succeeded, or was refused as invalid.
fn served_or_invalid() -> Vec<Alternative<Response>> {
    let mut all = vec![succeeded()];
    all.extend(invalid());
    all
}

/// That a message can be published still.
async fn goes_on(cx: &Cx, queue: &Queue) -> Outcome {
    queue.published(cx, json!(cx.token(12))).await.map(drop)
}

pub(super) async fn long(cx: &Cx) -> Outcome {
    let queue = proven(cx, PUBSUB).await?;
    let publish = queue.publish(cx, &json!(cx.token(16)));
    let mut body = publish.body.0.to_vec();
    let end = body.pop();
    // White space, so that the payload is no longer than others.
    body.resize(LONGEST, b' ');
    body.extend(end);
    let seen = cx.send(publish.body(body)).await?;
    cx.expect(QUEUE_HTTP_15, &seen, &one_of![succeeded(), refused(413)])?;
    goes_on(cx, &queue).await
}

pub(super) async fn deep(cx: &Cx) -> Outcome {
    let queue = proven(cx, PUBSUB).await?;
    let deep = (0..70).fold(json!(cx.token(8)), |inner, _| Value::Array(vec![inner]));
    let seen = cx.send(queue.publish(cx, &deep)).await?;
    cx.expect(QUEUE_HTTP_16, &seen, &served_or_invalid())?;
    goes_on(cx, &queue).await
}

pub(super) async fn no_operation(cx: &Cx) -> Outcome {
    let queue = proven(cx, PUBSUB).await?;
    let with_method = |action: Action, method: &str| {
        let request = asks(cx, &queue, action, "");
        Request { method: method.into(), ..request }
    };
    let mut all = vec![
        Request::new("GET", &cx.path("queue/wireproof")),
        Request::new("POST", &cx.path(&format!("queue/messages/wireproof/{}", queue.name))),
        Request::new("GET", &format!("{}/wireproof/more", queue.operation(cx, Action::Get, &[]).path)),
        with_method(Action::Get, "PUT"),
        with_method(Action::Publish, "PUT"),
        with_method(Action::Consume, "PATCH"),
    ];
    let absent = OPERATIONS.iter().filter(|known| !has(cx, known.action));
    all.extend(absent.map(|known| asks(cx, &queue, known.action, "wireproof")));
    for request in all {
        let seen = cx.send_broken(request).await?;
        cx.expect(QUEUE_HTTP_17, &seen, &one_of![refused(404), refused(405), refused(501)])?;
    }
    goes_on(cx, &queue).await
}

pub(super) async fn out_of_range(cx: &Cx) -> Outcome {
    // Something is pending, so that nobody waits for long.
    let queue = proven(cx, WORKER).await?;
    for _ in 0..4 {
        goes_on(cx, &queue).await?;
    }
    let lists = [Action::List, Action::ListMessages, Action::ListDeadLetters];
    let mut all = Vec::new();
    for value in ["0", "-1", "1001", "x", "1.5", ""] {
        all.extend(lists.map(|action| asks(cx, &queue, action, "").param("limit", value)));
        all.push(queue.consume(cx, 0).param("limit", value));
    }
    for value in ["-1", "x", ""] {
        all.extend(lists.map(|action| asks(cx, &queue, action, "").param("offset", value)));
        all.push(queue.operation(cx, Action::Consume, &[]).param("offset", value));
    }
    all.push(queue.operation(cx, Action::Consume, &[]));
    all.push(asks(cx, &queue, Action::ListMessages, "").param("state", "wireproof"));
    for value in ["-1", "31", "x"] {
        all.push(queue.receive(cx).param("timeout", value));
    }
    for request in all {
        let seen = cx.send(request).await?;
        cx.expect(QUEUE_HTTP_18, &seen, &served_or_invalid())?;
    }
    goes_on(cx, &queue).await
}

pub(super) async fn needless_body(cx: &Cx) -> Outcome {
    let queue = proven(cx, PUBSUB).await?;
    for body in [None, Some(json!({"wireproof": 1})), Some(json!([])), Some(json!("text"))] {
        for action in [Action::Pause, Action::Resume] {
            let request = operation(cx, action, &[&queue.name]);
            let request = body.iter().fold(request, with_body);
            let seen = cx.send(request).await?;
            cx.expect(QUEUE_HTTP_19, &seen, &served_or_invalid())?;
        }
    }
    goes_on(cx, &queue).await
}

pub(super) async fn other_content_type(cx: &Cx) -> Outcome {
    let queue = proven(cx, PUBSUB).await?;
    for media in
        [None, Some("text/plain"), Some("application/octet-stream"), Some("application/vnd.wireproof+json")]
    {
        let mut request = queue.publish(cx, &json!(cx.token(12)));
        request.headers.remove("content-type");
        let request = media.into_iter().fold(request, |request, media| request.header("content-type", media));
        let seen = cx.send(request).await?;
        let mut open = served_or_invalid();
        open.push(refused(415).into());
        cx.expect(QUEUE_HTTP_20, &seen, &open)?;
    }
    goes_on(cx, &queue).await
}

pub(super) async fn capitals(cx: &Cx) -> Outcome {
    let queue = proven(cx, PUBSUB).await?;
    let mut peer = cx.stranger();
    for word in ["bearer", "BEARER", "bEARER"] {
        let request = queue.operation(cx, Action::Get, &[]);
        let request = request.header("authorization", format!("{word} {}", cx.key()));
        let seen = peer.send(request).await?;
        cx.expect(QUEUE_HTTP_21, &seen, &one_of![succeeded(), refused(401)])?;
    }
    goes_on(cx, &queue).await
}
