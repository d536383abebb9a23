//! Frames of the fleet protocol, to the byte.

use std::fmt::Debug;
use wireproof_spec::fleet::{
    Ack, Cmd, Hello, Poll, State, Violation,
    frames::{self, Outer},
};

/// Reads the bytes as an outer frame, its payload as every message, and the bytes themselves as an inner frame.
pub fn run(data: &[u8]) {
    if let Ok(outer) = Outer::decode(data) {
        if let (Some(topic), Some(payload)) = (&outer.topic, outer.payload) {
            let written = Outer::encode(topic, payload);
            assert_eq!(Outer::decode(&written).as_ref(), Ok(&outer), "an outer frame is the same again");
        }
        outer.payload.into_iter().for_each(inner);
    }
    inner(data);
    // Few inputs find the header by themselves.
    inner(&[&frames::header(), data].concat());
}

fn inner(bytes: &[u8]) {
    same(bytes, Hello::receive, Hello::decode_frame, Hello::encode_frame);
    same(bytes, Poll::receive, Poll::decode_frame, Poll::encode_frame);
    same(bytes, State::receive, State::decode_frame, State::encode_frame);
    same(bytes, Cmd::receive, Cmd::decode_frame, Cmd::encode_frame);
    same(bytes, Ack::receive, Ack::decode_frame, Ack::encode_frame);
}

/// What is received is written so that it is received as the same again; what is read strictly is received as the same.
fn same<M: PartialEq + Debug>(
    bytes: &[u8],
    receive: fn(&[u8]) -> Result<M, Violation>,
    decode: fn(&[u8]) -> Result<M, Violation>,
    encode: fn(&M) -> Vec<u8>,
) {
    let received = receive(bytes);
    match &received {
        Ok(message) => assert_eq!(receive(&encode(message)).as_ref(), Ok(message)),
        Err(why) => assert!(why.to_string().len() < 1_000, "an error is short"),
    }
    match decode(bytes) {
        Ok(message) => {
            assert_eq!(decode(&encode(&message)).as_ref(), Ok(&message));
            assert_eq!(received, Ok(message), "who reads strictly reads the same");
        }
        Err(why) => assert!(why.to_string().len() < 1_000, "an error is short"),
    }
}
