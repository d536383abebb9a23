//! The reference of the dummy protocol: a model behind a port, a thin shell, and the defects around both.

use super::{
    checks::{RING, TIMES},
    client,
    requirements::*,
};
use futures_util::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_tungstenite::tungstenite::{Message, handshake::server::ErrorResponse};
use wireproof::{
    check::{BoxFuture, Hook},
    embed::reference::{
        log::Block,
        model::{Decision, Model, Port, honest},
    },
    protocol::{Cut, Defect, Reference},
    selftest::defects::{Breakage, port},
    target::{Fault, Hooks, Stimuli, Target},
};

pub(super) static BELL: Bell = Bell;

pub(super) struct Bell;

/// Agents by connection, and how often the bell was rung.
#[derive(Clone, Default)]
pub(super) struct State {
    agents: BTreeSet<u64>,
    rings: u8,
}

#[derive(Clone)]
pub(super) enum Input {
    Agent(u64),
    Gone(u64),
    Ring,
    Time,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) enum Record {
    Came(u64),
    Went(u64),
    Rung,
}

/// Bytes for a connection.
#[derive(Clone)]
pub(super) struct Effect(u64, Vec<u8>);

pub(super) enum BellModel {}

impl Model for BellModel {
    type State = State;
    type Input = Input;
    type Record = Record;
    type Effect = Effect;

    fn decide(state: &State, _: u64, input: &Input) -> Decision<Self> {
        match input {
            Input::Agent(conn) => {
                let count = u8::try_from(state.agents.len() + 1).unwrap_or(u8::MAX);
                Decision { records: vec![Record::Came(*conn)], effects: vec![Effect(*conn, vec![1, count])] }
            }
            Input::Gone(conn) => Decision { records: vec![Record::Went(*conn)], effects: Vec::new() },
            Input::Ring => {
                let number = state.rings.wrapping_add(1);
                let effects = state.agents.iter().map(|conn| Effect(*conn, vec![2, number])).collect();
                Decision { records: vec![Record::Rung], effects }
            }
            Input::Time => Decision::default(),
        }
    }

    fn apply(state: &mut State, record: &Record) {
        match record {
            Record::Came(conn) => {
                state.agents.insert(*conn);
            }
            Record::Went(conn) => {
                state.agents.remove(conn);
            }
            Record::Rung => state.rings = state.rings.wrapping_add(1),
        }
    }

    fn wake_at(_: &State) -> Option<u64> {
        None
    }

    fn durable(_: &Record) -> bool {
        false
    }

    fn block(_: &Record) -> Option<Block> {
        None
    }

    fn tick() -> Input {
        Input::Time
    }

    fn started() -> Input {
        Input::Time
    }

    fn stopping() -> Input {
        Input::Time
    }
}

/// Where the reference can be broken: the port of its server, the answer of its client.
pub(super) struct Seams {
    pub port: Port<BellModel>,
    pub answer: client::Answer,
}

impl Seams {
    fn honest() -> Self {
        Self { port: honest::<BellModel>(), answer: client::honest() }
    }
}

fn through(port: Port<BellModel>) -> Seams {
    Seams { port, ..Seams::honest() }
}

const TABLE: &[Breakage<Seams>] = &[
    Breakage::second("bell/hello/counts-itself-only", BELL_HELLO_1, Cut::Port, || {
        through(port::rewrite(|state: &State, input: &Input, decision: &mut Decision<BellModel>| {
            if matches!(input, Input::Agent(_)) && !state.agents.is_empty() {
                decision.effects.iter_mut().for_each(|Effect(_, bytes)| bytes[1] = 1);
            }
        }))
    })
    .variant(SERVER),
    Breakage::second("bell/ring/number-stays", BELL_RING_1, Cut::Port, || {
        through(port::forget(|state: &State, input: &Input, _| {
            matches!(input, Input::Ring) && state.rings > 0
        }))
    })
    .variant(SERVER),
    Breakage::always("bell/ring/answers-another-number", BELL_RING_2, Cut::Wire, || Seams {
        answer: Box::new(|_| vec![0]),
        ..Seams::honest()
    })
    .variant(CLIENT),
    Breakage::second("bell/ring/second-answered-twice", BELL_RING_3, Cut::Wire, || {
        let rung = AtomicBool::new(false);
        let answer: client::Answer =
            Box::new(move |number| vec![number; 1 + usize::from(rung.swap(true, Ordering::Relaxed))]);
        Seams { answer, ..Seams::honest() }
    })
    .variant(CLIENT),
];

const SERVER: &str = "server";
const CLIENT: &str = "client";

pub(super) fn defects() -> Vec<&'static Defect> {
    TABLE.iter().map(|b| &b.defect).collect()
}

