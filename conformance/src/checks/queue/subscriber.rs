//! Checks of "Subscriber" in spec/queue.md.

use super::client::{Client, Interface, Start};
use crate::{
    check::{Check, Cx, Need, Outcome, alternative},
    drives,
    wire::ws::Frame,
};
use serde_json::{Value, json};
use wireproof_spec::{http::Request, queue::requirements::*};

pub(super) const CHECKS: &[Check] = &[
    Check::new("queue/subscriber/path", &[QUEUE_SUBSCRIBER_1], drives!(path)),
    Check::new("queue/subscriber/failure", &[QUEUE_SUBSCRIBER_15, QUEUE_SUBSCRIBER_16], drives!(failure))
        .needs(&[Need::Feature("queue.handler", "on")]),
];

async fn path(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let (seen, _call) = client.place.next().await?;
    let path = format!("/queue/ws/{}", client.queue);
    let dials = alternative(format!("a GET of {path}, without a query"), move |request: &Request| {
        request.method == "GET" && request.target() == path
    });
    cx.expect(QUEUE_SUBSCRIBER_1, &seen, &[dials])?;
    Ok(())
}

async fn failure(cx: &Cx) -> Outcome {
    let mut client = Client::start(cx, Start::new(cx, Interface::Handler)).await?;
    let mut connection = client.connect(cx).await?;
    let why = cx.token(12);
    connection.send(&json!({"success": false, "error": why.clone()})).await;
    let closes = alternative("a close frame with 4001", |frame: &Frame| {
        matches!(frame, Frame::Close(Some((4001, _))))
    });
    let closed = connection.ended().await?;
    cx.expect(QUEUE_SUBSCRIBER_15, &closed, &[closes])?;
    let told = client.told("error").await?;
    let says = alternative("an error with the text of the failure", move |told: &Option<Value>| {
        told.as_ref().is_some_and(|told| told["message"].as_str().is_some_and(|text| text.contains(&why)))
    });
    cx.expect(QUEUE_SUBSCRIBER_16, &closed.map(|_| told), &[says])?;
    Ok(())
}
