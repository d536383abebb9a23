//! What goes wrong for a client, in the words that its user reads.

use super::seams::Exchanged;
use serde_json::Value;
use wireproof_spec::{decode::Violation, http::Response};

/// What went wrong with a subscription.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No queue can have this name: nothing was dialled.
    #[error("the name of the queue: {0}")]
    Name(Violation),
    /// There is no key: nothing was dialled.
    #[error("No API key provided")]
    NoKey,
    /// The client cannot go there: nothing was dialled.
    #[error("the base URL {0:?}: {1}")]
    Url(String, String),
    /// The client_id or the last offset that was given cannot be presented: nothing was dialled.
    #[error("{0}")]
    Presented(String),
    /// There is no connection. It dials again.
    #[error("WebSocket connection error: {0}")]
    Dial(String),
    /// The server closed the connection, or it broke (1006). It dials again.
    #[error("the connection was closed: {code} {reason:?}")]
    Closed {
        /// The code.
        code: u16,
        /// The reason.
        reason: String,
    },
    /// No AuthResponse came in time. It dials again.
    #[error("no AuthResponse came within {0} ms")]
    NoAuthResponse(u64),
    /// The handler failed. The message comes again when the connection does.
    #[error("the handler failed at offset {offset}: {why}")]
    Handler {
        /// The offset of the message.
        offset: i64,
        /// What the handler said.
        why: String,
    },
    /// The server refused the client. This is the end.
    #[error("Authentication failed: {0}")]
    AuthFailed(String),
    /// The first frame was no JSON. This is the end if 4000 is final.
    #[error("Failed to parse auth response: {0}")]
    AuthNotJson(String),
    /// The first frame was no AuthResponse. This is the end if 4000 is final.
    #[error("Unexpected auth response from server: {0}")]
    AuthUnexpected(String),
    /// It has dialled again as often as it may. This is the end.
    #[error("Exceeded maximum reconnection attempts ({0})")]
    Exhausted(u32),
    /// The server closed the connection for ever. This is the end.
    #[error("the server closed the connection for good: {code} {reason:?}")]
    Final {
        /// The code.
        code: u16,
        /// The reason.
        reason: String,
    },
    /// The task of the subscription ended: its handler panicked, or the runtime is gone.
    #[error("the subscription was cut off")]
    CutOff,
}

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (status {status})")]
pub struct ApiError {
    /// The status of the answer; 503 if there was no connection, and 0 if no answer was judged.
    pub status: u16,
    /// What it is.
    pub kind: Kind,
    /// Why, for programs.
    pub code: Option<String>,
    /// Why, for people.
    pub message: String,
    /// The session that the server names.
    pub session: Option<String>,
}

/// What an [`ApiError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Nothing was sent: what was asked for is none of the protocol.
    Local,
    /// The server refused, and said why.
    Refused,
    /// The server refused, and said nothing that can be understood.
    Status,
    /// The server wants a newer client.
    UpgradeRequired,
    /// The server wants to be paid.
    PaymentRequired,
    /// The server found the request not valid: the message holds its issues.
    Validation,
    /// The call succeeded, and the answer is none of the protocol.
    Answer,
    /// There was no connection for as long as the call may last.
    Unreached,
    /// The answer broke off.
    Cut,
    /// The answer is longer than is read.
    TooLong,
    /// No answer came in time.
    Slow,
    /// What was exchanged is no HTTP.
    Exchange,
}

impl ApiError {
    /// Whether there is no such thing.
    pub fn is_not_found(&self) -> bool {
        self.status == 404
    }

    /// Whether there is such a thing already.
    pub fn is_conflict(&self) -> bool {
        self.status == 409
    }

    /// An error that is not about an answer.
    pub(super) fn of(kind: Kind, message: impl Into<String>) -> Self {
        Self { status: 0, kind, code: None, message: message.into(), session: None }
    }
}

