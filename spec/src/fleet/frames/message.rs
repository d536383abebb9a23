//! The macros that declare the messages of inner frames: one table each, from which type, codec, document and schema come.

/// Declares a message: `Type = "name", names = function;`, then its members, each behind the number of its field. What is a part
/// of messages only has neither name nor function.
macro_rules! frame {
    (
        $(#[doc = $doc:literal])+
        $name:ident $(= $wire:literal, names = $names:expr $(, rules = $rules:expr)?)?;
        $( $(#[doc = $fdoc:literal])+ $number:literal $field:ident: $type:ty = $member:literal, )+
    ) => {
        crate::json::json! {
            $(#[doc = $doc])+
            $name $(= $wire, names = $names $(, rules = $rules)?)?;
            $( $(#[doc = $fdoc])+ $field: $type = $member, )+
        }

        // The numbers of the fields have their names.
        #[allow(non_upper_case_globals)]
        impl $name {
            $( const $field: u32 = $number; )+

            /// The body of the frame, field by field.
            fn fields(&self, out: &mut Vec<u8>) {
                $( crate::fleet::frames::Member::write(&self.$field, Self::$field, out); )+
            }

            /// Reads the body of a frame.
            fn take(
                mut reader: crate::fleet::frames::Reader<'_>,
                reading: crate::fleet::frames::Reading,
            ) -> Result<Self, crate::decode::Violation> {
                use crate::fleet::frames::Member;
                $( let mut $field = <$type as Member>::Slot::default(); )+
                while !reader.is_empty() {
                    match reader.tag()? {
                        $( (Self::$field, wire) if wire == <$type as Member>::WIRE => {
                            <$type as Member>::take(&mut $field, &mut reader, reading)?;
                        } )+
                        (number, wire) => reader.skip(number, wire)?,
                    }
                }
                $( let $field = <$type as Member>::finish($field, reading).ok_or_else(|| {
                    crate::json::within($member, crate::decode::Violation::new("", "expected a value, found nothing"))
                })?; )+
                Ok(Self { $( $field, )+ })
            }
        }

        crate::fleet::frames::frame!(@of $name $($names, [$($rules)?])?);
    };

    // A message: an inner frame of its own.
    (@of $name:ident $names:expr, [$($rules:expr)?]) => {
        impl $name {
            /// Reads an inner frame as whoever writes it has to write it.
            ///
            /// # Errors
            /// It is malformed, of another major version, or a member is missing or has no value that it may have.
            pub fn decode_frame(inner: &[u8]) -> Result<Self, crate::decode::Violation> {
                Self::read_frame(inner, crate::fleet::frames::Reading::Strict)
                    $( .and_then(|message| crate::json::obey($rules, message)) )?
                    .map_err(|violation| crate::json::json!(@name violation, $names))
            }

            /// Reads an inner frame as whoever receives it has to read it: what is missing has its default value.
            ///
            /// # Errors
            /// It is malformed or of another major version.
            pub fn receive(inner: &[u8]) -> Result<Self, crate::decode::Violation> {
                Self::read_frame(inner, crate::fleet::frames::Reading::Lenient)
            }

            fn read_frame(
                inner: &[u8],
                reading: crate::fleet::frames::Reading,
            ) -> Result<Self, crate::decode::Violation> {
                Self::take(crate::fleet::frames::body(inner)?, reading)
            }

            /// Writes the inner frame.
            pub fn encode_frame(&self) -> Vec<u8> {
                let mut out = crate::fleet::frames::header();
                self.fields(&mut out);
                out
            }
        }
    };

    // A part of messages.
    (@of $name:ident) => {
        impl crate::fleet::frames::Scalar for $name {
            const WIRE: crate::fleet::frames::WireType = crate::fleet::frames::WireType::Bytes;

            fn get(
                reader: &mut crate::fleet::frames::Reader<'_>,
                reading: crate::fleet::frames::Reading,
            ) -> Result<Self, crate::decode::Violation> {
                Self::take(reader.nested()?, reading)
            }

            fn put(&self, number: u32, out: &mut Vec<u8>) {
                crate::fleet::frames::put_message(out, number, |out| self.fields(out));
            }

            fn absent() -> Self {
                // Nothing is malformed in nothing.
                Self::take(
                    crate::fleet::frames::Reader::new(&[], 1),
                    crate::fleet::frames::Reading::Lenient,
                )
                .expect("an empty message")
            }
        }
    };
}

/// Declares a value that is one of several words, and in a frame that is received may be any other text; where `others` is true
/// it may be so wherever it is read.
macro_rules! terms {
    (
        $(#[doc = $doc:literal])+
        $name:ident, absent = $absent:expr, others = $others:literal;
        $( $(#[doc = $wdoc:literal])+ $variant:ident = $word:literal, )+
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $( $(#[doc = $wdoc])+ $variant, )+
            /// A word of another version.
            Other(String),
        }

        impl $name {
            /// The word on the wire.
            pub fn word(&self) -> &str {
                match self {
                    $( Self::$variant => $word, )+
                    Self::Other(word) => word,
                }
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                match word {
                    $( $word => Self::$variant, )+
                    other => Self::Other(other.to_owned()),
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }

        impl crate::json::Json for $name {
            fn read(value: &serde_json::value::RawValue) -> Result<Self, crate::decode::Violation> {
                match Self::from(<String as crate::json::Json>::read(value)?.as_str()) {
                    Self::Other(_) if !$others => Err(crate::json::expected(&[$( $word ),+].join(" or "), value)),
                    known => Ok(known),
                }
            }

            #[cfg(feature = "schema")]
            fn schema() -> serde_json::Value {
                if $others {
                    serde_json::json!({ "type": "string" })
                } else {
                    serde_json::json!({ "enum": [$( $word ),+] })
                }
            }
        }

        impl crate::fleet::frames::Scalar for $name {
            const WIRE: crate::fleet::frames::WireType = crate::fleet::frames::WireType::Bytes;

            fn get(
                reader: &mut crate::fleet::frames::Reader<'_>,
                reading: crate::fleet::frames::Reading,
            ) -> Result<Self, crate::decode::Violation> {
                match (Self::from(reader.text()?.as_ref()), reading) {
                    (Self::Other(word), crate::fleet::frames::Reading::Strict) if !$others => Err(crate::decode::Violation::new(
                        "",
                        crate::decode::expected(&[$( $word ),+].join(" or "), &word),
                    )),
                    (word, _) => Ok(word),
                }
            }

            fn put(&self, number: u32, out: &mut Vec<u8>) {
                crate::fleet::frames::put_bytes(out, number, self.word().as_bytes());
            }

            fn absent() -> Self {
                $absent
            }
        }
    };
}

pub(crate) use {frame, terms};
