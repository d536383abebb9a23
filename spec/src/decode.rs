//! Between HTTP messages and typed messages: one table a message, from which its type, decoder, encoder and JSON document
//! come.
//!
//! The macros `request!` and `response!` turn such a table into a struct whose fields are the parts of the message that the
//! protocol speaks of. Its serde form is the document form of [`crate::http`]. Decoders never panic, ignore headers and
//! parameters that they do not know, and say in a [`Violation`] where and why they refuse.

mod message;
pub(crate) use message::{document, request, response};

use crate::requirement::RequirementId;
use std::{borrow::Cow, fmt};

/// Reads the document of a message, or its bytes where they are one, and says what is wrong with them.
pub type Check = fn(&[u8]) -> Result<(), Violation>;

/// Lists the messages of a protocol.
macro_rules! messages {
    ($( $type:ident = $name:literal, )+) => {
        /// Every message: the name of its schema, and the decoder of its document.
        pub const MESSAGES: &[(&str, Check)] = &[$( ($name, |bytes| $type::decode(bytes).map(drop)), )+];

        /// The JSON Schema of every message.
        #[cfg(feature = "schema")]
        pub fn schemas() -> Vec<crate::schema::Schema> {
            vec![$( crate::schema::Schema::of::<$type>(), )+]
        }
    };
}
pub(crate) use messages;

/// Why a message is none of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The requirement that it breaks, if one says so.
    pub requirement: Option<RequirementId>,
    /// Where in the document of the message, as a JSON pointer; empty for the whole.
    pub at: String,
    /// What was expected there, and what was found.
    pub why: String,
}

impl Violation {
    /// A violation that no single requirement names.
    pub fn new(at: impl Into<String>, why: impl Into<String>) -> Self {
        Self { requirement: None, at: at.into(), why: why.into() }
    }

    /// Names the requirement, if none is named yet.
    pub fn of(mut self, requirement: RequirementId) -> Self {
        self.requirement.get_or_insert(requirement);
        self
    }

    /// Whether the method is one that the protocol does not use: a server answers 405.
    pub fn is_method(&self) -> bool {
        self.at == "/method"
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(requirement) = self.requirement {
            write!(f, "{requirement}: ")?;
        }
        if !self.at.is_empty() {
            write!(f, "at {}: ", self.at)?;
        }
        f.write_str(&self.why)
    }
}

impl std::error::Error for Violation {}

/// `expected …, found …`; a long value is cut, as it comes from the other side.
pub fn expected(what: &str, found: &str) -> String {
    const SHOWN: usize = 80;
    match found.char_indices().nth(SHOWN) {
        Some((end, _)) => {
            format!("expected {what}, found {:?} and {} bytes more", &found[..end], found.len() - end)
        }
        None => format!("expected {what}, found {found:?}"),
    }
}

/// The side that a message comes from. Requests are read more leniently than answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The side that asks.
    Client,
    /// The side that answers.
    Server,
}

/// A value of a header or a parameter that is text with a syntax.
pub trait Value: Sized {
    /// What it is, with its article, for the errors.
    const WHAT: &'static str;

    /// Reads it.
    ///
    /// # Errors
    /// The text breaks the syntax; `at` is empty.
    fn parse(text: &str) -> Result<Self, Violation>;

    /// How it stands on the wire.
    fn text(&self) -> &str;

    /// The syntax as a JSON Schema.
    #[cfg(feature = "schema")]
    fn syntax() -> serde_json::Value;
}

impl Value for String {
    const WHAT: &'static str = "a value";

    fn parse(text: &str) -> Result<Self, Violation> {
        Ok(text.into())
    }

    fn text(&self) -> &str {
        self
    }

    #[cfg(feature = "schema")]
    fn syntax() -> serde_json::Value {
        serde_json::json!({ "type": "string" })
    }
}

/// A header or a parameter as a field of a typed message: required, optional or a flag.
pub trait Field: Sized {
    /// Whether a message has to have it.
    const REQUIRED: bool;

    /// Reads it from its value, if it is there.
    ///
    /// # Errors
    /// It is missing, or its value breaks the syntax; `at` is empty.
    fn read(value: Option<&str>, from: Side) -> Result<Self, Violation>;

    /// Its value, if it is to be there.
    fn write(&self) -> Option<&str>;

    /// The syntax of its value as a JSON Schema.
    #[cfg(feature = "schema")]
    fn schema(from: Side) -> serde_json::Value;
}

impl<V: Value> Field for V {
    const REQUIRED: bool = true;

    fn read(value: Option<&str>, _: Side) -> Result<Self, Violation> {
        let missing = || Violation::new("", format!("expected {}, found nothing", V::WHAT));
        V::parse(value.ok_or_else(missing)?)
    }

    fn write(&self) -> Option<&str> {
        Some(self.text())
    }

    #[cfg(feature = "schema")]
    fn schema(_: Side) -> serde_json::Value {
        V::syntax()
    }
}

/// Absent is the only way to leave it out: `null` is refused, as no header can be `null`.
impl<V: Value> Field for Option<V> {
    const REQUIRED: bool = false;

    fn read(value: Option<&str>, _: Side) -> Result<Self, Violation> {
        value.map(V::parse).transpose()
    }

    fn write(&self) -> Option<&str> {
        self.as_ref().map(V::text)
    }

    #[cfg(feature = "schema")]
    fn schema(_: Side) -> serde_json::Value {
        V::syntax()
    }
}

/// A flag. In a request `true` in any case sets it, and any other value is as if it were absent; in an answer it is exactly
/// `true` or absent.
impl Field for bool {
    const REQUIRED: bool = false;

