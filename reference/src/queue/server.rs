//! The shell of the queue server: sockets, bounds and the way from a request through the core to its answer.

use super::{
    answer::Writing,
    calls,
    frames::Frames,
    message::{self, Asked, refuse},
    model::{Answer, Ask, Call, Effect, Input, QueueModel},
    seams::{Access, Limits, Parts, Seams},
    socket::{self, Handshake},
};
pub use crate::shell::{Error, Running};
use crate::{
    core::{Core, Sink},
    http::{self, Beyond, Bounds, Front, Unanswered, Unread},
    log::{Content, Lease},
    shell::{Ending, Serving, listen, supervise},
};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{body::Incoming, http::uri::Authority};
use std::{
    collections::HashMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};
use wireproof_spec::http::{Request, Response};

/// How many inputs wait for the core before requests wait to become one.
const INPUTS: usize = 1024;

/// How to start a server.
pub struct Options {
    /// Where to listen; port 0 for any.
    pub addr: SocketAddr,
    /// The directory in which state survives; without it state is in memory.
    pub data: Option<PathBuf>,
    /// The bounds.
    pub limits: Limits,
    /// What it can do beside the core.
    pub parts: Parts,
    /// Who may use it.
    pub access: Access,
    /// A text that subscribers get behind their AuthResponse and along with each ping: a keep-alive ("Connect").
    pub keep_alive: Option<&'static str>,
    /// Where it is broken.
    pub seams: Seams,
}

impl Default for Options {
    /// An honest server in memory on a free port of the loopback.
    fn default() -> Self {
        Self {
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            data: None,
            limits: Limits::default(),
            parts: Parts::default(),
            access: Access::default(),
            keep_alive: None,
            seams: Seams::honest(),
        }
    }
}

/// The server of the queue protocol.
#[derive(Debug)]
pub enum Server {}

impl Server {
    /// Recovers the state, listens and answers.
    ///
    /// # Errors
    /// The address or the data directory cannot be used.
    pub async fn start(options: Options) -> Result<Running, Error> {
        let Options { addr, data, limits, parts, access, keep_alive, seams } = options;
        let Seams { port, recovery, delivery, .. } = seams;
        let core =
            tokio::task::spawn_blocking(move || Core::<QueueModel>::open(data.as_deref(), recovery, port))
                .await
                .map_err(|_| Error::CutOff)??;
        let listener = listen(addr).map_err(|error| Error::Listen(addr, error))?;
        let addr = listener.local_addr().map_err(|error| Error::Listen(addr, error))?;

        let (inputs, queue) = mpsc::channel(INPUTS);
        let sessions = Arc::new(Sessions::default());
        // The model bounds how many deliveries are under way.
        let (calls, waiting) = mpsc::unbounded_channel();
        let caller = calls::Caller {
            content: core.content(),
            // The core ends when nobody can ask it any more, and deliveries do not keep it.
            inputs: inputs.downgrade(),
            delivery,
            at_once: limits.deliveries,
        };
        tokio::spawn(caller.run(waiting));
        let sink = sink(Arc::clone(&sessions), core.content(), calls);
        let shared = Shared {
            addr,
            limits,
            parts,
            access,
            keep_alive,
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
            wires: socket::Wires {
                opening: seams.opening,
                frames: seams.frames,
                heard: seams.heard,
                written: seams.written,
            },
            content: core.content(),
            frames: Frames::default(),
            inputs,
            sessions,
            next: AtomicU64::new(0),
        };
        let mut running = JoinSet::new();
        running.spawn(core.run(queue, sink));
        let (stop, stopped) = watch::channel(Ending::Not);
        let serving = Queues(Arc::new(shared));
        let task = tokio::spawn(supervise(listener, limits.connections, serving, running, stopped));
        Ok(Running { addr, root: format!("http://{addr}"), stop, task })
    }
}

/// Whom answers go to: the sessions that wait for one.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<u64, oneshot::Sender<Reply>>>);

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Reply>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer, and what keeps the content that it names.
pub(super) struct Reply {
    pub(super) answer: Answer,
    pub(super) _lease: Option<Lease>,
}

/// Takes each effect to where it belongs. A session that has ended gets no answer.
fn sink(
    sessions: Arc<Sessions>,
    content: Content,
    calls: mpsc::UnboundedSender<(Call, Lease)>,
) -> Sink<QueueModel> {
    Box::new(move |effect| match effect {
        Effect::Answer { session, answer } => {
            let Some(waiting) = sessions.lock().remove(&session) else { return };
            let lease = match &answer {
                Answer::Messages { incarnation, .. }
                | Answer::Received { incarnation, .. }
                | Answer::Dead { incarnation, .. }
                | Answer::Push { incarnation, .. } => Some(content.lease(*incarnation)),
                _ => None,
            };
            // The session may have ended at this moment.
            let _ = waiting.send(Reply { answer, _lease: lease });
        }
        Effect::Call(call) => {
            let lease = content.lease(call.taken.incarnation);
            // Whoever calls ends only with the server.
            let _ = calls.send((call, lease));
        }
        Effect::Remove { incarnation } => content.remove(incarnation),
        Effect::Trim { incarnation, start } => {
            content.trim(incarnation, super::model::range(incarnation, start, start).from);
        }
        Effect::Retain { incarnations } => content.retain(incarnations),
    })
}

