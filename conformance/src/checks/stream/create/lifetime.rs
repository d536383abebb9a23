//! What a PUT says about the lifetime of a stream: its forms, and what is another configuration.

use crate::{
    check::{Breaks, Cx, Outcome, alternative, answer},
    checks::stream::{
        expiry::life::{Life, Moment},
        setting::{Stream, TEXT, created, proven, put},
    },
    one_of,
};
use futures_util::future::try_join_all;
use std::time::Duration;
use wireproof_spec::{
    http::{Request, Response},
    requirement::RequirementId,
    stream::{
        header::{EXPIRES_AT, TTL},
        requirements::*,
    },
};

/// Far enough away for every check.
const HOUR: Duration = Duration::from_secs(3_600);

/// A stream that was created with this lifetime, or without one.
async fn living(cx: &Cx, life: Option<Life>) -> Outcome<Stream> {
    let stream = Stream::nowhere(cx);
    let reply = cx.send(asking(&stream, life)).await?;
    cx.need(STREAM_CREATE_1, &reply, &one_of![created()])?;
    Ok(stream)
}

/// The PUT that creates it.
fn asking(stream: &Stream, life: Option<Life>) -> Request {
    let bare = put(&stream.path, TEXT);
    match life {
        Some(life) => life.given_by(bare),
        None => bare,
    }
}

/// One lifetime of each kind.
fn kinds() -> [Option<Life>; 3] {
    [None, Some(Life::Window(3_600)), Some(Life::Until(Moment::after(HOUR), None))]
}

pub(super) async fn again(cx: &Cx) -> Outcome {
    for life in kinds().into_iter().flatten() {
        let stream = living(cx, Some(life)).await?;
        let other = cx.send(asking(&stream, None)).await?;
        cx.need(STREAM_CREATE_18, &other, &one_of![answer(409)])?;
        for _ in 0..2 {
            let reply = cx.send(asking(&stream, Some(life))).await?;
            cx.expect(STREAM_CREATE_2, &reply, &one_of![answer(200)])?;
        }
    }
    Ok(())
}

pub(super) async fn other_ttl(cx: &Cx) -> Outcome {
    let given = Some(Life::Window(3_600));
    for other in ["3601", "3599", "7200", "36000", "360", "0", "3600000"] {
        cx.refused(
            STREAM_CREATE_16,
            Breaks::Fit,
            |cx| living(cx, given),
            |stream| asking(stream, given),
            |_, request| request.headers.set(TTL, other),
            (STREAM_CREATE_2, &one_of![answer(200)]),
            &one_of![answer(409)],
        )
        .await?;
    }
    Ok(())
}

pub(super) async fn other_moment(cx: &Cx) -> Outcome {
    let moment = Moment::after(HOUR);
    let given = Some(Life::Until(moment, None));
    // Later, earlier, and the same hands of the clock in another part of the world.
    let elsewhere = moment.at_offset(60).replace("+01:00", "Z");
    for other in [moment.plus(1).utc(), moment.plus(-1).utc(), moment.plus(86_400).utc(), elsewhere] {
        cx.refused(
            STREAM_CREATE_17,
            Breaks::Fit,
            |cx| living(cx, given),
            |stream| asking(stream, given),
            |_, request| request.headers.set(EXPIRES_AT, other.clone()),
            (STREAM_CREATE_2, &one_of![answer(200)]),
            &one_of![answer(409)],
        )
        .await?;
    }
    let stream = living(cx, given).await?;
    let same = cx.send(asking(&stream, Some(Life::Until(moment, Some(60))))).await?;
    cx.expect(STREAM_CREATE_17, &same, &one_of![answer(200), answer(409)])?;
    Ok(())
}

pub(super) async fn other_kind(cx: &Cx) -> Outcome {
    for given in kinds() {
        for other in kinds().into_iter().filter(|other| *other != given) {
            cx.refused(
                STREAM_CREATE_18,
                Breaks::Fit,
                |cx| living(cx, given),
                |stream| asking(stream, given),
                |stream, request| request.headers = asking(stream, other).headers,
                (STREAM_CREATE_2, &one_of![answer(200)]),
                &one_of![answer(409)],
            )
            .await?;
        }
    }
    Ok(())
}

/// The PUT of a lifetime in a form that it cannot have is refused, and makes nothing.
async fn malformed(cx: &Cx, requirement: RequirementId, life: Life, header: &str, form: &str) -> Outcome {
    let valid = |stream: &Stream| asking(stream, Some(life));
    let stream = Stream::nowhere(cx);
    let mut request = valid(&stream);
    request.headers.set(header, form);
    cx.expect(requirement, &cx.send_broken(request).await?, &one_of![answer(400)])?;
    cx.expect(requirement, &cx.send(stream.head()).await?, &one_of![answer(404)])?;
    let stands_on = (STREAM_CREATE_1, &*one_of![created()]);
    let break_it = |_: &Stream, request: &mut Request| request.headers.set(header, form);
    let nothing = async |cx| Ok(Stream::nowhere(cx));
    cx.refused(requirement, Breaks::Form, nothing, valid, break_it, stands_on, &one_of![answer(400)]).await
}

