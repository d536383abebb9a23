//! A place on this machine to which a target sends HTTP requests: each is an observation.

use super::{
    Link, Lost, Seen,
    http::{body, fields, owned},
    limit::words,
};
use crate::{
    check::{Shown, Stop},
    event::{Bytes as Kept, Message, What},
};
use bytes::{Bytes, BytesMut};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    net::TcpListener,
    sync::mpsc,
    task::{JoinHandle, JoinSet},
    time::{Instant, timeout_at},
};
use wireproof_spec::http::{Body, Request};

/// So many requests may wait to be looked at; what comes then is answered and not kept.
const MOST: usize = 1_024;

/// With which status a request is answered; the number says how many came before for its path.
type Answers = dyn Fn(&Request, usize) -> u16 + Send + Sync;

/// A place to which a target sends requests. It is gone when this is dropped.
pub struct Sink {
    link: Link,
    conn: u32,
    url: String,
    came: mpsc::Receiver<Delivery>,
    task: JoinHandle<()>,
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The request.
    pub request: Request,
    /// When it was there as a whole.
    pub at: Instant,
}

impl Shown for Delivery {
    fn shown(&self) -> String {
        let body = String::from_utf8_lossy(&self.request.body);
        format!("a {} of {} with the body {:?}", self.request.method, self.request.target(), words(&body))
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sink {
    /// Listens on the loopback, for a target on this machine.
    pub(crate) async fn open(
        link: &Link,
        answers: impl Fn(&Request, usize) -> u16 + Send + Sync + 'static,
    ) -> Result<Self, Stop> {
        if !is_here(&link.reach.authority) {
            let why = "the target is on another machine, from which this one cannot be reached: nothing can be delivered to us";
            return Err(link.stop(why));
        }
        let opened = async {
            let socket = TcpListener::bind(("127.0.0.1", 0)).await?;
            let url = format!("http://{}", socket.local_addr()?);
            std::io::Result::Ok((socket, url))
        };
        let (socket, url) = opened.await.map_err(|e| link.harness(&format!("no port to listen at: {e}")))?;
        let conn = link.number();
        link.log.record(What::Opened { conn, peer: "http, dialled by the target".into() });
        let (sender, came) = mpsc::channel(MOST);
        let task = tokio::spawn(listen(socket, Arc::new(answers), sender));
        Ok(Self { link: link.clone(), conn, url, came, task })
    }

    /// The URL of a path here, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// The next request, within this time.
    ///
    /// # Errors
    /// Stops the check if none comes and the target is not alive.
    pub async fn next(&mut self, wait: Duration) -> Result<Seen<Delivery>, Stop> {
        let started = Instant::now();
        match timeout_at(self.link.until(wait), self.came.recv()).await {
            Ok(Some(delivery)) => Ok(self.saw(delivery)),
            Ok(None) => Err(self.link.harness("nobody listens any more")),
            Err(_) => {
                let waited = started.elapsed();
                let ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
                self.link.lost(self.conn, waited, Lost::Silence(ms)).await
            }
        }
    }

    /// Sees that nothing comes for so long; what comes instead is seen as `Some`.
    ///
    /// # Errors
    /// Stops the check if the target is not alive behind it.
    pub async fn quiet(&mut self, length: Duration) -> Result<Seen<Option<Delivery>>, Stop> {
        match timeout_at(self.link.until(length), self.came.recv()).await {
            Ok(Some(delivery)) => Ok(self.saw(delivery).map(Some)),
            Ok(None) => Err(self.link.harness("nobody listens any more")),
            Err(_) => Ok(self.link.silent(self.conn, length).await?.map(|()| None)),
        }
    }

    fn saw(&self, delivery: Delivery) -> Seen<Delivery> {
        let Request { method, headers, body, .. } = &delivery.request;
        let message = Message::Request {
            method: method.clone(),
            target: delivery.request.target(),
            headers: owned(headers),
            body: Kept::keep(body),
            broken: false,
        };
        Seen::new(self.link.log.record(What::Received { conn: self.conn, message, answers: None }), delivery)
    }
}

/// Whether a host is this machine.
fn is_here(authority: &str) -> bool {
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    host.eq_ignore_ascii_case("localhost") || host.starts_with("127.") || host == "[::1]"
}

async fn listen(socket: TcpListener, answers: Arc<Answers>, came: mpsc::Sender<Delivery>) {
    let before: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = socket.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => return,
            },
            Some(_) = connections.join_next() => continue,
        };
        let _ = stream.set_nodelay(true);
        let (answers, came, before) = (Arc::clone(&answers), came.clone(), Arc::clone(&before));
        let service = service_fn(move |incoming: hyper::Request<Incoming>| {
            let (answers, came, before) = (Arc::clone(&answers), came.clone(), Arc::clone(&before));
            async move {
                let Some(request) = read(incoming).await else { return Ok(said(413)) };
                let count = {
                    let mut before = before.lock().unwrap_or_else(PoisonError::into_inner);
                    let count = before.entry(request.path.clone()).or_default();
                    *count += 1;
                    *count - 1
                };
                let status = answers(&request, count);
                // Who has stopped listening misses nothing.
                let _ = came.try_send(Delivery { request, at: Instant::now() });
                Ok::<_, Infallible>(said(status))
            }
        });
        connections.spawn(async move {
            // A target that goes away has nothing more to say.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// A whole request; none if it is longer than what is read of anybody.
async fn read(incoming: hyper::Request<Incoming>) -> Option<Request> {
    let (head, rest) = incoming.into_parts();
    let mut bytes = BytesMut::new();
    body(rest, &mut bytes).await.ok()?;
    let mut request = Request::new(head.method.as_str(), "");
    request.set_target(&head.uri.to_string());
    request.headers = fields(&head.headers);
    request.body = Body(bytes.freeze());
    Some(request)
}

fn said(status: u16) -> hyper::Response<Full<Bytes>> {
    let mut response = hyper::Response::new(Full::new(Bytes::new()));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    response
}
