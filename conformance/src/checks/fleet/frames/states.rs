//! States in other bytes than agents write. Each is the answer to the first Poll of a connection of its own.

use super::bytes::{self, Field, amid_unknown, number, odd, of_inner, text as text_field};
use crate::{
    check::{Alternative, Cx, Outcome, alternative},
    checks::fleet::{
        agent::{Agent, Came, Fate, Heard, closed, open},
        manual::{Became, applied, became, kicked, masked, not_applied, of_three, passed_over, polled},
        setting::{Say, at_most, data, rooms_of, told},
    },
    one_of,
    wire::Seen,
};
use std::time::Duration;
use tokio::time::Instant;
use wireproof_spec::{
    fleet::{Label, Origin, Snapshot, State, Status, SyncRoom, frames::MAJOR, requirements::*},
    http::Response,
    requirement::RequirementId,
};

/// The bytes of a message that holds a State.
type Make = Box<dyn Fn(&State) -> Vec<u8> + Send + Sync>;

const TOPIC: &str = "fleet/state";
const FULL: u32 = 2;
const SEQ: u32 = 3;
const NAME: u32 = 5;
const LABELS: u32 = 10;
const CAPACITY: u32 = 11;
const ROOMS: u32 = 14;

/// What an agent says that has something in each field.
fn rich(cx: &Cx) -> Snapshot {
    let room = cx.name();
    let label = Label { key: "region".into(), value: "north".into() };
    cx.snapshot()
        .bounded(Some(100), Some(7))
        .having(vec![told(&format!("{room}a"), "one", 3), told(&format!("{room}b"), "two", 400)])
        .but(|snapshot| snapshot.labels = vec![label, Label { key: "zone".into(), value: String::new() }])
}

/// An agent that has answered its first Poll with this.
async fn answering(cx: &Cx, snapshot: &Snapshot, make: &Make) -> Outcome<Agent> {
    let mut agent = Agent::connect(cx).await?;
    let (first, _) = polled(cx, &mut agent).await?;
    let state = agent.full(&first.poll, snapshot.clone());
    agent.plan().snapshot = snapshot.clone();
    agent.send_binary(make(&state));
    Ok(agent)
}

/// Each of these, all at once.
async fn each(cx: &Cx, all: Vec<Make>) -> Outcome<Vec<Seen<Became>>> {
    let all = all.into_iter().map(|make| {
        let snapshot = rich(cx);
        (make, snapshot.clone(), snapshot)
    });
    Ok(judged(cx, all.collect()).await?.into_iter().map(|(seen, _)| seen).collect())
}

/// What became of each of these, sent all at once: bytes of a snapshot, and the one that is to be shown. The agents go on.
async fn judged(cx: &Cx, all: Vec<(Make, Snapshot, Snapshot)>) -> Outcome<Vec<(Seen<Became>, Agent)>> {
    let mut sent = Vec::new();
    for (make, snapshot, expected) in all {
        sent.push((answering(cx, &snapshot, &make).await?, expected));
    }
    let mut seen = Vec::new();
    for (mut agent, expected) in sent {
        seen.push((became(cx, &mut agent, &expected).await?.0, agent));
    }
    Ok(seen)
}

/// That each of these meets this.
async fn all_are(
    cx: &Cx,
    requirement: RequirementId,
    all: Vec<Make>,
    expected: &Alternative<Became>,
) -> Outcome {
    for seen in each(cx, all).await? {
        cx.expect(requirement, &seen, std::slice::from_ref(expected))?;
    }
    Ok(())
}

/// A State with other fields.
fn with(change: impl Fn(Vec<Field>) -> Vec<Field> + Send + Sync + 'static) -> Make {
    Box::new(move |state| bytes::outer(TOPIC, &bytes::inner(&change(of_inner(&state.encode_frame())))))
}

/// A State with another first byte; that of JSON has JSON behind it.
fn major(major: u8) -> Make {
    Box::new(move |state| {
        let mut inner = state.encode_frame();
        inner[0] = major;
        if major == b'{' {
            inner = serde_json::to_vec(state).unwrap_or_default();
        }
        bytes::outer(TOPIC, &inner)
    })
}

