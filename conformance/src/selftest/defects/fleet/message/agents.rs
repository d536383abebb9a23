//! Defects of the form of what agents say.

use super::{
    super::client::{ClientSeams, ClientTable, ack, always, said},
    FORM,
};
use crate::{embed::reference::fleet::client::seams::Frame, protocol::Cut::Wire};
use wireproof_spec::fleet::{
    AckRoom, Capacity, State,
    frames::{Outer, put_bytes},
    requirements::*,
};

pub(in crate::selftest::defects::fleet) const TABLE: ClientTable = &[
    always("fleet/message/hash-only-with-a-name", FLEET_MESSAGE_14, Wire, || {
        payloads("fleet/state", |inner| {
            if State::receive(inner).is_ok_and(|state| state.snapshot.is_none()) {
                put_bytes(inner, 5, b"name");
            }
        })
    })
    .shape(FORM),
    always("fleet/message/no-capacity-without-bounds", FLEET_MESSAGE_14, Wire, || {
        payloads("fleet/state", |inner| {
            let unbounded = Capacity { max_connections: None, max_rooms: None };
            let has = |state: &State| state.snapshot.as_ref().is_some_and(|s| s.capacity == unbounded);
            if State::receive(inner).is_ok_and(|state| has(&state))
                && let Some(at) = inner.windows(2).rposition(|pair| pair == [0x5a, 0x00])
            {
                inner.drain(at..at + 2);
            }
        })
    })
    .shape(FORM),
    always("fleet/message/error-of-a-success", FLEET_MESSAGE_15, Wire, || {
        ack(|_, ack| {
            ack.error.get_or_insert_with(|| "none".into());
        })
    })
    .shape(FORM),
    always("fleet/message/room-of-a-refusal", FLEET_MESSAGE_15, Wire, || {
        ack(|_, ack| {
            if !ack.ok {
                ack.room = Some(AckRoom { id: "r".into(), kind: "t".into() });
            }
        })
    })
    .shape(FORM),
];

/// The payload of each frame with this topic that is about to be sent, changed.
fn payloads(of: &'static str, change: impl Fn(&mut Vec<u8>) + Send + Sync + 'static) -> ClientSeams {
    said(move |_, frames| {
        for frame in frames {
            let Frame::Binary(bytes) = frame else { continue };
            if let Ok(Outer { topic: Some(topic), payload: Some(payload) }) = Outer::decode(bytes)
                && topic == of
            {
                let mut inner = payload.to_vec();
                change(&mut inner);
                *bytes = Outer::encode(of, &inner).into();
            }
        }
    })
}
