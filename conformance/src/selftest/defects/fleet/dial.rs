//! Defects of "Dial".

use super::client::{
    ClientSeams, ClientTable, Counted, agent, always, boundary, deafened, decide, dial, heard_inner,
    inner_of, owner, patient_for, second, through, told,
};
use crate::{
    embed::{
        adapter::PLAIN_CLIENT,
        reference::{
            fleet::client::{
                AgentModel, Error, Seams,
                model::{Ask, Effect, Event, Input, Phase, Record, State, What},
            },
            model::{Decision, Model},
        },
    },
    protocol::Cut::{Port, Wire},
    selftest::defects::port,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::sync::{Arc, Mutex, PoisonError};
use wireproof_spec::fleet::{
    Hello, State as Told,
    connect::SENTINEL,
    frames::{MAJOR, VERSION},
    requirements::*,
};

const HEADER: &str = "no honest handshake has this header";

pub(super) const TABLE: ClientTable = &[
    always("fleet/dial/sentinel-first", FLEET_DIAL_1, Wire, || dial(|_, dial| dial.protocols.reverse())),
    always("fleet/dial/older-sentinel-too", FLEET_DIAL_1, Wire, || {
        dial(|_, dial| dial.protocols.push("rivalis-fleet".into()))
    }),
    second("fleet/dial/redials-with-the-key-alone", FLEET_DIAL_1, Wire, || {
        dial(|number, dial| {
            if number > 1 {
                dial.protocols = vec![dial.protocols[0].clone(), String::new()];
            }
        })
    })
    .wide("a sentinel that was not offered is refused"),
    always("fleet/dial/key-as-ticket", FLEET_DIAL_2, Wire, || {
        dial(|_, dial| {
            let sign = if dial.url.contains('?') { '&' } else { '?' };
            dial.url = format!("{}{sign}ticket={}", dial.url, dial.protocols[0]);
        })
    }),
    second("fleet/dial/redials-with-authorization", FLEET_DIAL_2, Wire, || {
        dial(|number, dial| {
            if number > 1 {
                dial.headers.push("authorization", format!("Bearer {}", dial.protocols[0]));
            }
        })
    })
    .shape(HEADER),
    boundary("fleet/dial/key-as-password", FLEET_DIAL_2, Wire, || {
        dial(|_, dial| {
            if dial.url.contains('?') {
                let user = STANDARD.encode(format!("agent:{}", dial.protocols[0]));
                dial.headers.push("authorization", format!("Basic {user}"));
            }
        })
    })
    .shape(HEADER),
    boundary("fleet/dial/without-the-last-slash", FLEET_DIAL_3, Wire, || {
        dial(|_, dial| {
            let length = dial.url.trim_end_matches('/').len();
            dial.url.truncate(length);
        })
    }),
    boundary("fleet/dial/without-the-query", FLEET_DIAL_3, Wire, || {
        dial(|_, dial| {
            if let Some((front, _)) = dial.url.clone().split_once('?') {
                front.clone_into(&mut dial.url);
            }
        })
    }),
    boundary("fleet/dial/unescaped", FLEET_DIAL_3, Wire, || {
        dial(|_, dial| dial.url = dial.url.replace("%7E", "~"))
    }),
    second("fleet/dial/counts-in-the-query", FLEET_DIAL_3, Wire, || {
        dial(|number, dial| {
            if number > 1 {
                let sign = if dial.url.contains('?') { '&' } else { '?' };
                dial.url = format!("{}{sign}attempt={number}", dial.url);
            }
        })
    }),
    always("fleet/dial/wants-its-key-back", FLEET_DIAL_4, Wire, || {
        takes(|selected| selected != Some(SENTINEL))
    })
    .wide("there is no connection"),
    boundary("fleet/dial/wants-the-sentinel", FLEET_DIAL_5, Wire, || {
        takes(|selected| selected == Some(SENTINEL))
    }),
    second("fleet/dial/tells-itself", FLEET_DIAL_6, Port, || {
        decide(|state, input, decision| {
            if state.dial() > 1 && inner_of(input, "fleet/hello").is_some() {
                let known = state.known();
                decision.effects.push(Effect::State(Box::new(Told {
                    req_id: String::new(),
                    seq: 1,
                    hash: known.hash.clone(),
                    snapshot: Some(known.snapshot.clone()),
                })));
            }
        })
    })
    .wide("what is awaited on a later connection comes behind it"),
    boundary("fleet/dial/two-heartbeats", FLEET_DIAL_6, Port, || {
        decide(move |_, input, decision| {
            if let Some(inner) = inner_of(input, "fleet/hello") {
                let heartbeat = Hello::receive(inner).map_or(0, |hello| hello.heartbeat_ms.into());
                for record in &mut decision.records {
                    if let Record::Greeted { silence_ms, until, .. } = record {
                        *until = until.saturating_sub(*silence_ms).saturating_add(2 * heartbeat);
                    }
                }
            }
        })
    }),
    boundary("fleet/dial/ten-seconds", FLEET_DIAL_6, Port, || patient_for(Some(10_000), None)),
    boundary("fleet/dial/next-major-taken", FLEET_DIAL_7, Wire, || {
        hello_as_if(|inner| match inner {
            [major, rest @ ..] if *major > MAJOR => [&[MAJOR], rest].concat(),
            _ => inner.to_vec(),
        })
    }),
    boundary("fleet/dial/any-version-taken", FLEET_DIAL_7, Wire, || {
        hello_as_if(|inner| {
            let Ok(hello) = Hello::receive(inner) else { return inner.to_vec() };
            if hello.protocol_version == VERSION {
                return inner.to_vec();
            }
            Hello { protocol_version: VERSION, ..hello }.encode_frame()
        })
    }),
    boundary("fleet/dial/json-passed-over", FLEET_DIAL_7, Wire, || {
        heard_inner("fleet/hello", |_, inner| (inner.first() != Some(&b'{')).then(|| inner.to_vec()))
    }),
    boundary("fleet/dial/other-version-in-silence", FLEET_DIAL_7, Wire, || {
        told(|event, data| {
            event != "error" || !data["message"].as_str().unwrap_or_default().contains("protocol")
        })
    }),
    boundary("fleet/dial/other-version-dials-again", FLEET_DIAL_8, Port, || dials_again(0, 300)),
    boundary("fleet/dial/other-version-dials-again-later", FLEET_DIAL_8, Port, || dials_again(0, 3_000)),
    second("fleet/dial/other-version-later-dials-again", FLEET_DIAL_8, Port, || dials_again(1, 300)),
    boundary("fleet/dial/newer-hello-passed-over", FLEET_DIAL_9, Wire, || {
        heard_inner("fleet/hello", |_, inner| (inner.get(1) == Some(&0)).then(|| inner.to_vec()))
    }),
    // The owner of it is told nothing.
    boundary("fleet/dial/unknown-fields-passed-over", FLEET_DIAL_9, Wire, || {
        heard_inner("fleet/hello", |_, inner| {
            let more = Hello::receive(inner).is_ok_and(|hello| hello.encode_frame().len() < inner.len());
            (!more).then(|| inner.to_vec())
        })
    })
    .variant(PLAIN_CLIENT),
    boundary("fleet/dial/unknown-fields-are-the-end", FLEET_DIAL_9, Port, || {
        ends_at_hello(|inner| {
            Hello::receive(inner).is_ok_and(|hello| hello.encode_frame().len() < inner.len())
        })
    }),
    boundary("fleet/dial/cut-hello-is-the-end", FLEET_DIAL_10, Port, || {
        ends_at_hello(|inner| {
            inner.first().is_none_or(|major| *major == MAJOR) && Hello::receive(inner).is_err()
        })
    }),
    boundary("fleet/dial/deaf-behind-a-cut-hello", FLEET_DIAL_10, Port, || {
        deafened(|input| {
            inner_of(input, "fleet/hello").is_some_and(|inner| {
                inner.first().is_none_or(|major| *major == MAJOR) && Hello::receive(inner).is_err()
            })
        })
    }),
    second("fleet/dial/no-hello-later", FLEET_DIAL_11, Port, || {
        decide(|state, _, decision| {
            for record in &mut decision.records {
                if let Record::Opened(until) = record
                    && state.dial() > 1
                {
                    *until = until.saturating_add(3_600_000);
                }
            }
        })
    }),
    boundary("fleet/dial/no-hello-is-the-end", FLEET_DIAL_11, Port, || {
        decide(|state, input, decision| {
            if input.what == What::Tick && matches!(state.phase(), Phase::Opened(_)) {
                let waits = |record: &Record| matches!(record, Record::Waiting { .. });
                if decision.records.iter().any(waits) {
                    decision.records = vec![Record::Ended];
                }
            }
        })
    }),
    always("fleet/dial/waits-for-ever", FLEET_DIAL_12, Port, || {
        owner(|settings| settings.connect_timeout_ms = None)
    }),
    boundary("fleet/dial/time-of-each-connection", FLEET_DIAL_12, Port, || {
        // And of none that was answered: what is open has no bound.
        through(Box::new(|state, now, input| {
            let mut decision = AgentModel::decide(state, now, input);
            let opens = |record: &Record| matches!(record, Record::Opened(_));
            if decision.records.iter().any(opens) {
                decision.records.insert(0, Record::Begun(None));
            }
            decision
        }))
    }),
    boundary("fleet/dial/time-behind-the-hello", FLEET_DIAL_12, Port, || {
        // A Hello does not end the wait.
        through(Box::new(|state, now, input| {
            let mut decision = AgentModel::decide(state, now, input);
            let greeted = |record: &Record| matches!(record, Record::Greeted { .. });
            if decision.records.iter().any(greeted) {
                let by = AgentModel::wake_at(state).filter(|by| *by < now.saturating_add(1_400));
                decision.records.push(Record::Begun(by));
            }
            decision
        }))
    }),
    boundary("fleet/dial/gives-up-in-silence", FLEET_DIAL_12, Wire, || {
        told(|event, data| {
            event != "error" || !data["message"].as_str().unwrap_or_default().contains("not connected")
        })
    }),
    second("fleet/dial/first-id-of-all", FLEET_DIAL_13, Wire, || {
        let first: Mutex<Option<serde_json::Value>> = Mutex::default();
        told(move |event, data| {
            let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
            if event == "connected" {
                *data = first.get_or_insert_with(|| data.clone()).clone();
            }
            true
        })
    }),
    second("fleet/dial/told-once", FLEET_DIAL_13, Wire, || {
        let times = Counted::default();
        told(move |event, _| event != "connected" || times.up() == 1)
    }),
    second("fleet/dial/stopped-later-dials-again", FLEET_DIAL_14, Port, || {
        stop_is_lost(|dial, phase| dial > 1 && matches!(phase, Phase::Connected(_)))
    }),
    boundary("fleet/dial/stop-in-the-handshake-lost", FLEET_DIAL_14, Port, || {
        stop_is_lost(|_, phase| matches!(phase, Phase::Connecting(_)))
    }),
    boundary("fleet/dial/stop-in-between-lost", FLEET_DIAL_14, Port, || {
        stop_is_lost(|_, phase| matches!(phase, Phase::Waiting(_)))
    }),
    boundary("fleet/dial/empty-pongs", FLEET_DIAL_15, Wire, || {
        let written = |bytes: &mut Vec<u8>| {
            // A pong of an agent: masked, and short.
            if let [0x8a, length, ..] = bytes[..]
                && length > 0x80
                && bytes.len() == usize::from(length & 0x7f) + 6
            {
                *bytes = vec![0x8a, 0x80, 0, 0, 0, 0];
            }
        };
        agent(Seams { written: Some(Arc::new(written)), ..Seams::honest() })
    }),
];

/// Takes handshakes only that were answered with such a protocol.
fn takes(which: fn(Option<&str>) -> bool) -> ClientSeams {
    agent(Seams { takes: Some(Box::new(which)), ..Seams::honest() })
}

/// Reads Hellos behind this.
fn hello_as_if(change: fn(&[u8]) -> Vec<u8>) -> ClientSeams {
    heard_inner("fleet/hello", move |_, inner| Some(change(inner)))
}

/// It is over at such a Hello.
fn ends_at_hello(when: fn(&[u8]) -> bool) -> ClientSeams {
    decide(move |_, input, decision| {
        if inner_of(input, "fleet/hello").is_some_and(when) {
            decision.records = vec![Record::Ended];
            decision.effects = vec![Effect::Close];
        }
    })
}

/// Behind a Hello of another version it waits for so many milliseconds, and dials again, if there were more connections than this.
fn dials_again(than: u64, delay: u64) -> ClientSeams {
    let wait = move |state: &State, _: &Input, decision: &mut Decision<AgentModel>| {
        let fails = |effect: &Effect| matches!(effect, Effect::Tell(Event::Failed(Error::Incompatible(_))));
        if state.dial() > than && decision.effects.iter().any(fails) {
            decision.records = vec![Record::Lost, Record::Waiting { delay, until: 0 }];
        }
    };
    // The seam of delays sets the time that a record leaves open.
    agent(Seams { port: port::rewrite(wait), delay: Some(Box::new(|_, _| {})), ..Seams::honest() })
}

/// The owner's stop is forgotten, as far as it goes beyond this connection, in such a phase.
fn stop_is_lost(when: fn(u64, &Phase) -> bool) -> ClientSeams {
    let wait = move |state: &State, input: &Input, decision: &mut Decision<AgentModel>| {
        let stops = matches!(input.what, What::Host(_, Ask::Disconnect));
        if stops && when(state.dial(), &state.phase()) {
            decision.records = vec![Record::Waiting { delay: 300, until: 0 }];
        }
    };
    agent(Seams { port: port::rewrite(wait), delay: Some(Box::new(|_, _| {})), ..Seams::honest() })
}
