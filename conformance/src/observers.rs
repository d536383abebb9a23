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
    pub fn shapes(&self, requirement: RequirementId) {
        self.claim(requirement, "answers of this shape", |exchange| {
            let (shape, schema) = (self.protocol.shape)(&exchange.request, &exchange.response)?;
            if shape != requirement {
                return None;
            }
            let expected = Alternative::<Response>::from_schema(schema);
            let wrong = self.schemas.check(schema, &exchange.response).err();
            Some(wrong.map_or(Ok(()), |why| Err((expected, why))))
        });
    }

    /// Claims that every answer to which this applies, whatever was asked, meets this alternative.
    pub fn every(
        &self,
        requirement: RequirementId,
        applies: fn(&Request, &Response) -> bool,
        alternative: impl Into<Alternative<Response>>,
    ) {
        let alternative = alternative.into();
        self.claim(requirement, &format!("answers, each {}", alternative.expected().name), |exchange| {
            let met = alternative.holds(&exchange.response);
            let applies = applies(&exchange.request, &exchange.response);
            let asked = || format!("to {} {}", exchange.request.method, exchange.request.target());
            applies.then(|| if met { Ok(()) } else { Err((alternative.clone(), asked())) })
        });
    }

    /// What is wrong counts wherever it was seen; what is right counts only in checks that passed. `judge` passes over what
    /// the claim is not about, and tells of what is wrong what was expected and why it is not met.
    fn claim(
        &self,
        requirement: RequirementId,
        met: &str,
        judge: impl Fn(&Exchange) -> Option<Result<(), (Alternative<Response>, String)>>,
    ) {
        let mut good = Vec::new();
        for exchange in self.exchanges() {
            match judge(&exchange) {
                Some(Ok(())) if exchange.passed => good.push(exchange.seq),
                Some(Ok(())) | None => {}
                Some(Err((expected, why))) => {
                    self.log.record(What::Broken {
                        requirement: requirement.to_string(),
                        expected: vec![expected.expected().clone()],
                        actual: format!("{}: {why}", exchange.response.shown()),
                        on: vec![exchange.seq],
                    });
                    return;
                }
            }
        }
        if !good.is_empty() {
            self.log.record(What::Met {
                requirement: requirement.to_string(),
                alternative: format!("{} {met}", good.len()),
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
