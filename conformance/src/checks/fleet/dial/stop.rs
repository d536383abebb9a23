//! The end that the owner wants.

use super::*;
use crate::wire::listen::Fault;
use futures_util::future::{try_join, try_join_all};
use serde_json::json;
use std::pin::pin;
use tokio::time::{Instant, timeout};
use wireproof_spec::http::Response;

/// For so long nobody dials: longer than a first redial may take.
const STILL: Duration = Duration::from_millis(FIRST_REDIAL_MS + 200);

/// Stops an agent that is connected: the connection ends, and there is no other one.
async fn ends(cx: &Cx, mut client: Client, mut connection: Connection) -> Outcome {
    let stopped = async { client.app.ask("stop", json!({})).await.map(drop) };
    let (ended, ()) = try_join(connection.ended(), stopped).await?;
    cx.expect(FLEET_DIAL_14, &ended, &[over()])?;
    drop(connection);
    let seen = client.still(cx, STILL).await?;
    cx.expect(FLEET_DIAL_14, &seen, &[does_not_dial()])?;
    Ok(())
}

/// Behind a first Poll, and on a later connection.
pub(super) async fn connected(cx: &Cx) -> Outcome {
    let cases = [false, true].map(async |is_later| {
        let mut client = Client::begin(cx).await?;
        let mut connection = client.join(cx).await?;
        if is_later {
            connection.part(1012).await;
            connection = client.join(cx).await?;
        }
        ends(cx, client, connection).await
    });
    try_join_all(cases).await.map(drop)
}

/// Before the 101, and before the Hello.
pub(super) async fn opening(cx: &Cx) -> Outcome {
    /// So long a stop has that waits for nothing.
    const MOMENT: Duration = Duration::from_millis(300);
    let greeted = async {
        let mut client = Client::begin(cx).await?;
        let connection = client.open(cx).await?;
        ends(cx, client, connection).await
    };
    let answered = async {
        let mut client = Client::begin(cx).await?;
        let (seen, call) = client.dial(cx).await?;
        let Client { app, place, .. } = &mut client;
        let mut stopping = pin!(async { app.ask("stop", json!({})).await.map(drop) });
        // An agent may let the handshake come to its end before it says that it has stopped.
        let early = timeout(MOMENT, &mut stopping).await;
        let answered = async {
            // Whoever has gone reads no answer.
            let mut connection = Connection::of(seen, call).await?;
            let ended = connection.ended().await?;
            Ok((connection, ended))
        };
        let (connection, ended) = match early {
            Ok(stopped) => {
                stopped?;
                answered.await?
            }
            Err(_) => try_join(answered, stopping).await?.0,
        };
        cx.expect(FLEET_DIAL_14, &ended, &[over()])?;
        drop(connection);
        let seen = still(cx, place, STILL).await?;
        cx.expect(FLEET_DIAL_14, &seen, &[does_not_dial()])?;
        Ok(())
    };
    try_join(greeted, answered).await.map(drop)
}

/// Between two dials.
pub(super) async fn in_between(cx: &Cx) -> Outcome {
    /// So many agents at once: where a delay is drawn short one may dial beside the stop, and hardly most of them.
    const AGENTS: usize = 5;
    /// An agent that does not dial for so long waits.
    const MOMENT: Duration = Duration::from_millis(50);
    let cases = (0..AGENTS).map(async |_| {
        let mut client = Client::begin(cx).await?;
        let unavailable = Response::new(503).header("connection", "close");
        let (_, call) = client.dial(cx).await?;
        call.answer_with(&unavailable, Fault::Cut(usize::MAX)).await;
        // That it dials again shows that it would.
        let (_, mut call) = client.dial(cx).await?;
        for n in 0.. {
            call.answer_with(&unavailable, Fault::Cut(usize::MAX)).await;
            match client.place.next_within(MOMENT).await? {
                (_, Some(next)) if n < 8 => call = next,
                _ => break,
            }
        }
        client.app.ask("stop", json!({})).await?;
        let stopped = Instant::now();
        // One that was under way is none behind the stop.
        loop {
            match client.place.next_within(MOMENT).await? {
                (_, Some(call)) if call.at < stopped => {}
                (seen, Some(_)) => return Ok(seen.map(Some)),
                (_, None) => break,
            }
        }
        // Longer than the third delay may be.
        client.still(cx, Duration::from_millis(2_000 * 5 / 4 + 100)).await
    });
    let seen = try_join_all(cases).await?;
    let most = alternative("no dial of most agents that were stopped", |dials: &Vec<Option<Request>>| {
        dials.iter().filter(|dial| dial.is_none()).count() * 2 > dials.len()
    });
    cx.expect(FLEET_DIAL_14, &Seen::all(seen), &[most])?;
    Ok(())
}
