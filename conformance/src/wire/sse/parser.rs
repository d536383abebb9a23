//! The format of event streams (HTML standard, "Server-sent events"), without I/O: bytes in, in pieces of any size, events out.
//!
//! It takes any bytes: what is no UTF-8 becomes U+FFFD, what is no field is passed over. Only what is too long is an error.

use super::Event;
use std::collections::VecDeque;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// What was read of an event stream so far. Two that were fed the same bytes, in whatever pieces, are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parser {
    longest: usize,
    line: Vec<u8>,
    /// The last byte was a CR that ended a line: an LF behind it belongs to it.
    after_cr: bool,
    first_line: bool,
    name: String,
    data: Option<String>,
    last_id: String,
    retry: Option<u64>,
    /// How many bytes came since the last event.
    size: usize,
    /// How many of them an event may yet come from: those of comments are not among them.
    held: usize,
}

/// A line or an event is longer than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// What is allowed, in bytes.
    pub limit: usize,
}

impl Parser {
    /// At the start of an event stream whose lines and events have at most so many bytes.
    pub fn new(longest: usize) -> Self {
        Self {
            longest,
            line: Vec::new(),
            after_cr: false,
            first_line: true,
            name: String::new(),
            data: None,
            last_id: String::new(),
            retry: None,
            size: 0,
            held: 0,
        }
    }

    /// Takes the next bytes, and puts the events that they complete behind those of the queue.
    ///
    /// # Errors
    /// A line or an event is too long. Nothing is read from then on.
    pub fn feed(&mut self, mut bytes: &[u8], events: &mut VecDeque<Event>) -> Result<(), TooLong> {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr) && bytes[0] == b'\n' {
                self.size += 1;
                bytes = &bytes[1..];
                continue;
            }
            let end = bytes.iter().position(|b| matches!(b, b'\r' | b'\n'));
            let part = &bytes[..end.unwrap_or(bytes.len())];
            if self.held + self.line.len() + part.len() > self.longest {
                return Err(TooLong { limit: self.longest });
            }
            self.line.extend_from_slice(part);
            self.size += part.len() + usize::from(end.is_some());
            let Some(end) = end else { return Ok(()) };
            self.after_cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.line);
            self.end_of_line(&line, events);
            // The same memory again for the next line.
            self.line = line;
            self.line.clear();
        }
        Ok(())
    }

    /// Whether what came last belongs to an event that is not complete.
    pub fn is_within_event(&self) -> bool {
        self.held > 0 || !self.line.is_empty()
    }

    /// How long a reader is told to wait before it connects again, in milliseconds.
    pub fn retry(&self) -> Option<u64> {
        self.retry
    }

    fn end_of_line(&mut self, line: &[u8], events: &mut VecDeque<Event>) {
        let first = std::mem::take(&mut self.first_line);
        let line = line.strip_prefix(BOM).filter(|_| first).unwrap_or(line);
        if line.is_empty() {
            events.extend(self.event());
            return;
        }
        // The end of a line ends a character too, so that a line can be decoded by itself.
        let line = String::from_utf8_lossy(line);
        let (field, value) = match line.split_once(':') {
            Some(("", _)) => return,
            Some((field, value)) => (field, value.strip_prefix(' ').unwrap_or(value)),
            None => (&*line, ""),
        };
        self.held += line.len() + 1;
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            "id" if !value.contains('\0') => value.clone_into(&mut self.last_id),
            "retry" if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                self.retry = Some(value.parse().unwrap_or(u64::MAX));
            }
            _ => {}
        }
    }

    /// What an empty line completes: nothing without data.
    fn event(&mut self) -> Option<Event> {
        let name = std::mem::take(&mut self.name);
        let size = std::mem::take(&mut self.size) as u64;
        self.held = 0;
        let data = self.data.take()?;
        let name = if name.is_empty() { "message".to_owned() } else { name };
        Some(Event { name, data, id: self.last_id.clone(), size })
    }
}
