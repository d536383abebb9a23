//! Checks of "Report" in spec/fleet.md: what an agent says to Polls.

mod frames;
mod rooms;
mod values;

use super::client::{
    Client, Connection, HEARTBEAT_MS, Heard, Said, Start, hash_only, nothing, snapshot, state_of,
};
use crate::{
    check::{Check, Cx, Need, Outcome, Waits, alternative},
    drives,
    wire::Seen,
};
use std::time::Duration;
use wireproof_spec::fleet::{Poll, Status, requirements::*};

pub(super) const CHECKS: &[Check] = &[
    Check::new("fleet/report/answers", &[FLEET_REPORT_1], drives!(answers)),
    Check::new("fleet/report/at-once", &[FLEET_REPORT_2], drives!(at_once)),
    Check::new("fleet/report/form", &[FLEET_REPORT_3], drives!(frames::form)),
    Check::new("fleet/report/snapshot", &[FLEET_REPORT_4], drives!(full)),
    Check::new("fleet/report/values", &[FLEET_REPORT_5], drives!(values::values)),
    Check::new("fleet/report/hash-only", &[FLEET_REPORT_6], drives!(hash_alone)),
    Check::new("fleet/report/seq", &[FLEET_REPORT_7], drives!(seq)),
    Check::new("fleet/report/first-seq", &[FLEET_REPORT_8], drives!(first_seq)),
    Check::new("fleet/report/order", &[FLEET_REPORT_9], drives!(values::order)),
    Check::new("fleet/report/capacity", &[FLEET_REPORT_10], drives!(values::capacity)),
    Check::new("fleet/report/process-uid", &[FLEET_REPORT_11], drives!(values::one_process)),
    Check::new("fleet/report/two-processes", &[FLEET_REPORT_12], drives!(values::two_processes)),
    Check::new("fleet/report/newer-polls", &[FLEET_REPORT_13], drives!(frames::newer)),
    Check::new("fleet/report/malformed-polls", &[FLEET_REPORT_14], drives!(frames::malformed)),
    Check::new("fleet/report/other-topics", &[FLEET_REPORT_15], drives!(frames::other_topics)),
    Check::new("fleet/report/malformed-frames", &[FLEET_REPORT_16], drives!(frames::malformed_outer))
        .waits(Waits::Millis(1_000)),
    Check::new("fleet/report/rooms-of-the-host", &[FLEET_REPORT_17], drives!(rooms::shown))
        .needs(&[Need::Feature("fleet.local-rooms", "on")]),
    Check::new("fleet/report/silent-host", &[FLEET_REPORT_18], drives!(rooms::silent))
        .needs(&[Need::Feature("fleet.local-rooms", "on")]),
    Check::new("fleet/report/connections", &[FLEET_REPORT_19], drives!(rooms::connections))
        .needs(&[Need::Feature("fleet.room-connections", "on")]),
];

/// How long an agent that says something unasked has for it.
const MOMENT: Duration = Duration::from_millis(300);

/// Polls one after the other with all kinds of ids: what is said twice stands where the next answer is awaited.
async fn answers(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.connect(cx).await?;
    let long = "r".repeat(1_000);
    let ids =
        ["poll_1", "0", "a b", "ü\u{1F600}\u{FFFD}", "\"\\\u{0}\n\r\u{7f}", "", &long, "poll_2", "poll_3"];
    // No two Polls of a connection have one id.
    for id in ids {
        let poll = Poll { req_id: id.into(), known_hash: None, status: Status::Active };
        connection.say("fleet/poll", &poll.encode_frame()).await;
        let seen = connection.next().await?;
        cx.expect(FLEET_REPORT_1, &seen, &[state_of(&poll, "", |_| true)])?;
        let State { hash } = State::of(cx, &seen)?;
        let poll = Poll { req_id: format!("{id}'"), known_hash: Some(hash), status: Status::Active };
        connection.say("fleet/poll", &poll.encode_frame()).await;
        let seen = connection.next().await?;
        cx.expect(FLEET_REPORT_1, &seen, &[state_of(&poll, "", |_| true)])?;
    }
    let silence = connection.quiet(MOMENT).await?;
    cx.expect(FLEET_REPORT_1, &silence, &[nothing()])?;
    Ok(())
}

/// What a check needs of a State.
struct State {
    hash: String,
}

