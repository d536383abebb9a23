//! Checks of "Redial" in spec/fleet.md.

mod anew;
mod law;
mod silence;

use super::client::{
    Client, Connection, FIRST_REDIAL_MS, Heard, KINDS, SHORT_HEARTBEAT_MS, Said, Start, USUAL_HEARTBEAT_MS,
    acked, create, dials, hello, is_over, nothing, over, state_of,
};
use crate::{
    check::{Check, Cx, Lane, Outcome, Waits, alternative},
    checks::late::{RUNS, beside_timers, in_each},
    drives,
    wire::{
        Seen,
        listen::{Call, Fault},
    },
};
use futures_util::future::{select_all, try_join, try_join_all};
use std::time::Duration;
use wireproof_spec::{fleet::requirements::*, http::Response, requirement::RequirementId};

pub(super) const CHECKS: &[Check] = &[
    Check::new("fleet/redial/closed", &[FLEET_REDIAL_1], drives!(closed)).waits(Waits::Millis(1_500)),
    Check::new("fleet/redial/turned-away", &[FLEET_REDIAL_2], drives!(turned_away))
        .waits(Waits::Millis(2_000)),
    Check::new("fleet/redial/refused", &[FLEET_REDIAL_3], drives!(refused)).waits(Waits::Millis(34_000)),
    Check::new("fleet/redial/goes-on", &[FLEET_REDIAL_1, FLEET_REDIAL_2], drives!(law::endures))
        .waits(Waits::Millis(40_000)),
    Check::new("fleet/redial/delays", &[FLEET_REDIAL_4], drives!(law::delays))
        .lane(Lane::Alone)
        .waits(Waits::Millis(36_000)),
    Check::new("fleet/redial/drawn", &[FLEET_REDIAL_5], drives!(law::drawn)).waits(Waits::Millis(12_000)),
    Check::new("fleet/redial/count-begins-anew", &[FLEET_REDIAL_6], drives!(anew::begins_anew))
        .waits(Waits::Millis(20_000)),
    Check::new("fleet/redial/count-goes-on", &[FLEET_REDIAL_7], drives!(law::goes_on))
        .waits(Waits::Millis(60_000)),
    Check::new("fleet/redial/silence", &[FLEET_REDIAL_8, FLEET_REPORT_1], drives!(silence::leaves))
        .waits(Waits::Limit("silence-ms", 2)),
    Check::new("fleet/redial/patience", &[FLEET_REDIAL_9], drives!(silence::stays))
        .waits(Waits::Millis(4_000)),
    Check::new(
        "fleet/redial/patience-for-long",
        &[FLEET_REDIAL_9, FLEET_REPORT_1, FLEET_EXECUTE_1],
        drives!(silence::stays_for_long),
    )
    .waits(Waits::Millis(15_500)),
];

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// With this close frame.
    Code(u16),
    /// Without a close frame, in order.
    Cut,
    /// With a reset.
    Reset,
}

impl Way {
    async fn befall(self, connection: Connection) {
        match self {
            Way::Code(code) => connection.part(code).await,
            Way::Cut => connection.peer.leave(),
            Way::Reset => connection.peer.reset(),
        }
    }
}

/// Claims that it dials, and hands out the connection.
async fn lets_in(cx: &Cx, id: RequirementId, client: &mut Client) -> Outcome<Connection> {
    let (seen, call) = client.place.next().await?;
    cx.expect(id, &seen, &[dials()])?;
    let call = call.ok_or_else(|| cx.stop("the agent did not dial"))?;
    Connection::of(seen, call).await
}

/// Behind a Hello and a State, twice; and before the Hello.
async fn closed(cx: &Cx) -> Outcome {
    let ways = [1000, 1001, 1009, 1011, 1012, 4000, 4001, 4002, 4003, 4004, 4005].map(Way::Code);
    let ways = ways.into_iter().chain([Way::Cut, Way::Reset]);
    let twice = async |way: Way| {
        let mut client = Client::begin(cx).await?;
        let mut connection = client.join(cx).await?;
        for _ in 0..2 {
            way.befall(connection).await;
            connection = lets_in(cx, FLEET_REDIAL_1, &mut client).await?;
            connection.greet(cx).await;
        }
        Ok(())
    };
    let before = async |way: Way| {
        let mut client = Client::begin(cx).await?;
        let connection = client.open(cx).await?;
        way.befall(connection).await;
        lets_in(cx, FLEET_REDIAL_1, &mut client).await.map(drop)
    };
    let early = [Way::Code(4001), Way::Code(1000), Way::Cut, Way::Reset];
    try_join(try_join_all(ways.map(twice)), try_join_all(early.map(before))).await.map(drop)
}

/// Has a handshake fail with this status.
async fn answered(call: Call, status: u16) {
    let answer = Response::new(status).header("connection", "close");
    call.answer_with(&answer, Fault::Cut(usize::MAX)).await;
}

/// The first handshake, and one behind a connection.
async fn turned_away(cx: &Cx) -> Outcome {
    let twice = async |status| {
        let mut client = Client::begin(cx).await?;
        let (_, call) = client.dial(cx).await?;
        answered(call, status).await;
        let mut connection = lets_in(cx, FLEET_REDIAL_2, &mut client).await?;
        connection.greet(cx).await;
        connection.part(1012).await;
        let (_, call) = client.dial(cx).await?;
        answered(call, status).await;
        lets_in(cx, FLEET_REDIAL_2, &mut client).await.map(drop)
    };
    try_join_all([401, 403, 503].map(twice)).await.map(drop)
}

/// Long enough for the start and two or three redials, of one or another for four and more, and then the port is open.
async fn refused(cx: &Cx) -> Outcome {
    const AGENTS: usize = 4;
    const REFUSED: Duration = Duration::from_millis(2_500);
    /// As long as any redial waits.
    const LONGEST: Duration = Duration::from_millis(30_000);
    let agents = (0..AGENTS).map(async |_| {
        let mut client = Client::start_refused(cx, Start::new(cx), REFUSED).await?;
        let (seen, call) = client.place.next_within(LONGEST + cx.answer_time()).await?;
        cx.expect(FLEET_REDIAL_3, &seen, &[dials()])?;
        let call = call.ok_or_else(|| cx.stop("the agent did not dial"))?;
        let mut connection = Connection::of(seen, call).await?;
        connection.greet(cx).await;
        let (poll, seen) = connection.ask(None).await?;
        cx.expect(FLEET_REDIAL_3, &seen, &[state_of(&poll, "", |_| true)])?;
        Ok(())
    });
    try_join_all(agents).await.map(drop)
}
