//! Checks of "Offsets" in spec/stream.md.

use super::{
    read::{follow, fresh, grow, joined},
    setting::{OTHER, Stream, TEXT, appended, closed, closing, holds, next_offset, proven, put},
};
use crate::{
    check::{Alternative, Answer, Body, Check, Cx, Hook, Lane, Need, Outcome, alternative, answer},
    drives, one_of,
    wire::Seen,
};
use bytes::Bytes;
use futures_util::future::try_join_all;
use wireproof_spec::{
    http::Response,
    stream::{
        header::{CLOSED, NEXT_OFFSET, UP_TO_DATE},
        requirements::*,
    },
};

const JSON: &str = "application/json";

pub(super) const CHECKS: &[Check] = &[
    Check::new("stream/offsets/rise", &[STREAM_OFFSETS_1], drives!(rise)),
    Check::new("stream/offsets/rise-together", &[STREAM_OFFSETS_1], drives!(rise_together)),
    Check::new(
        "stream/observed/offset-characters",
        &[STREAM_OFFSETS_2],
        Body::Observes(|o| {
            o.every(STREAM_OFFSETS_2, |_, r| tells(r), told(Token::Whole, "without , & = ? /"))
        }),
    ),
    Check::new(
        "stream/observed/offset-form",
        &[STREAM_OFFSETS_3],
        Body::Observes(|o| {
            o.every(STREAM_OFFSETS_3, |_, r| tells(r), told(Token::Plain, "short and URL-safe"))
        }),
    ),
    Check::new(
        "stream/observed/offset-reserved",
        &[STREAM_OFFSETS_4],
        Body::Observes(|o| o.every(STREAM_OFFSETS_4, |_, r| tells(r), told(Token::Free, "not reserved"))),
    ),
    Check::new("stream/offsets/case", &[STREAM_OFFSETS_5], drives!(case)),
    Check::new("stream/offsets/kept", &[STREAM_OFFSETS_6], drives!(kept)),
    Check::new("stream/offsets/restart", &[STREAM_OFFSETS_6], drives!(kept_by_restart))
        .needs(&[Need::Hook(Hook::Restart)])
        .lane(Lane::Alone),
    Check::new("stream/offsets/now", &[STREAM_OFFSETS_7], drives!(now)),
    Check::new("stream/offsets/now-on-closed", &[STREAM_OFFSETS_7, STREAM_READ_5], drives!(now_on_closed)),
    Check::new("stream/offsets/agree", &[STREAM_OFFSETS_8], drives!(agree)),
    Check::new("stream/offsets/dropped", &[STREAM_OFFSETS_9], drives!(dropped))
        .needs(&[Need::Limit("retained-bytes")]),
];

fn tells(response: &Response) -> bool {
    response.headers.get(NEXT_OFFSET).is_some()
}

/// What the form of a token is asked for.
#[derive(Clone, Copy)]
enum Token {
    /// None of the characters that no offset can hold.
    Whole,
    /// Short, and of characters that a query holds as they are (RFC 3986, section 3.4).
    Plain,
    /// None of the reserved ones.
    Free,
}

impl Token {
    fn fits(self, token: &str) -> bool {
        const QUERY: &[u8] = b"-._~!$'()*+;:@";
        match self {
            Token::Whole => !token.contains([',', '&', '=', '?', '/']),
            Token::Plain => {
                // Characters that no offset can hold are the matter of another requirement.
                let plain = |b: u8| b.is_ascii_alphanumeric() || QUERY.contains(&b) || b",&=?/".contains(&b);
                token.len() < 256 && token.bytes().all(plain)
            }
            Token::Free => !matches!(token, "-1" | "now"),
        }
    }
}

/// An answer whose offset has this form.
fn told(form: Token, name: &str) -> Alternative<Response> {
    alternative(format!("with an offset that is {name}"), move |r: &Response| {
        r.headers.get(NEXT_OFFSET).is_none_or(|token| form.fits(token))
    })
}

/// That each token is greater than the one before, byte by byte.
fn rises(tokens: &[String]) -> bool {
    tokens.windows(2).all(|pair| pair[0].as_bytes() < pair[1].as_bytes())
}

