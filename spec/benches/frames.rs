//! Decoding and encoding frames of fleet against prost, a public library for Protocol Buffers, over the same bytes.
//!
//! `cargo bench -p wireproof-spec --features hash --bench frames`.

use divan::{Bencher, black_box, counter::BytesCount};
use wireproof_spec::fleet::{Cmd, Label, Origin, Snapshot, State, Status, SyncRoom};

fn main() {
    divan::main();
}

mod peer {
    //! The messages of spec/fleet.proto as prost has them.
    use prost::Message;

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Label {
        #[prost(string, optional, tag = "1")]
        pub(crate) key: Option<String>,
        #[prost(string, optional, tag = "2")]
        pub(crate) value: Option<String>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Capacity {
        #[prost(int32, optional, tag = "1")]
        pub(crate) max_connections: Option<i32>,
        #[prost(int32, optional, tag = "2")]
        pub(crate) max_rooms: Option<i32>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct SyncRoom {
        #[prost(string, optional, tag = "1")]
        pub(crate) id: Option<String>,
        #[prost(string, optional, tag = "2")]
        pub(crate) kind: Option<String>,
        #[prost(uint32, optional, tag = "3")]
        pub(crate) connections: Option<u32>,
        #[prost(string, optional, tag = "4")]
        pub(crate) origin: Option<String>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct State {
        #[prost(string, optional, tag = "1")]
        pub(crate) req_id: Option<String>,
        #[prost(bool, optional, tag = "2")]
        pub(crate) full: Option<bool>,
        #[prost(uint32, optional, tag = "3")]
        pub(crate) seq: Option<u32>,
        #[prost(string, optional, tag = "4")]
        pub(crate) hash: Option<String>,
        #[prost(string, optional, tag = "5")]
        pub(crate) name: Option<String>,
        #[prost(string, optional, tag = "6")]
        pub(crate) process_uid: Option<String>,
        #[prost(string, optional, tag = "7")]
        pub(crate) agent_version: Option<String>,
        #[prost(uint32, optional, tag = "8")]
        pub(crate) protocol_version: Option<u32>,
        #[prost(string, optional, tag = "9")]
        pub(crate) endpoint_url: Option<String>,
        #[prost(message, repeated, tag = "10")]
        pub(crate) labels: Vec<Label>,
        #[prost(message, optional, tag = "11")]
        pub(crate) capacity: Option<Capacity>,
        #[prost(bool, optional, tag = "12")]
        pub(crate) auto_create: Option<bool>,
        #[prost(string, repeated, tag = "13")]
        pub(crate) room_types: Vec<String>,
        #[prost(message, repeated, tag = "14")]
        pub(crate) rooms: Vec<SyncRoom>,
        #[prost(string, optional, tag = "15")]
        pub(crate) status: Option<String>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Cmd {
        #[prost(string, optional, tag = "1")]
        pub(crate) cmd_id: Option<String>,
        #[prost(string, optional, tag = "2")]
        pub(crate) op: Option<String>,
        #[prost(string, optional, tag = "3")]
        pub(crate) room_id: Option<String>,
        #[prost(string, optional, tag = "4")]
        pub(crate) room_type: Option<String>,
    }
}

/// A State with so many rooms.
fn state(rooms: u32) -> Vec<u8> {
    let room = |n| SyncRoom {
        id: format!("room-{n}"),
        kind: "match".into(),
        connections: n % 300,
        origin: Origin::Fleet,
    };
    let snapshot = Snapshot {
        name: "eu1".into(),
        process_uid: "p_000102030405060708090a0b".into(),
        agent_version: "8.0.0".into(),
        protocol_version: 3,
        endpoint_url: "wss://eu1.game.example.com".into(),
        labels: vec![Label { key: "region".into(), value: "eu".into() }],
        capacity: wireproof_spec::fleet::Capacity { max_connections: Some(2000), max_rooms: None },
        auto_create: true,
        room_types: vec!["lobby".into(), "match".into()],
        rooms: (0..rooms).map(room).collect(),
        status: Status::Active,
    };
    let hash = snapshot.hash();
    State { req_id: "poll_1".into(), seq: 1, hash, snapshot: Some(snapshot) }.encode_frame()
}

/// The frames: a State with so many rooms.
const ROOMS: [u32; 3] = [0, 10, 1000];

#[divan::bench(args = ROOMS, sample_size = 50)]
fn decode_state(bencher: Bencher<'_, '_>, rooms: u32) {
    let frame = state(rooms);
    bencher
        .counter(BytesCount::new(frame.len()))
        .bench(|| State::decode_frame(black_box(&frame)).expect("a State"));
}

#[divan::bench(args = ROOMS, sample_size = 50)]
fn decode_state_prost(bencher: Bencher<'_, '_>, rooms: u32) {
    let frame = state(rooms);
    bencher
        .counter(BytesCount::new(frame.len()))
        .bench(|| <peer::State as prost::Message>::decode(&black_box(&frame)[2..]).expect("a State"));
}

#[divan::bench(args = ROOMS, sample_size = 50)]
fn encode_state(bencher: Bencher<'_, '_>, rooms: u32) {
    let state = State::decode_frame(&state(rooms)).expect("a State");
    bencher.bench(|| black_box(&state).encode_frame());
}

#[divan::bench(args = ROOMS, sample_size = 50)]
fn encode_state_prost(bencher: Bencher<'_, '_>, rooms: u32) {
    let state = <peer::State as prost::Message>::decode(&state(rooms)[2..]).expect("a State");
    bencher.bench(|| prost::Message::encode_to_vec(black_box(&state)));
}

const CMD: &[u8] = b"\x03\x00\x0a\x05cmd_1\x12\x06create\x1a\x03m-1\x22\x05match";

#[divan::bench(sample_size = 1000)]
fn decode_cmd(bencher: Bencher<'_, '_>) {
    bencher.bench(|| Cmd::decode_frame(black_box(CMD)).expect("a command"));
}

#[divan::bench(sample_size = 1000)]
fn decode_cmd_prost(bencher: Bencher<'_, '_>) {
    bencher.bench(|| <peer::Cmd as prost::Message>::decode(&black_box(CMD)[2..]).expect("a command"));
}

#[divan::bench(sample_size = 1000)]
fn encode_cmd(bencher: Bencher<'_, '_>) {
    let cmd = Cmd::decode_frame(CMD).expect("a command");
    bencher.bench(|| black_box(&cmd).encode_frame());
}

#[divan::bench(sample_size = 1000)]
fn encode_cmd_prost(bencher: Bencher<'_, '_>) {
    let cmd = <peer::Cmd as prost::Message>::decode(&CMD[2..]).expect("a command");
    bencher.bench(|| prost::Message::encode_to_vec(black_box(&cmd)));
}
