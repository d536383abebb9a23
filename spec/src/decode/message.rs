//! The macros that declare messages: one table each, from which type, decoder, encoder and JSON document come.

/// Declares a request: `Type = "name", "METHOD"`, then what it has in `query` and `headers`, and whether it has a body.
///
/// `check` is a function that sees the HTTP request first, for rules about more than one part and for those that a
/// requirement names; `refine` says in the JSON Schema what the table does not.
macro_rules! request {
    (
        $(#[doc = $doc:literal])+
        $name:ident = $wire:literal, $method:literal $(, check = $check:path)? $(, refine = $refine:path)?;
        query { $( $(#[doc = $qdoc:literal])+ $qfield:ident: $qtype:ty = $qname:path, )* }
        headers { $( $(#[doc = $hdoc:literal])+ $hfield:ident: $htype:ty = $hname:path, )* }
        $( $(#[doc = $bdoc:literal])+ $body:ident: Bytes, )?
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            /// The path of the stream, percent-encoded.
            pub path: String,
            $( $(#[doc = $qdoc])+ pub $qfield: $qtype, )*
            $( $(#[doc = $hdoc])+ pub $hfield: $htype, )*
            $( $(#[doc = $bdoc])+ pub $body: bytes::Bytes, )?
        }

        impl $name {
            /// Reads it from an HTTP request.
            ///
            /// # Errors
            /// The request is not this message.
            pub fn decode(request: &crate::http::Request) -> Result<Self, crate::decode::Violation> {
                let path = crate::decode::path(request, $method)?;
                $( $check(request)?; )?
                Ok(Self {
                    path,
                    $( $qfield: crate::decode::field(&request.query, "query", $qname, crate::decode::Side::Client)?, )*
                    $( $hfield: crate::decode::field(&request.headers, "headers", $hname, crate::decode::Side::Client)?, )*
                    $( $body: request.body.0.clone(), )?
                })
            }

            /// Writes it as an HTTP request.
            pub fn encode(self) -> crate::http::Request {
                #[allow(unused_mut)]
                let mut request = crate::http::Request::new($method, &self.path);
                $( if let Some(value) = crate::decode::Field::write(&self.$qfield) { request.query.push($qname, value); } )*
                $( if let Some(value) = crate::decode::Field::write(&self.$hfield) { request.headers.push($hname, value); } )*
                $( request.body = crate::http::Body(self.$body); )?
                request
            }
        }

        crate::decode::document!($name, crate::http::Request);

        #[cfg(feature = "schema")]
        impl crate::schema::Message for $name {
            const NAME: &'static str = $wire;
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                use crate::schema::{request, words};
                #[allow(unused_mut)]
                let mut schema = request(
                    &words(&[$($doc),+]),
                    $method,
                    &[$( crate::schema::Part::new::<$qtype>($qname, &[$($qdoc),+], crate::decode::Side::Client) ),*],
                    &[$( crate::schema::Part::new::<$htype>($hname, &[$($hdoc),+], crate::decode::Side::Client) ),*],
                    [$( words(&[$($bdoc),+]) )?].first(),
                );
                $( $refine(&mut schema); )?
                crate::schema::finish(schema)
            }
        }
    };
}

/// Declares an answer: `Type = "name", REQUIREMENT` (that of its shape), its `status` and the field that keeps it, its
/// `headers`, and whether it has a body. `check` and `refine` are those of `request!`.
macro_rules! response {
    (
        $(#[doc = $doc:literal])+
        $name:ident = $wire:literal, $shape:path $(, check = $check:path)? $(, refine = $refine:path)?;
        status = $status:expr $(, $(#[doc = $sdoc:literal])+ $sfield:ident: $stype:ty)?;
        headers { $( $(#[doc = $hdoc:literal])+ $hfield:ident: $htype:ty = $hname:path, )* }
        $( $(#[doc = $bdoc:literal])+ $body:ident: Bytes, )?
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $( $(#[doc = $sdoc])+ pub $sfield: $stype, )?
            $( $(#[doc = $hdoc])+ pub $hfield: $htype, )*
            $( $(#[doc = $bdoc])+ pub $body: bytes::Bytes, )?
        }

        impl $name {
            /// Reads it from an HTTP answer.
            ///
            /// # Errors
            /// The answer has not the shape of this message.
            pub fn decode(response: &crate::http::Response) -> Result<Self, crate::decode::Violation> {
                Self::read(response).map_err(|violation| violation.of($shape))
            }

            fn read(response: &crate::http::Response) -> Result<Self, crate::decode::Violation> {
                let _status = crate::decode::status(&$status, response)?;
                $( $check(response)?; )?
                Ok(Self {
                    $( $sfield: _status, )?
                    $( $hfield: crate::decode::field(&response.headers, "headers", $hname, crate::decode::Side::Server)?, )*
                    $( $body: response.body.0.clone(), )?
                })
            }

            /// Writes it as an HTTP answer.
            #[allow(clippy::let_unit_value)]
            pub fn encode(self) -> crate::http::Response {
                let _kept = ();
                $( let _kept = self.$sfield; )?
                #[allow(unused_mut)]
                let mut response = crate::http::Response::new(crate::decode::Status::write(&$status, _kept));
                $( if let Some(value) = crate::decode::Field::write(&self.$hfield) { response.headers.push($hname, value); } )*
                $( response.body = crate::http::Body(self.$body); )?
                response
            }
        }

        crate::decode::document!($name, crate::http::Response);

        #[cfg(feature = "schema")]
        impl crate::schema::Message for $name {
            const NAME: &'static str = $wire;
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                use crate::schema::{response, words};
                #[allow(unused_mut)]
                let mut schema = response(
                    &words(&[$($doc),+]),
                    crate::decode::Status::schema(&$status),
                    &words(&[$( $($sdoc),+ )?]),
                    &[$( crate::schema::Part::new::<$htype>($hname, &[$($hdoc),+], crate::decode::Side::Server) ),*],
                    [$( words(&[$($bdoc),+]) )?].first(),
                );
                $( $refine(&mut schema); )?
                crate::schema::finish(schema)
            }
        }
    };
}

/// The serde form of a message: the document of its HTTP message, so that there is one decoder for both. As text it is that
/// document as JSON.
macro_rules! document {
    ($name:ident, $http:ty) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.clone().encode().serialize(serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let message: $http = crate::decode::object(deserializer)?;
                Self::decode(&message).map_err(serde::de::Error::custom)
            }
        }

        /// Reads the document of the message.
        impl std::str::FromStr for $name {
            type Err = serde_json::Error;

            fn from_str(document: &str) -> Result<Self, Self::Err> {
                serde_json::from_str(document)
            }
        }

        /// Writes the document of the message, in one line.
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&serde_json::to_string(self).map_err(|_| std::fmt::Error)?)
            }
        }
    };
}

pub(crate) use {document, request, response};