impl Reference for Bell {
    fn variants(&self) -> &'static [&'static str] {
        &[SERVER, CLIENT]
    }

    fn start<'a>(
        &'a self,
        variant: &'a str,
        defect: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Target, String>> {
        Box::pin(async move {
            let seams = move || {
                TABLE.iter().find(|b| Some(b.defect.id) == defect).map_or_else(Seams::honest, |b| (b.seams)())
            };
            if variant == CLIENT {
                let breakage = TABLE.iter().find(|b| Some(b.defect.id) == defect);
                let answer = move || breakage.map_or_else(Seams::honest, |b| (b.seams)()).answer;
                return Ok(Target::client("the client of bell", Arc::new(client::Client::new(answer))));
            }
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(|e| e.to_string())?;
            let url = format!("ws://{}", listener.local_addr().map_err(|e| e.to_string())?);
            let (inputs, queue) = mpsc::unbounded_channel();
            let ringer = Ringer(inputs.clone());
            let server = Server(tokio::spawn(serve(listener, seams().port, inputs, queue)));
            Ok(Target::server(&url)?.hooks(Arc::new(server)).stimuli(Arc::new(ringer)))
        })
    }
}

/// Runs until the target is dropped.
struct Server(JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Hooks for Server {
    fn offers(&self, _: Hook) -> bool {
        false
    }

    fn act(&self, _: Hook) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async { Err(Fault::Failed("a bell is not restarted".into())) })
    }
}

/// Rings the bell without an operator.
struct Ringer(mpsc::UnboundedSender<Input>);

impl Stimuli for Ringer {
    fn offers(&self, name: &str) -> bool {
        name == RING
    }

    fn act<'a>(
        &'a self,
        _: &'a str,
        given: &'a [(&'a str, &'a str)],
        _: &'a [u8],
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let times = given.iter().find(|(name, _)| *name == TIMES).and_then(|(_, n)| n.parse().ok());
            for _ in 0..times.ok_or("nobody says how often")? {
                self.0.send(Input::Ring).map_err(|_| "the bell is gone")?;
            }
            Ok(())
        })
    }
}

type Connections = Arc<Mutex<BTreeMap<u64, mpsc::UnboundedSender<Vec<u8>>>>>;

async fn serve(
    listener: TcpListener,
    mut port: Port<BellModel>,
    inputs: mpsc::UnboundedSender<Input>,
    mut queue: mpsc::UnboundedReceiver<Input>,
) {
    let connections = Connections::default();
    let mut tasks = tokio::task::JoinSet::new();
    let mut state = State::default();
    let mut next = 0;
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                next += 1;
                tasks.spawn(connection(stream, next, inputs.clone(), connections.clone()));
            }
            Some(input) = queue.recv() => {
                let decision = port(&state, 0, &input);
                decision.records.iter().for_each(|record| BellModel::apply(&mut state, record));
                let open = connections.lock().unwrap_or_else(PoisonError::into_inner);
                for Effect(conn, bytes) in decision.effects {
                    if let Some(out) = open.get(&conn) {
                        let _ = out.send(bytes);
                    }
                }
            }
        }
    }
}

#[expect(clippy::result_large_err, reason = "the callback's type is the library's")]
async fn connection(
    stream: TcpStream,
    conn: u64,
    inputs: mpsc::UnboundedSender<Input>,
    connections: Connections,
) {
    let _ = stream.set_nodelay(true);
    let mut path = String::new();
    let accepted = tokio_tungstenite::accept_hdr_async(
        stream,
        |request: &tokio_tungstenite::tungstenite::handshake::server::Request, response| {
            path = request.uri().path().to_owned();
            Ok::<_, ErrorResponse>(response)
        },
    )
    .await;
    let Ok(mut socket) = accepted else { return };
    let (out, mut outgoing) = mpsc::unbounded_channel();
    let agent = path == "/agent";
    connections.lock().unwrap_or_else(PoisonError::into_inner).insert(conn, out);
    if agent {
        let _ = inputs.send(Input::Agent(conn));
    }
    loop {
        tokio::select! {
            Some(bytes) = outgoing.recv() => {
                if socket.send(Message::binary(bytes)).await.is_err() {
                    break;
                }
            }
            message = socket.next() => match message {
                Some(Ok(Message::Binary(bytes))) if !agent && bytes[..] == [0x10] => {
                    let _ = inputs.send(Input::Ring);
                }
                Some(Ok(_)) => {}
                _ => break,
            }
        }
    }
    connections.lock().unwrap_or_else(PoisonError::into_inner).remove(&conn);
    let _ = inputs.send(Input::Gone(conn));
}
