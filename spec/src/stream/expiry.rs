//! How long a stream lives: `Stream-TTL` and `Stream-Expires-At`.

use super::requirements::{STREAM_CREATE_19, STREAM_CREATE_23};
use crate::decode::{Value, Violation, expected};

/// A time to live in whole seconds, of any size: digits without a leading zero.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ttl(String);

impl Ttl {
    /// Its length in seconds; what is longer than 2^64 - 1 seconds counts as that.
    pub fn seconds(&self) -> u64 {
        self.0.parse().unwrap_or(u64::MAX)
    }
}

impl From<u64> for Ttl {
    fn from(seconds: u64) -> Self {
        Self(seconds.to_string())
    }
}

impl Value for Ttl {
    const WHAT: &'static str = "a number of seconds without sign, fraction or leading zero";

    fn parse(text: &str) -> Result<Self, Violation> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if digits && (text == "0" || !text.starts_with('0')) {
            Ok(Self(text.into()))
        } else {
            Err(Violation::new("", expected(Self::WHAT, text)).of(STREAM_CREATE_19))
        }
    }

    fn text(&self) -> &str {
        &self.0
    }

    #[cfg(feature = "schema")]
    fn syntax() -> serde_json::Value {
        serde_json::json!({ "type": "string", "pattern": "^(0|[1-9][0-9]*)$" })
    }
}

/// An instant as RFC 3339 writes it. Two are equal if they are the same instant, however it is written.
#[derive(Clone, Debug)]
pub struct ExpiresAt {
    text: String,
    millis: i64,
}

impl ExpiresAt {
    /// Milliseconds since 1970, before it negative; what is finer is cut off.
    pub fn millis(&self) -> i64 {
        self.millis
    }
}

impl From<u64> for ExpiresAt {
    /// The instant so many milliseconds after 1970; what is behind the year 9999 is the end of it.
    fn from(millis: u64) -> Self {
        const LAST: u64 = 253_402_300_799_999;
        let millis = millis.min(LAST);
        let (day, rest) = (millis / 86_400_000, millis % 86_400_000);
        let (mut year, mut month, mut day) = (1970, 1, i64::try_from(day).unwrap_or_default());
        let days_of_year = |year| if days_of(year, 2) == 29 { 366 } else { 365 };
        while day >= days_of_year(year) {
            day -= days_of_year(year);
            year += 1;
        }
        while day >= days_of(year, month) {
            day -= days_of(year, month);
            month += 1;
        }
        let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
        let (second, thousandths) = (rest / 1_000 % 60, rest % 1_000);
        let text = format!(
            "{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{thousandths:03}Z",
            day + 1
        );
        Self { text, millis: millis.cast_signed() }
    }
}

impl PartialEq for ExpiresAt {
    fn eq(&self, other: &Self) -> bool {
        self.millis == other.millis
    }
}

impl Eq for ExpiresAt {}

impl Value for ExpiresAt {
    const WHAT: &'static str = "an instant as RFC 3339 writes it";

    fn parse(text: &str) -> Result<Self, Violation> {
        match millis(text.as_bytes()) {
            Some(millis) => Ok(Self { text: text.into(), millis }),
            None => Err(Violation::new("", expected(Self::WHAT, text)).of(STREAM_CREATE_23)),
        }
    }

    fn text(&self) -> &str {
        &self.text
    }

    #[cfg(feature = "schema")]
    fn syntax() -> serde_json::Value {
        const DATE: &str = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])";
        const TIME: &str = r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?";
        const ZONE: &str = "([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])";
        serde_json::json!({ "type": "string", "pattern": format!("^{DATE}[Tt]{TIME}{ZONE}$") })
    }
}

/// The instant that RFC 3339 writes so: `2026-11-21T10:00:00.5+01:00`.
fn millis(text: &[u8]) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let (time, rest) = rest.split_at_checked(9)?;
    let (&[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1], &[b'T' | b't', h0, h1, b':', n0, n1, b':', s0, s1]) =
        (<&[u8; 10]>::try_from(date).ok()?, <&[u8; 9]>::try_from(time).ok()?)
    else {
        return None;
    };
    let year = number(&[y0, y1, y2, y3], 0, 9999)?;
    let month = number(&[m0, m1], 1, 12)?;
    let day = number(&[d0, d1], 1, days_of(year, month))?;
    let (hour, minute) = (number(&[h0, h1], 0, 23)?, number(&[n0, n1], 0, 59)?);
    // 60 is a leap second; which minutes have one is known to no program for ever, so each may.
    let second = number(&[s0, s1], 0, 60)?;
    let digits = match rest.strip_prefix(b".") {
        Some(fraction) => fraction.iter().take_while(|b| b.is_ascii_digit()).count(),
        None => 0,
    };
    let (fraction, zone) = match rest.strip_prefix(b".") {
        Some(fraction) if digits > 0 => fraction.split_at(digits),
        Some(_) => return None,
        None => (&rest[..0], rest),
    };
    let thousandths =
        fraction.iter().chain(b"000").take(3).fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    let offset = match *zone {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h0, h1, b':', m0, m1] => {
            let minutes = number(&[h0, h1], 0, 23)? * 60 + number(&[m0, m1], 0, 59)?;
            if sign == b'-' { -minutes } else { minutes }
        }
        _ => return None,
    };
    let seconds = days_before(year, month, day) * 86_400 + hour * 3_600 + (minute - offset) * 60 + second;
    Some(seconds * 1_000 + thousandths)
}

fn number(digits: &[u8], least: i64, most: i64) -> Option<i64> {
    let all = digits.iter().all(u8::is_ascii_digit);
    let number = digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit.wrapping_sub(b'0')));
    (all && (least..=most).contains(&number)).then_some(number)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The days from 1970-01-01 to this one, in the Gregorian calendar.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let before = year - 1;
    let leaps = |year: i64| year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let of_years = (year - 1970) * 365 + leaps(before) - leaps(1969);
    of_years + (1..month).map(|month| days_of(year, month)).sum::<i64>() + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_as_they_are_read() {
        for instant in [0, 1, 951_782_399_999, 951_868_800_000, 1_795_000_000_123, 253_402_300_799_999] {
            let written = ExpiresAt::from(instant);
            assert_eq!(millis(written.text.as_bytes()), Some(instant.cast_signed()), "{}", written.text);
        }
    }

    #[test]
    fn instants_are_those_of_the_calendar() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59.999z", -1),
            ("2000-02-29T12:00:00.25+01:30", 951_820_200_250),
            ("2024-10-09t00:00:00.0009-00:00", 1_728_432_000_000),
            ("9999-12-31T23:59:60Z", 253_402_300_800_000),
            ("0000-01-01T00:00:00Z", -62_167_219_200_000),
        ] {
            assert_eq!(millis(text.as_bytes()), Some(expected), "{text}");
        }
        for text in [
            "",
            "2026-01-01",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:00",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+0100",
            "2026-01-01T00:00:00+01:00 ",
            "+026-01-01T00:00:00Z",
        ] {
            assert_eq!(millis(text.as_bytes()), None, "{text}");
        }
    }
}
