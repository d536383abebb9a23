//! Claims that every run makes over all that was seen, whatever the check: entries in the check table whose log is the run.

use crate::{
    check::{Alternative, Check, Shown},
    event::{Bytes, Event, Log, Message, What},
    protocol::{Framed, Payload, Protocol},
    run::schemas::Schemas,
    wire::limit::words,
};
use serde_json::Value;
use std::{
    cell::OnceCell,
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

/// Something that the target said, as recorded.
pub(crate) struct Told {
    seq: u64,
    /// Whether the check that saw it passed.
    passed: bool,
    /// What it answers, if it does.
    request: Arc<Request>,
    said: Said,
    /// The requirement for its shape and the name of its schema.
    shape: Option<(RequirementId, &'static str)>,
    /// What its schema speaks of, once somebody asked; of a frame that is no text it is known at once.
    document: OnceCell<Option<Result<Value, String>>>,
}

enum Said {
    Answer(Response, Bytes),
    Event { name: String, data: Bytes },
    Frame { binary: bool, data: Bytes },
}

impl Said {
    /// The requirement for its shape, the name of its schema, and its document where that is not the text of a frame.
    fn shape(&self, protocol: &Protocol, request: &Request) -> Option<Framed> {
        match self {
            Said::Answer(response, _) => {
                (protocol.shape)(request, response).map(|(id, name)| Framed::text(id, name))
            }
            Said::Event { name, .. } => {
                (protocol.event_shape)(request, name).map(|(id, name)| Framed::text(id, name))
            }
            Said::Frame { binary, data } => Payload::kept(*binary, data, protocol.frame_shape),
        }
    }

    /// What its schema speaks of; none if it was not kept whole.
    ///
    /// # Errors
    /// It is no JSON and has to be.
    fn document(&self, protocol: &Protocol) -> Option<Result<Value, String>> {
        match self {
            Said::Answer(response, _) if !protocol.bodies => {
                Some(serde_json::to_value(response).map_err(|e| e.to_string()))
            }
            Said::Answer(_, data) | Said::Event { data, .. } | Said::Frame { data, .. } => parsed(data),
        }
    }
}

impl Told {
    fn new(protocol: &Protocol, seq: u64, passed: bool, request: Arc<Request>, said: Said) -> Self {
        let framed = said.shape(protocol, &request);
        let shape = framed.as_ref().map(|framed| (framed.requirement, framed.schema));
        let document = OnceCell::new();
        if let Some(known) = framed.and_then(|framed| framed.document) {
            // It is empty.
            let _ = document.set(Some(known));
        }
        Self { seq, passed, request, said, shape, document }
    }

    /// Whether what is about this requirement in it is valid: itself, or parts of it. None if nothing is.
    fn judge(
        &self,
        protocol: &Protocol,
        schemas: &Schemas,
        requirement: RequirementId,
    ) -> Option<Result<(), (&'static str, String)>> {
        let (own, schema) = self.shape?;
        let parts = || protocol.parts.iter().filter(|part| part.of == schema);
        if own != requirement && !parts().any(|part| part.requirement == requirement) {
            return None;
        }
        let document = match self.document.get_or_init(|| self.said.document(protocol)).as_ref()? {
            Ok(document) => document,
            Err(why) => return (own == requirement).then(|| Err((schema, why.clone()))),
        };
        if own == requirement {
            let within = |pointer: &str| parts().any(|part| leads_into(part.at, pointer, document));
            if let Err(why) = schemas.check_but(schema, document, within) {
                return Some(Err((schema, why)));
            }
        }
        let mut any = own == requirement;
        for part in parts().filter(|part| part.requirement == requirement) {
            for found in found(part.at, document) {
                any = true;
                if let Err(why) = schemas.check_but(part.schema, found, |_| false) {
                    return Some(Err((part.schema, why)));
                }
            }
        }
        any.then_some(Ok(()))
    }
}

/// What stands at this place of a document, and is not null.
fn found<'a>(at: &[&str], document: &'a Value) -> Vec<&'a Value> {
    let Some((first, rest)) = at.split_first() else {
        return if document.is_null() { Vec::new() } else { vec![document] };
    };
    let next: Vec<&Value> = match (*first, document) {
        ("*", Value::Array(list)) => list.iter().collect(),
        (name, Value::Object(members)) => members.get(name).into_iter().collect(),
        _ => Vec::new(),
    };
    next.into_iter().flat_map(|value| found(rest, value)).collect()
}