impl State {
    fn of(cx: &Cx, seen: &Seen<Heard>) -> Outcome<Self> {
        let state = seen.look().ok().and_then(Heard::state);
        state.map(|state| Self { hash: state.hash.clone() }).ok_or_else(|| cx.stop("no State came"))
    }
}

/// Polls behind each other without a pause, with the hash that is known and without one.
async fn at_once(cx: &Cx) -> Outcome {
    const POLLS: usize = 9;
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    let hash = connection.hash(cx)?;
    let mut polls = Vec::new();
    for n in 0..POLLS {
        let known = [Some(hash.as_str()), None, Some("0000000000000000")][n % 3];
        polls.push(connection.poll(known, Status::Active).await);
    }
    let mut seen = Vec::new();
    for _ in 0..POLLS {
        seen.push(connection.next().await?);
    }
    let ids: Vec<String> = polls.into_iter().map(|poll| poll.req_id).collect();
    let name = format!("a State for each of {}, in this order", ids.join(", "));
    let in_order = alternative(name, move |heard: &Vec<Heard>| {
        let answered = heard.iter().map(|heard| heard.state().map(|state| state.req_id.as_str()));
        answered.eq(ids.iter().map(|id| Some(id.as_str())))
    });
    cx.expect(FLEET_REPORT_2, &Seen::all(seen), &[in_order])?;
    Ok(())
}

/// Without a hash, with a wrong one, and with an empty one; behind a State that was hash-only too.
async fn full(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.connect(cx).await?;
    for _ in 0..2 {
        let mut hash = String::new();
        for known in [None, Some(""), Some("0000000000000000"), Some("x")] {
            let (poll, seen) = connection.ask(known).await?;
            cx.expect(FLEET_REPORT_4, &seen, &[snapshot(&poll)])?;
            hash = State::of(cx, &seen)?.hash;
        }
        // One digit is another.
        let mut near = hash.clone();
        let last = near.pop();
        near.push(if last == Some('0') { '1' } else { '0' });
        let (poll, seen) = connection.ask(Some(&near)).await?;
        cx.expect(FLEET_REPORT_4, &seen, &[snapshot(&poll)])?;
        let (poll, seen) = connection.ask(Some(&hash)).await?;
        cx.need(FLEET_REPORT_6, &seen, &[state_of(&poll, "", |_| true)])?;
    }
    Ok(())
}

/// As often as the hash is known, and again behind a change.
async fn hash_alone(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    for change in [super::client::create("a", super::client::KINDS[0]), super::client::destroy("a")] {
        let hash = connection.hash(cx)?;
        for _ in 0..3 {
            let (poll, seen) = connection.ask(Some(&hash)).await?;
            cx.expect(FLEET_REPORT_6, &seen, &[hash_only(&poll, &hash)])?;
        }
        connection.done(cx, change).await?;
        connection.snapshot(cx).await?;
    }
    Ok(())
}

/// The numbers of the States on a connection, and on the next one.
async fn seq(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.connect(cx).await?;
    for _ in 0..2 {
        let mut seen = Vec::new();
        let mut hash = None;
        for known in [false, true, true, false, false, true, false] {
            let hash_known = hash.as_deref().filter(|_| known);
            let (_, state) = connection.ask(hash_known).await?;
            hash = Some(State::of(cx, &state)?.hash);
            seen.push(state);
        }
        let rises = alternative("States whose seq rises, from 1 or more", |heard: &Vec<Heard>| {
            let seqs: Vec<u32> = heard.iter().filter_map(|heard| Some(heard.state()?.seq)).collect();
            seqs.len() == heard.len() && seqs[0] >= 1 && seqs.windows(2).all(|pair| pair[0] < pair[1])
        });
        cx.expect(FLEET_REPORT_7, &Seen::all(seen), &[rises])?;
        connection = client.again(cx, connection).await?;
    }
    Ok(())
}

async fn first_seq(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.connect(cx).await?;
    for _ in 0..3 {
        let (poll, seen) = connection.ask(None).await?;
        cx.expect(FLEET_REPORT_8, &seen, &[state_of(&poll, "with the seq 1", |state| state.seq == 1)])?;
        let _more = connection.ask(None).await?;
        connection = client.again(cx, connection).await?;
    }
    Ok(())
}