async fn rise(cx: &Cx) -> Outcome {
    // Ends behind 1 to 12, 16, 99, 100, 255, 256, 999, 1,000, 4,096, 9,999 and 10,000 bytes: there numbers get longer.
    let lengths = [vec![1; 12], vec![4, 83, 1, 155, 1, 743, 1, 3_096, 5_903, 1]].concat();
    const READ: usize = 200;
    let stream = fresh(cx, "").await?;
    let mut tails = vec![cx.send(stream.head()).await?.map(|head| next_offset(&head))];
    let (mut last, mut way, mut ways) = (stream.start.clone(), None, Vec::new());
    for length in lengths {
        let reply = cx.send(stream.append(vec![b'x'; length])).await?;
        let tail = next_offset(cx.need(STREAM_APPEND_1, &reply, &one_of![appended()])?);
        let told = reply.map(|reply| next_offset(&reply));
        tails.push(told.clone());
        // What a reader was given out on the way to the tail before stands in front of this one.
        ways.extend(
            way.map(|way: Seen<Vec<String>>| way.and(told).map(|(way, tail)| [way, vec![tail]].concat())),
        );
        way = match length {
            0..READ => {
                let read = stream.walk(cx, &last).await?;
                Some(read.map(|all| [vec![last], offsets(&all)].concat()))
            }
            // Long content is not read: some servers have very short answers.
            _ => None,
        };
        last = tail;
    }
    let name = "each offset greater, byte by byte, than the one before it";
    cx.expect(STREAM_OFFSETS_1, &Seen::all(tails), &[alternative(name, |all: &Vec<String>| rises(all))])?;
    let rising = alternative(name, |ways: &Vec<Vec<String>>| ways.iter().all(|way| rises(way)));
    cx.expect(STREAM_OFFSETS_1, &Seen::all(ways), &[rising])?;
    Ok(())
}

/// What answers with content tell, in their order.
fn offsets(replies: &[Response]) -> Vec<String> {
    replies.iter().filter(|r| !r.body.is_empty()).map(next_offset).collect()
}

async fn rise_together(cx: &Cx) -> Outcome {
    const WRITERS: usize = 8;
    // Together more than a hundred, where a number of appends gets longer once more.
    const APPENDS: usize = 13;
    for (media_type, quote) in [(TEXT, ""), (JSON, "\"")] {
        let stream = Stream::create(cx, media_type, "").await?;
        let write = async || {
            let (mut peer, mut told) = (cx.http(), Vec::new());
            for _ in 0..APPENDS {
                let token = cx.token(10);
                let reply = peer.send(stream.append(format!("{quote}{token}{quote}"))).await?;
                cx.need(STREAM_APPEND_1, &reply, &one_of![appended()])?;
                told.push(reply.map(|reply| (token, next_offset(&reply))));
            }
            Ok(told)
        };
        let told = Seen::all(try_join_all((0..WRITERS).map(|_| write())).await?.concat());
        let both = told.and(stream.content(cx).await?);
        let all =
            alternative("every append once in the content", |both: &(Told, Bytes)| in_order(both).is_some());
        cx.need(STREAM_CONTENT_5, &both, &[all])?;
        let name = "tails that rise, byte by byte, in the order in which the appends stand in the content";
        let rising = alternative(name, |both: &(Told, Bytes)| in_order(both).is_some_and(|all| rises(&all)));
        // The new tail may be that at the moment of the answer, which others have moved on meanwhile.
        let later = alternative(
            "tails at the moment of each answer, which rise for each writer",
            |both: &(Told, Bytes)| {
                both.0
                    .chunks(APPENDS)
                    .all(|of_one| rises(&of_one.iter().map(|(_, tail)| tail.clone()).collect::<Vec<_>>()))
            },
        );
        let (told, _) = cx.expect(STREAM_OFFSETS_1, &both, &[rising, later])?;
        // Either way it is the tail behind the append. Of each writer the first ones tell.
        for (token, tail) in told.chunks(APPENDS).flat_map(|of_one| &of_one[..2]) {
            let reply = cx.send(stream.read_at(tail)).await?;
            let token = token.clone();
            let behind =
                alternative("nothing of the append in front of its tail", move |reply: &Response| {
                    !String::from_utf8_lossy(&reply.body).contains(&token)
                });
            cx.expect(STREAM_OFFSETS_1, &reply, &[behind])?;
        }
    }
    Ok(())
}