/// The text of a State in JSON, and that of an outer frame, whose bytes are all text.
pub(super) async fn text(cx: &Cx) -> Outcome {
    let by_code = alternative("a close frame with the code 4002", |became: &Became| {
        matches!(became, Became::Over(Fate::Closed(Some((4002, _)))))
    });
    let short = cx.snapshot().hosting(&[]).but(|snapshot| {
        // No length has more than one byte.
        snapshot.process_uid = format!("p_{}", cx.token(6));
        snapshot.endpoint_url = "ws://h".into();
    });
    for framed in [false, true] {
        let mut agent = Agent::connect(cx).await?;
        let (first, _) = polled(cx, &mut agent).await?;
        let state = agent.full(&first.poll, short.clone());
        let frame = bytes::outer(TOPIC, &state.encode_frame());
        let said = match String::from_utf8(frame) {
            Ok(text) if framed => text,
            _ => serde_json::to_string(&state).unwrap_or_default(),
        };
        agent.send_text(&said);
        let (seen, _) = became(cx, &mut agent, &short).await?;
        cx.expect(FLEET_FRAMES_4, &seen, &[not_applied()])?;
        cx.expect(FLEET_FRAMES_3, &seen, std::slice::from_ref(&by_code))?;
    }
    // The same in a binary message is taken.
    let mut agent = Agent::connect(cx).await?;
    agent.says(short);
    agent.shown(cx).await
}

/// States of other majors: nothing of them is applied.
pub(super) async fn other_majors(cx: &Cx) -> Outcome {
    let all = [0, 2, 4, 0xff, b'{'].into_iter().map(major).collect();
    all_are(cx, FLEET_FRAMES_5, all, &not_applied()).await?;
    // With its own major it would have been.
    all_are(cx, FLEET_FRAMES_5, vec![major(MAJOR)], &applied()).await
}

/// An agent that answers each Poll with a State of another major is evicted as if it answered none.
pub(super) async fn other_majors_alone(cx: &Cx) -> Outcome {
    let heartbeat = Agent::connect(cx).await?.heartbeat;
    let (least, most) = ((heartbeat * 3).saturating_sub(Duration::from_millis(100)), at_most(heartbeat * 4));
    let name = format!(
        "a close frame with the code 4003, {} to {} ms behind the Poll",
        least.as_millis(),
        most.as_millis()
    );
    let evicted = alternative(name, move |(fate, after): &(Fate, Duration)| {
        matches!(fate, Fate::Closed(Some((4003, _)))) && (least..=most).contains(after)
    });
    let seen = of_three(&evicted, || with_another_major(cx, most)).await?;
    cx.expect(FLEET_FRAMES_6, &seen, &[evicted])?;
    Ok(())
}

/// What becomes of such an agent up to this time, and when.
async fn with_another_major(cx: &Cx, most: Duration) -> Outcome<Seen<(Fate, Duration)>> {
    let make = major(MAJOR - 1);
    // The first Poll is sent behind this.
    let begun = Instant::now();
    let mut agent = answering(cx, &cx.snapshot(), &make).await?;
    while let Some(seen) = agent.next_by(begun + most).await? {
        let fate = match seen.look() {
            Ok(Heard { came: Came::Closed(with), .. }) => Fate::Closed(with.clone()),
            Ok(Heard { came: Came::Poll(poll), .. }) => {
                let state = agent.full(poll, agent.snapshot());
                agent.send_binary(make(&state));
                continue;
            }
            Ok(_) => continue,
            Err(why) => Fate::Ended(why.to_string()),
        };
        return Ok(seen.or_lost().map(|_| (fate, begun.elapsed())));
    }
    Ok(agent.proof(cx).await?.map(|fate| (fate, begun.elapsed())))
}

pub(super) async fn other_minors(cx: &Cx) -> Outcome {
    let minor = |minor: u8| -> Make {
        Box::new(move |state| {
            let mut inner = state.encode_frame();
            inner[1] = minor;
            bytes::outer(TOPIC, &inner)
        })
    };
    all_are(cx, FLEET_FRAMES_7, [1, 0x7f, 0xff].into_iter().map(minor).collect(), &applied()).await
}

pub(super) async fn unknown_outer(cx: &Cx) -> Outcome {
    const PLACES: usize = 3;
    let place = |place: usize| -> Make {
        Box::new(move |state| bytes::outers(TOPIC, &state.encode_frame()).swap_remove(place))
    };
    all_are(cx, FLEET_FRAMES_8, (0..PLACES).map(place).collect(), &applied()).await
}

/// In the State itself, and in each message within it.
pub(super) async fn unknown(cx: &Cx) -> Outcome {
    let within = |nested: &'static [u32]| with(move |fields| amid_unknown(fields, nested));
    let all = vec![within(&[]), within(&[LABELS]), within(&[CAPACITY]), within(&[ROOMS])];
    all_are(cx, FLEET_FRAMES_9, all, &applied()).await
}

