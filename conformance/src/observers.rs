//! Claims that every run makes over all that was seen, whatever the check: entries in the check table whose log is the run.

use crate::{
    check::{Alternative, Check, Shown},
    event::{Bytes, Event, Log, Message, What},
    protocol::Protocol,
    run::schemas::Schemas,
    wire::limit::words,
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
    pub(crate) told: &'a [Told],
    pub(crate) schemas: &'a Schemas,
    pub(crate) log: &'a Log,
}

/// Something that the target said to a request, as recorded.
pub(crate) struct Told {
    seq: u64,
    /// Whether the check that saw it passed.
    passed: bool,
    request: Arc<Request>,
    said: Said,
}

enum Said {
    Answer(Response),
    Event { name: String, data: Bytes },
}

impl Told {
    /// The requirement for its shape and the name of its schema.
    fn shape(&self, protocol: &Protocol) -> Option<(RequirementId, &'static str)> {
        match &self.said {
            Said::Answer(response) => (protocol.shape)(&self.request, response),
            Said::Event { name, .. } => (protocol.event_shape)(&self.request, name),
        }
    }

    fn check(&self, schemas: &Schemas, schema: &str) -> Result<(), String> {
        match &self.said {
            Said::Answer(response) => schemas.check(schema, response),
            Said::Event { data, .. } => check_data(schemas, schema, data),
        }
    }
}

impl Shown for Told {
    fn shown(&self) -> String {
        match &self.said {
            Said::Answer(response) => response.shown(),
            Said::Event { name, data } => {
                let text = data.text.as_deref().unwrap_or_default();
                format!("the event {} with the data {:?}", words(name), words(text))
            }
        }
    }
}

/// Whether the data of an event is JSON that is valid by this schema. What was not kept whole cannot be told.
pub(crate) fn check_data(schemas: &Schemas, schema: &str, data: &Bytes) -> Result<(), String> {
    if data.sha256.is_some() {
        return Ok(());
    }
    let text = data.text.as_deref().unwrap_or_default();
    let document: serde_json::Value =
        serde_json::from_str(text).map_err(|e| format!("the data is no JSON: {e}"))?;
    schemas.check(schema, &document)
}

impl Observed<'_> {
    /// Claims that every answer and event whose shape is this requirement's is valid by its schema.
    pub fn shapes(&self, requirement: RequirementId) {
        self.claim(requirement, "messages of this shape", |told| {
            let (shape, schema) = told.shape(self.protocol)?;
            if shape != requirement {
                return None;
            }
            let expected = Alternative::<Response>::from_schema(schema);
            Some(told.check(self.schemas, schema).map_err(|why| (expected, why)))
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
        self.claim(requirement, &format!("answers, each {}", alternative.expected().name), |told| {
            let Said::Answer(response) = &told.said else { return None };
            let met = alternative.holds(response);
            let asked = || format!("to {} {}", told.request.method, told.request.target());
            applies(&told.request, response)
                .then(|| if met { Ok(()) } else { Err((alternative.clone(), asked())) })
        });
    }

    /// What is wrong counts wherever it was seen; what is right counts only in checks that passed. `judge` passes over what
    /// the claim is not about, and tells of what is wrong what was expected and why it is not met.
    fn claim(
        &self,
        requirement: RequirementId,
        met: &str,
        judge: impl Fn(&Told) -> Option<Result<(), (Alternative<Response>, String)>>,
    ) {
        let mut good = Vec::new();
        for told in self.told {
            match judge(told) {
                Some(Ok(())) if told.passed => good.push(told.seq),
                Some(Ok(())) | None => {}
                Some(Err((expected, why))) => {
                    self.log.record(What::Broken {
                        requirement: requirement.to_string(),
                        expected: vec![expected.expected().clone()],
                        actual: format!("{}: {why}", told.shown()),
                        on: vec![told.seq],
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

    /// The entry of this observer.
    pub fn check(&self) -> &'static Check {
        self.check
    }
}

impl Told {
    /// All that was said in a run. `passed` names the checks that passed.
    pub(crate) fn all(events: &[Arc<Event>], passed: &BTreeSet<&'static str>) -> Vec<Self> {
        let mut sent: BTreeMap<u64, Arc<Request>> = BTreeMap::new();
        let mut found = Vec::new();
        for event in events {
            match &event.what {
                What::Sent { message: Message::Request { method, target, headers, body, .. }, .. } => {
                    let headers = Fields(headers.clone().into_iter().collect());
                    let mut request =
                        Request { method: method.clone(), headers, body: kept(body), ..Request::default() };
                    request.set_target(target);
                    sent.insert(event.seq, Arc::new(request));
                }
                What::Received { message, answers: Some(to), .. } => {
                    let said = match message {
                        Message::Response { status, headers, body } => {
                            let headers = Fields(headers.clone().into_iter().collect());
                            Said::Answer(Response { status: *status, headers, body: kept(body) })
                        }
                        Message::Event { name, data, .. } => {
                            Said::Event { name: name.clone(), data: data.clone() }
                        }
                        _ => continue,
                    };
                    let Some(request) = sent.get(to).cloned() else { continue };
                    let passed = event.check.as_deref().is_some_and(|check| passed.contains(check));
                    found.push(Self { seq: event.seq, passed, request, said });
                }
                _ => {}
            }
        }
        found
    }
}

/// The body as far as it was kept; of the rest only that there was something.
fn kept(body: &Bytes) -> Body {
    match &body.text {
        Some(text) => Body(text.clone().into()),
        None => Body(vec![0xff; usize::from(body.length > 0)].into()),
    }
}
