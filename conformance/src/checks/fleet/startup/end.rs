//! How an orchestrator ends that is asked to by a signal.

use super::{super::ear::Ear, Agent, Cx, FLEET_STARTUP_5, FLEET_STARTUP_6, FLEET_STARTUP_7};
use super::{FLEET_STARTUP_8, FLEET_STARTUP_9, in_order, limit};
use crate::{
    check::{Alternative, Outcome, alternative, answer},
    checks::fleet::{
        agent::Fate,
        orders::{forced, obedient, sent},
        setting::{raw_handshake, refused, ticket},
    },
    one_of,
    wire::{
        Seen,
        program::{Ended, Signal},
        raw::Peer,
    },
};
use wireproof_spec::fleet::{Cause, requirements::FLEET_CONNECT_1};

/// The codes with which a connection to an orchestrator that ends is closed.
const CODES: [u16; 4] = [4003, 1000, 1001, 1012];

/// That a connection was closed by a close frame, whatever is in it.
fn by_a_close_frame() -> Alternative<Fate> {
    alternative("a close frame", |fate: &Fate| matches!(fate, Fate::Closed(_)))
}

/// That a connection was closed with this code.
fn with(code: u16) -> Alternative<Fate> {
    crate::checks::fleet::agent::closed(code)
}

/// Ends the target on this signal, and hands out what became of it and of these agents.
async fn ended(cx: &Cx, signal: Signal, agents: &mut [Agent]) -> Outcome<(Seen<Ended>, Vec<Seen<Fate>>)> {
    let within = limit(cx) + cx.slack();
    let fates = futures_util::future::try_join_all(agents.iter_mut().map(|agent| agent.fate(cx, within)));
    let (ended, fates) = tokio::join!(cx.end(signal, within, &[]), fates);
    Ok((ended?, fates?))
}

/// Two agents that are known, and one that said nothing yet.
async fn three(cx: &Cx) -> Outcome<Vec<Agent>> {
    let known = Agent::join(cx, cx.snapshot()).await?;
    let other = Agent::join(cx, cx.snapshot()).await?;
    let silent = Agent::open(cx).await?;
    silent.is_silent();
    Ok(vec![known, silent, other])
}

/// All of them, also those that said nothing yet.
pub(super) async fn close_frames(cx: &Cx) -> Outcome {
    let mut agents = three(cx).await?;
    let (_, fates) = ended(cx, Signal::Term, &mut agents).await?;
    for fate in &fates {
        cx.expect(FLEET_STARTUP_5, fate, &[by_a_close_frame()])?;
    }
    for fate in &fates {
        let [first, second, third, fourth] = CODES.map(with);
        cx.expect(FLEET_STARTUP_7, fate, &one_of![first, second, third, fourth])?;
    }
    Ok(())
}

/// One that took part in a handshake and does nothing more: it answers no close frame either.
async fn deaf(cx: &Cx) -> Outcome<Peer> {
    let mut peer = cx.raw().await?;
    let handshake = raw_handshake(cx, ticket(cx)?);
    let sent = peer.send(&handshake).await;
    let seen = peer.reply(sent, "GET").await?;
    cx.need(FLEET_CONNECT_1, &seen, &[answer(101).into()])?;
    Ok(peer)
}

/// With nobody there; with agents, one of them deaf, and a reader of events, who all stay.
pub(super) async fn exit_code(cx: &Cx) -> Outcome {
    let within = limit(cx) + cx.slack();
    // One that greets agents is ready for signals too.
    drop(Agent::open(cx).await?);
    let alone = cx.end(Signal::Term, within, &[]).await?;
    cx.expect(FLEET_STARTUP_6, &alone, &[in_order(cx)])?;
    let mut agents = three(cx).await?;
    let reader = if cx.features().is("fleet.api", "on") { Some(Ear::open(cx).await?) } else { None };
    let deaf = deaf(cx).await?;
    let (with_agents, _) = ended(cx, Signal::Term, &mut agents).await?;
    cx.expect(FLEET_STARTUP_6, &with_agents, &[in_order(cx)])?;
    drop((reader, deaf));
    Ok(())
}

pub(super) async fn waiting_request(cx: &Cx) -> Outcome {
    let mut agents = obedient(cx, [cx.snapshot()]).await?;
    let Some(agent) = agents.first_mut() else { return Err(cx.stop("there is no agent")) };
    agent.acks(None);
    let id = cx.token(12);
    let request = forced(cx, agent, &id);
    let (pending, _) = sent(cx, agent, request).await?;
    let within = limit(cx) + cx.slack();
    let (ended, answer) = tokio::join!(cx.end(Signal::Term, within, &[]), pending.answer());
    cx.expect(FLEET_STARTUP_6, &ended?, &[in_order(cx)])?;
    cx.expect(FLEET_STARTUP_8, &answer?, &[refused(Cause::InstanceDisconnected)])?;
    Ok(())
}

/// An end in order, with close frames.
pub(super) async fn interrupted(cx: &Cx) -> Outcome {
    let mut agents = three(cx).await?;
    let (ended, fates) = ended(cx, Signal::Int, &mut agents).await?;
    cx.expect(FLEET_STARTUP_9, &ended, &[in_order(cx)])?;
    for fate in &fates {
        cx.expect(FLEET_STARTUP_9, fate, &[by_a_close_frame()])?;
    }
    Ok(())
}