pub(super) async fn any_order(cx: &Cx) -> Outcome {
    let turned = with(|mut fields| {
        // Those of one number stay in their order.
        fields.sort_by_key(|field| std::cmp::Reverse(field.number));
        fields
    });
    let within = with(|fields| {
        let turned = |field: Field| match field.number {
            LABELS | CAPACITY | ROOMS => {
                let mut inner = bytes::fields(&field.content);
                inner.reverse();
                text_field(field.number, &bytes::joined(&inner))
            }
            _ => field,
        };
        fields.into_iter().map(turned).collect()
    });
    let outside: Make = Box::new(|state| bytes::turned(TOPIC, &state.encode_frame()));
    all_are(cx, FLEET_FRAMES_10, vec![turned, within, outside], &applied()).await
}

/// A snapshot without what has a default, and one with a room that has but id and type.
pub(super) async fn defaults(cx: &Cx) -> Outcome {
    /// From labels to status.
    const FIRST: u32 = LABELS;
    let plain = |snapshot: Snapshot| {
        snapshot.hosting(&[]).but(|snapshot| {
            snapshot.auto_create = false;
            snapshot.status = Status::Active;
        })
    };
    let nothing = plain(cx.snapshot());
    let bare = with(|mut fields| {
        fields.retain(|field| field.number < FIRST);
        fields
    });
    let room = SyncRoom { origin: Origin::Local, ..told(&cx.name(), "t", 0) };
    let snapshot = plain(cx.snapshot()).having(vec![room]);
    let short = with(|fields| {
        let cut = |field: Field| match field.number {
            ROOMS => {
                let mut room = bytes::fields(&field.content);
                room.truncate(2);
                text_field(ROOMS, &bytes::joined(&room))
            }
            _ => field,
        };
        fields.into_iter().map(cut).collect()
    });
    let all = vec![(bare, nothing.clone(), nothing), (short, snapshot.clone(), snapshot)];
    let mut last = None;
    for (seen, agent) in judged(cx, all).await? {
        cx.expect(FLEET_FRAMES_11, &seen, &[applied()])?;
        last = Some(agent);
    }
    let Some(agent) = last else { return Err(cx.stop("nothing was sent")) };
    if cx.features().is("fleet.api", "on") {
        let seen = cx.send(rooms_of(cx, &agent.id)).await?;
        let one = alternative("one room without connections that is local", |response: &Response| {
            let rooms = data(response);
            rooms.as_array().is_some_and(|rooms| rooms.len() == 1)
                && rooms[0]["connections"] == 0
                && rooms[0]["local"] == true
        });
        cx.expect(FLEET_FRAMES_11, &seen, &[one])?;
    }
    Ok(())
}

fn without(lacks: u32) -> Make {
    with(move |mut fields| {
        fields.retain(|field| field.number != lacks);
        fields
    })
}

/// A State without full in answer to the first Poll, which asks for all: to say nothing may be taken for a violation there.
pub(super) async fn first_without_full(cx: &Cx) -> Outcome {
    for seen in each(cx, vec![without(FULL)]).await? {
        cx.expect(FLEET_FRAMES_12, &seen, &one_of![passed_over(), kicked()])?;
    }
    // With it, it is applied.
    Agent::join(cx, rich(cx)).await?;
    Ok(())
}

/// A State with all fields of a snapshot but full: it says nothing, and is an answer.
pub(super) async fn without_full(cx: &Cx) -> Outcome {
    const MOST: usize = 3;
    let mut agent = Agent::connect(cx).await?;
    let (first, _) = polled(cx, &mut agent).await?;
    let mut poll = first.poll;
    // One that asks for all may be taken for a violation where it gets a hash alone.
    for _ in 0..MOST {
        agent.send_state(&agent.full(&poll, cx.snapshot()));
        poll = polled(cx, &mut agent).await?.0.poll;
        if poll.known_hash.is_some() {
            break;
        }
    }
    let other = rich(cx);
    let state = agent.full(&poll, other.clone());
    agent.send_binary(without(FULL)(&state));
    let (seen, next) = became(cx, &mut agent, &other).await?;
    cx.expect(FLEET_FRAMES_12, &seen, &[passed_over()])?;
    if next.is_none() {
        let (_, _) = polled(cx, &mut agent).await?;
    }
    Ok(())
}

