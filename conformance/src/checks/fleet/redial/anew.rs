//! The count of redials begins anew with a Hello.

use super::{
    law::{Delay, Fate, redial},
    *,
};

/// So many sessions are measured at once.
const SESSIONS: usize = 16;
/// So many of them may be late: of those that go on from the count before half are, even on a machine that holds them up for a
/// second, and a quarter of those that only count one on.
const FEW: usize = 1;

/// Connections without a Hello until redial 3 would be next, and then one with a Hello: the delay behind that.
pub(super) async fn begins_anew(cx: &Cx) -> Outcome {
    let session = async |_| {
        let mut client = Client::begin(cx).await?;
        let mut dial = client.dial(cx).await?;
        for n in 0..3 {
            dial = redial(cx, &mut client, dial, (Fate::Opened, n)).await?.1;
        }
        Ok(redial(cx, &mut client, dial, (Fate::Greeted, 0)).await?.0)
    };
    for run in 1..=RUNS {
        let (sessions, stall) = beside_timers(try_join_all((0..SESSIONS).map(session))).await?;
        let late = Seen::all(sessions)
            .map(|delays| delays.into_iter().filter(|delay| delay.is_late(stall)).collect::<Vec<Delay>>());
        let is_few = late.look().is_ok_and(|late| late.len() <= FEW);
        if run == RUNS || is_few {
            let few = alternative(
                "most redials behind Hellos in time for redial 0, in one of three runs",
                |late: &Vec<Delay>| late.len() <= FEW,
            );
            return cx.expect(FLEET_REDIAL_6, &late, &[few]).map(drop);
        }
    }
    Ok(())
}
