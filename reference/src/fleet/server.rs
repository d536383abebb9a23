//! The shell of the orchestrator: one port for agents and operators, and the way from what they say through the core to what
//! they are told.

use super::{
    access::{self, Cors, Keys, Throttle},
    events::{self, Listener, Written},
    model::{Answer, Ask, Effect, FleetModel, Input},
    routes::{self, Answered, Origin},
    seams::{MapEvents, MapLine},
    settings::{self, ConfigError, Limits, Options, Print},
    socket::{self, Handshake, Lines},
};
pub use crate::shell::Running;
use crate::{
    core::{Core, Sink},
    http::{self, Beyond, Bounds, Front, Unanswered},
    shell::{self, Ending, Serving, listen, supervise},
};
use bytes::Bytes;
use http_body_util::{Either, Full, StreamBody};
use hyper::body::Incoming;
use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher, RandomState},
    net::IpAddr,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    net::TcpStream,
    sync::{Notify, mpsc, oneshot, watch},
    task::JoinSet,
};
use tokio_rustls::rustls::crypto::{SecureRandom, ring};
use wireproof_spec::{
    fleet::{Action, Cause, Route},
    http::{Request, Response},
};

/// How many inputs wait for the core before whoever has another one waits too. Each may hold a message of an agent.
const INPUTS: usize = 256;

/// Why an orchestrator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It cannot be set up so.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It cannot listen.
    #[error(transparent)]
    Shell(#[from] shell::Error),
}

/// The orchestrator of the fleet protocol.
#[derive(Debug)]
pub enum Server {}

impl Server {
    /// Listens, polls agents and answers operators. Rules of production are not looked at, and warnings not told:
    /// [`settings::check`].
    ///
    /// # Errors
    /// It cannot be set up so, or the address cannot be used.
    pub async fn start(options: Options) -> Result<Running, StartError> {
        settings::check(&options, false)?;
        let Options {
            addr,
            agent_keys,
            admin_keys,
            api,
            cors,
            sse_query_auth,
            trust_proxy,
            hash_verified,
            limits,
            print,
            seams,
        } = options;
        let core = Core::<FleetModel>::open(None, None, seams.port).map_err(shell::Error::from)?;
        let listener = listen(addr).map_err(|error| shell::Error::Listen(addr, error))?;
        let addr = listener.local_addr().map_err(|error| shell::Error::Listen(addr, error))?;

        let (inputs, queue) = mpsc::channel(INPUTS);
        let sessions = Arc::new(Sessions {
            most: limits.event_buffer,
            lag: Duration::from_millis(limits.event_lag_ms),
            all: Mutex::default(),
        });
        let lines = Arc::new(Lines::new(limits.max_buffered));
        let sink = sink(Arc::clone(&sessions), Arc::clone(&lines));
        let Limits { throttle_tokens, throttle_window_ms, throttle_buckets, .. } = limits;
        let shared = Shared {
            limits,
            api,
            sse_query_auth,
            trust_proxy,
            hash_verified,
            agents: Keys::new(&agent_keys),
            admins: Keys::new(&admin_keys),
            cors: Cors::new(cors),
            throttle: Mutex::new(Throttle::new(throttle_tokens, throttle_window_ms, throttle_buckets)),
            started: Instant::now(),
            ends: AtomicBool::new(false),
            http: Front {
                bounds: Bounds {
                    max_head: limits.max_head,
                    head_ms: limits.head_ms,
                    max_body: limits.max_body,
                    body_ms: limits.body_ms,
                    write_ms: limits.write_ms,
                },
                seams: seams.http,
            },
            events: seams.events,
            log: print.map(|print| Log { print, line: seams.line }),
            wires: socket::Wires {
                frames: seams.frames,
                heard: seams.heard,
                written: seams.written,
                linger: seams.linger,
            },
            inputs,
            sessions,
            lines,
            next: AtomicU64::new(1),
        };
        let mut running = JoinSet::new();
        running.spawn(core.run(queue, sink));
        let (stop, stopped) = watch::channel(Ending::Not);
        let serving = Fleet(Arc::new(shared));
        let task = tokio::spawn(supervise(listener, limits.connections, serving, running, stopped));
        Ok(Running { addr, root: format!("http://{addr}"), stop, task })
    }
}

