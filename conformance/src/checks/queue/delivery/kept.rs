//! What an iterator keeps for its owner when the connection ends on which it came.

use super::{
    super::client::{Client, Connection, Interface, Start, silence},
    delivered, told_up_to,
};
use crate::check::{Cx, Outcome, alternative};
use serde_json::{Value, json};
use std::time::Duration;
use wireproof_spec::queue::requirements::*;

/// What the owner has taken.
const TAKEN: [i64; 2] = [1, 2];
/// How long a client has to read what was sent.
const READ: Duration = Duration::from_millis(300);

/// An iterator to which four messages were pushed, and whose owner has taken two of them and asks for no other.
async fn owner_behind(cx: &Cx) -> Outcome<(Client, Connection)> {
    let start = Start::new(cx, Interface::Iterator).with("takes", TAKEN.len());
    let mut client = Client::start(cx, start).await?;
    let mut connection = client.join(cx).await?;
    connection.push(1..=4).await;
    let taken = told_up_to(&mut client, 2).await?;
    cx.need(QUEUE_DELIVERY_1, &connection.told(taken), &[delivered(&TAKEN)])?;
    Ok((client, connection))
}

/// A server pushes again what is behind the last_offset and nothing else: what the client says it has, it has to deliver.
pub(super) async fn behind_an_end(cx: &Cx) -> Outcome {
    let (mut client, connection) = owner_behind(cx).await?;
    connection.part().await;
    let mut is_asked = false;
    let call = match client.place.next_within(silence(cx, Interface::Iterator)).await? {
        (_, Some(call)) => call,
        // One that dials again only when it is asked.
        (_, None) => {
            is_asked = true;
            client.app.ask("take", json!({})).await?;
            client.redial(cx, QUEUE_REDIAL_1).await?
        }
    };
    let mut connection = Connection::of(cx, call).await?;
    connection.welcome(&cx.token(8)).await;
    let last = connection.auth.look().ok().and_then(|auth| auth["last_offset"].as_i64());
    connection.push(last.map_or(1, |last| last + 1)..=6).await;
    if !is_asked {
        client.app.ask("take", json!({})).await?;
    }
    let told: Vec<Value> = client.delivered_up_to(6).await?.into_iter().map(Value::from).collect();
    let all = alternative(
        "the offsets 3, 4, 5 and 6 delivered, in this order where each comes for the first time",
        |told: &Vec<Value>| {
            let mut first = TAKEN.map(Value::from).to_vec();
            for offset in told {
                if !first.contains(offset) {
                    first.push(offset.clone());
                }
            }
            first == [1, 2, 3, 4, 5, 6]
        },
    );
    cx.expect(QUEUE_DELIVERY_12, &connection.told(told), &[all])?;
    Ok(())
}

pub(super) async fn at_a_final_close(cx: &Cx) -> Outcome {
    let (mut client, mut connection) = owner_behind(cx).await?;
    let seen = connection.told(());
    connection.peer.close(4100, "").await;
    // Whatever it answers; from one that reads no further before it is asked nothing comes.
    let _ = connection.peer.quiet(READ).await;
    // To some the connection is open until TCP ends. They have time to find out.
    drop(connection);
    let still = client.still(cx, READ).await?;
    cx.need(QUEUE_REDIAL_5, &still, &[alternative("no dial", Option::is_none)])?;
    client.app.ask("take", json!({})).await?;
    let told: Vec<Value> = told_up_to(&mut client, 4).await?;
    cx.expect(QUEUE_DELIVERY_13, &seen.map(|()| told), &[delivered(&[3, 4])])?;
    Ok(())
}
