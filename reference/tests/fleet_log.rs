//! What an orchestrator says in its log: who had what done, and never a key.

use crate::fleet_line::{Agent, asked, call, dial, room, start};
use serde_json::json;
use std::{
    fmt::{Debug, Write},
    sync::{Arc, Mutex},
};
use tracing::{
    Event, Id, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Record},
    subscriber,
};
use wireproof_reference::fleet::{ADMIN_KEY, AGENT_KEY};
use wireproof_spec::{fleet::connect::SENTINEL, http::Request};

/// Keeps each line of the log.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "audit" || metadata.target().starts_with("wireproof_reference")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Text(String);
        impl Visit for Text {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                write!(self.0, " {field}={value:?}").unwrap();
            }
        }
        let mut text = Text(event.metadata().target().to_owned());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn who_had_what_done_is_told_and_no_key() {
    let lines = Lines::default();
    let _guard = subscriber::set_default(lines.clone());
    let server = start(|_| {}).await;
    let addr = server.addr;
    for offered in [&[AGENT_KEY, SENTINEL][..], &[AGENT_KEY], &[ADMIN_KEY, SENTINEL]] {
        let (_, socket) = dial(addr, "/", offered).await.unwrap();
        Agent::over(socket).hear().await;
    }
    assert_eq!(call(addr, asked("GET", "/v1/rooms")).await.0, 200);
    assert_eq!(call(addr, room("m-1")).await, (409, json!("NO_CANDIDATE")));
    assert_eq!(call(addr, asked("DELETE", "/v1/rooms/m-1")).await.0, 404);
    assert_eq!(call(addr, asked("POST", "/v1/instances/x/drain")).await.0, 404);
    let stranger =
        Request::new("DELETE", "/v1/rooms/m-1").header("authorization", format!("Bearer {AGENT_KEY}"));
    assert_eq!(call(addr, stranger).await.0, 401);
    server.stop().await.unwrap();
    let lines = lines.0.lock().unwrap();
    assert!(!lines.iter().any(|line| line.contains(ADMIN_KEY) || line.contains(AGENT_KEY)), "{lines:?}");
    let audit: Vec<_> = lines.iter().filter(|line| line.starts_with("audit")).collect();
    assert_eq!(audit.len(), 3, "{audit:?}");
    for (line, (method, path, status)) in audit.iter().zip([
        ("POST", "/v1/rooms", 409),
        ("DELETE", "/v1/rooms/m-1", 404),
        ("POST", "/v1/instances/x/drain", 404),
    ]) {
        let expected = format!("method={method:?} path={path:?} key=\"key#");
        assert!(line.contains(&expected), "{line}");
        assert!(line.contains(&format!("ip=\"127.0.0.1\" status={status}")), "{line}");
    }
}
