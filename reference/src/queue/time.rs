//! Times as texts of RFC 3339.

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// A time (milliseconds since 1970) in UTC. Years beyond 9999, which the form does not have, are shown as its last.
pub(super) fn text(ms: u64) -> String {
    const LAST: u64 = 253_402_300_799_999;
    let ms = ms.min(LAST);
    let (days, rest) = (ms / DAY_MS, ms % DAY_MS);
    let (year, month, day) = date(days);
    let (seconds, ms) = (rest / 1000, rest % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// The date so many days behind 1970-01-01.
fn date(days: u64) -> (u64, u64, u64) {
    // Counted from 1 March of the year 0, a year ends with its leap day, and 400 years have always as many days.
    const ERA: u64 = 146_097;
    let days = days + 719_468;
    let (era, day) = (days / ERA, days % ERA);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, date)
}

#[cfg(test)]
mod tests {
    #[test]
    fn dates() {
        assert_eq!(super::text(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(super::text(951_782_400_123), "2000-02-29T00:00:00.123Z");
        assert_eq!(super::text(1_709_251_199_999), "2024-02-29T23:59:59.999Z");
        assert_eq!(super::text(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
        assert_eq!(super::text(u64::MAX), "9999-12-31T23:59:59.999Z");
    }
}
