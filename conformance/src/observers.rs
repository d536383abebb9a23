//! Claims that every run makes over all that was seen, whatever the check: entries in the check table whose log is the run.

use crate::{
    check::{Alternative, Check, Shown},
    event::{Event, Log, Message, What},
    protocol::Protocol,
    run::schemas::Schemas,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use wireproof_spec::{
    http::{Body, Fields, Request, Response},
    requirement::RequirementId,
};

/// What the whole run saw.
pub struct Observed<'a> {
    pub(crate) check: &'static Check,
    pub(crate) protocol: &'static Protocol,
    pub(crate) events: &'a [Arc<Event>],
    pub(crate) passed: &'a BTreeSet<&'static str>,
    pub(crate) schemas: &'a Schemas,
    pub(crate) log: &'a Log,
}

/// A request and its answer, as recorded.
struct Exchange {
    seq: u64,
    passed: bool,
    request: Request,
    response: Response,
}

impl Observed<'_> {
    /// Claims that every answer whose shape is this requirement's is valid by its schema.
    ///
    /// What is wrong counts wherever it was seen; what is right counts only in checks that passed.
    pub fn shapes(&self, requirement: RequirementId) {
        let mut good = Vec::new();
        for exchange in self.exchanges() {
            let Some((shape, schema)) = (self.protocol.shape)(&exchange.request, &exchange.response) else {
                continue;
            };
            if shape != requirement {
                continue;
            }
            let expected = Alternative::<Response>::from_schema(schema);
            match self.schemas.check(schema, &exchange.response) {
                Ok(()) if exchange.passed => good.push(exchange.seq),
                Ok(()) => {}
                Err(why) => {
                    let actual = format!("{}: {why}", exchange.response.shown());
                    self.log.record(What::Broken {
                        requirement: requirement.to_string(),
                        expected: vec![expected.expected().clone()],
                        actual,
                        on: vec![exchange.seq],
                    });
                    return;
                }
            }
        }
        if !good.is_empty() {
            let alternative = format!("{} answers of this shape", good.len());
            self.log.record(What::Met {
                requirement: requirement.to_string(),
                alternative,
                expected: Vec::new(),
                on: good,
            });
        }
    }

    fn exchanges(&self) -> Vec<Exchange> {
        let mut sent: BTreeMap<u64, Request> = BTreeMap::new();
        let mut found = Vec::new();
        for event in self.events {
            match &event.what {
                What::Sent { message: Message::Request { method, target, headers, body, .. }, .. } => {
                    let headers = Fields(headers.clone().into_iter().collect());
                    let mut request =
                        Request { method: method.clone(), headers, body: kept(body), ..Request::default() };
                    request.set_target(target);
                    sent.insert(event.seq, request);
                }
                What::Received {
                    message: Message::Response { status, headers, body },
                    answers: Some(to),
                    ..
                } => {
                    let Some(request) = sent.get(to) else { continue };
                    let headers = Fields(headers.clone().into_iter().collect());
                    let response = Response { status: *status, headers, body: kept(body) };
                    let passed = event.check.as_deref().is_some_and(|check| self.passed.contains(check));
                    found.push(Exchange { seq: event.seq, passed, request: request.clone(), response });
                }
                _ => {}
            }
        }
        found
    }

    /// The entry of this observer.
    pub fn check(&self) -> &'static Check {
        self.check
    }
}

/// The body as far as it was kept; of the rest only that there was something.
fn kept(body: &crate::event::Bytes) -> Body {
    match &body.text {
        Some(text) => Body(text.clone().into()),
        None => Body(vec![0xff; usize::from(body.length > 0)].into()),
    }
}
