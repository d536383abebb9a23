//! What a queue server tells about itself when asked: which parts it has, and whether its paths have a date.

use super::setting::{Queue, value};
use crate::check::Cx;
use wireproof_spec::queue::{Action, Route};

/// What [`probe`] asks for.
pub(super) const ASKS: &[&str] =
    &["queue.dated-paths", "queue.destinations", "queue.sources", "queue.consumers"];

/// Asks for the features of [`ASKS`] that are not declared.
pub(super) async fn probe(cx: &Cx) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let switch = |on: bool| if on { "on" } else { "off" }.to_owned();
    let declared = |name: &str| cx.target.declared.get(name).map(String::as_str);
    let dated = match declared("queue.dated-paths") {
        Some(value) => value == "on",
        None => {
            let on = succeeds(cx, true, Action::List, &[]).await == Some(true);
            found.push(("queue.dated-paths", switch(on)));
            on
        }
    };
    let parts = [
        ("queue.destinations", Action::ListDestinations),
        ("queue.sources", Action::ListSources),
        ("queue.consumers", Action::ListConsumers),
    ];
    if parts.iter().all(|(name, _)| declared(name).is_some()) {
        return found;
    }
    let Ok(queue) = Queue::made(cx, dated).await else { return found };
    for (name, action) in parts {
        if declared(name).is_none()
            && let Some(on) = succeeds(cx, dated, action, &[&queue.name]).await
        {
            found.push((name, switch(on)));
        }
    }
    found
}

/// Whether an operation succeeds; none if that cannot be told.
async fn succeeds(cx: &Cx, dated: bool, action: Action, arguments: &[&str]) -> Option<bool> {
    let route = Route { dated, ..Route::new(action, arguments) };
    let seen = cx.send(route.encode(&cx.path(""))).await.ok()?;
    let response = seen.look().ok()?;
    match response.status {
        200..300 => Some(value(response)["success"] == true),
        404 | 405 | 501 => Some(false),
        _ => None,
    }
}