/// Whether a pointer leads to such a place, or further into it.
fn leads_into(at: &[&str], pointer: &str, document: &Value) -> bool {
    let steps: Vec<&str> = pointer.split('/').skip(1).collect();
    if steps.len() < at.len() {
        return false;
    }
    let fits = at.iter().zip(&steps).all(|(place, step)| place == step || *place == "*");
    let here: String = steps[..at.len()].iter().map(|step| format!("/{step}")).collect();
    fits && document.pointer(&here).is_some_and(|value| !value.is_null())
}

impl Shown for Told {
    fn shown(&self) -> String {
        match &self.said {
            Said::Answer(response, _) => response.shown(),
            Said::Frame { data, .. } => {
                let (text, digits) = (data.text.as_deref(), data.hex.as_deref());
                format!("the frame {:?}", words(text.or(digits).unwrap_or_default()))
            }
            Said::Event { name, data } => {
                let text = data.text.as_deref().unwrap_or_default();
                format!("the event {} with the data {:?}", words(name), words(text))
            }
        }
    }
}

/// Bytes as JSON; none if they were not kept whole.
fn parsed(data: &Bytes) -> Option<Result<Value, String>> {
    if data.sha256.is_some() {
        return None;
    }
    let text = data.text.as_deref().unwrap_or_default();
    Some(serde_json::from_str(text).map_err(|e| format!("it is no JSON: {e}")))
}

/// Whether data is JSON that is valid by this schema. What was not kept whole cannot be told.
#[cfg(feature = "suites")]
pub(crate) fn check_data(schemas: &Schemas, schema: &str, data: &Bytes) -> Result<(), String> {
    parsed(data).map_or(Ok(()), |document| schemas.check(schema, &document?))
}

impl Observed<'_> {
    /// Claims that every answer and event whose shape is this requirement's is valid by its schema.
    pub fn shapes(&self, requirement: RequirementId) {
        self.claim(requirement, "messages of this shape", |told| {
            let judged = told.judge(self.protocol, self.schemas, requirement)?;
            Some(judged.map_err(|(schema, why)| (Alternative::<Response>::from_schema(schema), why)))
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
            let Said::Answer(response, _) = &told.said else { return None };
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
    pub(crate) fn all(
        protocol: &Protocol,
        events: &[Arc<Event>],
        passed: &BTreeSet<&'static str>,
    ) -> Vec<Self> {
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
                            let response = Response { status: *status, headers, body: kept(body) };
                            Said::Answer(response, body.clone())
                        }
                        Message::Event { name, data, .. } => {
                            Said::Event { name: name.clone(), data: data.clone() }
                        }
                        _ => continue,
                    };
                    let Some(request) = sent.get(to).cloned() else { continue };
                    let passed = event.check.as_deref().is_some_and(|check| passed.contains(check));
                    found.push(Self::new(protocol, event.seq, passed, request, said));
                }
                What::Received {
                    message: message @ (Message::Text { text: data } | Message::Binary { bytes: data }),
                    ..
                } => {
                    let passed = event.check.as_deref().is_some_and(|check| passed.contains(check));
                    let binary = matches!(message, Message::Binary { .. });
                    let (request, said) = (Arc::default(), Said::Frame { binary, data: data.clone() });
                    found.push(Self::new(protocol, event.seq, passed, request, said));
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