/// What all connections of a server use.
pub(super) struct Shared {
    addr: SocketAddr,
    pub(super) limits: Limits,
    parts: Parts,
    pub(super) access: Access,
    pub(super) keep_alive: Option<&'static str>,
    http: Front,
    pub(super) wires: socket::Wires,
    pub(super) content: Content,
    pub(super) frames: Frames,
    inputs: mpsc::Sender<Input>,
    sessions: Arc<Sessions>,
    next: AtomicU64,
}

/// The server as its supervisor sees it.
struct Queues(Arc<Shared>);

impl Serving for Queues {
    fn connection(
        &self,
        stream: TcpStream,
        stop: watch::Receiver<Ending>,
    ) -> impl Future<Output = ()> + Send + 'static {
        connection(stream, Arc::clone(&self.0), stop)
    }

    async fn stopping(&self) {
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

async fn serve(
    shared: Arc<Shared>,
    beyond: Arc<Beyond<Handshake>>,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Full<Bytes>>, Unanswered> {
    let (request, unread) = shared.http.request(request).await?;
    let mut reply = match unread {
        Some(Unread::Slow(time)) => {
            refuse(408, format_args!("expected the whole body within {time:?}")).header("connection", "close")
        }
        Some(Unread::Long(most)) => refuse(413, format_args!("expected a body of at most {most} bytes")),
        None => Shared::answer(&shared, &request).await?,
    };
    shared.http.reply(&request, &mut reply, &beyond).await?;
    if reply.status == 101
        && let Some(name) = message::socket(&request)
    {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        beyond.upgrade(Handshake { request, name, peer: beyond.peer, number });
    }
    let body = Full::new(std::mem::take(&mut reply.body.0));
    Ok(http::response(reply, body))
}

impl Shared {
    async fn answer(shared: &Arc<Self>, request: &Request) -> Result<Response, Unanswered> {
        if message::socket(request).is_some() {
            return Ok(socket::answer(request));
        }
        let source = message::source(request).filter(|_| shared.parts.sources);
        let asked = if let Some(id) = source {
            if request.method != "POST" {
                return Ok(refuse(405, "expected POST").header("allow", "POST"));
            }
            Asked::posted(request, id)
        } else {
            let bearer = request.headers.get("authorization").and_then(|value| value.strip_prefix("Bearer "));
            if !bearer.is_some_and(|key| shared.knows(key)) {
                let refused = refuse(401, "expected Authorization: Bearer and a key of this server");
                return Ok(refused.header("www-authenticate", "Bearer"));
            }
            match Asked::read(request, shared.parts) {
                Ok(asked) => asked,
                Err(refused) => return Ok(refused),
            }
        };
        let Asked { action, name, ask } = asked;
        let mut session = Session::new(Arc::clone(shared), name);
        let Reply { answer, _lease } = session.ask(ask).await.ok_or(Unanswered::Ended)?;
        let root = shared.root(request);
        let writing =
            Writing { action, content: &shared.content, most: shared.limits.max_reply, root: &root };
        Ok(writing.write(answer).await.unwrap_or_else(|error| {
            tracing::error!(%error, "content was not read");
            refuse(500, "expected to read the content, and could not")
        }))
    }

    /// Whether a key is one of this server.
    pub(super) fn knows(&self, key: &str) -> bool {
        self.access.keys.iter().any(|known| known == key)
    }

    /// The URL by which the client speaks to this server.
    fn root(&self, request: &Request) -> String {
        let named = request.headers.get("host").and_then(|host| host.parse::<Authority>().ok());
        named.map_or_else(|| format!("http://{}", self.addr), |authority| format!("http://{authority}"))
    }
}

/// A session with the core: a request that waits for its answer, or a subscriber.
///
/// Whoever holds it drops it when the client has gone away, and the session ends.
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    session: u64,
    name: String,
    /// Whether the core knows nothing of it.
    over: bool,
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, name: String) -> Self {
        let session = shared.next.fetch_add(1, Ordering::Relaxed);
        Self { shared, session, name, over: true }
    }

    /// Asks the core; none if the server has ended.
    pub(super) async fn ask(&mut self, ask: Ask) -> Option<Reply> {
        let (waiting, reply) = oneshot::channel();
        self.shared.sessions.lock().insert(self.session, waiting);
        self.over = false;
        let stays = matches!(ask, Ask::Subscribe { .. } | Ask::Next { .. } | Ask::Work);
        let input = Input::Ask { session: self.session, name: self.name.clone(), ask };
        self.shared.inputs.send(input).await.ok()?;
        let reply = reply.await.ok()?;
        self.over = !stays || matches!(reply.answer, Answer::Refused(_));
        Some(reply)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        self.shared.sessions.lock().remove(&self.session);
        let gone = Input::Gone { session: self.session };
        if let Err(mpsc::error::TrySendError::Full(gone)) = self.shared.inputs.try_send(gone)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let inputs = self.shared.inputs.clone();
            // The core may end before it.
            runtime.spawn(async move { inputs.send(gone).await });
        }
    }
}
