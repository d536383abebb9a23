//! Cmds as frames: which of them are acknowledged, and how often.

use super::*;
use crate::checks::fleet::client::talk::{broken, unknown_fields};
use std::collections::BTreeMap;
use wireproof_spec::fleet::frames::{header, put_bytes};

/// One after the other with all kinds of ids: what is said twice stands where the next Ack is awaited.
pub(super) async fn acknowledges(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    let long = "c".repeat(1_000);
    let ids = ["cmd_1", "0", "a b", "ü\u{1F600}\u{FFFD}", "\"\\\u{0}\n\r\u{7f}", "", &long, "cmd_2", "cmd_3"];
    let ops = [
        create("a", KINDS[0]),
        create("a", KINDS[0]),
        command(Op::Drain, None, None),
        command(Op::Other("x".into()), None, None),
        destroy("a"),
        destroy("a"),
        command(Op::Undrain, None, None),
    ];
    for (id, cmd) in ids.into_iter().zip(ops.iter().cycle()) {
        let cmd = Cmd { cmd_id: id.into(), ..cmd.clone() };
        connection.say("fleet/cmd", &cmd.encode_frame()).await;
        let seen = connection.next().await?;
        cx.expect(FLEET_EXECUTE_1, &seen, &[acked(&cmd, "", |_| true)])?;
    }
    let silence = connection.quiet(MOMENT).await?;
    cx.expect(FLEET_EXECUTE_1, &silence, &[nothing()])?;
    Ok(())
}

/// Cmds and Polls behind each other without a pause; Acks may come in any order, and States between them.
pub(super) async fn at_once(cx: &Cx) -> Outcome {
    /// Two Cmds each: as many as an orchestrator has under way.
    const ROOMS: usize = 16;
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    let mut expected: BTreeMap<String, bool> = BTreeMap::new();
    let mut polls = 0;
    for n in 0..ROOMS {
        for (cmd, ok) in [(create(&format!("r{n}"), KINDS[0]), true), (create("r0", KINDS[1]), false)] {
            let cmd = connection.cmd(cmd).await;
            expected.insert(cmd.cmd_id, ok);
        }
        if n % 8 == 7 {
            let _ = connection.poll(None, Status::Active).await;
            polls += 1;
        }
    }
    let mut seen = Vec::new();
    for _ in 0..expected.len() + polls {
        seen.push(connection.next().await?);
    }
    let all = alternative("an Ack for each Cmd and a State for each Poll", move |heard: &Vec<Heard>| {
        let acks: Vec<&Ack> = heard.iter().filter_map(Heard::ack).collect();
        let told: BTreeMap<String, bool> = acks.iter().map(|ack| (ack.cmd_id.clone(), ack.ok)).collect();
        let states = heard.iter().filter(|heard| heard.state().is_some()).count();
        acks.len() == told.len() && told == expected && states == polls
    });
    cx.expect(FLEET_EXECUTE_2, &Seen::all(seen), &[all])?;
    let (poll, seen) = connection.ask(None).await?;
    let made = poll_of(&poll, "a snapshot with each room once", |snapshot| {
        snapshot.rooms.len() == ROOMS
            && (0..ROOMS).all(|n| has(snapshot, &format!("r{n}"), KINDS[0], &Origin::Fleet))
    });
    cx.expect(FLEET_EXECUTE_2, &seen, &[made])?;
    Ok(())
}

/// Cmds of a later version.
pub(super) async fn newer(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    let cmd = |n: usize| Cmd { cmd_id: format!("newer_{n}"), ..create(&format!("r{n}"), KINDS[0]) };
    let with_minor = |cmd: &Cmd, minor| {
        let mut frame = cmd.encode_frame();
        frame[1] = minor;
        frame
    };
    let with_fields = |cmd: &Cmd, first: bool| {
        let frame = cmd.encode_frame();
        let (head, body) = frame.split_at(2);
        let fields = unknown_fields();
        if first { [head, &fields, body].concat() } else { [head, body, &fields].concat() }
    };
    let turned = |cmd: &Cmd| {
        let mut frame = header();
        put_bytes(&mut frame, 4, KINDS[0].as_bytes());
        put_bytes(&mut frame, 3, cmd.room_id.clone().unwrap_or_default().as_bytes());
        put_bytes(&mut frame, 2, b"create");
        put_bytes(&mut frame, 1, cmd.cmd_id.as_bytes());
        frame
    };
    let frames = [
        with_minor(&cmd(0), 1),
        with_minor(&cmd(1), 255),
        with_fields(&cmd(2), true),
        with_fields(&cmd(3), false),
        turned(&cmd(4)),
    ];
    for (n, frame) in frames.into_iter().enumerate() {
        connection.say("fleet/cmd", &frame).await;
        let seen = connection.next().await?;
        cx.expect(FLEET_EXECUTE_19, &seen, &[acked(&cmd(n), "ok", |ack| ack.ok)])?;
        let (poll, seen) = connection.ask(None).await?;
        let made = poll_of(&poll, "a snapshot with the room", move |snapshot| {
            snapshot.rooms.len() == n + 1 && has(snapshot, &format!("r{n}"), KINDS[0], &Origin::Fleet)
        });
        cx.expect(FLEET_EXECUTE_19, &seen, &[made])?;
    }
    Ok(())
}

/// The answer that comes next is that to the Cmd behind one that cannot be read, and it is as if there had been none.
pub(super) async fn malformed(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    let hash = connection.hash(cx)?;
    let cmd = Cmd { cmd_id: "cmd_0".into(), ..command(Op::Drain, None, None) };
    for (what, frame) in broken(&cmd.encode_frame()) {
        connection.say("fleet/cmd", &frame).await;
        let (next, seen) = connection.tell(destroy("never")).await?;
        let name = format!("behind a Cmd that is malformed ({what})");
        cx.expect(FLEET_EXECUTE_20, &seen, &[acked(&next, &name, |_| true)])?;
        let (poll, seen) = connection.ask(Some(&hash)).await?;
        cx.expect(FLEET_EXECUTE_20, &seen, &[hash_only(&poll, &hash)])?;
    }
    let silence = connection.quiet(MOMENT).await?;
    cx.expect(FLEET_EXECUTE_20, &silence, &[nothing()])?;
    Ok(())
}

/// A Cmd that was acknowledged comes once more.
pub(super) async fn again(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    let (cmd, seen) = connection.tell(create("a", KINDS[0])).await?;
    cx.need(FLEET_EXECUTE_3, &seen, &[acked(&cmd, "ok", |ack| ack.ok)])?;
    connection.say("fleet/cmd", &cmd.encode_frame()).await;
    let poll = connection.poll(None, Status::Active).await;
    let seen = connection.next().await?;
    let passed_over = snapshot(&poll);
    let passed_over =
        alternative("no second Ack before the next State", move |heard: &Heard| passed_over.holds(heard));
    let once_more = acked(&cmd, "once more", |_| true);
    let acked_again = cx.expect(FLEET_EXECUTE_21, &seen, &[once_more, passed_over])?.ack().is_some();
    if acked_again {
        connection_goes_on(cx, &mut connection, &poll).await?;
    }
    Ok(())
}

/// The State for a Poll comes, so that what was seen before it was an answer of an agent that goes on.
async fn connection_goes_on(
    cx: &Cx,
    connection: &mut Connection,
    poll: &wireproof_spec::fleet::Poll,
) -> Outcome {
    let seen = connection.next().await?;
    cx.need(FLEET_REPORT_1, &seen, &[snapshot(poll)])?;
    Ok(())
}
