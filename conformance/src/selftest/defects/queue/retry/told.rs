//! Owners who are told wrong things.

use crate::{
    protocol::Cut::Wire,
    selftest::defects::{
        Breakage,
        queue::client::{ClientSeams, always, answered},
    },
};
use serde_json::{Value, json};
use wireproof_spec::{http::Response, queue::requirements::*};

pub(super) const MESSAGE_FIRST: Breakage<ClientSeams> =
    always("queue/retry/message-before-error", QUEUE_RETRY_14, Wire, || {
        envelope(|_, envelope| {
            if envelope["error"].is_string() && envelope["message"].is_string() {
                envelope["error"] = envelope["message"].clone();
            }
        })
    });

pub(super) const CANNED_500: Breakage<ClientSeams> =
    always("queue/retry/500-in-other-words", QUEUE_RETRY_14, Wire, || {
        envelope(|status, envelope| {
            if status == 500 && envelope["error"].is_null() {
                envelope["message"] = "Internal server error".into();
            }
        })
    });

pub(super) const EMPTY_SUCCEEDS: Breakage<ClientSeams> =
    always("queue/retry/nothing-is-a-success", QUEUE_RETRY_15, Wire, || {
        answered(|_, response| {
            if response.status == 401 && response.body.is_empty() {
                succeed(response);
            }
        })
    });

pub(super) const ENVELOPE_DECIDES: Breakage<ClientSeams> =
    always("queue/retry/envelope-decides", QUEUE_RETRY_15, Wire, || {
        answered(|_, response| {
            let envelope: Value = serde_json::from_slice(&response.body).unwrap_or_default();
            if envelope["success"] == true {
                response.status = 200;
            }
        })
    });

pub(super) const STATUS_DECIDES: Breakage<ClientSeams> =
    always("queue/retry/status-decides", QUEUE_RETRY_15, Wire, || {
        answered(|_, response| {
            if (200..300).contains(&response.status) {
                succeed(response);
            }
        })
    });

pub(super) const CODE_IS_NO_KIND: Breakage<ClientSeams> =
    always("queue/retry/code-is-no-kind", QUEUE_RETRY_16, Wire, || {
        envelope(|_, envelope| {
            if envelope["code"] == "UPGRADE_REQUIRED" {
                envelope["code"] = "OTHER".into();
            }
        })
    });

pub(super) const ISSUES_ARE_NO_KIND: Breakage<ClientSeams> =
    always("queue/retry/issues-are-no-kind", QUEUE_RETRY_16, Wire, || {
        envelope(|_, envelope| {
            if envelope["error"]["issues"].is_array() {
                envelope["error"] = envelope["error"]["issues"].to_string().into();
            }
        })
    });

/// The envelope of each refusal, changed before it is judged.
fn envelope(change: impl Fn(u16, &mut Value) + Send + Sync + 'static) -> ClientSeams {
    answered(move |_, response| {
        let Ok(mut envelope) = serde_json::from_slice::<Value>(&response.body) else { return };
        if envelope["success"] == false {
            change(response.status, &mut envelope);
            *response = response.clone().body(envelope.to_string());
        }
    })
}

fn succeed(response: &mut Response) {
    let success = json!({"success": true, "data": {}}).to_string();
    *response = Response::new(200).header("content-type", "application/json").body(success);
}
