//! What agents say, in all its forms, so that it is seen, and the shapes of all that every run saw of them.

use crate::{
    check::{Alternative, Body, Check, Cx, Outcome, alternative},
    checks::fleet::client::{
        Client, HEARTBEAT_MS, Heard, KINDS, Said, Start, acked, command, create, destroy, hello, state_of,
    },
    drives,
};
use serde_json::json;
use wireproof_spec::fleet::{Ack, Op, frames::Outer, requirements::*};

pub(in crate::checks::fleet) const CHECKS: &[Check] = &[
    Check::new("fleet/message/states", &[FLEET_MESSAGE_14], drives!(states)),
    Check::new("fleet/message/acks", &[FLEET_MESSAGE_15], drives!(acks)),
    Check::new("fleet/observed/state", &[FLEET_MESSAGE_14], Body::Observes(|o| o.shapes(FLEET_MESSAGE_14))),
    Check::new("fleet/observed/ack", &[FLEET_MESSAGE_15], Body::Observes(|o| o.shapes(FLEET_MESSAGE_15))),
];

/// That a State has the shape of one, with a snapshot or without.
fn whole(full: bool) -> Alternative<Heard> {
    let name =
        if full { "a snapshot with all that it has to have" } else { "a State with a hash and no more" };
    alternative(
        name,
        move |heard: &Heard| matches!(&heard.said, Said::State { state, wrong: None } if state.snapshot.is_some() == full),
    )
}

/// Of agents that were given everything and nothing.
async fn states(cx: &Cx) -> Outcome {
    let starts = [
        Start::new(cx),
        Start::new(cx).with("room_types", json!([])).with("auto_create", false),
        Start::new(cx)
            .with("labels", json!({"region": "eu", "": ""}))
            .with("max_connections", 0)
            .with("max_rooms", 2),
    ];
    for start in starts {
        let makes = *start.get("auto_create") != false;
        let mut client = Client::start(cx, start).await?;
        let mut connection = client.open(cx).await?;
        connection.hello(&hello(&cx.token(16), HEARTBEAT_MS)).await;
        for n in 0..2 {
            let (_, seen) = connection.ask(None).await?;
            let heard = cx.expect(FLEET_MESSAGE_14, &seen, &[whole(true)])?;
            let hash = heard.state().map(|state| state.hash.clone()).unwrap_or_default();
            let (poll, seen) = connection.ask(Some(&hash)).await?;
            cx.need(
                FLEET_REPORT_6,
                &seen,
                &[state_of(&poll, "hash-only", |state| state.snapshot.is_none())],
            )?;
            cx.expect(FLEET_MESSAGE_14, &seen, &[whole(false)])?;
            if makes && n == 0 {
                connection.done(cx, create("a", KINDS[0])).await?;
                connection.done(cx, command(Op::Drain, None, None)).await?;
            }
        }
    }
    Ok(())
}

/// That an Ack has the shape of one: what stands in it belongs there.
fn well_formed() -> Alternative<Heard> {
    alternative("an Ack in which nothing stands where it means nothing", |heard: &Heard| {
        let outer = Outer::decode(&heard.bytes).ok();
        let inner = outer.and_then(|outer| outer.payload);
        heard.ack().is_some() && inner.is_some_and(|inner| Ack::decode_frame(inner).is_ok())
    })
}

async fn acks(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    let cmds = [
        create("a", KINDS[0]),
        create("a", KINDS[0]),
        create("b", "unknown"),
        command(Op::Create, None, Some(KINDS[0])),
        command(Op::Drain, None, None),
        command(Op::Undrain, None, None),
        command(Op::Other("x".into()), None, None),
        destroy("a"),
        destroy("a"),
        command(Op::Destroy, None, None),
    ];
    for cmd in cmds {
        let (cmd, seen) = connection.tell(cmd).await?;
        cx.need(FLEET_EXECUTE_1, &seen, &[acked(&cmd, "", |_| true)])?;
        cx.expect(FLEET_MESSAGE_15, &seen, &[well_formed()])?;
    }
    Ok(())
}
