//! Defects of "Conditional".

use super::{HttpSeams, Seams, Table, reply, request};
use crate::{protocol::Cut::Wire, selftest::defects::Breakage};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};
use wireproof_spec::{
    fleet::requirements::*,
    http::{Request, Response},
};

pub(super) const TABLE: Table = &[
    Breakage::always("fleet/conditional/strong", FLEET_CONDITIONAL_1, Wire, || {
        tags(|_, tag| tag.trim_start_matches("W/").to_owned())
    })
    .wide("no answer has the ETag that the document gives it"),
    Breakage::second("fleet/conditional/filters-in-the-tag", FLEET_CONDITIONAL_2, Wire, || {
        tags(|request, tag| match request.query.0.len() {
            0 => tag.to_owned(),
            filters => tag.replacen('"', &format!("\"{filters}"), 1),
        })
    }),
    Breakage::always("fleet/conditional/tag-of-its-own", FLEET_CONDITIONAL_3, Wire, tag_of_its_own),
    Breakage::boundary("fleet/conditional/no-lists", FLEET_CONDITIONAL_4, Wire, || {
        known(|tags| if tags.contains(',') { None } else { Some(tags) })
    }),
    Breakage::boundary("fleet/conditional/no-star", FLEET_CONDITIONAL_4, Wire, || {
        known(|tags| if tags == "*" { None } else { Some(tags) })
    }),
    Breakage::boundary("fleet/conditional/304-without-tag", FLEET_CONDITIONAL_4, Wire, || {
        reply(|_, response| {
            if response.status == 304 {
                response.headers.remove("etag");
            }
        })
    })
    .shape("a 304 without ETag is what is wrong"),
    Breakage::second("fleet/conditional/old-tags-match", FLEET_CONDITIONAL_5, Wire, old_tags_match),
    Breakage::second("fleet/conditional/zeros-match", FLEET_CONDITIONAL_5, Wire, || {
        known(|tags| if tags.starts_with("W/\"0") { Some("*".into()) } else { Some(tags) })
    }),
    Breakage::second("fleet/conditional/tag-of-the-ids", FLEET_CONDITIONAL_6, Wire, tag_of_the_ids)
        .wide("an ETag that stays is seen by each check of ETags"),
];

/// Each ETag of a success, changed.
fn tags<S: From<HttpSeams>>(change: impl Fn(&Request, &str) -> String + Send + Sync + 'static) -> S {
    reply(move |request, response| retag(response, |tag| change(request, tag)))
}

fn retag(response: &mut Response, change: impl FnOnce(&str) -> String) {
    if let Some(tag) = response.headers.get("etag").map(change) {
        response.headers.set("etag", tag);
    }
}

/// Each If-None-Match, changed or left out.
fn known<S: From<HttpSeams>>(change: impl Fn(String) -> Option<String> + Send + Sync + 'static) -> S {
    request(move |request| {
        let Some(tags) = request.headers.joined().remove("if-none-match") else { return };
        request.headers.remove("if-none-match");
        if let Some(tags) = change(tags) {
            request.headers.set("if-none-match", tags);
        }
    })
}

/// A letter before the hash, in each ETag and nowhere else.
fn tag_of_its_own() -> Seams {
    let known: HttpSeams = known(|tags| Some(tags.replace("\"v", "\"")));
    Seams::from(HttpSeams { request: known.request, ..tags(|_, tag| tag.replacen('"', "\"v", 1)) })
}

/// Each tag that was given matches for ever.
fn old_tags_match() -> Seams {
    let given: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let asked = Arc::clone(&given);
    let known: HttpSeams = known(move |tags| {
        let given = asked.lock().unwrap_or_else(PoisonError::into_inner);
        Some(if given.contains(&tags) { "*".into() } else { tags })
    });
    let kept: HttpSeams = reply(move |_, response| {
        if let Some(tag) = response.headers.get("etag") {
            given.lock().unwrap_or_else(PoisonError::into_inner).insert(tag.to_owned());
        }
    });
    Seams::from(HttpSeams { request: known.request, ..kept })
}

/// The ETag of the instances stays as long as there are as many with as many rooms.
fn tag_of_the_ids() -> Seams {
    let first: Mutex<BTreeMap<String, String>> = Mutex::default();
    reply(move |request, response| {
        if request.path != "/v1/instances" || response.status != 200 {
            return;
        }
        let Ok(body) = serde_json::from_slice::<Value>(&response.body) else { return };
        let all = body["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        let ids: Vec<String> = all
            .iter()
            .map(|info| format!("{} {}", info["id"], info["rooms"].as_array().map_or(0, Vec::len)))
            .collect();
        retag(response, |tag| {
            let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
            first.entry(ids.join(",")).or_insert_with(|| tag.to_owned()).clone()
        });
    })
}
