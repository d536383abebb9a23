//! Defects of "Hello".

use super::{Seams, Table, frames, hello, reply, rewrite};
use crate::{embed::reference::fleet::seams::Frame, protocol::Cut::Wire, selftest::defects::Breakage};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use wireproof_spec::fleet::{Hello, requirements::*};

pub(super) const TABLE: Table = &[
    Breakage::second("fleet/hello/again", FLEET_HELLO_1, Wire, again),
    Breakage::always("fleet/hello/behind-the-poll", FLEET_HELLO_1, Wire, behind_the_poll)
        .wide("everybody waits for the Hello first"),
    Breakage::second("fleet/hello/second-poll-after-a-while", FLEET_HELLO_2, Wire, || {
        frames(|number, frames| {
            if number > 1 && is(&frames[0], "fleet/hello") {
                frames.push(Frame::Pause(Duration::from_millis(1_200)));
            }
        })
    })
    .wide("nothing is shown of who was not polled"),
    Breakage::second("fleet/hello/half-the-heartbeat", FLEET_HELLO_3, Wire, || {
        hello(|number, hello| {
            if number > 1 {
                hello.heartbeat_ms /= 2;
            }
        })
    }),
    Breakage::second("fleet/hello/id-of-the-first", FLEET_HELLO_4, Wire, id_of_the_first)
        .wide("who has the id of somebody else is not found"),
    Breakage::second("fleet/hello/shown-as-the-first", FLEET_HELLO_5, Wire, shown_as_the_first)
        .wide("each instance is looked up by its id"),
    Breakage::second("fleet/hello/one-instance-for-a-process", FLEET_HELLO_6, Wire, one_for_a_process),
];

/// Whether a frame has this topic.
fn is(frame: &Frame, of: &str) -> bool {
    matches!(frame, Frame::Message { topic, .. } if topic == of)
}

/// From the second connection on, another Hello comes with the second Poll.
fn again() -> Seams {
    let seen: Mutex<BTreeMap<u64, (Frame, u32)>> = Mutex::default();
    frames(move |number, frames| {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        for frame in frames.clone() {
            if is(&frame, "fleet/hello") {
                seen.insert(number, (frame, 0));
            } else if is(&frame, "fleet/poll")
                && let Some((hello, polls)) = seen.get_mut(&number)
            {
                *polls += 1;
                if number > 1 && *polls == 2 {
                    frames.insert(0, hello.clone());
                }
            }
        }
    })
}

/// The Hello comes behind the first Poll.
fn behind_the_poll() -> Seams {
    let kept: Mutex<BTreeMap<u64, Frame>> = Mutex::default();
    frames(move |number, frames| {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if is(&frames[0], "fleet/hello") {
            kept.insert(number, frames.remove(0));
        } else if let Some(hello) = kept.remove(&number) {
            frames.push(hello);
        }
    })
}

/// From the second instance on each is shown with another id, when it is asked for alone.
fn shown_as_the_first() -> Seams {
    let first: Mutex<Option<String>> = Mutex::default();
    reply(move |request, response| {
        let Some(id) = request.path.strip_prefix("/v1/instances/") else { return };
        let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
        let known = first.get_or_insert_with(|| id.to_owned());
        if response.status == 200 && known != id {
            rewrite(response, |body| {
                if body["data"].is_object() {
                    body["data"]["id"] = known.as_str().into();
                }
            });
        }
    })
}

/// From the second connection on each has the id of the first.
fn id_of_the_first() -> Seams {
    let first: Mutex<Option<Hello>> = Mutex::default();
    hello(move |_, hello| {
        let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
        let known = first.get_or_insert_with(|| hello.clone());
        hello.instance_id.clone_from(&known.instance_id);
    })
}

/// Of two connections of one process the older is left out of the list.
fn one_for_a_process() -> Seams {
    reply(|request, response| {
        if request.path == "/v1/instances" {
            rewrite(response, |body| {
                let Some(all) = body["data"].as_array_mut() else { return };
                let mut known = BTreeSet::new();
                all.retain(|info| known.insert(info["processUid"].to_string()));
            });
        }
    })
}
