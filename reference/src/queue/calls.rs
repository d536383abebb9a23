//! Deliveries to destinations: one request each, within bounds, and what became of it goes back to the model.

use super::{
    content,
    model::{Call, Input, Outcome},
    seams::MapDelivery,
};
use crate::log::{Content, Lease};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Uri, client::conn::http1};
use hyper_util::rt::TokioIo;
use std::{sync::Arc, time::Duration};
use tokio::{
    net::TcpStream,
    sync::{Semaphore, mpsc},
    task::JoinSet,
};
use wireproof_spec::http::Request;

/// How much of an answer is read: nobody looks at it.
const ANSWER: usize = 64 * 1024;

/// Whoever makes deliveries.
pub(super) struct Caller {
    pub(super) content: Content,
    pub(super) inputs: mpsc::WeakSender<Input>,
    pub(super) delivery: Option<MapDelivery>,
    pub(super) at_once: usize,
}

/// Why a delivery did not arrive.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("its message is gone")]
    Gone,
    #[error("{0} is no URL to which this server delivers: it speaks http only")]
    Url(String),
    #[error("the connection: {0}")]
    Connection(#[from] std::io::Error),
    #[error("the exchange: {0}")]
    Exchange(#[from] hyper::Error),
    #[error("the request: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("the answer was {0}")]
    Status(u16),
    #[error("no answer came in time")]
    Slow,
    #[error("the content: {0}")]
    Log(#[from] crate::log::Error),
}

impl Caller {
    /// Makes deliveries until the core has ended. What is under way then is cut off: it is tried again at the next start.
    pub(super) async fn run(self, mut calls: mpsc::UnboundedReceiver<(Call, Lease)>) {
        let places = Arc::new(Semaphore::new(self.at_once.max(1)));
        let caller = Arc::new(self);
        let mut under_way = JoinSet::new();
        loop {
            let (call, lease) = tokio::select! {
                call = calls.recv() => match call {
                    Some(call) => call,
                    None => return,
                },
                Some(_) = under_way.join_next() => continue,
            };
            let (caller, places) = (Arc::clone(&caller), Arc::clone(&places));
            under_way.spawn(async move {
                // The semaphore is never closed.
                let _place = places.acquire_owned().await;
                let timeout = Duration::from_millis(call.timeout_ms);
                let result = tokio::time::timeout(timeout, caller.deliver(&call)).await;
                drop(lease);
                let outcome = match result.unwrap_or(Err(Failed::Slow)) {
                    Ok(()) => Outcome::Arrived,
                    Err(error) => {
                        tracing::debug!(%error, url = call.url, "a delivery failed");
                        Outcome::Failed
                    }
                };
                if let Some(inputs) = caller.inputs.upgrade() {
                    // The core may end before it.
                    let _ = inputs.send(Input::Returned { call: call.taken, outcome }).await;
                }
            });
        }
    }

    async fn deliver(&self, call: &Call) -> Result<(), Failed> {
        let (incarnation, offset) = (call.taken.incarnation, call.taken.offset);
        let payload = content::payload(&self.content, incarnation, offset).await?.ok_or(Failed::Gone)?;
        let no_url = || Failed::Url(call.url.clone());
        let uri: Uri = call.url.parse().map_err(|_| no_url())?;
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(no_url)?;
        // The query stays as it was written.
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let mut request = Request::new(&call.method, target).body(payload);
        request.headers.push("host", authority.as_str());
        request.headers.push("content-type", "application/json");
        for (name, value) in &call.headers {
            request.headers.set(&name.to_ascii_lowercase(), value.as_str());
        }
        if let Some(map) = &self.delivery {
            map(&mut request);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80))).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await?;
        let mut written = hyper::Request::builder().method(request.method.as_str()).uri(request.target());
        for (name, value) in &request.headers.0 {
            written = written.header(name, value);
        }
        let written = written.body(Full::new(request.body.0))?;
        let exchange = async {
            let response = sender.send_request(written).await?;
            let status = response.status();
            let mut body = response.into_body();
            let mut length = 0;
            // An answer that is read whole is one whose sender knows it.
            while length < ANSWER
                && let Some(frame) = body.frame().await
            {
                length += frame?.data_ref().map_or(0, Bytes::len);
            }
            if status.is_success() { Ok(()) } else { Err(Failed::Status(status.as_u16())) }
        };
        tokio::pin!(exchange, connection);
        tokio::select! {
            result = &mut exchange => result,
            // It may end with the answer.
            _ = &mut connection => exchange.await,
        }
    }
}
