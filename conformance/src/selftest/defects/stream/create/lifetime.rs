//! Defects of what "Create" says about lifetimes.

use super::super::{
    Answer, Ask, Create, HttpSeams, Lifetime, Refusal, Seams, Stream, Table, answers, ask, ask_mut, decide,
    facts, is_create, refusal, reply, request, stream_of, through,
};
use crate::{
    protocol::Cut::{Port, Wire},
    selftest::defects::{Breakage, port},
};
use wireproof_spec::{
    http::Request,
    stream::{
        header::{EXPIRES_AT, LOCATION, TTL},
        requirements::*,
    },
};

pub(in super::super) const TABLE: Table = &[
    Breakage::boundary("stream/create/window-again-refused", STREAM_CREATE_2, Port, || {
        again_refused(|lifetime| matches!(lifetime, Lifetime::Ttl(_)))
    }),
    Breakage::boundary("stream/create/moment-again-refused", STREAM_CREATE_2, Port, || {
        again_refused(|lifetime| matches!(lifetime, Lifetime::Until(_)))
    }),
    Breakage::boundary("stream/create/ttl-ignored", STREAM_CREATE_16, Port, || {
        taken_for_equal(|given, has| matches!((given, has), (Lifetime::Ttl(_), Lifetime::Ttl(_))))
    }),
    Breakage::boundary("stream/create/shorter-ttl-accepted", STREAM_CREATE_16, Port, || {
        taken_for_equal(|given, has| matches!((given, has), (Lifetime::Ttl(a), Lifetime::Ttl(b)) if a < b))
    }),
    Breakage::boundary("stream/create/longer-ttl-accepted", STREAM_CREATE_16, Port, || {
        taken_for_equal(|given, has| matches!((given, has), (Lifetime::Ttl(a), Lifetime::Ttl(b)) if a > b))
    }),
    Breakage::boundary("stream/create/moment-ignored", STREAM_CREATE_17, Port, || {
        taken_for_equal(|given, has| matches!((given, has), (Lifetime::Until(_), Lifetime::Until(_))))
    }),
    Breakage::boundary("stream/create/moment-in-minutes", STREAM_CREATE_17, Port, || {
        taken_for_equal(|given, has| match (given, has) {
            (Lifetime::Until(a), Lifetime::Until(b)) => a.abs_diff(b) < 60_000,
            _ => false,
        })
    }),
    Breakage::boundary("stream/create/moment-in-days", STREAM_CREATE_17, Port, || {
        taken_for_equal(|given, has| match (given, has) {
            (Lifetime::Until(a), Lifetime::Until(b)) => a % 86_400_000 == b % 86_400_000,
            _ => false,
        })
    }),
    Breakage::boundary("stream/create/offset-of-time-not-compared", STREAM_CREATE_17, Port, || {
        // The hands of the clock an hour apart, as in two parts of the world.
        taken_for_equal(|given, has| match (given, has) {
            (Lifetime::Until(a), Lifetime::Until(b)) => a.abs_diff(b) == 3_600_000,
            _ => false,
        })
    }),
    Breakage::boundary("stream/create/no-lifetime-accepted", STREAM_CREATE_18, Port, || {
        taken_for_equal(|given, has| given == Lifetime::Unlimited && has != Lifetime::Unlimited)
    }),
    Breakage::boundary("stream/create/lifetime-on-unlimited-accepted", STREAM_CREATE_18, Port, || {
        taken_for_equal(|given, has| given != Lifetime::Unlimited && has == Lifetime::Unlimited)
    }),
    Breakage::boundary("stream/create/moment-for-window-accepted", STREAM_CREATE_18, Port, || {
        taken_for_equal(|given, has| matches!((given, has), (Lifetime::Until(_), Lifetime::Ttl(_))))
    }),
    Breakage::boundary("stream/create/window-for-moment-accepted", STREAM_CREATE_18, Port, || {
        taken_for_equal(|given, has| matches!((given, has), (Lifetime::Ttl(_), Lifetime::Until(_))))
    }),
    Breakage::always("stream/create/ttl-with-plus", STREAM_CREATE_19, Wire, || {
        read_as(TTL, |ttl| ttl.strip_prefix('+').map(str::to_owned))
    }),
    Breakage::always("stream/create/ttl-with-minus", STREAM_CREATE_19, Wire, || {
        read_as(TTL, |ttl| ttl.strip_prefix('-').map(str::to_owned))
    }),
    Breakage::always("stream/create/ttl-with-leading-zero", STREAM_CREATE_19, Wire, || {
        read_as(TTL, |ttl| ttl.bytes().all(|b| b.is_ascii_digit()).then_some(whole(ttl)))
    }),
    Breakage::always("stream/create/ttl-with-fraction", STREAM_CREATE_19, Wire, || {
        read_as(TTL, |ttl| ttl.split_once('.').map(|(whole, _)| whole.to_owned()))
    }),
    Breakage::always("stream/create/ttl-with-exponent", STREAM_CREATE_19, Wire, || {
        read_as(TTL, |ttl| {
            let number: f64 = ttl.contains('e').then(|| ttl.parse().ok()).flatten()?;
            Some(format!("{number:.0}"))
        })
    }),
    Breakage::always("stream/create/ttl-by-its-digits", STREAM_CREATE_19, Wire, || {
        read_as(TTL, |ttl| {
            let digits: String = ttl.chars().take_while(char::is_ascii_digit).collect();
            (!digits.is_empty() && digits.len() < ttl.len() && !ttl.contains(['.', 'e']))
                .then(|| whole(&digits))
        })
    }),
    Breakage::always("stream/create/ttl-no-number-ignored", STREAM_CREATE_19, Wire, || {
        request(|request| {
            let given = request.headers.get(TTL);
            if given.is_some_and(|ttl| ttl.bytes().all(|b| b.is_ascii_alphabetic())) {
                request.headers.remove(TTL);
            }
        })
    }),
    Breakage::always("stream/create/malformed-ttl-refused-and-made", STREAM_CREATE_19, Wire, || {
        refused_and_made(TTL)
    }),
    Breakage::boundary("stream/create/no-time-refused", STREAM_CREATE_20, Wire, || {
        read_as(TTL, |ttl| (ttl == "0").then(|| "00".to_owned()))
    }),
    Breakage::boundary("stream/create/ttl-in-32-bits", STREAM_CREATE_21, Wire, || {
        read_as(TTL, |ttl| Some((ttl.parse::<u128>().ok()? & u128::from(u32::MAX)).to_string()))
    }),
    Breakage::boundary("stream/create/ttl-in-64-bits", STREAM_CREATE_21, Wire, || {
        read_as(TTL, |ttl| Some((ttl.parse::<u128>().ok()? & u128::from(u64::MAX)).to_string()))
    }),
    Breakage::boundary("stream/create/ttl-in-nanoseconds", STREAM_CREATE_21, Wire, || {
        // With a sign, in 64 bits: what is negative is over.
        read_as(TTL, |ttl| {
            let nanoseconds = ttl.parse::<i64>().ok()?.wrapping_mul(1_000_000_000);
            (nanoseconds < 0).then(|| "0".to_owned())
        })
    }),
    Breakage::boundary("stream/create/ttl-of-long-timers", STREAM_CREATE_21, Wire, || {
        // A timer of more than 2^31 milliseconds goes off at once.
        read_as(TTL, |ttl| (ttl.parse::<u128>().ok()? > 2_147_483).then(|| "0".to_owned()))
    }),
    Breakage::always("stream/create/second-lifetime-ignored", STREAM_CREATE_22, Wire, || {
        request(|request| {
            if request.headers.get(TTL).is_some() {
                request.headers.remove(EXPIRES_AT);
            }
        })
    }),
    Breakage::always("stream/create/date-without-time", STREAM_CREATE_23, Wire, || {
        read_as(EXPIRES_AT, |text| (text.len() == 10).then(|| format!("{text}T23:59:59Z")))
    }),
    Breakage::always("stream/create/date-with-space", STREAM_CREATE_23, Wire, || {
        read_as(EXPIRES_AT, |text| (text.get(10..11)? == " ").then(|| text.replacen(' ', "T", 1)))
    }),
    Breakage::always("stream/create/time-without-offset", STREAM_CREATE_23, Wire, || {
        read_as(EXPIRES_AT, |text| (text.len() == 19).then(|| format!("{text}Z")))
    }),
    Breakage::boundary("stream/create/time-without-seconds", STREAM_CREATE_23, Wire, || {
        read_as(EXPIRES_AT, |text| (text.len() == 17).then(|| text.replace('Z', ":00Z")))
    }),
    Breakage::boundary("stream/create/impossible-day-rolls-over", STREAM_CREATE_23, Wire, || {
        read_as(EXPIRES_AT, |text| text.contains("-02-30T").then(|| text.replace("-02-30T", "-03-02T")))
    }),
    Breakage::boundary("stream/create/thirteenth-month", STREAM_CREATE_23, Wire, || {
        read_as(EXPIRES_AT, |text| text.contains("-13-01T").then(|| text.replace("-13-01T", "-12-31T")))
    }),
    Breakage::boundary("stream/create/twenty-fourth-hour", STREAM_CREATE_23, Wire, || {
        read_as(EXPIRES_AT, |text| text.contains("T24:00:00").then(|| text.replace("T24:00:00", "T23:59:59")))
    }),
    Breakage::boundary("stream/create/offset-without-colon", STREAM_CREATE_23, Wire, || {
        read_as(EXPIRES_AT, |text| text.strip_suffix("+0000").map(|local| format!("{local}Z")))
    }),
    Breakage::boundary("stream/create/offset-beyond-a-day", STREAM_CREATE_23, Wire, || {
        read_as(EXPIRES_AT, |text| text.strip_suffix("+25:00").map(|local| format!("{local}Z")))
    }),
    Breakage::boundary("stream/create/more-behind-the-moment", STREAM_CREATE_23, Wire, || {
        read_as(EXPIRES_AT, |text| text.strip_suffix(" and more").map(str::to_owned))
    }),
    Breakage::boundary("stream/create/basic-form", STREAM_CREATE_23, Wire, || {
        read_as(EXPIRES_AT, |text| (text.len() == 16).then(|| "2999-01-01T00:00:00Z".to_owned()))
    }),
    Breakage::always("stream/create/date-of-http", STREAM_CREATE_23, Wire, || {
        read_as(EXPIRES_AT, |text| text.ends_with("GMT").then(|| "2999-01-01T00:00:00Z".to_owned()))
    }),
    Breakage::always("stream/create/seconds-since-1970", STREAM_CREATE_23, Wire, || {
        read_as(EXPIRES_AT, |text| text.parse::<u64>().ok().map(|_| "2999-01-01T00:00:00Z".to_owned()))
    }),
    Breakage::always("stream/create/no-moment-ignored", STREAM_CREATE_23, Wire, || {
        request(|request| {
            if request.headers.get(EXPIRES_AT) == Some("tomorrow") {
                request.headers.remove(EXPIRES_AT);
            }
        })
    }),
    Breakage::always("stream/create/malformed-moment-refused-and-made", STREAM_CREATE_23, Wire, || {
        refused_and_made(EXPIRES_AT)
    }),
    Breakage::boundary("stream/create/numeric-offset-refused", STREAM_CREATE_24, Wire, || {
        read_as(EXPIRES_AT, |text| {
            (!text.ends_with('Z')).then(|| text.get(..10).unwrap_or_default().to_owned())
        })
    }),
    Breakage::boundary("stream/create/western-offset-refused", STREAM_CREATE_24, Wire, || {
        read_as(EXPIRES_AT, |text| {
            (text.get(19..20)? == "-").then(|| text.get(..10).unwrap_or_default().to_owned())
        })
    }),
    Breakage::boundary("stream/create/fraction-refused", STREAM_CREATE_24, Wire, || {
        read_as(EXPIRES_AT, |text| text.contains('.').then(|| text.replace('.', ",")))
    }),
];

