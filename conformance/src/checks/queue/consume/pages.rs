//! Lists that are read page by page.

use super::filled;
use crate::{
    check::{Alternative, Cx, Outcome, alternative},
    checks::queue::setting::{PUBSUB, WORKER, data, list, payloads, succeeded},
    wire::Seen,
};
use serde_json::Value;
use wireproof_spec::{
    http::{Request, Response},
    queue::{Action, requirements::*},
    requirement::RequirementId,
};

/// How many messages a page has at most.
const PAGE: usize = 2;

pub(super) async fn of_messages(cx: &Cx) -> Outcome {
    for kind in [PUBSUB, WORKER] {
        let (queue, messages) = filled(cx, kind, 5).await?;
        let listing = queue.operation(cx, Action::ListMessages, &[]);
        in_pages(cx, (QUEUE_CONSUME_24, QUEUE_CONSUME_25), &listing, payloads(&messages)).await?;
    }
    Ok(())
}

/// Claims that a list, read page by page, shows each of these payloads once, and that a total that it tells is their number.
///
/// # Errors
/// As [`Cx::send`] and [`Cx::expect`].
pub(in crate::checks::queue) async fn in_pages(
    cx: &Cx,
    (each_once, of_all): (RequirementId, RequirementId),
    listing: &Request,
    all: Vec<Value>,
) -> Outcome {
    let (mut shown, mut answers) = (0, Vec::new());
    while shown < all.len() {
        let page = listing.clone().param("limit", PAGE.to_string()).param("offset", shown.to_string());
        let seen = cx.send(page).await?;
        let many = list(cx.need(each_once, &seen, &[succeeded()])?, "messages").len();
        answers.push(seen);
        // A page may have less than its limit, but not nothing.
        if many == 0 {
            break;
        }
        shown += many;
    }
    let answers = Seen::all(answers);
    let count = all.len();
    let once: Alternative<Vec<Response>> = alternative(
        format!("each of the {count} once, and at most {PAGE} in an answer"),
        move |answers: &Vec<Response>| {
            let pages: Vec<Vec<Value>> = answers.iter().map(|reply| list(reply, "messages")).collect();
            let found = payloads(&pages.concat());
            pages.iter().all(|page| page.len() <= PAGE)
                && found.len() == all.len()
                && all.iter().all(|payload| found.contains(payload))
        },
    );
    cx.expect(each_once, &answers, &[once])?;
    let total = alternative(format!("the total {count}, or none"), move |answers: &Vec<Response>| {
        answers.iter().map(|reply| data(reply, "total")).all(|total| total.is_null() || total == count)
    });
    cx.expect(of_all, &answers, &[total])?;
    Ok(())
}