    fn read(value: Option<&str>, from: Side) -> Result<Self, Violation> {
        match (value, from) {
            (None, _) => Ok(false),
            (Some(text), Side::Client) => Ok(text.eq_ignore_ascii_case("true")),
            (Some(_), Side::Server) => True::read(value, from).map(|True| true),
        }
    }

    fn write(&self) -> Option<&str> {
        self.then_some("true")
    }

    #[cfg(feature = "schema")]
    fn schema(from: Side) -> serde_json::Value {
        match from {
            Side::Client => String::syntax(),
            Side::Server => True::schema(from),
        }
    }
}

/// A flag that has to be set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct True;

impl Field for True {
    const REQUIRED: bool = true;

    fn read(value: Option<&str>, from: Side) -> Result<Self, Violation> {
        match value {
            Some("true") => Ok(Self),
            Some(text) if from == Side::Client && text.eq_ignore_ascii_case("true") => Ok(Self),
            Some(text) => Err(Violation::new("", expected("the value true", text))),
            None => Err(Violation::new("", "expected the value true, found nothing")),
        }
    }

    fn write(&self) -> Option<&str> {
        Some("true")
    }

    #[cfg(feature = "schema")]
    fn schema(from: Side) -> serde_json::Value {
        match from {
            Side::Client => serde_json::json!({ "type": "string", "pattern": "^[Tt][Rr][Uu][Ee]$" }),
            Side::Server => serde_json::json!({ "const": "true" }),
        }
    }
}

/// The one value of this name; several are joined with `, `, as documents do it.
pub(crate) fn value<'a>(fields: &'a crate::http::Fields, name: &str) -> Option<Cow<'a, str>> {
    let mut all = fields.0.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str());
    let first = all.next()?;
    Some(all.fold(Cow::Borrowed(first), |joined, next| Cow::Owned(format!("{joined}, {next}"))))
}

/// Reads one field of the part (`headers` or `query`) of a message. The requirements that values name are about what a client
/// sends; of an answer it is the shape that is broken.
pub(crate) fn field<F: Field>(
    fields: &crate::http::Fields,
    part: &str,
    name: &str,
    from: Side,
) -> Result<F, Violation> {
    F::read(value(fields, name).as_deref(), from).map_err(|v| Violation {
        at: format!("/{part}/{name}"),
        requirement: v.requirement.filter(|_| matches!(from, Side::Client)),
        ..v
    })
}

/// Every request of the protocols has a path that begins with `/`.
pub(crate) fn path(request: &crate::http::Request, method: &str) -> Result<String, Violation> {
    if request.method != method {
        return Err(Violation::new("/method", expected(method, &request.method)));
    }
    if !request.path.starts_with('/') {
        return Err(Violation::new("/path", expected("a path that begins with /", &request.path)));
    }
    Ok(request.path.clone())
}

/// Reads a value from a JSON object only: what serde derives for a struct takes an array as well.
pub(crate) fn object<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: serde::Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    struct Object<T>(std::marker::PhantomData<T>);
    impl<'de, T: serde::Deserialize<'de>> serde::de::Visitor<'de> for Object<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(serde::de::value::MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_map(Object(std::marker::PhantomData))
}

/// The status of an answer, and what a typed answer keeps of it.
pub(crate) trait Status {
    /// What the answer keeps.
    type Kept;
    /// Reads it; nothing for a status that the answer cannot have.
    fn read(&self, status: u16) -> Option<Self::Kept>;
    /// The status.
    fn write(&self, kept: Self::Kept) -> u16;
    /// What it can be, for the errors.
    fn what(&self) -> String;
    /// What it can be, as a JSON Schema.
    #[cfg(feature = "schema")]
    fn schema(&self) -> serde_json::Value;
}

/// Always this status.
pub(crate) struct Only(pub(crate) u16);

/// The first status for yes, the second for no.
pub(crate) struct Either(pub(crate) u16, pub(crate) u16);

/// Any status from the first to the second.
pub(crate) struct Between(pub(crate) u16, pub(crate) u16);

impl Status for Only {
    type Kept = ();
    fn read(&self, status: u16) -> Option<()> {
        (status == self.0).then_some(())
    }
    fn write(&self, (): ()) -> u16 {
        self.0
    }
    fn what(&self) -> String {
        self.0.to_string()
    }
    #[cfg(feature = "schema")]
    fn schema(&self) -> serde_json::Value {
        serde_json::json!({ "const": self.0 })
    }
}

impl Status for Either {
    type Kept = bool;
    fn read(&self, status: u16) -> Option<bool> {
        [(self.0, true), (self.1, false)].into_iter().find_map(|(s, yes)| (s == status).then_some(yes))
    }
    fn write(&self, yes: bool) -> u16 {
        if yes { self.0 } else { self.1 }
    }
    fn what(&self) -> String {
        format!("{} or {}", self.0, self.1)
    }
    #[cfg(feature = "schema")]
    fn schema(&self) -> serde_json::Value {
        serde_json::json!({ "enum": [self.0, self.1] })
    }
}

impl Status for Between {
    type Kept = u16;
    fn read(&self, status: u16) -> Option<u16> {
        (self.0..=self.1).contains(&status).then_some(status)
    }
    fn write(&self, status: u16) -> u16 {
        status
    }
    fn what(&self) -> String {
        format!("a status from {} to {}", self.0, self.1)
    }
    #[cfg(feature = "schema")]
    fn schema(&self) -> serde_json::Value {
        serde_json::json!({ "type": "integer", "minimum": self.0, "maximum": self.1 })
    }
}

/// Reads the status of an answer.
pub(crate) fn status<S: Status>(allowed: &S, response: &crate::http::Response) -> Result<S::Kept, Violation> {
    let refuse =
        || Violation::new("/status", format!("expected {}, found {}", allowed.what(), response.status));
    allowed.read(response.status).ok_or_else(refuse)
}
