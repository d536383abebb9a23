//! The encoding of Protocol Buffers as far as the protocol uses it: varints, strings, nested messages, repeated fields.

use crate::decode::Violation;
use std::borrow::Cow;

/// How a value is written, as the lower three bits of its tag say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireType {
    /// Base 128, the lowest seven bits first.
    Varint,
    /// Eight bytes.
    Fixed64,
    /// A length and so many bytes.
    Bytes,
    /// The begin of a group.
    Open,
    /// The end of a group.
    Close,
    /// Four bytes.
    Fixed32,
}

impl WireType {
    /// The wire type of a tag; six and seven are none.
    pub fn of(tag: u64) -> Option<Self> {
        [Self::Varint, Self::Fixed64, Self::Bytes, Self::Open, Self::Close, Self::Fixed32]
            .get((tag & 7) as usize)
            .copied()
    }
}

/// How strictly a message is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// As whoever writes it has to write it: what is required is there.
    Strict,
    /// As whoever receives it has to read it: what is not there has its default value.
    Lenient,
}

/// Reads the bytes of a frame from front to back.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    longest: usize,
}

impl<'a> Reader<'a> {
    /// A reader of these bytes, in which a varint has so many bytes at most (ten at the very most).
    pub fn new(bytes: &'a [u8], longest: usize) -> Self {
        Self { bytes, at: 0, longest: longest.min(10) }
    }

    /// Whether all is read.
    pub fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// A violation at the place where the reader is.
    pub fn refuse(&self, expected: &str) -> Violation {
        Violation::new("", format!("byte {}: expected {expected}", self.at))
    }

    /// Reads a varint. Of ten bytes the upper bits of the last one are lost, as 64 bits have no room for them.
    ///
    /// # Errors
    /// The bytes end within it, or it is too long.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, Violation> {
        if let Some(&byte) = self.bytes.get(self.at).filter(|&&byte| byte < 0x80) {
            self.at += 1;
            return Ok(byte.into());
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u64, Violation> {
        let mut value = 0;
        for (index, &byte) in self.bytes[self.at..].iter().take(self.longest).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.at += index + 1;
                return Ok(value);
            }
        }
        Err(if self.bytes.len() - self.at < self.longest {
            self.refuse("a varint, found the end within it")
        } else {
            self.refuse(&format!("a varint of at most {} bytes, found a longer one", self.longest))
        })
    }

    /// Reads a length and so many bytes.
    ///
    /// # Errors
    /// The bytes end within it.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], Violation> {
        let length = self.varint()?;
        match usize::try_from(length) {
            Ok(length) => self.take(length),
            Err(_) => Err(self.refuse(&format!("{length} bytes, found fewer"))),
        }
    }

    /// Reads a length and so many bytes of UTF-8; U+FFFD stands for what is none.
    ///
    /// # Errors
    /// The bytes end within it.
    #[inline]
    pub fn text(&mut self) -> Result<Cow<'a, str>, Violation> {
        let bytes = self.bytes()?;
        // Texts are what they should be nearly always, and finding that alone is faster.
        Ok(std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed))
    }

    /// A reader of a nested message.
    ///
    /// # Errors
    /// The bytes end within it.
    pub fn nested(&mut self) -> Result<Self, Violation> {
        Ok(Self { bytes: self.bytes()?, at: 0, longest: self.longest })
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Violation> {
        let rest = &self.bytes[self.at..];
        let found = rest
            .get(..length)
            .ok_or_else(|| self.refuse(&format!("{length} bytes, found {}", rest.len())))?;
        self.at += length;
        Ok(found)
    }

    /// Reads a tag: the number of the field, and how its value is written.
    ///
    /// # Errors
    /// The bytes end within it, the number is 0 or beyond 29 bits, or the wire type is none.
    #[inline]
    pub fn tag(&mut self) -> Result<(u32, WireType), Violation> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).unwrap_or(u32::MAX);
        match WireType::of(tag) {
            Some(wire) if (1..1 << 29).contains(&number) => Ok((number, wire)),
            Some(_) => {
                Err(self.refuse(&format!("a field number from 1 to {}, found {}", (1 << 29) - 1, tag >> 3)))
            }
            None => Err(self.refuse(&format!("a wire type from 0 to 5, found {}", tag & 7))),
        }
    }

    /// Passes over the value of a field. A group is passed over with all groups within it, however deep.
    ///
    /// # Errors
    /// The bytes end within it, or a group ends that is not open.
    pub fn skip(&mut self, number: u32, wire: WireType) -> Result<(), Violation> {
        // The groups that are open: as many at most as there are bytes.
        let mut open = Vec::new();
        let (mut number, mut wire) = (number, wire);
        loop {
            match wire {
                WireType::Varint => drop(self.varint()?),
                WireType::Fixed64 => drop(self.take(8)?),
                WireType::Bytes => drop(self.bytes()?),
                WireType::Fixed32 => drop(self.take(4)?),
                WireType::Open => open.push(number),
                WireType::Close if open.pop() == Some(number) => {}
                WireType::Close => return Err(self.refuse("no end of a group that is not open, found one")),
            }
            if open.is_empty() {
                return Ok(());
            }
            (number, wire) = self.tag()?;
        }
    }
}

/// Writes a varint.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        // The mask leaves seven bits.
        #[allow(clippy::cast_possible_truncation)]
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    #[allow(clippy::cast_possible_truncation)]
    out.push(value as u8);
}

