//! The shell of the stream server: sockets, bounds and the way from a request through the core to its answer.

use super::{
    content::{self, Messages},
    gate::{Access, Gate},
    message::{self, Asked, Writing, refuse},
    model::{Answer, Ask, Create, Effect, Input, StreamModel},
    seams::{Limits, MapEvents, Parts, Seams},
    sse::{Event, Events},
};
pub use crate::shell::{Error, Running};
use crate::{
    core::{Core, Sink},
    http::{self, Beyond, Bounded, Bounds, Front, Unanswered, Unread},
    log::{self, Content, Lease},
    shell::{Ending, Serving, listen, supervise},
};
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::{
    body::Incoming,
    http::uri::Authority,
    server::conn::http2,
    service::{HttpService, service_fn},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
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
    /// Who may use it, and how.
    pub access: Access,
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
            seams: Seams::honest(),
        }
    }
}

/// The server of the stream protocol.
#[derive(Debug)]
pub enum Server {}

impl Server {
    /// Recovers the state, listens and answers.
    ///
    /// # Errors
    /// The address or the data directory cannot be used.
    pub async fn start(options: Options) -> Result<Running, Error> {
        let Options { addr, data, mut limits, parts, access, seams } = options;
        let Seams { http: seams, connections, events, port, recovery } = seams;
        limits.connections = connections.unwrap_or(limits.connections);
        let core =
            tokio::task::spawn_blocking(move || Core::<StreamModel>::open(data.as_deref(), recovery, port))
                .await
                .map_err(|_| Error::CutOff)??;
        let listener = listen(addr).map_err(|error| Error::Listen(addr, error))?;
        let addr = listener.local_addr().map_err(|error| Error::Listen(addr, error))?;

        let (inputs, queue) = mpsc::channel(INPUTS);
        let sessions = Arc::new(Sessions::default());
        let sink = sink(Arc::clone(&sessions), core.content());
        let shared = Shared {
            addr,
            limits,
            parts,
            gate: Gate::new(access),
            http: Front {
                bounds: Bounds {
                    max_head: limits.max_head,
                    head_ms: limits.head_ms,
                    max_body: limits.max_body,
                    body_ms: limits.body_ms,
                    write_ms: limits.write_ms,
                },
                seams,
            },
            events,
            salt: message::random(),
            content: core.content(),
            inputs,
            sessions,
            next: AtomicU64::new(0),
        };
        let mut running = JoinSet::new();
        running.spawn(core.run(queue, sink));
        let (stop, stopped) = watch::channel(Ending::Not);
        let serving = Streams(Arc::new(shared));
        let task = tokio::spawn(supervise(listener, limits.connections, serving, running, stopped));
        let root = format!("http://{addr}{}", message::ROOT.trim_end_matches('/'));
        Ok(Running { addr, root, stop, task })
    }
}

/// Whom answers go to: the requests that wait for one.
#[derive(Default)]
struct Sessions(Mutex<HashMap<u64, oneshot::Sender<Reply>>>);

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Reply>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer, and what keeps the content that it names.
pub(super) struct Reply {
    answer: Answer,
    _leases: Vec<Lease>,
}

impl Reply {
    pub(super) fn answer(&self) -> &Answer {
        &self.answer
    }
}

/// Takes each effect to where it belongs. A session that has ended gets no answer.
fn sink(sessions: Arc<Sessions>, content: Content) -> Sink<StreamModel> {
    Box::new(move |effect| match effect {
        Effect::Answer { session, answer } => {
            let Some(waiting) = sessions.lock().remove(&session) else { return };
            let leases = match &answer {
                Answer::Content { range, inherited, .. } if range.from < range.to => {
                    let owners = inherited.iter().map(|part| part.owner).chain([range.owner]);
                    owners.map(|owner| content.lease(owner)).collect()
                }
                Answer::Lookup(lookup) => {
                    lookup.content.iter().map(|part| content.lease(part.owner)).collect()
                }
                _ => Vec::new(),
            };
            // The request may have ended at this moment.
            let _ = waiting.send(Reply { answer, _leases: leases });
        }
        Effect::Remove { incarnation } => content.remove(incarnation),
        Effect::Trim { incarnation, start } => content.trim(incarnation, start),
        Effect::Retain { incarnations } => content.retain(incarnations),
    })
}

