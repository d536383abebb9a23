//! Defects of "Message": each changes the form of one message.

pub(super) mod agents;

use super::{Seams, Table, cmd, each, events, frames, reply, rewrite, told};
use crate::{embed::reference::fleet::seams::Piece, protocol::Cut::Wire, selftest::defects::Breakage};
use serde_json::{Value, json};
use wireproof_spec::fleet::{Action, Event, Hello, Op, Poll, requirements::*};

const FORM: &str = "the form of the message is the requirement";

pub(super) const TABLE: Table = &[
    Breakage::always("fleet/message/hello-of-version-4", FLEET_MESSAGE_1, Wire, || {
        frames(|_, frames| {
            each(frames, "fleet/hello", |payload| {
                if let Ok(hello) = Hello::receive(payload) {
                    *payload = Hello { protocol_version: 4, ..hello }.encode_frame();
                }
            });
        })
    })
    .shape(FORM),
    Breakage::always("fleet/message/hello-cut-off", FLEET_MESSAGE_1, Wire, || {
        // The heartbeat is the last of its fields.
        frames(|_, frames| each(frames, "fleet/hello", |payload| payload.truncate(payload.len() - 3)))
    })
    .wide("agents do not know how long to wait")
    .shape(FORM),
    Breakage::always("fleet/message/poll-without-status", FLEET_MESSAGE_2, Wire, || {
        frames(|_, frames| {
            each(frames, "fleet/poll", |payload| {
                let Ok(poll) = Poll::receive(payload) else { return };
                let status = poll.status.word().len() + 2;
                payload.truncate(payload.len() - status);
            });
        })
    })
    .shape(FORM),
    Breakage::always("fleet/message/create-without-type", FLEET_MESSAGE_3, Wire, || {
        cmd(|_, cmd| cmd.room_type = None)
    })
    .wide("agents that are told so make no rooms")
    .shape(FORM),
    Breakage::always("fleet/message/op-in-capitals", FLEET_MESSAGE_3, Wire, || {
        cmd(|_, cmd| {
            if cmd.op == Op::Drain {
                cmd.op = Op::Other("DRAIN".into());
            }
        })
    })
    .shape(FORM),
    Breakage::always("fleet/message/refused-with-message-alone", FLEET_MESSAGE_4, Wire, || {
        reply(|_, response| {
            if response.status == 404 {
                rewrite(response, |body| body["status"] = json!("error"));
            }
        })
    })
    .wide("what is not found is refused so")
    .shape(FORM),
    Breakage::always("fleet/message/done-in-small-letters", FLEET_MESSAGE_5, Wire, || {
        told(Action::Undrain, |_, body| body["status"] = json!("ok"))
    })
    .shape(FORM),
    Breakage::always("fleet/message/rooms-as-text", FLEET_MESSAGE_6, Wire, || {
        told(Action::Stats, |_, body| body["data"]["rooms"] = json!("1"))
    })
    .shape(FORM),
    Breakage::always("fleet/message/no-state-hash", FLEET_MESSAGE_6, Wire, || {
        told(Action::Stats, |_, body| without(&mut body["data"], "stateHash"))
    })
    .wide("whoever compares states compares these")
    .shape(FORM),
    Breakage::always("fleet/message/labels-as-list", FLEET_MESSAGE_7, Wire, || {
        told(Action::Instances, |_, body| every(body, |info| info["labels"] = json!([])))
    })
    .shape(FORM),
    Breakage::always("fleet/message/bound-that-is-absent", FLEET_MESSAGE_8, Wire, || {
        told(Action::Instance, |_, body| {
            if body["data"]["capacity"]["maxRooms"].is_null() {
                without(&mut body["data"]["capacity"], "maxRooms");
            }
        })
    })
    .shape(FORM),
    Breakage::always("fleet/message/local-as-text", FLEET_MESSAGE_9, Wire, || {
        told(Action::Rooms, |_, body| every(body, |room| room["local"] = json!("false")))
    })
    .shape(FORM),
    Breakage::always("fleet/message/rooms-of-an-instance-without-url", FLEET_MESSAGE_9, Wire, || {
        told(Action::InstanceRooms, |_, body| every(body, |room| without(room, "endpointUrl")))
    })
    .shape(FORM),
    Breakage::always("fleet/message/connections-below-zero", FLEET_MESSAGE_10, Wire, || {
        told(Action::Room, |_, body| body["data"]["connections"] = json!(-1))
    })
    .shape(FORM),
    Breakage::always("fleet/message/made-without-instance", FLEET_MESSAGE_10, Wire, || {
        told(Action::CreateRoom, |_, body| without(&mut body["data"], "instanceId"))
    })
    .shape(FORM),
    Breakage::always("fleet/message/stale-as-id-alone", FLEET_MESSAGE_11, Wire, || {
        changed(Event::Stale, |info| *info = json!({"id": info["id"]}))
    })
    .shape(FORM),
    Breakage::always("fleet/message/join-without-sync-time", FLEET_MESSAGE_11, Wire, || {
        changed(Event::Join, |info| without(info, "lastSyncAt"))
    })
    .shape(FORM),
    Breakage::always("fleet/message/destroyed-as-id-alone", FLEET_MESSAGE_12, Wire, || {
        changed(Event::Destroy, |room| *room = json!({"id": room["id"], "type": room["type"]}))
    })
    .shape(FORM),
    Breakage::always("fleet/message/sync-without-types", FLEET_MESSAGE_13, Wire, || {
        changed(Event::Sync, |stats| without(stats, "roomTypes"))
    })
    .shape(FORM),
];

/// Without this member.
fn without(object: &mut Value, member: &str) {
    if let Some(members) = object.as_object_mut() {
        members.remove(member);
    }
}

/// Each element of the data of a list, changed.
fn every(body: &mut Value, change: impl Fn(&mut Value)) {
    if let Some(all) = body["data"].as_array_mut() {
        all.iter_mut().for_each(change);
    }
}

/// The data of each event of this name, changed.
fn changed(of: Event, change: impl Fn(&mut Value) + Send + Sync + 'static) -> Seams {
    events(move |_, pieces| {
        for piece in pieces {
            if let Piece::Event { name, data } = piece
                && name == of.name()
                && let Ok(mut value) = serde_json::from_str::<Value>(data)
            {
                change(&mut value);
                *data = value.to_string();
            }
        }
    })
}
