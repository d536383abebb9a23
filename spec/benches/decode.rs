//! Decoding messages of stream against reading the same text as a `serde_json::Value`, which is the least that anybody does.

use divan::{Bencher, black_box};
use serde::de::DeserializeOwned;
use wireproof_spec::stream::{AppendRequest, CreateResponse, LongpollResponse, SseControl};

fn main() {
    divan::main();
}

macro_rules! text {
    ($message:literal) => {
        include_str!(concat!("../../fixtures/stream/", $message, "/valid/full.json"))
    };
}

/// The messages: one of each kind that there is.
const MESSAGES: [(&str, &str); 4] = [
    ("append-request", text!("append-request")),
    ("create-response", text!("create-response")),
    ("longpoll-response", text!("longpoll-response")),
    ("sse-control", text!("sse-control")),
];

#[divan::bench(args = MESSAGES.map(|(name, _)| name))]
fn value(bencher: Bencher<'_, '_>, name: &str) {
    decode::<serde_json::Value>(bencher, name);
}

#[divan::bench(args = MESSAGES.map(|(name, _)| name))]
fn typed(bencher: Bencher<'_, '_>, name: &str) {
    match name {
        "append-request" => decode::<AppendRequest>(bencher, name),
        "create-response" => decode::<CreateResponse>(bencher, name),
        "longpoll-response" => decode::<LongpollResponse>(bencher, name),
        _ => decode::<SseControl>(bencher, name),
    }
}

fn decode<T: DeserializeOwned>(bencher: Bencher<'_, '_>, name: &str) {
    let text = MESSAGES.iter().find(|(named, _)| *named == name).map_or("", |(_, text)| text);
    bencher.bench(|| serde_json::from_str::<T>(black_box(text)).expect("a valid fixture"));
}
