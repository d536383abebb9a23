//! The macros that declare messages: one table each.

/// Declares an object: `Type = "name", names = function;`, then its members. The function gives the requirement that a
/// violation is one of, if its part named none; what is a part of messages only has neither name nor function. `rules = …` are what its
/// members have to do with each other.
macro_rules! json {
    (
        $(#[doc = $doc:literal])+
        $name:ident = $wire:literal, names = $names:expr $(, rules = $rules:expr)?;
        $($members:tt)*
    ) => {
        crate::json::json!(@type $(#[doc = $doc])+ $name [$names] [$($rules)?]; $($members)*);
        crate::json::json!(@message $name, $wire, $($doc)+);
    };

    (
        $(#[doc = $doc:literal])+
        $name:ident;
        $($members:tt)*
    ) => {
        crate::json::json!(@type $(#[doc = $doc])+ $name [] []; $($members)*);
    };

    (
        @type $(#[doc = $doc:literal])+
        $name:ident [$($names:expr)?] [$($rules:expr)?];
        $( $(#[doc = $fdoc:literal])+ $field:ident: $type:ty = $member:literal, )*
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $( $(#[doc = $fdoc])+ pub $field: $type, )*
        }

        impl $name {
            fn members(_value: &serde_json::value::RawValue) -> Result<Self, crate::decode::Violation> {
                let _members = crate::json::Members::of(_value)?;
                Ok(Self { $( $field: _members.read($member)?, )* })
            }
        }

        impl crate::json::Json for $name {
            fn read(value: &serde_json::value::RawValue) -> Result<Self, crate::decode::Violation> {
                let read = Self::members(value);
                $( let read = read.and_then(|read| crate::json::obey($rules, read)); )?
                $( let read = read.map_err(|violation| crate::json::json!(@name violation, $names)); )?
                read
            }

            #[cfg(feature = "schema")]
            fn schema() -> serde_json::Value {
                let schema = crate::json::object(vec![
                    $( crate::json::json!(@part $member, $type, $($fdoc)+) ),*
                ]);
                $( let schema = crate::json::ruled($rules, schema); )?
                schema
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut _writer = crate::json::Writer::<S>(serializer.serialize_map(None)?);
                $( _writer.member($member, &self.$field)?; )*
                serde::ser::SerializeMap::end(_writer.0)
            }
        }
    };

    (@name $violation:ident, $names:expr) => {{
        let names: fn(&crate::decode::Violation) -> crate::requirement::RequirementId = $names;
        let id = names(&$violation);
        $violation.of(id)
    }};

    (@part $member:literal, $type:ty, $($doc:literal)+) => {
        crate::json::Part(
            $member,
            <$type as crate::json::Member>::REQUIRED,
            <$type as crate::json::Member>::schema(),
            crate::schema::words(&[$($doc),+]),
        )
    };

    (@message $name:ident, $wire:literal, $($doc:literal)+) => {
        impl $name {
            /// Reads it from the bytes of a frame or body.
            ///
            /// # Errors
            /// They are not this message.
            pub fn decode(bytes: &[u8]) -> Result<Self, crate::decode::Violation> {
                crate::json::decode(bytes)
            }

            /// Writes it as compact JSON.
            pub fn encode(&self) -> String {
                // Nothing in it is beyond JSON.
                serde_json::to_string(self).unwrap_or_default()
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = Box::<serde_json::value::RawValue>::deserialize(deserializer)?;
                crate::json::Json::read(&value).map_err(serde::de::Error::custom)
            }
        }

        /// Reads the document of the message.
        impl std::str::FromStr for $name {
            type Err = crate::decode::Violation;

            fn from_str(document: &str) -> Result<Self, Self::Err> {
                Self::decode(document.as_bytes())
            }
        }

        /// Writes the document of the message, in one line.
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.encode())
            }
        }

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
                let mut schema = <$name as crate::json::Json>::schema();
                schema["description"] = crate::schema::words(&[$($doc),+]).into();
                crate::schema::finish(schema)
            }
        }
    };
}

/// Declares the envelope of a success: as `json!`, where the members are those of `data`.
macro_rules! reply {
    (
        $(#[doc = $doc:literal])+
        $name:ident = $wire:literal, names = $names:expr;
        $( $(#[doc = $fdoc:literal])+ $field:ident: $type:ty = $member:literal, )+
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $( $(#[doc = $fdoc])+ pub $field: $type, )+
        }

        impl $name {
            fn members(value: &serde_json::value::RawValue) -> Result<Self, crate::decode::Violation> {
                let envelope = crate::json::Members::of(value)?;
                let crate::json::True = envelope.read("success")?;
                let data: crate::json::Object = envelope.read("data")?;
                let data: Box<serde_json::value::RawValue> = data.into();
                let read = || {
                    let members = crate::json::Members::of(&data)?;
                    Ok(Self { $( $field: members.read($member)?, )+ })
                };
                read().map_err(|violation| crate::json::within("data", violation))
            }
        }

        impl crate::json::Json for $name {
            fn read(value: &serde_json::value::RawValue) -> Result<Self, crate::decode::Violation> {
                Self::members(value).map_err(|violation| crate::json::json!(@name violation, $names))
            }

            #[cfg(feature = "schema")]
            fn schema() -> serde_json::Value {
                use crate::json::{Part, True, object};
                let data = object(vec![ $( crate::json::json!(@part $member, $type, $($fdoc)+) ),+ ]);
                object(vec![
                    Part("success", true, True::schema(), "Whether it succeeded.".into()),
                    Part("data", true, data, "What it is about.".into()),
                ])
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                struct Data<'a>(&'a $name);
                impl serde::Serialize for Data<'_> {
                    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                        let mut writer = crate::json::Writer::<S>(serializer.serialize_map(None)?);
                        $( writer.member($member, &self.0.$field)?; )+
                        serde::ser::SerializeMap::end(writer.0)
                    }
                }
                let mut envelope = serializer.serialize_map(Some(2))?;
                serde::ser::SerializeMap::serialize_entry(&mut envelope, "success", &true)?;
                serde::ser::SerializeMap::serialize_entry(&mut envelope, "data", &Data(self))?;
                serde::ser::SerializeMap::end(envelope)
            }
        }

        crate::json::json!(@message $name, $wire, $($doc)+);
    };
}

/// Declares a value that is one of several words.
macro_rules! words {
    (
        $(#[doc = $doc:literal])+
        $name:ident;
        $( $(#[doc = $wdoc:literal])+ $variant:ident = $word:literal, )+
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $( $(#[doc = $wdoc])+ $variant, )+
        }

        impl $name {
            /// The word on the wire.
            pub fn word(self) -> &'static str {
                match self { $( Self::$variant => $word, )+ }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }

        impl crate::json::Json for $name {
            fn read(value: &serde_json::value::RawValue) -> Result<Self, crate::decode::Violation> {
                let word = <String as crate::json::Json>::read(value)?;
                match word.as_str() {
                    $( $word => Ok(Self::$variant), )+
                    _ => Err(crate::json::expected(&[$( $word ),+].join(" or "), value)),
                }
            }

            #[cfg(feature = "schema")]
            fn schema() -> serde_json::Value {
                serde_json::json!({ "enum": [$( $word ),+] })
            }
        }
    };
}

pub(crate) use {json, reply, words};
