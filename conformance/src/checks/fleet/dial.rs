//! Checks of "Dial" in spec/fleet.md: the handshake, the Hello, and the end.

mod greeting;
mod stop;
mod timeouts;

use super::client::{
    Client, Connection, FIRST_REDIAL_MS, HEARTBEAT_MS, Heard, SHORT_HEARTBEAT_MS, Start, USUAL_HEARTBEAT_MS,
    dials, does_not_dial, hello, is_over, nothing, over, state_of, still,
};
use crate::{
    check::{Alternative, Check, Cx, Need, Outcome, Waits, alternative},
    drives,
    wire::Seen,
};
use base64::{
    Engine,
    engine::general_purpose::{GeneralPurpose, STANDARD, URL_SAFE},
};
use std::time::Duration;
use wireproof_spec::{
    fleet::{Poll, Status, connect::SENTINEL, requirements::*},
    http::{Request, percent_decode},
};

pub(super) const CHECKS: &[Check] = &[
    Check::new("fleet/dial/protocols", &[FLEET_DIAL_1], drives!(protocols)),
    Check::new("fleet/dial/key-elsewhere", &[FLEET_DIAL_2], drives!(key_elsewhere)),
    Check::new("fleet/dial/url", &[FLEET_DIAL_3], drives!(url)),
    Check::new("fleet/dial/sentinel-selected", &[FLEET_DIAL_4], drives!(sentinel_selected)),
    Check::new("fleet/dial/key-selected", &[FLEET_DIAL_5], drives!(key_selected)),
    Check::new("fleet/dial/silent", &[FLEET_DIAL_6], drives!(greeting::silent)).waits(Waits::Millis(1_200)),
    Check::new("fleet/dial/silent-for-long", &[FLEET_DIAL_6], drives!(greeting::silent_for_long))
        .waits(Waits::Millis(15_500)),
    Check::new("fleet/dial/other-version", &[FLEET_DIAL_7], drives!(greeting::other_version)),
    Check::new("fleet/dial/other-version-for-good", &[FLEET_DIAL_8], drives!(greeting::for_good))
        .waits(Waits::Millis(11_500)),
    Check::new("fleet/dial/newer-hello", &[FLEET_DIAL_9], drives!(greeting::newer)),
    Check::new("fleet/dial/newer-hello-counts", &[FLEET_DIAL_9], drives!(greeting::newer_counts))
        .waits(Waits::Millis(6_000)),
    Check::new("fleet/dial/cut-hello", &[FLEET_DIAL_10], drives!(greeting::cut)),
    Check::new("fleet/dial/no-hello", &[FLEET_DIAL_11], drives!(timeouts::no_hello))
        .waits(Waits::Limit("hello-timeout-ms", 2)),
    Check::new("fleet/dial/connect-timeout", &[FLEET_DIAL_12], drives!(timeouts::connect_timeout))
        .needs(&[Need::Feature("fleet.connect-timeout", "on")])
        .waits(Waits::Millis(5_000)),
    Check::new("fleet/dial/in-time", &[FLEET_DIAL_12], drives!(timeouts::in_time))
        .needs(&[Need::Feature("fleet.connect-timeout", "on")])
        .waits(Waits::Millis(2_500)),
    Check::new("fleet/dial/instance-ids", &[FLEET_DIAL_13], drives!(greeting::instance_ids))
        .needs(&[Need::Feature("fleet.instance-ids", "on")]),
    Check::new("fleet/dial/stopped", &[FLEET_DIAL_14], drives!(stop::connected)).waits(Waits::Millis(1_200)),
    Check::new("fleet/dial/stopped-while-it-opens", &[FLEET_DIAL_14], drives!(stop::opening))
        .waits(Waits::Millis(1_200)),
    Check::new("fleet/dial/stopped-in-between", &[FLEET_DIAL_14], drives!(stop::in_between))
        .waits(Waits::Millis(8_000)),
    Check::new("fleet/dial/pings", &[FLEET_DIAL_15], drives!(greeting::pings)),
    Check::new("fleet/dial/poll-before-hello", &[FLEET_DIAL_16], drives!(greeting::poll_before)),
];

