//! What is done when a target says that it has too much to do: 429 and 503 in set-up.

use super::Link;
use crate::check::Stop;
use chrono::{DateTime, Utc};
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep};
use wireproof_spec::http::Response;

/// How often a request is sent again.
const AGAIN: u32 = 3;
/// No wait that a target asks for is longer than this, so that it can be counted with.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// What helps.
const HELP: &str = "let it have less to do at once, with --rate or --jobs";

/// Whether a status says so, of itself.
pub fn by_status(response: &Response) -> bool {
    matches!(response.status, 429 | 503)
}

/// Whether an answer says so, in this protocol.
pub(super) fn is_overload(link: &Link, response: &Response) -> bool {
    (link.protocol.overloaded)(response)
}

/// The end of a check that cannot go on because of it.
pub(super) fn overloaded(link: &Link, response: &Response) -> Stop {
    link.stop(&format!("the target is overloaded: it answers {}; {HELP}", response.status))
}

/// The pauses before a request is sent again: as long as the target asks for, or growing.
pub(super) struct BackOff {
    pause: Duration,
    left: u32,
}

impl BackOff {
    pub(super) fn new(link: &Link) -> Self {
        Self { pause: link.times.back_off, left: AGAIN }
    }

    /// Waits. Ends the check if it was asked for often enough, or if its time is over before the pause is.
    pub(super) async fn wait(&mut self, link: &Link, response: &Response) -> Result<(), Stop> {
        let Some(left) = self.left.checked_sub(1) else { return Err(overloaded(link, response)) };
        let pause = retry_after(response, SystemTime::now().into()).unwrap_or_default().max(self.pause);
        (self.left, self.pause) = (left, self.pause * 2);
        if Instant::now() + pause >= link.deadline {
            return Err(link.stop(&format!(
                "the target is overloaded: it answers {} and asks to wait {} s, longer than this check may take; {HELP}",
                response.status,
                pause.as_secs()
            )));
        }
        // The one wait that is no event: the target asked for it.
        sleep(pause).await;
        Ok(())
    }
}

/// How long the target asks to wait (RFC 9110, section 10.2.3): in seconds, or up to a date by its own clock, if it tells it.
pub(super) fn retry_after(response: &Response, now: DateTime<Utc>) -> Option<Duration> {
    let date = |text: &str| DateTime::parse_from_rfc2822(text.trim()).ok().map(|date| date.to_utc());
    let after = response.headers.get("retry-after")?.trim();
    let wait = match after.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let now = response.headers.get("date").and_then(date).unwrap_or(now);
            (date(after)? - now).to_std().ok()?
        }
    };
    Some(wait.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wireproof_spec::http::{Body, Fields};

    fn asked(headers: &[(&str, &str)]) -> Option<Duration> {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let response = Response { status: 429, headers: Fields(headers.collect()), body: Body::default() };
        let now = DateTime::parse_from_rfc2822("Sun, 06 Nov 1994 08:49:30 GMT").expect("a date");
        retry_after(&response, now.to_utc())
    }

    #[test]
    fn a_target_asks_for_seconds_or_for_a_date() {
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(asked(&[]), None);
        assert_eq!(asked(&[("retry-after", " 3 ")]), seconds(3));
        assert_eq!(asked(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]), seconds(7));
        let own_clock = ("date", "Sun, 06 Nov 1994 08:49:35 GMT");
        assert_eq!(asked(&[own_clock, ("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]), seconds(2));
        for nonsense in ["", "-1", "soon", "1.5", "Sun, 06 Nov 1994 08:49:00 GMT"] {
            assert_eq!(asked(&[("retry-after", nonsense)]), None, "{nonsense}");
        }
        assert_eq!(asked(&[("retry-after", "18446744073709551615")]), Some(LONGEST));
    }
}
