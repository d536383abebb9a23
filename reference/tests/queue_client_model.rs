//! The pure models of the client under whatever happens in whatever order.

use proptest::prelude::*;
use std::collections::BTreeSet;
use wireproof_reference::{
    model::Model,
    queue::client::{
        Redial, Retries, Subscribe, SubscriberModel,
        model::{Effect, Input, Phase, Plan, State, What, delay},
        retry::{Next, Outcome, Retry},
    },
};
use wireproof_spec::{http::Fields, queue::Offset};

fn redial() -> impl Strategy<Value = Redial> {
    (0_u64..5000, 0_u64..60_000, prop::option::of(0_u32..4), any::<bool>()).prop_map(
        |(base_ms, max_ms, attempts, final_4xxx)| Redial {
            base_ms,
            max_ms,
            attempts,
            final_4xxx,
            ..Redial::default()
        },
    )
}

fn begun(redial: Redial, last: Option<i64>) -> State {
    let plan = Plan { key: "key".into(), org_id: None, redial };
    State::new(plan, &Subscribe { last_offset: last, ..Subscribe::to("one") }).unwrap()
}

fn offset(offset: i64) -> Offset {
    Offset::new(offset).unwrap()
}

fn push(offsets: impl IntoIterator<Item = i64>) -> String {
    let messages: Vec<_> = offsets
        .into_iter()
        .map(|n| serde_json::json!({ "id": "qmsg_1", "queue_id": "q", "offset": n, "payload": n }))
        .collect();
    serde_json::json!({ "type": "replay", "queue_id": "q", "messages": messages }).to_string()
}

/// Anything that may happen, of this connection or of one around it.
fn what() -> impl Strategy<Value = (What, i64, u64)> {
    let text = prop_oneof![
        4 => Just("{\"success\":true,\"client_id\":\"c\"}".to_owned()),
        1 => Just("{\"success\":false}".to_owned()),
        1 => Just("{}".to_owned()),
        1 => Just("ping".to_owned()),
        4 => (0_i64..9, 0_i64..4).prop_map(|(from, count)| push(from..from + count)),
    ];
    let what = prop_oneof![
        1 => Just(What::Started),
        4 => Just(What::Opened(0)),
        2 => Just(What::DialFailed(0, "refused".into())),
        8 => text.prop_map(|text| What::Text(0, text)),
        1 => Just(What::Binary(0)),
        2 => prop_oneof![Just(1000), Just(1006), Just(4000), Just(4999), Just(5000)]
            .prop_map(|code| What::Closed(0, code, "why".into())),
        4 => (-1_i64..9, any::<bool>()).prop_map(|(n, fails)| {
            What::Returned(0, offset(n), if fails { Err("failed".into()) } else { Ok(()) })
        }),
        6 => Just(What::Tick),
        1 => Just(What::Close),
    ];
    // Seldom of an earlier or a later connection.
    (what, prop_oneof![9 => Just(0_i64), 1 => -1_i64..2], 0_u64..20_000)
}

/// The same of this connection.
fn of(what: What, dial: u64) -> What {
    match what {
        What::Opened(_) => What::Opened(dial),
        What::DialFailed(_, why) => What::DialFailed(dial, why),
        What::Text(_, text) => What::Text(dial, text),
        What::Binary(_) => What::Binary(dial),
        What::Closed(_, code, reason) => What::Closed(dial, code, reason),
        What::Returned(_, offset, result) => What::Returned(dial, offset, result),
        other => other,
    }
}