/// What was appended, and the tail behind it.
type Told = Vec<(String, String)>;

/// The tails in the order in which the appends stand in the content; none if one is not there, or there twice.
fn in_order((told, content): &(Told, Bytes)) -> Option<Vec<String>> {
    let content = std::str::from_utf8(content).ok()?;
    let mut places = Vec::new();
    for (append, tail) in told {
        let mut found = content.match_indices(append.as_str());
        let (Some((place, _)), None) = (found.next(), found.next()) else { return None };
        places.push((place, tail.clone()));
    }
    places.sort();
    Some(places.into_iter().map(|(_, tail)| tail).collect())
}

async fn case(cx: &Cx) -> Outcome {
    let stream = proven(cx).await?;
    let mut appends = Vec::new();
    // Tokens that are numbers in some base have letters now and then.
    for length in [10, 1, 5, 30] {
        let reply = cx.send(stream.append(cx.token(length))).await?;
        cx.need(STREAM_APPEND_1, &reply, &one_of![appended()])?;
        appends.push(reply.map(|reply| next_offset(&reply)));
    }
    stream.appended(cx, cx.token(20)).await?;
    let mut lettered = 0;
    for offset in &appends {
        let token = cx.need(STREAM_APPEND_2, offset, &[alternative("an offset", |_: &String| true)])?;
        if !token.contains(|c: char| c.is_ascii_alphabetic()) {
            continue;
        }
        lettered += 1;
        let read = cx.send(stream.read_at(token)).await?;
        let here = answer(200).and("what stands there", |r| !r.body.is_empty());
        let content = cx.need(STREAM_READ_2, &read, &one_of![here])?.body.to_vec();
        let other: String = token.chars().map(other_case).collect();
        let reply = cx.send(stream.read_at(&other)).await?;
        let elsewhere = answer(200).and("not what stands behind the offset itself", move |r| {
            let both = r.body.len().min(content.len());
            both == 0 || r.body[..both] != content[..both]
        });
        let unknown = one_of![answer(400), answer(404), answer(409), answer(410), answer(416), elsewhere];
        cx.expect(STREAM_OFFSETS_5, &reply, &unknown)?;
    }
    if lettered == 0 {
        let none =
            alternative("offsets without letters, in which no case can change", |all: &Vec<String>| {
                all.iter().all(|token| !token.contains(|c: char| c.is_ascii_alphabetic()))
            });
        cx.expect(STREAM_OFFSETS_5, &Seen::all(appends), &[none])?;
    }
    Ok(())
}

fn other_case(c: char) -> char {
    if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }
}

/// A stream that has grown, its content, and offsets that were given out, each with what stood before it.
async fn given_out(cx: &Cx) -> Outcome<(Stream, String, Vec<(String, usize)>)> {
    let stream = fresh(cx, "").await?;
    let (mut content, mut given) = (String::new(), vec![(stream.start.clone(), 0)]);
    for _ in 0..3 {
        let more = cx.token(20);
        let tail = grow(cx, &stream, &more).await?;
        content.push_str(&more);
        given.push((tail, content.len()));
    }
    // What reads give out on their way.
    let way = Seen::all(follow(cx, None, stream.read(), content.len()).await?);
    let mut before = 0;
    given.extend(cx.need(STREAM_READ_6, &way, &[joined(&content)])?.iter().map(|r| {
        before += r.body.len();
        (next_offset(r), before)
    }));
    Ok((stream, content, given))
}

/// Claims that each of these offsets can be read from as ever.
async fn still_there(cx: &Cx, stream: &Stream, content: &str, given: &[(String, usize)]) -> Outcome {
    for (offset, before) in given {
        let rest = content[*before..].to_owned();
        let here = answer(200).and("what stands behind the offset", move |r| {
            r.body.is_empty() == rest.is_empty() && rest.as_bytes().starts_with(&r.body)
        });
        let reply = cx.send(stream.read_at(offset)).await?;
        cx.expect(STREAM_OFFSETS_6, &reply, &one_of![here])?;
    }
    Ok(())
}

