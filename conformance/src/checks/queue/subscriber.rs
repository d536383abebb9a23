//! Checks of "Subscriber" in spec/queue.md: where a client dials, and where it does not.

mod auth;
mod frames;
mod refusal;
mod stop;

use super::client::{self, Client, Connection, Interface, Start, offsets, silence};
use crate::{
    check::{Alternative, Check, Cx, Need, Outcome, Waits, alternative},
    drives,
    wire::{Lost, Seen, app::App, listen::HELLO},
};
use futures_util::future::try_join_all;
use serde_json::Value;
use wireproof_spec::{
    http::{Request, percent_decode},
    queue::requirements::*,
    requirement::RequirementId,
};

/// What an iterator may take for a redial, in milliseconds, and a little.
const REDIAL: Waits = Waits::Millis(1_700);
/// As [`REDIAL`], for the redial behind one that failed.
const REDIAL_1: Waits = Waits::Millis(3_800);

pub(super) const CHECKS: &[Check] = &[
    Check::new("queue/subscriber/path", &[QUEUE_SUBSCRIBER_1], drives!(path)),
    Check::new("queue/subscriber/path-again", &[QUEUE_SUBSCRIBER_1], drives!(path_again)),
    Check::new("queue/subscriber/trailing-slash", &[QUEUE_SUBSCRIBER_2], drives!(trailing_slash)),
    Check::new("queue/subscriber/root-path", &[QUEUE_SUBSCRIBER_3], drives!(root_path)),
    Check::new("queue/subscriber/scheme", &[QUEUE_SUBSCRIBER_4], drives!(scheme)),
    Check::new(
        "queue/subscriber/bare-handshake",
        &[QUEUE_SUBSCRIBER_5, QUEUE_SUBSCRIBER_6],
        drives!(bare_handshake),
    ),
    Check::new("queue/subscriber/first-frame", &[QUEUE_SUBSCRIBER_7], drives!(auth::first_frame)),
    Check::new("queue/subscriber/raw-key", &[QUEUE_SUBSCRIBER_8], drives!(auth::raw_key)),
    Check::new("queue/subscriber/fresh", &[QUEUE_SUBSCRIBER_9], drives!(auth::fresh)),
    Check::new("queue/subscriber/no-more-data", &[QUEUE_SUBSCRIBER_10], drives!(frames::no_more_data))
        .waits(Waits::Millis(2_200)),
    Check::new(
        "queue/subscriber/no-more-data-again",
        &[QUEUE_SUBSCRIBER_10],
        drives!(frames::no_more_data_again),
    )
    .waits(Waits::Millis(3_800)),
    Check::new("queue/subscriber/no-refusal", &[QUEUE_SUBSCRIBER_10], drives!(frames::no_refusal))
        .needs(&[Need::Feature("queue.handler", "on")]),
    Check::new("queue/subscriber/organisation", &[QUEUE_SUBSCRIBER_11], drives!(auth::organisation)),
    Check::new(
        "queue/subscriber/pushed-before-success",
        &[QUEUE_SUBSCRIBER_12],
        drives!(frames::pushed_before_success),
    ),
    Check::new("queue/subscriber/success", &[QUEUE_SUBSCRIBER_13], drives!(auth::success)),
    Check::new("queue/subscriber/malformed-answer", &[QUEUE_SUBSCRIBER_14], drives!(auth::malformed))
        .waits(REDIAL),
    Check::new("queue/subscriber/failure", &[QUEUE_SUBSCRIBER_15], drives!(refusal::closes)),
    Check::new("queue/subscriber/failure-told", &[QUEUE_SUBSCRIBER_16], drives!(refusal::is_told)),
    Check::new("queue/subscriber/failure-ends", &[QUEUE_SUBSCRIBER_17], drives!(refusal::ends)),
    Check::new("queue/subscriber/failure-is-final", &[QUEUE_SUBSCRIBER_18], drives!(refusal::is_final))
        .waits(REDIAL_1),
    Check::new(
        "queue/subscriber/unanswered",
        &[QUEUE_SUBSCRIBER_19, QUEUE_SUBSCRIBER_10],
        drives!(refusal::unanswered),
    )
    .waits(Waits::Limit("answer-timeout-ms", 1)),
    Check::new("queue/subscriber/stopped", &[QUEUE_SUBSCRIBER_20], drives!(stop::says_so)),
    Check::new("queue/subscriber/stopped-for-good", &[QUEUE_SUBSCRIBER_21], drives!(stop::for_good))
        .waits(REDIAL_1),
    Check::new("queue/subscriber/stopped-in-between", &[QUEUE_SUBSCRIBER_22], drives!(stop::in_between))
        .waits(REDIAL),
    Check::new("queue/subscriber/stopped-in-handshake", &[QUEUE_SUBSCRIBER_30], drives!(stop::in_handshake))
        .waits(REDIAL),
    Check::new("queue/subscriber/iterator-left", &[QUEUE_SUBSCRIBER_23], drives!(stop::iterator_left)),
    Check::new("queue/subscriber/illegal-name", &[QUEUE_SUBSCRIBER_24], drives!(illegal_name)),
    Check::new("queue/subscriber/no-key", &[QUEUE_SUBSCRIBER_25], drives!(no_key)),
    Check::new("queue/subscriber/ping", &[QUEUE_SUBSCRIBER_26], drives!(frames::ping)),
    Check::new("queue/subscriber/fragments", &[QUEUE_SUBSCRIBER_27], drives!(frames::fragments)),
    Check::new("queue/subscriber/long-push", &[QUEUE_SUBSCRIBER_28], drives!(frames::long_push)),
    Check::new("queue/subscriber/binary-push", &[QUEUE_SUBSCRIBER_29], drives!(frames::binary_push)),
];

