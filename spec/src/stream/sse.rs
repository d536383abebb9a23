//! Sse: `GET` with `offset` and `live=sse`, and the control events of its answer.

use super::{
    Cursor, Offset, ReadOffset, header,
    read::unknown_live,
    requirements::{STREAM_MESSAGE_10, STREAM_SSE_2},
};
use crate::{
    decode::{Only, Value, Violation, expected, request, response, value},
    http,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// The value of `live` that asks for an event stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sse;

const LIVE: &str = "sse";

impl Value for Sse {
    const WHAT: &'static str = "live=sse";

    fn parse(text: &str) -> Result<Self, Violation> {
        if text == LIVE { Ok(Self) } else { Err(Violation::new("", expected(LIVE, text))) }
    }

    fn text(&self) -> &str {
        LIVE
    }

    #[cfg(feature = "schema")]
    fn syntax() -> serde_json::Value {
        serde_json::json!({ "const": LIVE })
    }
}

/// The media type of an event stream, with any parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventStream(String);

/// The media type of an event stream.
pub const EVENT_STREAM: &str = "text/event-stream";

impl Default for EventStream {
    fn default() -> Self {
        Self(EVENT_STREAM.into())
    }
}

impl Value for EventStream {
    const WHAT: &'static str = "text/event-stream";

    fn parse(text: &str) -> Result<Self, Violation> {
        let essence = text.split(';').next().unwrap_or_default().trim_end_matches([' ', '\t']);
        if essence.eq_ignore_ascii_case(EVENT_STREAM) {
            Ok(Self(text.into()))
        } else {
            Err(Violation::new("", expected(Self::WHAT, text)))
        }
    }

    fn text(&self) -> &str {
        &self.0
    }

    #[cfg(feature = "schema")]
    fn syntax() -> serde_json::Value {
        let letters = |word: &str| -> String {
            word.chars().map(|c| format!("[{}{c}]", c.to_ascii_uppercase())).collect()
        };
        let pattern = format!(r"^{}/{}-{}[ \t]*(;|$)", letters("text"), letters("event"), letters("stream"));
        serde_json::json!({ "type": "string", "pattern": pattern })
    }
}

/// The value of `stream-sse-data-encoding`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Base64;

const BASE64: &str = "base64";

impl Value for Base64 {
    const WHAT: &'static str = "base64";

    fn parse(text: &str) -> Result<Self, Violation> {
        if text == BASE64 { Ok(Self) } else { Err(Violation::new("", expected(BASE64, text))) }
    }

    fn text(&self) -> &str {
        BASE64
    }

    #[cfg(feature = "schema")]
    fn syntax() -> serde_json::Value {
        serde_json::json!({ "const": BASE64 })
    }
}

request! {
    /// Reads from an offset, and stays for what comes.
    SseRequest = "stream/sse-request", "GET", check = check;
    query {
        /// Where the read starts.
        offset: ReadOffset = header::query::OFFSET,
        /// The value sse.
        live: Sse = header::query::LIVE,
        /// The cursor that came last, as it came.
        cursor: Option<String> = header::query::CURSOR,
    }
    headers {}
}

fn check(request: &http::Request) -> Result<(), Violation> {
    match value(&request.query, header::query::LIVE) {
        Some(live) if live != LIVE => Err(unknown_live(LIVE, &live)),
        _ if request.query.get(header::query::OFFSET).is_none() => {
            Err(Violation::new("/query/offset", "expected an offset, found nothing").of(STREAM_SSE_2))
        }
        _ => Ok(()),
    }
}

response! {
    /// The head of an event stream.
    SseResponse = "stream/sse-response", STREAM_MESSAGE_10;
    status = Only(200);
    headers {
        /// The media type of an event stream.
        content_type: EventStream = header::CONTENT_TYPE,
        /// How the data events are encoded: in base64, or as they are.
        data_encoding: Option<Base64> = header::SSE_DATA_ENCODING,
        /// What caches may do with this answer.
        cache_control: Option<String> = header::CACHE_CONTROL,
    }
}

/// The name of an event that holds content.
pub const DATA: &str = "data";
/// The name of an event that says where the reader is.
pub const CONTROL: &str = "control";

/// The data of a control event. It follows each data event, and says where the reader is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SseControl {
    /// Where the next read starts.
    pub stream_next_offset: Offset,
    /// The cursor, while the stream is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Cursor"))]
    pub stream_cursor: Option<Cursor>,
    /// Whether the reader has reached the tail.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "schema", schemars(default))]
    pub up_to_date: bool,
    /// Whether the stream is closed and this is its end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "schema", schemars(default))]
    pub stream_closed: bool,
}

impl<'de> Deserialize<'de> for SseControl {
    // What serde derives takes an array as well.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Members {
            stream_next_offset: Offset,
            #[serde(default, deserialize_with = "present")]
            stream_cursor: Option<Cursor>,
            #[serde(default)]
            up_to_date: bool,
            #[serde(default)]
            stream_closed: bool,
        }
        let Members { stream_next_offset, stream_cursor, up_to_date, stream_closed } =
            crate::decode::object(deserializer)?;
        Ok(Self { stream_next_offset, stream_cursor, up_to_date, stream_closed })
    }
}

/// Reads the data of the event.
impl std::str::FromStr for SseControl {
    type Err = serde_json::Error;

    fn from_str(data: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(data)
    }
}

/// Writes the data of the event, in one line.
impl std::fmt::Display for SseControl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| std::fmt::Error)?)
    }
}

/// A member that may be absent and is never `null`.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A value that is text with a syntax stands in JSON as a string.
macro_rules! text {
    ($type:ident) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(Value::text(self))
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <Self as Value>::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                crate::schema::finish(<$type as Value>::syntax())
            }
        }
    };
}

text!(Offset);
text!(Cursor);

#[cfg(feature = "schema")]
impl crate::schema::Message for SseControl {
    const NAME: &'static str = "stream/sse-control";
}