/// Bytes that nobody can guess.
pub(super) fn random<const N: usize>() -> [u8; N] {
    static SOURCE: LazyLock<&'static dyn SecureRandom> =
        LazyLock::new(|| ring::default_provider().secure_random);
    let mut bytes = [0; N];
    if SOURCE.fill(&mut bytes).is_err() {
        // Without a source of the system ids are at least different.
        for chunk in bytes.chunks_mut(8) {
            let some = RandomState::new().build_hasher().finish().to_le_bytes();
            chunk.iter_mut().zip(some).for_each(|(byte, random)| *byte = random);
        }
    }
    bytes
}

/// Whom answers and events go to.
pub(super) struct Sessions {
    /// More bytes than this may not wait for one reader of events for longer than that.
    most: usize,
    lag: Duration,
    all: Mutex<HashMap<u64, Client>>,
}

/// A request that waits for its answer, and may then listen.
struct Client {
    answer: Option<oneshot::Sender<Answer>>,
    listener: Option<Listener>,
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Client>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, session: u64, answer: Answer) {
        let mut all = self.lock();
        let stays = answer == Answer::Listening;
        let waiting = match all.get_mut(&session) {
            Some(client) if stays && client.listener.is_some() => client.answer.take(),
            Some(_) => all.remove(&session).and_then(|client| client.answer),
            None => None,
        };
        // The session may have ended at this moment.
        let _ = waiting.map(|waiting| waiting.send(answer));
    }

    fn tell(&self, sessions: &[u64], event: &Arc<Written>) {
        let mut all = self.lock();
        for session in sessions {
            let listener = all.get_mut(session).and_then(|client| client.listener.as_mut());
            if listener.is_some_and(|listener| !listener.tell(event, self.most, self.lag)) {
                all.remove(session);
            }
        }
    }

    fn end(&self, sessions: &[u64]) {
        let mut all = self.lock();
        for session in sessions {
            all.remove(session);
        }
    }
}

/// Takes each effect to where it belongs. Whoever is gone gets nothing.
fn sink(sessions: Arc<Sessions>, lines: Arc<Lines>) -> Sink<FleetModel> {
    Box::new(move |effect| match effect {
        Effect::Send { connection, said } => lines.say(connection, &said),
        Effect::Close { connection, code, reason } => lines.close(connection, code, reason),
        Effect::Answer { session, answer } => sessions.answer(session, answer),
        // Written once for all.
        Effect::Tell { sessions: to, event } if !to.is_empty() => {
            sessions.tell(&to, &Arc::new(Written::new(&event)));
        }
        Effect::Tell { .. } => {}
        Effect::EndEvents { sessions: to } => sessions.end(&to),
    })
}

/// What is printed of requests.
struct Log {
    print: Print,
    line: Option<MapLine>,
}

impl Log {
    /// Prints a line of a request and its answer: the method and the route, for a key may stand in anything else.
    fn tell(&self, request: &Request, reply: &Response) {
        let known = Route::decode(request).ok().map(|route| route.action.operation());
        let route =
            known.map_or_else(|| "no route".to_owned(), |known| format!("{} {}", known.method, known.path));
        let mut line = format!("{route} {}", reply.status);
        if let Some(map) = &self.line {
            map(request, &mut line);
        }
        (self.print)(&line);
    }
}

/// What all connections of an orchestrator use.
pub(super) struct Shared {
    pub(super) limits: Limits,
    pub(super) api: bool,
    sse_query_auth: bool,
    pub(super) trust_proxy: bool,
    pub(super) hash_verified: bool,
    pub(super) agents: Keys,
    admins: Keys,
    pub(super) cors: Cors,
    throttle: Mutex<Throttle>,
    started: Instant,
    ends: AtomicBool,
    http: Front,
    pub(super) events: Option<MapEvents>,
    log: Option<Log>,
    pub(super) wires: socket::Wires,
    pub(super) inputs: mpsc::Sender<Input>,
    sessions: Arc<Sessions>,
    pub(super) lines: Arc<Lines>,
    next: AtomicU64,
}

impl Shared {
    /// Whether the orchestrator is about to stop.
    pub(super) fn ends(&self) -> bool {
        self.ends.load(Ordering::Relaxed)
    }

    /// The right key of a request, or why it is refused. A wrong one costs its address a token.
    pub(super) fn admit<'a>(
        &self,
        request: &'a Request,
        address: Option<IpAddr>,
        action: Action,
    ) -> Result<&'a str, Cause> {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        if throttle.blocks(address, now) {
            return Err(Cause::AuthThrottled);
        }
        let queried = || request.query.get("key").filter(|_| action == Action::Events && self.sse_query_auth);
        let known = |key: &&str| self.admins.knows(key);
        match access::bearer(request).filter(known).or_else(|| queried().filter(known)) {
            Some(key) => Ok(key),
            None => {
                throttle.take(address, now);
                Err(Cause::Unauthorized)
            }
        }
    }

    /// Tells the core from where nobody can wait.
    pub(super) fn tell(&self, input: Input) {
        if let Err(mpsc::error::TrySendError::Full(input)) = self.inputs.try_send(input)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let inputs = self.inputs.clone();
            // The core may end before it.
            runtime.spawn(async move { inputs.send(input).await });
        }
    }
}

