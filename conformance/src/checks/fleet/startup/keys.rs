//! The keys that an orchestrator is given: those with which it may not begin, and that it prints none.

use super::{Agent, Begun, Cx, How, get};
use super::{FLEET_STARTUP_1, FLEET_STARTUP_2, FLEET_STARTUP_3, FLEET_STARTUP_4, limit};
use crate::{
    check::{Alternative, Hook, Outcome, alternative},
    checks::fleet::{
        agent::Came,
        setting::{ask, handshake, ok},
    },
    wire::program::{Ended, Signal},
};
use wireproof_spec::{
    fleet::{connect::SENTINEL, requirements::FLEET_ACCESS_1},
    requirement::RequirementId,
};

/// How long the keys are that nobody has anything against, in characters.
const LONG: usize = 40;
/// A key of so many characters is too short.
const SHORT: usize = 15;
/// What is no line of HTTP, and no frame.
const BROKEN: &str = "no header at all";

/// The keys of an orchestrator in production: those for agents and those for operators. None: the variable is not there.
#[derive(Clone, Debug)]
struct Keys {
    agents: Option<String>,
    operators: Option<String>,
}

/// That a program ended in failure, and nobody listened.
fn refuses() -> Vec<Alternative<Begun>> {
    vec![
        alternative(
            "an exit code other than 0, and nobody who listened",
            |begun: &Begun| matches!(begun, Begun::Ended(How::Code(code), _) if *code != 0),
        ),
        alternative("an end by a signal, and nobody who listened", |begun: &Begun| {
            matches!(begun, Begun::Ended(How::Signal(_), _))
        }),
    ]
}

/// That why it did not begin was said without the keys.
fn without_keys() -> Alternative<Begun> {
    let none = |begun: &Begun| matches!(begun, Begun::Ended(_, printed) if printed.found == 0);
    alternative("an end, and none of its keys in what was printed", none)
}

/// Starts the target in production with these keys, each in turn, and claims that it refuses, and prints none of them; before, that
/// it does not refuse what is right, and takes its keys from there. At the end it is started as its owner wants it.
async fn refused(cx: &Cx, requirement: RequirementId, all: &[Keys]) -> Outcome {
    let tried = async {
        accepted(cx).await?;
        for keys in all {
            let begun = start(cx, keys).await?;
            cx.expect(requirement, &begun, &refuses())?;
            cx.expect(FLEET_STARTUP_4, &begun, &[without_keys()])?;
        }
        Ok(())
    };
    let tried = tried.await;
    cx.hook(Hook::Restart).await?;
    tried
}

async fn start(cx: &Cx, keys: &Keys) -> Outcome<crate::wire::Seen<Begun>> {
    let given = [&keys.agents, &keys.operators].into_iter().flatten().flat_map(|keys| keys.split(','));
    // A shorter one may be part of a word.
    let texts: Vec<&str> = given.filter(|key| key.len() >= SHORT).collect();
    let variables = [
        ("NODE_ENV", Some("production")),
        ("FLEET_AGENT_KEY", keys.agents.as_deref()),
        ("FLEET_ADMIN_KEY", keys.operators.as_deref()),
    ];
    cx.start_with(&variables, &texts).await
}

/// That it begins with keys that are long enough and different, and knows them.
async fn accepted(cx: &Cx) -> Outcome {
    let (agents, operators) = (cx.token(LONG), cx.token(LONG));
    let begun = start(cx, &Keys { agents: Some(agents.clone()), operators: Some(operators.clone()) }).await?;
    if !matches!(begun.look(), Ok(Begun::Listens)) {
        return Err(cx.stop(
            "in production, with long and different keys in FLEET_AGENT_KEY and FLEET_ADMIN_KEY, the target does not begin, so \
             that nothing is known of bad ones",
        ));
    }
    let advice = "in production the target does not know the key that is in its variable: leave the keys to FLEET_AGENT_KEY and \
                  FLEET_ADMIN_KEY under [launch] env, and out of its command, or it cannot be given others";
    let (_, agent) = Agent::dial(cx, &[&agents, SENTINEL]).await?;
    let Some(mut agent) = agent else { return Err(cx.stop(advice)) };
    if !is_greeted(cx, &mut agent).await? {
        return Err(cx.stop(advice));
    }
    if has_operators(cx) {
        let request = get(cx, "v1/stats").header("authorization", format!("Bearer {operators}"));
        let known = cx.stranger().send(request).await?;
        if !matches!(known.look(), Ok(answer) if answer.status == 200) {
            return Err(cx.stop(advice));
        }
    }
    Ok(())
}

/// Whether an agent is told a Hello first.
async fn is_greeted(cx: &Cx, agent: &mut Agent) -> Outcome<bool> {
    let heard = agent.next(cx).await?;
    Ok(matches!(heard.look(), Ok(heard) if matches!(heard.came, Came::Hello(_))))
}

/// Whether keys for operators are looked at.
fn has_operators(cx: &Cx) -> bool {
    cx.features().is("fleet.api", "on")
}