pub(super) async fn last_of_several(cx: &Cx) -> Outcome {
    let before = |field: fn() -> Field| {
        with(move |mut fields| {
            let first = field();
            let place = fields.iter().position(|known| known.number == first.number).unwrap_or(0);
            fields.insert(place, first);
            fields
        })
    };
    let outside = |which: usize| -> Make {
        Box::new(move |state| bytes::doubled(TOPIC, &state.encode_frame()).swap_remove(which))
    };
    let all = vec![
        before(|| text_field(1, b"none")),
        before(|| number(FULL, 0)),
        before(|| number(SEQ, 0)),
        before(|| text_field(NAME, b"another")),
        outside(0),
        outside(1),
    ];
    all_are(cx, FLEET_FRAMES_13, all, &applied()).await
}

/// What readers of protocol buffers differ in; what is seen is told.
pub(super) async fn nobody_writes(cx: &Cx) -> Outcome {
    let group = with(|mut fields| {
        let (begin, within, end) = (odd(50, 3, &[]), number(1, 1), odd(50, 4, &[]));
        fields.extend([begin, within, end]);
        fields
    });
    let renamed = |field: fn() -> Field| {
        with(move |mut fields| {
            fields.iter_mut().filter(|known| known.number == NAME).for_each(|known| *known = field());
            fields
        })
    };
    let all = [
        (group, None),
        (renamed(|| number(NAME, 5)), Some("")),
        (renamed(|| text_field(NAME, &[0xff])), Some("\u{fffd}")),
    ];
    let all = all.into_iter().map(|(make, name)| {
        let snapshot = rich(cx);
        let expected = snapshot.clone().but(|snapshot| {
            if let Some(name) = name {
                snapshot.name = name.into();
            }
        });
        (make, snapshot, expected)
    });
    for (seen, _) in judged(cx, all.collect()).await? {
        cx.expect(FLEET_FRAMES_14, &seen, &one_of![applied(), passed_over(), kicked()])?;
    }
    Ok(())
}

/// Messages in which a topic, a payload or both are missing or no bytes.
pub(super) async fn incomplete(cx: &Cx) -> Outcome {
    let topic = || text_field(1, TOPIC.as_bytes());
    let all = [
        Vec::new(),
        bytes::joined(&[topic()]),
        bytes::joined(&[text_field(2, b"\x03\x00")]),
        bytes::joined(&[number(1, 1), text_field(2, b"\x03\x00")]),
        bytes::joined(&[topic(), number(2, 1)]),
    ];
    let mut agents = Vec::new();
    for message in all {
        let mut agent = Agent::connect(cx).await?;
        agent.says(cx.snapshot());
        agent.shown(cx).await?;
        agent.send_binary(message);
        agents.push(agent);
    }
    let mut wait = Duration::from_secs(1);
    for agent in &mut agents {
        let fate = agent.fate(cx, wait).await?;
        cx.expect(FLEET_FRAMES_15, &fate, &one_of![open(), closed(4003)])?;
        wait = Duration::ZERO;
    }
    Ok(())
}

/// Snapshots without name, processUid, agentVersion or protocolVersion.
pub(super) async fn lacking(cx: &Cx) -> Outcome {
    let all = (NAME..NAME + 4).map(|lacks| {
        let snapshot = rich(cx).but(|snapshot| match lacks {
            5 => snapshot.name = String::new(),
            6 => snapshot.process_uid = String::new(),
            7 => snapshot.agent_version = String::new(),
            _ => snapshot.protocol_version = 0,
        });
        (without(lacks), snapshot.clone(), snapshot)
    });
    for (seen, _) in judged(cx, all.collect()).await? {
        cx.expect(FLEET_FRAMES_16, &seen, &one_of![applied(), passed_over()])?;
    }
    // It goes on with those that lack nothing.
    Agent::join(cx, cx.snapshot()).await?;
    Ok(())
}

/// A State in three frames, with a ping between two of them.
pub(super) async fn in_pieces(cx: &Cx) -> Outcome {
    const BINARY: u8 = 2;
    const GOES_ON: u8 = 0;
    const PING: u8 = 0x89;
    const LAST: u8 = 0x80;
    let mut agent = Agent::connect(cx).await?;
    let (first, _) = polled(cx, &mut agent).await?;
    let snapshot = rich(cx);
    let message = bytes::outer(TOPIC, &agent.full(&first.poll, snapshot.clone()).encode_frame());
    let (begin, rest) = message.split_at(message.len() / 3);
    let (middle, end) = rest.split_at(rest.len() / 2);
    for frame in [
        masked(BINARY, begin),
        masked(PING, b"between"),
        masked(GOES_ON, middle),
        masked(GOES_ON | LAST, end),
    ] {
        agent.send_raw(&frame);
    }
    let (seen, _) = became(cx, &mut agent, &snapshot).await?;
    cx.expect(FLEET_FRAMES_17, &seen, &[applied()])?;
    Ok(())
}
