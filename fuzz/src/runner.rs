//! What the runner reads: its own files, and the bytes of hostile targets.

pub mod adapter;
pub mod answer;
pub mod files;
pub mod log;
pub mod model;
pub mod queue;
pub mod raw;
pub mod requirements;
pub mod sse;
pub mod websocket;

use std::{future::Future, sync::LazyLock};
use tokio::runtime::{Builder, Runtime};
use wireproof::event::{BODY_KEPT, Bytes};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_current_thread().enable_time().build().unwrap_or_else(|e| panic!("no runtime: {e}"))
});

/// Runs to the end; what is read comes from memory, so nothing waits.
fn wait<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.block_on(future)
}

/// What an event keeps of these bytes is bounded, and the same after it was written and read.
fn kept(bytes: &[u8]) {
    let kept = Bytes::keep(bytes);
    let size = kept.text.as_ref().or(kept.hex.as_ref()).map_or(0, String::len);
    assert!(size <= 2 * BODY_KEPT && kept.length == bytes.len() as u64);
    let written = serde_json::to_string(&kept).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(serde_json::from_str::<Bytes>(&written).ok(), Some(kept));
}