/// Ends a connection as a server does that restarts.
async fn restart(mut connection: Connection) -> Outcome {
    connection.peer.close(1012, "restart").await;
    // Whatever is said to that: the connection is over.
    let _ = connection.ended().await?;
    Ok(())
}

/// The connection behind this one, which ends as those of a server do that restarts.
async fn again(cx: &Cx, client: &mut Client, connection: Connection) -> Outcome<Connection> {
    restart(connection).await?;
    client.connect(cx).await
}

/// Has a client whose connection was authenticated deliver a message, as set-up.
async fn hears(cx: &Cx, client: &mut Client, connection: &mut Connection, offset: i64) -> Outcome {
    connection.push([offset]).await;
    let told = client.delivered(1).await?;
    cx.need(QUEUE_DELIVERY_1, &connection.told(told), &[delivers(vec![offset])])?;
    Ok(())
}

/// That messages with these offsets were delivered.
fn delivers(expected: Vec<i64>) -> Alternative<Vec<Value>> {
    alternative(
        format!("the messages with the offsets {expected:?} are delivered"),
        move |told: &Vec<Value>| offsets(told) == expected,
    )
}

/// That the handshake is one for this queue below a root with this path.
fn below(root: &str, queue: &str) -> Alternative<Request> {
    let (front, queue) = (format!("{root}/queue/ws/"), queue.to_owned());
    alternative(format!("a GET of {front}{queue}, without a query"), move |request: &Request| {
        let name = request.path.strip_prefix(&front).filter(|name| !name.contains('/'));
        request.method == "GET"
            && request.query.0.is_empty()
            && name.is_some_and(|name| percent_decode(name) == queue)
    })
}

async fn path(cx: &Cx) -> Outcome {
    Interface::each(cx, async |interface| {
        for name in [cx.name(), "q".into(), format!("_{}-9", "z".repeat(253))] {
            let start = Start::new(cx, interface).with("queue", name);
            let mut client = Client::start(cx, start).await?;
            let (seen, _call) = client.place.next().await?;
            cx.expect(QUEUE_SUBSCRIBER_1, &seen, &[below("", &client.queue)])?;
        }
        Ok(())
    })
    .await
}

async fn path_again(cx: &Cx) -> Outcome {
    Interface::each(cx, async |interface| {
        let mut client = Client::start(cx, Start::new(cx, interface)).await?;
        let mut connection = client.join(cx).await?;
        // What a client could want to tell of in a query: who it is, and what it processed.
        hears(cx, &mut client, &mut connection, 0).await?;
        restart(connection).await?;
        let (seen, _call) = client.place.next().await?;
        cx.expect(QUEUE_SUBSCRIBER_1, &seen, &[below("", &client.queue)])?;
        Ok(())
    })
    .await
}

/// Starts clients with such roots, and claims that each dials below this path.
async fn dials_below(cx: &Cx, requirement: RequirementId, roots: &[(&str, &str)]) -> Outcome {
    Interface::each(cx, async |interface| {
        for (root, path) in roots {
            let start = Start::new(cx, interface);
            let mut client = Client::start_at(cx, cx.listen()?, root, start).await?;
            let (seen, _call) = client.place.next().await?;
            cx.expect(requirement, &seen, &[below(path, &client.queue)])?;
        }
        Ok(())
    })
    .await
}

async fn trailing_slash(cx: &Cx) -> Outcome {
    let roots = [("/", ""), ("/pre/", "/pre"), ("/pre/fix/", "/pre/fix")];
    dials_below(cx, QUEUE_SUBSCRIBER_2, &roots).await
}

async fn root_path(cx: &Cx) -> Outcome {
    let roots = ["/pre", "/pre/fix", "/api.v1/queue/ws"].map(|root| (root, root));
    dials_below(cx, QUEUE_SUBSCRIBER_3, &roots).await
}