async fn kept(cx: &Cx) -> Outcome {
    let (stream, mut content, mut given) = given_out(cx).await?;
    for _ in 0..16 {
        let more = cx.token(20);
        given.push((stream.appended(cx, more.clone()).await?, content.len() + more.len()));
        content.push_str(&more);
    }
    still_there(cx, &stream, &content, &given).await?;
    stream.closed(cx).await?;
    still_there(cx, &stream, &content, &given).await?;
    let live = cx.send(stream.long_poll(&stream.start)).await?;
    let begins = {
        let content = content.clone();
        move |r: &Response| !r.body.is_empty() && content.as_bytes().starts_with(&r.body)
    };
    cx.expect(STREAM_OFFSETS_6, &live, &one_of![answer(200).and("what stands there", begins)])?;
    Ok(())
}

async fn kept_by_restart(cx: &Cx) -> Outcome {
    let (open, content, given) = given_out(cx).await?;
    let (shut, other, also_given) = given_out(cx).await?;
    shut.closed(cx).await?;
    for _ in 0..2 {
        cx.hook(Hook::Restart).await?;
        // Of a stream that is gone there is nothing to read.
        let there = cx.http().send(open.head()).await?;
        cx.need(STREAM_CONTENT_1, &there, &one_of![answer(200)])?;
        still_there(cx, &open, &content, &given).await?;
        still_there(cx, &shut, &other, &also_given).await?;
    }
    Ok(())
}

/// The answer to a read at `now`: nothing, and the tail.
fn nothing_yet(media_type: &str, tail: &str) -> Answer {
    let nothing = answer(200).with(NEXT_OFFSET, tail).with(UP_TO_DATE, "true");
    if media_type == JSON {
        let empty = |r: &Response| {
            serde_json::from_slice::<Vec<serde_json::Value>>(&r.body).is_ok_and(|all| all.is_empty())
        };
        nothing.and("an empty array", empty)
    } else {
        nothing.body("")
    }
}

async fn now(cx: &Cx) -> Outcome {
    let proven = proven(cx).await?;
    let tail = proven.told_tail(cx).await?;
    let reply = cx.send(proven.read_at("now")).await?;
    cx.expect(STREAM_OFFSETS_7, &reply, &one_of![nothing_yet(TEXT, &tail)])?;
    for (media_type, content) in [(TEXT, "text"), (JSON, "[1]"), (OTHER, "bytes")] {
        let stream = Stream::create(cx, media_type, "").await?;
        for _ in 0..3 {
            let tail = stream.told_tail(cx).await?;
            let reply = cx.send(stream.read_at("now")).await?;
            cx.expect(STREAM_OFFSETS_7, &reply, &one_of![nothing_yet(media_type, &tail)])?;
            stream.appended(cx, content).await?;
        }
    }
    Ok(())
}

async fn now_on_closed(cx: &Cx) -> Outcome {
    let proven = proven(cx).await?;
    for (media_type, content) in [(TEXT, ""), (TEXT, "text"), (JSON, "[1]")] {
        let stream = Stream::create(cx, media_type, content).await?;
        let tail = stream.closed(cx).await?;
        let reply = cx.send(stream.read_at("now")).await?;
        cx.expect(STREAM_OFFSETS_7, &reply, &one_of![nothing_yet(media_type, &tail)])?;
        cx.expect(STREAM_READ_5, &reply, &one_of![answer(200).with(CLOSED, "true")])?;
    }
    // Of an open stream it is no end.
    let reply = cx.send(proven.read_at("now")).await?;
    cx.expect(STREAM_OFFSETS_7, &reply, &one_of![answer(200).without(CLOSED)])?;
    Ok(())
}

async fn agree(cx: &Cx) -> Outcome {
    let mut told = Vec::new();
    let proven = proven(cx).await?;
    told.push(everywhere(cx, &proven, None, false).await?);
    for (media_type, first, more) in [(TEXT, "some", "more"), (JSON, "[1]", "[2,3]"), (TEXT, "", "x")] {
        let stream = Stream::create(cx, media_type, first).await?;
        told.push(everywhere(cx, &stream, None, false).await?);
        for _ in 0..3 {
            let reply = cx.send(stream.append(more)).await?;
            cx.need(STREAM_APPEND_1, &reply, &one_of![appended()])?;
            told.push(everywhere(cx, &stream, Some(reply), false).await?);
        }
        for _ in 0..2 {
            let reply = cx.send(stream.close()).await?;
            cx.need(STREAM_CLOSE_1, &reply, &one_of![closed()])?;
            told.push(everywhere(cx, &stream, Some(reply), true).await?);
        }
    }
    for told in told {
        let one =
            alternative("one token in all answers", |all: &Vec<String>| all.windows(2).all(|p| p[0] == p[1]));
        cx.expect(STREAM_OFFSETS_8, &told, &[one])?;
    }
    Ok(())
}

