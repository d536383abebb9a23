//! Checks of "Json" in spec/stream.md: what a message is when it comes back.

use super::{
    all_messages, equal, hold, kept,
    value::{Numbers, same},
};
use crate::{
    check::{Alternative, Check, Cx, Need, Outcome, alternative, answer},
    checks::stream::setting::{appended, next_offset},
    drives, one_of,
};
use wireproof_spec::{http::Response, stream::requirements::*};

pub(in crate::checks::stream) const CHECKS: &[Check] = &[
    Check::new("stream/json/values", &[STREAM_JSON_9], drives!(values))
        .needs(&[Need::AtLeast("retained-bytes", 50_000)]),
    Check::new("stream/json/large-numbers", &[STREAM_JSON_10], drives!(large_numbers)),
    Check::new("stream/json/same-names", &[STREAM_JSON_11], drives!(same_names)),
    Check::new("stream/json/text", &[STREAM_JSON_11], drives!(text)),
];

/// Values that come back changed where they are taken for anything but what they are.
fn all_kinds() -> Vec<String> {
    let nested = format!("{}1{}", "[".repeat(60), "]".repeat(60));
    let long = format!("{:?}", "long ".repeat(4_000));
    let fixed = [
        r#""""#,
        "{}",
        "[]",
        "0",
        "-7",
        "0.1",
        "-0.5",
        "9007199254740991",
        "1e21",
        "1.5e300",
        "123456789.125",
        "true",
        "[null,[null],false]",
        "\"\u{e9} e\u{301} \u{3b1}\u{3c9} \u{6f22}\u{5b57} \u{1f600} \u{200b}\u{2028}\u{2029}\u{feff}\"",
        r#""\u00e9 \ud83d\ude00 \u0000 \u001f \" \\ \/ \b\f\n\r\t""#,
        r#"" leading and trailing ""#,
        r#"{"b":1,"a":2,"":3,"10":4,"9":5}"#,
        r#"{"__proto__":1,"constructor":{"toString":null},"toJSON":2}"#,
        "{\"\u{e9}\":\"e\u{301}\",\"e\u{301}\":\"\u{e9}\"}",
        r#"{"null":null,"empty":{},"list":[[],[[]],{"a":[]}]}"#,
        r#""2024-02-30T25:61:00Z""#,
        r#""<script>&amp;</script>""#,
        r#""data: x\n\nevent: control""#,
    ];
    fixed.into_iter().map(str::to_owned).chain([nested, long]).collect()
}

async fn values(cx: &Cx) -> Outcome {
    let (stream, mut all) = kept(cx).await?;
    let mut offset = stream.told_tail(cx).await?;
    // Each by itself: an array in an array, so that it is not taken apart.
    for value in all_kinds() {
        let body = if value.starts_with('[') { format!("[{value}]") } else { value.clone() };
        let reply = cx.send(stream.append(body)).await?;
        let next = next_offset(cx.expect(STREAM_JSON_9, &reply, &one_of![appended()])?);
        let read = stream.walk(cx, &offset).await?;
        cx.expect(STREAM_JSON_9, &read, &[hold(std::slice::from_ref(&value))])?;
        all.push(value);
        offset = next;
    }
    // And all together.
    let reply = cx.send(stream.append(format!("[{}]", all_kinds().join(",")))).await?;
    cx.expect(STREAM_JSON_9, &reply, &one_of![appended()])?;
    all.extend(all_kinds());
    let read = stream.walk(cx, "-1").await?;
    cx.expect(STREAM_JSON_9, &read, &[hold(&all)])?;
    Ok(())
}

async fn large_numbers(cx: &Cx) -> Outcome {
    for number in [
        "9007199254740993",
        "-9007199254740993",
        "18446744073709551617",
        "0.1234567890123456789012345",
        "1e400",
        "1e-400",
        "1.0",
    ] {
        let (stream, before) = kept(cx).await?;
        let message = format!("{{\"number\":{number}}}");
        let reply = cx.send(stream.append(message.clone())).await?;
        if cx.expect(STREAM_JSON_10, &reply, &one_of![appended(), answer(400)])?.status == 204 {
            let read = stream.walk(cx, "-1").await?;
            let all = [before, vec![message]].concat();
            let exact =
                alternative(format!("the number {number}, to the last digit"), move |r: &Vec<Response>| {
                    all_messages(r).is_some_and(|found| equal(&found, &all, Numbers::Exact))
                });
            cx.expect(STREAM_JSON_10, &read, &[exact])?;
        }
    }
    Ok(())
}

/// One message for which this holds.
fn one_that(name: &str, holds: impl Fn(&str) -> bool + Send + Sync + 'static) -> Alternative<Vec<Response>> {
    alternative(name, move |answers: &Vec<Response>| {
        all_messages(answers).is_some_and(|found| matches!(&found[..], [one] if holds(one)))
    })
}

async fn same_names(cx: &Cx) -> Outcome {
    let message = r#"{"a":1,"b":2,"a":3}"#;
    let (stream, _) = kept(cx).await?;
    let before = stream.told_tail(cx).await?;
    let reply = cx.send(stream.append(message)).await?;
    if cx.expect(STREAM_JSON_11, &reply, &one_of![appended(), answer(400)])?.status == 204 {
        let read = stream.walk(cx, &before).await?;
        let all = one_that("all members of one name", move |found| same(found, message, Numbers::Exact));
        let last =
            one_that("the last member of a name", |found| same(found, r#"{"b":2,"a":3}"#, Numbers::Exact));
        cx.expect(STREAM_JSON_11, &read, &[all, last])?;
    }
    Ok(())
}

async fn text(cx: &Cx) -> Outcome {
    let message = "{ \"b\" : 1.0 ,\n \"a\" : \"\\u00e9\\/\" , \"c\" : 1E2 }";
    let (stream, _) = kept(cx).await?;
    let before = stream.told_tail(cx).await?;
    stream.appended(cx, message).await?;
    let read = stream.walk(cx, &before).await?;
    let as_written = one_that("the text that was written", move |found| found == message);
    let other =
        one_that("another text of the same value", move |found| same(found, message, Numbers::Double));
    cx.expect(STREAM_JSON_11, &read, &[as_written, other])?;
    Ok(())
}