/// The entries of a header that is a list, of all its lines.
fn entries(request: &Request, name: &str) -> Vec<String> {
    let lines = request.headers.0.iter().filter(|(header, _)| header == name);
    let all = lines.flat_map(|(_, value)| value.split(',')).map(str::trim);
    all.filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

/// On the first dial and on later ones.
async fn protocols(cx: &Cx) -> Outcome {
    // All that a token may have.
    let key = format!("k!#$%&'*+-.^_`|~{}", cx.token(8));
    for start in [Start::new(cx), Start::new(cx).with("key", key)] {
        let mut client = Client::start(cx, start).await?;
        for _ in 0..3 {
            let (seen, call) = client.dial(cx).await?;
            let offered = [client.key.clone(), SENTINEL.to_owned()];
            let name = "a Sec-WebSocket-Protocol with the key and then the sentinel";
            let both = alternative(name, move |request: &Request| {
                entries(request, "sec-websocket-protocol") == offered
            });
            cx.expect(FLEET_DIAL_1, &seen, &[both])?;
            let mut connection = Connection::of(seen, call).await?;
            connection.greet(cx).await;
            connection.part(1012).await;
        }
    }
    Ok(())
}

/// What stands in each text that is base64 and holds this one somewhere, in both alphabets.
fn in_base64(text: &str) -> Vec<String> {
    let inside = |offset: usize, engine: &GeneralPurpose| {
        let bytes = [&vec![0; offset][..], text.as_bytes()].concat();
        // Six bits a character: those that are of the text alone.
        let (from, to) = ((offset * 8).div_ceil(6), bytes.len() * 8 / 6);
        engine.encode(bytes)[from..to].to_owned()
    };
    (0..3).flat_map(|offset| [&STANDARD, &URL_SAFE].map(|engine| inside(offset, engine))).collect()
}

/// As it is, escaped, and in base64.
async fn key_elsewhere(cx: &Cx) -> Outcome {
    let mut client = Client::start_at(cx, Start::new(cx), "/agents?region=eu").await?;
    for _ in 0..3 {
        let (seen, call) = client.dial(cx).await?;
        let key = client.key.clone();
        let keyless = alternative("no key but in Sec-WebSocket-Protocol", move |request: &Request| {
            let others = request.headers.0.iter().filter(|(name, _)| name != "sec-websocket-protocol");
            let texts = others.map(|(_, value)| value.clone()).chain([request.target()]);
            let encoded = in_base64(&key);
            let holds = |text: String| {
                let text = [percent_decode(&text), text];
                text.iter().any(|text| text.contains(&key) || encoded.iter().any(|key| text.contains(key)))
            };
            !texts.into_iter().any(holds)
        });
        cx.expect(FLEET_DIAL_2, &seen, &[keyless])?;
        // It has the key, and tells it where it belongs.
        let key = client.key.clone();
        let told = alternative("the key in Sec-WebSocket-Protocol", move |request: &Request| {
            entries(request, "sec-websocket-protocol").contains(&key)
        });
        cx.need(FLEET_DIAL_1, &seen, &[told])?;
        let mut connection = Connection::of(seen, call).await?;
        connection.greet(cx).await;
        connection.part(1012).await;
    }
    Ok(())
}

async fn url(cx: &Cx) -> Outcome {
    /// A query, by name and value.
    type Query = &'static [(&'static str, &'static str)];
    let urls: [(&str, &str, Query); 7] = [
        ("", "/", &[]),
        ("/", "/", &[]),
        ("/fleet", "/fleet", &[]),
        ("/fleet/", "/fleet/", &[]),
        ("/a/b.c/ws?x=1&y=", "/a/b.c/ws", &[("x", "1"), ("y", "")]),
        ("/a%20b/%7Ec", "/a%20b/%7Ec", &[]),
        ("/?x=a%20b", "/", &[("x", "a b")]),
    ];
    for (behind, path, query) in urls {
        let mut client = Client::start_at(cx, Start::new(cx), behind).await?;
        for _ in 0..2 {
            let (seen, call) = client.place.next().await?;
            let name = format!("a GET of {path} with the query {query:?}");
            let asked = alternative(name, move |request: &Request| {
                let told = request.query.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                request.method == "GET" && request.path == path && told.eq(query.iter().copied())
            });
            cx.expect(FLEET_DIAL_3, &seen, &[asked])?;
            let call = call.ok_or_else(|| cx.stop("the agent did not dial"))?;
            let mut connection = Connection::of(seen, call).await?;
            connection.greet(cx).await;
            connection.part(1012).await;
        }
    }
    Ok(())
}

/// Polls that come on a connection, answered each.
async fn answers(
    cx: &Cx,
    id: wireproof_spec::requirement::RequirementId,
    connection: &mut Connection,
) -> Outcome {
    connection.greet(cx).await;
    for _ in 0..2 {
        let (poll, seen) = connection.ask(None).await?;
        cx.expect(id, &seen, &[state_of(&poll, "", |_| true)])?;
    }
    Ok(())
}

async fn sentinel_selected(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    for _ in 0..2 {
        let mut connection = client.open(cx).await?;
        answers(cx, FLEET_DIAL_4, &mut connection).await?;
        connection.part(1012).await;
    }
    Ok(())
}

async fn key_selected(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    for _ in 0..2 {
        let (seen, call) = client.dial(cx).await?;
        let mut connection = Connection::selecting(seen, call, &client.key.clone()).await?;
        answers(cx, FLEET_DIAL_5, &mut connection).await?;
        connection.part(1012).await;
    }
    Ok(())
}