/// The digits without leading zeros.
fn whole(digits: &str) -> String {
    match digits.trim_start_matches('0') {
        "" => "0".to_owned(),
        rest => rest.to_owned(),
    }
}

/// A header of a PUT that is read as another value, if this finds one.
fn read_as(header: &'static str, other: fn(&str) -> Option<String>) -> Seams {
    request(move |request| {
        if let Some(other) = request.headers.get(header).filter(|_| request.method == "PUT").and_then(other) {
            request.headers.set(header, other);
        }
    })
}

/// A PUT whose header is malformed makes a stream without a lifetime, and is refused.
fn refused_and_made(header: &'static str) -> Seams {
    const MARK: &str = "x-was-malformed";
    let malformed = move |request: &Request| {
        let mut with_it = Request::new("PUT", &request.path);
        with_it
            .headers
            .0
            .extend(request.headers.get(header).map(|value| (header.to_owned(), value.to_owned())));
        with_it.headers.0.len() == 1 && !is_create(&with_it)
    };
    let made: HttpSeams = request(move |request| {
        if request.method == "PUT" && malformed(request) {
            request.headers.remove(header);
            request.headers.set(MARK, "true");
        }
    });
    let refused: HttpSeams = reply(|request, response| {
        if request.headers.get(MARK).is_some() && response.headers.get(LOCATION).is_some() {
            *response = refusal(400);
        }
    });
    Seams::from(HttpSeams { request: made.request, ..refused })
}

/// Lifetimes that count as equal, given the one of a PUT and the one of the stream that it finds.
fn taken_for_equal(equal: fn(Lifetime, Lifetime) -> bool) -> Seams {
    through(port::rewrite_input(move |state, input| {
        let Some(has) = stream_of(state, input).map(|stream| stream.lifetime) else { return };
        if let Some(Ask::Create(Create { lifetime, .. })) = ask_mut(input)
            && equal(lifetime.unwrap_or_default(), has)
        {
            *lifetime = Some(has);
        }
    }))
}

/// A PUT with the lifetime of the stream that it finds is refused, if the lifetime is one of these.
fn again_refused(which: fn(Lifetime) -> bool) -> Seams {
    decide(move |state, input, decision| {
        let Some((_, Ask::Create(_))) = ask(input) else { return };
        let Some(stream) = stream_of(state, input).filter(|stream: &&Stream| which(stream.lifetime)) else {
            return;
        };
        for answer in answers(decision) {
            if let Answer::Created { fresh: false, .. } = answer {
                *answer = Answer::Refused(Refusal::Exists(facts(stream)));
            }
        }
    })
}
