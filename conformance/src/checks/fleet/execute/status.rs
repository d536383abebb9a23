//! Cmds that set the status, and those that nobody knows.

use super::*;

fn drain(drain: bool) -> (Cmd, Status, &'static str) {
    if drain {
        (command(Op::Drain, None, None), Status::Draining, "draining")
    } else {
        (command(Op::Undrain, None, None), Status::Active, "active")
    }
}

pub(super) async fn drains(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    for draining in [true, false, true, false] {
        let hash = connection.hash(cx)?;
        let (cmd, status, word) = drain(draining);
        let (cmd, seen) = connection.tell(cmd).await?;
        cx.expect(FLEET_EXECUTE_16, &seen, &[acked(&cmd, "ok", |ack| ack.ok)])?;
        let (poll, seen) = connection.ask(Some(&hash)).await?;
        let told = poll_of(&poll, &format!("a snapshot with the status {word}"), move |snapshot| {
            snapshot.status == status
        });
        cx.expect(FLEET_EXECUTE_16, &seen, &[told])?;
        connection.snapshot(cx).await?;
    }
    Ok(())
}

pub(super) async fn twice(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    // An agent is active from the beginning.
    for (n, draining) in [false, true, true, true, false, false].into_iter().enumerate() {
        let (cmd, _, _) = drain(draining);
        let (cmd, seen) = connection.tell(cmd).await?;
        cx.expect(FLEET_EXECUTE_17, &seen, &[acked(&cmd, "ok", |ack| ack.ok)])?;
        if n == 2 {
            connection.snapshot(cx).await?;
        }
    }
    Ok(())
}

pub(super) async fn unknown_op(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    connection.done(cx, create("a", KINDS[0])).await?;
    connection.snapshot(cx).await?;
    let hash = connection.hash(cx)?;
    for op in ["", "restart", "Drain", "drained", "CREATE", "destroy "] {
        let op = Op::Other(op.into());
        let (cmd, seen) = connection.tell(command(op, Some("a"), Some(KINDS[0]))).await?;
        cx.expect(FLEET_EXECUTE_18, &seen, &[acked(&cmd, "not ok", |ack| !ack.ok)])?;
        let (poll, seen) = connection.ask(None).await?;
        let known = hash.clone();
        let same = state_of(&poll, "with the hash of before", move |state| state.hash == known);
        cx.expect(FLEET_EXECUTE_18, &seen, &[same])?;
    }
    Ok(())
}