/// The orchestrator as its supervisor sees it.
struct Fleet(Arc<Shared>);

impl Serving for Fleet {
    fn connection(
        &self,
        stream: TcpStream,
        stop: watch::Receiver<Ending>,
    ) -> impl Future<Output = ()> + Send + 'static {
        connection(stream, Arc::clone(&self.0), stop)
    }

    async fn stopping(&self) {
        self.0.ends.store(true, Ordering::Relaxed);
        // An error means that the core has ended, and then it says why.
        let _ = self.0.inputs.send(Input::Stopping).await;
    }
}

/// Serves one connection to its end.
async fn connection(stream: TcpStream, shared: Arc<Shared>, mut stop: watch::Receiver<Ending>) {
    let Some(io) = shared.http.accept(stream) else { return };
    let serve = {
        let shared = Arc::clone(&shared);
        move |beyond, request| serve(Arc::clone(&shared), beyond, request)
    };
    // On the heap, so that a connection that has upgraded a WebSocket does not keep the room of one of HTTP.
    let upgraded = Box::pin(shared.http.connection(io, &mut stop, serve)).await;
    if let Some((io, handshake)) = upgraded {
        socket::serve(io, shared, handshake, stop).await;
    }
}

/// An answer at once, or an event stream.
type Reply = hyper::Response<Either<Full<Bytes>, StreamBody<events::Body>>>;

async fn serve(
    shared: Arc<Shared>,
    beyond: Arc<Beyond<Handshake>>,
    request: hyper::Request<Incoming>,
) -> Result<Reply, Unanswered> {
    let (request, unread) = shared.http.request(request).await?;
    let origin = Origin { peer: beyond.peer, cut: &beyond.cut };
    let Answered { mut reply, listening } = routes::answer(&shared, &request, unread, origin).await?;
    shared.cors.leave(&request, &mut reply);
    if let Some(log) = &shared.log {
        log.tell(&request, &reply);
    }
    shared.http.reply(&request, &mut reply, &beyond).await?;
    if reply.status == 101 && socket::is_handshake(&request) {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        beyond.upgrade(Handshake { request, number });
        return Ok(http::response(reply, Either::Left(Full::default())));
    }
    let body = match listening {
        // A seam may have made another answer of it.
        Some(listening) if reply.status == 200 => {
            Either::Right(StreamBody::new(events::body(listening, &request)))
        }
        _ => Either::Left(Full::new(std::mem::take(&mut reply.body.0))),
    };
    Ok(http::response(reply, body))
}

/// A session with the core: a request that waits for its answer, or a reader of events.
///
/// Whoever holds it drops it when the client has gone away, and the session ends.
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    session: u64,
    /// Whether the core knows nothing of it.
    over: bool,
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let session = shared.next.fetch_add(1, Ordering::Relaxed);
        Self { shared, session, over: true }
    }

    /// Asks the core; none if the server has ended.
    pub(super) async fn ask(&mut self, ask: Ask) -> Option<Answer> {
        self.asked(ask, None).await
    }

    /// Asks the core for events, which go on behind the answer if it is that they follow. The connection ends when it is cut.
    pub(super) async fn listen(&mut self, ask: Ask, cut: Arc<Notify>) -> Option<(Answer, events::Waiting)> {
        let (listener, waiting) = events::waiting(cut);
        Some((self.asked(ask, Some(listener)).await?, waiting))
    }

    async fn asked(&mut self, ask: Ask, listener: Option<Listener>) -> Option<Answer> {
        let (waiting, answer) = oneshot::channel();
        let client = Client { answer: Some(waiting), listener };
        self.shared.sessions.lock().insert(self.session, client);
        self.over = false;
        self.shared.inputs.send(Input::Ask { session: self.session, ask }).await.ok()?;
        let answer = answer.await.ok()?;
        self.over = answer != Answer::Listening;
        Some(answer)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        self.shared.sessions.lock().remove(&self.session);
        self.shared.tell(Input::Gone { session: self.session });
    }
}