/// What all connections of a server use.
struct Shared {
    addr: SocketAddr,
    limits: Limits,
    parts: Parts,
    gate: Gate,
    http: Front,
    events: Option<MapEvents>,
    salt: u64,
    content: Content,
    inputs: mpsc::Sender<Input>,
    sessions: Arc<Sessions>,
    next: AtomicU64,
}

/// The server as its supervisor sees it.
struct Streams(Arc<Shared>);

impl Serving for Streams {
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
    let Some(mut io) = shared.http.accept(stream) else { return };
    let time = Duration::from_millis(shared.limits.head_ms);
    let is_http2 = tokio::select! {
        begins = tokio::time::timeout(time, io.begins_with(PREFACE)) => match begins {
            Ok(Ok(begins)) => begins,
            // The client said nothing, or went away.
            Ok(Err(_)) | Err(_) => return,
        },
        _ = stop.changed() => return,
    };
    let serve = {
        let shared = Arc::clone(&shared);
        move |beyond, request| serve(Arc::clone(&shared), beyond, request)
    };
    if is_http2 {
        let beyond = Arc::new(Beyond::from(None));
        let service = service_fn(move |request| Box::pin(serve(Arc::clone(&beyond), request)));
        return http2_connection(io, service, shared.limits, stop).await;
    }
    // There is nothing that it could become.
    let _ = shared.http.connection(io, &mut stop, serve).await;
}

/// With what a client begins that speaks HTTP/2 by prior knowledge: RFC 9113, section 3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How many requests of one HTTP/2 connection are served at the same time.
const AT_ONCE: u32 = 128;

/// Serves one HTTP/2 connection to its end.
async fn http2_connection<S>(io: Bounded, service: S, limits: Limits, mut stop: watch::Receiver<Ending>)
where
    S: HttpService<Incoming, ResBody = Either<Full<Bytes>, Events>, Error = Unanswered> + Send,
    S::Future: Send + 'static,
{
    let mut served = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.max_head).unwrap_or(u32::MAX))
        .max_concurrent_streams(AT_ONCE)
        .serve_connection(TokioIo::new(io), service);
    let mut stopping = false;
    loop {
        tokio::select! {
            // An error is the client's.
            _ = &mut served => return,
            _ = stop.changed(), if !stopping => {
                stopping = true;
                Pin::new(&mut served).graceful_shutdown();
            }
        }
    }
}

/// An answer at once, or an event stream.
type Written = hyper::Response<Either<Full<Bytes>, Events>>;

async fn serve(
    shared: Arc<Shared>,
    beyond: Arc<Beyond<Infallible>>,
    request: hyper::Request<Incoming>,
) -> Result<Written, Unanswered> {
    let version = request.version();
    let (mut request, unread) = shared.http.request(request).await?;
    let (mut reply, events) = match unread.map(unread_body).or_else(|| shared.gate.enters(&mut request)) {
        Some(refused) => (refused, None),
        None => Shared::answer(&shared, &request).await?,
    };
    reply.headers.push("x-content-type-options", "nosniff");
    reply.headers.push("cross-origin-resource-policy", "cross-origin");
    shared.gate.leaves(&mut reply);
    if events.is_none() {
        http::compress(&request, &mut reply);
    }
    shared.http.reply(&request, &mut reply, &beyond).await?;
    let body = match events {
        Some((reader, first)) => Either::Right(Events::new(reader, first)),
        None => Either::Left(Full::new(content(&request, version, &mut reply))),
    };
    Ok(http::response(reply, body))
}

/// The content that goes out. hyper leaves out that of an answer to HEAD in HTTP/1.1, and not in HTTP/2.
fn content(request: &Request, version: hyper::Version, reply: &mut Response) -> Bytes {
    let content = std::mem::take(&mut reply.body.0);
    if request.method != "HEAD" || version != hyper::Version::HTTP_2 {
        return content;
    }
    if reply.headers.get("content-length").is_none() {
        reply.headers.push("content-length", content.len().to_string());
    }
    Bytes::new()
}

