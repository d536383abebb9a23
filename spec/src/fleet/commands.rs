//! Commands: what an agent is told to do, and what it says to that.

use super::{
    frames::{frame, terms},
    requirements::{FLEET_MESSAGE_3, FLEET_MESSAGE_15},
};
use crate::json::Rule;

/// What a Cmd says beyond its types.
const CMD: &[Rule<Cmd>] = &[
    Rule {
        at: "cmdId",
        expected: "an id that is not empty",
        holds: |cmd| !cmd.cmd_id.is_empty(),
        schema: r#"{ "properties": { "cmdId": { "minLength": 1 } } }"#,
    },
    Rule {
        at: "roomId",
        expected: "a room with create and destroy",
        holds: |cmd| cmd.room_id.is_some() || !matches!(cmd.op, Op::Create | Op::Destroy),
        schema: r#"{
            "if": { "properties": { "op": { "enum": ["create", "destroy"] } } },
            "then": { "required": ["roomId"] }
        }"#,
    },
    Rule {
        at: "roomType",
        expected: "a type with create",
        holds: |cmd| cmd.room_type.is_some() || cmd.op != Op::Create,
        schema: r#"{
            "if": { "properties": { "op": { "const": "create" } } },
            "then": { "required": ["roomType"] }
        }"#,
    },
];

/// What an Ack says beyond its types.
const ACK: &[Rule<Ack>] = &[
    Rule {
        at: "error",
        expected: "none where ok is true",
        holds: |ack| !ack.ok || ack.error.as_deref().unwrap_or_default().is_empty(),
        schema: r#"{ "if": { "properties": { "ok": { "const": true } } }, "then": { "properties": { "error": { "maxLength": 0 } } } }"#,
    },
    Rule {
        at: "exists",
        expected: "no true where ok is true",
        holds: |ack| !(ack.ok && ack.exists == Some(true)),
        schema: r#"{ "if": { "properties": { "ok": { "const": true } } }, "then": { "properties": { "exists": { "const": false } } } }"#,
    },
    Rule {
        at: "alreadyGone",
        expected: "no true where ok is false",
        holds: |ack| ack.ok || ack.already_gone != Some(true),
        schema: r#"{ "if": { "properties": { "ok": { "const": false } } }, "then": { "properties": { "alreadyGone": { "const": false } } } }"#,
    },
    Rule {
        at: "room",
        expected: "nothing where ok is false",
        holds: |ack| ack.ok || ack.room.is_none(),
        schema: r#"{ "if": { "properties": { "ok": { "const": false } } }, "then": { "properties": { "room": false } } }"#,
    },
];

terms! {
    /// What is to be done. A word that is none of these is refused in the acknowledgement.
    Op, absent = Self::Other(String::new()), others = false;
    /// Make a room.
    Create = "create",
    /// End a room.
    Destroy = "destroy",
    /// Take no new rooms.
    Drain = "drain",
    /// Take new rooms again.
    Undrain = "undrain",
}

frame! {
    /// A command.
    Cmd = "fleet/cmd", names = |_| FLEET_MESSAGE_3, rules = CMD;
    /// What the acknowledgement is known by.
    1 cmd_id: String = "cmdId",
    /// What is to be done.
    2 op: Op = "op",
    /// The room, by the id that the agent knows it by.
    3 room_id: Option<String> = "roomId",
    /// The type of the room.
    4 room_type: Option<String> = "roomType",
}

frame! {
    /// The room that a command made.
    AckRoom;
    /// Its id, as the agent knows it.
    1 id: String = "id",
    /// Its type.
    2 kind: String = "type",
}

frame! {
    /// What became of a command.
    Ack = "fleet/ack", names = |_| FLEET_MESSAGE_15, rules = ACK;
    /// The command.
    1 cmd_id: String = "cmdId",
    /// Whether it was done.
    2 ok: bool = "ok",
    /// Why not, for people.
    3 error: Option<String> = "error",
    /// That there was no such room to end.
    4 already_gone: Option<bool> = "alreadyGone",
    /// The room that was made.
    5 room: Option<AckRoom> = "room",
    /// That the id of the room to be made is taken.
    6 exists: Option<bool> = "exists",
}