async fn scheme(cx: &Cx) -> Outcome {
    Interface::each(cx, |interface| dials_with_its_scheme(cx, interface)).await
}

async fn dials_with_its_scheme(cx: &Cx, interface: Interface) -> Outcome {
    for (scheme, tls) in [("http", false), ("ws", false), ("https", true), ("wss", true)] {
        let place = cx.listen()?;
        let root = place.url(scheme);
        let mut client = Client::start_with(cx, place, &root, Start::new(cx, interface)).await?;
        let (seen, _call) = client.place.next().await?;
        let dialled = if tls {
            alternative(
                "a ClientHello of TLS",
                |came: &Result<Request, Lost>| matches!(came, Err(Lost::Malformed(why)) if why == HELLO),
            )
        } else {
            alternative(
                "a GET in the clear",
                |came: &Result<Request, Lost>| matches!(came, Ok(request) if request.method == "GET"),
            )
        };
        cx.expect(QUEUE_SUBSCRIBER_4, &seen.or_lost(), &[dialled])?;
    }
    Ok(())
}

async fn bare_handshake(cx: &Cx) -> Outcome {
    Interface::each(cx, |interface| shakes_bare_hands(cx, interface)).await
}

async fn shakes_bare_hands(cx: &Cx, interface: Interface) -> Outcome {
    let mut client = Client::start(cx, Start::new(cx, interface)).await?;
    for _ in 0..2 {
        let (seen, call) = client.dial(cx).await?;
        let key = client.key.clone();
        let keyless = alternative("no key and no Authorization", move |request: &Request| {
            let values = request.headers.0.iter().map(|(_, value)| value.as_str());
            request.headers.get("authorization").is_none()
                && !values.chain([percent_decode(&request.target()).as_str()]).any(|text| text.contains(&key))
        });
        cx.expect(QUEUE_SUBSCRIBER_5, &seen, &[keyless])?;
        let plain = alternative("no subprotocol", |request: &Request| {
            request.headers.get("sec-websocket-protocol").is_none()
        });
        cx.expect(QUEUE_SUBSCRIBER_6, &seen, &[plain])?;
        // It has the key, and tells it where it belongs.
        let mut connection = Connection::of(cx, call).await?;
        cx.need(QUEUE_SUBSCRIBER_8, &connection.auth, &[auth::has_key(&client.key)])?;
        connection.welcome(&cx.token(8)).await;
        restart(connection).await?;
    }
    Ok(())
}

async fn illegal_name(cx: &Cx) -> Outcome {
    let long = "z".repeat(257);
    let names = [
        "", "Orders", "oRders", "1orders", "-orders", &long, "or/ders", "or ders", "or?ders", "örders",
        "orders\n",
    ];
    let starts = Interface::all(cx)
        .into_iter()
        .flat_map(|interface| names.iter().map(move |name| Start::new(cx, interface).with("queue", *name)));
    is_refused(cx, QUEUE_SUBSCRIBER_24, starts.collect()).await
}

async fn no_key(cx: &Cx) -> Outcome {
    let starts = Interface::all(cx).into_iter().flat_map(|interface| {
        [Start::new(cx, interface).without("key"), Start::new(cx, interface).with("key", "")]
    });
    is_refused(cx, QUEUE_SUBSCRIBER_25, starts.collect()).await
}

/// Starts clients so, and claims that each tells an error and none dials.
async fn is_refused(cx: &Cx, requirement: RequirementId, starts: Vec<Start>) -> Outcome {
    let mut place = cx.listen()?;
    let root = place.url("http");
    let begun = starts.into_iter().map(async |start| {
        let mut app = cx.app().await?;
        let said = app.attempt("subscribe", start.at(&root)).await?;
        Ok((app, said.err()))
    });
    let begun = try_join_all(begun).await?;
    let another = async {
        let mut another = Client::begin(cx).await?;
        Ok(another.dial(cx).await?.0)
    };
    let seen = place.quiet(silence(cx, Interface::any(cx)), another).await?;
    let none = alternative("no dial", |dial: &Option<Request>| dial.is_none());
    cx.expect(requirement, &seen, &[none])?;
    let errors = try_join_all(begun.into_iter().map(|(app, said)| complaint(app, said))).await?;
    let each =
        alternative("an error for each", |errors: &Vec<Option<String>>| errors.iter().all(Option::is_some));
    let errors: Seen<Vec<Option<String>>> = seen.map(|_| errors);
    cx.expect(requirement, &errors, &[each])?;
    Ok(())
}

/// The error that a client told: when it was started, or of its own accord.
async fn complaint(mut app: App, said: Option<String>) -> Outcome<Option<String>> {
    match said {
        Some(said) => Ok(Some(said)),
        None => client::complaint(&mut app).await,
    }
}
