//! Defects of "Redial".

use super::client::{ClientSeams, ClientTable, Counted, agent, boundary, decide, ends, patient_for, second};
use crate::{
    embed::reference::{
        fleet::client::{
            AgentModel, Seams,
            model::{Input, Phase, Record, State, What},
        },
        model::Decision,
    },
    protocol::Cut::Port,
    selftest::defects::port,
};
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicI32, Ordering},
};
use wireproof_spec::fleet::requirements::*;

pub(super) const TABLE: ClientTable = &[
    second("fleet/redial/once-behind-a-close", FLEET_REDIAL_1, Port, || {
        ends(|state, what| state.dial() > 1 && matches!(what, What::Closed(_, code, _) if *code != 1006))
    })
    .wide("there are two connections and no more"),
    boundary("fleet/redial/ordinary-close-is-final", FLEET_REDIAL_1, Port, || {
        ends(|_, what| matches!(what, What::Closed(_, 1000, _)))
    }),
    boundary("fleet/redial/unauthorized-is-final", FLEET_REDIAL_1, Port, || {
        ends(|_, what| matches!(what, What::Closed(_, 4001, _)))
    }),
    boundary("fleet/redial/too-many-is-final", FLEET_REDIAL_1, Port, || {
        ends(|_, what| matches!(what, What::Closed(_, 4005, _)))
    }),
    boundary("fleet/redial/cut-is-final", FLEET_REDIAL_1, Port, || {
        ends(|_, what| matches!(what, What::Closed(_, 1006, _)))
    }),
    boundary("fleet/redial/end-before-the-hello-is-final", FLEET_REDIAL_1, Port, || {
        ends(|state, what| {
            state.dial() == 1 && matches!((state.phase(), what), (Phase::Opened(_), What::Closed(..)))
        })
    }),
    boundary("fleet/redial/refusal-in-http-is-final", FLEET_REDIAL_2, Port, || {
        ends(
            |_, what| matches!(what, What::DialFailed(_, why) if why.starts_with("the handshake was answered with 40")),
        )
    }),
    second("fleet/redial/unavailable-later-is-final", FLEET_REDIAL_2, Port, || {
        ends(|state, what| {
            state.dial() > 1
                && matches!(what, What::DialFailed(_, why) if why.starts_with("the handshake was answered with 503"))
        })
    }),
    boundary("fleet/redial/gives-up-behind-five-ends", FLEET_REDIAL_1, Port, || {
        ends(|state, what| state.attempts() >= 5 && matches!(what, What::Closed(..)))
    }),
    boundary("fleet/redial/gives-up-behind-five-answers", FLEET_REDIAL_2, Port, || {
        ends(|state, what| {
            state.attempts() >= 5
                && matches!(what, What::DialFailed(_, why) if why.starts_with("the handshake"))
        })
    }),
    boundary("fleet/redial/gives-up-behind-three-refusals", FLEET_REDIAL_3, Port, || {
        ends(|state, what| {
            state.attempts() >= 3
                && matches!(what, What::DialFailed(_, why) if !why.starts_with("the handshake"))
        })
    }),
    boundary("fleet/redial/refused-is-final", FLEET_REDIAL_3, Port, || {
        ends(|_, what| matches!(what, What::DialFailed(_, why) if !why.starts_with("the handshake")))
    }),
    second("fleet/redial/factor-four", FLEET_REDIAL_4, Port, || law(|n, part| 500.0 * 4_f64.powi(n) * part)),
    boundary("fleet/redial/base-of-a-second", FLEET_REDIAL_4, Port, || {
        law(|n, part| 1_000.0 * 2_f64.powi(n) * part)
    }),
    boundary("fleet/redial/four-seconds-behind-a-failed-dial", FLEET_REDIAL_4, Port, || failed(|_| 4_000)),
    boundary("fleet/redial/one-delay-behind-failed-dials", FLEET_REDIAL_5, Port, || failed(|_| 250)),
    boundary("fleet/redial/failed-dials-do-not-count", FLEET_REDIAL_7, Port, || {
        failed(|part| (500.0 * part) as u64)
    }),
    second("fleet/redial/nothing-drawn", FLEET_REDIAL_5, Port, || law(|n, _| 500.0 * 2_f64.powi(n))),
    second("fleet/redial/one-delay-for-all", FLEET_REDIAL_5, Port, || law(|_, _| 250.0)),
    second("fleet/redial/drawn-once", FLEET_REDIAL_5, Port, || {
        let first = OnceLock::new();
        law(move |n, part| 500.0 * 2_f64.powi(n) * *first.get_or_init(|| part))
    }),
    second("fleet/redial/count-outlives-the-hello", FLEET_REDIAL_6, Port, || {
        let most = AtomicI32::new(0);
        // What was the last redial before a Hello is gone on from.
        law(move |n, part| {
            let before = most.fetch_max(n, Ordering::Relaxed);
            let n = if n == 0 && before > 0 { before + 1 } else { n };
            500.0 * 2_f64.powi(n) * part
        })
    }),
    second("fleet/redial/count-begins-at-the-open", FLEET_REDIAL_7, Port, || law(|_, part| 500.0 * part)),
    second("fleet/redial/waits-for-ever-behind-a-poll", FLEET_REDIAL_8, Port, || {
        decide(|_, _, decision| {
            for record in &mut decision.records {
                if let Record::Alive(until) = record {
                    *until = until.saturating_add(3_600_000);
                }
            }
        })
    }),
    boundary("fleet/redial/silence-is-the-end", FLEET_REDIAL_8, Port, || {
        ends(|state, what| *what == What::Tick && matches!(state.phase(), Phase::Connected(_)))
    }),
    boundary("fleet/redial/ten-seconds-of-silence", FLEET_REDIAL_9, Port, || patient_for(None, Some(10_000))),
    boundary("fleet/redial/half-a-second-of-silence", FLEET_REDIAL_9, Port, || {
        decide(|_, _, decision| {
            for record in &mut decision.records {
                if let Record::Alive(until) = record {
                    *until = until.saturating_sub(1_000);
                }
            }
        })
    }),
    second("fleet/redial/patience-once", FLEET_REDIAL_9, Port, || {
        let polls = Counted::default();
        decide(move |_, _, decision| {
            for record in &mut decision.records {
                if let Record::Alive(until) = record
                    && polls.up() > 2
                {
                    *until = until.saturating_sub(1_100);
                }
            }
        })
    }),
];