/// Writes a field of bytes.
pub fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Writes a field of a message, whose fields are written by this.
pub(crate) fn put_message(out: &mut Vec<u8>, number: u32, fields: impl FnOnce(&mut Vec<u8>)) {
    put_varint(out, u64::from(number) << 3 | 2);
    let at = out.len();
    // Most are so short that their length has one byte; behind a longer one they are moved.
    out.push(0);
    fields(out);
    let length = out.len() - at - 1;
    match u8::try_from(length) {
        Ok(short @ ..0x80) => out[at] = short,
        _ => {
            let mut long = Vec::new();
            put_varint(&mut long, length as u64);
            out.splice(at..=at, long);
        }
    }
}

/// A value that stands in a field of its own.
pub(crate) trait Scalar: Sized {
    /// How it is written.
    const WIRE: WireType;

    /// Reads it, behind a tag of its wire type.
    fn get(reader: &mut Reader<'_>, reading: Reading) -> Result<Self, Violation>;

    /// Writes it, with its tag.
    fn put(&self, number: u32, out: &mut Vec<u8>);

    /// What stands for it where it is not there.
    fn absent() -> Self;
}

impl Scalar for String {
    const WIRE: WireType = WireType::Bytes;

    fn get(reader: &mut Reader<'_>, _: Reading) -> Result<Self, Violation> {
        Ok(reader.text()?.into_owned())
    }

    fn put(&self, number: u32, out: &mut Vec<u8>) {
        put_bytes(out, number, self.as_bytes());
    }

    fn absent() -> Self {
        Self::new()
    }
}

impl Scalar for bool {
    const WIRE: WireType = WireType::Varint;

    fn get(reader: &mut Reader<'_>, _: Reading) -> Result<Self, Violation> {
        Ok(reader.varint()? != 0)
    }

    fn put(&self, number: u32, out: &mut Vec<u8>) {
        u32::from(*self).put(number, out);
    }

    fn absent() -> Self {
        false
    }
}

impl Scalar for u32 {
    const WIRE: WireType = WireType::Varint;

    // A longer number is cut to 32 bits.
    #[allow(clippy::cast_possible_truncation)]
    fn get(reader: &mut Reader<'_>, _: Reading) -> Result<Self, Violation> {
        Ok(reader.varint()? as Self)
    }

    fn put(&self, number: u32, out: &mut Vec<u8>) {
        put_varint(out, u64::from(number) << 3);
        put_varint(out, (*self).into());
    }

    fn absent() -> Self {
        0
    }
}

/// Plain two's complement: what is negative has ten bytes.
impl Scalar for i32 {
    const WIRE: WireType = WireType::Varint;

    #[allow(clippy::cast_possible_truncation)]
    fn get(reader: &mut Reader<'_>, _: Reading) -> Result<Self, Violation> {
        Ok(reader.varint()? as Self)
    }

    #[allow(clippy::cast_sign_loss)]
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        put_varint(out, u64::from(number) << 3);
        put_varint(out, i64::from(*self) as u64);
    }

    fn absent() -> Self {
        0
    }
}

/// A field of a message: required, optional or repeated.
pub(crate) trait Member: Sized {
    /// What was read of it so far.
    type Slot: Default;

    /// How its values are written; others are passed over as unknown fields are.
    const WIRE: WireType;

    /// Takes a value, behind a tag of its wire type.
    fn take(slot: &mut Self::Slot, reader: &mut Reader<'_>, reading: Reading) -> Result<(), Violation>;

    /// The member, or [`None`] if it is required and not there.
    fn finish(slot: Self::Slot, reading: Reading) -> Option<Self>;

    /// Writes it, with its tag.
    fn write(&self, number: u32, out: &mut Vec<u8>);
}

impl<T: Scalar> Member for T {
    type Slot = Option<T>;
    const WIRE: WireType = T::WIRE;

    fn take(slot: &mut Self::Slot, reader: &mut Reader<'_>, reading: Reading) -> Result<(), Violation> {
        // The last one counts.
        *slot = Some(T::get(reader, reading)?);
        Ok(())
    }

    fn finish(slot: Self::Slot, reading: Reading) -> Option<Self> {
        match reading {
            Reading::Strict => slot,
            Reading::Lenient => Some(slot.unwrap_or_else(T::absent)),
        }
    }

    fn write(&self, number: u32, out: &mut Vec<u8>) {
        self.put(number, out);
    }
}

impl<T: Scalar> Member for Option<T> {
    type Slot = Self;
    const WIRE: WireType = T::WIRE;

    fn take(slot: &mut Self::Slot, reader: &mut Reader<'_>, reading: Reading) -> Result<(), Violation> {
        *slot = Some(T::get(reader, reading)?);
        Ok(())
    }

    fn finish(slot: Self::Slot, _: Reading) -> Option<Self> {
        Some(slot)
    }

    fn write(&self, number: u32, out: &mut Vec<u8>) {
        if let Some(value) = self {
            value.put(number, out);
        }
    }
}

/// So many elements of a list are kept, which is more than any may have: two bytes of a message can be an element, and one takes some
/// hundred bytes of memory.
const LONGEST: usize = 65_536;

/// A list of which the document says whether it is there: none is written as an empty one.
impl<T: Scalar> Member for Option<Vec<T>> {
    type Slot = Self;
    const WIRE: WireType = T::WIRE;

    fn take(slot: &mut Self::Slot, reader: &mut Reader<'_>, reading: Reading) -> Result<(), Violation> {
        let value = T::get(reader, reading)?;
        let list = slot.get_or_insert_default();
        if list.len() < LONGEST {
            list.push(value);
        }
        Ok(())
    }

    fn finish(slot: Self::Slot, _: Reading) -> Option<Self> {
        Some(slot)
    }

    fn write(&self, number: u32, out: &mut Vec<u8>) {
        for value in self.iter().flatten() {
            value.put(number, out);
        }
    }
}