impl Shared {
    /// Takes a request through the core to its answer; that of an event stream has its events behind it.
    async fn answer(
        shared: &Arc<Self>,
        request: &Request,
    ) -> Result<(Response, Option<(Reader, Reply)>), Unanswered> {
        let asked = match Asked::read(request, &shared.limits, shared.parts) {
            Ok(asked) => asked,
            Err(refused) => return Ok((refused, None)),
        };
        let kind = asked.kind();
        let mut reader = Reader::new(Arc::clone(shared), request, asked.name);
        let mut ask = asked.ask;
        let mut reply = reader.ask(ask.clone()).await.ok_or(Unanswered::Ended)?;
        while let (Answer::Lookup(lookup), Ask::Create(Create { fork: Some(fork), .. })) =
            (&reply.answer, &mut ask)
        {
            match content::find(&shared.content, lookup).await {
                Ok(found) => fork.found = Some(found),
                Err(error) => return Ok((unread(&error), None)),
            }
            reply = reader.ask(ask.clone()).await.ok_or(Unanswered::Ended)?;
        }
        let host = shared.host(request);
        let writing = Writing { request, kind: &kind, host: &host, salt: shared.salt };
        if kind.is_sse() && matches!(reply.answer, Answer::Content { .. } | Answer::Nothing { .. }) {
            let head = writing.response(reply.answer.clone(), Bytes::new());
            return Ok((head, Some((reader, reply))));
        }
        // The leases in the reply keep the content until it is read.
        let Reply { mut answer, _leases } = reply;
        match shared.body(&mut answer).await {
            Ok(Some(body)) => Ok((writing.response(answer, body), None)),
            Ok(None) => Ok((refuse(400, "expected an offset that this server gave out"), None)),
            Err(error) => Ok((unread(&error), None)),
        }
    }

    /// The content that an answer names. Of JSON the answer is cut behind a message; none if it does not begin at one.
    async fn body(&self, answer: &mut Answer) -> Result<Option<Bytes>, log::Error> {
        let Answer::Content { range, inherited, media_type, up_to_date, closed, .. } = answer else {
            return Ok(Some(Bytes::new()));
        };
        if !media_type.is_json() {
            return content::read(&self.content, *range, inherited).await.map(Some);
        }
        let messages = content::messages(&self.content, *range, inherited, self.limits.chunk).await?;
        Ok(messages.map(|Messages { array, to }| {
            if to < range.to {
                (range.to, *up_to_date, *closed) = (to, false, false);
            }
            array
        }))
    }

    /// The host that the client speaks to, or else the address: for the URL in `Location`.
    fn host(&self, request: &Request) -> String {
        let named = request.headers.get("host").and_then(|host| host.parse::<Authority>().ok());
        named.map_or_else(|| self.addr.to_string(), |authority| authority.to_string())
    }
}

/// How a request is refused whose body was not read.
fn unread_body(unread: Unread) -> Response {
    match unread {
        Unread::Slow(time) => {
            refuse(408, format_args!("expected the whole body within {time:?}")).header("connection", "close")
        }
        Unread::Long(most) => refuse(413, format_args!("expected a body of at most {most} bytes")),
    }
}

fn unread(error: &log::Error) -> Response {
    tracing::error!(%error, "content was not read");
    refuse(500, "expected to read the content, and could not")
}

/// A session with the core: a request that waits for its answer, or a reader that stays.
///
/// If the client goes away hyper drops what holds it, and the session ends.
pub(super) struct Reader {
    shared: Arc<Shared>,
    session: u64,
    name: String,
    request: Request,
    over: bool,
}

impl Reader {
    fn new(shared: Arc<Shared>, request: &Request, name: String) -> Self {
        let session = shared.next.fetch_add(1, Ordering::Relaxed);
        // Whoever maps events sees what was asked, but not its body once more.
        let request = Request { body: wireproof_spec::http::Body::default(), ..request.clone() };
        Self { shared, session, name, request, over: true }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    pub(super) fn content(&self) -> &Content {
        &self.shared.content
    }

    /// Maps the events of one answer.
    pub(super) fn map(&self, events: &mut Vec<Event>) {
        self.shared.gate.leave(events);
        if let Some(map) = &self.shared.events {
            map(&self.request, events);
        }
    }

    /// Asks the core; none if the server has ended.
    pub(super) async fn ask(&mut self, ask: Ask) -> Option<Reply> {
        let (waiting, reply) = oneshot::channel();
        self.shared.sessions.lock().insert(self.session, waiting);
        self.over = false;
        let stays = matches!(ask, Ask::Follow { .. } | Ask::Next { .. });
        let input = Input::Ask { session: self.session, name: self.name.clone(), ask };
        self.shared.inputs.send(input).await.ok()?;
        let reply = reply.await.ok()?;
        let refused = matches!(reply.answer, Answer::Refused(_) | Answer::Over);
        self.over = !stays || refused;
        Some(reply)
    }
}

impl Drop for Reader {
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
