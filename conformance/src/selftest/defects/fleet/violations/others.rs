//! What goes with a connection that is kicked, and what should not.

use super::{Seams, lock};
use crate::{
    embed::reference::fleet::{
        model::{Answer, Effect, Input},
        seams::Frame,
    },
    selftest::defects::fleet::{answers, decide, frames, reply, rewrite},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use wireproof_spec::{
    fleet::{Cause, Hello},
    http::Response,
};

/// How long something goes on that should have ended.
const WHILE: Duration = Duration::from_millis(2_500);

/// The instances whose connections were closed with the code 4003, and when.
#[derive(Default)]
struct Kicked {
    ids: Mutex<BTreeMap<u64, String>>,
    gone: Mutex<BTreeMap<String, Instant>>,
}

impl Kicked {
    /// Whether this instance was kicked a while ago.
    fn lately(&self, id: &str) -> bool {
        lock(&self.gone).get(id).is_some_and(|at| at.elapsed() < WHILE)
    }
}

/// Notes who is kicked.
fn noting(kicked: &Arc<Kicked>) -> Seams {
    let kicked = Arc::clone(kicked);
    frames(move |number, frames| {
        for frame in frames {
            match frame {
                Frame::Message { topic, payload } if topic == "fleet/hello" => {
                    if let Ok(hello) = Hello::receive(payload) {
                        lock(&kicked.ids).insert(number, hello.instance_id);
                    }
                }
                Frame::Close(4003, _) => {
                    if let Some(id) = lock(&kicked.ids).remove(&number) {
                        lock(&kicked.gone).insert(id, Instant::now());
                    }
                }
                _ => {}
            }
        }
    })
}

/// An instance that was kicked is found for a while.
pub(super) fn shown_for_a_while() -> Seams {
    let kicked = Arc::<Kicked>::default();
    let shown: Mutex<BTreeMap<String, Response>> = Mutex::default();
    Seams {
        http: {
            let kicked = Arc::clone(&kicked);
            reply(move |request, response| {
                let Some(id) = request.path.strip_prefix("/v1/instances/") else { return };
                let mut shown = lock(&shown);
                if response.status == 200 {
                    shown.insert(id.to_owned(), response.clone());
                } else if kicked.lately(id)
                    && let Some(old) = shown.get(id)
                {
                    *response = old.clone();
                }
            })
        },
        ..noting(&kicked)
    }
}

/// What such a list has of an instance that was kicked stays in it for a while.
pub(super) fn listed_for_a_while(path: &'static str) -> Seams {
    let kicked = Arc::<Kicked>::default();
    let listed: Mutex<BTreeMap<String, Value>> = Mutex::default();
    Seams {
        http: {
            let kicked = Arc::clone(&kicked);
            reply(move |request, response| {
                // Who looks at an instance sees its rooms.
                let seen: Value = serde_json::from_slice(&response.body).unwrap_or_default();
                if let (Some(id), Some(rooms)) =
                    (seen["data"]["id"].as_str(), seen["data"]["rooms"].as_array())
                {
                    lock(&listed).insert(id.to_owned(), Value::from(rooms.clone()));
                }
                if request.path == path && response.status == 200 {
                    rewrite(response, |body| {
                        let Some(all) = body["data"].as_array_mut() else { return };
                        for (id, rooms) in lock(&listed).iter() {
                            if kicked.lately(id) && all.iter().all(|room| room["instanceId"] != id.as_str()) {
                                all.extend(rooms.as_array().into_iter().flatten().cloned());
                            }
                        }
                    });
                }
            })
        },
        ..noting(&kicked)
    }
}

/// Of those who wait for an Ack of somebody who is gone only the first is told so.
pub(super) fn only_the_first() -> Seams {
    decide(|_, input, decision| {
        if !matches!(input, Input::Heard { .. }) {
            return;
        }
        let gone = Answer::Refused(Cause::InstanceDisconnected);
        for answer in answers(decision).filter(|answer| **answer == gone).skip(1) {
            *answer = Answer::Refused(Cause::CommandFailed);
        }
    })
}

/// Whether it is time that has passed.
pub(super) fn is_tick(input: &Input) -> bool {
    matches!(input, Input::Tick)
}

/// With one connection all others of the same process are closed.
pub(super) fn whole_process(when: impl Fn(&Input) -> bool + Send + 'static) -> Seams {
    decide(move |state, input, decision| {
        let closed = decision.effects.iter().find_map(|effect| match effect {
            Effect::Close { connection, code: 4003, .. } => Some(*connection),
            _ => None,
        });
        let Some(closed) = closed.filter(|_| when(input)) else { return };
        let uid = |connection| state.instance(connection).map(|info| info.process_uid.clone());
        let same = |connection: &u64| *connection != closed && uid(*connection) == uid(closed);
        for connection in state.connections().filter(same).filter(|it| uid(*it).is_some()) {
            decision.effects.push(Effect::Close { connection, code: 4003, reason: "" });
        }
    })
}

/// Whoever dials right behind a kick is changed.
fn behind_a_kick(change: impl Fn(&mut Vec<Frame>) + Send + Sync + 'static) -> Seams {
    const RIGHT: Duration = Duration::from_millis(500);
    let last: Mutex<Option<Instant>> = Mutex::default();
    let late: Mutex<BTreeMap<u64, bool>> = Mutex::default();
    frames(move |number, frames| {
        if frames.iter().any(|frame| matches!(frame, Frame::Close(4003, _))) {
            *lock(&last) = Some(Instant::now());
        }
        let at = *lock(&last);
        let is_late = *lock(&late).entry(number).or_insert_with(|| at.is_some_and(|at| at.elapsed() < RIGHT));
        if is_late {
            change(frames);
        }
    })
}

/// Whoever was kicked is closed in place of a Hello.
pub(super) fn sent_away() -> Seams {
    behind_a_kick(|frames| {
        if frames.iter().any(|frame| matches!(frame, Frame::Message { topic, .. } if topic == "fleet/hello"))
        {
            *frames = vec![Frame::Close(4003, String::new())];
        }
    })
}

/// Whoever was kicked gets a Hello and no Poll.
pub(super) fn not_polled() -> Seams {
    behind_a_kick(|frames| {
        frames.retain(|frame| !matches!(frame, Frame::Message { topic, .. } if topic == "fleet/poll"));
    })
}
