//! What iterators outlive.

use super::{
    super::client::{BASE_MS, offsets},
    *,
};
use serde_json::Value;

/// What an iterator does behind a dial that failed.
#[derive(Clone, Debug)]
enum Went {
    On,
    Over(Value),
}

impl crate::check::Shown for Went {
    fn shown(&self) -> String {
        match self {
            Went::On => "a dial".into(),
            Went::Over(how) => format!("an end, told as {}", how.shown()),
        }
    }
}

fn with_an_error(how: &Value) -> bool {
    how.get("error").is_some()
}

pub(super) async fn end(cx: &Cx) -> Outcome {
    let (mut client, connection) = begin(cx).await?;
    let seen = connection.told(());
    close(connection, 4100).await?;
    let told = client.told("ended").await?;
    let with =
        alternative("an end with an error", |told: &Option<Value>| told.as_ref().is_some_and(with_an_error));
    let without = alternative("an end without one", |told: &Option<Value>| {
        told.as_ref().is_some_and(|how| !with_an_error(how))
    });
    cx.expect(QUEUE_REDIAL_7, &seen.map(|()| told), &[with, without])?;
    Ok(())
}

/// What the iterator yields next, seen on this connection: the offsets.
async fn yields(client: &mut Client, on: Seen<()>) -> Outcome<Seen<Value>> {
    let messages = client.delivered(1).await?;
    Ok(on.map(|()| json!(offsets(&messages))))
}

/// That it is the message with this offset.
fn the_message(offset: i64) -> Alternative<Value> {
    alternative(format!("the message {offset}"), move |told: &Value| *told == json!([offset]))
}

/// Pushes a message and claims that the iterator yields it.
async fn delivers(
    cx: &Cx,
    id: RequirementId,
    client: &mut Client,
    connection: &mut Connection,
    offset: i64,
) -> Outcome {
    connection.push([offset]).await;
    cx.expect(id, &yields(client, connection.told(())).await?, &[the_message(offset)])?;
    Ok(())
}

/// Lets an iterator in that yields the message 1.
async fn begin(cx: &Cx) -> Outcome<(Client, Connection)> {
    let mut client = Client::start(cx, Start::new(cx, Interface::Iterator)).await?;
    let mut connection = client.join(cx).await?;
    connection.push([1]).await;
    cx.need(QUEUE_DELIVERY_1, &yields(&mut client, connection.told(())).await?, &[the_message(1)])?;
    Ok((client, connection))
}

pub(super) async fn behind_a_close(cx: &Cx) -> Outcome {
    let outlives = async |code| {
        let (mut client, mut connection) = begin(cx).await?;
        for offset in [2, 3] {
            close(connection, code).await?;
            connection = lets_in(cx, QUEUE_REDIAL_14, &mut client).await?;
            delivers(cx, QUEUE_REDIAL_14, &mut client, &mut connection, offset).await?;
        }
        Ok(())
    };
    try_join_all([1000, 1001, 1011, 1012].map(outlives)).await?;
    Ok(())
}

pub(super) async fn behind_a_failure(cx: &Cx) -> Outcome {
    tokio::try_join!(behind_503(cx), behind_cuts(cx), behind_a_refusal(cx))?;
    Ok(())
}

/// A 503 at the start, and one at the redial behind a connection that broke.
async fn behind_503(cx: &Cx) -> Outcome {
    let mut client = Client::start(cx, Start::new(cx, Interface::Iterator)).await?;
    for offset in [1, 2] {
        let (_, call) = client.dial(cx).await?;
        Failure::Unavailable.befall(cx, call).await?;
        let mut connection = lets_in(cx, QUEUE_REDIAL_15, &mut client).await?;
        delivers(cx, QUEUE_REDIAL_15, &mut client, &mut connection, offset).await?;
        connection.peer.leave();
    }
    Ok(())
}

async fn behind_cuts(cx: &Cx) -> Outcome {
    let mut client = Client::start(cx, Start::new(cx, Interface::Iterator)).await?;
    let mut connection = client.join(cx).await?;
    for offset in [1, 2] {
        if offset == 1 {
            connection.peer.leave();
        } else {
            connection.peer.reset();
        }
        connection = lets_in(cx, QUEUE_REDIAL_15, &mut client).await?;
        delivers(cx, QUEUE_REDIAL_15, &mut client, &mut connection, offset).await?;
    }
    Ok(())
}

async fn behind_a_refusal(cx: &Cx) -> Outcome {
    let start = Start::new(cx, Interface::Iterator);
    let mut client = Client::start_refused(cx, start, Duration::from_millis(BASE_MS * 3)).await?;
    let mut connection = lets_in(cx, QUEUE_REDIAL_15, &mut client).await?;
    delivers(cx, QUEUE_REDIAL_15, &mut client, &mut connection, 1).await
}

pub(super) async fn at_a_failure(cx: &Cx) -> Outcome {
    let mut client = Client::start(cx, Start::new(cx, Interface::Iterator)).await?;
    let (seen, call) = client.dial(cx).await?;
    Failure::Unavailable.befall(cx, call).await?;
    // One of the two: who goes on ends nothing, and who ends does not go on.
    let went = loop {
        tokio::select! {
            dial = client.place.next() => match dial? {
                (_, Some(_)) => break Went::On,
                (_, None) => return Err(cx.stop("the iterator neither ends nor dials again")),
            },
            told = client.app.told() => match told? {
                Some(told) if told.event == "ended" => break Went::Over(told.data),
                _ => {}
            },
        }
    };
    let ends = alternative(
        "it ends with an error",
        |went: &Went| matches!(went, Went::Over(how) if with_an_error(how)),
    );
    let goes_on = alternative("it goes on and dials again", |went: &Went| matches!(went, Went::On));
    cx.expect(QUEUE_REDIAL_16, &seen.map(|_| went), &[ends, goes_on])?;
    Ok(())
}