impl From<Exchanged> for ApiError {
    fn from(got: Exchanged) -> Self {
        match got {
            Exchanged::Answer(answer) => refusal(&answer).unwrap_or_else(|| {
                // Nobody gives up behind a success, unless that is broken.
                Self::status(&answer, Kind::Answer, "the answer was not taken".into())
            }),
            Exchanged::Unreached(why) => Self { status: 503, ..Self::of(Kind::Unreached, why) },
            Exchanged::Cut(why) => Self::of(Kind::Cut, format!("the answer broke off: {why}")),
            Exchanged::TooLong => Self::of(Kind::TooLong, "the answer is too long"),
            Exchanged::Slow => Self::of(Kind::Slow, "no answer came in time"),
            Exchanged::Garbage(why) => Self::of(Kind::Exchange, why),
        }
    }
}

impl ApiError {
    fn status(answer: &Response, kind: Kind, message: String) -> Self {
        let session = answer.headers.get("x-session-id").map(str::to_owned);
        Self { status: answer.status, kind, code: None, message, session }
    }
}

/// Why an answer is no success; none if it is one. An answer explains itself by a JSON document with `success`; one that does
/// not is judged by its status.
pub(super) fn refusal(answer: &Response) -> Option<ApiError> {
    let success = (200..300).contains(&answer.status);
    let document = envelope(answer);
    let error = |kind, message| Some(ApiError::status(answer, kind, message));
    let Some(document) = document else {
        return match answer.status {
            426 => error(Kind::UpgradeRequired, canned(answer)),
            402 => error(Kind::PaymentRequired, canned(answer)),
            _ if success => error(Kind::Answer, "expected a JSON document with success".into()),
            _ => error(Kind::Status, canned(answer)),
        };
    };
    if success && document.success {
        return None;
    }
    let code = document.code;
    let kind = match answer.status {
        426 => Kind::UpgradeRequired,
        402 => Kind::PaymentRequired,
        _ if code.as_deref() == Some("UPGRADE_REQUIRED") => Kind::UpgradeRequired,
        _ if document.issues.is_some() => Kind::Validation,
        _ if document.message.is_some() || success => Kind::Refused,
        _ => Kind::Status,
    };
    let message = match (document.issues, document.error, document.message) {
        (Some(issues), ..) if kind == Kind::Validation => issues,
        // The text of the error rules, but only where there is a message at all.
        (_, Some(error), Some(_)) => error,
        (_, _, Some(message)) => message,
        _ => canned(answer),
    };
    Some(ApiError { code, ..ApiError::status(answer, kind, message) })
}

/// What an envelope says about success and failure.
struct Envelope {
    success: bool,
    message: Option<String>,
    code: Option<String>,
    error: Option<String>,
    issues: Option<String>,
}

/// The envelope of an answer, if it is JSON and has the shape of one.
fn envelope(answer: &Response) -> Option<Envelope> {
    let kind = answer.headers.get("content-type")?.split(';').next()?.trim();
    let json = kind.eq_ignore_ascii_case("application/json") || kind.to_ascii_lowercase().ends_with("+json");
    let document: Value = serde_json::from_slice(&answer.body).ok().filter(|_| json)?;
    let success = document.as_object()?.get("success")?.as_bool()?;
    // A member of another type makes it none.
    let text = |name: &str| match document.get(name) {
        None => Some(None),
        Some(Value::String(text)) => Some(Some(text.clone())),
        Some(_) => None,
    };
    // What succeeded may have members of these names that mean something else.
    if success {
        return Some(Envelope { success, message: None, code: None, error: None, issues: None });
    }
    let (message, code) = (text("message")?, text("code")?);
    let (error, issues) = match document.get("error") {
        None => (None, None),
        Some(Value::String(error)) => (Some(error.clone()), None),
        Some(error) if error["name"] == "ZodError" && error["issues"].is_array() => {
            (None, Some(error["issues"].to_string()))
        }
        Some(_) => return None,
    };
    Some(Envelope { success, message, code, error, issues })
}

/// What is said of an answer that does not explain itself.
fn canned(answer: &Response) -> String {
    let status = hyper::StatusCode::from_u16(answer.status).ok();
    let reason = status.and_then(|status| status.canonical_reason()).unwrap_or("no known status");
    format!("the server answered {} {reason}", answer.status)
}
