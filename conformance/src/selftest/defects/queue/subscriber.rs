//! Defects of "Subscriber".

use super::client::{ClientTable, always, dial, told};
use crate::protocol::Cut::Wire;
use wireproof_spec::queue::requirements::*;

pub(super) const TABLE: ClientTable = &[
    always("queue/subscriber/versioned-path", QUEUE_SUBSCRIBER_1, Wire, || {
        dial(|_, dial| dial.url = dial.url.replace("/queue/ws/", "/queue/ws/2026-01-15/"))
    }),
    always("queue/subscriber/failure-in-other-words", QUEUE_SUBSCRIBER_16, Wire, || {
        told(|event, data| {
            if event == "error" {
                data["message"] = "Authentication failed".into();
            }
            true
        })
    }),
];