/// What was drawn for redial n, as a part of its bound.
fn part(n: u32, drawn: u64) -> f64 {
    let bound = 500_u64.saturating_mul(2_u64.saturating_pow(n)).min(30_000);
    drawn as f64 / bound as f64
}

/// Another law for the delay behind a dial that failed: from a part between 0 and 1.
fn failed(delay: fn(f64) -> u64) -> ClientSeams {
    let has_failed = Arc::new(AtomicBool::new(false));
    let fails = has_failed.clone();
    let look = move |_: &State, input: &Input, _: &mut Decision<AgentModel>| {
        has_failed.store(matches!(input.what, What::DialFailed(..)), Ordering::Relaxed);
    };
    let change = move |n: u32, drawn: &mut u64| {
        if fails.load(Ordering::Relaxed) {
            *drawn = delay(part(n, *drawn));
        }
    };
    agent(Seams { port: port::rewrite(look), delay: Some(Box::new(change)), ..Seams::honest() })
}

/// Another law for the delay before redial n: from n and a part between 0 and 1.
fn law(delay: impl Fn(i32, f64) -> f64 + Send + Sync + 'static) -> ClientSeams {
    let change = move |n: u32, drawn: &mut u64| {
        *drawn = delay(i32::try_from(n).unwrap_or(i32::MAX), part(n, *drawn)) as u64;
    };
    agent(Seams { delay: Some(Box::new(change)), ..Seams::honest() })
}
