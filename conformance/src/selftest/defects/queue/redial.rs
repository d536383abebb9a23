//! Defects of "Redial".

use super::client::{
    ClientSeams, ClientTable, always, boundary, decide, input, iterators, owner, second, subscription, told,
};
use crate::{
    embed::reference::{
        model::Decision,
        queue::client::{
            Error, Seams, Settings, Subscribe,
            model::{Effect, Input, Phase, Record, State, Status, SubscriberModel, What},
            settings::Redial,
        },
    },
    protocol::Cut::{Port, Wire},
    selftest::defects::port,
};
use std::sync::{
    OnceLock,
    atomic::{AtomicU32, Ordering},
};
use wireproof_spec::queue::requirements::*;

pub(super) const TABLE: ClientTable = &[
    second("queue/redial/once-behind-a-close", QUEUE_REDIAL_1, Port, || {
        ends(|state, what| state.dial() > 1 && matches!(what, What::Closed(_, code, _) if is_orderly(*code)))
    }),
    boundary("queue/redial/policy-is-final", QUEUE_REDIAL_1, Port, || {
        ends(|_, what| matches!(what, What::Closed(_, 1008, _)))
    }),
    boundary("queue/redial/final-from-3000", QUEUE_REDIAL_1, Port, || {
        ends(|_, what| matches!(what, What::Closed(_, 3000..4000, _)))
    }),
    second("queue/redial/once-behind-a-cut", QUEUE_REDIAL_2, Port, || {
        ends(|state, what| state.dial() > 1 && matches!(what, What::Closed(_, 1006, _)))
    }),
    boundary("queue/redial/cut-before-the-answer-is-final", QUEUE_REDIAL_2, Port, || {
        ends(|state, what| {
            matches!((state.phase(), what), (Phase::Authenticating(_), What::Closed(_, 1006, _)))
        })
    }),
    second("queue/redial/unavailable-at-the-redial-is-final", QUEUE_REDIAL_3, Port, || {
        ends(|state, what| state.attempts() > 0 && is_unavailable(what))
    }),
    boundary("queue/redial/ten-redials", QUEUE_REDIAL_3, Port, || {
        ends(|state, what| state.attempts() >= 10 && is_unavailable(what))
    }),
    second("queue/redial/refused-twice-is-final", QUEUE_REDIAL_4, Port, || {
        ends(|state, what| {
            state.attempts() > 0 && matches!(what, What::DialFailed(..)) && !is_unavailable(what)
        })
    }),
    boundary("queue/redial/4999-is-not-final", QUEUE_REDIAL_5, Port, || {
        input(|_, input| {
            if let What::Closed(_, code @ 4999, _) = &mut input.what {
                *code = 1011;
            }
        })
    }),
    second("queue/redial/final-at-first-only", QUEUE_REDIAL_5, Port, || {
        input(|state, input| {
            if let What::Closed(_, code @ 4000..5000, _) = &mut input.what
                && state.dial() > 1
            {
                *code = 1011;
            }
        })
    }),
    boundary("queue/redial/final-once-let-in", QUEUE_REDIAL_5, Port, || outlives_unanswered(1)),
    second("queue/redial/final-once-let-in-again", QUEUE_REDIAL_5, Port, || outlives_unanswered(2)),
    boundary("queue/redial/iterator-outlives-4100", QUEUE_REDIAL_5, Port, || {
        iterators(input(|_, input| {
            if let What::Closed(_, code @ 4100, _) = &mut input.what {
                *code = 1011;
            }
        }))
    }),
    boundary("queue/redial/own-4000-is-not-final", QUEUE_REDIAL_5, Port, || {
        // The seam of delays sets the time that a record leaves open.
        subscription(Seams {
            port: port::rewrite(goes_on),
            delay: Some(Box::new(|_, _| {})),
            ..Seams::honest()
        })
    }),
    second("queue/redial/factor-one-and-a-half", QUEUE_REDIAL_8, Port, || {
        law(|redial, n, random| capped(redial, grown(redial, 1.5, n) * drawn(random)))
    }),
    second("queue/redial/factor-three", QUEUE_REDIAL_8, Port, || {
        law(|redial, n, random| capped(redial, grown(redial, 3.0, n) * drawn(random)))
    }),
    boundary("queue/redial/maximum-before-the-draw", QUEUE_REDIAL_9, Port, || {
        law(|redial, n, random| grown(redial, 2.0, n).min(redial.max_ms as f64) * drawn(random))
    }),
    boundary("queue/redial/no-maximum", QUEUE_REDIAL_9, Port, || {
        law(|redial, n, random| grown(redial, 2.0, n) * drawn(random))
    }),
    boundary("queue/redial/power-of-32-bits", QUEUE_REDIAL_9, Port, || {
        law(|redial, n, random| capped(redial, grown(redial, 2.0, n % 32) * drawn(random)))
    }),
    always("queue/redial/nothing-drawn", QUEUE_REDIAL_10, Port, || {
        law(|redial, n, _| capped(redial, grown(redial, 2.0, n)))
    }),
    always("queue/redial/iterator-draws-nothing", QUEUE_REDIAL_10, Port, || {
        iterators(law(|redial, n, _| capped(redial, grown(redial, 2.0, n))))
    }),
    second("queue/redial/drawn-once", QUEUE_REDIAL_10, Port, || {
        let first = OnceLock::new();
        law(move |redial, n, random| {
            capped(redial, grown(redial, 2.0, n) * drawn(*first.get_or_init(|| random)))
        })
    }),
    second("queue/redial/count-outlives-success", QUEUE_REDIAL_11, Port, || {
        let redials = AtomicU32::new(0);
        law(move |redial, _, random| {
            capped(redial, grown(redial, 2.0, redials.fetch_add(1, Ordering::Relaxed)) * drawn(random))
        })
    }),
    second("queue/redial/count-begins-at-the-open", QUEUE_REDIAL_12, Port, || {
        let (opened, failed) = (AtomicU32::new(0), AtomicU32::new(0));
        decide(move |state, input, decision| {
            if matches!(input.what, What::Opened(_)) {
                opened.store(1, Ordering::Relaxed);
            }
            waits(decision, || {
                if opened.swap(0, Ordering::Relaxed) > 0 {
                    failed.store(0, Ordering::Relaxed);
                }
                let n = failed.fetch_add(1, Ordering::Relaxed);
                let redial = &state.plan().redial;
                capped(redial, grown(redial, 2.0, n) * drawn(input.random))
            });
        })
    }),
    boundary("queue/redial/attempts-are-dials", QUEUE_REDIAL_13, Wire, || {
        owner(|settings: &mut Settings, _: &mut Subscribe| {
            settings.redial.attempts = settings.redial.attempts.map(|most| most.saturating_sub(1));
        })
    }),
    boundary("queue/redial/no-attempt-is-no-bound", QUEUE_REDIAL_13, Wire, || {
        owner(|settings: &mut Settings, _: &mut Subscribe| {
            settings.redial.attempts = settings.redial.attempts.filter(|most| *most > 0);
        })
    }),
    always("queue/redial/gives-up-in-silence", QUEUE_REDIAL_13, Wire, || told(|event, _| event != "error")),
    second("queue/redial/attempts-of-a-lifetime", QUEUE_REDIAL_13, Port, || {
        let redials = AtomicU32::new(0);
        decide(move |state, _, decision| {
            let waits = decision.records.iter().any(|record| matches!(record, Record::Waiting { .. }));
            if let Some(most) = state.plan().redial.attempts
                && waits
                && redials.fetch_add(1, Ordering::Relaxed) >= most
            {
                decision.records = vec![Record::Ended];
                decision.effects = vec![
                    Effect::Drop,
                    Effect::Now(Status::Closed),
                    Effect::End(Some(Error::Exhausted(most))),
                ];
            }
        })
    }),
    second("queue/redial/deaf-behind-two-redials", QUEUE_REDIAL_14, Port, || {
        decide(|state, _, decision| {
            let deaf = state.dial() > 2;
            decision.effects.retain(|effect| !deaf || !matches!(effect, Effect::Deliver(..)));
        })
    }),
    second("queue/redial/two-failures-in-a-row", QUEUE_REDIAL_15, Port, || {
        ends(|state, what| state.attempts() > 0 && matches!(what, What::DialFailed(..)))
    }),
    second("queue/redial/deaf-behind-a-cut", QUEUE_REDIAL_15, Port, || {
        let cuts = AtomicU32::new(0);
        decide(move |_, input, decision| {
            if matches!(input.what, What::Closed(_, 1006, _)) {
                cuts.fetch_add(1, Ordering::Relaxed);
            }
            let deaf = cuts.load(Ordering::Relaxed) > 0;
            decision.effects.retain(|effect| !deaf || !matches!(effect, Effect::Deliver(..)));
        })
    }),
];