/// Alone and beside a good one, for agents and for operators, by one character and by many.
pub(super) async fn short(cx: &Cx) -> Outcome {
    let good = || Some(cx.token(LONG));
    let beside = |short: usize| Some(format!("{},{}", cx.token(LONG), cx.token(short)));
    let mut all: Vec<Keys> = [Some(cx.token(SHORT)), beside(SHORT), Some(cx.token(1))]
        .into_iter()
        .map(|agents| Keys { agents, operators: good() })
        .collect();
    if has_operators(cx) {
        let short = [Some(cx.token(SHORT)), beside(SHORT)];
        all.extend(short.map(|operators| Keys { agents: good(), operators }));
    }
    refused(cx, FLEET_STARTUP_1, &all).await
}

/// Alone and among others.
pub(super) async fn shared(cx: &Cx) -> Outcome {
    let (key, one, other) = (cx.token(LONG), cx.token(LONG), cx.token(LONG));
    refused(
        cx,
        FLEET_STARTUP_2,
        &[
            Keys { agents: Some(key.clone()), operators: Some(key.clone()) },
            Keys { agents: Some(format!("{one},{key}")), operators: Some(format!("{key},{other}")) },
        ],
    )
    .await
}

/// Of agents, of operators where there is an API, and of both; not set, and set to nothing.
pub(super) async fn missing(cx: &Cx) -> Outcome {
    let good = || Some(cx.token(LONG));
    let none = || [None, Some(String::new())];
    let mut all = vec![Keys { agents: None, operators: None }];
    all.extend(none().map(|agents| Keys { agents, operators: good() }));
    if has_operators(cx) {
        all.extend(none().map(|operators| Keys { agents: good(), operators }));
    }
    refused(cx, FLEET_STARTUP_3, &all).await
}

/// That no key was printed.
fn no_key() -> Vec<Alternative<Ended>> {
    vec![
        alternative("nothing printed", |ended: &Ended| ended.printed.bytes == 0),
        alternative("no key in what was printed", |ended: &Ended| {
            ended.printed.found == 0 && !ended.printed.cut
        }),
        alternative("no key in the last of what was printed", |ended: &Ended| ended.printed.found == 0),
    ]
}

/// Requests and agents of all kinds, with right keys in right and wrong places; then its end, when it has printed all.
pub(super) async fn not_printed(cx: &Cx) -> Outcome {
    let operators = cx.keys();
    let agents = cx.tickets();
    let given =
        || operators.iter().copied().chain(agents.iter().map(String::as_str)).filter(|key| !key.is_empty());
    if agents[0].is_empty() {
        return Err(cx.stop("there is no key for agents: `Sec-WebSocket-Protocol` under [headers]"));
    }
    if given().any(|key| key.chars().count() <= SHORT) {
        return Err(cx.stop("a key is so short that it may be a word of what is printed; give longer ones"));
    }
    for key in agents.iter().filter(|key| !key.is_empty()) {
        let (_, agent) = Agent::dial(cx, &[key, SENTINEL]).await?;
        let unknown = "the target does not know a key for agents under [headers] or [second]";
        let Some(mut agent) = agent else { return Err(cx.stop(unknown)) };
        if !is_greeted(cx, &mut agent).await? {
            return Err(cx.stop(unknown));
        }
        // A violation, of which it may tell who it was.
        agent.send_text(BROKEN);
        let _ = agent.fate(cx, cx.answer_time()).await?;
        // A handshake that is none, and one with the key alone.
        let wrong = handshake(cx).header("sec-websocket-protocol", key).header("sec-websocket-version", "12");
        let _ = cx.upgrade(wrong).await?;
        let _ = Agent::dial(cx, &[key]).await?;
    }
    if has_operators(cx) {
        let known = cx.send(get(cx, "v1/stats")).await?;
        cx.need(FLEET_ACCESS_1, &known, &[ok(200)])?;
    }
    for key in given() {
        for scheme in ["Bearer", "Basic"] {
            let value = format!("{scheme} {key}");
            for request in [
                get(cx, "v1/stats"),
                get(cx, "v1/nothing"),
                get(cx, "v1/stats").param("key", key),
                get(cx, "v1/events").param("key", key),
            ] {
                let mut reader = cx.sse_stranger(request.header("authorization", &value)).await?;
                let _ = reader.head().await?;
            }
        }
        let broken = ask(cx, "POST", "v1/rooms").header("content-type", "application/json").body("{");
        let mut peer = cx.stranger();
        let _ = peer.send_broken(broken.header("authorization", format!("Bearer {key}"))).await?;
        let mut raw = cx.raw().await?;
        let line = format!("GET {} HTTP/1.1", cx.path("v1/stats"));
        let head = format!("{line}\r\nAuthorization: Bearer {key}\r\n{BROKEN}\r\n\r\n");
        let sent = raw.write(head.as_bytes()).await;
        let _ = raw.answer(sent).await?;
    }
    let texts: Vec<&str> = given().collect();
    let ended = cx.end(Signal::Term, limit(cx) + cx.slack(), &texts).await?;
    cx.expect(FLEET_STARTUP_4, &ended, &no_key())?;
    Ok(())
}
