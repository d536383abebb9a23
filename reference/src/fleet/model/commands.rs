//! Commands: what agents are told to do, and what operators are answered.

use super::{
    Answer, Ask, Effect, FleetModel, Record, Said, State, connections, holds, placement, state::Connection,
    violations,
};
use crate::model::Decision;
use std::sync::Arc;
use wireproof_spec::{
    fleet::{Ack, Cause, Cmd, CreateRequest, Op, RoomInfo, Status},
    json::Count,
};

/// How many commands may be in flight on one connection.
pub const MOST_COMMANDS: usize = 32;

/// A command in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The connection on which it was sent.
    pub connection: u64,
    /// The request that waits for it; none if it is gone.
    pub session: Option<u64>,
    /// Until when its Ack counts, in milliseconds since 1970.
    pub deadline: u64,
    /// What is to be done.
    pub task: Task,
}

/// What an agent is told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Make a room, whose id is held.
    Create {
        /// Its id.
        room: Arc<str>,
        /// Its type.
        kind: String,
    },
    /// End a room.
    Destroy,
    /// Have this status.
    Status(Status),
}

/// The cmdId of the command with this number.
fn cmd_id(number: u64) -> String {
    format!("cmd_{number}")
}

/// The command with this cmdId; none if it is not spelled as [`cmd_id`] spells it.
fn number(id: &str) -> Option<u64> {
    id.strip_prefix("cmd_")?.parse().ok().filter(|number| cmd_id(*number) == id)
}

/// A request that an agent is asked about. Without an answer it waits.
pub(super) fn ask(
    state: &State,
    now: u64,
    session: u64,
    ask: &Ask,
    decision: &mut Decision<FleetModel>,
) -> Option<Answer> {
    let case = Case { state, now, session };
    let answer = match ask {
        Ask::CreateRoom { request, random, timeout_ms } => {
            case.create(request, random, *timeout_ms, decision)
        }
        Ask::DestroyRoom { id, timeout_ms } => case.destroy(id, *timeout_ms, decision),
        Ask::Drain { id, drain, timeout_ms } => case.drain(id, *drain, *timeout_ms, decision),
        _ => Ok(()),
    };
    answer.err().map(Answer::Refused)
}

#[derive(Clone, Copy)]
struct Case<'a> {
    state: &'a State,
    now: u64,
    session: u64,
}

impl Case<'_> {
    /// The id is looked at before the place: one that is taken is taken wherever the room were to go.
    fn create(
        self,
        request: &CreateRequest,
        random: &[u8; 32],
        timeout_ms: u64,
        decision: &mut Decision<FleetModel>,
    ) -> Result<(), Cause> {
        let room: Arc<str> = match &request.room_id {
            Some(id) if holds::is_taken(self.state, id.as_str()) => return Err(Cause::RoomExists),
            Some(id) => id.as_str().into(),
            None => holds::made_up(self.state, random).into(),
        };
        let kind = request.kind.as_str().to_owned();
        let connection = placement::place(self.state, &kind, request.placement.as_ref(), random)?;
        let cmd = (Op::Create, Some(room.as_ref().to_owned()), Some(kind.clone()));
        self.send(connection, timeout_ms, Task::Create { room, kind }, cmd, decision)
    }

    fn destroy(self, id: &str, timeout_ms: u64, decision: &mut Decision<FleetModel>) -> Result<(), Cause> {
        let (connection, room) = self.state.room(id).ok_or(Cause::RoomNotFound)?;
        let cmd = (Op::Destroy, Some(room.raw.as_ref().to_owned()), None);
        self.send(connection, timeout_ms, Task::Destroy, cmd, decision)
    }

    fn drain(
        self,
        id: &str,
        drain: bool,
        timeout_ms: u64,
        decision: &mut Decision<FleetModel>,
    ) -> Result<(), Cause> {
        let (connection, _) = self.state.shown(id).ok_or(Cause::InstanceNotFound)?;
        let (op, status) = if drain { (Op::Drain, Status::Draining) } else { (Op::Undrain, Status::Active) };
        self.send(connection, timeout_ms, Task::Status(status), (op, None, None), decision)
    }

    fn send(
        self,
        connection: u64,
        timeout_ms: u64,
        task: Task,
        (op, room_id, room_type): (Op, Option<String>, Option<String>),
        decision: &mut Decision<FleetModel>,
    ) -> Result<(), Cause> {
        if self.state.in_flight(connection) >= MOST_COMMANDS {
            return Err(Cause::InstanceBusy);
        }
        let number = self.state.cmds.saturating_add(1);
        let deadline = self.now.saturating_add(timeout_ms);
        let command = Command { connection, session: Some(self.session), deadline, task };
        decision.records.push(Record::Sent { number, command });
        let cmd = Cmd { cmd_id: cmd_id(number), op, room_id, room_type };
        decision.effects.push(Effect::Send { connection, said: Said::Cmd(cmd) });
        Ok(())
    }
}

/// An Ack came. One that nobody waits for ends its connection.
pub(super) fn acknowledged(
    state: &State,
    connection: u64,
    known: &Connection,
    ack: &Ack,
    decision: &mut Decision<FleetModel>,
) {
    let found = number(&ack.cmd_id).and_then(|number| Some((number, state.commands.get(&number)?)));
    let Some((number, command)) = found.filter(|(_, command)| command.connection == connection) else {
        return connections::end(state, connection, violations::UNSOLICITED, decision);
    };
    let answer = match &command.task {
        Task::Create { .. } if !ack.ok && ack.exists == Some(true) => Answer::Refused(Cause::RoomExists),
        _ if !ack.ok => Answer::Refused(Cause::CommandFailed),
        Task::Create { room, kind } => created(known, room, kind),
        Task::Destroy => Answer::Done,
        Task::Status(status) => {
            let shown = known.instance.as_ref().map(|instance| &instance.status);
            let status = Some(status).filter(|status| shown != Some(*status)).cloned();
            decision.records.push(Record::Overridden { connection, status });
            Answer::Done
        }
    };
    settle(number, command, answer, ack.ok, decision);
}

/// The room as it was asked for: the read model does not know it yet.
fn created(known: &Connection, room: &str, kind: &str) -> Answer {
    let endpoint_url = known.instance.as_ref().map(|instance| instance.info.endpoint_url.clone());
    Answer::Created(RoomInfo {
        id: room.to_owned(),
        kind: kind.to_owned(),
        connections: Count::new(0).expect("zero"),
        instance_id: known.id.as_ref().to_owned(),
        endpoint_url: endpoint_url.unwrap_or_default(),
        local: false,
    })
}

/// No Ack came in time. The room may be there all the same, so that its id stays held.
pub(super) fn timed_out(state: &State, number: u64, decision: &mut Decision<FleetModel>) {
    if let Some(command) = state.commands.get(&number) {
        settle(number, command, Answer::Refused(Cause::CommandTimeout), true, decision);
    }
}

/// The connection is gone. What is known of it goes with it, so that nothing is left to settle but the request.
pub(super) fn disconnected(state: &State, number: u64, decision: &mut Decision<FleetModel>) {
    if let Some(session) = state.commands.get(&number).and_then(|command| command.session) {
        let answer = Answer::Refused(Cause::InstanceDisconnected);
        decision.effects.push(Effect::Answer { session, answer });
    }
}

fn settle(number: u64, command: &Command, answer: Answer, held: bool, decision: &mut Decision<FleetModel>) {
    decision.records.push(Record::Settled { number, held });
    if let Some(session) = command.session {
        decision.effects.push(Effect::Answer { session, answer });
    }
}