/// A code behind which everybody dials again, sent by a server.
fn is_orderly(code: u16) -> bool {
    code != 1006 && !(4000..5000).contains(&code)
}

/// Whether a dial was answered, and with no success.
fn is_unavailable(what: &What) -> bool {
    matches!(what, What::DialFailed(_, why) if why.starts_with("the handshake was answered with"))
}

/// It is over when this happens.
fn ends(when: impl Fn(&State, &What) -> bool + Send + 'static) -> ClientSeams {
    decide(move |state, input, decision| {
        if when(state, &input.what) {
            decision.records = vec![Record::Ended];
            decision.effects = vec![Effect::Drop, Effect::Now(Status::Closed), Effect::End(None)];
        }
    })
}

/// On connections from this one on a final code is one only behind an AuthResponse.
fn outlives_unanswered(from: u64) -> ClientSeams {
    input(move |state, input| {
        if let What::Closed(_, code @ 4000..5000, _) = &mut input.what
            && state.dial() >= from
            && matches!(state.phase(), Phase::Authenticating(_))
        {
            *code = 1011;
        }
    })
}

/// Waits behind its own close frame with 4000, where that is the end.
fn goes_on(state: &State, _: &Input, decision: &mut Decision<SubscriberModel>) {
    let closes = |effect: &Effect| matches!(effect, Effect::Close(4000, _));
    if matches!(state.phase(), Phase::Authenticating(_)) && decision.effects.iter().any(closes) {
        let delay = state.plan().redial.base_ms * 3 / 4;
        decision.records = vec![Record::Waiting { delay, until: 0 }];
        decision.effects.retain(|effect| matches!(effect, Effect::Close(..)));
        decision.effects.push(Effect::Now(Status::Waiting));
    }
}

/// Another law for the delay before redial n: from the settings, n and random bits.
fn law(delay: impl Fn(&Redial, u32, u64) -> f64 + Send + 'static) -> ClientSeams {
    decide(move |state, input, decision| {
        waits(decision, || delay(&state.plan().redial, state.attempts(), input.random));
    })
}

/// Waits for so many milliseconds.
fn waits(decision: &mut Decision<SubscriberModel>, change: impl Fn() -> f64) {
    for record in &mut decision.records {
        if let Record::Waiting { delay, until } = record {
            let now = until.saturating_sub(*delay);
            *delay = change() as u64;
            *until = now.saturating_add(*delay);
        }
    }
}

/// Evenly from 0.5 to 1.
fn drawn(random: u64) -> f64 {
    0.5 + (random >> 12) as f64 / (1_u64 << 53) as f64
}

/// The base, grown n times by this factor.
fn grown(redial: &Redial, factor: f64, n: u32) -> f64 {
    redial.base_ms as f64 * factor.powi(i32::try_from(n).unwrap_or(i32::MAX))
}

fn capped(redial: &Redial, delay: f64) -> f64 {
    delay.min(redial.max_ms as f64)
}
