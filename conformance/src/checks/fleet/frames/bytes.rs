//! Frames taken apart and put together otherwise.

use wireproof_spec::fleet::frames::{Outer, Reader, WireType, header, put_bytes, put_varint};

/// A field as it is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    /// Its number.
    pub(super) number: u32,
    /// What it holds, if that has a length.
    pub(super) content: Vec<u8>,
    /// Key and value.
    pub(super) bytes: Vec<u8>,
}

/// A field with a length.
pub(super) fn text(number: u32, content: &[u8]) -> Field {
    let mut bytes = Vec::new();
    put_bytes(&mut bytes, number, content);
    Field { number, content: content.to_vec(), bytes }
}

/// A field with a number.
pub(super) fn number(number: u32, value: u64) -> Field {
    let mut bytes = Vec::new();
    put_varint(&mut bytes, u64::from(number) << 3);
    put_varint(&mut bytes, value);
    Field { number, content: Vec::new(), bytes }
}

/// A field of this wire type with these bytes behind its key.
pub(super) fn odd(number: u32, wire: u8, value: &[u8]) -> Field {
    let mut bytes = Vec::new();
    put_varint(&mut bytes, u64::from(number) << 3 | u64::from(wire));
    bytes.extend(value);
    Field { number, content: Vec::new(), bytes }
}

/// The fields of an inner frame of ours, or of a message within it.
pub(super) fn fields(body: &[u8]) -> Vec<Field> {
    const LONGEST: usize = 10;
    let mut reader = Reader::new(body, LONGEST);
    let mut all = Vec::new();
    while let Ok((known, wire)) = reader.tag() {
        match wire {
            WireType::Bytes => all.extend(reader.bytes().map(|content| text(known, content))),
            _ => all.extend(reader.varint().map(|value| number(known, value))),
        }
    }
    all
}

/// The fields of an inner frame with its header.
pub(super) fn of_inner(inner: &[u8]) -> Vec<Field> {
    fields(inner.get(2..).unwrap_or_default())
}

/// These fields, one behind the other.
pub(super) fn joined(fields: &[Field]) -> Vec<u8> {
    fields.iter().flat_map(|field| field.bytes.clone()).collect()
}

/// An inner frame of these fields.
pub(super) fn inner(fields: &[Field]) -> Vec<u8> {
    [header(), joined(fields)].concat()
}

/// Fields that nobody knows, of the wire types 0, 1, 2 and 5, with small numbers and great ones.
pub(super) fn unknown() -> Vec<Field> {
    const GREATEST: u32 = (1 << 29) - 1;
    vec![
        number(99, 7),
        odd(100, 1, &[8; 8]),
        text(101, b"unknown"),
        odd(102, 5, &[4; 4]),
        number(GREATEST, u64::MAX),
        text(GREATEST, &[]),
    ]
}

/// These fields with unknown ones before, among and behind them; within the fields with these numbers too.
pub(super) fn amid_unknown(fields: Vec<Field>, nested: &[u32]) -> Vec<Field> {
    let mut all = unknown();
    for field in fields {
        if nested.contains(&field.number) {
            let within = amid_unknown(self::fields(&field.content), &[]);
            all.push(text(field.number, &joined(&within)));
        } else {
            all.push(field);
        }
        all.extend(unknown());
    }
    all
}

/// Unknown fields of an outer frame.
fn outer_unknown() -> Vec<u8> {
    joined(&[
        number(3, 5),
        text(4, b"unknown"),
        number(15, 1 << 40),
        text(1_000, &[0xff; 3]),
        number(0, 1),
        text(0, b"0"),
    ])
}

/// Outer frames with unknown fields before, between and behind the two.
pub(super) fn outers(topic: &str, payload: &[u8]) -> Vec<Vec<u8>> {
    let (topic, payload) = (text(1, topic.as_bytes()).bytes, text(2, payload).bytes);
    vec![
        [outer_unknown(), topic.clone(), payload.clone()].concat(),
        [topic.clone(), outer_unknown(), payload.clone()].concat(),
        [topic, payload, outer_unknown()].concat(),
    ]
}

/// An outer frame with its fields the other way round.
pub(super) fn turned(topic: &str, payload: &[u8]) -> Vec<u8> {
    joined(&[text(2, payload), text(1, topic.as_bytes())])
}

/// Outer frames whose topic, or payload, stands there twice, the first time as something else.
pub(super) fn doubled(topic: &str, payload: &[u8]) -> Vec<Vec<u8>> {
    let (first, second) = (text(1, topic.as_bytes()), text(2, payload));
    vec![
        joined(&[text(1, b"fleet/other"), first.clone(), second.clone()]),
        joined(&[first, text(2, b"\x03\x00nothing"), second]),
    ]
}

/// The ordinary outer frame.
pub(super) fn outer(topic: &str, payload: &[u8]) -> Vec<u8> {
    Outer::encode(topic, payload)
}