/// The tail of a stream at rest as every kind of answer tells it; `write` is the one to the last write, if there was one.
async fn everywhere(
    cx: &Cx,
    stream: &Stream,
    write: Option<Seen<Response>>,
    is_closed: bool,
) -> Outcome<Seen<Vec<String>>> {
    let again = put(&stream.path, stream.media_type);
    let again = cx.send(if is_closed { closing(again) } else { again }).await?;
    let found = if is_closed { STREAM_CREATE_6 } else { STREAM_CREATE_2 };
    cx.need(found, &again, &one_of![answer(200).has(NEXT_OFFSET)])?;
    let head = cx.send(stream.head()).await?;
    cx.need(STREAM_HEAD_1, &head, &one_of![answer(200).has(NEXT_OFFSET)])?;
    let now = cx.send(stream.read_at("now")).await?;
    cx.need(STREAM_OFFSETS_7, &now, &one_of![answer(200).has(NEXT_OFFSET)])?;
    let mut all = vec![again, head, now];
    if write.is_some() {
        // There is something, so that nothing is waited for. What stops before the tail does not tell it.
        let live = cx.send(stream.long_poll("-1")).await?;
        let reply = cx.need(STREAM_LONGPOLL_2, &live, &one_of![answer(200).has(NEXT_OFFSET)])?;
        if reply.headers.get(UP_TO_DATE).is_some() {
            all.push(live);
        }
    }
    all.extend(write);
    let told = Seen::all(all).map(|all| all.iter().map(next_offset).collect::<Vec<String>>());
    let read = stream.walk(cx, "-1").await?.map(|all| all.last().map(next_offset));
    Ok(told.and(read).map(|(told, read)| told.into_iter().chain(read).collect()))
}

async fn dropped(cx: &Cx) -> Outcome {
    /// More no check writes.
    const MOST: u64 = 4 * 1024 * 1024;
    const PIECE: usize = 16 * 1024;
    let retained = cx.features().limit("retained-bytes").unwrap_or(MOST);
    if retained > MOST / 4 {
        return Err(cx.stop(&format!("it takes too many appends to see {retained} bytes dropped")));
    }
    let stream = Stream::create(cx, TEXT, "").await?;
    let (mut content, mut given) = (String::new(), vec![(stream.start.clone(), 0)]);
    let size = usize::try_from(retained / 4 + 1).unwrap_or(PIECE).clamp(32, PIECE);
    let mut peer = cx.http();
    while (content.len() as u64) < MOST {
        let piece = format!("{} {}", cx.token(20), "-".repeat(size - 21));
        let reply = peer.send(stream.append(piece.clone())).await?;
        let tail = next_offset(cx.need(STREAM_APPEND_1, &reply, &one_of![appended()])?);
        if content.is_empty() {
            let read = stream.content(cx).await?;
            cx.need(STREAM_READ_1, &read, &[holds(piece.clone())])?;
        }
        content.push_str(&piece);
        given.push((tail, content.len()));
        if (content.len() as u64) < retained * 2 {
            continue;
        }
        // What came last is kept.
        let (last, before) = given[given.len() - 2].clone();
        let read = stream.content_from(cx, &last).await?;
        cx.need(STREAM_READ_2, &read, &[holds(content[before..].to_owned())])?;
        let mut gone = 0;
        for (offset, before) in &given[..2] {
            let rest = content[*before..].to_owned();
            let here = answer(200).and("what was appended there", move |r| {
                !r.body.is_empty() && rest.as_bytes().starts_with(&r.body)
            });
            let reply = peer.send(stream.read_at(offset)).await?;
            gone +=
                u32::from(cx.expect(STREAM_OFFSETS_9, &reply, &one_of![answer(410), here])?.status == 410);
        }
        if gone > 0 {
            return Ok(());
        }
    }
    Err(cx.stop("nothing was dropped, however much was appended"))
}