pub(super) async fn ttl_forms(cx: &Cx) -> Outcome {
    let forms = ["+60", "-60", "060", "00", "60.0", "6e1", "60s", "0x3c", "sixty", "6 0", "1_000", "NaN"];
    let all = forms.map(|form| malformed(cx, STREAM_CREATE_19, Life::Window(60), TTL, form));
    try_join_all(all).await?;
    Ok(())
}

pub(super) async fn no_time(cx: &Cx) -> Outcome {
    proven(cx).await?;
    let stream = Stream::nowhere(cx);
    let reply = cx.send(asking(&stream, Some(Life::Window(0)))).await?;
    cx.expect(STREAM_CREATE_20, &reply, &one_of![answer(201)])?;
    Ok(())
}

pub(super) async fn long_time(cx: &Cx) -> Outcome {
    proven(cx).await?;
    // What counts seconds, milliseconds or nanoseconds in 32, 53 or 64 bits, with a sign or without, ends behind one of
    // these; behind some it begins again at 0.
    let seconds = [
        "2147484",
        "4294968",
        "536870912",
        "4294967296",
        "9223372037",
        "18446744074",
        "9007199254741",
        "9223372036854776",
        "2305843009213693952",
        "18446744073709552",
        "9223372036854775808",
        "18446744073709551616",
        "100000000000000000000",
    ];
    let mut made = Vec::new();
    for seconds in seconds {
        let stream = Stream::nowhere(cx);
        let reply = cx.send(asking(&stream, None).header(TTL, seconds)).await?;
        let refused = alternative("a refusal with a 4xx", |r: &Response| (400..500).contains(&r.status));
        let alternatives = [refused, answer(201).into()];
        if cx.expect(STREAM_CREATE_21, &reply, &alternatives)?.status == 201 {
            made.push(stream);
        }
    }
    // Behind all of them, so that a timer that goes off at once has had the time for it.
    for stream in made {
        let head = cx.send(stream.head()).await?;
        cx.expect(STREAM_CREATE_21, &head, &one_of![answer(200)])?;
    }
    Ok(())
}

pub(super) async fn both(cx: &Cx) -> Outcome {
    let [_, window, moment] = kinds();
    for life in [window, moment] {
        living(cx, life).await?;
    }
    proven(cx).await?;
    let stream = Stream::nowhere(cx);
    let request = asking(&stream, window);
    let request = match moment {
        Some(moment) => moment.given_by(request),
        None => request,
    };
    cx.expect(STREAM_CREATE_22, &cx.send_broken(request).await?, &one_of![answer(400)])?;
    Ok(())
}

pub(super) async fn moment_forms(cx: &Cx) -> Outcome {
    let moment = Moment::after(HOUR);
    let utc = moment.utc();
    let (date, time) = (&utc[..10], &utc[11..19]);
    let year = utc[..4].parse::<u32>().unwrap_or_default() + 1;
    let forms = [
        date.to_owned(),
        format!("{date} {time}Z"),
        format!("{date}T{time}"),
        format!("{date}T{}Z", &time[..5]),
        format!("{date}T{time}+0000"),
        format!("{date}T{time}+25:00"),
        format!("{date}T24:00:00Z"),
        format!("{date}T{time}Z and more"),
        utc.replace(['-', ':'], ""),
        format!("{year}-13-01T00:00:00Z"),
        format!("{year}-02-30T00:00:00Z"),
        moment.seconds().to_string(),
        format!("Fri, 01 Jan {year} 00:00:00 GMT"),
        "tomorrow".to_owned(),
    ];
    let life = Life::Until(moment, None);
    try_join_all(forms.iter().map(|form| malformed(cx, STREAM_CREATE_23, life, EXPIRES_AT, form))).await?;
    Ok(())
}

pub(super) async fn moments(cx: &Cx) -> Outcome {
    proven(cx).await?;
    let moment = Moment::after(HOUR);
    let half_a_second = moment.utc().replace('Z', ".5Z");
    let offsets = [0, 60, 330, 840, -210, -720].map(|minutes| moment.at_offset(minutes));
    for form in [moment.utc(), half_a_second].into_iter().chain(offsets) {
        let stream = Stream::nowhere(cx);
        let reply = cx.send(asking(&stream, None).header(EXPIRES_AT, form)).await?;
        cx.expect(STREAM_CREATE_24, &reply, &one_of![answer(201)])?;
    }
    Ok(())
}

pub(super) async fn deleted(cx: &Cx) -> Outcome {
    let stream = proven(cx).await?;
    cx.need(STREAM_DELETE_1, &cx.send(stream.delete()).await?, &one_of![answer(204)])?;
    let reply = cx.send(put(&stream.path, TEXT)).await?;
    let alternatives = one_of![answer(201), answer(409), answer(410)];
    cx.expect(STREAM_CREATE_25, &reply, &alternatives)?;
    Ok(())
}