proptest! {
    #[test]
    fn delays_are_within_the_law(redial in redial(), n in any::<u32>(), random in any::<u64>()) {
        for n in [n, n % 40] {
            let whole = redial.base_ms as f64 * 2_f64.powi(i32::try_from(n).unwrap_or(i32::MAX));
            let delay = delay(&redial, n, random) as f64;
            let max = redial.max_ms as f64;
            prop_assert!(delay <= max);
            prop_assert!(delay == max || redial.base_ms == 0 || (whole / 2.0).floor() <= delay && delay < whole);
        }
    }

    #[test]
    fn whatever_happens(redial in redial(), steps in prop::collection::vec((what(), any::<u64>()), 1..120)) {
        let mut state = begun(redial, None);
        let (mut now, mut dials_in_a_row, mut dials, mut over) = (1_000_000_u64, 0_u32, 0_u64, false);
        let (mut failed, mut last) = (false, None);
        let mut inputs = vec![(What::Started, 0, 0)];
        inputs.extend(steps.iter().map(|((what, beside, pause), random)| {
            let what = match (what, beside) {
                (What::Tick, _) => What::Tick,
                (what, beside) => of(what.clone(), *beside as u64),
            };
            (what, *pause, *random)
        }));
        for (what, pause, random) in inputs {
            now += pause;
            // 0 is this connection; others are others.
            let what = match &what {
                What::Opened(n) | What::Binary(n) | What::DialFailed(n, _) | What::Text(n, _)
                | What::Closed(n, ..) | What::Returned(n, ..) => {
                    let dial = state.dial().wrapping_add(*n);
                    of(what, dial)
                }
                _ => what,
            };
            let before = state.clone();
            let decision = SubscriberModel::decide(&state, now, &Input { random, what: what.clone() });
            for record in &decision.records {
                SubscriberModel::apply(&mut state, record);
            }
            if let What::Returned(dial, offset, result) = &what && *dial == before.dial() {
                match result {
                    Ok(()) if !failed => last = Some(offset.get()),
                    Ok(()) => {}
                    Err(_) => failed = true,
                }
            }
            prop_assert_eq!(state.last_offset(), last);
            for effect in &decision.effects {
                prop_assert!(!over, "{:?} behind the end", effect);
                match effect {
                    Effect::Dial(number) => {
                        dials += 1;
                        dials_in_a_row += 1;
                        failed = false;
                        prop_assert_eq!((*number, state.dial()), (dials, dials));
                        prop_assert!(redial.attempts.is_none_or(|most| dials_in_a_row <= most + 1));
                        let due = matches!(before.phase(), Phase::Waiting(until) if until <= now);
                        prop_assert!(due || dials == 1);
                    }
                    Effect::Authenticate(request) => {
                        prop_assert_eq!(request.last_offset.map(Offset::get), last);
                    }
                    Effect::Deliver(dial, _) => {
                        prop_assert_eq!((*dial, before.phase()), (dials, Phase::Connected));
                    }
                    _ => {}
                }
            }
            if state.phase() == Phase::Connected && before.phase() != Phase::Connected {
                dials_in_a_row = 0;
            }
            if what == What::Close {
                prop_assert_eq!(state.phase(), Phase::Closed);
            }
            over |= state.phase() == Phase::Closed;
            // Whoever is woken acts, or the timer would spin.
            if let Some(at) = SubscriberModel::wake_at(&state) {
                let woken = SubscriberModel::decide(&state, at, &SubscriberModel::tick());
                prop_assert!(!woken.records.is_empty());
                let early = SubscriberModel::decide(&state, at - 1, &SubscriberModel::tick());
                prop_assert!(early.records.is_empty() && early.effects.is_empty());
            }
        }
    }

    /// A server that keeps all and sends what lies behind the offset that is acknowledged: nothing is lost, whatever fails.
    #[test]
    fn what_is_acknowledged_was_processed(
        frames in prop::collection::vec((1_i64..4, prop::collection::vec(prop::bool::weighted(0.1), 4), prop::bool::weighted(0.2)), 1..60)
    ) {
        const ALL: i64 = 20;
        let mut state = begun(Redial { attempts: None, ..Redial::default() }, Some(-1));
        let mut processed = BTreeSet::new();
        let mut now = 0;
        let mut step = |state: &mut State, what| {
            let decision = SubscriberModel::decide(state, now, &Input { random: 0, what });
            decision.records.iter().for_each(|record| SubscriberModel::apply(state, record));
            now = SubscriberModel::wake_at(state).unwrap_or(now).max(now);
            decision.effects
        };
        step(&mut state, What::Started);
        let mut next = None;
        let good = std::iter::repeat_n((3, vec![false; 4], false), 10);
        // In the end one more connection, on which nothing fails.
        let last = std::iter::once((1, vec![false; 4], true));
        for (count, fails, breaks) in frames.into_iter().chain(last).chain(good) {
            if next.is_none() {
                if matches!(state.phase(), Phase::Waiting(_)) {
                    step(&mut state, What::Tick);
                }
                let dial = state.dial();
                let asked = step(&mut state, What::Opened(dial));
                let Some(Effect::Authenticate(request)) = asked.first() else { panic!("{asked:?}") };
                let behind = request.last_offset.map_or(-1, Offset::get);
                prop_assert!((0..=behind).all(|n| processed.contains(&n)), "{} of {:?}", behind, processed);
                step(&mut state, What::Text(dial, "{\"success\":true}".into()));
                next = Some(behind + 1);
            }
            let dial = state.dial();
            let from = next.unwrap_or_default();
            let to = (from + count).min(ALL);
            let effects = step(&mut state, What::Text(dial, push(from..to)));
            prop_assert_eq!(effects.len() as i64, (to - from).max(0));
            for (effect, fails) in effects.into_iter().zip(&fails) {
                let Effect::Deliver(dial, message) = effect else { panic!("{effect:?}") };
                let result = if *fails { Err("failed".to_owned()) } else { Ok(()) };
                if result.is_ok() {
                    processed.insert(message.offset.get());
                }
                step(&mut state, What::Returned(dial, message.offset, result));
            }
            next = Some(to.max(from));
            if breaks {
                step(&mut state, What::Closed(dial, 1006, String::new()));
                next = None;
            }
        }
        prop_assert_eq!(processed.len() as i64, ALL);
        prop_assert_eq!(state.last_offset(), Some(ALL - 1));
    }

    #[test]
    fn a_call_is_patient_within_its_bounds(
        most in 0_u32..5, window_ms in 0_u64..40_000, repeatable in any::<bool>(),
        steps in prop::collection::vec((0_usize..6, 0_u64..3000, any::<u64>()), 1..80),
    ) {
        let retries = Retries { most, window_ms, ..Retries::default() };
        let mut retry = Retry::new(retries, repeatable);
        let headers = Fields::default();
        let (mut now, mut since, mut tried) = (1_000_000_u64, None, 0_u32);
        for (outcome, took, random) in steps {
            now += took;
            let outcome = [
                Outcome::Answered(503, &headers),
                Outcome::Answered(502, &headers),
                Outcome::Unreached,
                Outcome::Answered(409, &headers),
                Outcome::Answered(501, &headers),
                Outcome::Cut,
            ][outcome];
            let unavailable = matches!(outcome, Outcome::Answered(502 | 503, _) | Outcome::Unreached);
            if unavailable {
                since.get_or_insert(now);
            }
            let (base, max) = if unavailable { (1000, 5000) } else { (100, u64::MAX - 1) };
            match retry.next(now, outcome, random) {
                Next::Wait(wait) => {
                    prop_assert!(repeatable);
                    if unavailable {
                        prop_assert!(since.is_some_and(|since| now - since < window_ms));
                    } else {
                        prop_assert!(tried < most);
                    }
                    let whole = base << tried.min(40);
                    prop_assert!((whole / 2).min(max) <= wait && wait < whole.min(max + 1));
                    tried += 1;
                    now += wait;
                }
                Next::GiveUp => {
                    let over = since.is_some_and(|since| now - since >= window_ms);
                    let spent = tried >= most;
                    prop_assert!(!repeatable || (unavailable && over) || (!unavailable && spent));
                    break;
                }
                Next::Done => prop_assert!(false, "nothing was a success"),
            }
        }
    }
}

#[test]
fn other_outcomes_are_final() {
    let headers = Fields::default();
    let mut retry = Retry::new(Retries::default(), true);
    for status in [300, 400, 404, 421, 429, 500, 504] {
        assert_eq!(retry.next(0, Outcome::Answered(status, &headers), 0), Next::GiveUp);
    }
    assert_eq!(retry.next(0, Outcome::Failed, 0), Next::GiveUp);
    assert_eq!(retry.next(0, Outcome::Answered(204, &headers), 0), Next::Done);
    assert_eq!(retry.attempt(), 0);
}

#[test]
fn the_table_of_delays() {
    let redial = Redial::default();
    let least: Vec<u64> = (0..8).map(|n| delay(&redial, n, 0)).collect();
    let most: Vec<u64> = (0..8).map(|n| delay(&redial, n, u64::MAX)).collect();
    assert_eq!(least, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
    assert_eq!(most, [999, 1999, 3999, 7999, 15_999, 30_000, 30_000, 30_000]);
}
